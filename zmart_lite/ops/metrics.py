"""Every number that /metrics shows. Labels are few and bounded: never ids, wallets or raw paths."""

import math

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.registry import Collector

PREFIX = "zmart_"

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
COMMIT_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
VOTE_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000)


class Metrics:
    """One registry of its own; several nodes in one process do not mix."""

    def __init__(self) -> None:
        # Its `_created` series double the page and no dashboard reads them; the library offers one switch for all.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        # CPU, resident memory, open files and the moment of the start, by the names that every dashboard knows.
        ProcessCollector(registry=self.registry)
        self._define_votes()
        self._define_events()
        self._define_requests()
        self._define_push()
        self._define_store()
        self._define_chain()
        self._define_jobs()

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)

    def register(self, collector: Collector) -> None:
        """Adds values that are looked up only when somebody asks for them."""
        self.registry.register(collector)

    def _define_votes(self) -> None:
        self.votes_pending = self._gauge("votes_pending", "Votes not yet recorded on chain.", "kind")
        self.votes_total = self._counter("votes_total", "Votes accepted.", "kind", "source")
        self.votes_per_market = self._histogram(
            "votes_per_market", "Votes of a market when they were recorded on chain.", VOTE_BUCKETS, "kind"
        )
        self.aggregations_total = self._counter("aggregations_total", "Aggregations on chain.", "kind", "result")
        self.aggregation_threshold_met_total = self._counter(
            "aggregation_threshold_met_total", "Markets whose votes reached the threshold.", "kind"
        )
        self.aggregation_lag_seconds = self._gauge(
            "aggregation_lag_seconds", "Time since an aggregation was due; 0 if on time.", "kind"
        )

    def _define_events(self) -> None:
        self.webhook_deliveries_total = self._counter("webhook_deliveries_total", "Webhook deliveries.", "result")
        self.webhook_duration_seconds = self._histogram(
            "webhook_duration_seconds", "Time to answer a delivery.", LATENCY_BUCKETS_S
        )
        self.events_received_total = self._counter("events_received_total", "Transactions received.", "source")
        self.events_indexed_total = self._counter("events_indexed_total", "Events folded.", "event_type")
        self.event_processing_lag_seconds = self._gauge(
            "event_processing_lag_seconds", "Time between receiving and folding the last event."
        )
        self.indexing_lag_slots = self._gauge(
            "indexing_lag_slots", "Slots from the oldest known transaction that is not indexed to the chain's head."
        )
        self.dead_letters = self._gauge("dead_letters", "Inputs that could not be decoded and are kept.")
        self.missed_events_total = self._counter("missed_events_total", "Events that only the poller saw.")
        self.event_decode_failures_total = self._counter("event_decode_failures_total", "Undecodable inputs.", "reason")
        self.reconciliation_discrepancies = self._gauge(
            "reconciliation_discrepancies", "Differences that the last reconciliation found."
        )
        self.discrepancies_total = self._counter("discrepancies_total", "Differences found, by field.", "field")

    def _define_requests(self) -> None:
        self.http_requests_total = self._counter("http_requests_total", "HTTP requests.", "method", "route", "status")
        self.http_request_duration_seconds = self._histogram(
            "http_request_duration_seconds", "Time to answer a request.", LATENCY_BUCKETS_S, "method", "route"
        )
        self.rate_limited_total = self._counter("rate_limited_total", "Requests refused by a limit.", "scope")

    def _define_push(self) -> None:
        self.websocket_connections = self._gauge("websocket_connections", "Open WebSocket connections.")
        self.sse_connections = self._gauge("sse_connections", "Open event streams.")
        self.feed_offset = self._gauge("feed_offset", "Offset of the newest message of the feed.")
        self.push_connections_opened_total = self._counter(
            "push_connections_opened_total", "Connections opened.", "transport", "resumed"
        )
        self.push_messages_total = self._counter("push_messages_total", "Messages delivered.", "transport", "type")
        self.push_clients_dropped_total = self._counter("push_clients_dropped_total", "Connections cut off.", "reason")

    def _define_store(self) -> None:
        self.database_connections = self._gauge("database_connections", "Database connections.", "state")
        self.store_queue_length = self._gauge("store_queue_length", "Writes that wait for the writer.")
        self.database_log_bytes = self._gauge("database_log_bytes", "Size of the database's write-ahead log.")
        self.database_checkpoint_lag_bytes = self._gauge(
            "database_checkpoint_lag_bytes", "What of that log has not been written back into the database."
        )
        self.database_oldest_reading_seconds = self._gauge(
            "database_oldest_reading_seconds", "Age of the oldest reading, behind which nothing is written back."
        )
        self.store_commit_duration_seconds = self._histogram(
            "store_commit_duration_seconds", "Time of a commit.", COMMIT_BUCKETS_S
        )

    def _define_chain(self) -> None:
        self.transitions_total = self._counter("transitions_total", "Actions on chain.", "action", "result")
        self.markets = self._gauge("markets", "Markets.", "state")
        self.stuck_markets = self._gauge("stuck_markets", "Markets without progress.", "severity")
        self.manual_reviews_open = self._gauge("manual_reviews_open", "Cases that wait for a person.", "kind")
        self.intents = self._gauge("intents", "Transactions of the node.", "status")
        self.backend_balance_lamports = self._gauge("backend_balance_lamports", "Balance of the node's key.")
        # Not a number until it has been read: no rule may take an unknown balance for an empty one.
        self.backend_balance_lamports.set(math.nan)
        self.rpc_requests_total = self._counter("rpc_requests_total", "RPC calls.", "method", "result")
        self.rpc_request_duration_seconds = self._histogram(
            "rpc_request_duration_seconds", "Time of an RPC call.", LATENCY_BUCKETS_S, "method"
        )
        self.rpc_endpoint_serving = self._gauge("rpc_endpoint_serving", "1 where requests go now.", "endpoint")
        self.rpc_endpoint_failures = self._gauge(
            "rpc_endpoint_failures", "Failures in a row of an RPC address, 0 = healthy.", "endpoint"
        )

    def _define_jobs(self) -> None:
        self.circuit_breaker_opened_total = self._counter("circuit_breaker_opened_total", "Breakers opened.", "breaker")
        self.circuit_breaker_state = self._gauge("circuit_breaker_state", "0 closed, 1 half-open, 2 open.", "breaker")
        self.alerts_open = self._gauge("alerts_open", "Open alerts.", "severity")
        self.event_loop_lag_seconds = self._gauge("event_loop_lag_seconds", "Delay of the event loop.")
        self.job_last_success_timestamp_seconds = self._gauge(
            "job_last_success_timestamp_seconds", "When a job last ended well, unix time.", "job"
        )
        self.job_runs_total = self._counter("job_runs_total", "Runs of jobs.", "job", "result")
        self.snapshots_total = self._counter("snapshots_total", "Snapshots uploaded.", "result")
        self.backups_total = self._counter("backups_total", "Backups made.", "result")
        self.restore_drill_ok = self._gauge("restore_drill_ok", "1 if the last restore drill succeeded, 0 if not.")
        self.restore_drill_duration_seconds = self._gauge(
            "restore_drill_duration_seconds", "How long the last drill took to restore and prove a backup (RTO)."
        )
        self.restore_drill_backup_age_seconds = self._gauge(
            "restore_drill_backup_age_seconds", "How old the newest backup was at the last drill (RPO)."
        )
        self.restore_drill_timestamp_seconds = self._gauge(
            "restore_drill_timestamp_seconds", "When the last drill began, unix time; 0 before the first."
        )
        # Not a number until there has been one: no rule may take none for one that failed.
        for gauge in (
            self.restore_drill_ok,
            self.restore_drill_duration_seconds,
            self.restore_drill_backup_age_seconds,
        ):
            gauge.set(math.nan)
        self.build_info = self._gauge("build_info", "Always 1.", "version", "program_id", "cluster")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(PREFIX + name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(PREFIX + name, text, labels, registry=self.registry, buckets=buckets)
