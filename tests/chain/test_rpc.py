"""zmart_lite/chain/rpc.py, endpoint.py and answers.py against an HTTP server that fails in every way clusters do."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

from tests.chain.instruction_cases import CODEC, PROGRAM_ID
from tests.chain.scripted_rpc import Reply, ScriptedRpc, Time, error, result, valued
from zmart_lite.chain.answers import VERSION_CHARACTERS_MAX
from zmart_lite.chain.rpc import PROOF_S, DataSize, Memcmp, RetryPolicy, Rpc
from zmart_lite.errors import RpcRefused, RpcUnavailable, SimulationFailed, Unavailable, UndecodableData
from zmart_lite.localnet import Localnet, LocalnetOptions
from zmart_lite.localnet.releases import NEWEST
from zmart_lite.models import Commitment, GlobalConfig
from zmart_lite.ops.breaker import CircuitBreaker

KEY = bytes(range(32))
SIGNATURE = bytes(range(64))
ACCOUNT = {
    "lamports": 2**64 - 1,
    "owner": str(Pubkey.from_bytes(KEY)),
    "data": [base64.b64encode(b"abc").decode(), "base64"],
    "executable": False,
    "rentEpoch": 1.8446744073709552e19,
    "space": 3,
}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedRpc]:
    async with ScriptedRpc() as scripted:
        yield scripted


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def rpc(server: ScriptedRpc, time: Time) -> AsyncIterator[Rpc]:
    async with connect(time, server) as connected:
        yield connected


def connect(time: Time, *servers: ScriptedRpc, **options: Any) -> Rpc:
    options.setdefault("policy", RetryPolicy(timeout_s=5))
    urls = [server.url for server in servers]
    return Rpc(urls, sleep=time.sleep, monotonic=time.monotonic, jitter=lambda: 0.0, **options)


FAILURES = {
    "HTTP 500": Reply(b"oops", 500),
    "HTTP 503 with an answer": Reply(b'{"jsonrpc":"2.0","id":1,"result":5}', 503),
    "HTTP 429": Reply(b"slow down", 429),
    "HTTP 429 as JSON-RPC": error(429, "Too many requests", status=429),
    "429 in a 200": error(429, "Too many requests"),
    "Helius' 429": error(-32429, "rate limited"),
    "node behind": error(-32005, "Node is behind by 42 slots", {"numSlotsBehind": 42}),
    "long-term storage": error(-32019, "Failed to query long-term storage"),
    "block not available": error(-32004, "Block not available for slot 5"),
    "internal error": error(-32603, "Internal error"),
    "cut": Reply(cut=True),
    "HTML": Reply(b"<html>502</html>"),
    "empty": Reply(b""),
    "not UTF-8": Reply(b"\xff\xfe"),
    "neither result nor error": Reply(b'{"jsonrpc":"2.0","id":1}'),
    "an array": Reply(b"[]"),
    "another type": result("seven"),
    "a float": result(7.5),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
async def test_a_passing_failure_is_retried(server: ScriptedRpc, rpc: Rpc, time: Time, failure: Reply) -> None:
    server.on("getSlot", failure, failure, result(7))
    assert await rpc.get_slot() == 7
    assert server.asked("getSlot") == 3
    assert len(time.pauses) == 2
    assert time.pauses[0] < time.pauses[1]


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
async def test_a_lasting_failure_ends_after_the_last_attempt(server: ScriptedRpc, rpc: Rpc, failure: Reply) -> None:
    server.on("getSlot", failure)
    with pytest.raises(RpcUnavailable) as raised:
        await rpc.get_slot()
    assert server.asked("getSlot") == rpc.policy.attempts_max
    assert "hidden" not in raised.value.message  # the API key of the address


async def test_refusals_are_not_retried(server: ScriptedRpc, rpc: Rpc) -> None:
    server.on("getSlot", error(-32602, "Invalid params", {"why": "x"}))
    with pytest.raises(RpcRefused, match="Invalid params") as raised:
        await rpc.get_slot()
    assert (raised.value.rpc_code, raised.value.data) == (-32602, {"why": "x"})
    assert server.asked("getSlot") == 1


async def test_unknown_codes_are_refusals_not_values(server: ScriptedRpc, rpc: Rpc) -> None:
    server.on("getSlot", error(-31999))
    with pytest.raises(RpcRefused):
        await rpc.get_slot()


async def test_a_refusal_with_an_error_status_is_read(server: ScriptedRpc, rpc: Rpc) -> None:
    server.on("getSlot", error(-32602, "Invalid params", status=400))
    with pytest.raises(RpcRefused, match="Invalid params"):
        await rpc.get_slot()
    server.on("getSlot", Reply(b"too large", 413))
    with pytest.raises(RpcRefused, match="413"):
        await rpc.get_slot()


async def test_a_failed_preflight_carries_error_and_logs(server: ScriptedRpc, rpc: Rpc) -> None:
    err = {"InstructionError": [2, {"Custom": 6015}]}
    server.on("sendTransaction", error(-32002, "failed", {"err": err, "logs": ["a", "b"], "unitsConsumed": 99}))
    with pytest.raises(SimulationFailed) as raised:
        await rpc.send_transaction(b"raw")
    assert (raised.value.err, raised.value.logs, raised.value.units) == (err, ("a", "b"), 99)


@pytest.mark.parametrize("headers", [{"Retry-After": "3"}, {"Retry-After": "3", "Content-Type": "text/plain"}])
async def test_retry_after_is_honoured(server: ScriptedRpc, rpc: Rpc, time: Time, headers: dict[str, str]) -> None:
    server.on("getSlot", Reply(b"", 429, headers), result(7))
    assert await rpc.get_slot() == 7
    assert time.pauses == [3.0]


async def test_a_pause_beyond_the_deadline_is_not_waited_for(server: ScriptedRpc, rpc: Rpc, time: Time) -> None:
    server.on("getSlot", Reply(b"", 429, {"Retry-After": "100000"}))
    with pytest.raises(RpcUnavailable) as raised:
        await rpc.get_slot()
    assert raised.value.retry_after_s == 60
    assert time.pauses == []
    with pytest.raises(RpcUnavailable):  # the next call knows without asking
        await rpc.get_block_height()
    assert server.asked("getBlockHeight") == 0
    time.now_s += 61
    server.on("getSlot", result(7))
    assert await rpc.get_slot() == 7


async def test_retry_after_as_a_past_date_means_now(server: ScriptedRpc, rpc: Rpc, time: Time) -> None:
    server.on("getSlot", Reply(b"", 503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}), result(7))
    assert await rpc.get_slot() == 7


async def test_an_answer_that_never_comes_times_out(server: ScriptedRpc, time: Time) -> None:
    server.on("getSlot", Reply(hang=True), result(7))
    async with connect(time, server, policy=RetryPolicy(timeout_s=0.1)) as rpc:
        assert await rpc.get_slot() == 7


async def test_the_deadline_bounds_all_attempts(server: ScriptedRpc, time: Time) -> None:
    server.on("getSlot", Reply(b"", 500))
    policy = RetryPolicy(deadline_s=10, attempts_max=1_000)
    async with connect(time, server, policy=policy) as rpc:
        with pytest.raises(RpcUnavailable, match="500"):
            await rpc.get_slot()
    assert sum(time.pauses) < 10


async def test_an_unreachable_node_is_unavailable(time: Time) -> None:
    async with ScriptedRpc() as gone:
        rpc = connect(time, gone)
    async with rpc:
        with pytest.raises(RpcUnavailable, match=r"127\.0\.0\.1 cannot be reached"):
            await rpc.get_slot()


async def test_failover_to_the_next_address_and_back(server: ScriptedRpc, time: Time) -> None:
    server.on("getSlot", Reply(b"", 500), result(1))
    async with ScriptedRpc() as second, connect(time, server, second) as rpc:
        second.on("getSlot", result(2))
        assert await rpc.get_slot() == 2
        assert time.pauses == []
        assert await rpc.get_slot() == 2  # the first one still counts as ill
        time.now_s += 61
        assert await rpc.get_slot() == 1


async def test_failover_when_an_address_is_forbidden(server: ScriptedRpc, time: Time) -> None:
    server.on("getSlot", Reply(b"blocked", 403))
    async with ScriptedRpc() as second, connect(time, server, second) as rpc:
        second.on("getSlot", result(2))
        assert [await rpc.get_slot() for _ in range(3)] == [2, 2, 2]
    assert server.asked("getSlot") == 1


async def test_an_address_of_another_cluster_is_not_used(server: ScriptedRpc, time: Time) -> None:
    ours, theirs = result(str(Hash(bytes([1]) * 32))), result(str(Hash(bytes([2]) * 32)))
    server.on("getGenesisHash", theirs).on("getSlot", result(1))
    async with ScriptedRpc() as second, connect(time, server, second) as rpc:
        second.on("getGenesisHash", ours).on("getSlot", result(2))
        rpc.require_cluster(bytes([1]) * 32)
        assert await asyncio.gather(*(rpc.get_slot() for _ in range(5))) == [2] * 5
        assert (server.asked("getSlot"), second.asked("getGenesisHash")) == (0, 1)
        first, other = rpc.endpoints()
        assert (first.is_foreign, first.is_serving, other.is_foreign, other.is_serving) == (True, False, False, True)
        assert await rpc.list_foreign() == ["127.0.0.1"]
        second.on("getSlot", Reply(b"", 500))
        with pytest.raises(RpcUnavailable):
            await rpc.get_slot()
        assert server.asked("getSlot") == 0


async def test_an_address_is_asked_for_its_cluster_again_after_a_failure_and_every_so_often(
    server: ScriptedRpc, rpc: Rpc, time: Time
) -> None:
    server.on("getGenesisHash", result(str(Hash(bytes([1]) * 32)))).on("getSlot", result(1))
    rpc.require_cluster(None)
    assert [await rpc.get_slot(), await rpc.get_slot(), rpc.genesis_hash] == [1, 1, bytes([1]) * 32]
    assert server.asked("getGenesisHash") == 1
    time.now_s += PROOF_S
    await rpc.get_slot()
    assert server.asked("getGenesisHash") == 2
    server.on("getSlot", Reply(b"", 503), result(2))
    assert await rpc.get_slot() == 2
    assert server.asked("getGenesisHash") == 3
    # The devnet was made anew: the same address, another chain.
    server.on("getGenesisHash", result(str(Hash(bytes([2]) * 32)))).on("getSlot", Reply(b"", 503), result(3))
    with pytest.raises(RpcUnavailable, match="another cluster"):
        await rpc.get_slot()
    assert await rpc.get_genesis_hash() == bytes([2]) * 32
    server.on("getGenesisHash", result(str(Hash(bytes([1]) * 32))))
    assert await rpc.get_slot() == 3


async def test_nobody_answers_for_a_cluster(server: ScriptedRpc, rpc: Rpc) -> None:
    server.on("getGenesisHash", Reply(b"", 500))
    with pytest.raises(RpcUnavailable):
        await rpc.list_foreign()
    server.on("getGenesisHash", result(str(Hash(bytes([1]) * 32))))
    assert await rpc.list_foreign() == []


async def test_all_addresses_down(server: ScriptedRpc, time: Time) -> None:
    server.on("getSlot", Reply(b"", 500))
    async with ScriptedRpc() as second, connect(time, server, second) as rpc:
        second.on("getSlot", Reply(b"", 503))
        with pytest.raises(RpcUnavailable):
            await rpc.get_slot()
        assert (server.asked("getSlot"), second.asked("getSlot")) == (2, 2)


async def test_every_request_is_counted(server: ScriptedRpc, time: Time) -> None:
    counted: list[tuple[str, str]] = []
    server.on("getSlot", Reply(b"", 500), result(7)).on("getBlockHeight", error(-32602))
    async with connect(time, server, on_request=lambda method, kind, _: counted.append((method, kind))) as rpc:
        await rpc.get_slot()
        with pytest.raises(RpcRefused):
            await rpc.get_block_height()
    assert counted == [("getSlot", "unavailable"), ("getSlot", "ok"), ("getBlockHeight", "refused")]


async def test_a_breaker_stands_before_the_calls(server: ScriptedRpc, rpc: Rpc, time: Time) -> None:
    breaker = CircuitBreaker("api", time.monotonic)
    guarded = rpc.guarded(partial(breaker.guard, RpcUnavailable), RetryPolicy(attempts_max=1))
    server.on("getSlot", Reply(b"", 500)).on("getBlockHeight", error(-32602))
    for _ in range(3):
        with pytest.raises(RpcUnavailable):
            await guarded.get_slot()
        with pytest.raises((RpcUnavailable, RpcRefused)):
            await rpc.get_block_height()  # not guarded
    with pytest.raises(Unavailable) as raised:
        await guarded.get_slot()
    assert raised.value.reason == "breaker_open"
    assert server.asked("getSlot") == 3


async def test_chain_values(server: ScriptedRpc, rpc: Rpc) -> None:
    blockhash = str(Hash.from_bytes(KEY))
    clock = struct.pack("<QqQQq", 5, 1, 2, 3, 1_700_000_000)
    server.on("getBlockHeight", result(11)).on("getGenesisHash", result(blockhash))
    server.on("getFirstAvailableBlock", result(5))
    server.on("getLatestBlockhash", valued({"blockhash": blockhash, "lastValidBlockHeight": 160}))
    server.on("isBlockhashValid", valued(False)).on("getMinimumBalanceForRentExemption", result(890_880))
    server.on("getAccountInfo", valued(ACCOUNT | {"data": [base64.b64encode(clock).decode(), "base64"]}))
    server.on("getRecentPrioritizationFees", result([{"slot": 1, "prioritizationFee": 9}]))
    assert await rpc.get_block_height(Commitment.FINALIZED) == 11
    assert await rpc.get_genesis_hash() == KEY
    assert await rpc.get_first_slot() == 5
    assert await rpc.get_latest_blockhash() == (KEY, 160)
    assert await rpc.is_blockhash_valid(KEY) is False
    assert await rpc.get_minimum_balance_for_rent_exemption(0) == 890_880
    assert await rpc.get_clock() == (5, 1_700_000_000)
    assert await rpc.get_recent_prioritization_fees([KEY] * 200) == [9]
    assert server.requests[0] == ("getBlockHeight", [{"commitment": "finalized"}])
    assert len(server.requests[-1][1][0]) == 128


async def test_accounts(server: ScriptedRpc, rpc: Rpc) -> None:
    server.on("getAccountInfo", valued(ACCOUNT), valued(None)).on("getBalance", valued(2**64 - 1))
    account = await rpc.get_account(KEY)
    assert account == (2**64 - 1, KEY, b"abc", 7, False)
    assert await rpc.get_account(KEY) is None
    assert await rpc.get_balance(KEY) == 2**64 - 1
    server.on("getMultipleAccounts", lambda params: valued([ACCOUNT, None] * (len(params[0]) // 2)))
    found = await rpc.get_accounts([KEY] * 250)
    assert found == [account, None] * 125
    assert [len(params[0]) for method, params in server.requests if method == "getMultipleAccounts"] == [100, 100, 50]


async def test_a_wrong_number_of_rows_is_malformed(server: ScriptedRpc, rpc: Rpc) -> None:
    server.on("getMultipleAccounts", valued([ACCOUNT])).on("getSignatureStatuses", valued([]))
    with pytest.raises(RpcUnavailable, match="1 rows for 2"):
        await rpc.get_accounts([KEY, KEY])
    with pytest.raises(RpcUnavailable):
        await rpc.get_signature_statuses([SIGNATURE])


async def test_program_accounts(server: ScriptedRpc, rpc: Rpc) -> None:
    server.on("getProgramAccounts", valued([{"pubkey": str(Pubkey.from_bytes(KEY)), "account": ACCOUNT}]))
    found = await rpc.get_program_accounts(KEY, [DataSize(488), Memcmp(72, b"\x02")])
    assert found == [(KEY, (2**64 - 1, KEY, b"abc", 7, False))]
    assert server.requests[0][1][1]["filters"] == [{"dataSize": 488}, {"memcmp": {"offset": 72, "bytes": "3"}}]
    with pytest.raises(ValueError, match="5 filters"):
        await rpc.get_program_accounts(KEY, [DataSize(1)] * 5)
    with pytest.raises(ValueError, match="129 bytes"):
        await rpc.get_program_accounts(KEY, [Memcmp(0, bytes(129))])


async def test_history(server: ScriptedRpc, rpc: Rpc) -> None:
    text = str(Signature.from_bytes(SIGNATURE))
    row = {"signature": text, "slot": 5, "err": None, "memo": None, "blockTime": 9, "transactionIndex": 3}
    older = {"signature": text, "slot": 4, "err": {"InstructionError": [0, "GenericError"]}, "blockTime": None}
    server.on("getSignaturesForAddress", result([row, older]))
    server.on("getBlock", result({"blockhash": "x", "signatures": [text]}), result(None))
    found = await rpc.get_signatures(KEY, before=SIGNATURE, until=SIGNATURE, limit=2)
    assert found == [(SIGNATURE, 5, 3, 9, False), (SIGNATURE, 4, None, None, True)]
    config = {"commitment": "confirmed", "limit": 2, "before": text, "until": text}
    assert server.requests[0][1][1] == config
    assert await rpc.get_block_signatures(5) == [SIGNATURE]
    assert await rpc.get_block_signatures(6) is None


async def test_transactions_of_the_history(server: ScriptedRpc, rpc: Rpc) -> None:
    answer = {
        "slot": 5,
        "blockTime": 9,
        "meta": {"err": None, "logMessages": ["x"], "innerInstructions": []},
        "transaction": {
            "signatures": [str(Signature.from_bytes(SIGNATURE))],
            "message": {
                "accountKeys": [str(Pubkey.from_bytes(KEY))],
                "instructions": [{"programIdIndex": 0, "accounts": [0], "data": "2"}],
            },
        },
    }
    server.on("getTransaction", result(answer), result(None), result({"slot": 5}))
    found = await rpc.get_transaction(SIGNATURE, KEY)
    assert found is not None
    assert (found.signature, found.slot, found.failed, found.logs) == (SIGNATURE, 5, False, ("x",))
    assert found.instructions == ((KEY, (KEY,), b"\x01"),)
    assert await rpc.get_transaction(SIGNATURE, KEY) is None
    with pytest.raises(UndecodableData):
        await rpc.get_transaction(SIGNATURE, KEY)


async def test_statuses(server: ScriptedRpc, rpc: Rpc) -> None:
    final = {"slot": 3, "confirmations": None, "err": None, "confirmationStatus": "finalized"}
    server.on("getSignatureStatuses", lambda params: valued([final, None] * (len(params[0]) // 2)))
    found = await rpc.get_signature_statuses([SIGNATURE] * 300, search_history=True)
    assert found == [(3, Commitment.FINALIZED, None), None] * 150
    assert [len(params[0]) for _, params in server.requests] == [256, 44]
    odd = {"slot": 3, "confirmations": 1, "err": "AccountNotFound"}
    server.on("getSignatureStatuses", valued([odd]), valued([final | {"confirmationStatus": "sure"}]))
    assert await rpc.get_signature_statuses([SIGNATURE]) == [(3, Commitment.PROCESSED, "AccountNotFound")]
    with pytest.raises(RpcUnavailable):
        await rpc.get_signature_statuses([SIGNATURE])


async def test_sending_simulating_and_airdrops(server: ScriptedRpc, rpc: Rpc) -> None:
    text = str(Signature.from_bytes(SIGNATURE))
    server.on("sendTransaction", result(text))
    server.on("simulateTransaction", valued({"err": "AccountNotFound", "logs": None, "unitsConsumed": 150}))
    server.on("requestAirdrop", Reply(b"", 500), result(text))
    assert await rpc.send_transaction(b"raw", preflight_commitment=Commitment.FINALIZED) == SIGNATURE
    assert await rpc.simulate_transaction(b"raw", replace_blockhash=True) == ("AccountNotFound", (), 150)
    with pytest.raises(RpcUnavailable):
        await rpc.request_airdrop(KEY, 5)
    assert server.asked("requestAirdrop") == 1
    sent = {"encoding": "base64", "skipPreflight": False, "preflightCommitment": "finalized", "maxRetries": 0}
    assert server.requests[0] == ("sendTransaction", ["cmF3", sent])


async def test_all_methods_on_the_devnet() -> None:
    net = Localnet(LocalnetOptions(PROGRAM_ID, rpc_port=0, slot_ms=0, genesis_time=1_700_000_000))
    await net.start()
    try:
        async with Rpc([net.rpc_url]) as rpc:
            await _use_accounts(net, rpc)
            await _use_history(net, rpc)
    finally:
        await net.stop()


async def _use_accounts(net: Localnet, rpc: Rpc) -> None:
    config = CODEC.config_address()
    account = await rpc.get_account(config)
    assert account is not None
    assert (account.owner, len(account.data), account.lamports) == (PROGRAM_ID, 206, 2_324_640)
    assert account.lamports == await rpc.get_minimum_balance_for_rent_exemption(206)
    assert isinstance(CODEC.decode_account(account.data), GlobalConfig)
    assert [found and found.data for found in await rpc.get_accounts([config, KEY])] == [account.data, None]
    admin = CODEC.decode_account(account.data)[0]
    for filters in ([DataSize(206)], [Memcmp(8, admin)], [DataSize(206), Memcmp(0, account.data[:8])]):
        assert [address for address, _ in await rpc.get_program_accounts(PROGRAM_ID, filters)] == [config]
    assert await rpc.get_program_accounts(PROGRAM_ID, [DataSize(207)]) == []
    program = await rpc.get_account(PROGRAM_ID)
    assert program is not None
    assert program.executable


async def _use_history(net: Localnet, rpc: Rpc) -> None:
    wallet = bytes(range(1, 33))
    airdrop = await rpc.request_airdrop(wallet, 10**9)
    assert await rpc.get_balance(wallet) == 10**9
    (found,) = await rpc.get_signatures(wallet)
    assert (found.signature, found.failed) == (airdrop, False)
    assert await rpc.get_block_signatures(found.slot) == [airdrop]
    (landed,) = await rpc.get_signature_statuses([airdrop])
    assert landed is not None
    assert (landed.slot, landed.err) == (found.slot, None)
    (initialized,) = await rpc.get_signatures(PROGRAM_ID, limit=5)
    told = await rpc.get_transaction(initialized.signature, PROGRAM_ID)
    assert told is not None
    assert (told.slot, told.block_time) == (initialized.slot, initialized.block_time)
    assert CODEC.decode_instruction(told.instructions[0].data)[0] == "initialize_global_config"
    assert await rpc.get_signatures(PROGRAM_ID, until=initialized.signature) == []
    clock = await rpc.get_clock()
    assert clock.unix_timestamp >= 1_700_000_000
    assert clock.slot <= await rpc.get_slot()
    assert len(await rpc.get_genesis_hash()) == 32
    assert await rpc.get_version() == NEWEST.version
    latest = await rpc.get_latest_blockhash()
    assert await rpc.is_blockhash_valid(latest.blockhash)
    assert latest.last_valid_block_height > await rpc.get_block_height(Commitment.FINALIZED)
    assert await rpc.is_blockhash_valid(KEY) is False


async def test_the_version_of_its_software(server: ScriptedRpc, rpc: Rpc) -> None:
    server.on("getVersion", result({"feature-set": 1, "solana-core": "3.0.10"}))
    assert await rpc.get_version() == "3.0.10"
    for wrong in ("", "x" * (VERSION_CHARACTERS_MAX + 1), "3.0\n", 3, None):
        server.on("getVersion", result({"solana-core": wrong}))
        assert await rpc.get_version() is None


async def test_a_huge_answer_is_not_read(server: ScriptedRpc, rpc: Rpc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmart_lite.chain.endpoint.ANSWER_BYTES_MAX", 1_000)
    server.on("getSlot", Reply(b" " * 2_000))
    with pytest.raises(RpcUnavailable, match="more than 1000 bytes"):
        await rpc.get_slot()


def test_pauses_double_up_to_their_limit() -> None:
    policy = RetryPolicy(pause_first_s=1, pause_max_s=8)
    assert [policy.pause_s(failures, 0.0) for failures in range(1, 7)] == [1, 2, 4, 8, 8, 8]
    assert [policy.pause_s(failures, 1.0) for failures in (1, 2, 10_000)] == [0.5, 1, 4]


def test_addresses_are_bounded() -> None:
    for urls in ([], ["http://127.0.0.1:1"] * 11):
        with pytest.raises(ValueError, match="RPC addresses"):
            Rpc(urls)


# Slots that cannot be

FAR = 10**9


def clock_account(slot: int) -> dict[str, Any]:
    data = struct.pack("<QqQQq", slot, 0, 0, 0, 1_700_000_000)
    return ACCOUNT | {"data": [base64.b64encode(data).decode(), "base64"]}


def serve_slots(server: ScriptedRpc, slot: int, *, told: int, clock: int) -> None:
    """A node at ``slot`` that tells ``told`` in its answers and ``clock`` in its clock."""
    text = str(Signature.from_bytes(SIGNATURE))
    row = {"signature": text, "slot": told, "err": None, "confirmationStatus": "finalized"}
    server.on("getSlot", result(told))
    server.on("getBlockHeight", result(told))
    server.on("getLatestBlockhash", valued({"blockhash": str(Hash.default()), "lastValidBlockHeight": told + 150}))
    server.on("getSignaturesForAddress", result([row]))
    server.on("getSignatureStatuses", valued([row]))
    server.on("getMultipleAccounts", valued([ACCOUNT], told))
    server.on("getProgramAccounts", valued([{"pubkey": str(Pubkey.from_bytes(KEY)), "account": ACCOUNT}], told))
    message = {"accountKeys": [str(Pubkey.from_bytes(KEY))], "instructions": []}
    meta, signed = {"err": None, "logMessages": ["x"]}, {"signatures": [text], "message": message}
    server.on("getTransaction", result({"slot": told, "meta": meta, "transaction": signed}))
    server.on("getAccountInfo", valued(clock_account(clock), clock))


ASKING = {
    "slot": lambda rpc: rpc.get_slot(),
    "height": lambda rpc: rpc.get_block_height(),
    "blockhash": lambda rpc: rpc.get_latest_blockhash(),
    "signatures": lambda rpc: rpc.get_signatures(KEY),
    "statuses": lambda rpc: rpc.get_signature_statuses([SIGNATURE]),
    "accounts": lambda rpc: rpc.get_accounts([KEY]),
    "program accounts": lambda rpc: rpc.get_program_accounts(KEY),
    "transaction": lambda rpc: rpc.get_transaction(SIGNATURE, KEY),
}


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING.keys())
@pytest.mark.parametrize("clock_lies", [True, False])
async def test_slots_that_the_cluster_cannot_have_reached_are_no_answer(
    server: ScriptedRpc, time: Time, ask: Any, clock_lies: bool
) -> None:
    """The node that tells of them is left alone, and another one asked; with none left, the cluster is unavailable."""
    async with ScriptedRpc() as honest:
        serve_slots(server, 1_000, told=1_000, clock=1_000)
        serve_slots(honest, 1_001, told=1_001, clock=1_001)
        async with connect(time, server, honest) as rpc:
            rpc.require_slots()
            assert (await rpc.get_clock()).slot == 1_000
            await ask(rpc)
            serve_slots(server, 1_000, told=FAR, clock=FAR if clock_lies else 1_000)
            await ask(rpc)
            assert [each.is_serving for each in rpc.endpoints()] == [False, True]
        async with connect(time, server) as rpc:
            rpc.require_slots()
            serve_slots(server, 1_000, told=1_000, clock=1_000)
            await rpc.get_clock()
            serve_slots(server, 1_000, told=FAR, clock=FAR if clock_lies else 1_000)
            with pytest.raises(RpcUnavailable, match="cannot be yet"):
                await ask(rpc)


async def test_a_chain_that_jumped_is_followed(server: ScriptedRpc, time: Time) -> None:
    """Its clock says so for a minute; one that only lags is no jump."""
    serve_slots(server, 1_000, told=1_000, clock=1_000)
    async with connect(time, server) as rpc:
        rpc.require_slots()
        await rpc.get_clock()
        serve_slots(server, 500, told=500, clock=500)
        assert await rpc.get_slot() == (await rpc.get_clock()).slot == 500
        serve_slots(server, FAR, told=FAR, clock=FAR)
        for _ in range(200):
            time.now_s += 1
            try:
                await rpc.get_clock()
                break
            except RpcUnavailable:
                continue
        assert await rpc.get_slot() == FAR


async def test_a_clock_that_contradicts_its_own_slot_is_malformed(server: ScriptedRpc, rpc: Rpc) -> None:
    server.on("getAccountInfo", valued(clock_account(1_000), FAR))
    with pytest.raises(RpcUnavailable, match="beside a clock"):
        await rpc.get_clock()
