"""Connections to SQLite: their pragmas, their threads, and the lock that keeps a database to one process.

SQLite is the one bundled with pysqlite3: libraries from 3.7.0 to 3.51.2 can corrupt a WAL database when connections
write and checkpoint at the same instant, and Linux distributions still ship those.
"""

import fcntl
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import aiosqlite
from pysqlite3 import dbapi2 as sqlite

from zmart_lite.errors import DatabaseInUse, StartupError

logger = logging.getLogger(__name__)

T = TypeVar("T")

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
KIB_PER_MIB = 1_024
SQLITE_VERSION: str = sqlite.sqlite_version

# They pass as they are. Without an adapter the binding looks for one in each value that is neither number nor text, in
# vain, which takes ten times as long as handing it to SQLite.
sqlite.register_adapter(bytes, bytes)
sqlite.register_adapter(type(None), lambda nothing: nothing)


class Renewing:
    """A bare connection, used by one thread, that is opened anew where a function leaves it in a transaction.

    Such a connection keeps its snapshot for ever: no checkpoint passes it, and the log grows without end.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._bare: Any = connect()

    def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call ``function`` with the bare connection. Raises what it raises, and sqlite.Error where none can be
        opened.
        """
        if self._bare is None:
            self._bare = self._connect()
        try:
            return function(self._bare, *args)
        finally:
            if self._bare.in_transaction:
                self._renew()

    def close(self) -> None:
        if self._bare is not None:
            self._bare.close()

    def _renew(self) -> None:
        logger.error("a connection to the database was left in a transaction: it is closed, and opened anew")
        left, self._bare = self._bare, None
        left.close()


class Connection(aiosqlite.Connection):
    """aiosqlite's connection and thread, with one crossing for a whole function instead of one per statement."""

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run ``function`` with the bare connection in its thread."""
        renewing = cast(Any, self._conn)
        return cast(T, await self._execute(renewing.run, function, *args))  # type: ignore[no-untyped-call]


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


async def connect(path: Path, cache_mb: int, *, read_only: bool) -> Connection:
    """A connection with a thread of its own. Raises sqlite.Error."""
    opened = connector(path, cache_mb, read_only)
    # aiosqlite only keeps what it is given, and closes it.
    return cast(Connection, await Connection(lambda: cast(Any, Renewing(opened)), ROWS_PER_FETCH))


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
