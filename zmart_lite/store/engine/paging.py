"""Pages of a list by key: each page starts behind the sort values of the row before it, so that rows inserted meanwhile
neither repeat nor hide others, and page 1000 costs what page 1 costs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from zmart_lite.store.engine.db import Row, Tx

COUNT_MAX = 10_000
"""Counting a list stops here."""


Counts = dict[tuple[Any, ...], int]
"""Numbers of matches by source, conditions and their values."""


class Page(NamedTuple):
    """At most ``limit`` rows, after leaving out ``offset`` or behind the row with the sort values ``after``."""

    limit: int
    offset: int = 0
    after: tuple[Any, ...] | None = None


class Listing(NamedTuple):
    """One page. ``last``: the sort values of its last row, None for an empty page."""

    rows: list[Row]
    total_count: int
    total_capped: bool
    has_more: bool
    last: tuple[Any, ...] | None


class Query(NamedTuple):
    """A list in two steps: the keys of a page come from an index, then their rows, in no order, from wherever they lie.

    ``source`` is ``table alias [JOIN …]`` for the first step and ``order`` its sort columns (unique together, all in
    one direction). ``rows`` is the second step's SELECT, without WHERE, with the key as its column ``page_key``.
    """

    key: str
    source: str
    order: tuple[str, ...]
    rows: str
    descending: bool = True


def list_page(
    tx: Tx,
    query: Query,
    where: Sequence[str],
    params: Sequence[Any],
    page: Page,
    walked: Sequence[str] | None = None,
    walk_over: int = COUNT_MAX,
) -> Listing:
    """One page of a list, in its order; the rest as of :func:`list_keys`."""
    found = list_keys(tx, query, where, params, page, walked, walk_over)
    return found._replace(rows=rows_of(tx, query, [key[0] for key in found.rows]))


def list_keys(
    tx: Tx,
    query: Query,
    where: Sequence[str],
    params: Sequence[Any],
    page: Page,
    walked: Sequence[str] | None = None,
    walk_over: int = COUNT_MAX,
    counts: Counts | None = None,
) -> Listing:
    """The first step of a page alone: its rows are those of the index, the key first.

    ``walked``: the same conditions in words that no index answers. With more matches than ``walk_over`` the order's own
    index is walked until the page is full, where an index of the condition would find all of them and sort them.
    ``counts``: what has been counted already and still holds; what is counted now is added.
    """
    counted = (query.source, tuple(where), tuple(params))
    total = None if counts is None else counts.get(counted)
    if total is None:
        total = _count(tx, query, where, params)
        if counts is not None:
            counts[counted] = total
    if walked is not None and total > walk_over:
        where = walked
    count, capped = min(total, COUNT_MAX), total > COUNT_MAX
    if page.limit == 0:
        return Listing([], count, capped, total > page.offset, None)
    keys = _keys(tx, query, where, params, page)
    has_more, keys = len(keys) > page.limit, keys[: page.limit]
    last = tuple(keys[-1])[1:] if keys else None
    return Listing(keys, count, capped, has_more, last)


def _count(tx: Tx, query: Query, where: Sequence[str], params: Sequence[Any]) -> int:
    sql = f"SELECT count(*) FROM (SELECT 1 FROM {query.source}{_where(where)} LIMIT {COUNT_MAX + 1}) counted"
    return int(tx.value(sql, params))


def _keys(tx: Tx, query: Query, where: Sequence[str], params: Sequence[Any], page: Page) -> list[Row]:
    """Key and sort values of the page's rows, and of one more, which tells whether there are more.

    The limit is part of the statement: SQLite compiles one with ``LIMIT ?`` anew each time, to plan by the value.
    """
    direction, sign = ("DESC", "<") if query.descending else ("ASC", ">")
    conditions, values = list(where), list(params)
    if page.after is not None:
        conditions.append(f"({', '.join(query.order)}) {sign} ({', '.join('?' * len(query.order))})")
        values += page.after
    order = ", ".join(f"{column} {direction}" for column in query.order)
    values.append(0 if page.after is not None else page.offset)
    columns = ", ".join((query.key, *query.order))
    sql = f"SELECT {columns} FROM {query.source}{_where(conditions)} ORDER BY {order} LIMIT {page.limit + 1:d} OFFSET ?"
    return tx.all(sql, values)


def rows_of(tx: Tx, query: Query, keys: list[Any]) -> list[Row]:
    """The second step of a page: the rows with these keys, in their order."""
    if not keys:
        return []
    found = tx.all(f"{query.rows} WHERE {query.key} IN ({', '.join('?' * len(keys))})", keys)
    by_key = {row["page_key"]: row for row in found}
    return [by_key[key] for key in keys]


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
