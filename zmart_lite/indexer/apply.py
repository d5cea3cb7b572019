"""Applies transactions to the database, inside one unit of work: log rows, projections and feed messages together.

Events apply in chain order — slot, place in the block, event index — whatever the order of their arrival. One that
comes behind everything its market has seen is folded onto the market as it stands; one that comes late makes that
market, and only that one, be folded again from its log. What an event and the known history do not determine flags
the market for a reading of its account (``needs_resync``); nothing is guessed.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from zmart_lite import models
from zmart_lite.chain.events import (
    INSTRUCTION_OF_EVENT,
    ProgramInstruction,
    events_of,
    has_unknown_calls,
    is_cut,
    program_instructions,
)
from zmart_lite.codec import Codec, event_name
from zmart_lite.indexer import fold
from zmart_lite.indexer.configs import ConfigLog
from zmart_lite.indexer.fold import TRADES
from zmart_lite.indexer.known import Known
from zmart_lite.indexer.new_rows import NewRows
from zmart_lite.indexer.places import Place, facts_in, place_of
from zmart_lite.indexer.projection import Projection, is_in_baseline, is_incomplete
from zmart_lite.indexer.touched import touched_by
from zmart_lite.models import ChainEvent, ChainTransaction, LoggedEvent, ParsedLogs
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import markets, texts
from zmart_lite.store.state.markets import Record

PART = 2_000
"""Transactions between two looks whether others wait for the database: some 0.2 s."""

CUT = "The runtime truncated this transaction's logs; events may be missing."
LACKING = "Its logs, as the RPC node tells them, lack the event of a call of the program."
"""Why a transaction is not complete. What one node lacks another may have: such letters stay open."""

CONFIG_EVENTS = (models.GlobalConfigInitialized, models.ConfigUpdated, models.ProtocolPauseStatusChanged)


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
    left: "Sequence[Sourced]" = ()
    """Those for which others were not made to wait, still to be applied."""


Sourced = tuple[ChainTransaction, str]
"""A transaction, and the source that told of it."""


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
        self._late: set[int] = set()
        self._untold: set[int] = set()
        self._configs_from: int | None = None
        self._configs = ConfigLog(tx, codec, context)
        self._new_rows = NewRows(tx)
        self._projection = Projection(tx, codec, context, self._known, self._configs, self._new_rows)
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
            self._projection.flush()
            chainlog.set_known(self._tx, found, finality)
            if found.index_in_block is not None:
                self._note(chainlog.set_places(self._tx, found.slot, {found.signature: found.index_in_block}))
            return False
        transaction_id = self._new_rows.add_transaction(
            found, complete=parsed.complete, finality=finality, source=source, checked=checked
        )
        self._transactions += 1
        self._slots.add(found.slot)
        self._kept, is_decoded = False, True
        for logged in parsed.events:
            if logged.event is not None:
                self._add_event(found, transaction_id, logged, logged.event)
            else:
                is_decoded = False
                self._keep(found, "event", logged.error or "undecodable", logged.event_index, logged.data)
        if not parsed.complete:
            self._keep(found, "truncated", CUT if is_cut(found) else LACKING)
        is_strange = has_unknown_calls(self._codec, found)
        if is_strange:
            self._keep(found, "transaction", "It calls an instruction that this version does not know.")
        if is_strange or not is_decoded or not parsed.complete:
            self._flag_touched(found)
        elif (
            self._has_letters
            and not self._kept
            and chainlog.resolve_dead_letters(self._tx, found.signature, chainlog.INDEXED)
        ):
            messages.resolve_undecodable(self._tx)
        return True

    def _add_event(self, found: ChainTransaction, transaction_id: int, logged: LoggedEvent, event: ChainEvent) -> None:
        facts = self._facts(found, logged, event) if isinstance(event, fold.WITH_FACTS) else None
        if isinstance(event, TRADES):
            self._known.name_position(event, found, logged.event_index)
        market = self._market_of(event)
        event_type, timestamp, wallet = event_name(event), fold.event_time(event), fold.wallet_of(event)
        event_id = self._new_rows.add_event(
            transaction_id,
            found,
            logged.event_index,
            event_type,
            timestamp=timestamp,
            market=None if market is None else market["id"],
            wallet=None if wallet is None else self._known.wallet(wallet),
            data=logged.data,
            facts=facts,
        )
        self._events.append(event_type)
        place = fold.new(Place, (found.slot, found.index_in_block or 0, transaction_id, logged.event_index))
        is_old = timestamp < self._context.feed_since
        if market is None:
            self._fold_without_market(found, logged, event, facts or {}, place, event_id)
        elif market["id"] in self._late or _is_behind(place, market) or is_in_baseline(market, place):
            # Only a new fold tells an event apart that a reading of the account contains.
            self._late.add(market["id"])
            if not is_old:
                self._untold.add(event_id)
        else:
            self._apply(market, event, facts or {}, place, event_id, quiet=is_old)

    def _fold_without_market(
        self,
        found: ChainTransaction,
        logged: LoggedEvent,
        event: ChainEvent,
        facts: Mapping[str, Any],
        place: Place,
        event_id: int,
    ) -> None:
        """An event of the config, or one whose market is not known."""
        if isinstance(event, CONFIG_EVENTS):
            self._projection.flush()
            if self._configs.is_late(place):
                self._note(chainlog.LogChange(frozenset(), found.slot))
            else:
                self._configs.add(event, facts, place, event_id)
            return
        if isinstance(event, models.WinningsClaimed):
            self._context.markets_unknown[event.market] = found.slot
        self._keep(found, "event", "the market of this event is not known", logged.event_index, logged.data)

    def _facts(self, found: ChainTransaction, logged: LoggedEvent, event: ChainEvent) -> Mapping[str, Any] | None:
        """What the event's instruction tells that the event leaves out."""
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
        record["needs_resync"] = int(is_incomplete(record))
        self._projection.touch(record)

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
        self._projection.flush()
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
        cause = self._projection.fold(record, event, facts, place, event_id)
        if quiet or not record["known"]:
            return
        self._projection.flush()
        messages.publish_event(self._tx, self._context, event, cause)

    # The whole batch

    def refold(self, market: int) -> None:
        """Fold a market again from its whole log, and tell clients how it stands then, and what they have not been
        told of it.
        """
        self._late.discard(market)
        self._projection.flush()
        record = self._known.record(market)
        if record is None:
            return
        old_state = record["state"] if record["known"] else None
        creator = record["creator_address"]
        self._projection.begin_again(record)
        untold: list[tuple[ChainEvent, messages.Cause]] = []
        for row in chainlog.list_market_events(self._tx, market):
            event = self._codec.decode_event(row["data"])
            cause = self._projection.fold(record, event, facts_in(row), place_of(row), row["id"])
            if row["id"] in self._untold or (old_state is None and not self._is_old(event)):
                untold.append((event, cause))
        self._projection.end_again(record)
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

    def refold_changed(self, change: chainlog.LogChange) -> None:
        """Fold again what a change of the log concerns."""
        self._note(change)
        self.finish()

    def flush(self) -> None:
        """Write what was folded so far."""
        self._projection.flush()

    def finish(self) -> Applied:
        """Write everything, fold again what came late, and tell what the batch came to."""
        self._projection.flush()
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
    if INSTRUCTION_OF_EVENT[event_name(event)] != call.name:
        return None
    market_id = getattr(event, "market_id", None)
    if market_id is not None and codec.market_address(market_id) not in call.accounts:
        return None
    return fold.facts_of(call.name, call.args, call.accounts)


def _is_behind(place: Place, record: Record) -> bool:
    """Whether the market has seen an event of a later place."""
    if place.slot > record["slot"]:
        return False
    last = (record["slot"], record["index_in_block"], record["last_transaction"] or 0, record["last_event_index"])
    return place < last


def apply_transactions(
    tx: Tx,
    codec: Codec,
    context: messages.FeedContext,
    batch: Sequence[Sourced],
    *,
    finality: int,
    unchecked: Collection[bytes] = (),
) -> Applied:
    """Apply transactions in chain order among themselves, and take them out of the inbox: all, or as many as were
    begun when others came to wait for the database.

    ``unchecked``: signatures of those that are known by the words of a delivery only.
    """
    applier = Applier(tx, codec, context)
    ordered = sorted(batch, key=lambda item: (item[0].slot, item[0].index_in_block or 0))
    done = 0
    while done < len(ordered) and not (done and tx.is_awaited()):
        part = ordered[done : done + PART]
        _apply_part(applier, codec, part, finality, unchecked)
        done += len(part)
    chainlog.remove_deliveries(tx, [found.signature for found, _ in ordered[:done]])
    return applier.finish()._replace(left=ordered[done:])


def _apply_part(
    applier: Applier, codec: Codec, part: Sequence[Sourced], finality: int, unchecked: Collection[bytes]
) -> None:
    logs = [events_of(codec, found) for found, _ in part]
    events = [logged.event for parsed in logs for logged in parsed.events if logged.event is not None]
    applier.prefetch([found.signature for found, _ in part], events)
    for (found, source), parsed in zip(part, logs, strict=True):
        checked = found.signature not in unchecked
        applier.add(found, source=source, finality=finality, checked=checked, parsed=parsed)
    applier.flush()
