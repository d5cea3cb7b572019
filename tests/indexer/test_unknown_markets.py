"""Markets that the log only speaks of: claims of older ones, truncated and unknown instructions."""

from pathlib import Path

import pytest

from tests.indexer.chain_log import ChainLog, active_market, whole_life
from tests.indexer.scripted_chain import Node, ScriptedChain, node
from tests.localnet.program_harness import ALICE, BOB, PROGRAM_ID, RESOLVER, P
from zmart_lite.errors import RpcUnavailable
from zmart_lite.models import ChainInstruction
from zmart_lite.store.log import chainlog
from zmart_lite.store.log.chainlog import Delivery
from zmart_lite.store.state import markets
from zmart_lite.store.state.markets import Record


def claimed() -> tuple[ChainLog, bytes, int]:
    """A life that ends with a claim, which names its market by the address only; the market's id, and the slot of the
    claim."""
    log, market_id = active_market()
    log.buy(market_id, ALICE, True, 60 * P)
    log.buy(market_id, BOB, False, 30 * P)
    log.resolve(market_id, True)
    log.on(market_id, "initiate_dispute", initiator=BOB)
    assert log.on(market_id, "aggregate_dispute_votes", {"final_agrees": 1, "final_disagrees": 9})
    assert log.on(market_id, "claim_winnings", user=ALICE, resolver=RESOLVER)
    log.run("emergency_pause")
    return log, market_id, log.transactions[-2].slot


async def record_of(here: Node, market_id: bytes) -> Record:
    record = await here.store.read(lambda tx: markets.find_record(tx, market_id))
    assert record is not None
    return record


async def equals_chain(here: Node, market_id: bytes) -> bool:
    record, truth = await record_of(here, market_id), here.chain.log.market(market_id)
    return markets.account_of(record, truth.bump) == truth


async def test_a_claim_of_a_market_older_than_the_start_is_adopted_with_its_account(tmp_path: Path) -> None:
    log, market_id, start = claimed()
    async with node(tmp_path, ScriptedChain(log), start_slot=start) as here:
        await here.indexer.poll()
        await here.work()
        assert await equals_chain(here, market_id)
        assert await here.store.read(chainlog.count_dead_letters) == 0
        assert await here.alerts() == []
        assert (
            await here.value("SELECT count(*) FROM events WHERE market IS NULL AND event_type = 'WinningsClaimed'") == 0
        )
        assert await here.value("SELECT min(slot) FROM transactions") >= start
        claims = await here.store.read(lambda tx: tx.all("SELECT claimed_amount FROM positions WHERE has_claimed = 1"))
        assert len(claims) == sum(held.has_claimed for held in log.positions(market_id).values())


async def test_what_cannot_be_had_at_once_is_had_with_the_next_transaction(tmp_path: Path) -> None:
    log, market_id, start = claimed()
    chain = ScriptedChain(log, failures={"get_accounts": [RpcUnavailable()]})
    async with node(tmp_path, chain, start_slot=start, batch_size=1) as here:
        await here.indexer.poll()
        await here.indexer.index_inbox()
        assert await here.store.read(chainlog.count_dead_letters) == 1
        await here.work()
        assert await here.store.read(chainlog.count_dead_letters) == 0
        assert await equals_chain(here, market_id)


async def test_reconciliation_adopts_the_claims_of_a_market_that_only_the_chain_knows(tmp_path: Path) -> None:
    """The node died before it could look at the market's account."""
    log, market_id, start = claimed()
    chain = ScriptedChain(log, failures={"get_accounts": [RpcUnavailable()] * 9})
    async with node(tmp_path, chain, start_slot=start) as here:
        await here.indexer.poll()
        await here.work()
        assert await here.store.read(chainlog.count_dead_letters) == 1
    async with node(tmp_path, ScriptedChain(log), start_slot=start) as here:
        done = await here.indexer.reconciler.run()
        assert done.discovered == 1
        assert await here.store.read(chainlog.count_dead_letters) == 0
        assert await equals_chain(here, market_id)


async def test_an_address_that_is_no_market_is_looked_at_once(tmp_path: Path) -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    lie = log.transactions[-1]._replace(
        logs=("Log truncated",), instructions=(ChainInstruction(PROGRAM_ID, (ALICE, BOB), b"unknown!"),)
    )
    log.transactions[-1] = lie
    chain = ScriptedChain(log)
    async with node(tmp_path, chain) as here:
        await here.indexer.accept([Delivery(each.signature, each.slot, None) for each in log.transactions], "poll")
        await here.work()
        asked = chain.asked["get_accounts"]
        assert asked == 1
        log.activate(market_id)
        await here.indexer.poll()
        await here.work()
        assert chain.asked["get_accounts"] == asked


@pytest.mark.parametrize("data", [b"unknown!", None])
async def test_a_truncated_transaction_makes_its_unknown_market_known(tmp_path: Path, data: bytes | None) -> None:
    """``data``: of an instruction that this version does not know; else the one that it is."""
    log, market_id = active_market()
    log.buy(market_id, ALICE)
    (call,) = log.transactions[-1].instructions
    instruction = call if data is None else call._replace(data=data)
    cut = log.transactions[-1]._replace(logs=("Log truncated",), instructions=(instruction,))
    log.transactions[-1] = cut
    async with node(tmp_path, ScriptedChain(log), start_slot=cut.slot) as here:
        await here.indexer.poll()
        await here.work()
        assert await equals_chain(here, market_id)
        held = log.positions(market_id)[ALICE]
        assert await here.value("SELECT CAST(shares_yes AS INTEGER) FROM positions") == held.shares_yes
        assert await here.value("SELECT kind FROM dead_letters WHERE resolved_ms IS NULL") == "truncated"


async def test_an_unknown_instruction_has_the_known_market_read_again(tmp_path: Path) -> None:
    log, market_id = active_market()
    log.buy(market_id, ALICE)
    (call,) = log.transactions[-1].instructions
    strange = log.transactions[-1]._replace(
        logs=("Log truncated",), instructions=(call._replace(data=b"upgraded" + bytes(9)),)
    )
    log.transactions[-1] = strange
    async with node(tmp_path, ScriptedChain(log)) as here:
        await here.indexer.poll()
        await here.work()
        assert await equals_chain(here, market_id)
        assert await here.value("SELECT value FROM meta WHERE key = 'config_incomplete_slot'") == str(strange.slot)


async def test_one_market_is_reconciled_on_demand_though_nothing_of_it_is_known(tmp_path: Path) -> None:
    log = ChainLog().start()
    market_id = whole_life(log)
    async with node(tmp_path, ScriptedChain(log)) as here:
        done = await here.indexer.reconciler.run_market(market_id)
        assert done.discovered == 1
        assert await equals_chain(here, market_id)
        assert await here.value("SELECT count(*) FROM events WHERE market IS NOT NULL") > 10
        assert (await here.indexer.reconciler.run_market(bytes(32))).accounts == 0


async def test_a_position_that_only_the_chain_knows_is_found(tmp_path: Path) -> None:
    """A purchase of no shares changes nothing else, and its transaction was never seen."""
    log, market_id = active_market()
    log.buy(market_id, ALICE)
    log.buy(market_id, BOB, True, 10_000)
    lost = log.transactions.pop()
    assert log.positions(market_id)[BOB].trades_count == 1
    chain = ScriptedChain(log)
    async with node(tmp_path, chain) as here:
        await here.indexer.poll()
        await here.work()
        done = await here.indexer.reconciler.run()
        assert done.differences == 1
        found = await here.value("SELECT count(*) FROM positions WHERE trades_count = 1")
        assert found == 2
        assert (await here.indexer.reconciler.run()).differences == 0
        log.transactions.append(lost)
        await here.indexer.accept([Delivery(lost.signature, lost.slot, None)], "poll")
        await here.work()
        assert await here.value("SELECT max(trades_count) FROM positions") == 1
        assert (await here.indexer.reconciler.run()).differences == 0


async def test_accounts_of_another_layout_stop_nothing_and_are_told_once(tmp_path: Path) -> None:
    """The program was upgraded: one market's account is not what this version knows."""
    log = ChainLog().start()
    first, second = log.create(1), log.create(2)
    log.activate(first)
    log.activate(second)
    chain = ScriptedChain(log)
    async with node(tmp_path, chain) as here:
        await here.indexer.poll()
        await here.work()
        log.buy(second, ALICE)
        log.transactions.pop()
        account = log.devnet.accounts[log.codec.market_address(first)]
        whole, account.data = account.data, account.data[:100]
        done = await here.indexer.reconciler.run()
        assert (done.unreadable, done.differences > 0) == (1, True)
        assert await equals_chain(here, second)
        subjects = "SELECT group_concat(subject) FROM alerts WHERE status = 'open'"
        assert "accounts" in await here.value(subjects)
        account.data = whole
        assert (await here.indexer.reconciler.run()).unreadable == 0
        assert await here.value(subjects) is None


async def test_a_market_that_could_not_be_read_is_read_when_it_is_discovered(tmp_path: Path) -> None:
    """Its account was of an unknown layout, and its next turn minutes away."""
    log, market_id = active_market()
    account = log.devnet.accounts[log.codec.market_address(market_id)]
    whole, account.data = account.data, b"\0" * 488
    chain = ScriptedChain(log)
    async with node(tmp_path, chain, start_slot=log.slot) as here:
        await here.indexer.poll()
        await here.work()
        assert not (await record_of(here, market_id))["known"]
        account.data = whole
        assert (await here.indexer.reconciler.run()).discovered == 1
        assert await equals_chain(here, market_id)
