"""The keys of wallets that the writer remembers are those that are committed."""

from collections.abc import Callable

import pytest

from tests.gate import behind_gate
from zmart_lite.errors import Conflict, StoreUnavailable
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.engine.tx import Shared
from zmart_lite.store.state import markets


def key_of(number: int) -> Callable[[Tx], int]:
    return lambda tx: markets.wallet_key(tx, number.to_bytes(32, "big"))


def keys_of(*numbers: int) -> Callable[[Tx], list[int | None]]:
    addresses = [number.to_bytes(32, "big") for number in numbers]
    return lambda tx: [markets.wallet_keys(tx, addresses).get(address) for address in addresses]


async def test_known_wallets_are_not_looked_up_again(store: Store) -> None:
    asked: list[str] = []
    first = await store.write(key_of(1))
    assert await store.write(keys_of(1, 2)) == [first, None]
    second = await store.write(key_of(2))
    assert await store.write(keys_of(1, 2)) == [first, second]
    await store.on_writer(lambda connection: connection.set_trace_callback(asked.append))
    assert await store.write(keys_of(1, 2)) == [first, second]
    assert [sql for sql in asked if "wallets" in sql] == []


async def test_the_key_of_a_wallet_that_was_taken_back_is_forgotten(store: Store) -> None:
    def fails(tx: Tx) -> None:
        key_of(1)(tx)
        assert keys_of(1)(tx) != [None]
        raise Conflict("no", reason="wrong_state")

    with pytest.raises(Conflict):
        await store.write(fails)
    assert await store.write(keys_of(1)) == [None]
    outcomes = await behind_gate(store, key_of(2), fails, keys_of(1, 2))
    assert outcomes[2] == [None, outcomes[0]]


async def test_the_keys_of_a_commit_that_fails_are_forgotten(store: Store) -> None:
    def fails_at_the_end(tx: Tx) -> None:
        key_of(1)(tx)
        keys_of(1)(tx)
        tx.execute("PRAGMA defer_foreign_keys = ON")
        tx.execute("INSERT INTO tallies (market, kind) VALUES (99, 0)")

    with pytest.raises(StoreUnavailable):
        await store.write(fails_at_the_end)
    assert await store.write(keys_of(1)) == [None]


async def test_only_so_many_wallets_are_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markets, "WALLETS_KNOWN_MAX", 3)
    shared = Shared(lambda: False, {})
    keys = [await store.write(key_of(number)) for number in range(9)]
    for number in range(9):
        found = await store.on_writer(lambda connection, n=number: keys_of(n)(Tx(connection, 0, shared=shared)))
        assert found == [keys[number]]
        assert len(shared.wallet_keys) <= markets.WALLETS_KNOWN_MAX + 1
