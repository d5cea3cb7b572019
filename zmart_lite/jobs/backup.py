"""The nightly copy of the database: made, proved, recorded, and only then the oldest ones removed.

The folder is what is true. A run first brings the table in line with it: what a crash left unfinished is deleted, a
good file that no row knows (the node died between the two, or the database was restored) is checked and recorded.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from zmart_lite.errors import BackupFailed
from zmart_lite.jobs.runner import Params, Summary
from zmart_lite.ops.metrics import Metrics
from zmart_lite.store.engine import backup
from zmart_lite.store.engine.backup import Backup, Stop
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.engine.leases import JobStore
from zmart_lite.store.publishing import messages

logger = logging.getLogger(__name__)

T = TypeVar("T")

ADOPTED_MAX = 5
"""Unknown files checked in one run: each is unpacked and read whole."""
OVERDUE_MS = 36 * 3_600_000


class BackupOptions(NamedTuple):
    folder: Path
    keep: int


class Backups:
    """The job ``backup``."""

    def __init__(self, store: JobStore, metrics: Metrics, options: BackupOptions) -> None:
        self._store = store
        self._metrics = metrics
        self._options = options

    async def run(self, _: Params) -> Summary:
        """Make a copy and keep the newest ones. Raises BackupFailed; the copies there are then stay."""
        await self._tidy()
        try:
            made = await in_thread(
                lambda stop: backup.make_backup(self._store.path, self._options.folder, self._store.now_ms(), stop)
            )
        except BackupFailed:
            self._metrics.backups_total.labels("failed").inc()
            raise
        await self._store.write(lambda tx: _record(tx, made))
        self._metrics.backups_total.labels("ok").inc()
        logger.info("backup made", extra={"file": made.file, "size_bytes": made.size_bytes})
        removed = await self._remove_superfluous()
        return Summary(found=1 + removed, done=1 + removed)

    async def _tidy(self) -> None:
        """Make the record say what the folder holds."""
        folder = self._options.folder
        await asyncio.to_thread(backup.remove_partial_files, folder)
        there = await asyncio.to_thread(backup.list_files, folder)
        names = {each.file for each in there}
        recorded = {row["file"] for row in await self._store.read(backup.list_recorded)}
        for file in recorded - names:
            logger.warning("a backup has vanished", extra={"file": file})
            await self._store.write(lambda tx, file=file: backup.forget_backup(tx, file))  # type: ignore[misc]
        unknown = [each for each in reversed(there) if each.file not in recorded]
        for found in unknown[:ADOPTED_MAX]:
            good = await self._is_good(found)
            await self._store.write(lambda tx, found=found, good=good: backup.add_backup(tx, found, verified=good))  # type: ignore[misc]

    async def _is_good(self, found: Backup) -> bool:
        folder = self._options.folder
        try:
            await in_thread(lambda stop: backup.check_backup(folder / found.file, folder, stop))
        except BackupFailed as error:
            logger.warning("a backup is not usable: %s", error)
            return False
        return True

    async def _remove_superfluous(self) -> int:
        """Files first: a row without its file is put right by the next run, a file without its row would be adopted."""
        files = await self._store.read(lambda tx: backup.list_superfluous(tx, self._options.keep))
        for file in files:
            await asyncio.to_thread((self._options.folder / file).unlink, missing_ok=True)
            await self._store.write(lambda tx, file=file: backup.forget_backup(tx, file))  # type: ignore[misc]
        return len(files)


def _record(tx: Tx, made: Backup) -> None:
    backup.add_backup(tx, made)
    messages.resolve_alert(tx, "backup_failure")


def judge_backups(tx: Tx) -> None:
    """Open or close the alert ``backup_failure``: no good copy for 36 hours, in a database that is as old as that."""
    since_ms = backup.last_good_ms(tx) or backup.first_run_ms(tx) or tx.now_ms
    if tx.now_ms - since_ms < OVERDUE_MS:
        messages.resolve_alert(tx, "backup_failure")
        return
    last_ms = backup.last_good_ms(tx)
    messages.raise_alert(
        tx, "backup_failure", "HIGH", "There has been no good backup for 36 hours.", data={"last_good_ms": last_ms}
    )


async def in_thread(work: Callable[[Stop], T]) -> T:
    """Run ``work`` in a thread. When the caller is cancelled, ``work`` is told to stop and waited for."""
    stop = threading.Event()
    running = asyncio.get_running_loop().run_in_executor(None, work, stop)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([running])
        raise
