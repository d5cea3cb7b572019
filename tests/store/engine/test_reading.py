"""Reading: one consistent state, never a write, never longer than allowed."""

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from pysqlite3 import dbapi2 as sqlite

from tests.store.units import add_wallet, count
from zmart_lite.errors import Conflict, ReadTooLong, StoreUnavailable
from zmart_lite.store.engine import reading
from zmart_lite.store.engine.connections import PAGE_BYTES, connector
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.engine.reading import READ_AT_ONCE_STEPS, READ_STEPS, run_read
from zmart_lite.store.state import markets

EVIDENCE = "INSERT INTO evidence (cid, content, created_ms) VALUES (?, ?, ?)"


async def test_a_read_cannot_write(store: Store) -> None:
    with pytest.raises(StoreUnavailable, match="readonly"):
        await store.read(lambda tx: add_wallet(tx, 1))
    assert await store.read(count) == 0


async def test_a_read_sees_one_state_however_long_it_takes(store: Store) -> None:
    await store.write(lambda tx: add_wallet(tx, 1))
    begun, go = threading.Event(), threading.Event()

    def read_twice(tx: Tx) -> tuple[int, int]:
        first = count(tx)
        begun.set()
        assert go.wait(10)
        return first, count(tx)

    running = asyncio.get_running_loop().create_task(store.read(read_twice))
    await asyncio.to_thread(begun.wait, 10)
    await store.write(lambda tx: add_wallet(tx, 2))
    go.set()
    assert await running == (1, 1)
    assert await store.read(count) == 2


async def test_what_a_read_raises_is_raised_and_the_reader_goes_on(store: Store) -> None:
    def fails(_: Tx) -> None:
        raise KeyError("x")

    for _ in range(5):
        with pytest.raises(KeyError):
            await store.read(fails)
    with pytest.raises(StoreUnavailable):
        await store.read(lambda tx: tx.all("SELECT * FROM nowhere"))
    assert await store.read(count) == 0


async def test_times_are_the_clocks(tmp_path: Path) -> None:
    store = await Store(tmp_path / "zmart.db", now_ms=lambda: 123).open()
    assert await store.write(lambda tx: tx.now_ms) == 123
    assert await store.read(lambda tx: tx.now_ms) == 123
    await store.close()


ENDLESS = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) SELECT max(n) FROM numbers"


async def test_a_read_is_stopped_at_its_time_limit_and_the_reader_goes_on(tmp_path: Path) -> None:
    store = await Store(tmp_path / "zmart.db", readers=1).open()
    for _ in range(2):
        async with asyncio.timeout(5):
            with pytest.raises(ReadTooLong):
                await store.read(lambda tx: tx.value(ENDLESS), timeout_s=0.05)
    # The limit was that reading's: neither a later one nor one without a limit is stopped by it.
    long = ENDLESS.replace("FROM numbers)", "FROM numbers WHERE n < 300000)")
    assert await store.read(lambda tx: tx.value(long), timeout_s=60) == 300_000
    assert await store.read(lambda tx: tx.value(long)) == 300_000
    await store.close()


async def test_a_long_reading_begins_again_in_a_thread(tmp_path: Path) -> None:
    store = await Store(tmp_path / "zmart.db").open()
    threads: list[int] = []

    def run(tx: Tx) -> int:
        threads.append(threading.get_ident())
        return cast(int, tx.value(ENDLESS.replace("FROM numbers)", "FROM numbers WHERE n < 100000)")))

    assert await store.read(run, timeout_s=60) == 100_000
    assert threads[0] == threading.get_ident() != threads[1]
    await store.write(lambda tx: markets.wallet_key(tx, bytes(32)))
    assert await store.read(count, timeout_s=60) == 1

    def refuse(_: Tx) -> None:
        raise Conflict("no", reason="wrong_state")

    with pytest.raises(Conflict):
        await store.read(refuse, timeout_s=60)
    assert await store.read(count, timeout_s=60) == 1
    await store.close()


async def test_waiting_for_a_reader_is_part_of_the_time(tmp_path: Path) -> None:
    store = await Store(tmp_path / "zmart.db", readers=1).open()
    begun, go = threading.Event(), threading.Event()

    def occupy(_: Tx) -> str:
        begun.set()
        assert go.wait(10)
        return "read"

    def read_long(tx: Tx) -> int:
        return cast(int, tx.value(ENDLESS.replace("FROM numbers)", "FROM numbers WHERE n < 100000)")))

    running = asyncio.get_running_loop().create_task(store.read(occupy))
    await asyncio.to_thread(begun.wait, 10)
    with pytest.raises(ReadTooLong):
        await store.read(read_long, timeout_s=0.02)
    # What is short does not wait for what is long.
    assert await store.read(count, timeout_s=0.02) == 0
    waiting = asyncio.get_running_loop().create_task(store.read(read_long, timeout_s=60))
    go.set()
    assert (await running, await waiting) == ("read", 100_000)
    await store.close()


# What ends a reading is not under its limit

ROLLBACK_STEPS = 3
"""Steps that SQLite takes for a ROLLBACK. It counts those of a cached statement over all its runs, and asks the handler
of a limit at every so many: readings that are over their time are then stopped while they end."""


async def log_written_back(store: Store) -> bool:
    """Whether nobody holds an old snapshot: a checkpoint comes to the end of the log."""
    await store.write(lambda tx: markets.wallet_key(tx, b"x" * 32))
    _busy, frames, back = await store.on_writer(lambda bare: bare.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone())
    return bool(frames == back)


async def test_short_readings_that_are_over_their_time_leave_no_transaction_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "READ_AT_ONCE_S", 0.0)
    store = await Store(tmp_path / "zmart.db").open()
    for _ in range(2 * READ_AT_ONCE_STEPS // ROLLBACK_STEPS):
        assert await store.read(count, timeout_s=60) == 0
    assert await log_written_back(store)
    assert (await store.write_ahead()).waiting_bytes == 0
    await store.close()


async def test_readings_of_a_thread_that_are_over_their_time_leave_no_transaction_open(tmp_path: Path) -> None:
    connect = connector(tmp_path / "zmart.db", 1, False)
    store = await Store(tmp_path / "zmart.db").open()
    bare = connect()
    for _ in range(2 * READ_STEPS // ROLLBACK_STEPS):
        # Now and then it is the reading's own statement that is stopped.
        with suppress(sqlite.OperationalError):
            run_read(bare, count, 0, 0.0, READ_STEPS)
        assert not bare.in_transaction
    bare.close()
    await store.close()


async def test_a_connection_that_is_left_in_a_transaction_is_opened_anew(store: Store) -> None:
    def leave_open(bare: Any) -> str:
        bare.execute("BEGIN IMMEDIATE")
        bare.execute("INSERT INTO meta (key, value) VALUES ('left', 'open')")
        return "left"

    assert await store.on_writer(leave_open) == "left"
    assert await store.write(lambda tx: tx.value("SELECT value FROM meta WHERE key = 'left'")) is None
    assert await log_written_back(store)


async def test_the_age_of_the_oldest_reading_is_known(tmp_path: Path) -> None:
    store = await Store(tmp_path / "zmart.db", readers=2).open()
    assert (await store.write_ahead()).oldest_reading_s < 5
    begun, go = threading.Event(), threading.Event()

    def occupy(tx: Tx) -> int:
        found = count(tx)
        begun.set()
        assert go.wait(10)
        return found

    held = asyncio.get_running_loop().create_task(store.read(occupy))
    await asyncio.to_thread(begun.wait, 10)
    for number in range(20):
        await store.write(lambda tx, n=number: add_wallet(tx, n))  # type: ignore[misc]
    await store.on_writer(lambda bare: bare.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone())
    log = await store.write_ahead()
    assert log.oldest_reading_s > 0
    assert 0 < log.waiting_bytes <= log.size_bytes
    go.set()
    assert await held == 0
    await store.on_writer(lambda bare: bare.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone())
    assert (await store.write_ahead()).waiting_bytes == 0
    await store.close()


async def test_a_damaged_page_is_told_until_the_database_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "zmart.db"
    store = await Store(path).open()
    await store.write(lambda tx: tx.execute_many(EVIDENCE, [(f"c{n}", "x" * 900, n) for n in range(3_000)]))
    await store.close()
    pages = path.stat().st_size // PAGE_BYTES
    with path.open("r+b") as file:
        file.seek(pages // 2 * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES * (pages // 3)))
    store = await Store(path).open()
    assert store.failed is None
    with pytest.raises(StoreUnavailable, match="malformed"):
        await store.read(lambda tx: tx.all("SELECT * FROM evidence"), timeout_s=60)
    assert await store.read(count, timeout_s=60) == 0
    assert "is damaged" in (store.failed or "")
    await store.close()


async def test_a_statement_that_is_wrong_is_no_fault_of_the_database(store: Store) -> None:
    with pytest.raises(StoreUnavailable):
        await store.read(lambda tx: tx.all("SELECT * FROM nowhere"), timeout_s=60)
    assert store.failed is None
