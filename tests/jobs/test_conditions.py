"""Every alert that is a state, exactly at its threshold."""

from collections.abc import Iterable

import pytest

from zmart_lite.jobs import conditions
from zmart_lite.jobs.conditions import DAY_S, Condition, JobHealth, Rates
from zmart_lite.models import GlobalConfig, MarketState
from zmart_lite.ops import BreakerView
from zmart_lite.store.engine.db import WriteAhead
from zmart_lite.store.views.watching import Stuck

NOW = 1_800_000_000
ID = bytes([7]) * 32
CONFIG = GlobalConfig(bytes(32), b"b" * 32, bytes(32), 0, 0, 0, 7_000, 6_000, 0, 172_800, 0, False, bytes(64), 1)
SOL = 10**9


def found(each: Iterable[Condition]) -> list[tuple[str, str]]:
    return [(condition.alert_type, condition.severity) for condition in each]


@pytest.mark.parametrize(("age_s", "severity"), [(7 * DAY_S, "LOW"), (30 * DAY_S - 1, "LOW"), (30 * DAY_S, "MEDIUM")])
def test_a_stuck_market(age_s: int, severity: str) -> None:
    (alert,) = conditions.stuck([Stuck(ID, MarketState.APPROVED, NOW - age_s)], 0, NOW)
    assert (alert.alert_type, alert.severity, alert.subject) == ("stuck_market", severity, ID.hex())


@pytest.mark.parametrize(("count", "expected"), [(10, []), (11, ["HIGH"]), (50, ["HIGH"]), (51, ["CRITICAL"])])
def test_many_stuck_markets(count: int, expected: list[str]) -> None:
    assert [severity for _, severity in found(conditions.stuck([], count, NOW))] == expected


@pytest.mark.parametrize(
    ("lag_s", "expected"),
    [(120, []), (121, ["MEDIUM"]), (300, ["MEDIUM"]), (301, ["HIGH"]), (600, ["HIGH"]), (601, ["CRITICAL"])],
)
def test_a_late_aggregation(lag_s: float, expected: list[str]) -> None:
    alerts = list(conditions.lags({"proposal": lag_s, "dispute": 0}, 0))
    assert [(alert.severity, alert.subject) for alert in alerts] == [(severity, "proposal") for severity in expected]


@pytest.mark.parametrize(("slots", "expected"), [(50, []), (51, ["HIGH"]), (100, ["HIGH"]), (101, ["CRITICAL"])])
def test_late_indexing(slots: int, expected: list[str]) -> None:
    assert found(conditions.lags({}, slots)) == [("indexing_lag", severity) for severity in expected]


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        (Rates(deliveries_15m=19, deliveries_bad_15m=19), []),
        (Rates(deliveries_15m=100, deliveries_bad_15m=1), []),
        (Rates(deliveries_15m=100, deliveries_bad_15m=2), [("webhook_error", "MEDIUM")]),
        (Rates(deliveries_15m=20, deliveries_bad_15m=1), [("webhook_error", "MEDIUM")]),
        (Rates(missed_events_10m=4), []),
        (Rates(missed_events_10m=5), [("missed_events", "MEDIUM")]),
        (Rates(missed_events_1h=1), [("missed_events", "MEDIUM")]),
        (Rates(missed_events_1h=1, deliveries_ok_1h=1), []),
        (Rates(missed_events_10m=5, missed_events_1h=5, deliveries_ok_1h=1), [("missed_events", "MEDIUM")]),
        (Rates(missed_events_10m=5, missed_events_1h=5), [("missed_events", "MEDIUM")]),
        (Rates(requests_5m=99, server_errors_5m=99), []),
        (Rates(requests_5m=100, server_errors_5m=5), []),
        (Rates(requests_5m=100, server_errors_5m=6), [("api_error_rate", "HIGH")]),
        (Rates(requests_5m=100, server_errors_5m=10), [("api_error_rate", "HIGH")]),
        (Rates(requests_5m=100, server_errors_5m=11), [("api_error_rate", "CRITICAL")]),
        (Rates(connections_1m=9, connections_lost_1m=9), []),
        (Rates(connections_1m=10, connections_lost_1m=5), []),
        (Rates(connections_1m=10, connections_lost_1m=6), [("websocket_drop", "HIGH")]),
        (Rates(refusals_1h=1_000), []),
        (Rates(refusals_1h=1_001), [("rate_limit_pressure", "MEDIUM")]),
    ],
)
def test_rates(rates: Rates, expected: list[tuple[str, str]]) -> None:
    assert found(conditions.rates(rates)) == expected


@pytest.mark.parametrize(
    ("lamports", "expected"),
    [
        (None, []),
        (SOL // 10, []),
        (SOL // 10 - 1, ["HIGH"]),
        (SOL // 100, ["HIGH"]),
        (SOL // 100 - 1, ["CRITICAL"]),
        (0, ["CRITICAL"]),
    ],
)
def test_a_low_balance(lamports: int | None, expected: list[str]) -> None:
    assert found(conditions.balance(lamports)) == [("balance_low", severity) for severity in expected]


def test_the_protocol_and_the_authority() -> None:
    assert found(conditions.protocol(CONFIG, b"b" * 32)) == []
    assert found(conditions.protocol(CONFIG, None)) == []
    assert found(conditions.protocol(CONFIG, b"x" * 32)) == [("authority_mismatch", "CRITICAL")]
    assert found(conditions.protocol(CONFIG._replace(is_paused=True), None)) == [("protocol_paused", "MEDIUM")]


def test_another_cluster() -> None:
    assert found(conditions.cluster("aa", ["bb"])) == [("cluster_changed", "CRITICAL")]
    assert found(conditions.cluster("aa", ["bb", None])) == [("cluster_changed", "CRITICAL")]
    assert found(conditions.cluster("aa", ["bb", "aa"])) == [("cluster_changed", "HIGH")]
    for pinned, seen in ((None, ["bb"]), ("aa", [None]), ("aa", ["aa", None]), ("aa", [])):
        assert found(conditions.cluster(pinned, seen)) == []


def health(**changes: object) -> JobHealth:
    return JobHealth("monitor", 60, 0, None, 0, False)._replace(**changes)


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (health(since_ok_s=180), []),
        (health(since_ok_s=181), [("job_failure", "HIGH")]),
        (health(since_ok_s=181, waits_for_breaker=True), []),
        (health(error="no", failures_in_a_row=2), [("job_failure", "HIGH")]),
        (health(error="no", failures_in_a_row=3), [("job_failure", "HIGH"), ("state_transition_failure", "HIGH")]),
        (
            health(name="aggregate", error="no", failures_in_a_row=3),
            [("job_failure", "HIGH"), ("vote_aggregation_error", "HIGH")],
        ),
    ],
)
def test_jobs(job: JobHealth, expected: list[tuple[str, str]]) -> None:
    assert found(conditions.jobs([job])) == expected


@pytest.mark.parametrize(("opened_at", "expected"), [(None, []), (NOW - 300, ["HIGH"]), (NOW - 301, ["CRITICAL"])])
def test_an_open_breaker(opened_at: float | None, expected: list[str]) -> None:
    view = BreakerView("api", "open", 3, opened_at, None, "time-out")
    assert found(conditions.breakers([view], NOW)) == [("circuit_breaker_open", severity) for severity in expected]


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (WriteAhead(2**30, 2**29, 300.0), []),
        (WriteAhead(2**30 + 1, 0, 0.0), ["size"]),
        (WriteAhead(0, 2**29 + 1, 0.0), ["checkpoint"]),
        (WriteAhead(0, 0, 301.0), ["reading"]),
    ],
)
def test_the_log_of_the_database(log: WriteAhead, expected: list[str]) -> None:
    assert [each.subject for each in conditions.write_ahead(log)] == expected


@pytest.mark.parametrize(
    ("failed", "free", "expected"), [(None, 5, []), (None, 4, ["CRITICAL"]), ("disk I/O error", 50, ["CRITICAL"])]
)
def test_storage(failed: str | None, free: int, expected: list[str]) -> None:
    assert found(conditions.storage(failed, free, 100)) == [("store_error", severity) for severity in expected]
