"""What is final in the log is asked for again: what was told wrongly is found and undone, and only on proof."""

from pathlib import Path
from typing import Any

import pytest

from tests.indexer.chain_log import ChainLog, active_market
from tests.indexer.projection import in_order
from tests.indexer.scripted_chain import Node, ScriptedChain, accept_all, node
from tests.localnet.program_harness import ALICE, BOB
from zmart_lite.chain.slots import SLOTS_AHEAD_MAX
from zmart_lite.store.log import chainlog

FAR = 10**9
FINAL = "SELECT count(*) FROM transactions WHERE finality = 2"


def trading() -> ChainLog:
    log, market_id = active_market()
    for wallet in (ALICE, BOB, ALICE, BOB):
        log.buy(market_id, wallet)
    return log


async def index(here: Node) -> None:
    await accept_all(here)
    await here.work()
    here.chain.finalized_slot = here.chain.log.slot + 2 * FAR
    await here.indexer.follow_finality()
    here.chain.finalized_slot = here.chain.log.slot


async def equals_the_chain(here: Node) -> None:
    """The projections, whatever readings of accounts they rest on; of the log what the chain has."""
    truth = in_order(here.chain.landed).dump()
    mine = await here.dump()
    for table in ("positions", "trades", "events"):
        assert mine[table] == truth[table], table
    amounts = ("shares_yes", "shares_no", "current_liquidity", "total_volume", "state", "slot", "trades_count")
    assert [[row[key] for key in amounts] for row in mine["markets"]] == [
        [row[key] for key in amounts] for row in truth["markets"]
    ]


@pytest.mark.parametrize("is_proven", [True, False])
async def test_a_final_transaction_that_nobody_knows_is_undone_on_proof(tmp_path: Path, is_proven: bool) -> None:
    """A node whose ledger begins later does not know it either, which proves nothing."""
    chain = ScriptedChain(trading(), has_blocks=is_proven)
    async with node(tmp_path, chain) as here:
        await index(here)
        assert await here.value(FINAL) == len(chain.log.transactions)
        chain.hidden = {chain.log.transactions[-1].signature}
        done = await here.indexer.reconciler.run(deep=True)
        assert done.undone == int(is_proven)
        if is_proven:
            truth, mine = in_order(chain.landed).dump(), await here.dump()
            assert (mine["events"], mine["trades"]) == (truth["events"], truth["trades"])
            assert "event_retracted" in await here.alerts()
        else:
            assert await here.value(FINAL) == len(chain.log.transactions)


async def test_slots_told_far_ahead_are_found_and_everything_that_rests_on_them(tmp_path: Path) -> None:
    """Also the readings of accounts, the cursor, and what of the order in blocks was settled up to there."""
    log = trading()
    lied = {each.signature: each.slot + FAR for each in log.transactions[-3:]}
    chain = ScriptedChain(log, moved=dict(lied), account_slot=log.slot + FAR)
    async with node(tmp_path, chain) as here:
        await index(here)
        await here.indexer.resync(log.market_ids[0])
        await here.indexer.poll()
        assert await here.value("SELECT max(slot) FROM transactions") > FAR
        chain.moved, chain.account_slot = {}, None
        done = await here.indexer.reconciler.run()
        assert (done.undone, done.remaining) == (len(lied), 0)
        assert done.is_sound
        await equals_the_chain(here)
        assert await here.value("SELECT count(*) FROM markets WHERE baseline_slot > ?", FAR) == 0
        assert int(await here.store.read(lambda tx: chainlog.find_meta(tx, "ordered_slot")) or 0) <= log.slot
        assert (await here.store.read(lambda tx: chainlog.find_cursor(tx, chain.log.codec.program_id)) or 0) <= log.slot
        assert "event_retracted" in await here.alerts()
        assert (await here.indexer.reconciler.run()).undone == 0


async def test_a_reading_that_is_wanted_of_a_slot_that_never_comes_is_wanted_of_now(tmp_path: Path) -> None:
    """What is left of a lie when its transaction was corrected already: else its market waits for ever."""
    log = trading()
    async with node(tmp_path, ScriptedChain(log)) as here:
        await index(here)
        market_id = log.market_ids[0]
        flag = "UPDATE markets SET needs_resync = 1, incomplete_slot = ? WHERE market_id = ?"
        await here.store.write(lambda tx: tx.execute(flag, (log.slot + FAR, market_id)))
        await here.indexer.reconciler.run()
        wanted = "SELECT count(*) FROM markets WHERE incomplete_slot > ?"
        assert await here.value(wanted, log.slot + SLOTS_AHEAD_MAX) == 0
        await equals_the_chain(here)


async def test_a_deep_look_finds_what_is_final_in_another_slot(tmp_path: Path) -> None:
    log = trading()
    chain = ScriptedChain(log, moved={log.transactions[-1].signature: log.slot - 2})
    told: list[tuple[int, int]] = []
    async with node(tmp_path, chain) as here:
        await index(here)
        chain.moved = {}
        assert (await here.indexer.reconciler.run()).undone == 0
        done = await here.indexer.reconciler.run(deep=True, on_progress=lambda *step: told.append(step))
        assert done.undone == 1
        assert told[-1] == (len(log.transactions), len(log.transactions))
        await equals_the_chain(here)


async def test_what_was_called_final_too_early_is_confirmed_again(tmp_path: Path) -> None:
    chain = ScriptedChain(trading())
    async with node(tmp_path, chain) as here:
        await index(here)
        chain.finalized_slot = chain.log.transactions[2].slot
        await here.indexer.reconciler.run(deep=True)
        assert await here.value(FINAL) == 3


async def test_one_answer_alone_moves_nothing(tmp_path: Path) -> None:
    """The statuses name another slot, the transaction itself does not."""
    chain = ScriptedChain(trading())
    async with node(tmp_path, chain) as here:
        await index(here)
        statuses = chain.get_signature_statuses

        async def shifted(signatures: list[bytes], search_history: bool = False) -> list[Any]:
            return [each and each._replace(slot=each.slot + 1) for each in await statuses(signatures, search_history)]

        chain.get_signature_statuses = shifted  # type: ignore[method-assign]
        assert (await here.indexer.reconciler.run(deep=True)).undone == 0
