"""Casting votes through the node, many in one unit of work.

What votes on the same market have in common is looked up and written once for all of them: the market's row, the
tally, the message of how the vote stands.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from zmart_lite.errors import RequestError
from zmart_lite.models import VoteType
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import kept
from zmart_lite.store.publishing import messages
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.state import markets, votes
from zmart_lite.store.state.votes import NewVote, Tally, Voter
from zmart_lite.store.views import lookups, rows
from zmart_lite.store.views.rows import Json, MarketRef


class Ballot(NamedTuple):
    """A vote as it was sent. ``wallet`` has signed in, ``named`` is the wallet in the body, if one is there."""

    ref: MarketRef
    wallet: bytes
    kind: VoteType
    vote: bool
    named: bytes | None = None


class Cast(NamedTuple):
    """A stored vote as clients see it, and the counts with it."""

    row: Json
    tally: Tally


def cast_votes(tx: Tx, context: FeedContext, ballots: list[Ballot]) -> list[Cast | RequestError]:
    """Store votes and tell of each, then of how each vote stands after them. A ballot that is refused leaves nothing.

    Refusals, in the order in which they are looked for: NotFound; Forbidden ``wallet_mismatch`` or ``no_position``;
    Conflict ``wrong_state`` or ``already_voted``.
    """
    count = _Count(tx, context, ballots)
    outcomes = [count.outcome(ballot) for ballot in ballots]
    count.close()
    return outcomes


class _Count:
    """The markets that votes came for, who has voted on them, and their tallies so far."""

    def __init__(self, tx: Tx, context: FeedContext, ballots: list[Ballot]) -> None:
        self._tx, self._context = tx, context
        self._voted_ms = context.chain_now() * 1_000
        self._markets = {ref: lookups.find_market(tx, ref) for ref in {ballot.ref for ballot in ballots}}
        self._wallets = markets.wallet_keys(tx, [ballot.wallet for ballot in ballots])
        self._voted = votes.list_voted(tx, list(self._voters(ballots)))
        self._tallies: dict[tuple[int, VoteType], Tally] = {}
        self._touched: dict[tuple[int, VoteType], Row] = {}
        self._new: list[NewVote] = []
        self._next_id = votes.next_vote_id(tx)

    def _voters(self, ballots: list[Ballot]) -> Iterator[Voter]:
        for ballot in ballots:
            market, wallet = self._markets[ballot.ref], self._wallets.get(ballot.wallet)
            if market is not None and wallet is not None:
                yield market["id"], wallet, int(ballot.kind)

    def outcome(self, ballot: Ballot) -> Cast | RequestError:
        try:
            return self._cast(ballot)
        except RequestError as refusal:
            return refusal

    def close(self) -> None:
        votes.insert_votes(self._tx, self._new, self._voted_ms)
        stored = Counter((vote.market, vote.kind) for vote in self._new)
        for (key, kind), market in self._touched.items():
            tally = self._tallies[key, kind]
            votes.save_tally(self._tx, key, kind, tally, changed=True)
            kept.count_votes(self._tx, key, kind, stored[key, kind])
            messages.publish_progress_row(self._tx, self._context, market, tally, kind)

    def _cast(self, ballot: Ballot) -> Cast:
        market, kind, wallet = self._markets[ballot.ref], ballot.kind, ballot.wallet
        if market is None:
            raise lookups.no_market()
        votes.require_own(wallet, ballot.named)
        key = self._wallets.get(wallet)
        weight = votes.require_weight(self._tx, market["id"], key, kind)
        votes.require_open(market, kind)
        vote_id = self._store(market["id"], wallet, ballot, weight)
        place = market["id"], kind
        tally = self._tallies[place] = self._tally(place).plus(ballot.vote, weight)
        self._touched[place] = market
        row = rows.new_vote_row(vote_id, market["market_id"], wallet, kind, ballot.vote, weight, self._voted_ms)
        messages.publish_vote_row(self._tx, market, row, tally)
        return Cast(row, tally)

    def _store(self, market: int, wallet: bytes, ballot: Ballot, weight: int) -> int:
        """Have the vote stored with the others; its id. Raises Conflict ``already_voted``."""
        key = self._wallets.get(wallet)
        if key is None:
            key = self._wallets[wallet] = markets.wallet_key(self._tx, wallet)
        voter = market, key, int(ballot.kind)
        if voter in self._voted:
            raise votes.already_voted()
        self._voted.add(voter)
        vote_id, self._next_id = self._next_id, self._next_id + 1
        self._new.append(NewVote(vote_id, *voter, ballot.vote, str(weight)))
        return vote_id

    def _tally(self, place: tuple[int, VoteType]) -> Tally:
        found = self._tallies.get(place)
        if found is None:
            found = self._tallies[place] = votes.find_tally(self._tx, *place)
        return found
