"""Trades and positions as rows."""

import pytest
from pysqlite3 import dbapi2 as sqlite

from tests.indexer.projection import Database
from tests.store.market_rows import ALICE, BOB, add_market, add_wallet, log_event, save_position
from zmart_lite.models import SharesBought, SharesSold, UserPosition
from zmart_lite.store.log import kept
from zmart_lite.store.state import positions

U64_MAX = 2**64 - 1


def position(user: bytes = ALICE, yes: int = 0, no: int = 0) -> UserPosition:
    return UserPosition(bytes([9]) * 32, user, yes, no, U64_MAX, 2**32 - 1, -5, True, U64_MAX, bytes(64), 250)


def save(database: Database, market: int, wallet: int, held: UserPosition, pnl: int = -(2**70)) -> None:
    save_position(database, (market, wallet), bytes([wallet]) * 32, (held, 2**65, 1, 2**66, pnl, 3))


def test_a_position_survives_the_row_and_its_updates() -> None:
    database = Database()
    market, wallet = add_market(database), add_wallet(database, ALICE)
    for held in (position(yes=U64_MAX), position(no=7)._replace(has_claimed=False)):
        save(database, market, wallet, held)
        row = positions.find_position(database.tx, market, wallet)
        assert row is not None
        assert positions.position_of(row, bytes([9]) * 32, 250) == held
    assert (int(row["basis_yes"]), int(row["cost_bought"]), int(row["realized_pnl"])) == (2**65, 2**66, -(2**70))
    assert positions.find_position(database.tx, market, wallet + 1) is None


def test_shares_of_both_sides_are_the_weight() -> None:
    database = Database()
    market, alice, bob = add_market(database), add_wallet(database, ALICE), add_wallet(database, BOB)
    save(database, market, alice, position(yes=U64_MAX, no=U64_MAX))
    save(database, market, bob, position(BOB)._replace(has_claimed=False))
    assert positions.held_shares(database.tx, market, alice) == 2 * U64_MAX
    assert positions.held_shares(database.tx, market, bob) == 0
    assert positions.held_shares(database.tx, market, 99) == 0
    assert positions.count_holders(database.tx, market) == 1
    assert [row["wallet"] for row in positions.list_unclaimed_amounts(database.tx, market)] == [bob]


@pytest.mark.parametrize(
    "event",
    [
        SharesBought(bytes([1]) * 32, ALICE, True, U64_MAX, U64_MAX, U64_MAX, 2**63 - 1),
        SharesSold(bytes([1]) * 32, ALICE, False, 0, 0, 0, -1),
    ],
)
def test_a_trade_is_entered_once(event: SharesBought | SharesSold) -> None:
    database = Database()
    market, wallet = add_market(database), add_wallet(database, ALICE)
    event_id, _ = log_event(database, event, market, wallet)
    trade = positions.trade_row(event, event_id, market, wallet)
    database.write(lambda tx: positions.add_trades(tx, [trade]))
    with pytest.raises(sqlite.IntegrityError):
        database.write(lambda tx: positions.add_trades(tx, [trade]))
    assert kept.totals(database.tx).trades == 1
    (row,) = database.tx.all("SELECT * FROM trades")
    paid = event.cost if isinstance(event, SharesBought) else event.proceeds
    assert (int(row["shares"]), int(row["cost"]), row["traded_at"]) == (event.shares, paid, event.timestamp)
    assert (row["is_buy"], row["outcome"]) == (int(isinstance(event, SharesBought)), int(event.outcome))
    assert positions.has_trades_from(database.tx, 50, 4)
    assert not positions.has_trades_from(database.tx, 50, 5)
    assert positions.list_markets_traded_from(database.tx, 50) == [market]
    assert positions.list_markets_traded_from(database.tx, 51) == []
    database.write(lambda tx: positions.forget_market(tx, market))
    assert database.tx.all("SELECT * FROM trades") == []
