"""Which jobs a node has, how often each runs, and what each is made of."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from zmart_lite.chain.helius import HeliusClient, WebhookRegistration
from zmart_lite.chain.rpc import Rpc
from zmart_lite.chain.tx import FeePolicy
from zmart_lite.codec import Codec
from zmart_lite.config import Config
from zmart_lite.errors import StartupError
from zmart_lite.indexer import Indexer
from zmart_lite.ipfs import Service
from zmart_lite.jobs.actions import Actions, Keys
from zmart_lite.jobs.alerts import AlertOptions, Alerts, Surroundings
from zmart_lite.jobs.backup import BackupOptions, Backups, judge_backups
from zmart_lite.jobs.conditions import JobHealth
from zmart_lite.jobs.drill import Drill
from zmart_lite.jobs.history import History
from zmart_lite.jobs.monitor import Monitor, MonitorOptions
from zmart_lite.jobs.poll import Polling
from zmart_lite.jobs.prune import Pruner
from zmart_lite.jobs.reconcile import Reconciliation
from zmart_lite.jobs.runner import Job, JobRunner
from zmart_lite.jobs.snapshots import SnapshotOptions, Snapshots, keep_nothing
from zmart_lite.jobs.votes import Aggregator, VoteOptions
from zmart_lite.jobs.webhook import WebhookKeeper, wanted_webhook
from zmart_lite.ops import Background, Breakers, ChainClock, Metrics
from zmart_lite.push.hub import Hub
from zmart_lite.store.engine.db import Store
from zmart_lite.store.engine.leases import FencedStore
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.state import markets

JOB_TIME_LIMIT_S = 240
LONG_JOB_LIMIT_S = 3_600
DRILL_LIMIT_S = 4 * 3_600
"""Beyond an hour it is an alert; that it ends at all is worth knowing."""
BY_HAND_LIMIT_S = 86_400
"""A whole history may take that long to read; what was read stays."""
HOUR_S = 3_600
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class JobParts:
    """What jobs work with. ``chain_now``: the chain's clock in unix seconds, or the wall clock until it is known.
    ``before_poll`` runs first at each poll; ``devnet_delivers_to``: where the embedded devnet's webhook can reach the
    node, '' where nobody listens.
    """

    config: Config
    keys: Keys
    store: Store
    codec: Codec
    rpc: Rpc
    clock: ChainClock
    metrics: Metrics
    breakers: Breakers
    background: Background
    hub: Hub
    indexer: Indexer
    ipfs: Service | None
    feed_context: Callable[[], FeedContext]
    chain_now: Callable[[], int]
    before_poll: Callable[[], Awaitable[None]]
    devnet_delivers_to: Callable[[], str]


class Jobs:
    """The jobs of a node with their runner, the transactions they send, and the webhook they look after."""

    def __init__(self, parts: JobParts) -> None:
        self._parts = parts
        config = parts.config
        price = config.chain.compute_unit_price
        fees = FeePolicy(fixed=price or None, cap=config.chain.compute_unit_price_max)
        self._store = FencedStore(parts.store)
        self.actions = Actions(
            self._store, parts.codec, parts.rpc, parts.keys, parts.metrics, fees, parts.indexer.index_signature
        )
        helius = config.helius
        self.webhook = WebhookKeeper(
            self._wanted_webhook,
            lambda: HeliusClient(helius.api_url, helius.api_key.reveal()),
            parts.metrics,
            time.monotonic,
        )
        self.runner = JobRunner(
            parts.store,
            [*self._of_the_chain(), *self._of_the_data(), *self._by_hand()],
            config.store.folder / "jobs.db",
            workers=config.jobs.workers,
            metrics=parts.metrics,
            breakers=parts.breakers,
            background=parts.background,
        )

    def health(self) -> Sequence[JobHealth]:
        return self.runner.health()

    def aggregation_lag_s(self) -> dict[str, float]:
        """For each kind of vote, the time since its aggregation was due; disputes are settled by the monitor."""
        return {"proposal": self.runner.lag_s("aggregate"), "dispute": self.runner.lag_s("monitor")}

    # The table

    def _of_the_chain(self) -> list[Job]:
        """Jobs that read the chain or move it on."""
        config, limit = self._parts.config, JOB_TIME_LIMIT_S
        can_sign = self._parts.keys.backend is not None
        aggregates, monitors = config.votes.enabled and can_sign, config.monitor.enabled and can_sign
        poll, aggregate, monitor = self._polling().run, self._aggregator().run, self._monitor().run
        return [
            Job("poll", config.indexer.poll_interval_s, limit, poll, "event_indexing", at_start=True),
            Job("aggregate", config.votes.interval_s, limit, aggregate, "vote_aggregation", aggregates),
            Job("monitor", config.monitor.interval_s, limit, monitor, "market_transitions", monitors),
        ]

    def _of_the_data(self) -> list[Job]:
        """Jobs that concern the node's own data."""
        config, parts = self._parts.config, self._parts
        backed_up = config.backup.enabled and not config.store.is_postgres
        backups = Backups(self._store, parts.metrics, BackupOptions(config.backup_folder, config.backup.keep))
        pruner = Pruner(self._store, config.retention, judges=(judge_backups,) if backed_up else ())
        reconcile = Reconciliation(parts.store, parts.indexer).run
        drill = Drill(
            self._store,
            parts.codec,
            parts.rpc,
            parts.feed_context,
            backups=config.backup_folder,
            scratch=config.store.folder / "drill",
        )
        at_hour, every_s = config.backup.hour_utc, config.reconcile.interval_s
        return [
            Job("backup", DAY_S, LONG_JOB_LIMIT_S, backups.run, enabled=backed_up, at_hour_utc=at_hour),
            Job("drill", DAY_S, DRILL_LIMIT_S, drill.run, enabled=backed_up, at_hour_utc=(at_hour + 1) % 24),
            Job("alerts", config.alerts.interval_s, JOB_TIME_LIMIT_S, self._alerts().run, at_start=True),
            Job("prune", HOUR_S, JOB_TIME_LIMIT_S, pruner.run),
            Job("reconcile", every_s, LONG_JOB_LIMIT_S, reconcile, enabled=config.reconcile.enabled, at_start=True),
            self._snapshots(),
        ]

    def _by_hand(self) -> list[Job]:
        parts = self._parts
        history = History(parts.indexer, parts.feed_context, parts.config.indexer.start_slot)
        return [
            Job(name, DAY_S, BY_HAND_LIMIT_S, run, enabled=False)
            for name, run in (("backfill", history.backfill), ("retry", history.retry), ("rebuild", history.rebuild))
        ]

    # What they are made of

    def _polling(self) -> Polling:
        parts = self._parts
        return Polling(parts.indexer, parts.metrics, self.webhook, parts.before_poll)

    def _aggregator(self) -> Aggregator:
        votes = self._parts.config.votes
        options = VoteOptions(votes.proposal_min_votes, votes.review_after_s, votes.record_changes)
        return Aggregator(self._store, self.actions, markets.find_config, self._parts.chain_now, options)

    def _monitor(self) -> Monitor:
        votes, monitor = self._parts.config.votes, self._parts.config.monitor
        options = MonitorOptions(
            monitor.batch_size,
            votes.dispute_voting_s,
            votes.dispute_weight == "wallet",
            monitor.dispute_period_fallback_s,
            monitor.dry_run,
        )
        return Monitor(self._store, self.actions, markets.find_config, self._parts.chain_now, options)

    def _snapshots(self) -> Job:
        parts, ipfs = self._parts, self._parts.config.ipfs
        if parts.ipfs is None:
            return Job("snapshot", DAY_S, LONG_JOB_LIMIT_S, keep_nothing, enabled=False)
        options = SnapshotOptions(ipfs.snapshots, ipfs.snapshot_days)
        snapshots = Snapshots(self._store, parts.ipfs, parts.breakers["ipfs"], parts.metrics, options)
        return Job("snapshot", DAY_S, LONG_JOB_LIMIT_S, snapshots.run)

    def _alerts(self) -> Alerts:
        parts, config = self._parts, self._parts.config
        around = Surroundings(
            rpc=parts.rpc,
            clock=parts.clock,
            keys=parts.keys,
            breakers=parts.breakers,
            metrics=parts.metrics,
            hub=parts.hub,
            jobs=self.health,
            aggregation_lag_s=self.aggregation_lag_s,
            webhook=self.webhook.view,
            now_s=time.time,
        )
        options = AlertOptions(
            config.votes.dispute_voting_s,
            config.monitor.dispute_period_fallback_s,
            config.store.folder,
            webhook=bool(config.helius.webhook_secret.reveal()),
        )
        return Alerts(self._store, around, options)

    def _wanted_webhook(self) -> WebhookRegistration | None:
        """The webhook to keep; None where the configuration asks for none, or nobody listens for the devnet's."""
        config = self._parts.config
        url = self._parts.devnet_delivers_to() if config.embedded_devnet else ""
        if not config.helius.api_key or (config.embedded_devnet and not url):
            return None
        try:
            return wanted_webhook(config, url)
        except StartupError:
            return None
