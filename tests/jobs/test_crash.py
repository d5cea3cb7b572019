"""A process killed between any two steps of an action: run again, the action is on chain, once."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.jobs.devnet import World, devnet_world
from tests.jobs.test_actions import landed
from zmart_lite.jobs.together import together

REPOSITORY = Path(__file__).resolve().parents[2]
NEVER = 1_000
PROCESS_S = 60
STEPS_MIN, STEPS_MAX = 10, 30
PROCESSES = 2


async def run(world: World, folder: Path, market_id: bytes, deadly: int) -> tuple[int, dict[str, Any]]:
    """The exit code, and what the process printed."""
    arguments = (str(folder), world.localnet.rpc_url, str(world.localnet.backend), market_id.hex(), str(deadly))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.jobs.dying",
        *arguments,
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PROCESS_S):
        output, _ = await process.communicate()
    code = process.returncode
    assert code is not None
    return code, json.loads(output) if output else {}


async def test_an_action_is_done_once_whatever_step_the_process_is_killed_at(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        ids = [await world.market(number + 1) for number in range(STEPS_MAX)]
        code, said = await run(world, tmp_path / "whole", ids[-1], NEVER)
        assert code == 0
        assert STEPS_MIN <= said["steps"] < STEPS_MAX

        async def killed_at(deadly: int) -> None:
            folder = tmp_path / str(deadly)
            assert (await run(world, folder, ids[deadly], deadly))[0] == -signal.SIGKILL
            assert (await run(world, folder, ids[deadly], NEVER))[1]["intents"] == ["confirmed"], deadly

        await together(range(said["steps"]), killed_at, PROCESSES)
        for market_id in ids[: said["steps"]]:
            assert await landed(world, market_id, "ProposalAggregated") == 1
