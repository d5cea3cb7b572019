"""A process killed between any two steps of an aggregation: run again, its actions are on chain, once each."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.jobs.devnet import World, devnet_world
from tests.jobs.dying import Order
from tests.jobs.test_actions import landed
from zmart_lite.jobs.together import together
from zmart_lite.models import MarketState

REPOSITORY = Path(__file__).resolve().parents[2]
NEVER = 1_000
PROCESS_S = 60
STEPS_MIN, STEPS_MAX = 20, 40
FORKERS = 2
DONE = [["aggregate_proposal_votes", "confirmed"], ["approve_proposal", "confirmed"]]


class Forker:
    """A process that forks one for each order."""

    def __init__(self, world: World, process: asyncio.subprocess.Process, folder: Path) -> None:
        self._world, self._process, self._folder = world, process, folder

    async def run(self, name: str, market_id: bytes, deadly: int) -> tuple[int, dict[str, Any]]:
        """The exit code, and what the process reported at its end."""
        net, report = self._world.localnet, self._folder / f"{name}.json"
        keys = str(net.backend), str(net.admin)
        record = await self._world.record(market_id)
        (created,) = await self._world.store.read(
            lambda tx: tx.one(
                "SELECT t.signature FROM events e JOIN transactions t ON t.id = e.transaction_id WHERE e.market = ?",
                (record["id"],),
            )
        )
        order = Order(str(self._folder / name), net.rpc_url, *keys, market_id.hex(), created.hex(), deadly, str(report))
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        async with asyncio.timeout(PROCESS_S):
            code = int(await self._process.stdout.readline())
        return code, await asyncio.to_thread(lambda: json.loads(report.read_text()) if report.exists() else {})


@asynccontextmanager
async def forker(world: World, folder: Path) -> AsyncIterator[Forker]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.jobs.dying",
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Forker(world, process, folder)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def test_each_action_is_done_once_whatever_step_the_process_is_killed_at(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world, forker(world, tmp_path) as first, forker(world, tmp_path) as second:
        ids = [await world.market(number + 1) for number in range(STEPS_MAX)]
        code, said = await first.run("whole", ids[-1], NEVER)
        assert (code, said["intents"]) == (0, DONE)
        assert STEPS_MIN <= said["steps"] < STEPS_MAX
        free = [first, second]

        async def killed_at(deadly: int) -> None:
            here = free.pop()
            name, market_id = str(deadly), ids[deadly]
            assert (await here.run(name, market_id, deadly))[0] == -signal.SIGKILL
            assert (await here.run(name, market_id, NEVER))[1]["intents"] == DONE, deadly
            free.append(here)

        await together(range(said["steps"]), killed_at, FORKERS)
        for market_id in ids[: said["steps"]]:
            assert await landed(world, market_id, "ProposalAggregated") == 1
            assert await landed(world, market_id, "ProposalApproved") == 1
            assert (await world.record(market_id))["state"] == MarketState.APPROVED
