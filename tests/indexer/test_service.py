"""The indexer as a whole: deliveries are kept until indexed or given up, finality and accounts are followed."""

import asyncio
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from tests.indexer.chain_log import ChainLog, Walk, data_line, logs_of, signature_of, whole_life
from tests.indexer.projection import CODEC, in_order
from tests.indexer.scripted_chain import Node, ScriptedChain, node, running, webhook_item
from tests.localnet.program_harness import ALICE, BACKEND, BOB, PROGRAM_ID
from zmart_lite import models
from zmart_lite.chain.answers import SignatureStatus
from zmart_lite.errors import RpcRefused, RpcUnavailable, UndecodableData
from zmart_lite.indexer import finality, service
from zmart_lite.indexer.service import RETRY_S_MAX, UNAVAILABLE_RETRY_S
from zmart_lite.models import ChainTransaction
from zmart_lite.ops.rates import total_of
from zmart_lite.store import chainlog, markets
from zmart_lite.store.chainlog import Delivery


def life() -> ChainLog:
    log = ChainLog().start()
    whole_life(log)
    return log


def deliveries(transactions: list[ChainTransaction], *, payload: bool = False) -> list[Delivery]:
    return [Delivery(each.signature, each.slot, webhook_item(each) if payload else None) for each in transactions]


async def accept_all(here: Node, *, payload: bool = False) -> None:
    await here.indexer.accept(deliveries(here.chain.log.transactions, payload=payload), "webhook")


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


# Finality


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

    async def refused(signature: bytes, *args: Any) -> ChainTransaction | None:
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
        for _ in range(4):
            await here.indexer.follow_finality()
        assert await here.value(left) == 0


async def test_what_vanished_is_retracted_and_told(tmp_path: Path) -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
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
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
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


# Accounts


async def test_a_marked_market_is_read_and_folded_from_its_account(tmp_path: Path) -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
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
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
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
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
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
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
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
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
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
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
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
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
    log.buy(market_id, ALICE)
    async with node(tmp_path, ScriptedChain(log)) as here:
        await here.indexer.accept(deliveries(log.transactions[1:]), "webhook")
        await here.work()
        assert await here.store.read(markets.find_config) == log.config
        record = await here.store.read(lambda tx: markets.find_record(tx, market_id))
        assert record is not None
        assert markets.account_of(record, log.market(market_id).bump) == log.market(market_id)


async def test_another_account_at_the_configs_address_is_refused(tmp_path: Path) -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.devnet.accounts[CODEC.config_address()].data = log.devnet.accounts[CODEC.market_address(market_id)].data
    async with node(tmp_path, ScriptedChain(log)) as here:
        with pytest.raises(UndecodableData):
            await here.indexer.read_config()


# Dead letters


async def test_a_dead_letter_can_be_tried_again(tmp_path: Path) -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
    log.buy(market_id, ALICE)
    whole = log.transactions[-1]
    chain = ScriptedChain(log)
    async with node(tmp_path, chain, attempts_max=1) as here:
        log.transactions[-1] = whole._replace(logs=(*logs_of([b"garbage."])[:1], data_line(b"x"), "Log truncated"))
        await accept_all(here)
        await here.work()
        ids = await here.store.read(
            lambda tx: tx.all("SELECT id FROM dead_letters WHERE resolved_ms IS NULL ORDER BY id")
        )
        assert len(ids) == 2
        assert await here.indexer.letters.retry(ids[0]["id"]) is None
        assert await here.indexer.letters.retry(99) is None
        assert await here.value("SELECT attempts FROM dead_letters WHERE id = ?", ids[0]["id"]) == 2
        log.transactions[-1] = whole
        assert await here.indexer.letters.retry(ids[0]["id"]) == 1
        assert await here.store.read(chainlog.count_dead_letters) == 0
        assert await here.alerts() == []
        assert await here.value("SELECT count(*) FROM trades") == 1


async def test_a_transaction_the_chain_dropped_leaves_no_dead_letter(tmp_path: Path) -> None:
    log = ChainLog().start()
    log.create(1)
    log.transactions[-1] = log.transactions[-1]._replace(logs=("Log truncated",))
    chain = ScriptedChain(log)
    async with node(tmp_path, chain) as here:
        await accept_all(here)
        await here.work()
        assert await here.store.read(chainlog.count_dead_letters) == 1
        log.transactions.pop()
        chain.finalized_slot = log.slot
        await here.indexer.follow_finality()
        assert await here.store.read(chainlog.count_dead_letters) == 0
        assert await here.store.read(lambda tx: chainlog.find_cursor(tx, PROGRAM_ID)) is None
