"""Trades and positions, written by the indexer's fold."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, cast

from zmart_lite.models import SharesBought, SharesSold, UserPosition
from zmart_lite.store.engine.amounts import U64_DIGITS, u64_text
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import kept

KEYS_PER_QUERY_MAX = 500

HOLDER_SELECT = "SELECT p.*, w.address AS wallet_address FROM positions p JOIN wallets w ON w.id = p.wallet"


def find_position(tx: Tx, market: int, wallet: int) -> Row | None:
    return tx.one(f"{HOLDER_SELECT} WHERE p.market = ? AND p.wallet = ?", (market, wallet))


def position_of(row: Row, market_address: bytes, bump: int) -> UserPosition:
    """The position account that a row stands for."""
    return UserPosition(
        market=market_address,
        user=row["wallet_address"],
        shares_yes=int(row["shares_yes"]),
        shares_no=int(row["shares_no"]),
        total_invested=int(row["total_invested"]),
        trades_count=row["trades_count"],
        last_trade_at=row["last_trade_at"],
        has_claimed=bool(row["has_claimed"]),
        claimed_amount=int(row["claimed_amount"]),
        reserved=bytes(64),
        bump=bump,
    )


Held = tuple[UserPosition, int, int, int, int, int]
"""Position, basis_yes, basis_no, cost_bought, realized_pnl, first_trade_at."""
PositionKey = tuple[int, int]
"""Market and wallet."""


COLUMNS = (
    "market, wallet, address, shares_yes, shares_no, total_invested, trades_count, last_trade_at, has_claimed,"
    " claimed_amount, basis_yes, basis_no, cost_bought, realized_pnl, first_trade_at, updated_ms, holding"
)
CHANGING = COLUMNS.split(", ")[3:]


def add_positions(tx: Tx, held: Sequence[tuple[PositionKey, bytes, Held]]) -> None:
    """Enter positions that are new: key, address, what is held. In the order of their keys, so that neighbours in an
    index are written together.
    """
    values = [(*key, address, *_held_values(each, tx.now_ms)) for key, address, each in sorted(held, key=itemgetter(0))]
    tx.execute_many(f"INSERT INTO positions ({COLUMNS}) VALUES ({', '.join('?' * len(CHANGING))}, ?, ?, ?)", values)
    kept.count_positions(tx, [(key[0], position) for key, _, (position, *_) in held])


def update_positions(tx: Tx, held: Sequence[tuple[PositionKey, Held]]) -> None:
    """Write positions that exist, as they are now."""
    assignments = ", ".join(f"{column} = ?" for column in CHANGING)
    tx.execute_many(
        f"UPDATE positions SET {assignments} WHERE market = ? AND wallet = ?",
        [(*_held_values(each, tx.now_ms), *key) for key, each in held],
    )


def _held_values(held: Held, now_ms: int) -> tuple[Any, ...]:
    """Values of the columns CHANGING."""
    position, basis_yes, basis_no, cost_bought, realized_pnl, first_trade_at = held
    _, _, shares_yes, shares_no, total_invested, trades_count, last_trade_at, has_claimed, claimed, _, _ = position
    return (
        u64_text(shares_yes),
        u64_text(shares_no),
        u64_text(total_invested),
        trades_count,
        last_trade_at,
        int(has_claimed),
        u64_text(claimed),
        str(basis_yes),
        str(basis_no),
        str(cost_bought),
        str(realized_pnl),
        first_trade_at,
        now_ms,
        holding_text(shares_yes, shares_no),
    )


def holding_text(shares_yes: int, shares_no: int) -> str:
    """Both sides together, which may pass u64 but not 20 digits."""
    return str(shares_yes + shares_no).rjust(U64_DIGITS, "0")


def find_positions(tx: Tx, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Row]:
    """Those of the positions, by market and wallet, that exist."""
    found: dict[tuple[int, int], Row] = {}
    for start in range(0, len(keys), KEYS_PER_QUERY_MAX):
        part = keys[start : start + KEYS_PER_QUERY_MAX]
        values = ", ".join(["(?, ?)"] * len(part))
        rows = tx.all(
            f"{HOLDER_SELECT} WHERE (p.market, p.wallet) IN (VALUES {values})", [n for key in part for n in key]
        )
        found |= {(row["market"], row["wallet"]): row for row in rows}
    return found


TradeRow = tuple[int, int, int, int, int, str, str, str, int]


def trade_row(event: SharesBought | SharesSold, event_id: int, market: int, wallet: int) -> TradeRow:
    """A trade's row from its event."""
    # Both events have the same fields, but for the name of the amount.
    _, _, outcome, shares, amount, new_price_yes, timestamp = event
    return (
        event_id,
        market,
        wallet,
        int(isinstance(event, SharesBought)),
        int(outcome),
        u64_text(shares),
        u64_text(amount),
        u64_text(new_price_yes),
        timestamp,
    )


def add_trades(tx: Tx, trades: Sequence[TradeRow]) -> None:
    """Enter new trades, those of a market in chain order."""
    tx.execute_many(
        "INSERT INTO trades (event_id, market, wallet, is_buy, outcome, shares, cost, new_price_yes, traded_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        trades,
    )
    kept.count_trades(
        tx,
        [
            tuple.__new__(kept.Trade, (market, wallet, is_buy, int(cost), price, traded_at))
            for _, market, wallet, is_buy, _, _, cost, price, traded_at in trades
        ],
    )


def forget_market(tx: Tx, market: int) -> None:
    """Drop a market's trades and positions, so that they can be folded again."""
    kept.drop_candles(tx, market)
    tx.execute(
        "DELETE FROM trades WHERE event_id IN (SELECT id FROM events WHERE market = ? AND is_trade = 1)", (market,)
    )
    tx.execute("DELETE FROM positions WHERE market = ?", (market,))


def has_trades_from(tx: Tx, slot: int, index_in_block: int) -> bool:
    """Whether anybody traded in that transaction's place of the log or behind it."""
    sql = "SELECT 1 FROM events WHERE is_trade = 1 AND (slot, index_in_block) >= (?, ?) LIMIT 1"
    return tx.one(sql, (slot, index_in_block)) is not None


def list_markets_traded_from(tx: Tx, slot: int) -> list[int]:
    """Markets with trades in that slot or later."""
    sql = "SELECT DISTINCT (market + 0) AS market FROM events WHERE is_trade = 1 AND slot >= ?"
    return [row["market"] for row in tx.all(sql, (slot,))]


def held_shares(tx: Tx, market: int, wallet: int) -> int:
    """YES and NO shares together, the weight of a dispute vote; 0 without a position."""
    row = tx.one("SELECT shares_yes, shares_no FROM positions WHERE market = ? AND wallet = ?", (market, wallet))
    return 0 if row is None else int(row["shares_yes"]) + int(row["shares_no"])


def count_holders(tx: Tx, market: int) -> int:
    """Positions of a market that hold shares."""
    zero = u64_text(0)
    return cast(
        int,
        tx.value(
            "SELECT count(*) FROM positions WHERE market = ? AND (shares_yes > ? OR shares_no > ?)",
            (market, zero, zero),
        ),
    )


def list_unclaimed_amounts(tx: Tx, market: int) -> list[Any]:
    """Holdings of a market that have not claimed."""
    return tx.all(f"{HOLDER_SELECT} WHERE p.market = ? AND p.has_claimed = 0", (market,))


# Accounts as read from the chain

_WITH_MARKET = (
    "SELECT p.*, w.address AS wallet_address, m.market_id, m.address AS market_address FROM positions p"
    " JOIN wallets w ON w.id = p.wallet JOIN markets m ON m.id = p.market"
)


def list_after(tx: Tx, key: int, limit: int) -> list[Row]:
    """Positions by their keys, from behind ``key``: not those in markets whose account is about to be read anyway."""
    return tx.all(
        f"{_WITH_MARKET} WHERE p.id > ? AND (m.needs_resync = 0 OR m.resync_tried_ms > ?) ORDER BY p.id LIMIT ?",
        (key, tx.now_ms, limit),
    )


def list_of_market(tx: Tx, market_id: bytes) -> list[Row]:
    """All positions of a market."""
    return tx.all(f"{_WITH_MARKET} WHERE m.market_id = ? ORDER BY p.id", (market_id,))


def list_all_addresses(tx: Tx) -> set[bytes]:
    """The addresses of all positions of all markets."""
    return {row["address"] for row in tx.all("SELECT address FROM positions")}


def list_addresses(tx: Tx, market_id: bytes) -> list[bytes]:
    """Addresses of the known positions of a market."""
    rows = tx.all(
        "SELECT p.address FROM positions p JOIN markets m ON m.id = p.market WHERE m.market_id = ? ORDER BY p.id",
        (market_id,),
    )
    return [row["address"] for row in rows]


def set_baseline(tx: Tx, market: int, wallet: int, data: bytes, slot: int) -> None:
    """Note a position's account as read at ``slot``."""
    tx.execute(
        "INSERT INTO position_baselines (market, wallet, data, slot) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (market, wallet) DO UPDATE SET data = excluded.data, slot = excluded.slot",
        (market, wallet, data, slot),
    )


def forget_baselines(tx: Tx, market: int) -> None:
    tx.execute("DELETE FROM position_baselines WHERE market = ?", (market,))


def list_baselines(tx: Tx, market: int) -> list[Row]:
    """The accounts of a market's positions as last read: wallet, wallet_address, data, slot."""
    return tx.all(
        "SELECT b.wallet, w.address AS wallet_address, b.data, b.slot FROM position_baselines b"
        " JOIN wallets w ON w.id = b.wallet WHERE b.market = ?",
        (market,),
    )
