"""Counts the commits that changed each table, so that what was made of rows may be kept while they are the same.

A table's count rises before whoever changed it is told that the change is durable: who has been told never gets what
was made of the old rows.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

STATEMENTS_KNOWN = 4_096
EVERY_TABLE = "*"
_READS = re.compile(r"\s*SELECT\b", re.IGNORECASE)
_WRITES = re.compile(r"\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(\w+)", re.IGNORECASE)


@lru_cache(STATEMENTS_KNOWN)
def changed_table(sql: str) -> str | None:
    """The table that a statement changes: None for one that reads, EVERY_TABLE where that cannot be told."""
    if _READS.match(sql):
        return None
    found = _WRITES.match(sql)
    return EVERY_TABLE if found is None else found[1]


Version = tuple[int, ...]


class Changes:
    """How often each table was changed since the start."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def count(self, tables: Iterable[str]) -> None:
        """A commit changed these."""
        for table in tables:
            self._counts[table] = self._counts.get(table, 0) + 1

    def version(self, tables: tuple[str, ...]) -> Version:
        """A value that is the same only as long as none of these tables changes."""
        counts = self._counts
        return (counts.get(EVERY_TABLE, 0), *[counts.get(table, 0) for table in tables])
