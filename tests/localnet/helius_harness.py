"""A chain with webhooks, their REST on a real server, and a real receiver that answers as a test tells it."""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple, TypeVar

import httpx
import msgspec
import uvicorn
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.localnet.chain_harness import ALICE, BOB, PROGRAM, Chain, meta
from zmart_lite.localnet.helius import HeliusEmulation, webhook_routes
from zmart_lite.localnet.helius_delivery import Timing
from zmart_lite.localnet.ledger import LedgerOptions
from zmart_lite.localnet.runtime import SYSTEM_PROGRAM_ID, Invocation
from zmart_lite.localnet.runtime import AccountMeta as RuntimeMeta

API_KEY = "devnet-key"
WAIT_S = 10
HANG = 0
"""An answer that never comes."""


T = TypeVar("T")


class Received(NamedTuple):
    headers: dict[str, str]
    body: bytes

    @property
    def items(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = msgspec.json.decode(self.body)
        return found


class Log(list[T]):
    """A list that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._grown = asyncio.Event()

    def append(self, item: T) -> None:
        super().append(item)
        self._grown.set()

    async def until(self, length: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while len(self) < length:
                self._grown.clear()
                await self._grown.wait()


class Receiver:
    """Keeps every request; answers the statuses in ``answers`` one after the other, then ``usual``."""

    def __init__(self) -> None:
        self.received: Log[Received] = Log()
        self.answers: deque[int] = deque()
        self.usual = 200
        self.url = ""

    @property
    def route(self) -> Route:
        return Route("/hook", self.receive, methods=["POST"])

    async def receive(self, request: Request) -> Response:
        body = await request.body()
        self.received.append(Received(dict(request.headers), body))
        status = self.answers.popleft() if self.answers else self.usual
        if status == HANG:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            status = 200
        return Response(b'{"success":true}', status)

    def amounts(self) -> list[list[int]]:
        """The lamports that the transactions of each raw delivery paid: tests tell transactions apart by them."""
        return [[_paid(item) for item in each.items] for each in self.received]


def _paid(item: dict[str, Any]) -> int:
    meta = item["meta"]
    return int(meta["preBalances"][0] - meta["postBalances"][0] - meta["fee"])


class Pauses:
    """Passes time at once, or, once closed, when the test opens the gate; remembers how long was asked for."""

    def __init__(self) -> None:
        self.asked: Log[float] = Log()
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self.gate.wait()


class Scene:
    """Everything a test of webhooks needs."""

    def __init__(
        self, chain: Chain, helius: HeliusEmulation, receiver: Receiver, pauses: Pauses, http: httpx.AsyncClient
    ) -> None:
        self.chain = chain
        self.helius = helius
        self.receiver = receiver
        self.pauses = pauses
        self.http = http

    def register(self, **changed: Any) -> str:
        """Register a webhook for ALICE's transactions; its id."""
        return self.helius.register(API_KEY, self.fields(**changed)).webhook_id

    def fields(self, **changed: Any) -> dict[str, Any]:
        return {
            "webhookURL": self.receiver.url,
            "transactionTypes": ["ANY"],
            "accountAddresses": [address(ALICE)],
            "webhookType": "rawDevnet",
        } | changed

    async def pay(self, *lamports: int, source: Keypair = ALICE) -> None:
        """One block per payment, all delivered or lost at the end."""
        for each in lamports:
            self.chain.pay(each, source, BOB)
        await self.helius.settled()

    def counters(self, webhook_id: str) -> dict[str, int]:
        return self.helius.report()[webhook_id]


def address(key: Keypair) -> str:
    return str(key.pubkey())


def pay_within(invocation: Invocation) -> None:
    """The scripted program pays 7 lamports from its first account to its second."""
    source, target = invocation.accounts[0].key, invocation.accounts[1].key
    data = (2).to_bytes(4, "little") + (7).to_bytes(8, "little")
    invocation.log("paying")
    invocation.invoke(SYSTEM_PROGRAM_ID, [RuntimeMeta(source, True, True), RuntimeMeta(target, False, True)], data)


def call_program() -> Instruction:
    system = AccountMeta(Pubkey.default(), False, False)
    return Instruction(PROGRAM, b"\x01\x02", [meta(ALICE, signer=True), meta(BOB), system])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: Starlette, ws: Literal["none", "auto"] = "none") -> AsyncIterator[str]:
    """The address of the application on a free port of this machine."""
    server = _Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off", ws=ws, timeout_graceful_shutdown=1))
    task = asyncio.get_running_loop().create_task(server.serve())
    await server.ready.wait()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def scene(
    options: LedgerOptions | None = None, clock: Any = lambda: 0.0, **timing: float
) -> AsyncIterator[Scene]:
    chain, receiver, pauses = Chain(options), Receiver(), Pauses()
    helius = HeliusEmulation(chain.ledger, Timing(**({"answer_s": 5.0} | timing)), pauses, clock)
    routes = [*webhook_routes(helius), receiver.route]
    async with serving(Starlette(routes=routes)) as url:
        receiver.url = f"{url}/hook"
        await helius.start()
        try:
            async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
                yield Scene(chain, helius, receiver, pauses, http)
        finally:
            await helius.stop()
