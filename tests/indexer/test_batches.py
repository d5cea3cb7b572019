"""Batches: whatever their limits, they come to what their transactions come to one by one, and tell the same of it."""

import itertools
import random
from collections.abc import Callable
from functools import cache
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.indexer.chain_log import Walk
from tests.indexer.projection import CODEC, NOW_MS, Database, in_order
from zmart_lite.chain.events import events_of
from zmart_lite.indexer import apply
from zmart_lite.indexer.known import Known
from zmart_lite.models import ChainTransaction, SharesBought, UserPosition

STEPS = 60
TOLD_AT = ("created_ms", "feed_offset", "data")
Accounts = tuple[bytes, ...]

seeds = st.integers(0, 2)
cuts = st.sets(st.integers(1, STEPS * 3))


@cache
def walk(seed: int) -> Walk:
    return Walk(seed, markets=3).walk(STEPS)


@cache
def alone(seed: int) -> Database:
    """Each transaction in a batch of its own."""
    return in_order(walk(seed).transactions)


def split(transactions: list[ChainTransaction], at: set[int]) -> list[list[ChainTransaction]]:
    limits = [0, *sorted(cut for cut in at if cut < len(transactions)), len(transactions)]
    return [transactions[start:end] for start, end in itertools.pairwise(limits)]


def told(database: Database) -> list[tuple[object, ...]]:
    """The feed, without the times of writing."""
    rows = [row for _, row in database.feed()]
    return [tuple(value for key, value in row.items() if key not in TOLD_AT) for row in rows]


@settings(max_examples=40, deadline=None)
@given(seeds, cuts)
def test_any_split_into_batches_comes_to_and_tells_what_one_by_one_does(seed: int, at: set[int]) -> None:
    database = Database()
    ordered = sorted(walk(seed).transactions, key=lambda each: (each.slot, each.index_in_block or 0))
    for batch in split(ordered, at):
        database.apply(*batch)
    assert database.dump() == alone(seed).dump()
    assert told(database) == told(alone(seed))


@settings(max_examples=40, deadline=None)
@given(seeds, cuts, st.randoms(use_true_random=False), st.integers(0, 3))
def test_batches_in_any_order_with_repetitions_come_to_the_same(
    seed: int, at: set[int], rng: random.Random, repeated: int
) -> None:
    database = Database()
    batches = split(list(walk(seed).transactions), at)
    batches += batches[:repeated]
    rng.shuffle(batches)
    for batch in batches:
        rng.shuffle(batch)
        database.apply(*batch)
    assert database.dump() == alone(seed).dump()


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 9), st.randoms(use_true_random=False), st.booleans())
def test_a_batch_that_others_cut_short_comes_to_and_tells_the_same(
    seed: int, part: int, rng: random.Random, shuffled: bool
) -> None:
    database, batch = Database(), list(walk(seed).transactions)
    if shuffled:
        rng.shuffle(batch)
    with patch.object(apply, "PART", part):
        database.apply_beside_others(batch, lambda: rng.random() < 0.3)
    assert database.dump() == alone(seed).dump()
    assert told(database) == told(alone(seed))


@pytest.mark.parametrize(("awaited", "commits"), [(False, 1), (True, 4)])
def test_a_batch_is_one_commit_unless_others_wait(awaited: bool, commits: int) -> None:
    database, batch = Database(), walk(0).transactions[:10]
    with patch.object(apply, "PART", 3):
        assert database.apply_beside_others(batch, lambda: awaited) == commits


@settings(max_examples=20, deadline=None)
@given(seeds, cuts)
def test_events_older_than_the_feed_keeps_change_the_same_and_tell_nothing(seed: int, at: set[int]) -> None:
    database = Database(feed_since=NOW_MS)
    for batch in split(list(walk(seed).transactions), at):
        database.apply(*batch)
    assert database.dump() == alone(seed).dump()
    assert told(database) == []


# The positions' addresses


def a_buy() -> tuple[SharesBought, ChainTransaction]:
    for transaction in walk(0).transactions:
        events = [logged.event for logged in events_of(CODEC, transaction).events]
        if len(events) == 1 and isinstance(events[0], SharesBought):
            return events[0], transaction
    raise AssertionError


@pytest.mark.parametrize(
    "named",
    [
        lambda accounts: accounts,
        lambda accounts: (*accounts[:2], bytes(32), *accounts[3:]),
        lambda accounts: (accounts[0], bytes(32), *accounts[2:]),
        lambda accounts: accounts[:2],
    ],
)
def test_a_positions_address_is_right_whatever_the_instruction_names(named: Callable[[Accounts], Accounts]) -> None:
    event, transaction = a_buy()
    (instruction,) = transaction.instructions
    transaction = transaction._replace(instructions=(instruction._replace(accounts=named(instruction.accounts)),))
    known, market = Known(Database().tx, CODEC), CODEC.market_address(event.market_id)
    known.name_position(event, transaction, 0)
    known.name_position(event, transaction, 1)
    position = UserPosition(market, event.user, 0, 0, 0, 0, 0, False, 0, bytes(64), 0)
    assert known.address_of_new(position) == CODEC.position_address(market, event.user)
