"""What an answer costs does not grow with what is stored: every route that reads, with its filters, is asked in a small
database and in one with ten times as much of everything. Cost is what the database's own machine counts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.api.harness import ADMIN, ALICE, SERVICE_KEY, START_MS, address, api_node
from tests.api.masses import fill, market_id, signature, wallet
from zmart_lite.api import list_endpoints
from zmart_lite.shown import address_text, signature_text
from zmart_lite.store.engine import reading
from zmart_lite.store.engine.paging import list_page
from zmart_lite.store.state import people
from zmart_lite.store.views import holdings, lists, operations

FEW, MANY = 40, 400
COUNTED = 15
"""Stands for the limits up to which things are counted, sorted and summed."""
STEPS = 20
GROWTH_MAX, SLACK_STEPS = 1.6, 600

FIRST, OTHER = market_id(1).hex(), market_id(2).hex()
OWN, STRANGER = address(ALICE), address_text(wallet(3))
PAGES = ("", "offset=10")
LATE = "from=2025-11-23T00:00:00Z"
EARLY = "to=2025-11-24T00:00:00Z"
LANDED = signature_text(signature(7))
EVENTS = (
    *("", "order=asc", f"wallet={OWN}", "event_type=SharesBought", "event_type=SharesBought,MarketResolved"),
    *(f"event_type=SharesBought&wallet={OWN}", LATE, EARLY, f"{LATE}&{EARLY}", f"{EARLY}&event_type=SharesBought"),
    *("from_slot=1010", "to_slot=1030", "from_slot=1010&to_slot=1030&event_type=SharesBought", f"signature={LANDED}"),
)
LISTS = {
    "/api/markets": (
        *("", "state=ACTIVE", "category=sports", "state=ACTIVE&category=sports", f"creator={OWN}"),
        *(f"creator={OWN}&state=ACTIVE", "sort=volume", "sort=ending_soon", "sort=volume&state=ACTIVE"),
        *("ready_for_approval=true", "sort=ending_soon&category=sports", "q=00012", "offset=10"),
    ),
    "/api/markets/activity": ("", "type=trade", "type=resolution", "type=creation"),
    "/api/markets/{id}/trades": ("", "order=asc", f"user={OWN}", LATE, EARLY, f"{LATE}&{EARLY}"),
    "/api/markets/{id}/votes": ("", "type=dispute"),
    "/api/markets/{id}/positions": PAGES,
    "/api/markets/{id}/snapshots": PAGES,
    "/api/markets/{id}/price-history": (
        *("", "interval=max", "fidelity=60", "fidelity=90&ohlc=true", "fidelity=1&ohlc=true"),
        *("interval=1d", f"{LATE}&{EARLY}", f"{LATE}&{EARLY}&fidelity=1440&ohlc=true"),
    ),
    "/api/markets/{id}/voting": ("", "type=proposal", "type=dispute"),
    "/api/markets/{id}/discussions": ("", "parent_id=1"),
    "/api/markets/{id}/events": EVENTS,
    "/api/votes/{market}/progress": ("", "type=dispute"),
    "/api/users/{wallet}/trades": PAGES,
    "/api/users/{wallet}/votes": ("", "type=proposal", "type=dispute"),
    "/api/users/{wallet}/positions": ("", f"market_id={FIRST}", "state=ACTIVE"),
    "/api/positions/{wallet}": ("", f"market_id={FIRST}", "state=ACTIVE"),
    "/api/trades/history": ("", f"market_id={FIRST}"),
    "/api/discussions/{market}": ("", "parent_id=1", "offset=10"),
    "/api/events": (*EVENTS, f"market_id={FIRST}", f"market_id={FIRST}&event_type=SharesBought&wallet={OWN}"),
    "/api/events/by-date": tuple(f"{LATE}&{EARLY}&{query}" for query in (*EVENTS, f"market_id={FIRST}")),
    "/api/events/search": ("q=00012", f"q={OWN}", f"q={FIRST}", "q=sharesbought", "q=00012&order=asc"),
    "/api/events/by-type/{event_type}": (*EVENTS, f"market_id={FIRST}"),
    "/api/events/{market}": EVENTS,
    "/api/events/latest": (
        "",
        "after=3",
        f"since={START_MS}",
        "types=trade",
        f"market_id={FIRST}",
        f"market_id={FIRST}&types=trade",
    ),
    "/api/alerts": (
        *("", "status=open", "severity=LOW", "alert_type=stuck_market", f"market_id={FIRST}"),
        *("status=open&severity=LOW", "status=open&alert_type=stuck_market", f"status=open&market_id={FIRST}"),
    ),
    "/api/admin/discrepancies": ("", "open=true", "open=false", f"market_id={FIRST}", f"market_id={FIRST}&open=true"),
    "/api/admin/intents": (
        *("", "status=failed", "action=finalize_market", f"market_id={FIRST}", "status=failed&action=finalize_market"),
        f"market_id={FIRST}&status=failed",
    ),
    "/api/admin/dead-letters": ("", "open=true", "open=false"),
    "/api/admin/audit": (
        "",
        "action=job_run",
        LATE,
        f"{LATE}&action=job_run",
        f"wallet={address(ADMIN)}&{LATE}",
        f"wallet={address(ADMIN)}&action=job_run&to=2027-01-01T00:00:00Z",
    ),
}
"""Routes with the filters that matter, each as a query. All others are asked plainly."""

ELSEWHERE = {
    *("/", "/docs", "/docs/{file}", "/openapi.json", "/favicon.ico", "/api/stream", "/runbooks/{alert_type}"),
    "/api/markets/{id}/picture",  # its chart reads a bounded number of points, and the picture is kept
    *("/api/admin/jobs/{name}/progress", "/api/admin/logs/stream"),
    *("/static/{part1}", "/static/{part1}/{part2}", "/static/{part1}/{part2}/{part3}"),
    *(
        "/api/trades/estimate",
        "/api/markets/{id}/quote",
        "/api/users/{wallet}/balance",
        "/api/transactions/{signature}",
    ),
    *("/api/protocol", "/api/auth/nonce", "/status", "/metrics"),
}
"""No database, a market's own row only, or parts this node has not got; what /status reads, /ready reads too."""

NAMED = {"market": FIRST, "id": FIRST, "wallet": OWN, "event_type": "SharesBought", "name": "aggregate"}
ROWS = {"/api/alerts/{id}", "/api/admin/dead-letters/{id}"}


def addresses() -> Iterator[str]:
    """Every route that reads, with every query."""
    for endpoint in list_endpoints():
        if endpoint.method != "GET" or endpoint.path in ELSEWHERE:
            continue
        names = NAMED | ({"id": "3"} if endpoint.path in ROWS else {})
        path = endpoint.path.replace("{service}", "database").format(**names)
        if endpoint.path.endswith(("/votes", "/voting", "/progress")) and "users" not in path:
            path = path.replace(FIRST, OTHER)
        paged = endpoint.fields is not None and "limit" in endpoint.fields.__dataclass_fields__
        for query in LISTS.get(endpoint.path, ("",)):
            yield f"{path}?{query}&limit=5" if paged else f"{path}?{query}"


def smaller_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if what there is were far more than is ever counted, sorted or summed."""
    monkeypatch.setattr("zmart_lite.store.engine.paging.COUNT_MAX", COUNTED)
    monkeypatch.setattr(people, "COUNTED_MAX", COUNTED)
    monkeypatch.setattr(holdings, "POSITIONS_SUMMED_MAX", COUNTED)
    monkeypatch.setattr(lists, "MARKETS_WALKED_OVER", COUNTED)
    monkeypatch.setattr("zmart_lite.store.state.search.RARE_MAX", COUNTED)
    monkeypatch.setattr("zmart_lite.store.views.summaries.LOOKED_AT_MAX", COUNTED)
    monkeypatch.setattr("zmart_lite.store.log.chainlog.INBOX_COUNTED_MAX", COUNTED)
    for room in (lists, operations):
        monkeypatch.setattr(room, "list_page", partial(list_page, walk_over=COUNTED))


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """A function that tells how many steps the database took since it was last asked."""
    looks = 0

    def passed(_: float) -> Callable[[], bool]:
        def look() -> bool:
            nonlocal looks
            looks += 1
            return False

        return look

    def steps() -> int:
        nonlocal looks
        counted, looks = looks * STEPS, 0
        return counted

    with monkeypatch.context() as patch:
        patch.setattr(reading, "READ_STEPS", STEPS)
        patch.setattr(reading, "READ_AT_ONCE_STEPS", STEPS)
        patch.setattr(reading, "_passed", passed)
        yield steps


async def costs(folder: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> dict[str, int]:
    """Steps of every answer in a database with so many rows of everything."""
    found = {}
    async with api_node(folder) as node:
        await fill(node, rows)
        headers = {"X-Service-Key": SERVICE_KEY}
        with counting(monkeypatch) as steps:
            for path in addresses():
                response = await node.http.get(path, headers=node.bearer(ALICE) if "me" in path else headers)
                if response.status_code == 401:
                    response = await node.http.get(path, headers=node.bearer(ALICE))
                assert response.status_code in (200, 503 if "/ready" in path else 200), (path, response.text)
                found[path] = steps()
    return found


async def test_no_answer_costs_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smaller_limits(monkeypatch)
    (tmp_path / "few").mkdir()
    few = await costs(tmp_path / "few", monkeypatch, FEW)
    many = await costs(tmp_path / "many", monkeypatch, MANY)
    grown = {path: (few[path], many[path]) for path in few if many[path] > few[path] * GROWTH_MAX + SLACK_STEPS}
    assert not grown, "\n".join(f"{path}: {cost}" for path, cost in grown.items())
    assert sum(few.values()) > 50_000


def test_every_list_is_asked_with_its_filters() -> None:
    known = {endpoint.path: endpoint for endpoint in list_endpoints() if endpoint.method == "GET"}
    assert set(known) >= set(LISTS)
    plain = {"limit", "offset", "cursor"}
    for path, endpoint in known.items():
        if endpoint.fields is None or path in ELSEWHERE:
            continue
        names = {each.name for each in endpoint.fields.__dataclass_fields__.values()} - plain
        asked = {part.partition("=")[0] for query in LISTS.get(path, ()) for part in query.split("&")}
        asked |= {"market_id"} if "{market}" in path or "{id}" in path else set()
        assert {name.removesuffix("_") for name in names} - asked - {"include_hidden"} == set(), path


async def test_a_growing_read_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = []
    for rows in (FEW, MANY):
        async with api_node(tmp_path / str(rows)) as node:
            await fill(node, rows)
            with counting(monkeypatch) as steps:
                await node.store.read(lambda tx: tx.value("SELECT sum(slot) FROM events"), timeout_s=9)
                counted.append(steps())
    assert counted[1] > counted[0] * GROWTH_MAX + SLACK_STEPS
