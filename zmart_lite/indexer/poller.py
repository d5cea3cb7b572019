"""Finds what no delivery brought: reads the program's history from the tip back to where it has been read before.

Progress is a slot, not a signature: a node that does not know ``until`` ignores it without a word, pages can repeat
or skip, and the order within a slot is not everywhere that of execution. So each run re-reads an overlap of slots,
and what is known already is told apart by its signature.
"""

from typing import NamedTuple

from zmart_lite.chain.rpc import SIGNATURES_PER_PAGE_MAX, Rpc
from zmart_lite.models import SignatureInfo
from zmart_lite.store import chainlog
from zmart_lite.store.chainlog import Delivery
from zmart_lite.store.db import Store, Tx

PAGES_MAX = 10_000
"""Ten million transactions; a node whose pages never end is not followed for ever."""


class PollResult(NamedTuple):
    """Transactions seen in the history, and those of them that were new."""

    seen: int
    new: int


async def poll(store: Store, rpc: Rpc, address: bytes, *, start_slot: int, overlap_slots: int) -> PollResult:
    """Put everything of ``address`` since the cursor (less the overlap) into the inbox and move the cursor.

    The pages come newest first; the cursor moves only in the commit that brings the last of them, so that an
    interrupted run is simply done again.
    """
    cursor = await store.read(lambda tx: chainlog.find_cursor(tx, address))
    floor = max(start_slot, 0 if cursor is None else cursor - overlap_slots)
    seen = new = 0
    newest: int | None = None
    before: bytes | None = None
    for _ in range(PAGES_MAX):
        page = await rpc.get_signatures(address, before=before)
        wanted = [info for info in page if info.slot >= floor]
        if newest is None and page:
            newest = page[0].slot
        seen += len(wanted)
        done = len(page) < SIGNATURES_PER_PAGE_MAX or len(wanted) < len(page) or page[-1].signature == before
        reached = newest if done else None
        new += await store.write(lambda tx, wanted=wanted, reached=reached: _enter(tx, address, wanted, reached))  # type: ignore[misc]
        if done:
            break
        before = page[-1].signature
    return PollResult(seen, new)


def _enter(tx: Tx, address: bytes, page: list[SignatureInfo], reached: int | None) -> int:
    """One page into the inbox, oldest first; failed transactions count for nothing and are not fetched."""
    deliveries = [Delivery(info.signature, info.slot, None) for info in reversed(page) if not info.failed]
    new, _ = chainlog.add_deliveries(tx, deliveries, "poll")
    if reached is not None:
        chainlog.set_cursor(tx, address, reached)
    return new
