"""A node inside somebody else's server: the example of docs/embedding.md, as it stands there, on a plain uvicorn."""

import asyncio
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import connect

from zmart_lite.app import create_app
from zmart_lite.config import Chain, Config, Localnet, Secret, Store

GUIDE = Path(__file__).parents[2] / "docs" / "embedding.md"
START_S = 60


def config(folder: Path) -> Config:
    """Settings of a node without a cluster."""
    return replace(
        Config(),
        store=Store(dir=str(folder)),
        chain=Chain(rpc_url=Secret("http://127.0.0.1:9"), rpc_attempts_max=1),
        localnet=Localnet(enabled=False),
    )


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[str]:
    """The guide's module on a uvicorn without any option of ours; its address."""
    example = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert example is not None
    (folder / "module.py").write_text(example[1])
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    settings = {"ZMART_STORE_DIR": str(folder / "data"), "ZMART_CHAIN_RPC_URL": "http://127.0.0.1:9"}
    settings |= {"ZMART_LOCALNET_ENABLED": "false", "PATH": ""}
    command = [sys.executable, "-m", "uvicorn", "module:app", "--port", str(port), "--app-dir", str(folder)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=settings, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(START_S):
            while b"Uvicorn running" not in (line := await process.stderr.readline()):
                assert line, "the server ended"
        reading = asyncio.get_running_loop().create_task(process.stderr.read())
        yield f"127.0.0.1:{port}"
        process.terminate()
        async with asyncio.timeout(START_S):
            # uvicorn ends as the signal asked, once it has stopped the application in order.
            assert await process.wait() == -signal.SIGTERM
        assert b"Application shutdown complete" in await reading
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_guides_example_on_a_plain_server(tmp_path: Path) -> None:
    async with serving(tmp_path) as address, httpx.AsyncClient(base_url=f"http://{address}") as http:
        mine = await http.get("/mine/busiest-state")
        assert (mine.status_code, mine.json()["markets"]["ACTIVE"]) == (200, 0)
        assert (await http.get("/shop/")).text == "Welcome to the shop."
        for path, status in (("/api/markets", 200), ("/health", 200), ("/", 200), ("/nothing", 404)):
            answer = await http.get(path)
            assert (answer.status_code, answer.headers["x-served-by"]) == (status, "my-application"), path
        assert answer.json()["code"] == "NOT_FOUND"
        refused = await http.post("/api/votes/proposal", json={"market_id": "x"})
        assert (refused.status_code, refused.json()["code"]) == (400, "VALIDATION_ERROR")
        async with http.stream("GET", "/api/stream?channels=trades") as stream:
            text = ""
            async with asyncio.timeout(START_S):
                async for part in stream.aiter_text():
                    text += part
                    if "event: subscribed" in text:
                        break
            assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        async with connect(f"ws://{address}/ws") as client, asyncio.timeout(START_S):
            assert msgspec.json.decode(await client.recv())["type"] == "welcome"
            await client.send('{"action":"subscribe","channel":"trades"}')
            assert msgspec.json.decode(await client.recv())["type"] == "subscribed"


def test_the_test_client_starts_and_stops_a_node(tmp_path: Path) -> None:
    app = create_app(config(tmp_path))
    assert isinstance(app, Starlette)
    before = TestClient(app).get("/api/markets")
    assert (before.status_code, before.headers["retry-after"]) == (503, "1")
    with TestClient(app) as client:
        assert client.get("/api/markets").json()["markets"] == []
        with client.websocket_connect("/ws?from=x") as socket_:
            assert socket_.receive_json()["type"] == "welcome"
        with client.websocket_connect("/alerts") as socket_, pytest.raises(WebSocketDisconnect) as refused:
            socket_.receive_json()
        assert refused.value.code == 4001
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/no/such/socket"):
            pass
    assert app.state.node.stopping.is_set()
