"""A node on a devnet and a Chromium that looks at it, shared by all tests of this folder."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.process import Process, node, write_config
from tests.localnet.program_harness import ARGS
from tests.page.browser import Browser, browser
from zmart_lite.config import load
from zmart_lite.localnet.node import DEFAULT_SEED, derive_keypair
from zmart_lite.ops import SavedBreaker
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.state import breakers, intents

AXE = Path(__file__).resolve().parent / "node_modules" / "axe-core" / "axe.min.js"
NPM_S = 120
WEBHOOK_SECRET = "a secret of the tests, long enough"
GENEROUS = dict.fromkeys(("address_per_minute", "wallet_per_minute", "auth_per_minute", "relays_per_minute"), 100_000)


def page_config(folder: Path, port: int = 0, devnet_port: int = 0) -> Path:
    """Settings of a node whose jobs need not be waited for, and whose administrator is the devnet's."""
    return write_config(
        folder,
        server={"port": port, "ws_port": 0},
        localnet={"port": devnet_port, "slot_ms": 50},
        limits=GENEROUS,
        votes={"interval_s": 1},
        monitor={"interval_s": 1},
        auth={"admin_wallets": [str(derive_keypair(DEFAULT_SEED, "admin").pubkey())]},
        push={"connections_per_address": 100},
        helius={"webhook_secret": WEBHOOK_SECRET},
        log={"level": "INFO"},
    )


CONFIGURED = ARGS["update_global_config"]
"""What the devnet's config says anyway."""


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    config = page_config(tmp_path_factory.mktemp("node"))
    asyncio.run(_leave_troubles(load(config, {}).store.sqlite_path))
    with node(config) as running:
        yield running


async def _leave_troubles(database: Path) -> None:
    """As after a bad day: a transaction of the node that failed, and a breaker of a service that is switched off."""

    def unit(tx: Tx) -> None:
        intent, _ = intents.open_intent(tx, "update_global_config", intents.PROTOCOL, CONFIGURED, reason="A bad day.")
        intents.set_ended(tx, intent["id"], "failed", name="NoWayThrough", message="It went wrong.")
        now = time.time()
        breakers.save_breaker(tx, "ipfs", SavedBreaker("open", 3, 1, now, now + 3_600, "It did not answer."))

    database.parent.mkdir(parents=True, exist_ok=True)
    store = await Store(database).open()
    await store.write(unit)
    await store.close()


@pytest.fixture(scope="session")
def chromium(
    tmp_path_factory: pytest.TempPathFactory, process: Process, external_tool: Callable[[str], str]
) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("chromium")
    with browser(external_tool("chromium"), external_tool("chromedriver"), folder, process.url) as found:
        yield found


@pytest.fixture
def page(chromium: Browser) -> Iterator[Browser]:
    """The browser as a stranger meets the page; at the end the console must be silent."""
    chromium.look_as()
    chromium.complaints()
    yield chromium
    assert chromium.complaints() == []


@pytest.fixture(scope="session")
def axe(external_tool: Callable[[str], str]) -> str:
    """The source of axe-core, installed once."""
    if not AXE.exists():
        command = [external_tool("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=AXE.parents[2], check=True, capture_output=True, timeout=NPM_S)
    return AXE.read_text(encoding="utf-8")
