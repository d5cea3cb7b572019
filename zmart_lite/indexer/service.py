"""Takes deliveries out of the inbox, fetches what they lack, and applies them; follows finality; re-reads accounts.

Whatever the source, a transaction first becomes a durable row of the inbox. One task works the inbox off; a crash at
any moment leaves the row there, and applying is idempotent, so the worst is doing it again.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from zmart_lite.chain.events import events_of
from zmart_lite.chain.rpc import Rpc
from zmart_lite.chain.webhook import parse_payload
from zmart_lite.codec import Codec
from zmart_lite.errors import ChainError, RequestError, RpcUnavailable, StoreUnavailable, UndecodableData
from zmart_lite.indexer.apply import Applied, Applier, apply_transactions
from zmart_lite.indexer.poller import PollResult, poll
from zmart_lite.models import ChainTransaction, Commitment, GlobalConfig, MarketAccount
from zmart_lite.ops.clock import ChainClock
from zmart_lite.ops.metrics import Metrics
from zmart_lite.store import chainlog, markets, messages
from zmart_lite.store.chainlog import Delivery, LogChange
from zmart_lite.store.db import Row, Store, Tx

logger = logging.getLogger(__name__)

FETCHES_MAX = 8
"""Transactions fetched at the same time: enough to hide latency, few enough for a public node's limits."""
FINALITY_BATCH = 256
RESYNC_BATCH = 50
RETRY_S_MAX = 60
UNAVAILABLE_RETRY_S = 5
"""Pause of a delivery while the cluster cannot be asked. That says nothing about the delivery, so it is no attempt."""
UNORDERED_SLOTS_MAX = 50
"""Blocks whose order is asked for again in one poll."""
STORE_RETRY_S = 1.0
IDLE_S_MAX = 30.0
RETRACT_SCAN_MAX = 100_000
"""Transactions looked at after the devnet was reverted, newest first; far more than a devnet holds."""


UNMAINTAINED_FIELDS = ("is_locked", "reserved", "resolution_agree", "resolution_disagree", "resolution_total_votes")
"""Fields of the market account that nobody maintains; they say nothing about the market."""


class Difference(NamedTuple):
    """A field that differed: as stored and as on chain."""

    field: str
    stored: str
    on_chain: str


class _Vanished(NamedTuple):
    """A transaction that is no longer in its block, and the slot of the block that has it now, if one has."""

    row: Row
    new_slot: int | None


class IndexerOptions(NamedTuple):
    """Settings of the indexer; times in seconds."""

    start_slot: int = 0
    batch_size: int = 100
    attempts_max: int = 3
    retry_delay_s: int = 1
    poll_overlap_slots: int = 64
    deep_forks: bool = False
    """Whether even finalised transactions may vanish: true on the embedded devnet only."""


class Indexer:
    """The indexing side of the node. :meth:`run` is its task; everything else may be called from the same event loop."""

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
        self._feed_context = feed_context
        self._options = options
        self._work = asyncio.Event()
        self._applying = asyncio.Lock()
        self._idle = asyncio.Event()
        self._idle.set()

    # Deliveries

    async def accept(self, deliveries: Sequence[Delivery], source: str) -> tuple[int, int]:
        """Make deliveries durable: (newly accepted, already known). They are indexed soon after."""
        counts = await self._store.write(lambda tx: chainlog.add_deliveries(tx, deliveries, source))
        if counts[0]:
            self.wake()
        return counts

    def wake(self) -> None:
        """Tell the indexer that the inbox has something new."""
        self._idle.clear()
        self._work.set()

    async def wait_idle(self) -> None:
        """Return when everything that was in the inbox has been worked off or postponed."""
        await self._idle.wait()

    async def run(self) -> None:
        """Work the inbox off until cancelled."""
        while True:
            self._work.clear()
            try:
                while await self.index_inbox():
                    pass
                await self._resync_flagged()
                pause_s = await self._pause_s()
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

    async def _pause_s(self) -> float:
        """Until the next delivery's turn; 0 if it is now."""
        next_try_ms = await self._store.read(chainlog.next_inbox_try_ms)
        if next_try_ms is None:
            return IDLE_S_MAX
        return min(max(next_try_ms - self._store.now_ms(), 0) / 1_000, IDLE_S_MAX)

    async def index_inbox(self) -> int:
        """Index one batch of the inbox; how many transactions it came to."""
        rows = await self._store.read(chainlog.list_inbox)
        rows = rows[: self._options.batch_size]
        if not rows:
            return 0
        gate = asyncio.Semaphore(FETCHES_MAX)
        found = await asyncio.gather(*(self._read_delivery(row, gate) for row in rows))
        batch = [(each, row["source"]) for row, each in zip(rows, found, strict=True) if each is not None]
        if batch:
            await self._apply(batch)
        return len(batch)

    async def _read_delivery(self, row: Row, gate: asyncio.Semaphore) -> ChainTransaction | None:
        """The transaction of a delivery; None where it could not be had, which postpones or ends the delivery."""
        received = self._parse(row)
        if received is not None and events_of(self._codec, received).complete:
            return received
        found, counted, final = None, True, False
        error = "The cluster does not know this transaction."
        try:
            async with gate:
                found = await self._rpc.get_transaction(row["signature"], self._codec.program_id)
        except (ChainError, UndecodableData) as failure:
            error, counted = str(failure), not isinstance(failure, RpcUnavailable)
            final = isinstance(failure, UndecodableData)
        if found is not None:
            return found
        final |= counted and row["attempts"] + 1 >= self._options.attempts_max
        if final and received is not None:
            # What was received with truncated logs is better than nothing.
            return received
        await self._postpone(row, error, counted=counted, final=final)
        return None

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
        if final:
            await self._store.write(lambda tx: self._give_up(tx, row, error))
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
        messages.publish_undecodable(tx, signature, error)

    async def index_signature(self, signature: bytes, source: str = "relay") -> bool:
        """Fetch a transaction by its signature and index it at once; False if the cluster does not know it yet."""
        found = await self._rpc.get_transaction(signature, self._codec.program_id)
        if found is None:
            return False
        await self._apply([(found, source)])
        return True

    async def _apply(self, batch: Sequence[tuple[ChainTransaction, str]]) -> Applied:
        """Apply a batch, then settle the order of blocks that hold several of our transactions."""
        context = self._feed_context()
        async with self._applying:
            applied = await self._write_batch(batch, context)
            for slot in applied.unordered_slots:
                await self._order_block(slot)
        for _, source in batch:
            self._metrics.events_received_total.labels(source).inc()
        for event_type in applied.events:
            self._metrics.events_indexed_total.labels(event_type).inc()
        await self._complete(context)
        return applied

    async def _write_batch(
        self, batch: Sequence[tuple[ChainTransaction, str]], context: messages.FeedContext
    ) -> Applied:
        """Apply a batch in one commit, or, where that fails, one by one, putting aside those that cannot be."""
        try:
            return await self._store.write(
                lambda tx: apply_transactions(tx, self._codec, context, batch, finality=int(Commitment.CONFIRMED))
            )
        except StoreUnavailable:
            raise
        except Exception as error:
            logger.exception("a batch of %d transactions could not be applied", len(batch))
            if len(batch) == 1:
                found, text = batch[0][0], f"{type(error).__name__}: {error}"
                await self._store.write(lambda tx: self._put_aside(tx, found, text))
                return Applied(0, (), (), 1, ())
        parts = [await self._write_batch([each], context) for each in sorted(batch, key=lambda item: item[0].slot)]
        return Applied(
            sum(part.transactions for part in parts),
            tuple(event for part in parts for event in part.events),
            tuple(sorted({slot for part in parts for slot in part.unordered_slots})),
            sum(part.dead_letters for part in parts),
            tuple(dict.fromkeys(market for part in parts for market in part.markets)),
        )

    def _put_aside(self, tx: Tx, found: ChainTransaction, error: str) -> None:
        chainlog.add_dead_letter(tx, "transaction", error, signature=found.signature, slot=found.slot)
        chainlog.remove_delivery(tx, found.signature)
        messages.publish_undecodable(tx, found.signature, error)

    async def _complete(self, context: messages.FeedContext) -> None:
        """Read from the chain what the log was found not to tell. What cannot be read now is read later."""
        if context.config_unknown:
            await self._complete_config()
        try:
            await self._resync_flagged()
        except ChainError as error:
            logger.warning("market accounts could not be read: %s", error)

    async def _complete_config(self) -> None:
        try:
            await self.read_config()
        except (ChainError, UndecodableData) as error:
            logger.warning("the config's account could not be read: %s", error)

    async def _order_block(self, slot: int) -> None:
        try:
            signatures = await self._rpc.get_block_signatures(slot)
        except ChainError as error:
            # The order of arrival stands until the next poll asks again.
            logger.warning("the order of block %d is not known: %s", slot, error)
            return
        if signatures is not None:
            await self._refold(lambda tx: chainlog.set_block_order(tx, slot, signatures))

    async def _refold(self, changed: Callable[[Tx], LogChange]) -> None:
        """Run a unit that changes the log, and fold what it concerns again in the same commit."""
        context = self._feed_context()
        await self._store.write(lambda tx: Applier(tx, self._codec, context).refold_changed(changed(tx)))
        if context.config_unknown:
            await self._complete_config()

    # Polling

    async def poll(self) -> PollResult:
        """Look for what no delivery brought, from the cursor (with overlap) to the tip of the program's history."""
        cursor = await self._store.read(lambda tx: chainlog.find_cursor(tx, self._codec.program_id))
        result = await poll(
            self._store,
            self._rpc,
            self._codec.program_id,
            start_slot=self._options.start_slot,
            overlap_slots=self._options.poll_overlap_slots,
        )
        if result.new:
            self.wake()
        if cursor is not None:
            await self._order_blocks(cursor - self._options.poll_overlap_slots)
        return result

    async def _order_blocks(self, slot_min: int) -> None:
        """Ask again for the order of recent blocks that nobody told so far."""
        slots = await self._store.read(lambda tx: chainlog.list_unordered_since(tx, slot_min, UNORDERED_SLOTS_MAX))
        async with self._applying:
            for slot in slots:
                await self._order_block(slot)

    # Finality

    async def follow_finality(self) -> tuple[int, int]:
        """Promote what became finalized and retract what vanished with its fork: (promoted, retracted)."""
        finalized_slot = await self._rpc.get_slot(Commitment.FINALIZED)
        rows = await self._store.read(lambda tx: chainlog.list_unfinalized(tx, finalized_slot, FINALITY_BATCH))
        promoted, vanished = await self._judge(rows)
        if promoted:
            await self._store.write(lambda tx: chainlog.set_finalized(tx, promoted))
        if vanished:
            await self._retract(vanished)
        return len(promoted), len(vanished)

    async def _judge(self, rows: Sequence[Row]) -> tuple[list[int], list[_Vanished]]:
        """Which rows became finalized, and which the chain dropped, perhaps to take them into another block."""
        statuses = await self._rpc.get_signature_statuses([row["signature"] for row in rows], search_history=True)
        promoted: list[int] = []
        vanished: list[_Vanished] = []
        for row, status in zip(rows, statuses, strict=True):
            if status is None or status.slot != row["slot"]:
                vanished.append(_Vanished(row, None if status is None else status.slot))
            elif status.commitment is Commitment.FINALIZED:
                promoted.append(row["id"])
        return promoted, vanished

    async def _retract(self, rows: Sequence[_Vanished]) -> None:
        logger.warning("retracting %d transactions that the chain dropped", len(rows))

        def changed(tx: Tx) -> LogChange:
            change = LogChange(frozenset())
            for row, new_slot in rows:
                change = change.plus(chainlog.remove_transaction(tx, row["id"]))
                chainlog.resolve_dead_letters(tx, row["signature"])
                messages.publish_retracted(tx, row["signature"], row["slot"])
                if new_slot is not None:
                    chainlog.add_deliveries(tx, [Delivery(row["signature"], new_slot, None)], "poll")
            markets.forget_baselines(tx, sorted(change.markets), min(row["slot"] for row, _ in rows))
            return change

        async with self._applying:
            await self._refold(changed)
        self.wake()

    async def retract_reverted(self) -> int:
        """After a revert of the embedded devnet: retract whatever it no longer has, finalised or not; how many."""
        if not self._options.deep_forks:
            return 0
        retracted, before = 0, 2**62
        for _ in range(RETRACT_SCAN_MAX // FINALITY_BATCH):
            bound = before
            rows = await self._store.read(lambda tx, bound=bound: chainlog.list_newest(tx, bound, FINALITY_BATCH))  # type: ignore[misc]
            if not rows:
                break
            _, vanished = await self._judge(rows)
            if vanished:
                await self._retract(vanished)
            retracted += len(vanished)
            if len(vanished) < len(rows):
                break
            before = rows[-1]["id"]
        slot = await self._rpc.get_slot(Commitment.CONFIRMED)
        async with self._applying:
            await self._refold(lambda tx: self._forget_future(tx, slot))
        if retracted:
            self._clock.forget()
        return retracted

    def _forget_future(self, tx: Tx, slot: int) -> LogChange:
        """Drop what was read at later slots than the chain has now: these slots come again with other contents."""
        chainlog.lower_cursor(tx, self._codec.program_id, slot)
        markets.forget_config_readings(tx, slot)
        keys = markets.list_baselines_after(tx, slot)
        markets.forget_baselines(tx, keys, slot + 1)
        return LogChange(frozenset(keys))

    # Accounts

    async def read_config(self) -> GlobalConfig | None:
        """Read the global config from its account and note it if the log does not tell the same; None if there is
        none.
        """
        info = await self._rpc.get_account(self._codec.config_address())
        if info is None:
            return None
        account = self._codec.decode_account(info.data)
        if not isinstance(account, GlobalConfig):
            raise UndecodableData("the config address holds another account")

        def note(tx: Tx) -> None:
            if markets.find_config(tx) != account:
                markets.add_config(tx, account, slot=info.slot, index_in_block=2**31, event_id=None)

        await self._store.write(note)
        return account

    async def _resync_flagged(self) -> None:
        flagged = await self._store.read(lambda tx: markets.list_needing_resync(tx, RESYNC_BATCH))
        for record in flagged:
            market_id = record["market_id"]
            try:
                await self.resync(market_id)
            except UndecodableData as error:
                logger.error("the account of market %s cannot be read: %s", market_id.hex(), error)
                await self._store.write(lambda tx, market_id=market_id: markets.set_resynced(tx, market_id))  # type: ignore[misc]

    async def resync(self, market_id: bytes) -> list[Difference]:
        """Take a market's account from the chain as the baseline of its fold; what differed from it.

        Raises what the RPC raises; a market that the chain does not have is left as it is.
        """
        info = await self._rpc.get_account(self._codec.market_address(market_id))
        account = None if info is None else self._codec.decode_account(info.data)
        if info is None or not isinstance(account, MarketAccount):
            await self._store.write(lambda tx: markets.set_resynced(tx, market_id))
            return []
        data, slot, bump, context = info.data, info.slot, account.bump, self._feed_context()

        def unit(tx: Tx) -> list[Difference]:
            before = markets.find_record(tx, market_id)
            if before is None:
                return []
            markets.set_baseline(tx, market_id, data, slot)
            Applier(tx, self._codec, context).refold_changed(LogChange(frozenset({before["id"]})))
            after = cast(markets.Record, markets.find_record(tx, market_id))
            # Not with the account itself: the log may be ahead of it.
            differences = compare(before, markets.account_of(after, bump))
            for difference in differences:
                markets.add_discrepancy(tx, before["id"], *difference, slot)
            return differences

        async with self._applying:
            return await self._store.write(unit)

    async def retry_dead_letter(self, dead_letter_id: int) -> int | None:
        """Try a dead letter again from the chain: the number of its events, or None if it failed again."""
        letter = await self._store.read(lambda tx: chainlog.find_dead_letter(tx, dead_letter_id))
        if letter is None or letter["signature"] is None:
            return None
        signature = letter["signature"]
        found = await self._rpc.get_transaction(signature, self._codec.program_id)
        parsed = None if found is None else events_of(self._codec, found)
        if found is None or parsed is None or not parsed.complete or any(each.event is None for each in parsed.events):
            await self._store.write(lambda tx: chainlog.count_retry(tx, dead_letter_id))
            return None
        async with self._applying:
            await self._refold(lambda tx: chainlog.forget_for_retry(tx, signature))
        await self._apply([(found, "backfill")])
        await self._store.write(lambda tx: chainlog.resolve_dead_letters(tx, signature))
        return len(parsed.events)


def compare(record: markets.Record, account: MarketAccount) -> list[Difference]:
    """The fields in which a market's record differs from its account."""
    if not record["known"]:
        return []
    stored = markets.account_of(record, account.bump)
    return [
        Difference(field, str(ours), str(theirs))
        for field, ours, theirs in zip(MarketAccount._fields, stored, account, strict=True)
        if ours != theirs and field not in UNMAINTAINED_FIELDS
    ]
