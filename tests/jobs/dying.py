"""Processes that aggregate a market's votes and are killed, as by ``kill -9``, right before their n-th step.

A step is a call of the database or of the cluster. Orders come as lines of JSON, one process each, forked from this
one, which has everything imported. The answer is the process's exit status; one that comes to its end writes a report.
A process that finds what an earlier one left recovers as the node does.
"""

import asyncio
import inspect
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NamedTuple

from solders.keypair import Keypair

from tests.jobs.devnet import NOW_S, PROGRAM_ID
from tests.store.voting import add_vote
from zmart_lite.chain.rpc import Rpc
from zmart_lite.chain.tx import FeePolicy
from zmart_lite.codec import Codec
from zmart_lite.config import Config
from zmart_lite.indexer import Indexer
from zmart_lite.indexer.service import IndexerOptions
from zmart_lite.jobs import Actions, Keys
from zmart_lite.jobs.votes import Aggregator, VoteOptions
from zmart_lite.models import VoteType
from zmart_lite.ops import ChainClock, Metrics
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.state import markets, votes
from zmart_lite.store.views.rows import RowSettings

VOTERS = 10


class Order(NamedTuple):
    """``created``: the transaction, in hex, that created the market. ``deadly``: the step that is not taken, if it is
    ever reached.
    """

    folder: str
    rpc_url: str
    backend: str
    admin: str
    market_id: str
    created: str
    deadly: int
    report: str


class Steps:
    """Counts steps, and ends the process before the one it was told."""

    def __init__(self, deadly: int) -> None:
        self._deadly = deadly
        self.taken = 0

    def step(self) -> None:
        if self.taken == self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        self.taken += 1

    def watch(self, part: Any) -> Any:
        return _Watched(self, part)


class _Watched:
    def __init__(self, steps: Steps, part: Any) -> None:
        self._steps, self._part = steps, part

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._part, name)
        if not inspect.iscoroutinefunction(call):
            return call

        async def counted(*args: Any, **kwargs: Any) -> Any:
            self._steps.step()
            return await call(*args, **kwargs)

        return counted


async def _no_pause(_: float) -> None:
    await asyncio.sleep(0)


def _vote(tx: Tx, market_id: bytes) -> None:
    """Everybody's vote for the market, unless they have voted already."""
    record = markets.find_record(tx, market_id)
    assert record is not None
    if votes.find_tally(tx, record["id"], VoteType.PROPOSAL).total == 0:
        for number in range(VOTERS):
            wallet = markets.wallet_key(tx, bytes([number + 1]) * 32)
            add_vote(tx, record["id"], wallet, VoteType.PROPOSAL, True)


async def aggregate(order: Order) -> dict[str, Any]:
    codec, steps = Codec(PROGRAM_ID), Steps(order.deadly)
    store = await Store(Path(order.folder) / "zmart.db").open()
    async with Rpc([order.rpc_url], sleep=_no_pause) as real:
        rpc, watched = steps.watch(real), steps.watch(store)
        context = FeedContext(RowSettings.of(Config(), codec), lambda: NOW_S)
        indexer = Indexer(store, codec, real, ChainClock(), Metrics(), lambda: context, IndexerOptions())
        await indexer.read_config()
        await indexer.index_signature(bytes.fromhex(order.created))
        await store.write(lambda tx: _vote(tx, bytes.fromhex(order.market_id)))
        keys = Keys(Keypair.from_base58_string(order.backend), Keypair.from_base58_string(order.admin))
        actions = Actions(watched, codec, rpc, keys, Metrics(), FeePolicy(fixed=0), indexer.index_signature)
        options = VoteOptions(VOTERS, 86_400)
        aggregator = Aggregator(watched, actions, markets.find_config, lambda: NOW_S, options)
        await aggregator.run({"market_id": bytes.fromhex(order.market_id)})
        rows = await store.read(lambda tx: tx.all("SELECT action, status FROM intents ORDER BY id"))
    await store.close()
    return {"steps": steps.taken, "intents": [list(row) for row in rows]}


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            order = Order(*json.loads(line))
            Path(order.report).write_text(json.dumps(asyncio.run(aggregate(order))))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
