"""Dead letters tried again: all of them in batches, each transaction once, contents without a signature read again."""

from pathlib import Path

import pytest
from solders.signature import Signature

from tests.indexer.chain_log import ChainLog, active_market, data_line, logs_of, signature_of, whole_life
from tests.indexer.projection import in_order
from tests.indexer.scripted_chain import Node, ScriptedChain, accept_all, node
from tests.localnet.program_harness import ALICE, PROGRAM_ID
from zmart_lite.errors import RpcRefused, RpcUnavailable
from zmart_lite.indexer import letters
from zmart_lite.indexer.letters import Retried
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.log.chainlog import Delivery
from zmart_lite.store.publishing import messages


async def keep(here: Node, kind: str, signature: bytes | None, payload: bytes = b"{}", index: int | None = None) -> int:
    def unit(tx: Tx) -> int:
        added = chainlog.add_dead_letter(tx, kind, "no", signature=signature, event_index=index, payload=payload)
        messages.publish_undecodable(tx, kind, signature, "no")
        assert added is not None
        return added

    return await here.store.write(unit)


async def test_an_upgrade_clears_every_letter_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be had, or only in part, is whole on chain by now; of one transaction there are many letters."""
    monkeypatch.setattr(letters, "BATCH", 4)
    log = ChainLog().start()
    whole_life(log)
    chain = ScriptedChain(log)
    steps = []
    async with node(tmp_path, chain) as here:
        last = log.transactions[-1]
        for number, each in enumerate(log.transactions):
            await keep(here, "delivery" if number % 2 else "transaction", each.signature)
        for index in range(9):
            await keep(here, "event", last.signature, index=index)
        total = len(log.transactions) + 9
        done = await here.indexer.letters.retry_all(lambda tried, of: steps.append((tried, of)))
        assert done == Retried(total, total)
        assert steps[-1] == (total, total)
        assert chain.asked["get_transaction"] == len(log.transactions)
        assert await here.dump() == in_order(log.transactions).dump() | {
            "transactions": (await here.dump())["transactions"]
        }
        assert await here.alerts() == []
        assert await here.indexer.letters.retry_all() == Retried(0, 0)


async def test_what_fails_again_stays_and_is_counted(tmp_path: Path) -> None:
    chain = ScriptedChain(ChainLog().start(), failures={"get_transaction": [RpcRefused("no")]})
    async with node(tmp_path, chain) as here:
        refused = await keep(here, "delivery", chain.log.transactions[0].signature)
        unknown = await keep(here, "delivery", signature_of(99))
        assert await here.indexer.letters.retry_all() == Retried(2, 0)
        for letter in (refused, unknown):
            assert await here.value("SELECT attempts FROM dead_letters WHERE id = ?", letter) == 2
        assert await here.indexer.letters.retry_all() == Retried(2, 1)
        assert await here.alerts() == ["event_undecodable"]


async def test_a_cluster_that_cannot_be_asked_ends_it_and_costs_no_attempt(tmp_path: Path) -> None:
    chain = ScriptedChain(ChainLog().start(), failures={"get_transaction": [RpcUnavailable()]})
    async with node(tmp_path, chain) as here:
        letter = await keep(here, "delivery", chain.log.transactions[0].signature)
        with pytest.raises(RpcUnavailable):
            await here.indexer.letters.retry_all()
        assert await here.value("SELECT attempts FROM dead_letters WHERE id = ?", letter) == 1


async def test_contents_in_which_a_signature_is_found_now_are_delivered(tmp_path: Path) -> None:
    log = ChainLog().start()
    (first,) = log.transactions
    item = b'{"signature": "%s"}' % str(Signature.from_bytes(first.signature)).encode()
    async with node(tmp_path, ScriptedChain(log)) as here:
        readable, useless = await keep(here, "delivery", None, item), await keep(here, "delivery", None, b"[")
        assert await here.indexer.letters.retry(useless) is None
        assert await here.indexer.letters.retry_all() == Retried(2, 1)
        assert await here.value("SELECT resolved_ms IS NULL FROM dead_letters WHERE id = ?", useless) == 1
        assert await here.value("SELECT resolved_ms IS NULL FROM dead_letters WHERE id = ?", readable) == 0
        await here.work()
        assert await here.dump() == in_order(log.transactions).dump()


async def test_a_node_that_ends_between_forgetting_and_applying_loses_nothing(tmp_path: Path) -> None:
    log = ChainLog().start()
    async with node(tmp_path, ScriptedChain(log)) as here:
        await here.indexer.accept([Delivery(log.transactions[0].signature, None, None)], "poll")
        await here.work()
        letter = await keep(here, "event", log.transactions[0].signature, index=0)

        async def killed(_: object) -> None:
            raise KeyboardInterrupt

        here.indexer.letters._apply = killed
        with pytest.raises(KeyboardInterrupt):
            await here.indexer.letters.retry(letter)
    async with node(tmp_path, ScriptedChain(log)) as here:
        await here.work()
        assert (await here.dump())["events"] == in_order(log.transactions).dump()["events"]
        assert await here.store.read(chainlog.count_dead_letters) == 0


# One by one


async def test_a_dead_letter_can_be_tried_again(tmp_path: Path) -> None:
    log, market_id = active_market()
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
