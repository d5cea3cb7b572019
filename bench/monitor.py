"""1,000 markets whose dispute windows end in the same minute: all finalised by one run or the next few, each once.

The devnet answers over real HTTP; every market takes a simulation, a signature, a transaction with its confirmation,
and the event that comes back and moves it on.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from bench import Measurement
from tests.jobs.devnet import World, devnet_world
from zmart_lite.jobs.monitor import FINALIZE_SLACK_S, Monitor, MonitorOptions
from zmart_lite.store.state import markets

DUE = 1_000
RUNS_MAX = 5
PERIOD_S = 259_200
BATCH = 50
SECONDS_MAX = 240.0
"""What a run may take (its time limit in the node)."""


def run() -> list[Measurement]:
    runs, seconds = asyncio.run(_settle())
    return [
        Measurement("runs until none of them is due", runs, "runs", at_most=RUNS_MAX),
        Measurement(f"{DUE:,} markets finalised", seconds, "s", at_most=SECONDS_MAX),
        Measurement("each", seconds / DUE * 1_000, "ms"),
    ]


async def _settle() -> tuple[int, float]:
    """Runs that had something to do, and their seconds."""
    with tempfile.TemporaryDirectory() as folder:
        async with devnet_world(Path(folder)) as world:
            await world.resolving_markets(DUE)
            world.localnet.ledger.warp(PERIOD_S + FINALIZE_SLACK_S + 60)
            options = MonitorOptions(BATCH, PERIOD_S, False, PERIOD_S, False)
            monitor = Monitor(world.store, world.actions(), markets.find_config, world.now, options)
            runs, started = 0, time.perf_counter()
            while (await monitor.run({})).found:
                runs += 1
            seconds = time.perf_counter() - started
            await _check(world)
            return runs, seconds


async def _check(world: World) -> None:
    """Raises RuntimeError if a market was missed or finalised twice."""
    finalised = await world.store.read(
        lambda tx: tx.all(
            "SELECT count(*) AS n FROM events WHERE event_type = 'MarketFinalized' GROUP BY market ORDER BY n"
        )
    )
    intents = await world.store.read(lambda tx: tx.value("SELECT count(*) FROM intents"))
    if [row["n"] for row in finalised] != [1] * DUE or intents != DUE:
        raise RuntimeError(f"{len(finalised)} markets were finalised by {intents} actions")
