"""A market's whole life by clicking, watched in a second tab that is never reloaded."""

import pytest
from solders.keypair import Keypair

from tests.page.browser import Browser

pytestmark = pytest.mark.external

HOSTILE = "<img src=x onerror=alert(1)> Will this stay a text?"


def test_a_market_lives_from_its_creation_to_the_last_claim(page: Browser, axe: str) -> None:
    page.open("playground", fresh=True)
    page.click("wallets")
    page.type("question", HOSTILE)
    page.click("create")
    _reach(page, axe, "PROPOSED")
    market_id = page.driver.current_url.rpartition("/")[2]
    playing = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    watching = page.driver.current_window_handle
    page.open(f"markets/{market_id}")
    page.driver.execute_script("window.never = 'reloaded'")
    page.driver.switch_to.window(playing)

    page.choose("chain", "How to vote")
    page.click("like")
    page.until(lambda: "Wallet 1 voted “approve”, on chain" in page.text(".log"))
    page.click("crowd")
    _reach(page, axe, "APPROVED")
    page.click("activate")
    _reach(page, axe, "ACTIVE")
    _trade(page)
    page.click("resolve")
    _reach(page, axe, "RESOLVING")
    page.click("dispute")
    _reach(page, axe, "DISPUTED")
    page.click("disagree")
    page.click("wait")
    _reach(page, axe, "FINALIZED")
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
    assert "on chain, " in page.text("main")
    page.until(lambda: "Winnings claimed" in page.text("main"), "the events")
    page.open("markets")
    page.until(lambda: "bought NO for" in page.text('[aria-label="Activity"]'), "the activity")
    page.driver.close()
    page.driver.switch_to.window(playing)


def _reach(page: Browser, axe: str, state: str) -> None:
    """Wait for a state; what it offers shuts nobody out, light or dark."""
    page.until_state(state)
    for dark in (False, True):
        page.look_as(dark=dark)
        assert page.barriers(axe) == []


def _trade(page: Browser) -> None:
    """Wallet 1 buys YES, wallet 2 buys NO and goes on acting."""
    page.type("amount", "2")
    page.click("trade")
    page.until(lambda: "Wallet 1 bought" in page.text(".log"))
    second = page.all(".wallets input")[1]
    page.driver.execute_script("arguments[0].click()", second)
    page.press('[data-outcome="NO"]')
    page.type("amount", "2")
    page.click("trade")
    page.until(lambda: "Wallet 2 bought" in page.text(".log"))


MAINNET = """
const [done] = arguments;
import('/static/page/app.js').then(({ app }) => {
  Object.defineProperty(app, 'cluster', { get: () => 'mainnet' });
  app.dispatchEvent(new Event('status'));
  location.hash = '#/playground';
  done();
});
"""


def test_nobody_plays_with_real_money(page: Browser) -> None:
    page.open("markets", fresh=True)
    assert page.all('#nav a[href="#/playground"]')
    page.run(MAINNET)
    page.until(lambda: "money is real" in page.text("main"))
    assert not page.all('#nav a[href="#/playground"], [data-do="wallets"], form')
    page.driver.get("about:blank")


def test_bad_fields_are_named_where_they_are(page: Browser) -> None:
    page.open("playground", fresh=True)
    page.click("wallets")
    page.type("question", "Is the parameter large enough?")
    page.driver.execute_script("document.querySelector('[name=b_parameter]').value = '5'")
    page.click("create")
    page.until(lambda: page.one('[name="b_parameter"]').get_attribute("aria-invalid") == "true")
    assert "at least 100" in page.text("#b_parameter-problem")
    # The browser itself notes the refused request in its console.
    assert page.complaints(network=False) == []


DEVNET_IS_SLOW = """
const real = window.fetch;
const released = new Promise((release) => { window.release = release; });
window.met = new Set();
window.fetch = async (input, options) => {
  const path = new URL(input.url ?? input, location.href).pathname;
  if (path === '/api/devnet') await released;
  const answer = await real(input, options);
  window.met.add(path);
  return answer;
};
"""


def test_a_devnet_that_answers_late_is_waited_for(page: Browser) -> None:
    """Opened directly, with the protocol known before the devnet is."""
    page.driver.get("about:blank")
    script = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": DEVNET_IS_SLOW})
    try:
        page.driver.get(f"{page.url}/#/playground")
        page.until(lambda: page.driver.execute_script("return met.has('/api/protocol') && met.has('/status')"))
        assert not page.all('[data-do="add-wallet"]')
        page.driver.execute_script("release()")
        page.one('[data-do="add-wallet"]')
        assert page.all('[data-do="warp-3600"]')
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_wallets_outlast_a_reload(page: Browser) -> None:
    page.open("playground", fresh=True)
    page.click("wallets")
    page.until(lambda: len(page.all(".wallets li")) == 3)
    before = _wallets(page)
    page.driver.refresh()
    page.until(lambda: len(page.all(".wallets li")) == 3)
    assert _wallets(page) == before


def _wallets(page: Browser) -> list[str]:
    script = "return [...document.querySelectorAll('.wallets li')].map((item) => item.dataset.wallet)"
    return list(page.driver.execute_script(script))


def test_two_tabs_lose_no_wallet(page: Browser) -> None:
    """Each follows what the other adds and takes away; what earlier versions kept is taken over."""
    page.open("playground", fresh=True)
    page.click("wallets")
    page.until(lambda: len(page.all(".wallets li")) == 3)
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    second = page.driver.current_window_handle
    page.open("playground")
    page.until(lambda: len(page.all(".wallets li")) == 3)
    page.click("add-wallet")
    page.driver.switch_to.window(first)
    page.until(lambda: len(page.all(".wallets li")) == 4, "the other tab's wallet")
    page.click("add-wallet")
    here = sorted(_wallets(page))
    page.driver.switch_to.window(second)
    page.until(lambda: sorted(_wallets(page)) == here)
    page.driver.refresh()
    page.until(lambda: sorted(_wallets(page)) == here)
    page.driver.close()
    page.driver.switch_to.window(first)
    assert len(set(here)) == 5


def test_a_key_is_shown_before_it_is_forgotten_and_taken_back(page: Browser) -> None:
    page.open("playground", fresh=True)
    page.click("wallets")
    page.until(lambda: len(page.all(".wallets li")) == 3)
    address = _wallets(page)[0]
    page.press('[data-do="forget"]')
    secret = page.text("dialog pre")
    assert str(Keypair.from_base58_string(secret).pubkey()) == address
    file = page.one('[data-do="save-key"]')
    assert file.get_attribute("download") == f"{address}.json"
    page.press('[data-do="close"]')
    assert _wallets(page)[0] == address
    page.press('[data-do="forget"]')
    page.press('dialog [value="yes"]')
    page.until(lambda: address not in _wallets(page))
    for text in (secret, "[1, 2, 3]", str(list(bytes(Keypair.from_base58_string(secret))))):
        page.press('[data-do="import-wallet"]')
        page.type("answer", text)
        page.press('dialog [value="yes"]')
        page.until(lambda: not page.all("dialog"))
        if text == secret:
            page.until(lambda: address in _wallets(page))
        else:
            page.toast("This is no secret key" if text == "[1, 2, 3]" else "in the list already")


OLD = "localStorage.setItem('zmart.burners', JSON.stringify([{ name: 'Wallet 7', secret: arguments[0] }]))"


def test_wallets_of_earlier_versions_are_taken_over(page: Browser) -> None:
    keypair = Keypair()
    page.open("markets", fresh=True)
    page.driver.execute_script(OLD, str(keypair))
    page.driver.refresh()
    page.open("playground")
    page.until(lambda: _wallets(page) == [str(keypair.pubkey())])
    assert "Wallet 7" in page.text(".wallets")
