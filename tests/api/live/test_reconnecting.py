"""Clients over real sockets that lose their connection at random, and a node that is restarted: nothing is lost."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import WebSocketException

from tests.api.stream_node import StreamNode, stream_node

CHANNELS = {"trades": "trade", "votes": "vote"}
RESTARTS = 2
COMMITS = 25
LAST = {"last": True}
BROKEN = (WebSocketException, httpx.HTTPError, OSError, EOFError)


class Place:
    """Where the node is now, which changes with every restart."""

    def __init__(self) -> None:
        self._found: StreamNode | None = None
        self._is_up = asyncio.Event()

    async def node(self) -> StreamNode:
        await self._is_up.wait()
        assert self._found is not None
        return self._found

    @asynccontextmanager
    async def started(self, folder: Path) -> AsyncIterator[StreamNode]:
        async with stream_node(folder) as node:
            self._found = node
            self._is_up.set()
            yield node
            self._is_up.clear()


class Follower:
    """Follows a channel, goes away without a word after some messages, and comes back with the last offset it saw."""

    def __init__(self, place: Place, channel: str, chance: random.Random) -> None:
        self.place, self.channel, self.chance = place, channel, chance
        self.offsets: list[int] = []
        self.connections = 0
        self.is_done = False

    async def run(self) -> None:
        while not self.is_done:
            node = await self.place.node()
            self.connections += 1
            try:
                await self.follow(node, self.offsets[-1] if self.offsets else 0, self.chance.randint(1, 60))
            except BROKEN:
                await asyncio.sleep(0)

    async def follow(self, node: StreamNode, after: int, count: int) -> None:
        raise NotImplementedError

    def take(self, offset: int, data: object) -> None:
        self.offsets.append(offset)
        self.is_done = data == LAST


class SocketFollower(Follower):
    async def follow(self, node: StreamNode, after: int, count: int) -> None:
        async with node.websocket(f"/ws?from={after}") as client:
            await client.ask("subscribe", channel=self.channel)
            for _ in range(count):
                frame = await client.next()
                self.take(frame["offset"], frame["data"])
                if self.is_done:
                    return
            client.connection.transport.abort()


class StreamFollower(Follower):
    async def follow(self, node: StreamNode, after: int, count: int) -> None:
        async with node.sse(f"?channels={self.channel}", {"Last-Event-ID": str(after)}) as events:
            await events.next()
            await events.event("subscribed")
            for _ in range(count):
                event = await events.next()
                self.take(int(event["id"]), event.envelope["data"])
                if self.is_done:
                    return


@pytest.mark.parametrize("seed", range(3))
async def test_whoever_comes_back_has_every_message_once_in_order(tmp_path: Path, seed: int) -> None:
    chance, place = random.Random(seed), Place()
    followers = [kind(place, channel, chance) for kind in (SocketFollower, StreamFollower) for channel in CHANNELS]
    async with asyncio.TaskGroup() as running:
        for follower in followers:
            running.create_task(follower.run())
        for number in range(RESTARTS + 1):
            async with place.started(tmp_path) as node:
                await publish_at_random(node, chance)
                if number == RESTARTS:
                    for type_ in CHANNELS.values():
                        await node.publish(type_, LAST)
                    await node.until(lambda: all(follower.is_done for follower in followers))
                    published = await node.store.read(lambda tx: tx.all("SELECT feed_offset, type FROM feed"))
    for follower in followers:
        wanted = [row["feed_offset"] for row in published if row["type"] == CHANNELS[follower.channel]]
        assert follower.offsets == wanted
        assert follower.connections > RESTARTS + 1


async def publish_at_random(node: StreamNode, chance: random.Random) -> None:
    for _ in range(COMMITS):
        await node.publish_many(chance.randint(1, 20), chance.choice(["trade", "vote", "position"]))
        for _ in range(chance.randint(0, 20)):
            await asyncio.sleep(0)
