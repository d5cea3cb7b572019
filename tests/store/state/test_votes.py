"""Votes and tallies: whatever happens, a tally is what a count of the votes would give."""

import random
from collections.abc import Callable

import pytest

from tests.indexer.chain_log import signature_of
from tests.indexer.projection import Database
from tests.store.market_rows import ALICE, BOB, EVE, add_market, add_wallet, hold, log_event
from tests.store.state.test_markets import CONFIG
from tests.store.voting import add_vote
from zmart_lite.errors import Conflict, Forbidden
from zmart_lite.models import DisputeVoteSubmitted, MarketState, ProposalVoteSubmitted, VoteType
from zmart_lite.store.state import markets, votes
from zmart_lite.store.state.votes import Tally

PROPOSAL, DISPUTE = VoteType.PROPOSAL, VoteType.DISPUTE


def vote(database: Database, market: int, wallet: int, value: bool, kind: VoteType = PROPOSAL) -> tuple[int, Tally]:
    return database.write(lambda tx: add_vote(tx, market, wallet, kind, value))


def vote_on_chain(
    database: Database, market: int, wallet: int, value: bool, kind: VoteType = PROPOSAL, number: int = 1
) -> int:
    event_class = ProposalVoteSubmitted if kind is PROPOSAL else DisputeVoteSubmitted
    event = event_class(bytes([1]) * 32, ALICE, value, 1_700_000_000)
    event_id, _ = log_event(database, event, market, wallet, number, slot=number)
    return database.write(
        lambda tx: votes.apply_chain_vote(tx, market, wallet, kind, value, event_id=event_id, voted_at=1_700_000_000)
    )


def recount(database: Database, market: int, kind: VoteType) -> Tally:
    rows = database.tx.all("SELECT * FROM votes WHERE market = ? AND kind = ?", (market, int(kind)))
    counted = [row for row in rows if row["weight"] != "0"]
    return Tally(
        sum(row["vote"] for row in counted),
        sum(1 - row["vote"] for row in counted),
        sum(int(row["weight"]) for row in counted if row["vote"]),
        sum(int(row["weight"]) for row in counted if not row["vote"]),
    )


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", VoteType)
def test_tallies_equal_a_recount_after_any_sequence(seed: int, kind: VoteType) -> None:
    rng = random.Random(seed)
    database = Database()
    market = add_market(database, state=votes.VOTING_STATE[kind])
    wallets = [hold(database, market, bytes([n]) * 32, rng.choice((0, 1, 2**64 - 1)), 2**63) for n in range(40, 48)]
    wallets.append(hold(database, market, EVE, 0))
    for number in range(1, 40):
        wallet, value = rng.choice(wallets), rng.random() < 0.5
        if rng.random() < 0.5:
            vote_on_chain(database, market, wallet, value, kind, number)
        elif rng.random() < 0.8:
            try:
                vote(database, market, wallet, value, kind)
            except (Conflict, Forbidden):
                continue
        elif rng.random() < 0.5:
            tally = votes.find_tally(database.tx, market, kind)
            database.write(lambda tx, seen=tally: votes.set_seen(tx, market, kind, seen))
        else:
            database.write(lambda tx: tx.execute("UPDATE votes SET event_id = NULL WHERE id % 3 = 0"))
            database.write(lambda tx: (votes.restart(tx, market), votes.recount(tx, market)))
        assert votes.find_tally(database.tx, market, kind)[:4] == recount(database, market, kind)[:4]


def test_a_vote_through_the_node_is_counted() -> None:
    database = Database()
    market, alice, bob = add_market(database), add_wallet(database, ALICE), add_wallet(database, BOB)
    first, tally = vote(database, market, alice, True)
    assert tally == Tally(1, 0, 1, 0)
    _, tally = vote(database, market, bob, False)
    assert tally == Tally(1, 1, 1, 1)
    assert tally.total == 2
    row = votes.get_vote(database.tx, first)
    assert (row["vote"], row["weight"], row["source"], row["wallet_address"]) == (1, "1", "api", ALICE)
    assert row["signature"] is None
    assert votes.find_vote(database.tx, market, alice, PROPOSAL)["id"] == first  # type: ignore[index]
    assert votes.find_vote(database.tx, market, alice, DISPUTE) is None


def refused(database: Database, attempt: Callable[[], object], reason: str) -> None:
    before = database.tx.all("SELECT count(*) FROM votes")[0][0]
    with pytest.raises((Conflict, Forbidden)) as caught:
        attempt()
    assert caught.value.reason == reason
    assert database.tx.all("SELECT count(*) FROM votes")[0][0] == before


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("on_chain", [True, False])
def test_nobody_votes_twice(value: bool, on_chain: bool) -> None:
    database = Database()
    market, alice = add_market(database), add_wallet(database, ALICE)
    if on_chain:
        vote_on_chain(database, market, alice, True)
    else:
        vote(database, market, alice, True)
    refused(database, lambda: vote(database, market, alice, value), "already_voted")
    assert votes.find_tally(database.tx, market, PROPOSAL)[:2] == (1, 0)


@pytest.mark.parametrize("kind", VoteType)
@pytest.mark.parametrize("state", MarketState)
def test_votes_are_taken_in_the_voting_state_only(kind: VoteType, state: MarketState) -> None:
    database = Database()
    market = add_market(database, state=state)
    wallet = hold(database, market, ALICE, 5)
    if state is votes.VOTING_STATE[kind]:
        assert vote(database, market, wallet, True, kind)[1][:2] == (1, 0)
    else:
        refused(database, lambda: vote(database, market, wallet, True, kind), "wrong_state")


def test_a_dispute_is_voted_on_by_holders_with_their_shares() -> None:
    database = Database()
    market = add_market(database, state=MarketState.DISPUTED)
    alice, bob = hold(database, market, ALICE, 2**64 - 1, 2**64 - 1), hold(database, market, BOB, 0, 3)
    _, tally = vote(database, market, alice, True, DISPUTE)
    assert tally == Tally(1, 0, 2 * (2**64 - 1), 0)
    assert vote(database, market, bob, False, DISPUTE)[1] == Tally(1, 1, 2 * (2**64 - 1), 3)
    for outsider in (hold(database, market, EVE, 0), add_wallet(database, bytes([99]) * 32)):
        refused(database, lambda wallet=outsider: vote(database, market, wallet, True, DISPUTE), "no_position")


def test_a_vote_on_chain_replaces_the_nodes_and_comes_back_without_it() -> None:
    database = Database()
    market, alice = add_market(database), add_wallet(database, ALICE)
    vote_id, _ = vote(database, market, alice, False)
    before = dict(votes.get_vote(database.tx, vote_id))
    assert vote_on_chain(database, market, alice, True) == vote_id
    assert votes.find_tally(database.tx, market, PROPOSAL)[:2] == (1, 0)
    row = votes.get_vote(database.tx, vote_id)
    assert (row["source"], row["voted_ms"]) == ("chain", 1_700_000_000_000)
    assert row["signature"] is not None
    assert vote_on_chain(database, market, alice, True, number=2) == vote_id
    assert votes.find_tally(database.tx, market, PROPOSAL)[:2] == (1, 0)
    database.write(lambda tx: tx.execute("UPDATE votes SET event_id = NULL"))
    database.write(lambda tx: (votes.restart(tx, market), votes.recount(tx, market)))
    assert dict(votes.get_vote(database.tx, vote_id)) == before
    assert votes.find_tally(database.tx, market, PROPOSAL)[:2] == (0, 1)


def test_a_vote_on_chain_without_shares_is_kept_and_counts_for_nothing() -> None:
    database = Database()
    market, eve = add_market(database, state=MarketState.DISPUTED), add_wallet(database, EVE)
    vote_id = vote_on_chain(database, market, eve, True, DISPUTE)
    assert votes.get_vote(database.tx, vote_id)["weight"] == "0"
    assert votes.find_tally(database.tx, market, DISPUTE) == Tally()


@pytest.mark.parametrize("voted_at", [2**63 - 1, -(2**63), 0])
def test_no_time_of_a_vote_is_too_much(voted_at: int) -> None:
    database = Database()
    market, alice = add_market(database), add_wallet(database, ALICE)
    event_id, _ = log_event(database, ProposalVoteSubmitted(bytes(32), ALICE, True, voted_at), market, alice)
    database.write(
        lambda tx: votes.apply_chain_vote(tx, market, alice, PROPOSAL, True, event_id=event_id, voted_at=voted_at)
    )
    assert votes.find_tally(database.tx, market, PROPOSAL).total == 1


# For the aggregation


def test_changed_tallies_are_listed_until_they_were_seen() -> None:
    database = Database()
    market, alice, bob = add_market(database), add_wallet(database, ALICE), add_wallet(database, BOB)
    assert votes.list_changed(database.tx, PROPOSAL, 9) == []
    seen = vote(database, market, alice, True)[1]
    assert votes.list_changed(database.tx, PROPOSAL, 9) == [market]
    vote(database, market, bob, True)
    database.write(lambda tx: votes.set_seen(tx, market, PROPOSAL, seen))
    assert votes.list_changed(database.tx, PROPOSAL, 9) == [market]
    database.write(lambda tx: votes.set_seen(tx, market, PROPOSAL, votes.find_tally(tx, market, PROPOSAL)))
    assert votes.list_changed(database.tx, PROPOSAL, 9) == []
    vote_on_chain(database, market, bob, False)
    assert votes.list_changed(database.tx, PROPOSAL, 9) == [market]
    database.write(lambda tx: tx.execute("UPDATE markets SET state = 1"))
    assert votes.list_changed(database.tx, PROPOSAL, 9) == []


def test_what_was_recorded_on_chain_is_marked() -> None:
    database = Database()
    market = add_market(database)
    wallets = [add_wallet(database, bytes([n]) * 32) for n in range(30, 34)]
    early, _ = vote(database, market, wallets[0], True)
    until_ms = database.now_ms
    late, _ = vote(database, market, wallets[1], True)
    before = vote_on_chain(database, market, wallets[2], True, number=10)
    after = vote_on_chain(database, market, wallets[3], True, number=20)
    event_id = database.tx.value("SELECT event_id FROM votes WHERE id = ?", (after,))
    for slot, threshold_bps in ((5, 7_000), (21, 8_000)):
        config = CONFIG._replace(proposal_approval_threshold=threshold_bps)
        database.write(
            lambda tx, each=config, slot=slot: markets.add_config(tx, each, slot=slot, index_in_block=0, event_id=None)  # type: ignore[misc]
        )
    recording = votes.Recording(77, 3, 1, event_id)
    database.write(lambda tx: votes.set_recorded(tx, market, PROPOSAL, recording, until_ms, (15, 0, 0, 0)))
    marked = [bool(votes.get_vote(database.tx, vote_id)["aggregated"]) for vote_id in (early, late, before, after)]
    assert marked == [True, False, True, False]
    tally = votes.find_tally(database.tx, market, PROPOSAL)
    assert tally.last_aggregated_at == 77
    assert tally.recorded == votes.Recorded(3, 1, 7_000, signature_of(20), 20, is_final=False)
    database.write(lambda tx: votes.restart(tx, market))
    tally = votes.find_tally(database.tx, market, PROPOSAL)
    assert (tally.last_aggregated_at, tally.recorded) == (None, None)
    assert database.tx.value("SELECT sum(aggregated) FROM votes") == 0


def test_counts_can_be_recorded_before_anybody_voted_here() -> None:
    database = Database()
    market = add_market(database)
    recording = votes.Recording(77, None, None, 1)
    database.write(lambda tx: votes.set_recorded(tx, market, PROPOSAL, recording, 0, (1, 0, 0, 0)))
    assert votes.find_tally(database.tx, market, PROPOSAL) == Tally(last_aggregated_at=77)


def test_ended_proposals_are_listed_once_each() -> None:
    database = Database()
    old = add_market(database, 1, created_at=10)
    older = add_market(database, 2, created_at=5)
    add_market(database, 3, created_at=11)
    add_market(database, 4, MarketState.ACTIVE, created_at=1)
    add_market(database, 5, known=0, created_at=1)
    assert votes.list_ended_proposals(database.tx, 10, 9) == [older, old]
    assert votes.list_ended_proposals(database.tx, 10, 1) == [older]
    for reviewed_at in (50, 60):
        database.write(lambda tx, at=reviewed_at: votes.set_reviewed(tx, old, at))
    assert votes.list_ended_proposals(database.tx, 10, 9) == [older]
    assert database.tx.value("SELECT reviewed_at FROM markets WHERE id = ?", (old,)) == 50
