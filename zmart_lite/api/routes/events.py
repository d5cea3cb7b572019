"""The program's events as they were indexed, and alerts (contract 2.9)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zmart_lite.api.contract import parsers
from zmart_lite.api.contract.endpoints import Endpoint, Level
from zmart_lite.api.contract.naming import path_market
from zmart_lite.api.contract.pages import page_fields, page_of
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import REQUIRED, PageFields, Parser, Problems, check_span, field, page_limit
from zmart_lite.api.openapi import examples
from zmart_lite.chain.transactions import signature_of
from zmart_lite.errors import NotFound, UndecodableData
from zmart_lite.models import SEVERITIES
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.engine.paging import Listing
from zmart_lite.store.state.alerts import find_alert
from zmart_lite.store.views import lists, lookups, rows
from zmart_lite.store.views.lists import EVENT_TYPES, AlertFilter, EventFilter, Span
from zmart_lite.store.views.rows import Json, MarketRef

EVENTS_MAX = 500
SLOT_MAX = 2**63 - 1
DATE_RANGE_MAX_MS = 31 * 86_400_000
SEARCH_LENGTH_MIN, SEARCH_LENGTH_MAX = 3, 100
ALERT_TYPE_LENGTH_MAX = 64
ROW_ID_DIGITS = 18
BY_NAME = {name.lower(): name for name in EVENT_TYPES}


def _event_types(value: Any) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) and len(value) <= 1_000 else []
    found = tuple(BY_NAME.get(name.strip().lower(), "") for name in names)
    if not found or "" in found:
        raise ValueError(f"must be names of events ({', '.join(EVENT_TYPES)}), separated by commas")
    return tuple(sorted(set(found)))


event_types = Parser(
    _event_types,
    {"type": "string", "description": "Names of events, separated by commas.", "examples": ["SharesBought"]},
)


def _signature(value: Any) -> bytes:
    try:
        return signature_of(value)
    except UndecodableData:
        raise ValueError("must be a transaction signature (base58 of 64 bytes)") from None


signature_parser = Parser(_signature, {"type": "string", "pattern": "^[1-9A-HJ-NP-Za-km-z]{64,88}$"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedQuery(PageFields):
    limit: int = page_limit(100, EVENTS_MAX)
    order: str = field(parsers.word("desc", "asc"), "desc")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsQuery(OrderedQuery):
    event_type: tuple[str, ...] = field(event_types, ())
    market_id: MarketRef | None = field(parsers.market_ref, None)
    wallet: bytes | None = field(parsers.wallet, None)
    signature: bytes | None = field(signature_parser, None, help="Only those of this transaction.")
    from_slot: int | None = field(parsers.integer(0, SLOT_MAX), None, help="First slot.", example=1)
    to_slot: int | None = field(parsers.integer(0, SLOT_MAX), None, help="Slot before which to end.", example=2**40)
    from_: int | None = field(parsers.time_ms, None, name="from")
    to: int | None = field(parsers.time_ms, None)

    def check(self) -> Problems:
        yield from PageFields.check(self)
        if self.from_slot is not None and self.to_slot is not None and self.from_slot > self.to_slot:
            yield "to_slot", "must not be before from_slot"
        yield from check_span(self.from_, self.to)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedQuery(EventsQuery):
    from_: int = field(parsers.time_ms, REQUIRED, name="from")
    to: int = field(parsers.time_ms, REQUIRED)

    def check(self) -> Problems:
        yield from EventsQuery.check(self)
        if self.to - self.from_ > DATE_RANGE_MAX_MS:
            yield "to", "must be at most 31 days after from"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery(OrderedQuery):
    q: str = field(
        parsers.plain_text(SEARCH_LENGTH_MIN, SEARCH_LENGTH_MAX), help="Part of what is looked for.", example="rain"
    )


async def _answer(request: Request, fields: OrderedQuery, find: Callable[[Tx], EventFilter], *scope: object) -> Json:
    asked = page_of(request, "events", fields, *scope)

    def run(tx: Tx) -> tuple[Listing, list[Json]]:
        found = lists.list_events(tx, find(tx), asked.page, descending=fields.order == "desc")
        context = rows.read_context(tx, request.shared.rows)
        return found, [rows.event_row(row, context) for row in found.rows]

    found, events = await request.read(run)
    return {"events": events, **page_fields(request, asked, found)}


def _filter(
    tx: Tx, fields: EventsQuery, market: MarketRef | None = None, types: tuple[str, ...] | None = None
) -> EventFilter:
    """``market`` and ``types`` of a path stand for those of the query."""
    ref = market or fields.market_id
    return EventFilter(
        types=types or fields.event_type,
        market=None if ref is None else lookups.get_market(tx, ref)["id"],
        wallet=fields.wallet,
        signature=fields.signature,
        from_slot=fields.from_slot,
        to_slot=fields.to_slot,
        span=Span.of_ms(fields.from_, fields.to),
    )


async def events(request: Request, fields: EventsQuery) -> Json:
    return await _answer(request, fields, lambda tx: _filter(tx, fields))


async def market_events(request: Request, fields: EventsQuery) -> Json:
    ref = path_market(request)
    return await _answer(request, fields, lambda tx: _filter(tx, fields, market=ref), ref)


async def events_by_type(request: Request, fields: EventsQuery) -> Json:
    name = BY_NAME.get(request.params["event_type"].lower())
    if name is None:
        raise NotFound("There is no such type of event.")
    return await _answer(request, fields, lambda tx: _filter(tx, fields, types=(name,)), name)


async def search(request: Request, fields: SearchQuery) -> Json:
    return await _answer(request, fields, lambda tx: _search_filter(tx, fields.q), "search")


def _search_filter(tx: Tx, text: str) -> EventFilter:
    """A signature, wallet or market exactly; else part of a type's name or of the market's question."""
    try:
        return EventFilter(signature=signature_of(text))
    except UndecodableData:
        pass  # no signature: it may be one of the other things
    ref = parsers.find_market_ref(text)
    if ref is None:
        return EventFilter(words=text)
    market = tx.value(f"SELECT id FROM markets WHERE {ref.column} = ?", (ref.value,))
    if market is not None or ref.column == "market_id":
        return EventFilter(market=market or 0)
    return EventFilter(wallet=ref.value)


# Alerts


def _alert_type(value: Any) -> str:
    if not isinstance(value, str) or len(value) > ALERT_TYPE_LENGTH_MAX:
        raise ValueError("must be the type of an alert")
    return value.lower()


alert_type_parser = Parser(_alert_type, {"type": "string", "maxLength": ALERT_TYPE_LENGTH_MAX})
severity_parser = parsers.word(*(name.lower() for name in SEVERITIES))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsQuery(PageFields):
    status: str | None = field(parsers.optional_filter(parsers.word("open", "acknowledged", "resolved")), None)
    severity: str | None = field(parsers.optional_filter(severity_parser), None)
    alert_type: str | None = field(parsers.optional_filter(alert_type_parser), None)
    market_id: MarketRef | None = field(parsers.market_ref, None)


async def alerts(request: Request, fields: AlertsQuery) -> Json:
    asked = page_of(request, "alerts", fields)

    def run(tx: Tx) -> Listing:
        market = None if fields.market_id is None else lookups.get_market(tx, fields.market_id)["market_id"]
        severity = None if fields.severity is None else fields.severity.upper()
        return lists.list_alerts(tx, AlertFilter(fields.status, severity, fields.alert_type, market), asked.page)

    found = await request.read(run)
    shown = [rows.alert_row(row, with_data=request.is_read_admin) for row in found.rows]
    return {"alerts": shown, **page_fields(request, asked, found)}


async def one_alert(request: Request, _: None) -> Json:
    text = request.params["id"]

    def run(tx: Tx) -> Json:
        is_id = text.isascii() and text.isdigit() and len(text) <= ROW_ID_DIGITS
        row = find_alert(tx, int(text)) if is_id else None
        if row is None:
            raise NotFound("There is no such alert.")
        return rows.alert_row(row, with_data=request.is_read_admin)

    return await request.read(run)


_EVENTS = {"events": [examples.EVENT], **examples.PAGE}

ENDPOINTS = (
    *(
        Endpoint("GET", path, handler, summary, fields=fields, answer=_EVENTS, tag="events")
        for path, handler, summary, fields in (
            ("/api/events", events, "Events in chain order", EventsQuery),
            ("/api/events/by-date", events, "Events of a range of time", DatedQuery),
            ("/api/events/search", search, "Events that belong to what is looked for", SearchQuery),
            ("/api/events/by-type/{event_type}", events_by_type, "Events of one type", EventsQuery),
            ("/api/events/{market}", market_events, "Events of a market", EventsQuery),
            ("/api/markets/{id}/events", market_events, "Events of a market", EventsQuery),
        )
    ),
    Endpoint(
        "GET",
        "/api/alerts",
        alerts,
        "Alerts",
        level=Level.WALLET_OR_KEY,
        fields=AlertsQuery,
        answer={"alerts": [examples.ALERT], **examples.PAGE},
        tag="alerts",
    ),
    Endpoint(
        "GET",
        "/api/alerts/{id}",
        one_alert,
        "One alert",
        level=Level.WALLET_OR_KEY,
        answer=examples.ALERT,
        tag="alerts",
    ),
)
