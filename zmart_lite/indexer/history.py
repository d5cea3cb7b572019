"""Reads an account's history page by page, from the tip back, whichever nodes the pages come from.

Each page goes on below the last transaction of the one before, and any address may answer for it. One that does not
know that transaction says so in its way: an error, an empty page, or the newest page once more. All are the same here:
PlaceUnknown, after which reading starts again at the tip. What was read by then is in the inbox and costs nothing.
"""

import logging
from collections.abc import AsyncIterator
from typing import NamedTuple

from zmart_lite.chain.rpc import SIGNATURES_PER_PAGE_MAX, Rpc
from zmart_lite.errors import PlaceUnknown
from zmart_lite.models import SignatureInfo
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.log.chainlog import Delivery

logger = logging.getLogger(__name__)

PAGES_MAX = 10_000
"""Ten million transactions; a node whose pages never end is not followed for ever."""
STARTS_MAX = 3
"""Times one run starts at the tip before it is left to the next: forks are short, and other nodes may answer then."""


class Place(NamedTuple):
    """A transaction of the history, and its slot."""

    signature: bytes
    slot: int


class Page(NamedTuple):
    """Rows from the floor up, newest first. ``is_last``: the history's end, or what lies below the floor, was met."""

    rows: list[SignatureInfo]
    newest_slot: int
    is_last: bool


class Entered(NamedTuple):
    """Transactions seen, those that were new, the newest slot if everything down to the floor was read, and the oldest
    slot of what was new.
    """

    seen: int
    new: int
    reached: int | None
    oldest_new: int | None = None


class New(NamedTuple):
    """How many rows of a page were new, and the oldest slot of these."""

    rows: int
    oldest_slot: int | None


async def pages(
    rpc: Rpc, address: bytes, *, floor: int, below: Place | None = None, page_size: int = SIGNATURES_PER_PAGE_MAX
) -> AsyncIterator[Page]:
    """The pages below a place, or from the tip, down to the slot ``floor``. Raises what the RPC raises; PlaceUnknown
    also for a page that does not get on.
    """
    for _ in range(PAGES_MAX):
        before = None if below is None else below.signature
        found = await rpc.get_signatures(address, before=before, limit=page_size)
        if found and below is not None and (found[0].slot > below.slot or found[-1].signature == before):
            raise PlaceUnknown("The RPC node's history does not get on below the transaction that was asked for.")
        rows = [info for info in found if info.slot >= floor]
        is_last = not found or len(rows) < len(found)
        yield Page(rows, max((info.slot for info in found), default=0), is_last)
        if is_last:
            return
        below = Place(found[-1].signature, found[-1].slot)


async def enter_history(
    store: Store,
    rpc: Rpc,
    address: bytes,
    *,
    floor: int,
    page_size: int = SIGNATURES_PER_PAGE_MAX,
    source: str = "poll",
) -> Entered:
    """Put the history of an address down to a slot into the inbox. Raises what the RPC raises but PlaceUnknown."""
    seen = new = 0
    oldest: int | None = None
    for _ in range(STARTS_MAX):
        newest, ended = 0, False
        try:
            async for page in pages(rpc, address, floor=floor, page_size=page_size):
                newest, ended = max(newest, page.newest_slot), page.is_last
                seen += len(page.rows)
                found = await store.write(lambda tx, rows=page.rows: enter(tx, rows, source))  # type: ignore[misc]
                new += found.rows
                oldest = found.oldest_slot if oldest is None else min(oldest, found.oldest_slot or oldest)
        except PlaceUnknown as error:
            logger.warning("the history is read again from its tip: %s", error)
            continue
        return Entered(seen, new, newest if ended else None, oldest)
    return Entered(seen, new, None, oldest)


def enter(tx: Tx, page: list[SignatureInfo], source: str) -> New:
    """One page into the inbox, oldest first; failed transactions count for nothing and are not fetched."""
    slots = [
        info.slot
        for info in reversed(page)
        if not info.failed and chainlog.add_deliveries(tx, [Delivery(info.signature, info.slot, None)], source)[0]
    ]
    return New(len(slots), min(slots, default=None))
