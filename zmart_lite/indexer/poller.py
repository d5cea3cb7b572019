"""Finds what no delivery brought: reads the program's history from the tip back to where it has been read before.

Progress is a slot, not a signature: a node that does not know ``until`` ignores it without a word, pages can repeat
or skip or be shorter than asked for, and the order within a slot is not everywhere that of execution. So each run
re-reads an overlap of slots, now and then a long one, and what is known already is told apart by its signature.
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
    seen = new = 0
    newest: int | None = None
    before: bytes | None = None
    complete = False
    for _ in range(PAGES_MAX):
        page = await rpc.get_signatures(address, before=before, limit=page_size)
        if not page:
            complete = before is None or await _is_known(rpc, before)
            break
        wanted = [info for info in page if info.slot >= floor]
        newest = max(info.slot for info in page) if newest is None else newest
        seen += len(wanted)
        new += await store.write(lambda tx, wanted=wanted: enter(tx, wanted, "poll"))  # type: ignore[misc]
        if len(wanted) < len(page):
            complete = True
            break
        if page[-1].signature == before:
            break
        before = page[-1].signature
    if complete and newest is not None:
        reached = newest
        await store.write(lambda tx: chainlog.set_cursor(tx, address, reached))
    return PollResult(seen, new)


async def _is_known(rpc: Rpc, signature: bytes) -> bool:
    """Whether an empty page is the end: the page before a transaction that vanished with its fork is empty, too."""
    return (await rpc.get_signature_statuses([signature], search_history=True))[0] is not None


def enter(tx: Tx, page: list[SignatureInfo], source: str) -> int:
    """One page into the inbox, oldest first; failed transactions count for nothing and are not fetched."""
    deliveries = [Delivery(info.signature, info.slot, None) for info in reversed(page) if not info.failed]
    return chainlog.add_deliveries(tx, deliveries, source)[0]
