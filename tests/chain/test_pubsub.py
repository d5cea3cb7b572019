"""Hints by logsSubscribe: from the devnet's own pubsub, over connections that break, and from senders of nonsense."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
from solders.pubkey import Pubkey
from solders.signature import Signature
from websockets.asyncio.server import ServerConnection, serve

from zmart_lite.chain.pubsub import PAUSE_MAX_S, LogsSubscription, read_hint
from zmart_lite.localnet import Localnet, LocalnetOptions
from zmart_lite.simulation.chain import SimulatedChain

PROGRAM_ID = bytes([7]) * 32
SIGNATURE = bytes(range(64))


def notification(signature: object, slot: object = 9, err: object = None, method: str = "logsNotification") -> str:
    value = {"signature": signature, "err": err, "logs": ["Program log: whatever"]}
    result = {"context": {"slot": slot}, "value": value}
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": {"subscription": 1, "result": result}})


@asynccontextmanager
async def listening(url: str, sleep: object = asyncio.sleep) -> AsyncIterator[asyncio.Queue[tuple[bytes, int]]]:
    hints: asyncio.Queue[tuple[bytes, int]] = asyncio.Queue()

    async def keep(signature: bytes, slot: int) -> None:
        hints.put_nowait((signature, slot))

    subscription = LogsSubscription(url, PROGRAM_ID, keep, sleep=sleep)  # type: ignore[arg-type]
    task = asyncio.get_running_loop().create_task(subscription.run())
    try:
        yield hints
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_transaction_on_the_devnet_is_hinted_at() -> None:
    options = LocalnetOptions(PROGRAM_ID, rpc_port=0, slot_ms=0)
    async with Localnet(options) as localnet, listening(localnet.ws_url) as hints:
        chain = SimulatedChain(localnet, Random(1))
        async with asyncio.timeout(20):
            while hints.empty():
                chain.step()
                await asyncio.sleep(0.01)
            signature, slot = await hints.get()
        landed = localnet.ledger.history.find(signature)
        assert landed is not None
        assert (landed.slot, landed.failed) == (slot, False)


async def test_a_broken_connection_is_made_anew_after_growing_pauses() -> None:
    pauses: list[float] = []
    asked: list[dict[str, object]] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    async def handle(connection: ServerConnection) -> None:
        asked.append(json.loads(await connection.recv()))
        await connection.send(json.dumps({"jsonrpc": "2.0", "id": 1, "result": 5}))
        await connection.send(notification(str(Signature(SIGNATURE)), slot=len(asked)))
        await connection.close()

    async with serve(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with listening(f"ws://127.0.0.1:{port}", sleep) as hints, asyncio.timeout(20):
            assert [await hints.get() for _ in range(9)] == [(SIGNATURE, number) for number in range(1, 10)]
    assert asked[0]["params"] == [{"mentions": [str(Pubkey(PROGRAM_ID))]}, {"commitment": "confirmed"}]
    assert pauses[0] <= 1 < pauses[3] <= PAUSE_MAX_S
    assert max(pauses) <= PAUSE_MAX_S


async def test_nobody_there_is_no_error_and_tells_no_key(caplog: pytest.LogCaptureFixture) -> None:
    tried = asyncio.Event()

    async def sleep(_: float) -> None:
        tried.set()
        await asyncio.Event().wait()

    async with listening("ws://127.0.0.1:9/?api-key=hunter2", sleep), asyncio.timeout(20):
        await tried.wait()
    assert "127.0.0.1 ended" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    "message",
    [
        b"\xff",
        "",
        "[]",
        "{}",
        '{"jsonrpc": "2.0", "id": 1, "result": 5}',
        '{"params": {"result": 5}}',
        notification("abc"),
        notification(None),
        notification(str(Signature(SIGNATURE)), slot=-1),
        notification(str(Signature(SIGNATURE)), slot=2**63),
        notification(str(Signature(SIGNATURE)), slot="9"),
        notification(str(Signature(SIGNATURE)), err={"InstructionError": [0, "Custom"]}),
        notification(str(Signature(SIGNATURE)), method="slotNotification"),
    ],
)
def test_nonsense_and_failures_are_no_hints(message: str | bytes) -> None:
    assert read_hint(message) is None


def test_a_hint_is_a_signature_and_a_slot() -> None:
    assert read_hint(notification(str(Signature(SIGNATURE)), slot=2**63 - 1)) == (SIGNATURE, 2**63 - 1)
