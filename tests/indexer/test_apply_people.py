"""What people wrote and voted, as far as the chain decides it: texts of markets, votes."""

import random

import pytest

from tests.indexer.chain_log import ChainLog, whole_life
from tests.indexer.projection import Database, in_order
from tests.indexer.walks import SEEDS, shuffled, walk
from tests.localnet.program_harness import ALICE, BOB, CREATOR, EVE
from tests.store.voting import add_vote
from zmart_lite.drafts import MarketText, canonical_json, cid_v0
from zmart_lite.models import VoteType
from zmart_lite.store.state import markets, positions, texts, votes

# Texts


TEXT = MarketText("Will it rain?", "In Berlin.", "other", ("rain",), 1_800_000_000)


def with_draft(wallet: bytes, hash_: bytes | None = None) -> tuple[ChainLog, Database, bytes]:
    text = canonical_json(TEXT)
    cid = cid_v0(text.encode())
    log = ChainLog().start()
    market_id = log.create(1, hash_=hash_ or cid.encode())
    database = Database()
    add = lambda tx: texts.add_draft(  # noqa: E731
        tx, market_id=market_id, wallet=wallet, cid=cid, canonical_json=text, lifetime_ms=1_000
    )
    database.write(add)
    database.apply(*log.transactions)
    return log, database, market_id


def question_of(database: Database) -> str | None:
    return database.dump()["markets"][0]["question"]


def test_a_draft_is_attached_where_hash_and_creator_match() -> None:
    _, database, market_id = with_draft(CREATOR)
    assert question_of(database) == "Will it rain?"
    assert database.tx.value("SELECT count(*) FROM drafts") == 0
    assert database.market(market_id)["listed_end_date"] == 1_800_000_000
    kind, message = database.feed()[-1]
    assert (kind, message["data"]["action"]) == ("market_state", "created")
    assert message["data"]["market"]["question"] == "Will it rain?"


@pytest.mark.parametrize(("wallet", "hash_"), [(EVE, None), (CREATOR, b"Q" * 46)])
def test_a_draft_by_another_or_with_another_hash_is_not_attached(wallet: bytes, hash_: bytes | None) -> None:
    _, database, _ = with_draft(wallet, hash_)
    assert question_of(database) is None
    assert database.tx.value("SELECT count(*) FROM drafts") == 1


def test_the_text_of_a_dropped_market_is_a_draft_again() -> None:
    log, database, _ = with_draft(CREATOR)
    head = database.head
    database.remove(log.transactions[-1].signature)
    assert database.dump()["markets"] == []
    assert database.tx.value("SELECT count(*) FROM question_trigrams") == 0
    ((kind, message),) = database.feed(head)
    assert (kind, message["data"]["action"]) == ("market_state", "deleted")
    database.apply(log.transactions[-1])
    assert question_of(database) == "Will it rain?"


# Votes


@pytest.mark.parametrize("seed", SEEDS)
def test_tallies_equal_a_recount_in_any_order(seed: int) -> None:
    log = walk(seed)
    rng = random.Random(seed)
    database = Database()
    for batch in shuffled(log.transactions, rng):
        database.apply(*batch)
    for row in database.tx.all("SELECT * FROM tallies"):
        check_tally(database, row["market"], VoteType(row["kind"]))


def check_tally(database: Database, market: int, kind: VoteType) -> None:
    cast = database.tx.all("SELECT * FROM votes WHERE market = ? AND kind = ?", (market, int(kind)))
    for row in cast:
        expected = positions.held_shares(database.tx, market, row["wallet"]) if kind is VoteType.DISPUTE else 1
        assert int(row["weight"]) == expected
    counted = [row for row in cast if int(row["weight"])]
    tally = votes.find_tally(database.tx, market, kind)
    assert tally.likes == sum(row["vote"] for row in counted)
    assert tally.total == len(counted)
    assert tally.agree_weight == sum(int(row["weight"]) for row in counted if row["vote"])
    assert tally.disagree_weight == sum(int(row["weight"]) for row in counted if not row["vote"])


def test_a_dispute_vote_in_the_batch_of_the_trade_weighs_the_shares() -> None:
    log = ChainLog().start()
    market_id = whole_life(log)
    for feed_since in (0, 2**40):
        database = Database(feed_since)
        database.apply(*log.transactions)
        tally = votes.find_tally(database.tx, database.market(market_id)["id"], VoteType.DISPUTE)
        held = {user: position.shares_yes + position.shares_no for user, position in log.positions(market_id).items()}
        assert (tally.agree_weight, tally.disagree_weight) == (held[BOB], held[ALICE])
        assert tally.last_aggregated_at == log.market(market_id).finalized_at


def test_a_dropped_vote_gives_the_nodes_vote_back() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    database = in_order(log.transactions)
    key = database.market(market_id)["id"]
    wallet = database.write(lambda tx: markets.wallet_key(tx, ALICE))
    database.write(lambda tx: add_vote(tx, key, wallet, VoteType.PROPOSAL, False))
    before = database.dump()
    log.on(market_id, "submit_proposal_vote", {"vote": True}, user=ALICE)
    log.on(market_id, "submit_proposal_vote", {"vote": True}, user=BOB)
    database.apply(*log.transactions)
    assert votes.find_tally(database.tx, key, VoteType.PROPOSAL)[:2] == (2, 0)
    for transaction in log.transactions[-2:]:
        database.remove(transaction.signature)
    assert database.dump() == before
    assert votes.find_tally(database.tx, key, VoteType.PROPOSAL)[:2] == (0, 1)


def test_votes_recorded_on_chain_are_marked() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.on(market_id, "submit_proposal_vote", {"vote": True}, user=ALICE)
    log.on(market_id, "aggregate_proposal_votes", {"final_likes": 1, "final_dislikes": 0})
    log.on(market_id, "submit_proposal_vote", {"vote": True}, user=BOB)
    for database in (in_order(log.transactions), Database()):
        database.apply(*reversed(log.transactions))
        marked = {row["wallet_address"]: row["aggregated"] for row in database.dump()["votes"]}
        assert marked == {ALICE: 1, BOB: 0}
