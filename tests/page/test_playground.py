"""A market's whole life by clicking, watched in a second tab that is never reloaded."""

import pytest

from tests.page.browser import Browser

pytestmark = pytest.mark.external

HOSTILE = "<img src=x onerror=alert(1)> Will this stay a text?"


def test_a_market_lives_from_its_creation_to_the_last_claim(page: Browser) -> None:
    page.open("playground", fresh=True)
    page.click("wallets")
    page.type("question", HOSTILE)
    page.click("create")
    page.until_state("PROPOSED")
    market_id = page.driver.current_url.rpartition("/")[2]
    playing = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    watching = page.driver.current_window_handle
    page.open(f"markets/{market_id}")
    page.driver.execute_script("window.never = 'reloaded'")
    page.driver.switch_to.window(playing)

    page.click("like")
    page.click("crowd")
    page.until_state("APPROVED")
    page.click("activate")
    page.until_state("ACTIVE")
    _trade(page)
    page.click("resolve")
    page.until_state("RESOLVING")
    page.click("dispute")
    page.until_state("DISPUTED")
    page.click("disagree")
    page.click("wait")
    page.until_state("FINALIZED")
    page.click("claim")
    page.until(lambda: "Wallet 1 claimed" in page.text(".log"))
    page.click("withdraw")
    page.until(lambda: "withdrew" in page.text(".log"))

    page.driver.switch_to.window(watching)
    page.until_state("FINALIZED")
    page.until(lambda: len(page.all("[data-trade]")) == 2, "both trades")
    assert page.driver.execute_script("return window.never") == "reloaded"
    assert page.text(".question-title") == HOSTILE
    assert page.all("main img") == []
    assert "like" in page.text("main")
    page.until(lambda: "Winnings claimed" in page.text("main"), "the events")
    page.driver.close()
    page.driver.switch_to.window(playing)


def _trade(page: Browser) -> None:
    """Wallet 1 buys YES, wallet 2 buys NO and goes on acting."""
    page.click("trade")
    page.until(lambda: "Wallet 1 bought" in page.text(".log"))
    page.choose("NO", "Outcome")
    second = page.all(".wallets input")[1]
    page.driver.execute_script("arguments[0].click()", second)
    page.click("trade")
    page.until(lambda: "Wallet 2 bought" in page.text(".log"))


def test_bad_fields_are_named_where_they_are(page: Browser) -> None:
    page.open("playground", fresh=True)
    page.click("wallets")
    page.type("question", "Is the parameter large enough?")
    page.driver.execute_script("document.querySelector('[name=b_parameter]').value = '5'")
    page.click("create")
    page.until(lambda: page.one('[name="b_parameter"]').get_attribute("aria-invalid") == "true")
    assert "must be" in page.text("#b_parameter-problem")
    # The browser itself notes the refused request in its console.
    assert page.complaints(network=False) == []


def test_wallets_outlast_a_reload(page: Browser) -> None:
    page.open("playground", fresh=True)
    page.click("wallets")
    before = [item.get_attribute("data-wallet") for item in page.all(".wallets li")]
    page.driver.refresh()
    page.until(lambda: len(page.all(".wallets li")) == 3)
    assert [item.get_attribute("data-wallet") for item in page.all(".wallets li")] == before
