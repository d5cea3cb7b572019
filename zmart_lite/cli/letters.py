"""``events list``: the dead letters, open or ended, from the database or from the node that has it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from zmart_lite.cli.beside import URL
from zmart_lite.cli.operating import on_database_or_node
from zmart_lite.config import Config
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.views import operations

Load = Callable[[Path | None], Config]

SHOWN_MAX = 100
"""A page of the admin API."""
LINE = "{:>6} {:<12} {:<24} {:>8} {}"
"""Columns of the list."""


def add_commands(events: click.Group, load: Load) -> None:
    """Put the command into the group ``events``; ``load`` reads the configuration."""

    @events.command("list")
    @click.option("--ended", is_flag=True, help="Those that have ended, and how, instead of the open ones.")
    @click.option("--limit", type=click.IntRange(1, SHOWN_MAX), default=50, show_default=True, help="Newest first.")
    @URL
    @click.pass_obj
    def list_command(config_path: Path | None, ended: bool, limit: int, url: str | None) -> None:
        """Show what could not be indexed, with the reason, and how it ended."""
        path = f"dead-letters?limit={limit}&open={str(not ended).lower()}"
        found = on_database_or_node(
            load(config_path),
            url,
            lambda tx: _stored(tx, ended, limit),
            lambda node: node.get(path)["dead_letters"],
        )
        if not found:
            click.echo("There is none.")
            return
        click.echo(LINE.format("ID", "KIND", "FIRST SEEN", "ATTEMPTS", "REASON"))
        for letter in found:
            for line in _lines(letter):
                click.echo(line)


def _stored(tx: Tx, ended: bool, limit: int) -> list[dict[str, Any]]:
    return [operations.dead_letter_row(row) for row in chainlog.list_letters(tx, limit, ended=ended)]


def _lines(letter: dict[str, Any]) -> list[str]:
    head = LINE.format(letter["id"], letter["kind"], letter["first_seen_at"], letter["attempts"], letter["error"])
    lines = [head]
    if letter["signature"] is not None:
        lines.append(f"{'':>6} {letter['signature']} in slot {letter['slot']}")
    if letter["resolved_at"] is not None:
        lines.append(f"{'':>6} ended {letter['resolved_at']}: {letter['resolution']}")
    return lines
