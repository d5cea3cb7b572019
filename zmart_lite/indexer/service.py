"""Takes deliveries out of the inbox, fetches what they lack, and applies them; follows finality; re-reads accounts.

Whatever the source, a transaction first becomes a durable row of the inbox. One task works the inbox off; a crash at
any moment leaves the row there, and applying is idempotent, so the worst is doing it again.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from zmart_lite.chain.events import events_of
from zmart_lite.chain.rpc import ACCOUNTS_PER_CALL_MAX, SIGNATURES_PER_PAGE_MAX, Rpc
from zmart_lite.chain.slots import SLOTS_AHEAD_MAX
from zmart_lite.chain.webhook import parse_payload
from zmart_lite.codec import Codec
from zmart_lite.config import Config
from zmart_lite.errors import ChainError, RequestError, RpcUnavailable, StoreUnavailable, UndecodableData
from zmart_lite.indexer.accounts import Accounts, Difference
from zmart_lite.indexer.apply import Applied, Sourced
from zmart_lite.indexer.finality import FETCHES_MAX, Finality
from zmart_lite.indexer.letters import DeadLetters
from zmart_lite.indexer.poller import Overlap, PollResult, poll
from zmart_lite.indexer.recheck import Recheck
from zmart_lite.indexer.reconcile import Reconciler
from zmart_lite.indexer.writer import LogWriter
from zmart_lite.models import ChainTransaction, GlobalConfig
from zmart_lite.ops.clock import ChainClock
from zmart_lite.ops.metrics import Metrics
from zmart_lite.store.engine.db import Row, Store, Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.log.chainlog import Delivery
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import markets

logger = logging.getLogger(__name__)

WEBHOOK_SLOTS = 40
"""How far behind the tip a webhook may be before what it did not bring counts as missed: some 16 s."""
HINTS_WAITING_MAX = 1_000
RETRY_S_MAX = 60
UNAVAILABLE_RETRY_S = 5
"""Pause of a delivery while the cluster cannot be asked. That says nothing about the delivery, so it is no attempt."""
RESCAN_SLOTS = 54_000
"""The furthest that polls read back: six hours."""
STORE_RETRY_S = 1.0
IDLE_S_MAX = 30.0


PAYLOADS_BYTES_MAX = 32 * 2**20
"""Payloads of a batch: what is read of the inbox into memory at once."""
FETCHED_PER_BATCH = 100
"""Transactions of a batch that have to be fetched, which takes longer than all else: what a crash loses of that, and
how long what needs no fetch waits for it."""
READ_AT_ONCE = 100
"""Deliveries taken apart before the event loop has its turn again: some 5 ms."""


class _Read(NamedTuple):
    """A delivery's transaction. ``checked``: as the cluster has it, not as the delivery tells it."""

    transaction: ChainTransaction
    checked: bool


class IndexerOptions(NamedTuple):
    """Settings of the indexer; times in seconds."""

    start_slot: int = 0
    batch_size: int = 8_000
    attempts_max: int = 3
    retry_delay_s: int = 1
    poll_overlap_slots: int = 64
    page_size: int = SIGNATURES_PER_PAGE_MAX
    """Rows of history asked for at once."""
    accounts_per_call: int = ACCOUNTS_PER_CALL_MAX
    """Accounts compared at once."""
    deep_forks: bool = False
    """Whether even finalised transactions may vanish: true on the embedded devnet only."""

    @classmethod
    def of(cls, config: Config) -> "IndexerOptions":
        return cls(
            start_slot=config.indexer.start_slot,
            batch_size=config.indexer.batch_size,
            attempts_max=config.indexer.attempts_max,
            retry_delay_s=config.indexer.retry_delay_s,
            accounts_per_call=config.reconcile.batch_size,
            deep_forks=config.embedded_devnet,
        )


class Indexer:
    """The indexing side of the node. :meth:`run` is its task; the rest may be called from the same event loop."""

    def __init__(
        self,
        store: Store,
        codec: Codec,
        rpc: Rpc,
        clock: ChainClock,
        metrics: Metrics,
        feed_context: Callable[[], messages.FeedContext],
        options: IndexerOptions,
    ) -> None:
        self._store = store
        self._codec = codec
        self._rpc = rpc
        self._clock = clock
        self._metrics = metrics
        self._options = options
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._overlap = Overlap(options.poll_overlap_slots, RESCAN_SLOTS)
        self._first_cursor: int | None = None
        self._tip_slot = 0
        self.writer = LogWriter(store, codec, rpc, metrics, feed_context)
        self._accounts = Accounts(self.writer, feed_context)
        self._finality = Finality(self.writer, self._accounts, self.wake)
        self.letters = DeadLetters(self.writer, self._apply, self.wake)
        self.reconciler = Reconciler(
            self.writer,
            self._accounts,
            Recheck(self.writer, self._finality.retract),
            metrics,
            self.drain,
            batch_size=options.accounts_per_call,
            start_slot=options.start_slot,
        )

    # Deliveries

    async def accept(self, deliveries: Sequence[Delivery], source: str) -> tuple[int, int]:
        """Make deliveries durable: (newly accepted, already known). They are indexed soon after."""
        counts = await self._store.write(lambda tx: chainlog.add_deliveries(tx, deliveries, source))
        if counts[0]:
            self.wake()
        return counts

    async def hint(self, signature: bytes, slot: int) -> None:
        """Somebody says that a transaction has landed. It is fetched; one that cannot be had is forgotten without a
        word, and with many waiting no more are taken: the poller finds what there is.
        """
        waiting = await self._store.read(chainlog.inbox_length)
        if waiting < HINTS_WAITING_MAX:
            await self.accept([Delivery(signature, slot, None)], chainlog.HINTED)

    def wake(self) -> None:
        """Tell the indexer that the inbox has something new."""
        self._idle.clear()
        self._work.set()

    async def wait_idle(self) -> None:
        """Return when everything that was in the inbox has been worked off or postponed."""
        await self._idle.wait()

    async def run(self) -> None:
        """Work the inbox off until cancelled."""
        is_new = True
        while True:
            self._work.clear()
            try:
                if is_new:
                    # This may be another version than the one that could not read an account.
                    await self._store.write(markets.forget_pauses)
                    is_new = False
                while await self.index_inbox():
                    pass
                await self.resync_flagged()
                pause_s = await self.pause_s()
            except (StoreUnavailable, ChainError) as error:
                logger.warning("indexing pauses: %s", error)
                pause_s = STORE_RETRY_S
            if not self._work.is_set() and pause_s:
                self._idle.set()
            try:
                async with asyncio.timeout(pause_s):
                    await self._work.wait()
            except TimeoutError:
                continue

    async def pause_s(self) -> float:
        """Until the next delivery's turn; 0 if it is now."""
        next_try_ms = await self._store.read(chainlog.next_inbox_try_ms)
        if next_try_ms is None:
            return IDLE_S_MAX
        return min(max(next_try_ms - self._store.now_ms(), 0) / 1_000, IDLE_S_MAX)

    async def drain(self) -> None:
        """Work off whatever of the inbox has its turn."""
        while await self.index_inbox():
            pass

    async def index_inbox(self) -> int:
        """Index one batch of the inbox; how many transactions it came to."""
        size = self._options.batch_size
        rows = _cut(await self._store.read(lambda tx: chainlog.list_inbox(tx, size, PAYLOADS_BYTES_MAX)))
        if not rows:
            return 0
        gate = asyncio.Semaphore(FETCHES_MAX)
        found: list[_Read | None] = []
        for start in range(0, len(rows), READ_AT_ONCE):
            part = rows[start : start + READ_AT_ONCE]
            found += await asyncio.gather(*(self._read_delivery(row, gate) for row in part))
        batch = [(each.transaction, row["source"]) for row, each in zip(rows, found, strict=True) if each is not None]
        if batch:
            await self._apply(batch, {each.transaction.signature for each in found if each and not each.checked})
            lag_ms = self._store.now_ms() - min(row["received_ms"] for row in rows)
            self._metrics.event_processing_lag_seconds.set(max(0, lag_ms) / 1_000)
        return len(batch)

    async def _read_delivery(self, row: Row, gate: asyncio.Semaphore) -> _Read | None:
        """The transaction of a delivery; None where it could not be had, which postpones or ends the delivery."""
        received = self._parse(row)
        if received is not None and not await self._is_plausible(received):
            received = None
        if received is not None and events_of(self._codec, received).complete:
            return _Read(received, checked=False)
        found, counted, final = None, True, False
        error = "The cluster does not know this transaction."
        try:
            async with gate:
                found = await self.writer.fetch(row["signature"])
        except (ChainError, UndecodableData) as failure:
            error, counted = str(failure), not isinstance(failure, RpcUnavailable)
            final = isinstance(failure, UndecodableData)
        if found is not None:
            return _Read(found, checked=True)
        final |= counted and row["attempts"] + 1 >= self._options.attempts_max
        if final and received is not None:
            # What was received with truncated logs is better than nothing.
            return _Read(received, checked=False)
        await self._postpone(row, error, counted=counted, final=final)
        return None

    async def _is_plausible(self, received: ChainTransaction) -> bool:
        """Whether the chain can have come that far. A slot that never comes would never become final."""
        if received.slot > max(self._clock.slot, self._tip_slot) + SLOTS_AHEAD_MAX:
            try:
                self._tip_slot = await self._rpc.get_slot()
            except ChainError:
                return False
        return received.slot <= max(self._clock.slot, self._tip_slot) + SLOTS_AHEAD_MAX

    def _parse(self, row: Row) -> ChainTransaction | None:
        """The transaction in the delivery's own payload, if it is a sound one with logs and carries the row's
        signature.
        """
        if row["payload"] is None:
            return None
        try:
            items = parse_payload(row["payload"], self._codec.program_id)
        except RequestError:
            return None
        item = items[0] if len(items) == 1 else None
        if item is None or item.needs_fetch or item.transaction is None or item.signature != row["signature"]:
            return None
        return item.transaction

    async def _postpone(self, row: Row, error: str, *, counted: bool, final: bool) -> None:
        if final and row["source"] == chainlog.HINTED:
            await self._store.write(lambda tx: chainlog.remove_delivery(tx, row["signature"]))
            return
        if final:
            await self._store.write(lambda tx: self._give_up(tx, row, error))
            self._metrics.event_decode_failures_total.labels("not_readable").inc()
            return
        delay_s = (
            min(self._options.retry_delay_s * 2 ** row["attempts"], RETRY_S_MAX) if counted else UNAVAILABLE_RETRY_S
        )
        next_try_ms = self._store.now_ms() + delay_s * 1_000
        await self._store.write(
            lambda tx: chainlog.postpone_delivery(tx, row["id"], error, next_try_ms, counted=counted)
        )

    def _give_up(self, tx: Tx, row: Row, error: str) -> None:
        signature = row["signature"]
        chainlog.add_dead_letter(tx, "delivery", error, signature=signature, slot=row["slot"], payload=row["payload"])
        chainlog.remove_delivery(tx, signature)
        messages.publish_undecodable(tx, "delivery", signature, error)

    async def index_signature(self, signature: bytes, source: str = "relay") -> bool:
        """Fetch a transaction by its signature and index it at once; False if the cluster does not know it yet."""
        found = await self.writer.fetch(signature)
        if found is None:
            return False
        await self._apply([(found, source)])
        return True

    async def _apply(self, batch: Sequence[Sourced], unchecked: Collection[bytes] = ()) -> Applied:
        """Apply a batch, then read from the chain what the log was found not to tell."""
        applied = await self.writer.apply(batch, unchecked)
        await self._accounts.read_missing()
        await self._adopt_unknown()
        return applied

    async def _adopt_unknown(self) -> None:
        """Fetch markets that the log only speaks of. What cannot be had now is had later, or by reconciliation."""
        try:
            if await self.reconciler.adopt_unknown():
                await self._accounts.read_missing()
                self.wake()
        except ChainError as error:
            logger.warning("markets met in the log could not be looked at: %s", error)

    # Polling

    async def poll(self) -> PollResult:
        """Look for what no delivery brought, from the cursor (with overlap) to the tip of the program's history."""
        result = await self._poll(self._overlap.next())
        self._overlap.note(result)
        return result

    async def rescan(self) -> PollResult:
        """Poll with a long overlap, for what a page of the history skipped the first time."""
        return await self._poll(RESCAN_SLOTS)

    async def _poll(self, overlap_slots: int) -> PollResult:
        result = await poll(
            self._store,
            self._rpc,
            self._codec.program_id,
            start_slot=self._options.start_slot,
            overlap_slots=overlap_slots,
            page_size=self._options.page_size,
        )
        cursor = await self._store.read(lambda tx: chainlog.find_cursor(tx, self._codec.program_id))
        if cursor is not None:
            # What was there before the first poll no webhook brought; for the newest one may still be on its way.
            self._first_cursor = cursor if self._first_cursor is None else self._first_cursor
            reached = max(cursor, self._clock.slot)
            await self._count_missed(range(self._first_cursor + 1, reached - WEBHOOK_SLOTS + 1))
        if result.new:
            self.wake()
        if cursor is not None:
            await self.writer.order_blocks(cursor - self._options.poll_overlap_slots)
        return result

    async def _count_missed(self, overdue: range) -> None:
        """Count what the log has of slots whose webhooks are overdue since now; the writer counts what comes later."""
        async with self.writer.lock:
            before, self.writer.missed_slots = self.writer.missed_slots, overdue
            first = max(before.stop, overdue.start)
            if first < overdue.stop:
                missed = await self._store.read(lambda tx: chainlog.count_missed_events(tx, first, overdue.stop - 1))
                self._metrics.missed_events_total.inc(missed)

    # Finality

    async def follow_finality(self) -> tuple[int, int]:
        """Promote what became finalized and retract what vanished with its fork: (promoted, retracted)."""
        return await self._finality.follow()

    async def retract_reverted(self) -> int:
        """After a revert of the embedded devnet: retract whatever it no longer has, finalised or not; how many."""
        if not self._options.deep_forks:
            return 0
        retracted = await self._finality.retract_reverted()
        if retracted:
            self._clock.forget()
        self._tip_slot = 0
        return retracted

    # Accounts

    async def read_config(self) -> GlobalConfig | None:
        """Read the global config from its account and note it if the log does not tell the same; None if there is
        none.
        """
        return await self._accounts.read_config()

    async def resync_flagged(self) -> None:
        """Read the accounts of the markets that are flagged for it."""
        await self._accounts.resync_flagged()

    async def resync(self, market_id: bytes) -> list[Difference]:
        """Take a market and its positions from the chain as the baseline of their fold; what differed.

        Raises what the RPC raises; a market that the chain does not have is left as it is.
        """
        return await self._accounts.resync(market_id)


def _cut(rows: list[Row]) -> list[Row]:
    """The first of the deliveries, up to the one that would be too many to fetch."""
    fetched = [number for number, row in enumerate(rows) if row["payload"] is None]
    return rows if len(fetched) <= FETCHED_PER_BATCH else rows[: fetched[FETCHED_PER_BATCH]]
