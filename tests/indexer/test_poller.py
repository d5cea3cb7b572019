"""Polling: everything is found, whatever pages look like, and progress is only noted when it was made."""

from pathlib import Path

import pytest

from tests.indexer.chain_log import FIRST_SLOT, ChainLog
from tests.indexer.scripted_chain import Node, ScriptedChain, node
from tests.localnet.program_harness import ALICE, PROGRAM_ID
from zmart_lite.errors import PlaceUnknown, RpcUnavailable
from zmart_lite.indexer.history import STARTS_MAX
from zmart_lite.indexer.poller import Overlap, PollResult, poll
from zmart_lite.models import SignatureInfo
from zmart_lite.store.log import chainlog

PAGE = 3
"""Rows of a page, so that a short chain has many of them."""


def history(length: int) -> ScriptedChain:
    """A chain with one transaction a slot."""
    log = ChainLog().start()
    market_id = log.create(1)
    while len(log.transactions) < length:
        log.on(market_id, "aggregate_proposal_votes", {"final_likes": 1, "final_dislikes": 0})
    return ScriptedChain(log)


async def poll_once(here: Node, start_slot: int = 0, overlap_slots: int = 4) -> PollResult:
    chain = here.chain
    return await poll(
        here.store,
        chain,  # type: ignore[arg-type]
        PROGRAM_ID,
        start_slot=start_slot,
        overlap_slots=overlap_slots,
        page_size=PAGE,
    )


async def cursor(here: Node) -> int | None:
    return await here.store.read(lambda tx: chainlog.find_cursor(tx, PROGRAM_ID))


async def waiting(here: Node) -> list[int]:
    rows = await here.store.read(lambda tx: tx.all("SELECT slot FROM inbox ORDER BY slot"))
    return [row["slot"] for row in rows]


async def test_the_first_poll_reads_everything(tmp_path: Path) -> None:
    async with node(tmp_path, history(7)) as here:
        assert await poll_once(here) == PollResult(7, 7)
        assert await waiting(here) == list(range(FIRST_SLOT + 1, FIRST_SLOT + 8))
        assert await cursor(here) == FIRST_SLOT + 7


async def test_a_chain_without_history_has_no_cursor(tmp_path: Path) -> None:
    async with node(tmp_path, ScriptedChain(ChainLog())) as here:
        assert await poll_once(here) == PollResult(0, 0)
        assert await cursor(here) is None


@pytest.mark.parametrize("length", [1, 2, 3, 4, 6, 7, 10])
async def test_pages_are_followed_to_the_end(tmp_path: Path, length: int) -> None:
    chain = history(10)
    chain.log.transactions[length:] = []
    async with node(tmp_path, chain) as here:
        assert (await poll_once(here)).new == length
        assert len(await waiting(here)) == length
        assert chain.asked["get_signatures"] == -(-length // PAGE) + 1


async def test_later_polls_read_the_overlap_and_what_is_new(tmp_path: Path) -> None:
    chain = history(20)
    later = chain.log.transactions[10:]
    chain.log.transactions[10:] = []
    async with node(tmp_path, chain) as here:
        await poll_once(here)
        assert await poll_once(here) == PollResult(5, 0)
        chain.log.transactions += later
        chain.asked.clear()
        assert await poll_once(here) == PollResult(15, 10)
        assert chain.asked["get_signatures"] == 6
        assert await cursor(here) == FIRST_SLOT + 20


async def test_what_turns_up_within_the_overlap_is_found(tmp_path: Path) -> None:
    """The order within a slot, and which node answers, can make a transaction appear behind newer ones."""
    chain = history(10)
    chain.hidden = {chain.log.transactions[7].signature}
    async with node(tmp_path, chain) as here:
        assert (await poll_once(here)).new == 9
        chain.hidden.clear()
        assert (await poll_once(here)).new == 1
        assert len(await waiting(here)) == 10


async def test_nothing_before_the_start_slot_is_read(tmp_path: Path) -> None:
    async with node(tmp_path, history(10)) as here:
        assert await poll_once(here, start_slot=FIRST_SLOT + 6) == PollResult(5, 5)
        assert (await waiting(here))[0] == FIRST_SLOT + 6


async def test_failed_transactions_are_seen_and_not_fetched(tmp_path: Path) -> None:
    chain = history(4)
    chain.log.buy(chain.log.market_ids[0], ALICE)
    assert chain.log.transactions[-1].failed
    async with node(tmp_path, chain) as here:
        assert await poll_once(here) == PollResult(5, 4)
        assert await cursor(here) == FIRST_SLOT + 5


async def test_a_poll_that_breaks_off_keeps_the_cursor_and_is_done_again(tmp_path: Path) -> None:
    chain = history(20)
    later = chain.log.transactions[5:]
    chain.log.transactions[5:] = []
    async with node(tmp_path, chain) as here:
        await poll_once(here)
        before = await cursor(here)
        chain.log.transactions += later
        get_signatures = chain.get_signatures

        chain.asked.clear()

        async def breaks_off(address: bytes, *, before: bytes | None = None, limit: int) -> list[SignatureInfo]:
            if chain.asked["get_signatures"] == 2:
                chain.failures["get_signatures"] = [RpcUnavailable()]
            return await get_signatures(address, before=before, limit=limit)

        chain.get_signatures = breaks_off  # type: ignore[method-assign]
        with pytest.raises(RpcUnavailable):
            await poll_once(here)
        assert await cursor(here) == before
        assert len(await waiting(here)) > 5
        await poll_once(here)
        assert len(await waiting(here)) == 20
        assert await cursor(here) == FIRST_SLOT + 20


async def test_a_node_that_forgets_where_it_was_does_not_hold_the_poll(tmp_path: Path) -> None:
    """It begins at its tip again, and again: that is noticed, nothing is entered twice, and the cursor stays."""
    chain = history(3)
    get_signatures = chain.get_signatures

    async def from_the_tip(address: bytes, *, before: bytes | None = None, limit: int = 0) -> list[SignatureInfo]:
        return await get_signatures(address, limit=limit)

    chain.get_signatures = from_the_tip  # type: ignore[method-assign]
    async with node(tmp_path, chain) as here:
        assert (await poll_once(here)).new == 3
        assert chain.asked["get_signatures"] == 2 * STARTS_MAX
        assert await cursor(here) is None


@pytest.mark.parametrize("times", [1, STARTS_MAX])
async def test_a_place_that_vanished_with_its_fork_has_the_history_read_from_the_tip(
    tmp_path: Path, times: int
) -> None:
    chain = history(9)
    dropped: list[bytes] = []
    get_signatures = chain.get_signatures

    async def drops_what_was_last(address: bytes, *, before: bytes | None = None, limit: int) -> list[SignatureInfo]:
        if before is not None and len(dropped) < times:
            dropped.append(before)
            chain.hidden.add(before)
            raise PlaceUnknown("Transaction … not found", -32020)
        return await get_signatures(address, before=before, limit=limit)

    async with node(tmp_path, chain) as here:
        chain.get_signatures = drops_what_was_last  # type: ignore[method-assign]
        read = await poll_once(here)
        if times == 1:
            assert (read.new, await cursor(here)) == (9, FIRST_SLOT + 9)
        else:
            assert await cursor(here) is None
            assert (await poll_once(here)).new > 0
            assert await cursor(here) == FIRST_SLOT + 9


async def test_known_transactions_are_not_entered_again(tmp_path: Path) -> None:
    chain = history(5)
    async with node(tmp_path, chain) as here:
        await poll_once(here)
        await here.work()
        assert await waiting(here) == []
        assert await poll_once(here) == PollResult(5, 0)


# How far back


def test_each_second_look_goes_four_times_as_far() -> None:
    overlap = Overlap(64, 54_000)
    assert [overlap.next() for _ in range(8)] == [64, 256, 64, 1024, 64, 256, 64, 4096]
    assert max(overlap.next() for _ in range(64)) == 54_000


def test_the_overlap_follows_the_lag_that_was_seen_and_forgets_it() -> None:
    overlap = Overlap(64, 54_000)
    overlap.next()
    overlap.note(PollResult(9, 1, late_slots=300))
    assert [overlap.next() for _ in range(2)] == [2_400, 600]
    for _ in range(500):
        overlap.note(PollResult(9, 0))
    assert overlap.next() == 64 * 4**2
    assert overlap.next() == 64


async def test_what_was_hidden_is_found_about_as_late_as_it_was_hidden(tmp_path: Path) -> None:
    """A transaction that a node's history shows only when the chain is 60 slots on: far behind the overlap by then."""
    chain = history(61)
    later = chain.log.transactions[1:]
    hidden = later[0]
    chain.log.transactions[1:] = []
    overlap = Overlap(4, 54_000)
    async with node(tmp_path, chain) as here:
        await poll_once(here)
        chain.log.transactions += later
        chain.hidden = {hidden.signature}
        await poll_once(here)
        chain.hidden.clear()
        results: list[PollResult] = []
        while not any(result.new for result in results):
            results.append(await poll_once(here, overlap_slots=overlap.next()))
            overlap.note(results[-1])
        result = results[-1]
        assert (result.new, result.late_slots) == (1, chain.log.slot - hidden.slot)
        assert len(results) == 4
        assert overlap.next() >= 2 * result.late_slots
