"""Reading markets."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from solders.pubkey import Pubkey

from tests.api.harness import ALICE, BOB, CAROL, SERVICE_KEY, START_MS, START_S, ApiNode, P, address, api_node, key
from zmart_lite import models
from zmart_lite.api.openapi import examples
from zmart_lite.store.engine.amounts import u64_text
from zmart_lite.store.state.markets import add_config


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ApiNode]:
    async with api_node(tmp_path) as started:
        yield started


def ids(answer: Any) -> list[int]:
    """The numbers of the markets of a list."""
    return [int(market["id"][:2], 16) for market in answer["markets"]]


class TestRow:
    async def test_has_the_fields_of_the_example(self, node: ApiNode) -> None:
        market = await node.add_market(1, question="Will it rain?")
        assert list(await node.get(f"/api/markets/{market}")) == list(examples.MARKET)

    async def test_aliases_are_equal(self, node: ApiNode) -> None:
        market = await node.get(f"/api/markets/{await node.add_market(1, question='Will it rain?')}")
        for names in (
            ("id", "market_id"),
            ("question", "title"),
            ("end_date", "ends_at"),
            ("creator", "creator_wallet"),
            ("state", "status"),
            ("yes_shares", "total_yes_shares"),
            ("priceYes", "yesPrice"),
            ("created_at", "createdAt"),
            ("final_outcome", "outcome"),
            ("finalized_at", "finalizedAt", "claims_available_at"),
        ):
            assert len({market[name] for name in names}) == 1

    async def test_text(self, node: ApiNode) -> None:
        market = await node.get(f"/api/markets/{await node.add_market(1, question='Will it rain?')}")
        assert market["question"] == "Will it rain?"
        assert (market["category"], market["tags"], market["text_source"]) == ("crypto", ["one", "two"], "draft")
        assert market["end_date"] == "2026-02-01T00:00:00.000Z"

    async def test_without_text(self, node: ApiNode) -> None:
        market = await node.get(f"/api/markets/{await node.add_market(1)}")
        assert market["question"] == market["title"] == "Market 01010101"
        assert (market["description"], market["category"], market["tags"]) == ("", "other", [])
        assert (market["end_date"], market["text_source"]) == (None, "none")

    async def test_by_every_name(self, node: ApiNode) -> None:
        market = await node.add_market(171)
        where = str(Pubkey.from_bytes(node.parts.codec.market_address(bytes([171]) * 32)))
        for name in (market, market.upper(), where):
            assert (await node.get(f"/api/markets/{name}"))["id"] == market

    async def test_largest_amounts_are_exact(self, node: ApiNode) -> None:
        most = 2**64 - 1
        market = await node.add_market(
            1, shares_yes=u64_text(most), shares_no=u64_text(most), total_volume=u64_text(most)
        )
        row = await node.get(f"/api/markets/{market}")
        assert row["shares_yes"] == row["total_volume"] == "18446744073709551615"
        assert row["totalShares"] == 2 * most / P

    async def test_price_is_the_programs(self, node: ApiNode) -> None:
        market = await node.add_market(1, shares_yes=u64_text(1_002_099_871_638), shares_no=u64_text(1_000_000_000_000))
        row = await node.get(f"/api/markets/{market}")
        assert row["current_price_yes"] == "0.500524967"
        assert (row["priceYes"], row["priceNo"]) == (0.500524967, 0.499475033)

    async def test_small_b_cannot_be_traded(self, node: ApiNode) -> None:
        row = await node.get(f"/api/markets/{await node.add_market(1, b_parameter=u64_text(100 * P - 1))}")
        assert (row["tradable"], row["priceYes"], row["current_price_yes"]) == (False, 0.5, "0.500000000")

    async def test_pause_stops_trading(self, node: ApiNode) -> None:
        market = await node.add_market(1)
        assert (await node.get(f"/api/markets/{market}"))["tradable"] is True
        await set_config(node, is_paused=True)
        assert (await node.get(f"/api/markets/{market}"))["tradable"] is False

    async def test_dispute_times_follow_the_config(self, node: ApiNode) -> None:
        await set_config(node, dispute_period=7)
        market = await node.add_market(
            1, state=4, resolution_proposed_at=START_S, dispute_initiated_at=START_S, evidence_hash=b"\x01" * 46
        )
        row = await node.get(f"/api/markets/{market}")
        assert row["dispute_deadline"] == "2026-01-02T03:04:12.000Z"
        assert row["dispute_settle_at"] == "2026-01-05T03:04:05.000Z"
        assert row["ipfs_evidence_hash"] == "01" * 46

    async def test_invalid_outcome(self, node: ApiNode) -> None:
        row = await node.get(f"/api/markets/{await node.add_market(1, state=5, proposed_outcome=1)}")
        assert (row["outcome"], row["final_outcome_name"], row["proposed_outcome_name"]) == (None, "INVALID", "YES")
        assert row["claims_enabled"] is True

    async def test_merely_referred_to_is_none(self, node: ApiNode) -> None:
        await node.get(f"/api/markets/{await node.add_market(1, known=0)}", status=404)


async def set_config(node: ApiNode, **changes: Any) -> None:
    config = models.GlobalConfig(
        key(ALICE), key(BOB), key(CAROL), 300, 200, 500, 7000, 6000, 86_400, 172_800, 8000, False, bytes(64), 255
    )._replace(**changes)
    await node.store.write(lambda tx: add_config(tx, config, slot=1, index_in_block=0, event_id=None))


class TestList:
    async def test_newest_first(self, node: ApiNode) -> None:
        for number in (1, 2, 3):
            await node.add_market(number)
        answer = await node.get("/api/markets")
        assert ids(answer) == [3, 2, 1]
        assert answer["count"] == answer["total_count"] == 3
        assert (answer["limit"], answer["offset"], answer["has_more"], answer["next_cursor"]) == (20, 0, False, None)

    async def test_pages_by_cursor(self, node: ApiNode) -> None:
        for number in range(1, 6):
            await node.add_market(number)
        first = await node.get("/api/markets?limit=2")
        assert (ids(first), first["has_more"], first["count"]) == ([5, 4], True, 5)
        await node.add_market(9, created_at=START_S)
        second = await node.get(f"/api/markets?limit=2&cursor={first['next_cursor']}")
        third = await node.get(f"/api/markets?limit=2&cursor={second['next_cursor']}")
        assert (ids(second), ids(third)) == ([3, 2], [1])
        assert third["next_cursor"] is None

    async def test_pages_by_offset(self, node: ApiNode) -> None:
        for number in range(1, 6):
            await node.add_market(number)
        answer = await node.get("/api/markets?limit=2&offset=4")
        assert (ids(answer), answer["offset"], answer["has_more"]) == ([1], 4, False)

    @pytest.mark.parametrize("sort", ["volume", "ending_soon"])
    async def test_every_order_pages_whole(self, node: ApiNode, sort: str) -> None:
        for number in range(1, 8):
            question = "Will it end?" if number % 2 else None
            await node.add_market(number, question=question, total_volume=u64_text(number // 2))
        seen, cursor = [], ""
        while cursor is not None:
            answer = await node.get(f"/api/markets?sort={sort}&limit=2{cursor and '&cursor=' + cursor}")
            seen += ids(answer)
            cursor = answer["next_cursor"]
        assert sorted(seen) == list(range(1, 8))
        if sort == "ending_soon":
            assert seen[-3:] == [2, 4, 6]

    async def test_limits_of_a_page(self, node: ApiNode) -> None:
        await node.add_market(1)
        assert (await node.get("/api/markets?limit=100000"))["limit"] == 100
        nothing = await node.get("/api/markets?limit=0")
        assert (nothing["markets"], nothing["count"], nothing["total_count"]) == ([], 1, 1)

    @pytest.mark.parametrize("query", [
        "limit=-1", "limit=x", "limit=1.5", "offset=100001", "offset=1&cursor=x", "state=NOWHERE", "state=7",
        "category=food", "creator=nobody", "q=ab", "sort=oldest", "ready_for_approval=maybe", "q=" + "x" * 101,
    ])  # fmt: skip
    async def test_bad_queries(self, node: ApiNode, query: str) -> None:
        assert (await node.get(f"/api/markets?{query}", status=400))["code"] == "VALIDATION_ERROR"

    async def test_reports_all_bad_fields(self, node: ApiNode) -> None:
        answer = await node.get("/api/markets?limit=x&sort=y&state=z", status=400)
        assert answer["message"] == "Validation failed"
        assert {detail["field"] for detail in answer["details"]} == {"limit", "sort", "state"}

    async def test_cursor_belongs_to_list_and_filters(self, node: ApiNode) -> None:
        for number in (1, 2, 3):
            await node.add_market(number)
        cursor = (await node.get("/api/markets?limit=1"))["next_cursor"]
        assert len(cursor) <= 256
        for query in (
            f"sort=volume&cursor={cursor}",
            f"state=ACTIVE&cursor={cursor}",
            "cursor=AAAA",
            f"cursor={cursor}x",
        ):
            answer = await node.get(f"/api/markets?limit=1&{query}", status=400)
            assert (answer["code"], answer["reason"]) == ("BAD_REQUEST", "bad_cursor")
        assert (await node.get(f"/api/events?cursor={cursor}", status=400))["reason"] == "bad_cursor"
        await node.get(f"/api/markets?limit=2&cursor={cursor}")

    @pytest.mark.parametrize("word", ["ACTIVE", "active", "2", "all", ""])
    async def test_state(self, node: ApiNode, word: str) -> None:
        await node.add_market(1)
        await node.add_market(2, state=0)
        expected = [2, 1] if word in ("all", "") else [1]
        assert ids(await node.get(f"/api/markets?state={word}")) == expected

    async def test_filters(self, node: ApiNode) -> None:
        await node.add_market(1, question="Will it rain in Zürich?", creator=ALICE)
        await node.add_market(2, question="Will BTC reach 100%_of it?", listed_category="technology")
        await node.add_market(3, state=0, ready_for_approval=1)
        assert ids(await node.get("/api/markets?category=Tech")) == [2]
        assert ids(await node.get("/api/markets?category=other")) == [3]
        assert ids(await node.get(f"/api/markets?creator={address(ALICE)}")) == [1]
        assert ids(await node.get(f"/api/markets?creator={address(BOB)}")) == []
        assert ids(await node.get("/api/markets?ready_for_approval=true")) == [3]
        assert ids(await node.get("/api/markets?ready_for_approval=0")) == [2, 1]

    @pytest.mark.parametrize(("words", "expected"), [
        ("rain", [1]), ("RAIN", [1]), ("zürich", [1]), ("ZÜRICH", [1]), ("will", [2, 1]), ("100%25_of", [2]),
        ("100x_of", []), ("rain in z%C3%BCrich%3F", [1]), ("reach 1", [2]), ("nothing", []),
    ])  # fmt: skip
    async def test_search(self, node: ApiNode, words: str, expected: list[int]) -> None:
        await node.add_market(1, question="Will it rain in Zürich?")
        await node.add_market(2, question="Will BTC reach 100%_of it?")
        assert ids(await node.get(f"/api/markets?q={words}")) == expected

    async def test_hidden_ones(self, node: ApiNode) -> None:
        await node.add_market(1, hidden=1)
        assert ids(await node.get("/api/markets?include_hidden=true")) == []
        headers = {"x-service-key": SERVICE_KEY}
        assert ids(await node.get("/api/markets?include_hidden=true", headers=headers)) == [1]
        assert ids(await node.get("/api/markets", headers=headers)) == []
        assert (await node.get(f"/api/markets/{'01' * 32}"))["hidden"] is True

    async def test_is_answered_from_an_index(self, node: ApiNode) -> None:
        queries = [
            f"EXPLAIN QUERY PLAN SELECT m.id FROM markets m WHERE m.known = 1 AND m.hidden = 0{more} LIMIT 20"
            for more in (
                " ORDER BY m.created_at DESC, m.id DESC",
                " ORDER BY m.total_volume DESC, m.id DESC",
                " ORDER BY m.listed_end_date, m.id",
                " AND m.state = 2 ORDER BY m.created_at DESC, m.id DESC",
                " AND m.listed_category = 'x' ORDER BY m.created_at DESC, m.id DESC",
                " AND m.creator = 1 ORDER BY m.created_at DESC, m.id DESC",
            )
        ]
        plans = await node.store.read(lambda tx: [tx.all(query) for query in queries])
        for plan in plans:
            text = " ".join(row["detail"] for row in plan)
            assert "INDEX markets_" in text
            assert "TEMP B-TREE" not in text


class TestOneMarket:
    async def test_prices(self, node: ApiNode) -> None:
        answer = await node.get(f"/api/markets/{await node.add_market(1)}/prices")
        assert list(answer) == list(examples.PRICES)
        assert (answer["bParameter"], answer["b_parameter"], answer["totalShares"]) == (1000.0, "1000000000000", 2.0)

    async def test_trades(self, node: ApiNode) -> None:
        market = await node.add_market(1)
        first = await node.add_trade(slot=10, at_s=START_S - 100)
        second = await node.add_trade(
            slot=11, wallet=BOB, buy=False, outcome=False, shares=0, cost=0, at_s=START_S - 50
        )
        answer = await node.get(f"/api/markets/{market}/trades")
        assert [trade["id"] for trade in answer["trades"]] == [second, first]
        sale, purchase = answer["trades"]
        assert list(sale) == list(examples.TRADE)
        assert (sale["trade_type"], sale["outcome"], sale["payout"], sale["price"]) == ("sell", "NO", "0", 0)
        assert (purchase["payout"], purchase["price"], purchase["cost_sol"]) == (None, 0.5, 1.0)
        assert answer["market_id"] == market
        for query, expected in (
            ("order=asc", [first, second]),
            (f"user={address(BOB)}", [second]),
            (f"from={START_S - 50}", [second]),
            (f"to={START_S - 50}", [first]),
            (f"from={START_MS - 100_678}&to=2026-01-02T03:03:16Z", [second, first]),
            ("from=2026-01-02T04:02:26%2B01:00&to=1767323046", [second]),
            (f"from={START_S}", []),
        ):
            found = await node.get(f"/api/markets/{market}/trades?{query}")
            assert [trade["id"] for trade in found["trades"]] == expected, query

    @pytest.mark.parametrize(
        "query", ["from=yesterday", "from=123", "from=2026-01-02T03:04:05", "from=1767323046&to=1767323045"]
    )
    async def test_bad_times(self, node: ApiNode, query: str) -> None:
        market = await node.add_market(1)
        await node.get(f"/api/markets/{market}/trades?{query}", status=400)

    async def test_votes(self, node: ApiNode) -> None:
        market = await node.add_market(1, state=0)
        for number, pair in enumerate((ALICE, BOB, CAROL)):
            await node.post(f"/api/markets/{market}/vote", {"vote": number > 0}, status=201, headers=node.bearer(pair))
        answer = await node.get(f"/api/markets/{market}/votes")
        assert [vote["user_wallet"] for vote in answer["votes"]] == [address(CAROL), address(BOB), address(ALICE)]
        assert answer["stats"] == {"likes": 2, "dislikes": 1, "total": 3, "approval_rate": "66.66"}
        assert list(answer["votes"][0]) == list(examples.VOTE)
        disputes = await node.get(f"/api/markets/{market}/votes?type=dispute")
        assert (disputes["votes"], disputes["stats"]["approval_rate"], disputes["type"]) == ([], "0.00", "dispute")

    async def test_stats(self, node: ApiNode) -> None:
        market = await node.add_market(1, total_volume=u64_text(5 * P))
        await node.add_trade(slot=10, cost=2**64 - 1)
        await node.add_trade(slot=11, cost=2**64 - 1, wallet=BOB, at_s=START_S - 86_401)
        await node.add_trade(slot=12, buy=False, cost=7)
        await node.add_position()
        await node.add_position(wallet=BOB)
        answer = await node.get(f"/api/markets/{market}/stats")
        assert answer == {
            "market_id": market,
            "stats": {
                "total_volume": "5000000000",
                "total_trades": 3,
                "unique_traders": 2,
                "buy_volume": str(2 * (2**64 - 1)),
                "sell_volume": "7",
                "volume24h": (2**64 + 6) / P,
                "trades24h": 2,
                "positions": 2,
                "unclaimed": 0,
            },
        }

    async def test_unclaimed_winners(self, node: ApiNode) -> None:
        market = await node.add_market(1, state=5, final_outcome=1)
        await node.add_position(wallet=ALICE)
        await node.add_position(wallet=BOB, shares_yes=u64_text(0), shares_no=u64_text(5))
        await node.add_position(wallet=CAROL, has_claimed=1)
        assert (await node.get(f"/api/markets/{market}/stats"))["stats"]["unclaimed"] == 1

    async def test_positions_largest_first(self, node: ApiNode) -> None:
        market = await node.add_market(1)
        await node.add_position(wallet=ALICE, shares_yes=u64_text(2 * P))
        await node.add_position(wallet=BOB, shares_yes=u64_text(2**64 - 1), shares_no=u64_text(2**64 - 1))
        await node.add_position(wallet=CAROL, shares_yes=u64_text(P), shares_no=u64_text(2 * P))
        first = await node.get(f"/api/markets/{market}/positions?limit=2")
        rest = await node.get(f"/api/markets/{market}/positions?limit=2&cursor={first['next_cursor']}")
        holders = [position["user"] for position in first["positions"] + rest["positions"]]
        assert holders == [address(BOB), address(CAROL), address(ALICE)]
        assert list(first["positions"][0]) == list(examples.POSITION)

    async def test_snapshots(self, node: ApiNode) -> None:
        market = await node.add_market(1)
        for day in ("2026-01-01", "2026-01-02"):
            await node.sql(
                "INSERT INTO snapshots (market, snapshot_date, cid, discussions_count, pinned, created_ms)"
                " VALUES (1, ?, 'Qmx', 3, 1, ?) RETURNING id",
                day,
                START_MS,
            )
        answer = await node.get(f"/api/markets/{market}/snapshots?limit=1")
        assert answer["snapshots"][0]["snapshot_date"] == "2026-01-02"
        assert answer["snapshots"][0]["ipfs_hash"] == answer["snapshots"][0]["cid"] == "Qmx"
        assert (answer["count"], answer["has_more"]) == (1, True)

    @pytest.mark.parametrize("part", [
        "", "/prices", "/trades", "/votes", "/stats", "/price-history",
        "/positions", "/snapshots", "/events", "/discussions",
    ])  # fmt: skip
    async def test_unknown_market(self, node: ApiNode, part: str) -> None:
        assert (await node.get(f"/api/markets/{'ab' * 32}{part}", status=404))["code"] == "NOT_FOUND"


class TestHistory:
    async def market(self, node: ApiNode) -> str:
        """Created at 02:00, traded at 02:10, 02:20 and 02:50 of a day that is 03:04:05 now."""
        hour = START_S - 3_845
        market = await node.add_market(1, created_at=hour)
        for slot, (minute, price) in enumerate(((10, 600_000_000), (20, 400_000_000), (50, 700_000_000))):
            await node.add_trade(slot=10 + slot, at_s=hour + 60 * minute, price=price, cost=2**63)
        return market

    async def test_points(self, node: ApiNode) -> None:
        answer = await node.get(f"/api/markets/{await self.market(node)}/price-history")
        assert [point["yes"] for point in answer["price_history"]] == [50.0, 60.0, 40.0, 70.0]
        assert answer["price_history"][1] == {
            "timestamp": "2026-01-02T02:10:00.000Z",
            "t": START_S - 3_845 + 600,
            "yes": 60.0,
            "no": 40.0,
        }
        assert (answer["interval"], answer["fidelity"], answer["candles"], answer["count"]) == ("max", None, None, 4)

    async def test_newest_points(self, node: ApiNode) -> None:
        market = await self.market(node)
        answer = await node.get(f"/api/markets/{market}/price-history?limit=2")
        assert [point["yes"] for point in answer["price_history"]] == [40.0, 70.0]
        assert (await node.get(f"/api/markets/{market}/price-history?limit=0"))["price_history"] == []

    async def test_ranges(self, node: ApiNode) -> None:
        market = await self.market(node)
        hour = START_S - 3_845
        for query, expected in (
            ("interval=1h", [60.0, 40.0, 70.0]),
            ("interval=1d", [50.0, 60.0, 40.0, 70.0]),
            (f"from={hour + 600}&to={hour + 1_200}", [60.0]),
            (f"to={hour + 1_200}", [50.0, 60.0]),
            (f"from={hour + 3_001}", []),
        ):
            answer = await node.get(f"/api/markets/{market}/price-history?{query}")
            assert [point["yes"] for point in answer["price_history"]] == expected, query

    async def test_buckets(self, node: ApiNode) -> None:
        answer = await node.get(f"/api/markets/{await self.market(node)}/price-history?fidelity=15&ohlc=1")
        hour = START_S - 3_845
        assert [point["yes"] for point in answer["price_history"]] == [60.0, 40.0, 40.0, 70.0, 70.0]
        assert [point["t"] - hour for point in answer["price_history"]] == [900, 1_800, 2_700, 3_600, 3_845]
        first, _, empty, last, _ = answer["candles"]
        assert first == {
            "t": hour,
            "start": "2026-01-02T02:00:00.000Z",
            "open": 50.0,
            "high": 60.0,
            "low": 50.0,
            "close": 60.0,
            "volume": str(2**63),
            "trades": 1,
        }
        assert (empty["open"], empty["close"], empty["volume"], empty["trades"]) == (40.0, 40.0, "0", 0)
        assert (last["open"], last["high"], last["low"], last["close"]) == (40.0, 70.0, 40.0, 70.0)

    async def test_newest_buckets(self, node: ApiNode) -> None:
        answer = await node.get(f"/api/markets/{await self.market(node)}/price-history?fidelity=15&limit=2&ohlc=true")
        assert [candle["open"] for candle in answer["candles"]] == [40.0, 70.0]

    @pytest.mark.parametrize("query", [
        "ohlc=true", "fidelity=0", "fidelity=1441", "interval=2h", "interval=1h&from=1767323045", "limit=x",
    ])  # fmt: skip
    async def test_bad_queries(self, node: ApiNode, query: str) -> None:
        market = await self.market(node)
        assert (await node.get(f"/api/markets/{market}/price-history?{query}", status=400))[
            "code"
        ] == "VALIDATION_ERROR"


class TestOverviews:
    async def test_activity(self, node: ApiNode) -> None:
        market = await node.add_market(1, question="Will it rain?")
        await node.add_market(2, hidden=1)
        trade = await node.add_trade(cost=1_995_000_000)
        await node.add_trade(market=2, slot=11)
        resolved = models.MarketResolved(bytes([1]) * 32, key(CAROL), True, b"Q" * 46, START_S - 60)
        await node.add_event(resolved, wallet=CAROL, slot=12)
        answer = await node.get("/api/markets/activity")
        assert [entry["id"] for entry in answer["activities"]] == [f"resolution-{market}", trade, f"creation-{market}"]
        assert answer["count"] == 3
        shown = answer["activities"][1]
        assert shown == {
            "id": trade,
            "type": "trade",
            "user": f"{address(ALICE)[:6]}...{address(ALICE)[-4:]}",
            "action": "bought YES",
            "market": "Will it rain?",
            "marketId": market,
            "time": "2026-01-02T02:04:05.000Z",
            "amount": "2.00 SOL",
        }
        only = await node.get("/api/markets/activity?type=creation&limit=1")
        assert [entry["type"] for entry in only["activities"]] == ["creation"]
        assert await node.get("/api/markets/activity?limit=0") == {"activities": [], "count": 0}

    async def test_trending(self, node: ApiNode) -> None:
        for number in (1, 2, 3, 4):
            await node.add_market(number)
        await node.add_market(5, state=3)
        await node.add_trade(market=1, slot=9, price=400_000_000, at_s=START_S - 90_000)
        await node.add_trade(market=1, slot=10, cost=10 * P)
        await node.add_trade(market=2, slot=11, cost=P)
        await node.add_trade(market=2, slot=12, cost=P, wallet=BOB)
        await node.add_trade(market=5, slot=13, cost=99 * P)
        answer = await node.get("/api/markets/trending")
        assert [market["id"][:2] for market in answer["trending"]] == ["01", "02", "04"]
        first = answer["trending"][0]
        assert (first["volume24h"], first["uniqueTraders"], first["trendingScore"]) == (10.0, 1, 6.4)
        assert first["change24h"] == 10.0
        assert answer["trending"][1]["trendingScore"] == 2.0
        quiet = answer["trending"][2]
        assert (quiet["volume24h"], quiet["uniqueTraders"], quiet["trendingScore"], quiet["change24h"]) == (
            0.0,
            0,
            0.0,
            0.0,
        )

    async def test_categories(self, node: ApiNode) -> None:
        ages = {1: 1, 2: 2, 3: 8, 4: 9, 5: 20}
        for number, days in ages.items():
            await node.add_market(number, listed_category="crypto", created_at=START_S - days * 86_400)
        await node.add_market(6, listed_category="science")
        await node.add_market(7, listed_category="sports", created_at=START_S - 30 * 86_400)
        answer = await node.get("/api/markets/categories")
        assert answer["count"] == 3
        assert answer["categories"][0] == {
            "id": "crypto",
            "name": "Crypto",
            "count": 5,
            "emoji": "₿",
            "trend": "+0%",
        }
        assert [(one["id"], one["trend"]) for one in answer["categories"][1:]] == [
            ("science", "+100%"),
            ("sports", "+0%"),
        ]

    async def test_related(self, node: ApiNode) -> None:
        for number, category in ((1, "science"), (2, "sports"), (3, "science"), (4, "sports")):
            await node.add_market(number, listed_category=category)
        await node.add_market(5, listed_category="science", state=5)
        await node.add_market(6, listed_category="science", hidden=1)
        answer = await node.get(f"/api/markets/{'01' * 32}/related")
        assert [market["id"][:2] for market in answer["related"]] == ["03", "04", "02"]
        assert [market["categoryMatch"] for market in answer["related"]] == [True, False, False]
        assert answer["related"][0]["category"] == "Science"
        for unknown in ("ab" * 32, "nobody"):
            assert await node.get(f"/api/markets/{unknown}/related") == {"related": [], "count": 0}
