"""Tells people of alerts, once each, again while they last, and of their end.

Whom to tell of what stands in the table (``notified_ms``), so a restart neither loses nor repeats a message. Targets
are slow and fail: they are asked in a thread of their own, never by a job, and an alert counts as told once one of them
took it. All that is due at a moment is one message.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from zmart_lite.errors import StoreUnavailable
from zmart_lite.models import SEVERITIES
from zmart_lite.ops.targets import Message, Target
from zmart_lite.store.engine.db import Row, Store, Tx
from zmart_lite.store.state import alerts
from zmart_lite.store.views.rows import runbook_path

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 5.0
ALERTS_PER_MESSAGE_MAX = 20
RETRY_FIRST_S = 15
RETRY_MAX_S = 900
SENDING_MAX_S = 60.0
"""How long all targets together may take; a thread that hangs beyond it is left behind."""


class NotifyOptions(NamedTuple):
    """``severity_min``: least severity that is sent out. ``node``: how messages name this node. ``url``: where people
    reach it.
    """

    severity_min: str
    remind_after_s: int
    node: str
    url: str


class Due(NamedTuple):
    """What people have to be told, as of ``read_ms``."""

    read_ms: int
    bad: list[Row]
    over: list[Row]


class Notifier:
    """A task of the node. ``now_s`` gives wall time in seconds."""

    def __init__(
        self, store: Store, targets: Sequence[Target], options: NotifyOptions, now_s: Callable[[], float]
    ) -> None:
        self._store = store
        self._targets = targets
        self._options = options
        self._now_s = now_s
        self._threads = ThreadPoolExecutor(max_workers=max(1, len(targets)), thread_name_prefix="alert-target")
        self._failures = 0
        self._retry_s = 0.0
        self._store_told_s: float | None = None

    async def run(self) -> None:
        """Tell what there is to tell, until cancelled. Nothing to do without targets."""
        try:
            while self._targets:
                await self.look()
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def look(self) -> int:
        """Tell once; how many alerts people were told of."""
        if self._now_s() < self._retry_s:
            return 0
        try:
            due = await self._store.read(self._due)
            count = await self._tell(due) if due.bad or due.over else 0
        except StoreUnavailable as error:
            await self._tell_of_store(str(error))
            return 0
        if self._store.failed is not None:
            await self._tell_of_store(self._store.failed)
        else:
            await self._tell_store_recovered()
        return count

    def _due(self, tx: Tx) -> Due:
        told_before_ms = tx.now_ms - self._options.remind_after_s * 1_000
        limit = ALERTS_PER_MESSAGE_MAX
        return Due(
            tx.now_ms,
            alerts.list_untold(tx, self._options.severity_min, told_before_ms, limit),
            alerts.list_not_taken_back(tx, limit),
        )

    async def _tell(self, due: Due) -> int:
        told: list[Row] = []
        for rows, message in (
            (due.bad, compose(due.bad, self._options.node, self._options.url)),
            (due.over, compose_recovery(due.over, self._options.node)),
        ):
            if rows and await self.send(message):
                told += rows
        if told:
            await self._store.write(lambda tx: alerts.set_told(tx, told, due.read_ms))
        return len(told)

    async def send(self, message: Message) -> bool:
        """Whether at least one target took it. When none did, the next try waits, longer each time."""
        loop = asyncio.get_running_loop()
        sending = [loop.run_in_executor(self._threads, target.send, message) for target in self._targets]
        done, late = await asyncio.wait(sending, timeout=SENDING_MAX_S)
        took = any(each.result() for each in done)
        for target, each in zip(self._targets, sending, strict=True):
            if each in late or not each.result():
                logger.warning("the alert target %s did not take a message", target.name)
        self._failures = 0 if took else self._failures + 1
        pause_s = 0 if took else min(RETRY_FIRST_S * 2 ** (self._failures - 1), RETRY_MAX_S)
        self._retry_s = self._now_s() + pause_s if pause_s else 0.0
        return took

    # The one alert that cannot be kept in the table

    async def _tell_of_store(self, error: str) -> None:
        now_s = self._now_s()
        if self._store_told_s is not None and now_s - self._store_told_s < self._options.remind_after_s:
            return
        title = f"[CRITICAL] {self._options.node}: store_error"
        if await self.send(Message(title, f"The database cannot be written or read.\n{error}")):
            self._store_told_s = now_s

    async def _tell_store_recovered(self) -> None:
        if self._store_told_s is None:
            return
        title = f"[RESOLVED] {self._options.node}: store_error"
        if await self.send(Message(title, "The database works again.", "good")):
            self._store_told_s = None


def compose(rows: Sequence[Row], node: str, url: str) -> Message:
    """One message for all alerts that are new or still open, the most severe first."""
    ranked = sorted(rows, key=lambda row: -SEVERITIES.index(row["severity"]))
    lines = [f"[{row['severity']}] {row['alert_type']}{_subject(row)}: {row['message']}{_seen(row)}" for row in ranked]
    lines += [f"What to do: {url}{runbook_path(each)}" for each in dict.fromkeys(row["alert_type"] for row in ranked)]
    worst = ranked[0]["severity"] if ranked else ""
    what = f"{ranked[0]['alert_type']}{_subject(ranked[0])}" if len(ranked) == 1 else f"{len(ranked)} alerts"
    return Message(f"[{worst}] {node}: {what}", "\n".join(lines))


def compose_recovery(rows: Sequence[Row], node: str) -> Message:
    lines = [f"[RESOLVED] {row['alert_type']}{_subject(row)}: {row['message']}" for row in rows]
    what = f"{rows[0]['alert_type']}{_subject(rows[0])}" if len(rows) == 1 else f"{len(rows)} alerts"
    return Message(f"[RESOLVED] {node}: {what}", "\n".join(lines), "good")


def _subject(row: Row) -> str:
    return f" ({row['subject']})" if row["subject"] else ""


def _seen(row: Row) -> str:
    """Marks what people have been told of before."""
    if not row["notified_ms"]:
        return f" (seen {row['count']} times)" if row["count"] > 1 else ""
    return " (still open)"
