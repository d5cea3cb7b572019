"""Folds events into markets, positions and votes, within one open transaction.

Markets and positions are folded in memory, as the program's own values, and written when :meth:`Projection.flush` is
called: once per batch, and whenever something reads them from the database.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from zmart_lite import models
from zmart_lite.codec import Codec
from zmart_lite.errors import ProgramError, UndecodableData
from zmart_lite.indexer import fold
from zmart_lite.indexer.configs import ConfigLog
from zmart_lite.indexer.fold import TRADES, FactsMissing, Holding, TradedMarket
from zmart_lite.indexer.known import Key, Known
from zmart_lite.indexer.new_rows import NewRows
from zmart_lite.indexer.places import Place
from zmart_lite.models import ChainEvent, VoteType
from zmart_lite.store.engine.amounts import u64_text
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import intents, markets, positions, texts, votes
from zmart_lite.store.state.markets import Record

CLAIMS = (models.WinningsClaimed, models.WinningsClaimedLegacy)
TradeEvent = models.SharesBought | models.SharesSold
HoldingEvent = TradeEvent | models.WinningsClaimed | models.WinningsClaimedLegacy
VOTES = {models.ProposalVoteSubmitted: VoteType.PROPOSAL, models.DisputeVoteSubmitted: VoteType.DISPUTE}


class PositionReading(NamedTuple):
    """A position's account, and the slot at which it was read."""

    slot: int
    account: models.UserPosition


class Projection:
    """``new_rows`` are written before anything that refers to them."""

    def __init__(
        self,
        tx: Tx,
        codec: Codec,
        context: messages.FeedContext,
        known: Known,
        configs: ConfigLog,
        new_rows: NewRows,
    ) -> None:
        self._tx = tx
        self._codec = codec
        self._context = context
        self._known = known
        self._configs = configs
        self._new_rows = new_rows
        self._accounts: dict[int, models.MarketAccount] = {}
        self._unput: set[int] = set()
        self._traded: dict[int, TradedMarket] = {}
        """In the place of the account, as long as nothing but trades comes."""
        self._trades: list[positions.TradeRow] = []
        self._holdings: dict[Key, Holding] = {}
        self._readings: dict[Key, PositionReading] = {}
        self._dirty_records: set[int] = set()
        self._dirty_holdings: set[Key] = set()

    def touch(self, record: Record) -> None:
        """Have the record written."""
        self._dirty_records.add(record["id"])

    def fold(
        self, record: Record, event: ChainEvent, facts: Mapping[str, Any], place: Place, event_id: int
    ) -> messages.Cause:
        """Fold an event into everything it touches; what to tell of it."""
        market, old_state = record["id"], record["state"] if record["known"] else None
        if isinstance(event, TRADES):
            self._dirty_records.add(market)
            self._fold_trade(record, event, place)
            self._advance(record, event, place, old_state)
            key = self._fold_holding(record, event, place)
            record["trades_count"] += 1
            self._trades.append(positions.trade_row(event, event_id, market, key[1]))
            return fold.new(messages.Cause, (market, record["market_id"], event_id, old_state, None, key, False))
        self._fold_account(record, event, facts, place)
        self._advance(record, event, place, old_state)
        holding = self._fold_holding(record, event, place) if isinstance(event, CLAIMS) else None
        self._record_counts(record, event, facts, place, event_id)
        vote = self._apply_vote(record, event, event_id)
        attached = isinstance(event, models.MarketCreated) and texts.attach_draft(self._tx, record)
        self._dirty_records.add(market)
        return messages.Cause(market, record["market_id"], event_id, old_state, vote, holding, attached)

    def _fold_trade(self, record: Record, event: TradeEvent, place: Place) -> None:
        """The amounts that a trade changes, or the flag that the account has to be read."""
        if is_in_baseline(record, place):
            return
        try:
            if not record["known"]:
                raise FactsMissing("the market's earlier history")
            rates = self._configs.rates_at(place)
            traded = self._traded.get(record["id"]) or self._begin_trading(record)
            traded.fold(event, rates)
            record["source"] = "event"
        except (FactsMissing, ProgramError, ValueError):
            record["needs_resync"] = 1

    def _begin_trading(self, record: Record) -> TradedMarket:
        """The market's amounts, to be folded in the place of its account."""
        self._put(record)
        self._accounts.pop(record["id"], None)
        traded = TradedMarket(**{column: int(record[column]) for column in TradedMarket.__slots__})
        self._traded[record["id"]] = traded
        return traded

    def _fold_account(self, record: Record, event: ChainEvent, facts: Mapping[str, Any], place: Place) -> None:
        """The account's fields after the event, or the flag that they have to be read."""
        if isinstance(event, models.MarketCreated) and "question_hash" in facts:
            record["question_hash"] = bytes.fromhex(facts["question_hash"])
        if is_in_baseline(record, place):
            return
        try:
            if isinstance(event, models.MarketCreated):
                account = fold.new_market(event, facts, self._bump(record))
                record["known"] = 1
            elif record["known"]:
                account = fold.fold_market(self._account(record), event, facts)
            else:
                raise FactsMissing("the market's earlier history")
            self._take_over(record, account, at_once=isinstance(event, models.MarketCreated))
            record["source"] = "event"
        except (FactsMissing, ProgramError, ValueError):
            record["needs_resync"] = 1

    def _bump(self, record: Record) -> int:
        return self._codec.market_pda(record["market_id"])[1]

    def _account(self, record: Record) -> models.MarketAccount:
        """The account that the record stands for."""
        if record["id"] in self._traded:
            self._put(record)
            del self._traded[record["id"]]
        return self._accounts.get(record["id"]) or markets.account_of(record, self._bump(record))

    def _take_over(self, record: Record, account: models.MarketAccount, *, at_once: bool) -> None:
        """Keep an account until :meth:`flush` puts it into its record, of which only the state is used meanwhile.

        Raises ValueError, having changed nothing, for an amount outside u64.
        """
        markets.require_amounts(account)
        self._accounts[record["id"]] = account
        self._traded.pop(record["id"], None)
        self._unput.add(record["id"])
        record["state"] = int(account.state)
        if at_once:
            self._put(record)

    def _put(self, record: Record) -> None:
        """What was folded in memory, into the record."""
        traded = self._traded.get(record["id"])
        if traded is not None:
            record |= {column: u64_text(amount) for column, amount in traded.amounts().items()}
        if record["id"] in self._unput:
            self._unput.discard(record["id"])
            markets.put_account(self._tx, record, self._accounts[record["id"]])

    def _advance(self, record: Record, event: ChainEvent, place: Place, old_state: int | None) -> None:
        record["slot"], record["index_in_block"] = place.slot, place.index_in_block
        record["last_transaction"], record["last_event_index"] = place.transaction_id, place.event_index
        record["updated_ms"] = self._tx.now_ms
        if record["state"] != old_state:
            record["last_state_change_at"] = fold.event_time(event)
            record["ready_for_approval"] = 0
        if isinstance(event, models.ProposalAggregated):
            enough = event.likes + event.dislikes >= self._context.settings.proposal_votes_min
            record["ready_for_approval"] = int(event.approved and enough)

    def _fold_holding(self, record: Record, event: HoldingEvent, place: Place) -> Key:
        """Fold a trade or claim into its owner's position; the position's key."""
        wallet = self._known.wallet(event.user)
        key = (record["id"], wallet)
        reading = self._readings.get(key)
        if reading is not None and place.slot > reading.slot:
            self._adopt(record, key)
            reading = None
        held = self._holdings.get(key) or self._known.holding(record, key, event.user)
        try:
            self._holdings[key] = fold.fold_holding(held, event)
        except FactsMissing:
            # What a reading of the account contains need not add up in the log.
            if reading is None and place.slot > (record["baseline_slot"] or -1):
                record["needs_resync"] = 1
        self._dirty_holdings.add(key)
        return key

    def _adopt(self, record: Record, key: Key) -> None:
        """Put a position's account as read from the chain in the place of what its events came to."""
        account = self._readings.pop(key).account
        held = self._holdings.get(key) or self._known.holding(record, key, account.user)
        self._holdings[key] = fold.adopt_holding(held, account)
        self._dirty_holdings.add(key)

    def _read_baselines(self, market: int) -> None:
        """The accounts of a market's positions, to be adopted on the way. An unreadable one counts for nothing."""
        for row in positions.list_baselines(self._tx, market):
            try:
                account = self._codec.decode_account(row["data"])
            except UndecodableData:
                continue
            if isinstance(account, models.UserPosition):
                self._readings[market, row["wallet"]] = PositionReading(row["slot"], account)

    def _record_counts(
        self, record: Record, event: ChainEvent, facts: Mapping[str, Any], place: Place, event_id: int
    ) -> None:
        """Note the counts that the event has put on chain, if it has."""
        kind = _recorded_kind(event)
        if kind is None:
            return
        self.flush()
        recording = votes.Recording(fold.event_time(event), *_counts(event, facts), event_id)
        until_ms = intents.counted_until_ms(self._tx, place.transaction_id)
        votes.set_recorded(self._tx, record["id"], kind, recording, until_ms, place)

    def _apply_vote(self, record: Record, event: ChainEvent, event_id: int) -> int | None:
        """Enter a vote cast on chain; its id."""
        if not isinstance(event, models.ProposalVoteSubmitted | models.DisputeVoteSubmitted):
            return None
        # The weight of a dispute vote is read from the positions in the database.
        self.flush()
        return votes.apply_chain_vote(
            self._tx,
            record["id"],
            self._known.wallet(event.user),
            VOTES[type(event)],
            event.vote,
            event_id=event_id,
            voted_at=event.timestamp,
        )

    # The whole batch

    def flush(self) -> None:
        """Write what changed in memory."""
        self._new_rows.write()
        dirty = [record for key in self._dirty_records if (record := self._known.record(key)) is not None]
        for record in dirty:
            self._put(record)
        markets.save_records(self._tx, dirty)
        positions.add_trades(self._tx, self._trades)
        self._known.save_holdings({key: self._holdings[key] for key in self._dirty_holdings if key in self._holdings})
        self._trades.clear()
        self._dirty_records.clear()
        self._dirty_holdings.clear()

    def begin_again(self, record: Record) -> None:
        """Forget what a market's events came to, so that they can be folded again from the first."""
        market = record["id"]
        self.flush()
        positions.forget_market(self._tx, market)
        votes.restart(self._tx, market)
        self._holdings = {key: value for key, value in self._holdings.items() if key[0] != market}
        self._known.forget_positions(market)
        self._reset(record)
        self._read_baselines(market)

    def end_again(self, record: Record) -> None:
        """All of the market's events have been folded again."""
        market = record["id"]
        for key in [key for key in self._readings if key[0] == market]:
            self._adopt(record, key)
        self.flush()
        votes.recount(self._tx, market)

    def _reset(self, record: Record) -> None:
        """The market as before its first event, or as its baseline has it."""
        record |= {"known": 0, "slot": 0, "index_in_block": 0, "last_transaction": None, "last_event_index": -1}
        record |= {"trades_count": 0, "source": "event", "ready_for_approval": 0, "last_state_change_at": 0}
        record["needs_resync"] = int(is_incomplete(record))
        self._dirty_records.add(record["id"])
        self._accounts.pop(record["id"], None)
        self._traded.pop(record["id"], None)
        try:
            account = None if record["baseline"] is None else self._codec.decode_account(record["baseline"])
        except UndecodableData:
            account, record["needs_resync"] = None, 1
        if not isinstance(account, models.MarketAccount):
            markets.clear_account(record)
            return
        markets.put_account(self._tx, record, account)
        record |= {"known": 1, "source": "reconciliation", "slot": record["baseline_slot"]}
        record["last_state_change_at"] = max(getattr(account, field) or 0 for field in fold.STATE_TIMES)
        if record["question_hash"] is None and account.state not in fold.RESOLVED_STATES:
            record["question_hash"] = account.ipfs_evidence_hash


def is_in_baseline(record: Record, place: Place) -> bool:
    """Whether the reading of the account from which the market is folded contains an event of that place."""
    return record["baseline_slot"] is not None and place.slot <= record["baseline_slot"]


def _recorded_kind(event: ChainEvent) -> VoteType | None:
    """The kind of the votes whose counts an event has put on chain."""
    if isinstance(event, models.ProposalAggregated):
        return VoteType.PROPOSAL
    if isinstance(event, models.DisputeAggregated) or (
        isinstance(event, models.MarketFinalized) and event.was_disputed
    ):
        return VoteType.DISPUTE
    return None


def _counts(event: ChainEvent, facts: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The counts for and against that an event put on chain; None where its instruction could not be read."""
    match event:
        case models.ProposalAggregated():
            return event.likes, event.dislikes
        case models.DisputeAggregated():
            return event.agrees, event.disagrees
        case _:
            return facts.get("dispute_agree"), facts.get("dispute_disagree")


def is_incomplete(record: Record) -> bool:
    """Whether the market has a transaction that could not be read whole and that its baseline does not contain."""
    slot, baseline_slot = record["incomplete_slot"], record["baseline_slot"]
    return slot is not None and (baseline_slot is None or baseline_slot < slot)
