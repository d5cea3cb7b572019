"""While the chain is away votes are taken and everything is read; when it is back, the votes go on chain."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.test_housekeeping import MARKET
from zmart_lite.cli.playing import fresh, on_free_ports, sped_up
from zmart_lite.cli.serving import running
from zmart_lite.config import Config
from zmart_lite.demo.client import Api, Wallet
from zmart_lite.errors import ChainError

HOUR_S = 3_600
WAIT_S = 30
VOTERS = 10


def config(folder: Path) -> Config:
    """One that asks once and runs no job by itself."""
    made = sped_up(on_free_ports(fresh(Config(), folder)))
    return replace(
        made,
        chain=replace(made.chain, rpc_attempts_max=1),
        votes=replace(made.votes, interval_s=HOUR_S, proposal_min_votes=VOTERS),
        monitor=replace(made.monitor, interval_s=HOUR_S),
        indexer=replace(made.indexer, poll_interval_s=HOUR_S),
    )


async def test_votes_and_reads_go_on(tmp_path: Path) -> None:
    async with running(config(tmp_path)) as started:
        node, localnet = started.node, started.localnet
        assert localnet is not None
        api = Api(node.url, localnet.rpc_url)
        voters = [Wallet(api, f"voter {number}") for number in range(VOTERS)]
        await voters[0].fund(10)
        for voter in voters:
            await voter.sign_in()
        market_id = (await voters[0].act("/api/markets", MARKET))[0]["market_id"]

        await api.rpc("localnet_failNext", {"calls": 100_000, "kind": "503"})
        for voter in voters:
            await voter.post(f"/api/votes/proposal/{market_id}", {"vote": True})
        tally = (await api.get(f"/api/votes/{market_id}"))["proposal_votes"]
        assert (tally["likes"], tally["threshold_met"]) == (VOTERS, True)
        for _ in range(3):
            with pytest.raises(ChainError):
                await node.parts.jobs.runner.run_to_end("aggregate")
        assert node.parts.breakers["vote_aggregation"].view().state == "open"
        for path in ("", "/prices", "/trades", "/votes", "/stats", "/positions", "/price-history", "/discussions"):
            await api.get(f"/api/markets/{market_id}{path}")
        await unwell(node.url)

        await api.rpc("localnet_failNext", {"kind": None})
        node.parts.breakers["vote_aggregation"].reset()
        await node.parts.jobs.runner.run_to_end("aggregate")
        assert (await api.get(f"/api/markets/{market_id}"))["state"] == "APPROVED"
        await api.close()


def in_error(said: dict[str, Any]) -> set[str]:
    return {each["service"] for each in said["unwell"] if each["status"] == "error"}


async def unwell(url: str) -> None:
    """What the node says of itself meanwhile."""

    async def health() -> dict[str, Any]:
        return dict((await http.get("/health")).json())

    async def reason_of(service: str) -> str:
        return str((await http.get(f"/health/{service}")).json().get("reason"))

    async with httpx.AsyncClient(base_url=url) as http:
        async with asyncio.timeout(WAIT_S):
            failing = {"solana_rpc", "vote_aggregator"}
            # What only failed, and not for good, the overview calls an error, too.
            while not failing <= in_error(said := await health()):
                pass
            assert {said["services"][service] for service in failing} == {"error"}
            # Until the next look it is the failed run that is known.
            while await reason_of("vote-aggregator") != "its circuit breaker is open":
                pass
        assert said["status"] == "degraded"
        chain = (await http.get("/health/solana-rpc")).json()
        assert chain["reason"] == "the cluster does not answer as it should"
        assert (await http.get("/health/ipfs")).json()["reason"] == "neither Pinata nor Kubo is configured"
        assert (await http.get("/ready")).status_code == 503
        quote = await http.get("/api/protocol")
        assert quote.status_code == 200
        alerts = (await http.get("/status")).json()["alerts"]["latest"]
        assert "circuit_breaker_open" in [each["alert_type"] for each in alerts]


async def test_what_is_off_says_why(tmp_path: Path) -> None:
    made = config(tmp_path)
    made = replace(made, monitor=replace(made.monitor, enabled=False))
    async with running(made) as started, httpx.AsyncClient(base_url=started.node.url) as http:
        async with asyncio.timeout(WAIT_S):
            while (said := (await http.get("/health/market-monitor")).json())["status"] == "starting":
                pass
        assert (said["status"], said["reason"]) == ("disabled", "it is switched off by the configuration")
        assert (await http.get("/health")).json()["services"]["market_monitor"] == "disabled"
