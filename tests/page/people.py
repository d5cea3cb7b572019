"""What others do on the node while a test looks at the page: real wallets over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tests.cli.process import Process
from tests.page.browser import Browser
from zmart_lite.demo.client import Api, Json, Wallet, unix_seconds

T = TypeVar("T")
DAY_S = 86_400
VOTERS = 10


def act(process: Process, work: Callable[[Api, Wallet], Awaitable[T]]) -> T:
    """Run ``work`` with a funded wallet that is signed in."""

    async def run() -> T:
        api = Api(process.url, process.rpc_url)
        try:
            wallet = Wallet(api, "somebody")
            await wallet.fund(50)
            await wallet.sign_in()
            return await work(api, wallet)
        finally:
            await api.close()

    return asyncio.run(run())


async def create(api: Api, wallet: Wallet, question: str, description: str = "", liquidity_sol: int = 1) -> str:
    """A PROPOSED market; its id."""
    chain_time = unix_seconds((await api.get("/api/protocol"))["chain_time"])
    body: Json = {
        "question": question,
        "description": description,
        "category": "science",
        "end_date": chain_time + DAY_S,
        "initial_liquidity": str(liquidity_sol * 10**9),
    }
    built, _ = await wallet.act("/api/markets", body)
    market_id: str = built["market_id"]
    return market_id


async def open_market(api: Api, wallet: Wallet, question: str) -> str:
    """An ACTIVE market of 3 SOL, in which 5 SOL are on NO; its id."""
    market_id = await create(api, wallet, question, liquidity_sol=3)
    for number in range(VOTERS):
        voter = Wallet(api, f"voter {number}")
        await voter.sign_in()
        await voter.post("/api/votes/proposal", {"market_id": market_id, "vote": "like"})
    await api.until_state(market_id, "APPROVED")
    await wallet.act(f"/api/markets/{market_id}/activate")
    await wallet.act("/api/trades/buy", {"market_id": market_id, "outcome": "NO", "budget": str(5 * 10**9)})
    return market_id


def sign_in_as_admin(page: Browser, section: str = "operations") -> None:
    """Open a section of the Admin view as the devnet's administrator, who has just come."""
    page.open(f"admin?tab={section}", fresh=True)
    page.click("devnet-admin")
    page.one('[aria-label="Sections"]')
