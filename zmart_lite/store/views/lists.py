"""The lists of the contract, page by page, each in the order of an index."""

from typing import NamedTuple, get_args

from zmart_lite.models import ChainEvent, SharesBought, SharesSold, VoteType
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.engine.paging import Counts, Listing, Page, Query, list_keys, list_page
from zmart_lite.store.log.chainlog import FIRST_SLOT, LAST_SLOT
from zmart_lite.store.state.search import folded, matching_markets
from zmart_lite.store.state.votes import VOTE_COLUMNS, VOTE_JOINS
from zmart_lite.store.views.holdings import POSITION_COLUMNS, POSITION_JOINS
from zmart_lite.store.views.rows import (
    EVENT_COLUMNS,
    EVENT_JOINS,
    EVENT_SELECT,
    MARKET_COLUMNS,
    MARKET_JOINS,
    TRADE_COLUMNS,
    TRADE_JOINS,
    Json,
    MarketRef,
    RowSettings,
    event_row,
    read_context,
)


class Span(NamedTuple):
    """Unix seconds from (inclusive) and to (exclusive); None = open."""

    from_s: int | None = None
    to_s: int | None = None

    @classmethod
    def of_ms(cls, from_ms: int | None, to_ms: int | None) -> "Span":
        """The whole seconds t with from ≤ t < to."""
        return cls(None if from_ms is None else -(-from_ms // 1_000), None if to_ms is None else -(-to_ms // 1_000))


EVENT_TYPES = tuple(dict.fromkeys(kind.__name__.removesuffix("Legacy") for kind in get_args(ChainEvent)))
"""Names of the program's events."""
TRADE_TYPES = (SharesBought.__name__, SharesSold.__name__)
"""As the column is_trade has them."""


class Conditions:
    """WHERE conditions with their parameters, collected one by one."""

    def __init__(self, *always: str) -> None:
        self.where: list[str] = list(always)
        self.params: list[object] = []

    def add(self, condition: str, *values: object) -> None:
        self.where.append(condition)
        self.params += values

    def add_given(self, condition: str, value: object) -> None:
        """Only for a filter that was given."""
        if value is not None:
            self.add(condition, value)


# Markets


class MarketFilter(NamedTuple):
    """``creator``: 32 bytes. ``words``: part of the question. ``ready``: only those that wait for approval."""

    state: int | None = None
    category: str | None = None
    creator: bytes | None = None
    words: str | None = None
    ready: bool | None = None
    include_hidden: bool = False


_MARKET_ROWS = f"SELECT m.id AS page_key, {MARKET_COLUMNS} FROM markets m{MARKET_JOINS}"
MARKET_SORTS = {
    "newest": Query("m.id", "markets m", ("m.created_at", "m.id"), _MARKET_ROWS),
    "volume": Query("m.id", "markets m", ("m.total_volume", "m.id"), _MARKET_ROWS),
    "ending_soon": Query("m.id", "markets m", ("m.listed_end_date", "m.id"), _MARKET_ROWS, descending=False),
}


TRANSACTION_EVENTS_MAX = 64
"""Events of one transaction that an answer shows; a transaction of 1232 bytes cannot cause more."""
MARKETS_WALKED_OVER = 500
"""With more matches than this, walking the order's index meets a page of them sooner than sorting all of them."""


def list_market_keys(tx: Tx, wanted: MarketFilter, sort: str, page: Page, counts: Counts | None = None) -> Listing:
    """Keys of markets, see paging.list_keys. ``ending_soon``: those whose end is not known come last."""
    found = _market_conditions(tx, wanted, walked=False)
    # The newest first is the order of the filters' own indexes as well.
    walked = None if sort == "newest" else _market_conditions(tx, wanted, walked=True).where
    query = MARKET_SORTS[sort]
    return list_keys(tx, query, found.where, found.params, page, walked, MARKETS_WALKED_OVER, counts)


def _market_conditions(tx: Tx, wanted: MarketFilter, *, walked: bool) -> Conditions:
    """``walked``: in words that no index of a filter answers, see list_page."""
    state, category = ("(m.state + 0)", "(m.listed_category || '')") if walked else ("m.state", "m.listed_category")
    conditions = Conditions("m.known = 1")
    if not wanted.include_hidden:
        conditions.add("m.hidden = 0")
    if wanted.state is not None:
        # Not as a parameter: with indexes of single states SQLite would compile the statement anew for each value.
        conditions.add(f"{state} = {wanted.state:d}")
    conditions.add_given(f"{category} = ?", wanted.category)
    conditions.add_given("m.creator = (SELECT id FROM wallets WHERE address = ?)", wanted.creator)
    if wanted.ready is not None:
        ready = "m.ready_for_approval = 1 AND m.state = 0"
        conditions.add(ready if wanted.ready else f"NOT ({ready})")
    if wanted.words is not None:
        found, values = matching_markets(tx, wanted.words)
        conditions.add(f"m.id IN ({found})", *values)
    return conditions


# Trades

_CHAIN_ORDER = ("e.slot", "e.index_in_block", "e.id")
_TRADES = Query(
    "e.id", "events e", _CHAIN_ORDER, f"SELECT e.id AS page_key, {TRADE_COLUMNS} FROM trades t{TRADE_JOINS}"
)


def list_trades(
    tx: Tx,
    page: Page,
    *,
    market: int | None = None,
    wallet: bytes | None = None,
    span: Span = Span(),  # noqa: B008 - an immutable value
    descending: bool = True,
) -> Listing:
    """Rows of rows.TRADE_SELECT in chain order. ``market``: the key of its row."""
    conditions = Conditions("e.is_trade = 1")
    conditions.add_given("e.market = ?", market)
    conditions.add_given("e.wallet = (SELECT id FROM wallets WHERE address = ?)", wallet)
    _add_span(conditions, span)
    return list_page(tx, _TRADES._replace(descending=descending), conditions.where, conditions.params, page)


def _add_span(conditions: Conditions, span: Span) -> None:
    """A time range, also as the range of slots that goes with it, which the index of the order knows."""
    if span.from_s is not None:
        conditions.add(f"e.timestamp >= ? AND e.slot >= {FIRST_SLOT}", span.from_s, span.from_s)
    if span.to_s is not None:
        conditions.add(f"e.timestamp < ? AND e.slot <= {LAST_SLOT}", span.to_s, span.to_s)


# Events

_EVENTS = Query(
    "e.id", "events e", _CHAIN_ORDER, f"SELECT e.id AS page_key, {EVENT_COLUMNS} FROM events e{EVENT_JOINS}"
)


class EventFilter(NamedTuple):
    """``types``: names of events, any of them. ``market``: the key of its row. ``signature``: 64 bytes. ``to_slot`` is
    the first slot that is left out.
    """

    types: tuple[str, ...] = ()
    market: int | None = None
    wallet: bytes | None = None
    signature: bytes | None = None
    words: str | None = None
    span: Span = Span()
    from_slot: int | None = None
    to_slot: int | None = None


def list_events(tx: Tx, wanted: EventFilter, page: Page, *, descending: bool = True) -> Listing:
    """Rows of EVENT_SELECT in chain order: slot, index in block, event index."""
    query = _EVENTS._replace(descending=descending, source="event_log e" if _has_two_parts(wanted) else "events e")
    found = _event_conditions(tx, wanted, walked=False)
    walked = _event_conditions(tx, wanted, walked=True).where
    return list_page(tx, query, found.where, found.params, page, walked)


def _is_of_one(wanted: EventFilter) -> bool:
    """Whether the index of a market or of a wallet leads to the events: their trades first, then the rest."""
    return wanted.signature is None and (wanted.market is not None or wanted.wallet is not None)


def _has_two_parts(wanted: EventFilter) -> bool:
    """Whether the types that are wanted, or all of them, are among the trades and among the rest."""
    return _is_of_one(wanted) and len({name in TRADE_TYPES for name in wanted.types}) != 1


def _event_conditions(tx: Tx, wanted: EventFilter, *, walked: bool) -> Conditions:
    """``walked``: only what narrows the log down in its order is left to the indexes, see list_page."""
    conditions = Conditions()
    # A type is shared by a large part of the log, a market or a wallet hardly ever: their indexes are the better ones.
    narrow = wanted.market is not None or wanted.wallet is not None or wanted.signature is not None
    by_order = walked and len(wanted.types) > 1
    if wanted.types:
        column = "(e.event_type || '')" if narrow or by_order else "e.event_type"
        conditions.add(f"{column} IN ({', '.join('?' * len(wanted.types))})", *wanted.types)
        if _is_of_one(wanted) and not _has_two_parts(wanted):
            conditions.add(f"e.is_trade = {int(wanted.types[0] in TRADE_TYPES)}")
    # A transaction has few events: with it, no other index is to be gone through.
    alone = " + 0" if wanted.signature is not None else ""
    conditions.add_given(f"(e.market{alone}) = ?", wanted.market)
    if wanted.words is not None:
        _add_search(tx, conditions, wanted.words, walked=walked)
    conditions.add_given(f"(e.wallet{alone}) = (SELECT id FROM wallets WHERE address = ?)", wanted.wallet)
    conditions.add_given("e.transaction_id = (SELECT id FROM transactions WHERE signature = ?)", wanted.signature)
    conditions.add_given("e.slot >= ?", wanted.from_slot)
    conditions.add_given("e.slot < ?", wanted.to_slot)
    _add_span(conditions, wanted.span)
    return conditions


def _add_search(tx: Tx, conditions: Conditions, words: str, *, walked: bool) -> None:
    """Events whose type or whose market's question holds the words."""
    types = [name for name in EVENT_TYPES if folded(words) in folded(name)]
    found, values = matching_markets(tx, words)
    marks = ", ".join("?" * len(types)) or "NULL"
    type_, market = ("(e.event_type || '')", "(e.market + 0)") if walked else ("e.event_type", "e.market")
    conditions.add(f"({type_} IN ({marks}) OR {market} IN ({found}))", *types, *values)


# Votes

_VOTES = Query(
    "v.id",
    "votes v",
    ("v.id",),
    f"SELECT v.id AS page_key, {VOTE_COLUMNS} FROM votes v{VOTE_JOINS}",
)


def list_votes(
    tx: Tx, page: Page, *, market: int | None = None, wallet: bytes | None = None, kind: VoteType | None = None
) -> Listing:
    """Rows of votes.VOTE_SELECT, newest first."""
    conditions = Conditions()
    conditions.add_given("v.market = ?", market)
    conditions.add_given("v.wallet = (SELECT id FROM wallets WHERE address = ?)", wallet)
    conditions.add_given("v.kind = ?", None if kind is None else int(kind))
    return list_page(tx, _VOTES, conditions.where, conditions.params, page)


# Positions

_POSITION_ROWS = f"SELECT p.id AS page_key, {POSITION_COLUMNS} FROM positions p{POSITION_JOINS}"
_BY_HOLDING = Query("p.id", "positions p", ("p.holding", "p.id"), _POSITION_ROWS)
_OF_WALLET = Query("p.id", "positions p JOIN markets m ON m.id = p.market", ("p.market",), _POSITION_ROWS)


def list_market_positions(tx: Tx, market: int, page: Page) -> Listing:
    """Rows of holdings.POSITION_SELECT, the largest holding (both sides together) first."""
    return list_page(tx, _BY_HOLDING, ["p.market = ?"], [market], page)


def list_wallet_positions(
    tx: Tx, wallet: bytes, page: Page, *, market: MarketRef | None = None, state: int | None = None
) -> Listing:
    """Rows of holdings.POSITION_SELECT of one wallet, its newest markets first."""
    conditions = Conditions()
    conditions.add("p.wallet = (SELECT id FROM wallets WHERE address = ?)", wallet)
    conditions.add_given("m.state = ?", state)
    if market is not None:
        conditions.add(f"m.{market.column} = ?", market.value)
    return list_page(tx, _OF_WALLET, conditions.where, conditions.params, page)


# Alerts and snapshots

_ALERTS = Query("a.id", "alerts a", ("a.id",), "SELECT a.id AS page_key, a.* FROM alerts a")


class AlertFilter(NamedTuple):
    status: str | None = None
    severity: str | None = None
    alert_type: str | None = None
    market_id: bytes | None = None


def list_alerts(tx: Tx, wanted: AlertFilter, page: Page) -> Listing:
    """Rows of alerts, newest first."""
    conditions = Conditions()
    conditions.add_given("a.status = ?", wanted.status)
    conditions.add_given("a.severity = ?", wanted.severity)
    conditions.add_given("a.alert_type = ?", wanted.alert_type)
    conditions.add_given("a.subject = ?", None if wanted.market_id is None else wanted.market_id.hex())
    return list_page(tx, _ALERTS, conditions.where, conditions.params, page)


_SNAPSHOTS = Query("s.id", "snapshots s", ("s.snapshot_date",), "SELECT s.id AS page_key, s.* FROM snapshots s")


def list_snapshots(tx: Tx, market: int, page: Page) -> Listing:
    """Rows of snapshots, newest first."""
    return list_page(tx, _SNAPSHOTS, ["s.market = ?"], [market], page)


def list_transaction_events(tx: Tx, signature: bytes, settings: RowSettings) -> list[Json]:
    """EventRows of one transaction, in their order."""
    context = read_context(tx, settings)
    found = tx.all(
        f"{EVENT_SELECT} WHERE x.signature = ? ORDER BY e.event_index LIMIT ?", (signature, TRANSACTION_EVENTS_MAX)
    )
    return [event_row(row, context) for row in found]
