"""The composition root: builds every part of the node, hands each what it needs, and owns the order of start and stop.

Parts are started in :meth:`Node.start` from top to bottom and stopped in reverse by one exit stack. Nothing is built
at import, and no part reaches for another by itself.
"""

import asyncio
import logging
import socket
import time
from contextlib import AsyncExitStack
from typing import Self

from solders.pubkey import Pubkey

from zmart_lite import __version__, ipfs
from zmart_lite.api import ApiParts, create_app
from zmart_lite.api.auth import jwt_secret
from zmart_lite.api.crowd import Crowd
from zmart_lite.api.stream import StoredFeed
from zmart_lite.app.gauges import Gauges
from zmart_lite.app.hooks import IndexerAdapter, IntentAdapter, JobAdapter
from zmart_lite.app.server import allow_connections, bind, make_server, serve
from zmart_lite.app.watch import Watch
from zmart_lite.chain.helius import HeliusClient, WebhookRegistration
from zmart_lite.chain.pubsub import LogsSubscription
from zmart_lite.chain.rpc import RetryPolicy, Rpc
from zmart_lite.chain.tx import FeePolicy
from zmart_lite.codec import Codec
from zmart_lite.config import Config
from zmart_lite.errors import ChainError, RpcUnavailable, StartupError, UndecodableData
from zmart_lite.indexer import Indexer
from zmart_lite.indexer.service import IndexerOptions
from zmart_lite.jobs import Actions, Job, JobRunner, Keys, Summary
from zmart_lite.jobs.alerts import AlertOptions, Alerts, Surroundings
from zmart_lite.jobs.backup import BackupOptions, Backups, judge_backups
from zmart_lite.jobs.breakers import BreakerKeeper
from zmart_lite.jobs.conditions import JobHealth
from zmart_lite.jobs.history import History
from zmart_lite.jobs.keys import check_keys
from zmart_lite.jobs.monitor import Monitor, MonitorOptions
from zmart_lite.jobs.notify import Notifier, NotifyOptions
from zmart_lite.jobs.poll import Polling
from zmart_lite.jobs.prune import Pruner
from zmart_lite.jobs.reconcile import Reconciliation
from zmart_lite.jobs.runner import Params
from zmart_lite.jobs.snapshots import SnapshotOptions, Snapshots, keep_nothing
from zmart_lite.jobs.votes import Aggregator, VoteOptions
from zmart_lite.jobs.webhook import WEBHOOK_PATH, WebhookKeeper, wanted_webhook
from zmart_lite.ops import Background, Breakers, BreakerView, ChainClock, Health, Metrics
from zmart_lite.ops.targets import targets_of
from zmart_lite.push.hub import Hub
from zmart_lite.store import chainlog, markets
from zmart_lite.store.db import Store, Tx, wall_clock_ms
from zmart_lite.store.leases import FencedStore
from zmart_lite.store.messages import FeedContext
from zmart_lite.store.rows import RowSettings

logger = logging.getLogger(__name__)

LOOPBACK_OF_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - how to reach a node that listens everywhere
JOB_TIME_LIMIT_S = 240
LONG_JOB_LIMIT_S = 3_600
BY_HAND_LIMIT_S = 86_400
"""A whole history may take that long to read; what was read stays."""
HOUR_S = 3_600
DAY_S = 86_400
START_RPC_DEADLINE_S = 3.0
"""How long the start waits for the cluster. Without it votes and reads work all the same."""


class Node:
    """A whole node. ``port`` is the one it listens on, once started."""

    def __init__(self, config: Config, keys: Keys) -> None:
        self.config = config
        self.keys = keys
        self.stopping = asyncio.Event()
        self.port = 0
        self._stack = AsyncExitStack()
        self._is_pinned = False

    @property
    def url(self) -> str:
        """Where the node is reached on this machine."""
        host = LOOPBACK_OF_ANY.get(self.config.server.host, self.config.server.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    # Building, in the order of dependence

    async def start(self) -> Self:
        """Start everything. Raises StartupError with what to do; whatever was started is then stopped again."""
        async with AsyncExitStack() as stack:
            sockets = self._bind(stack)
            await self._build(stack)
            await self._serve(stack, sockets)
            await self._start_work(stack)
            self._stack = stack.pop_all()
        logger.info("node started", extra={"port": self.port, "cluster": self.config.chain.cluster})
        return self

    async def run_job(self, name: str, params: Params) -> Summary:
        """Run one job to its end without serving, then stop; in the place of :meth:`start`.

        Raises DatabaseInUse while a node runs, StartupError, and what the job raises.
        """
        async with AsyncExitStack() as stack:
            await self._build(stack)
            stack.push_async_callback(self.jobs.stop)
            self.background.start(self.indexer.run(), "indexer")
            await self.jobs.take_over()
            return await self.jobs.run_to_end(name, params)

    async def _build(self, stack: AsyncExitStack) -> None:
        """Every part but the ones that listen or repeat something."""
        self._build_operations(stack)
        await self._open_store(stack)
        self._build_chain(stack)
        await self._pin_to_chain()
        self._build_ipfs(stack)
        self._build_indexer()
        await self._say_keys()
        self._build_jobs()

    async def stop(self) -> None:
        """End streams, requests, jobs and indexing, in this order, and close the database."""
        self.stopping.set()
        await self._stack.aclose()

    def _bind(self, stack: AsyncExitStack) -> list[socket.socket]:
        server = self.config.server
        allow_connections(server.connections_max + self.config.push.connections_max)
        sockets = [bind(server.host, server.port, "server.port")]
        stack.callback(sockets[0].close)
        self.port = sockets[0].getsockname()[1]
        if server.ws_port:
            sockets.append(bind(server.host, server.ws_port, "server.ws_port"))
            stack.callback(sockets[1].close)
        return sockets

    def _build_operations(self, stack: AsyncExitStack) -> None:
        self.metrics = Metrics()
        self.health = Health(time.time)
        self.targets = targets_of([url.reveal() for url in self.config.alerts.urls])
        self.breakers = Breakers(time.time, self._breaker_changed)
        self.clock = ChainClock()
        self.background = Background()
        self.codec = Codec(bytes(Pubkey.from_string(self.config.chain.program_id)))
        labels = (__version__, self.config.chain.program_id, self.config.chain.cluster)
        self.metrics.build_info.labels(*labels).set(1)
        stack.push_async_callback(self.background.stop)

    async def _open_store(self, stack: AsyncExitStack) -> None:
        options = self.config.store
        if options.is_postgres:
            raise StartupError(
                "This version keeps its data in SQLite only: leave store.dsn (DATABASE_URL) empty, or use sqlite:///path."
            )
        store = Store(
            options.sqlite_path,
            readers=options.readers,
            cache_mb=options.cache_mb,
            writer_cache_mb=options.writer_cache_mb,
            queue_max=options.queue_max,
            on_group=self._count_commit,
        )
        stack.push_async_callback(store.close)
        self.store = await store.open()
        self._keeper = BreakerKeeper(self.store, self.metrics, self.background)
        await self._keeper.restore(self.breakers)
        self.hub = Hub(StoredFeed(store), self.metrics, self.config.push)
        self.hub.head = await StoredFeed(store).head()
        store.on_commit = self.hub.publish

    def _breaker_changed(self, view: BreakerView) -> None:
        self._keeper.changed(view)

    def _count_commit(self, _units: int, seconds: float) -> None:
        self.metrics.store_commit_duration_seconds.observe(seconds)

    def _build_chain(self, stack: AsyncExitStack) -> None:
        chain = self.config.chain
        policy = RetryPolicy(timeout_s=chain.rpc_timeout_s, attempts_max=chain.rpc_attempts_max)
        self.rpc = Rpc(self.config.rpc_addresses, policy, on_request=self._count_rpc)
        stack.push_async_callback(self.rpc.close)
        # What runs in the background uses the RPC and the store: it ends before they do.
        stack.push_async_callback(self.background.stop)

    def _build_ipfs(self, stack: AsyncExitStack) -> None:
        self.ipfs = ipfs.connect(self.config.ipfs)
        if self.ipfs is not None:
            stack.push_async_callback(self.ipfs.close)

    def _count_rpc(self, method: str, result: str, seconds: float) -> None:
        self.metrics.rpc_requests_total.labels(method, result).inc()
        self.metrics.rpc_request_duration_seconds.labels(method).observe(seconds)

    async def _pin_to_chain(self) -> None:
        """Refuse a database that belongs to another cluster or program; one that belongs to none yet is bound now, or
        when the cluster is first reached.
        """
        await self.store.write(lambda tx: pin(tx, self.config))
        try:
            async with asyncio.timeout(START_RPC_DEADLINE_S):
                genesis_hash = await self.rpc.get_genesis_hash()
                reading = await self.rpc.get_clock()
                await self.store.write(lambda tx: pin(tx, self.config, genesis_hash=genesis_hash))
                self.rpc.require_cluster(genesis_hash)
                foreign = await self.rpc.list_foreign()
        except (ChainError, TimeoutError) as error:
            logger.warning("the cluster cannot be reached yet: %s", error)
            pinned = await self.store.read(lambda tx: chainlog.find_meta(tx, "genesis_hash"))
            self.rpc.require_cluster(None if pinned is None else bytes.fromhex(pinned))
            return
        if foreign:
            raise StartupError(f"chain.rpc_urls: {', '.join(foreign)} is a node of another cluster than chain.rpc_url.")
        self.clock.observe(reading.slot, reading.unix_timestamp)
        self._is_pinned = True

    async def note_cluster(self) -> None:
        """Bind the database to the cluster that was out of reach at the start, now that it answered."""
        genesis_hash = self.rpc.genesis_hash
        if self._is_pinned or genesis_hash is None:
            return
        await self.store.write(lambda tx: pin(tx, self.config, genesis_hash=genesis_hash))
        self._is_pinned = True

    def _build_indexer(self) -> None:
        self.rows = RowSettings.of(self.config, self.codec)
        self.indexer = Indexer(
            self.store,
            self.codec,
            self.rpc,
            self.clock,
            self.metrics,
            self._feed_context,
            indexer_options(self.config),
        )

    async def _say_keys(self) -> None:
        """Say at once which of the node's keys are missing or wrong, if the cluster answers."""
        config = None
        try:
            async with asyncio.timeout(START_RPC_DEADLINE_S):
                config = await self.indexer.read_config()
        except (ChainError, UndecodableData, TimeoutError) as error:
            logger.warning("the protocol's config cannot be read yet: %s", error)
        for sentence in check_keys(self.keys, config):
            logger.warning(sentence)

    def _feed_context(self) -> FeedContext:
        return FeedContext(
            self.rows,
            self.chain_now,
            feed_since=wall_clock_ms() // 1_000 - self.config.retention.feed_days * DAY_S,
            next_aggregation_ms=lambda: self.jobs.next_run_ms("aggregate"),
        )

    def chain_now(self) -> int:
        """The chain's clock, or the wall clock as long as the chain has not been seen."""
        try:
            return self.clock.now()
        except RpcUnavailable:
            return wall_clock_ms() // 1_000

    def _build_jobs(self) -> None:
        config = self.config
        price = config.chain.compute_unit_price
        fees = FeePolicy(fixed=price or None, cap=config.chain.compute_unit_price_max)
        self.fenced = fenced = FencedStore(self.store)
        self.actions = Actions(
            fenced, self.codec, self.rpc, self.keys, self.metrics, fees, self.indexer.index_signature
        )
        aggregator = Aggregator(
            fenced,
            self.actions,
            markets.find_config,
            self.chain_now,
            VoteOptions(config.votes.proposal_min_votes, config.votes.review_after_s, config.votes.record_changes),
        )
        monitor = Monitor(
            fenced,
            self.actions,
            markets.find_config,
            self.chain_now,
            MonitorOptions(
                config.monitor.batch_size,
                config.votes.dispute_voting_s,
                config.votes.dispute_weight == "wallet",
                config.monitor.dispute_period_fallback_s,
                config.monitor.dry_run,
            ),
        )
        helius = config.helius
        self.webhook = WebhookKeeper(
            self._wanted_webhook,
            lambda: HeliusClient(helius.api_url, helius.api_key.reveal()),
            self.metrics,
            time.monotonic,
        )
        polling = Polling(self.indexer, self.metrics, self.webhook, self.note_cluster)
        can_sign = self.keys.backend is not None
        limit = JOB_TIME_LIMIT_S
        self.jobs = JobRunner(
            self.store,
            [
                Job("poll", config.indexer.poll_interval_s, limit, polling.run, "event_indexing"),
                Job(
                    "aggregate",
                    config.votes.interval_s,
                    limit,
                    aggregator.run,
                    "vote_aggregation",
                    config.votes.enabled and can_sign,
                ),
                Job(
                    "monitor",
                    config.monitor.interval_s,
                    limit,
                    monitor.run,
                    "market_transitions",
                    config.monitor.enabled and can_sign,
                ),
                *self._housekeeping(),
            ],
            self.config.store.folder / "jobs.db",
            workers=config.jobs.workers,
            metrics=self.metrics,
            breakers=self.breakers,
            background=self.background,
        )

    def _housekeeping(self) -> list[Job]:
        """Jobs that concern the node's own data."""
        config = self.config
        backed_up = config.backup.enabled and not config.store.is_postgres
        backups = Backups(self.fenced, self.metrics, BackupOptions(config.backup_folder, config.backup.keep))
        history = History(self.indexer, self._feed_context, config.indexer.start_slot)
        pruner = Pruner(self.fenced, config.retention, judges=(judge_backups,) if backed_up else ())
        found = [
            Job("backup", DAY_S, LONG_JOB_LIMIT_S, backups.run, enabled=backed_up, at_hour_utc=config.backup.hour_utc),
            Job("alerts", config.alerts.interval_s, JOB_TIME_LIMIT_S, self._alerts().run),
            Job("prune", HOUR_S, JOB_TIME_LIMIT_S, pruner.run),
            Job("backfill", DAY_S, BY_HAND_LIMIT_S, history.backfill, enabled=False),
            Job("retry", DAY_S, BY_HAND_LIMIT_S, history.retry, enabled=False),
            Job("rebuild", DAY_S, BY_HAND_LIMIT_S, history.rebuild, enabled=False),
            Job(
                "reconcile",
                config.reconcile.interval_s,
                LONG_JOB_LIMIT_S,
                Reconciliation(self.store, self.indexer).run,
                enabled=config.reconcile.enabled,
            ),
        ]
        return [*found, self._snapshots()]

    def _snapshots(self) -> Job:
        options = SnapshotOptions(self.config.ipfs.snapshots, self.config.ipfs.snapshot_days)
        if self.ipfs is None:
            return Job("snapshot", DAY_S, LONG_JOB_LIMIT_S, keep_nothing, enabled=False)
        snapshots = Snapshots(self.fenced, self.ipfs, self.breakers["ipfs"], self.metrics, options)
        return Job("snapshot", DAY_S, LONG_JOB_LIMIT_S, snapshots.run)

    def _alerts(self) -> Alerts:
        config = self.config
        around = Surroundings(
            rpc=self.rpc,
            clock=self.clock,
            keys=self.keys,
            breakers=self.breakers,
            metrics=self.metrics,
            hub=self.hub,
            jobs=self._job_health,
            aggregation_lag_s=self.aggregation_lag_s,
            webhook=self.webhook.view,
            now_s=time.time,
        )
        webhook = bool(config.helius.webhook_secret.reveal())
        votes = config.votes
        options = AlertOptions(
            votes.dispute_voting_s, config.monitor.dispute_period_fallback_s, config.store.folder, webhook
        )
        return Alerts(self.fenced, around, options)

    def _job_health(self) -> list[JobHealth]:
        return self.jobs.health()

    def aggregation_lag_s(self) -> dict[str, float]:
        """For each kind of vote, the time since its aggregation was due; disputes are settled by the monitor."""
        return {"proposal": self.jobs.lag_s("aggregate"), "dispute": self.jobs.lag_s("monitor")}

    # Running

    async def _serve(self, stack: AsyncExitStack, sockets: list[socket.socket]) -> None:
        self.gauges = Gauges(self)
        parts = ApiParts(
            config=self.config,
            store=self.store,
            codec=self.codec,
            rpc=self.rpc,
            clock=self.clock,
            metrics=self.metrics,
            health=self.health,
            breakers=self.breakers,
            hub=self.hub,
            feed=self._feed_context,
            indexer=IndexerAdapter(self.indexer),
            jobs=JobAdapter(self.jobs),
            intents=IntentAdapter(self.store, self.actions, self.background),
            background=self.background,
            jwt_secret=jwt_secret(self.config),
            started_ms=wall_clock_ms(),
            version=__version__,
            now_ms=wall_clock_ms,
            stopping=self.stopping,
            refresh_metrics=self.gauges.refresh,
        )
        application = create_app(parts)
        crowd = Crowd(self.config.server, self.metrics.rate_limited_total.labels("connections").inc)
        server = make_server(application, self.config, crowd)
        task = await serve(server, sockets)
        self.background.start(application.api.streams.run(), "streams")

        async def stop() -> None:
            self.stopping.set()
            self.hub.close()
            server.should_exit = True
            await task

        stack.push_async_callback(stop)

    async def _start_work(self, stack: AsyncExitStack) -> None:
        watch = Watch(self)
        self.background.start(watch.run(), "watch")
        self.background.start(self.gauges.run(), "gauges")
        alerts = self.config.alerts
        options = NotifyOptions(alerts.notify_from, alerts.remind_after_s, f"zmart-lite on {self.config.chain.cluster}")
        notifier = Notifier(self.store, self.targets, options, time.time)
        self.background.start(notifier.run(), "notifier")
        self.background.start(self.indexer.run(), "indexer")
        if address := self.config.chain.ws_url.reveal():
            hints = LogsSubscription(address, self.codec.program_id, self.indexer.hint)
            self.background.start(hints.run(), "logs-subscription")
        await self.jobs.start()
        stack.push_async_callback(self.jobs.stop)
        self.background.start(self.webhook.look(), "webhook-registration")

    def _wanted_webhook(self) -> WebhookRegistration | None:
        """The webhook to keep; None where the configuration asks for none, or nobody listens for the devnet's."""
        if not self.config.helius.api_key or (self.config.embedded_devnet and not self.port):
            return None
        try:
            return wanted_webhook(self.config, self.url + WEBHOOK_PATH if self.config.embedded_devnet else "")
        except StartupError:
            return None


def indexer_options(config: Config) -> IndexerOptions:
    return IndexerOptions(
        start_slot=config.indexer.start_slot,
        batch_size=config.indexer.batch_size,
        attempts_max=config.indexer.attempts_max,
        retry_delay_s=config.indexer.retry_delay_s,
        accounts_per_call=config.reconcile.batch_size,
        deep_forks=config.embedded_devnet,
    )


def pin(tx: Tx, config: Config, *, genesis_hash: bytes | None = None) -> None:
    """Bind the database to the program of the configuration and, if it is known, to a cluster.

    Raises StartupError if it belongs to another.
    """
    store = config.store
    _pin(
        tx,
        "program_id",
        bytes(Pubkey.from_string(config.chain.program_id)),
        f"The database {store.sqlite_path} belongs to another program. Set chain.program_id back",
    )
    if genesis_hash is not None:
        back = "Set chain.rpc_url back"
        if config.embedded_devnet:
            back = f"The embedded devnet was begun anew: put its {store.ledger_path} back"
        _pin(tx, "genesis_hash", genesis_hash, f"The database {store.sqlite_path} belongs to another cluster. {back}")


def _pin(tx: Tx, key: str, value: bytes, refusal: str) -> None:
    known = chainlog.find_meta(tx, key)
    if known is None:
        chainlog.set_meta(tx, key, value.hex())
    elif known != value.hex():
        raise StartupError(
            f"{refusal}, or store.dir to an empty folder. ({key} {known[:16]}…, now {value.hex()[:16]}…)"
        )
