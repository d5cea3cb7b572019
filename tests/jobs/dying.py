"""A process that carries out one action and is killed, as by ``kill -9``, right before its n-th step.

A step is a call of the database or of the cluster. Arguments: folder of its database, RPC address, the backend key,
the market's id, n (a number that is never reached: not at all). Run again, it recovers as the node does.
"""

import asyncio
import inspect
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from solders.keypair import Keypair

from tests.jobs.devnet import PROGRAM_ID
from zmart_lite.chain.rpc import Rpc
from zmart_lite.chain.tx import FeePolicy
from zmart_lite.codec import Codec
from zmart_lite.config import Config
from zmart_lite.indexer import Indexer
from zmart_lite.indexer.service import IndexerOptions
from zmart_lite.jobs import Actions, Keys
from zmart_lite.ops import ChainClock, Metrics
from zmart_lite.store import markets
from zmart_lite.store.db import Store
from zmart_lite.store.messages import FeedContext
from zmart_lite.store.rows import RowSettings

ACTION = "aggregate_proposal_votes"
COUNTS = {"likes": 10, "dislikes": 1, "votes_until_ms": 0}


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


async def main(folder: str, rpc_url: str, key: str, market_id: str, deadly: str) -> None:
    codec, steps = Codec(PROGRAM_ID), Steps(int(deadly))
    store = await Store(Path(folder) / "zmart.db").open()
    async with Rpc([rpc_url], sleep=_no_pause) as real:
        rpc, watched = steps.watch(real), steps.watch(store)
        context = FeedContext(RowSettings.of(Config(), codec), lambda: 0)
        indexer = Indexer(store, codec, real, ChainClock(), Metrics(), lambda: context, IndexerOptions())
        await indexer.poll()
        while await indexer.index_inbox():
            pass
        keys = Keys(Keypair.from_base58_string(key), None)
        actions = Actions(watched, codec, rpc, keys, Metrics(), FeePolicy(fixed=0), indexer.index_signature)
        await actions.settle()
        record = await store.read(lambda tx: markets.find_record(tx, bytes.fromhex(market_id)))
        assert record is not None
        if (record["proposal_likes"], record["proposal_dislikes"]) != (COUNTS["likes"], COUNTS["dislikes"]):
            await actions.act(ACTION, market_id, COUNTS, market=record["id"])
        steps.step()
        rows = await store.read(lambda tx: tx.all("SELECT status FROM intents ORDER BY id"))
    await store.close()
    sys.stdout.write(json.dumps({"steps": steps.taken, "intents": [row["status"] for row in rows]}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
