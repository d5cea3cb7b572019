"""``zmart-lite doctor``: tries everything the node depends on and says, line by line, what is well and what to do."""

import asyncio
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from zmart_lite.cli import doctor_chain, doctor_machine, doctor_services
from zmart_lite.cli.finding import Finding, Mark, bad
from zmart_lite.config import Config
from zmart_lite.errors import StartupError

Load = Callable[[Path | None], Config]

SIGNS = {Mark.GOOD: ("✓", "green"), Mark.WARNING: ("!", "yellow"), Mark.BAD: ("✗", "red"), Mark.OFF: ("–", "white")}
NAME_WIDTH = 18


def add_commands(main: click.Group, load: Load) -> None:
    """Put the command into the command line; ``load`` reads the configuration."""

    @main.command()
    @click.option("--url", help="Address of the running node (default: that of the configuration).")
    @click.pass_obj
    def doctor(config_path: Path | None, url: str | None) -> None:
        """Test every connection and setting; also beside a running node. Exit code 1 if something is wrong."""
        try:
            config = load(config_path)
        except StartupError as error:
            sys.exit(show([bad("settings", error.message, "Nothing else can be tested before that is corrected.")]))
        sys.exit(show(asyncio.run(examine(config, url))))


async def examine(config: Config, url: str | None = None) -> list[Finding]:
    """Everything, in the order in which things depend on each other."""
    found = doctor_machine.examine(config)
    found += await doctor_services.examine_node(config, url)
    found += await doctor_chain.examine(config)
    found += await doctor_services.examine_services(config)
    return found


def show(findings: Iterable[Finding]) -> int:
    """Print a line each, and what to do below those that need it; the exit code."""
    counts = dict.fromkeys(Mark, 0)
    for finding in findings:
        counts[finding.mark] += 1
        sign, colour = SIGNS[finding.mark]
        click.echo(f"{click.style(sign, fg=colour, bold=True)} {finding.name:<{NAME_WIDTH}}{finding.text}")
        if finding.advice:
            click.echo(f"  {'':<{NAME_WIDTH}}{click.style('→ ' + finding.advice, fg=colour)}")
    bad, warnings = counts[Mark.BAD], counts[Mark.WARNING]
    click.echo()
    if bad:
        click.secho(f"{bad} wrong, {warnings} to look at.", fg="red", bold=True)
        return 1
    click.secho(f"All is well, {warnings} to look at." if warnings else "All is well.", fg="green", bold=True)
    return 0
