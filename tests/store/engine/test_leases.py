"""One holder at a time, and nothing that an older one still writes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from zmart_lite.errors import LeaseLost
from zmart_lite.store.engine import leases
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.engine.leases import HELD, FencedStore, Lease

TTL_MS = 60_000


class Wall:
    now_ms = 1_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
async def store(tmp_path: Path, wall: Wall) -> AsyncIterator[Store]:
    store = await Store(tmp_path / "zmart.db", now_ms=wall).open()
    yield store
    await store.close()


async def take(store: Store, holder: str) -> Lease | None:
    return await store.write(lambda tx: leases.take_lease(tx, "job:monitor", holder, TTL_MS))


async def test_a_lease_is_one_holders_until_it_expires_or_is_given_back(store: Store, wall: Wall) -> None:
    first = await take(store, "a")
    assert first == Lease("job:monitor", "a", 1)
    assert await take(store, "b") is None
    wall.now_ms += TTL_MS
    second = await take(store, "b")
    assert second == Lease("job:monitor", "b", 2)
    await store.write(lambda tx: leases.release_lease(tx, second))
    assert await take(store, "a") == Lease("job:monitor", "a", 3)


async def test_renewing_keeps_it_and_fails_once_it_is_gone(store: Store, wall: Wall) -> None:
    first = await take(store, "a")
    assert first is not None
    wall.now_ms += TTL_MS - 1
    assert await store.write(lambda tx: leases.renew_lease(tx, first, TTL_MS))
    wall.now_ms += TTL_MS - 1
    assert await take(store, "b") is None
    wall.now_ms += 1
    assert await take(store, "b") is not None
    assert not await store.write(lambda tx: leases.renew_lease(tx, first, TTL_MS))


async def test_writes_of_an_older_token_are_refused_and_leave_no_trace(store: Store, wall: Wall) -> None:
    fenced, first = FencedStore(store), await take(store, "a")

    def unit(tx: Tx) -> int:
        return tx.execute("INSERT INTO jobs (name) VALUES ('x')")

    token = HELD.set(first)
    wall.now_ms += TTL_MS
    await take(store, "b")
    with pytest.raises(LeaseLost):
        await fenced.write(unit)
    assert await fenced.read(lambda tx: tx.value("SELECT count(*) FROM jobs")) == 0
    HELD.reset(token)
    assert await fenced.write(unit) == 1


async def test_what_an_earlier_process_held_ends_with_it(store: Store) -> None:
    await take(store, "a")
    await store.write(leases.release_all)
    assert await take(store, "b") == Lease("job:monitor", "b", 2)
