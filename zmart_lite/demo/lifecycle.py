"""One market from draft to payout, as a creator, twelve voters and traders live it over HTTP; every figure is
checked.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from zmart_lite.demo.client import Api, DemoFailed, Json, Wallet
from zmart_lite.demo.listener import Listener

Tell = Callable[[str], None]

VOTERS = 12
LIKES = 11
FUNDS_SOL = 60
B_PARAMETER = 100 * 10**9
INITIAL_LIQUIDITY = 10**9
"""Nominal, and less than the buyers pay in: claims are paid from what is really there."""
HOUR_S = 3_600
DAY_S = 86_400
WINDOW_SLACK_S = 120
SELL_SHARES = 5 * 10**9


class Lifecycle:
    """Plays one market. ``tell`` gets one line per step; a figure that is not as it must be raises DemoFailed."""

    def __init__(self, api: Api, listener: Listener, tell: Tell) -> None:
        self.market_id = ""
        self._api = api
        self._listener = listener
        self._tell = tell
        self._creator = Wallet(api, "creator")
        self._voters = [Wallet(api, f"voter {number}") for number in range(1, VOTERS + 1)]

    @property
    def steps(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """What happens, in order: a title and the function that does it."""
        return [
            ("13 wallets get SOL from the faucet and sign in", self.gather),
            ("the creator drafts a market and creates it on chain", self.create),
            ("12 wallets vote on the proposal", self.vote),
            ("the aggregator records the votes, the admin key approves", self.approve),
            ("the creator activates the market", self.activate),
            ("buys and sells move the price as quoted", self.trade),
            ("the creator resolves the market", self.resolve),
            ("a holder of the losing side disputes", self.dispute),
            ("position holders vote on the dispute", self.vote_on_dispute),
            ("time is warped, the monitor finalises", self.finalize),
            ("the winners claim", self.claim),
        ]

    async def gather(self) -> None:
        wallets = [self._creator, *self._voters]
        await asyncio.gather(*(wallet.fund(FUNDS_SOL) for wallet in wallets))
        await asyncio.gather(*(wallet.sign_in() for wallet in wallets))
        self._tell(f"{len(wallets)} sessions, {FUNDS_SOL} SOL each")

    async def create(self) -> None:
        chain_time = await self._api.chain_time()
        body = {
            "question": "Will the demo market be resolved YES?",
            "description": "Played by zmart-lite demo, from the draft to the payout.",
            "category": "technology",
            "tags": ["demo"],
            "end_date": chain_time + DAY_S,
            "initial_liquidity": str(INITIAL_LIQUIDITY),
            "b_parameter": str(B_PARAMETER),
        }
        draft = await self._creator.post("/api/markets", body)
        self.market_id = draft["market_id"]
        await self._listener.follow(self.market_id)
        built, landed = await self._creator.act("/api/markets", body)
        _expect("the same draft keeps its id", built["market_id"], self.market_id)
        message = await self._listener.wait_for("market_state", action="created", market_id=self.market_id)
        _expect("the attached text", message["data"]["market"]["question"], body["question"])
        self._tell(f"{draft['cid']}, {landed['signature'][:16]}…, state {message['data']['state']} over push")

    async def vote(self) -> None:
        answers = await asyncio.gather(
            *(
                voter.post(
                    "/api/votes/proposal", {"market_id": self.market_id, "vote": "like" if i < LIKES else "dislike"}
                )
                for i, voter in enumerate(self._voters)
            )
        )
        _expect("votes accepted", sum(answer["success"] for answer in answers), VOTERS)
        await self._listener.wait_for("vote", total=VOTERS)
        tally = (await self._api.get(f"/api/votes/{self.market_id}"))["proposal_votes"]
        _expect("the tally", (tally["likes"], tally["dislikes"]), (LIKES, VOTERS - LIKES))
        self._tell(f"{tally['likes']} likes, {tally['dislikes']} dislike: {tally['percentage_bps'] / 100:.2f} %")

    async def approve(self) -> None:
        progress = await self._listener.wait_for("voting_progress", aggregated=True)
        message = await self._listener.wait_for("market_state", new_state="APPROVED")
        market = await self._api.market(self.market_id)
        _expect("the counts on chain", (market["proposal_likes"], market["proposal_dislikes"]), (LIKES, VOTERS - LIKES))
        _expect("who approved", message["data"]["automatic"], True)
        self._tell(f"recorded {progress['data']['likes']} to {progress['data']['dislikes']}, APPROVED over push")

    async def activate(self) -> None:
        await self._creator.act(f"/api/markets/{self.market_id}/activate")
        await self._listener.wait_for("market_state", new_state="ACTIVE")
        market = await self._api.market(self.market_id)
        self._tell(f"ACTIVE, YES at {market['current_price_yes']}")

    async def trade(self) -> None:
        for number, (outcome, sol) in enumerate((("YES", 8), ("YES", 5), ("NO", 6), ("YES", 3), ("NO", 2))):
            await self._trade(self._voters[number], "buy", outcome, {"budget": str(sol * 10**9)})
        await self._trade(self._voters[5], "buy", "YES", {"shares": str(20 * 10**9)})
        await self._trade(self._voters[0], "sell", "YES", {"shares": str(SELL_SHARES)})

    async def _trade(self, wallet: Wallet, side: str, outcome: str, amount: Json) -> None:
        built, landed = await wallet.act(
            f"/api/trades/{side}", {"market_id": self.market_id, "outcome": outcome, **amount}
        )
        quote = built["quote"]
        message = await self._listener.wait_for("trade", signature=landed["signature"])
        trade = message["data"]
        _expect("shares as quoted", trade["shares"], quote["shares"])
        _expect("cost as quoted", trade["cost"], quote["total_cost" if side == "buy" else "proceeds"])
        _expect("price as quoted", trade["new_price_yes"], quote["new_price_yes"])
        self._tell(
            f"{wallet.name} {side}s {int(trade['shares']) / 1e9:.3f} {outcome} for {int(trade['cost']) / 1e9:.4f} SOL,"
            f" YES now {trade['priceYes']:.4f}, as quoted"
        )

    async def resolve(self) -> None:
        body = {"outcome": "YES", "evidence": "The demo says so."}
        await self._creator.act(f"/api/markets/{self.market_id}/resolve", body)
        message = await self._listener.wait_for("market_state", new_state="RESOLVING")
        self._tell(f"RESOLVING over push, proposed outcome {message['data']['market']['proposed_outcome_name']}")

    async def dispute(self) -> None:
        """A while later, since the program wants it strictly after the resolution."""
        await self._api.warp(seconds=HOUR_S)
        await self._voters[2].act(f"/api/markets/{self.market_id}/dispute")
        await self._listener.wait_for("market_state", new_state="DISPUTED")
        self._tell("DISPUTED over push")

    async def vote_on_dispute(self) -> None:
        """All holders but one vote, so that time, not the last vote, ends it."""
        holders = [self._voters[number] for number in (0, 1, 2, 3, 4)]
        for wallet in holders:
            agrees = wallet in (self._voters[2], self._voters[4])
            body = {"market_id": self.market_id, "vote": "agree" if agrees else "disagree"}
            await wallet.post("/api/votes/dispute", body)
        tally = (await self._api.get(f"/api/votes/{self.market_id}"))["dispute_votes"]
        _expect("dispute votes", tally["total"], len(holders))
        _expect("the dispute stays below its threshold", tally["threshold_met"], False)
        self._tell(
            f"{tally['agrees']} agree, {tally['disagrees']} disagree; by weight {tally['percentage_bps'] / 100:.2f} %"
        )

    async def finalize(self) -> None:
        market = await self._api.market(self.market_id)
        _expect("still disputed", market["state"], "DISPUTED")
        await self._api.warp(seconds=3 * DAY_S + WINDOW_SLACK_S)
        await self._listener.wait_for("market_state", new_state="FINALIZED")
        message = await self._listener.wait_for("claims_enabled", market_id=self.market_id)
        _expect("the outcome is upheld", message["data"]["outcome"], "YES")
        self._tell("3 days later: FINALIZED, outcome YES, claims enabled over push")

    async def claim(self) -> None:
        paid = 0
        for number in (0, 1, 3, 5):
            built, landed = await self._voters[number].act(f"/api/markets/{self.market_id}/claim")
            amounts = [event["event_data"]["amount"] for event in landed["events"]]
            _expect("the amount foreseen", amounts, [built["amount"]])
            paid += int(built["amount"])
        positions = await self._api.get(f"/api/positions/{self._voters[0].address}", market_id=self.market_id)
        _expect("claimed", positions[0]["has_claimed"], True)
        self._tell(f"4 winners got {paid / 1e9:.4f} SOL")


def _expect(what: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise DemoFailed(f"{what}: expected {wanted}, found {found}.")
