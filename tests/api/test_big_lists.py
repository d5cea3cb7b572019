"""Lists with more matches than are counted: the same rows, found by walking the log instead of sorting all matches."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.api.harness import ALICE, BOB, ApiNode, address, api_node
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.engine.paging import list_page
from zmart_lite.store.views import lists

TRADES = 40
FILTERS = (
    "event_type=SharesBought,SharesSold",
    "event_type=SharesBought,SharesSold&order=asc",
    "event_type=SharesSold",
    f"event_type=SharesBought,SharesSold&wallet={address(BOB)}",
    f"event_type=SharesSold&wallet={address(ALICE)}",
    f"event_type=SharesBought,SharesSold&market_id={'02' * 32}",
    "from=2020-01-01T00:00:00Z&event_type=SharesBought,SharesSold",
)
SEARCHES = ("shares", "sold", "number", "number 2", "nothing at all")


async def filled(node: ApiNode) -> None:
    for number in range(1, 4):
        await node.add_market(number, question=f"Will number {number} happen?")
    for slot in range(1, TRADES + 1):
        wallet = BOB if slot % 5 == 0 else ALICE
        await node.add_trade(market=1 + slot % 3, wallet=wallet, slot=slot, buy=slot % 2 == 0)


def walk_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if two matches were very many."""
    monkeypatch.setattr(lists, "list_page", partial(list_page, walk_over=2))


async def ids(node: ApiNode, path: str) -> list[str]:
    """Of all pages."""
    found: list[str] = []
    page: dict[str, Any] = {"next_cursor": ""}
    while page["next_cursor"] is not None:
        more = f"&cursor={page['next_cursor']}" if page["next_cursor"] else ""
        page = await node.get(f"{path}&limit=7{more}")
        found += [event["id"] for event in page["events"]]
    return found


async def test_walking_finds_what_sorting_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with api_node(tmp_path) as node:
        await filled(node)
        paths = [f"/api/events?{one}" for one in FILTERS] + [f"/api/events/search?q={one}" for one in SEARCHES]
        sorted_ = {path: await ids(node, path) for path in paths}
        assert len(sorted_[paths[0]]) == TRADES
        walk_early(monkeypatch)
        for path in paths:
            assert await ids(node, path) == sorted_[path], path


def plans_of(monkeypatch: pytest.MonkeyPatch, part: str = "") -> list[str]:
    """Collects the steps of the plans of all statements from now on that hold this part."""
    plans: list[str] = []
    read_all = Tx.all

    def explained(tx: Tx, sql: str, params: Any = ()) -> Any:
        if part in sql:
            plans.extend(str(row["detail"]) for row in read_all(tx, f"EXPLAIN QUERY PLAN {sql}", params))
        return read_all(tx, sql, params)

    monkeypatch.setattr(Tx, "all", explained)
    return plans


async def test_with_many_matches_nothing_is_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with api_node(tmp_path) as node:
        await filled(node)
        plans = plans_of(monkeypatch, "ORDER BY")
        walk_early(monkeypatch)
        for path in (f"/api/events?{FILTERS[0]}", "/api/events/search?q=shares", "/api/events/search?q=number"):
            plans.clear()
            await node.get(path)
            assert any("events_in_order" in plan for plan in plans), plans
            assert not any("ORDER BY" in plan for plan in plans), plans


async def test_a_wallet_narrows_more_than_a_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with api_node(tmp_path) as node:
        await filled(node)
        plans = plans_of(monkeypatch)
        await node.get(f"/api/events?event_type=SharesSold&wallet={address(ALICE)}")
        assert any("events_by_wallet" in plan for plan in plans), plans
