"""Wallets of the Wallet Standard, as extensions bring them into the page: one that is written to the standard trades,
votes and posts, in all the ways in which wallets differ, and refuses.
"""

from typing import Any

import pytest

from tests.cli.process import Process
from tests.page.browser import PHONE, Browser
from tests.page.extension import ADDRESSES, MESSAGE, SEND, SIGN_IN, TRANSACTION, connect, connected, wallet_in
from tests.page.people import act, create, open_market
from zmart_lite.demo.client import Api, Wallet

pytestmark = pytest.mark.external

KINDS = {
    "sign-in only": ((SIGN_IN, TRANSACTION), ("legacy", 0)),
    "message only": ((MESSAGE, TRANSACTION), ("legacy", 0)),
    "both, and version 0 only": ((SIGN_IN, MESSAGE, TRANSACTION), (0,)),
    "sends by itself": ((MESSAGE, SEND), ("legacy", 0)),
}


def fund(process: Process) -> None:
    async def work(api: Api, _: Wallet) -> None:
        for address in ADDRESSES:
            await api.post("/api/devnet/airdrop", {"wallet": address, "sol": 50})

    act(process, work)


def owner(page: Browser, script: str) -> Any:
    """What the wallet's owner does or knows."""
    return page.driver.execute_script(script)


def asked(page: Browser) -> list[str]:
    return [each["what"] for each in owner(page, "return wallet.asked")]


@pytest.fixture(scope="module")
def market(process: Process) -> str:
    """An ACTIVE market with something to lose and to win."""
    fund(process)
    return act(process, lambda api, wallet: open_market(api, wallet, "Does a connected wallet trade here?"))


def type_amount(page: Browser, text: str) -> None:
    script = (
        "const field = document.querySelector('[name=amount]'); field.value = arguments[0];"
        "field.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    page.driver.execute_script(script, text)


def quoted(page: Browser) -> None:
    page.until(lambda: page.all("[data-payout]"), "the quote")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_wallet_trades(page: Browser, process: Process, market: str, kind: str) -> None:
    features, versions = KINDS[kind]
    with wallet_in(page, features, versions=versions):
        page.open(f"markets/{market}", fresh=True)
        connect(page)
        assert connected(page) == ADDRESSES[0]
        type_amount(page, "0.5")
        quoted(page)
        assert "about" in page.text('[data-payout="YES"]')
        before = held(process, market)
        page.click("trade")
        page.toast("You bought")
        assert held(process, market) > before
        signs_in = "signIn" if SIGN_IN in features else "signMessage"
        sends = "signTransaction" if TRANSACTION in features else "signAndSendTransaction"
        assert asked(page) == ["connect", signs_in, sends]
        (signed,) = owner(page, "return wallet.asked.filter(({chain}) => chain)")
        assert (signed["chain"], signed["version"]) == ("solana:localnet", versions[0])
        page.until(lambda: "If YES wins" in page.text('[aria-label="Your position"]'), "the position")


def held(process: Process, market: str) -> int:
    found = process.get(f"/api/users/{ADDRESSES[0]}/positions?market_id={market}")
    return sum(int(each["shares_yes"]) for each in found)


def test_a_wallet_that_comes_late_joins_the_open_menu(page: Browser) -> None:
    with wallet_in(page, late=True):
        page.open("admin", fresh=True)
        page.press('[data-do="connect"]')
        page.until(lambda: "No wallet was found" in page.text("dialog"))
        owner(page, "wallet.register()")
        page.press('[data-wallet-name="Test Extension"]')
        page.one("#wallet[data-address]")
        assert "Sign in with Test Extension" in page.text("main")


def test_it_is_connected_again_without_a_question(page: Browser, market: str) -> None:
    """The session of the tab is kept too: a vote or post after a reload asks nobody."""
    with wallet_in(page):
        page.open(f"markets/{market}", fresh=True)
        connect(page)
        page.type("content", "Signed in once.")
        page.click("post")
        page.toast("Posted")
        assert asked(page) == ["connect", "signIn"]
        page.driver.refresh()
        page.until(lambda: connected(page) == ADDRESSES[0])
        page.type("content", "And not again.")
        page.click("post")
        page.toast("Posted")
        assert asked(page) == []


def test_another_account_and_none(page: Browser) -> None:
    with wallet_in(page):
        page.open("markets", fresh=True)
        connect(page)
        owner(page, "wallet.choose(1)")
        page.until(lambda: connected(page) == ADDRESSES[1])
        page.press("#wallet")
        page.press('[data-do="mine"]')
        page.until(lambda: page.driver.current_url.endswith(f"#/wallets/{ADDRESSES[1]}"))
        page.until(lambda: "Your wallet" in page.text("h1"))
        owner(page, "wallet.leave()")
        page.one('[data-do="connect"]')
        page.until(lambda: page.text("h1") == "Wallet")
        page.driver.refresh()
        page.one('[data-do="connect"]')
        assert connected(page) is None


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "declined": (
        {"code": 4001, "message": "User rejected the request."},
        "You declined in Test Extension. Nothing was",
    ),
    "closed": ({"message": "Plugin Closed"}, "was closed before it was done"),
    "broken": ({"message": "Internal error 17"}, "could not do it: Internal error 17. Unlock it and try again."),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_is_a_sentence_and_loses_nothing(page: Browser, market: str, kind: str) -> None:
    error, sentence = REFUSALS[kind]
    with wallet_in(page):
        page.open(f"markets/{market}", fresh=True)
        page.press('[data-do="connect"]')
        page.driver.execute_script("wallet.refuses = arguments[0]", error)
        page.press('[data-wallet-name="Test Extension"]')
        page.until(lambda: sentence in page.text("dialog"), sentence)
        owner(page, "wallet.refuses = null")
        page.press('[data-wallet-name="Test Extension"]')
        page.one("#wallet[data-address]")
        type_amount(page, "0.25")
        quoted(page)
        page.driver.execute_script("wallet.refuses = arguments[0]", error)
        page.click("trade")
        page.toast(sentence)
        assert page.one('[name="amount"]').get_attribute("value") == "0.25"


def test_a_wallet_on_another_network_says_what_to_do(page: Browser, market: str) -> None:
    with wallet_in(page, chains=("solana:mainnet",)):
        page.open(f"markets/{market}", fresh=True)
        connect(page)
        type_amount(page, "0.25")
        quoted(page)
        page.click("trade")
        page.toast("Test Extension is set to another network. Switch it to localnet")
        assert "signTransaction" not in asked(page)


def test_a_form_that_knows_what_the_quote_knows(page: Browser, market: str) -> None:
    """Nonsense, too little, more than there is, and shares that nobody holds: a reason each, and no button."""
    reasons = {
        "abc": "Type a number above zero, such as 0.5.",
        "1e3": "Type a number above zero, such as 0.5.",
        "0.000000001": "The least that can be traded is 0.00001 SOL.",
        "0.00002": "is the least that works now",
        "99999": "This wallet has",
    }
    with wallet_in(page):
        page.open(f"markets/{market}", fresh=True)
        assert page.text('[data-do="trade"]') == "Connect a wallet to trade"
        connect(page)
        page.until(lambda: "Balance" in page.text(".trade"), "the balance")
        for text, reason in reasons.items():
            if text == "0.00002":
                continue
            type_amount(page, text)
            page.until(lambda reason=reason: reason in page.text("#trade-problem"), reason)
            assert page.one('[data-do="trade"]').get_attribute("disabled")
        page.choose("sell", "Side")
        assert page.one('[name="amount"]').get_attribute("value") == ""
        page.press('[data-outcome="NO"]')
        type_amount(page, "1")
        page.until(lambda: "You hold" in page.text("#trade-problem"))


def test_a_phone_has_the_buttons_at_hand(page: Browser, market: str) -> None:
    page.look_as(size=PHONE)
    with wallet_in(page):
        page.open(f"markets/{market}", fresh=True)
        connect(page)
        bar = page.one('[data-do="bar-NO"]')
        page.until(bar.is_displayed)
        bar.click()
        page.one("dialog.sheet .trade")
        assert page.one('[data-outcome="NO"]').get_attribute("aria-pressed") == "true"
        type_amount(page, "0.2")
        quoted(page)
        page.click("trade")
        page.toast("You bought")
        page.press('dialog [data-do="close"]')
        page.until(lambda: not page.all("dialog"))
        assert page.all(".split.market .trade")


def test_a_market_is_decided_with_connected_wallets(page: Browser, process: Process, market: str, axe: str) -> None:
    """Vote on a proposal; resolve with evidence; dispute with a reason; vote with weight; claim."""

    async def proposal(api: Api, wallet: Wallet) -> str:
        return await create(api, wallet, "Is a proposal voted on beside its tally?")

    proposed = act(process, proposal)
    with wallet_in(page):
        page.open(f"markets/{proposed}", fresh=True)
        connect(page)
        page.click("like")
        page.until(lambda: "You voted to approve it." in page.text(".act-box"))
        page.open(f"markets/{market}")
        type_amount(page, "1")
        quoted(page)
        page.click("trade")
        page.toast("You bought")
        page.one("details.resolve summary").click()
        page.type("evidence", "The gauge showed 3 mm.")
        page.click("resolve")
        page.until(lambda: "Evidence" in page.text(".case") and "The gauge showed 3 mm." in page.text(".case"))
        assert page.barriers(axe) == []
        page.type("reason", "It was another gauge.")
        page.click("dispute")
        page.until(lambda: "It was another gauge." in page.text(".case"), "the reason")
        page.until(lambda: "Yours:" in page.text(".act-box"), "the weight")
        page.click("disagree")
        page.until(lambda: "You voted: the outcome is right." in page.text(".act-box"))
        assert page.barriers(axe) == []

        async def settle(api: Api, _: Wallet) -> None:
            await api.warp(seconds=4 * 86_400)
            await api.until_state(market, "FINALIZED")

        act(process, settle)
        page.until_state("FINALIZED")
        page.click("claim")
        page.toast("You claimed")
        page.until(lambda: "Claimed" in page.text('[aria-label="Your position"]'))
        assert page.barriers(axe) == []
