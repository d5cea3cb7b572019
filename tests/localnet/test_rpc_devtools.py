"""The ``localnet_`` methods."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from tests.localnet.rpc_harness import CONFIRMED, PROGRAM_ID, SEND, START_TIME, Devnet, running, wire
from zmart_lite.localnet.devtools import SECONDS_PER_WARP_MAX
from zmart_lite.localnet.invocation import LOG_TRUNCATED
from zmart_lite.localnet.runtime import Account
from zmart_lite.localnet.tempers import TEXTS
from zmart_lite.models import MarketAccount, MarketState

DAY = 86_400


@pytest.fixture
async def devnet() -> AsyncIterator[Devnet]:
    async with running() as started:
        yield started


def pay(devnet: Devnet, lamports: int) -> str:
    terms = TransferParams(from_pubkey=devnet.alice.pubkey(), to_pubkey=devnet.bob.pubkey(), lamports=lamports)
    return wire(devnet.transaction(transfer(terms)))


async def bob_has(devnet: Devnet, commitment: str = "confirmed") -> int:
    found = await devnet.call("getBalance", str(devnet.bob.pubkey()), {"commitment": commitment})
    return int(found["value"]) - 1_000 * 10**9


async def test_info_names_public_keys_only(devnet: Devnet) -> None:
    info = await devnet.call("localnet_info")
    assert info["programId"] == str(Pubkey(PROGRAM_ID))
    assert info["wallets"] == [str(wallet.pubkey()) for wallet in devnet.net.wallets]
    assert info["admin"] == str(devnet.net.admin.pubkey())
    assert (info["rpc"], info["pubsub"]) == (devnet.net.rpc_url, devnet.net.ws_url)
    assert info["unixTimestamp"] == START_TIME
    secrets = [str(key) for key in (*devnet.net.wallets, devnet.net.admin, devnet.net.backend)]
    assert not any(secret in str(info) for secret in secrets)


async def test_warp_by_seconds_slots_and_to(devnet: Devnet) -> None:
    slot = (await devnet.call("localnet_info"))["slot"]
    assert (await devnet.call("localnet_warp", {"seconds": 100}))["unixTimestamp"] == START_TIME + 100
    found = await devnet.call("localnet_warp", {"slots": 1_000})
    assert found["unixTimestamp"] == START_TIME + 100 + 400
    assert found["slot"] == slot + 33 + 1_000
    assert (await devnet.call("localnet_warp", {"to": START_TIME + DAY}))["unixTimestamp"] == START_TIME + DAY
    assert (await devnet.call("getBlockTime", found["slot"])) == START_TIME + DAY
    bare = await devnet.post({"jsonrpc": "2.0", "id": 1, "method": "localnet_warp", "params": {"seconds": 1}})
    assert bare["result"]["unixTimestamp"] == START_TIME + DAY + 1


@pytest.mark.parametrize(
    "asked",
    [{}, {"to": 5}, {"seconds": -1}, {"seconds": SECONDS_PER_WARP_MAX + 1}, {"slots": 10_001}, {"seconds": 1.5}],
)
async def test_impossible_warps(devnet: Devnet, asked: dict[str, Any]) -> None:
    assert (await devnet.error("localnet_warp", asked))["code"] == -32602
    assert (await devnet.call("localnet_info"))["unixTimestamp"] == START_TIME


async def test_snapshot_and_revert(devnet: Devnet) -> None:
    number = await devnet.call("localnet_snapshot")
    signature = await devnet.call("sendTransaction", pay(devnet, 5), SEND)
    await devnet.call("localnet_warp", {"seconds": DAY})
    assert await bob_has(devnet, "finalized") == 5
    assert (await devnet.call("localnet_revert", number))["unixTimestamp"] == START_TIME
    assert await bob_has(devnet, "finalized") == 0
    assert await devnet.call("getTransaction", signature, CONFIRMED) is None
    assert (await devnet.error("localnet_revert", 99))["message"] == "there is no snapshot 99"


async def test_pause_and_resume(devnet: Devnet) -> None:
    await devnet.call("localnet_pauseBlocks")
    await devnet.call("sendTransaction", pay(devnet, 5), SEND)
    assert (await bob_has(devnet, "processed"), await bob_has(devnet)) == (5, 0)
    await devnet.call("localnet_resumeBlocks")
    assert await bob_has(devnet) == 5


async def test_dropped_blocks_take_their_transactions_along(devnet: Devnet) -> None:
    body = pay(devnet, 5)
    signature = await devnet.call("sendTransaction", body, SEND)
    await devnet.call("localnet_dropBlocks")
    assert (await devnet.call("getSignatureStatuses", [signature]))["value"] == [None]
    assert await bob_has(devnet) == 0
    assert await devnet.call("sendTransaction", body, SEND) == signature
    assert await bob_has(devnet) == 5
    assert (await devnet.error("localnet_dropBlocks", 32))["code"] == -32602


async def test_set_account(devnet: Devnet) -> None:
    key = str(Pubkey(b"\x55" * 32))
    fields = {"lamports": 7 * 10**9, "owner": str(Pubkey(PROGRAM_ID)), "data": b64encode(b"hello").decode()}
    await devnet.call("localnet_setAccount", key, fields)
    found = await devnet.call("getAccountInfo", key, CONFIRMED | {"encoding": "base64"})
    assert found["value"]["data"] == [b64encode(b"hello").decode(), "base64"]
    await devnet.call("localnet_setAccount", key, {"lamports": 1})
    found = await devnet.call("getAccountInfo", key, CONFIRMED | {"encoding": "base64"})
    assert (found["value"]["lamports"], found["value"]["space"]) == (1, 5)
    await devnet.call("localnet_setAccount", key, None)
    assert (await devnet.call("getAccountInfo", key, CONFIRMED))["value"] is None
    assert (await devnet.error("localnet_setAccount", key, {"data": "***"}))["code"] == -32602


async def test_truncated_logs(devnet: Devnet) -> None:
    await devnet.call("localnet_truncateLogs", True)
    signature = await devnet.send(devnet.transaction(devnet.create_market(1)), skipPreflight=True)
    await devnet.call("localnet_truncateLogs", False)
    logs = (await devnet.call("getTransaction", signature, CONFIRMED))["meta"]["logMessages"]
    assert LOG_TRUNCATED in logs
    assert not any(line.startswith("Program data:") for line in logs)
    second = await devnet.send(devnet.transaction(devnet.create_market(2)))
    logs = (await devnet.call("getTransaction", second, CONFIRMED))["meta"]["logMessages"]
    assert LOG_TRUNCATED not in logs


async def raw(devnet: Devnet, method: str = "getHealth", *params: Any) -> httpx.Response:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return await devnet.http.post(devnet.net.rpc_url, json=body)


@pytest.mark.parametrize(("kind", "status"), [("429", 429), ("500", 500), ("503", 503)])
async def test_http_failures(devnet: Devnet, kind: str, status: int) -> None:
    await devnet.call("localnet_failNext", {"kind": kind, "calls": 2})
    assert (await devnet.call("localnet_info"))["strict"] is False
    statuses = [(await raw(devnet)).status_code for _ in range(3)]
    assert statuses == [status, status, 200]


async def test_json_rpc_failures(devnet: Devnet) -> None:
    await devnet.call("localnet_failNext", {"kind": "behind"})
    assert (await raw(devnet)).json()["error"]["code"] == -32005
    await devnet.call("localnet_failNext", {"kind": "malformed"})
    assert not (await raw(devnet)).text.endswith("}")
    assert (await raw(devnet)).json()["result"] == "ok"


async def test_failures_of_certain_methods(devnet: Devnet) -> None:
    await devnet.call("localnet_failNext", {"kind": "500", "methods": ["getSlot"]})
    assert (await raw(devnet)).status_code == 200
    assert (await raw(devnet, "getSlot")).status_code == 500
    assert (await raw(devnet, "getSlot")).status_code == 200
    await devnet.call("localnet_failNext", {"kind": "500", "calls": 100})
    await devnet.call("localnet_failNext", {"kind": None})
    assert (await raw(devnet)).status_code == 200


async def test_lost_answers_still_act(devnet: Devnet) -> None:
    await devnet.call("localnet_failNext", {"kind": "lost_answer"})
    with pytest.raises(httpx.ReadTimeout):
        await devnet.http.post(
            devnet.net.rpc_url,
            json={"jsonrpc": "2.0", "id": 1, "method": "sendTransaction", "params": [pay(devnet, 5), SEND]},
            timeout=0.2,
        )
    assert await bob_has(devnet) == 5


async def test_a_hanging_call_ends_with_the_caller(devnet: Devnet) -> None:
    await devnet.call("localnet_failNext", {"kind": "timeout"})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await raw(devnet)
    assert (await raw(devnet)).status_code == 200


async def test_unknown_failures_are_refused(devnet: Devnet) -> None:
    error = await devnet.error("localnet_failNext", {"kind": "earthquake"})
    assert all(f"`{kind}`" in error["message"] for kind in TEXTS)
    assert (await devnet.error("localnet_failNext", {"kind": "500", "methods": "getSlot"}))["code"] == -32602


def set_market(devnet: Devnet, number: int, **fields: Any) -> str:
    """Write a market in some state straight to its account."""
    codec = devnet.net.codec
    address = codec.market_address(bytes([number]) * 32)
    known = devnet.net.ledger.accounts.get(address)
    assert known is not None
    market = codec.decode_account(known.data)
    assert isinstance(market, MarketAccount)
    data = codec.encode_account(market._replace(**fields))
    devnet.net.ledger.set_account(address, Account(known.lamports, known.owner, data))
    return str(Pubkey(address))


async def test_next_transition(devnet: Devnet) -> None:
    assert await devnet.call("localnet_nextTransition") is None
    for number in (1, 2, 3, 4):
        await devnet.send(devnet.transaction(devnet.create_market(number)))
    disputed = set_market(devnet, 1, state=MarketState.DISPUTED, dispute_initiated_at=START_TIME + 10)
    resolving = set_market(devnet, 2, state=MarketState.RESOLVING, resolution_proposed_at=START_TIME)
    set_market(devnet, 3, state=MarketState.ACTIVE)
    proposed = str(Pubkey(devnet.net.codec.market_address(bytes([4]) * 32)))
    expected = [
        ("proposal_review", proposed, DAY),
        ("finalize", resolving, 259_200),
        ("settle_dispute", disputed, 3 * DAY + 10),
    ]
    for kind, market, seconds in expected:
        found = await devnet.call("localnet_nextTransition")
        assert (found["kind"], found["market"]) == (kind, market)
        assert found["unixTimestamp"] == START_TIME + seconds
        assert (await devnet.call("localnet_warp", {"to": found["unixTimestamp"]}))[
            "unixTimestamp"
        ] == START_TIME + seconds
    assert await devnet.call("localnet_nextTransition") is None


async def test_forks_are_counted_and_who_listens_is_waited_for(devnet: Devnet) -> None:
    assert await devnet.call("localnet_forks", {"listener": "node", "known": 0}) == 0
    number = await devnet.call("localnet_snapshot")
    await devnet.call("localnet_setAccount", str(Pubkey(bytes(range(32)))), {"lamports": 7})
    assert await devnet.call("localnet_forks", {}) == 0, "an account that is set takes nothing back"
    reverting = asyncio.get_running_loop().create_task(devnet.call("localnet_revert", number))
    while await devnet.call("localnet_forks", {}) == 0:
        continue
    assert not reverting.done()
    assert await devnet.call("localnet_forks", {"listener": "node", "known": 1}) == 1
    assert (await reverting)["unixTimestamp"] == START_TIME
    assert (await devnet.call("localnet_info"))["forks"] == 1
    for wrong in ("", "x" * 65, 5):
        assert (await devnet.error("localnet_forks", {"listener": wrong}))["code"] == -32602
