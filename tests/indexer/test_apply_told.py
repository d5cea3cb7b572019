"""What clients are told of what is applied, in which order, and what the rows say of it."""

import pytest

from tests.indexer.chain_log import ChainLog, active_market, data_line, whole_life
from tests.indexer.projection import CODEC, Database, in_order
from tests.indexer.walks import walk
from tests.localnet.program_harness import ALICE, BOB, CREATOR, EVE, EVIDENCE_HASH, PROGRAM_ID, RESOLVER
from zmart_lite.indexer.apply import Applier
from zmart_lite.models import GlobalConfig, MarketAccount
from zmart_lite.store.state import markets

TOLD = {
    "MarketCreated": ["market_state"],
    "ProposalVoteSubmitted": ["vote", "voting_progress"],
    "ProposalAggregated": ["voting_progress"],
    "ProposalApproved": ["market_state"],
    "MarketActivated": ["market_state"],
    "SharesBought": ["trade", "market_state", "price", "position"],
    "SharesSold": ["trade", "market_state", "price", "position"],
    "MarketResolved": ["market_state"],
    "DisputeInitiated": ["market_state"],
    "DisputeVoteSubmitted": ["vote", "voting_progress"],
    "DisputeAggregated": ["market_state"],
    "MarketFinalized": ["market_state", "claims_enabled"],
    "WinningsClaimed": ["position"],
    "LiquidityWithdrawn": ["market_state"],
    "MarketCancelled": ["market_state"],
}


def lives() -> ChainLog:
    """Every event that concerns a market, each in a transaction of its own."""
    log = ChainLog().start()
    whole_life(log)
    cancelled = log.create(2)
    log.on(cancelled, "cancel_market")
    counted = log.create(3)
    log.activate(counted)
    log.buy(counted)
    log.resolve(counted)
    log.on(counted, "initiate_dispute", initiator=BOB)
    log.on(counted, "aggregate_dispute_votes", {"final_agrees": 0, "final_disagrees": 1})
    return log


@pytest.mark.parametrize("hidden", [False, True])
def test_each_cause_tells_its_messages_in_their_order(hidden: bool) -> None:
    log, database, told = lives(), Database(), set()
    for transaction in log.transactions:
        head = database.head
        (event_type,) = database.apply(transaction).events
        messages = database.feed(head)
        assert [kind for kind, _ in messages] == TOLD.get(event_type, [])
        for kind, message in messages:
            market_id = bytes.fromhex(message["data"]["market_id"])
            assert message["market_id"] == market_id
            visible = not database.market(market_id)["hidden"]
            assert message["listed"] == (0 if kind == "position" else int(visible))
            assert (message["wallet"] is None) == (kind != "position")
        told.add(event_type)
        if hidden:
            database.write(lambda tx: tx.execute("UPDATE markets SET hidden = 1"))
    assert told >= TOLD.keys()


def test_a_change_of_state_is_marked_as_such_and_a_trade_is_not() -> None:
    log, database = lives(), Database()
    database.apply(*log.transactions)
    for kind, message in database.feed():
        if kind != "market_state":
            continue
        data = message["data"]
        assert message["state_changed"] == int(data["new_state"] is not None or data["action"] == "created")
        assert (data["market"] is None) == (
            data["new_state"] is None and data["action"] != "created" and is_trade(data)
        )


def is_trade(data: dict[str, object]) -> bool:
    return data["state"] == "ACTIVE"


def test_a_trade_tells_what_it_was_and_where_it_left_the_price() -> None:
    log, market_id = active_market()
    database = in_order(log.transactions)
    head = database.head
    log.buy(market_id, BOB, False)
    database.apply(log.transactions[-1])
    found = {kind: message["data"] for kind, message in database.feed(head)}
    assert found["trade"]["outcome"] == "NO"
    assert found["trade"]["trade_type"] == "buy"
    assert found["trade"]["priceYes"] == found["price"]["priceYes"] == found["market_state"]["priceYes"] < 50
    assert found["position"]["shares_no"] == found["trade"]["shares"]
    assert found["price"]["shares_no"] == str(log.market(market_id).shares_no)


def test_late_events_are_told_of_behind_the_market_as_it_stands() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.on(market_id, "submit_proposal_vote", {"vote": True}, user=ALICE)
    log.activate(market_id)
    log.buy(market_id, ALICE)
    log.buy(market_id, BOB, False)
    late = [log.transactions[2], log.transactions[-2]]
    database = in_order([each for each in log.transactions if each not in late])
    head = database.head
    database.apply(*late)
    told = ["market_state", "vote", "voting_progress", "trade", "market_state", "price", "position"]
    assert database.types_after(head) == told
    states = [message["data"] for kind, message in database.feed(head) if kind == "market_state"]
    assert {state["shares_yes"] for state in states} == {str(log.market(market_id).shares_yes)}


def test_what_came_before_its_market_is_told_of_with_it() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.on(market_id, "submit_proposal_vote", {"vote": True}, user=ALICE)
    database = Database()
    database.apply(log.transactions[-1])
    assert database.types_after(0) == []
    database.apply(*log.transactions[:-1])
    assert database.types_after(0) == ["market_state", "vote", "voting_progress"]
    assert database.feed()[0][1]["data"]["action"] == "created"


def test_a_late_finalisation_still_opens_the_claims() -> None:
    log, market_id = active_market()
    log.buy(market_id)
    log.resolve(market_id)
    log.finalize(market_id)
    log.on(market_id, "withdraw_liquidity", creator=CREATOR)
    database = in_order([*log.transactions[:-2], log.transactions[-1]])
    head = database.head
    database.apply(log.transactions[-2])
    assert database.types_after(head) == ["market_state", "claims_enabled"]
    assert database.feed(head)[0][1]["data"]["new_state"] == "FINALIZED"


def test_history_older_than_the_feed_is_not_told_of() -> None:
    log = lives()
    database = Database(feed_since=2**40)
    database.apply(*log.transactions)
    assert database.feed() == []
    assert len(database.dump()["markets"]) == 3


def test_a_market_is_ready_for_approval_from_counts_that_suffice_until_it_is() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    for likes, dislikes, ready in ((9, 0, 0), (10, 0, 1), (5, 5, 0), (9, 1, 1)):
        log.on(market_id, "aggregate_proposal_votes", {"final_likes": likes, "final_dislikes": dislikes})
        assert in_order(log.transactions).market(market_id)["ready_for_approval"] == ready
    log.on(market_id, "approve_proposal")
    assert in_order(log.transactions).market(market_id)["ready_for_approval"] == 0


def test_the_last_change_of_state_is_noted() -> None:
    log, market_id = active_market()
    activated_at = log.market(market_id).activated_at
    log.buy(market_id)
    assert in_order(log.transactions).market(market_id)["last_state_change_at"] == activated_at


def test_refolding_what_does_not_exist_does_nothing() -> None:
    database = Database()
    database.write(lambda tx: Applier(tx, CODEC, database.context).refold(77))
    assert database.feed() == []


def test_an_account_of_the_record_is_the_chains_whatever_it_holds() -> None:
    log = walk(1)
    database = in_order(log.transactions)
    market_id = log.market_ids[0]
    record = markets.find_record(database.tx, market_id)
    assert record is not None
    account = log.market(market_id)
    database.write(lambda tx: markets.put_account(tx, record, account._replace(cancelled_at=5, resolver=EVE)))
    changed = markets.account_of(record, account.bump)
    assert (changed.cancelled_at, changed.resolver) == (5, EVE)
    assert isinstance(account, MarketAccount)
    assert isinstance(log.config, GlobalConfig)
    assert EVIDENCE_HASH != RESOLVER
    assert data_line(b"x").startswith("Program data: ")
    assert CODEC.program_id == PROGRAM_ID
