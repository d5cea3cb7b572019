"""The indexer as a whole: deliveries are kept until they are indexed or given up."""

import asyncio
from pathlib import Path

import pytest

from tests.gate import Gate
from tests.indexer.chain_log import ChainLog, Walk, signature_of
from tests.indexer.projection import in_order
from tests.indexer.scripted_chain import ScriptedChain, accept_all, deliveries, life, node, running, webhook_item
from zmart_lite.errors import RpcRefused, RpcUnavailable, UndecodableData
from zmart_lite.indexer import apply, service
from zmart_lite.indexer.service import RETRY_S_MAX, UNAVAILABLE_RETRY_S
from zmart_lite.ops.rates import total_of
from zmart_lite.store.log import chainlog
from zmart_lite.store.log.chainlog import Delivery
from zmart_lite.store.state import markets

# Deliveries


@pytest.mark.parametrize("payload", [True, False])
async def test_deliveries_are_indexed_with_or_without_their_contents(tmp_path: Path, payload: bool) -> None:
    chain = ScriptedChain(life())
    async with node(tmp_path, chain) as here:
        await accept_all(here, payload=payload)
        await here.work()
        assert await here.dump() == in_order(chain.log.transactions).dump()
        assert chain.asked["get_transaction"] == (0 if payload else len(chain.log.transactions))
        assert await here.store.read(chainlog.inbox_length) == 0


async def test_what_was_accepted_is_there_after_a_restart(tmp_path: Path) -> None:
    chain = ScriptedChain(life())
    async with node(tmp_path, chain) as here:
        assert await here.indexer.accept(deliveries(chain.log.transactions), "webhook") == (
            len(chain.log.transactions),
            0,
        )
    async with node(tmp_path, chain) as here:
        assert await here.indexer.accept(deliveries(chain.log.transactions), "webhook") == (
            0,
            len(chain.log.transactions),
        )
        await here.work()
        assert await here.dump() == in_order(chain.log.transactions).dump()


@pytest.mark.parametrize("seed", range(3))
async def test_small_batches_and_restarts_change_nothing(tmp_path: Path, seed: int) -> None:
    chain = ScriptedChain(Walk(seed, 2).walk(40), tells_places=False)
    for number, transaction in enumerate(reversed(chain.log.transactions)):
        async with node(tmp_path, chain, batch_size=3) as here:
            await here.indexer.accept(deliveries([transaction]), "webhook")
            if number % 7 == 0:
                await here.indexer.index_inbox()
    async with node(tmp_path, chain, batch_size=3) as here:
        await here.work()
        for market_id in chain.log.market_ids:
            if chain.log.exists(market_id):
                record = await here.store.read(lambda tx, of=market_id: markets.find_record(tx, of))
                truth = chain.log.market(market_id)
                assert markets.account_of(record, truth.bump) == truth


async def test_others_do_not_wait_for_a_whole_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "PART", 2)
    log, gate = life(), Gate()
    async with node(tmp_path, ScriptedChain(log)) as here:
        holding = await gate.close(here.store)
        loop = asyncio.get_running_loop()
        indexing = loop.create_task(here.indexer.writer.apply([(each, "poll") for each in log.transactions]))
        await asyncio.sleep(0)
        other = loop.create_task(here.store.write(lambda tx: tx.value("SELECT count(*) FROM transactions")))
        await asyncio.sleep(0)
        gate.go.set()
        await holding
        assert await other == apply.PART
        applied = await indexing
        assert (applied.transactions, applied.left) == (len(log.transactions), ())
        assert len(applied.events) == len(log.transactions)
        assert await here.dump() == in_order(log.transactions).dump()


async def test_a_batch_is_bounded_by_the_size_of_its_payloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PAYLOADS_BYTES_MAX", 1)
    async with node(tmp_path, ScriptedChain(life())) as here:
        await accept_all(here, payload=True)
        assert await here.indexer.index_inbox() == 1
        await here.work()
        assert await here.dump() == in_order(here.chain.log.transactions).dump()


@pytest.mark.parametrize("payload", [b"", b"[]", b"nonsense", b'{"signature": "x"}', b"[{}, {}]"])
async def test_contents_that_cannot_be_used_are_fetched_instead(tmp_path: Path, payload: bytes) -> None:
    log = ChainLog().start()
    async with node(tmp_path, ScriptedChain(log)) as here:
        await here.indexer.accept([Delivery(log.transactions[0].signature, None, payload)], "webhook")
        await here.work()
        assert await here.dump() == in_order(log.transactions).dump()


async def test_contents_of_another_transaction_are_not_taken(tmp_path: Path) -> None:
    log = ChainLog().start()
    log.create(1)
    first, second = log.transactions
    async with node(tmp_path, ScriptedChain(log)) as here:
        await here.indexer.accept([Delivery(first.signature, None, webhook_item(second))], "webhook")
        await here.work()
        assert await here.dump() == in_order([first]).dump()


async def test_contents_with_truncated_logs_are_fetched_and_used_only_for_want_of_better(tmp_path: Path) -> None:
    log = ChainLog().start()
    log.create(1)
    cut = [each._replace(logs=(*(each.logs or ()), "Log truncated")) for each in log.transactions]
    chain = ScriptedChain(log, hidden={log.transactions[1].signature})
    async with node(tmp_path, chain, attempts_max=1) as here:
        await here.indexer.accept(deliveries(cut, payload=True), "webhook")
        await here.work()
        complete = "SELECT complete FROM transactions WHERE signature = ?"
        assert [await here.value(complete, each.signature) for each in log.transactions] == [1, 0]
        assert await here.alerts() == ["event_undecodable"]


# Hints


async def test_a_hint_has_its_transaction_fetched_and_an_invented_one_is_forgotten(tmp_path: Path) -> None:
    log = life()
    async with node(tmp_path, ScriptedChain(log), attempts_max=2) as here:
        for transaction in log.transactions:
            await here.indexer.hint(transaction.signature, transaction.slot)
        await here.indexer.hint(signature_of(99_999), 5)
        for _ in range(3):
            await here.work()
            here.times.ms += 60_000
        assert await here.store.read(chainlog.inbox_length) == 0
        assert await here.store.read(chainlog.count_dead_letters) == 0
        assert await here.alerts() == []
        assert (await here.dump())["events"] == in_order(log.transactions).dump()["events"]
        assert await here.value("SELECT count(DISTINCT source) FROM transactions WHERE source = 'logs'") == 1


async def test_with_many_waiting_no_hint_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "HINTS_WAITING_MAX", 2)
    async with node(tmp_path, ScriptedChain(ChainLog().start())) as here:
        for number in range(5):
            await here.indexer.hint(signature_of(number), 5)
        assert await here.store.read(chainlog.inbox_length) == 2


async def test_what_came_by_a_hint_and_no_webhook_counts_as_missed(tmp_path: Path) -> None:
    log = life()
    chain = ScriptedChain(log)
    async with node(tmp_path, chain) as here:
        _, *rest = log.transactions
        log.transactions[1:] = []
        await here.indexer.poll()
        log.transactions += rest
        for transaction in rest:
            await here.indexer.hint(transaction.signature, transaction.slot)
        await here.indexer.accept(deliveries(rest[:2], payload=True), "webhook")
        await here.work()
        await here.indexer.accept(deliveries(rest[2:4], payload=True), "webhook")
        log.slot += service.WEBHOOK_SLOTS
        log.run("emergency_pause")
        await here.indexer.poll()
        await here.work()
        missed = total_of(here.indexer._metrics.missed_events_total, lambda _: True)
        assert missed == len(rest) - 4


# Trying again


async def test_what_the_cluster_does_not_know_yet_is_tried_again_later_and_then_given_up(tmp_path: Path) -> None:
    log = ChainLog().start()
    (transaction,) = log.transactions
    chain = ScriptedChain(log, hidden={transaction.signature})
    async with node(tmp_path, chain, attempts_max=4, retry_delay_s=1) as here:
        await accept_all(here)
        for wait_ms in (1_000, 2_000, 4_000):
            await here.work()
            assert await here.store.read(chainlog.next_inbox_try_ms) == here.times.ms + wait_ms
            here.times.ms += wait_ms - 1
            await here.work()
            here.times.ms += 1
        assert chain.asked["get_transaction"] == 3
        await here.work()
        assert await here.store.read(chainlog.inbox_length) == 0
        assert await here.store.read(chainlog.count_dead_letters) == 1
        assert await here.alerts() == ["event_undecodable"]
        chain.hidden.clear()
        await accept_all(here)
        await here.work()
        assert await here.store.read(chainlog.count_dead_letters) == 0
        assert await here.alerts() == []
        assert await here.dump() == in_order(log.transactions).dump()


async def test_the_pause_between_attempts_is_bounded(tmp_path: Path) -> None:
    log = ChainLog().start()
    chain = ScriptedChain(log, hidden={log.transactions[0].signature})
    async with node(tmp_path, chain, attempts_max=20, retry_delay_s=7) as here:
        await accept_all(here)
        for _ in range(10):
            await here.work()
            here.times.ms += RETRY_S_MAX * 1_000
        assert chain.asked["get_transaction"] == 10


async def test_a_cluster_that_cannot_be_asked_costs_no_attempts(tmp_path: Path) -> None:
    log = ChainLog().start()
    chain = ScriptedChain(log, failures={"get_transaction": [RpcUnavailable() for _ in range(30)]})
    async with node(tmp_path, chain, attempts_max=1) as here:
        await accept_all(here)
        for _ in range(30):
            await here.work()
            here.times.ms += UNAVAILABLE_RETRY_S * 1_000
        await here.work()
        assert await here.dump() == in_order(log.transactions).dump()


@pytest.mark.parametrize(("failure", "attempts"), [(RpcRefused("no"), 2), (UndecodableData("no"), 1)])
async def test_refusals_count_and_nonsense_ends_at_once(tmp_path: Path, failure: Exception, attempts: int) -> None:
    log = ChainLog().start()
    chain = ScriptedChain(log, failures={"get_transaction": [failure] * 5})
    async with node(tmp_path, chain, attempts_max=2) as here:
        await accept_all(here)
        for _ in range(5):
            await here.work()
            here.times.ms += 60_000
        assert chain.asked["get_transaction"] == attempts
        assert await here.store.read(chainlog.count_dead_letters) == 1


async def test_one_bad_delivery_does_not_hold_the_others(tmp_path: Path) -> None:
    log = life()
    chain = ScriptedChain(log, hidden={log.transactions[3].signature})
    async with node(tmp_path, chain, batch_size=2) as here:
        await accept_all(here)
        while await here.store.read(chainlog.next_inbox_try_ms) == 0:
            await here.indexer.index_inbox()
        assert await here.store.read(chainlog.inbox_length) == 1
        assert await here.value("SELECT count(*) FROM transactions") == len(log.transactions) - 1


def test_a_batch_ends_before_it_would_have_more_to_fetch_than_is_allowed() -> None:
    fetched, held = {"payload": None}, {"payload": b"{}"}
    most = [held, *[fetched] * service.FETCHED_PER_BATCH, held, held]
    assert service._cut(most) == most
    assert service._cut([*most, fetched, held]) == most
    assert service._cut([held] * 3) == [held] * 3


async def test_a_transaction_that_cannot_be_applied_is_put_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    """A time that no table takes stands for what nobody thought of."""
    log = life()
    poison = log.transactions[4]._replace(block_time=2**63, signature=signature_of(777), logs=())
    async with node(tmp_path, ScriptedChain(log)) as here:
        batch = [(each, "poll") for each in (*log.transactions, poison)]
        await here.indexer._apply(batch)
        letters = "SELECT kind FROM dead_letters WHERE signature = ?"
        assert await here.value(letters, poison.signature) == "transaction"
        assert await here.dump() == in_order(log.transactions).dump()
        assert await here.alerts() == ["event_undecodable"]


# The task


async def test_the_task_works_off_what_arrives(tmp_path: Path) -> None:
    chain = ScriptedChain(life())
    async with node(tmp_path, chain, batch_size=2) as here, running(here.indexer):
        for transaction in chain.log.transactions:
            await here.indexer.accept(deliveries([transaction]), "webhook")
        async with asyncio.timeout(20):
            await here.indexer.wait_idle()
        assert await here.dump() == in_order(chain.log.transactions).dump()


async def test_the_task_survives_an_unreachable_cluster(tmp_path: Path) -> None:
    log = life()
    chain = ScriptedChain(log, failures={"get_account": [RpcUnavailable()], "get_transaction": [RpcUnavailable()]})
    async with node(tmp_path, chain) as here, running(here.indexer):
        await here.indexer.accept(deliveries(log.transactions[1:]), "webhook")
        async with asyncio.timeout(20):
            await here.indexer.wait_idle()
        here.times.ms += 60_000
        here.indexer.wake()
        async with asyncio.timeout(20):
            await here.indexer.wait_idle()
        assert await here.store.read(chainlog.inbox_length) == 0


async def test_a_signature_can_be_indexed_at_once(tmp_path: Path) -> None:
    log = ChainLog().start()
    (transaction,) = log.transactions
    chain = ScriptedChain(log, hidden={transaction.signature})
    async with node(tmp_path, chain) as here:
        assert not await here.indexer.index_signature(transaction.signature)
        chain.hidden.clear()
        for _ in range(2):
            assert await here.indexer.index_signature(transaction.signature)
        assert await here.value("SELECT source FROM transactions") == "relay"


async def test_polling_fills_the_inbox_and_asks_for_orders_that_nobody_told(tmp_path: Path) -> None:
    chain = ScriptedChain(Walk(2, 2).walk(60), tells_places=False)
    chain.failures["get_block_signatures"] = [RpcUnavailable() for _ in range(500)]
    async with node(tmp_path, chain, poll_overlap_slots=10_000) as here:
        await here.indexer.poll()
        await here.work()
        assert await here.value("SELECT count(index_in_block) FROM transactions") == 0
        chain.failures.clear()
        await here.indexer.poll()
        expected = in_order([each for each in chain.log.transactions if not each.failed])
        for row in expected.tx.all("SELECT * FROM markets WHERE known = 1"):
            found = await here.value("SELECT total_volume FROM markets WHERE market_id = ?", row["market_id"])
            assert found == row["total_volume"]
