"""Discussions and evidence on IPFS: what changed, once, under an id known before, and gone after its time."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse

from tests.ipfs.pinning import JWT, Pinning, pinning_service
from zmart_lite.drafts import CHUNK_BYTES_MAX, cid_v0, cid_v1_raw
from zmart_lite.errors import IpfsUnavailable, Unavailable
from zmart_lite.ipfs import Kubo, Pinata, Service
from zmart_lite.jobs.runner import Summary
from zmart_lite.jobs.snapshots import SnapshotOptions, Snapshots
from zmart_lite.ops import Metrics
from zmart_lite.ops.breaker import CircuitBreaker
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.publishing import discussions
from zmart_lite.store.state import plans, snapshots

START_MS = 1_800_000_000_000
DAY_MS = 86_400_000
DAYS = 90
ALICE = bytes([1]) * 32


class Clock:
    now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


async def _no_pause(_: float) -> None:
    return


class World:
    """One store, one service, and a day that passes when told to."""

    def __init__(self, store: Store, clock: Clock, server: Pinning, service: Service) -> None:
        self.store, self.clock, self.server, self.service = store, clock, server, service
        self.metrics = Metrics()
        self.breaker = CircuitBreaker("ipfs", lambda: clock.now_ms / 1_000)

    async def run(self, *, days: int = 0, enabled: bool = True) -> Summary:
        self.clock.now_ms += days * DAY_MS
        options = SnapshotOptions(enabled, DAYS)
        job = Snapshots(self.store, self.service, self.breaker, self.metrics, options, sleep=_no_pause)
        return await job.run({})

    async def market(self, number: int) -> int:
        ids = (bytes([number]) * 32, bytes([number + 100]) * 32)
        sql = "INSERT INTO markets (market_id, address, known) VALUES (?, ?, 1) RETURNING id"
        return int(await self.store.write(lambda tx: tx.value(sql, ids)))

    async def post(self, market: int, content: str, parent: int | None = None) -> int:
        posted = await self.store.write(lambda tx: discussions.add_post(tx, market, ALICE, content, parent))
        return int(posted.row["id"])

    async def delete(self, post: int) -> None:
        def unit(tx: Tx) -> None:
            row = discussions.find_post(tx, post)
            assert row is not None
            discussions.delete_post(tx, row)

        await self.store.write(unit)

    async def rows(self) -> list[tuple[str, str, int, int]]:
        sql = "SELECT snapshot_date, cid, discussions_count, pinned FROM snapshots ORDER BY id"
        return [tuple(row) for row in await self.store.read(lambda tx: tx.all(sql))]

    async def alert(self) -> tuple[str, str] | None:
        sql = "SELECT severity, status FROM alerts WHERE alert_type = 'snapshot_failure' ORDER BY id DESC"
        row = await self.store.read(lambda tx: tx.one(sql))
        return None if row is None else tuple(row)


@pytest.fixture(params=["pinata", "kubo"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    clock = Clock()
    async with pinning_service() as server:
        service: Service = Kubo(server.url, sleep=_no_pause)
        if request.param == "pinata":
            service = Pinata(JWT, api_url=server.url, uploads_url=server.url, sleep=_no_pause)
        store = await Store(tmp_path / "zmart.db", now_ms=clock).open()
        yield World(store, clock, server, service)
        await store.close()
        await service.close()


async def test_the_content_is_canonical_without_deleted_texts(world: World) -> None:
    market = await world.market(1)
    first = await world.post(market, "Größe: 5 €, “quoted”")
    await world.post(market, "a reply", first)
    vanishing = await world.post(market, "a secret")
    await world.delete(first)
    await world.delete(vanishing)
    assert await world.run() == Summary(found=1, done=1)
    [(date, cid, count, pinned)] = await world.rows()
    assert (date, count, pinned) == ("2027-01-15", 2, 1)
    content = world.server.contents[cid]
    assert cid == cid_v1_raw(content)
    assert b"secret" not in content
    assert "Größe".encode() not in content
    document = json.loads(content)
    assert document["market_id"] == "01" * 32
    assert [(post["content"], post["deleted"]) for post in document["discussions"]] == [
        (None, True),
        ("a reply", False),
    ]
    assert content == json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


async def test_a_run_again_and_a_day_without_change_upload_nothing(world: World) -> None:
    market = await world.market(1)
    await world.post(market, "Größe 🌧")
    await world.run()
    for days in (0, 1, 30):
        assert await world.run(days=days) == Summary()
    assert world.server.uploads() == 1
    await world.post(market, "more")
    assert await world.run() == Summary(found=1, done=1)
    assert await world.run() == Summary()
    assert len(await world.rows()) == 2
    assert world.metrics.registry.get_sample_value("zmart_snapshots_total", {"result": "ok"}) == 2


async def test_a_second_change_on_the_same_day_comes_with_the_next(world: World) -> None:
    market = await world.market(1)
    await world.post(market, "one")
    await world.run()
    await world.post(market, "two")
    assert await world.run() == Summary()
    assert await world.run(days=1) == Summary(found=1, done=1)


async def test_after_its_time_a_snapshot_goes_by_its_own_pin(world: World) -> None:
    market = await world.market(1)
    await world.post(market, "one")
    await world.run()
    await world.post(market, "two")
    await world.run(days=1)
    (_, old, _, _), (_, new, _, _) = await world.rows()
    assert world.server.pinned == {old, new}
    await world.run(days=DAYS - 1)
    assert world.server.pinned == {old, new}
    world.clock.now_ms += 1
    await world.run()
    assert world.server.pinned == {new}
    assert [(cid, pinned) for _, cid, _, pinned in await world.rows()][:2] == [(old, 0), (new, 1)]


async def test_an_unchanged_discussion_stays_pinned_for_ever_without_another_upload(world: World) -> None:
    market = await world.market(1)
    await world.post(market, "one")
    await world.run()
    [(_, cid, _, _)] = await world.rows()
    for _ in range(2 * DAYS + 5):
        await world.run(days=1)
        assert world.server.pinned == {cid}
    rows = await world.rows()
    assert [each[3] for each in rows] == [0, 0, 1]
    assert world.server.uploads() == 1


async def test_a_discussion_that_is_deleted_goes_in_the_end(world: World) -> None:
    market = await world.market(1)
    post = await world.post(market, "one")
    await world.run()
    await world.delete(post)
    assert await world.run(days=DAYS) == Summary()
    world.clock.now_ms += 1
    assert await world.run() == Summary(found=1, done=1)
    assert world.server.pinned == set()


async def test_a_long_discussion_is_cut_into_parts_of_which_unchanged_ones_are_shared(world: World) -> None:
    market = await world.market(1)
    for number in range(600):
        await world.post(market, f"{number} " + "ä" * 900)
    await world.run()
    [(_, cid, count, _)] = await world.rows()
    index = world.server.document(cid)
    assert (index["count"], count) == (600, 600)
    parts = [world.server.document(each) for each in index["parts"]]
    assert [part["part"] for part in parts] == list(range(len(parts)))
    assert len([post for part in parts for post in part["discussions"]]) == 600
    assert all(len(content) <= CHUNK_BYTES_MAX for content in world.server.contents.values())
    before = world.server.uploads()
    await world.post(market, "one more")
    await world.run(days=1)
    assert world.server.uploads() == before + 2
    await world.run(days=DAYS)
    newest = world.server.document((await world.rows())[-1][1])
    assert world.server.pinned == {(await world.rows())[-1][1], *newest["parts"]}


async def test_evidence_is_kept_under_the_id_that_stands_on_chain(world: World) -> None:
    text = "The gauge says 3 mm."
    cid = cid_v0(text.encode())
    await world.store.write(lambda tx: plans.add_evidence(tx, cid, text))
    assert await world.run(enabled=False) == Summary(found=1, done=1)
    assert world.server.contents[cid] == text.encode()
    assert world.server.pinned == {cid}
    assert await world.run() == Summary()


async def test_without_snapshots_discussions_stay_here(world: World) -> None:
    await world.post(await world.market(1), "one")
    assert await world.run(enabled=False) == Summary()
    assert world.server.calls == []


async def test_one_bad_upload_fails_after_three_attempts_and_the_rest_goes_on(world: World) -> None:
    for number in (1, 2, 3):
        await world.post(await world.market(number), "one")
    world.server.answers = [PlainTextResponse("down", 503)] * 3
    assert await world.run() == Summary(found=3, done=2, failed=1)
    assert await world.alert() == ("MEDIUM", "open")
    assert await world.run() == Summary(found=1, done=1)
    assert await world.alert() == ("MEDIUM", "resolved")


async def test_an_outage_breaks_the_run_off_and_opens_the_breaker(world: World) -> None:
    for number in range(1, 7):
        await world.post(await world.market(number), "one")
    world.server.broken = PlainTextResponse("down", 503)
    with pytest.raises(IpfsUnavailable):
        await world.run()
    assert world.server.uploads() == 9
    assert world.breaker.view().state == "open"
    with pytest.raises(Unavailable):
        await world.run()
    assert world.server.uploads() == 9
    assert await world.alert() == ("MEDIUM", "open")
    world.server.broken = None
    world.clock.now_ms += 301_000
    assert await world.run() == Summary(found=6, done=6)
    assert world.breaker.view().state == "closed"


async def test_going_on_after_a_crash_between_upload_and_record(world: World) -> None:
    market = await world.market(1)
    await world.post(market, "one")
    document = await world.store.read(lambda tx: snapshots.find_document(tx, market))
    assert document is not None
    lost = await world.service.pin(document.contents[document.cid], "lost")
    await world.run()
    assert [row[1] for row in await world.rows()] == [lost.cid]
    await world.delete(1)
    await world.run(days=DAYS + 1)
    assert world.server.pinned == set()


async def test_a_pin_of_other_credentials_stays_on_record(world: World) -> None:
    await world.post(await world.market(1), "one")
    await world.run()
    await world.store.write(lambda tx: tx.execute("""UPDATE snapshots SET pin_id = '{"cid":"elsewhere:cid"}'"""))
    await world.delete(1)
    assert await world.run(days=DAYS + 1) == Summary(found=1, failed=1)
    assert (await world.rows())[0][3] == 1
