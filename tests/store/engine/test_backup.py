"""Copies of the database: whole or not at all, whatever happens meanwhile."""

import asyncio
import gzip
import os
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from tests.store.copies import killed_at
from zmart_lite.errors import BackupFailed
from zmart_lite.store.engine import backup
from zmart_lite.store.engine.db import Store, Tx

NOW_MS = 1_800_000_000_123
ROWS = 20_000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store(tmp_path / "zmart.db", now_ms=lambda: NOW_MS).open()
    yield opened
    await opened.close()


def fill(tx: Tx, count: int = ROWS) -> None:
    for number in range(count):
        tx.publish("trade", {"number": number, "padding": "x" * 100})


def fill_with_noise(tx: Tx, size_bytes: int) -> None:
    """What does not get smaller by compression."""
    tx.execute("INSERT INTO revoked_tokens VALUES (?, 1)", (os.urandom(size_bytes).decode("latin-1"),))


def never() -> threading.Event:
    return threading.Event()


def unpacked(packed: Path, folder: Path) -> sqlite.Connection:
    path = folder / "unpacked.db"
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    return sqlite.connect(str(path))


async def test_a_copy_holds_what_was_committed_before_it(store: Store, tmp_path: Path) -> None:
    await store.write(fill)
    made = await asyncio.to_thread(backup.make_backup, store.path, tmp_path / "copies", NOW_MS, never())
    assert made == backup.Backup("zmart-20270115-080000-123.db.gz", made.size_bytes, NOW_MS)
    path = tmp_path / "copies" / made.file
    assert made.size_bytes == path.stat().st_size
    assert [each.name for each in path.parent.iterdir()] == [made.file]
    connection = unpacked(path, tmp_path)
    assert connection.execute("SELECT count(*) FROM feed").fetchone() == (ROWS,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()
    contents = await asyncio.to_thread(backup.check_backup, path, tmp_path, never())
    assert (contents.feed_oldest, contents.feed_head) == (1, ROWS)


async def test_writing_goes_on_meanwhile_and_the_copy_is_of_one_moment(store: Store, tmp_path: Path) -> None:
    await store.write(fill)

    async def write_until(ended: asyncio.Event) -> int:
        count = 0
        while not ended.is_set():
            await store.write(lambda tx: tx.publish("vote", {}))
            count += 1
        return count

    ended = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write_until(ended))
        made = await asyncio.to_thread(backup.make_backup, store.path, tmp_path, NOW_MS, never())
        ended.set()
    assert writing.result() > 1
    contents = await asyncio.to_thread(backup.check_backup, tmp_path / made.file, tmp_path, never())
    assert ROWS <= contents.feed_head < ROWS + writing.result()


def test_the_size_counts_what_the_log_still_holds(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    with pytest.raises(OSError, match="No such file"):
        backup.size_on_disk(path)
    path.write_bytes(b"1234")
    assert backup.size_on_disk(path) == 4
    Path(f"{path}-wal").write_bytes(b"12")
    assert backup.size_on_disk(path) == 6


def test_names_tell_the_time() -> None:
    assert backup.created_ms_of(backup.file_name(NOW_MS)) == NOW_MS
    for other in ("zmart-20270115-080000.db.gz", "zmart-20279915-080000-123.db.gz", "zmart.db", "x" + "y" * 300):
        assert backup.created_ms_of(other) is None


async def test_a_stopped_backup_leaves_nothing(store: Store, tmp_path: Path) -> None:
    await store.write(fill)
    stop = threading.Event()
    stop.set()
    with pytest.raises(BackupFailed, match="stopped"):
        await asyncio.to_thread(backup.make_backup, store.path, tmp_path / "copies", NOW_MS, stop)
    assert list((tmp_path / "copies").iterdir()) == []


async def test_killed_before_any_of_its_steps_it_leaves_a_good_file_or_none(store: Store, tmp_path: Path) -> None:
    await store.write(fill)
    folder, step, left = tmp_path / "copies", 0, []
    while await asyncio.to_thread(killed_at, step, "backup", store.path, folder):
        folder.mkdir(exist_ok=True)
        backup.remove_partial_files(folder)
        files = backup.list_files(folder)
        assert [path.name for path in folder.iterdir()] == [each.file for each in files]
        for each in files:
            assert backup.check_backup(folder / each.file, tmp_path, never()).feed_head == ROWS
            (folder / each.file).unlink()
        left.append(len(files))
        step += 1
    assert left == sorted(left)
    assert step > 10
    assert len(backup.list_files(folder)) == 1


async def test_a_full_disk_is_said_before_anything_is_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "SPACE_SLACK_BYTES", 2**60)
    with pytest.raises(BackupFailed, match="MiB are free"):
        backup.make_backup(store.path, tmp_path / "copies", NOW_MS, never())
    assert list((tmp_path / "copies").iterdir()) == []


WITHOUT_ROOM = """
import resource, signal, sys, threading
from pathlib import Path
from zmart_lite.errors import BackupFailed
from zmart_lite.store.engine import backup
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    backup.make_backup(Path(sys.argv[1]), Path(sys.argv[2]), 1_800_000_000_123, threading.Event())
except BackupFailed:
    sys.exit(7)
"""


@pytest.mark.parametrize("room_bytes", [100_000, 3_000_000])
async def test_a_disk_that_fills_up_on_the_way_leaves_nothing(store: Store, tmp_path: Path, room_bytes: int) -> None:
    """At the beginning of the copy, and towards its end."""
    await store.write(lambda tx: fill_with_noise(tx, 2_500_000))
    arguments = (str(store.path), str(tmp_path / "copies"), str(room_bytes))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WITHOUT_ROOM, *arguments)
    assert await process.wait() == 7
    assert list((tmp_path / "copies").iterdir()) == []


# Checking


@pytest.fixture
async def made(store: Store, tmp_path: Path) -> Path:
    await store.write(lambda tx: fill(tx, 2_000))
    return await pack(store, tmp_path)


async def pack(store: Store, tmp_path: Path) -> Path:
    found = await asyncio.to_thread(backup.make_backup, store.path, tmp_path / "copies", NOW_MS, never())
    return tmp_path / "copies" / found.file


def refused(packed: Path, words: str) -> None:
    with pytest.raises(BackupFailed, match=words):
        backup.check_backup(packed, packed.parent, never())
    assert [each.name for each in packed.parent.iterdir()] == [packed.name]


def change(packed: Path, folder: Path, *statements: str) -> None:
    connection = unpacked(packed, folder)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    packed.write_bytes(gzip.compress((folder / "unpacked.db").read_bytes()))


def test_a_torn_file_is_refused(made: Path) -> None:
    made.write_bytes(made.read_bytes()[:-1_000])
    refused(made, "not usable")


async def test_a_flipped_bit_is_refused(store: Store, tmp_path: Path) -> None:
    # In what repeats itself, a bit may change which of two equal pieces is repeated, and nothing else.
    await store.write(lambda tx: fill_with_noise(tx, 100_000))
    made = await pack(store, tmp_path)
    raw = bytearray(made.read_bytes())
    raw[len(raw) // 2] ^= 1
    made.write_bytes(raw)
    refused(made, "not usable|damaged")


def test_damaged_pages_are_refused(made: Path) -> None:
    raw = bytearray(gzip.decompress(made.read_bytes()))
    raw[-40_000:-30_000] = bytes(10_000)
    made.write_bytes(gzip.compress(bytes(raw)))
    refused(made, "damaged")


def test_a_gap_in_the_feed_is_refused(made: Path, tmp_path: Path) -> None:
    change(made, tmp_path, "DELETE FROM feed WHERE feed_offset = 1000")
    refused(made, "feed .* has gaps")


def test_a_pruned_feed_is_fine(made: Path, tmp_path: Path) -> None:
    change(made, tmp_path, "DELETE FROM feed WHERE feed_offset < 1000")
    assert backup.check_backup(made, tmp_path, never()).feed_oldest == 1_000


@pytest.mark.parametrize("version", ["9999", "0", "x"])
def test_another_schema_is_refused(made: Path, tmp_path: Path, version: str) -> None:
    change(made, tmp_path, f"UPDATE meta SET value = '{version}' WHERE key = 'schema_version'")
    refused(made, "schema version|not a database of zmart-lite")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db.gz"
    path.write_bytes(gzip.compress(b"something else" * 1_000))
    refused(path, "not a database|damaged")
    path.write_bytes(b"not even gzip")
    refused(path, "not usable")
