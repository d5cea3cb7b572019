"""The feed in the store, as the hub reads it: pages of messages for clients that return."""

from collections.abc import Collection, Sequence

from zmart_lite.models import FeedMessage
from zmart_lite.push.channels import Channel, selections
from zmart_lite.push.hub import LogState
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.log import feed as feed_log
from zmart_lite.store.log.feed import FeedFilter


class StoredFeed:
    """The Hub's view of the feed in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def head(self) -> int:
        return await self._store.read(feed_log.feed_head)

    async def state(self, after: int, channels: Collection[Channel], count_max: int) -> LogState:
        filters = feed_filters(channels)

        def read(tx: Tx) -> LogState:
            missed = feed_log.count_feed(tx, filters, after=after, count_max=count_max)
            return LogState(feed_log.feed_head(tx), feed_log.oldest_offset(tx), missed)

        return await self._store.read(read)

    async def page(self, after: int, until: int, channels: Collection[Channel], limit: int) -> Sequence[FeedMessage]:
        filters = feed_filters(channels)
        return await self._store.read(lambda tx: feed_log.list_feed(tx, filters, after=after, until=until, limit=limit))


def feed_filters(channels: Collection[Channel]) -> tuple[FeedFilter, ...]:
    return tuple(FeedFilter(*selection) for selection in selections(channels))
