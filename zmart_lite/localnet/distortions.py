"""Answers that are well formed and wrong, as nodes of a cluster give them now and then: for ``localnet_failNext``.

Histories that skip or repeat, pages shorter than asked for, times and places that are not told, things a lagging node
does not know. Whoever indexes a chain has to come out right in spite of them.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

LEFT_OUT_EVERY = 3
"""A history that skips leaves out every third row."""

Change = Callable[[Any], Any]


def _history(change: Callable[[list[Any]], list[Any]]) -> Change:
    """A change of answers that are rows of an address's history; others stay as they are."""
    return lambda result: change(result) if isinstance(result, list) else result


def _without(name: str) -> Change:
    """Set one field to null wherever it stands at the top of the answer or of its rows."""

    def change(result: Any) -> Any:
        for row in result if isinstance(result, list) else [result]:
            if isinstance(row, dict) and name in row:
                row[name] = None
        return result

    return change


def _skip(rows: list[Any]) -> list[Any]:
    return [row for number, row in enumerate(rows) if number % LEFT_OUT_EVERY]


def _repeat(rows: list[Any]) -> list[Any]:
    """Every row twice, and the rows of a slot in the opposite order."""
    doubled = [row for row in reversed(rows) for _ in range(2)]
    return sorted(doubled, key=lambda row: -row["slot"])


def _shorten(rows: list[Any]) -> list[Any]:
    return rows[: (len(rows) + 1) // 2]


def _forget(result: Any) -> Any:
    """The answer of a node that does not know what it was asked for."""
    if isinstance(result, dict) and "value" in result:
        value = result["value"]
        return result | {"value": [None] * len(value) if isinstance(value, list) else None}
    return [] if isinstance(result, list) else None


CHANGES: dict[str, Change] = {
    "no_block_times": _without("blockTime"),
    "no_places": _without("transactionIndex"),
    "repeats": _history(_repeat),
    "short_pages": _history(_shorten),
    "skips": _history(_skip),
    "unknown": _forget,
}


def distorter(change: Change) -> Callable[[Request, Callable[[], bytes]], Awaitable[Response]]:
    """A failure for ``localnet_failNext`` that changes the result of each call in the request."""

    async def distort(_request: Request, answer: Callable[[], bytes]) -> Response:
        found = msgspec.json.decode(answer() or b"null")
        for one in found if isinstance(found, list) else [found]:
            if isinstance(one, dict) and "result" in one:
                one["result"] = change(one["result"])
        return Response(msgspec.json.encode(found), media_type="application/json; charset=utf-8")

    return distort
