"""A node on a devnet and a Chromium that looks at it, shared by the tests of a module."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.process import Process, node, write_config
from tests.page.browser import Browser, browser
from zmart_lite.localnet.node import DEFAULT_SEED, derive_keypair

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
        log={"level": "ERROR"},
    )


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with node(page_config(tmp_path_factory.mktemp("node"))) as running:
        yield running


@pytest.fixture(scope="module")
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
