"""Reads the query plan of every statement that the product runs through a :class:`Tx`, in whichever test.

A plan may neither go through a table that grows nor sort what is not bounded. What is allowed all the same stands here
with its reason. A statement is looked at when a test runs it for the first time, so that no new one is left out.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pysqlite3 import dbapi2 as sqlite

from zmart_lite import simulation
from zmart_lite.store.engine import tx as units
from zmart_lite.store.engine.db import Tx

SMALL = frozenset(
    {
        "backups",  # as many as are kept
        "breakers",
        "configs",  # one for each change of the global config
        "cursors",
        "grand_totals",
        "jobs",
        "leases",
        "meta",
        "totals",
        "vote_totals",
    }
)
"""Tables that do not grow with use."""

DEMO = "The demo's own feed, a few dozen messages, compared whole at its end."
DAY = "The trades of a day, read again only after twenty times as long as that takes (api.context.Remembered)."
MATCHES = "At most as many matches as are counted: of more the order's own index is walked (paging.list_keys)."
ONE_TRANSACTION = "A transaction has few events."
OPEN_ALERTS = "One alert is open per type and subject, and the job that asks works on all of them."
SEARCH = "A search compares the questions that have the rarest of its trigrams."
STARTING = "Once, when the node starts; runs are kept for thirty days."
WHOLE_DATABASE = "Reconciliation and rebuilding go through every account, and are asked to."
WHOLE_MARKET = "All of one market, for a job that works on all of it."

ALLOWED = (
    (
        r"UPDATE markets SET incomplete_slot = \? WHERE needs_resync = 1",
        "After the chain was found to be behind the log.",
    ),
    (r"SELECT \* FROM alerts WHERE status IN \('open', 'acknowledged'\)", OPEN_ALERTS),
    (r"SELECT \* FROM intents WHERE status IN \('planned', 'sent'\)", "What is unsettled is settled in minutes."),
    (r"SELECT t\.market, SUM.* FROM trades t CROSS JOIN markets m WHERE t\.traded_at >= \?", DAY),
    (r"SELECT SUM.* FROM trades t WHERE t\.traded_at >= \?$", DAY),
    (r"SELECT .*question_trigrams", SEARCH),
    (r"SELECT m\.id, m\.(total_volume|listed_end_date), m\.id FROM markets m WHERE .* AND ", MATCHES),
    (r"SELECT e\.id, .* FROM events e WHERE .*e\.transaction_id = ", ONE_TRANSACTION),
    (r"SELECT DISTINCT market, event_type FROM events WHERE transaction_id = \?", ONE_TRANSACTION),
    (r"SELECT e\.id, .* FROM events e WHERE e\.event_type IN \(\?\) ", MATCHES),
    (r"SELECT id FROM markets ORDER BY id$", WHOLE_DATABASE),
    (r"SELECT address FROM markets WHERE known = 1$", WHOLE_DATABASE),
    (r"SELECT address FROM positions$", WHOLE_DATABASE),
    (r"SELECT m\.\*, .* FROM markets m .* WHERE m\.known = 1$", WHOLE_DATABASE),
    (r"SELECT p\.\*, .* WHERE m\.market_id = \? ORDER BY p\.id$", WHOLE_MARKET),
    (r"SELECT d\.\*, .* WHERE d\.market = \? AND .* ORDER BY d\.id$", WHOLE_MARKET),
    (r"SELECT d\.\*, .* FROM discussions above ", "Fifty replies to each post of a page."),
    (
        r"SELECT DISTINCT \(market \+ 0\) AS market FROM events WHERE is_trade = 1 AND",
        "What a changed config concerns.",
    ),
    (r"SELECT id, .* FROM events WHERE event_type IN \(\?\) AND slot >= \?", "Changes of the config are few."),
    (r"DELETE FROM job_runs WHERE id IN \(SELECT x\.id FROM \(SELECT \* FROM job_runs ORDER BY id LIMIT", "A bite."),
    (r"SELECT job, max\(started_ms\)", STARTING),
    (r"UPDATE job_runs SET finished_ms = \?, result = 'interrupted' WHERE finished_ms IS NULL", STARTING),
    (r"WITH RECURSIVE starts", "A candle chart's buckets, a thousand at most, each of at most 141 parts."),
    (r"SELECT feed_offset, type, listed FROM feed ORDER BY feed_offset$", DEMO),
    (r"SELECT n\.nonce, ", "The list on which a test tries paging."),
)
"""Statements, and why their plan is as it is."""

OWN_FOLDER = str(Path(__file__).parent)
SIMULATION = str(Path(simulation.__file__).parent)
"""It compares everything that a run has left, as a test does."""
STORE = units.__file__
SOURCE = re.compile(r"\b(?:FROM|JOIN|UPDATE|INTO)\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?", re.IGNORECASE)
SCANNED = re.compile(r"SCAN (\w+)")
SORTED = re.compile(r"USE TEMP B-TREE FOR (.*)")


class Step(NamedTuple):
    """A line of a plan, and the one it stands below."""

    id: int
    parent: int
    text: str


def objections(sql: str, plan: Sequence[Step], tables: Iterable[str]) -> list[str]:
    """The steps of a plan whose cost grows with what is stored. ``tables``: all there are."""
    if re.match(r"\s*INSERT\b", sql) and not re.search(r"\bSELECT\b", sql):
        # Its plan shows what deleting would look up.
        return []
    names = {alias: table for table, alias in SOURCE.findall(sql) if alias}
    growing = set(tables) - SMALL
    if not {names.get(source, source) for source, _ in SOURCE.findall(sql)} & growing:
        return []
    sorting = {step.parent for step in plan if step.text.startswith("USE TEMP B-TREE FOR ORDER BY")}
    has_limit = re.search(r"\bLIMIT\b", sql) is not None
    found = []
    for step in plan:
        scanned = SCANNED.match(step.text)
        if scanned and names.get(scanned[1], scanned[1]) in growing and not (has_limit and step.parent not in sorting):
            found.append(step.text)
        if SORTED.match(step.text):
            found.append(step.text)
    return found


class Watch:
    """Sees every statement once. ``found``: what is wrong with those seen since :meth:`take`."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[str, ...]] = {}
        self._found: list[str] = []

    def take(self) -> list[str]:
        found, self._found = self._found, []
        return found

    def look(self, tx: Tx, sql: str, params: Sequence[Any]) -> None:
        statement = " ".join(re.sub(r"\?(?:, \?)+", "?", sql).split())
        if statement in self.seen or _asked_by_a_test():
            return
        connection = tx._connection
        try:
            rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", params).fetchall()
            tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        except sqlite.Error:
            return  # whoever runs it is told
        plan = [Step(row[0], row[1], row[3]) for row in rows]
        self.seen[statement] = tuple(step.text for step in plan)
        bad = objections(sql, plan, [row[0] for row in tables])
        if bad and not any(re.match(pattern, statement) for pattern, _ in ALLOWED):
            self._found.append(f"{statement}\n    " + "\n    ".join(bad))

    def start(self) -> None:
        """Look at everything from now on."""
        for name in ("execute", "one", "all"):
            self._wrap(name)
        run_many = Tx.execute_many

        def execute_many(tx: Tx, sql: str, rows: Sequence[Sequence[Any]]) -> None:
            if rows:
                self.look(tx, sql, rows[0])
            run_many(tx, sql, rows)

        Tx.execute_many = execute_many  # type: ignore[method-assign]

    def _wrap(self, name: str) -> None:
        run = getattr(Tx, name)

        def looked_at(tx: Tx, sql: str, params: Sequence[Any] = ()) -> Any:
            self.look(tx, sql, params)
            return run(tx, sql, params)

        setattr(Tx, name, looked_at)


def _asked_by_a_test() -> bool:
    """Whether the statement is a test's own."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename in (STORE, __file__):
        frame = frame.f_back
    return frame.f_code.co_filename.startswith((OWN_FOLDER, SIMULATION))


watch = Watch()
