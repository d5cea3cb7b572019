"""Pinata and Kubo, against a server that behaves as they are documented."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from tests.ipfs.pinning import JWT, KEY, SECRET, Pinning, pinning_service
from zmart_lite import ipfs
from zmart_lite.config import Ipfs, Secret
from zmart_lite.drafts import CHUNK_BYTES_MAX, cid_v0, cid_v1_raw
from zmart_lite.errors import IpfsRefused, IpfsUnavailable
from zmart_lite.ipfs import Kubo, Pinata, Service

CONTENT = b'{"text":"Hello World!"}'


@pytest.fixture
async def server() -> AsyncIterator[Pinning]:
    async with pinning_service() as found:
        yield found


class Pauses:
    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


def service_of(kind: str, url: str, pauses: Pauses) -> Service:
    match kind:
        case "jwt":
            return Pinata(JWT, api_url=url, uploads_url=url, sleep=pauses)
        case "key":
            return Pinata("", KEY, SECRET, api_url=url, uploads_url=url, sleep=pauses)
    return Kubo(url, sleep=pauses)


@pytest.fixture(params=["jwt", "key", "kubo"])
async def service(request: pytest.FixtureRequest, server: Pinning, pauses: Pauses) -> AsyncIterator[Service]:
    found = service_of(request.param, server.url, pauses)
    yield found
    await found.close()


@pytest.mark.parametrize(("version", "cid"), [(0, cid_v0(CONTENT)), (1, cid_v1_raw(CONTENT))])
async def test_content_goes_up_as_it_is_and_comes_back_by_its_pin(
    server: Pinning, service: Service, version: int, cid: str
) -> None:
    first = await service.pin(CONTENT, "a name", cid_version=version)
    again = await service.pin(CONTENT, "a name", cid_version=version)
    assert first == again
    assert first.cid == cid
    assert server.contents[cid] == CONTENT
    assert server.pinned == {cid}
    await service.unpin(first.pin_id)
    assert server.pinned == set()
    await service.unpin(first.pin_id)


async def test_a_token_uses_v3_where_it_can_and_each_store_gives_its_own_back(server: Pinning, pauses: Pauses) -> None:
    async with _closing(service_of("jwt", server.url, pauses)) as pinata:
        new, old = await pinata.pin(CONTENT, "n"), await pinata.pin(CONTENT, "n", cid_version=0)
        assert new.pin_id == f"v3:{next(iter(server.v3))}"
        assert old.pin_id == f"legacy:{cid_v0(CONTENT)}"
        await pinata.unpin(new.pin_id)
        assert (server.v3, server.legacy) == ({}, {cid_v0(CONTENT)})
        await pinata.unpin(old.pin_id)
        assert server.legacy == set()


@pytest.mark.parametrize(("kind", "pin_id"), [("key", "v3:an id"), ("kubo", "v3:an id"), ("jwt", "kubo:a cid")])
async def test_what_was_pinned_by_other_means_is_refused(
    server: Pinning, pauses: Pauses, kind: str, pin_id: str
) -> None:
    async with _closing(service_of(kind, server.url, pauses)) as service:
        with pytest.raises(IpfsRefused):
            await service.unpin(pin_id)
    assert server.calls == []


async def test_another_content_id_is_refused(server: Pinning, service: Service) -> None:
    server.wrong_cid = True
    with pytest.raises(IpfsRefused, match="instead of"):
        await service.pin(CONTENT, "n")


async def test_more_than_a_chunk_is_refused_before_it_is_sent(server: Pinning, service: Service) -> None:
    with pytest.raises(ValueError, match="chunk"):
        await service.pin(bytes(CHUNK_BYTES_MAX + 1), "n")
    assert server.calls == []
    assert (await service.pin(bytes(CHUNK_BYTES_MAX), "n")).cid == cid_v1_raw(bytes(CHUNK_BYTES_MAX))


async def test_three_attempts_with_growing_pauses(server: Pinning, service: Service, pauses: Pauses) -> None:
    server.answers = [PlainTextResponse("busy", 503), PlainTextResponse("busy", 502)]
    await service.pin(CONTENT, "n")
    assert pauses.taken == [2, 4]
    server.broken = PlainTextResponse("down", 500)
    with pytest.raises(IpfsUnavailable, match="500: down"):
        await service.pin(CONTENT, "n")
    assert server.uploads() == 6


async def test_a_pause_that_is_asked_for_is_taken_unless_it_is_long(
    server: Pinning, service: Service, pauses: Pauses
) -> None:
    server.answers = [PlainTextResponse("slowly", 429, {"Retry-After": "7"})]
    await service.pin(CONTENT, "n")
    assert pauses.taken == [7]
    server.answers = [PlainTextResponse("slowly", 429, {"Retry-After": "61"})]
    with pytest.raises(IpfsUnavailable):
        await service.pin(CONTENT, "n")
    assert pauses.taken == [7]


@pytest.mark.parametrize(
    "answer",
    [JSONResponse({"error": "NO_SCOPES_FOUND"}, 403), PlainTextResponse("no JSON"), JSONResponse([]), JSONResponse({})],
)
async def test_refusals_and_malformed_answers_are_not_tried_again(
    server: Pinning, service: Service, answer: JSONResponse
) -> None:
    server.broken = answer
    with pytest.raises(IpfsRefused):
        await service.pin(CONTENT, "n")
    assert len(server.calls) == 1


async def test_nobody_there(pauses: Pauses) -> None:
    async with _closing(service_of("kubo", "http://127.0.0.1:1", pauses)) as kubo:
        with pytest.raises(IpfsUnavailable, match="cannot be reached"):
            await kubo.check()


async def test_checking(server: Pinning, service: Service, pauses: Pauses) -> None:
    assert await service.check()
    async with _closing(Pinata("wrong", api_url=server.url, sleep=pauses)) as pinata:
        with pytest.raises(IpfsRefused, match="401"):
            await pinata.check()


async def test_which_one_is_configured() -> None:
    assert ipfs.connect(Ipfs()) is None
    for options, kind in (
        (Ipfs(pinata_jwt=Secret("t")), Pinata),
        (Ipfs(pinata_key=Secret("k"), pinata_secret=Secret("s")), Pinata),
        (Ipfs(kubo_url="http://127.0.0.1:5001", pinata_jwt=Secret("t")), Kubo),
    ):
        found = ipfs.connect(options)
        assert isinstance(found, kind)
        await found.close()


def _closing(service: Service) -> aclosing[Service]:
    service.aclose = service.close  # type: ignore[attr-defined]
    return aclosing(service)  # type: ignore[type-var]
