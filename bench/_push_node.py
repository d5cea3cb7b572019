"""The node that bench.push listens to: a whole one in a process of its own, without a cluster, and beside it in the
same event loop the plain way to do it: a Starlette application on uvicorn's own WebSocket protocol that awaits a send
for each client.

Takes commands as lines of JSON on its standard input, answers each with one line, and ends when the input does.
"""

import asyncio
import json
import os
import random
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from solders.keypair import Keypair
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bench.backfill import History, protocol_config
from zmart_lite.api.identity.auth import Tokens
from zmart_lite.api.routes.webhook import SOURCE, sort_items
from zmart_lite.app import Node
from zmart_lite.app.server import EmbeddedServer, bind, serve
from zmart_lite.cli.serving import relax_collector
from zmart_lite.config import Config, Limits, Secret
from zmart_lite.jobs import Keys
from zmart_lite.models import FeedMessage
from zmart_lite.push.frames import envelope_of
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.state import markets

CLIENTS_MAX = 12_000
NEVER = 10**9
VOTERS = 500
EVENTS_PER_MARKET = 4
TRADED_MARKETS, PROPOSALS = 20, 20
SLOT = 1_000_000
HISTORY_BEGAN_S = 86_400
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SECRET = "a-webhook-secret-of-thirty-two-bytes"
TRADE = {
    "id": "1001:0",
    "market_id": "5f" * 32,
    "trader": "7h3gXfBfYFueFVLYyfL5Qo1QGsf4GQUfW96FKVgnUsJS",
    "outcome": "YES",
    "side": "buy",
    "shares": "2000000000",
    "cost": "1100000000",
    "priceYes": "0.512497396",
    "priceNo": "0.487502604",
    "tx_signature": "5" * 88,
    "slot": SLOT,
    "timestamp": "2026-01-02T03:04:05.678Z",
}
"""About as long as the messages of the feed are."""


def settings(folder: Path) -> Config:
    config = Config()
    return replace(
        config,
        server=replace(
            config.server, port=0, ws_port=0, connections_max=CLIENTS_MAX, connections_per_address=CLIENTS_MAX
        ),
        chain=replace(config.chain, cluster="devnet", rpc_url=Secret("http://127.0.0.1:9")),
        helius=replace(config.helius, webhook_secret=Secret(SECRET)),
        store=replace(config.store, dir=str(folder), cache_mb=8, writer_cache_mb=8),
        auth=replace(config.auth, jwt_secret=Secret("s" * 40)),
        limits=replace(config.limits, **dict.fromkeys(Limits.__dataclass_fields__, NEVER)),
        push=replace(config.push, connections_max=CLIENTS_MAX, connections_per_address=CLIENTS_MAX),
    )


class PlainLoop:
    """The baseline: every message is encoded, sent and awaited for each client."""

    def __init__(self) -> None:
        self.clients: set[WebSocket] = set()
        self.app = Starlette(routes=[WebSocketRoute("/", self._endpoint)])

    async def _endpoint(self, websocket: WebSocket) -> None:
        await websocket.accept()
        self.clients.add(websocket)
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            self.clients.discard(websocket)

    async def send(self, texts: list[str]) -> None:
        for text in texts:
            for client in list(self.clients):
                await client.send_text(text)


class BenchNode:
    """The node, the baseline, and what the measurement asks of them."""

    def __init__(self, folder: Path) -> None:
        self.node = Node(settings(folder), Keys(None, None))
        self.plain = PlainLoop()
        self._handed_out = (0.0, 0.0)

    async def run(self) -> None:
        await self.node.start()
        self.node.store.on_commit = self._publish
        listening = bind("127.0.0.1", 0, "server.port")
        server = EmbeddedServer(uvicorn.Config(self.plain.app, log_config=None, lifespan="off", backlog=2_048))
        task = await serve(server, [listening])
        told = await self._prepare(listening.getsockname()[1])
        relax_collector()  # as `serve` does
        _say(told)
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            _say(await self._obey(json.loads(line)))
        server.should_exit = True
        await self.node.stop()
        await task

    async def _obey(self, command: dict[str, Any]) -> dict[str, Any]:
        count = command.get("count", 0)
        match command["do"]:
            case "publish":
                await self.node.store.write(lambda tx: _publish_trades(tx, count))
            case "loop":
                message = FeedMessage(SLOT, "trade", None, None, True, False, 0, json.dumps(TRADE))
                self._note()
                await self.plain.send([envelope_of(message).payload.decode()] * count)
        began_at, began_cpu_s = self._handed_out
        return {"began_at": began_at, "began_cpu_s": began_cpu_s, "cpu_s": time.process_time(), "bytes": _resident()}

    def _publish(self, messages: list[FeedMessage]) -> None:
        self._note()
        self.node.hub.publish(messages)

    def _note(self) -> None:
        self._handed_out = (time.perf_counter(), time.process_time())

    async def _prepare(self, plain_port: int) -> dict[str, Any]:
        """Markets to trade in, proposals to vote on, and what is needed for both."""
        self.node.clock.observe(SLOT, int(time.time()))
        began_s = int(time.time()) - HISTORY_BEGAN_S
        codec = self.node.codec
        history = History(codec, random.Random(1), began_s, markets=TRADED_MARKETS)
        others = History(codec, random.Random(2), began_s, markets=PROPOSALS)
        payloads = [history.next() for _ in range(EVENTS_PER_MARKET * TRADED_MARKETS)]
        payloads += [others.next() for _ in range(EVENTS_PER_MARKET * PROPOSALS)][::EVENTS_PER_MARKET]
        config = protocol_config()
        await self.node.store.write(lambda tx: markets.add_config(tx, config, slot=0, index_in_block=0, event_id=None))
        await self._index(payloads)
        now_s, tokens = int(time.time()), Tokens(b"s" * 40, self.node.config.auth)
        wallets = [bytes(Keypair.from_seed(number.to_bytes(32)).pubkey()) for number in range(VOTERS)]
        return {
            "port": self.node.port,
            "plain_port": plain_port,
            "secret": SECRET,
            "tokens": [tokens.issue(wallet, now_s)[0] for wallet in wallets],
            "proposals": [market_id.hex() for market_id in others.market_ids],
            "trades": [history.next().decode() for _ in range(VOTERS)],
        }

    async def _index(self, payloads: list[bytes]) -> None:
        received = sort_items(b"[" + b",".join(payloads) + b"]", self.node.codec.program_id)
        await self.node.indexer.accept(received.deliveries, SOURCE)
        await self.node.indexer.wait_idle()


def _publish_trades(tx: Tx, count: int) -> None:
    for _ in range(count):
        tx.publish("trade", TRADE)


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def _resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(BenchNode(Path(sys.argv[1])).run())
