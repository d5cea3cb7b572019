"""Looks at the whole node twice a minute and keeps its alerts true: opened once, raised when it gets worse, closed by
themselves when the cause is gone.

What is wrong is decided by ``jobs.conditions``; here is what they look at. Alerts about something that happened, not
about a state, are opened where it happens, and only closed here. What could not be looked at this time (the RPC does
not answer) leaves its alerts as they are.
"""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from zmart_lite.chain.rpc import Rpc
from zmart_lite.errors import ChainError
from zmart_lite.jobs import conditions
from zmart_lite.jobs.actions import ACTIONS, Keys
from zmart_lite.jobs.conditions import Condition, JobHealth, Rates
from zmart_lite.jobs.runner import Params, Summary
from zmart_lite.jobs.webhook import WebhookView
from zmart_lite.models import GlobalConfig
from zmart_lite.ops import Breakers, ChainClock, Metrics
from zmart_lite.ops.rates import Growth, total_of
from zmart_lite.push.hub import Hub
from zmart_lite.store.engine.db import Row, Tx, WriteAhead
from zmart_lite.store.engine.leases import JobStore
from zmart_lite.store.log import chainlog
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import alerts, markets
from zmart_lite.store.views import watching
from zmart_lite.store.views.watching import Stuck

logger = logging.getLogger(__name__)

ALERTS_PER_TYPE_MAX = 500
"""Markets told of one by one; that there are more, ``stuck_markets_many`` says."""

ALWAYS = frozenset(
    {
        "aggregation_lag",
        "api_error_rate",
        "circuit_breaker_open",
        "database_log",
        "indexing_lag",
        "job_failure",
        "missed_events",
        "rate_limit_pressure",
        "ready_for_approval",
        "store_error",
        "vote_aggregation_error",
        "webhook_error",
        "websocket_drop",
    }
)
"""Types that can be judged at any time."""
BY_CHAIN_TIME = frozenset({"stuck_market", "stuck_markets_many", "resolution_timeout", "dispute_without_votes"})
BY_CONFIG = frozenset({"protocol_paused", "authority_mismatch"})
HAPPENED = frozenset({"proposal_no_consensus", "state_transition_failure", "early_withdrawal"})
"""Types about something that happened: opened where it does, closed here when it is over."""
PASSING_MS = {"event_retracted": 86_400_000}
"""Types about something that leaves nothing to look at: closed when it has not happened again for so long."""


class AlertOptions(NamedTuple):
    """Settings; times in seconds. ``webhook``: whether events are expected from one."""

    dispute_voting_s: int
    dispute_period_fallback_s: int
    folder: Path
    webhook: bool


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is looked at besides the database. ``now_s`` is the wall clock, ``clock`` the chain's."""

    rpc: Rpc
    clock: ChainClock
    keys: Keys
    breakers: Breakers
    metrics: Metrics
    hub: Hub
    jobs: Callable[[], Sequence[JobHealth]]
    aggregation_lag_s: Callable[[], dict[str, float]]
    webhook: Callable[[], WebhookView]
    now_s: Callable[[], float]


class _Stored(NamedTuple):
    """One reading of the database."""

    config: GlobalConfig | None
    stuck: list[Stuck]
    long_stuck_count: int
    late: list[Row]
    voteless: list[Row]
    ready: list[bytes]
    oldest_waiting_slot: int | None
    genesis_hash: str | None


class Sight(NamedTuple):
    """What holds now, and of which types that is all."""

    conditions: list[Condition]
    types: frozenset[str]


class Alerts:
    """The job ``alerts``."""

    def __init__(self, store: JobStore, around: Surroundings, options: AlertOptions) -> None:
        self._store = store
        self._around = around
        self._options = options
        self._rates = _Windows(around)

    async def run(self, _: Params) -> Summary:
        """Look once. Raises StoreUnavailable where the database cannot be written: then ``jobs.notify`` tells."""
        balance = await self._balance()
        clusters = await self._clusters()
        stored = await self._store.read(self._read)
        first = next((genesis for genesis in clusters if genesis is not None), None)
        if stored.genesis_hash is None and first is not None:
            await self._store.write(lambda tx: chainlog.set_meta(tx, "genesis_hash", first))
            stored = stored._replace(genesis_hash=first)
        sight = self._judge(stored, balance, clusters, await self._store.write_ahead())
        opened, closed = await self._store.write(lambda tx: keep(tx, sight))
        closed += await self._store.write(self._keep_happened)
        return Summary(found=len(sight.conditions), done=opened + closed)

    # Looking

    async def _balance(self) -> int | None:
        """Lamports of the backend key; None where that is not known now."""
        around, key = self._around, self._around.keys.backend
        if key is None:
            return None
        try:
            lamports = await around.rpc.get_balance(bytes(key.pubkey()))
        except ChainError as error:
            logger.warning("the balance of the backend key cannot be read: %s", error)
            return None
        around.metrics.backend_balance_lamports.set(lamports)
        return lamports

    async def _clusters(self) -> list[str | None]:
        """The genesis hash that each RPC address tells; none at all where that is not known now."""
        try:
            found = await self._around.rpc.list_genesis()
        except ChainError as error:
            logger.warning("the cluster cannot be told: %s", error)
            return []
        return [None if genesis is None else genesis.hex() for genesis in found]

    def _read(self, tx: Tx) -> _Stored:
        config = markets.find_config(tx)
        now = self._around.clock.now() if self._around.clock.known else 0
        period_s = self._options.dispute_period_fallback_s if config is None else config.dispute_period
        late_before = now - period_s - conditions.RESOLUTION_LATE_S
        limit = ALERTS_PER_TYPE_MAX
        ready = markets.list_ready_for_approval(tx, limit) if self._around.keys.admin is None else []
        return _Stored(
            config,
            watching.list_stuck(tx, now - conditions.STUCK_LOW_S, limit),
            watching.count_stuck(tx, now - conditions.STUCK_MEDIUM_S),
            watching.list_late_resolutions(tx, late_before, limit),
            watching.list_voteless_disputes(tx, now - self._options.dispute_voting_s, limit),
            [record["market_id"] for record in ready],
            watching.oldest_waiting_slot(tx),
            chainlog.find_meta(tx, "genesis_hash"),
        )

    # Judging

    def _judge(self, stored: _Stored, balance: int | None, clusters: Sequence[str | None], log: WriteAhead) -> Sight:
        around, types = self._around, ALWAYS
        found = [*conditions.rates(self._rates.note(self._options.webhook)), *self._node()]
        found += map(conditions.ready_for_approval, stored.ready)
        found += conditions.write_ahead(log)
        found += conditions.lags(around.aggregation_lag_s(), self._lag_slots(stored))
        if around.clock.known:
            types |= BY_CHAIN_TIME
            found += self._markets(stored, around.clock.now())
        if stored.config is not None:
            types |= BY_CONFIG
            backend = around.keys.backend
            found += conditions.protocol(stored.config, None if backend is None else bytes(backend.pubkey()))
        if balance is not None:
            types |= {"balance_low"}
            found += conditions.balance(balance)
        if any(genesis is not None for genesis in clusters):
            types |= {"cluster_changed"}
            found += conditions.cluster(stored.genesis_hash, clusters)
        return Sight(found, types)

    def _node(self) -> Iterator[Condition]:
        around = self._around
        yield from conditions.jobs(around.jobs())
        yield from conditions.breakers(around.breakers.views(), around.now_s())
        yield from conditions.webhook(around.webhook())
        disk = shutil.disk_usage(self._options.folder)
        yield from conditions.storage(self._store.failed, disk.free, disk.total)

    def _markets(self, stored: _Stored, now: int) -> Iterator[Condition]:
        yield from conditions.stuck(stored.stuck, stored.long_stuck_count, now)
        for row in stored.late:
            yield conditions.late_resolution(row["market_id"], row["resolution_proposed_at"])
        for row in stored.voteless:
            yield conditions.voteless_dispute(row["market_id"], row["dispute_initiated_at"])

    def _lag_slots(self, stored: _Stored) -> int:
        oldest = stored.oldest_waiting_slot
        return 0 if oldest is None else max(0, self._around.clock.slot - oldest)

    # What happened

    def _keep_happened(self, tx: Tx) -> int:
        """Open what newly happened; close what is over. How many closed."""
        seen = watching.find_seen_event(tx)
        withdrawals, looked_at = watching.list_withdrawals_since(tx, seen, ALERTS_PER_TYPE_MAX)
        for row in withdrawals:
            if watching.has_unclaimed_winners(tx, row["market_id"]):
                _raise(tx, conditions.early_withdrawal(row["market_id"]))
        if looked_at != seen:
            watching.set_seen_event(tx, looked_at)
        messages.resolve_undecodable(tx)
        over = [row for row in alerts.list_unresolved(tx, HAPPENED) if row["subject"] and not _goes_on(tx, row)]
        over += [
            row
            for row in alerts.list_unresolved(tx, PASSING_MS.keys())
            if row["last_seen_ms"] + PASSING_MS[row["alert_type"]] <= tx.now_ms
        ]
        for row in over:
            messages.resolve_alert(tx, row["alert_type"], row["subject"])
        return len(over)


def keep(tx: Tx, sight: Sight) -> tuple[int, int]:
    """Make the alerts say what holds: (opened or raised, closed). A condition that goes on changes nothing."""
    types = sight.types | {"state_transition_failure"}
    known = {(row["alert_type"], row["subject"]): row for row in alerts.list_unresolved(tx, types)}
    opened = 0
    for condition in sight.conditions:
        row = known.pop((condition.alert_type, condition.subject), None)
        if row is None or alerts.is_worse(condition.severity, row["severity"]):
            _raise(tx, condition)
            opened += 1
    # Failures of one market's action are told by the action; only those of the whole job belong here.
    over = [key for key in known if key[0] in sight.types or key == ("state_transition_failure", "")]
    for alert_type, subject in over:
        messages.resolve_alert(tx, alert_type, subject)
    return opened, len(over)


def _raise(tx: Tx, condition: Condition) -> None:
    alert_type, severity, message, subject, data = condition
    messages.raise_alert(tx, alert_type, severity, message, subject=subject, data=data)


def _goes_on(tx: Tx, alert: Row) -> bool:
    """Whether what an alert tells of still holds."""
    subject: str = alert["subject"]
    if alert["alert_type"] == "state_transition_failure":
        return watching.has_failed_action(tx, ACTIONS, subject)
    market_id = bytes.fromhex(subject)
    if alert["alert_type"] == "early_withdrawal":
        return watching.has_unclaimed_winners(tx, market_id)
    return watching.is_proposed(tx, market_id)


class _Windows:
    """The growth of the node's counters within the windows of the alerts."""

    def __init__(self, around: Surroundings) -> None:
        window = partial(Growth, clock=around.now_s)
        self._metrics, self._hub = around.metrics, around.hub
        self._deliveries, self._missed = window(900, step_s=10), window(600, step_s=10)
        self._requests, self._connections = window(300, step_s=5), window(60)
        self._refusals, self._silence = window(3_600, step_s=30), window(3_600, step_s=30)

    def note(self, webhook: bool) -> Rates:
        metrics, hub = self._metrics, self._hub
        deliveries, bad = self._deliveries.note(
            total_of(metrics.webhook_deliveries_total),
            total_of(metrics.webhook_deliveries_total, lambda labels: labels["result"] != "ok"),
        )
        requests, errors = self._requests.note(
            total_of(metrics.http_requests_total),
            total_of(metrics.http_requests_total, lambda labels: labels["status"].startswith("5")),
        )
        open_now = len(hub.subscribers)
        opened, lost, more = self._connections.note(hub.opened_total, hub.lost_total, open_now)
        (missed,) = self._missed.note(total_of(metrics.missed_events_total, lambda _: True))
        missed_1h, delivered_1h = self._silence.note(
            total_of(metrics.missed_events_total, lambda _: True),
            total_of(metrics.webhook_deliveries_total, lambda labels: labels["result"] == "ok"),
        )
        (refused,) = self._refusals.note(total_of(metrics.rate_limited_total))
        return Rates(
            deliveries_15m=int(deliveries),
            deliveries_bad_15m=int(bad),
            missed_events_10m=int(missed) if webhook else 0,
            missed_events_1h=int(missed_1h) if webhook else 0,
            deliveries_ok_1h=int(delivered_1h),
            requests_5m=int(requests),
            server_errors_5m=int(errors),
            connections_1m=int(open_now - more + opened),
            connections_lost_1m=int(lost),
            refusals_1h=int(refused),
        )
