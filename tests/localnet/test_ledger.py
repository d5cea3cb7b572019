"""Blocks, commitments, forks, snapshots and time."""

import pytest

from tests.localnet.chain_harness import ALICE, BOB, START_TIME, Chain, payment
from zmart_lite.localnet.ages import BLOCKHASH_AGE_MAX
from zmart_lite.localnet.clock import ChainClock
from zmart_lite.localnet.failures import TransactionRefused
from zmart_lite.localnet.ledger import BLOCKS_BEHIND_MAX, SNAPSHOTS_MAX, LedgerOptions, LedgerRefused
from zmart_lite.localnet.natives.addresses import CLOCK_ID, RENT_ID
from zmart_lite.localnet.records import Block, LandedTransaction
from zmart_lite.localnet.runtime import Account
from zmart_lite.models import Commitment

TIMED = LedgerOptions(slot_ms=400)
FINAL, CONFIRMED, PROCESSED = Commitment.FINALIZED, Commitment.CONFIRMED, Commitment.PROCESSED


def test_a_transaction_per_block_on_demand() -> None:
    chain = Chain()
    first, second = chain.pay(1), chain.pay(2)
    assert (first.slot, second.slot) == (1, 2)
    assert chain.ledger.open_slot == 3
    assert chain.lamports(BOB, CONFIRMED) == chain.lamports(BOB, PROCESSED)


def test_blocks_hold_what_came_before_they_were_sealed() -> None:
    chain = Chain(TIMED)
    landed = [chain.pay(n) for n in range(1, 4)]
    assert [(each.slot, each.index, each.position) for each in landed] == [(1, 0, 0), (1, 1, 1), (1, 2, 2)]
    block = chain.ledger.seal_block()
    assert block.transactions == tuple(landed)
    assert (block.parent_slot, block.previous_blockhash) == (0, chain.ledger.genesis_hash)


def test_each_commitment_sees_its_own_state() -> None:
    chain = Chain(LedgerOptions(400, confirmed_lag=1, finalized_lag=3))
    before = chain.lamports(BOB)
    seen = []
    chain.pay(5)
    for _ in range(4):
        seen.append([chain.lamports(BOB, level) - before for level in (PROCESSED, CONFIRMED, FINAL)])
        chain.ledger.seal_block()
    assert seen == [[5, 0, 0], [5, 5, 0], [5, 5, 0], [5, 5, 5]]


def test_commitment_of_a_transaction_rises_with_the_blocks() -> None:
    chain = Chain(TIMED)
    height = chain.pay(1).height
    levels = []
    for _ in range(33):
        levels.append(chain.ledger.commitment_of(height))
        chain.ledger.seal_block()
    assert levels == [PROCESSED, *[CONFIRMED] * 31, FINAL]


def test_observers_hear_of_each_block_once_per_commitment_in_order() -> None:
    chain = Chain(LedgerOptions(400, finalized_lag=3))
    heard: dict[Commitment, list[int]] = {CONFIRMED: [], FINAL: []}
    slots: list[tuple[int, int, int]] = []
    transactions: list[tuple[LandedTransaction, frozenset[bytes]]] = []
    chain.ledger.on_block(lambda block: heard[CONFIRMED].append(block.slot))
    chain.ledger.on_block(lambda block: heard[FINAL].append(block.slot), FINAL)
    chain.ledger.on_slot(lambda *slot: slots.append(slot))
    chain.ledger.on_transaction(lambda landed, changed: transactions.append((landed, changed)))
    landed = chain.pay(1)
    chain.ledger.produce_blocks(5)
    assert heard == {CONFIRMED: [1, 2, 3, 4, 5], FINAL: [1, 2, 3]}
    assert slots[-1] == (6, 5, 3)
    assert transactions == [(landed, frozenset([bytes(ALICE.pubkey()), bytes(BOB.pubkey())]))]


def test_blockhash_expires_after_150_blocks() -> None:
    chain = Chain(TIMED)
    old = chain.transaction(payment(1))
    last = chain.ledger.bank(PROCESSED).last_valid_height
    chain.ledger.produce_blocks(BLOCKHASH_AGE_MAX - 1)
    assert chain.ledger.height_at(PROCESSED) == last == BLOCKHASH_AGE_MAX
    assert not chain.ledger.submit(old).failed
    late = chain.transaction(payment(2), blockhash=bytes(old.message.recent_blockhash))
    chain.ledger.seal_block()
    with pytest.raises(TransactionRefused) as refused:
        chain.ledger.submit(late)
    assert refused.value.err == "BlockhashNotFound"


def test_a_simulation_wants_a_blockhash_of_144_blocks_at_most() -> None:
    chain = Chain(TIMED)
    old = chain.transaction(payment(1))
    chain.ledger.produce_blocks(144)
    chain.ledger.simulate(old, chain.ledger.bank(PROCESSED))
    chain.ledger.seal_block()
    with pytest.raises(TransactionRefused) as refused:
        chain.ledger.simulate(old, chain.ledger.bank(PROCESSED))
    assert refused.value.err == "BlockhashNotFound"
    assert not chain.ledger.submit(old).failed


def test_a_blockhash_is_unknown_where_its_block_is_not_yet() -> None:
    chain = Chain(TIMED)
    chain.ledger.seal_block()
    newest = chain.ledger.bank(CONFIRMED)
    assert newest.knows_blockhash(newest.blockhash)
    assert not chain.ledger.bank(FINAL).knows_blockhash(newest.blockhash)


def test_same_transaction_twice_is_refused() -> None:
    chain = Chain()
    transaction = chain.transaction(payment(1))
    chain.ledger.submit(transaction)
    with pytest.raises(TransactionRefused) as refused:
        chain.ledger.submit(transaction)
    assert refused.value.err == "AlreadyProcessed"


def test_dropped_blocks_vanish_and_their_transactions_can_land_again() -> None:
    chain = Chain()
    kept = chain.pay(1)
    before = chain.lamports(BOB)
    gone = chain.pay(2)
    chain.pay(3)
    chain.ledger.drop_blocks(2)
    assert chain.lamports(BOB) == before
    assert chain.ledger.history.find(gone.signature) is None
    assert chain.ledger.history.find(kept.signature) is kept
    again = chain.ledger.submit(gone.transaction)
    assert again.height == gone.height
    assert again.slot > gone.slot
    assert chain.ledger.history.block(gone.slot) is None
    assert chain.ledger.history.block(again.slot).parent_slot == kept.slot  # type: ignore[union-attr]


def test_a_fork_has_other_blockhashes() -> None:
    chain = Chain()
    chain.ledger.seal_block()
    dropped = chain.ledger.bank(CONFIRMED).blockhash
    chain.ledger.drop_blocks(1)
    assert chain.ledger.ages.height_of(dropped) is None
    chain.ledger.seal_block()
    assert chain.ledger.bank(CONFIRMED).blockhash != dropped


def test_finalized_blocks_cannot_be_dropped() -> None:
    chain = Chain(LedgerOptions(0, finalized_lag=3))
    chain.ledger.produce_blocks(10)
    chain.ledger.drop_blocks(2)
    with pytest.raises(LedgerRefused, match="only the last 0 blocks are not finalized"):
        chain.ledger.drop_blocks(1)
    chain.ledger.seal_block()
    chain.ledger.drop_blocks(1)


def test_dropping_takes_the_open_block_along() -> None:
    chain = Chain(TIMED)
    before = chain.lamports(BOB)
    landed = chain.pay(5)
    chain.ledger.drop_blocks(0)
    assert chain.lamports(BOB) == before
    assert chain.ledger.history.find(landed.signature) is None


def test_revert_restores_accounts_history_time_and_finalized_blocks() -> None:
    chain = Chain(LedgerOptions(0, finalized_lag=3))
    kept = chain.pay(1)
    snapshot = chain.ledger.snapshot()
    before = chain.lamports(BOB), chain.clock.now_s()
    for number in range(2, 30):
        chain.pay(number)
    chain.ledger.warp(86_400)
    slot = chain.ledger.open_slot
    chain.ledger.revert(snapshot)
    assert (chain.lamports(BOB), chain.clock.now_s()) == before
    assert chain.lamports(BOB, FINAL) <= chain.lamports(BOB)
    assert chain.ledger.history.transaction_count == 1
    assert chain.ledger.history.find(kept.signature) is kept
    assert chain.ledger.open_slot == slot + 1
    chain.pay(7)
    chain.ledger.revert(snapshot)
    assert chain.lamports(BOB) == before[0]


def test_revert_forgets_later_snapshots() -> None:
    chain = Chain()
    first = chain.ledger.snapshot()
    chain.pay(1)
    second = chain.ledger.snapshot()
    chain.ledger.revert(first)
    with pytest.raises(LedgerRefused, match=f"no snapshot {second}"):
        chain.ledger.revert(second)


def test_snapshot_takes_the_open_block_in() -> None:
    chain = Chain(TIMED)
    chain.pay(5)
    balance = chain.lamports(BOB)
    snapshot = chain.ledger.snapshot()
    chain.pay(6)
    chain.ledger.revert(snapshot)
    assert chain.lamports(BOB) == balance


def test_snapshots_are_bounded() -> None:
    chain = Chain()
    first = chain.ledger.snapshot()
    for _ in range(SNAPSHOTS_MAX):
        chain.ledger.snapshot()
    with pytest.raises(LedgerRefused):
        chain.ledger.revert(first)


def test_old_versions_are_given_up_once_final() -> None:
    chain = Chain(LedgerOptions(0, finalized_lag=3))
    for number in range(1, BLOCKS_BEHIND_MAX + 50):
        chain.pay(number)
    assert len(chain.ledger.accounts._deltas) <= BLOCKS_BEHIND_MAX + 3


def test_rollback_tells_which_accounts_went_back() -> None:
    chain = Chain()
    told: list[tuple[frozenset[bytes], Commitment]] = []
    chain.ledger.on_rollback(lambda *change: told.append(change))
    chain.pay(1)
    chain.ledger.drop_blocks(1)
    assert told == [(frozenset([bytes(ALICE.pubkey()), bytes(BOB.pubkey())]), CONFIRMED)]


def test_blocks_are_announced_again_after_a_fork() -> None:
    chain = Chain()
    heard: list[Block] = []
    chain.ledger.on_block(heard.append)
    landed = chain.pay(1)
    chain.ledger.drop_blocks(1)
    chain.ledger.submit(landed.transaction)
    assert [block.height for block in heard] == [1, 1]
    assert heard[0].slot < heard[1].slot


def test_paused_chain_processes_but_seals_nothing() -> None:
    chain = Chain()
    chain.ledger.paused = True
    before = chain.lamports(BOB, CONFIRMED)
    chain.pay(5)
    assert (chain.lamports(BOB), chain.lamports(BOB, CONFIRMED)) == (before + 5, before)
    chain.ledger.produce_blocks(1)
    assert chain.lamports(BOB, CONFIRMED) == before + 5


def test_produce_blocks_is_bounded() -> None:
    with pytest.raises(LedgerRefused):
        Chain().ledger.produce_blocks(10_001)


def test_warp_moves_time_and_finality() -> None:
    chain = Chain()
    chain.pay(5)
    balance = chain.lamports(BOB)
    chain.ledger.warp(3 * 86_400)
    assert chain.ledger.bank(PROCESSED).time == START_TIME + 3 * 86_400
    assert chain.ledger.bank(FINAL).time == START_TIME + 3 * 86_400
    assert chain.lamports(BOB, FINAL) == balance
    with pytest.raises(LedgerRefused):
        chain.ledger.warp(-1)


def test_warp_leaves_the_open_block_its_time() -> None:
    chain = Chain(TIMED)
    landed = chain.pay(1)
    chain.ledger.warp(100)
    assert chain.ledger.history.block(landed.slot).time == landed.block_time == START_TIME  # type: ignore[union-attr]


def test_frozen_time_moves_by_warps_only() -> None:
    chain = Chain()
    chain.ledger.produce_blocks(100)
    assert chain.ledger.bank(PROCESSED).time == START_TIME


def test_running_clock_follows_wall_time_at_an_offset() -> None:
    wall = [5_000.5]
    clock = ChainClock(1_000, wall=lambda: wall[0])
    assert (clock.now_s(), clock.offset_s) == (1_000, -4_000)
    wall[0] += 10
    clock.advance(100)
    assert clock.now_s() == 1_110
    clock.catch_up(2_000)
    clock.catch_up(1_500)
    assert clock.now_s() == 2_000


def test_clock_without_start_is_wall_time() -> None:
    assert ChainClock(wall=lambda: 77.9).now_s() == 77
    assert ChainClock(frozen=True, wall=lambda: 77.9).now_s() == 77


def test_block_time_never_goes_back() -> None:
    wall = [1_000.0]
    chain = Chain(TIMED)
    chain.ledger.clock = ChainClock(START_TIME + 50, wall=lambda: wall[0])
    chain.ledger.seal_block()
    wall[0] -= 500
    assert chain.ledger.seal_block().time == START_TIME + 50


def test_sysvars_are_readable_at_each_commitment() -> None:
    chain = Chain()
    chain.ledger.warp(1_000)
    for commitment in Commitment:
        bank = chain.ledger.bank(commitment)
        clock = bank.account(CLOCK_ID)
        assert clock is not None
        assert int.from_bytes(clock.data[:8], "little") == bank.slot
        assert int.from_bytes(clock.data[32:], "little") == START_TIME + 1_000
        assert clock.lamports == 1_169_280
    rent = chain.ledger.bank(PROCESSED).account(RENT_ID)
    assert rent is not None
    assert (len(rent.data), rent.lamports) == (17, 1_009_200)


def test_set_account_is_part_of_a_block_and_can_be_dropped() -> None:
    chain = Chain()
    key = b"\x55" * 32
    chain.ledger.set_account(key, Account(5_000_000, b"\x07" * 32, b"data"))
    assert chain.ledger.bank(CONFIRMED).owned_by(b"\x07" * 32) == [(key, Account(5_000_000, b"\x07" * 32, b"data"))]
    chain.ledger.drop_blocks(1)
    assert chain.ledger.bank(PROCESSED).account(key) is None


def test_program_accounts_of_each_commitment() -> None:
    chain = Chain(TIMED)
    owner, key = b"\x31" * 32, b"\x55" * 32
    chain.ledger.set_account(key, Account(5, owner, b"a"))
    chain.ledger.produce_blocks(40)
    chain.ledger.set_account(key, None)
    assert chain.ledger.bank(PROCESSED).owned_by(owner) == []
    assert chain.ledger.bank(CONFIRMED).owned_by(owner) == [(key, Account(5, owner, b"a"))]
    chain.ledger.seal_block()
    assert chain.ledger.bank(CONFIRMED).owned_by(owner) == []
    assert chain.ledger.bank(FINAL).owned_by(owner) == [(key, Account(5, owner, b"a"))]
