"""One open alert per type and subject."""

from tests.indexer.projection import Database
from zmart_lite.store.engine.db import Row
from zmart_lite.store.state import alerts


def raise_alert(database: Database, severity: str = "LOW", subject: str = "") -> tuple[Row, bool]:
    return database.write(
        lambda tx: alerts.raise_alert(tx, "stuck_market", severity, severity.lower(), subject=subject, data={"n": 1})
    )


def test_a_repetition_is_counted_and_no_news() -> None:
    database = Database()
    first, news = raise_alert(database)
    assert (news, first["status"], first["count"], first["data"]) == (True, "open", 1, '{"n":1}')
    again, news = raise_alert(database)
    assert (news, again["id"], again["count"]) == (False, first["id"], 2)
    assert again["last_seen_ms"] > first["last_seen_ms"] == first["opened_ms"] == again["opened_ms"]


def test_a_rising_severity_is_news_and_a_falling_one_is_not() -> None:
    database = Database()
    severities = ["LOW", "HIGH", "MEDIUM", "HIGH", "CRITICAL"]
    seen = [raise_alert(database, severity) for severity in severities]
    assert [news for _, news in seen] == [True, True, False, False, True]
    assert [row["severity"] for row, _ in seen] == ["LOW", "HIGH", "HIGH", "HIGH", "CRITICAL"]


def test_subjects_have_alerts_of_their_own() -> None:
    database = Database()
    assert raise_alert(database, subject="a")[1]
    assert raise_alert(database, subject="b")[1]
    assert not raise_alert(database, subject="a")[1]


def test_a_resolved_alert_is_over_and_the_next_one_is_new() -> None:
    database = Database()
    first, _ = raise_alert(database)
    closed = database.write(lambda tx: alerts.resolve_alert(tx, "stuck_market"))
    assert closed is not None
    assert (closed["id"], closed["status"], closed["resolved_ms"]) == (first["id"], "resolved", database.now_ms)
    assert database.write(lambda tx: alerts.resolve_alert(tx, "stuck_market")) is None
    database.now_ms += alerts.QUIET_MS
    second, news = raise_alert(database)
    assert news
    assert second["id"] != first["id"]


def test_one_that_comes_back_soon_is_the_same_one_and_as_severe_as_before() -> None:
    database = Database()
    first, _ = raise_alert(database, "HIGH")
    database.write(lambda tx: alerts.acknowledge_alert(tx, first["id"], bytes(32)))
    database.write(lambda tx: alerts.resolve_alert(tx, "stuck_market"))
    database.now_ms += alerts.QUIET_MS - 2
    again, news = raise_alert(database, "LOW")
    assert (news, again["id"], again["count"], again["severity"]) == (True, first["id"], 2, "HIGH")
    assert (again["status"], again["resolved_ms"], again["acknowledged_by"]) == ("open", None, None)
    assert again["reopened_ms"] == database.now_ms
    assert not raise_alert(database)[1]


def test_an_acknowledged_alert_counts_on_and_can_be_resolved() -> None:
    database = Database()
    row, _ = raise_alert(database)
    seen = database.write(lambda tx: alerts.acknowledge_alert(tx, row["id"], bytes(32)))
    assert seen is not None
    assert (seen["status"], seen["acknowledged_by"]) == ("acknowledged", bytes(32))
    assert database.write(lambda tx: alerts.acknowledge_alert(tx, row["id"], bytes(32))) is None
    again, news = raise_alert(database)
    assert (news, again["count"], again["status"]) == (False, 2, "acknowledged")
    assert database.write(lambda tx: alerts.resolve_alert(tx, "stuck_market")) is not None
    found = alerts.find_alert(database.tx, row["id"])
    assert found is not None
    assert found["status"] == "resolved"
    assert alerts.find_alert(database.tx, 99) is None
