"""The nightly copy: recorded, kept in number, true to the folder, and loud when it is missing."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from zmart_lite.errors import BackupFailed
from zmart_lite.jobs.backup import OVERDUE_MS, BackupOptions, Backups, in_thread, judge_backups
from zmart_lite.jobs.runner import Summary
from zmart_lite.ops import Metrics
from zmart_lite.store.engine import backup
from zmart_lite.store.engine.backup import Stop
from zmart_lite.store.engine.db import Store
from zmart_lite.store.state import runs

START_MS = 1_800_000_000_000
NIGHT_MS = 86_400_000


class Clock:
    now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


class World:
    def __init__(self, store: Store, clock: Clock, folder: Path) -> None:
        self.store, self.clock, self.folder = store, clock, folder
        self.metrics = Metrics()

    async def back_up(self, *, keep: int = 3) -> Summary:
        self.clock.now_ms += NIGHT_MS
        return await Backups(self.store, self.metrics, BackupOptions(self.folder, keep)).run({})

    async def recorded(self) -> list[tuple[str, int]]:
        rows = await self.store.read(backup.list_recorded)
        return [(row["file"], row["verified"]) for row in rows]

    def files(self) -> list[str]:
        return sorted((path.name for path in self.folder.iterdir()), reverse=True)

    async def alerts(self) -> list[tuple[str, str, str]]:
        rows = await self.store.read(lambda tx: tx.all("SELECT alert_type, severity, status FROM alerts"))
        return [tuple(row) for row in rows]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = Clock()
    store = await Store(tmp_path / "zmart.db", now_ms=clock).open()
    yield World(store, clock, tmp_path / "backups")
    await store.close()


async def test_so_many_are_kept(world: World) -> None:
    names = []
    for _ in range(5):
        await world.back_up(keep=3)
        names.insert(0, backup.file_name(world.clock.now_ms))
    assert await world.recorded() == [(name, 1) for name in names[:3]]
    assert world.files() == names[:3]
    assert await world.back_up(keep=2) == Summary(found=3, done=3)
    assert len(world.files()) == 2
    assert world.metrics.registry.get_sample_value("zmart_backups_total", {"result": "ok"}) == 6


async def test_the_record_follows_the_folder(world: World, tmp_path: Path) -> None:
    for _ in range(3):
        await world.back_up(keep=10)
    first, second, third = reversed(world.files())
    (world.folder / second).unlink()
    shutil.copy(world.folder / first, world.folder / backup.file_name(START_MS + 1))
    (world.folder / backup.file_name(START_MS + 2)).write_bytes(b"torn")
    (world.folder / f"{backup.file_name(START_MS + 3)}.copy.partial").write_bytes(b"unfinished")
    (world.folder / "somebody else's.txt").write_bytes(b"left alone")
    await world.back_up(keep=10)
    assert await world.recorded() == [
        (backup.file_name(world.clock.now_ms), 1),
        (third, 1),
        (first, 1),
        (backup.file_name(START_MS + 2), 0),
        (backup.file_name(START_MS + 1), 1),
    ]
    assert "somebody else's.txt" in world.files()
    assert not [name for name in world.files() if name.endswith(".partial")]


async def test_bad_copies_do_not_count_among_those_that_are_kept(world: World) -> None:
    for _ in range(2):
        await world.back_up(keep=10)
    good = world.files()
    await world.store.write(lambda tx: tx.execute("UPDATE backups SET verified = 0 WHERE file = ?", (good[0],)))
    await world.back_up(keep=2)
    assert [verified for _, verified in await world.recorded()] == [1, 0, 1]
    await world.back_up(keep=1)
    assert [verified for _, verified in await world.recorded()] == [1]


async def test_a_failure_is_raised_counted_and_takes_nothing_away(world: World, tmp_path: Path) -> None:
    await world.back_up()
    blocked = World(world.store, world.clock, tmp_path / "blocked")
    blocked.folder.write_bytes(b"a file where the folder should be")
    with pytest.raises(BackupFailed):
        await blocked.back_up()
    assert blocked.metrics.registry.get_sample_value("zmart_backups_total", {"result": "failed"}) == 1


async def test_the_alert_opens_after_36_hours_and_closes_with_the_next_good_copy(world: World) -> None:
    await world.back_up()
    world.clock.now_ms += OVERDUE_MS - 1
    await world.store.write(judge_backups)
    assert await world.alerts() == []
    world.clock.now_ms += 1
    await world.store.write(judge_backups)
    await world.store.write(judge_backups)
    assert await world.alerts() == [("backup_failure", "HIGH", "open")]
    await world.back_up()
    assert await world.alerts() == [("backup_failure", "HIGH", "resolved")]


async def test_a_young_database_without_a_copy_is_no_reason_yet(world: World) -> None:
    await world.store.write(judge_backups)
    await world.store.write(lambda tx: runs.add_run(tx, "poll"))
    world.clock.now_ms += OVERDUE_MS - 1
    await world.store.write(judge_backups)
    assert await world.alerts() == []
    world.clock.now_ms += 1
    await world.store.write(judge_backups)
    assert [status for _, _, status in await world.alerts()] == ["open"]


async def test_cancelling_stops_the_thread_and_waits_for_it() -> None:
    loop, started, ended = asyncio.get_running_loop(), asyncio.Event(), []

    def work(stop: Stop) -> None:
        loop.call_soon_threadsafe(started.set)
        stop.wait()
        ended.append(True)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(in_thread(work))
        await started.wait()
        task.cancel()
    assert ended == [True]
