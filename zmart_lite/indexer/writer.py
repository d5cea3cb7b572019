"""Writes transactions into the log and its projections, one batch at a time, and settles the order within blocks."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial

from zmart_lite.chain.events import events_of, is_whole
from zmart_lite.chain.rpc import Rpc
from zmart_lite.codec import Codec
from zmart_lite.errors import ChainError, StoreUnavailable
from zmart_lite.indexer.apply import Applied, Applier, Sourced, apply_transactions
from zmart_lite.models import ChainTransaction, Commitment
from zmart_lite.ops.metrics import Metrics
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.log.chainlog import LogChange
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import markets

logger = logging.getLogger(__name__)

UNORDERED_SLOTS_MAX = 50
"""Blocks whose order is asked for again in one poll."""
ORDERED_SLOT = "ordered_slot"
"""Key of the slot before which the order of every block is settled."""


class LogWriter:
    """The only way into the log. Whoever changes it holds ``lock`` from reading what he decides by to the commit.

    ``config_unknown`` is set when an event showed that the global config's account has to be read, ``markets_unknown``
    are addresses met in the log that may be markets, with the slots in which they were met. ``missed_slots``:
    what only the poller brings of these should have come by webhook.
    """

    def __init__(
        self, store: Store, codec: Codec, rpc: Rpc, metrics: Metrics, feed_context: Callable[[], messages.FeedContext]
    ) -> None:
        self.store = store
        self.codec = codec
        self.rpc = rpc
        self.lock = asyncio.Lock()
        self.config_unknown = False
        self.markets_unknown: dict[bytes, int] = {}
        self.missed_slots = range(0)
        self._metrics = metrics
        self._feed_context = feed_context

    async def fetch(self, signature: bytes, commitment: Commitment = Commitment.CONFIRMED) -> ChainTransaction | None:
        """A transaction as the cluster has it, whole if any of its nodes tells it whole; None if it is not known.

        Raises UndecodableData, and what the RPC raises.
        """
        return await self.rpc.get_transaction(
            signature, self.codec.program_id, commitment, is_enough=partial(is_whole, self.codec)
        )

    async def apply(self, batch: Sequence[Sourced], unchecked: Collection[bytes] = ()) -> Applied:
        """Apply transactions, then settle the order of blocks that hold several of ours.

        ``unchecked``: signatures of those that only a delivery told of.
        """
        async with self.lock:
            applied = await self._write(batch, unchecked)
            unsettled = [slot for slot in applied.unordered_slots if not await self.order_block(slot)]
            if unsettled:
                await self._set_ordered_below(min(unsettled))
            self._count_missed(batch)
        for _, source in batch:
            self._metrics.events_received_total.labels(source).inc()
        for event_type in applied.events:
            self._metrics.events_indexed_total.labels(event_type).inc()
        return applied

    def _count_missed(self, batch: Sequence[Sourced]) -> None:
        for found, source in batch:
            if source == "poll" and found.slot in self.missed_slots:
                self._metrics.missed_events_total.inc(len(events_of(self.codec, found).events))

    async def _write(self, batch: Sequence[Sourced], unchecked: Collection[bytes]) -> Applied:
        """Apply a batch in one commit, or in several where others wait for the database in between."""
        done: list[Applied] = []
        while batch:
            done.append(await self._write_batch(batch, unchecked))
            batch = done[-1].left
        return _together(done)

    async def _write_batch(self, batch: Sequence[Sourced], unchecked: Collection[bytes]) -> Applied:
        """Apply a batch, or its beginning, in one commit, or, where that fails, by halves, putting aside those that
        cannot be applied.
        """
        context = self._feed_context()
        try:
            applied = await self.store.write(
                lambda tx: apply_transactions(
                    tx, self.codec, context, batch, finality=int(Commitment.CONFIRMED), unchecked=unchecked
                )
            )
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(batch) == 1:
                logger.exception("a transaction could not be applied")
                found, text = batch[0][0], f"{type(error).__name__}: {error}"
                await self.store.write(lambda tx: _put_aside(tx, found, text))
                self._metrics.event_decode_failures_total.labels("not_applicable").inc()
                return Applied(0, (), (), 1, ())
        else:
            self._note(context)
            if applied.dead_letters:
                self._metrics.event_decode_failures_total.labels("undecodable").inc(applied.dead_letters)
            return applied
        ordered, middle = sorted(batch, key=lambda item: item[0].slot), len(batch) // 2
        return _together([await self._write(half, unchecked) for half in (ordered[:middle], ordered[middle:])])

    async def refold(self, changed: Callable[[Tx], LogChange]) -> None:
        """Run a unit that changes the log, and fold what it concerns again in the same commit. Hold the lock."""
        context = self._feed_context()
        await self.store.write(lambda tx: Applier(tx, self.codec, context).refold_changed(changed(tx)))
        self._note(context)

    def _note(self, context: messages.FeedContext) -> None:
        """What a unit of work that is committed now has found missing."""
        self.config_unknown |= context.config_unknown
        self.markets_unknown |= context.markets_unknown

    async def introduce(self, market_id: bytes, slot: int) -> None:
        """Enter a market that the chain has and the log does not know; its account will be read."""

        def unit(tx: Tx) -> None:
            applier = Applier(tx, self.codec, context)
            applier.introduce(market_id, slot)
            applier.finish()
            markets.forget_resync_tried(tx, market_id)

        context = self._feed_context()
        async with self.lock:
            await self.store.write(unit)
        self._note(context)

    async def order_block(self, slot: int) -> bool:
        """Ask for the order of a block and note it; False if it could not be had. Hold the lock."""
        try:
            signatures = await self.rpc.get_block_signatures(slot)
        except ChainError as error:
            # The order of arrival stands until it is asked for again.
            logger.warning("the order of block %d is not known: %s", slot, error)
            return False
        if signatures is None:
            return False
        await self.refold(lambda tx: chainlog.set_block_order(tx, slot, signatures))
        return True

    async def _set_ordered_below(self, slot: int) -> None:
        """Note that the order of that block has to be asked for again, however old it is."""

        def unit(tx: Tx) -> None:
            if int(chainlog.find_meta(tx, ORDERED_SLOT) or 0) > slot:
                chainlog.set_meta(tx, ORDERED_SLOT, str(slot))

        await self.store.write(unit)

    async def order_blocks(self, slot_settled: int) -> None:
        """Ask again for the order of blocks that nobody told so far; up to ``slot_settled`` no more are expected."""
        floor = int(await self.store.read(lambda tx: chainlog.find_meta(tx, ORDERED_SLOT)) or 0)
        slots = await self.store.read(lambda tx: chainlog.list_unordered_since(tx, floor, UNORDERED_SLOTS_MAX))
        reached = slots[-1] if len(slots) == UNORDERED_SLOTS_MAX else slot_settled
        async with self.lock:
            unsettled = [slot for slot in slots if not await self.order_block(slot)]
        reached = min([reached, slot_settled, *unsettled])
        if reached > floor:
            await self.store.write(lambda tx: chainlog.set_meta(tx, ORDERED_SLOT, str(reached)))


def _together(parts: Sequence[Applied]) -> Applied:
    """What several commits came to."""
    if len(parts) == 1:
        return parts[0]
    return Applied(
        sum(part.transactions for part in parts),
        tuple(event for part in parts for event in part.events),
        tuple(sorted({slot for part in parts for slot in part.unordered_slots})),
        sum(part.dead_letters for part in parts),
        tuple(dict.fromkeys(market for part in parts for market in part.markets)),
    )


def _put_aside(tx: Tx, found: ChainTransaction, error: str) -> None:
    chainlog.add_dead_letter(tx, "transaction", error, signature=found.signature, slot=found.slot)
    chainlog.remove_delivery(tx, found.signature)
    messages.publish_undecodable(tx, "transaction", found.signature, error)
