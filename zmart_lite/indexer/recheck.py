"""Compares transactions of the log with what the cluster says of them now, final ones too.

What an endpoint told wrongly once, or a fork took back unseen, stays in the log for ever otherwise: nobody asks again
for what is final, or for what lies later than the chain has come. A fact is given up on proof only: another slot that
two answers name, or a transaction that no address knows although one of them has the blocks of its time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from zmart_lite.chain.slots import SLOTS_AHEAD_MAX
from zmart_lite.errors import ChainError, RpcUnavailable, UndecodableData
from zmart_lite.indexer.finality import FETCHES_MAX, Vanished, forget_future
from zmart_lite.indexer.writer import LogWriter
from zmart_lite.models import Commitment
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.state import markets

logger = logging.getLogger(__name__)

BATCH = 256
"""As many signatures as the cluster tells of in one call."""

MARKET_MAX = 25_600
"""Transactions of a market that are asked for because something of it differs; older ones are for a deep look."""

Retract = Callable[[Sequence[Vanished]], Awaitable[None]]
OnProgress = Callable[[int, int], None]


class Rechecked(NamedTuple):
    """Transactions asked for, and those of them that were undone: the chain has them in another slot, or not at all."""

    asked: int = 0
    undone: int = 0

    def plus(self, other: "Rechecked") -> "Rechecked":
        return Rechecked(self.asked + other.asked, self.undone + other.undone)


class Recheck:
    """``retract`` undoes transactions and has those looked for anew that are in another slot."""

    def __init__(self, writer: LogWriter, retract: Retract) -> None:
        self._writer, self._retract = writer, retract
        self._store, self._rpc = writer.store, writer.rpc

    async def run(self, on_progress: OnProgress = lambda _done, _total: None) -> Rechecked:
        """Every transaction of the log, newest first. Raises what the RPC raises; what was undone by then stays so."""
        done, before = Rechecked(), 2**62
        total = await self._store.read(chainlog.count_transactions)
        while rows := await self._store.read(lambda tx, b=before: chainlog.list_newest(tx, b, BATCH)):  # type: ignore[misc]
            done, before = done.plus(await self._recheck(rows)), rows[-1]["id"]
            on_progress(min(done.asked, total), total)
        return done

    async def run_market(self, market_id: bytes) -> Rechecked:
        """The transactions of one market. Raises what the RPC raises."""
        rows = await self._store.read(lambda tx: chainlog.list_market_transactions(tx, market_id, MARKET_MAX))
        done = Rechecked()
        for start in range(0, len(rows), BATCH):
            done = done.plus(await self._recheck(rows[start : start + BATCH]))
        return done

    async def undo_future(self) -> Rechecked:
        """What the log has of slots that the chain has not reached: transactions, readings of accounts, the place up to
        which the history was read. Raises what the RPC raises.
        """
        tip = await self._rpc.get_slot(Commitment.CONFIRMED)
        limit, done = tip + SLOTS_AHEAD_MAX, Rechecked()
        while rows := await self._store.read(lambda tx: chainlog.list_after_slot(tx, limit, BATCH)):
            part = await self._recheck(rows)
            done = done.plus(part)
            if not part.undone:
                break
        if done.undone or await self._store.read(lambda tx: has_future(tx, self._writer.codec.program_id, limit)):
            logger.error("the log held what lies later than slot %d: %d transactions undone", limit, done.undone)
            async with self._writer.lock:
                await self._writer.refold(lambda tx: forget_future(tx, self._writer.codec.program_id, tip))
        return done

    async def _recheck(self, rows: Sequence[Row]) -> Rechecked:
        statuses = await self._rpc.get_signature_statuses([row["signature"] for row in rows], search_history=True)
        suspects, early = [], []
        for row, status in zip(rows, statuses, strict=True):
            if status is None or status.slot != row["slot"]:
                suspects.append(Vanished(row, None if status is None else status.slot))
            elif status.commitment is not Commitment.FINALIZED and row["finality"] > 1:
                early.append(row["id"])
        if early:
            # Whoever said that they are final was wrong; that is decided anew.
            await self._store.write(lambda tx: chainlog.set_confirmed(tx, early))
        gate = asyncio.Semaphore(FETCHES_MAX)
        proven = [each for each in await asyncio.gather(*(self._proven(each, gate) for each in suspects)) if each]
        if proven:
            await self._retract(proven)
        return Rechecked(len(rows), len(proven))

    async def _proven(self, suspect: Vanished, gate: asyncio.Semaphore) -> Vanished | None:
        """The suspicion, if a second answer bears it out."""
        row, new_slot = suspect
        async with gate:
            if new_slot is None:
                return suspect if await self._rpc.is_absent(row["signature"], row["slot"]) else None
            try:
                found = await self._writer.fetch(row["signature"])
            except RpcUnavailable:
                raise
            except (ChainError, UndecodableData):
                return None
        return suspect if found is not None and found.slot == new_slot else None


def has_future(tx: Tx, program_id: bytes, slot: int) -> bool:
    """Whether readings of accounts, those that are wanted, or the cursor lie behind a slot."""
    cursor = chainlog.find_cursor(tx, program_id)
    return (
        (cursor or 0) > slot
        or bool(markets.list_baselines_after(tx, slot))
        or markets.has_incomplete_after(tx, slot)
        or markets.has_config_after(tx, slot)
    )
