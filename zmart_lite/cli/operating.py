"""``job list|run|pause|resume`` and ``alerts test``."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from zmart_lite.cli.beside import URL, NodeClient, by_node_or_database, run_job_beside
from zmart_lite.cli.serving import run_job
from zmart_lite.config import Config
from zmart_lite.jobs import Keys
from zmart_lite.ops.targets import Message, targets_of
from zmart_lite.shown import optional_time_ms
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.state import runs

Load = Callable[[Path | None], Config]
T = TypeVar("T")

JOBS = ("aggregate", "monitor", "poll", "reconcile", "snapshot", "backup", "drill", "prune", "alerts")
LINE = "{:<10} {:<8} {:<20} {:<36} {:<24}"
"""Columns of the list of jobs."""


def add_commands(main: click.Group, load: Load) -> None:
    """Put the commands into the command line; ``load`` reads the configuration."""
    _add_jobs(main, load)

    @main.group()
    def alerts() -> None:
        """Who is told when something is wrong."""

    @alerts.command("test")
    @click.pass_obj
    def test_alerts(config_path: Path | None) -> None:
        """Send a message to every target of alerts.urls; exit 1 if one of them does not take it."""
        sys.exit(send_test(load(config_path)))


def _add_jobs(main: click.Group, load: Load) -> None:
    @main.group()
    def job() -> None:
        """Look at the node's jobs, run them by hand, pause them."""

    @job.command("list")
    @URL
    @click.pass_obj
    def list_jobs(config_path: Path | None, url: str | None) -> None:
        """Every job: whether it is paused, how its last run ended, when the next one comes."""
        found = on_database_or_node(load(config_path), url, _list_stored, _list_asked)
        click.echo(LINE.format("JOB", "STATE", "SCHEDULE", "LAST RUN", "NEXT RUN").rstrip())
        for line in found:
            click.echo(_line(line).rstrip())

    @job.command("run")
    @click.argument("name", type=click.Choice(JOBS))
    @click.option("--dry-run", is_flag=True, help="Only tell what would be done (aggregate, monitor).")
    @URL
    @click.pass_obj
    def run_job(config_path: Path | None, name: str, dry_run: bool, url: str | None) -> None:
        """Run a job now, in the running node or, where none runs, in this process; exit 1 if anything failed."""
        sys.exit(run_by_hand(load(config_path), url, name, dry_run=dry_run))

    for action, paused in (("pause", True), ("resume", False)):
        job.add_command(_pausing(load, action, paused))


def _pausing(load: Load, action: str, paused: bool) -> click.Command:
    @click.command(
        action, help="Let a job run by itself again." if not paused else "Keep a job from running by itself."
    )
    @click.argument("name", type=click.Choice(JOBS))
    @URL
    @click.pass_obj
    def command(config_path: Path | None, name: str, url: str | None) -> None:
        on_database_or_node(
            load(config_path),
            url,
            lambda tx: runs.set_paused(tx, name, paused),
            lambda node: node.post(f"jobs/{name}/{action}", {"reason": "by hand on the command line"}),
            changes=True,
        )
        click.echo(f"{name}: {'paused' if paused else 'resumed'}")

    return command


def run_by_hand(config: Config, url: str | None, name: str, *, dry_run: bool) -> int:
    """Run a job to its end and say what it came to; the exit code. Raises what keeps it from running."""
    params = {"dry_run": True} if dry_run else {}
    keys = Keys.configured(config)
    done = by_node_or_database(
        config,
        url,
        lambda node: run_job_beside(node, name, params),
        lambda: asyncio.run(run_job(config, keys, name, params))._asdict(),
    )
    click.echo(f"{name}: found {done['found']}, done {done['done']}, failed {done['failed']}, left {done['skipped']}")
    return 1 if done["failed"] else 0


def on_database_or_node(
    config: Config, url: str | None, unit: Callable[[Tx], T], ask: Callable[[NodeClient], T], *, changes: bool = False
) -> T:
    """Have the node that runs do it, or do it in the database of the settings where none does."""
    return by_node_or_database(config, url, ask, lambda: asyncio.run(_in_database(config, unit)), changes=changes)


async def _in_database(config: Config, unit: Callable[[Tx], T]) -> T:
    store = await Store(config.store.sqlite_path, readers=1).open()
    try:
        return await store.write(unit)
    finally:
        await store.close()


def _list_asked(node: NodeClient) -> list[dict[str, Any]]:
    """As the node shows them to its own user, or to everybody."""
    return list(node.get("jobs")["jobs"] if node.has_key else node.ask("/status")["jobs"])


def _list_stored(tx: Tx) -> list[dict[str, Any]]:
    """The jobs as the admin API shows them, as far as the database knows."""
    paused = runs.list_paused(tx)
    found = []
    for name in JOBS:
        last = runs.summarize(tx, name).last
        found.append(
            {
                "name": name,
                "paused": name in paused,
                "running": False,
                "last_finished_at": None if last is None else optional_time_ms(last["finished_ms"]),
                "last_result": None if last is None else last["result"],
                "last_error": None if last is None else last["error"],
                "next_run_at": None,
            }
        )
    return found


def _line(job: dict[str, Any]) -> str:
    state = "paused" if job["paused"] else "running" if job["running"] else "waiting"
    last = f"{job['last_result']} {job['last_finished_at']}" if job["last_finished_at"] else "never"
    error = f"  {job['last_error']}" if job.get("last_error") else ""
    return LINE.format(job["name"], state, job.get("schedule") or "", last, job["next_run_at"] or "") + error


def send_test(config: Config) -> int:
    """Send a test message to each target and say how it went; the exit code."""
    targets = targets_of([url.reveal() for url in config.alerts.urls])
    if not targets:
        click.echo("alerts.urls is empty: nobody is told when something is wrong.")
        return 1
    message = Message(
        f"[TEST] zmart-lite on {config.chain.cluster}",
        "This is a test: alerts of zmart-lite reach you here.",
        "info",
    )
    failed = 0
    for target in targets:
        took = target.send(message)
        failed += not took
        click.secho(f"{'✓' if took else '✗'} {target.name}", fg="green" if took else "red")
    return 1 if failed else 0
