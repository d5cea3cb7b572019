"""Lists of markets, made from what is known already as long as no market changes.

Most requests for lists meet markets that are as they were at the request before. Then a page costs one walk along an
index: its rows are finished JSON, and how many there are has been counted.
"""

from typing import NamedTuple, TypeVar

from msgspec import Raw

from zmart_lite.store.engine import paging
from zmart_lite.store.engine.changes import Changes, Version
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.engine.paging import Counts, Listing, Page
from zmart_lite.store.views import lists, rows
from zmart_lite.store.views.lists import MarketFilter
from zmart_lite.store.views.rows import RowContext, RowSettings

K = TypeVar("K")
V = TypeVar("V")

TABLES = ("markets", "market_texts", "question_trigrams", "configs", "resolution_plans", "transactions")
"""What a MarketRow is made of, and what finds it. Addresses of wallets never change."""
ROWS_MAX = 16_384
"""Some 40 MB of JSON."""
COUNTS_MAX = 4_096


class Known(NamedTuple):
    """What holds for one version of the tables. Shared by the threads that read: each entry is set at once."""

    rows: dict[int, Raw]
    counts: Counts
    context: list[RowContext]
    """The one context, once it has been read."""


class KnownMarkets:
    """``is_shared``: other nodes change the same database, of which this one learns too late; nothing is kept then."""

    def __init__(self, changes: Changes, *, is_shared: bool) -> None:
        self._changes = changes
        self._is_shared = is_shared
        self._version: Version | None = None
        self._known = Known({}, {}, [])

    def now(self) -> Known:
        """What is known as of now. To be asked for before the reading begins."""
        version = self._changes.version(TABLES)
        # Whoever still reads as of before has the old one and fills that.
        if version != self._version or self._is_shared:
            self._version, self._known = version, Known({}, {}, [])
        elif len(self._known.rows) > ROWS_MAX or len(self._known.counts) > COUNTS_MAX:
            rows, counts, context = self._known
            self._known = Known(_newer(rows, ROWS_MAX), _newer(counts, COUNTS_MAX), context)
        return self._known


def _newer(found: dict[K, V], count_max: int) -> dict[K, V]:
    """What it holds, or the younger half of it if that is too much. Other threads may be filling it meanwhile."""
    return found if len(found) <= count_max else dict(list(found.items())[len(found) // 2 :])


def list_market_rows(
    tx: Tx, known: Known, settings: RowSettings, wanted: MarketFilter, sort: str, page: Page
) -> tuple[Listing, list[Raw]]:
    """The page's place in its list, and its MarketRows as JSON."""
    found = lists.list_market_keys(tx, wanted, sort, page, known.counts)
    keys = [key[0] for key in found.rows]
    missing = [key for key in keys if key not in known.rows]
    if missing:
        context = _context(tx, known, settings)
        for key, row in zip(missing, paging.rows_of(tx, lists.MARKET_SORTS[sort], missing), strict=True):
            known.rows[key] = rows.market_json(row, context)
    return found, [known.rows[key] for key in keys]


def _context(tx: Tx, known: Known, settings: RowSettings) -> RowContext:
    if not known.context:
        known.context.append(rows.read_context(tx, settings))
    return known.context[0]
