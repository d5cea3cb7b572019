"""Pages of a list by key: each page starts behind the sort values of the row before it, so that rows inserted meanwhile
neither repeat nor hide others, and page 1000 costs what page 1 costs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from zmart_lite.store.db import Row, Tx

COUNT_MAX = 10_000
"""Counting a list stops here."""


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
    """A list: ``keys`` selects the rows' primary key ``id`` and sort columns from an index, ``rows`` joins the rest.

    ``source`` is ``table alias [JOIN …]``, ``where`` its conditions, ``order`` the sort columns (unique together),
    all in one direction. ``rows`` is a SELECT that ends in ``FROM page JOIN … ON … = page.key`` with ``page`` as the
    keys of the page.
    """

    key: str
    source: str
    order: tuple[str, ...]
    rows: str
    descending: bool = True


def list_page(tx: Tx, query: Query, where: Sequence[str], params: Sequence[Any], page: Page) -> Listing:
    """One page of a list, in its order."""
    total = _count(tx, query, where, params)
    if page.limit == 0:
        return Listing([], min(total, COUNT_MAX), total > COUNT_MAX, total > page.offset, None)
    sql, values = _page_sql(query, where, params, page)
    rows = tx.all(sql, values)
    has_more = len(rows) > page.limit
    rows = rows[: page.limit]
    last = tuple(rows[-1][f"sort_{i}"] for i in range(len(query.order))) if rows else None
    return Listing(rows, min(total, COUNT_MAX), total > COUNT_MAX, has_more, last)


def _count(tx: Tx, query: Query, where: Sequence[str], params: Sequence[Any]) -> int:
    sql = f"SELECT count(*) FROM (SELECT 1 FROM {query.source}{_where(where)} LIMIT {COUNT_MAX + 1}) counted"
    return int(tx.value(sql, params))


def _page_sql(query: Query, where: Sequence[str], params: Sequence[Any], page: Page) -> tuple[str, list[Any]]:
    direction, sign = ("DESC", "<") if query.descending else ("ASC", ">")
    conditions, values = list(where), list(params)
    if page.after is not None:
        conditions.append(f"({', '.join(query.order)}) {sign} ({', '.join('?' * len(query.order))})")
        values += page.after
    columns = ", ".join(f"{column} AS sort_{i}" for i, column in enumerate(query.order))
    inner = ", ".join(f"{column} {direction}" for column in query.order)
    outer = ", ".join(f"sort_{i} {direction}" for i in range(len(query.order)))
    # One row more than asked for tells whether there are more.
    values += [page.limit + 1, 0 if page.after is not None else page.offset]
    sql = (
        f"WITH page AS (SELECT {query.key} AS page_key, {columns} FROM {query.source}{_where(conditions)}"
        f" ORDER BY {inner} LIMIT ? OFFSET ?) {query.rows} ORDER BY {outer}"
    )
    return sql, values


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
