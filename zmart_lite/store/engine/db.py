"""Opens the database and runs units of work on it.

A unit of work is a plain function of a :class:`Tx`. Requests, jobs and the indexer hand theirs to
:meth:`Store.write`, which returns once the unit is durable (``synchronous=FULL``); units that wait at the same time
share one commit, each in a savepoint of its own, so that one that fails takes nothing else with it. Async code thus
crosses to the connection's thread once per unit, not once per statement. What a unit publishes goes to ``on_commit``
after the commit, in offset order, never before. What a request reads is read in the event loop's own thread, unless it
takes long (:data:`READ_AT_ONCE_S`).

SQLite is the one bundled with pysqlite3: libraries from 3.7.0 to 3.51.2 can corrupt a WAL database when connections
write and checkpoint at the same instant, and Linux distributions still ship those.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar, cast

import aiosqlite
import msgspec
from pysqlite3 import dbapi2 as sqlite

from zmart_lite.errors import DatabaseInUse, ReadTooLong, StartupError, StoreUnavailable
from zmart_lite.models import FeedMessage
from zmart_lite.store.engine import migrate
from zmart_lite.store.engine.changes import EVERY_TABLE, Changes, changed_table

logger = logging.getLogger(__name__)

T = TypeVar("T")
Row = Any
"""A result row, read by column name: ``row["slot"]``."""

GROUP_UNITS_MAX = 256
"""Units of work in one commit: bounds how long the first of them waits for the others."""
BUSY_TIMEOUT_MS = 5_000
PAGE_BYTES = 8_192
"""Of new databases. Twice SQLite's default: half as many pages change in a large commit, and with them the copies and
checksums of its log, which makes a backfill a sixth cheaper; a small commit takes a tenth longer."""
CHECKPOINT_PAGES = 128 * 2**20 // PAGE_BYTES
"""128 MiB of WAL: a page that many commits change is written back once for all of them."""
WAL_KEPT_BYTES = 256 * 2**20
"""What the WAL's file may keep of the disk while it is empty. With less, a backfill, whose largest commits take some
90 MiB, would give back and ask for the same room over and over."""
CACHED_STATEMENTS = 512
ROWS_PER_FETCH = 64
READ_STEPS = 10_000
"""Steps of the database's machine between two looks at the clock, a millisecond or less."""
READ_AT_ONCE_S = 0.005
"""How long a reading for a request may hold the event loop before it moves to a thread: as long as a thread may hold
Python's lock anyway. Nearly all take a twentieth of it; in a thread each would cost three times as much, because SQLite
lets go of Python's lock at every row and gets it back only when the event loop lets go of it too."""
READ_AT_ONCE_STEPS = 1_000
KIB_PER_MIB = 1_024
SQLITE_VERSION: str = sqlite.sqlite_version

# They pass as they are. Without an adapter the binding looks for one in each value that is neither number nor text, in
# vain, which takes ten times as long as handing it to SQLite.
sqlite.register_adapter(bytes, bytes)
sqlite.register_adapter(type(None), lambda nothing: nothing)

STORAGE_FAILURES = frozenset(
    {
        sqlite.SQLITE_BUSY,
        sqlite.SQLITE_NOMEM,
        sqlite.SQLITE_READONLY,
        sqlite.SQLITE_INTERRUPT,
        sqlite.SQLITE_IOERR,
        sqlite.SQLITE_CORRUPT,
        sqlite.SQLITE_FULL,
        sqlite.SQLITE_CANTOPEN,
    }
)
"""Results that say something about the disk or the machine, not about the unit that met them first."""
PRIMARY_RESULT = 0xFF


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def _never() -> bool:
    return False


def _always() -> bool:
    return True


class Shared(NamedTuple):
    """What all units of work of a store have in common. ``is_awaited`` tells whether others wait for the running one to
    end; ``wallet_keys``: keys of wallets by address, as far as they are known. They never change.
    """

    is_awaited: Callable[[], bool]
    wallet_keys: dict[bytes, int]


class Tx:
    """One open transaction: what a unit of work sees of the database. Not to be kept beyond the unit."""

    def __init__(
        self,
        connection: Any,
        now_ms: int,
        feed_head: int | None = None,
        shared: Shared | None = None,
    ) -> None:
        """``feed_head``: offset of the newest message; None: to be looked up when it is needed."""
        self._connection = connection
        self.is_awaited, self.wallet_keys = shared or Shared(_never, {})
        self.now_ms = now_ms
        self.feed_head = feed_head
        self.published: list[FeedMessage] = []
        self.changed: set[str | None] = set()
        """Tables that were written; None among them stands for what was only read."""

    def execute(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run a statement; the number of rows it changed."""
        self.changed.add(changed_table(sql))
        return cast(int, self._connection.execute(sql, params).rowcount)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self.changed.add(changed_table(sql))
        self._connection.executemany(sql, rows)

    def one(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        """The first row or None; also for ``INSERT … RETURNING``."""
        self.changed.add(changed_table(sql))
        rows = self._connection.execute(sql, params).fetchall()
        return rows[0] if rows else None

    def all(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        self.changed.add(changed_table(sql))
        return cast(list[Row], self._connection.execute(sql, params).fetchall())

    def value(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None."""
        row = self.one(sql, params)
        return None if row is None else row[0]

    def publish(
        self,
        message_type: str,
        data: object,
        *,
        market_id: bytes | None = None,
        wallet: bytes | None = None,
        listed: bool = True,
        state_changed: bool = False,
    ) -> int:
        """Append a message to the feed; its offset. Clients get it after the commit. ``data`` becomes JSON."""
        if self.feed_head is None:
            self.feed_head = int(self.value("SELECT max(feed_offset) FROM feed") or 0)
        self.feed_head += 1
        text = msgspec.json.encode(data).decode()
        self.published.append(
            FeedMessage(self.feed_head, message_type, market_id, wallet, listed, state_changed, self.now_ms, text)
        )
        return self.feed_head

    def store_published(self) -> None:
        """Write what the unit has published, all at once: a statement for each would cost twice the time."""
        if self.published:
            self.execute_many(
                "INSERT INTO feed (feed_offset, type, market_id, wallet, listed, state_changed, created_ms, data)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                self.published,
            )


class _Unit(NamedTuple):
    run: Callable[[Tx], Any]
    done: asyncio.Future[Any]


class _Connection(aiosqlite.Connection):
    """aiosqlite's connection and thread, with one crossing for a whole function instead of one per statement."""

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        return cast(T, await self._execute(function, self._conn, *args))  # type: ignore[no-untyped-call]


def connector(path: Path, cache_mb: int, read_only: bool) -> Callable[[], Any]:
    """Opens a connection with this store's pragmas, in whichever thread calls it."""

    def connect() -> Any:
        connection = sqlite.connect(str(path), isolation_level=None, cached_statements=CACHED_STATEMENTS)
        connection.row_factory = sqlite.Row
        try:
            for pragma in _pragmas(cache_mb, read_only):
                connection.execute(f"PRAGMA {pragma}")
        except sqlite.Error:
            connection.close()
            raise
        return connection

    return connect


def _pragmas(cache_mb: int, read_only: bool) -> tuple[str, ...]:
    return (
        # busy_timeout first: the pragmas behind it may already have to wait for a lock.
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        # Before the first page is written.
        f"page_size = {PAGE_BYTES}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"cache_size = -{cache_mb * KIB_PER_MIB}",
        "mmap_size = 0",
        "temp_store = MEMORY",
        # Only the writer checkpoints.
        f"wal_autocheckpoint = {0 if read_only else CHECKPOINT_PAGES}",
        f"journal_size_limit = {WAL_KEPT_BYTES}",
        f"query_only = {int(read_only)}",
    )


async def _connect(path: Path, cache_mb: int, *, read_only: bool) -> _Connection:
    return cast(_Connection, await _Connection(connector(path, cache_mb, read_only), ROWS_PER_FETCH))


def lock_database(path: Path) -> int:
    """Lock a database for this process; the descriptor whose closing unlocks it.

    Raises StartupError: another process has it, or its folder is not writable.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock_file = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartupError(f"The database folder {path.parent} is not writable: {error.strerror}.") from error
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock_file)
        raise DatabaseInUse(
            f"The database {path} is in use by another zmart-lite. Stop that one, or set store.dir to another folder."
        ) from error
    return lock_file


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
        self._readers_count = readers
        self._cache_mb, self._writer_cache_mb = cache_mb, writer_cache_mb
        self._queue_max = queue_max
        self.now_ms = now_ms
        self.on_commit = on_commit
        self.on_group = on_group
        self.failed: str | None = None
        """Why the last commit failed; None while the store works."""
        self.changes = Changes()
        self._units: asyncio.Queue[_Unit | None] = asyncio.Queue()
        self._shared = Shared(lambda: not self._units.empty(), {})
        self._readers: asyncio.Queue[_Connection] = asyncio.Queue()
        self._closing = False
        self._lock_file: int | None = None
        self._open_writer: _Connection | None = None
        self._at_once: Any = None
        """The reading connection of the event loop's own thread."""
        self._task: asyncio.Task[None] | None = None

    @property
    def queue_length(self) -> int:
        return self._units.qsize()

    def connections(self) -> dict[str, int]:
        """Open connections by what they do: the one that writes, and those that read or wait to. That of the event
        loop's own thread never reads while somebody can ask.
        """
        if self._open_writer is None:
            return {"writer": 0, "reading": 0, "idle": 0}
        idle = self._readers.qsize()
        return {"writer": 1, "reading": self._readers_count - idle, "idle": idle + 1}

    @property
    def _writer(self) -> _Connection:
        if self._open_writer is None:
            raise StoreUnavailable("The database is closed.")
        return self._open_writer

    async def open(self) -> Self:
        """Lock the database for this process, bring its schema up to date, start the writer.

        Raises StartupError: another process has it open, it belongs to a newer version, it cannot be created.
        """
        self._lock_file = lock_database(self.path)
        try:
            self._open_writer = await _connect(self.path, self._writer_cache_mb, read_only=False)
            await self._writer.call(migrate.migrate)
            for _ in range(self._readers_count):
                self._readers.put_nowait(await _connect(self.path, self._cache_mb, read_only=True))
            self._at_once = connector(self.path, self._cache_mb, read_only=True)()
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
            for _ in range(self._readers_count):
                await (await self._readers.get()).close()
        await self._release()

    async def _release(self) -> None:
        """Close what is open and give the lock back."""
        while not self._readers.empty():
            await self._readers.get_nowait().close()
        if self._at_once is not None:
            self._at_once.close()
            self._at_once = None
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
        if timeout_s is not None:
            # What a database says of itself is said below as well.
            with contextlib.suppress(sqlite.DatabaseError):
                deadline = time.monotonic() + min(READ_AT_ONCE_S, timeout_s)
                return _run_read(self._at_once, run, self.now_ms(), deadline, READ_AT_ONCE_STEPS)
        return await self._read_in_thread(run, timeout_s)

    async def _read_in_thread(self, run: Callable[[Tx], T], timeout_s: float | None) -> T:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            connection = await self._reader(timeout_s)
        except TimeoutError as error:
            raise ReadTooLong from error
        try:
            return await connection.call(_run_read, run, self.now_ms(), deadline, READ_STEPS)
        except sqlite.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & PRIMARY_RESULT == sqlite.SQLITE_INTERRUPT:
                raise ReadTooLong from error
            raise StoreUnavailable(f"The database cannot be read: {error}") from error
        except sqlite.DatabaseError as error:
            raise StoreUnavailable(f"The database cannot be read: {error}") from error
        finally:
            self._readers.put_nowait(connection)

    async def _reader(self, timeout_s: float | None) -> _Connection:
        if timeout_s is None or not self._readers.empty():
            return await self._readers.get()
        async with asyncio.timeout(timeout_s):
            return await self._readers.get()

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
        outcomes, messages, changed = await self._writer.call(_run_group, runs, self.now_ms(), self._shared)
        self.changes.count(changed)
        broken = next((outcome.error for outcome in outcomes if isinstance(outcome.error, StoreUnavailable)), None)
        self.failed = str(broken) if broken else None
        for unit, outcome in zip(units, outcomes, strict=True):
            _settle(unit.done, outcome)
        try:
            if self.on_group is not None:
                self.on_group(len(units), time.perf_counter() - started)
            if messages and self.on_commit is not None:
                self.on_commit(messages)
        except Exception:
            # Whoever listens must not be able to stop the writer: every later write would wait for ever.
            logger.exception("a listener of the store failed")


class _Outcome(NamedTuple):
    result: Any
    error: BaseException | None


def _settle(done: asyncio.Future[Any], outcome: _Outcome) -> None:
    if done.cancelled():
        return
    if outcome.error is None:
        done.set_result(outcome.result)
    else:
        done.set_exception(outcome.error)


def _run_read(connection: Any, run: Callable[[Tx], T], now_ms: int, deadline: float | None, steps: int) -> T:
    connection.set_progress_handler(None if deadline is None else _passed(deadline), steps)
    connection.execute("BEGIN")
    try:
        return run(Tx(connection, now_ms))
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _passed(deadline: float) -> Callable[[], bool]:
    """Tells SQLite, which asks from time to time, whether to stop."""
    return lambda: time.monotonic() > deadline


def _run_group(
    connection: Any, runs: list[Callable[[Tx], Any]], now_ms: int, shared: Shared
) -> tuple[list[_Outcome], list[FeedMessage], set[str]]:
    """All units in one transaction, on the writer's thread. A failing commit fails every one of them."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        outcomes, messages, changed = _run_units(connection, runs, now_ms, shared)
        connection.execute("COMMIT")
        return outcomes, messages, changed
    except sqlite.Error as error:
        logger.error("commit failed: %s", error)
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        shared.wallet_keys.clear()
        failure = StoreUnavailable(f"The database cannot be written: {error}")
        return [_Outcome(None, failure) for _ in runs], [], set()


def _is_storage_failure(error: Exception) -> bool:
    return (
        isinstance(error, sqlite.Error) and getattr(error, "sqlite_errorcode", 0) & PRIMARY_RESULT in STORAGE_FAILURES
    )


def _run_units(
    connection: Any, runs: list[Callable[[Tx], Any]], now_ms: int, shared: Shared
) -> tuple[list[_Outcome], list[FeedMessage], set[str]]:
    outcomes: list[_Outcome] = []
    messages: list[FeedMessage] = []
    changed: set[str | None] = set()
    is_first, feed_head = True, None
    if len(runs) > 1:
        # The others of the group wait, too, whether they have been run or not.
        shared = shared._replace(is_awaited=_always)
    for run in runs:
        tx = Tx(connection, now_ms, feed_head, shared)
        if not is_first:
            connection.execute("SAVEPOINT unit")
        try:
            result = run(tx)
            tx.store_published()
        except Exception as error:  # the unit's own failure belongs to whoever asked for it
            if _is_storage_failure(error) or not connection.in_transaction:
                # A full disk or an I/O error may have rolled back everything, savepoints and all.
                raise sqlite.OperationalError(str(error)) from error
            _undo(connection, is_first)
            shared.wallet_keys.clear()
            outcomes.append(_Outcome(None, error))
            continue
        if not is_first:
            connection.execute("RELEASE unit")
        is_first, feed_head = False, tx.feed_head
        outcomes.append(_Outcome(result, None))
        messages += tx.published
        changed |= tx.changed
    return outcomes, messages, {table for table in changed if table is not None}


def _undo(connection: Any, is_first: bool) -> None:
    """Take back what a unit wrote. The first of a transaction needs no savepoint, which would keep a copy of every page
    that it changes: for a large unit with triggers that takes longer than the unit.
    """
    if is_first:
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
    else:
        connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")


Reader = Callable[[Callable[[Tx], T]], Awaitable[T]]
