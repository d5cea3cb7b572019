"""Pages of a history that several nodes tell: no gap, no loop, whichever of them answers for which page."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.signature import Signature

from tests.chain.scripted_rpc import Reply, ScriptedRpc, Time, error, result, valued
from zmart_lite.chain.rpc import RetryPolicy, Rpc
from zmart_lite.errors import PlaceUnknown
from zmart_lite.indexer.history import Place, enter_history, pages
from zmart_lite.models import SignatureInfo
from zmart_lite.store.engine.db import Store

KEY, PAGE, LENGTH = bytes(32), 3, 10
NUMBERS = range(LENGTH, 0, -1)
"""The transactions, newest first; each is alone in the slot of its number."""


def signature(number: int) -> bytes:
    return bytes(63) + bytes([number])


def text(number: int) -> str:
    return str(Signature.from_bytes(signature(number)))


def infos(numbers: Sequence[int]) -> list[SignatureInfo]:
    return [SignatureInfo(signature(number), number, None, None, False) for number in numbers]


def teller(known: Sequence[int], newer_release: bool, asked: list[int]) -> Callable[[list[Any]], Reply]:
    """A node that has these transactions and answers as Agave 3 or 4 do."""

    def answer(params: list[Any]) -> Reply:
        before = params[1].get("before")
        place = None if before is None else Signature.from_string(before).to_bytes()[-1]
        if place is not None and place not in known:
            return error(-32020, f"Transaction {before} not found") if newer_release else result([])
        below = [number for number in known if place is None or number < place]
        asked.append(len(below))
        page = below[: params[1]["limit"]]
        return result([{"signature": text(number), "slot": number, "err": None} for number in page])

    return answer


def status_teller(known: Sequence[int]) -> Callable[[list[Any]], Reply]:
    def answer(params: list[Any]) -> Reply:
        numbers = [Signature.from_string(each).to_bytes()[-1] for each in params[0]]
        final = {"confirmations": None, "err": None, "confirmationStatus": "finalized"}
        return valued([final | {"slot": number} if number in known else None for number in numbers])

    return answer


@pytest.fixture
async def servers() -> AsyncIterator[list[ScriptedRpc]]:
    async with ScriptedRpc() as first, ScriptedRpc() as second:
        yield [first, second]


@pytest.mark.parametrize("newer_release", [True, False])
async def test_a_page_of_one_node_is_continued_on_another(
    servers: list[ScriptedRpc], tmp_path: Path, newer_release: bool
) -> None:
    """The first breaks off after its first page; the second does not know yet what that page ended with."""
    first, second, time = *servers, Time()
    asked: list[int] = []
    whole = teller(NUMBERS, newer_release, asked)
    first.on("getSignaturesForAddress", whole, Reply(b"", 503), Reply(b"", 503), whole)
    first.on("getSignatureStatuses", Reply(b"", 503), status_teller(NUMBERS))
    second.on("getSignaturesForAddress", teller(range(5, 0, -1), newer_release, asked))
    second.on("getSignatureStatuses", status_teller(range(5, 0, -1)))
    store = await Store(tmp_path / "zmart.db").open()
    policy = RetryPolicy(timeout_s=5)
    try:
        async with Rpc([first.url, second.url], policy, sleep=time.sleep, monotonic=time.monotonic) as rpc:
            entered = await enter_history(store, rpc, KEY, floor=0, page_size=PAGE)
        slots = await store.read(lambda tx: [row["slot"] for row in tx.all("SELECT slot FROM inbox ORDER BY slot")])
    finally:
        await store.close()
    if entered.reached is not None:
        # Everything down to the floor was seen; what the slower node lacks it did not pretend to have read.
        assert slots == list(range(1, entered.reached + 1))
    assert slots[-PAGE:] == [8, 9, 10]


class Nodes:
    """Answers of several nodes: each knows the history up to a tip of its own, and one after the other is asked."""

    def __init__(self, tips: Sequence[int], order: Sequence[int]) -> None:
        self.tips, self.order, self.calls = tips, order, 0

    async def get_signatures(self, _: bytes, *, before: bytes | None = None, limit: int) -> list[SignatureInfo]:
        tip = self.tips[self.order[self.calls % len(self.order)]]
        self.calls += 1
        place = None if before is None else before[-1]
        if place is not None and place > tip:
            raise PlaceUnknown("Transaction … not found", -32020)
        return infos([number for number in range(tip, 0, -1) if place is None or number < place][:limit])


@given(st.lists(st.integers(0, LENGTH), min_size=1, max_size=3), st.data())
async def test_whoever_answers_no_page_is_skipped_and_none_comes_for_ever(tips: list[int], data: st.DataObject) -> None:
    order = data.draw(st.lists(st.integers(0, len(tips) - 1), min_size=1, max_size=6))
    nodes = Nodes(tips, order)
    seen: list[int] = []
    try:
        async for page in pages(nodes, KEY, floor=3, page_size=PAGE):  # type: ignore[arg-type]
            seen += [info.slot for info in page.rows]
    except PlaceUnknown:
        pass
    else:
        assert seen == list(range(seen[0] if seen else 2, 2, -1))
    assert nodes.calls <= LENGTH
    assert sorted(seen, reverse=True) == seen


async def test_a_page_that_begins_at_the_tip_again_is_noticed() -> None:
    nodes = Nodes([LENGTH], [0])
    below = Place(signature(4), 4)
    nodes.get_signatures = lambda *_, **__: _of(infos([10, 9, 8]))  # type: ignore[method-assign]
    with pytest.raises(PlaceUnknown):
        async for _ in pages(nodes, KEY, floor=0, below=below, page_size=PAGE):  # type: ignore[arg-type]
            pass


async def _of(page: list[SignatureInfo]) -> list[SignatureInfo]:
    return page
