"""Background tasks that somebody holds: asyncio itself keeps only weak references, and swallows what nobody awaits."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)

STOP_TIMEOUT_S = 5.0


class Background:
    """Holds tasks until they end, logs one that fails, and cancels those still running at ``stop``."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=name)  # noqa: TID251 - this is the holder that the rule asks for
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Cancels every task and waits for them; one that outlives the time limit is named in the log and left."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        _, pending = await asyncio.wait(tasks, timeout=timeout_s)
        for task in pending:
            log.error("task does not stop", extra={"task": task.get_name()})

    def __len__(self) -> int:
        return len(self._tasks)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("task failed", extra={"task": task.get_name()}, exc_info=error)
