"""Answers that look at much of the database are made once a second however many ask, and without the chain's clock."""

import asyncio
from pathlib import Path

import pytest

from tests.api.harness import ApiNode, api_node
from zmart_lite.store.log import kept
from zmart_lite.store.views import summaries

COSTLY = ("/api/stats", "/api/markets/trending", "/api/markets/categories", "/metrics")


async def ask(node: ApiNode, path: str, times: int) -> list[str]:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(node.http.get(path)) for _ in range(times)]
    assert {task.result().status_code for task in asked} == {200}
    return [task.result().text for task in asked]


@pytest.mark.parametrize("name", ["totals", "trending", "categories"])
async def test_many_ask_and_one_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = {"totals": "/api/stats"}.get(name, f"/api/markets/{name}")
    calls, room = [], kept if name == "totals" else summaries
    real = getattr(room, name)
    monkeypatch.setattr(room, name, lambda *given: (calls.append(1), real(*given))[1])
    async with api_node(tmp_path) as node:
        await node.add_market()
        answers = await ask(node, path, 10)
        assert len(calls) == 1
        assert len(set(answers)) == 1
        node.times.pass_s(1)
        await ask(node, path, 1)
        assert len(calls) == 2


async def test_trending_is_cut_to_what_each_asks(tmp_path: Path) -> None:
    async with api_node(tmp_path) as node:
        for number in range(1, 6):
            await node.add_market(number)
        for limit in (0, 2, 5):
            assert (await node.get(f"/api/markets/trending?limit={limit}"))["count"] == limit


async def test_metrics_are_rendered_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with api_node(tmp_path) as node:
        calls = []
        real = node.parts.metrics.render
        monkeypatch.setattr(node.parts.metrics, "render", lambda: (calls.append(1), real())[1])
        await ask(node, "/metrics", 10)
        assert len(calls) == 1


@pytest.mark.parametrize("path", [*COSTLY, "/api/markets/{id}/stats", "/api/markets/{id}/price-history?interval=1d"])
async def test_reads_do_not_need_the_chains_clock(tmp_path: Path, path: str) -> None:
    async with api_node(tmp_path) as node:
        market = await node.add_market()
        node.parts.clock.forget()
        answer = await node.http.get(path.replace("{id}", market))
        assert answer.status_code == 200, answer.text
