"""What each view shows, and that it changes by itself; hostile texts; people without a mouse or with a phone."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.cli.process import Process
from tests.page.browser import PHONE, WIDE, Browser
from tests.page.people import act, create
from zmart_lite.demo.client import Api, Wallet

pytestmark = pytest.mark.external

HERE = Path(__file__).resolve().parent
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
NPM_S = 120
VIEWS = ("", "markets", "events", "events?tab=chain", "playground", "admin")
SERIOUS = ("serious", "critical")
SCRIPTS = (
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    '"><svg onload=window.hacked=1>',
    "javascript:window.hacked=1",
    "{{constructor.constructor('window.hacked=1')()}}",
)


def test_the_node_view_shows_what_status_says(page: Browser, process: Process) -> None:
    page.open("", fresh=True)
    page.until(lambda: "The node is healthy" in page.text(".health"))
    page.until(lambda: len(page.all("[data-service]")) == 7)
    shown = page.text("main").lower()
    for job in process.get("/status")["jobs"]:
        assert job["name"] in shown
    first = page.text('[data-tile="slot"] .figure')
    page.until(lambda: page.text('[data-tile="slot"] .figure') != first, "the slot to tick")
    page.one('[data-service="database"] summary').click()
    page.until(lambda: page.text('[data-service="database"] dl'))


def test_markets_appear_and_change_without_a_reload(page: Browser, process: Process) -> None:
    page.open("markets", fresh=True)

    async def work(api: Api, wallet: Wallet) -> str:
        return await create(api, wallet, "Does a new market appear by itself?")

    market_id = act(process, work)
    page.one(f'[data-market="{market_id}"]')
    page.type("q", "appear by itself")
    page.until(lambda: page.text(".view-head p") == "1 market")
    assert "q=appear" in page.driver.current_url
    page.one('[name="state"]').send_keys("Finalized")
    page.until(lambda: "Nothing fits" in page.text("main"))


def test_whatever_people_write_stays_a_text(page: Browser, process: Process) -> None:
    question, description = f"{SCRIPTS[1]} safe?", "\n".join(SCRIPTS)

    async def work(api: Api, wallet: Wallet) -> str:
        market_id = await create(api, wallet, question, description)
        for text in SCRIPTS:
            await wallet.post(f"/api/discussions/{market_id}", {"content": text})
        return market_id

    page.open("events", fresh=True)
    market_id = act(process, work)
    page.until(lambda: all(text in page.text("main") for text in SCRIPTS), "the posts in the live feed")
    page.open(f"markets/{market_id}")
    page.until(lambda: all(text in page.text(".posts") for text in SCRIPTS), "the posts")
    assert page.text("h1") == question
    assert page.text(".described") == description
    page.open(f"playground/{market_id}")
    page.until(lambda: page.text("h2.question-title") == question)
    for view in ("markets", "events?tab=chain"):
        page.open(view)
        page.one("main table, main .market-row")
    assert page.all("main img, main script, main iframe") == []
    assert page.driver.execute_script("return window.hacked") is None


def test_the_feed_can_be_filtered_and_stopped(page: Browser, process: Process) -> None:
    async def work(api: Api, wallet: Wallet) -> str:
        market_id = await create(api, wallet, "Does the feed stand still when told?")
        await wallet.post("/api/votes/proposal", {"market_id": market_id, "vote": "like"})
        return market_id

    page.open("events", fresh=True)
    act(process, work)
    page.until(lambda: "votes like" in page.text("main"))
    rows = page.all(".feed-line")
    offsets = [int(row.get_attribute("data-offset") or 0) for row in rows]
    assert offsets == sorted(offsets, reverse=True)
    page.driver.execute_script("document.querySelector('[aria-pressed=false].button.slim').click()")
    act(process, work)
    page.until(lambda: "new)" in page.text(".card-head"))
    assert len(page.all(".feed-line")) == len(rows)
    page.driver.execute_script("document.querySelector('[aria-pressed=true].button.slim').click()")
    page.until(lambda: len(page.all(".feed-line")) > len(rows))


def test_an_administrator_sees_and_does(page: Browser, process: Process) -> None:
    async def work(api: Api, wallet: Wallet) -> str:
        return await create(api, wallet, "Will an administrator hide this one?")

    market_id = act(process, work)
    page.open("admin", fresh=True)
    page.click("devnet-admin")
    page.until(lambda: "aggregate" in page.text("main").lower())
    for section, word in (
        ("alerts", "alerts"),
        ("queue", "dead letters"),
        ("audit", "audit log"),
        ("markets", "approval"),
    ):
        page.choose(section, "Sections")
        page.until(lambda word=word: word in page.text("main").lower(), section)
    row = f'[data-market="{market_id}"]'
    button = page.one(f'{row} [data-do="hide"]')
    page.driver.execute_script("arguments[0].click()", button)
    page.type("answer", "Hidden by a test.")
    page.one('dialog [value="yes"]').click()
    page.until(lambda: "hidden" in page.text(row))
    page.choose("audit", "Sections")
    page.until(lambda: "Hidden by a test." in page.text("main"))


def test_without_a_mouse(page: Browser) -> None:
    page.open("", fresh=True)
    body = page.one("body")
    body.send_keys(Keys.TAB)
    assert page.driver.switch_to.active_element.text == "Skip to content"
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.one('#nav a[href="#/markets"]').send_keys(Keys.ENTER)
    page.until(lambda: page.driver.switch_to.active_element.get_attribute("id") == "main", "the focus to follow")
    assert page.driver.title.startswith("Markets")
    assert page.one('#nav a[aria-current="page"]').text == "Markets"


def test_the_theme_is_kept(page: Browser) -> None:
    page.open("", fresh=True)
    page.one("#theme").click()
    assert page.driver.execute_script("return document.documentElement.dataset.theme") == "dark"
    page.driver.refresh()
    assert page.driver.execute_script("return document.documentElement.dataset.theme") == "dark"


@pytest.fixture(scope="module")
def axe(external_tool: Callable[[str], str]) -> str:
    if not AXE.exists():
        command = [external_tool("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=HERE, check=True, capture_output=True, timeout=NPM_S)
    return AXE.read_text(encoding="utf-8")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_nobody_is_shut_out(page: Browser, process: Process, axe: str, dark: bool, size: tuple[int, int]) -> None:
    page.look_as(dark=dark, size=size)
    markets = process.get("/api/markets")["markets"]
    found = {}
    for view in (*VIEWS, *(f"markets/{market['id']}" for market in markets[:1])):
        page.open(view)
        page.until(lambda: not page.all(".bones"), f"{view} to be loaded")
        assert page.driver.execute_script("return document.documentElement.scrollWidth") <= size[0], view
        if not page.driver.execute_script("return typeof window.axe === 'object'"):
            page.driver.execute_script(axe)
        result = page.run("axe.run(document).then(({violations}) => arguments[arguments.length - 1](violations))")
        bad = [
            f"{each['id']}: {node['html']}" for each in result if each["impact"] in SERIOUS for node in each["nodes"]
        ]
        if bad:
            found[view] = bad
    assert not found, json.dumps(found, indent=2)


EXTENSION = """
(async () => {
  const { publicKey, privateKey } = await crypto.subtle.generateKey('Ed25519', true, ['sign']);
  const raw = new Uint8Array(await crypto.subtle.exportKey('raw', publicKey));
  const account = { publicKey: raw, features: ['solana:signMessage'] };
  const wallet = {
    name: 'Test Extension',
    features: {
      'standard:connect': { connect: async () => ({ accounts: [account] }) },
      'solana:signMessage': { signMessage: async ({ message }) => [
        { signature: new Uint8Array(await crypto.subtle.sign('Ed25519', privateKey, message)) }] },
    },
  };
  const announce = ({ register }) => register(wallet);
  addEventListener('wallet-standard:app-ready', ({ detail }) => announce(detail));
  dispatchEvent(new CustomEvent('wallet-standard:register-wallet', { detail: announce }));
  window.extensionIsThere = true;
})();
"""


def test_a_wallet_extension_signs_in_and_a_stranger_is_no_administrator(page: Browser) -> None:
    page.open("", fresh=True)
    page.driver.execute_script(EXTENSION)
    page.until(lambda: page.driver.execute_script("return window.extensionIsThere"))
    page.driver.execute_script("location.hash = '#/admin'")
    page.until(lambda: "Sign in with Test Extension" in page.text("main"))
    page.driver.execute_script(
        "[...document.querySelectorAll('button')].find((each) => each.textContent.includes('Test Extension')).click()"
    )
    page.until(lambda: "is no administrator of this node" in page.text("#toasts"))
    assert page.all('[aria-label="Sections"]') == []


def test_the_protocol_is_paused_and_resumed_by_the_admin(page: Browser, process: Process) -> None:
    page.open("admin", fresh=True)
    page.click("devnet-admin")
    for paused in (True, False):
        button = page.one('[data-do="protocol"]')
        page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].click()", button)
        page.type("answer", "A drill.")
        page.one('dialog [value="yes"]').click()
        page.until(lambda paused=paused: process.get("/api/protocol")["is_paused"] is paused)
        wanted = "is paused" if paused else "runs"
        page.until(lambda wanted=wanted: f"The protocol {wanted}" in page.text("main"))
        page.until(lambda: not page.all('[aria-busy="true"]'))


def test_swagger_ui_shows_every_group_without_breaking_the_policy(page: Browser) -> None:
    page.driver.get(f"{page.url}/docs")
    page.until(lambda: len(page.all(".opblock-tag")) > 5)
    page.one(".opblock-tag").click()
    page.one(".opblock-summary-control").click()
    page.one(".opblock-body")
