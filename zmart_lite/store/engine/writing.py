"""Group commit: units of work that wait at the same time share one transaction, each in a savepoint of its own."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from pysqlite3 import dbapi2 as sqlite

from zmart_lite.errors import StoreUnavailable
from zmart_lite.models import FeedMessage
from zmart_lite.store.engine.faults import is_storage_failure
from zmart_lite.store.engine.tx import Shared, Tx

logger = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """How a unit ended: with its result, or with an error."""

    result: Any
    error: BaseException | None


class Committed(NamedTuple):
    """How a group ended. ``error``: why none of it was written; ``changed``: the tables that were."""

    outcomes: list[Outcome]
    messages: list[FeedMessage]
    changed: set[str]
    error: sqlite.Error | None = None

    @classmethod
    def failed(cls, units: int, error: sqlite.Error) -> "Committed":
        failure = StoreUnavailable(f"The database cannot be written: {error}")
        return cls([Outcome(None, failure)] * units, [], set(), error)


def run_group(connection: Any, runs: list[Callable[[Tx], Any]], now_ms: int, shared: Shared) -> Committed:
    """All units in one transaction, on the writer's thread. A failing commit fails every one of them."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        committed = _run_units(connection, runs, now_ms, shared)
        connection.execute("COMMIT")
        return committed
    except sqlite.Error as error:
        logger.error("commit failed: %s", error)
        _roll_back(connection)
        shared.wallet_keys.clear()
        return Committed.failed(len(runs), error)


def _roll_back(connection: Any) -> None:
    """Take everything back; the connection says itself where that failed, and is opened anew then."""
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite.Error as error:
            logger.error("a commit that failed cannot be rolled back: %s", error)


def _run_units(connection: Any, runs: list[Callable[[Tx], Any]], now_ms: int, shared: Shared) -> Committed:
    outcomes: list[Outcome] = []
    messages: list[FeedMessage] = []
    changed: set[str | None] = set()
    is_first, feed_head = True, None
    if len(runs) > 1:
        # The others of the group wait, too, whether they have been run or not.
        shared = shared._replace(is_awaited=_always)
    for run in runs:
        tx = Tx(connection, now_ms, feed_head, shared)
        if not is_first:
            connection.execute("SAVEPOINT unit")
        try:
            result = run(tx)
            tx.store_published()
        except Exception as error:  # the unit's own failure belongs to whoever asked for it
            if is_storage_failure(error) or not connection.in_transaction:
                # A full disk or an I/O error may have rolled back everything, savepoints and all.
                if isinstance(error, sqlite.Error):
                    raise
                raise sqlite.OperationalError(str(error)) from error
            _undo(connection, is_first)
            shared.wallet_keys.clear()
            outcomes.append(Outcome(None, error))
            continue
        if not is_first:
            connection.execute("RELEASE unit")
        is_first, feed_head = False, tx.feed_head
        outcomes.append(Outcome(result, None))
        messages += tx.published
        changed |= tx.changed
    return Committed(outcomes, messages, {table for table in changed if table is not None})


def _undo(connection: Any, is_first: bool) -> None:
    """Take back what a unit wrote. The first of a transaction needs no savepoint, which would keep a copy of every page
    that it changes: for a large unit with triggers that takes longer than the unit.
    """
    if is_first:
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
    else:
        connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")


def _always() -> bool:
    return True
