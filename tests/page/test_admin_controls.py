"""Every control of the Admin view, pressed, with what it brings about on the node and on chain."""

import asyncio
import base64
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from solders.pubkey import Pubkey

from tests.cli.process import Process
from tests.page.browser import Browser
from tests.page.people import act, create, sign_in_as_admin
from zmart_lite.chain import instructions, tx
from zmart_lite.chain.rpc import Rpc
from zmart_lite.codec import Codec
from zmart_lite.demo.client import Api, Json, Wallet
from zmart_lite.localnet.node import DEFAULT_SEED, derive_keypair
from zmart_lite.models import MarketAccount, MarketState

pytestmark = pytest.mark.external

CANCEL_AS_A_STRANGER = """
const [market, done] = arguments;
import('/static/zmart.js').then(async ({ BurnerWallet, Zmart }) => {
  const client = new Zmart();
  await client.signIn(await BurnerWallet.generate());
  return client.post(`/api/admin/markets/${market}/override`, { action: 'cancel', reason: 'I would like to.' });
}).then(() => done('done'), ({ status, reason }) => done(`${status} ${reason}`));
"""


def test_a_market_is_cancelled_by_the_administrator_alone(page: Browser, process: Process) -> None:
    market_id = _market(process, "Will this one be cancelled?")
    row = f'[data-market="{market_id}"]'
    page.open(f"markets/{market_id}")
    page.until_state("PROPOSED")
    page.driver.execute_script("window.never = 'reloaded'")
    assert page.run(CANCEL_AS_A_STRANGER, market_id) == "403 not_admin"
    assert _state_on_chain(process, market_id) == MarketState.PROPOSED
    with _in_another_tab(page):
        sign_in_as_admin(page, "markets")
        page.agree(f'{row} [data-do="cancel"]', "A drill.")
        page.toast("Cancelling is under way")
        page.until(lambda: "Cancelled" in page.text(row))
        assert page.all(f'{row} [data-do="cancel"]') == []
        for section, told in (("queue", "Cancel marketWill this one be cancelled?"), ("audit", "Override: cancel")):
            page.choose(section, "Sections")
            page.until(lambda told=told: told in page.text("main"), told)
        page.until(lambda: "I would like to." in page.text("main"), "the stranger's attempt")
    page.until_state("CANCELLED")
    assert page.driver.execute_script("return window.never") == "reloaded"
    assert process.get(f"/api/markets/{market_id}")["state"] == "CANCELLED"
    assert _state_on_chain(process, market_id) == MarketState.CANCELLED
    # The browser itself notes the stranger's refused request in its console.
    assert page.complaints(network=False) == []


def test_a_market_is_noted_resynchronised_and_found(page: Browser, process: Process) -> None:
    market_id = _market(process, "Will this question be found among all others?")
    row = f'[data-market="{market_id}"]'
    sign_in_as_admin(page, "markets")
    page.type("admin-q", "found among")
    page.until(lambda: len(page.all("[data-market]")) == 1)
    page.agree(f'{row} [data-do="note"]', "The source is disputed.")
    page.until(lambda: "The source is disputed." in page.text(row))
    page.toast("Saved")
    page.agree(f'{row} [data-do="resync"]', "To be sure.")
    page.toast("Nothing differed")
    page.click("out")
    page.until(lambda: page.all('[data-do="devnet-admin"]'))
    assert page.all('[aria-label="Sections"]') == []


def test_a_proposal_that_has_the_votes_is_approved(page: Browser, process: Process) -> None:
    """The node itself would approve at once: its job is paused meanwhile."""
    sign_in_as_admin(page)
    page.press('[aria-label="Pause aggregate"]')
    page.one('[aria-label="Resume aggregate"]')
    market_id = _market(process, "Does this one wait for a signature?")
    asyncio.run(_record_votes(process, market_id))
    page.choose("markets", "Sections")
    page.agree('[data-do="approve"]', "It is a good question.")
    page.toast("Approval is under way")
    page.until(lambda: "Approved" in page.text(f'[data-market="{market_id}"]'))
    page.choose("operations", "Sections")
    page.press('[aria-label="Resume aggregate"]')
    page.one('[aria-label="Pause aggregate"]')
    assert _state_on_chain(process, market_id) == MarketState.APPROVED


def test_what_went_wrong_is_put_right(page: Browser, process: Process) -> None:
    """A breaker is reset, an alert acknowledged, a failed transaction sent again and the old one given up."""
    sign_in_as_admin(page)
    page.press('[aria-label="Run alerts"]')
    page.toast("Alerts runs")
    page.choose("alerts", "Sections")
    alert = '[data-alert="circuit_breaker_open"]'
    page.press(f'{alert} [data-do="acknowledge"]')
    page.until(lambda: "acknowledged" in page.text(alert))
    page.choose("operations", "Sections")
    page.press('[aria-label="Reset ipfs"]')
    page.toast("IPFS is closed")
    page.until(lambda: not page.all('[aria-label="Reset ipfs"]'))
    page.until(lambda: {each["name"]: each["state"] for each in process.get("/status")["breakers"]}["ipfs"] == "closed")
    page.choose("queue", "Sections")
    failed = page.one('[data-intent][data-status="failed"]').get_attribute("data-intent")
    page.agree(f'[data-intent="{failed}"] [data-do="retry"]', "Once more.")
    page.one(
        f'[data-intent]:not([data-intent="{failed}"])[data-status="confirmed"][data-action="update_global_config"]'
    )
    page.agree(f'[data-intent="{failed}"] [data-do="abandon"]', "It was done anew.")
    page.one(f'[data-intent="{failed}"][data-status="abandoned"]')


def test_a_backup_is_made_at_once(page: Browser, process: Process) -> None:
    sign_in_as_admin(page)
    card = '[aria-label="Backups"]'
    page.until(lambda: "No backups yet." in page.text(card))
    page.click("backup")
    page.until(lambda: ".db.gz" in page.text(card), "the file")


@contextmanager
def _in_another_tab(page: Browser) -> Iterator[None]:
    before = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    yield
    page.driver.close()
    page.driver.switch_to.window(before)


def _market(process: Process, question: str) -> str:
    async def work(api: Api, wallet: Wallet) -> str:
        return await create(api, wallet, question)

    return act(process, work)


def _account(process: Process, market_id: str) -> MarketAccount:
    """The market as the chain has it."""
    address = process.get(f"/api/markets/{market_id}")["on_chain_address"]
    params = [address, {"encoding": "base64", "commitment": "confirmed"}]
    body = {"jsonrpc": "2.0", "id": 1, "method": "getAccountInfo", "params": params}
    value: Json = httpx.post(process.rpc_url, json=body).json()["result"]["value"]
    account = _codec(process).decode_account(base64.b64decode(value["data"][0]))
    assert isinstance(account, MarketAccount)
    return account


def _state_on_chain(process: Process, market_id: str) -> MarketState:
    return _account(process, market_id).state


def _codec(process: Process) -> Codec:
    return Codec(bytes(Pubkey.from_string(process.get("/status")["program_id"])))


async def _record_votes(process: Process, market_id: str) -> None:
    """Ten votes for a proposal, recorded on chain as the node's own job would."""
    backend, codec = derive_keypair(DEFAULT_SEED, "backend"), _codec(process)
    signer, rpc = bytes(backend.pubkey()), Rpc([process.rpc_url])
    call = instructions.aggregate_proposal_votes(codec, bytes.fromhex(market_id), signer, 10, 0)
    try:
        signed = tx.sign(await tx.plan(rpc, call, signer, tx.FeePolicy()), [backend])
        await tx.send_and_confirm(rpc, signed.raw, signed.last_valid_block_height)
    finally:
        await rpc.close()
