"""What is old goes, to the millisecond; what may still be needed stays, however old."""

from collections.abc import AsyncIterator, Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from zmart_lite.config import Retention
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.log import feed, retention
from zmart_lite.store.state import markets, plans

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
LIMITS = retention.limits_ms(NOW_MS, Retention(audit_days=400))
KEY = bytes([1]) * 32


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store(tmp_path / "zmart.db", now_ms=lambda: NOW_MS).open()
    yield opened
    await opened.close()


Row = Callable[[int, bytes, int], tuple[Any, ...]]
INSERTS: dict[str, tuple[str, Row]] = {
    "nonces": ("nonces VALUES (?, NULL, ?)", lambda number, _, at_ms: (str(number), at_ms)),
    "tickets": ("tickets VALUES (?, ?, 'jti', ?, ?)", lambda _, key, at_ms: (key, KEY, at_ms, at_ms)),
    "revoked_tokens": ("revoked_tokens VALUES (?, ?)", lambda number, _, at_ms: (str(number), at_ms)),
    "drafts": ("drafts VALUES (?, ?, ?, '{}', 0, ?)", lambda number, key, at_ms: (key, KEY, str(number), at_ms)),
    "relayed_transactions": ("relayed_transactions VALUES (?, 1, ?)", lambda _, key, at_ms: (key * 2, at_ms)),
    "payloads": (
        (
            "dead_letters (kind, signature, payload, error, first_seen_ms, last_tried_ms)"
            " VALUES ('delivery', ?, x'00', 'e', 0, ?)"
        ),
        lambda _, key, at_ms: (key * 2, at_ms),
    ),
    "signed_bytes": (
        (
            "intents (action, subject, round, args, status, signed_transaction, created_ms)"
            " VALUES ('a', ?, 1, '{}', 'expired', x'00', ?)"
        ),
        lambda number, _, at_ms: (str(number), at_ms),
    ),
    "dead_letters": (
        (
            "dead_letters (kind, signature, error, first_seen_ms, last_tried_ms, resolved_ms)"
            " VALUES ('delivery', ?, 'e', 0, 0, ?)"
        ),
        lambda _, key, at_ms: (key * 2, at_ms),
    ),
    "job_runs": (
        "job_runs (job, started_ms, finished_ms, result) VALUES ('poll', 0, ?, 'ok')",
        lambda _number, _key, at_ms: (at_ms,),
    ),
    "alerts": (
        (
            "alerts (alert_type, subject, severity, message, data, status, opened_ms, last_seen_ms, resolved_ms)"
            " VALUES ('t', ?, 'LOW', 'm', 'null', 'resolved', 0, 0, ?)"
        ),
        lambda number, _, at_ms: (str(number), at_ms),
    ),
    "discrepancies": (
        "discrepancies (field, slot, detected_ms, resolved_ms) VALUES ('f', 1, 0, ?)",
        lambda _number, _key, at_ms: (at_ms,),
    ),
    "failed": (
        (
            "transactions (signature, slot, failed, complete, finality, source, created_ms)"
            " VALUES (?, 1, 1, 1, 2, 'poll', ?)"
        ),
        lambda _, key, at_ms: (key * 2, at_ms),
    ),
    "snapshots": (
        (
            "snapshots (market, snapshot_date, cid, discussions_count, pinned, created_ms, unpinned_ms)"
            " VALUES (1, ?, 'c', 1, 0, 0, ?)"
        ),
        lambda number, _, at_ms: (str(number), at_ms),
    ),
    "evidence": (
        "evidence (cid, content, created_ms) VALUES (?, 'seen', ?)",
        lambda number, _, at_ms: (f"Qm{number}", at_ms),
    ),
    "landed_evidence": (
        "evidence (cid, content, created_ms) VALUES (?, 'seen', ?)",
        lambda number, _, at_ms: (f"Qm{number}", at_ms),
    ),
    "audit": (
        "audit (at_ms, action, target, params, result) VALUES (?, 'a', 't', '{}', 'ok')",
        lambda _number, _key, at_ms: (at_ms,),
    ),
}


def add(tx: Tx, kind: str, number: int, moment_ms: int) -> None:
    """A row of this kind whose moment is ``moment_ms``."""
    if kind == "snapshots":
        assert markets.add_record(tx, KEY, KEY)["id"] == 1
    if kind == "landed_evidence":
        refer(tx, number)
    sql, row = INSERTS[kind]
    tx.execute(f"INSERT INTO {sql}", row(number, number.to_bytes(32, "big"), moment_ms))


def refer(tx: Tx, number: int, resolved: int = 1) -> int:
    """A market with the hash of the text of this number; its row."""
    row: int = markets.add_record(tx, number.to_bytes(32, "big"), number.to_bytes(32, "little"))["id"]
    sql = "UPDATE markets SET evidence_hash = ?, resolution_proposed_at = ? WHERE id = ?"
    tx.execute(sql, (f"Qm{number}".encode(), resolved, row))
    return row


def add_transaction(tx: Tx, number: int, *, created_ms: int = 0, failed: int = 0, finality: int = 2) -> None:
    tx.execute(
        "INSERT INTO transactions (signature, slot, failed, complete, finality, source, created_ms)"
        " VALUES (?, 1, ?, 1, ?, 'poll', ?)",
        (number.to_bytes(32, "big") * 2, failed, finality, created_ms),
    )


def rows_of(tx: Tx, kind: str) -> int:
    if kind == "payloads":
        return int(tx.value("SELECT count(*) FROM dead_letters WHERE payload IS NOT NULL"))
    if kind == "signed_bytes":
        return int(tx.value("SELECT count(*) FROM intents WHERE signed_transaction IS NOT NULL"))
    if kind == "landed_evidence":
        return int(tx.value("SELECT count(*) FROM evidence WHERE landed = 0"))
    return int(tx.value(f"SELECT count(*) FROM {retention.RULES[kind].table}"))


async def test_the_limits_are_the_settings() -> None:
    ages = {kind: (NOW_MS - limit) / DAY_MS for kind, limit in LIMITS.items()}
    assert ages == {
        "feed": 7,
        "payloads": 14,
        "relayed_transactions": 7,
        "signed_bytes": 7,
        "job_runs": 30,
        "dead_letters": 90,
        "alerts": 90,
        "discrepancies": 90,
        "failed": 30,
        "snapshots": 365,
        "evidence": 30,
        "landed_evidence": 30,
        "audit": 400,
    } | dict.fromkeys(("nonces", "tickets", "revoked_tokens", "drafts"), 0)
    assert set(LIMITS) == {*retention.RULES, retention.FEED}
    chosen = Retention(*range(1, len(fields(Retention)) + 1))
    limits = retention.limits_ms(NOW_MS, chosen)
    names = ("feed", "payloads", "failed", "dead_letters", "discrepancies", "alerts", "job_runs", "snapshots")
    names += ("evidence", "audit")
    assert [(NOW_MS - limits[name]) // DAY_MS for name in names] == list(range(1, len(names) + 1))


async def test_what_administrators_did_stays_for_ever_unless_told_otherwise() -> None:
    assert "audit" not in retention.limits_ms(NOW_MS, Retention())


@pytest.mark.parametrize("kind", list(retention.RULES))
async def test_the_edge(store: Store, kind: str) -> None:
    limit = LIMITS[kind]

    def fill(tx: Tx) -> None:
        for number, moment_ms in enumerate((limit - 1, limit, limit + 1)):
            add(tx, kind, number, moment_ms)

    await store.write(fill)
    assert await store.write(lambda tx: retention.prune(tx, kind, limit)) == 1
    assert await store.read(lambda tx: rows_of(tx, kind)) == 2
    assert await store.write(lambda tx: retention.prune(tx, kind, limit)) == 0
    assert await store.write(lambda tx: retention.prune(tx, kind, limit + 1)) == 1


@pytest.mark.parametrize("kind", list(retention.RULES))
async def test_a_bite_is_bounded(store: Store, kind: str) -> None:
    def fill(tx: Tx) -> None:
        for number in range(retention.BITE_ROWS + 10):
            add(tx, kind, number, number)

    await store.write(fill)
    assert await store.write(lambda tx: retention.prune(tx, kind, LIMITS[kind])) == retention.BITE_ROWS
    rest = await store.write(lambda tx: retention.prune(tx, kind, LIMITS[kind]))
    assert rest == (9 if kind == "job_runs" else 10)


@pytest.mark.parametrize("kind", ["relayed_transactions", "payloads", "dead_letters"])
async def test_nothing_goes_that_the_chain_has_not_finalised(store: Store, kind: str) -> None:
    def fill(tx: Tx) -> None:
        for number, finality in enumerate((1, 2)):
            add(tx, kind, number, 0)
            add_transaction(tx, number, finality=finality)

    await store.write(fill)
    assert await store.write(lambda tx: retention.prune(tx, kind, NOW_MS)) == 1
    await store.write(lambda tx: tx.execute("UPDATE transactions SET finality = 2"))
    assert await store.write(lambda tx: retention.prune(tx, kind, NOW_MS)) == 1


async def test_open_alerts_open_dead_letters_and_unfinished_runs_stay(store: Store) -> None:
    def fill(tx: Tx) -> None:
        for kind in ("alerts", "dead_letters", "job_runs"):
            for number in range(3):
                add(tx, kind, number, 0)
        tx.execute("UPDATE alerts SET status = 'acknowledged', resolved_ms = NULL WHERE subject = '1'")
        tx.execute("UPDATE dead_letters SET resolved_ms = NULL WHERE id = 2")
        tx.execute("UPDATE job_runs SET finished_ms = NULL, result = NULL WHERE id = 2")

    await store.write(fill)
    for kind in ("alerts", "dead_letters"):
        assert await store.write(lambda tx, kind=kind: retention.prune(tx, kind, NOW_MS)) == 2  # type: ignore[misc]
    assert await store.write(lambda tx: retention.prune(tx, "job_runs", NOW_MS)) == 1
    assert [row["id"] for row in await store.read(lambda tx: tx.all("SELECT id FROM job_runs"))] == [2, 3]


async def test_only_final_failures_without_events_go(store: Store) -> None:
    def fill(tx: Tx) -> None:
        add_transaction(tx, 1, failed=1)
        add_transaction(tx, 2, failed=1, finality=1)
        add_transaction(tx, 3)

    await store.write(fill)
    assert await store.write(lambda tx: retention.prune(tx, "failed", NOW_MS)) == 1
    left = await store.read(lambda tx: tx.all("SELECT failed, finality FROM transactions ORDER BY id"))
    assert [tuple(row) for row in left] == [(1, 1), (0, 2)]


async def test_open_differences_and_pinned_snapshots_stay(store: Store) -> None:
    def fill(tx: Tx) -> None:
        for kind in ("discrepancies", "snapshots"):
            add(tx, kind, 1, 0)
        tx.execute("UPDATE discrepancies SET resolved_ms = NULL")
        tx.execute("UPDATE snapshots SET pinned = 1, unpinned_ms = NULL")

    await store.write(fill)
    for kind in ("discrepancies", "snapshots"):
        assert await store.write(lambda tx, kind=kind: retention.prune(tx, kind, NOW_MS)) == 0  # type: ignore[misc]


async def test_each_job_keeps_its_newest_run(store: Store) -> None:
    def fill(tx: Tx) -> None:
        for job in ("poll", "backup", "poll", "poll"):
            tx.execute("INSERT INTO job_runs (job, started_ms, finished_ms, result) VALUES (?, 0, 0, 'ok')", (job,))

    await store.write(fill)
    assert await store.write(lambda tx: retention.prune(tx, "job_runs", NOW_MS)) == 2
    assert [row["id"] for row in await store.read(lambda tx: tx.all("SELECT id FROM job_runs"))] == [2, 4]


async def test_the_feed_keeps_its_order_though_the_clock_was_set_back(store: Store) -> None:
    def fill(tx: Tx) -> None:
        for created_ms in (10, 20, 500, 30, 40, 600):
            tx.now_ms = created_ms
            tx.publish("trade", {})

    await store.write(fill)
    assert await store.write(lambda tx: retention.prune(tx, retention.FEED, 100)) == 2
    kept = await store.read(
        lambda tx: [row["feed_offset"] for row in tx.all("SELECT * FROM feed ORDER BY feed_offset")]
    )
    assert kept == [3, 4, 5, 6]


async def test_the_feed_goes_in_bites_and_never_its_newest_message(store: Store) -> None:
    def fill(tx: Tx) -> None:
        tx.now_ms = 0
        for _ in range(feed.PRUNE_ROWS_MAX + 2):
            tx.publish("trade", {})

    await store.write(fill)
    limit = LIMITS[retention.FEED]
    assert await store.write(lambda tx: retention.prune(tx, retention.FEED, limit)) == feed.PRUNE_ROWS_MAX
    assert await store.write(lambda tx: retention.prune(tx, retention.FEED, limit)) == 1
    assert await store.write(lambda tx: retention.prune(tx, retention.FEED, limit)) == 0
    assert await store.read(feed.feed_head) == feed.PRUNE_ROWS_MAX + 2


async def test_bytes_that_may_still_be_sent_stay(store: Store) -> None:
    sql = (
        "INSERT INTO intents (action, subject, round, args, status, signed_transaction, created_ms, finalized_ms)"
        " VALUES ('a', ?, 1, '{}', ?, x'00', 0, ?)"
    )
    cases = [
        ("planned", None),
        ("sent", None),
        ("confirmed", None),
        ("confirmed", 5),
        ("failed", None),
        ("expired", None),
    ]
    for number, (status, finalized_ms) in enumerate(cases):
        await store.write(lambda tx, row=(str(number), status, finalized_ms): tx.execute(sql, row))  # type: ignore[misc]
    assert await store.write(lambda tx: retention.prune(tx, "signed_bytes", NOW_MS)) == 3
    left = await store.read(lambda tx: tx.all("SELECT subject FROM intents WHERE signed_transaction IS NOT NULL"))
    assert [row["subject"] for row in left] == ["0", "1", "2"]


async def test_evidence_that_something_refers_to_stays(store: Store) -> None:
    def fill(tx: Tx) -> None:
        for number in range(4):
            add(tx, "evidence", number, 0)
        refer(tx, 0)
        tx.execute("INSERT INTO resolution_plans VALUES (?, 1, ?, 0, 0)", (refer(tx, 1, 0), b"Qm1"))
        refer(tx, 2, 0)  # a hash that is the question's

    def left(tx: Tx) -> list[tuple[str, int]]:
        return [(row["cid"], row["landed"]) for row in tx.all("SELECT cid, landed FROM evidence ORDER BY cid")]

    def run(tx: Tx) -> list[int]:
        return [retention.prune(tx, kind, NOW_MS) for kind in ("landed_evidence", "evidence")]

    await store.write(fill)
    assert await store.write(run) == [1, 2]
    assert await store.read(left) == [("Qm0", 1), ("Qm1", 0)]
    # What a market has once referred to is not asked about again; a plan that is withdrawn keeps nothing.
    await store.write(lambda tx: tx.execute("DELETE FROM resolution_plans"))
    assert await store.write(run) == [0, 1]
    assert await store.read(left) == [("Qm0", 1)]


async def test_evidence_that_is_given_again_is_young_again(store: Store) -> None:
    await store.write(lambda tx: add(tx, "evidence", 1, 0))
    await store.write(lambda tx: plans.add_evidence(tx, "Qm1", "seen"))
    assert await store.write(lambda tx: retention.prune(tx, "evidence", NOW_MS)) == 0
    assert await store.write(lambda tx: retention.prune(tx, "evidence", NOW_MS + 1)) == 1
