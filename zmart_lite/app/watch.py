"""Keeps an eye on the cluster: its clock, finality, reverts of the devnet, and the health the node reports."""

import asyncio
import logging
import secrets
import time

from zmart_lite.app.parts import Parts
from zmart_lite.errors import ChainError, StoreUnavailable, UndecodableData
from zmart_lite.jobs.conditions import write_ahead
from zmart_lite.ops import BreakerView
from zmart_lite.ops.health import Number, Status
from zmart_lite.store.engine.backup import size_of_contents, size_on_disk
from zmart_lite.store.engine.db import WriteAhead
from zmart_lite.store.engine.faults import Faults

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
PROBE_S = 8.0
"""A cluster that has not told its clock by then does not answer. So no report is older than 10 s."""
SLOW_S = 1.5
"""A cluster that takes longer to tell its clock is not well; so one that is gone shows within 2 s."""
FINALITY_EVERY = 5
"""Rounds between two looks at finality: a cluster finalises every few hundred milliseconds, some 13 s behind."""
AUTHORITY_EVERY = 60
"""Rounds between two readings of what seldom changes: the protocol's config, the version of the RPC parts."""
SETTLE_EVERY = 15
SIZE_EVERY = 5
JOB_OF_SERVICE = {
    "event_indexer": "poll",
    "vote_aggregator": "aggregate",
    "market_monitor": "monitor",
    "ipfs": "snapshot",
}
BREAKER_OF_SERVICE = {
    "event_indexer": "event_indexing",
    "vote_aggregator": "vote_aggregation",
    "market_monitor": "market_transitions",
    "ipfs": "ipfs",
}
NEED_BACKEND_KEY = frozenset({"vote_aggregator", "market_monitor"})


class Watch:
    """A task of the node; everything in it is repeated, and nothing in it may end the parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._forks: int | None = None
        self._listener = secrets.token_hex(8)
        self._round = 0
        self._solana_core: str | None = None
        self._size_bytes: int | None = None
        self._log = WriteAhead(0, 0, 0.0)
        self._looking: asyncio.Task[Exception | None] | None = None
        self._asked_at: float | None = None
        """When the cluster was asked for its clock; None once it answered."""
        self._settling: asyncio.Task[None] | None = None

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(INTERVAL_S)

    async def look(self) -> None:
        """One round: look at the cluster, for as long as that does not keep the reports waiting, and report."""
        if self._looking is None:
            self._asked_at = time.monotonic()
            self._looking = self._parts.background.start(self._try_to_look(), "look")
        await asyncio.wait({self._looking}, timeout=INTERVAL_S)
        if self._looking.done():
            self._judge(self._looking.exception() or self._looking.result())
            self._looking = None
        else:
            self._report_waiting()
        self._report()

    def _report_waiting(self) -> None:
        """Say so where the cluster leaves the node waiting for its clock."""
        waited_s = 0.0 if self._asked_at is None else time.monotonic() - self._asked_at
        if waited_s > PROBE_S:
            self._report_rpc(f"no answer within {PROBE_S:g} s")
        elif waited_s > SLOW_S:
            self._report_rpc(None, f"no answer for {waited_s:.0f} s")

    def _judge(self, error: BaseException | None) -> None:
        """What it means how a look at the cluster ended."""
        if isinstance(error, StoreUnavailable):
            logger.warning("watching pauses: %s", error)
        else:
            self._report_rpc(None if error is None else str(error) or type(error).__name__)

    async def _try_to_look(self) -> Exception | None:
        """What may keep a look from its end, as a value: only what nobody foresaw is raised."""
        try:
            await self._look()
        except (ChainError, UndecodableData, StoreUnavailable) as error:
            return error
        return None

    async def _look(self) -> None:
        """One reading of the clock; now and then finality, and what a slot that went back means."""
        parts = self._parts
        if self._round % SIZE_EVERY == 0:
            self._size_bytes = await parts.store.read(size_of_contents)
            self._log = await parts.store.write_ahead()
        await self._read_clock()
        self._asked_at = None
        await parts.pinning.note_cluster()
        if parts.config.embedded_devnet:
            await self._look_for_forks()
        self._round += 1
        if self._round % FINALITY_EVERY == 0:
            await parts.indexer.follow_finality()
            await parts.jobs.actions.follow_finality()
        if self._round % SETTLE_EVERY == 1:
            self._settle_soon()
        if self._round % AUTHORITY_EVERY == 1:
            self._solana_core = await parts.rpc.get_version()
            await parts.indexer.read_config()

    async def _read_clock(self) -> None:
        reading = await self._parts.rpc.get_clock()
        self._parts.clock.observe(reading.slot, reading.unix_timestamp)

    def _settle_soon(self) -> None:
        """Have the node's transactions taken up that a crash left or a fork undid, whether or not the jobs run."""
        if self._settling is None or self._settling.done():
            self._settling = self._parts.background.start(self._settle(), "settle")

    async def _settle(self) -> None:
        try:
            await self._parts.jobs.actions.settle(planned_by_jobs=False)
        except (ChainError, StoreUnavailable) as error:
            logger.warning("transactions that are under way wait: %s", error)

    async def _look_for_forks(self) -> None:
        """Undo what the devnet took back. New blocks may have overtaken it, so that neither slots nor heights tell; and
        it may have happened before this node was there, so that the first look counts as a fork.
        """
        parts = self._parts
        while (count := await parts.rpc.get_fork_count(self._listener, self._forks or 0)) != self._forks:
            retracted = await parts.indexer.retract_reverted()
            parts.clock.forget()
            await self._read_clock()
            if retracted:
                logger.warning("the devnet went back: %d transactions retracted", retracted)
            self._forks = count

    def _report_rpc(self, error: str | None, slow: str | None = None) -> None:
        """The way to the cluster. Addresses are told by their number only: they may hold keys."""
        parts, endpoints = self._parts, self._parts.rpc.endpoints()
        status, reason = ("degraded", slow) if slow else self._rpc_status(error)
        numbers: dict[str, Number] = {
            "slot": parts.clock.slot,
            "solana_core": self._solana_core,
            "reason": reason,
            "endpoint": next(each.number for each in endpoints if each.is_serving),
            "endpoints": len(endpoints),
            "endpoints_failing": sum(each.failures > 0 or each.is_foreign for each in endpoints),
        }
        parts.health.report("solana_rpc", status, numbers, error)

    def _rpc_status(self, error: str | None) -> tuple[Status, str | None]:
        """The breaker is that of calls that requests cause; the node's own are not held back by it."""
        if error is not None:
            return "error", "the cluster does not answer as it should"
        breaker = self._parts.breakers["api"].view().state
        if breaker == "closed":
            return "ok", None
        return "degraded", "calls for requests are held back after failures: the circuit breaker api is not closed"

    def _report(self) -> None:
        parts = self._parts
        parts.breakers.notice()
        self._report_database()
        self._report_push()
        for service, breaker in BREAKER_OF_SERVICE.items():
            off = self._why_off(service)
            if off is None:
                self._report_service(service, parts.breakers[breaker].view())
            else:
                parts.health.report(service, "disabled", {"reason": off})
        parts.metrics.store_queue_length.set(parts.store.queue_length)

    def _report_push(self) -> None:
        parts = self._parts
        counts = parts.hub.counts()
        full = counts.websocket + counts.sse >= parts.config.push.connections_max
        reason = "no more connections fit (push.connections_max)" if full else None
        parts.health.report("websocket", "degraded" if full else "ok", {**counts._asdict(), "reason": reason})

    def _why_off(self, service: str) -> str | None:
        """Why a service is not meant to run; None if it is."""
        parts = self._parts
        if service in NEED_BACKEND_KEY and parts.keys.backend is None:
            return "no backend key is configured (chain.backend_keypair)"
        if service == "ipfs" and parts.ipfs is None:
            return "neither Pinata nor Kubo is configured"
        name = JOB_OF_SERVICE[service]
        return None if parts.jobs.runner.is_enabled(name) else "it is switched off by the configuration"

    def _report_database(self) -> None:
        parts = self._parts
        failed = parts.store.failed
        reason = _database_reason(parts.store.faults) or next((each.message for each in write_ahead(self._log)), None)
        numbers: dict[str, Number] = {"queue": parts.store.queue_length, "reason": reason}
        try:
            numbers["size_bytes"] = self._size_bytes
            numbers["disk_bytes"] = size_on_disk(parts.config.store.sqlite_path)
        except OSError as error:
            logger.warning("the database's size is unknown: %s", error)
        numbers |= {f"log_{name}": value for name, value in self._log._asdict().items()}
        status: Status = "error" if failed else "degraded" if reason else "ok"
        parts.health.report("database", status, numbers, failed)

    def _report_service(self, service: str, breaker: BreakerView) -> None:
        """A service with the reason why it is not well; what exactly failed is for the log and the doctor."""
        jobs = self._parts.jobs.runner
        status: Status = "ok"
        reason, error = None, breaker.last_error
        name = JOB_OF_SERVICE.get(service)
        found = next((each for each in jobs.health() if each.name == name), None)
        if breaker.state == "open":
            status, reason = "error", "its circuit breaker is open"
        elif breaker.state == "half_open":
            status, reason = "degraded", "its circuit breaker lets one attempt through"
        elif name is not None and jobs.is_paused(name):
            status, reason = "degraded", "its job is paused"
        elif found is not None and found.error is not None:
            status, reason, error = "degraded", "its last run failed", found.error
        self._parts.health.report(service, status, {"breaker": breaker.state, "reason": reason}, error)


def _database_reason(faults: Faults) -> str | None:
    """What is wrong with the database, for people; what exactly SQLite said is for the log and the doctor."""
    if faults.damaged:
        return "it is damaged: restore a backup"
    if faults.writing:
        return "it cannot be written"
    return "it cannot be read" if faults.reading else None
