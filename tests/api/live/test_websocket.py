import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.api.stream_node import ADMIN, ALICE, BOB, SERVICE_KEY, StreamNode, config_for_tests, stream_node
from zmart_lite.api.live.snapshots import ALERTS_MAX, POSITIONS_MAX
from zmart_lite.shown import address_text
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import feed
from zmart_lite.store.state import alerts, markets

MARKET = bytes([1]) * 32
OTHER = bytes([2]) * 32


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[StreamNode]:
    async with stream_node(tmp_path) as node:
        yield node


async def test_the_welcome_tells_the_head_and_the_limits(node: StreamNode) -> None:
    await node.publish("trade")
    async with node.websocket() as client:
        data = client.welcome["data"]
        assert client.welcome["timestamp"] == "2026-01-02T03:04:05.678Z"
        assert "offset" not in client.welcome
        assert data.pop("client_id")
        assert len(data.pop("database_id")) == 32
        assert data == {
            "message": "Connected to ZMART WebSocket server",
            "version": "0.0.0",
            "genesis_hash": None,
            "head": 1,
            "heartbeat_seconds": 30,
            "wallet": None,
            "limits": {"messages_per_minute": 100, "subscriptions": 100, "frame_bytes": 4096},
        }


async def test_live_messages_come_once_and_in_order_however_many_channels_match(node: StreamNode) -> None:
    async with node.websocket() as client:
        confirmed = await client.ask("subscribe", channels=[f"market:{MARKET.hex()}", "trades", "public"])
        assert confirmed["type"] == "subscribed"
        assert confirmed["data"]["head"] == 0
        first = await node.publish("trade", {"n": 1}, market_id=MARKET)
        second = await node.publish("price", {"n": 2}, market_id=MARKET)
        await node.publish("price", {"n": 3}, market_id=OTHER)
        third = await node.publish("vote", {"n": 4}, market_id=OTHER)
        frames = [await client.next() for _ in range(3)]
        assert [(f["type"], f["offset"], f["data"]["n"]) for f in frames] == [
            ("trade", first, 1),
            ("price", second, 2),
            ("vote", third, 4),
        ]
        assert frames[0]["market_id"] == MARKET.hex()
        await client.quiet()


async def test_the_market_form_is_confirmed_by_the_market_itself(node: StreamNode) -> None:
    market = await node.add_market()
    await node.publish("trade")
    async with node.websocket() as client:
        frame = await client.ask("subscribe", market_id=market.hex().upper())
        data = frame["data"]
        assert frame["type"] == "market_state"
        assert (frame["offset"], frame["market_id"]) == (1, market.hex())
        assert (data["action"], data["state"], data["state_code"]) == ("subscribed", "ACTIVE", 2)
        assert data["message"] == f"Subscribed to market {market.hex()}"
        assert data["subscriptions"] == [market.hex()]
        assert data["market"]["question"].startswith("Market ")
        await node.publish("price", market_id=market)
        assert (await client.frame("price"))["offset"] == 2
        gone = await client.ask("unsubscribe", market_id=market.hex())
        assert (gone["type"], gone["data"]["action"]) == ("market_state", "unsubscribed")
        assert gone["data"]["message"] == f"Unsubscribed from market {market.hex()}"
        assert gone["data"]["subscriptions"] == []
        assert "offset" not in gone
        await node.publish("price", market_id=market)
        await client.quiet()


async def test_a_market_by_its_address_and_by_every_alias(node: StreamNode) -> None:
    market = await node.add_market(1)
    address = address_text(bytes([101]) * 32)
    async with node.websocket() as client:
        frame = await client.ask("subscribe", market_id=address)
        assert frame["data"]["market_id"] == market.hex()
        names = [f"market_{address}", f"market:{market.hex()}:price", f"votes_{address}", "global:vote"]
        confirmed = await client.ask("subscribe", channels=names)
        assert confirmed["data"]["channels"] == [
            f"market:{market.hex()}",
            f"price:{market.hex()}",
            "votes",
            f"voting:{market.hex()}",
        ]
        assert "offset" not in await client.frame("market_state")
        assert (await client.frame("voting_progress"))["offset"] == 0


async def test_an_unindexed_market_may_be_awaited(node: StreamNode) -> None:
    async with node.websocket() as client:
        frame = await client.ask("subscribe", market_id=OTHER.hex())
        assert frame["type"] == "subscribed"
        assert frame["data"]["subscriptions"] == [f"market:{OTHER.hex()}"]
        await node.publish("market_state", {"action": "created"}, market_id=OTHER)
        assert (await client.frame("market_state"))["data"] == {"action": "created"}


def hold_everywhere(tx: Tx) -> None:
    """ALICE has a position in every market."""
    wallet = markets.wallet_key(tx, ALICE)
    for market in tx.all("SELECT id FROM markets"):
        tx.execute(
            "INSERT INTO positions (market, wallet, address, shares_yes, shares_no, total_invested, trades_count,"
            " last_trade_at, has_claimed, claimed_amount, basis_yes, basis_no, cost_bought, realized_pnl,"
            " first_trade_at, updated_ms) VALUES (?, ?, ?, '0', '0', '0', 1, 1, 0, '0', '0', '0', '0', '0', 1, 1)",
            (market["id"], wallet, ALICE),
        )


async def test_positions_are_a_snapshot_whose_last_frame_carries_the_head(node: StreamNode) -> None:
    await node.add_market(1)
    await node.add_market(2)
    await node.store.write(hold_everywhere)
    await node.publish("trade")
    headers = node.bearer(ALICE)
    async with node.websocket(f"/users/{address_text(ALICE)}/positions", additional_headers=headers) as client:
        assert client.welcome["data"]["wallet"] == address_text(ALICE)
        assert (await client.frame("subscribed"))["data"]["channels"] == [f"user:{address_text(ALICE)}"]
        first, last = [await client.frame("position") for _ in range(2)]
        assert "offset" not in first
        assert last["offset"] == 1


async def test_snapshots_are_limited(node: StreamNode) -> None:
    """At the contract's limits: 50 alerts, the newest; 100 positions."""
    for number in range(POSITIONS_MAX + 1):
        await node.add_market(number)
    await node.store.write(hold_everywhere)
    headers = node.bearer(ALICE)
    async with node.websocket(f"/users/{address_text(ALICE)}/positions", additional_headers=headers) as client:
        await client.frame("subscribed")
        frames = [await client.frame("position") for _ in range(100)]
        assert len({frame["market_id"] for frame in frames}) == 100
        await client.quiet()
    await node.store.write(
        lambda tx: [
            alerts.raise_alert(tx, "stuck_market", "LOW", "Nothing moves.", subject=str(number))
            for number in range(ALERTS_MAX + 1)
        ]
    )
    async with node.websocket("/alerts", additional_headers={"x-service-key": SERVICE_KEY}) as client:
        await client.frame("subscribed")
        told = [(await client.frame("alert"))["data"]["subject"] for _ in range(50)]
        assert told == [str(number) for number in range(1, ALERTS_MAX + 1)]
        await client.quiet()


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ("{", "Invalid message format"),
        ("[]", "Invalid message format"),
        ('"subscribe"', "Invalid message format"),
        ("{}", "Invalid message format"),
        ('{"action": 5}', "Invalid message format"),
        ('{"action": "subscribe"}', "market_id required for subscribe action"),
        ('{"action": "unsubscribe", "channels": []}', "market_id required for unsubscribe action"),
        ('{"action": "dance"}', "Unknown action: dance"),
        ('{"action": "subscribe", "channel": "weather"}', "Unknown channel: weather"),
        ('{"action": "subscribe", "market_id": "xy"}', "Unknown channel: market:xy"),
        ('{"action": "subscribe", "market_id": 7}', "Invalid message format"),
        ('{"action": "subscribe", "channels": "public"}', "Invalid message format"),
        ('{"action": "subscribe", "channels": [null]}', "Invalid message format"),
        ('{"action": "subscribe", "channel": "public", "from": 1.5}', "Invalid message format"),
        ('{"action": "subscribe", "channel": "public", "from": true}', "Invalid message format"),
        ('{"action": "resume"}', "Invalid message format"),
        ('{"action": "subscribe", "channel": "alerts"}', "Forbidden channel: alerts"),
        (f'{{"action": "subscribe", "channel": "market:{address_text(OTHER)}"}}', None),
    ],
)
async def test_mistakes_are_told_and_change_nothing(node: StreamNode, sent: str, message: str | None) -> None:
    async with node.websocket() as client:
        await client.ask("subscribe", channel="trades")
        await client.connection.send(sent)
        data = (await client.frame("error"))["data"]
        assert data["error"] == data["message"] == (message or f"Unknown channel: market:{address_text(OTHER)}")
        assert data["code"] in ("BAD_REQUEST", "UNAUTHORIZED")
        await node.publish("trade")
        await client.frame("trade")
        assert node.hub.counts().subscriptions == 1


async def test_subscriptions_are_limited(tmp_path: Path) -> None:
    async with stream_node(tmp_path, subscriptions_max=3) as node, node.websocket() as client:
        await client.ask("subscribe", channels=["public", "trades"])
        refused = await client.ask("subscribe", channels=["votes", "markets"])
        assert refused["data"]["error"] == "Too many subscriptions"
        confirmed = await client.ask("subscribe", channels=["votes", "trades"])
        assert confirmed["data"]["subscriptions"] == ["public", "trades", "votes"]
        assert (await client.ask("subscribe", channels=["public"] * 51))["data"]["error"] == "Too many subscriptions"


# Resume


async def test_resume_brings_what_was_missed_and_goes_on(node: StreamNode) -> None:
    for number in range(4):
        await node.publish("trade", {"n": number}, market_id=MARKET)
        await node.publish("price", {"n": number}, market_id=MARKET)
    async with node.websocket() as client:
        confirmed = await client.ask("resume", from_=3, channels=["trades"])
        assert confirmed["type"] == "subscribed"
        assert [(await client.frame("trade"))["offset"] for _ in range(2)] == [5, 7]
        await node.publish("trade")
        assert (await client.frame("trade"))["offset"] == 9
        late = await client.ask("subscribe", channel="votes", from_=3)
        assert late["data"]["error"] == "from is only allowed in the first subscribe"
        assert (await client.ask("resume", from_=3))["data"]["error"] == "from is only allowed in the first subscribe"


@pytest.mark.parametrize("path", ["/?from=2", "/ws/?from=2"])
async def test_the_point_in_the_url_counts_for_the_first_subscribe(node: StreamNode, path: str) -> None:
    await node.publish_many(4)
    async with node.websocket(path) as client:
        await client.ask("subscribe", channel="public")
        assert [(await client.frame("trade"))["offset"] for _ in range(2)] == [3, 4]


async def test_a_market_url_resumes_at_once(node: StreamNode) -> None:
    market = await node.add_market()
    await node.publish_many(3, market_id=market)
    headers = node.bearer(BOB)
    async with node.websocket(f"/markets/{market.hex()}?from=1", additional_headers=headers) as client:
        await client.frame("subscribed")
        assert [(await client.frame("trade"))["offset"] for _ in range(2)] == [2, 3]
        assert node.parts.metrics.push_connections_opened_total.labels("websocket", "true")._value.get() == 1


async def test_resuming_after_a_snapshot_repeats_nothing(node: StreamNode) -> None:
    market = await node.add_market()
    await node.publish_many(3, market_id=market)
    async with node.websocket(f"/markets/{market.hex()}", additional_headers=node.bearer(BOB)) as client:
        assert (await client.frame("market_state"))["offset"] == 3
        await node.publish("price", market_id=market)
        assert (await client.frame("price"))["offset"] == 4
        await client.send("resume", from_=1)
        await client.frame("subscribed")
        assert [(await client.frame("trade"))["offset"] for _ in range(2)] == [2, 3]
        await node.publish("price", market_id=market)
        assert (await client.frame("price"))["offset"] == 5


@pytest.mark.parametrize(
    ("last_seen", "reason"), [(99, "unknown_offset"), (-1, "unknown_offset"), ("x", "unknown_offset"), (0, "too_many")]
)
async def test_one_reset_where_the_log_cannot_tell(tmp_path: Path, last_seen: object, reason: str) -> None:
    async with stream_node(tmp_path, resume_messages_max=10) as node, node.websocket() as client:
        await node.publish_many(11)
        await client.send("resume", from_=last_seen)
        await client.frame("subscribed")
        reset = await client.frame("reset")
        assert (reset["offset"], reset["data"]) == (11, {"reason": reason, "head": 11})
        await node.publish("trade")
        assert (await client.frame("trade"))["offset"] == 12


async def test_what_is_no_longer_kept_resets(node: StreamNode) -> None:
    await node.publish_many(5)
    node.times.pass_s(10)
    await node.publish("trade")
    before = node.times.now_ms
    assert await node.store.write(lambda tx: feed.prune_feed(tx, before)) == 5
    async with node.websocket() as client:
        await client.send("resume", from_=4)
        await client.frame("subscribed")
        assert (await client.frame("reset"))["data"]["reason"] == "too_old"
    async with node.websocket() as client:
        await client.send("resume", from_=5)
        await client.frame("subscribed")
        assert (await client.frame("trade"))["offset"] == 6


# The feed nobody asked for

BROWSER = {"Origin": "https://app.example"}


async def test_browsers_get_the_public_feed_without_asking(node: StreamNode) -> None:
    async with node.websocket("/", additional_headers=BROWSER) as client:
        await node.until(lambda: node.hub.counts().subscriptions == 1)
        await node.publish("vote", {"n": 1})
        await node.publish("price", {"n": 2})
        assert (await client.frame("vote"))["data"] == {"n": 1}
        confirmed = await client.ask("subscribe", channel="trades")
        assert confirmed["data"]["subscriptions"] == ["trades"]
        await node.publish("vote")
        await node.publish("trade")
        assert (await client.frame("trade"))["offset"] == 4


async def test_resuming_out_of_the_implicit_feed_repeats_nothing(node: StreamNode) -> None:
    await node.publish_many(2)
    async with node.websocket("/", additional_headers=BROWSER) as client:
        await node.until(lambda: node.hub.counts().subscriptions == 1)
        await node.publish("trade")
        assert (await client.frame("trade"))["offset"] == 3
        await client.ask("resume", from_=1)
        assert (await client.frame("trade"))["offset"] == 2
        await node.publish("trade")
        assert (await client.frame("trade"))["offset"] == 4


async def test_whoever_asks_in_time_gets_only_that(tmp_path: Path) -> None:
    async with (
        stream_node(tmp_path, implicit_delay_s=3_600) as node,
        node.websocket("/", additional_headers=BROWSER) as client,
    ):
        await client.send("pong")
        await client.connection.send("{")
        await client.frame("error")
        await client.ask("subscribe", channel="votes")
        next(iter(node.streams.connections)).begin_implicit()
        await node.publish("trade")
        await client.quiet()


@pytest.mark.parametrize(("setting", "headers", "path"), [("none", BROWSER, "/"), ("browser", {}, "/")])
async def test_others_get_nothing_until_they_ask(
    tmp_path: Path, setting: str, headers: dict[str, str], path: str
) -> None:
    async with (
        stream_node(tmp_path, implicit_feed=setting) as node,
        node.websocket(path, additional_headers=headers) as client,
    ):
        await node.publish("trade")
        await client.quiet()
        assert node.hub.counts().subscriptions == 0


# Who may come in


@pytest.mark.parametrize("path", ["/markets/" + MARKET.hex(), f"/markets/{MARKET.hex()}/voting", "/alerts"])
async def test_urls_that_need_a_credential(node: StreamNode, path: str) -> None:
    assert await refused(node, path) == (4001, "Unauthorized")
    assert await refused(node, f"{path}?token=nonsense") == (4001, "Unauthorized")
    assert await refused(node, f"{path}?ticket=nonsense") == (4001, "Unauthorized")
    assert await refused(node, path, {"Authorization": "Bearer x"}) == (4001, "Unauthorized")
    assert await refused(node, path, {"x-service-key": "wrong"}) == (4001, "Unauthorized")
    for query, headers in (
        (f"?token={node.token(BOB)}", {}),
        (f"?ticket={await node.ticket(BOB)}", {}),
        ("", node.bearer(BOB)),
        ("", {"x-service-key": SERVICE_KEY}),
    ):
        async with node.websocket(path + query, additional_headers=headers) as client:
            assert (await client.next())["type"] == "subscribed"


async def test_a_bad_credential_is_refused_where_none_is_needed(node: StreamNode) -> None:
    assert await refused(node, "/ws?token=nonsense") == (4001, "Unauthorized")
    token = node.token(BOB)
    await node.revoke(token)
    assert await refused(node, f"/?token={token}") == (4001, "Unauthorized")


async def test_a_ticket_opens_one_connection(node: StreamNode) -> None:
    ticket = await node.ticket(BOB)
    async with node.websocket(f"/ws?ticket={ticket}") as client:
        assert client.welcome["data"]["wallet"] == address_text(BOB)
    assert await refused(node, f"/ws?ticket={ticket}") == (4001, "Unauthorized")
    late = await node.ticket(BOB)
    node.times.pass_s(30)
    assert await refused(node, f"/ws?ticket={late}") == (4001, "Unauthorized")


async def test_a_query_that_cannot_be_read_is_a_bad_credential(node: StreamNode) -> None:
    for query in ("ticket=%ff", "&".join(f"a{number}=1" for number in range(200))):
        assert (await refused(node, f"/ws?{query}"))[0] == 4001


async def test_tokens_in_the_url_can_be_turned_off(tmp_path: Path) -> None:
    config = config_for_tests(tmp_path)
    config = replace(config, auth=replace(config.auth, url_token=False))
    async with stream_node(tmp_path, config=config) as node:
        assert (await refused(node, f"/alerts?token={node.token(BOB)}"))[0] == 4001


async def test_another_wallets_positions_and_paths_that_name_nothing(node: StreamNode) -> None:
    path = f"/users/{address_text(ALICE)}/positions"
    assert (await refused(node, path, node.bearer(BOB)))[0] == 1008
    assert (await refused(node, "/markets/nonsense", node.bearer(BOB)))[0] == 1008
    assert (await refused(node, f"/markets/{address_text(OTHER)}", node.bearer(BOB), welcomed=True))[0] == 1008
    for headers in (node.bearer(ADMIN), {"x-service-key": SERVICE_KEY}):
        async with node.websocket(path, additional_headers=headers) as client:
            await client.frame("subscribed")


async def test_other_paths_refuse_the_handshake(node: StreamNode) -> None:
    for path in ("/nowhere", "/ws/more", "/markets", "/api/stream"):
        with pytest.raises(InvalidStatus) as refusal:
            await connect(f"ws://127.0.0.1:{node.port}{path}")
        assert refusal.value.response.status_code == 403


async def test_pages_of_foreign_origins_are_refused_where_origins_are_listed(tmp_path: Path) -> None:
    config = config_for_tests(tmp_path)
    config = replace(config, server=replace(config.server, cors_origins=("https://app.example",)))
    async with stream_node(tmp_path, config=config) as node:
        assert (await refused(node, "/", {"Origin": "https://evil.example"}))[0] == 1008
        for origin in ("https://app.example", f"http://127.0.0.1:{node.port}"):
            async with node.websocket("/", additional_headers={"Origin": origin}):
                pass


async def test_connections_of_an_address_are_limited(tmp_path: Path) -> None:
    async with (
        stream_node(tmp_path, connections_per_address=2) as node,
        node.websocket(),
        node.websocket() as second,
    ):
        assert (await refused(node, "/ws"))[0] == 4029
        await second.connection.close()
        await node.until(lambda: node.hub.counts().websocket == 1)
        async with node.websocket():
            pass


async def test_a_full_node_refuses(tmp_path: Path) -> None:
    async with stream_node(tmp_path, connections_max=1) as node, node.websocket():
        assert (await refused(node, "/ws"))[0] == 1013


async def refused(
    node: StreamNode, path: str, headers: dict[str, str] | None = None, *, welcomed: bool = False
) -> tuple[int, str]:
    """The close code and reason of a connection that is not let in."""
    async with connect(f"ws://127.0.0.1:{node.port}{path}", additional_headers=headers or {}) as connection:
        if welcomed:
            await connection.recv()
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, closed.value.rcvd.reason


# Limits and endings


async def test_a_flood_of_messages_ends_the_connection(tmp_path: Path) -> None:
    async with stream_node(tmp_path, messages_per_minute=5) as node:
        async with node.websocket() as client:
            for _ in range(6):
                await client.send("pong")
            assert await client.close_code() == 4029
        async with node.websocket() as client:
            for _ in range(2):
                for _ in range(4):
                    await client.send("pong")
                await client.quiet()
                node.times.pass_s(60)


async def test_a_storm_of_subscriptions_ends_the_connection(tmp_path: Path) -> None:
    async with stream_node(tmp_path, subscriptions_max=20) as node:
        channels = [f"market:{bytes([number]).hex() * 32}" for number in range(20)]
        async with node.websocket() as client:
            for _ in range(2):
                await client.ask("subscribe", channels=channels)
                await client.ask("unsubscribe", channels=channels[:10])
            await client.send("subscribe", channel="trades")
            assert await client.close_code() == 4029
        async with node.websocket() as client:
            for _ in range(3):
                await client.ask("subscribe", channels=channels)
                await client.ask("unsubscribe", channels=channels)
                node.times.pass_s(60)


async def test_connections_opened_in_a_minute_are_limited(tmp_path: Path) -> None:
    config = config_for_tests(tmp_path)
    config = replace(config, limits=replace(config.limits, address_per_minute=3))
    async with stream_node(tmp_path, config=config) as node:
        for _ in range(3):
            async with node.websocket():
                pass
        assert await refused(node, "/ws") == (4029, "Too many connections")
        assert (await node.get("/health")).status_code == 200, "requests are counted apart"
        node.times.pass_s(60)
        async with node.websocket():
            pass


async def test_ten_bad_messages_in_a_row(node: StreamNode) -> None:
    async with node.websocket() as client:
        for _ in range(9):
            await client.connection.send("{")
            await client.frame("error")
        await client.ask("subscribe", channel="public")
        for _ in range(10):
            await client.connection.send("{")
            await client.frame("error")
        assert await client.close_code() == 1008


async def test_binary_frames_and_frames_too_big(node: StreamNode) -> None:
    async with node.websocket() as client:
        await client.connection.send(b"{}")
        assert await client.close_code() == 1008
    async with node.websocket() as client:
        await client.connection.send("x" * 4096)
        await client.frame("error")
        await client.connection.send("x" * 4097)
        assert await client.close_code() == 1009


async def test_idle_connections_end(node: StreamNode) -> None:
    async with node.websocket() as client, node.websocket() as listening:
        await listening.ask("subscribe", channel="public")
        node.times.pass_s(599)
        node.streams.sweep()
        await client.send("pong")
        await client.quiet()
        node.times.pass_s(599)
        node.streams.sweep()
        await client.quiet()
        node.times.pass_s(600)
        node.streams.sweep()
        assert await client.close_code() == 1001
        await node.publish("trade")
        await listening.frame("trade")


async def test_a_connection_ends_with_its_credential(node: StreamNode) -> None:
    async with node.websocket(f"/ws?token={node.token(BOB)}") as client, node.websocket() as anonymous:
        await anonymous.ask("subscribe", channel="public")
        node.times.pass_s(3_600)
        node.streams.sweep()
        assert await client.close_code() == 4001
        await anonymous.quiet()


async def test_a_session_that_is_ended_takes_its_connections_along(node: StreamNode) -> None:
    token = node.token(BOB)
    async with (
        node.websocket(f"/alerts?token={token}") as client,
        node.websocket(f"/?token={node.token(BOB)}") as other,
    ):
        await client.frame("subscribed")
        await node.revoke(token)
        await node.streams.end_revoked()
        assert await client.close_code() == 4001
        await other.quiet()


async def test_the_clients_close_is_echoed(node: StreamNode) -> None:
    async with node.websocket() as client:
        await client.connection.close(1000)
        assert client.connection.close_code == 1000
    await node.until(lambda: not node.hub.subscribers and not node.streams.connections)


async def test_stopping_ends_every_client_at_once(tmp_path: Path) -> None:
    async with stream_node(tmp_path) as node, node.websocket() as client, node.sse() as events:
        await events.next()
        await client.ask("subscribe", channel="public")
        node.server.should_exit = True
        assert await client.close_code() == 1012
        await events.event("subscribed")
        with pytest.raises(EOFError):
            await events.next()
        assert not node.hub.subscribers


async def test_credentials_in_urls_are_not_logged(node: StreamNode, caplog: pytest.LogCaptureFixture) -> None:
    token, ticket = node.token(BOB), await node.ticket(BOB)
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.INFO, "uvicorn.error"):
        async with node.websocket(f"/ws?token={token}"), node.sse(f"?ticket={ticket}") as events:
            await events.next()
    assert "/ws" in caplog.text, "uvicorn does log the path"
    ours = [record for record in caplog.records if not record.name.startswith(("websockets.client", "http"))]
    assert not [record for record in ours if token in record.getMessage() or ticket in record.getMessage()]
