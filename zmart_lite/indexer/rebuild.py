"""Folds the whole log again from nothing and compares the outcome with what was there."""

from collections.abc import Callable
from typing import Any, NamedTuple

from zmart_lite.indexer.apply import Applier
from zmart_lite.indexer.configs import ConfigLog
from zmart_lite.indexer.writer import LogWriter
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import markets, positions

MARKETS_PER_COMMIT = 50
ASIDE = frozenset({"id", "updated_ms", "source", "incomplete_slot", "resync_tried_ms"})
"""Columns that say nothing about the chain, or when the row was written."""


class Rebuilt(NamedTuple):
    """Markets folded, and what came out otherwise than it was: (market id in hex, field, before, after)."""

    markets: int
    differences: tuple[tuple[str, str, str, str], ...]


async def rebuild(
    writer: LogWriter, feed_context: Callable[[], messages.FeedContext], on_progress: Callable[[int, int], None]
) -> Rebuilt:
    """Fold the config's versions, then every market, again. No client is told of what did not change."""
    store = writer.store
    keys = await store.read(markets.list_keys)
    before = await store.read(markets.find_config)
    context = feed_context()
    async with writer.lock:
        # The markets that depend on it are all folded below.
        await store.write(lambda tx: ConfigLog(tx, writer.codec, context).refold(0))
    after = await store.read(markets.find_config)
    found = [] if before == after else [("", "config", str(before), str(after))]
    for start in range(0, len(keys), MARKETS_PER_COMMIT):
        part, context = keys[start : start + MARKETS_PER_COMMIT], feed_context()
        async with writer.lock:
            found += await store.write(lambda tx, p=part, c=context: _refold(tx, writer, c, p))  # type: ignore[misc]
        on_progress(min(start + MARKETS_PER_COMMIT, len(keys)), len(keys))
    return Rebuilt(len(keys), tuple(found))


def _refold(
    tx: Tx, writer: LogWriter, context: messages.FeedContext, keys: list[int]
) -> list[tuple[str, str, str, str]]:
    found = []
    applier = Applier(tx, writer.codec, context, quiet=True)
    for key in keys:
        before = _image(tx, key)
        applier.refold(key)
        after = _image(tx, key)
        changed = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
        market_id = str(after["market_id"])
        found += [(market_id, name, str(before.get(name)), str(after.get(name))) for name in sorted(changed)]
        if changed:
            messages.publish_market(tx, context, key, None, action="updated")
    return found


def _image(tx: Tx, key: int) -> dict[str, Any]:
    """A market and its positions as texts by field."""
    record = markets.find_record_by_key(tx, key) or {}
    image = {name: _text(value) for name, value in record.items() if name not in ASIDE}
    for row in positions.list_of_market(tx, record["market_id"]):
        owner = row["address"].hex()
        image |= {f"{owner}.{name}": _text(row[name]) for name in row.keys() if name not in ASIDE}  # noqa: SIM118
    return image


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
