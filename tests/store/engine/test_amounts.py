"""Amounts as text: every digit, and the order of the numbers."""

import pytest

from zmart_lite.store.engine.amounts import u64_text
from zmart_lite.store.engine.db import Store


@pytest.mark.parametrize("value", [0, 1, 2**63 - 1, 2**63, 2**64 - 1])
async def test_amounts_keep_every_digit(store: Store, value: int) -> None:
    write = "INSERT INTO meta (key, value) VALUES ('amount', ?)"
    await store.write(lambda tx: tx.execute(write, (u64_text(value),)))
    text = await store.read(lambda tx: tx.value("SELECT value FROM meta WHERE key = 'amount'"))
    assert (int(text), len(text)) == (value, 20)


@pytest.mark.parametrize("value", [-1, 2**64])
def test_what_is_no_u64_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="not a u64"):
        u64_text(value)


def test_texts_of_amounts_are_ordered_like_amounts() -> None:
    values = [0, 9, 10, 99, 10**18, 2**63, 2**64 - 1]
    assert sorted(map(u64_text, reversed(values))) == [u64_text(value) for value in values]
