"""Alerts: opened once, raised, closed by themselves, by what the chain, the database and the node show."""

from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from tests.jobs.devnet import World, devnet_world
from zmart_lite.chain import instructions
from zmart_lite.chain.rpc import Rpc
from zmart_lite.config import Push
from zmart_lite.errors import RpcUnavailable
from zmart_lite.jobs import Actions, Keys
from zmart_lite.jobs.alerts import AlertOptions, Alerts, Sight, Surroundings, keep
from zmart_lite.jobs.conditions import DAY_S, Condition, JobHealth
from zmart_lite.jobs.votes import Aggregator, VoteOptions
from zmart_lite.jobs.webhook import WebhookView
from zmart_lite.ops import Breakers, ChainClock
from zmart_lite.push.hub import Hub
from zmart_lite.store.engine.db import Store
from zmart_lite.store.log import chainlog
from zmart_lite.store.state import alerts, markets

VOTING_S = 3 * DAY_S
SOL = 10**9


class Wall:
    """Wall time that passes only when told."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Looking:
    """The job ``alerts`` in a world, and what stands in its table."""

    def __init__(self, world: World, folder: Path, *, keys: Keys | None = None, rpc: Any = None) -> None:
        self.world = world
        self.wall = Wall()
        self.jobs: list[JobHealth] = []
        self.breakers = Breakers(self.wall)
        self.hub = Hub(None, world.metrics, Push())  # type: ignore[arg-type]
        self.clock = ChainClock()
        around = Surroundings(
            rpc or world.rpc,
            self.clock,
            keys or world.keys,
            self.breakers,
            world.metrics,
            self.hub,
            lambda: self.jobs,
            lambda: {"proposal": 0.0},
            WebhookView,
            self.wall,
        )
        self.job = Alerts(world.store, around, AlertOptions(VOTING_S, 172_800, folder, True))

    async def look(self) -> list[tuple[str, str, str]]:
        """Run once at the chain's present: the open alerts, but for the disk's, which the machine decides."""
        self.clock.forget()
        self.clock.observe(self.world.localnet.ledger.open_slot, self.world.now())
        await self.job.run({})
        rows = await self.world.store.read(
            lambda tx: tx.all(
                "SELECT * FROM alerts WHERE status <> 'resolved' AND alert_type <> 'store_error' ORDER BY id"
            )
        )
        return [(row["alert_type"], row["severity"], row["subject"]) for row in rows]


async def test_a_healthy_node_has_none(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        await world.active_market(1)
        assert await Looking(world, tmp_path).look() == []


async def test_a_market_that_stands_still_is_told_of_once_and_rises(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        looking = Looking(world, tmp_path)
        world.localnet.ledger.warp(7 * DAY_S)
        assert await looking.look() == [("stuck_market", "LOW", market_id.hex())]
        assert await looking.look() == [("stuck_market", "LOW", market_id.hex())]
        world.localnet.ledger.warp(23 * DAY_S)
        assert await looking.look() == [("stuck_market", "MEDIUM", market_id.hex())]
        (row,) = await world.store.read(lambda tx: tx.all("SELECT * FROM alerts WHERE alert_type = 'stuck_market'"))
        assert row["count"] == 2
        backend = world.localnet.backend
        await world.send(
            instructions.aggregate_proposal_votes(world.codec, market_id, bytes(backend.pubkey()), 10, 0), backend
        )
        admin = world.localnet.admin
        await world.send(instructions.approve_proposal(world.codec, market_id, bytes(admin.pubkey())), admin)
        assert await looking.look() == []


async def test_resolutions_and_disputes_that_nobody_ends(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        late = await world.resolving_market(1)
        voteless = await world.disputed_market(2, holders=1)
        looking = Looking(world, tmp_path)
        world.localnet.ledger.warp(VOTING_S + 3_700)
        assert {each[0]: each[2] for each in await looking.look()} == {
            "resolution_timeout": late.hex(),
            "dispute_without_votes": voteless.hex(),
        }


async def test_the_pause_the_balance_and_a_wrong_authority(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        poor = Keypair()
        looking = Looking(world, tmp_path, keys=Keys(poor, None))
        await world.rpc.request_airdrop(bytes(poor.pubkey()), SOL // 50)
        admin = world.localnet.admin
        await world.send(instructions.emergency_pause(world.codec, bytes(admin.pubkey())), admin)
        await world.indexer.read_config()
        assert sorted((kind, severity) for kind, severity, _ in await looking.look()) == [
            ("authority_mismatch", "CRITICAL"),
            ("balance_low", "HIGH"),
            ("protocol_paused", "MEDIUM"),
        ]
        await world.rpc.request_airdrop(bytes(poor.pubkey()), SOL)
        await world.send(instructions.emergency_pause(world.codec, bytes(admin.pubkey())), admin)
        await world.indexer.read_config()
        assert [kind for kind, _, _ in await looking.look()] == ["authority_mismatch"]


class Away:
    """An RPC that does not answer while told so."""

    def __init__(self, rpc: Any) -> None:
        self._rpc = rpc
        self.away = False

    def __getattr__(self, name: str) -> Any:
        return self._fail if self.away else getattr(self._rpc, name)

    async def _fail(self, *_: Any, **__: Any) -> Any:
        raise RpcUnavailable("down")


async def test_what_cannot_be_looked_at_stays_as_it_was(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        rpc = Away(world.rpc)
        looking = Looking(world, tmp_path, keys=Keys(Keypair(), None), rpc=rpc)
        before = await looking.look()
        assert "balance_low" in [kind for kind, _, _ in before]
        rpc.away = True
        assert await looking.look() == before


async def test_a_database_of_no_cluster_is_bound_to_the_first_seen_and_another_is_an_alert(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        looking = Looking(world, tmp_path)
        assert await looking.look() == []
        await world.store.write(lambda tx: tx.execute("UPDATE meta SET value = 'ff' WHERE key = 'genesis_hash'"))
        assert await looking.look() == [("cluster_changed", "CRITICAL", "")]


async def test_an_address_that_answers_for_another_cluster_is_told_until_it_does_not(tmp_path: Path) -> None:
    """Though nothing else is asked of such an address any more; by numbers, for addresses may hold keys."""
    async with devnet_world(tmp_path / "one") as world, devnet_world(tmp_path / "two") as other:
        own = await world.rpc.get_genesis_hash()
        assert await other.rpc.get_genesis_hash() != own
        urls = [other.localnet.rpc_url, world.localnet.rpc_url]
        async with Rpc(urls) as both, Rpc(urls[:1]) as moved:
            for rpc, severity in ((both, "HIGH"), (moved, "CRITICAL")):
                rpc.require_cluster(own)
                looking = Looking(world, tmp_path, rpc=rpc)
                await world.store.write(lambda tx: chainlog.set_meta(tx, "genesis_hash", own.hex()))
                found = await looking.look()
                assert [each for each in found if each[0] == "cluster_changed"] == [("cluster_changed", severity, "")]
            with pytest.raises(RpcUnavailable, match="another cluster"):
                await moved.get_slot()
            (row,) = await world.store.read(lambda tx: alerts.list_unresolved(tx, ("cluster_changed",)))
            assert (row["severity"], row["status"]) == ("CRITICAL", "open")
        looking = Looking(world, tmp_path)
        assert await looking.look() == []


async def test_rates_within_their_windows(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        looking, metrics = Looking(world, tmp_path), world.metrics
        assert await looking.look() == []
        metrics.http_requests_total.labels("GET", "/x", "200").inc(89)
        metrics.http_requests_total.labels("GET", "/x", "500").inc(11)
        metrics.missed_events_total.inc(5)
        metrics.rate_limited_total.labels("address").inc(1_001)
        metrics.webhook_deliveries_total.labels("unauthorized").inc(20)
        metrics.webhook_deliveries_total.labels("ok").inc(100)
        looking.hub.opened_total, looking.hub.lost_total = 10, 6
        looking.wall.now += 30
        assert sorted((kind, severity) for kind, severity, _ in await looking.look()) == [
            ("api_error_rate", "CRITICAL"),
            ("missed_events", "MEDIUM"),
            ("rate_limit_pressure", "MEDIUM"),
            ("webhook_error", "MEDIUM"),
            ("websocket_drop", "HIGH"),
        ]
        gone: list[tuple[float, str]] = [
            (61, "websocket_drop"),
            (240, "api_error_rate"),
            (300, "missed_events"),
            (300, "webhook_error"),
            (2_700, "rate_limit_pressure"),
        ]
        for seconds, kind in gone:
            looking.wall.now += seconds
            assert kind not in [each for each, _, _ in await looking.look()]


async def test_a_breaker_rises_after_five_minutes_and_ends_with_its_cause(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        looking = Looking(world, tmp_path)
        for _ in range(3):
            looking.breakers["api"].fail("time-out")
        assert await looking.look() == [("circuit_breaker_open", "HIGH", "api")]
        looking.wall.now += 301
        assert await looking.look() == [("circuit_breaker_open", "CRITICAL", "api")]
        looking.breakers["api"].reset()
        assert await looking.look() == []


async def test_a_job_that_failed_until_it_does_not(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        looking = Looking(world, tmp_path)
        looking.jobs = [JobHealth("monitor", 60, 0, "boom", 3, False)]
        assert sorted(kind for kind, _, _ in await looking.look()) == ["job_failure", "state_transition_failure"]
        looking.jobs = [JobHealth("monitor", 60, 0, None, 0, False)]
        assert await looking.look() == []


async def test_a_proposal_that_waits_for_a_wallet(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        backend, admin = world.localnet.backend, world.localnet.admin
        await world.send(
            instructions.aggregate_proposal_votes(world.codec, market_id, bytes(backend.pubkey()), 10, 0), backend
        )
        looking = Looking(world, tmp_path, keys=Keys(backend, None))
        assert await looking.look() == [("ready_for_approval", "LOW", market_id.hex())]
        await world.send(instructions.approve_proposal(world.codec, market_id, bytes(admin.pubkey())), admin)
        assert await looking.look() == []


async def test_liquidity_withdrawn_before_every_winner_was_paid(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.active_market(1)
        await world.buy(market_id, 1, outcome=True)
        resolver, backend = world.localnet.wallets[0], world.localnet.backend
        codec = world.codec
        await world.send(
            instructions.resolve_market(codec, market_id, bytes(resolver.pubkey()), True, b"Q" * 46), resolver
        )
        world.localnet.ledger.warp(VOTING_S + 60)
        await world.send(instructions.finalize_market(codec, market_id, bytes(backend.pubkey()), None, None), backend)
        looking = Looking(world, tmp_path)
        assert await looking.look() == []
        await world.send(instructions.withdraw_liquidity(codec, market_id, bytes(resolver.pubkey())), resolver)
        assert await looking.look() == [("early_withdrawal", "HIGH", market_id.hex())]
        assert await looking.look() == [("early_withdrawal", "HIGH", market_id.hex())]
        await world.store.write(lambda tx: tx.execute("UPDATE positions SET has_claimed = 1"))
        assert await looking.look() == []
        assert await looking.look() == []


async def test_a_failed_action_is_over_once_another_round_or_another_wallet_did_it(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        counts = {"likes": 10, "dislikes": 1, "votes_until_ms": 0}
        stranger: Actions = world.actions(keys=Keys(world.localnet.wallets[3], None))
        await stranger.act("aggregate_proposal_votes", market_id.hex(), counts)
        looking = Looking(world, tmp_path)
        failed = [("state_transition_failure", "HIGH", market_id.hex())]
        assert await looking.look() == failed
        await world.store.write(lambda tx: tx.execute("UPDATE intents SET status = 'abandoned'"))
        assert await looking.look() == []


async def test_a_proposal_without_consensus_until_it_moves_on(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        market_id = await world.market(1)
        options = VoteOptions(10, DAY_S)
        world.localnet.ledger.warp(DAY_S)
        await Aggregator(world.store, world.actions(), markets.find_config, world.now, options).run({})
        looking = Looking(world, tmp_path)
        for _ in range(2):
            assert await looking.look() == [("proposal_no_consensus", "MEDIUM", market_id.hex())]
        admin = world.localnet.admin
        await world.send(instructions.cancel_market(world.codec, market_id, bytes(admin.pubkey())), admin)
        assert await looking.look() == []


async def test_a_fork_is_told_of_for_a_day(tmp_path: Path) -> None:
    async with devnet_world(tmp_path) as world:
        await world.market(1)
        world.localnet.ledger.drop_blocks(1)
        world.localnet.ledger.produce_blocks(40)
        await world.indexer.follow_finality()
        looking = Looking(world, tmp_path)
        assert await looking.look() == [("event_retracted", "HIGH", "fork")]
        await world.store.write(lambda tx: tx.execute("UPDATE alerts SET last_seen_ms = last_seen_ms - 86400000"))
        assert await looking.look() == []


# The table alone


@pytest.fixture
async def open_store(tmp_path: Path) -> Any:
    store = await Store(tmp_path / "alerts.db").open()
    yield store
    await store.close()


def seen(*severities: str) -> Sight:
    return Sight([Condition("indexing_lag", severity, "late") for severity in severities], frozenset({"indexing_lag"}))


async def test_a_condition_that_goes_on_writes_nothing_and_never_sinks(open_store: Store) -> None:
    async def kept(sight: Sight) -> tuple[int, int]:
        return await open_store.write(lambda tx: keep(tx, sight))

    assert await kept(seen("HIGH")) == (1, 0)
    head = await open_store.read(lambda tx: tx.value("SELECT max(feed_offset) FROM feed"))
    assert await kept(seen("HIGH")) == (0, 0)
    assert await open_store.read(lambda tx: tx.value("SELECT max(feed_offset) FROM feed")) == head
    assert await kept(seen("CRITICAL")) == (1, 0)
    assert await kept(seen("HIGH")) == (0, 0)
    (row,) = await open_store.read(lambda tx: alerts.list_unresolved(tx, ["indexing_lag"]))
    assert (row["severity"], row["count"]) == ("CRITICAL", 2)
    assert await kept(seen()) == (0, 1)
    assert await kept(seen()) == (0, 0)


async def test_types_that_could_not_be_judged_are_left_alone(open_store: Store) -> None:
    await open_store.write(lambda tx: keep(tx, seen("HIGH")))
    assert await open_store.write(lambda tx: keep(tx, Sight([], frozenset({"balance_low"})))) == (0, 0)
