"""The ballot box: votes that come together are written together, and none suffers for another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from tests.indexer.projection import CODEC, SETTINGS
from tests.store.market_rows import ALICE, BOB
from zmart_lite.errors import Conflict, NotFound, StoreUnavailable
from zmart_lite.models import VoteType
from zmart_lite.ops import Background, Metrics
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.publishing import ballot_box
from zmart_lite.store.publishing.ballot_box import BALLOTS_PER_UNIT_MAX, BallotBox
from zmart_lite.store.publishing.ballots import Ballot
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.state import markets
from zmart_lite.store.views.rows import MarketRef

MARKET_ID = bytes([1]) * 32
HERE, NOWHERE = MarketRef("market_id", MARKET_ID), MarketRef("market_id", bytes(32))


class Node:
    """A store with one proposal, and the units of work that each commit held."""

    def __init__(self, folder: Path) -> None:
        self.commits: list[int] = []
        self.store = Store(folder / "zmart.db", on_group=lambda units, _: self.commits.append(units))
        self.background = Background()
        self.box = BallotBox(self.store, lambda: FeedContext(SETTINGS, lambda: 0), self.background, Metrics())

    async def count(self) -> int:
        return await self.store.read(lambda tx: cast(int, tx.value("SELECT count(*) FROM votes")))


@asynccontextmanager
async def voting(folder: Path) -> AsyncIterator[Node]:
    node = Node(folder)
    await node.store.open()

    def add(tx: Tx) -> None:
        markets.add_record(tx, MARKET_ID, CODEC.market_address(MARKET_ID))
        tx.execute("UPDATE markets SET known = 1, state = 0")

    await node.store.write(add)
    node.commits.clear()
    try:
        yield node
    finally:
        await node.background.stop()
        await node.store.close()


def wallet(number: int) -> bytes:
    return number.to_bytes(32)


def like(voter: bytes, ref: MarketRef = HERE) -> Ballot:
    return Ballot(ref, voter, VoteType.PROPOSAL, True)


async def test_votes_that_come_together_are_one_unit_of_work(tmp_path: Path) -> None:
    async with voting(tmp_path) as node:
        votes = await asyncio.gather(*(node.box.cast(like(wallet(number))) for number in range(BALLOTS_PER_UNIT_MAX)))
        assert node.commits == [1]
        assert [vote.tally.likes for vote in votes] == list(range(1, BALLOTS_PER_UNIT_MAX + 1))
        await asyncio.gather(*(node.box.cast(like(wallet(number))) for number in range(1_000, 1_001 + len(votes))))
        assert node.commits == [1, 1, 1]
        assert await node.count() == 2 * BALLOTS_PER_UNIT_MAX + 1


async def test_each_gets_its_own_refusal(tmp_path: Path) -> None:
    async with voting(tmp_path) as node:
        ballots = [like(ALICE), like(BOB, NOWHERE), like(ALICE), like(BOB)]
        outcomes = await asyncio.gather(*map(node.box.cast, ballots), return_exceptions=True)
        kinds = [type(outcome) for outcome in outcomes if isinstance(outcome, Exception)]
        assert (kinds, len(node.commits)) == ([NotFound, Conflict], 1)
        assert await node.count() == 2


async def test_a_ballot_that_breaks_the_unit_fails_alone(tmp_path: Path) -> None:
    async with voting(tmp_path) as node:
        broken = like(ALICE)._replace(wallet=cast(Any, 1.5))
        outcomes = await asyncio.gather(
            node.box.cast(broken), node.box.cast(like(BOB)), node.box.cast(like(wallet(1))), return_exceptions=True
        )
        assert isinstance(outcomes[0], Exception)
        assert not isinstance(outcomes[0], StoreUnavailable)
        assert await node.count() == 2


async def test_votes_one_after_the_other_all_count(tmp_path: Path) -> None:
    async with voting(tmp_path) as node:

        async def keep_voting(first: int) -> None:
            for number in range(first, first + 20):
                await node.box.cast(like(wallet(number)))

        await asyncio.gather(*(keep_voting(first) for first in range(0, 100, 20)))
        assert await node.count() == 100


async def test_a_client_that_went_away_has_voted(tmp_path: Path) -> None:
    async with voting(tmp_path) as node:
        gone = asyncio.ensure_future(node.box.cast(like(ALICE)))
        await asyncio.sleep(0)
        gone.cancel()
        await node.box.cast(like(BOB))
        assert await node.count() == 2


async def test_a_full_box_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ballot_box, "BALLOTS_WAITING_MAX", 2)
    async with voting(tmp_path) as node:
        outcomes = await asyncio.gather(
            *(node.box.cast(like(voter)) for voter in (ALICE, BOB, wallet(1))), return_exceptions=True
        )
        assert [isinstance(outcome, StoreUnavailable) for outcome in outcomes] == [False, False, True]


async def test_whoever_waits_when_the_node_stops_is_told(tmp_path: Path) -> None:
    async with voting(tmp_path) as node:
        waiting = [asyncio.ensure_future(node.box.cast(like(voter))) for voter in (ALICE, BOB)]
        await asyncio.sleep(0)
        await node.background.stop()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
        assert (await node.box.cast(like(wallet(1)))).tally.total >= 1


async def test_a_closed_store_is_unavailable(tmp_path: Path) -> None:
    async with voting(tmp_path) as node:
        await node.store.close()
        with pytest.raises(StoreUnavailable):
            await node.box.cast(like(ALICE))
