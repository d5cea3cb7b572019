"""A node killed with SIGKILL in the middle of indexing: what it had accepted is processed after the restart."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from zmart_lite.localnet import Localnet, LocalnetOptions
from zmart_lite.localnet.helius_payloads import raw_item
from zmart_lite.localnet.records import LandedTransaction
from zmart_lite.simulation.chain import SimulatedChain
from zmart_lite.simulation.run import GENESIS_S, PROGRAM_ID
from zmart_lite.store.engine.db import Store

pytestmark = pytest.mark.simulation

WORKER = """
import asyncio, json, sys
from pathlib import Path
from zmart_lite.chain.rpc import RetryPolicy, Rpc
from zmart_lite.codec import Codec
from zmart_lite.config import Config
from zmart_lite.api.routes.webhook import keep, sort_items
from zmart_lite.indexer.service import Indexer, IndexerOptions
from zmart_lite.ops import ChainClock, Metrics
from zmart_lite.store.log import chainlog
from zmart_lite.store.engine.db import Store
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.views.rows import RowSettings

async def main():
    folder, program, items = Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())
    codec, store = Codec(program), await Store(folder / "zmart.db").open()
    rows = RowSettings.of(Config(), codec)
    rpc = Rpc(["http://127.0.0.1:9"], RetryPolicy(timeout_s=0.1, attempts_max=1))
    clock = ChainClock()
    clock.observe(10**6, 1)
    indexer = Indexer(store, codec, rpc, clock, Metrics(), lambda: FeedContext(rows, lambda: 1),
                      IndexerOptions(batch_size=2))
    for item in items:
        await store.write(lambda tx: keep(tx, sort_items(json.dumps([item]).encode(), program)))
    print("accepted", flush=True)
    while True:
        await indexer.index_inbox()
        left = await store.read(chainlog.inbox_length)
        print(left, flush=True)
        if not left and "--to-end" in sys.argv:
            break
    await rpc.close()
    await store.close()

asyncio.run(main())
"""


def worker(folder: Path, items: Path, *more: str) -> list[str]:
    return [sys.executable, "-c", WORKER, str(folder), PROGRAM_ID.hex(), str(items), *more]


async def live() -> list[LandedTransaction]:
    """The program's transactions of some lifecycles."""
    async with Localnet(LocalnetOptions(PROGRAM_ID, rpc_port=0, slot_ms=0, genesis_time=GENESIS_S)) as localnet:
        chain = SimulatedChain(localnet, Random(7))
        for _ in range(30):
            chain.step()
        return [each for each in chain.history() if PROGRAM_ID in each.account_keys]


async def known_signatures(path: Path) -> set[bytes]:
    store = await Store(path).open()
    try:
        return await store.read(lambda tx: {row["signature"] for row in tx.all("SELECT signature FROM transactions")})
    finally:
        await store.close()


def test_what_was_accepted_survives_a_kill(tmp_path: Path) -> None:
    landed = asyncio.run(live())
    items, empty = tmp_path / "items.json", tmp_path / "none.json"
    items.write_text(json.dumps([raw_item(each) for each in landed]))
    empty.write_text("[]")
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen(worker(tmp_path, items), stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "accepted\n"
        left = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    assert 0 < left < len(landed)
    again = worker(tmp_path, empty, "--to-end")
    done = subprocess.run(again, capture_output=True, text=True, env=environ, timeout=60, check=True)
    assert done.stdout.endswith("0\n")
    assert asyncio.run(known_signatures(tmp_path / "zmart.db")) == {each.signature for each in landed}
