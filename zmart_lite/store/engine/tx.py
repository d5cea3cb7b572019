"""What a unit of work sees of the database."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from zmart_lite.models import FeedMessage
from zmart_lite.store.engine.changes import changed_table

Row = Any
"""A result row, read by column name: ``row["slot"]``."""


def _never() -> bool:
    return False


class Shared(NamedTuple):
    """What all units of work of a store have in common. ``is_awaited`` tells whether others wait for the running one to
    end; ``wallet_keys``: keys of wallets by address, as far as they are known. They never change.
    """

    is_awaited: Callable[[], bool]
    wallet_keys: dict[bytes, int]


class Tx:
    """One open transaction: what a unit of work sees of the database. Not to be kept beyond the unit."""

    def __init__(
        self,
        connection: Any,
        now_ms: int,
        feed_head: int | None = None,
        shared: Shared | None = None,
    ) -> None:
        """``feed_head``: offset of the newest message; None: to be looked up when it is needed."""
        self._connection = connection
        self.is_awaited, self.wallet_keys = shared or Shared(_never, {})
        self.now_ms = now_ms
        self.feed_head = feed_head
        self.published: list[FeedMessage] = []
        self.changed: set[str | None] = set()
        """Tables that were written; None among them stands for what was only read."""

    def execute(self, sql: str, params: Sequence[Any] = ()) -> int:
        """Run a statement; the number of rows it changed."""
        self.changed.add(changed_table(sql))
        return cast(int, self._connection.execute(sql, params).rowcount)

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self.changed.add(changed_table(sql))
        self._connection.executemany(sql, rows)

    def one(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        """The first row or None; also for ``INSERT … RETURNING``."""
        self.changed.add(changed_table(sql))
        rows = self._connection.execute(sql, params).fetchall()
        return rows[0] if rows else None

    def all(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        self.changed.add(changed_table(sql))
        return cast(list[Row], self._connection.execute(sql, params).fetchall())

    def value(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None."""
        row = self.one(sql, params)
        return None if row is None else row[0]

    def publish(
        self,
        message_type: str,
        data: object,
        *,
        market_id: bytes | None = None,
        wallet: bytes | None = None,
        listed: bool = True,
        state_changed: bool = False,
    ) -> int:
        """Append a message to the feed; its offset. Clients get it after the commit. ``data`` becomes JSON."""
        if self.feed_head is None:
            self.feed_head = int(self.value("SELECT max(feed_offset) FROM feed") or 0)
        self.feed_head += 1
        text = msgspec.json.encode(data).decode()
        self.published.append(
            FeedMessage(self.feed_head, message_type, market_id, wallet, listed, state_changed, self.now_ms, text)
        )
        return self.feed_head

    def store_published(self) -> None:
        """Write what the unit has published, all at once: a statement for each would cost twice the time."""
        if self.published:
            self.execute_many(
                "INSERT INTO feed (feed_offset, type, market_id, wallet, listed, state_changed, created_ms, data)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                self.published,
            )
