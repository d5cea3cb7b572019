"""Casting votes through the node, many in one unit of work.

What votes on the same market have in common is looked up and written once for all of them: the market's row, the
tally, the message of how the vote stands.
"""

from collections import Counter
from typing import NamedTuple

from zmart_lite.errors import RequestError
from zmart_lite.models import VoteType
from zmart_lite.store import kept, lookups, markets, messages, rows, votes
from zmart_lite.store.db import Row, Tx
from zmart_lite.store.messages import FeedContext
from zmart_lite.store.rows import Json, MarketRef
from zmart_lite.store.votes import Tally


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
    count = _Count(tx, context, markets.wallet_keys(tx, [ballot.wallet for ballot in ballots]))
    outcomes = [count.outcome(ballot) for ballot in ballots]
    count.close()
    return outcomes


class _Count:
    """The markets that votes came for, and their tallies so far."""

    def __init__(self, tx: Tx, context: FeedContext, wallets: dict[bytes, int]) -> None:
        self._tx, self._context, self._wallets = tx, context, wallets
        self._voted_ms = context.chain_now() * 1_000
        self._markets: dict[MarketRef, Row] = {}
        self._tallies: dict[tuple[int, VoteType], Tally] = {}
        self._touched: dict[tuple[int, VoteType], Row] = {}
        self._stored: Counter[tuple[int, VoteType]] = Counter()

    def outcome(self, ballot: Ballot) -> Cast | RequestError:
        try:
            return self._cast(ballot)
        except RequestError as refusal:
            return refusal

    def close(self) -> None:
        for (key, kind), market in self._touched.items():
            tally = self._tallies[key, kind]
            votes.save_tally(self._tx, key, kind, tally, changed=True)
            kept.count_votes(self._tx, key, kind, self._stored[key, kind])
            messages.publish_progress_row(self._tx, self._context, market, tally, kind)

    def _cast(self, ballot: Ballot) -> Cast:
        market, kind = self._market(ballot.ref), ballot.kind
        votes.require_own(ballot.wallet, ballot.named)
        key = self._wallets.get(ballot.wallet)
        weight = votes.require_weight(self._tx, market["id"], key, kind)
        votes.require_open(market, kind)
        if key is None:
            key = self._wallets[ballot.wallet] = markets.wallet_key(self._tx, ballot.wallet)
        vote_id = votes.insert_vote(self._tx, market["id"], key, kind, ballot.vote, weight, self._voted_ms)
        place = market["id"], kind
        tally = self._tallies[place] = self._tally(place).plus(ballot.vote, weight)
        self._touched[place] = market
        self._stored[place] += 1
        row = rows.new_vote_row(vote_id, market["market_id"], ballot.wallet, kind, ballot.vote, weight, self._voted_ms)
        messages.publish_vote_row(self._tx, market, row, tally)
        return Cast(row, tally)

    def _market(self, ref: MarketRef) -> Row:
        found = self._markets.get(ref)
        if found is None:
            found = self._markets[ref] = lookups.get_market(self._tx, ref)
        return found

    def _tally(self, place: tuple[int, VoteType]) -> Tally:
        found = self._tallies.get(place)
        if found is None:
            found = self._tallies[place] = votes.find_tally(self._tx, *place)
        return found
