"""Wallets: counts, positions, profit and loss."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.harness import ALICE, BOB, CAROL, ApiNode, P, address, api_node
from zmart_lite.api.openapi import examples
from zmart_lite.store.engine.amounts import u64_text


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ApiNode]:
    async with api_node(tmp_path) as started:
        yield started


class TestWallet:
    async def test_unknown_one_has_zeros(self, node: ApiNode) -> None:
        answer = await node.get(f"/api/users/{address(BOB)}")
        assert answer == {
            "wallet": address(BOB),
            "created_at": None,
            "total_trades": 0,
            "total_volume": "0",
            "markets_created": 0,
            "markets_won": 0,
            "reputation_score": 0,
            "stats": {"total_trades": 0, "total_votes": 0, "proposal_votes": 0, "dispute_votes": 0, "discussions": 0},
        }
        stats = await node.get(f"/api/users/{address(BOB)}/stats")
        assert list(stats) == list(examples.USER_STATS)
        assert set(stats.values()) == {0, "0"}

    async def test_counts(self, node: ApiNode) -> None:
        market = await node.add_market(1, state=0, creator=ALICE)
        await node.add_trade(slot=10, cost=2**64 - 1)
        await node.add_trade(slot=11, buy=False, cost=2)
        await node.post(f"/api/markets/{market}/vote", {"vote": True}, status=201, headers=node.bearer(ALICE))
        await node.post(f"/api/discussions/{market}", {"content": "hello"}, status=201, headers=node.bearer(ALICE))
        answer = await node.get(f"/api/users/{address(ALICE)}")
        assert (answer["total_trades"], answer["total_volume"], answer["markets_created"]) == (2, str(2**64 + 1), 1)
        assert (
            answer["stats"]["proposal_votes"] == answer["stats"]["total_votes"] == answer["stats"]["discussions"] == 1
        )
        assert await node.get("/api/users/me", headers=node.bearer(ALICE)) == answer

    async def test_me_needs_somebody(self, node: ApiNode) -> None:
        await node.get("/api/users/me", status=401)

    @pytest.mark.parametrize("part", ["", "/stats", "/trades", "/votes", "/positions", f"/positions/{'01' * 32}"])
    async def test_path_that_names_nobody(self, node: ApiNode, part: str) -> None:
        await node.get(f"/api/users/nobody{part}", status=404)

    async def test_trades(self, node: ApiNode) -> None:
        await node.add_market(1)
        mine = await node.add_trade(slot=10)
        await node.add_trade(slot=11, wallet=BOB)
        answer = await node.get(f"/api/users/{address(ALICE)}/trades")
        assert ([trade["id"] for trade in answer["trades"]], answer["wallet"]) == ([mine], address(ALICE))
        assert (answer["limit"], answer["total_count"]) == (50, 1)

    async def test_votes(self, node: ApiNode) -> None:
        first, second = await node.add_market(1, state=0), await node.add_market(2, state=4)
        await node.add_position(market=2)
        headers = node.bearer(ALICE)
        await node.post(f"/api/markets/{first}/vote", {"vote": True}, status=201, headers=headers)
        await node.post(f"/api/markets/{second}/dispute/vote", {"vote": True}, status=201, headers=headers)
        answer = await node.get(f"/api/users/{address(ALICE)}/votes")
        assert [vote["vote_type"] for vote in answer["proposal_votes"]] == ["proposal"]
        assert [vote["weight"] for vote in answer["dispute_votes"]] == [str(2 * P)]
        assert (answer["total"], answer["count"]) == (2, 2)
        only = await node.get(f"/api/users/{address(ALICE)}/votes?type=dispute")
        assert (only["proposal_votes"], only["total"]) == ([], 1)


class TestPositions:
    async def test_bare_list(self, node: ApiNode) -> None:
        for number, state in ((1, 2), (2, 5), (3, 2)):
            await node.add_market(number, state=state)
            await node.add_position(market=number)
        path = f"/api/users/{address(ALICE)}/positions"
        response = await node.http.get(f"{path}?limit=2")
        assert [position["market_id"][:2] for position in response.json()] == ["03", "02"]
        assert response.headers["x-total-count"] == "3"
        cursor = response.headers["x-next-cursor"]
        rest = await node.http.get(f"/api/positions/{address(ALICE)}?limit=2&cursor={cursor}")
        assert [position["market_id"][:2] for position in rest.json()] == ["01"]
        assert "x-next-cursor" not in rest.headers
        assert len(await node.get(f"{path}?state=finalized")) == 1
        assert len(await node.get(f"{path}?market_id={'03' * 32}")) == 1
        await node.get(f"{path}?market_id={'ab' * 32}", status=404)
        await node.get(f"{path}?market_id=xyz", status=400)

    async def test_nobody_has_none(self, node: ApiNode) -> None:
        response = await node.http.get(f"/api/positions/{address(BOB)}")
        assert (response.json(), response.headers["x-total-count"]) == ([], "0")

    async def test_one(self, node: ApiNode) -> None:
        market = await node.add_market(1, question="Will it rain?")
        await node.add_position()
        answer = await node.get(f"/api/users/{address(ALICE)}/positions/{market}")
        assert list(answer) == list(examples.POSITION)
        assert (answer["state"], answer["state_name"], answer["question"]) == (2, "ACTIVE", "Will it rain?")
        await node.get(f"/api/users/{address(BOB)}/positions/{market}", status=404)
        await node.get(f"/api/users/{address(ALICE)}/positions/{'ab' * 32}", status=404)
        await node.get(f"/api/users/{address(ALICE)}/positions/x", status=404)


class TestProfitAndLoss:
    async def position(self, node: ApiNode, market: dict[str, Any], **fields: Any) -> Any:
        await node.add_market(1, **market)
        await node.add_position(**fields)
        return await node.get(f"/api/users/{address(ALICE)}/positions/{'01' * 32}")

    async def test_open(self, node: ApiNode) -> None:
        position = await self.position(
            node,
            {},
            shares_yes=u64_text(3),
            shares_no=u64_text(5),
            basis_yes="1",
            basis_no="2",
            realized_pnl="-4",
            cost_bought="10",
        )
        assert position["current_value"] == str(3 * 500_000_000 // P + 5 * 500_000_000 // P)
        assert (position["unrealized_pnl"], position["realized_pnl"], position["profit_loss"]) == ("0", "-4", "-4")
        assert (position["claimable"], position["roi"]) == ("0", -40.0)

    async def test_won_and_unclaimed(self, node: ApiNode) -> None:
        market = {"state": 5, "final_outcome": 1, "shares_yes": u64_text(3 * P), "current_liquidity": u64_text(10 * P)}
        position = await self.position(node, market, basis_yes="1000", basis_no="77", cost_bought="1077")
        claimable = 2 * P * 10 * P // (3 * P)
        assert position["claimable"] == position["current_value"] == str(claimable)
        assert position["unrealized_pnl"] == str(claimable - 1_000)
        assert position["realized_pnl"] == "-77"
        assert position["profit_loss"] == str(claimable - 1_077)

    async def test_lost(self, node: ApiNode) -> None:
        market = {"state": 5, "final_outcome": 0}
        position = await self.position(node, market, basis_yes=str(P), cost_bought=str(P))
        assert (position["claimable"], position["current_value"], position["unrealized_pnl"]) == ("0", "0", "0")
        assert (position["realized_pnl"], position["roi"]) == (str(-P), -100.0)

    async def test_invalid_gives_back(self, node: ApiNode) -> None:
        position = await self.position(
            node, {"state": 5}, total_invested=u64_text(900), basis_yes="700", basis_no="100"
        )
        assert (position["claimable"], position["unrealized_pnl"], position["realized_pnl"]) == ("900", "100", "0")

    async def test_claimed(self, node: ApiNode) -> None:
        position = await self.position(
            node,
            {"state": 5, "final_outcome": 1},
            has_claimed=1,
            claimed_amount=u64_text(50),
            basis_yes="0",
            realized_pnl="20",
            cost_bought="30",
        )
        assert (position["current_value"], position["claimable"], position["unrealized_pnl"]) == ("50", "0", "0")
        assert (position["profit_loss"], position["realizedPnL"]) == ("20", 20 / P)

    async def test_withdrawn_liquidity_leaves_nothing(self, node: ApiNode) -> None:
        market = {"state": 5, "final_outcome": 1, "current_liquidity": u64_text(0)}
        assert (await self.position(node, market))["claimable"] == "0"

    async def test_never_bought(self, node: ApiNode) -> None:
        assert (await self.position(node, {}, cost_bought="0", basis_yes="0"))["roi"] == 0

    async def test_over_all_markets(self, node: ApiNode) -> None:
        await node.add_market(
            1, state=5, final_outcome=1, shares_yes=u64_text(2 * P), current_liquidity=u64_text(5 * P)
        )
        await node.add_position(market=1)
        await node.add_market(2, state=5, final_outcome=0)
        await node.add_position(market=2)
        await node.add_market(3)
        await node.add_position(market=3, shares_yes=u64_text(4 * P))
        await node.add_market(4, state=5, final_outcome=1)
        await node.add_position(market=4, has_claimed=1, basis_yes="0", realized_pnl="5", claimed_amount=u64_text(9))
        await node.add_position(market=3, wallet=CAROL)
        answer = await node.get(f"/api/users/{address(ALICE)}/stats")
        assert (answer["resolvedMarkets"], answer["wonMarkets"], answer["winRate"]) == (3, 2, 2 / 3)
        assert answer["activePositions"] == 3
        assert answer["realized_pnl"] == str(5 - P)
        assert answer["unrealized_pnl"] == str(4 * P + P)
        assert answer["totalPnL"] == (4 * P + 5) / P
        assert (await node.get(f"/api/users/{address(ALICE)}"))["markets_won"] == 2
