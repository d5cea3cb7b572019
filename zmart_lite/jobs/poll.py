"""The job that finds what no delivery brought, and has the webhook looked after where it should have."""

from collections.abc import Awaitable, Callable

from zmart_lite.indexer import Indexer
from zmart_lite.jobs.runner import Params, Summary
from zmart_lite.jobs.webhook import WebhookKeeper
from zmart_lite.ops import Metrics
from zmart_lite.ops.rates import total_of


class Polling:
    """The job ``poll``. ``before`` runs first each time."""

    def __init__(
        self, indexer: Indexer, metrics: Metrics, webhook: WebhookKeeper, before: Callable[[], Awaitable[None]]
    ) -> None:
        self._indexer, self._metrics, self._webhook, self._before = indexer, metrics, webhook, before

    async def run(self, _: Params) -> Summary:
        """Transactions seen in the history, and those that were new. Raises what the RPC raises."""
        await self._before()
        missed = self._missed()
        result = await self._indexer.poll()
        if result.new:
            await self._indexer.wait_idle()
        if self._missed() > missed:
            self._webhook.doubt()
        await self._webhook.look()
        return Summary(found=result.seen, done=result.new)

    def _missed(self) -> float:
        return total_of(self._metrics.missed_events_total, lambda _: True)
