"""Finality is followed: what vanished is undone, and what only a delivery told is compared with the chain."""

from pathlib import Path
from typing import Any

import pytest

from tests.indexer.chain_log import ChainLog, active_market, logs_of
from tests.indexer.projection import CODEC, in_order
from tests.indexer.scripted_chain import ScriptedChain, accept_all, deliveries, life, node
from tests.localnet.program_harness import ALICE, BOB
from zmart_lite import models
from zmart_lite.chain.answers import SignatureStatus
from zmart_lite.errors import RpcRefused, RpcUnavailable
from zmart_lite.indexer import finality
from zmart_lite.models import ChainTransaction
from zmart_lite.store.log import chainlog
from zmart_lite.store.state import markets


async def test_finality_is_noted_when_it_comes(tmp_path: Path) -> None:
    chain = ScriptedChain(life())
    async with node(tmp_path, chain) as here:
        await accept_all(here)
        await here.work()
        chain.finalized_slot = chain.log.transactions[4].slot
        assert await here.indexer.follow_finality() == (5, 0)
        assert await here.value("SELECT count(*) FROM transactions WHERE finality = 2") == 5
        assert await here.indexer.follow_finality() == (0, 0)
        chain.finalized_slot = chain.log.slot
        assert await here.indexer.follow_finality() == (len(chain.log.transactions) - 5, 0)


@pytest.mark.parametrize("is_known", [True, False])
async def test_what_the_cluster_refuses_to_tell_of_comes_to_an_end(tmp_path: Path, is_known: bool) -> None:
    """A few attempts, a dead letter, one alert; and then it is left to whoever tries letters again."""
    log = ChainLog().start()
    chain = ScriptedChain(log, finalized_slot=log.slot)
    fetch, statuses = chain.get_transaction, chain.get_signature_statuses

    async def refused(*_: Any, **__: Any) -> ChainTransaction | None:
        chain.asked["refused"] += 1
        raise RpcRefused("Transaction version (300) is not supported.", -32015)

    async def unknown(signatures: list[bytes], search_history: bool = False) -> list[SignatureStatus | None]:
        return await statuses(signatures, search_history) if is_known else [None] * len(signatures)

    async with node(tmp_path, chain) as here:
        await accept_all(here, payload=True)
        await here.work()
        chain.get_transaction, chain.get_signature_statuses = refused, unknown  # type: ignore[method-assign]
        for _ in range(500):
            await here.indexer.follow_finality()
            here.times.ms += 5_000
        assert chain.asked["refused"] == finality.CHECKS_MAX
        assert await here.alerts() == ["event_undecodable"]
        letters = await here.store.read(lambda tx: chainlog.list_letters(tx, 10, ended=False))
        assert [(each["kind"], each["signature"]) for each in letters] == [("delivery", log.transactions[0].signature)]
        chain.get_transaction, chain.get_signature_statuses = fetch, statuses  # type: ignore[method-assign]
        assert await here.indexer.letters.retry(letters[0]["id"]) == 1
        assert await here.indexer.follow_finality() == (1, 0)
        assert await here.alerts() == []
        assert await here.value("SELECT count(*) FROM transactions WHERE checked = 1 AND finality = 2") == 1


async def test_what_cannot_be_checked_does_not_hold_up_what_comes_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a batch of the oldest cannot be fetched any more, so that they never become final."""
    monkeypatch.setattr(finality, "FINALITY_BATCH", 3)
    monkeypatch.setattr(finality, "BATCHES_MAX", 1)
    log = life()
    chain = ScriptedChain(log)
    blocked = {each.signature for each in log.transactions[:7]}
    fetch = chain.get_transaction

    async def refused(signature: bytes, *args: Any, **_: Any) -> ChainTransaction | None:
        if signature in blocked:
            raise RpcRefused("This node has no such old transaction.")
        return await fetch(signature, *args)

    async with node(tmp_path, chain) as here:
        await accept_all(here, payload=True)
        await here.work()
        chain.get_transaction, chain.finalized_slot = refused, log.slot  # type: ignore[method-assign]
        left = "SELECT count(*) FROM transactions WHERE finality = 1"
        for _ in range(len(log.transactions) // 3 + 1):
            await here.indexer.follow_finality()
        assert await here.value(left) == 7
        blocked.clear()
        here.times.ms += finality.CHECK_AGAIN_MS
        for _ in range(4):
            await here.indexer.follow_finality()
        assert await here.value(left) == 0


async def test_what_vanished_is_retracted_and_told(tmp_path: Path) -> None:
    log, market_id = active_market()
    log.buy(market_id, ALICE)
    log.buy(market_id, BOB, False)
    chain = ScriptedChain(log)
    async with node(tmp_path, chain) as here:
        await accept_all(here)
        await here.work()
        lost = log.transactions.pop(-2)
        chain.finalized_slot = log.slot
        assert await here.indexer.follow_finality() == (len(log.transactions), 1)
        assert await here.value("SELECT count(*) FROM trades") == 1
        assert "event_retracted" in await here.alerts()
        log.transactions.append(lost)
        await here.indexer.accept(deliveries([lost]), "poll")
        await here.work()
        assert await here.value("SELECT count(*) FROM trades") == 2


async def test_what_moved_to_another_block_is_indexed_there(tmp_path: Path) -> None:
    log = life()
    chain = ScriptedChain(log)
    async with node(tmp_path, chain) as here:
        await accept_all(here)
        await here.work()
        last = log.transactions[-1]
        chain.moved[last.signature] = last.slot + 9
        chain.finalized_slot = last.slot + 20
        assert await here.indexer.follow_finality() == (len(log.transactions) - 1, 1)
        await here.work()
        assert await here.value("SELECT slot FROM transactions WHERE signature = ?", last.signature) == last.slot + 9
        assert await here.dump() != {}
        assert await here.indexer.follow_finality() == (1, 0)


async def test_a_retracted_config_is_read_again(tmp_path: Path) -> None:
    log = ChainLog().start()
    chain = ScriptedChain(log)
    async with node(tmp_path, chain) as here:
        await accept_all(here)
        log.run("emergency_pause")
        await accept_all(here)
        await here.work()
        assert (await here.store.read(markets.find_config)).is_paused  # type: ignore[union-attr]
        log.transactions.pop()
        chain.finalized_slot = log.slot
        await here.indexer.follow_finality()
        assert not (await here.store.read(markets.find_config)).is_paused  # type: ignore[union-attr]


async def test_what_only_a_delivery_told_is_compared_with_the_chain_before_it_is_final(tmp_path: Path) -> None:
    log = life()
    chain = ScriptedChain(log)
    async with node(tmp_path, chain) as here:
        await accept_all(here, payload=True)
        await here.work()
        assert chain.asked["get_transaction"] == 0
        chain.finalized_slot = log.slot
        chain.failures["get_transaction"] = [RpcUnavailable()]
        assert await here.indexer.follow_finality() == (len(log.transactions) - 1, 0)
        assert await here.indexer.follow_finality() == (1, 0)
        assert await here.value("SELECT count(*) FROM transactions WHERE checked = 0") == 0


async def test_a_delivery_that_lies_is_corrected(tmp_path: Path) -> None:
    log, market_id = active_market()
    log.buy(market_id, ALICE)
    truth = log.transactions[-1]
    event = models.SharesBought(market_id, ALICE, True, 10**15, 11, 1, 1_700_000_500)
    lie = truth._replace(logs=logs_of([CODEC.encode_event(event)]))
    chain = ScriptedChain(log)
    async with node(tmp_path, chain) as here:
        await here.indexer.accept(deliveries([*log.transactions[:-1], lie], payload=True), "webhook")
        await here.work()
        assert await here.value("SELECT CAST(shares AS INTEGER) FROM trades") == 10**15
        chain.finalized_slot = log.slot
        await here.indexer.follow_finality()
        await here.work()
        record = await here.store.read(lambda tx: markets.find_record(tx, market_id))
        assert record is not None
        assert markets.account_of(record, log.market(market_id).bump) == log.market(market_id)
        held = log.positions(market_id)[ALICE]
        assert await here.value("SELECT CAST(shares_yes AS INTEGER) FROM positions") == held.shares_yes
        await here.indexer.follow_finality()
        assert await here.value("SELECT count(*) FROM transactions WHERE finality = 1") == 0


async def test_a_node_that_lags_does_not_undo_anything(tmp_path: Path) -> None:
    """It answers no status for what another node still has."""
    log = life()
    chain = ScriptedChain(log)
    async with node(tmp_path, chain) as here:
        await accept_all(here)
        await here.work()
        chain.finalized_slot = log.slot

        async def none_of_them(signatures: list[bytes], search_history: bool = False) -> list[SignatureStatus | None]:
            return [None] * len(signatures)

        statuses, chain.get_signature_statuses = chain.get_signature_statuses, none_of_them  # type: ignore[method-assign]
        assert await here.indexer.follow_finality() == (0, 0)
        chain.get_signature_statuses = statuses  # type: ignore[method-assign]
        assert (await here.indexer.follow_finality())[0] == len(log.transactions)
        assert await here.dump() != {}


@pytest.mark.parametrize("deep", [True, False])
async def test_only_the_devnet_takes_back_what_is_final(tmp_path: Path, deep: bool) -> None:
    log = life()
    chain = ScriptedChain(log, finalized_slot=10**6)
    async with node(tmp_path, chain, deep_forks=deep) as here:
        await accept_all(here)
        await here.work()
        await here.indexer.follow_finality()
        kept = log.transactions[:6]
        number = len(log.transactions) - 6
        del log.transactions[6:]
        assert await here.indexer.retract_reverted() == (number if deep else 0)
        if deep:
            expected = in_order(kept).dump()
            found = await here.dump()
            assert {name: found[name] for name in found if name != "transactions"} == {
                name: expected[name] for name in expected if name != "transactions"
            }
