"""/metrics of a running node: every name of the contract, with live values."""

import asyncio
import dataclasses
import math
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.test_ops import TestMetrics
from zmart_lite.cli.serving import running
from zmart_lite.config import Alerts, Config, Localnet, Secret, Server, Store
from zmart_lite.errors import StartupError
from zmart_lite.store.publishing.messages import raise_alert


def config(folder: Path) -> Config:
    return Config(
        server=Server(port=0, ws_port=0),
        store=Store(dir=str(folder)),
        localnet=Localnet(port=0, slot_ms=50, persist=False),
    )


async def scrape(url: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{url}/metrics")).text
    names = {family.name + "_total" * (family.type == "counter") for family in text_string_to_metric_families(text)}
    assert names == {f"zmart_{name}" for name in TestMetrics.NAMES} | TestMetrics.PROCESS
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_page_is_live(tmp_path: Path) -> None:
    async with running(config(tmp_path)) as started:
        node = started.node
        await node.parts.jobs.runner.run_to_end("alerts")
        await node.parts.store.write(lambda tx: raise_alert(tx, "event_undecodable", "HIGH", "?", subject="x"))
        found = await scrape(node.url)

        def value(name: str, **labels: str) -> float:
            return found[(f"zmart_{name}", tuple(sorted(labels.items())))]

        assert value("alerts_open", severity="HIGH") >= 1
        assert value("manual_reviews_open", kind="event_undecodable") == 1
        assert value("backend_balance_lamports") > 0
        assert value("database_connections", state="writer") == 1
        reading = value("database_connections", state="reading") + value("database_connections", state="idle")
        assert reading == node.config.store.readers + 1
        assert value("circuit_breaker_state", breaker="api") == 0
        assert value("markets", state="ACTIVE") == 0
        assert value("votes_pending", kind="proposal") == 0
        assert value("intents", status="sent") == 0
        assert value("aggregation_lag_seconds", kind="dispute") == 0
        assert 0 < value("feed_offset") <= node.parts.hub.head
        assert value("indexing_lag_slots") >= 0
        assert 0 <= value("event_loop_lag_seconds") < math.inf
        assert value("job_runs_total", job="alerts", result="ok") >= 1
        assert value("job_last_success_timestamp_seconds", job="alerts") > 0


async def test_reading_the_page_often_reads_the_database_seldom(tmp_path: Path) -> None:
    async with running(config(tmp_path)) as started:
        store, reads = started.node.parts.store, 0
        real = store.read

        async def counting(run):  # type: ignore[no-untyped-def]
            nonlocal reads
            reads += "read_figures" in getattr(run, "__qualname__", "") or "refresh" in getattr(run, "__qualname__", "")
            return await real(run)

        store.read = counting  # type: ignore[method-assign]
        await asyncio.gather(*(started.node.gauges.refresh() for _ in range(20)))
        assert reads <= 1


async def test_a_wrong_target_stops_the_start(tmp_path: Path) -> None:
    wrong = dataclasses.replace(config(tmp_path), alerts=Alerts(urls=(Secret("carrier-pigeon://x"),)))
    with pytest.raises(StartupError, match=r"alerts\.urls"):
        async with running(wrong):
            pass
