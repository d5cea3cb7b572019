"""Circuit breakers outlast restarts, and each change is told at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from zmart_lite.jobs.breakers import BreakerKeeper
from zmart_lite.ops import Background, Breakers, Metrics
from zmart_lite.store.engine.db import Store


class Wall:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store(tmp_path / "zmart.db").open()
    yield store
    await store.close()


class Process:
    """The breakers of one process; what it keeps is written when :meth:`settled` returns."""

    def __init__(self, store: Store, wall: Wall) -> None:
        self.metrics = Metrics()
        self.background = Background()
        self.keeper = BreakerKeeper(store, self.metrics, self.background)
        self.breakers = Breakers(wall, self.keeper.changed)

    async def settled(self, store: Store) -> None:
        await asyncio.sleep(0)
        while len(self.background):  # noqa: ASYNC110 - a task that ended is what is waited for
            await asyncio.sleep(0)
        await store.write(lambda tx: None)


async def started(store: Store, wall: Wall) -> Process:
    process = Process(store, wall)
    await process.keeper.restore(process.breakers)
    return process


async def test_an_open_breaker_stays_open_and_doubles_on(store: Store) -> None:
    wall = Wall()
    first = await started(store, wall)
    for _ in range(3):
        first.breakers["event_indexing"].fail("time-out")
    wall.now += 300
    assert first.breakers["event_indexing"].permit()
    first.breakers["event_indexing"].fail("again")
    await first.settled(store)
    second = await started(store, wall)
    view = second.breakers["event_indexing"].view()
    assert view == first.breakers["event_indexing"].view()
    assert view.open_until == wall.now + 600
    assert not second.breakers["event_indexing"].permit()
    wall.now += 600
    assert second.breakers["event_indexing"].permit()
    second.breakers["event_indexing"].fail("and again")
    assert second.breakers["event_indexing"].view().open_until == wall.now + 1_200
    second.breakers["event_indexing"].succeed()
    await second.settled(store)
    third = await started(store, wall)
    assert third.breakers["event_indexing"].view().state == "closed"


async def test_each_change_is_told_once(store: Store) -> None:
    wall = Wall()
    process = await started(store, wall)
    for _ in range(5):
        process.breakers["api"].fail("time-out")
    await process.settled(store)
    process.breakers["api"].reset()
    process.breakers["api"].reset()
    await process.settled(store)
    (alert,) = await store.read(lambda tx: tx.all("SELECT * FROM alerts"))
    assert (alert["alert_type"], alert["subject"], alert["severity"]) == ("circuit_breaker_open", "api", "HIGH")
    assert (alert["count"], alert["status"]) == (1, "resolved")
    assert await store.read(lambda tx: tx.value("SELECT count(*) FROM feed WHERE type = 'alert'")) == 2
    assert b'zmart_circuit_breaker_opened_total{breaker="api"} 1.0' in process.metrics.render()


async def test_from_open_to_half_open_and_back_each_change_is_pushed_once_and_people_hear_of_it_once(
    store: Store,
) -> None:
    wall = Wall()
    process = await started(store, wall)
    breaker = process.breakers["api"]
    for _ in range(3):
        breaker.fail("time-out")
    wall.now += 299
    process.breakers.notice()
    wall.now += 1
    for _ in range(3):
        process.breakers.notice()
        assert breaker.view().state == "half_open"
    assert breaker.permit()
    breaker.fail("again")
    await process.settled(store)
    after = await started(store, wall)
    wall.now += 600
    assert after.breakers["api"].permit()
    after.breakers.notice()
    after.breakers["api"].succeed()
    await after.settled(store)
    pushed = await store.read(lambda tx: tx.all("SELECT data FROM feed WHERE type = 'alert' ORDER BY feed_offset"))
    told = [(each["status"], "one call" in each["message"]) for each in (json.loads(row["data"]) for row in pushed)]
    opened, half_open, closed = ("open", False), ("open", True), ("resolved", True)
    assert told == [opened, half_open, opened, half_open, closed]
    (alert,) = await store.read(lambda tx: tx.all("SELECT * FROM alerts"))
    assert (alert["severity"], alert["notified_ms"], alert["status"]) == ("HIGH", None, "resolved")
