"""Every type of alert that tells of a state: opened by its cause, with its severity, and closed when that is gone."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.jobs.test_conditions import CONFIG, ID, NOW, SOL, health
from zmart_lite.jobs import alerts, conditions
from zmart_lite.jobs.alerts import Sight, keep
from zmart_lite.jobs.conditions import DAY_S, Condition, Rates
from zmart_lite.models import MarketState
from zmart_lite.ops import BreakerView
from zmart_lite.store.engine.db import Store, WriteAhead
from zmart_lite.store.views.watching import Stuck

JUDGED = alerts.ALWAYS | alerts.BY_CHAIN_TIME | alerts.BY_CONFIG | {"balance_low", "cluster_changed"}
ELSEWHERE = {
    "proposal_no_consensus": "test_alerts",
    "early_withdrawal": "test_alerts",
    "event_retracted": "test_alerts",
    "backup_failure": "test_backup",
    "restore_drill_failure": "test_drill",
    "snapshot_failure": "test_snapshots",
    "event_undecodable": "../indexer/test_letters",
    "state_discrepancy": "../indexer/test_reconcile",
}
"""Types that tell of something that happened, and where they are tested."""
CONTRACT = """
stuck_market stuck_markets_many resolution_timeout dispute_without_votes proposal_no_consensus ready_for_approval
circuit_breaker_open aggregation_lag vote_aggregation_error state_transition_failure indexing_lag webhook_error
missed_events event_undecodable event_retracted state_discrepancy api_error_rate websocket_drop rate_limit_pressure
job_failure early_withdrawal protocol_paused authority_mismatch cluster_changed store_error balance_low backup_failure
snapshot_failure database_log restore_drill_failure
"""
BREAKER = BreakerView("api", "open", 3, NOW - 1, NOW + 299, "time-out")
CAUSES: dict[str, tuple[str, Iterator[Condition] | list[Condition]]] = {
    "stuck_market": ("LOW", conditions.stuck([Stuck(ID, MarketState.APPROVED, NOW - 7 * DAY_S)], 0, NOW)),
    "stuck_markets_many": ("HIGH", conditions.stuck([], 11, NOW)),
    "resolution_timeout": ("HIGH", [conditions.late_resolution(ID, 1)]),
    "dispute_without_votes": ("HIGH", [conditions.voteless_dispute(ID, 1)]),
    "ready_for_approval": ("LOW", [conditions.ready_for_approval(ID)]),
    "circuit_breaker_open": ("HIGH", conditions.breakers([BREAKER], NOW)),
    "aggregation_lag": ("MEDIUM", conditions.lags({"proposal": 121}, 0)),
    "vote_aggregation_error": ("HIGH", conditions.jobs([health(name="aggregate", failures_in_a_row=3)])),
    "state_transition_failure": ("HIGH", conditions.jobs([health(failures_in_a_row=3)])),
    "indexing_lag": ("HIGH", conditions.lags({}, 51)),
    "webhook_error": ("MEDIUM", conditions.rates(Rates(deliveries_15m=20, deliveries_bad_15m=1))),
    "missed_events": ("MEDIUM", conditions.rates(Rates(missed_events_10m=5))),
    "api_error_rate": ("HIGH", conditions.rates(Rates(requests_5m=100, server_errors_5m=6))),
    "websocket_drop": ("HIGH", conditions.rates(Rates(connections_1m=10, connections_lost_1m=6))),
    "rate_limit_pressure": ("MEDIUM", conditions.rates(Rates(refusals_1h=1_001))),
    "job_failure": ("HIGH", conditions.jobs([health(name="poll", error="no")])),
    "protocol_paused": ("MEDIUM", conditions.protocol(CONFIG._replace(is_paused=True), None)),
    "authority_mismatch": ("CRITICAL", conditions.protocol(CONFIG, b"x" * 32)),
    "cluster_changed": ("CRITICAL", conditions.cluster("aa", ["bb"])),
    "store_error": ("CRITICAL", conditions.storage(None, 4, 100)),
    "database_log": ("HIGH", conditions.write_ahead(WriteAhead(2**31, 0, 0.0))),
    "balance_low": ("HIGH", conditions.balance(SOL // 10 - 1)),
}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store(tmp_path / "zmart.db").open()
    yield opened
    await opened.close()


def test_every_type_of_the_contract_has_its_test() -> None:
    assert {*CAUSES, *ELSEWHERE} == set(CONTRACT.split())
    for alert_type, file in ELSEWHERE.items():
        assert alert_type in (Path(__file__).parent / f"{file}.py").read_text()


async def test_each_opens_by_its_cause_and_closes_without_it(store: Store) -> None:
    for alert_type, (severity, cause) in CAUSES.items():
        sight = Sight(list(cause), frozenset(JUDGED))
        assert await store.write(lambda tx, sight=sight: keep(tx, sight)) == (1, 0), alert_type  # type: ignore[misc]
        (row,) = await store.read(lambda tx: tx.all("SELECT * FROM alerts WHERE status = 'open'"))
        assert (row["alert_type"], row["severity"]) == (alert_type, severity)
        assert await store.write(lambda tx: keep(tx, Sight([], frozenset(JUDGED)))) == (0, 1), alert_type
