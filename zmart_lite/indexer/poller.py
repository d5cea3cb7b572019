"""Finds what no delivery brought: reads the program's history from the tip back to where it has been read before.

Progress is a slot, not a signature: a node that does not know ``until`` ignores it without a word, pages can repeat
or skip or be shorter than asked for, and the order within a slot is not everywhere that of execution. So each run
re-reads an overlap of slots, now and then a long one, and what is known already is told apart by its signature.
"""

from typing import NamedTuple

from zmart_lite.chain.rpc import SIGNATURES_PER_PAGE_MAX, Rpc
from zmart_lite.indexer.history import enter_history
from zmart_lite.store.engine.db import Store
from zmart_lite.store.log import chainlog


class PollResult(NamedTuple):
    """Transactions seen in the history, and those of them that were new."""

    seen: int
    new: int


async def poll(
    store: Store,
    rpc: Rpc,
    address: bytes,
    *,
    start_slot: int,
    overlap_slots: int,
    page_size: int = SIGNATURES_PER_PAGE_MAX,
) -> PollResult:
    """Put everything of ``address`` since the cursor (less the overlap) into the inbox and move the cursor.

    The pages come newest first; the cursor moves only once the last of them is in, so that an interrupted run is
    simply done again.
    """
    cursor = await store.read(lambda tx: chainlog.find_cursor(tx, address))
    floor = max(start_slot, 0 if cursor is None else cursor - overlap_slots)
    seen, new, reached = await enter_history(store, rpc, address, floor=floor, page_size=page_size)
    if reached:
        await store.write(lambda tx: chainlog.set_cursor(tx, address, reached))
    return PollResult(seen, new)
