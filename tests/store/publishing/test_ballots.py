"""Votes cast together: whatever shares a unit of work, the outcome is that of one vote after the other."""

from itertools import groupby
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.indexer.projection import CODEC, NOW_MS, Database, dump
from tests.store.market_rows import ALICE, BOB, EVE, add_market, hold
from tests.store.voting import add_vote
from zmart_lite.errors import RequestError
from zmart_lite.models import MarketState, VoteType
from zmart_lite.store.publishing.ballots import Ballot, Cast, cast_votes
from zmart_lite.store.views.rows import MarketRef

STRANGER = bytes([99]) * 32
WALLETS = (ALICE, BOB, EVE, STRANGER)
STATES = {1: MarketState.PROPOSED, 2: MarketState.PROPOSED, 3: MarketState.DISPUTED, 4: MarketState.ACTIVE}
NOWHERE = 9
STATEMENTS_PER_VOTE_MAX = 2
"""The vote and its message: they decide how many votes a node takes in a second."""


def market_id(number: int) -> bytes:
    return bytes([number]) * 32


def by_id(number: int) -> MarketRef:
    return MarketRef("market_id", market_id(number))


def by_address(number: int) -> MarketRef:
    return MarketRef("address", CODEC.market_address(market_id(number)))


def some_markets() -> Database:
    """Markets of several states; Alice and Bob hold shares of the disputed one, Eve has sold hers."""
    database = Database()
    for number, state in STATES.items():
        key = add_market(database, number, state)
        if state is MarketState.DISPUTED:
            for wallet, shares in ((ALICE, 5), (BOB, 2**64 - 1), (EVE, 0)):
                hold(database, key, wallet, shares)
    return database


def cast(database: Database, ballots: list[Ballot]) -> list[Cast | RequestError]:
    database.now_ms = NOW_MS
    return database.write(lambda tx: cast_votes(tx, database.context, ballots))


def plain(outcome: Cast | RequestError) -> Any:
    return (type(outcome), outcome.reason) if isinstance(outcome, RequestError) else outcome


def told(database: Database) -> tuple[list[Any], dict[Any, Any]]:
    """The vote messages in order, and the last word on how each vote stands."""
    feed = database.feed()
    stands = {(m["data"]["market_id"], m["data"]["vote_type"]): m["data"] for kind, m in feed if kind != "vote"}
    return [message["data"] for kind, message in feed if kind == "vote"], stands


a_ballot = st.builds(
    Ballot,
    st.one_of(st.sampled_from((*STATES, NOWHERE)).map(by_id), st.sampled_from(tuple(STATES)).map(by_address)),
    st.sampled_from(WALLETS),
    st.sampled_from(VoteType),
    st.booleans(),
    st.sampled_from((None, None, ALICE)),
)


@given(st.lists(st.lists(a_ballot, max_size=6), max_size=6))
def test_together_is_as_one_after_the_other(batches: list[list[Ballot]]) -> None:
    together, alone = some_markets(), some_markets()
    outcomes = [plain(outcome) for batch in batches for outcome in cast(together, batch)]
    assert outcomes == [plain(cast(alone, [ballot])[0]) for batch in batches for ballot in batch]
    assert dump(together.tx) == dump(alone.tx)
    assert told(together) == told(alone)


def test_refused_ballots_leave_nothing() -> None:
    database, before = some_markets(), dump(some_markets().tx)
    refused = [
        Ballot(by_id(NOWHERE), STRANGER, VoteType.PROPOSAL, True),
        Ballot(by_id(4), STRANGER, VoteType.PROPOSAL, True),
        Ballot(by_id(3), STRANGER, VoteType.DISPUTE, True),
        Ballot(by_id(3), EVE, VoteType.DISPUTE, True),
        Ballot(by_id(1), STRANGER, VoteType.PROPOSAL, True, named=ALICE),
    ]
    reasons = [outcome.reason for outcome in cast(database, refused) if isinstance(outcome, RequestError)]
    assert reasons == [None, "wrong_state", "no_position", "no_position", "wallet_mismatch"]
    assert dump(database.tx) == before
    assert database.feed() == []
    assert database.tx.value("SELECT count(*) FROM wallets WHERE address = ?", (STRANGER,)) == 0


def test_votes_on_one_market_are_told_each_and_the_progress_once() -> None:
    database = some_markets()
    cast(database, [Ballot(by_id(1), wallet, VoteType.PROPOSAL, wallet is not EVE) for wallet in WALLETS])
    feed = database.feed()
    assert [kind for kind, _ in feed] == ["vote"] * len(WALLETS) + ["voting_progress"]
    counts = [(message["data"]["likes"], message["data"]["dislikes"]) for _, message in feed]
    assert counts == [(1, 0), (2, 0), (2, 1), (3, 1), (3, 1)]


def test_a_further_vote_takes_few_statements() -> None:
    def statements(count: int) -> int:
        database, seen = some_markets(), list[str]()
        ballots = [Ballot(by_id(1), wallet, VoteType.PROPOSAL, True) for wallet in (ALICE, BOB, EVE)[:count]]
        database.tx._connection.set_trace_callback(seen.append)
        cast(database, ballots)
        # The steps of a trigger are traced as the statement that set it off.
        return len([statement for statement, _ in groupby(seen)])

    statements(3)  # the first time the plans of the statements are read
    assert statements(3) - statements(1) <= 2 * STATEMENTS_PER_VOTE_MAX


def test_a_vote_counts_on_from_the_stored_tally() -> None:
    database = some_markets()
    key = database.tx.value("SELECT id FROM wallets WHERE address = ?", (ALICE,))
    market = database.tx.value("SELECT id FROM markets WHERE market_id = ?", (market_id(1),))
    database.write(lambda tx: add_vote(tx, market, key, VoteType.PROPOSAL, False))
    outcomes = cast(database, [Ballot(by_id(1), wallet, VoteType.PROPOSAL, True) for wallet in (ALICE, BOB)])
    assert plain(outcomes[0])[1] == "already_voted"
    assert isinstance(outcomes[1], Cast)
    assert (outcomes[1].tally.likes, outcomes[1].tally.dislikes) == (1, 1)
