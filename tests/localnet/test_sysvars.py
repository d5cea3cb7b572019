"""The sysvar accounts, read with the SDK's own types."""

import struct

import pytest
from solders.clock import Clock
from solders.epoch_rewards import EpochRewards
from solders.epoch_schedule import EpochSchedule
from solders.rent import Rent
from solders.slot_history import SlotHistory, SlotHistoryCheck
from solders.stake_history import StakeHistory

from tests.localnet.chain_harness import START_TIME, Chain
from zmart_lite.localnet.ledger import Bank, LedgerOptions
from zmart_lite.localnet.natives import addresses
from zmart_lite.localnet.natives.lookup_table import slots_of
from zmart_lite.localnet.releases import NEWEST, RELEASES, Release
from zmart_lite.localnet.runtime import rent_exempt_minimum
from zmart_lite.models import Commitment

ALL = (
    addresses.CLOCK_ID,
    addresses.EPOCH_REWARDS_ID,
    addresses.EPOCH_SCHEDULE_ID,
    addresses.LAST_RESTART_SLOT_ID,
    addresses.RECENT_BLOCKHASHES_ID,
    addresses.RENT_ID,
    addresses.SLOT_HASHES_ID,
    addresses.SLOT_HISTORY_ID,
    addresses.STAKE_HISTORY_ID,
)


def bank_after(blocks: int, release: Release = NEWEST) -> Bank:
    chain = Chain(LedgerOptions(slot_ms=400, release=release))
    chain.ledger.produce_blocks(blocks)
    return chain.ledger.bank(Commitment.PROCESSED)


def data(bank: Bank, key: bytes) -> bytes:
    account = bank.account(key)
    assert account is not None
    return account.data


@pytest.mark.parametrize("key", ALL)
def test_they_are_there_and_exempt_of_rent(key: bytes) -> None:
    account = bank_after(3).account(key)
    assert account is not None
    assert account.owner == addresses.SYSVAR_OWNER_ID
    assert account.lamports == rent_exempt_minimum(len(account.data))


def test_the_instructions_sysvar_is_no_account_of_the_chain() -> None:
    assert bank_after(3).account(addresses.INSTRUCTIONS_ID) is None


def test_sizes_are_those_of_a_cluster() -> None:
    bank = bank_after(3)
    assert [len(data(bank, key)) for key in ALL] == [40, 81, 33, 8, 6_008, 17, 20_488, 131_097, 16_392]


def test_the_sdk_reads_them() -> None:
    bank = bank_after(3)
    clock = Clock.from_bytes(data(bank, addresses.CLOCK_ID))
    assert (clock.slot, clock.unix_timestamp) == (bank.slot, START_TIME)
    schedule = EpochSchedule.from_bytes(data(bank, addresses.EPOCH_SCHEDULE_ID))
    assert (schedule.slots_per_epoch, schedule.warmup) == (432_000, False)
    assert not EpochRewards.from_bytes(data(bank, addresses.EPOCH_REWARDS_ID)).active
    StakeHistory.from_bytes(data(bank, addresses.STAKE_HISTORY_ID))


@pytest.mark.parametrize(("release", "price"), [(RELEASES["3.0"], 3_480), (NEWEST, 6_960)])
def test_rent_comes_to_the_same_in_both_forms(release: Release, price: int) -> None:
    raw = data(bank_after(1, release), addresses.RENT_ID)
    assert Rent.from_bytes(raw).minimum_balance(100) == rent_exempt_minimum(100)
    assert struct.unpack_from("<Q", raw)[0] == price


def test_slot_hashes_are_the_parents_newest_first() -> None:
    bank = bank_after(600)
    slots = slots_of(data(bank, addresses.SLOT_HASHES_ID))
    assert slots == list(range(bank.slot - 1, bank.slot - 513, -1))


def test_recent_blockhashes_begin_with_the_newest() -> None:
    bank = bank_after(200)
    raw = data(bank, addresses.RECENT_BLOCKHASHES_ID)
    assert struct.unpack_from("<Q", raw)[0] == 150
    assert raw[8:40] == bank.blockhash


def test_slot_history_knows_which_slots_hold_a_block() -> None:
    chain = Chain(LedgerOptions(slot_ms=400))
    chain.ledger.produce_blocks(3)
    chain.ledger.drop_blocks(1)
    chain.ledger.produce_blocks(2)
    bank = chain.ledger.bank(Commitment.PROCESSED)
    history = SlotHistory.from_bytes(data(bank, addresses.SLOT_HISTORY_ID))
    assert history.check(1) == SlotHistoryCheck.Found
    assert history.check(bank.slot + 1) == SlotHistoryCheck.Future
    gap = next(slot for slot in range(bank.slot) if chain.ledger.history.block(slot) is None)
    assert history.check(gap) == SlotHistoryCheck.NotFound
