"""The page while its node goes away and comes back."""

import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.cli.process import node
from tests.page.browser import Browser, browser
from tests.page.conftest import page_config
from tests.page.people import act, create
from zmart_lite.demo.client import Api, Wallet

pytestmark = pytest.mark.external


PORTS = range(20_000, 30_000)
"""Below those that systems hand out by themselves, so that nobody takes one while the node is away."""


def free_ports(count: int) -> int:
    """The first of so many neighbouring ports that nobody listens on."""
    first = secrets.choice(PORTS)
    try:
        for port in range(first, first + count):
            with socket.socket() as found:
                found.bind(("127.0.0.1", port))
    except OSError:
        return free_ports(count)
    return first


async def _create(api: Api, wallet: Wallet) -> str:
    return await create(api, wallet, "Does the page come back by itself?")


def test_the_page_goes_on_after_a_restart_without_a_gap(tmp_path: Path, external_tool: Callable[[str], str]) -> None:
    port = free_ports(3)
    config = page_config(tmp_path, port, port + 1)
    with node(config) as first:
        kept_id = act(first, _create)
        with browser(external_tool("chromium"), external_tool("chromedriver"), tmp_path, first.url) as page:
            page.open("events", fresh=True)
            page.until(lambda: page.all(".feed-line"))
            watching = page.driver.current_window_handle
            page.driver.switch_to.new_window("tab")
            asking = page.driver.current_window_handle
            page.open("markets")
            first.stop()
            page.until(lambda: page.state == "waiting")
            page.one('[name="sort"]').send_keys("Most traded")
            page.until(lambda: "This could not be loaded" in page.text("main"))
            page.driver.switch_to.window(watching)
            page.until(lambda: page.state == "waiting")
            with node(config) as second:
                market_id = act(second, _create)
                page.until(lambda: page.state == "open")
                page.until(lambda: market_id[:8] in page.text("main") or _offsets(page) == _told(second.url))
                page.until(lambda: _offsets(page) == _told(second.url), "the feed without a gap")
                page.driver.switch_to.window(asking)
                # Sorted by what was traded, markets do not join by themselves: only the old one is there for sure.
                page.one(f'[data-market="{kept_id}"]')
                assert page.complaints(network=False) == [] or all("WebSocket" in each for each in page.complaints())


def _offsets(page: Browser) -> list[int]:
    return [int(row.get_attribute("data-offset") or 0) for row in page.all(".feed-line")][::-1]


def _told(url: str) -> list[int]:
    types = "market_state,trade,vote,voting_progress,discussion,claims_enabled"
    events = httpx.get(f"{url}/api/events/latest", params={"limit": 100, "types": types}).json()["events"]
    return [event["offset"] for event in events]


def test_another_node_behind_the_address_is_noticed(tmp_path: Path, external_tool: Callable[[str], str]) -> None:
    """What was last known stays while nobody answers; then everything is of the new node."""
    port = free_ports(3)
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    first, second = (page_config(folder, port, port + 1) for folder in folders)
    with node(first) as old:
        market_id = act(old, _create)
        with browser(external_tool("chromium"), external_tool("chromedriver"), tmp_path, old.url) as page:
            page.open("node", fresh=True)
            page.until(lambda: page.all('[data-service="database"] .dot.ok'))
            page.open(f"markets/{market_id}")
            page.until(lambda: page.text("h1") == "Does the page come back by itself?")
            old.stop()
            page.until(lambda: page.state == "waiting")
            page.press('#nav a[href="#/node"]')
            page.until(lambda: "does not answer" in page.text(".health"))
            assert page.text('[data-tile="slot"] .figure') != "–"
            assert page.all('[data-service="database"] .dot.ok')
            page.driver.execute_script("location.hash = arguments[0]", f"#/markets/{market_id}")
            with node(second):
                page.until(lambda: "Another node answers here now" in page.text("#toasts"))
                page.until(lambda: "There is no such market." in page.text("main"))
