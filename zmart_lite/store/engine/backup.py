"""Copies of a SQLite database: made while the node works, compressed, and proved before they count.

A copy is one snapshot of one moment, taken by SQLite's online backup on a connection of its own: the writer goes on
meanwhile. It is opened and checked whole, then compressed, read back and compared, and only then gets its name: a
file with that name is complete, whatever moment a crash falls on. The table ``backups`` merely records what the folder
holds.
"""

import gzip
import hashlib
import logging
import os
import re
import shutil
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from pysqlite3 import dbapi2 as sqlite

from zmart_lite.errors import BackupFailed, StartupError
from zmart_lite.store.engine import migrate
from zmart_lite.store.engine.connections import connector
from zmart_lite.store.engine.db import Row, Tx

logger = logging.getLogger(__name__)

FILE_NAME = re.compile(r"zmart-(\d{8}-\d{6})-(\d{3})\.db\.gz")
PARTIAL_SUFFIX = ".partial"
"""Ending of files that are not finished: whoever finds one may delete it."""
PAGES_PER_STEP = 512
COPY_CACHE_MB = 4
COMPRESSION_LEVEL = 3
"""A third of the time of gzip's default for a file some 5 % larger."""
CHUNK_BYTES = 1_048_576
SPACE_SLACK_BYTES = 64 * 1_048_576
INTERRUPT_STEPS = 100_000
"""Virtual machine steps of SQLite between two looks at whether to stop: a few milliseconds."""
PROBLEMS_SHOWN_MAX = 3

Stop = threading.Event
FAILURES = (sqlite.Error, OSError, EOFError, zlib.error)
"""What a damaged file or a full disk raises on the way."""


class Contents(NamedTuple):
    """What a checked copy holds. ``feed_oldest`` and ``feed_head`` are 0 while the feed is empty."""

    schema_version: int
    feed_oldest: int
    feed_head: int
    markets: int
    votes: int
    last_slot: int


class Backup(NamedTuple):
    """A finished copy: a file name inside the folder of the copies."""

    file: str
    size_bytes: int
    created_ms: int


# Names


def file_name(created_ms: int) -> str:
    """``zmart-20261121-030000-123.db.gz`` of a moment: names sort like their times."""
    moment = datetime.fromtimestamp(created_ms // 1_000, UTC)
    return f"zmart-{moment:%Y%m%d-%H%M%S}-{created_ms % 1_000:03d}.db.gz"


def created_ms_of(name: str) -> int | None:
    """Unix milliseconds of the copy with this name; None for another file's name."""
    found = FILE_NAME.fullmatch(name)
    if found is None:
        return None
    try:
        moment = datetime.strptime(found[1], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) * 1_000 + int(found[2])


def list_files(folder: Path) -> list[Backup]:
    """The finished copies in a folder, oldest first."""
    found = []
    for path in sorted(folder.glob("zmart-*.db.gz")):
        created_ms = created_ms_of(path.name)
        if created_ms is not None:
            found.append(Backup(path.name, path.stat().st_size, created_ms))
    return found


def remove_partial_files(folder: Path) -> None:
    """Delete what an interrupted backup left. Only while no other one runs."""
    for path in folder.glob(f"zmart-*{PARTIAL_SUFFIX}*"):
        path.unlink(missing_ok=True)


# Making


def make_backup(source: Path, folder: Path, created_ms: int, stop: Stop) -> Backup:
    """Copy the database at ``source`` into ``folder``; other connections may write meanwhile.

    Raises BackupFailed, also soon after ``stop`` is set; nothing is left behind then.
    """
    target = folder / file_name(created_ms)
    copy, packed = _partial(target, "copy"), _partial(target, "packed")
    with _failing_as(f"The database {source} could not be copied to {folder}", stop):
        folder.mkdir(parents=True, exist_ok=True)
        _require_space(source, folder)
        try:
            _copy(source, copy, stop)
            check_database(copy, stop)
            digest = _pack(copy, packed, stop)
            if _digest_of(packed, stop) != digest:
                raise BackupFailed(f"{packed} does not read back as it was written; check the disk.")
            packed.replace(target)
            fsync_folder(folder)
        finally:
            remove_database(copy)
            packed.unlink(missing_ok=True)
    return Backup(target.name, target.stat().st_size, created_ms)


def _partial(target: Path, step: str) -> Path:
    return target.with_name(f"{target.name}.{step}{PARTIAL_SUFFIX}")


def size_on_disk(path: Path) -> int:
    """Bytes of a database with what its log has not handed over yet. Raises OSError where there is none."""
    wal = Path(f"{path}-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


def size_of_contents(tx: Tx) -> int:
    """Bytes that the database comes to. On disk it takes more, until what its log holds twice has been handed over."""
    return int(tx.value("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"))


def _require_space(source: Path, folder: Path) -> None:
    """The copy and its compressed form lie side by side for a while."""
    size_bytes = size_on_disk(source)
    needed, free = 2 * size_bytes + SPACE_SLACK_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise BackupFailed(
            f"A backup into {folder} needs {needed >> 20} MiB, {free >> 20} MiB are free. Make room or set backup.dir."
        )


def _copy(source: Path, target: Path, stop: Stop) -> None:
    reader = connector(source, COPY_CACHE_MB, read_only=True)()
    writer = None
    try:
        writer = sqlite.connect(str(target), isolation_level=None)
        # It is checked, compressed and read back before it counts, and then made durable.
        writer.execute("PRAGMA synchronous = OFF")
        # One read transaction throughout: a backup that saw the writer's commits would start again with each of them.
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM meta").fetchone()
        reader.backup(writer, pages=PAGES_PER_STEP, progress=lambda *_: _stop_if(stop), sleep=0)
        writer.execute("PRAGMA journal_mode = DELETE")
    finally:
        if writer is not None:
            writer.close()
        reader.close()


def _pack(copy: Path, packed: Path, stop: Stop) -> bytes:
    """Compress, and force to disk; the SHA-256 of what was compressed."""
    digest = hashlib.sha256()
    with copy.open("rb") as source, packed.open("wb") as raw:
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=COMPRESSION_LEVEL, mtime=0) as target:
            for chunk in _chunks(source, stop):
                digest.update(chunk)
                target.write(chunk)
        raw.flush()
        os.fsync(raw.fileno())
    return digest.digest()


def _digest_of(packed: Path, stop: Stop) -> bytes:
    digest = hashlib.sha256()
    with gzip.open(packed, "rb") as source:
        for chunk in _chunks(source, stop):
            digest.update(chunk)
    return digest.digest()


# Checking


def check_backup(packed: Path, folder: Path, stop: Stop) -> Contents:
    """Unpack a copy into ``folder`` for a moment and check it whole. Raises BackupFailed."""
    copy = _partial(folder / packed.name, "check")
    with _failing_as(f"The backup {packed} is not usable", stop):
        try:
            unpack(packed, copy, stop)
            return check_database(copy, stop)
        finally:
            remove_database(copy)


def unpack(packed: Path | IO[bytes], target: Path, stop: Stop) -> None:
    """Decompress a copy, by its path or opened, to ``target``, durably.

    Raises what :data:`FAILURES` names, or BackupFailed when stopped.
    """
    with gzip.open(packed, "rb") as source, target.open("wb") as out:
        for chunk in _chunks(source, stop):
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())


def check_database(path: Path, stop: Stop) -> Contents:
    """Open a database that nobody else uses and check it: pages and indexes, schema version, continuity of the feed.

    Raises BackupFailed with what is wrong.
    """
    with _failing_as(f"The database {path} is damaged", stop):
        connection = open_unchanged(path)
        try:
            connection.set_progress_handler(stop.is_set, INTERRUPT_STEPS)
            return _check(connection, path)
        finally:
            connection.close()


def open_unchanged(path: Path) -> Any:
    """A reading connection that leaves the file's journal mode as it is."""
    connection = sqlite.connect(str(path), isolation_level=None)
    connection.row_factory = sqlite.Row
    connection.execute("PRAGMA query_only = ON")
    return connection


def _check(connection: Any, path: Path) -> Contents:
    problems = [row[0] for row in connection.execute(f"PRAGMA integrity_check({PROBLEMS_SHOWN_MAX})").fetchall()]
    if problems != ["ok"]:
        raise BackupFailed(f"The database {path} is damaged: {'; '.join(problems)}")
    version, latest = _schema_version(connection, path), migrate.list_migrations()[-1].version
    if not 1 <= version <= latest:
        raise BackupFailed(f"The database {path} has schema version {version}; this zmart-lite reads 1 to {latest}.")
    oldest, head, kept = connection.execute(
        "SELECT coalesce(min(feed_offset), 0), coalesce(max(feed_offset), 0), count(*) FROM feed"
    ).fetchone()
    if kept and kept != head - oldest + 1:
        raise BackupFailed(f"The feed of {path} has gaps: {kept} messages from offset {oldest} to {head}.")
    counts = connection.execute(
        "SELECT (SELECT count(*) FROM markets WHERE known = 1), (SELECT count(*) FROM votes),"
        " (SELECT coalesce(max(slot), 0) FROM transactions)"
    ).fetchone()
    return Contents(version, oldest, head, *counts)


def _schema_version(connection: Any, path: Path) -> int:
    try:
        return migrate.schema_version(connection)
    except StartupError as error:
        raise BackupFailed(f"{path} is not a database of zmart-lite.") from error


# Files


def remove_database(path: Path) -> None:
    """Delete a database file and what SQLite may have put beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def fsync_folder(folder: Path) -> None:
    """Make renames inside a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _chunks(source: IO[bytes] | gzip.GzipFile, stop: Stop) -> Iterator[bytes]:
    while chunk := source.read(CHUNK_BYTES):
        _stop_if(stop)
        yield chunk


def _stop_if(stop: Stop) -> None:
    if stop.is_set():
        raise BackupFailed("The backup was stopped.")


@contextmanager
def _failing_as(what: str, stop: Stop) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        _stop_if(stop)
        raise BackupFailed(f"{what}: {error}") from error


# The record of the copies


def add_backup(tx: Tx, backup: Backup, *, verified: bool = True) -> None:
    """Record a copy that lies in the folder, again if it is recorded."""
    tx.execute(
        "INSERT INTO backups (file, size_bytes, verified, created_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (file) DO UPDATE SET size_bytes = excluded.size_bytes, verified = excluded.verified",
        (backup.file, backup.size_bytes, int(verified), backup.created_ms),
    )


def list_recorded(tx: Tx) -> list[Row]:
    """All recorded copies, newest first; there are about as many as are kept."""
    return tx.all("SELECT file, verified, created_ms FROM backups ORDER BY created_ms DESC, id DESC")


def forget_backup(tx: Tx, file: str) -> None:
    tx.execute("DELETE FROM backups WHERE file = ?", (file,))


def list_superfluous(tx: Tx, keep: int) -> list[str]:
    """Files older than the ``keep`` newest good copies, whether they are good themselves or not."""
    good, old = 0, []
    for row in list_recorded(tx):
        if good >= keep:
            old.append(row["file"])
        good += row["verified"]
    return old


def last_good_ms(tx: Tx) -> int | None:
    """When the newest good copy was made, in unix milliseconds."""
    return cast(int | None, tx.value("SELECT max(created_ms) FROM backups WHERE verified = 1"))


def first_run_ms(tx: Tx) -> int | None:
    """When the oldest run that is still recorded began: for how long, at least, this database has been in use."""
    return cast(int | None, tx.value("SELECT started_ms FROM job_runs ORDER BY id LIMIT 1"))
