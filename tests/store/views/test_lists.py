"""The log of a market or of a wallet lies in two parts, trades and the rest: it reads as one."""

import pytest

from tests.store.market_rows import ALICE, BOB, Database, add_market, add_wallet, log_event
from zmart_lite.codec import event_name
from zmart_lite.models import ChainEvent, LiquidityWithdrawn, MarketActivated, SharesBought, SharesSold
from zmart_lite.store.engine.paging import Page
from zmart_lite.store.views.lists import TRADE_TYPES, EventFilter, list_events, list_trades

MARKET = bytes([1]) * 32
BOUGHT = SharesBought(MARKET, ALICE, True, 5, 7, 9, 100)
SOLD = SharesSold(MARKET, ALICE, True, 5, 7, 9, 101)
ACTIVATED, WITHDRAWN = MarketActivated(MARKET, ALICE, 1, 99), LiquidityWithdrawn(MARKET, ALICE, 1, 102)
LOG: tuple[tuple[ChainEvent, int], ...] = (
    (SOLD, 9), (ACTIVATED, 5), (BOUGHT, 5), (WITHDRAWN, 7), (BOUGHT, 8), (ACTIVATED, 9), (SOLD, 2), (WITHDRAWN, 9),
)  # fmt: skip
"""Events as they arrive, and their slots; within a slot the order of arrival stands."""


def logged() -> tuple[Database, int, list[tuple[int, int, str]]]:
    """A database with the log, the market's key, and (slot, key, type) in chain order."""
    database = Database()
    market, alice = add_market(database), add_wallet(database, ALICE)
    other = add_market(database, 2)
    log_event(database, BOUGHT, other, add_wallet(database, BOB), number=99, slot=6)
    found = []
    for number, (event, slot) in enumerate(LOG):
        key, _ = log_event(database, event, market, alice, number=number, slot=slot)
        found.append((slot, key, event_name(event)))
    return database, market, sorted(found)


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 3, 8])
@pytest.mark.parametrize("of_wallet", [False, True])
@pytest.mark.parametrize(
    "types",
    [
        (),
        ("SharesBought",),
        ("MarketActivated",),
        TRADE_TYPES,
        ("SharesSold", "LiquidityWithdrawn"),
        ("MarketCreated",),
    ],
)
def test_both_parts_are_one_log(types: tuple[str, ...], of_wallet: bool, limit: int, descending: bool) -> None:
    database, market, in_order = logged()
    wanted = EventFilter(types, None if of_wallet else market, ALICE if of_wallet else None)
    expected = [key for _, key, kind in in_order if not types or kind in types]
    seen: list[int] = []
    page = Page(limit)
    while True:
        found = list_events(database.tx, wanted, page, descending=descending)
        assert found.total_count == len(expected)
        seen += [row["id"] for row in found.rows]
        if not found.has_more:
            break
        page = Page(limit, after=found.last)
    assert seen == (expected[::-1] if descending else expected)
    skipped = list_events(database.tx, wanted, Page(limit, offset=1), descending=descending)
    assert [row["id"] for row in skipped.rows] == seen[1 : limit + 1]


def test_the_part_of_the_trades_holds_their_types() -> None:
    database, market, in_order = logged()
    rows = database.tx.all("SELECT event_type, is_trade FROM events")
    assert {row["event_type"] for row in rows if row["is_trade"]} == set(TRADE_TYPES)
    assert {row["event_type"] for row in rows if not row["is_trade"]}.isdisjoint(TRADE_TYPES)
    trades = sum(kind in TRADE_TYPES for _, _, kind in in_order)
    assert list_trades(database.tx, Page(0), market=market).total_count == trades
    assert list_trades(database.tx, Page(0)).total_count == trades + 1
