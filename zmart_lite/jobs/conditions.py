"""When something is wrong: every alert that is a state to look at, with its severity. Pure.

A condition is true or not at one moment; who opens, raises and closes the alerts for it is ``jobs.alerts``. Thresholds
are those of the contract (section 6.2).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from zmart_lite.jobs.webhook import WebhookView
from zmart_lite.models import GlobalConfig
from zmart_lite.ops.breaker import BreakerView
from zmart_lite.store.engine.db import WriteAhead
from zmart_lite.store.views.watching import Stuck

DAY_S = 86_400
STUCK_LOW_S = 7 * DAY_S
STUCK_MEDIUM_S = 30 * DAY_S
STUCK_MANY = (10, 50)
RESOLUTION_LATE_S = 3_600
AGGREGATION_LAG_S = (120, 300, 600)
INDEXING_LAG_SLOTS = (50, 100)
DELIVERIES_MIN = 20
DELIVERY_FAILURES_PERCENT = 1
MISSED_EVENTS = 5
REQUESTS_MIN = 100
SERVER_ERRORS_PERCENT = (5, 10)
CONNECTIONS_MIN = 10
CONNECTIONS_LOST_PERCENT = 50
REFUSALS = 1_000
INTERVALS_MISSED = 3
FAILURES_IN_A_ROW = 3
BALANCE_LAMPORTS = (100_000_000, 10_000_000)
DISK_FREE_PERCENT = 5
BREAKER_OPEN_S = 300
REGISTRATION = "registration"
"""Subject of what is wrong with the webhook itself, not with its deliveries."""


LOG_BYTES_MAX = 2**30
LOG_WAITING_BYTES_MAX = 512 * 2**20
"""Four times what is written back at once."""
READING_S_MAX = 300
"""Requests give up after seconds; jobs that go through all there is take a minute or two."""


class Condition(NamedTuple):
    """A cause for an alert: one per type and subject."""

    alert_type: str
    severity: str
    message: str
    subject: str = ""
    data: Mapping[str, Any] = {}


class JobHealth(NamedTuple):
    """How a job has been doing. Times in seconds; ``since_ok_s``: since it ended well, or is expected to."""

    name: str
    interval_s: int
    since_ok_s: float
    error: str | None
    failures_in_a_row: int
    waits_for_breaker: bool


# Markets


def stuck(markets: Sequence[Stuck], long_stuck_count: int, chain_now: int) -> Iterator[Condition]:
    """Markets that have not moved for a week or a month."""
    for market in markets:
        days = (chain_now - market.since) // DAY_S
        severity = "MEDIUM" if chain_now - market.since >= STUCK_MEDIUM_S else "LOW"
        text = f"The market has been {market.state.name} for {days} days without progress."
        # The days change and are no news: they are told when the alert opens or rises.
        yield Condition("stuck_market", severity, text, market.market_id.hex(), {"state": market.state.name})
    many = _above(long_stuck_count, STUCK_MANY, ("HIGH", "CRITICAL"))
    if many:
        text = f"More than {STUCK_MANY[many == 'CRITICAL']} markets have made no progress for 30 days."
        yield Condition("stuck_markets_many", many, text, data={"markets": long_stuck_count})


def late_resolution(market_id: bytes, proposed_at: int) -> Condition:
    text = "The market should have been finalised more than an hour ago."
    return Condition("resolution_timeout", "HIGH", text, market_id.hex(), {"resolution_proposed_at": proposed_at})


def voteless_dispute(market_id: bytes, begun_at: int) -> Condition:
    text = "The dispute's voting time ended without a vote; it needs a person."
    return Condition("dispute_without_votes", "HIGH", text, market_id.hex(), {"dispute_initiated_at": begun_at})


def ready_for_approval(market_id: bytes) -> Condition:
    text = "The proposal passed its vote and waits for the admin's approval."
    return Condition("ready_for_approval", "LOW", text, market_id.hex())


def early_withdrawal(market_id: bytes) -> Condition:
    text = "The creator withdrew liquidity before every winner was paid."
    return Condition("early_withdrawal", "HIGH", text, market_id.hex())


# The protocol and our keys


def protocol(config: GlobalConfig, backend: bytes | None) -> Iterator[Condition]:
    if config.is_paused:
        yield Condition("protocol_paused", "MEDIUM", "The protocol is paused on chain.")
    if backend is not None and backend != config.backend_authority:
        text = "chain.backend_keypair is not the config's backend_authority: nothing can be aggregated or settled."
        yield Condition("authority_mismatch", "CRITICAL", text)


def balance(lamports: int | None) -> Iterator[Condition]:
    """What the node's key can still pay; None while unknown."""
    if lamports is None or lamports >= BALANCE_LAMPORTS[0]:
        return
    severity = "CRITICAL" if lamports < BALANCE_LAMPORTS[1] else "HIGH"
    text = (
        f"The backend key has less than {'0.01' if severity == 'CRITICAL' else '0.1'} SOL left to pay for transactions."
    )
    yield Condition("balance_low", severity, text, data={"lamports": str(lamports)})


def cluster(pinned: str | None, found: Sequence[str | None]) -> Iterator[Condition]:
    """Whether the RPC still answers for the cluster that this database belongs to: the genesis hash that each address
    tells, None for one that does not answer.
    """
    foreign = [number for number, genesis in enumerate(found, 1) if genesis is not None and genesis != pinned]
    if pinned is None or not foreign:
        return
    if any(genesis == pinned for genesis in found):
        severity, text = "HIGH", "Some RPC addresses answer for another cluster than the one this database belongs to."
    else:
        severity, text = "CRITICAL", "The RPC answers for another cluster than the one this database belongs to."
    yield Condition(
        "cluster_changed", severity, text, data={"addresses": foreign, "genesis_hash": found[foreign[0] - 1]}
    )


# The node itself


def lags(aggregation_s: Mapping[str, float], indexing_slots: int) -> Iterator[Condition]:
    for kind, lag_s in aggregation_s.items():
        severity = _above(lag_s, AGGREGATION_LAG_S, ("MEDIUM", "HIGH", "CRITICAL"))
        if severity:
            text = f"The aggregation of {kind} votes is overdue."
            yield Condition("aggregation_lag", severity, text, kind, {"lag_s": int(lag_s)})
    severity = _above(indexing_slots, INDEXING_LAG_SLOTS, ("HIGH", "CRITICAL"))
    if severity:
        limit = INDEXING_LAG_SLOTS[severity == "CRITICAL"]
        text = f"Indexing is more than {limit} slots behind the chain."
        yield Condition("indexing_lag", severity, text, data={"slots": indexing_slots})


def jobs(found: Iterable[JobHealth]) -> Iterator[Condition]:
    """Jobs that raised, or that did not come to an end for three intervals."""
    for job in found:
        if job.error is not None:
            data = {"error": job.error, "failures_in_a_row": job.failures_in_a_row}
            yield Condition("job_failure", "HIGH", f"The job {job.name} failed.", job.name, data)
        elif job.since_ok_s > INTERVALS_MISSED * job.interval_s and not job.waits_for_breaker:
            text = f"The job {job.name} did not finish for {INTERVALS_MISSED} intervals."
            yield Condition("job_failure", "HIGH", text, job.name)
        alert_type = ROW_OF_FAILURES.get(job.name)
        if alert_type is not None and job.failures_in_a_row >= FAILURES_IN_A_ROW:
            text = f"The job {job.name} failed {FAILURES_IN_A_ROW} times in a row."
            yield Condition(alert_type, "HIGH", text, data={"error": job.error})


ROW_OF_FAILURES = {"aggregate": "vote_aggregation_error", "monitor": "state_transition_failure"}


def breakers(views: Iterable[BreakerView], now_s: float) -> Iterator[Condition]:
    for view in views:
        if view.opened_at is None:
            continue
        severity = "CRITICAL" if now_s - view.opened_at > BREAKER_OPEN_S else "HIGH"
        text = f"The circuit breaker {view.name} is open after repeated failures."
        if view.state == "half_open":
            text = f"The circuit breaker {view.name} lets one call through, to see whether it works again."
        yield Condition("circuit_breaker_open", severity, text, view.name, _of_breaker(view))


def _of_breaker(view: BreakerView) -> dict[str, Any]:
    return {"state": view.state, "error": view.last_error}


def webhook(view: WebhookView) -> Iterator[Condition]:
    """Whether the service may not deliver, or did not want to any more."""
    if view.error is not None:
        text = "The webhook cannot be looked after: is it registered, and helius.api_key valid?"
        yield Condition("webhook_error", "MEDIUM", text, REGISTRATION, {"error": view.error})
    elif view.was_off:
        text = "Helius had switched the webhook off. It is on again, but nothing has been delivered since."
        yield Condition("webhook_error", "MEDIUM", text, REGISTRATION)


def storage(failed: str | None, free_bytes: int, total_bytes: int) -> Iterator[Condition]:
    if failed is not None:
        yield Condition("store_error", "CRITICAL", "The database does not work as it should.", data={"error": failed})
    elif free_bytes * 100 < total_bytes * DISK_FREE_PERCENT:
        text = f"Less than {DISK_FREE_PERCENT} % of the disk is free."
        yield Condition("store_error", "CRITICAL", text, data={"free_bytes": free_bytes})


def write_ahead(log: WriteAhead) -> Iterator[Condition]:
    """The database's log is written back every 128 MiB, behind the oldest reading: one that never ends makes it grow
    without end.
    """
    for subject, value, limit, text in (
        ("size", log.size_bytes, LOG_BYTES_MAX, "The database's log has grown beyond 1 GiB."),
        (
            "checkpoint",
            log.waiting_bytes,
            LOG_WAITING_BYTES_MAX,
            "More than 512 MiB of the log wait to be written back.",
        ),
        ("reading", int(log.oldest_reading_s), READING_S_MAX, "A reading of the database has not ended for 5 minutes."),
    ):
        if value > limit:
            yield Condition("database_log", "HIGH", text, subject, log._asdict())


# Rates


class Rates(NamedTuple):
    """Growth within the windows of the contract."""

    deliveries_15m: int = 0
    deliveries_bad_15m: int = 0
    missed_events_10m: int = 0
    missed_events_1h: int = 0
    deliveries_ok_1h: int = 0
    requests_5m: int = 0
    server_errors_5m: int = 0
    connections_1m: int = 0
    connections_lost_1m: int = 0
    refusals_1h: int = 0


def rates(found: Rates) -> Iterator[Condition]:
    bad, all_ = found.deliveries_bad_15m, found.deliveries_15m
    if all_ >= DELIVERIES_MIN and bad * 100 > all_ * DELIVERY_FAILURES_PERCENT:
        text = "More than 1 % of the webhook deliveries of the last 15 minutes were refused or failed."
        yield Condition("webhook_error", "MEDIUM", text, data={"deliveries": all_, "failed": bad})
    if found.missed_events_1h and not found.deliveries_ok_1h:
        text = "The webhook is silent: all events of the last hour came by polling only."
        yield Condition("missed_events", "MEDIUM", text, data={"events": found.missed_events_1h})
    elif found.missed_events_10m >= MISSED_EVENTS:
        text = f"{MISSED_EVENTS} or more events of the last 10 minutes came by polling only: the webhook misses some."
        yield Condition("missed_events", "MEDIUM", text, data={"events": found.missed_events_10m})
    if found.requests_5m >= REQUESTS_MIN:
        yield from _server_errors(found.server_errors_5m, found.requests_5m)
    lost, seen = found.connections_lost_1m, found.connections_1m
    if seen >= CONNECTIONS_MIN and lost * 100 > seen * CONNECTIONS_LOST_PERCENT:
        text = "More than half of the push connections were lost within a minute."
        yield Condition("websocket_drop", "HIGH", text, data={"connections": seen, "lost": lost})
    if found.refusals_1h > REFUSALS:
        text = f"More than {REFUSALS} requests were refused by limits within an hour."
        yield Condition("rate_limit_pressure", "MEDIUM", text, data={"refused": found.refusals_1h})


def _server_errors(errors: float, requests: float) -> Iterator[Condition]:
    severity = _above(errors * 100 / requests, SERVER_ERRORS_PERCENT, ("HIGH", "CRITICAL"))
    if severity:
        limit = SERVER_ERRORS_PERCENT[severity == "CRITICAL"]
        text = f"More than {limit} % of the requests of the last 5 minutes ended with a server error."
        yield Condition("api_error_rate", severity, text, data={"requests": requests, "errors": errors})


def _above(value: float, limits: Sequence[float], severities: Sequence[str]) -> str | None:
    """The severity of the highest limit that ``value`` exceeds."""
    exceeded = sum(value > limit for limit in limits)
    return severities[exceeded - 1] if exceeded else None
