"""Discussions and evidence to IPFS, once a day, and old snapshots back from there.

A discussion that has not changed since its last snapshot is not uploaded again. A snapshot that is to go shares content
with newer ones (the same discussion, or a part of it): only what nothing newer holds is unpinned. Repeating a run, or
going on after a crash in the middle, uploads the same content under the same id once more at worst.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from zmart_lite.errors import IpfsError, IpfsUnavailable, Unavailable
from zmart_lite.ipfs import Service
from zmart_lite.jobs.runner import Params, Summary
from zmart_lite.ops.breaker import CircuitBreaker
from zmart_lite.ops.metrics import Metrics
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.engine.leases import UnitsOfWork
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import plans, snapshots
from zmart_lite.store.state.snapshots import Document

logger = logging.getLogger(__name__)

DAY_MS = 86_400_000
PAGE = 200
EVIDENCE_MAX = 1_000
FAILURES_MAX = 3
"""Failures in a row after which the rest waits for the next run."""
CALL_PAUSE_S = 0.4
"""Pinata allows 180 requests a minute."""

Sleep = Callable[[float], Awaitable[object]]


class SnapshotOptions(NamedTuple):
    """``enabled``: whether discussions are snapshotted; evidence is pinned and old snapshots go in any case."""

    enabled: bool
    days: int


class _TooManyFailures(IpfsUnavailable):
    """IPFS failed too often in a row; the rest waits for the next run."""


class Snapshots:
    """The job ``snapshot``."""

    def __init__(
        self,
        store: UnitsOfWork,
        service: Service,
        breaker: CircuitBreaker,
        metrics: Metrics,
        options: SnapshotOptions,
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._store = store
        self._service = service
        self._breaker = breaker
        self._metrics = metrics
        self._options = options
        self._sleep = sleep
        self._in_a_row = 0
        self._last_error = ""

    async def run(self, _: Params) -> Summary:
        """Everything that is due. Raises IpfsUnavailable when it had to be broken off."""
        self._in_a_row, self._last_error = 0, ""
        summary = Summary()
        try:
            for work in (self._discussions, self._evidence, self._expired):
                summary = await work(summary)
        except (_TooManyFailures, Unavailable) as error:
            reason = self._last_error or error.message
            await self._store.write(lambda tx: _raise(tx, reason))
            raise
        outcome = (lambda tx: _raise(tx, self._last_error)) if summary.failed else _resolve
        await self._store.write(outcome)
        return summary

    async def _tried(self, work: Callable[[], Awaitable[None]], what: str) -> bool:
        """Whether the work was done. Raises IpfsUnavailable after too many failures in a row, Unavailable while the
        breaker is open.
        """
        try:
            await work()
        except (IpfsError, ValueError) as error:
            self._in_a_row += 1
            self._last_error = f"{what}: {error}"
            logger.warning("IPFS: %s", self._last_error)
            if self._in_a_row >= FAILURES_MAX:
                raise _TooManyFailures(self._last_error) from error
            return False
        self._in_a_row = 0
        return True

    # Discussions

    async def _discussions(self, summary: Summary) -> Summary:
        after = 0
        while self._options.enabled:
            markets = await self._store.read(lambda tx, after=after: snapshots.list_discussed(tx, after, PAGE))  # type: ignore[misc]
            for market in markets:
                summary = await self._discussion(market, summary)
            if len(markets) < PAGE:
                break
            after = markets[-1]
        return summary

    async def _discussion(self, market: int, summary: Summary) -> Summary:
        try:
            document, newest = await self._store.read(
                lambda tx: (snapshots.find_document(tx, market), snapshots.find_newest(tx, market))
            )
        except ValueError as error:
            self._last_error = f"market {market}: {error}"
            return summary.plus(found=1, failed=1)
        if document is None or not self._is_due(document, newest):
            return summary
        found = document
        done = await self._tried(lambda: self._upload(market, found), f"market {market}")
        self._metrics.snapshots_total.labels("ok" if done else "failed").inc()
        return summary.plus(found=1, done=int(done), failed=int(not done))

    def _is_due(self, document: Document, newest: Row | None) -> bool:
        """Not twice a day, and not the same again before the pins of the last time run out."""
        if newest is None:
            return True
        now_ms = self._store.now_ms()
        if newest["snapshot_date"] >= snapshots.date_text(now_ms):
            return False
        lasts = newest["pinned"] and newest["created_ms"] + (self._options.days - 1) * DAY_MS > now_ms
        return bool(newest["cid"] != document.cid or not lasts)

    async def _upload(self, market: int, document: Document) -> None:
        """Upload what no earlier snapshot has pinned, the whole last, and record it."""
        pinned = await self._store.read(lambda tx: snapshots.find_pins(tx, market))
        pins = {}
        for cid, content in document.contents.items():
            if cid not in pinned:
                pinned[cid] = await self._pin(content, f"zmart-discussions-{cid}.json", 1)
            pins[cid] = pinned[cid]
        await self._store.write(lambda tx: snapshots.add_snapshot(tx, market, document, pins))

    async def _pin(self, content: bytes, name: str, cid_version: int) -> str:
        with self._breaker.guard(IpfsUnavailable):
            pin = await self._service.pin(content, name, cid_version=cid_version)
        await self._sleep(CALL_PAUSE_S)
        return pin.pin_id

    # Evidence

    async def _evidence(self, summary: Summary) -> Summary:
        for row in await self._store.read(lambda tx: plans.list_unpinned_evidence(tx, EVIDENCE_MAX)):
            done = await self._tried(lambda row=row: self._keep_evidence(row), f"evidence {row['cid']}")  # type: ignore[misc]
            summary = summary.plus(found=1, done=int(done), failed=int(not done))
        return summary

    async def _keep_evidence(self, row: Row) -> None:
        """Under the very id that stands on chain."""
        await self._pin(row["content"].encode(), f"zmart-evidence-{row['cid']}.txt", 0)
        await self._store.write(lambda tx: plans.set_evidence_pinned(tx, row["cid"]))

    # The end of snapshots

    async def _expired(self, summary: Summary) -> Summary:
        before_ms, after = self._store.now_ms() - self._options.days * DAY_MS, 0
        while True:
            rows = await self._store.read(
                lambda tx, after=after: snapshots.list_expired(tx, before_ms, after, PAGE)  # type: ignore[misc]
            )
            for row in rows:
                done = await self._tried(lambda row=row: self._unpin(row), f"snapshot {row['cid']}")  # type: ignore[misc]
                summary = summary.plus(found=1, done=int(done), failed=int(not done))
            if len(rows) < PAGE:
                return summary
            after = rows[-1]["id"]

    async def _unpin(self, row: Row) -> None:
        kept = await self._store.read(lambda tx: snapshots.find_pins(tx, row["market"], besides=row["id"]))
        held = set(kept.values())
        for pin_id in snapshots.pins_of(row).values():
            if pin_id not in held:
                with self._breaker.guard(IpfsUnavailable):
                    await self._service.unpin(pin_id)
                await self._sleep(CALL_PAUSE_S)
        await self._store.write(lambda tx: snapshots.set_unpinned(tx, row["id"]))


async def keep_nothing(_: Params) -> Summary:
    """The job without credentials."""
    return Summary()


def _raise(tx: Tx, error: str) -> None:
    text = "An upload to IPFS, or an unpinning, failed three times."
    messages.raise_alert(tx, "snapshot_failure", "MEDIUM", text, data={"error": error})


def _resolve(tx: Tx) -> None:
    messages.resolve_alert(tx, "snapshot_failure")
