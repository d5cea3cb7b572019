"""Jobs that run only when somebody asks: reading the chain's history again, folding the log again, and trying again
what could not be indexed.
"""

import logging
from collections.abc import Callable
from functools import partial

from zmart_lite.indexer import Indexer
from zmart_lite.indexer.backfill import Backfill, Progress
from zmart_lite.indexer.rebuild import rebuild
from zmart_lite.jobs.runner import Params, Summary, tell_progress
from zmart_lite.store.publishing import messages

logger = logging.getLogger(__name__)


class History:
    """``start_slot``: where a backfill begins that is not told another slot."""

    def __init__(self, indexer: Indexer, feed_context: Callable[[], messages.FeedContext], start_slot: int) -> None:
        self._indexer, self._feed_context, self._start_slot = indexer, feed_context, start_slot

    async def backfill(self, params: Params) -> Summary:
        """``params`` may name a ``from_slot``. Raises what the RPC raises; the next run then goes on."""
        from_slot = params.get("from_slot")
        done = await Backfill(self._indexer, _tell).run(self._start_slot if from_slot is None else int(from_slot))
        if done.lacking_below is not None:
            logger.warning("the RPC node has no history before slot %d: what is older was not read", done.lacking_below)
        return Summary(found=done.seen, done=done.new)

    async def rebuild(self, _: Params) -> Summary:
        """Markets folded, and fields that came out otherwise than they were (as failures: there should be none)."""
        done = await rebuild(self._indexer.writer, self._feed_context, partial(tell_progress, "markets"))
        for market_id, field, before, after in done.differences:
            logger.warning("folded again, %s of %s is %s, not %s", field, market_id or "the config", after, before)
        return Summary(found=done.markets, done=done.markets, failed=len(done.differences))

    async def retry(self, _: Params) -> Summary:
        """Dead letters tried, and resolved. Raises what the RPC raises."""
        done = await self._indexer.letters.retry_all(partial(tell_progress, "letters"))
        return Summary(found=done.tried, done=done.resolved)


def _tell(progress: Progress) -> None:
    logger.info("backfill: %s %d of %d", *progress)
    tell_progress(*progress)
