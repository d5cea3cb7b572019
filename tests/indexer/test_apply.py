"""Applying transactions: the projection equals the chain, once, whatever their order, number and source."""

import random

import pytest

from tests.indexer.chain_log import ChainLog, market_id_of, signature_of, whole_life
from tests.indexer.projection import Database, in_order
from tests.indexer.walks import SEEDS, SOURCES, check_against_chain, shuffled, walk
from zmart_lite.store.log import chainlog

# The projection equals the chain


@pytest.mark.parametrize("seed", SEEDS)
def test_the_projection_equals_the_chains_accounts(seed: int) -> None:
    log = walk(seed)
    database = in_order(log.transactions)
    check_against_chain(database, log)


# Once, in any order


@pytest.mark.parametrize("seed", SEEDS)
def test_any_order_batching_repetition_and_source_give_the_same_database(seed: int) -> None:
    log = walk(seed)
    expected = in_order(log.transactions).dump()
    rng = random.Random(seed)
    for _ in range(3):
        database = Database()
        for batch in shuffled(log.transactions * 2, rng):
            database.apply(*batch, source=rng.choice(SOURCES))
        assert database.dump() == expected
        check_against_chain(database, log)


@pytest.mark.parametrize("seed", SEEDS)
def test_slight_disorder_gives_the_same_database(seed: int) -> None:
    """As webhooks come: nearly in order."""
    log = walk(seed)
    expected = in_order(log.transactions).dump()
    rng = random.Random(seed)
    late = sorted(log.transactions, key=lambda each: each.slot + rng.choice((0, 0, 0, 3, 25)))
    database = Database()
    for transaction in late:
        database.apply(transaction)
    assert database.dump() == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_places_in_the_block_told_later_give_the_same_database(seed: int) -> None:
    """Sources that do not tell the place within a block, and blocks that are asked for it afterwards."""
    log = walk(seed)
    expected = in_order(log.transactions).dump()
    rng = random.Random(seed)
    blind = [each._replace(index_in_block=None) for each in log.transactions]
    database = Database()
    waiting: set[int] = set()
    for batch in shuffled(blind, rng):
        waiting |= set(database.apply(*batch).unordered_slots)
        if rng.random() < 0.2:
            tell_order(database, log, waiting)
    assert waiting <= {each.slot for each in log.transactions}
    tell_order(database, log, {each.slot for each in log.transactions})
    assert database.dump() == expected


def tell_order(database: Database, log: ChainLog, slots: set[int]) -> None:
    for slot in sorted(slots):
        places = {each.signature: each.index_in_block for each in log.transactions if each.slot == slot}
        size = max(index or 0 for index in places.values()) + 1
        block = [signature_of(10**6 + number) for number in range(size)]
        for signature, index in places.items():
            block[index or 0] = signature
        database.change(lambda tx, slot=slot, block=block: chainlog.set_block_order(tx, slot, block))
    slots.clear()


def test_a_slot_with_several_of_ours_at_unknown_places_is_named() -> None:
    log = ChainLog().start()
    log.create(1)
    first, second = (each._replace(slot=77, index_in_block=None) for each in log.transactions)
    database = Database()
    assert database.apply(first).unordered_slots == ()
    assert database.apply(second).unordered_slots == (77,)
    assert chainlog.list_unordered_since(database.tx, 77, 10) == [77]
    assert chainlog.list_unordered_since(database.tx, 78, 10) == []
    database.change(lambda tx: chainlog.set_block_order(tx, 77, [first.signature, second.signature]))
    assert chainlog.list_unordered_since(database.tx, 0, 10) == []


def test_a_second_source_fills_in_the_place_in_the_block() -> None:
    log = ChainLog().start()
    whole_life(log)
    blind, database = [each._replace(index_in_block=None) for each in log.transactions], Database()
    database.apply(*blind)
    database.apply(*log.transactions)
    assert database.dump() == in_order(log.transactions).dump()


@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_chain_dropped_is_as_if_it_had_never_been(seed: int) -> None:
    log = walk(seed)
    rng = random.Random(seed)
    dropped_from = rng.randrange(1, len(log.transactions))
    kept, dropped = log.transactions[:dropped_from], log.transactions[dropped_from:]
    database = Database()
    for batch in shuffled(log.transactions, rng):
        database.apply(*batch)
    rng.shuffle(dropped)
    for transaction in dropped:
        database.remove(transaction.signature)
    assert database.dump() == in_order(kept).dump()
    for batch in shuffled(dropped, rng):
        database.apply(*batch)
    assert database.dump() == in_order(log.transactions).dump()


def test_batches_are_sorted_before_they_are_applied() -> None:
    log = ChainLog().start()
    whole_life(log)
    database = Database()
    applied = database.apply(*reversed(log.transactions))
    assert database.dump() == in_order(log.transactions).dump()
    assert applied.transactions == len(log.transactions)
    assert applied.events[0] == "GlobalConfigInitialized"
    assert applied.markets == (market_id_of(1),)


def test_a_known_transaction_is_not_counted_again() -> None:
    log = ChainLog().start()
    database = Database()
    assert database.apply(log.transactions[0]).transactions == 1
    again = database.apply(log.transactions[0])
    assert (again.transactions, again.events) == (0, ())
