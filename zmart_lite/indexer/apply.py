"""Applies transactions to the database, inside one unit of work: log rows, projections and feed messages together.

Events apply in chain order — slot, place in the block, event index — whatever the order of their arrival. One that
comes behind everything its market has seen is folded onto the market as it stands; one that comes late makes that
market, and only that one, be folded again from its log. What an event and the known history do not determine flags
the market for a reading of its account (``needs_resync``); nothing is guessed.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from zmart_lite import models
from zmart_lite.chain.events import ProgramInstruction, events_of, has_unknown_calls, program_instructions
from zmart_lite.codec import Codec, event_name
from zmart_lite.errors import ProgramError, UndecodableData
from zmart_lite.indexer import fold
from zmart_lite.indexer.configs import ConfigLog
from zmart_lite.indexer.fold import FactsMissing, Holding
from zmart_lite.indexer.known import Key, Known
from zmart_lite.indexer.places import Place, facts_in, place_of
from zmart_lite.indexer.touched import touched_by
from zmart_lite.models import ChainEvent, ChainTransaction, LoggedEvent, ParsedLogs, VoteType
from zmart_lite.store import chainlog, intents, markets, messages, positions, texts, votes
from zmart_lite.store.db import Tx
from zmart_lite.store.markets import Record

TRADES = (models.SharesBought, models.SharesSold)
CLAIMS = (models.WinningsClaimed, models.WinningsClaimedLegacy)
HoldingEvent = models.SharesBought | models.SharesSold | models.WinningsClaimed | models.WinningsClaimedLegacy
HOLDING_EVENTS = (*TRADES, *CLAIMS)
CONFIG_EVENTS = (models.GlobalConfigInitialized, models.ConfigUpdated, models.ProtocolPauseStatusChanged)
VOTES = {models.ProposalVoteSubmitted: VoteType.PROPOSAL, models.DisputeVoteSubmitted: VoteType.DISPUTE}


class Applied(NamedTuple):
    """What a batch came to."""

    transactions: int
    events: tuple[str, ...]
    """Types of the new events, in the order of application."""
    unordered_slots: tuple[int, ...]
    """Slots whose transactions' places must be asked for."""
    dead_letters: int
    markets: tuple[bytes, ...]
    """Ids of the markets that changed."""


class PositionReading(NamedTuple):
    """A position's account, and the slot at which it was read."""

    slot: int
    account: models.UserPosition


class Applier:
    """Folds transactions into the database through one open transaction. Call :meth:`add` for each, then
    :meth:`finish`.
    """

    def __init__(self, tx: Tx, codec: Codec, context: messages.FeedContext, *, quiet: bool = False) -> None:
        """``quiet``: folding a market again tells nobody."""
        self._tx = tx
        self._codec = codec
        self._context = context
        self._quiet = quiet
        self._known = Known(tx, codec)
        self._accounts: dict[int, models.MarketAccount] = {}
        self._unput: set[int] = set()
        self._new_transactions: list[chainlog.TransactionRow] = []
        self._new_events: list[chainlog.EventRow] = []
        self._trades: list[positions.TradeRow] = []
        self._transaction_key, self._event_key = chainlog.next_keys(tx)
        self._holdings: dict[Key, Holding] = {}
        self._readings: dict[Key, PositionReading] = {}
        self._dirty_records: set[int] = set()
        self._dirty_holdings: set[Key] = set()
        self._late: set[int] = set()
        self._untold: set[int] = set()
        self._configs_from: int | None = None
        self._configs = ConfigLog(tx, codec, context)
        self._has_letters = chainlog.count_dead_letters(tx) > 0
        self._kept = False
        self._events: list[str] = []
        self._slots: set[int] = set()
        self._transactions = 0
        self._dead_letters = 0

    # One transaction

    def prefetch(self, signatures: Sequence[bytes], events: Sequence[ChainEvent]) -> None:
        """Look up at once what transactions that will be added ask for."""
        self._known.prefetch(signatures, events)

    def add(
        self,
        found: ChainTransaction,
        *,
        source: str,
        finality: int,
        checked: bool = True,
        parsed: ParsedLogs | None = None,
    ) -> bool:
        """Enter a transaction; False if it was known. Its events are folded, or their market noted for a new fold.

        ``checked``: it was read from the cluster, not merely told by a delivery. ``parsed``: what its logs hold, if
        that is known already.
        """
        parsed = parsed or events_of(self._codec, found)
        if not self._known.enters(found.signature):
            self.flush()
            chainlog.set_known(self._tx, found, finality)
            if found.index_in_block is not None:
                self._note(chainlog.set_places(self._tx, found.slot, {found.signature: found.index_in_block}))
            return False
        transaction_id = self._transaction_key
        self._transaction_key += 1
        self._new_transactions.append(
            chainlog.transaction_row(
                transaction_id, found, complete=parsed.complete, finality=finality, source=source, checked=checked
            )
        )
        self._transactions += 1
        self._slots.add(found.slot)
        self._kept = False
        for logged in parsed.events:
            self._add_event(found, transaction_id, logged)
        if not parsed.complete:
            self._keep(found, "truncated", "The runtime truncated this transaction's logs; events may be missing.")
        is_strange = has_unknown_calls(self._codec, found)
        if is_strange:
            self._keep(found, "transaction", "It calls an instruction that this version does not know.")
        if is_strange or not parsed.complete or any(logged.event is None for logged in parsed.events):
            self._flag_touched(found)
        elif (
            self._has_letters
            and not self._kept
            and chainlog.resolve_dead_letters(self._tx, found.signature, chainlog.INDEXED)
        ):
            messages.resolve_undecodable(self._tx)
        return True

    def _add_event(self, found: ChainTransaction, transaction_id: int, logged: LoggedEvent) -> None:
        event = logged.event
        if event is None:
            self._keep(found, "event", logged.error or "undecodable", logged.event_index, logged.data)
            return
        facts = self._facts(found, logged, event)
        if isinstance(event, TRADES):
            self._known.name_position(event, found, logged.event_index)
        market = self._market_of(event)
        event_type = event_name(event)
        wallet = fold.wallet_of(event)
        event_id = self._event_key
        self._event_key += 1
        self._new_events.append(
            chainlog.event_row(
                event_id,
                transaction_id,
                found,
                logged.event_index,
                event_type,
                market=None if market is None else market["id"],
                wallet=None if wallet is None else self._known.wallet(wallet),
                timestamp=fold.event_time(event),
                data=logged.data,
                facts=facts,
            )
        )
        self._events.append(event_type)
        place = Place(found.slot, found.index_in_block or 0, transaction_id, logged.event_index)
        if isinstance(event, CONFIG_EVENTS):
            self.flush()
            if self._configs.is_late(place):
                self._note(chainlog.LogChange(frozenset(), found.slot))
            else:
                self._configs.add(event, facts or {}, place, event_id)
        elif market is None:
            if isinstance(event, models.WinningsClaimed):
                self._context.markets_unknown[event.market] = found.slot
            self._keep(found, "event", "the market of this event is not known", logged.event_index, logged.data)
        elif market["id"] in self._late or _is_behind(place, market) or _in_baseline(market, place):
            self._late.add(market["id"])
            if not self._is_old(event):
                self._untold.add(event_id)
        else:
            self._apply(market, event, facts or {}, place, event_id, quiet=self._is_old(event))

    def _facts(self, found: ChainTransaction, logged: LoggedEvent, event: ChainEvent) -> Mapping[str, Any] | None:
        """What the event's instruction tells that the event leaves out."""
        if not isinstance(event, fold.WITH_FACTS):
            return None
        calls = program_instructions(self._codec, found)
        return facts_for(self._codec, calls[logged.event_index], event) if logged.event_index < len(calls) else None

    def _keep(
        self, found: ChainTransaction, kind: str, error: str, index: int | None = None, data: bytes | None = None
    ) -> None:
        added = chainlog.add_dead_letter(
            self._tx, kind, error, signature=found.signature, event_index=index, slot=found.slot, payload=data
        )
        self._has_letters = self._kept = True
        if added is not None:
            self._dead_letters += 1
            messages.publish_undecodable(self._tx, kind, found.signature, error)

    def _flag_touched(self, found: ChainTransaction) -> None:
        """Have the accounts of the markets that a transaction names, or the config, read from the chain."""
        touched = touched_by(self._codec, found)
        for market_id in touched.created:
            self.flag(self._market_by_id(market_id), found.slot)
        if touched.config:
            markets.flag_config(self._tx, found.slot)
        for address in touched.addresses:
            record = self._known.by_address(address)
            if record is None:
                self._context.markets_unknown[address] = found.slot
            else:
                self.flag(record, found.slot)

    def flag(self, record: Record, slot: int) -> None:
        """Have a market's account read as it is at ``slot`` or later, unless its baseline is that new."""
        record["incomplete_slot"] = max(slot, record["incomplete_slot"] or 0)
        record["needs_resync"] = int(_is_incomplete(record))
        self._dirty_records.add(record["id"])

    def introduce(self, market_id: bytes, slot: int) -> None:
        """Enter a market that the chain has, to have its account read as of ``slot`` or later."""
        self.flag(self._market_by_id(market_id), slot)

    # Lookups, each made once per batch

    def _market_of(self, event: ChainEvent) -> Record | None:
        if isinstance(event, models.WinningsClaimed):
            return self._known.by_address(event.market)
        market_id = getattr(event, "market_id", None)
        return None if market_id is None else self._market_by_id(market_id)

    def _market_by_id(self, market_id: bytes) -> Record:
        found = self._known.by_id(market_id)
        if found is None:
            found = self._known.add(market_id)
            self._adopt_claims(found)
        return found

    def _adopt_claims(self, record: Record) -> None:
        """Give a market that is known from now on the claims that came before anything else of it."""
        if not self._has_letters:
            return
        self.flush()
        for row in chainlog.list_ownerless_claims(self._tx):
            event = self._codec.decode_event(row["data"])
            if not isinstance(event, models.WinningsClaimed) or event.market != record["address"]:
                continue
            chainlog.set_event_market(self._tx, row["id"], record["id"])
            self._late.add(record["id"])
            if chainlog.resolve_dead_letters(self._tx, row["signature"], chainlog.MARKET_KNOWN, row["event_index"]):
                messages.resolve_undecodable(self._tx)

    def _is_old(self, event: ChainEvent) -> bool:
        """Whether the event is older than what the feed keeps, so that no message tells of it."""
        return fold.event_time(event) < self._context.feed_since

    def _note(self, change: chainlog.LogChange) -> None:
        self._late |= change.markets
        if change.config_slot is not None:
            self._configs_from = min(change.config_slot, self._configs_from or change.config_slot)

    # One event of a market

    def _apply(
        self, record: Record, event: ChainEvent, facts: Mapping[str, Any], place: Place, event_id: int, *, quiet: bool
    ) -> None:
        cause = self._fold(record, event, facts, place, event_id)
        if quiet or not record["known"]:
            return
        self.flush()
        messages.publish_event(self._tx, self._context, event, cause)

    def _fold(
        self, record: Record, event: ChainEvent, facts: Mapping[str, Any], place: Place, event_id: int
    ) -> messages.Cause:
        """Fold an event into everything it touches; what to tell of it."""
        old_state = record["state"] if record["known"] else None
        self._fold_account(record, event, facts, place)
        self._advance(record, event, place, old_state)
        holding = self._fold_holding(record, event, place, event_id) if isinstance(event, HOLDING_EVENTS) else None
        vote, attached = None, False
        if not isinstance(event, TRADES):
            self._record_counts(record, event, facts, place, event_id)
            vote = self._apply_vote(record, event, event_id)
            attached = isinstance(event, models.MarketCreated) and texts.attach_draft(self._tx, record)
        self._dirty_records.add(record["id"])
        return messages.Cause(record["id"], record["market_id"], event_id, old_state, vote, holding, attached)

    def _fold_account(self, record: Record, event: ChainEvent, facts: Mapping[str, Any], place: Place) -> None:
        """The account's fields after the event, or the flag that they have to be read."""
        if isinstance(event, models.MarketCreated) and "question_hash" in facts:
            record["question_hash"] = bytes.fromhex(facts["question_hash"])
        if record["baseline_slot"] is not None and place.slot <= record["baseline_slot"]:
            return
        try:
            if isinstance(event, models.MarketCreated):
                account = fold.new_market(event, facts, self._bump(record))
                record["known"] = 1
            elif record["known"]:
                rates = self._configs.rates_at(place) if isinstance(event, TRADES) else None
                account = fold.fold_market(self._account(record), event, facts, rates)
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
        return self._accounts.get(record["id"]) or markets.account_of(record, self._bump(record))

    def _take_over(self, record: Record, account: models.MarketAccount, *, at_once: bool) -> None:
        """Keep an account until :meth:`flush` puts it into its record, of which only the state is used meanwhile.

        Raises ValueError, having changed nothing, for an amount outside u64.
        """
        markets.require_amounts(account)
        self._accounts[record["id"]] = account
        self._unput.add(record["id"])
        record["state"] = int(account.state)
        if at_once:
            self._put(record)

    def _put(self, record: Record) -> None:
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

    def _fold_holding(self, record: Record, event: HoldingEvent, place: Place, event_id: int) -> Key:
        """Fold a trade or claim into its owner's position; the position's key."""
        wallet = self._known.wallet(event.user)
        key = (record["id"], wallet)
        reading = self._readings.get(key)
        if reading is not None and place.slot > reading.slot:
            self._adopt(record, key)
            reading = None
        try:
            self._holdings[key] = fold.fold_holding(self._holding(record, key, event.user), event)
        except FactsMissing:
            # What a reading of the account contains need not add up in the log.
            if reading is None and place.slot > (record["baseline_slot"] or -1):
                record["needs_resync"] = 1
        self._dirty_holdings.add(key)
        if isinstance(event, TRADES):
            record["trades_count"] += 1
            self._trades.append(positions.trade_row(event, event_id, record["id"], wallet, place))
        return key

    def _holding(self, record: Record, key: Key, user: bytes) -> Holding:
        found = self._holdings.get(key)
        return self._known.holding(record, key, user) if found is None else found

    def _adopt(self, record: Record, key: Key) -> None:
        """Put a position's account as read from the chain in the place of what its events came to."""
        account = self._readings.pop(key).account
        self._holdings[key] = fold.adopt_holding(self._holding(record, key, account.user), account)
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
        chainlog.add_transactions(self._tx, self._new_transactions)
        chainlog.add_events(self._tx, self._new_events)
        self._new_transactions.clear()
        self._new_events.clear()
        dirty = [record for key in self._dirty_records if (record := self._known.record(key)) is not None]
        for record in dirty:
            self._put(record)
        markets.save_records(self._tx, dirty)
        positions.add_trades(self._tx, self._trades)
        self._known.save_holdings({key: self._holdings[key] for key in self._dirty_holdings if key in self._holdings})
        self._trades.clear()
        self._dirty_records.clear()
        self._dirty_holdings.clear()

    def refold(self, market: int) -> None:
        """Fold a market again from its whole log, and tell clients how it stands then, and what they have not been
        told of it.
        """
        self._late.discard(market)
        self.flush()
        record = self._known.record(market)
        if record is None:
            return
        old_state = record["state"] if record["known"] else None
        positions.forget_market(self._tx, market)
        votes.restart(self._tx, market)
        self._holdings = {key: value for key, value in self._holdings.items() if key[0] != market}
        self._known.forget_positions(market)
        creator = record["creator_address"]
        self._reset(record)
        self._read_baselines(market)
        untold: list[tuple[ChainEvent, messages.Cause]] = []
        for row in chainlog.list_market_events(self._tx, market):
            event = self._codec.decode_event(row["data"])
            cause = self._fold(record, event, facts_in(row), place_of(row), row["id"])
            if row["id"] in self._untold or (old_state is None and not self._is_old(event)):
                untold.append((event, cause))
        for key in [key for key in self._readings if key[0] == market]:
            self._adopt(record, key)
        self.flush()
        votes.recount(self._tx, market)
        if record["known"] and not self._quiet:
            self._tell_refolded(record, old_state, untold)
        elif not record["known"]:
            texts.detach_text(self._tx, record | {"creator_address": creator})
            if old_state is not None:
                messages.publish_market(self._tx, self._context, market, old_state, action="deleted", whole=False)

    def _tell_refolded(
        self, record: Record, old_state: int | None, untold: Sequence[tuple[ChainEvent, messages.Cause]]
    ) -> None:
        messages.publish_market(self._tx, self._context, record["id"], old_state)
        for event, cause in untold:
            messages.publish_event(self._tx, self._context, event, cause, late=True)

    def _reset(self, record: Record) -> None:
        """The market as before its first event, or as its baseline has it."""
        record |= {"known": 0, "slot": 0, "index_in_block": 0, "last_transaction": None, "last_event_index": -1}
        record |= {"trades_count": 0, "source": "event", "ready_for_approval": 0, "last_state_change_at": 0}
        record["needs_resync"] = int(_is_incomplete(record))
        self._dirty_records.add(record["id"])
        self._accounts.pop(record["id"], None)
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

    def refold_changed(self, change: chainlog.LogChange) -> None:
        """Fold again what a change of the log concerns."""
        self._note(change)
        self.finish()

    def finish(self) -> Applied:
        """Write everything, fold again what came late, and tell what the batch came to."""
        self.flush()
        if self._configs_from is not None:
            self._late.update(self._configs.refold(self._configs_from))
        for market in sorted(self._late):
            self.refold(market)
        return Applied(
            self._transactions,
            tuple(self._events),
            tuple(chainlog.list_unordered_slots(self._tx, sorted(self._slots))),
            self._dead_letters,
            self._known.market_ids,
        )


def facts_for(codec: Codec, call: ProgramInstruction, event: ChainEvent) -> Mapping[str, Any] | None:
    """The facts for an event from the instruction that emitted it, if it is the one that emits such events and names
    the same market.
    """
    if fold.INSTRUCTION_OF_EVENT[event_name(event)] != call.name:
        return None
    market_id = getattr(event, "market_id", None)
    if market_id is not None and codec.market_address(market_id) not in call.accounts:
        return None
    return fold.facts_of(call.name, call.args, call.accounts)


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


def _is_incomplete(record: Record) -> bool:
    """Whether the market has a transaction that could not be read whole and that its baseline does not contain."""
    slot, baseline_slot = record["incomplete_slot"], record["baseline_slot"]
    return slot is not None and (baseline_slot is None or baseline_slot < slot)


def _in_baseline(record: Record, place: Place) -> bool:
    """Whether a reading of the accounts contains an event of that place: only a new fold then tells the two apart."""
    return record["baseline_slot"] is not None and place.slot <= record["baseline_slot"]


def _is_behind(place: Place, record: Record) -> bool:
    """Whether the market has seen an event of a later place."""
    last = (record["slot"], record["index_in_block"], record["last_transaction"] or 0, record["last_event_index"])
    return place < last


def apply_transactions(
    tx: Tx,
    codec: Codec,
    context: messages.FeedContext,
    batch: Sequence[tuple[ChainTransaction, str]],
    *,
    finality: int,
    unchecked: Collection[bytes] = (),
) -> Applied:
    """Apply (transaction, source) pairs, in chain order among themselves, and take them out of the inbox.

    ``unchecked``: signatures of those that are known by the words of a delivery only.
    """
    applier = Applier(tx, codec, context)
    logs = {found.signature: events_of(codec, found) for found, _ in batch}
    events = [logged.event for parsed in logs.values() for logged in parsed.events if logged.event is not None]
    applier.prefetch([found.signature for found, _ in batch], events)
    for found, source in sorted(batch, key=lambda item: (item[0].slot, item[0].index_in_block or 0)):
        checked = found.signature not in unchecked
        applier.add(found, source=source, finality=finality, checked=checked, parsed=logs[found.signature])
    chainlog.remove_deliveries(tx, [found.signature for found, _ in batch])
    return applier.finish()
