"""Finds what no delivery brought: reads the program's history from the tip back to where it has been read before.

Progress is a slot, not a signature: a node that does not know ``until`` ignores it without a word, pages can repeat
or skip or be shorter than asked for, and the order within a slot is not everywhere that of execution. So each run
re-reads an overlap of slots (:class:`Overlap`), and what is known already is told apart by its signature.
"""

from typing import NamedTuple

from zmart_lite.chain.rpc import SIGNATURES_PER_PAGE_MAX, Rpc
from zmart_lite.indexer.history import enter_history
from zmart_lite.store.engine.db import Store
from zmart_lite.store.log import chainlog


class PollResult(NamedTuple):
    """Transactions seen in the history, and those of them that were new. ``late_slots``: by how much one of these lay
    behind what had been read already.
    """

    seen: int
    new: int
    late_slots: int = 0


class Overlap:
    """How far back each poll reads again, in slots.

    Histories show some transactions late, and each cluster and service has its own lag: twice the longest that was seen
    of late is read again each time. What is later than that is found by looking further back the seldomer, four times
    as far every second time, so that finding it takes about as long as it was hidden.
    """

    def __init__(self, slots_min: int, slots_max: int) -> None:
        self._min, self._max = slots_min, slots_max
        self._polls = 0
        self._lag = 0

    def next(self) -> int:
        """That of the next poll."""
        self._polls += 1
        turn = (self._polls & -self._polls).bit_length() - 1
        return min(max(self._min, 2 * self._lag) << 2 * turn, self._max)

    def note(self, result: PollResult) -> None:
        """Learn from what a poll found; a lag is remembered for some dozens of polls, less each time."""
        self._lag = max(result.late_slots, self._lag - self._lag // 32)


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
    seen, new, reached, oldest_new = await enter_history(store, rpc, address, floor=floor, page_size=page_size)
    if reached:
        await store.write(lambda tx: chainlog.set_cursor(tx, address, reached))
    late = 0 if cursor is None or oldest_new is None else max(cursor - oldest_new, 0)
    return PollResult(seen, new, late)
