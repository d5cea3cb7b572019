"""A real HTTP server that answers JSON-RPC as a test scripts it: failures that no healthy cluster shows."""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

REASON = {200: "OK", 403: "Forbidden", 413: "Too Large", 429: "Too Many Requests", 500: "Broken", 503: "Unavailable"}


@dataclass(frozen=True)
class Reply:
    """What to send back: a status, headers and body; ``hang`` answers nothing, ``cut`` closes the connection."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    cut: bool = False


def result(value: Any) -> Reply:
    return Reply(json.dumps({"jsonrpc": "2.0", "id": 1, "result": value}).encode())


def valued(value: Any, slot: int = 7) -> Reply:
    return result({"context": {"slot": slot}, "value": value})


def error(code: int, message: str = "no", data: Any = None, status: int = 200) -> Reply:
    answer = {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message, "data": data}}
    return Reply(json.dumps(answer).encode(), status)


Script = Reply | Callable[[list[Any]], Reply]


class ScriptedRpc:
    """Replies to each method in the order they were scripted; the last one is repeated."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, list[Any]]] = []
        self._scripts: dict[str, deque[Script]] = defaultdict(deque)
        self._server: asyncio.Server | None = None

    def on(self, method: str, *replies: Script) -> "ScriptedRpc":
        self._scripts[method] = deque(replies)
        return self

    def asked(self, method: str) -> int:
        return sum(name == method for name, _ in self.requests)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/?api-key=hidden"

    async def __aenter__(self) -> "ScriptedRpc":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        request = json.loads(await reader.readexactly(length))
        self.requests.append((request["method"], request["params"]))
        reply = self._reply(request["method"], request["params"])
        if reply.hang:
            await reader.read(1)  # until the client gives up
        if reply.hang or reply.cut:
            return False
        headers = {"Content-Length": str(len(reply.body))} | reply.headers
        lines = [
            f"HTTP/1.1 {reply.status} {REASON.get(reply.status, 'Odd')}",
            *(f"{k}: {v}" for k, v in headers.items()),
        ]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body)
        await writer.drain()
        return True

    def _reply(self, method: str, params: list[Any]) -> Reply:
        scripts = self._scripts[method]
        if not scripts:
            return error(-32601, f"Method not found: {method}")
        script = scripts.popleft() if len(scripts) > 1 else scripts[0]
        return script if isinstance(script, Reply) else script(params)


class Time:
    """A monotonic clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)
