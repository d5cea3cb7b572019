from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.api.stream_node import ADMIN, ALICE, BOB, SERVICE_KEY, StreamNode, stream_node
from zmart_lite.shown import address_text
from zmart_lite.store.state import alerts

MARKET = bytes([1]) * 32
OTHER = bytes([2]) * 32


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[StreamNode]:
    async with stream_node(tmp_path) as node:
        yield node


async def test_a_stream_begins_with_retry_and_subscribed_then_goes_live(node: StreamNode) -> None:
    await node.publish("trade", market_id=MARKET)
    async with node.sse() as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        assert events.headers["cache-control"] == "no-store"
        assert events.headers["x-accel-buffering"] == "no"
        assert events.headers["access-control-allow-origin"] == "*"
        assert await events.next() == {"retry": "3000"}
        opened = await events.event("subscribed")
        assert opened["id"] == "1"
        assert opened.envelope["data"]["channels"] == ["public"]
        assert "offset" not in opened.envelope
        offset = await node.publish("trade", {"text": "two\nlines"}, market_id=MARKET)
        live = await events.event("trade")
        assert live["id"] == str(offset) == str(live.envelope["offset"])
        assert live.envelope["data"] == {"text": "two\nlines"}


async def test_only_the_last_opening_event_has_an_id_the_head(node: StreamNode) -> None:
    market = await node.add_market()
    await node.publish("trade", market_id=market)
    async with node.sse(f"?channels=market:{market.hex()},trades") as events:
        await events.next()
        assert "id" not in await events.event("subscribed")
        snapshot = await events.event("market_state")
        assert snapshot["id"] == "1"
        assert snapshot.envelope["data"]["action"] == "snapshot"
        assert snapshot.envelope["data"]["market"]["market_id"] == market.hex()


@pytest.mark.parametrize("form", ["header", "query"])
async def test_a_resumed_stream_brings_what_was_missed_without_snapshots(node: StreamNode, form: str) -> None:
    market = await node.add_market()
    for number in range(5):
        await node.publish("trade", {"n": number}, market_id=market)
        await node.publish("trade", {"n": -1}, market_id=OTHER, listed=False)
    query = f"?channels=market:{market.hex()}" + ("&from=3" if form == "query" else "&from=9")
    headers = {"Last-Event-ID": "3"} if form == "header" else {}
    async with node.sse(query, headers) as events:
        await events.next()
        assert "id" not in await events.event("subscribed")
        missed = [await events.event("trade") for _ in range(3)]
        assert [(event["id"], event.envelope["data"]["n"]) for event in missed] == [("5", 2), ("7", 3), ("9", 4)]
        await node.publish("price", market_id=market)
        assert (await events.event("price"))["id"] == "11"


@pytest.mark.parametrize("given", ["abc", "12", "-1", "9" * 40, "1.5"])
async def test_an_id_that_is_not_in_the_feed_resets_to_the_head(node: StreamNode, given: str) -> None:
    await node.publish("trade")
    async with node.sse("", {"Last-Event-ID": given}) as events:
        await events.next()
        await events.event("subscribed")
        reset = await events.event("reset")
        assert reset["id"] == "1"
        assert reset.envelope["data"] == {"reason": "unknown_offset", "head": 1}
        assert reset.envelope["offset"] == 1


@pytest.mark.parametrize(
    ("channels", "status"),
    [
        ("nonsense", 400),
        ("market:zz", 400),
        (",".join(f"market:{n:064x}" for n in range(21)), 400),
        (f"market:{address_text(bytes([9]) * 32)}", 400),
        ("alerts", 401),
        (f"user:{address_text(ALICE)}", 401),
    ],
)
async def test_refusals_come_as_json_before_the_stream(node: StreamNode, channels: str, status: int) -> None:
    answer = await node.get(f"/api/stream?channels={channels}")
    assert answer.status_code == status
    assert answer.json()["status"] == status
    assert not node.hub.subscribers
    assert node.hub.admit("127.0.0.1") is None


async def test_whose_stream_it_is(node: StreamNode) -> None:
    channel = f"?channels=user:{address_text(ALICE)}"
    assert (await node.get(f"/api/stream{channel}", node.bearer(BOB))).status_code == 403
    for headers in (node.bearer(ALICE), node.bearer(ADMIN), {"x-service-key": SERVICE_KEY}):
        async with node.sse(channel, headers) as events:
            await events.next()
            await events.event("subscribed")
    ticket = await node.ticket(ALICE)
    async with node.sse(f"{channel}&ticket={ticket}") as events:
        await events.next()
        await events.event("subscribed")
        await node.publish("position", {"n": 1}, wallet=BOB, market_id=MARKET, listed=False)
        await node.publish("position", {"n": 2}, wallet=ALICE, market_id=MARKET, listed=False)
        assert (await events.event("position")).envelope["data"] == {"n": 2}
    assert (await node.get(f"/api/stream?ticket={ticket}")).status_code == 401
    # A token in the URL is no credential here.
    assert (await node.get(f"/api/stream{channel}&token={node.token(ALICE)}")).status_code == 401


async def test_open_alerts_are_the_snapshot_of_their_channel(node: StreamNode) -> None:
    await node.store.write(lambda tx: alerts.raise_alert(tx, "stuck_market", "LOW", "Nothing moves."))
    async with node.sse("?channels=alerts", {"x-service-key": SERVICE_KEY}) as events:
        await events.next()
        await events.event("subscribed")
        alert = (await events.event("alert")).envelope["data"]
        assert (alert["type"], alert["status"]) == ("stuck_market", "open")
        assert "data" not in alert


async def test_head_is_not_answered(node: StreamNode) -> None:
    async with httpx.AsyncClient(base_url=node.url) as http:
        assert (await http.head("/api/stream")).status_code == 405


async def test_what_counts_is_when_it_began_not_how_long_it_lasted(node: StreamNode) -> None:
    labels = {"method": "GET", "route": "/api/stream"}

    def counted() -> tuple[float | None, float | None]:
        registry = node.parts.metrics.registry
        return (
            registry.get_sample_value("zmart_http_requests_total", labels | {"status": "200"}),
            registry.get_sample_value("zmart_http_request_duration_seconds_sum", labels),
        )

    async with node.sse() as events, node.websocket():
        await events.next()
        await events.event("subscribed")
        while_open = counted()
        assert while_open[0] == 1
    node.parts.hub.close()
    assert counted() == while_open
    assert 'route="/ws"' not in node.parts.metrics.render().decode()


async def test_ping_comments_keep_it_open(tmp_path: Path) -> None:
    async with stream_node(tmp_path, sse_ping_interval_s=0.01) as node, node.sse() as events:
        await events.next()
        await events.event("subscribed")
        assert await events.next() == {"comment": "ping"}
        assert await events.next() == {"comment": "ping"}


async def test_connections_of_an_address_are_counted_over_both_transports(tmp_path: Path) -> None:
    async with stream_node(tmp_path, connections_per_address=2) as node, node.websocket() as client:
        async with node.sse():
            refused = await node.get("/api/stream")
            assert refused.status_code == 429
            assert refused.json()["details"]["limit"] == 2
            assert "Retry-After" in refused.headers
        await node.until(lambda: node.hub.counts().sse == 0)
        async with node.sse() as events:
            await events.next()
        assert client.welcome


async def test_a_full_node_says_so(tmp_path: Path) -> None:
    async with stream_node(tmp_path, connections_max=1) as node, node.websocket():
        assert (await node.get("/api/stream")).status_code == 503


async def test_a_stream_ends_with_its_credential(node: StreamNode) -> None:
    async with node.sse("?channels=alerts", node.bearer(ALICE)) as events:
        await events.next()
        await events.event("subscribed")
        node.times.pass_s(3_599)
        node.streams.sweep()
        assert node.hub.counts().sse == 1
        node.times.pass_s(1)
        node.streams.sweep()
        with pytest.raises(EOFError):
            await events.next()
    assert node.hub.counts().sse == 0


async def test_a_connection_serves_other_requests_after_a_stream(node: StreamNode) -> None:
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(base_url=node.url, limits=limits, timeout=5) as http:
        async with http.stream("GET", "/api/stream?channels=alerts", headers=node.bearer(ALICE)) as response:
            node.times.pass_s(4_000)
            await node.until(lambda: bool(node.hub.subscribers))
            node.streams.sweep()
            assert b"subscribed" in await response.aread()
        assert (await http.get("/api/events/latest")).status_code == 200
