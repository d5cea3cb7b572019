"""Takes away what is old, in bites between which votes and events get their turn."""

import logging
from collections.abc import Callable, Mapping, Sequence

from zmart_lite.config import Retention
from zmart_lite.jobs.runner import Params, Summary
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.engine.leases import UnitsOfWork
from zmart_lite.store.log import retention

logger = logging.getLogger(__name__)

BITES_MAX = 4_000
"""Bites of one kind in one run; an hour of the busiest feed is some 3,000."""


class Pruner:
    """The job ``prune``. ``judges`` are units of work that look hourly after what only time can tell."""

    def __init__(self, store: UnitsOfWork, kept: Retention, judges: Sequence[Callable[[Tx], None]] = ()) -> None:
        self._store = store
        self._kept = kept
        self._judges = judges

    async def run(self, _: Params) -> Summary:
        for judge in self._judges:
            await self._store.write(judge)
        removed = await self._prune(retention.limits_ms(self._store.now_ms(), self._kept))
        if removed:
            logger.info("pruned", extra={"rows": removed})
        return Summary(found=removed, done=removed)

    async def _prune(self, limits_ms: Mapping[str, int]) -> int:
        removed = 0
        for kind, before_ms in limits_ms.items():
            for _ in range(BITES_MAX):
                bite = await self._store.write(lambda tx, kind=kind, at=before_ms: retention.prune(tx, kind, at))  # type: ignore[misc]
                removed += bite
                if bite < retention.bite_rows(kind):
                    break
        return removed
