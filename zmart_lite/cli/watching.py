"""``status``: how the node that runs is doing, on one screen."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from zmart_lite.cli.beside import URL, NodeClient, find_node
from zmart_lite.config import Config
from zmart_lite.errors import StartupError

Load = Callable[[Path | None], Config]

WATCH_S = 2.0
NAME_WIDTH = 12
COLOURS = {"healthy": "green", "degraded": "yellow", "unhealthy": "red"}


def add_commands(main: click.Group, load: Load) -> None:
    """Put the command into the command line; ``load`` reads the configuration."""

    @main.command()
    @click.option("--watch", is_flag=True, help="Again every two seconds, until Ctrl-C.")
    @click.option("--json", "as_json", is_flag=True, help="As one JSON object a line.")
    @URL
    @click.pass_obj
    def status(config_path: Path | None, watch: bool, as_json: bool, url: str | None) -> None:
        """Show how the running node is doing. Exit code 1 if none runs, or it is unhealthy."""
        found = find_node(load(config_path), url)
        if found is None:
            raise StartupError("No node runs. Start one: zmart-lite serve, or zmart-lite dev.")
        with NodeClient(found) as node:
            pause = threading.Event()
            while True:
                answer = node.ask("/status")
                if watch and not as_json:
                    click.clear()
                click.echo(json.dumps(answer) if as_json else "\n".join(lines(node.url, answer)))
                if not watch:
                    break
                pause.wait(WATCH_S)
        if answer["health"] == "unhealthy":
            raise SystemExit(1)


def lines(url: str, status: dict[str, Any]) -> list[str]:
    """What /status says, for people: a line for each thing, and one for whatever is not well."""
    health = click.style(status["health"], fg=COLOURS.get(status["health"]), bold=True)
    slot, totals, alerts = status["slot"], status["totals"], status["alerts"]
    rows = [
        ("node", f"{url}  {health}{'' if status['ready'] else ', not caught up'}, version {status['version']}"),
        ("cluster", f"{status['cluster']}, program {status['program_id']}"),
        ("up", f"{int(status['uptime_seconds'])} s; the chain's clock shows {status['chain_time'] or 'nothing yet'}"),
        ("slots", f"chain {slot['chain']}, indexed {slot['indexed']}, {slot['lag']} behind"),
        ("markets", ", ".join(f"{count} {name}" for name, count in status["markets"].items() if count) or "none"),
        ("log", f"{totals['events']} events, {totals['trades']} trades, {totals['votes']} votes"),
        ("listeners", ", ".join(f"{count} {name}" for name, count in status["push"].items())),
        ("sending", f"{status['intents']['pending']} transactions under way, {status['intents']['failed']} failed"),
        ("letters", f"{status['webhook']['dead_letters']} could not be indexed, {status['webhook']['pending']} wait"),
        ("alerts", f"{alerts['open']} open"),
    ]
    shown = [f"{name:<{NAME_WIDTH}}{text}" for name, text in rows]
    shown += [
        f"{'':<{NAME_WIDTH}}{one['severity']} {one['alert_type']} since {one['opened_at']}" for one in alerts["latest"]
    ]
    for one in status["unwell"]:
        shown.append(click.style(f"! {one['service']:<{NAME_WIDTH - 2}}{one['status']}: {one['reason']}", fg="yellow"))
    failing = [job for job in status["jobs"] if job["paused"] or job["last_result"] not in (None, "ok")]
    for job in failing:
        state = "paused" if job["paused"] else f"last run {job['last_result']} at {job['last_finished_at']}"
        shown.append(click.style(f"! job {job['name']:<{NAME_WIDTH - 6}} {state}", fg="yellow"))
    open_ones = [breaker for breaker in status["breakers"] if breaker["state"] != "closed"]
    shown += [click.style(f"! breaker {one['name']} is {one['state']}", fg="yellow") for one in open_ones]
    return shown
