"""Follows the feed over WebSocket and SSE while a demo runs, and keeps what came."""

import asyncio
import json
from typing import Any

import httpx
from websockets.asyncio.client import connect

from zmart_lite.demo.client import WAIT_S, DemoFailed

FRAME_BYTES_MAX = 2**20

Json = dict[str, Any]


class Listener:
    """Everything of one market over WebSocket, and the public feed over SSE. ``seen`` and ``streamed`` grow as it
    comes.
    """

    def __init__(self, url: str) -> None:
        self.seen: list[Json] = []
        self.streamed: list[Json] = []
        self._url = url
        self._tasks: list[asyncio.Task[None]] = []
        self._grown = asyncio.Condition()
        self._socket: Any = None
        self._opened = asyncio.Event()

    async def start(self) -> None:
        self._socket = await connect(self._url.replace("http", "ws", 1) + "/ws", max_size=FRAME_BYTES_MAX)
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self._read_socket(), name="demo-websocket"),
            loop.create_task(self._read_stream(), name="demo-sse"),
        ]
        await asyncio.wait_for(self._opened.wait(), WAIT_S)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()

    async def follow(self, market_id: str) -> None:
        """Subscribe to everything public of a market, which need not exist yet."""
        await self._socket.send(json.dumps({"action": "subscribe", "channel": f"market:{market_id}"}))

    async def wait_for(self, message_type: str, **fields: Any) -> Json:
        """The first message (also one that came already) of this type with these values in its data."""

        def found() -> Json | None:
            for message in self.seen:
                data = message.get("data", {})
                if message["type"] == message_type and all(data.get(name) == value for name, value in fields.items()):
                    return message
            return None

        try:
            async with asyncio.timeout(WAIT_S), self._grown:
                await self._grown.wait_for(lambda: found() is not None)
        except TimeoutError as error:
            raise DemoFailed(f"No {message_type} with {fields} came over push within {WAIT_S:g} s.") from error
        message = found()
        assert message is not None  # noqa: S101 - the condition above just said so
        return message

    async def _read_socket(self) -> None:
        async for text in self._socket:
            await self._keep(self.seen, json.loads(text))

    async def _read_stream(self) -> None:
        async with (
            httpx.AsyncClient(timeout=None) as client,  # noqa: S113 - a stream is silent as long as nothing happens
            client.stream("GET", f"{self._url}/api/stream", params={"channels": "public"}) as response,
        ):
            async for line in response.aiter_lines():
                self._opened.set()
                if line.startswith("data: "):
                    await self._keep(self.streamed, json.loads(line.removeprefix("data: ")))

    async def _keep(self, messages: list[Json], message: Json) -> None:
        async with self._grown:
            messages.append(message)
            self._grown.notify_all()
