"""Folding from an account that was read from the chain."""

import random

import pytest

from tests.indexer.chain_log import ChainLog, active_market
from tests.indexer.projection import CODEC, Database, in_order
from tests.indexer.walks import SEEDS, check_against_chain, walk
from tests.localnet.program_harness import BOB
from zmart_lite.store.log.chainlog import LogChange
from zmart_lite.store.state import markets


@pytest.mark.parametrize("seed", SEEDS)
def test_a_baseline_read_from_the_chain_cures_any_loss_before_it(seed: int) -> None:
    """Half of the history is missing; then the account is read, and the rest arrives."""
    log = walk(seed, 40)
    rng = random.Random(seed)
    read_at = log.slot
    log.slot += 1  # a reading tells how a whole slot ended
    accounts = {
        market_id: log.devnet.accounts[CODEC.market_address(market_id)].data
        for market_id in log.market_ids
        if log.exists(market_id)
    }
    config = log.config
    log.walk(30)
    seen = [each for each in log.transactions if each.slot > read_at or rng.random() < 0.5]
    database = Database()
    database.apply(*seen)
    add = lambda tx: markets.add_config(tx, config, slot=read_at, index_in_block=2**31, event_id=None)  # noqa: E731
    database.write(add)
    for market_id, data in accounts.items():
        key = database.write(lambda tx, data=data, of=market_id: markets.set_baseline(tx, of, data, read_at))
        if key is None:
            database.write(lambda tx, of=market_id: markets.add_record(tx, of, CODEC.market_address(of)))
            key = database.write(lambda tx, data=data, of=market_id: markets.set_baseline(tx, of, data, read_at))
        database.change(lambda tx, key=key: LogChange(frozenset({key or 0}), read_at))
        record = markets.find_record(database.tx, market_id)
        assert record is not None
        bump = log.market(market_id).bump
        assert markets.account_of(record, bump) == log.market(market_id)


def test_events_contained_in_a_baseline_still_make_trades_and_positions() -> None:
    log, market_id = active_market()
    log.buy(market_id)
    late = log.transactions[-1]
    database = in_order(log.transactions[:-1])
    data = log.devnet.accounts[CODEC.market_address(market_id)].data
    key = database.write(lambda tx: markets.set_baseline(tx, market_id, data, log.slot + 5))
    database.change(lambda tx: LogChange(frozenset({key or 0})))
    assert database.market(market_id)["source"] == "reconciliation"
    database.apply(late)
    check_against_chain(database, log)
    assert database.market(market_id)["trades_count"] == 1
    log.slot += 10
    log.buy(market_id, BOB, False)
    database.apply(log.transactions[-1])
    check_against_chain(database, log)
    assert database.market(market_id)["source"] == "event"


def test_an_unreadable_baseline_marks_the_market() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    database = in_order(log.transactions)
    key = database.write(lambda tx: markets.set_baseline(tx, market_id, b"nonsense", 1))
    database.change(lambda tx: LogChange(frozenset({key or 0})))
    assert database.market(market_id)["needs_resync"] == 1
