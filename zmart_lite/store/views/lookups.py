"""Finding the market that a request names."""

from zmart_lite.errors import NotFound
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.views import rows
from zmart_lite.store.views.rows import MarketRef

_COLUMNS = ("market_id", "address")


def find_market(tx: Tx, ref: MarketRef) -> Row | None:
    """The bare row of an indexed market."""
    return _find(tx, "SELECT m.* FROM markets m", ref)


def get_market(tx: Tx, ref: MarketRef) -> Row:
    """The same. Raises NotFound."""
    return _required(find_market(tx, ref))


def get_whole_market(tx: Tx, ref: MarketRef) -> Row:
    """The row that rows.market_row takes, with text and addresses. Raises NotFound."""
    return _required(_find(tx, rows.MARKET_SELECT, ref))


def no_market() -> NotFound:
    return NotFound("There is no such market.")


def _required(row: Row | None) -> Row:
    if row is None:
        raise no_market()
    return row


def _find(tx: Tx, select: str, ref: MarketRef) -> Row | None:
    if ref.column not in _COLUMNS:
        raise ValueError(ref.column)
    return tx.one(f"{select} WHERE m.{ref.column} = ? AND m.known = 1", (ref.value,))
