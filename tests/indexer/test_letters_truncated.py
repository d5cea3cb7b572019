"""Letters of truncated logs: they end when all that the transaction may have changed was read from the chain."""

from pathlib import Path

import pytest

from tests.indexer.chain_log import PROGRAM_ID, ChainLog, active_market
from tests.indexer.scripted_chain import Node, ScriptedChain, node, webhook_item
from tests.localnet.program_harness import ALICE, BOB
from zmart_lite.indexer.letters import Retried
from zmart_lite.jobs.reconcile import Reconciliation
from zmart_lite.models import ChainInstruction, ChainTransaction
from zmart_lite.store.log import chainlog
from zmart_lite.store.log.chainlog import Delivery
from zmart_lite.store.state import markets

OPEN = (None, None)
READ = "the accounts it touched were read from the chain"


def life() -> tuple[ChainLog, bytes]:
    log, market_id = active_market()
    log.buy(market_id, ALICE)
    return log, market_id


def truncate(log: ChainLog, *instructions: ChainInstruction) -> ChainTransaction:
    """The newest transaction's logs are cut to nothing; ``instructions`` take the place of its own."""
    last = log.transactions[-1]
    cut = last._replace(logs=("Log truncated",), instructions=instructions or last.instructions)
    log.transactions[-1] = cut
    return cut


async def index(here: Node) -> None:
    everything = [Delivery(each.signature, each.slot, None) for each in here.chain.log.transactions]
    await here.indexer.accept(everything, "poll")
    await here.work()


async def finalize(here: Node) -> None:
    here.chain.finalized_slot = here.chain.log.slot
    await here.indexer.follow_finality()


async def ends(here: Node, kind: str = "truncated") -> list[tuple[int | None, str | None]]:
    rows = await here.store.read(lambda tx: tx.all("SELECT * FROM dead_letters WHERE kind = ? ORDER BY id", (kind,)))
    assert all((row["resolved_ms"] is None) == (row["resolution"] is None) for row in rows)
    return [(None if row["resolved_ms"] is None else row["id"], row["resolution"]) for row in rows]


async def test_one_ends_when_its_market_was_read_for_good(tmp_path: Path) -> None:
    log, market_id = life()
    truncate(log)
    async with node(tmp_path, ScriptedChain(log)) as here:
        await index(here)
        record = await here.store.read(lambda tx: markets.find_record(tx, market_id))
        assert record is not None
        assert (record["baseline_final"], record["needs_resync"]) == (0, 0)
        assert await here.indexer.letters.retry_all() == Retried(1, 0), "a reading that a fork may undo ends nothing"
        await finalize(here)
        assert await here.alerts() == ["event_undecodable"]
        assert await here.indexer.letters.retry(1) == 0
        assert await ends(here) == [(1, READ)]
        assert await here.alerts() == []
        assert await here.value("SELECT trades_count FROM positions") == 1


async def test_reconciliation_ends_them(tmp_path: Path) -> None:
    log, _ = life()
    truncate(log)
    async with node(tmp_path, ScriptedChain(log)) as here:
        await index(here)
        job = Reconciliation(here.store, here.indexer)
        await job.run({})
        assert await ends(here) == [OPEN]
        await finalize(here)
        await job.run({})
        assert await ends(here) == [(1, READ)]


async def test_a_market_that_is_no_account_of_the_chain_keeps_none_open(tmp_path: Path) -> None:
    log, _ = life()
    truncate(log, ChainInstruction(PROGRAM_ID, (ALICE, BOB), log.transactions[-1].instructions[0].data))
    async with node(tmp_path, ScriptedChain(log)) as here:
        await index(here)
        assert await here.indexer.letters.retry_all() == Retried(1, 1)
        assert await ends(here) == [(1, READ)]


@pytest.mark.parametrize("readable", [True, False])
async def test_a_market_of_the_chain_that_is_not_known_yet_keeps_it_open(tmp_path: Path, readable: bool) -> None:
    log, market_id = life()
    cut = truncate(log)
    chain = ScriptedChain(log)
    account = log.devnet.accounts[cut.instructions[0].accounts[1]]
    data = account.data
    async with node(tmp_path, chain, start_slot=cut.slot) as here:
        account.data = b"another layout"
        await here.indexer.accept([Delivery(cut.signature, cut.slot, None)], "poll")
        await here.work()
        account.data = data if readable else account.data
        assert await here.indexer.letters.retry_all() == Retried(1, 0)
        account.data = data
        await here.indexer.reconciler.run()
        await finalize(here)
        assert await here.indexer.letters.retry_all() == Retried(1, 1)
        assert await here.value("SELECT known FROM markets WHERE market_id = ?", market_id) == 1


async def test_a_changed_config_has_to_be_read_first(tmp_path: Path) -> None:
    log = ChainLog().start()
    log.run("emergency_pause")
    cut = truncate(log)
    async with node(tmp_path, ScriptedChain(log, account_slot=cut.slot - 1)) as here:
        await index(here)
        assert await here.indexer.letters.retry_all() == Retried(1, 0)
        here.chain.account_slot = cut.slot
        await finalize(here)
        assert await here.indexer.letters.retry_all() == Retried(1, 1)
        assert await here.store.read(markets.find_config) == log.config


async def test_what_could_not_be_had_and_is_truncated_is_indexed_as_far_as_it_goes(tmp_path: Path) -> None:
    log, _ = life()
    trade = log.transactions[-1]
    chain = ScriptedChain(log, hidden={trade.signature})
    async with node(tmp_path, chain, attempts_max=1) as here:
        await index(here)
        assert await ends(here, "delivery") == [OPEN]
        log.transactions[-1] = trade._replace(logs=(*(trade.logs or ()), "Log truncated"))
        chain.hidden.clear()
        assert await here.indexer.letters.retry(1) == 1
        assert await ends(here, "delivery") == [(1, chainlog.READ_IN_PART)]
        assert await ends(here) == [OPEN]
        assert await here.value("SELECT count(*) FROM trades") == 1
        await finalize(here)
        assert await here.indexer.letters.retry_all() == Retried(1, 1)
        assert await here.alerts() == []


async def test_what_is_whole_after_all_is_indexed_whole(tmp_path: Path) -> None:
    log, _ = life()
    whole = log.transactions[-1]
    truncate(log)
    async with node(tmp_path, ScriptedChain(log)) as here:
        await index(here)
        log.transactions[-1] = whole
        assert await here.indexer.letters.retry(1) == 1
        assert await ends(here) == [(1, chainlog.INDEXED)]


async def test_an_instruction_of_another_layout_stays_open_for_an_upgrade(tmp_path: Path) -> None:
    log, _ = life()
    (call,) = log.transactions[-1].instructions
    truncate(log, call._replace(data=b"upgraded" + bytes(9)))
    async with node(tmp_path, ScriptedChain(log)) as here:
        await index(here)
        await finalize(here)
        await here.indexer.letters.retry_all()
        assert await ends(here) == [(1, READ)]
        assert await ends(here, "transaction") == [OPEN]


BUDGET = "ComputeBudget111111111111111111111111111111"


@pytest.mark.parametrize("lines", [(), (f"Program {BUDGET} invoke [1]", f"Program {BUDGET} success")])
@pytest.mark.parametrize("payload", [True, False])
async def test_a_call_without_its_event_is_not_complete_and_stays_open_until_it_is_told(
    tmp_path: Path, lines: tuple[str, ...], payload: bool
) -> None:
    """Not cut by the runtime: a node left the lines out, so that another one, or the same later, may have them."""
    log, market_id = life()
    whole = log.transactions[-1]
    log.transactions[-1] = whole._replace(logs=lines)
    async with node(tmp_path, ScriptedChain(log)) as here:
        everything = [
            Delivery(each.signature, each.slot, webhook_item(each) if payload else None) for each in log.transactions
        ]
        await here.indexer.accept(everything, "webhook")
        await here.work()
        assert await here.alerts() == ["event_undecodable"]
        record = await here.store.read(lambda tx: markets.find_record(tx, market_id))
        assert record is not None
        assert markets.account_of(record, 0)._replace(bump=0) == log.market(market_id)._replace(bump=0)
        await finalize(here)
        assert await here.indexer.letters.retry_all() == Retried(1, 0)
        assert await ends(here) == [OPEN]
        log.transactions[-1] = whole
        assert await here.indexer.letters.retry_all() == Retried(1, 1)
        assert await ends(here) == [(1, chainlog.INDEXED)]
        assert await here.value("SELECT count(*) FROM trades") == 1
        assert await here.alerts() == []
