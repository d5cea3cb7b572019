"""Readings: functions of a snapshot, in the event loop's own thread if they are short, else in one of a few others."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pysqlite3 import dbapi2 as sqlite

from zmart_lite.errors import ReadTooLong, StoreUnavailable
from zmart_lite.store.engine.connections import Connection, Renewing, connect, connector
from zmart_lite.store.engine.faults import Faults, result_of
from zmart_lite.store.engine.tx import Tx

logger = logging.getLogger(__name__)

T = TypeVar("T")

READ_STEPS = 10_000
"""Steps of the database's machine between two looks at the clock, a millisecond or less."""
READ_AT_ONCE_S = 0.005
"""How long a reading for a request may hold the event loop before it moves to a thread: as long as a thread may hold
Python's lock anyway. Nearly all take a twentieth of it; in a thread each would cost three times as much, because SQLite
lets go of Python's lock at every row and gets it back only when the event loop lets go of it too."""
READ_AT_ONCE_STEPS = 1_000


class Readers:
    """``count`` connections in threads, and one of the event loop's own thread."""

    def __init__(self, path: Path, cache_mb: int, count: int, faults: Faults) -> None:
        self._path, self._cache_mb, self._count = path, cache_mb, count
        self._faults = faults
        self._idle: asyncio.Queue[Connection] = asyncio.Queue()
        self._at_once: Renewing | None = None
        self._since_s: dict[Connection, float] = {}
        """When each reading began that goes on in a thread."""

    async def open(self) -> None:
        """Raises sqlite.Error; what was opened is then closed by :meth:`close`."""
        for _ in range(self._count):
            self._idle.put_nowait(await connect(self._path, self._cache_mb, read_only=True))
        self._at_once = Renewing(connector(self._path, self._cache_mb, read_only=True))

    async def close(self, *, wait: bool) -> None:
        """``wait`` for the readings that go on; without it close what is idle."""
        for _ in range(self._count if wait else self._idle.qsize()):
            await (await self._idle.get()).close()
        if self._at_once is not None:
            self._at_once.close()
            self._at_once = None

    @property
    def idle_count(self) -> int:
        return self._idle.qsize()

    @property
    def reading_count(self) -> int:
        return self._count - self._idle.qsize()

    def oldest_s(self) -> float:
        """For how long the oldest reading has been going on, in seconds; 0 without any."""
        return time.monotonic() - min(self._since_s.values()) if self._since_s else 0.0

    async def read(self, run: Callable[[Tx], T], now_ms: int, timeout_s: float | None) -> T:
        """See :meth:`Store.read`."""
        if timeout_s is not None and self._at_once is not None:
            try:
                soon = time.monotonic() + min(READ_AT_ONCE_S, timeout_s)
                found: T = self._at_once.run(run_read, run, now_ms, soon, READ_AT_ONCE_STEPS)
            except sqlite.DatabaseError as error:
                if result_of(error) != sqlite.SQLITE_INTERRUPT:
                    raise self._failed(error) from error
            else:
                self._faults.read_well()
                return found
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        return await self.call(run_read, run, now_ms, deadline, READ_STEPS, timeout_s=timeout_s)

    async def call(self, function: Callable[..., T], *args: Any, timeout_s: float | None = None) -> T:
        """Run a function of a bare reading connection in its thread, outside any transaction. ``timeout_s``: how long
        to wait for that connection. Raises ReadTooLong, StoreUnavailable.
        """
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._idle.get()
        except TimeoutError as error:
            raise ReadTooLong from error
        self._since_s[connection] = time.monotonic()
        try:
            found: T = await connection.call(function, *args)
        except sqlite.DatabaseError as error:
            if result_of(error) == sqlite.SQLITE_INTERRUPT:
                raise ReadTooLong from error
            raise self._failed(error) from error
        finally:
            del self._since_s[connection]
            self._idle.put_nowait(connection)
        self._faults.read_well()
        return found

    def _failed(self, error: sqlite.DatabaseError) -> StoreUnavailable:
        self._faults.read_failed(error)
        return StoreUnavailable(f"The database cannot be read: {error}")


def run_read(connection: Any, run: Callable[[Tx], T], now_ms: int, deadline: float | None, steps: int) -> T:
    """Run a function on one snapshot of a bare connection. After ``deadline`` (of the monotonic clock) SQLite, which
    looks every ``steps`` steps, stops the statement that runs.
    """
    connection.set_progress_handler(None if deadline is None else _passed(deadline), steps)
    try:
        connection.execute("BEGIN")
        return run(Tx(connection, now_ms))
    finally:
        # The limit is for the reading's statements: one that is over its time must still be ended.
        connection.set_progress_handler(None, 0)
        _end(connection)


def look_at_log(connection: Any) -> tuple[int, int, int]:
    """(busy, pages in the log, pages of it that were written back). Writes nothing back by itself."""
    busy, pages, back = connection.execute("PRAGMA wal_checkpoint(NOOP)").fetchone()
    return busy, pages, back


def _end(connection: Any) -> None:
    """End the transaction; the connection says itself where that failed, and is opened anew then."""
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite.Error as error:
            logger.error("a reading cannot be ended: %s", error)


def _passed(deadline: float) -> Callable[[], bool]:
    """Tells SQLite, which asks from time to time, whether to stop."""
    return lambda: time.monotonic() > deadline
