"""People without a mouse, with a phone, who see little, or who asked for less motion."""

import json

import pytest
from selenium.webdriver.common.keys import Keys

from tests.cli.process import Process
from tests.page.browser import PHONE, WIDE, Browser
from tests.page.people import act, open_market

pytestmark = pytest.mark.external

MOVING = """
const probe = document.createElement('div');
probe.innerHTML = '<div class="bones"><i></i></div><table><tr class="feed-line fresh"></tr></table>';
document.body.append(probe);
const css = ['.bones i', '.fresh'];
const seconds = css.map((each) => parseFloat(getComputedStyle(probe.querySelector(each)).animationDuration));
probe.remove();
return seconds;
"""
VIEWS = ("node", "markets", "create", "events", "events?tab=chain", "playground", "admin")


def test_without_a_mouse(page: Browser) -> None:
    page.open("node", fresh=True)
    body = page.one("body")
    body.send_keys(Keys.TAB)
    assert page.driver.switch_to.active_element.text == "Skip to content"
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.one('#nav a[href="#/markets"]').send_keys(Keys.ENTER)
    page.until(lambda: page.driver.switch_to.active_element.get_attribute("id") == "main", "the focus to follow")
    assert page.driver.title.startswith("Markets")
    assert page.one('#nav a[aria-current="page"]').text == "Markets"


def test_charts_are_read_with_the_arrow_keys(page: Browser, process: Process) -> None:
    """A chart takes the focus and says value by value, as a slider does."""

    page.open(f"markets/{act(process, lambda api, wallet: open_market(api, wallet, 'Can everybody read the chart?'))}")
    chart = page.one('.chart-canvas[role="slider"]')
    page.until(lambda: "YES since" in (chart.get_attribute("aria-valuetext") or ""))
    last = chart.get_attribute("aria-valuemax")
    assert chart.get_attribute("aria-valuenow") == last
    chart.send_keys(Keys.HOME)
    assert chart.get_attribute("aria-valuenow") == "0"
    assert page.text(".chart-readout") == chart.get_attribute("aria-valuetext")
    assert page.all('.chart-marker[visibility="visible"]')
    chart.send_keys(Keys.ARROW_RIGHT)
    assert chart.get_attribute("aria-valuenow") == "1"
    chart.send_keys(Keys.TAB)
    assert page.all('.chart-marker[visibility="hidden"]')


def test_nothing_moves_for_those_who_asked_for_it(page: Browser) -> None:
    reduced = {"name": "prefers-reduced-motion", "value": "reduce"}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [reduced]})
    page.open("node", fresh=True)
    assert max(page.driver.execute_script(MOVING)) < 0.001


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_nobody_is_shut_out(page: Browser, process: Process, axe: str, dark: bool, size: tuple[int, int]) -> None:
    page.look_as(dark=dark, size=size)
    markets = process.get("/api/markets")["markets"]
    found = {}
    for view in (*VIEWS, "nothing/here", *(f"markets/{market['id']}" for market in markets[:1])):
        page.open(view)
        found |= _look(page, axe, view, size)
    page.open("admin", fresh=True)
    page.click("devnet-admin")
    for section in ("operations", "alerts", "queue", "markets", "audit"):
        page.one('[aria-label="Sections"]')
        page.choose(section, "Sections")
        found |= _look(page, axe, f"admin {section}", size)
    page.choose("operations", "Sections")
    for dialog in ("config", "runs-poll"):
        page.press(f'[data-do="{dialog}"]')
        page.one("dialog")
        found |= _look(page, axe, f"dialog {dialog}", size)
        page.press('[data-do="close"]')
    assert not found, json.dumps(found, indent=2)


def _look(page: Browser, axe: str, view: str, size: tuple[int, int]) -> dict[str, list[str]]:
    """The barriers of a view once it is loaded; none of them is wider than the screen."""
    page.until(lambda: not page.all(".bones"), f"{view} to be loaded")
    assert page.driver.execute_script("return document.documentElement.scrollWidth") <= size[0], view
    barriers = page.barriers(axe)
    return {view: barriers} if barriers else {}
