"""What the node says of its services and of the cluster, whatever these do; seen over HTTP, round by round."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from solders.pubkey import Pubkey

from tests.app.test_chain_away import HOUR_S, WAIT_S, config
from tests.app.test_housekeeping import MARKET
from zmart_lite.app import Node, watch
from zmart_lite.app.watch import Watch
from zmart_lite.cli.serving import running
from zmart_lite.config import Config
from zmart_lite.demo.client import Api, Wallet
from zmart_lite.errors import Conflict, RpcUnavailable, StoreUnavailable
from zmart_lite.localnet.releases import NEWEST
from zmart_lite.ops.breaker import FAILURES_TO_OPEN, OPEN_FIRST_S, SavedBreaker
from zmart_lite.store.engine.connections import PAGE_BYTES

ROUNDS_MAX = 200


class Watched:
    """A running node whose looks are taken one by one, beside its own."""

    def __init__(self, node: Node, api: Api, http: httpx.AsyncClient) -> None:
        self.node, self.api, self.http = node, api, http
        self.watch = Watch(node.parts)

    async def health(self) -> Any:
        return (await self.http.get("/health")).json()

    async def service(self, name: str) -> tuple[str, str | None]:
        """Look once more; status and reason of a service then."""
        await self.watch.look()
        said = (await self.http.get(f"/health/{name}")).json()
        return said["status"], said["reason"]

    async def until(self, name: str, status: str) -> str | None:
        """Look until a service is so; the reason it gives."""
        for _ in range(ROUNDS_MAX):
            found, reason = await self.service(name)
            if found == status:
                return reason
            await asyncio.sleep(0)
        raise AssertionError(f"{name} is {found}: {reason}")

    async def poll(self) -> None:
        """Run the job, once the run of the start has ended."""

        async def idle() -> bool:
            return not any(view.running for view in await self.node.parts.jobs.runner.views() if view.name == "poll")

        await self.api.until("nothing polled", idle)
        await self.node.parts.jobs.runner.run_to_end("poll")


@asynccontextmanager
async def watched(folder: Path, **changes: Any) -> AsyncIterator[Watched]:
    made: Config = replace(config(folder), **changes)
    ledger_path = made.store.ledger_path if made.localnet.persist else None
    async with running(made, ledger_path=ledger_path) as started, httpx.AsyncClient(base_url=started.node.url) as http:
        assert started.localnet is not None
        api = Api(started.node.url, started.localnet.rpc_url)
        yield Watched(started.node, api, http)
        await api.close()


@pytest.fixture
async def seen(tmp_path: Path) -> AsyncIterator[Watched]:
    async with watched(tmp_path) as found:
        yield found


async def test_everything_is_well_and_what_is_off_says_why(seen: Watched) -> None:
    for name in ("database", "solana-rpc", "event-indexer", "vote-aggregator", "market-monitor", "websocket"):
        assert await seen.service(name) == ("ok", None), name
    assert await seen.service("ipfs") == ("disabled", "neither Pinata nor Kubo is configured")
    said = await seen.health()
    assert (said["status"], said["unwell"]) == ("healthy", [])
    assert (await seen.api.get("/status"))["versions"]["solana_core"] == NEWEST.version
    sizes = await seen.api.get("/health/database")
    assert 0 < sizes["size_bytes"] < sizes["disk_bytes"]


async def test_the_cluster_fails_and_comes_back(seen: Watched) -> None:
    await seen.api.rpc("localnet_failNext", {"calls": 100_000, "kind": "503"})
    assert await seen.until("solana-rpc", "error") == "the cluster does not answer as it should"
    await seen.api.rpc("localnet_failNext", {"kind": None})
    assert await seen.until("solana-rpc", "ok") is None


async def test_calls_for_requests_are_held_back_after_failures(seen: Watched) -> None:
    await seen.api.rpc("localnet_failNext", {"calls": 100_000, "kind": "503"})
    # The devnet's own calls do not fail; this one asks what any cluster answers.
    balance = f"/api/devnet/wallets/{Pubkey.default()}"
    reasons = []
    async with asyncio.timeout(WAIT_S):
        while "breaker_open" not in reasons:
            answer = await seen.http.get(balance)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            reasons.append(answer.json()["reason"])
    assert reasons[0] == "rpc_unavailable"
    assert (await seen.http.get("/api/markets")).status_code == 200
    await seen.api.rpc("localnet_failNext", {"kind": None})
    assert "circuit breaker" in (await seen.until("solana-rpc", "degraded") or "")
    assert (await seen.http.get(balance)).json()["reason"] == "breaker_open"
    seen.node.parts.breakers["api"].reset()
    assert await seen.until("solana-rpc", "ok") is None
    assert (await seen.http.get(balance)).status_code == 200


async def test_a_cluster_that_only_hangs_does_not_pass_for_well(seen: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PROBE_S", 0.05)
    monkeypatch.setattr(watch, "INTERVAL_S", 0.01)
    await seen.api.rpc("localnet_failNext", {"calls": 100_000, "kind": "timeout"})
    assert await seen.until("solana-rpc", "error") == "the cluster does not answer as it should"
    assert await seen.service("database") == ("ok", None)


async def test_paused_jobs_failed_runs_and_open_breakers(seen: Watched) -> None:
    await seen.node.parts.jobs.runner.pause("monitor")
    assert await seen.service("market-monitor") == ("degraded", "its job is paused")
    said = await seen.health()
    assert (said["status"], said["services"]["market_monitor"]) == ("degraded", "error")
    assert said["unwell"] == [{"service": "market_monitor", "status": "degraded", "reason": "its job is paused"}]
    await seen.node.parts.jobs.runner.resume("monitor")
    assert await seen.until("market-monitor", "ok") is None

    await seen.api.rpc("localnet_failNext", {"calls": 100_000, "kind": "503"})
    with pytest.raises(RpcUnavailable):
        await seen.poll()
    assert await seen.service("event-indexer") == ("degraded", "its last run failed")
    await seen.api.rpc("localnet_failNext", {"kind": None})
    await seen.poll()
    assert await seen.service("event-indexer") == ("ok", None)

    now = 1_000_000_000.0
    for until, status, reason in (
        (2 * 10**12, "error", "its circuit breaker is open"),
        (now + OPEN_FIRST_S, "degraded", "its circuit breaker lets one attempt through"),
    ):
        saved = SavedBreaker("open", FAILURES_TO_OPEN, 1, now, until, "It did not answer.")
        seen.node.parts.breakers.restore({"vote_aggregation": saved})
        assert await seen.service("vote-aggregator") == (status, reason)
    seen.node.parts.breakers["vote_aggregation"].reset()
    assert await seen.service("vote-aggregator") == ("ok", None)


async def test_a_database_that_cannot_be_written_makes_the_node_unhealthy(seen: Watched) -> None:
    # A commit that goes well would say that all is well: without a cluster next to nothing is committed.
    await seen.api.rpc("localnet_failNext", {"calls": 100_000, "kind": "503"})
    for _ in range(ROUNDS_MAX):
        seen.node.parts.store.faults.writing = "disk I/O error"
        said = await seen.service("database")
        if said != ("ok", None):
            break
    assert said == ("error", "it cannot be written")
    assert (await seen.health())["status"] == "unhealthy"
    seen.node.parts.store.faults.writing = None
    assert await seen.service("database") == ("ok", None)


async def test_a_damaged_page_is_told_everywhere(tmp_path: Path) -> None:
    """Met while reading: 503 with its reason, health, readiness, and an alert."""
    kept = replace(config(tmp_path), localnet=replace(config(tmp_path).localnet, persist=True))
    async with running(kept, ledger_path=kept.store.ledger_path) as started:
        evidence = "INSERT INTO evidence (cid, content, created_ms) VALUES (?, ?, 1)"
        rows = [(f"cid-{number}", "x" * 900) for number in range(2_000)]
        await started.node.parts.store.write(lambda tx: tx.execute_many(evidence, rows))
    path = kept.store.sqlite_path
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // PAGE_BYTES * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES * (path.stat().st_size // PAGE_BYTES // 3)))
    async with watched(tmp_path, localnet=kept.localnet) as seen:
        with pytest.raises(StoreUnavailable):
            await seen.node.parts.store.read(lambda tx: tx.all("SELECT * FROM evidence"), timeout_s=60)
        assert await seen.service("database") == ("error", "it is damaged: restore a backup")
        assert (await seen.health())["status"] == "unhealthy"
        assert (await seen.http.get("/ready")).json()["checks"]["store"] is False
        store, runner = seen.node.parts.store, seen.node.parts.jobs.runner
        opened = "SELECT severity FROM alerts WHERE alert_type = 'store_error' AND status = 'open'"

        async def is_told() -> bool:
            with suppress(Conflict):  # its own turn may be now
                await runner.run_to_end("alerts")
            return bool(await store.read(lambda tx: tx.value(opened)) == "CRITICAL")

        await seen.api.until("the alert is open", is_told)


async def test_what_nobody_foresaw_does_not_end_the_watching(seen: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> None:
        raise RuntimeError("nobody foresaw this")

    monkeypatch.setattr(seen.node.parts.pinning, "note_cluster", broken)
    assert await seen.until("solana-rpc", "error") == "the cluster does not answer as it should"
    monkeypatch.undo()
    assert await seen.until("solana-rpc", "ok") is None


async def test_a_devnet_that_went_back_takes_its_markets_with_it(seen: Watched) -> None:
    wallet = Wallet(seen.api, "creator")
    await wallet.fund(10)
    await wallet.sign_in()
    before = await seen.api.rpc("localnet_snapshot")
    market_id = (await wallet.act("/api/markets", MARKET))[0]["market_id"]
    await seen.watch.look()
    await seen.api.rpc("localnet_revert", before)

    async def gone() -> bool:
        await seen.watch.look()
        return not (await seen.api.get("/api/markets"))["markets"]

    await seen.api.until(f"the market {market_id} was taken back", gone)


async def test_what_the_devnet_took_back_is_gone_when_it_says_so(seen: Watched) -> None:
    """Final or not, and though new blocks overtake the old height at once."""
    wallet = Wallet(seen.api, "creator")
    await wallet.fund(10)
    await wallet.sign_in()
    for method in ("localnet_revert", "localnet_dropBlocks"):
        before, height = await seen.api.rpc("localnet_snapshot"), (await seen.api.rpc("localnet_info"))["blockHeight"]
        await wallet.act("/api/markets", MARKET)
        assert (await seen.api.get("/api/markets"))["markets"]
        blocks = (await seen.api.rpc("localnet_info"))["blockHeight"] - height + 2
        if method == "localnet_revert":
            await seen.node.parts.store.write(lambda tx: tx.execute("UPDATE transactions SET finality = 2"))
        back = await seen.api.rpc(method, before if method == "localnet_revert" else blocks)
        # The node has been told by now.
        assert not (await seen.api.get("/api/markets"))["markets"], method
        assert (await seen.api.rpc("localnet_produceBlocks", 40))["blockHeight"] > back["blockHeight"]


async def test_a_node_that_is_full_says_so(tmp_path: Path) -> None:
    async with watched(tmp_path, push=replace(Config().push, connections_max=1)) as seen:
        assert await seen.service("websocket") == ("ok", None)
        url = f"{seen.node.url}/api/stream"
        async with httpx.AsyncClient(timeout=HOUR_S) as http, http.stream("GET", url) as stream:
            assert stream.status_code == 200
            assert await seen.service("websocket") == ("degraded", "no more connections fit (push.connections_max)")
