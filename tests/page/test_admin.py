"""What administrators see and do, and that nobody else does."""

import httpx
import pytest

from tests.cli.process import Process
from tests.page.browser import Browser
from tests.page.conftest import WEBHOOK_SECRET
from tests.page.extension import connect, wallet_in
from tests.page.people import act, create, sign_in_as_admin
from zmart_lite.demo.client import Api, Wallet

pytestmark = pytest.mark.external


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
    page.agree(f'[data-market="{market_id}"] [data-do="hide"]', "Hidden by a test.")
    page.until(lambda: "hidden" in page.text(f'[data-market="{market_id}"]'))
    page.choose("audit", "Sections")
    page.until(lambda: "Hidden by a test." in page.text("main"))


def test_a_hidden_market_leaves_the_list_of_those_who_look_at_it(page: Browser, process: Process) -> None:
    async def work(api: Api, wallet: Wallet) -> str:
        return await create(api, wallet, "Will this one vanish before your eyes?")

    market_id = act(process, work)
    row = f'[data-market="{market_id}"]'
    sign_in_as_admin(page, "markets")
    acting = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    looking = page.driver.current_window_handle
    page.open("markets")
    page.one(row)
    for action, gone in (("hide", True), ("unhide", False)):
        page.driver.switch_to.window(acting)
        page.agree(f'{row} [data-do="{action}"]', "A drill.")
        page.driver.switch_to.window(looking)
        page.until(lambda gone=gone: (not page.all(row)) is gone, action)
    page.driver.close()
    page.driver.switch_to.window(acting)


def test_a_paused_job_is_the_reason_that_its_service_gives(page: Browser, process: Process) -> None:
    sign_in_as_admin(page)
    page.press('[aria-label="Pause monitor"]')
    page.one('[aria-label="Resume monitor"]')
    page.driver.execute_script("location.hash = '#/node'")
    page.until(lambda: "its job is paused" in page.text('[data-service="market_monitor"] .reason'))
    page.until(lambda: "The node works, but not all of it" in page.text(".health"))
    page.until(lambda: "Market monitor: its job is paused" in page.text(".unwell"))
    page.driver.execute_script("location.hash = '#/admin'")
    page.press('[aria-label="Resume monitor"]')
    page.one('[aria-label="Pause monitor"]')
    page.press('[data-do="runs-monitor"]')
    page.until(lambda: "ok" in page.text("dialog table"), "the last runs")
    page.press('[data-do="close"]')
    page.until(lambda: not page.all("dialog"))


def test_what_cannot_be_read_is_shown_as_it_came(page: Browser, process: Process) -> None:
    headers = {"Authorization": WEBHOOK_SECRET}
    letter = [{"nothing": "<b>like</b> a transaction"}]
    httpx.post(f"{process.url}/api/webhooks/helius", json=letter, headers=headers).raise_for_status()
    sign_in_as_admin(page, "queue")
    page.press('[data-do="look"]')
    page.until(lambda: "<b>like</b> a transaction" in page.text("dialog pre"))
    page.press('[data-do="close"]')
    page.click("retry-letter")
    page.until(lambda: "still cannot be read" in page.text("#toasts"))


def test_the_configuration_on_chain_is_shown_and_changed(page: Browser, process: Process) -> None:
    sign_in_as_admin(page)
    card = '[aria-label="Protocol on chain"]'
    page.until(lambda: "Approval threshold70 %" in page.text(card))
    for old, new, shown in ((7_000, 7_250, "72.5 %"), (7_250, 7_000, "70 %")):
        page.press('[data-do="config"]')
        field = page.one('dialog [name="proposal_approval_threshold"]')
        assert field.get_attribute("value") == str(old)
        field.clear()
        field.send_keys(str(new))
        page.type("answer", "A drill.")
        page.press('dialog [value="yes"]')
        page.until(lambda shown=shown: f"Approval threshold{shown}" in page.text(card), shown)
        page.until(lambda: not page.all('[aria-busy="true"]'))
        assert process.get("/api/protocol")["proposal_approval_threshold"] == new


def test_a_dangerous_configuration_is_warned_of(page: Browser, process: Process) -> None:
    sign_in_as_admin(page)
    page.press('[data-do="config"]')
    fee = page.one('dialog [name="protocol_fee_bps"]')
    fee.clear()
    fee.send_keys("900")
    page.until(lambda: "above 1000 bps buying fails" in page.text("dialog"))
    page.one('dialog [name="dispute_period"]').send_keys("0")
    page.until(lambda: "deadlines of markets" in page.text("dialog"))
    page.press('[data-do="close"]')
    assert process.get("/api/protocol")["protocol_fee_bps"] == 300


def test_a_wallet_extension_signs_in_and_a_stranger_is_no_administrator(page: Browser) -> None:
    with wallet_in(page):
        page.open("admin", fresh=True)
        connect(page)
        page.click("admin-signin")
        page.toast("is no administrator of this node")
        assert page.all('[aria-label="Sections"]') == []


def test_the_protocol_is_paused_and_resumed_by_the_admin(page: Browser, process: Process) -> None:
    sign_in_as_admin(page)
    for paused in (True, False):
        page.agree('[data-do="protocol"]', "A drill.")
        page.until(lambda paused=paused: process.get("/api/protocol")["is_paused"] is paused)
        wanted = "is paused" if paused else "runs"
        page.until(lambda wanted=wanted: f"The protocol {wanted}" in page.text("main"))
        page.until(lambda: not page.all('[aria-busy="true"]'))


def test_the_log_is_followed_as_it_is_written(page: Browser, process: Process) -> None:
    sign_in_as_admin(page, "log")
    card, shown = '[aria-label="Log"]', '[aria-label="Lines of the log"]'
    page.until(lambda: "Following" in page.text(card), "lines of before")
    assert "path=/static/page/" in page.text(shown)
    httpx.get(f"{process.url}/api/markets/of-this-test")
    page.until(lambda: "path=/api/markets/of-this-test" in page.text(shown), "a line of now")
    page.choose("error", "Level")
    page.until(lambda: "path=" not in page.text(shown))
