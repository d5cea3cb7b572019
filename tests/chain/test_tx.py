"""zmart_lite/chain/tx.py: on the embedded devnet over HTTP, and against a scripted cluster for what no devnet does."""

import base64
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.signature import Signature
from solders.transaction import Transaction

from tests.chain.instruction_cases import CODEC, HASH, MARKET_ID, PROGRAM_ID
from tests.chain.scripted_rpc import Reply, ScriptedRpc, Time, error, result, valued
from zmart_lite.chain import instructions as make
from zmart_lite.chain import tx
from zmart_lite.chain.program_errors import failure_in
from zmart_lite.chain.relay import check_relayed
from zmart_lite.chain.rpc import Rpc, SignatureStatus
from zmart_lite.errors import (
    RpcRefused,
    RpcUnavailable,
    SimulationFailed,
    TransactionExpired,
    TransactionFailed,
    Unavailable,
)
from zmart_lite.localnet import Localnet, LocalnetOptions
from zmart_lite.models import Commitment, MarketAccount
from zmart_lite.ops.breaker import CircuitBreaker

FREE = tx.FeePolicy(fixed=0)
B = 100 * 10**9


@pytest.fixture
async def net() -> AsyncIterator[Localnet]:
    network = Localnet(LocalnetOptions(PROGRAM_ID, rpc_port=0, slot_ms=0, genesis_time=1_700_000_000))
    await network.start()
    yield network
    await network.stop()


@pytest.fixture
async def rpc(net: Localnet) -> AsyncIterator[Rpc]:
    async with Rpc([net.rpc_url]) as connected:
        yield connected


def key_of(keypair: Keypair) -> bytes:
    return bytes(keypair.pubkey())


async def signed_create(rpc: Rpc, creator: Keypair, market_id: bytes = MARKET_ID) -> tx.Signed:
    instruction = make.create_market(CODEC, key_of(creator), market_id, B, 10**9, HASH)
    return tx.sign(await tx.plan(rpc, instruction, key_of(creator), FREE), [creator])


async def test_planned_signed_and_confirmed(net: Localnet, rpc: Rpc) -> None:
    creator = net.wallets[0]
    signed = await signed_create(rpc, creator)
    seen: list[SignatureStatus] = []

    async def note(status: SignatureStatus) -> None:
        seen.append(status)

    landed = await tx.send_and_confirm(rpc, signed.raw, signed.last_valid_block_height, on_status=note)
    assert landed.signature == signed.signature
    assert landed.commitment >= Commitment.CONFIRMED
    assert [(status.slot, status.err) for status in seen] == [(landed.slot, None)]
    account = await rpc.get_account(CODEC.market_address(MARKET_ID))
    assert account is not None
    market = CODEC.decode_account(account.data)
    assert isinstance(market, MarketAccount)
    assert market.creator == key_of(creator)
    told = await rpc.get_transaction(signed.signature, PROGRAM_ID)
    assert told is not None
    assert not told.failed


async def test_the_same_bytes_again_are_the_same_transaction(net: Localnet, rpc: Rpc) -> None:
    signed = await signed_create(rpc, net.wallets[0])
    first = await tx.send_and_confirm(rpc, signed.raw, signed.last_valid_block_height)
    for already_sent in (False, True):
        again = await tx.send_and_confirm(rpc, signed.raw, signed.last_valid_block_height, already_sent=already_sent)
        assert (again.signature, again.slot) == (first.signature, first.slot)


async def test_a_failing_simulation_names_the_program_error(net: Localnet, rpc: Rpc) -> None:
    stranger = net.wallets[3]
    landed = await signed_create(rpc, net.wallets[0])
    await tx.send_and_confirm(rpc, landed.raw, landed.last_valid_block_height)
    with pytest.raises(SimulationFailed) as raised:
        await tx.plan(rpc, make.cancel_market(CODEC, MARKET_ID, key_of(stranger)), key_of(stranger), FREE)
    failure = failure_in(raised.value, CODEC)
    assert (failure.name, failure.instruction_index) == ("Unauthorized", 2)
    with pytest.raises(SimulationFailed) as raised:
        await signed_create(rpc, net.wallets[1])
    assert failure_in(raised.value, CODEC).name == "SystemAccountInUse"


async def test_preflight_refuses_what_would_fail(net: Localnet, rpc: Rpc) -> None:
    first, second = await signed_create(rpc, net.wallets[0]), await signed_create(rpc, net.wallets[1])
    await tx.send_and_confirm(rpc, first.raw, first.last_valid_block_height)
    with pytest.raises(SimulationFailed) as raised:
        await tx.send_and_confirm(rpc, second.raw, second.last_valid_block_height)
    assert failure_in(raised.value, CODEC).name == "SystemAccountInUse"
    assert await rpc.get_signature_statuses([second.signature]) == [None]


async def test_landed_and_failed(net: Localnet, rpc: Rpc) -> None:
    first, second = await signed_create(rpc, net.wallets[0]), await signed_create(rpc, net.wallets[1])
    await tx.send_and_confirm(rpc, first.raw, first.last_valid_block_height)
    with pytest.raises(TransactionFailed) as raised:
        await tx.send_and_confirm(rpc, second.raw, second.last_valid_block_height, already_sent=True)
    assert failure_in(raised.value, CODEC).name == "SystemAccountInUse"
    assert raised.value.slot
    assert raised.value.logs


async def test_expired(net: Localnet, rpc: Rpc) -> None:
    signed = await signed_create(rpc, net.wallets[0])
    net.ledger.produce_blocks(151 + net.options.finalized_lag)
    with pytest.raises(TransactionExpired):
        await tx.send_and_confirm(rpc, signed.raw, signed.last_valid_block_height)
    assert await rpc.get_account(CODEC.market_address(MARKET_ID)) is None


async def test_how_long_a_foreign_blockhash_lasts(net: Localnet, rpc: Rpc) -> None:
    signed = await signed_create(rpc, net.wallets[0])
    net.ledger.produce_blocks(10)
    limit = await tx.valid_until(rpc, signed.blockhash)
    assert limit is not None
    assert signed.last_valid_block_height <= limit <= signed.last_valid_block_height + 11
    net.ledger.produce_blocks(200)
    assert await tx.valid_until(rpc, signed.blockhash) is None


async def test_landed_long_ago_is_not_expired(net: Localnet, rpc: Rpc) -> None:
    signed = await signed_create(rpc, net.wallets[0])
    first = await tx.send_and_confirm(rpc, signed.raw, signed.last_valid_block_height)
    net.ledger.produce_blocks(400)
    again = await tx.send_and_confirm(rpc, signed.raw, signed.last_valid_block_height, already_sent=True)
    assert (again.slot, again.commitment) == (first.slot, Commitment.FINALIZED)


async def test_an_unsigned_transaction_can_be_signed_and_relayed(net: Localnet, rpc: Rpc) -> None:
    creator = net.wallets[0]
    instruction = make.create_market(CODEC, key_of(creator), MARKET_ID, B, 10**9, HASH)
    unsigned = await tx.build_unsigned(rpc, CODEC, instruction, key_of(creator), cluster="localnet", fees=FREE)
    shown = unsigned.as_json()
    raw = base64.b64decode(shown["transaction"])
    assert raw[:65] == b"\x01" + bytes(64)
    assert shown["signers"] == [shown["fee_payer"]] == [str(creator.pubkey())]
    assert (shown["instruction"], shown["cluster"], shown["encoding"]) == ("create_market", "localnet", "base64")
    assert [account["name"] for account in shown["accounts"]] == [
        "creator",
        "market",
        "global_config",
        "system_program",
    ]
    assert shown["simulation"]["ok"] is True
    assert shown["simulation"]["units"] < shown["compute_unit_limit"] <= 1_400_000
    assert shown["estimated_fee"] == "5000"
    message = Transaction.from_bytes(raw).message
    blockhash = Hash.from_string(shown["blockhash"])
    signed = bytes(Transaction([creator], message, blockhash))
    checked = check_relayed(signed, CODEC)
    await tx.send_and_confirm(rpc, checked.raw, shown["last_valid_block_height"])
    assert await rpc.get_account(CODEC.market_address(MARKET_ID)) is not None


async def test_the_fee_is_what_was_estimated(net: Localnet, rpc: Rpc) -> None:
    creator = net.wallets[0]
    before = await rpc.get_balance(key_of(creator))
    fees = tx.FeePolicy(fixed=12_345)
    instruction = make.create_market(CODEC, key_of(creator), MARKET_ID, B, 10**9, HASH)
    planned = await tx.plan(rpc, instruction, key_of(creator), fees)
    signed = tx.sign(planned, [creator])
    await tx.send_and_confirm(rpc, signed.raw, signed.last_valid_block_height)
    rent = await rpc.get_minimum_balance_for_rent_exemption(488)
    assert before - await rpc.get_balance(key_of(creator)) == rent + planned.budget.fee_lamports(1)


async def test_two_signers(net: Localnet, rpc: Rpc) -> None:
    payer, creator = net.wallets[0], net.wallets[1]
    instruction = make.create_market(CODEC, key_of(creator), MARKET_ID, B, 10**9, HASH)
    planned = await tx.plan(rpc, instruction, key_of(payer), FREE)
    for wrong in ([payer], [creator], [payer, creator, net.wallets[2]]):
        with pytest.raises(ValueError, match="wants the signatures"):
            tx.sign(planned, wrong)
    signed = tx.sign(planned, [creator, payer])
    await tx.send_and_confirm(rpc, signed.raw, signed.last_valid_block_height)
    assert planned.budget.fee_lamports(2) == 10_000


# A scripted cluster

WALLET = Keypair.from_seed(bytes([7]) * 32)
RAW = bytes(
    Transaction(
        [WALLET],
        Message.new_with_blockhash([set_compute_unit_limit(5)], WALLET.pubkey(), Hash.default()),
        Hash.default(),
    )
)
SIGNATURE = tx.signature_of(RAW)
SENT = result(str(Signature.from_bytes(SIGNATURE)))
LAST_HEIGHT = 150


def status(commitment: str, err: Any = None, slot: int = 9) -> Reply:
    return valued([{"slot": slot, "confirmations": 0, "err": err, "confirmationStatus": commitment}])


def refused(err: Any) -> Reply:
    return error(-32002, "Transaction simulation failed", {"err": err, "logs": ["x"], "unitsConsumed": 1})


NOT_SEEN = valued([None])
CONFIRMED = status("confirmed")


@pytest.fixture
async def server() -> AsyncIterator[ScriptedRpc]:
    async with ScriptedRpc() as scripted:
        yield scripted.on("sendTransaction", SENT).on("getBlockHeight", result(LAST_HEIGHT))


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def scripted(server: ScriptedRpc, time: Time) -> AsyncIterator[Rpc]:
    async with Rpc([server.url], sleep=time.sleep, monotonic=time.monotonic, jitter=lambda: 0.0) as connected:
        yield connected


async def test_the_same_bytes_are_sent_every_two_seconds(server: ScriptedRpc, scripted: Rpc, time: Time) -> None:
    server.on("getSignatureStatuses", *[NOT_SEEN] * 8, CONFIRMED)
    landed = await tx.send_and_confirm(scripted, RAW, LAST_HEIGHT)
    assert landed == (SIGNATURE, 9, Commitment.CONFIRMED)
    sends = [params for method, params in server.requests if method == "sendTransaction"]
    assert {params[0] for params in sends} == {base64.b64encode(RAW).decode()}
    assert [params[1]["skipPreflight"] for params in sends] == [False] + [True] * (len(sends) - 1)
    seconds = sum(time.pauses)
    assert seconds / 2 - 1 <= len(sends) <= seconds / 2 + 1


async def test_waits_for_the_commitment_asked_for(server: ScriptedRpc, scripted: Rpc) -> None:
    server.on("getSignatureStatuses", status("processed"), NOT_SEEN, CONFIRMED, CONFIRMED, status("finalized"))
    seen: list[Commitment] = []

    async def note(each: SignatureStatus) -> None:
        seen.append(each.commitment)

    landed = await tx.send_and_confirm(scripted, RAW, LAST_HEIGHT, Commitment.FINALIZED, note)
    assert landed.commitment == Commitment.FINALIZED
    assert seen == [Commitment.PROCESSED, Commitment.CONFIRMED, Commitment.FINALIZED]


async def test_a_failure_on_a_fork_is_not_final(server: ScriptedRpc, scripted: Rpc) -> None:
    failed = status("processed", {"InstructionError": [0, {"Custom": 6015}]})
    server.on("getSignatureStatuses", failed, NOT_SEEN, CONFIRMED)
    assert (await tx.send_and_confirm(scripted, RAW, LAST_HEIGHT)).slot == 9


async def test_logs_that_cannot_be_had_do_not_hide_the_failure(server: ScriptedRpc, scripted: Rpc) -> None:
    server.on("getSignatureStatuses", status("confirmed", {"InstructionError": [0, {"Custom": 6015}]}))
    for answer in (result(None), error(-32011), result({"slot": 1}), Reply(b"", 403)):
        server.on("getTransaction", answer)
        with pytest.raises(TransactionFailed) as raised:
            await tx.send_and_confirm(scripted, RAW, LAST_HEIGHT)
        assert (raised.value.logs, raised.value.slot) == ((), 9)


async def test_expires_only_after_the_last_height_and_a_search(server: ScriptedRpc, scripted: Rpc) -> None:
    server.on("getBlockHeight", result(LAST_HEIGHT), result(LAST_HEIGHT), result(LAST_HEIGHT + 1))
    server.on("getSignatureStatuses", NOT_SEEN)
    with pytest.raises(TransactionExpired):
        await tx.send_and_confirm(scripted, RAW, LAST_HEIGHT)
    heights = [params for method, params in server.requests if method == "getBlockHeight"]
    assert heights == [[{"commitment": "finalized"}]] * 3
    searches = [
        params[1]["searchTransactionHistory"] for name, params in server.requests if name == "getSignatureStatuses"
    ]
    assert searches == [False, False, False, True]


async def test_found_at_the_last_moment(server: ScriptedRpc, scripted: Rpc) -> None:
    server.on("getBlockHeight", result(LAST_HEIGHT + 1))
    server.on("getSignatureStatuses", NOT_SEEN, status("finalized"))
    assert (await tx.send_and_confirm(scripted, RAW, LAST_HEIGHT)).commitment == Commitment.FINALIZED


async def test_an_unknown_blockhash_is_left_to_the_height(server: ScriptedRpc, scripted: Rpc) -> None:
    server.on("sendTransaction", refused("BlockhashNotFound"), SENT)
    server.on("getSignatureStatuses", *[NOT_SEEN] * 5, CONFIRMED)
    await tx.send_and_confirm(scripted, RAW, LAST_HEIGHT)
    sends = [params[1]["skipPreflight"] for method, params in server.requests if method == "sendTransaction"]
    assert sends == [False, False]


async def test_already_processed_is_no_failure(server: ScriptedRpc, scripted: Rpc) -> None:
    server.on("sendTransaction", refused("AlreadyProcessed")).on("getSignatureStatuses", CONFIRMED)
    assert (await tx.send_and_confirm(scripted, RAW, LAST_HEIGHT)).slot == 9


async def test_a_refusal_after_a_lost_answer_decides_nothing(server: ScriptedRpc, scripted: Rpc) -> None:
    """The first request may have got through: only its own status or the height may end it."""
    server.on("sendTransaction", Reply(cut=True), refused({"InstructionError": [2, {"Custom": 0}]}))
    server.on("getSignatureStatuses", NOT_SEEN, NOT_SEEN, CONFIRMED)
    assert (await tx.send_and_confirm(scripted, RAW, LAST_HEIGHT)).slot == 9


async def test_a_refusal_of_a_repetition_decides_nothing(server: ScriptedRpc, scripted: Rpc) -> None:
    server.on("sendTransaction", SENT, error(-32003, "signature verification"))
    server.on("getSignatureStatuses", *[NOT_SEEN] * 5, CONFIRMED)
    assert (await tx.send_and_confirm(scripted, RAW, LAST_HEIGHT)).slot == 9


async def test_a_refusal_of_the_first_is_final(server: ScriptedRpc, scripted: Rpc) -> None:
    server.on("sendTransaction", error(-32003, "signature verification"))
    with pytest.raises(RpcRefused):
        await tx.send_and_confirm(scripted, RAW, LAST_HEIGHT)
    assert server.asked("sendTransaction") == 1


async def test_an_outage_is_survived(server: ScriptedRpc, scripted: Rpc) -> None:
    server.on("getSignatureStatuses", *[Reply(b"", 500)] * 9, CONFIRMED)
    assert (await tx.send_and_confirm(scripted, RAW, LAST_HEIGHT)).slot == 9


async def test_a_breaker_stops_only_what_was_not_sent(server: ScriptedRpc, scripted: Rpc, time: Time) -> None:
    breaker = CircuitBreaker("api", time.monotonic)
    guarded = scripted.guarded(partial(breaker.guard, RpcUnavailable))
    server.on("sendTransaction", SENT, Reply(b"", 500)).on("getSignatureStatuses", Reply(b"", 500))
    with pytest.raises(Unavailable):
        await tx.send_and_confirm(guarded, RAW, LAST_HEIGHT)
    assert sum(time.pauses) > tx.SEND_DEADLINE_S - 2
    pauses, requests = len(time.pauses), len(server.requests)
    with pytest.raises(Unavailable):
        await tx.send_and_confirm(guarded, RAW, LAST_HEIGHT)
    assert (len(time.pauses), len(server.requests)) == (pauses, requests)


async def test_a_confirmed_one_is_not_sent_again(server: ScriptedRpc, scripted: Rpc, time: Time) -> None:
    server.on("getSignatureStatuses", *[CONFIRMED] * 9, status("finalized"))
    await tx.send_and_confirm(scripted, RAW, LAST_HEIGHT, Commitment.FINALIZED)
    assert sum(time.pauses) > 3 * tx.RESEND_INTERVAL_S
    assert server.asked("sendTransaction") == 1


async def test_a_lasting_outage_is_reported_undecided(server: ScriptedRpc, scripted: Rpc, time: Time) -> None:
    server.on("getSignatureStatuses", Reply(b"", 500))
    with pytest.raises(RpcUnavailable, match="500"):
        await tx.send_and_confirm(scripted, RAW, LAST_HEIGHT)
    assert sum(time.pauses) < 2 * tx.SEND_DEADLINE_S
    server.on("getSignatureStatuses", NOT_SEEN)
    with pytest.raises(RpcUnavailable, match="neither confirmed nor expired"):
        await tx.send_and_confirm(scripted, RAW, LAST_HEIGHT)


async def test_prices(server: ScriptedRpc, scripted: Rpc) -> None:
    def landed(*prices: int) -> Reply:
        return result([{"slot": slot, "prioritizationFee": price} for slot, price in enumerate(prices)])

    policy = tx.FeePolicy(floor=5, cap=100)
    for prices, expected in (((), 5), ((0, 0, 0), 5), (tuple(range(1, 101)), 75), ((10**12,), 100)):
        server.on("getRecentPrioritizationFees", landed(*prices))
        assert await tx.unit_price(scripted, [bytes(32)], policy) == expected
    server.on("getRecentPrioritizationFees", error(-32601, "Method not found"))
    assert await tx.unit_price(scripted, [], policy) == 5
    assert await tx.unit_price(scripted, [], tx.FeePolicy(fixed=7)) == 7
    assert await tx.unit_price(scripted, [], tx.FeePolicy(fixed=7, cap=3)) == 3


async def test_planning_raises_the_first_failure_itself(server: ScriptedRpc, scripted: Rpc) -> None:
    server.on("getLatestBlockhash", error(-32602, "broken")).on("simulateTransaction", Reply(hang=True))
    server.on("getRecentPrioritizationFees", result([]))
    instruction = make.activate_market(CODEC, MARKET_ID, key_of(WALLET))
    with pytest.raises(RpcRefused, match="broken"):
        await tx.plan(scripted, instruction, key_of(WALLET), tx.FeePolicy())


def test_unit_limits() -> None:
    assert [tx.unit_limit(used) for used in (0, 100, 50_000, 1_399_000, 2_000_000)] == [
        1_000,
        1_100,
        60_000,
        1_400_000,
        1_400_000,
    ]


def test_fees_round_up() -> None:
    assert tx.Budget(200_000, 0).fee_lamports(2) == 10_000
    assert tx.Budget(1, 1).fee_lamports(1) == 5_001
    assert tx.Budget(200_000, 25).fee_lamports(1) == 5_005


def test_the_signature_of_bytes() -> None:
    assert RAW[1:65] == SIGNATURE
    with pytest.raises(ValueError, match="unexpected end of file"):
        tx.signature_of(b"")
