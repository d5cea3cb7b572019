"""Wallets that trade a little on the demo markets while nobody else does, so that what one opens is alive."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress

import httpx

from zmart_lite.demo.client import Api, DemoFailed, Json, Wallet

PAUSE_S = (12.0, 40.0)
"""Between two trades: somewhere between these."""
QUIET_S = 60
"""So long after somebody else's trade the bots leave the markets alone."""
BUDGET_LAMPORTS = (5 * 10**7, 4 * 10**8)
PULL = 0.7
"""How often a bot buys the cheaper side, which keeps prices from running away."""


class Bots:
    """``markets``: ids of open markets. ``chance`` decides everything that is left to chance."""

    def __init__(self, api: Api, wallets: Sequence[Wallet], markets: Sequence[str], chance: random.Random) -> None:
        self._api = api
        self._wallets = wallets
        self._markets = markets
        self._chance = chance
        self._own = {wallet.address for wallet in wallets}

    async def run(self) -> None:
        """Trade until cancelled. What does not work now is left alone until the next time."""
        while True:
            await asyncio.sleep(self._chance.uniform(*PAUSE_S))
            with suppress(DemoFailed, httpx.HTTPError):
                await self.step()

    async def step(self) -> bool:
        """One trade in one market, unless somebody else has traded there lately; whether there was one.

        Raises DemoFailed for what the node or the program refuses.
        """
        market_id = self._chance.choice(self._markets)
        market = await self._api.market(market_id)
        if market["state"] != "ACTIVE" or await self._others_trade(market_id):
            return False
        cheaper, dearer = ("YES", "NO") if market["priceYes"] < market["priceNo"] else ("NO", "YES")
        outcome = cheaper if self._chance.random() < PULL else dearer
        body = {"market_id": market_id, "outcome": outcome, "budget": str(self._chance.randint(*BUDGET_LAMPORTS))}
        await self._chance.choice(self._wallets).act("/api/trades/buy", body)
        return True

    async def _others_trade(self, market_id: str) -> bool:
        query: Json = {"from": await self._api.chain_time() - QUIET_S}
        trades = (await self._api.get(f"/api/markets/{market_id}/trades", **query))["trades"]
        return any(trade["trader"] not in self._own for trade in trades)
