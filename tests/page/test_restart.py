"""The page while its node goes away and comes back."""

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


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def _create(api: Api, wallet: Wallet) -> str:
    return await create(api, wallet, "Does the page come back by itself?")


def test_the_page_goes_on_after_a_restart_without_a_gap(tmp_path: Path, external_tool: Callable[[str], str]) -> None:
    config = page_config(tmp_path, free_port(), free_port())
    with node(config) as first:
        act(first, _create)
        with browser(external_tool("chromium"), external_tool("chromedriver"), tmp_path, first.url) as page:
            page.open("events", fresh=True)
            page.until(lambda: page.all(".feed-line"))
            first.stop()
            page.until(lambda: page.state == "waiting")
            with node(config) as second:
                market_id = act(second, _create)
                page.until(lambda: page.state == "open")
                page.until(lambda: market_id[:8] in page.text("main") or _offsets(page) == _told(second.url))
                page.until(lambda: _offsets(page) == _told(second.url), "the feed without a gap")
                assert page.complaints(network=False) == [] or all("WebSocket" in each for each in page.complaints())


def _offsets(page: Browser) -> list[int]:
    return [int(row.get_attribute("data-offset") or 0) for row in page.all(".feed-line")][::-1]


def _told(url: str) -> list[int]:
    types = "market_state,trade,vote,voting_progress,discussion,claims_enabled"
    events = httpx.get(f"{url}/api/events/latest", params={"limit": 100, "types": types}).json()["events"]
    return [event["offset"] for event in events]
