"""The store's promises: one commit for many units, durable when answered, nothing left of what failed."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from tests.gate import Gate, behind_gate
from tests.store.units import add_wallet, count
from zmart_lite.errors import Conflict, StartupError, StoreUnavailable
from zmart_lite.models import FeedMessage
from zmart_lite.store.engine.db import GROUP_UNITS_MAX, Store, Tx

REPOSITORY = Path(__file__).parents[3]


# One commit for many


async def test_what_a_unit_returns_is_returned(store: Store) -> None:
    assert await store.write(lambda tx: add_wallet(tx, 7)) == 7
    assert await store.read(count) == 1


async def test_units_that_wait_together_share_a_commit(tmp_path: Path) -> None:
    groups: list[int] = []
    store = await Store(tmp_path / "zmart.db", on_group=lambda units, seconds: groups.append(units)).open()
    results = await behind_gate(store, *(lambda tx, n=n: add_wallet(tx, n) for n in range(20)))
    assert results == list(range(20))
    assert groups == [1, 20]
    await store.close()


async def test_a_commit_holds_a_bounded_number_of_units(tmp_path: Path) -> None:
    groups: list[int] = []
    store = await Store(tmp_path / "zmart.db", on_group=lambda units, seconds: groups.append(units)).open()
    await behind_gate(store, *(lambda tx, n=n: add_wallet(tx, n) for n in range(GROUP_UNITS_MAX + 5)))
    assert groups == [1, GROUP_UNITS_MAX, 5]
    await store.close()


async def test_a_unit_learns_whether_others_wait_for_it(store: Store) -> None:
    def asks(tx: Tx) -> bool:
        return tx.is_awaited()

    assert await store.write(asks) is False
    assert await behind_gate(store, asks, asks) == [True, True]


async def test_a_unit_learns_of_one_that_comes_while_it_runs(store: Store) -> None:
    asked, told = threading.Event(), threading.Event()

    def asks_twice(tx: Tx) -> tuple[bool, bool]:
        before = tx.is_awaited()
        asked.set()
        assert told.wait(10)
        return before, tx.is_awaited()

    first = asyncio.get_running_loop().create_task(store.write(asks_twice))
    await asyncio.to_thread(asked.wait, 10)
    second = asyncio.get_running_loop().create_task(store.write(count))
    await asyncio.sleep(0)
    told.set()
    assert await first == (False, True)
    assert await second == 0


async def test_a_failing_unit_leaves_nothing_and_takes_no_other_with_it(store: Store) -> None:
    def fails(tx: Tx) -> None:
        add_wallet(tx, 2)
        tx.publish("trade", {})
        raise Conflict("no", reason="wrong_state")

    def breaks_a_rule(tx: Tx) -> None:
        add_wallet(tx, 3)
        add_wallet(tx, 1)

    first, second, third, fourth, fifth = await behind_gate(
        store,
        lambda tx: add_wallet(tx, 1),
        fails,
        breaks_a_rule,
        lambda tx: tx.execute("SELECT * FROM nowhere"),
        lambda tx: add_wallet(tx, 5),
    )
    assert (first, fifth) == (1, 5)
    assert isinstance(second, Conflict)
    assert isinstance(third, sqlite.IntegrityError)
    assert isinstance(fourth, sqlite.OperationalError)
    found = await store.read(lambda tx: [row["address"][-1] for row in tx.all("SELECT address FROM wallets")])
    assert found == [1, 5]
    assert await store.read(lambda tx: tx.value("SELECT count(*) FROM feed")) == 0
    assert store.failed is None


async def test_a_caller_who_left_takes_nobody_with_him(store: Store) -> None:
    gate = Gate()
    holding = await gate.close(store)
    loop = asyncio.get_running_loop()
    left, stayed = (loop.create_task(store.write(lambda tx, n=n: add_wallet(tx, n))) for n in (1, 2))
    await asyncio.sleep(0)
    left.cancel()
    gate.go.set()
    await holding
    assert await stayed == 2
    assert left.cancelled() or await asyncio.wait([left])


# The feed


async def test_messages_go_out_after_the_commit_and_in_their_order(tmp_path: Path) -> None:
    told: list[FeedMessage] = []
    committed: list[int] = []
    path = tmp_path / "zmart.db"

    def on_commit(messages: list[FeedMessage]) -> None:
        with sqlite.connect(path) as other:
            committed.append(other.execute("SELECT count(*) FROM feed").fetchone()[0])
        told.extend(messages)

    store = await Store(path, on_commit=on_commit).open()

    def publish(tx: Tx, number: int) -> None:
        tx.publish("trade", {"n": number}, market_id=bytes(32), listed=False)
        tx.publish("price", {"n": number})
        if number == 1:
            raise Conflict("no", reason="wrong_state")

    await behind_gate(store, *(lambda tx, n=n: publish(tx, n) for n in range(3)))
    assert [message.data for message in told] == ['{"n":0}', '{"n":0}', '{"n":2}', '{"n":2}']
    assert [message.offset for message in told] == sorted({message.offset for message in told})
    assert committed == [4]
    first = told[0]
    assert (first.type, first.market_id, first.listed, first.state_changed) == ("trade", bytes(32), False, False)
    await store.close()


async def test_a_listener_that_fails_does_not_stop_the_writer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: object) -> None:
        raise ValueError("listener")

    store = await Store(tmp_path / "zmart.db", on_commit=fails).open()
    await store.write(lambda tx: tx.publish("trade", {}))
    assert await store.write(lambda tx: add_wallet(tx, 1)) == 1
    assert "a listener of the store failed" in caplog.text
    await store.close()


# Durability

WRITER = """
import asyncio, sys
from pathlib import Path
from zmart_lite.store.engine.db import Store

async def main():
    store = await Store(Path(sys.argv[1])).open()
    async def write(lane):
        for n in range(100_000):
            number = n * 8 + lane
            await store.write(lambda tx: tx.execute(
                "INSERT INTO wallets (address, first_seen_ms) VALUES (?, 0)", (number.to_bytes(32, "big"),)))
            sys.stdout.write(f"{number}\\n")
            sys.stdout.flush()
    await asyncio.gather(*(write(lane) for lane in range(8)))

asyncio.run(main())
"""


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "zmart.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    seen = b"".join([await process.stdout.readline() for _ in range(300)])
    process.send_signal(signal.SIGKILL)
    seen += await process.stdout.read()
    assert await process.wait() == -signal.SIGKILL
    acknowledged = {int(line) for line in seen.split(b"\n")[:-1]}
    assert len(acknowledged) >= 300
    store = await Store(path).open()
    rows = await store.read(lambda tx: tx.all("SELECT address FROM wallets"))
    assert acknowledged <= {int.from_bytes(row["address"], "big") for row in rows}
    assert await store.read(lambda tx: tx.value("PRAGMA integrity_check")) == "ok"
    await store.close()


async def test_every_commit_is_synchronous(store: Store) -> None:
    def settings(connection: sqlite.Connection) -> list[object]:
        names = ("synchronous", "journal_mode", "foreign_keys", "mmap_size")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await store.on_writer(settings) == [2, "wal", 1, 0]
    assert await store.read(lambda tx: tx.value("PRAGMA wal_autocheckpoint")) == 0


async def test_the_log_goes_back_into_the_database_every_128_mib_and_keeps_no_more_than_256(store: Store) -> None:
    def settings(connection: sqlite.Connection) -> list[int]:
        names = ("page_size", "wal_autocheckpoint", "journal_size_limit")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    page_bytes, pages, kept_bytes = await store.on_writer(settings)
    assert (page_bytes, page_bytes * pages, kept_bytes) == (8_192, 128 * 2**20, 256 * 2**20)


# A full disk


async def test_a_full_disk_fails_the_whole_group_and_the_store_recovers(store: Store) -> None:
    def limit(connection: sqlite.Connection, pages: int) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    pages = await store.read(lambda tx: int(tx.value("PRAGMA page_count")))
    await store.on_writer(lambda connection: limit(connection, pages + 4))
    results = await behind_gate(
        store,
        lambda tx: add_wallet(tx, 1),
        lambda tx: tx.publish("trade", "x" * 200_000),
        lambda tx: add_wallet(tx, 3),
    )
    assert all(isinstance(result, StoreUnavailable) for result in results)
    assert store.failed is not None
    assert "full" in store.failed
    assert await store.read(count) == 0
    await store.on_writer(lambda connection: limit(connection, 1_000_000))
    assert await store.write(lambda tx: add_wallet(tx, 4)) == 4
    assert store.failed is None
    assert await store.read(lambda tx: tx.value("SELECT count(*) FROM feed")) == 0


async def test_a_commit_that_fails_fails_every_unit_of_it(store: Store) -> None:
    """A lock that another connection holds longer than the busy timeout stands for any error of the disk."""
    await store.on_writer(lambda connection: connection.execute("PRAGMA busy_timeout = 10").fetchall())
    other = sqlite.connect(str(store.path), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    outcomes = await asyncio.gather(
        *(store.write(lambda tx, n=n: add_wallet(tx, n)) for n in range(3)), return_exceptions=True
    )
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    other.execute("ROLLBACK")
    other.close()
    assert await store.write(lambda tx: add_wallet(tx, 9)) == 9
    assert await store.read(count) == 1


# One process, one version


async def test_a_second_process_is_refused_with_what_to_do(store: Store) -> None:
    code = "import asyncio, sys; from pathlib import Path; from zmart_lite.store.engine.db import Store\n"
    code += "asyncio.run(Store(Path(sys.argv[1])).open())"
    result = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code, str(store.path)], cwd=REPOSITORY, capture_output=True, check=False
    )
    assert result.returncode == 1
    assert b"in use by another zmart-lite" in result.stderr
    with pytest.raises(StartupError, match="in use by another"):
        await Store(store.path).open()
    assert await store.write(lambda tx: add_wallet(tx, 1)) == 1


async def test_the_lock_is_free_after_closing(tmp_path: Path) -> None:
    for number in range(2):
        store = await Store(tmp_path / "zmart.db").open()
        await store.write(lambda tx, n=number: add_wallet(tx, n))
        assert await store.read(count) == number + 1
        await store.close()


async def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "zmart.db"
    store = await Store(path).open()
    await store.write(lambda tx: tx.execute("UPDATE meta SET value = '9999' WHERE key = 'schema_version'"))
    await store.close()
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(StartupError, match="9999"):
            await Store(path).open()
        assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "zmart.db"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(StartupError, match="cannot be opened"):
        await Store(path).open()
    assert path.read_bytes() == b"something else entirely" * 100
    path.unlink()
    await (await Store(path).open()).close()


async def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match="not writable"):
        await Store(tmp_path / "file" / "zmart.db").open()


async def test_a_failed_start_leaves_no_thread_and_no_open_file(tmp_path: Path) -> None:
    path = tmp_path / "zmart.db"
    path.write_bytes(b"something else entirely" * 100)
    threads, files = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(3):
        with pytest.raises(StartupError):
            await Store(path).open()
    for thread in set(threading.enumerate()) - threads:
        thread.join(10)
        assert not thread.is_alive()
    assert len(os.listdir("/proc/self/fd")) == files  # noqa: PTH208


# Closing


async def test_closing_finishes_what_waits_and_refuses_what_comes(tmp_path: Path) -> None:
    store = await Store(tmp_path / "zmart.db").open()
    gate = Gate()
    holding = await gate.close(store)
    loop = asyncio.get_running_loop()
    waiting = [loop.create_task(store.write(lambda tx, n=n: add_wallet(tx, n))) for n in range(GROUP_UNITS_MAX + 3)]
    await asyncio.sleep(0)
    closing = loop.create_task(store.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="stopping"):
        await store.write(lambda tx: add_wallet(tx, 1_000))
    gate.go.set()
    await closing
    assert holding.done()
    assert [await task for task in waiting] == list(range(GROUP_UNITS_MAX + 3))
    with pytest.raises(StoreUnavailable):
        await store.read(count)
    with pytest.raises(StoreUnavailable):
        await store.on_writer(lambda connection: None)
    store = await Store(tmp_path / "zmart.db").open()
    assert await store.read(count) == GROUP_UNITS_MAX + 3
    await store.close()


async def test_a_store_that_was_never_opened_can_be_closed(tmp_path: Path) -> None:
    store = Store(tmp_path / "zmart.db")
    await store.close()
    assert store.connections() == {"writer": 0, "reading": 0, "idle": 0}


# Bounds and options


async def test_a_full_queue_says_so_instead_of_growing(tmp_path: Path) -> None:
    store = await Store(tmp_path / "zmart.db", queue_max=3).open()
    gate = Gate()
    holding = await gate.close(store)
    loop = asyncio.get_running_loop()
    waiting = [loop.create_task(store.write(lambda tx, n=n: add_wallet(tx, n))) for n in range(3)]
    await asyncio.sleep(0)
    assert store.queue_length == 3
    with pytest.raises(StoreUnavailable, match="overloaded"):
        await store.write(lambda tx: add_wallet(tx, 9))
    gate.go.set()
    await holding
    assert [await task for task in waiting] == [0, 1, 2]
    await store.close()


async def test_readers_and_cache_are_as_asked_for(tmp_path: Path) -> None:
    store = await Store(tmp_path / "zmart.db", readers=2, cache_mb=5, writer_cache_mb=7).open()
    together = threading.Barrier(3)

    def meet(tx: Tx) -> int:
        together.wait(10)
        return int(tx.value("PRAGMA cache_size"))

    loop = asyncio.get_running_loop()
    reads = [loop.create_task(store.read(meet)) for _ in range(3)]
    await asyncio.to_thread(lambda: None)
    assert not any(read.done() for read in reads)
    await asyncio.to_thread(together.wait, 10)
    assert sum(read.done() for read in await finished(reads, 2)) == 2
    reset = asyncio.to_thread(together.wait, 10), asyncio.to_thread(together.wait, 10)
    await asyncio.gather(*reset)
    assert [await read for read in reads] == [-5 * 1_024] * 3
    assert await store.on_writer(lambda connection: connection.execute("PRAGMA cache_size").fetchone()[0]) == -7 * 1_024
    await store.close()


async def finished(tasks: list["asyncio.Task[int]"], number: int) -> list["asyncio.Task[int]"]:
    left = set(tasks)
    while len(tasks) - len(left) < number:
        _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
    return tasks


@pytest.mark.parametrize("value", [b"", bytes(range(256)) * 4_000, None, 0, -(2**63), "", "\0"])
async def test_values_come_back_as_they_went_in(store: Store, value: object) -> None:
    """Bytes and nothing go through adapters."""
    assert await store.read(lambda tx: tx.value("SELECT ?", (value,))) == value
    await store.write(lambda tx: tx.execute("CREATE TABLE kept (value ANY) STRICT"))
    await store.write(lambda tx: tx.execute_many("INSERT INTO kept VALUES (?)", [(value,)]))
    kind = {bytes: "blob", int: "integer", str: "text"}.get(type(value), "null")
    (row,) = await store.read(lambda tx: tx.all("SELECT value, typeof(value) AS kind FROM kept"))
    assert (row["value"], row["kind"]) == (value, kind)
