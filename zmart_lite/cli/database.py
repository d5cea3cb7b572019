"""``db backup``, ``db restore`` and ``db check``."""

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from zmart_lite.cli.beside import (
    URL,
    NodeClient,
    by_node_or_database,
    database_is_locked,
    has_database,
    require_database,
)
from zmart_lite.cli.owner import as_owner_of
from zmart_lite.config import Config
from zmart_lite.errors import BackupFailed, DatabaseInUse, StartupError
from zmart_lite.jobs.backup import BackupOptions, Backups
from zmart_lite.ops import Metrics
from zmart_lite.store.engine import backup
from zmart_lite.store.engine.backup import Contents
from zmart_lite.store.engine.connections import lock_database
from zmart_lite.store.engine.db import Store, wall_clock_ms
from zmart_lite.store.engine.restore import REPLACED_KEPT, restore

Load = Callable[[Path | None], Config]

POLL_S = 0.5
WAIT_MAX_S = 3_600
"""As long as the node lets its own backup take."""


def add_commands(main: click.Group, load: Load) -> None:
    """Put the commands into the command line; ``load`` reads the configuration."""

    def sqlite_config(config_path: Path | None) -> Config:
        config = load(config_path)
        if config.store.is_postgres:
            raise StartupError("The database is PostgreSQL: use pg_dump and pg_restore.")
        return config

    @main.group()
    def db() -> None:
        """Copy, restore and check the database."""

    @db.command("backup")
    @URL
    @click.pass_obj
    def backup_command(config_path: Path | None, url: str | None) -> None:
        """Make a checked copy now; through the node, if one runs."""
        config = sqlite_config(config_path)
        click.echo(by_node_or_database(config, url, _back_up_beside, lambda: asyncio.run(_back_up(config))))

    @db.command("restore")
    @click.argument("file", type=click.Path(path_type=Path))
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @click.pass_obj
    def restore_command(config_path: Path | None, file: Path, yes: bool) -> None:
        """Put a copy in the place of the database. FILE is a path, or a name in the backup folder; no node may run."""
        config = sqlite_config(config_path)
        packed, database = find_backup(config, file), config.store.sqlite_path
        if database_is_locked(config):
            raise DatabaseInUse(f"A node has the database {database}: stop it first, then restore.")
        if not yes:
            what = f"Replace {database} by" if has_database(config) else f"Make {database} from"
            click.confirm(f"{what} {packed.name}?", abort=True)
        # Opened by whoever runs the command, and everything else done as the folder's owner.
        with packed.open("rb") as source, as_owner_of(database):
            restored = restore(database, packed, wall_clock_ms(), threading.Event(), source)
        click.echo(f"Restored {packed.name}: {describe(restored.contents)}.")
        if restored.replaced is not None:
            click.echo(f"The former database is kept as {restored.replaced}, with at most {REPLACED_KEPT} such files.")
        for path in restored.removed:
            click.echo(f"Removed {path}, which was older.")
        click.echo("The next start reads from the chain what happened since, and reconciles.")

    @db.command("check")
    @click.argument("file", type=click.Path(path_type=Path), required=False)
    @click.pass_obj
    def check_command(config_path: Path | None, file: Path | None) -> None:
        """Check the database, or a copy of it (FILE, which works beside a running node)."""
        config = sqlite_config(config_path)
        contents = check_file(config, file) if file else check_own(config)
        click.echo(f"Sound: {describe(contents)}.")


def describe(contents: Contents) -> str:
    return (
        f"schema version {contents.schema_version}, {contents.markets} markets, {contents.votes} votes,"
        f" chain up to slot {contents.last_slot}, feed up to offset {contents.feed_head}"
    )


def find_backup(config: Config, file: Path) -> Path:
    """The copy by its path, or by its name in the backup folder. Raises BackupFailed."""
    for path in (file, config.backup_folder / file):
        if path.is_file():
            return path
    there = [each.file for each in backup.list_files(config.backup_folder)]
    newest = f" The newest copy there is {there[-1]}." if there else ""
    raise BackupFailed(
        f"There is no copy {file}, neither here nor in the backup folder {config.backup_folder}.{newest}"
    )


def check_file(config: Config, file: Path) -> Contents:
    packed = find_backup(config, file)
    with tempfile.TemporaryDirectory(prefix="zmart-lite-check-", dir=_roomy(config, packed)) as folder:
        return backup.check_backup(packed, Path(folder), threading.Event())


def _roomy(config: Config, packed: Path) -> Path | None:
    """A folder in which a copy can be unpacked for a moment: that of the data or of the copy; None: any for such files,
    which may lie in memory.
    """
    folders = (config.store.folder, packed.absolute().parent)
    return next((each for each in folders if os.access(each, os.W_OK | os.X_OK)), None)


def check_own(config: Config) -> Contents:
    """Check the database itself. Raises StartupError while a node runs, BackupFailed."""
    path = config.store.sqlite_path
    require_database(config)
    try:
        lock = lock_database(path)
    except DatabaseInUse as error:
        raise StartupError(
            "A node has the database. Check a copy: zmart-lite db backup, then zmart-lite db check FILE."
        ) from error
    try:
        return backup.check_database(path, threading.Event())
    finally:
        os.close(lock)


# Backup


async def _back_up(config: Config) -> str:
    """Without a node; the copy's path. Raises DatabaseInUse, BackupFailed."""
    store = await Store(config.store.sqlite_path, readers=1).open()
    try:
        await Backups(store, Metrics(), BackupOptions(config.backup_folder, config.backup.keep)).run({})
        return str(config.backup_folder / (await store.read(backup.list_recorded))[0]["file"])
    finally:
        await store.close()


def _back_up_beside(node: NodeClient) -> str:
    """Have the node do it, and wait until it has; the copy's path. Raises StartupError,
    BackupFailed.
    """
    run_id = node.post("backups")["run_id"]
    run = _wait(node, run_id)
    if run["result"] != "ok":
        raise BackupFailed(run["error"] or "The node was stopped meanwhile.")
    file = str(node.get("backups?limit=1")["backups"][0]["file"])
    return file if node.known is None else str(Path(node.known.backups) / file)


def _wait(node: NodeClient, run_id: int) -> Any:
    pause, deadline = threading.Event(), time.monotonic() + WAIT_MAX_S
    while time.monotonic() < deadline:
        for run in node.get("jobs/backup/runs?limit=20")["runs"]:
            if run["id"] == run_id and run["finished_at"] is not None:
                return run
        pause.wait(POLL_S)
    raise BackupFailed("The node has not finished the backup after an hour.")
