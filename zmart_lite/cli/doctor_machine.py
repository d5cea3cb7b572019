"""What the doctor tests on this machine: settings, SQLite, the disk, the database, the backups."""

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from pysqlite3 import dbapi2 as sqlite

from zmart_lite.cli.finding import Finding, bad, good, off, warning
from zmart_lite.config import Config, cautions
from zmart_lite.errors import BackupFailed, DatabaseInUse, StartupError
from zmart_lite.jobs.backup import OVERDUE_MS
from zmart_lite.store.engine import backup, migrate
from zmart_lite.store.engine.connections import lock_database
from zmart_lite.store.engine.db import wall_clock_ms

SQLITE_FIXED = (3, 51, 3)
SQLITE_BACKPORTS = {(3, 50): (3, 50, 7), (3, 44): (3, 44, 6)}
"""Older lines whose last releases have the repair of the WAL-reset bug, too."""
FREE_BAD_PERCENT = 5
"""The node's own limit: below it, it raises store_error."""
FREE_LOW_PERCENT = 10
FSYNC_ROUNDS = 9
FSYNC_BYTES = 4_096
FSYNC_SLOW_MS = 50
FSYNC_FAST_MS = 0.02
"""No disk that keeps what it says it has kept is faster."""
HOUR_MS = 3_600_000


def examine(config: Config) -> list[Finding]:
    """Everything that needs no network."""
    return [
        *_settings(config),
        judge_sqlite(sqlite.sqlite_version_info),
        *_disk(config.store.folder),
        _database(config),
        _backups(config),
    ]


def _settings(config: Config) -> list[Finding]:
    found = [warning("settings", sentence, "See zmart.toml.") for sentence in cautions(config)]
    found = found or [good("settings", "complete and consistent")]
    wallets = len(config.auth.admin_wallets)
    if wallets:
        return [*found, good("administrators", f"{wallets} wallet{'s' if wallets > 1 else ''}")]
    return [*found, off("administrators", "none: set auth.admin_wallets to use the admin API, also by command")]


def judge_sqlite(version: tuple[int, ...]) -> Finding:
    text = "SQLite " + ".".join(map(str, version))
    needed = SQLITE_BACKPORTS.get((version[0], version[1]), SQLITE_FIXED)
    if version >= needed:
        return good("SQLite", text)
    return bad("SQLite", f"{text} can corrupt its write-ahead log", "Install zmart-lite again, with pysqlite3 0.6.1.")


# The disk


def _disk(folder: Path) -> list[Finding]:
    try:
        there = nearest_folder(folder)
        return [_space(there), _fsync(there)]
    except OSError as error:
        return [bad("disk", f"{folder}: {error.strerror}", "Make the folder writable, or set store.dir.")]


def nearest_folder(folder: Path) -> Path:
    """The folder, or the one that it would be made in: looking makes nothing."""
    return next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))


def _space(folder: Path) -> Finding:
    usage = shutil.disk_usage(folder)
    percent, text = 100 * usage.free // usage.total, f"{usage.free >> 20} MiB free in {folder}"
    if percent < FREE_BAD_PERCENT:
        return bad("disk space", f"{text}, {percent} %", "Make room: a full disk stops votes and events.")
    if percent < FREE_LOW_PERCENT:
        return warning("disk space", f"{text}, {percent} %", "Make room, or lower backup.keep and retention.feed_days.")
    return good("disk space", text)


def _fsync(folder: Path) -> Finding:
    return judge_fsync(measure_fsync_ms(folder))


def measure_fsync_ms(folder: Path) -> float:
    """The median time to make a page durable. Raises OSError."""
    taken = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(FSYNC_ROUNDS):
            file.write(os.urandom(FSYNC_BYTES))
            file.flush()
            started = time.perf_counter()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - started) * 1_000)
    return statistics.median(taken)


def judge_fsync(median_ms: float) -> Finding:
    text = f"{median_ms:.2f} ms to make a write durable"
    if median_ms < FSYNC_FAST_MS:
        return warning("fsync", text, "This looks like memory, not a disk: a power cut may lose what was answered.")
    if median_ms > FSYNC_SLOW_MS:
        return warning("fsync", text, "Every vote waits for it: use a local disk for store.dir.")
    return good("fsync", text)


# The database and its copies


def _database(config: Config) -> Finding:
    if config.store.is_postgres:
        return off("database", "PostgreSQL: the node says at its start whether it can use it")
    path = config.store.sqlite_path
    if not path.exists():
        return off("database", f"{path} does not exist yet; the first start makes it")
    try:
        lock = lock_database(path)
    except DatabaseInUse:
        return good("database", f"{path} belongs to a running node, which answers for it below")
    except StartupError as error:
        return bad("database", error.message, "Make the folder writable, or set store.dir.")
    try:
        return _opened(path)
    finally:
        os.close(lock)


def _opened(path: Path) -> Finding:
    advice = "Check it with zmart-lite db check; go back to a copy with zmart-lite db restore."
    try:
        connection = backup.open_unchanged(path)
        try:
            version = migrate.schema_version(connection)
        finally:
            connection.close()
        latest = migrate.list_migrations()[-1].version
    except (sqlite.Error, StartupError) as error:
        return bad("database", f"{path}: {error}", advice)
    if version > latest:
        return bad("database", f"schema version {version}, this zmart-lite knows {latest}", "Start the newer version.")
    return good("database", f"{path}, schema version {version} of {latest}")


def _backups(config: Config) -> Finding:
    if not config.backup.enabled or config.store.is_postgres:
        return off("backups", "not made by the node")
    try:
        files = backup.list_files(config.backup_folder)
    except (OSError, BackupFailed) as error:
        return bad("backups", f"{config.backup_folder}: {error}", "Make the folder readable, or set backup.dir.")
    if not files:
        return off(
            "backups", f"none in {config.backup_folder} yet; one is made daily at {config.backup.hour_utc}:00 UTC"
        )
    age_ms = wall_clock_ms() - files[-1].created_ms
    text = f"{len(files)} in {config.backup_folder}, the newest {age_ms // HOUR_MS} hours old"
    if age_ms >= OVERDUE_MS:
        return warning("backups", text, "Make one now with zmart-lite db backup, and see why the nightly one fails.")
    return good("backups", text)
