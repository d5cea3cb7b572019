"""A copy takes the place of the database: whole, once, and without old sessions or offsets coming to life again."""

import asyncio
import sys
import threading
from pathlib import Path

import pytest

from tests.store.copies import killed_at
from zmart_lite.errors import BackupFailed, DatabaseInUse
from zmart_lite.store.engine import backup
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.engine.restore import FEED_JUMP, REPLACED_KEPT, RESTORED_KEY, restore
from zmart_lite.store.log import chainlog, feed
from zmart_lite.store.log.feed import FeedFilter
from zmart_lite.store.state import people

NOW_MS = 1_800_000_000_000
ALICE = bytes([1]) * 32


def never() -> threading.Event:
    return threading.Event()


def open_store(path: Path) -> Store:
    return Store(path, now_ms=lambda: NOW_MS)


async def copy_of(store: Store, folder: Path) -> Path:
    made = await asyncio.to_thread(backup.make_backup, store.path, folder, NOW_MS, never())
    return folder / made.file


def before_the_copy(tx: Tx) -> None:
    for number in range(10):
        tx.publish("trade", {"number": number})
    people.add_nonce(tx, "used later", None, NOW_MS + 1_000)
    people.add_ticket(tx, b"h" * 32, people.Session(ALICE, "j", NOW_MS + 1_000), NOW_MS + 1_000)
    chainlog.set_cursor(tx, ALICE, 700)
    for job in ("poll", "reconcile", "monitor"):
        tx.execute("INSERT INTO job_runs (job, started_ms, finished_ms, result) VALUES (?, 1, 2, 'ok')", (job,))


def after_the_copy(tx: Tx) -> None:
    for number in range(5):
        tx.publish("trade", {"number": number})
    people.revoke_token(tx, "ended", NOW_MS + 1_000)
    chainlog.set_cursor(tx, ALICE, 900)


@pytest.fixture
async def replaced(tmp_path: Path) -> tuple[Path, Path]:
    """(database, copy): a closed database that went on after its copy was made."""
    store = await open_store(tmp_path / "zmart.db").open()
    await store.write(before_the_copy)
    packed = await copy_of(store, tmp_path / "copies")
    await store.write(after_the_copy)
    await store.close()
    return store.path, packed


async def test_the_state_of_the_copy_comes_back_and_the_former_database_is_kept(replaced: tuple[Path, Path]) -> None:
    database, packed = replaced
    restored = await asyncio.to_thread(restore, database, packed, NOW_MS, never())
    assert restored.contents.feed_head == 10
    assert restored.replaced == database.with_name(f"zmart.db.replaced-{NOW_MS}")
    for path, cursor in ((database, 700), (restored.replaced, 900)):
        store = await open_store(path).open()
        assert await store.read(lambda tx: chainlog.find_cursor(tx, ALICE)) == cursor
        await store.close()
    beside = {path.name for path in database.parent.iterdir() if path.is_file()}
    assert beside == {
        "zmart.db",
        "zmart.db.lock",
        f"zmart.db.replaced-{NOW_MS}",
        f"zmart.db.replaced-{NOW_MS}.lock",
    }


async def test_of_former_databases_the_newest_are_kept(replaced: tuple[Path, Path]) -> None:
    database, packed = replaced
    stranger = database.with_name("zmart.db.replaced-by-me")
    stranger.write_text("not ours")
    kept = []
    for number in range(REPLACED_KEPT + 2):
        done = await asyncio.to_thread(restore, database, packed, NOW_MS + number, never())
        assert done.replaced is not None
        kept.append(done.replaced)
        gone = kept[:-REPLACED_KEPT][-1:]
        assert done.removed == gone
        assert [path for path in kept if path.exists()] == kept[-REPLACED_KEPT:]
    assert stranger.exists()


async def test_no_offset_is_given_twice_and_old_clients_are_told_to_reload(replaced: tuple[Path, Path]) -> None:
    database, packed = replaced
    await asyncio.to_thread(restore, database, packed, NOW_MS, never())
    store = await open_store(database).open()
    oldest = await store.read(feed.oldest_offset)
    assert oldest == 15 + FEED_JUMP
    assert await store.write(lambda tx: tx.publish("trade", {})) == oldest + 1
    everything = (FeedFilter("all", ("trade", "vote", "price", "market_state", "alert")),)
    found = await store.read(lambda tx: feed.list_feed(tx, everything, after=0, limit=100))
    assert [message.offset for message in found] == [oldest + 1]
    again = await copy_of(store, database.parent / "copies")
    await store.close()
    assert backup.check_backup(again, database.parent, never()).feed_oldest == oldest


async def test_what_was_used_up_or_ended_stays_so(replaced: tuple[Path, Path]) -> None:
    database, packed = replaced
    await asyncio.to_thread(restore, database, packed, NOW_MS, never())
    store = await open_store(database).open()
    assert await store.read(lambda tx: people.is_revoked(tx, "ended"))
    assert not await store.write(lambda tx: people.take_nonce(tx, "used later", ALICE))
    assert await store.write(lambda tx: people.take_ticket(tx, b"h" * 32)) is None
    await store.close()


async def test_what_reads_the_chain_is_due_at_the_next_start(replaced: tuple[Path, Path]) -> None:
    database, packed = replaced
    await asyncio.to_thread(restore, database, packed, NOW_MS, never())
    store = await open_store(database).open()
    jobs = await store.read(lambda tx: [row["job"] for row in tx.all("SELECT DISTINCT job FROM job_runs")])
    assert jobs == ["monitor"]
    assert await store.read(lambda tx: chainlog.find_meta(tx, RESTORED_KEY)) == str(NOW_MS)
    await store.close()


async def test_not_while_a_node_has_the_database(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "zmart.db").open()
    packed = await copy_of(store, tmp_path / "copies")
    with pytest.raises(DatabaseInUse):
        restore(store.path, packed, NOW_MS, never())
    await store.write(lambda tx: tx.publish("trade", {}))
    await store.close()


async def test_a_bad_copy_changes_nothing(replaced: tuple[Path, Path]) -> None:
    database, packed = replaced
    packed.write_bytes(packed.read_bytes()[:-500])
    before = database.read_bytes()
    with pytest.raises(BackupFailed):
        restore(database, packed, NOW_MS, never())
    assert database.read_bytes() == before
    assert {path.name for path in database.parent.iterdir() if path.is_file()} == {"zmart.db", "zmart.db.lock"}


async def test_where_there_was_no_database(replaced: tuple[Path, Path], tmp_path: Path) -> None:
    _, packed = replaced
    elsewhere = tmp_path / "new" / "zmart.db"
    assert (await asyncio.to_thread(restore, elsewhere, packed, NOW_MS, never())).replaced is None
    store = await open_store(elsewhere).open()
    assert await store.read(lambda tx: chainlog.find_cursor(tx, ALICE)) == 700
    await store.close()


def damage(database: Path) -> Path:
    """No database any more, and something beside it that looks like its log: that file."""
    database.write_bytes(b"no database at all" * 1_000)
    log = Path(f"{database}-wal")
    log.write_bytes(b"what is left of a log")
    return log


def begins_damaged(path: Path) -> bool:
    return path.read_bytes().startswith(b"no database at all")


async def test_a_damaged_database_is_replaced_with_its_log(replaced: tuple[Path, Path]) -> None:
    database, packed = replaced
    log = damage(database)
    restored = await asyncio.to_thread(restore, database, packed, NOW_MS, never())
    assert restored.replaced is not None
    assert (begins_damaged(restored.replaced), begins_damaged(database), log.exists()) == (True, False, False)
    store = await open_store(database).open()
    assert await store.read(feed.oldest_offset) == 10 + FEED_JUMP
    await store.close()


def size_of_log(database: Path) -> int:
    return Path(f"{database}-wal").stat().st_size


async def test_commits_in_the_log_of_a_killed_node_are_kept_with_the_former_database(tmp_path: Path) -> None:
    database = tmp_path / "zmart.db"
    code = (
        "import asyncio, os, sys\nfrom pathlib import Path\nfrom zmart_lite.store.engine.db import Store\n"
        "async def main():\n"
        "    store = await Store(Path(sys.argv[1])).open()\n"
        "    await store.write(lambda tx: tx.publish('trade', {}))\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(database))
    assert await process.wait() == -9
    assert size_of_log(database)
    other = await open_store(tmp_path / "other.db").open()
    packed = await copy_of(other, tmp_path / "copies")
    await other.close()
    replaced = (await asyncio.to_thread(restore, database, packed, NOW_MS, never())).replaced
    assert replaced is not None
    former = await open_store(replaced).open()
    assert await former.read(feed.feed_head) == 1
    await former.close()


async def test_killed_before_any_of_its_steps_the_database_is_the_old_or_the_new_one(
    replaced: tuple[Path, Path],
) -> None:
    database, packed = replaced
    before, step, found = database.read_bytes(), 0, []
    while await asyncio.to_thread(killed_at, step, "restore", database, packed):
        store = await open_store(database).open()
        found.append(await store.read(lambda tx: chainlog.find_cursor(tx, ALICE)))
        await store.close()
        database.write_bytes(before)
        step += 1
    assert found[0] == 900
    assert set(found) <= {900, 700}
    assert found == sorted(found, reverse=True)
    assert step > 5
    assert not list(database.parent.glob("*.restoring*"))
