"""Markets whose time has come."""

from collections.abc import Callable

import pytest

from tests.indexer.projection import Database
from tests.store.market_rows import add_market
from zmart_lite.models import MarketState
from zmart_lite.store import due

Listing = Callable[..., list[dict[str, object]]]


@pytest.mark.parametrize(
    ("listing", "state", "column"),
    [
        (due.list_resolutions, MarketState.RESOLVING, "resolution_proposed_at"),
        (due.list_disputes, MarketState.DISPUTED, "dispute_initiated_at"),
    ],
)
def test_markets_are_due_in_their_state_oldest_first(listing: Listing, state: MarketState, column: str) -> None:
    database = Database()
    for number, at in enumerate((30, 10, 20, 31), start=1):
        add_market(database, number, state, **{column: at})
    for number, other in enumerate(set(MarketState) - {state}, start=10):
        add_market(database, number, other, **{column: 1})
    assert [market[column] for market in listing(database.tx, 30, 9)] == [10, 20, 30]
    assert [market[column] for market in listing(database.tx, 30, 2)] == [10, 20]
    assert listing(database.tx, 9, 9) == []


def test_registered_outcomes_are_due_while_the_market_is_active() -> None:
    database = Database()
    for number, (state, at) in enumerate(
        ((MarketState.ACTIVE, 20), (MarketState.ACTIVE, 10), (MarketState.ACTIVE, 31), (MarketState.RESOLVING, 5)),
        start=1,
    ):
        key = add_market(database, number, state)
        sql = "INSERT INTO resolution_plans (market, outcome, evidence_hash, due_at, registered_ms) VALUES (?, 1, ?, ?, 0)"
        database.write(lambda tx, key=key, at=at: tx.execute(sql, (key, b"E" * 46, at)))
    found = due.list_plans(database.tx, 30, 9)
    assert [market["market_id"][0] for market in found] == [2, 1]
    assert (found[0]["plan_outcome"], found[0]["plan_evidence_hash"]) == (1, b"E" * 46)
    assert len(due.list_plans(database.tx, 30, 1)) == 1


def test_a_market_is_found_by_its_key() -> None:
    database = Database()
    key = add_market(database)
    found = due.find_market(database.tx, key)
    assert found is not None
    assert found["id"] == key
    assert due.find_market(database.tx, key + 1) is None
