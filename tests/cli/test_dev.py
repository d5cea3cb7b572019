"""`zmart-lite dev`: demo markets in every state, and the README's example of a client against it, word for word."""

import asyncio
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.process import Process, node, write_config
from zmart_lite.demo.bots import Bots
from zmart_lite.demo.client import Api, Wallet, unix_seconds
from zmart_lite.demo.showcase import PLANS

ROOT = Path(__file__).resolve().parents[2]
READY = "demo markets are ready"
EXAMPLE_LINES_MAX = 12


def wait_for_markets(process: Process) -> None:
    assert process.popen.stdout is not None
    for line in process.popen.stdout:
        if READY in line:
            return
    raise AssertionError("the node ended")


@pytest.mark.external
def test_the_readmes_example_does_what_it_says(tmp_path: Path, external_tool: Callable[[str], str]) -> None:
    javascript = external_tool("node")
    with node(write_config(tmp_path, log={"level": "ERROR"}, localnet={"slot_ms": 20}), "dev") as process:
        wait_for_markets(process)
        markets = process.get("/api/markets")["markets"]
        assert sorted(market["state"] for market in markets) == sorted(plan.state for plan in PLANS)
        assert_alive(process)
        ran = subprocess.Popen(
            [javascript, "--no-warnings", "--input-type=module", "--eval", example(process.url)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert ran.stdout is not None
            lines = [ran.stdout.readline() for _ in range(2)]
        finally:
            ran.kill()
            rest = ran.communicate()[0]
    assert re.fullmatch(r"\d+ shares, [1-9A-HJ-NP-Za-km-z]{80,90}\n", lines[0]), "".join(lines) + rest
    assert lines[1].startswith("subscribed "), rest


def assert_alive(process: Process) -> None:
    """Trades of the last minutes, a dispute and a cancellation with their reasons, and bots that leave others alone."""
    now = unix_seconds(process.get("/api/protocol")["chain_time"])
    (latest, *_) = process.get("/api/markets/activity?limit=1")["activities"]
    assert now - unix_seconds(latest["time"]) < 10 * 60
    for state, field in (("DISPUTED", "dispute_reason"), ("CANCELLED", "cancel_reason"), ("RESOLVING", "evidence")):
        (market,) = process.get(f"/api/markets?state={state}")["markets"]
        assert process.get(f"/api/markets/{market['id']}/resolution")[field]
    active = [market["id"] for market in process.get("/api/markets?state=ACTIVE")["markets"]]
    asyncio.run(bots_trade(process, active))


async def bots_trade(process: Process, markets: list[str]) -> None:
    api = Api(process.url, process.rpc_url)
    try:
        bot, person = Wallet(api, "bot"), Wallet(api, "person")
        for wallet in (bot, person):
            await wallet.fund(10)
            await wallet.sign_in()
        bots = Bots(api, [bot], markets[:1], random.Random(7))
        await api.warp(seconds=120)
        assert await bots.step()
        assert await bots.step()
        trades = (await api.get(f"/api/markets/{markets[0]}/trades", limit=2))["trades"]
        assert [trade["trader"] for trade in trades] == [bot.address, bot.address]
        await person.act("/api/trades/buy", {"market_id": markets[0], "outcome": "YES", "budget": str(10**9)})
        assert not await bots.step()
    finally:
        await api.close()


def example(url: str) -> str:
    """The example with this node's address, and the client where it lies."""
    (code,) = re.findall(r"```js\n(.+?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(code.splitlines()) <= EXAMPLE_LINES_MAX
    assert "'./zmart.js'" in code
    assert "'http://127.0.0.1:4000'" in code
    client = (ROOT / "static" / "zmart.js").as_uri()
    return str(code.replace("'./zmart.js'", f"'{client}'").replace("'http://127.0.0.1:4000'", f"'{url}'"))
