"""Reading: one consistent state, never a write, never longer than allowed."""

import asyncio
import threading
from pathlib import Path
from typing import cast

import pytest

from tests.store.units import add_wallet, count
from zmart_lite.errors import Conflict, ReadTooLong, StoreUnavailable
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.state import markets


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

    reading = asyncio.get_running_loop().create_task(store.read(read_twice))
    await asyncio.to_thread(begun.wait, 10)
    await store.write(lambda tx: add_wallet(tx, 2))
    go.set()
    assert await reading == (1, 1)
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

    reading = asyncio.get_running_loop().create_task(store.read(occupy))
    await asyncio.to_thread(begun.wait, 10)
    with pytest.raises(ReadTooLong):
        await store.read(read_long, timeout_s=0.02)
    # What is short does not wait for what is long.
    assert await store.read(count, timeout_s=0.02) == 0
    waiting = asyncio.get_running_loop().create_task(store.read(read_long, timeout_s=60))
    go.set()
    assert (await reading, await waiting) == ("read", 100_000)
    await store.close()
