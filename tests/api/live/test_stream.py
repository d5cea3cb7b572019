from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.stream_node import START_MS, StreamNode, stream_node
from zmart_lite.shown import address_text
from zmart_lite.store.log import feed

MARKET = bytes([1]) * 32
OTHER = bytes([2]) * 32


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[StreamNode]:
    async with stream_node(tmp_path) as node:
        yield node


async def latest(node: StreamNode, query: str = "") -> dict[str, Any]:
    answer = await node.get(f"/api/events/latest{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["count"] == len(found["events"])
    return found


def offsets(found: dict[str, Any]) -> list[int]:
    return [event["offset"] for event in found["events"]]


async def test_an_empty_feed(node: StreamNode) -> None:
    assert await latest(node) == {
        "events": [],
        "count": 0,
        "since": None,
        "limit": 50,
        "next_after": 0,
        "reset": False,
        "timestamp": START_MS,
    }


async def test_polling_sees_every_message_once(node: StreamNode) -> None:
    await node.publish_many(7)
    await node.publish("alert", listed=False)
    await node.publish("position", wallet=OTHER, listed=False)
    seen: list[int] = []
    after = 0
    for _ in range(4):
        found = await latest(node, f"?after={after}&limit=3")
        seen += offsets(found)
        after = found["next_after"]
    assert seen == list(range(1, 8))
    assert after == 9
    await node.publish("price", {"n": 1}, market_id=MARKET)
    newest = await latest(node, f"?after={after}")
    assert newest["events"][0] == {
        "type": "price",
        "market_id": MARKET.hex(),
        "timestamp": "2026-01-02T03:04:05.678Z",
        "data": {"n": 1},
        "offset": 10,
    }


async def test_without_a_point_the_newest_come_oldest_first(node: StreamNode) -> None:
    await node.publish_many(5)
    found = await latest(node, "?limit=2")
    assert (offsets(found), found["next_after"]) == ([4, 5], 5)
    none = await latest(node, "?limit=0&after=2")
    assert (offsets(none), none["next_after"]) == ([], 2)


async def test_filters(node: StreamNode) -> None:
    market = await node.add_market()
    await node.publish("trade", market_id=market, listed=False)
    await node.publish("price", market_id=market)
    await node.publish("vote", market_id=OTHER)
    await node.publish("discussion", market_id=OTHER)
    assert offsets(await latest(node, "?after=0")) == [2, 3, 4]
    assert offsets(await latest(node, "?after=0&types=price, discussion")) == [2, 4]
    assert offsets(await latest(node, f"?after=0&market_id={market.hex()}")) == [1, 2]
    address = address_text(bytes([101]) * 32)
    assert offsets(await latest(node, f"?after=0&market_id={address}&types=trade")) == [1]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?after=-1", 400),
        ("?after=x", 400),
        ("?after=1&since=1", 400),
        ("?types=position", 400),
        ("?market_id=zz", 400),
        (f"?market_id={OTHER.hex()}", 404),
        (f"?after={2**63 - 1}", 200),
        (f"?after={2**63}", 400),
    ],
)
async def test_what_is_not_understood(node: StreamNode, query: str, status: int) -> None:
    assert (await node.get(f"/api/events/latest{query}")).status_code == status


async def test_since_a_time(node: StreamNode) -> None:
    await node.publish("trade")
    node.times.pass_s(10)
    await node.publish("trade")
    await node.publish("trade")
    found = await latest(node, f"?since={START_MS + 1}")
    assert (offsets(found), found["since"], found["reset"]) == ([2, 3], START_MS + 1, False)
    assert offsets(await latest(node, "?since=0")) == [1, 2, 3]
    assert offsets(await latest(node, f"?since={START_MS + 10_001}")) == []


async def test_reset_where_messages_are_no_longer_kept(node: StreamNode) -> None:
    await node.publish_many(3)
    node.times.pass_s(10)
    await node.publish_many(2)
    await node.store.write(lambda tx: feed.prune_feed(tx, START_MS + 1))
    cases = {
        "?after=2": True,
        "?after=3": False,
        "?since=0": True,
        f"?since={START_MS + 10_000}": True,
        "?after=9": True,
    }
    for query, reset in cases.items():
        assert (await latest(node, query))["reset"] is reset, query
    assert offsets(await latest(node, "?after=0")) == [4, 5]
    assert (await latest(node, "?after=9"))["next_after"] == 5


async def test_the_sweep_runs_as_long_as_the_node(node: StreamNode) -> None:
    task = node.parts.background.start(node.streams.run(), "sweep")
    await node.until(lambda: not task.done())
    await node.parts.background.stop()
    assert task.cancelled()
