"""How the node is doing, and the protocol's figures."""

import platform
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.api.harness import ADMIN, ALICE, BOB, CAROL, SERVICE_KEY, START_MS, ApiNode, P, address, api_node, key
from tests.api.routes.test_markets import set_config
from zmart_lite.api.openapi import examples
from zmart_lite.api.routes.status import NO_REASON
from zmart_lite.config import Config
from zmart_lite.errors import StoreUnavailable
from zmart_lite.ops import SERVICES
from zmart_lite.store.engine.connections import SQLITE_VERSION
from zmart_lite.store.engine.migrate import list_migrations
from zmart_lite.store.log import chainlog
from zmart_lite.store.log.chainlog import Delivery
from zmart_lite.store.state.alerts import raise_alert


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ApiNode]:
    async with api_node(tmp_path) as started:
        for service in SERVICES:
            off = service in ("redis", "ipfs")
            started.parts.health.report(service, "disabled" if off else "ok", {})
        yield started


async def catch_up(node: ApiNode) -> None:
    await set_config(node)
    await node.store.write(lambda tx: chainlog.set_cursor(tx, bytes(32), 90))


class TestHealth:
    async def test_healthy(self, node: ApiNode) -> None:
        node.times.pass_s(10)
        answer = await node.get("/health")
        assert list(answer) == list(examples.HEALTH)
        assert (answer["status"], answer["service"], answer["environment"]) == ("healthy", "zmart-lite", "localnet")
        assert answer["services"]["redis"] == answer["services"]["ipfs"] == "disabled"
        assert answer["services"]["database"] == "ok"
        assert answer["metrics"]["uptime_seconds"] == answer["uptime"] == 10.0

    async def test_degraded_is_200(self, node: ApiNode) -> None:
        node.parts.health.report("solana_rpc", "error", {}, "a secret url")
        response = await node.http.get("/health")
        assert (response.status_code, response.json()["status"]) == (200, "degraded")
        assert "secret" not in response.text

    async def test_what_works_but_not_quite_well(self, node: ApiNode) -> None:
        """The overview's words are those of the contract; what it is exactly, and why, stands beside them."""
        assert (await node.get("/health"))["unwell"] == []
        node.parts.health.report("market_monitor", "degraded", {"reason": "its job is paused"}, "a secret url")
        node.parts.health.report("event_indexer", "error", {}, "a secret url")
        response = await node.http.get("/health")
        answer = response.json()
        assert (response.status_code, answer["status"]) == (200, "degraded")
        assert (answer["services"]["market_monitor"], answer["services"]["event_indexer"]) == ("error", "error")
        assert answer["unwell"] == [
            {"service": "event_indexer", "status": "error", "reason": NO_REASON},
            {"service": "market_monitor", "status": "degraded", "reason": "its job is paused"},
        ]
        service = await node.get("/health/market-monitor")
        assert (service["status"], service["reason"]) == ("degraded", "its job is paused")
        status = await (await with_keys(node)).get("/status")
        assert (status["health"], status["unwell"]) == ("degraded", answer["unwell"])
        assert "secret" not in response.text

    async def test_unhealthy_is_503(self, node: ApiNode) -> None:
        node.parts.health.report("database", "error", {})
        assert (await node.get("/health", status=503))["status"] == "unhealthy"
        assert (await node.get("/health/database", status=503))["status"] == "error"

    async def test_counts_requests(self, node: ApiNode, monkeypatch: pytest.MonkeyPatch) -> None:
        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError

        await node.get("/api/markets")
        monkeypatch.setattr(node.store, "read", broken)
        await node.get("/api/markets?limit=1", status=500)
        metrics = (await node.get("/health"))["metrics"]
        assert (metrics["requests_per_minute"], metrics["error_rate"]) == (2, 0.5)
        node.times.pass_s(60)
        assert (await node.http.get("/health")).json()["metrics"]["requests_per_minute"] == 0

    async def test_each_service(self, node: ApiNode) -> None:
        node.parts.health.report("event_indexer", "ok", {"waiting": 3})
        answer = await node.get("/health/event-indexer")
        assert answer == {
            "waiting": 3,
            "status": "ok",
            "service": "zmart-event-indexer",
            "version": "0.0.0",
            "timestamp": "2026-01-02T03:04:05.678Z",
        }
        assert await node.get("/api/webhooks/health") == answer
        for name in ("database", "solana-rpc", "vote-aggregator", "market-monitor", "websocket", "ipfs"):
            assert (await node.get(f"/health/{name}"))["service"] == f"zmart-{name}"
        for name in ("redis", "solana_rpc", "nothing"):
            await node.get(f"/health/{name}", status=404)


class TestReady:
    async def test_not_before_it_has_caught_up(self, node: ApiNode) -> None:
        answer = await node.get("/ready", status=503)
        assert answer["ready"] is False
        assert answer["checks"] == {
            "store": True,
            "migrations": True,
            "rpc": True,
            "global_config": False,
            "caught_up": False,
        }
        await catch_up(node)
        node.times.pass_s(1)
        assert await node.get("/ready") == {"ready": True, "checks": dict.fromkeys(answer["checks"], True)}

    async def test_waiting_transactions(self, node: ApiNode) -> None:
        await catch_up(node)
        node.parts.clock.observe(1_000, 1)
        await node.store.write(lambda tx: chainlog.add_deliveries(tx, [Delivery(bytes(64), 849, None)], "poll"))
        assert (await node.get("/ready", status=503))["checks"]["caught_up"] is False

    async def test_polled_before_the_start_does_not_count(self, node: ApiNode) -> None:
        node.times.now_ms = START_MS - 1
        await catch_up(node)
        node.times.now_ms = START_MS
        assert (await node.get("/ready", status=503))["checks"]["caught_up"] is False

    async def test_without_store(self, node: ApiNode, monkeypatch: pytest.MonkeyPatch) -> None:
        async def broken(*_: object, **__: object) -> None:
            raise StoreUnavailable

        monkeypatch.setattr(node.store, "read", broken)
        assert not any((await node.get("/ready", status=503))["checks"].values())


class Keys:
    backend, admin = key(BOB), None


async def with_keys(node: ApiNode) -> ApiNode:
    """The same node with keys to show."""
    return ApiNode(replace(node.parts, intents=Keys()), node.times)  # type: ignore[arg-type]


class TestStatus:
    async def test_whole(self, node: ApiNode) -> None:
        node = await with_keys(node)
        await catch_up(node)
        market = await node.add_market(1, total_volume=f"{5 * P:020d}", trades_count=2)
        await node.add_market(2, state=0)
        for slot in (9, 10):
            await node.add_trade(slot=slot)
        await node.store.write(lambda tx: raise_alert(tx, "stuck_market", "LOW", "x", subject=market))
        await node.post(f"/api/markets/{'02' * 32}/vote", {"vote": True}, status=201, headers=node.bearer(ALICE))
        answer = await node.get("/status")
        assert list(answer) == list(examples.STATUS)
        assert (answer["ready"], answer["health"], answer["cluster"]) == (True, "healthy", "localnet")
        assert answer["versions"] == {
            "node": "0.0.0",
            "program": "0.69.0",
            "solana_core": None,
            "sqlite": SQLITE_VERSION,
            "schema": list_migrations()[-1].version,
            "python": platform.python_version(),
        }
        assert answer["slot"] == {"chain": 100, "indexed": 10, "lag": 0}
        assert answer["markets"] == {
            "PROPOSED": 1,
            "APPROVED": 0,
            "ACTIVE": 1,
            "RESOLVING": 0,
            "DISPUTED": 0,
            "FINALIZED": 0,
            "CANCELLED": 0,
        }
        totals = answer["totals"]
        assert (totals["markets"], totals["trades"], totals["votes"], totals["events"]) == (2, 2, 1, 2)
        assert totals["total_volume"] == str(5 * P)
        assert answer["votes_pending"] == {"proposal": 1, "dispute": 0}
        assert answer["alerts"]["by_severity"] == {"LOW": 1, "MEDIUM": 0, "HIGH": 0, "CRITICAL": 0}
        assert answer["alerts"]["latest"][0]["market_id"] == market
        assert answer["keys"] == {"backend_matches": True, "admin_configured": False}
        assert {breaker["state"] for breaker in answer["breakers"]} == {"closed"}
        assert answer["jobs"][0]["name"] == "aggregate"
        assert answer["push"] == {"websocket": 0, "sse": 0, "subscriptions": 0}

    async def test_is_read_once_a_second(self, node: ApiNode, monkeypatch: pytest.MonkeyPatch) -> None:
        node = await with_keys(node)
        reads = 0
        read = node.store.read

        async def counted(run: Any, **options: Any) -> Any:
            nonlocal reads
            reads += 1
            return await read(run, **options)

        monkeypatch.setattr(node.store, "read", counted)
        for _ in range(3):
            await node.get("/status")
        await node.http.get("/ready")
        assert reads == 1
        node.times.pass_s(1)
        await node.get("/status")
        assert reads == 2


class TestMetrics:
    async def test_open(self, node: ApiNode) -> None:
        response = await node.http.get("/metrics")
        assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "zmart_http_requests_total" in response.text

    async def test_with_a_key(self, tmp_path: Path) -> None:
        async with api_node(tmp_path, server=replace(Config().server, metrics_need_key=True)) as node:
            for headers in ({}, node.bearer(ADMIN), {"x-service-key": "x" * 40}):
                assert (await node.http.get("/metrics", headers=headers)).status_code == 401
            assert (await node.http.get("/metrics", headers={"x-service-key": SERVICE_KEY})).status_code == 200


class TestProtocol:
    async def test_before_the_config_is_known(self, node: ApiNode) -> None:
        assert (await node.get("/api/protocol", status=503))["reason"] == "rpc_unavailable"

    async def test_config(self, node: ApiNode) -> None:
        await set_config(node, is_paused=True)
        answer = await node.get("/api/protocol")
        assert list(answer) == list(examples.PROTOCOL)
        assert (answer["admin"], answer["backend_authority"]) == (address(ALICE), address(BOB))
        assert (answer["protocol_fee_wallet"], answer["is_paused"]) == (address(CAROL), True)
        assert (answer["slot"], answer["chain_time"]) == (100, "2026-01-02T03:04:05.000Z")
        assert answer["rpc_url"] == "http://127.0.0.1:8899"

    async def test_rpc_url_is_private_elsewhere(self, tmp_path: Path) -> None:
        async with api_node(tmp_path, chain=replace(Config().chain, cluster="devnet")) as node:
            await set_config(node)
            assert (await node.get("/api/protocol"))["rpc_url"] is None

    async def test_stats(self, node: ApiNode) -> None:
        await node.add_market(1, total_volume=f"{7 * P:020d}")
        await node.add_market(2, state=0)
        await node.add_trade(cost=2 * P)
        await node.add_trade(cost=P, slot=11, at_s=1)
        for pair in (ALICE, BOB):
            await node.post(f"/api/markets/{'02' * 32}/vote", {"vote": True}, status=201, headers=node.bearer(pair))
        assert await node.get("/api/stats") == {
            "totalMarkets": 2,
            "activeMarkets": 1,
            "totalVolume": 7.0,
            "volume24h": 2.0,
            "trades24h": 1,
            "activeUsers24h": 1,
            "proposalVoteSets": 1,
            "disputeVoteSets": 0,
            "totalPendingVotes": 2,
            "timestamp": "2026-01-02T03:04:05.678Z",
        }
