"""``zmart-lite simulate``: the indexing side of a node under seeded faults, as often as is wanted."""

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zmart_lite.cli.bars import Bars
from zmart_lite.config import Config

if TYPE_CHECKING:
    from zmart_lite.simulation.run import Outcome

SEEDS_MAX = 1_000_000
WRONG_SHOWN = 10
ENDED_WRONG = 1

Load = Callable[[Path | None], Config]


def add_commands(main: click.Group, _load: Load) -> None:
    @main.command()
    @click.option("--seeds", type=click.IntRange(1, SEEDS_MAX), default=10, show_default=True, help="How many runs.")
    @click.option("--from-seed", type=click.IntRange(0), default=1, show_default=True, help="The seed of the first.")
    @click.option("--kinds", help="Only these kinds of trouble, separated by commas.")
    @click.option("--list-kinds", is_flag=True, help="Print the kinds there are, and end.")
    def simulate(seeds: int, from_seed: int, kinds: str | None, list_kinds: bool) -> None:
        """Run a node's indexing side on a devnet under seeded faults, and compare its database with the chain.

        Each seed decides a run. Ends with 0 if all came out right, with 1 at the first that did not, whose seed is
        printed: docs/simulate.md says how to go on from there.
        """
        from zmart_lite.simulation.kinds import KINDS, chosen

        if list_kinds:
            click.echo("\n".join(sorted(KINDS)))
            return
        try:
            wanted = KINDS if kinds is None else chosen(frozenset(filter(None, kinds.replace(" ", "").split(","))))
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--kinds") from error
        sys.exit(run_all(range(from_seed, from_seed + seeds), wanted))


def run_all(seeds: range, kinds: frozenset[str]) -> int:
    """Run one after the other, up to the first that comes out wrong. The exit code."""
    started = time.monotonic()
    # What a node logs when it meets trouble is what is wanted here.
    logging.disable(logging.CRITICAL)
    try:
        met, wrong = _until_wrong(seeds, kinds)
    finally:
        logging.disable(logging.NOTSET)
    if wrong is not None:
        tell_wrong(wrong, kinds)
        return ENDED_WRONG
    took = time.monotonic() - started
    click.echo(
        f"{len(seeds)} of {len(seeds)} seeds equal to the chain; {met} troubles of {len(kinds)} kinds; {took:.0f} s"
    )
    return 0


def _until_wrong(seeds: range, kinds: frozenset[str]) -> tuple[int, "Outcome | None"]:
    """How many troubles were met, and the first run that came out wrong."""
    from zmart_lite.simulation.run import run

    met = 0
    with Bars() as bars:
        bars.show("seeds", 0, len(seeds))
        for done, seed in enumerate(seeds, 1):
            outcome = run(seed, kinds)
            if outcome.wrong:
                return met, outcome
            met += outcome.counts.total()
            bars.show("seeds", done, len(seeds))
    return met, None


def tell_wrong(outcome: "Outcome", kinds: frozenset[str]) -> None:
    """What is wrong with a run, and how to repeat it."""
    click.echo(f"Seed {outcome.seed} came out wrong:", err=True)
    for line in outcome.wrong[:WRONG_SHOWN]:
        click.echo(f"  {line}", err=True)
    if len(outcome.wrong) > WRONG_SHOWN:
        click.echo(f"  and {len(outcome.wrong) - WRONG_SHOWN} more", err=True)
    click.echo(f"Again: {_command(outcome.seed, kinds)}", err=True)


def _command(seed: int, kinds: frozenset[str]) -> str:
    """What repeats a run."""
    from zmart_lite.simulation.kinds import KINDS

    only = "" if kinds == KINDS else f" --kinds {','.join(sorted(kinds))}"
    return f"zmart-lite simulate --seeds 1 --from-seed {seed}{only}"
