"""A devnet that answers as a troubled provider does."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.localnet.chain_harness import payment
from tests.localnet.rpc_harness import CONFIRMED, SEND, Devnet, running, wire
from zmart_lite.localnet.distortions import DISTORTIONS
from zmart_lite.localnet.tempers import STALE, TEMPERS_MAX, TEXTS, TROUBLES

PAGE = Path(__file__).parents[2] / "docs" / "tempers.md"
NEWEST = CONFIRMED | {"maxSupportedTransactionVersion": 1}


@pytest.fixture
async def devnet() -> AsyncIterator[Devnet]:
    async with running() as started:
        for number in range(1, 7):
            await started.send(started.transaction(payment(number, started.alice, started.bob)))
        yield started


async def told(devnet: Devnet, provider: str = "a", method: str = "getSlot", *params: Any) -> dict[str, Any]:
    """The answer of one address."""
    body = {"jsonrpc": "2.0", "id": 3, "method": method, "params": list(params)}
    found: dict[str, Any] = (await devnet.http.post(f"{devnet.net.rpc_url}/provider/{provider}", json=body)).json()
    return found


async def rows(devnet: Devnet, **config: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await devnet.call(
        "getSignaturesForAddress", str(devnet.bob.pubkey()), CONFIRMED | config
    )
    return found


async def newest(devnet: Devnet) -> dict[str, Any]:
    found: dict[str, Any] = await devnet.call("getTransaction", (await rows(devnet))[0]["signature"], NEWEST)
    return found


def test_every_kind_is_documented() -> None:
    _, _, table = PAGE.read_text().partition("| kind | what is answered |")
    described = [line for line in table.splitlines() if line.startswith("| `")]
    assert described == [f"| `{kind}` | {text} |" for kind, text in TEXTS.items()]
    assert set(TEXTS) == {STALE, *TROUBLES, *DISTORTIONS}


async def test_a_temper_is_told_counted_and_ended(devnet: Devnet) -> None:
    asked = {"kind": "slots_ahead", "methods": ["getSlot"], "calls": 2, "value": 7, "provider": "a", "shareBps": 10_000}
    (first,) = await devnet.call("localnet_temper", asked)
    assert first == asked | {"met": 0}
    slot = await devnet.call("getSlot")
    assert (await told(devnet))["result"] == slot + 7
    assert [each["calls"] for each in await devnet.call("localnet_temper")] == [1]
    assert (await told(devnet, "b"))["result"] == slot
    assert (await told(devnet))["result"] == slot + 7
    assert await devnet.call("localnet_temper") == []
    assert (await told(devnet))["result"] == slot
    (endless,) = await devnet.call("localnet_temper", {"kind": "503"})
    assert (endless["calls"], endless["provider"]) == (None, None)
    assert await devnet.call("localnet_temper", {}) == []


async def test_a_share_is_spread_evenly(devnet: Devnet) -> None:
    await devnet.call("localnet_temper", {"kind": "slots_ahead", "value": 1_000, "shareBps": 2_500})
    slot = [(await told(devnet))["result"] for _ in range(8)]
    assert [each >= 1_000 for each in slot] == [False, False, False, True] * 2
    (temper,) = await devnet.call("localnet_temper")
    assert temper["met"] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "earthquake"},
        {"methods": ["getSlot"]},
        {"kind": "500", "share": 1},
        {"kind": "500", "shareBps": 0},
        {"kind": "500", "shareBps": 10_001},
        {"kind": "500", "provider": 5},
        {"kind": "500", "methods": "getSlot"},
        {"kind": "500", "value": -1},
    ],
)
async def test_what_cannot_be_is_refused(devnet: Devnet, wrong: dict[str, Any]) -> None:
    assert (await devnet.error("localnet_temper", wrong))["code"] == -32602
    assert await devnet.call("localnet_temper") == []


async def test_they_are_bounded(devnet: Devnet) -> None:
    for _ in range(TEMPERS_MAX):
        await devnet.call("localnet_temper", {"kind": "500", "methods": ["getSupply"]})
    assert (await devnet.error("localnet_temper", {"kind": "500"}))["code"] == -32602


async def test_several_meet_one_call(devnet: Devnet) -> None:
    await devnet.call("localnet_temper", {"kind": "no_block_times"})
    await devnet.call("localnet_temper", {"kind": "short_pages"})
    await devnet.call("localnet_temper", {"kind": "slow", "value": 1})
    found = await rows(devnet)
    assert [row["blockTime"] for row in found] == [None] * 3


async def test_each_call_of_a_batch_is_distorted_by_itself(devnet: Devnet) -> None:
    await devnet.call("localnet_temper", {"kind": "slots_ahead", "value": 1_000, "methods": ["getSlot"]})
    calls = [("getSlot", 1), ("getHealth", "x"), ("getBlockHeight", 2)]
    body = [{"jsonrpc": "2.0", "id": each, "method": method} for method, each in calls]
    slot, health, height = await devnet.post(body)
    assert (slot["result"] > 1_000, health["result"], height["result"] < 1_000) == (True, "ok", True)


@pytest.mark.parametrize(("kind", "status"), [("401", 401), ("429", 429), ("500", 500), ("503", 503), ("page", 200)])
async def test_troubles_of_http(devnet: Devnet, kind: str, status: int) -> None:
    await devnet.call("localnet_temper", {"kind": kind, "value": 5})
    response = await devnet.http.post(devnet.net.rpc_url, json={"jsonrpc": "2.0", "id": 1, "method": "getSlot"})
    assert response.status_code == status
    assert response.headers.get("retry-after") == ("5" if kind == "429" else None)
    assert response.headers["content-type"].startswith("text/html") == (kind == "page")


async def test_a_body_is_cut(devnet: Devnet) -> None:
    await devnet.call("localnet_temper", {"kind": "cut", "calls": 1})
    with pytest.raises(httpx.RemoteProtocolError):
        await told(devnet)
    assert "result" in await told(devnet)


@pytest.mark.parametrize(("kind", "code"), [("behind", -32005), ("no_history", -32011), ("too_new", -32016)])
async def test_refusals(devnet: Devnet, kind: str, code: int) -> None:
    await devnet.call("localnet_temper", {"kind": kind})
    assert (await told(devnet))["error"]["code"] == code


async def test_histories(devnet: Devnet) -> None:
    true = [row["signature"] for row in await rows(devnet)]
    expected = {
        "short_pages": true[:3],
        "skips": [true[1], true[2], true[4], true[5]],
        "repeats": [each for each in true for _ in range(2)],
        "other_order": true,  # each stands in a slot of its own
        "unknown": [],
    }
    for kind, signatures in expected.items():
        await devnet.call("localnet_temper", {"kind": kind, "calls": 1})
        assert [row["signature"] for row in await rows(devnet)] == signatures
    await devnet.call("localnet_temper", {"kind": "unknown_place"})
    assert len(await rows(devnet)) == 6
    error = await devnet.error("getSignaturesForAddress", str(devnet.bob.pubkey()), CONFIRMED | {"before": true[1]})
    assert (error["code"], true[1] in error["message"]) == (-32020, True)


async def test_the_order_within_a_block(devnet: Devnet) -> None:
    devnet.net.ledger.paused = True
    for number in (7, 8):
        await devnet.send(devnet.transaction(payment(number, devnet.alice, devnet.bob)))
    await devnet.call("localnet_produceBlocks", 1)
    true = [row["signature"] for row in await rows(devnet)]
    await devnet.call("localnet_temper", {"kind": "other_order"})
    assert [row["signature"] for row in await rows(devnet)] == [true[1], true[0], *true[2:]]


async def test_logs_and_members_of_a_transaction(devnet: Devnet) -> None:
    true = await newest(devnet)
    lines = true["meta"]["logMessages"]
    for kind, logs in (("empty_logs", []), ("null_logs", None), ("cut_logs", lines[:1])):
        await devnet.call("localnet_temper", {"kind": kind, "calls": 1, "methods": ["getTransaction"], "value": 1})
        assert (await newest(devnet))["meta"]["logMessages"] == logs
    await devnet.call("localnet_temper", {"kind": "no_inner", "calls": 2})
    assert (await newest(devnet))["meta"]["innerInstructions"] is None
    await devnet.call("localnet_temper", {"kind": "more_members", "calls": 2})
    assert (await newest(devnet))["meta"]["laterMember"] == {"slot": "soon"}
    assert await newest(devnet) == true


async def test_slots_times_and_heights(devnet: Devnet) -> None:
    true, height = await newest(devnet), await devnet.call("getBlockHeight")
    await devnet.call("localnet_temper", {"kind": "slots_ahead"})
    found = await newest(devnet)
    assert found["slot"] == true["slot"] + 10**9
    account = await devnet.call("getAccountInfo", str(devnet.bob.pubkey()))
    assert account["context"]["slot"] > 10**9
    await devnet.call("localnet_temper", {})
    await devnet.call("localnet_temper", {"kind": "slots_jump", "value": 2, "methods": ["getSlot"]})
    slot = true["slot"]
    assert [await devnet.call("getSlot", CONFIRMED) for _ in range(3)] == [slot - 2, slot + 2, slot - 2]
    await devnet.call("localnet_temper", {"kind": "times_off", "value": 60})
    assert (await newest(devnet))["blockTime"] == true["blockTime"] + 60
    await devnet.call("localnet_temper", {"kind": "heights_back", "value": 3})
    assert await devnet.call("getBlockHeight") == height - 3
    await devnet.call("localnet_temper", {"kind": "context_back", "value": 1})
    assert (await devnet.call("getBalance", str(devnet.bob.pubkey()), CONFIRMED))["context"]["slot"] == slot - 1


async def test_another_genesis_and_a_newer_version(devnet: Devnet) -> None:
    genesis = await devnet.call("getGenesisHash")
    await devnet.call("localnet_temper", {"kind": "other_genesis", "provider": "b"})
    assert (await told(devnet, "b", "getGenesisHash"))["result"] != genesis
    assert (await told(devnet, "a", "getGenesisHash"))["result"] == genesis
    signature = (await rows(devnet))[0]["signature"]
    await devnet.call("localnet_temper", {"kind": "newer_version", "value": 2})
    error = await devnet.error("getTransaction", signature, NEWEST)
    assert (error["code"], error["message"].endswith('"maxSupportedTransactionVersion": 2')) == (-32015, True)
    found = await devnet.call("getTransaction", signature, NEWEST | {"maxSupportedTransactionVersion": 2})
    assert found["version"] == 2


async def test_a_stale_node_does_not_know_that_it_is(devnet: Devnet) -> None:
    address, slot = str(devnet.bob.pubkey()), await devnet.call("getSlot", CONFIRMED)
    true = [row["signature"] for row in await rows(devnet)]
    balance = (await devnet.call("getBalance", address, CONFIRMED))["value"]
    await devnet.call("localnet_temper", {"kind": "stale", "value": 2, "provider": "late"})
    assert (await told(devnet, "late", "getSlot", CONFIRMED))["result"] == slot - 2
    seen = (await told(devnet, "late", "getBalance", address, CONFIRMED))["result"]
    assert (seen["value"], seen["context"]["slot"]) == (balance - 6 - 5, slot - 2)
    listed = (await told(devnet, "late", "getSignaturesForAddress", address, CONFIRMED))["result"]
    assert [row["signature"] for row in listed] == true[2:]
    assert (await told(devnet, "late", "getTransaction", true[0], CONFIRMED))["result"] is None
    assert (await told(devnet, "late", "getSignatureStatuses", true[:1]))["result"]["value"] == [None]
    # What it is given it passes on.
    sent = wire(devnet.transaction(payment(9, devnet.alice, devnet.bob)))
    signature = (await told(devnet, "late", "sendTransaction", sent, SEND))["result"]
    assert (await rows(devnet))[0]["signature"] == signature


async def test_a_stale_node_tells_accounts_as_they_were_when_final(devnet: Devnet) -> None:
    address = str(devnet.bob.pubkey())
    await devnet.call("localnet_produceBlocks", 40)
    before = (await devnet.call("getBalance", address))["value"]
    await devnet.send(devnet.transaction(payment(1_000, devnet.alice, devnet.bob)))
    await devnet.call("localnet_produceBlocks", 40)
    assert (await devnet.call("getBalance", address))["value"] == before + 1_000
    await devnet.call("localnet_temper", {"kind": "stale", "value": 30})
    assert (await devnet.call("getBalance", address))["value"] == before
