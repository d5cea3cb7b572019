"""Markets whose time has come: in their state, oldest first, and those that failed lately left out for a while."""

from collections.abc import Callable

import pytest

from tests.indexer.projection import Database
from tests.store.market_rows import ALICE, add_market, add_wallet, hold
from tests.store.voting import add_vote
from zmart_lite.models import MarketState, VoteType
from zmart_lite.store.state import intents, votes
from zmart_lite.store.state.markets import Record
from zmart_lite.store.views import due

LONG_AGO_MS, NEVER_MS = 0, due.NEVER_MS
"""Failures since then count: all of them, none of them."""


def fail(database: Database, market: int, action: str) -> None:
    """An action of the node on a market that failed for good just now."""

    def unit(tx: object) -> None:
        row, _ = intents.open_intent(database.tx, action, str(market), {}, market=market)
        intents.set_ended(database.tx, row["id"], "failed", name="Unauthorized")

    database.write(unit)


def check_left_out(database: Database, listing: Callable[[int], list[int]], market: int, action: str) -> None:
    """That a failure of this action, and of no other, leaves the market out as long as it counts."""
    fail(database, market, "some_other_action")
    assert market in listing(LONG_AGO_MS)
    fail(database, market, action)
    assert market not in listing(LONG_AGO_MS)
    assert market in listing(NEVER_MS)


def keys(records: list[Record]) -> list[int]:
    return [record["id"] for record in records]


def test_resolutions_are_due_oldest_first() -> None:
    database, state = Database(), MarketState.RESOLVING
    added = [
        add_market(database, n, state, resolution_proposed_at=at) for n, at in enumerate((30, 10, 20, 31), start=1)
    ]
    for number, other in enumerate(set(MarketState) - {state}, start=10):
        add_market(database, number, other, resolution_proposed_at=1)
    listed = [added[1], added[2], added[0]]
    assert keys(due.list_resolutions(database.tx, 30, 9, LONG_AGO_MS)) == listed
    assert keys(due.list_resolutions(database.tx, 30, 2, LONG_AGO_MS)) == listed[:2]
    assert due.list_resolutions(database.tx, 9, 9, LONG_AGO_MS) == []
    check_left_out(
        database, lambda ms: keys(due.list_resolutions(database.tx, 30, 9, ms)), listed[0], "finalize_market"
    )


def test_disputes_are_due_once_somebody_voted() -> None:
    database, state = Database(), MarketState.DISPUTED
    added = [add_market(database, n, state, dispute_initiated_at=at) for n, at in enumerate((30, 10, 20, 31), start=1)]
    add_market(database, 9, MarketState.RESOLVING, dispute_initiated_at=1)
    assert due.list_disputes(database.tx, 30, 9, LONG_AGO_MS) == []
    for market in (*added[:2], added[3]):
        wallet = hold(database, market, ALICE, 5)
        database.write(lambda tx, m=market, w=wallet: add_vote(tx, m, w, VoteType.DISPUTE, True))
    assert keys(due.list_disputes(database.tx, 30, 9, LONG_AGO_MS)) == [added[1], added[0]]
    assert keys(due.list_disputes(database.tx, 30, 1, LONG_AGO_MS)) == [added[1]]
    check_left_out(database, lambda ms: keys(due.list_disputes(database.tx, 30, 9, ms)), added[1], "finalize_market")


def test_registered_outcomes_are_due_while_the_market_is_active() -> None:
    database, active = Database(), MarketState.ACTIVE
    plans = ((active, 20), (active, 10), (active, 31), (MarketState.RESOLVING, 5))
    sql = "INSERT INTO resolution_plans (market, outcome, evidence_hash, due_at, registered_ms) VALUES (?, 1, ?, ?, 0)"
    added = []
    for number, (state, at) in enumerate(plans, start=1):
        added.append(add_market(database, number, state))
        database.write(lambda tx, key=added[-1], at=at: tx.execute(sql, (key, b"E" * 46, at)))
    found = due.list_plans(database.tx, 30, 9, LONG_AGO_MS)
    assert keys(found) == [added[1], added[0]]
    assert (found[0]["plan_outcome"], found[0]["plan_evidence_hash"]) == (1, b"E" * 46)
    assert len(due.list_plans(database.tx, 30, 1, LONG_AGO_MS)) == 1
    check_left_out(database, lambda ms: keys(due.list_plans(database.tx, 30, 9, ms)), added[1], "resolve_market")


def test_proposals_with_new_votes_are_listed() -> None:
    database = Database()
    market, wallet = add_market(database), add_wallet(database, ALICE)
    assert due.list_changed_proposals(database.tx, 9, LONG_AGO_MS) == []
    database.write(lambda tx: add_vote(tx, market, wallet, VoteType.PROPOSAL, True))
    assert due.list_changed_proposals(database.tx, 9, LONG_AGO_MS) == [market]
    check_left_out(
        database,
        lambda ms: due.list_changed_proposals(database.tx, 9, ms),
        market,
        "aggregate_proposal_votes",
    )
    seen = votes.find_tally(database.tx, market, VoteType.PROPOSAL)
    database.write(lambda tx: votes.set_seen(tx, market, VoteType.PROPOSAL, seen))
    assert due.list_changed_proposals(database.tx, 9, NEVER_MS) == []


def test_proposals_ready_for_approval_are_listed_oldest_first() -> None:
    database = Database()
    first = add_market(database, 1, ready_for_approval=1, created_at=30)
    second = add_market(database, 2, ready_for_approval=1, created_at=20)
    add_market(database, 3, created_at=10)
    add_market(database, 4, MarketState.APPROVED, ready_for_approval=1, created_at=1)
    assert keys(due.list_approvals(database.tx, 9, LONG_AGO_MS)) == [second, first]
    assert keys(due.list_approvals(database.tx, 1, LONG_AGO_MS)) == [second]
    check_left_out(database, lambda ms: keys(due.list_approvals(database.tx, 9, ms)), second, "approve_proposal")


@pytest.mark.parametrize("known", [True, False])
def test_a_market_is_found_by_its_key(known: bool) -> None:
    database = Database()
    key = add_market(database)
    found = due.find_market(database.tx, key if known else key + 1)
    assert (found is not None) == known


def test_a_dispute_without_votes_is_left_to_people() -> None:
    database = Database()
    add_market(database, 1, MarketState.DISPUTED, dispute_initiated_at=10)
    assert due.list_disputes(database.tx, 30, 9) == []


def test_a_market_whose_action_failed_lately_does_not_keep_the_others_waiting() -> None:
    database = Database()
    keys = [add_market(database, number, MarketState.RESOLVING, resolution_proposed_at=number) for number in (1, 2)]
    failed = (
        "INSERT INTO intents (action, market, subject, round, args, status, created_ms)"
        " VALUES ('finalize_market', ?, 'x', 1, '{}', 'failed', 1000)"
    )
    database.write(lambda tx: tx.execute(failed, (keys[0],)))
    assert [found["id"] for found in due.list_resolutions(database.tx, 30, 1, failed_since_ms=999)] == [keys[1]]
    assert [found["id"] for found in due.list_resolutions(database.tx, 30, 1, failed_since_ms=1_000)] == [keys[0]]
