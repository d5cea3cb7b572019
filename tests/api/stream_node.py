"""A node's live feed for tests: real store, Hub, API and uvicorn on a free port; time stands in the tests' hands."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from zmart_lite.api import create_app
from zmart_lite.api.context import ApiParts, JobHooks
from zmart_lite.api.contract.endpoints import Identity
from zmart_lite.api.http.wire import server_options
from zmart_lite.api.live.stored_feed import StoredFeed
from zmart_lite.api.live.streams import Streams
from zmart_lite.chain.rpc import Rpc
from zmart_lite.codec import Codec
from zmart_lite.config import Auth, Config, Push, Secret
from zmart_lite.models import MarketState
from zmart_lite.ops import Background, Breakers, ChainClock, Health, Metrics
from zmart_lite.push.hub import Hub
from zmart_lite.shown import address_text
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.state import markets
from zmart_lite.store.views.rows import RowSettings

PROGRAM = bytes([7]) * 32
ADMIN, ALICE, BOB = bytes([201]) * 32, bytes([202]) * 32, bytes([203]) * 32
SERVICE_KEY = "a-service-key-of-thirty-two-bytes"
START_MS = 1_767_323_045_678
Frame = dict[str, Any]


class Times:
    """Wall clock and monotonic clock, moved by the test."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def pass_s(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1_000)

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic_s(self) -> float:
        return self.now_ms / 1_000


class StoppingServer(uvicorn.Server):
    """Ends the streams before it waits for connections, as the node does."""

    hub: Hub
    stopping: asyncio.Event

    async def shutdown(self, sockets: Any = None) -> None:
        self.stopping.set()
        self.hub.close()
        await super().shutdown(sockets)


class StreamNode:
    """The running node, and what a test does to it."""

    def __init__(self, parts: ApiParts, times: Times, streams: Streams, server: StoppingServer) -> None:
        self.parts, self.times, self.streams, self.server = parts, times, streams, server
        self.store, self.hub = parts.store, parts.hub

    @property
    def port(self) -> int:
        return cast(int, self.server.servers[0].sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def websocket(self, path: str = "/ws", **options: Any) -> AsyncIterator["Client"]:
        """A client whose welcome has been read."""
        async with connect(f"ws://127.0.0.1:{self.port}{path}", compression=None, **options) as connection:
            client = Client(connection)
            client.welcome = await client.frame("welcome")
            yield client

    @asynccontextmanager
    async def sse(self, query: str = "", headers: dict[str, str] | None = None) -> AsyncIterator["Events"]:
        async with (
            httpx.AsyncClient(base_url=self.url, timeout=5) as http,
            http.stream("GET", f"/api/stream{query}", headers=headers or {}) as response,
        ):
            assert response.status_code == 200, await response.aread()
            yield Events(response)

    async def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url, timeout=5) as http:
            return await http.get(path, headers=headers or {})

    def bearer(self, wallet: bytes) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(wallet)}"}

    def token(self, wallet: bytes) -> str:
        return self.streams._auth.tokens.issue(wallet, self.times.now_ms // 1_000)[0]

    async def ticket(self, wallet: bytes) -> str:
        return (await self.streams._auth.make_ticket(await self.streams._auth.from_token(self.token(wallet))))[0]

    async def revoke(self, token: str) -> None:
        identity: Identity = await self.streams._auth.from_token(token)
        await self.streams._auth.revoke(identity)

    async def publish(self, type_: str, data: object = None, **options: Any) -> int:
        """Commit one message; its offset."""
        return await self.store.write(lambda tx: tx.publish(type_, {} if data is None else data, **options))

    async def publish_many(self, count: int, type_: str = "trade", filler: object = None, **options: Any) -> None:
        """Commit many messages at once."""

        def unit(tx: Tx) -> None:
            for number in range(count):
                tx.publish(type_, {"number": number, "filler": filler}, **options)

        await self.store.write(unit)

    async def add_market(self, number: int = 1, **fields: Any) -> bytes:
        """A known ACTIVE market; its id."""
        market_id, address = bytes([number]) * 32, bytes([100 + number]) * 32

        def unit(tx: Tx) -> None:
            record = markets.add_record(tx, market_id, address)
            given = {"known": 1, "state": int(MarketState.ACTIVE), "created_at": 1_767_000_000}
            given |= {"b_parameter": f"{10**11:020d}", "last_state_change_at": 1_767_000_000, **fields}
            marks = ", ".join(f"{name} = ?" for name in given)
            tx.execute(f"UPDATE markets SET {marks} WHERE id = ?", (*given.values(), record["id"]))

        await self.store.write(unit)
        return market_id

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop run until the condition holds; fails after five seconds."""
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - conditions of the server's own, which tell nobody
                await asyncio.sleep(0)


class Client:
    """A WebSocket client that talks in JSON objects."""

    welcome: Frame

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, action: str, **fields: Any) -> None:
        given = {"from" if name == "from_" else name: value for name, value in fields.items()}
        await self.connection.send(json.dumps({"action": action, **given}))

    async def next(self) -> Frame:
        async with asyncio.timeout(5):
            return cast(Frame, json.loads(await self.connection.recv(decode=True)))

    async def frame(self, type_: str) -> Frame:
        """The next frame, which has to be of this type."""
        found = await self.next()
        assert found["type"] == type_, found
        return found

    async def ask(self, action: str, **fields: Any) -> Frame:
        await self.send(action, **fields)
        return await self.next()

    async def quiet(self) -> None:
        """Assert that nothing has been sent before the answer to something that is always answered."""
        await self.send("nonsense")
        assert (await self.frame("error"))["data"]["error"] == "Unknown action: nonsense"

    async def close_code(self) -> int | None:
        """Wait for the connection's end."""
        async with asyncio.timeout(5):
            await self.connection.wait_closed()
        return self.connection.close_code


class Event(dict[str, str]):
    """One server-sent event: event, id, data, retry, comment, as far as it has them."""

    @property
    def envelope(self) -> Frame:
        return cast(Frame, json.loads(self["data"]))


class Events:
    """Parses an event stream strictly by its blocks."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.headers = response.headers
        self._lines = response.aiter_lines()

    async def next(self) -> Event:
        found = Event()
        async with asyncio.timeout(5):
            async for line in self._lines:
                if not line:
                    return found
                name, _, value = line.partition(":")
                found[name or "comment"] = value.removeprefix(" ")
        raise EOFError

    async def event(self, type_: str) -> Event:
        found = await self.next()
        assert found.get("event") == type_, found
        return found


def config_for_tests(folder: Path, **push: Any) -> Config:
    settings = Config()
    return replace(
        settings,
        store=replace(settings.store, dir=str(folder)),
        auth=Auth(
            jwt_secret=Secret("s" * 40), admin_wallets=(address_text(ADMIN),), service_keys=(Secret(SERVICE_KEY),)
        ),
        limits=replace(settings.limits, address_per_minute=100_000, wallet_per_minute=100_000),
        push=replace(Push(), **push),
    )


@asynccontextmanager
async def stream_node(
    folder: Path,
    *,
    config: Config | None = None,
    implicit_delay_s: float = 0.0,
    sse_ping_interval_s: float = 60.0,
    make_jobs: Callable[[Store], JobHooks] | None = None,
    **push: Any,
) -> AsyncIterator[StreamNode]:
    """A running node; ``push`` are settings of that section."""
    settings = config or config_for_tests(folder, **push)
    times = Times()
    store = await Store(folder / "zmart.db", now_ms=times.wall_ms).open()
    parts = _parts(settings, store, times)
    if make_jobs is not None:
        parts = replace(parts, jobs=make_jobs(store))
    store.on_commit = parts.hub.publish
    parts.hub.head = await StoredFeed(store).head()
    app = create_app(parts)
    streams = app.state.api.streams
    streams.monotonic, streams.implicit_delay_s = times.monotonic_s, implicit_delay_s
    streams.sse_ping_interval_s = sse_ping_interval_s
    server = StoppingServer(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off", **server_options(settings))
    )
    server.hub, server.stopping = parts.hub, parts.stopping
    serving = asyncio.create_task(server._serve())
    try:
        node = StreamNode(parts, times, streams, server)
        await node.until(lambda: server.started)
        yield node
    finally:
        server.should_exit = True
        async with asyncio.timeout(5):
            await serving
        await parts.rpc.close()
        await store.close()


def _parts(config: Config, store: Store, times: Times) -> ApiParts:
    codec, metrics = Codec(PROGRAM), Metrics()
    seconds = times.monotonic_s
    return ApiParts(
        config=config,
        store=store,
        codec=codec,
        rpc=Rpc(["http://127.0.0.1:9"]),
        clock=ChainClock(seconds),
        metrics=metrics,
        health=Health(seconds),
        breakers=Breakers(seconds),
        hub=Hub(StoredFeed(store), metrics, config.push),
        # The live feed asks nothing of these three.
        indexer=cast(Any, None),
        jobs=cast(Any, None),
        intents=cast(Any, None),
        feed=lambda: FeedContext(RowSettings.of(config, codec), lambda: times.now_ms // 1_000),
        background=Background(),
        jwt_secret=b"s" * 40,
        started_ms=START_MS,
        version="0.0.0",
        now_ms=times.wall_ms,
        stopping=asyncio.Event(),
    )
