"""Driving a running devnet from another terminal."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
from solders.keypair import Keypair

from tests.cli.process import Process, node, run, write_config
from zmart_lite.demo.client import Api, Wallet

DAY_S = 86_400


def rpc(running: Process, method: str, *params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return httpx.post(running.rpc_url, json=body, timeout=10).json()["result"]


def clock(running: Process) -> int:
    found: int = rpc(running, "getBlockTime", rpc(running, "getSlot"))
    return found


def test_warp_airdrop_and_what_is_wrong_with_a_call(tmp_path: Path) -> None:
    with node(write_config(tmp_path)) as running:
        before = clock(running)
        warped = run("warp", "48h", "--url", running.rpc_url, cwd=tmp_path)
        assert warped.returncode == 0, warped.stderr
        assert clock(running) >= before + 2 * DAY_S
        none = run("warp", "--to", "next-transition", "--url", running.rpc_url, cwd=tmp_path)
        assert (none.returncode, none.stdout.strip()) == (0, "No market waits for time to pass.")
        wallet = str(Keypair().pubkey())
        given = run("airdrop", wallet, "3", "--url", running.rpc_url, cwd=tmp_path)
        assert given.returncode == 0, given.stderr
        assert rpc(running, "getBalance", wallet, {"commitment": "processed"})["value"] == 3 * 10**9
        for wrong in (
            ["warp"],
            ["warp", "soon"],
            ["warp", "--to", "tomorrow"],
            ["airdrop", "nobody"],
            ["revert", "99"],
        ):
            ended = run(*wrong, "--url", running.rpc_url, cwd=tmp_path)
            assert ended.returncode != 0
            assert "Traceback" not in ended.stderr
    gone = run("warp", "1h", "--url", running.rpc_url, cwd=tmp_path)
    assert gone.returncode == 1
    assert "zmart-lite dev" in gone.stderr


async def _create(running: Process, question: str) -> str:
    api = Api(running.url, running.rpc_url)
    try:
        creator = Wallet(api, "creator")
        await creator.fund(10)
        await creator.sign_in()
        body = {
            "question": question,
            "category": "other",
            "end_date": "2100-01-01T00:00:00Z",
            "initial_liquidity": "1000000000",
        }
        built, _ = await creator.act("/api/markets", body)
        market_id: str = built["market_id"]
        return market_id
    finally:
        await api.close()


async def _until_status(url: str, status: int) -> None:
    async with httpx.AsyncClient(timeout=10) as client, asyncio.timeout(30):
        while (await client.get(url)).status_code != status:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_a_revert_makes_the_node_forget_what_never_happened(tmp_path: Path) -> None:
    with node(write_config(tmp_path)) as running:
        kept = await _create(running, "Will this market stay?")
        number = run("snapshot", "--url", running.rpc_url, cwd=tmp_path).stdout.strip()
        lost = await _create(running, "Will this market be forgotten?")
        await _until_status(f"{running.url}/api/markets/{lost}", 200)
        reverted = await asyncio.to_thread(run, "revert", number, "--url", running.rpc_url, cwd=tmp_path)
        assert reverted.returncode == 0, reverted.stderr
        await _until_status(f"{running.url}/api/markets/{lost}", 404)
        await _until_status(f"{running.url}/api/markets/{kept}", 200)
        status = await asyncio.to_thread(running.get, "/status")
        assert status["totals"]["markets"] == 1


def test_the_devnet_runs_alone(tmp_path: Path) -> None:
    shown = run("--help", cwd=tmp_path).stdout
    for name in ("serve", "dev", "demo", "localnet", "warp", "airdrop", "snapshot", "revert", "selftest", "config"):
        assert name in shown
