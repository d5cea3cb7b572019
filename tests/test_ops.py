"""Metrics, circuit breakers, the chain's clock, health and background tasks."""

import asyncio
import logging
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from zmart_lite.errors import RpcRefused, RpcUnavailable, Unavailable
from zmart_lite.ops import (
    BREAKERS,
    SERVICES,
    Background,
    Breakers,
    BreakerView,
    ChainClock,
    CircuitBreaker,
    Health,
    Metrics,
)
from zmart_lite.ops.health import NOT_SEEN, STALE_S


class Clock:
    """Time that passes only when told."""

    def __init__(self, now: float = 1_700_000_000) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def failing(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        breaker.fail("RpcUnavailable: time-out")


class TestCircuitBreaker:
    def test_three_failures_in_a_row_open_it(self) -> None:
        clock = Clock()
        breaker = CircuitBreaker("api", clock)
        failing(breaker, 2)
        breaker.succeed()
        failing(breaker, 2)
        assert breaker.permit()
        breaker.fail("third")
        assert not breaker.permit()
        assert breaker.view() == BreakerView("api", "open", 3, clock.now, clock.now + 300, "third")

    def test_one_probe_after_five_minutes(self) -> None:
        clock = Clock()
        breaker = CircuitBreaker("api", clock)
        failing(breaker, 3)
        clock.now += 299
        assert not breaker.permit()
        clock.now += 1
        assert breaker.view().state == "half_open"
        assert [breaker.permit(), breaker.permit()] == [True, False]
        breaker.succeed()
        assert breaker.view()[:5] == ("api", "closed", 0, None, None)

    def test_failed_probes_double_the_time_up_to_twenty_minutes(self) -> None:
        clock = Clock()
        breaker = CircuitBreaker("api", clock)
        failing(breaker, 3)
        waits = []
        opened_at = breaker.view().opened_at
        for _ in range(4):
            until = breaker.view().open_until
            assert until is not None
            waits.append(until - clock.now)
            clock.now = until
            assert breaker.permit()
            breaker.fail("again")
        assert waits == [300, 600, 1200, 1200]
        assert breaker.view().opened_at == opened_at

    def test_a_probe_nobody_tells_about_does_not_block_for_ever(self) -> None:
        clock = Clock()
        breaker = CircuitBreaker("api", clock)
        failing(breaker, 3)
        clock.now += 300
        assert breaker.permit()
        clock.now += 60
        assert breaker.permit()

    def test_failures_of_calls_begun_before_it_opened_do_not_prolong_it(self) -> None:
        clock = Clock()
        breaker = CircuitBreaker("api", clock)
        failing(breaker, 3)
        until = breaker.view().open_until
        clock.now += 10
        failing(breaker, 5)
        assert breaker.view().open_until == until

    def test_reset_and_what_is_told(self) -> None:
        told: list[str] = []
        breaker = CircuitBreaker("ipfs", Clock(), lambda view: told.append(view.state))
        breaker.reset()
        failing(breaker, 4)
        breaker.reset()
        assert told == ["open", "closed"]
        assert breaker.permit()

    def test_guard(self) -> None:
        clock = Clock()
        breaker = CircuitBreaker("api", clock)
        for _ in range(3):
            with pytest.raises(RpcUnavailable), breaker.guard(RpcUnavailable):
                raise RpcUnavailable("time-out")
        ran = False
        with pytest.raises(Unavailable) as caught, breaker.guard(RpcUnavailable):
            ran = True
        assert not ran
        assert (caught.value.reason, caught.value.headers["Retry-After"]) == ("breaker_open", "300")
        clock.now += 300
        with pytest.raises(RpcRefused), breaker.guard(RpcUnavailable):
            raise RpcRefused("the node is there and says no")
        assert breaker.view().state == "closed"

    def test_a_cancelled_probe_lets_another_try(self) -> None:
        clock = Clock()
        breaker = CircuitBreaker("api", clock)
        failing(breaker, 3)
        clock.now += 300
        with pytest.raises(asyncio.CancelledError), breaker.guard(RpcUnavailable):
            raise asyncio.CancelledError
        assert breaker.view().state == "half_open"
        assert breaker.permit()

    def test_an_error_text_is_bounded(self) -> None:
        breaker = CircuitBreaker("api", Clock())
        breaker.fail("x" * 10_000)
        assert len(breaker.view().last_error or "") == 300

    def test_one_per_purpose(self) -> None:
        breakers = Breakers(Clock())
        failing(breakers["ipfs"], 3)
        assert [view.name for view in breakers.views()] == list(BREAKERS)
        assert [view.name for view in breakers.views() if view.state == "open"] == ["ipfs"]
        assert breakers.find("unknown") is None
        assert breakers.find("api") is breakers["api"]


class TestChainClock:
    def test_unknown_at_first(self) -> None:
        clock = ChainClock(Clock())
        assert (clock.known, clock.slot, clock.age_s) == (False, 0, None)
        with pytest.raises(RpcUnavailable):
            clock.now()

    def test_time_passes_between_observations_but_not_for_ever(self) -> None:
        monotonic = Clock(50.0)
        clock = ChainClock(monotonic)
        clock.observe(10, 1_000)
        monotonic.now += 3.9
        assert (clock.now(), clock.slot, round(clock.age_s or 0, 1)) == (1_003, 10, 3.9)
        monotonic.now += 1_000
        assert clock.now() == 1_120

    def test_a_lagging_node_does_not_turn_it_back(self) -> None:
        monotonic = Clock(50.0)
        clock = ChainClock(monotonic)
        clock.observe(10, 1_000)
        clock.observe(9, 999)
        assert (clock.slot, clock.now()) == (10, 1_000)

    @pytest.mark.parametrize(
        "prepare", [lambda clock, monotonic: clock.forget(), lambda clock, monotonic: monotonic.add()]
    )
    def test_a_fork_does(self, prepare: Callable[[ChainClock, "Ticking"], None]) -> None:
        monotonic = Ticking(50.0)
        clock = ChainClock(monotonic)
        clock.observe(10, 1_000)
        prepare(clock, monotonic)
        clock.observe(2, 800)
        assert (clock.slot, clock.now()) == (2, 800)


class Ticking(Clock):
    def add(self) -> None:
        self.now += 10


class TestHealth:
    def test_overall(self) -> None:
        health = Health(Clock())
        assert (health.get("database").status, health.overall()) == ("starting", "degraded")
        for service in SERVICES:
            health.report(service, "ok")
        assert health.overall() == "healthy"
        health.report("solana_rpc", "error", error="time-out")
        assert health.overall() == "degraded"
        health.report("database", "error")
        assert health.overall() == "unhealthy"
        health.report("database", "ok")
        health.report("solana_rpc", "degraded")
        assert health.overall() == "degraded"
        health.report("solana_rpc", "ok")
        assert health.overall() == "healthy"

    def test_what_nobody_reports_on_is_not_said_to_be_well(self) -> None:
        clock = Clock(7)
        health = Health(clock)
        health.report("database", "ok", {"queue": 3})
        clock.now += STALE_S
        assert health.get("database").status == "ok"
        clock.now += 1
        assert (health.services()["database"].status, health.overall()) == ("error", "unhealthy")
        assert health.get("database").numbers == {"queue": 3, "reason": NOT_SEEN}
        assert (health.get("ipfs").status, health.get("redis").status) == ("starting", "disabled")

    def test_a_report(self) -> None:
        clock = Clock(7)
        health = Health(clock)
        assert set(health.services()) == set(SERVICES)
        assert health.get("redis").status == "disabled"
        numbers = {"connections": 3}
        health.report("database", "ok", numbers)
        numbers["connections"] = 4
        assert health.get("database") == ("ok", 7, {"connections": 3}, None)
        with pytest.raises(KeyError):
            health.report("databse", "ok")


class TestMetrics:
    NAMES = frozenset(
        """votes_pending votes_total votes_per_market aggregations_total aggregation_threshold_met_total
        aggregation_lag_seconds webhook_deliveries_total events_received_total events_indexed_total
        webhook_duration_seconds event_processing_lag_seconds indexing_lag_slots dead_letters missed_events_total
        event_decode_failures_total reconciliation_discrepancies discrepancies_total http_requests_total
        http_request_duration_seconds rate_limited_total websocket_connections sse_connections feed_offset
        push_connections_opened_total push_messages_total push_clients_dropped_total database_connections
        store_queue_length store_commit_duration_seconds transitions_total markets stuck_markets manual_reviews_open
        circuit_breaker_opened_total circuit_breaker_state intents backend_balance_lamports alerts_open
        event_loop_lag_seconds job_last_success_timestamp_seconds build_info rpc_requests_total job_runs_total
        snapshots_total backups_total rpc_request_duration_seconds rpc_endpoint_serving rpc_endpoint_failures
        restore_drill_ok restore_drill_duration_seconds restore_drill_backup_age_seconds restore_drill_timestamp_seconds
        database_log_bytes database_checkpoint_lag_bytes database_oldest_reading_seconds""".split()
    )
    PROCESS = frozenset(
        """process_cpu_seconds_total process_resident_memory_bytes process_virtual_memory_bytes process_open_fds
        process_max_fds process_start_time_seconds""".split()
    )
    """As every client library of Prometheus calls them."""

    def test_every_name_of_the_contract_and_no_other(self) -> None:
        families = text_string_to_metric_families(Metrics().render().decode())
        names = {family.name + "_total" * (family.type == "counter") for family in families}
        assert names == {f"zmart_{name}" for name in self.NAMES} | self.PROCESS

    def test_two_nodes_in_one_process_do_not_mix(self) -> None:
        first, second = Metrics(), Metrics()
        first.votes_total.labels("proposal", "api").inc()
        assert b'zmart_votes_total{kind="proposal",source="api"} 1.0' in first.render()
        assert b"zmart_votes_total{" not in second.render()
        assert b"_created" not in first.render()


class TestBackground:
    async def test_it_holds_a_task_until_it_ends(self) -> None:
        background = Background()
        go = asyncio.Event()
        task = background.start(go.wait(), "waiting")
        assert len(background) == 1
        go.set()
        await task
        await asyncio.sleep(0)
        assert len(background) == 0

    async def test_a_failure_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        async def fail() -> None:
            raise ValueError("broken")

        background = Background()
        with caplog.at_level(logging.ERROR):
            await asyncio.wait([background.start(fail(), "failing")])
            await asyncio.sleep(0)
        (record,) = caplog.records
        assert (record.message, record.__dict__["task"]) == ("task failed", "failing")
        assert record.exc_info
        assert isinstance(record.exc_info[1], ValueError)

    async def test_stop_cancels_what_runs(self) -> None:
        background = Background()
        task = background.start(asyncio.Event().wait(), "for ever")
        await background.stop()
        assert task.cancelled()
        await background.stop()

    async def test_stop_does_not_wait_for_ever(self, caplog: pytest.LogCaptureFixture) -> None:
        release = asyncio.Event()

        async def stubborn() -> None:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        background = Background()
        task = background.start(stubborn(), "stubborn")
        await asyncio.sleep(0)
        await background.stop(timeout_s=0.01)
        assert "task does not stop" in caplog.text
        release.set()
        await task
