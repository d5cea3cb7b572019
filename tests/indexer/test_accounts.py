"""Accounts are read where the log does not tell enough: markets with their positions, and the config."""

import asyncio
from copy import copy
from pathlib import Path

import pytest

from tests.indexer.chain_log import ChainLog, active_market, logs_of, signature_of
from tests.indexer.projection import CODEC, in_order
from tests.indexer.scripted_chain import ScriptedChain, accept_all, deliveries, node, running
from tests.localnet.program_harness import ALICE, BACKEND, BOB
from zmart_lite import models
from zmart_lite.errors import RpcRefused, UndecodableData
from zmart_lite.models import ChainTransaction
from zmart_lite.store.state import markets


async def test_a_marked_market_is_read_and_folded_from_its_account(tmp_path: Path) -> None:
    log, market_id = active_market()
    log.buy(market_id, ALICE)
    log.buy(market_id, BOB, False)
    chain = ScriptedChain(log)
    async with node(tmp_path, chain) as here:
        await here.indexer.accept(deliveries([log.transactions[0], *log.transactions[4:]]), "webhook")
        await here.work()
        record = await here.store.read(lambda tx: markets.find_record(tx, market_id))
        assert record is not None
        assert (record["known"], record["needs_resync"], record["baseline_slot"]) == (1, 0, log.slot)
        assert markets.account_of(record, log.market(market_id).bump) == log.market(market_id)
        assert await here.value("SELECT count(*) FROM trades") == 2


async def test_one_market_that_cannot_be_read_keeps_no_other_waiting(tmp_path: Path) -> None:
    log = ChainLog().start()
    first, second = log.create(1), log.create(2)
    log.activate(first)
    log.activate(second)
    seen = [each for each in log.transactions if each.signature not in {t.signature for t in log.transactions[1:3]}]
    chain = ScriptedChain(log, failures={"get_account": [RpcRefused("not now")]})
    known = "SELECT known FROM markets WHERE market_id = ?"
    async with node(tmp_path, chain) as here:
        await here.indexer.accept(deliveries(seen), "webhook")
        await here.work()
        assert [await here.value(known, each) for each in (first, second)] == [0, 1]
        await here.indexer.resync_flagged()
        assert await here.value(known, first) == 0
        here.times.ms += markets.RESYNC_PAUSE_MS
        await here.indexer.resync_flagged()
        assert await here.value(known, first) == 1


async def test_a_marked_markets_positions_are_read_with_it(tmp_path: Path) -> None:
    """The purchase is unknown, the sale is not: shares, not guesses."""
    log, market_id = active_market()
    log.buy(market_id, ALICE)
    log.sell(market_id, 10**9, ALICE)
    log.buy(market_id, BOB, False)
    seen = [*log.transactions[:-3], *log.transactions[-2:]]
    async with node(tmp_path, ScriptedChain(log)) as here:
        await here.indexer.accept(deliveries(seen), "webhook")
        await here.work()
        sql = "SELECT p.* FROM positions p JOIN wallets w ON w.id = p.wallet WHERE w.address = ?"
        for user, held in log.positions(market_id).items():
            row = await here.store.read(lambda tx, user=user: tx.one(sql, (user,)))
            assert (int(row["shares_yes"]), int(row["shares_no"])) == (held.shares_yes, held.shares_no)


async def test_a_reading_is_made_again_when_its_slot_is_final(tmp_path: Path) -> None:
    log, market_id = active_market()
    log.buy(market_id, ALICE)
    chain = ScriptedChain(log)
    async with node(tmp_path, chain) as here:
        await here.indexer.accept(deliveries([log.transactions[0], log.transactions[-1]]), "webhook")
        await here.work()
        final = "SELECT baseline_final FROM markets"
        assert await here.value(final) == 0
        chain.finalized_slot = log.slot
        await here.indexer.follow_finality()
        assert await here.value(final) == 1
        asked = chain.asked["get_program_accounts"]
        await here.indexer.follow_finality()
        assert chain.asked["get_program_accounts"] == asked


async def test_a_reading_tells_what_differed_and_corrects_it(tmp_path: Path) -> None:
    log, market_id = active_market()
    chain = ScriptedChain(log)
    async with node(tmp_path, chain) as here:
        await accept_all(here)
        await here.work()
        assert await here.indexer.resync(market_id) == []
        log.buy(market_id, ALICE)
        truth = log.market(market_id)
        found = {each.field: each for each in await here.indexer.resync(market_id)}
        assert found["shares_yes"].on_chain == str(truth.shares_yes)
        assert {field for field in found if not field.startswith("position.")} == {
            *("shares_yes", "total_volume", "current_liquidity"),
            *("accumulated_resolver_fees", "accumulated_lp_fees"),
        }
        assert len(found) > 5
        assert await here.value("SELECT count(*) FROM discrepancies") == len(found)
        assert await here.value("SELECT source FROM markets") == "reconciliation"
        await accept_all(here)
        await here.work()
        assert await here.indexer.resync(market_id) == []


async def test_a_log_ahead_of_the_account_is_no_difference(tmp_path: Path) -> None:
    log, market_id = active_market()
    chain = ScriptedChain(log, account_slot=log.slot)
    async with node(tmp_path, chain) as here:
        await accept_all(here)
        await here.work()
        old = {key: copy(account) for key, account in log.devnet.accounts.items()}
        log.buy(market_id, ALICE)
        truth = log.market(market_id)
        await accept_all(here)
        await here.work()
        log.devnet.accounts = old
        assert await here.indexer.resync(market_id) == []
        record = await here.store.read(lambda tx: markets.find_record(tx, market_id))
        assert record is not None
        assert markets.account_of(record, truth.bump) == truth


async def test_a_market_that_the_chain_does_not_have_is_left_as_it_is(tmp_path: Path) -> None:
    log = ChainLog().start()
    gone = bytes([77]) * 32
    event = models.ProposalApproved(gone, ALICE, 1_700_000_000)
    log.transactions.append(
        ChainTransaction(signature_of(50), 1_500, 0, None, False, logs_of([CODEC.encode_event(event)]), ())
    )
    async with node(tmp_path, ScriptedChain(log)) as here:
        await accept_all(here)
        await here.work()
        assert await here.value("SELECT needs_resync FROM markets WHERE market_id = ?", gone) == 1
        assert await here.indexer.resync(gone) == []
        assert await here.indexer.resync(bytes([78]) * 32) == []


async def test_a_market_only_heard_of_that_the_chain_does_not_have_is_no_matter(tmp_path: Path) -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.transactions[-1] = log.transactions[-1]._replace(logs=("Log truncated",))
    del log.devnet.accounts[CODEC.market_address(market_id)]
    async with node(tmp_path, ScriptedChain(log)) as here:
        await accept_all(here)
        await here.work()
        assert await here.value("SELECT needs_resync FROM markets") == 0


async def test_an_account_that_cannot_be_read_does_not_stop_the_indexer(tmp_path: Path) -> None:
    log, market_id = active_market()
    log.devnet.accounts[CODEC.market_address(market_id)].data = b"nonsense"
    async with node(tmp_path, ScriptedChain(log)) as here, running(here.indexer):
        await here.indexer.accept(deliveries(log.transactions[2:]), "webhook")
        async with asyncio.timeout(20):
            await here.indexer.wait_idle()
        assert await here.store.read(lambda tx: markets.list_needing_resync(tx, 9)) == []
        assert await here.value("SELECT needs_resync FROM markets") == 1
        await accept_all(here)
        async with asyncio.timeout(20):
            await here.indexer.wait_idle()
        assert await here.dump() == in_order(log.transactions).dump()


@pytest.mark.parametrize("by_hand", [True, False])
async def test_a_new_version_reads_at_once_what_the_one_before_could_not(tmp_path: Path, by_hand: bool) -> None:
    """At its start, and when dead letters are tried again."""
    log, market_id = active_market()
    log.buy(market_id, ALICE)
    log.transactions[-1] = log.transactions[-1]._replace(logs=("Log truncated",))
    account = log.devnet.accounts[CODEC.market_address(market_id)]
    data, account.data = account.data, b"another layout"
    async with node(tmp_path, ScriptedChain(log)) as here:
        await accept_all(here)
        await here.work()
        await here.indexer.resync_flagged()
        assert await here.value("SELECT needs_resync FROM markets") == 1
        account.data = data
        await here.indexer.resync_flagged()
        assert await here.value("SELECT needs_resync FROM markets") == 1, "it is left alone for a while"
        if by_hand:
            await here.indexer.letters.retry_all()
            await here.indexer.resync_flagged()
        else:
            here.indexer.wake()
            async with running(here.indexer), asyncio.timeout(20):
                await here.indexer.wait_idle()
        assert await here.value("SELECT needs_resync FROM markets") == 0
        assert await here.value("SELECT trades_count FROM positions") == 1


async def test_the_config_is_read_where_the_log_does_not_tell_it(tmp_path: Path) -> None:
    log = ChainLog()
    chain = ScriptedChain(log)
    async with node(tmp_path, chain) as here:
        assert await here.indexer.read_config() is None
        log.start()
        assert await here.indexer.read_config() == log.config
        assert await here.indexer.read_config() == log.config
        assert await here.value("SELECT count(*) FROM configs") == 1
        log.run("emergency_pause")
        await here.indexer.accept(deliveries(log.transactions[1:]), "webhook")
        await here.work()
        assert await here.store.read(markets.find_config) == log.config
        log.devnet.edit_config(backend_authority=BACKEND[::-1])
        chain.account_slot = log.slot + 1
        assert (await here.indexer.read_config()).backend_authority == BACKEND[::-1]  # type: ignore[union-attr]


async def test_trades_before_any_config_wait_for_its_account(tmp_path: Path) -> None:
    log, market_id = active_market()
    log.buy(market_id, ALICE)
    async with node(tmp_path, ScriptedChain(log)) as here:
        await here.indexer.accept(deliveries(log.transactions[1:]), "webhook")
        await here.work()
        assert await here.store.read(markets.find_config) == log.config
        record = await here.store.read(lambda tx: markets.find_record(tx, market_id))
        assert record is not None
        assert markets.account_of(record, log.market(market_id).bump) == log.market(market_id)


async def test_fields_that_nobody_maintains_make_no_difference(tmp_path: Path) -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    account = log.devnet.accounts[CODEC.market_address(market_id)]
    values = {"accumulated_protocol_fees": 5, "is_cancelled": True, "is_locked": True, "resolution_agree": 7}
    account.data = CODEC.encode_account(log.market(market_id)._replace(reserved=b"\x01" * 119, **values))
    async with node(tmp_path, ScriptedChain(log)) as here:
        await accept_all(here)
        await here.work()
        assert (await here.indexer.reconciler.run()).differences == 0
        assert await here.indexer.resync(market_id) == []


async def test_what_an_upgrade_keeps_in_the_configs_reserve_is_no_change(tmp_path: Path) -> None:
    log = ChainLog().start()
    account = log.devnet.accounts[CODEC.config_address()]
    account.data = CODEC.encode_account(log.config._replace(reserved=b"\x01" * 64))
    async with node(tmp_path, ScriptedChain(log)) as here:
        await accept_all(here)
        await here.work()
        for _ in range(3):
            await here.indexer.read_config()
        assert await here.value("SELECT count(*) FROM configs") == 1
        assert (await here.indexer.reconciler.run()).differences == 0


async def test_another_account_at_the_configs_address_is_refused(tmp_path: Path) -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.devnet.accounts[CODEC.config_address()].data = log.devnet.accounts[CODEC.market_address(market_id)].data
    async with node(tmp_path, ScriptedChain(log)) as here:
        with pytest.raises(UndecodableData):
            await here.indexer.read_config()
