"""Follows transactions until they are final: promotes them, retracts what vanished with its fork, and checks what only
a delivery told.

A webhook's secret proves who sent a delivery, not that it is true. What came by webhook alone is compared with the
cluster's own record of the transaction before it counts as final; a forgery is undone.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from zmart_lite.chain.events import events_of, program_instructions
from zmart_lite.codec import Codec
from zmart_lite.errors import ChainError, RpcUnavailable, UndecodableData
from zmart_lite.indexer.accounts import Accounts
from zmart_lite.indexer.apply import facts_for
from zmart_lite.indexer.writer import ORDERED_SLOT, LogWriter
from zmart_lite.models import ChainTransaction, Commitment
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.log.chainlog import Delivery, LogChange
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import intents, markets

logger = logging.getLogger(__name__)

FETCHES_MAX = 8
"""Transactions fetched at the same time: enough to hide latency, few enough for a public node's limits."""
FINALITY_BATCH = 256
BATCHES_MAX = 16
"""Batches of one look: some 4,000 transactions, so that a backfilled history is settled in minutes."""
FROM_THE_OLDEST = (-1, 0)
CHECKS_MAX = 5
"""Times a cluster is asked that refuses to tell of a transaction, before that is somebody's business."""
CHECK_AGAIN_MS = 5_000
UNCHECKED_MAX = 10_000
"""Transactions of which it is remembered how often they were tried; with more of them, no more time is given."""
BLOCKHASH_AGE_MAX = 150
"""Blocks for which a transaction that names a block is valid."""
RETRACT_SCAN_MAX = 100_000
"""Transactions looked at after the devnet was reverted, newest first; far more than a devnet holds."""


class Vanished(NamedTuple):
    """A transaction that is no longer in its block, and the slot of the block that has it now, if one has."""

    row: Row
    new_slot: int | None


class Logged(NamedTuple):
    """An event of a transaction as the log has it."""

    event_index: int
    data: bytes
    facts: str | None


class _Unchecked(NamedTuple):
    """How often a transaction could not be compared with the cluster's record, and when it is tried again."""

    attempts: int
    next_try_ms: int


class Finality:
    """Decides what of the log stands. ``wake`` tells the indexer that the inbox has something new."""

    def __init__(self, writer: LogWriter, accounts: Accounts, wake: Callable[[], None]) -> None:
        self._unchecked: dict[bytes, _Unchecked] = {}
        self._writer, self._accounts, self._wake = writer, accounts, wake
        self._store, self._codec, self._rpc = writer.store, writer.codec, writer.rpc
        self._reached = FROM_THE_OLDEST

    async def follow(self) -> tuple[int, int]:
        """Promote what became finalized and retract what vanished: (promoted, retracted)."""
        finalized_slot = await self._rpc.get_slot(Commitment.FINALIZED)
        promoted = vanished = 0
        for _ in range(BATCHES_MAX):
            rows = await self._store.read(
                lambda tx: chainlog.list_unfinalized(tx, finalized_slot, FINALITY_BATCH, self._reached)
            )
            # Some cannot be decided yet, perhaps never: whoever comes behind them must not wait for that.
            ended = len(rows) < FINALITY_BATCH
            self._reached = FROM_THE_OLDEST if ended else (rows[-1]["slot"], rows[-1]["id"])
            counts = await self._follow_batch(rows)
            promoted, vanished = promoted + counts[0], vanished + counts[1]
            if ended:
                break
        await self._accounts.settle_config(finalized_slot)
        await self._accounts.settle_baselines(finalized_slot)
        return promoted, vanished

    async def _follow_batch(self, rows: Sequence[Row]) -> tuple[int, int]:
        final, suspects = await self.judge(rows)
        checked = await self._check(await self._due([row for row in final if not row["checked"]]))
        promoted = [row["id"] for row in final if row["checked"] or row["id"] in checked]
        if promoted:
            await self._store.write(lambda tx: chainlog.set_finalized(tx, promoted))
        vanished = [each for each in await self._confirmed(suspects) if each is not None]
        if vanished:
            await self.retract(vanished)
        return len(promoted), len(vanished)

    async def judge(self, rows: Sequence[Row]) -> tuple[list[Row], list[Vanished]]:
        """Which rows became finalized, and which the chain dropped, perhaps to take them into another block."""
        statuses = await self._rpc.get_signature_statuses([row["signature"] for row in rows], search_history=True)
        final: list[Row] = []
        vanished: list[Vanished] = []
        for row, status in zip(rows, statuses, strict=True):
            if status is None or status.slot != row["slot"]:
                vanished.append(Vanished(row, None if status is None else status.slot))
            elif status.commitment is Commitment.FINALIZED:
                final.append(row)
        return final, vanished

    # Vanished

    async def _confirmed(self, suspects: Sequence[Vanished]) -> list[Vanished | None]:
        """A second opinion on those of which no status was known: a node that lags does not know its past."""
        gate = asyncio.Semaphore(FETCHES_MAX)
        due = {row["id"] for row in await self._due([each.row for each in suspects])}
        asked = [each for each in suspects if each.new_slot is not None or each.row["id"] in due]
        return await asyncio.gather(*(self._second_opinion(each, gate) for each in asked))

    async def _second_opinion(self, suspect: Vanished, gate: asyncio.Semaphore) -> Vanished | None:
        if suspect.new_slot is not None:
            return suspect
        try:
            async with gate:
                found = await self._writer.fetch(suspect.row["signature"])
        except RpcUnavailable:
            return None
        except (ChainError, UndecodableData) as error:
            await self._put_off(suspect.row, str(error))
            return None
        self._unchecked.pop(suspect.row["signature"], None)
        if found is None:
            return suspect
        return None if found.slot == suspect.row["slot"] else Vanished(suspect.row, found.slot)

    async def retract(self, rows: Sequence[Vanished], height_max: int = intents.HEIGHT_MAX) -> None:
        """Undo transactions that the chain dropped, and look for them anew. The node's own ones that are valid up to
        the block height ``height_max`` may land again.
        """
        logger.warning("retracting %d transactions that the chain dropped", len(rows))
        oldest = min(row["slot"] for row, _ in rows)

        def changed(tx: Tx) -> LogChange:
            change = LogChange(frozenset())
            for row, new_slot in rows:
                change = change.plus(chainlog.remove_transaction(tx, row["id"]))
                chainlog.resolve_dead_letters(tx, row["signature"], chainlog.DROPPED)
                messages.publish_retracted(tx, row["signature"], row["slot"])
                messages.resolve_undecodable(tx)
                intents.reopen(tx, row["signature"], height_max)
                if new_slot is not None:
                    chainlog.add_deliveries(tx, [Delivery(row["signature"], new_slot, None)], "poll")
            markets.forget_baselines(tx, sorted(change.markets), oldest)
            # Should the cluster have been wrong, polling finds them again.
            chainlog.lower_cursor(tx, self._codec.program_id, max(oldest - 1, 0))
            return change

        async with self._writer.lock:
            await self._writer.refold(changed)
        self._wake()

    # Checked

    async def _check(self, rows: Sequence[Row]) -> set[int]:
        """Compare what deliveries told with the cluster's own record; the ids of those that are true."""
        gate = asyncio.Semaphore(FETCHES_MAX)
        found = await asyncio.gather(*(self._fetch(row, gate) for row in rows))
        true: set[int] = set()
        for row, transaction in zip(rows, found, strict=True):
            if transaction is None:
                continue
            if await self._is_true(row, transaction):
                true.add(row["id"])
            else:
                await self._correct(row, transaction)
        if true:
            await self._store.write(lambda tx: chainlog.set_checked(tx, sorted(true)))
        return true

    async def _due(self, rows: Sequence[Row]) -> list[Row]:
        """Those whose turn it is. What was given up is with the dead letters, which are tried again by themselves."""
        now_ms = self._store.now_ms()
        waiting = [row for row in rows if row["signature"] in self._unchecked]
        later = {row["id"] for row in waiting if self._unchecked[row["signature"]].next_try_ms > now_ms}
        given_up = await self._store.read(lambda tx: chainlog.list_lettered(tx, [row["signature"] for row in rows]))
        return [row for row in rows if row["id"] not in later and row["signature"] not in given_up]

    async def _fetch(self, row: Row, gate: asyncio.Semaphore) -> ChainTransaction | None:
        """The transaction as the cluster has it; None where it cannot be had now, or not at all."""
        signature = row["signature"]
        error = "The cluster says that it is final, and does not tell of it."
        try:
            async with gate:
                found = await self._writer.fetch(signature, Commitment.FINALIZED)
        except RpcUnavailable as failure:
            logger.warning("a delivery cannot be checked yet: %s", failure)
            return None
        except (ChainError, UndecodableData) as failure:
            found, error = None, str(failure)
        if found is None:
            await self._put_off(row, error)
        else:
            self._unchecked.pop(signature, None)
        return found

    async def _put_off(self, row: Row, error: str) -> None:
        """Try again later, each time twice as long; after the last time it is a dead letter."""
        signature = row["signature"]
        attempts = self._unchecked[signature].attempts + 1 if signature in self._unchecked else 1
        if attempts < CHECKS_MAX and not len(self._unchecked) > UNCHECKED_MAX:
            pause_ms = CHECK_AGAIN_MS * 2 ** (attempts - 1)
            self._unchecked[signature] = _Unchecked(attempts, self._store.now_ms() + pause_ms)
            logger.warning("a delivery cannot be checked yet: %s", error)
            return
        self._unchecked.pop(signature, None)
        text = f"It is in the log, and what the cluster has of it cannot be had: {error}"

        def give_up(tx: Tx) -> None:
            if chainlog.add_dead_letter(tx, "delivery", text, signature=signature, slot=row["slot"]) is not None:
                messages.publish_undecodable(tx, "delivery", signature, text)

        await self._store.write(give_up)

    async def _is_true(self, row: Row, found: ChainTransaction) -> bool:
        slot = row["slot"]

        def read(tx: Tx) -> tuple[list[Logged], int]:
            events = chainlog.list_transaction_events(tx, row["id"])
            logged = [Logged(each["event_index"], each["data"], each["facts"]) for each in events]
            return logged, chainlog.count_in_slot(tx, slot)

        stored, in_slot = await self._store.read(read)
        complete = events_of(self._codec, found).complete
        told = (bool(row["failed"]), bool(row["complete"]), slot, stored)
        if told != (found.failed, complete, found.slot, logged_in(self._codec, found)):
            return False
        if found.index_in_block is not None:
            return bool(row["index_in_block"] in (None, found.index_in_block))
        if in_slot == 1 or row["index_in_block"] is None:
            return True
        async with self._writer.lock:
            return await self._writer.order_block(slot)

    async def _correct(self, row: Row, found: ChainTransaction) -> None:
        """Put the cluster's own record in the place of what a delivery told."""
        logger.warning("a delivery told of a transaction what is not so", extra={"slot": row["slot"]})

        def changed(tx: Tx) -> LogChange:
            change = chainlog.remove_transaction(tx, row["id"])
            chainlog.resolve_dead_letters(tx, row["signature"], chainlog.CORRECTED)
            messages.resolve_undecodable(tx)
            markets.forget_baselines(tx, sorted(change.markets), row["slot"])
            messages.publish_corrected(tx, row["signature"], row["slot"])
            # Should the node end before the next commit, the inbox still knows.
            chainlog.add_deliveries(tx, [Delivery(found.signature, found.slot, None)], "poll")
            return change

        async with self._writer.lock:
            await self._writer.refold(changed)
        await self._writer.apply([(found, "poll")])

    # The devnet

    async def retract_reverted(self) -> int:
        """After a revert of the embedded devnet: retract whatever it no longer has, finalised or not; how many."""
        retracted, before = 0, 2**62
        height_max = await self._rpc.get_block_height(Commitment.CONFIRMED) + BLOCKHASH_AGE_MAX
        for _ in range(RETRACT_SCAN_MAX // FINALITY_BATCH):
            bound = before
            rows = await self._store.read(lambda tx, bound=bound: chainlog.list_newest(tx, bound, FINALITY_BATCH))  # type: ignore[misc]
            if not rows:
                break
            _, vanished = await self.judge(rows)
            if vanished:
                await self.retract(vanished, height_max)
            retracted += len(vanished)
            if not vanished:
                break
            before = rows[-1]["id"]
        slot = await self._rpc.get_slot(Commitment.CONFIRMED)
        async with self._writer.lock:
            await self._writer.refold(lambda tx: forget_future(tx, self._codec.program_id, slot))
        return retracted


def forget_future(tx: Tx, program_id: bytes, slot: int) -> LogChange:
    """Drop what was read at later slots than the chain has: these slots come yet, with other contents."""
    chainlog.lower_cursor(tx, program_id, slot)
    chainlog.lower_meta(tx, ORDERED_SLOT, slot)
    chainlog.lower_meta(tx, markets.CONFIG_INCOMPLETE_SLOT, slot)
    markets.forget_config_readings(tx, slot)
    markets.lower_incomplete(tx, slot)
    keys = markets.list_baselines_after(tx, slot)
    markets.forget_baselines(tx, keys, slot + 1)
    return LogChange(frozenset(keys))


def logged_in(codec: Codec, found: ChainTransaction) -> list[Logged]:
    """The events that a transaction puts into the log."""
    calls = program_instructions(codec, found)
    logged = []
    for each in events_of(codec, found).events:
        if each.event is None:
            continue
        facts = facts_for(codec, calls[each.event_index], each.event) if each.event_index < len(calls) else None
        logged.append(Logged(each.event_index, each.data, msgspec.json.encode(facts).decode() if facts else None))
    return logged
