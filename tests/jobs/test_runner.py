"""The runner: every run recorded, none twice at once, limits, breakers, leases, what its health says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from zmart_lite.errors import Conflict, LeaseLost, RpcUnavailable
from zmart_lite.jobs import Job, JobRunner, Summary
from zmart_lite.jobs.runner import Params, tell_progress
from zmart_lite.ops import Background, Breakers, Metrics
from zmart_lite.store.engine import leases
from zmart_lite.store.engine.db import Store
from zmart_lite.store.engine.leases import FencedStore

INTERVAL_S = 3_600


class Wall:
    now_ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms

    def seconds(self) -> float:
        return self.now_ms / 1_000


class Bench:
    """A runner of one job named ``monitor``, not started: it runs when told."""

    def __init__(self, store: Store, wall: Wall, folder: Path, run: Callable[[Params], Awaitable[Summary]]) -> None:
        self.store, self.wall = store, wall
        self.breakers, self.background = Breakers(wall.seconds), Background()
        self.job = Job("monitor", INTERVAL_S, 1, run, "market_transitions")
        self.runner = JobRunner(
            store,
            [self.job],
            folder / "jobs.db",
            workers=1,
            metrics=Metrics(),
            breakers=self.breakers,
            background=self.background,
        )

    async def rows(self) -> list[Any]:
        return await self.store.read(lambda tx: tx.all("SELECT * FROM job_runs ORDER BY id"))


@asynccontextmanager
async def bench(folder: Path, run: Callable[[Params], Awaitable[Summary]]) -> AsyncIterator[Bench]:
    wall = Wall()
    store = await Store(folder / "zmart.db", now_ms=wall).open()
    made = Bench(store, wall, folder, run)
    try:
        yield made
    finally:
        await made.runner.stop()
        await made.background.stop()
        await store.close()


async def test_a_run_is_recorded_with_what_it_came_to(tmp_path: Path) -> None:
    async def run(_: Params) -> Summary:
        return Summary(found=3, done=1, failed=1, skipped=1)

    async with bench(tmp_path, run) as each:
        await each.runner.run_to_end("monitor")
        (row,) = await each.rows()
        assert [row[key] for key in ("result", "found", "done", "failed", "skipped")] == ["ok", 3, 1, 1, 1]
        assert row["finished_ms"] is not None


async def test_a_run_tells_how_far_it_came(tmp_path: Path) -> None:
    go, told = asyncio.Event(), asyncio.Event()

    async def run(_: Params) -> Summary:
        tell_progress("reading", 1, 3)
        tell_progress("reading", 2, 3)
        told.set()
        await go.wait()
        return Summary()

    async with bench(tmp_path, run) as each:
        (before,) = await each.runner.views()
        running = asyncio.create_task(each.runner.run_to_end("monitor"))
        await told.wait()
        (during,) = await each.runner.views()
        go.set()
        await running
        (after,) = await each.runner.views()
        assert [view.progress for view in (before, during, after)] == [None, ("reading", 2, 3), None]
        tell_progress("reading", 3, 3)  # by nobody's run: nobody is told


async def test_runs_do_not_overlap(tmp_path: Path) -> None:
    go, begun = asyncio.Event(), asyncio.Event()

    async def run(_: Params) -> Summary:
        begun.set()
        await go.wait()
        return Summary()

    async with bench(tmp_path, run) as each:
        await each.runner.run("monitor")
        await begun.wait()
        (view,) = await each.runner.views()
        assert view.running
        assert view.holder == each.runner.holder
        with pytest.raises(Conflict):
            await each.runner.run("monitor")
        go.set()
        while (await each.runner.views())[0].running:  # noqa: ASYNC110 - the record is what is waited for
            await asyncio.sleep(0)
        assert (await each.runner.views())[0].holder is None


async def test_a_run_that_outlives_its_limit_is_ended_and_reported(tmp_path: Path) -> None:
    async def run(_: Params) -> Summary:
        await asyncio.Event().wait()
        return Summary()

    async with bench(tmp_path, run) as each:
        each.runner._jobs["monitor"] = each.job._replace(time_limit_s=0)
        with pytest.raises(TimeoutError):
            await each.runner.run_to_end("monitor")
        (row,) = await each.rows()
        assert (row["result"], row["error"]) == ("failed", "The run took longer than 0 s.")
        (health,) = each.runner.health()
        assert (health.error, health.failures_in_a_row) == ("The run took longer than 0 s.", 1)


async def test_three_failures_open_the_breaker_and_by_hand_it_runs_all_the_same(tmp_path: Path) -> None:
    fails = True

    async def run(_: Params) -> Summary:
        if fails:
            raise RpcUnavailable("time-out")
        return Summary(done=1)

    async with bench(tmp_path, run) as each:
        for _ in range(3):
            await each.runner._on_time(each.job)
        assert each.breakers["market_transitions"].view().state == "open"
        await each.runner._on_time(each.job)
        assert len(await each.rows()) == 3
        assert each.runner.health()[0].waits_for_breaker
        fails = False
        await each.runner.run_to_end("monitor")
        assert each.breakers["market_transitions"].view().state == "closed"
        assert each.runner.health()[0].failures_in_a_row == 0


async def test_a_late_job_says_how_late_and_a_paused_one_is_not_late(tmp_path: Path) -> None:
    async def run(_: Params) -> Summary:
        return Summary()

    async with bench(tmp_path, run) as each:
        assert each.runner.lag_s("monitor") == 0
        each.wall.now_ms += (INTERVAL_S + 90) * 1_000
        assert each.runner.lag_s("monitor") == 90
        await each.runner.pause("monitor")
        assert each.runner.health() == []
        each.wall.now_ms += 10 * INTERVAL_S * 1_000
        await each.runner.resume("monitor")
        assert each.runner.lag_s("monitor") == 0


async def test_a_job_that_another_node_holds_does_not_start(tmp_path: Path) -> None:
    async def run(_: Params) -> Summary:
        return Summary()

    async with bench(tmp_path, run) as each:
        await each.store.write(lambda tx: leases.take_lease(tx, "job:monitor", "another", 60_000))
        with pytest.raises(Conflict):
            await each.runner.run("monitor")
        assert await each.rows() == []
        each.wall.now_ms += 60_000
        assert await each.runner.run_to_end("monitor") == Summary()


async def test_a_run_whose_lease_was_taken_writes_nothing_more(tmp_path: Path) -> None:
    async with bench(tmp_path, lambda _: work()) as each:
        fenced = FencedStore(each.store)

        async def work() -> Summary:
            await fenced.write(lambda tx: tx.execute("INSERT INTO jobs (name) VALUES ('before')"))
            each.wall.now_ms += 60_000
            await each.store.write(lambda tx: leases.take_lease(tx, "job:monitor", "another", 60_000))
            await fenced.write(lambda tx: tx.execute("INSERT INTO jobs (name) VALUES ('after')"))
            return Summary()

        with pytest.raises(LeaseLost):
            await each.runner.run_to_end("monitor")
        names = await each.store.read(lambda tx: [row["name"] for row in tx.all("SELECT name FROM jobs")])
        assert names == ["before"]
        assert (await each.store.read(lambda tx: tx.one("SELECT * FROM leases")))["holder"] == "another"


def test_when_a_job_has_its_first_turn_after_a_start() -> None:
    async def run(_: Params) -> Summary:
        return Summary()

    later, at_once = Job("prune", 60, 1, run), Job("poll", 60, 1, run, at_start=True)
    assert [job.first_due_ms(None, 5_000) for job in (later, at_once)] == [5_000, 5_000]
    assert [job.first_due_ms(4_000, 5_000) for job in (later, at_once)] == [64_000, 5_000]
    assert [job.next_due_ms(5_000) for job in (later, at_once)] == [65_000, 65_000]
