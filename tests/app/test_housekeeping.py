"""A whole node's jobs on its own data: what they leave behind, and what the API shows of it."""

from dataclasses import replace
from pathlib import Path

import httpx

from tests.ipfs.pinning import pinning_service
from zmart_lite.cli.playing import fresh, on_free_ports, sped_up
from zmart_lite.cli.serving import running
from zmart_lite.config import Config, Ipfs
from zmart_lite.demo.client import Api, Wallet
from zmart_lite.jobs import Summary
from zmart_lite.store.engine.leases import FencedStore

MARKET = {
    "question": "Will this discussion be kept?",
    "category": "other",
    "end_date": "2100-01-01T00:00:00Z",
    "initial_liquidity": "1000000000",
}


async def test_a_node_backs_up_prunes_and_keeps_discussions(tmp_path: Path) -> None:
    async with pinning_service() as pinning:
        config = sped_up(on_free_ports(fresh(Config(), tmp_path / "data")))
        config = replace(config, ipfs=Ipfs(kubo_url=pinning.url))
        async with running(config) as started:
            node, localnet = started.node, started.localnet
            assert localnet is not None
            api = Api(node.url, localnet.rpc_url)
            wallet = Wallet(api, "creator")
            await wallet.fund(10)
            await wallet.sign_in()
            market_id = (await wallet.act("/api/markets", MARKET))[0]["market_id"]
            await wallet.post("/api/discussions", {"market_id": market_id, "content": "Keep this."})
            assert (await node.parts.jobs.runner.run_to_end("snapshot")).done == 1
            [shown] = (await api.get(f"/api/markets/{market_id}/snapshots"))["snapshots"]
            assert pinning.document(shown["cid"])["discussions"][0]["content"] == "Keep this."
            assert (shown["pinned"], shown["discussions_count"]) == (True, 1)
            assert (await node.parts.jobs.runner.run_to_end("backup")).done == 1
            assert (await node.parts.jobs.runner.run_to_end("prune")).failed == 0
            names = [view.name for view in await node.parts.jobs.runner.views()]
            assert {"backup", "prune", "snapshot"} <= set(names)
            async with httpx.AsyncClient(base_url=node.url) as client:
                assert (await client.get("/health/ipfs")).json()["status"] == "ok"
            await api.close()
    assert len(list((tmp_path / "data" / "backups").iterdir())) == 1


async def test_without_credentials_nothing_is_kept(tmp_path: Path) -> None:
    config = on_free_ports(fresh(Config(), tmp_path / "data"))
    async with running(config) as started:
        schedules = {view.name: view.schedule for view in await started.node.parts.jobs.runner.views()}
        assert (schedules["snapshot"], schedules["backup"]) == ("by hand", "daily at 03:00 UTC")
        assert await started.node.parts.jobs.runner.run_to_end("snapshot") == Summary()
        async with httpx.AsyncClient(base_url=started.node.url) as client:
            assert (await client.get("/health/ipfs")).json()["status"] == "disabled"


async def test_every_job_that_acts_writes_under_its_lease(tmp_path: Path) -> None:
    """Those that read the chain write through the indexer, where the same again changes nothing."""
    config = replace(on_free_ports(fresh(Config(), tmp_path / "data")), ipfs=Ipfs(kubo_url="http://127.0.0.1:9"))
    async with running(config) as started:
        jobs = started.node.parts.jobs.runner
        for name in ("aggregate", "monitor", "backup", "prune", "alerts", "snapshot"):
            work = jobs._jobs[name].run
            assert isinstance(work.__self__._store, FencedStore), name  # type: ignore[attr-defined]
