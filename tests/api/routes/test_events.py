"""Events as they were indexed, and alerts."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from solders.pubkey import Pubkey

from tests.api.harness import ADMIN, ALICE, BOB, CAROL, SERVICE_KEY, START_S, ApiNode, address, api_node, key
from zmart_lite import models
from zmart_lite.api.openapi import examples
from zmart_lite.store.state.alerts import raise_alert, resolve_alert

ID = bytes([1]) * 32


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ApiNode]:
    async with api_node(tmp_path) as started:
        await started.add_market(1, question="Will it rain?")
        await started.add_market(2, question="Will it snow?")
        yield started


async def fill(node: ApiNode) -> list[str]:
    """Four events, oldest first."""
    created = models.MarketCreated(ID, key(CAROL), 100, 0, START_S - 400)
    bought = models.SharesBought(ID, key(ALICE), True, 2**64 - 1, 5, 500_000_000, START_S - 300)
    resolved = models.MarketResolved(ID, key(BOB), False, b"\x00\x01" + b"Q" * 44, START_S - 200)
    other = models.SharesBought(bytes([2]) * 32, key(BOB), True, 1, 1, 500_000_000, START_S - 100)
    return [
        await node.add_event(created, wallet=CAROL, slot=10),
        await node.add_event(bought, slot=11, index=0),
        await node.add_event(resolved, wallet=BOB, slot=11, index=1),
        await node.add_event(other, market=2, wallet=BOB, slot=12),
    ]


def ids(answer: Any) -> list[str]:
    return [event["id"] for event in answer["events"]]


class TestEvents:
    async def test_in_chain_order(self, node: ApiNode) -> None:
        events = await fill(node)
        answer = await node.get("/api/events")
        assert ids(answer) == events[::-1]
        assert (answer["limit"], answer["total_count"]) == (100, 4)
        assert ids(await node.get("/api/events?order=asc")) == events
        first = await node.get("/api/events?limit=3")
        assert ids(await node.get(f"/api/events?limit=3&cursor={first['next_cursor']}")) == events[:1]
        assert (await node.get("/api/events?limit=9999"))["limit"] == 500

    async def test_row(self, node: ApiNode) -> None:
        await fill(node)
        row = (await node.get("/api/events?event_type=SharesBought&wallet=" + address(ALICE)))["events"][0]
        assert list(row) == list(examples.EVENT)
        assert row["event_data"] == {
            "market_id": ID.hex(),
            "user": address(ALICE),
            "outcome": True,
            "shares": str(2**64 - 1),
            "cost": "5",
            "new_price_yes": "500000000",
            "timestamp": START_S - 300,
        }
        assert (row["finality"], row["source"], row["index_in_block"]) == ("confirmed", "webhook", 0)

    async def test_hash_that_is_no_text(self, node: ApiNode) -> None:
        await fill(node)
        data = (await node.get("/api/events?event_type=MarketResolved"))["events"][0]["event_data"]
        assert data["evidence_hash"] == (b"\x00\x01" + b"Q" * 44).hex()

    async def test_claim_names_its_market(self, node: ApiNode) -> None:
        where = node.parts.codec.market_address(ID)
        await node.add_event(models.WinningsClaimed(where, key(ALICE), None, 7, START_S))
        data = (await node.get("/api/events"))["events"][0]["event_data"]
        assert data == {
            "market": str(Pubkey.from_bytes(where)),
            "user": address(ALICE),
            "outcome": None,
            "amount": "7",
            "timestamp": START_S,
            "market_id": ID.hex(),
        }

    async def test_of_no_market(self, node: ApiNode) -> None:
        await node.add_event(models.ProtocolPauseStatusChanged(True, key(ADMIN), START_S), market=None, wallet=ADMIN)
        row = (await node.get("/api/events"))["events"][0]
        assert (row["market_id"], row["event_data"]["is_paused"]) == (None, True)

    async def test_filters(self, node: ApiNode) -> None:
        created, bought, resolved, other = await fill(node)
        for query, expected in (
            ("event_type=SharesBought", [other, bought]),
            ("event_type=sharesbought,MarketCreated", [other, bought, created]),
            (f"market_id={'02' * 32}", [other]),
            (f"wallet={address(BOB)}", [other, resolved]),
            (f"from={START_S - 300}", [other, resolved, bought]),
            (f"to={START_S - 300}", [created]),
            (f"from={START_S - 300}&to={START_S - 100}", [resolved, bought]),
            (f"from={START_S}", []),
        ):
            assert ids(await node.get(f"/api/events?{query}")) == expected, query

    async def test_by_slot_and_signature(self, node: ApiNode) -> None:
        found = await fill(node)
        rows = {row["id"]: row for row in (await node.get("/api/events"))["events"]}
        slots = [rows[each]["slot"] for each in found]
        second, third = sorted(slots)[1:3]
        for query, wanted in (
            (f"from_slot={second}", lambda slot: slot >= second),
            (f"to_slot={third}", lambda slot: slot < third),
            (f"from_slot={second}&to_slot={third}", lambda slot: second <= slot < third),
            (f"to_slot={2**63 - 1}", lambda _: True),
        ):
            shown = {row["slot"] for row in (await node.get(f"/api/events?{query}"))["events"]}
            assert shown == {slot for slot in slots if wanted(slot)}, query
        signature = rows[found[1]]["transaction_signature"]
        assert found[1] in ids(await node.get(f"/api/events?signature={signature}"))
        of_it = (await node.get(f"/api/events?signature={signature}"))["events"]
        assert {row["transaction_signature"] for row in of_it} == {signature}
        assert ids(await node.get(f"/api/events?signature={'1' * 64}")) == []

    async def test_paths(self, node: ApiNode) -> None:
        created, bought, resolved, other = await fill(node)
        for path in (f"/api/events/{ID.hex()}", f"/api/markets/{ID.hex()}/events"):
            assert ids(await node.get(path)) == [resolved, bought, created]
        assert ids(await node.get("/api/events/by-type/marketcreated")) == [created]
        span = f"from={START_S - 300}&to={START_S}"
        assert ids(await node.get(f"/api/events/by-date?{span}")) == [other, resolved, bought]
        for path in ("/api/events/by-type/Nothing", "/api/events/nothing", f"/api/events/{'ab' * 32}"):
            await node.get(path, status=404)

    @pytest.mark.parametrize("query", [
        "event_type=Nothing", "event_type=,", "market_id=x", "wallet=x", "from=x",
        "order=up", "from_slot=-1", "to_slot=x", f"to_slot={2**63}", "from_slot=5&to_slot=4",
        "signature=x", "from=1767323046&to=1767323045",
    ])  # fmt: skip
    async def test_bad_queries(self, node: ApiNode, query: str) -> None:
        await node.get(f"/api/events?{query}", status=400)

    async def test_unknown_market_of_a_query(self, node: ApiNode) -> None:
        await node.get(f"/api/events?market_id={'ab' * 32}", status=404)

    async def test_dates_are_required_and_near(self, node: ApiNode) -> None:
        answer = await node.get("/api/events/by-date", status=400)
        assert {detail["field"] for detail in answer["details"]} == {"from", "to"}
        month = 31 * 86_400
        await node.get(f"/api/events/by-date?from={START_S}&to={START_S + month}")
        await node.get(f"/api/events/by-date?from={START_S}&to={START_S + month + 1}", status=400)


class TestSearch:
    async def test_exact_ones(self, node: ApiNode) -> None:
        created, bought, resolved, other = await fill(node)
        signature = other.partition(":")[0]
        where = str(Pubkey.from_bytes(node.parts.codec.market_address(ID)))
        for words, expected in (
            (signature, [other]),
            (address(BOB), [other, resolved]),
            (ID.hex(), [resolved, bought, created]),
            (where, [resolved, bought, created]),
            ("ab" * 32, []),
        ):
            assert ids(await node.get(f"/api/events/search?q={words}")) == expected, words

    async def test_parts(self, node: ApiNode) -> None:
        created, bought, resolved, other = await fill(node)
        for words, expected in (
            ("bought", [other, bought]),
            ("SNOW", [other]),
            ("will it", [other, resolved, bought, created]),
            ("resol", [resolved]),
            ("nothing", []),
        ):
            assert ids(await node.get(f"/api/events/search?q={words}")) == expected, words

    @pytest.mark.parametrize("query", ["", "q=ab", "q=" + "x" * 101])
    async def test_bad_words(self, node: ApiNode, query: str) -> None:
        await node.get(f"/api/events/search?{query}", status=400)


class TestAlerts:
    async def raise_two(self, node: ApiNode) -> None:
        await node.store.write(
            lambda tx: raise_alert(tx, "stuck_market", "LOW", "Stuck.", subject=ID.hex(), data={"a": 1})
        )
        await node.store.write(lambda tx: raise_alert(tx, "balance_low", "CRITICAL", "Low.", data=None))

    async def test_list(self, node: ApiNode) -> None:
        await self.raise_two(node)
        headers = node.bearer(ALICE)
        answer = await node.get("/api/alerts", headers=headers)
        assert [alert["alert_type"] for alert in answer["alerts"]] == ["balance_low", "stuck_market"]
        low, stuck = answer["alerts"]
        assert list(stuck) == list(examples.ALERT)
        assert (stuck["market_id"], stuck["subject"], low["market_id"], low["subject"]) == (
            ID.hex(),
            ID.hex(),
            None,
            None,
        )
        assert "data" not in stuck
        await node.store.write(lambda tx: resolve_alert(tx, "balance_low"))
        for query, count in (
            ("status=open", 1), ("status=resolved", 1), ("status=all", 2),
            ("severity=critical", 1), ("severity=HIGH", 0),
            ("alert_type=stuck_market", 1), (f"market_id={ID.hex()}", 1),
        ):  # fmt: skip
            assert (await node.get(f"/api/alerts?{query}", headers=headers))["count"] == count, query

    async def test_data_is_for_administrators(self, node: ApiNode) -> None:
        await self.raise_two(node)
        for headers in (node.bearer(ADMIN), {"x-service-key": SERVICE_KEY}):
            answer = await node.get("/api/alerts?alert_type=stuck_market", headers=headers)
            assert answer["alerts"][0]["data"] == {"a": 1}
            assert (await node.get(f"/api/alerts/{answer['alerts'][0]['id']}", headers=headers))["data"] == {"a": 1}

    async def test_one(self, node: ApiNode) -> None:
        await self.raise_two(node)
        headers = node.bearer(ALICE)
        assert (await node.get("/api/alerts/1", headers=headers))["message"] == "Stuck."
        for name in ("99", "x", "-1", "9" * 40):
            await node.get(f"/api/alerts/{name}", status=404, headers=headers)

    async def test_need_somebody(self, node: ApiNode) -> None:
        await node.get("/api/alerts", status=401)
        await node.get("/api/alerts?status=loud", status=400)
