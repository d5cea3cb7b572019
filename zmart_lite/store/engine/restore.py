"""Puts a copy in the place of the database, while no node runs.

The copy is unpacked beside the database and checked before anything is touched; the database it replaces is kept under
another name. What the copy cannot know is set right on the way: the feed goes on far behind every offset that was ever
handed out, so that a client that was connected before is told to reload instead of being given other messages under
the same offsets; sessions that were ended stay ended; and what reads the chain is due at the next start, which brings
the database up to the chain's present.
"""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

from pysqlite3 import dbapi2 as sqlite

from zmart_lite.errors import BackupFailed
from zmart_lite.store.engine import backup
from zmart_lite.store.engine.backup import COPY_CACHE_MB, Contents, Stop
from zmart_lite.store.engine.connections import connector, lock_database

FEED_JUMP = 1_000_000_000
"""More messages than a node sends between a copy and the day it is needed."""
FEED_MARK = "restored"
"""Type of the message that holds the feed's place: no channel carries it, no client sees it."""
RESTORED_KEY = "restored_ms"
REPLACED_KEPT = 3
"""Former databases that stay; older ones go with the next restoring that works."""
JOBS_DUE = ("poll", "reconcile")
CARRIED_TOKENS_MAX = 1_000_000


class Restored(NamedTuple):
    """How it went. ``replaced``: where the former database lies now, None if there was none; ``removed``: older ones
    that are gone now.
    """

    contents: Contents
    replaced: Path | None
    removed: list[Path]


def restore(database: Path, packed: Path, now_ms: int, stop: Stop, source: IO[bytes] | None = None) -> Restored:
    """Replace ``database`` by the copy ``packed``; ``source``: that file, where it has been opened.

    Raises DatabaseInUse while a node runs, BackupFailed if the copy is not usable; the database is then as it was.
    """
    is_new = not database.parent.exists()
    lock = lock_database(database)
    fresh = Path(f"{database}.restoring")
    try:
        backup.remove_database(fresh)
        contents = _unpack(packed, fresh, stop, source)
        _settle(fresh, database, now_ms)
        if database.exists():
            fresh.chmod(stat.S_IMODE(database.stat().st_mode))
        replaced = _set_aside(database, now_ms)
        fresh.replace(database)
        backup.fsync_folder(database.parent)
        return Restored(contents, replaced, _remove_old(database))
    except backup.FAILURES as error:
        raise BackupFailed(f"{packed} could not be restored: {error}") from error
    finally:
        backup.remove_database(fresh)
        if is_new and not database.exists():
            shutil.rmtree(database.parent, ignore_errors=True)
        os.close(lock)


def _unpack(packed: Path, fresh: Path, stop: Stop, source: IO[bytes] | None) -> Contents:
    try:
        backup.unpack(source or packed, fresh, stop)
    except backup.FAILURES as error:
        raise BackupFailed(f"The backup {packed} is not usable: {error}") from error
    return backup.check_database(fresh, stop)


# What the copy cannot know


def _settle(fresh: Path, former: Path, now_ms: int) -> None:
    """Everything in one transaction, and the file whole by itself afterwards."""
    head, tokens = _carried_over(former)
    connection = connector(fresh, COPY_CACHE_MB, read_only=False)()
    try:
        connection.execute("BEGIN IMMEDIATE")
        _move_feed(connection, head, now_ms)
        # What was used, ended or held after the copy was made must not come to life again.
        for table in ("nonces", "tickets", "leases"):
            connection.execute(f"DELETE FROM {table}")
        connection.executemany(
            "INSERT INTO revoked_tokens (jti, expires_ms) VALUES (?, ?) ON CONFLICT DO NOTHING", tokens
        )
        marks = ", ".join("?" * len(JOBS_DUE))
        connection.execute(f"DELETE FROM job_runs WHERE job IN ({marks})", JOBS_DUE)
        connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (RESTORED_KEY, str(now_ms)))
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = DELETE")
    finally:
        connection.close()


def _move_feed(connection: Any, former_head: int, now_ms: int) -> None:
    own = connection.execute("SELECT coalesce(max(feed_offset), 0) FROM feed").fetchone()[0]
    connection.execute("DELETE FROM feed")
    connection.execute(
        "INSERT INTO feed (feed_offset, type, listed, state_changed, created_ms, data) VALUES (?, ?, 0, 0, ?, '{}')",
        (max(own, former_head) + FEED_JUMP, FEED_MARK, now_ms),
    )


def _carried_over(former: Path) -> tuple[int, list[tuple[str, int]]]:
    """Head of the feed and ended sessions of the database that is replaced, as far as it can be read."""
    if not former.exists():
        return 0, []
    try:
        connection = backup.open_unchanged(former)
        try:
            head = connection.execute("SELECT coalesce(max(feed_offset), 0) FROM feed").fetchone()[0]
            rows = connection.execute("SELECT jti, expires_ms FROM revoked_tokens LIMIT ?", (CARRIED_TOKENS_MAX,))
            return head, [tuple(row) for row in rows.fetchall()]
        finally:
            connection.close()
    except sqlite.Error:
        # It may be the reason for restoring.
        return 0, []


# The former database


def _set_aside(database: Path, now_ms: int) -> Path | None:
    """Keep the former database under another name; its place stays filled until the new one takes it."""
    if not database.exists():
        return None
    aside = database.with_name(f"{database.name}.replaced-{now_ms}")
    _fold_wal(database)
    # A log that could not be folded in belongs to a damaged database. It must be gone before another takes its place.
    for suffix in ("-wal", "-shm"):
        beside = Path(f"{database}{suffix}")
        if beside.exists():
            beside.replace(f"{aside}{suffix}")
    _link(database, aside)
    return aside


def _remove_old(database: Path) -> list[Path]:
    """Keep the newest former databases only."""
    former = [path for path in database.parent.glob(f"{database.name}.replaced-*") if path.suffix[10:].isdigit()]
    old = sorted(former, key=lambda path: int(path.suffix[10:]))[:-REPLACED_KEPT]
    for path in old:
        backup.remove_database(path)
    return old


def _fold_wal(database: Path) -> None:
    """Bring what stands in the write-ahead log into the file, so that the file is the whole database."""
    try:
        connection = connector(database, COPY_CACHE_MB, read_only=False)()
        try:
            connection.execute("PRAGMA journal_mode = DELETE")
        finally:
            connection.close()
    except sqlite.Error:
        return


def _link(database: Path, aside: Path, link: Callable[[Path, Path], None] = os.link) -> None:
    """A second name, or, on a file system without links, another name."""
    try:
        link(database, aside)
    except OSError:
        database.replace(aside)
