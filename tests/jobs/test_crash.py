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

REPOSITORY = Path(__file__).resolve().parents[2]
NEVER = 1_000
STEPS_MIN, STEPS_MAX = 12, 60


async def run(world: World, folder: Path, market_id: bytes, deadly: int) -> tuple[int, dict[str, Any]]:
    """The exit code, and what the process printed."""
    folder.mkdir(exist_ok=True)
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
    output, _ = await process.communicate()
    code = process.returncode
    assert code is not None
    return code, json.loads(output) if output else {}


async def test_an_action_is_done_once_whatever_step_the_process_is_killed_at(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        steps = 0
        for deadly in range(STEPS_MAX):
            market_id, folder = await world.market(deadly + 1), tmp_path / str(deadly)
            code, said = await run(world, folder, market_id, deadly)
            if code == 0:
                steps = said["steps"]
                break
            assert code == -signal.SIGKILL
            code, said = await run(world, folder, market_id, NEVER)
            assert (code, said["intents"]) == (0, ["confirmed"]), deadly
            assert await landed(world, market_id, "ProposalAggregated") == 1, deadly
        assert STEPS_MIN <= steps < STEPS_MAX
