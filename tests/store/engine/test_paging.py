"""Pages by key: whatever is inserted or removed meanwhile, a list is read once, whole and in order."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2 as sqlite

from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.engine.paging import Page, Query, list_page
from zmart_lite.store.views.lists import MarketFilter, list_market_keys

NONCES = Query(
    "n.nonce",
    "nonces n",
    ("n.expires_ms", "n.nonce"),
    "SELECT n.nonce AS page_key, n.* FROM nonces n",
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store(tmp_path / "zmart.db", now_ms=lambda: 1_000).open()
    yield opened
    await opened.close()


def add(tx: Tx, *numbers: int) -> None:
    tx.execute_many("INSERT INTO nonces (nonce, expires_ms) VALUES (?, ?)", [(f"{n:03d}", n // 3) for n in numbers])


async def read_all(store: Store, query: Query, limit: int) -> list[str]:
    seen: list[str] = []
    after = None
    while True:
        page = Page(limit, 0, after)
        found = await store.read(lambda tx, page=page: list_page(tx, query, [], [], page))  # type: ignore[misc]
        seen += [row["nonce"] for row in found.rows]
        if not found.has_more:
            return seen
        after = found.last


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10, 11])
@pytest.mark.parametrize("descending", [True, False])
async def test_pages_join_to_the_whole(store: Store, limit: int, descending: bool) -> None:
    await store.write(lambda tx: add(tx, *range(10)))
    expected = [f"{n:03d}" for n in range(10)]
    query = NONCES._replace(descending=descending)
    assert await read_all(store, query, limit) == (expected[::-1] if descending else expected)


async def test_changes_meanwhile_repeat_and_hide_nothing(store: Store) -> None:
    await store.write(lambda tx: add(tx, *range(0, 20, 2)))
    first = await store.read(lambda tx: list_page(tx, NONCES, [], [], Page(3)))
    assert [row["nonce"] for row in first.rows] == ["018", "016", "014"]
    await store.write(lambda tx: add(tx, 19, 15, 13, 1))
    await store.write(lambda tx: tx.execute("DELETE FROM nonces WHERE nonce = '014'"))
    second = await store.read(lambda tx: list_page(tx, NONCES, [], [], Page(3, 0, first.last)))
    assert [row["nonce"] for row in second.rows] == ["013", "012", "010"]


async def test_counts(store: Store) -> None:
    await store.write(lambda tx: add(tx, *range(5)))
    found = await store.read(lambda tx: list_page(tx, NONCES, ["n.expires_ms >= ?"], [1], Page(1)))
    assert (found.total_count, found.total_capped, found.has_more) == (2, False, True)
    nothing = await store.read(lambda tx: list_page(tx, NONCES, [], [], Page(0)))
    assert (nothing.rows, nothing.total_count, nothing.last) == ([], 5, None)


async def test_counting_stops(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmart_lite.store.engine.paging.COUNT_MAX", 3)
    await store.write(lambda tx: add(tx, *range(5)))
    found = await store.read(lambda tx: list_page(tx, NONCES, [], [], Page(1)))
    assert (found.total_count, found.total_capped) == (3, True)


async def test_offset(store: Store) -> None:
    await store.write(lambda tx: add(tx, *range(5)))
    found = await store.read(lambda tx: list_page(tx, NONCES, [], [], Page(2, 3)))
    assert [row["nonce"] for row in found.rows] == ["001", "000"]
    assert not found.has_more


@pytest.mark.parametrize("sort", ["newest", "volume", "ending_soon"])
async def test_the_statements_of_a_page_are_compiled_once(store: Store, sort: str) -> None:
    """For a list of 100,000 markets that took longer than to read its page."""
    compiled: list[object] = []

    def heed(*what: object) -> int:
        compiled.append(what)
        return sqlite.SQLITE_OK

    def pages(connection: Any) -> None:
        tx = Tx(connection, 1_000)
        connection.set_authorizer(heed)
        try:
            for after in ("1", "2"):
                list_market_keys(tx, MarketFilter(state=2, category="other"), sort, Page(20, 0, (after, 3)))
                list_market_keys(tx, MarketFilter(state=2, category="other"), sort, Page(20))
                if after == "1":
                    assert compiled
                    compiled.clear()
        finally:
            connection.set_authorizer(None)

    await store.on_writer(pages)
    assert compiled == []
