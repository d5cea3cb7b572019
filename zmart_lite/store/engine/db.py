"""Opens the database and runs units of work on it.

A unit of work is a plain function of a :class:`Tx`. Requests, jobs and the indexer hand theirs to
:meth:`Store.write`, which returns once the unit is durable (``synchronous=FULL``); units that wait at the same time
share one commit. Async code thus crosses to the connection's thread once per unit, not once per statement. What a unit
publishes goes to ``on_commit`` after the commit, in offset order, never before.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from pysqlite3 import dbapi2 as sqlite

from zmart_lite.errors import StartupError, StoreUnavailable
from zmart_lite.models import FeedMessage
from zmart_lite.store.engine import migrate
from zmart_lite.store.engine.changes import EVERY_TABLE, Changes
from zmart_lite.store.engine.connections import PAGE_BYTES, Connection, connect, lock_database
from zmart_lite.store.engine.faults import Faults
from zmart_lite.store.engine.reading import Readers, look_at_log
from zmart_lite.store.engine.tx import Row, Shared, Tx
from zmart_lite.store.engine.writing import Committed, Outcome, run_group

__all__ = ["Reader", "Row", "Store", "Tx", "WriteAhead", "wall_clock_ms"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
GROUP_UNITS_MAX = 256
"""Units of work in one commit: bounds how long the first of them waits for the others."""


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class WriteAhead(NamedTuple):
    """The log of the database's newest pages. ``size_bytes`` of its file; ``waiting_bytes``: what has not been written
    back into the database yet; ``oldest_reading_s``: age of the oldest reading, behind which nothing can be.
    """

    size_bytes: int
    waiting_bytes: int
    oldest_reading_s: float


class _Unit(NamedTuple):
    run: Callable[[Tx], Any]
    done: asyncio.Future[Any]


class Store:
    """The open database. ``on_commit`` gets the feed messages of each commit, in the event loop's thread."""

    def __init__(
        self,
        path: Path,
        *,
        readers: int = 3,
        cache_mb: int = 64,
        writer_cache_mb: int = 128,
        queue_max: int = 10_000,
        now_ms: Callable[[], int] = wall_clock_ms,
        on_commit: Callable[[list[FeedMessage]], None] | None = None,
        on_group: Callable[[int, float], None] | None = None,
    ) -> None:
        """``readers`` connections that only read; page cache of each of them, and of the one that writes, in MiB;
        ``queue_max`` units of work may wait, beyond that the store says that it is unavailable. ``on_group`` is told of
        each commit: units in it and seconds it took.
        """
        self.path = path
        self._writer_cache_mb = writer_cache_mb
        self._queue_max = queue_max
        self.now_ms = now_ms
        self.on_commit = on_commit
        self.on_group = on_group
        self.faults = Faults()
        self.changes = Changes()
        self._units: asyncio.Queue[_Unit | None] = asyncio.Queue()
        self._shared = Shared(lambda: not self._units.empty(), {})
        self._readers = Readers(path, cache_mb, readers, self.faults)
        self._closing = False
        self.database_id = ""
        """What tells this database from every other, once it is open."""
        self._lock_file: int | None = None
        self._open_writer: Connection | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def failed(self) -> str | None:
        """What is wrong with the database; None while it works."""
        return self.faults.now

    @property
    def queue_length(self) -> int:
        return self._units.qsize()

    def connections(self) -> dict[str, int]:
        """Open connections by what they do: the one that writes, and those that read or wait to. That of the event
        loop's own thread never reads while somebody can ask.
        """
        if self._open_writer is None:
            return {"writer": 0, "reading": 0, "idle": 0}
        return {"writer": 1, "reading": self._readers.reading_count, "idle": self._readers.idle_count + 1}

    @property
    def _writer(self) -> Connection:
        if self._open_writer is None:
            raise StoreUnavailable("The database is closed.")
        return self._open_writer

    async def open(self) -> Self:
        """Lock the database for this process, bring its schema up to date, start the writer.

        Raises StartupError: another process has it open, it belongs to a newer version, it cannot be created.
        """
        self._lock_file = lock_database(self.path)
        try:
            self._open_writer = await connect(self.path, self._writer_cache_mb, read_only=False)
            await self._writer.call(migrate.migrate)
            self.database_id = await self._writer.call(migrate.database_id)
            await self._readers.open()
        except sqlite.Error as error:
            await self._release()
            raise StartupError(
                f"The database {self.path} cannot be opened: {error}."
                " Check that the folder is writable and the disk not full."
            ) from error
        except StartupError:
            await self._release()
            raise
        self._task = asyncio.get_running_loop().create_task(self._write_groups(), name="store-writer")
        return self

    async def close(self) -> None:
        """Finish the waiting units, checkpoint and close. Later writes are refused."""
        self._closing = True
        if self._task is not None:
            self._units.put_nowait(None)
            await self._task
            self._task = None
            await self._readers.close(wait=True)
        await self._release()

    async def abandon(self) -> None:
        """End as a killed process does: units that wait are lost, one under way may land or not."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._release()

    async def _release(self) -> None:
        """Close what is open and give the lock back."""
        await self._readers.close(wait=False)
        if self._open_writer is not None:
            await self._open_writer.close()
            self._open_writer = None
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    async def write(self, run: Callable[[Tx], T]) -> T:
        """Run a unit of work and return its result once it is durable. What the unit raises is raised here.

        Raises StoreUnavailable when the commit fails or the store is closing; the unit then left no trace.
        """
        if self._closing or self._units.qsize() >= self._queue_max:
            raise StoreUnavailable("The node is stopping." if self._closing else "The database is overloaded.")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._units.put_nowait(_Unit(run, done))
        return await done

    async def read(self, run: Callable[[Tx], T], *, timeout_s: float | None = None) -> T:
        """Run a function on a consistent snapshot. It may not write. ``timeout_s`` is for waiting for a connection and
        for all statements together; one that runs beyond it is stopped. With it, the function is run in the event
        loop's own thread first, and once more from its beginning in another if its statements take too long for that.

        Raises ReadTooLong, StoreUnavailable, also once closing.
        """
        if self._closing:
            raise StoreUnavailable("The node is stopping.")
        return await self._readers.read(run, self.now_ms(), timeout_s)

    async def write_ahead(self) -> WriteAhead:
        """How the log stands. Raises StoreUnavailable."""
        _busy, frames, back = await self._readers.call(look_at_log)
        return WriteAhead(self._log_bytes(), max(0, frames - back) * PAGE_BYTES, self._readers.oldest_s())

    def _log_bytes(self) -> int:
        try:
            return Path(f"{self.path}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    async def on_writer(self, function: Callable[[Any], T]) -> T:
        """Run a function of the bare writing connection outside any transaction (backup, checkpoint, VACUUM)."""
        try:
            return await self._writer.call(function)
        finally:
            self.changes.count((EVERY_TABLE,))

    async def _write_groups(self) -> None:
        stopping = False
        while not stopping:
            units, stopping = await self._next_group()
            if units:
                await self._write_group(units)

    async def _next_group(self) -> tuple[list[_Unit], bool]:
        units: list[_Unit] = []
        unit = await self._units.get()
        while unit is not None:
            units.append(unit)
            if len(units) == GROUP_UNITS_MAX or self._units.empty():
                return units, False
            unit = self._units.get_nowait()
        return units, True

    async def _write_group(self, units: list[_Unit]) -> None:
        started = time.perf_counter()
        runs = [unit.run for unit in units]
        try:
            committed = await self._writer.call(run_group, runs, self.now_ms(), self._shared)
        except sqlite.Error as error:
            # The connection was broken before and cannot be opened anew. Whoever waits must hear of it.
            committed = Committed.failed(len(units), error)
        self.changes.count(committed.changed)
        self.faults.wrote(committed.error)
        for unit, outcome in zip(units, committed.outcomes, strict=True):
            _settle(unit.done, outcome)
        try:
            if self.on_group is not None:
                self.on_group(len(units), time.perf_counter() - started)
            if committed.messages and self.on_commit is not None:
                self.on_commit(committed.messages)
        except Exception:
            # Whoever listens must not be able to stop the writer: every later write would wait for ever.
            logger.exception("a listener of the store failed")


def _settle(done: asyncio.Future[Any], outcome: Outcome) -> None:
    if done.cancelled():
        return
    if outcome.error is None:
        done.set_result(outcome.result)
    else:
        done.set_exception(outcome.error)


Reader = Callable[[Callable[[Tx], T]], Awaitable[T]]
