"""PositionRow: what a wallet holds in a market, what it is worth and what it earned (contract 2.8), in exact
integers.
"""

from typing import Any, NamedTuple

from zmart_lite import rules
from zmart_lite.models import MarketState
from zmart_lite.shown import address_text, as_bool, shown_title, time_text, time_text_ms, units
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import kept

POSITION_COLUMNS = (
    "p.*, w.address AS wallet_address, m.market_id, m.address AS market_address, m.state, m.final_outcome,"
    " m.b_parameter, m.shares_yes AS market_shares_yes, m.shares_no AS market_shares_no, m.current_liquidity,"
    " m.accumulated_resolver_fees, m.accumulated_lp_fees, mf.claimed_high, mf.claimed_low, mt.question"
)
POSITION_JOINS = (
    " JOIN wallets w ON w.id = p.wallet JOIN markets m ON m.id = p.market LEFT JOIN market_texts mt ON mt.market = m.id"
    " LEFT JOIN market_figures mf ON mf.market = m.id"
)
POSITION_SELECT = f"SELECT {POSITION_COLUMNS} FROM positions p{POSITION_JOINS}"

POSITIONS_SUMMED_MAX = 10_000
"""A wallet's result is that of so many positions, its newest markets first."""


class Worth(NamedTuple):
    """Lamports. ``realized`` and ``unrealized`` are signed; their sum is the profit or loss."""

    current_value: int
    claimable: int
    realized: int
    unrealized: int

    @property
    def profit_loss(self) -> int:
        return self.realized + self.unrealized


def worth_of(row: Row) -> Worth:
    """The worth of a row of POSITION_SELECT.

    The stored result holds sales and claims; what finalisation itself realises, the losing side's basis, is
    subtracted here as long as the position has not claimed.
    """
    realized = int(row["realized_pnl"])
    basis_yes, basis_no = int(row["basis_yes"]), int(row["basis_no"])
    if row["has_claimed"]:
        return Worth(int(row["claimed_amount"]), 0, realized, 0)
    if row["state"] != MarketState.FINALIZED:
        value = market_value(row)
        return Worth(value, 0, realized, value - basis_yes - basis_no)
    claimable, outcome = claimable_of(row), as_bool(row["final_outcome"])
    if outcome is None:
        return Worth(claimable, claimable, realized, claimable - basis_yes - basis_no)
    won, lost = (basis_yes, basis_no) if outcome else (basis_no, basis_yes)
    return Worth(claimable, claimable, realized - lost, claimable - won)


def market_value(row: Row) -> int:
    """Both sides at the market's price, in lamports."""
    price_yes = rules.shown_price_yes(
        int(row["market_shares_yes"]), int(row["market_shares_no"]), int(row["b_parameter"])
    )
    return int(row["shares_yes"]) * price_yes // rules.P + int(row["shares_no"]) * (rules.P - price_yes) // rules.P


def claimable_of(row: Row) -> int:
    """What ``claim_winnings`` would pay, not capped by what the account holds; 0 unless FINALIZED and unclaimed."""
    if row["state"] != MarketState.FINALIZED or row["has_claimed"]:
        return 0
    outcome = as_bool(row["final_outcome"])
    if outcome is None:
        return int(row["total_invested"])
    side = "shares_yes" if outcome else "shares_no"
    return rules.winning_share(int(row[side]), int(row[f"market_{side}"]), int(row["current_liquidity"]))


def payable_of(row: Row, shares_yes: int, shares_no: int) -> int:
    """What the account of a row's market can pay in claims, by what the node knows of it. ``shares_yes`` and
    ``shares_no`` are the market's.
    """
    resolver_fees, lp_fees = int(row["accumulated_resolver_fees"]), int(row["accumulated_lp_fees"])
    # Only the withdrawal leaves neither liquidity nor the provider's fees.
    withdrawn = row["state"] == MarketState.FINALIZED and not int(row["current_liquidity"]) and not lp_fees
    return rules.payable_by_trades(
        shares_yes,
        shares_no,
        int(row["b_parameter"]),
        lp_fees,
        claimed=kept.amount_of(row, "claimed"),
        withdrawn_owing=resolver_fees if withdrawn else None,
    )


def payout_fields(if_yes: int, if_no: int, payable: int) -> dict[str, str]:
    """Lamports, as quotes, positions and markets have them."""
    return {"payout_if_yes": str(if_yes), "payout_if_no": str(if_no), "payable_now": str(payable)}


def _payouts(row: Row) -> dict[str, str]:
    """What the whole position would be paid by the outcome."""
    shares_yes, shares_no, liquidity = (
        int(row[name]) for name in ("market_shares_yes", "market_shares_no", "current_liquidity")
    )
    return payout_fields(
        rules.winning_share(int(row["shares_yes"]), shares_yes, liquidity),
        rules.winning_share(int(row["shares_no"]), shares_no, liquidity),
        payable_of(row, shares_yes, shares_no),
    )


def position_row(row: Row) -> dict[str, Any]:
    """PositionRow of a row of POSITION_SELECT."""
    return _position_identity(row) | _position_amounts(row) | _position_times(row)


def _position_identity(row: Row) -> dict[str, Any]:
    market_id, user, address = row["market_id"].hex(), address_text(row["wallet_address"]), address_text(row["address"])
    return {
        "id": address,
        "market_id": market_id,
        "marketId": market_id,
        "market_address": address_text(row["market_address"]),
        "position_address": address,
        "user_wallet": user,
        "user": user,
        "userId": user,
        "question": shown_title(row["market_id"], row["question"]),
        "state": row["state"],
        "state_name": MarketState(row["state"]).name,
    }


def _position_amounts(row: Row) -> dict[str, Any]:
    worth = worth_of(row)
    shares_yes, shares_no = int(row["shares_yes"]), int(row["shares_no"])
    invested, bought = int(row["total_invested"]), int(row["cost_bought"])
    yes, no = units(shares_yes), units(shares_no)
    return {
        "shares_yes": str(shares_yes),
        "shares_no": str(shares_no),
        "yes_shares": yes,
        "no_shares": no,
        "sharesYes": yes,
        "sharesNo": no,
        "total_invested": str(invested),
        "totalCost": units(invested),
        "current_value": str(worth.current_value),
        "claimable": str(worth.claimable),
        **_payouts(row),
        "has_claimed": bool(row["has_claimed"]),
        "claimed_amount": str(int(row["claimed_amount"])),
        "unrealized_pnl": str(worth.unrealized),
        "realized_pnl": str(worth.realized),
        "profit_loss": str(worth.profit_loss),
        "unrealizedPnL": units(worth.unrealized),
        "realizedPnL": units(worth.realized),
        "roi": 100 * worth.profit_loss / bought if bought else 0,
        "trades_count": row["trades_count"],
    }


def _position_times(row: Row) -> dict[str, Any]:
    first, last, updated = (
        time_text(row["first_trade_at"]),
        time_text(row["last_trade_at"]),
        time_text_ms(row["updated_ms"]),
    )
    return {
        "first_trade_at": first,
        "last_trade_at": last,
        "created_at": first,
        "updated_at": updated,
        "last_updated": updated,
    }


class Earnings(NamedTuple):
    """A wallet's result over all its positions, lamports, signed. ``won``: FINALIZED with a profit."""

    realized: int = 0
    unrealized: int = 0
    active: int = 0
    resolved: int = 0
    won: int = 0


def earnings(tx: Tx, address: bytes) -> Earnings:
    """The sum of every position's result (contract 2.8), of at most POSITIONS_SUMMED_MAX. Active: shares and not
    claimed.
    """
    total = Earnings()
    rows = tx.all(
        f"{POSITION_SELECT} WHERE p.wallet = (SELECT id FROM wallets WHERE address = ?) ORDER BY p.market DESC LIMIT ?",
        (address, POSITIONS_SUMMED_MAX),
    )
    for row in rows:
        worth = worth_of(row)
        holds = int(row["shares_yes"]) > 0 or int(row["shares_no"]) > 0
        is_final = row["state"] == MarketState.FINALIZED
        total = Earnings(
            total.realized + worth.realized,
            total.unrealized + worth.unrealized,
            total.active + (holds and not row["has_claimed"]),
            total.resolved + is_final,
            total.won + (is_final and worth.profit_loss > 0),
        )
    return total
