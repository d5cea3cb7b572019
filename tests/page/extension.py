"""A wallet extension of the Wallet Standard in the browser of a test, and what its owner does."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from solders.keypair import Keypair

from tests.page.browser import Browser

SCRIPT = (Path(__file__).resolve().parent / "wallet.js").read_text(encoding="utf-8")
BASIC = ("standard:connect", "standard:disconnect", "standard:events")
SIGN_IN, MESSAGE = "solana:signIn", "solana:signMessage"
TRANSACTION, SEND = "solana:signTransaction", "solana:signAndSendTransaction"
CHAINS = ("solana:mainnet", "solana:devnet", "solana:localnet")
SEEDS = ("71" * 32, "72" * 32)
ADDRESSES = [str(Keypair.from_seed(bytes.fromhex(seed)).pubkey()) for seed in SEEDS]


@contextmanager
def wallet_in(
    page: Browser,
    features: Sequence[str] = (SIGN_IN, MESSAGE, TRANSACTION),
    *,
    chains: Sequence[str] = CHAINS,
    versions: Sequence[str | int] = ("legacy", 0),
    late: bool = False,
) -> Iterator[None]:
    """An extension in the browser, from the next page on."""
    options = {
        "name": "Test Extension",
        "seeds": SEEDS,
        "features": [*BASIC, *features],
        "chains": list(chains),
        "versions": list(versions),
        "late": late,
    }
    source = SCRIPT.replace("__OPTIONS__", json.dumps(options))
    script = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
    try:
        yield
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
        page.driver.get("about:blank")


def connect(page: Browser, name: str = "Test Extension") -> None:
    page.press('[data-do="connect"]')
    page.press(f'[data-wallet-name="{name}"]')
    page.one("#wallet[data-address]")
    page.until(lambda: not page.all("dialog"))


def connected(page: Browser) -> str | None:
    script = "return document.querySelector('#wallet[data-address]')?.dataset.address ?? null"
    found: str | None = page.driver.execute_script(script)
    return found
