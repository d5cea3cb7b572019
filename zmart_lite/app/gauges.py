"""Fills the gauges of /metrics when somebody asks for them, and measures how late the event loop is."""

import asyncio
import logging

from zmart_lite.app.parts import Parts
from zmart_lite.errors import StoreUnavailable
from zmart_lite.jobs.conditions import STUCK_LOW_S, STUCK_MEDIUM_S
from zmart_lite.store.engine.db import WriteAhead
from zmart_lite.store.views import figures
from zmart_lite.store.views.figures import Figures

logger = logging.getLogger(__name__)

READ_EVERY_S = 5.0
"""Age up to which the database is not asked again, however often somebody scrapes."""
TICK_S = 0.5
INTENT_STATUSES = ("planned", "sent", "confirmed", "failed", "expired", "abandoned")
BREAKER_STATES = {"closed": 0, "half_open": 1, "open": 2}


class Gauges:
    """:meth:`refresh` before the page is rendered; :meth:`run` is a task of the parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._read_at: float | None = None
        self._worst_lag_s = 0.0
        self._reading = asyncio.Lock()

    async def run(self) -> None:
        """Measure the delay of the event loop: how much later than asked a sleep ends."""
        loop = asyncio.get_running_loop()
        while True:
            asked = loop.time() + TICK_S
            await asyncio.sleep(TICK_S)
            self._worst_lag_s = max(self._worst_lag_s, loop.time() - asked)

    async def refresh(self) -> None:
        """Bring every gauge up to date. A database that cannot be read leaves the last values standing."""
        self._from_memory()
        now = asyncio.get_running_loop().time()
        async with self._reading:
            if self._read_at is not None and now - self._read_at < READ_EVERY_S:
                return
            chain_now = self._parts.chain_now()
            try:
                log = await self._parts.store.write_ahead()
                found = await self._parts.store.read(
                    lambda tx: figures.read_figures(tx, chain_now - STUCK_LOW_S, chain_now - STUCK_MEDIUM_S)
                )
            except StoreUnavailable as error:
                logger.warning("the figures for /metrics cannot be read: %s", error)
                return
            self._read_at = now
        self._from_log(log)
        self._from_database(found)

    def _from_memory(self) -> None:
        parts, metrics = self._parts, self._parts.metrics
        metrics.event_loop_lag_seconds.set(self._worst_lag_s)
        self._worst_lag_s = 0.0
        metrics.feed_offset.set(parts.hub.head)
        metrics.store_queue_length.set(parts.store.queue_length)
        for state, count in parts.store.connections().items():
            metrics.database_connections.labels(state).set(count)
        for endpoint in parts.rpc.endpoints():
            metrics.rpc_endpoint_serving.labels(str(endpoint.number)).set(endpoint.is_serving)
            metrics.rpc_endpoint_failures.labels(str(endpoint.number)).set(endpoint.failures)
        for view in parts.breakers.views():
            metrics.circuit_breaker_state.labels(view.name).set(BREAKER_STATES[view.state])
        for kind, lag_s in parts.jobs.aggregation_lag_s().items():
            metrics.aggregation_lag_seconds.labels(kind).set(lag_s)

    def _from_log(self, log: WriteAhead) -> None:
        metrics = self._parts.metrics
        metrics.database_log_bytes.set(log.size_bytes)
        metrics.database_checkpoint_lag_bytes.set(log.waiting_bytes)
        metrics.database_oldest_reading_seconds.set(log.oldest_reading_s)

    def _from_database(self, found: Figures) -> None:
        metrics = self._parts.metrics
        for gauge, values in (
            (metrics.markets, found.markets),
            (metrics.votes_pending, found.votes_pending),
            (metrics.stuck_markets, found.stuck),
            (metrics.manual_reviews_open, found.reviews),
            (metrics.alerts_open, found.alerts),
            (metrics.intents, {status: found.intents.get(status, 0) for status in INTENT_STATUSES}),
        ):
            for label, value in values.items():
                gauge.labels(label).set(value)
        metrics.dead_letters.set(found.dead_letters)
        oldest = found.oldest_waiting_slot
        metrics.indexing_lag_slots.set(0 if oldest is None else max(0, self._parts.clock.slot - oldest))
        if found.drill is not None:
            metrics.restore_drill_ok.set(int(found.drill.ok))
            metrics.restore_drill_duration_seconds.set(found.drill.duration_s)
            metrics.restore_drill_backup_age_seconds.set(found.drill.backup_age_s)
            metrics.restore_drill_timestamp_seconds.set(found.drill.at_ms / 1_000)
