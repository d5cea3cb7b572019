"""Nonces, tickets, revoked tokens and exact sums."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from zmart_lite.store.engine.db import Store
from zmart_lite.store.state import people
from zmart_lite.store.views import holdings

ALICE, BOB = bytes([1]) * 32, bytes([2]) * 32
NOW_MS = 1_000_000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store(tmp_path / "zmart.db", now_ms=lambda: NOW_MS).open()
    yield opened
    await opened.close()


@pytest.mark.parametrize(("bound", "expires_ms", "taker", "good"), [
    (None, NOW_MS + 1, ALICE, True),
    (ALICE, NOW_MS + 1, ALICE, True),
    (ALICE, NOW_MS + 1, BOB, False),
    (None, NOW_MS, ALICE, False),
])  # fmt: skip
async def test_nonce(store: Store, bound: bytes | None, expires_ms: int, taker: bytes, good: bool) -> None:
    await store.write(lambda tx: people.add_nonce(tx, "n", bound, expires_ms))
    assert await store.write(lambda tx: people.take_nonce(tx, "n", taker)) is good
    assert await store.write(lambda tx: people.take_nonce(tx, "n", taker)) is False


async def test_nonce_is_taken_once_by_many(store: Store) -> None:
    await store.write(lambda tx: people.add_nonce(tx, "n", None, NOW_MS + 1))
    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(store.write(lambda tx: people.take_nonce(tx, "n", ALICE))) for _ in range(20)]
    assert sum(attempt.result() for attempt in tries) == 1


async def test_ticket(store: Store) -> None:
    session = people.Session(ALICE, "jti", NOW_MS + 1)
    await store.write(lambda tx: people.add_ticket(tx, b"h" * 32, session, NOW_MS + 1))
    assert await store.write(lambda tx: people.take_ticket(tx, b"x" * 32)) is None
    assert await store.write(lambda tx: people.take_ticket(tx, b"h" * 32)) == session
    assert await store.write(lambda tx: people.take_ticket(tx, b"h" * 32)) is None


async def test_revocation_is_idempotent(store: Store) -> None:
    for _ in range(2):
        await store.write(lambda tx: people.revoke_token(tx, "jti", NOW_MS + 1))
    assert await store.read(lambda tx: people.is_revoked(tx, "jti"))
    assert not await store.read(lambda tx: people.is_revoked(tx, "other"))


@pytest.mark.parametrize("amounts", [[], [0], [2**64 - 1] * 5, [10**10, 10**10 - 1, 1], [999, 2**63, 12_345_678_901]])
async def test_sums_are_exact(store: Store, amounts: list[int]) -> None:
    def unit(tx: people.Tx) -> int:
        tx.execute("CREATE TEMP TABLE amounts (amount TEXT)")
        tx.execute_many("INSERT INTO amounts VALUES (?)", [(f"{amount:020d}",) for amount in amounts])
        total = people.sum_of(tx.one(f"SELECT {people.exact_sum('amount')} FROM amounts"))
        tx.execute("DROP TABLE amounts")
        return total

    assert await store.write(unit) == sum(amounts)


async def test_unknown_wallet(store: Store) -> None:
    assert await store.read(lambda tx: people.wallet_counts(tx, ALICE)) == people.WalletCounts()
    assert await store.read(lambda tx: holdings.earnings(tx, ALICE)) == holdings.Earnings()
