"""The markets a fresh devnet opens with: one or more in each of the seven states, with trades and votes in them.

Everything is a real transaction of a real wallet through the node. The chain begins some days in the past, and warps
between the steps bring it to now, so that the charts and lists have a history.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from solders.keypair import Keypair

from zmart_lite.demo.client import Api, DemoFailed, Json, Wallet

Tell = Callable[[str], None]

DAY_S = 86_400
HOUR_S = 3_600
HISTORY_S = 5 * DAY_S
"""How far in the past the chain begins: more than a dispute window of three days, less than the feed keeps."""
LAST_TRADES_MIN = (95, 34, 11, 3)
"""How many minutes ago the last trades were."""
VOTERS = 12
FUNDS_SOL = 100
DISPUTE_WINDOW_S = 3 * DAY_S + 120


class Plan(NamedTuple):
    """A market to show: its text, and the state it ends in."""

    question: str
    category: str
    description: str
    state: str
    b_sol: int = 100
    days: int = 20
    liquidity_sol: int = 20
    """About what will have been traded: so much is shared by the winners, and can be paid."""


PLANS = (
    Plan("Will Solana finalise blocks in under 200 ms by the year's end?", "crypto", "Median over one day.", "ACTIVE"),
    Plan("Will the home team win the opening match?", "sports", "After regular time.", "ACTIVE", 250, 9),
    Plan("Will the film about the lighthouse win best picture?", "entertainment", "At the next ceremony.", "PROPOSED"),
    Plan("Will the bill on open data pass the first chamber?", "politics", "In its first reading.", "APPROVED"),
    Plan("Will the crewed capsule dock on schedule?", "science", "Within an hour of the plan.", "RESOLVING", 100, 1),
    Plan("Will the index close above its opening level?", "finance", "At the closing bell.", "DISPUTED", 100, 1),
    Plan("Will the new phone ship without a charger port?", "technology", "As sold.", "FINALIZED", 100, 1, 6),
    Plan("Will it snow in the desert this week?", "other", "At the weather station.", "CANCELLED"),
)


class Showcase:
    """Fills a devnet. ``admin`` signs in as the node's admin, to cancel one market."""

    def __init__(self, api: Api, admin: Keypair, creators: Sequence[Keypair], tell: Tell) -> None:
        self._api = api
        self._tell = tell
        self._admin = Wallet(api, "admin", admin)
        self._creators = [Wallet(api, f"creator {number}", key) for number, key in enumerate(creators)]
        self._voters = [Wallet(api, f"voter {number}") for number in range(1, VOTERS + 1)]
        self._ids: dict[Plan, str] = {}

    async def fill(self, now: Callable[[], float]) -> None:
        """Play all markets and leave the chain's clock at the present, which ``now`` tells in unix seconds."""
        await self._gather()
        await asyncio.gather(*(self._create(plan) for plan in PLANS if plan.state != "PROPOSED"))
        await self._vote_and_approve()
        await self._trade(rounds=2)
        await self._api.warp(seconds=6 * HOUR_S)
        await self._resolve("FINALIZED", "YES")
        await self._trade(rounds=1)
        await self._api.warp(seconds=DISPUTE_WINDOW_S)
        await self._run("monitor")
        await self._api.until_state(self._id("FINALIZED"), "FINALIZED")
        await asyncio.gather(self._claim(), self._resolve("DISPUTED", "NO"))
        await self._trade(rounds=1)
        await self._api.warp(to=int(now()) - 8 * HOUR_S)
        await asyncio.gather(self._dispute(), self._resolve("RESOLVING", "YES"), self._cancel())
        for minutes_ago in LAST_TRADES_MIN:
            await self._api.warp(to=int(now()) - minutes_ago * 60)
            await asyncio.gather(*(self._buy(plan, self._ids[plan], minutes_ago) for plan in self._open_plans()))
            if minutes_ago == LAST_TRADES_MIN[0]:
                await asyncio.gather(self._talk(), self._propose())
        await self._api.warp(to=int(now()))
        self._tell("demo markets are ready")

    @property
    def traders(self) -> list[Wallet]:
        """The wallets that have traded, signed in and with money left."""
        return self._voters

    @property
    def open_markets(self) -> list[str]:
        """Ids of the markets that are left to trade in."""
        return [self._ids[plan] for plan in self._open_plans()]

    def _open_plans(self) -> list[Plan]:
        return [plan for plan in self._ids if plan.state == "ACTIVE"]

    async def _run(self, job: str) -> None:
        """Have a job of the node run now: its interval need not be waited for. If it is running already, so be it."""
        with suppress(DemoFailed):
            await self._admin.post(f"/api/admin/jobs/{job}/run")

    def _id(self, state: str) -> str:
        return next(market_id for plan, market_id in self._ids.items() if plan.state == state)

    def _creator(self, plan: Plan) -> Wallet:
        return self._creators[PLANS.index(plan) % len(self._creators)]

    async def _gather(self) -> None:
        await asyncio.gather(*(wallet.fund(FUNDS_SOL) for wallet in self._voters))
        await asyncio.gather(*(wallet.sign_in() for wallet in (*self._voters, *self._creators, self._admin)))
        self._tell(f"{len(self._voters) + len(self._creators)} wallets signed in")

    async def _create(self, plan: Plan) -> None:
        created, _ = await self._creator(plan).act(
            "/api/markets",
            {
                "question": plan.question,
                "description": plan.description,
                "category": plan.category,
                "tags": ["demo", plan.category],
                "end_date": await self._api.chain_time() + plan.days * DAY_S,
                "initial_liquidity": str(plan.liquidity_sol * 10**9),
                "b_parameter": str(plan.b_sol * 10**9),
            },
        )
        self._ids[plan] = created["market_id"]
        self._tell(f"created: {plan.question}")

    async def _vote(self, market_id: str, voters: Sequence[Wallet], dislikes: int) -> None:
        likes = len(voters) - dislikes
        await asyncio.gather(
            *(
                voter.post("/api/votes/proposal", {"market_id": market_id, "vote": number < likes})
                for number, voter in enumerate(voters)
            )
        )

    async def _propose(self) -> None:
        """A proposal of today, half voted on, for whoever looks to vote on."""
        plan = next(plan for plan in PLANS if plan.state == "PROPOSED")
        await self._create(plan)
        await self._vote(self._ids[plan], self._voters[:7], dislikes=3)

    async def _vote_and_approve(self) -> None:
        for plan, market_id in self._ids.items():
            undecided = plan.state == "CANCELLED"
            await self._vote(market_id, self._voters[:7] if undecided else self._voters, 3 if undecided else 1)
        approved = [(plan, market_id) for plan, market_id in self._ids.items() if plan.state != "CANCELLED"]
        await self._run("aggregate")
        await asyncio.gather(*(self._api.until_state(market_id, "APPROVED") for _, market_id in approved))
        await asyncio.gather(
            *(
                self._creator(plan).act(f"/api/markets/{market_id}/activate")
                for plan, market_id in approved
                if plan.state != "APPROVED"
            )
        )
        self._tell(f"{len(approved)} proposals voted on and approved")

    async def _trade(self, rounds: int) -> None:
        """Some buys in every active market, by different wallets, at different hours."""
        for turn in range(rounds):
            markets = [(p, m) for p, m in self._ids.items() if (await self._api.market(m))["state"] == "ACTIVE"]
            await asyncio.gather(*(self._buy(plan, market_id, turn) for plan, market_id in markets))
            await self._api.warp(seconds=2 * HOUR_S)
        self._tell(f"{rounds} rounds of trades")

    async def _buy(self, plan: Plan, market_id: str, turn: int) -> None:
        place = PLANS.index(plan)
        await asyncio.gather(*(self._buy_once(place, market_id, turn, step) for step in range(2)))

    async def _buy_once(self, place: int, market_id: str, turn: int, step: int) -> None:
        wallet = self._voters[(place * 3 + turn * 2 + step) % VOTERS]
        outcome = "YES" if (place + turn + step) % 3 else "NO"
        budget = (1 + (place + 2 * turn + step) % 4) * 10**9
        await wallet.act("/api/trades/buy", {"market_id": market_id, "outcome": outcome, "budget": str(budget)})

    async def _resolve(self, state: str, outcome: str) -> None:
        plan = next(plan for plan in PLANS if plan.state == state)
        body = {"outcome": outcome, "evidence": f"{plan.description} The published record of the day says {outcome}."}
        await self._creator(plan).act(f"/api/markets/{self._id(state)}/resolve", body)
        self._tell(f"resolved {outcome}: {plan.question}")

    async def _holders(self, market_id: str) -> list[tuple[Wallet, Json]]:
        found = (await self._api.get(f"/api/markets/{market_id}/positions"))["positions"]
        by_address = {wallet.address: wallet for wallet in self._voters}
        return [(by_address[one["user_wallet"]], one) for one in found if one["user_wallet"] in by_address]

    async def _claim(self) -> None:
        """All winners but one claim."""
        market_id = self._id("FINALIZED")
        winners = [wallet for wallet, held in await self._holders(market_id) if int(held["claimable"]) > 0]
        for wallet in winners[:-1]:
            await wallet.act(f"/api/markets/{market_id}/claim")
        self._tell(f"{max(len(winners) - 1, 0)} winners claimed")

    async def _dispute(self) -> None:
        market_id = self._id("DISPUTED")
        holders = await self._holders(market_id)
        disputer = holders[0][0]
        await disputer.act(f"/api/markets/{market_id}/dispute")
        why = "Dispute: The closing auction was still open when that value was read."
        await disputer.post("/api/discussions", {"market_id": market_id, "content": why})
        for number, (wallet, _) in enumerate(holders[:-1]):
            await wallet.post("/api/votes/dispute", {"market_id": market_id, "vote": number % 2 == 0})
        self._tell(f"disputed, {max(len(holders) - 1, 0)} holders voted")

    async def _cancel(self) -> None:
        market_id = self._id("CANCELLED")
        body = {"action": "cancel", "reason": "Nobody can measure this."}
        await self._admin.post(f"/api/admin/markets/{market_id}/override", body)
        await self._api.until_state(market_id, "CANCELLED")

    async def _talk(self) -> None:
        remarks = ("Who measures this?", "The creator's evidence settles it.", "Bought at a good price.")
        for number, remark in enumerate(remarks):
            wallet = self._voters[number]
            await wallet.post("/api/discussions", {"market_id": self._id("ACTIVE"), "content": remark})
