"""What is old goes, to the millisecond; what may still be needed stays, however old."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from zmart_lite.store import feed, retention
from zmart_lite.store.db import Store, Tx

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
LIMITS = retention.limits_ms(NOW_MS, feed_days=7, payload_days=14)
KEY = bytes([1]) * 32


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store(tmp_path / "zmart.db", now_ms=lambda: NOW_MS).open()
    yield opened
    await opened.close()


def add(tx: Tx, kind: str, number: int, moment_ms: int) -> None:
    """A row of this kind whose moment is ``moment_ms``."""
    key = number.to_bytes(32, "big")
    match kind:
        case "nonces":
            tx.execute("INSERT INTO nonces VALUES (?, NULL, ?)", (str(number), moment_ms))
        case "tickets":
            tx.execute("INSERT INTO tickets VALUES (?, ?, ?, ?, ?)", (key, KEY, "jti", moment_ms, moment_ms))
        case "revoked_tokens":
            tx.execute("INSERT INTO revoked_tokens VALUES (?, ?)", (str(number), moment_ms))
        case "drafts":
            tx.execute("INSERT INTO drafts VALUES (?, ?, ?, '{}', 0, ?)", (key, KEY, str(number), moment_ms))
        case "relayed_transactions":
            tx.execute("INSERT INTO relayed_transactions VALUES (?, 1, ?)", (key * 2, moment_ms))
        case "payloads":
            tx.execute(
                "INSERT INTO dead_letters (kind, signature, payload, error, first_seen_ms, last_tried_ms)"
                " VALUES ('delivery', ?, x'00', 'e', 0, ?)",
                (key * 2, moment_ms),
            )
        case "signed_bytes":
            tx.execute(
                "INSERT INTO intents (action, subject, round, args, status, signed_transaction, created_ms)"
                " VALUES ('a', ?, 1, '{}', 'expired', x'00', ?)",
                (str(number), moment_ms),
            )
        case "dead_letters":
            tx.execute(
                "INSERT INTO dead_letters (kind, signature, error, first_seen_ms, last_tried_ms, resolved_ms)"
                " VALUES ('delivery', ?, 'e', 0, 0, ?)",
                (key * 2, moment_ms),
            )
        case "job_runs":
            sql = "INSERT INTO job_runs (job, started_ms, finished_ms, result) VALUES ('poll', 0, ?, 'ok')"
            tx.execute(sql, (moment_ms,))
        case "alerts":
            tx.execute(
                "INSERT INTO alerts (alert_type, subject, severity, message, data, status, opened_ms, last_seen_ms,"
                " resolved_ms) VALUES ('t', ?, 'LOW', 'm', 'null', 'resolved', 0, 0, ?)",
                (str(number), moment_ms),
            )


def rows_of(tx: Tx, kind: str) -> int:
    if kind == "payloads":
        return int(tx.value("SELECT count(*) FROM dead_letters WHERE payload IS NOT NULL"))
    if kind == "signed_bytes":
        return int(tx.value("SELECT count(*) FROM intents WHERE signed_transaction IS NOT NULL"))
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
    } | dict.fromkeys(("nonces", "tickets", "revoked_tokens", "drafts"), 0)
    assert set(LIMITS) == {*retention.RULES, retention.FEED}


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
            tx.execute(
                "INSERT INTO transactions (signature, slot, failed, complete, finality, source, created_ms)"
                " VALUES (?, 1, 0, 1, ?, 'poll', 0)",
                (number.to_bytes(32, "big") * 2, finality),
            )

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
