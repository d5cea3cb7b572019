"""Finding the market that a request names."""

from zmart_lite.errors import NotFound
from zmart_lite.store import rows
from zmart_lite.store.db import Row, Tx
from zmart_lite.store.rows import MarketRef

_COLUMNS = ("market_id", "address")


def get_market(tx: Tx, ref: MarketRef) -> Row:
    """The bare row of an indexed market. Raises NotFound."""
    return _found(tx, "SELECT m.* FROM markets m", ref)


def get_whole_market(tx: Tx, ref: MarketRef) -> Row:
    """The row that rows.market_row takes, with text and addresses. Raises NotFound."""
    return _found(tx, rows.MARKET_SELECT, ref)


def _found(tx: Tx, select: str, ref: MarketRef) -> Row:
    if ref.column not in _COLUMNS:
        raise ValueError(ref.column)
    row = tx.one(f"{select} WHERE m.{ref.column} = ? AND m.known = 1", (ref.value,))
    if row is None:
        raise NotFound("There is no such market.")
    return row
