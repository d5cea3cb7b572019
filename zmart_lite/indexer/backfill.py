"""Reads the program's whole history from a slot on, in steps that outlast an interruption.

First all signatures go into the inbox, page by page from the tip back; then the inbox is worked off in the order of the
slots, so that markets are folded once and not anew for each page. How far it came is noted with each page.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from zmart_lite.chain.rpc import SIGNATURES_PER_PAGE_MAX
from zmart_lite.errors import ChainError, PlaceUnknown, RpcRefused
from zmart_lite.indexer.history import STARTS_MAX, Page, Place, enter, pages
from zmart_lite.indexer.service import Indexer
from zmart_lite.indexer.writer import LogWriter
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import chainlog

logger = logging.getLogger(__name__)

STATE = "backfill"
"""Key of the note of how far a run came."""
SOURCE = "backfill"
WAIT_S_MAX = 5.0
"""How long a run waits at most before it looks again whether postponed transactions have their turn."""

Sleep = Callable[[float], Awaitable[object]]


class State(msgspec.Struct):
    """How far reading came: below which signature it goes on, and the slots between which it has read."""

    from_slot: int
    before: str | None = None
    newest: int = 0
    lowest: int = 0
    seen: int = 0
    new: int = 0


class Progress(NamedTuple):
    """``reading``: slots of the history; ``indexing``: transactions."""

    phase: str
    done: int
    total: int


class Backfilled(NamedTuple):
    """Transactions seen in the history, and those of them that were new. ``lacking_below``: the RPC node has no blocks
    before that slot, which is behind the one that was asked for.
    """

    seen: int
    new: int
    lacking_below: int | None = None


OnProgress = Callable[[Progress], None]


class Backfill:
    """One run at a time. ``on_progress`` is told after each page and each batch."""

    def __init__(self, indexer: Indexer, on_progress: OnProgress | None = None, sleep: Sleep = asyncio.sleep) -> None:
        self._indexer = indexer
        writer: LogWriter = indexer.writer
        self._store, self._rpc, self._program_id = writer.store, writer.rpc, writer.codec.program_id
        self._on_progress = on_progress or (lambda _: None)
        self._sleep = sleep

    async def run(self, from_slot: int) -> Backfilled:
        """Read, then index. Raises what the RPC raises; the next run with the same slot goes on from there."""
        done = await self.read(from_slot)
        await self._index(done.new)
        return done._replace(lacking_below=await self._lacking_below(from_slot))

    async def _lacking_below(self, from_slot: int) -> int | None:
        """Nodes end a history that they do not have without a word. None where all is there, or nobody can tell."""
        try:
            first = await self._rpc.get_first_slot()
        except RpcRefused:
            return None
        return first if first > from_slot else None

    async def read(self, from_slot: int) -> Backfilled:
        """Put the history from the tip down to ``from_slot`` into the inbox, going on where an earlier run stood.

        Raises ChainError where the history cannot be followed, in spite of starting again at the tip.
        """
        for _ in range(STARTS_MAX):
            known = await self._store.read(_find_state)
            state = known if known is not None and known.from_slot == from_slot else State(from_slot)
            try:
                return await self._read_on(state)
            except PlaceUnknown as error:
                # A fork dropped the place, or this node's history is shorter. What lies below it has not been read.
                logger.warning("the history is read again from its tip: %s", error)
                await self._store.write(_forget_state)
        raise ChainError("The RPC nodes' history does not get on; try again later, or another node.")

    async def _read_on(self, state: State) -> Backfilled:
        below = None if state.before is None else Place(bytes.fromhex(state.before), state.lowest)
        known = pages(
            self._rpc, self._program_id, floor=state.from_slot, below=below, page_size=SIGNATURES_PER_PAGE_MAX
        )
        async for page in known:
            state.newest = state.newest or page.newest_slot
            state = await self._store.write(lambda tx, s=state, p=page: _enter(tx, s, p))  # type: ignore[misc]
            total = max(state.newest - state.from_slot, 0)
            self._on_progress(Progress("reading", total if page.is_last else state.newest - state.lowest, total))
        return Backfilled(state.seen, state.new)

    async def _index(self, total: int) -> None:
        while left := await self._store.read(chainlog.inbox_length):
            self._on_progress(Progress("indexing", max(total - left, 0), total))
            if not await self._indexer.index_inbox():
                await self._sleep(min(await self._indexer.pause_s(), WAIT_S_MAX))
        self._on_progress(Progress("indexing", total, total))


def _find_state(tx: Tx) -> State | None:
    text = chainlog.find_meta(tx, STATE)
    return None if text is None else msgspec.json.decode(text, type=State)


def _forget_state(tx: Tx) -> None:
    tx.execute("DELETE FROM meta WHERE key = ?", (STATE,))


def _enter(tx: Tx, state: State, page: Page) -> State:
    """A page into the inbox, together with the note of how far reading came."""
    state.new += enter(tx, page.rows, SOURCE).rows
    state.seen += len(page.rows)
    if page.rows:
        state.before, state.lowest = page.rows[-1].signature.hex(), page.rows[-1].slot
    if page.is_last:
        _forget_state(tx)
    else:
        chainlog.set_meta(tx, STATE, msgspec.json.encode(state).decode())
    return state
