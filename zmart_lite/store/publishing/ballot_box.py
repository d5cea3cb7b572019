"""Votes that come while others are being written wait together: the next commit takes them all.

A vote alone costs a dozen statements and a transaction; in a full box most of that is shared.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from zmart_lite.errors import StoreUnavailable
from zmart_lite.models import VoteType
from zmart_lite.ops import Background, Metrics
from zmart_lite.store.engine.db import Store
from zmart_lite.store.publishing.ballots import Ballot, Cast, cast_votes
from zmart_lite.store.publishing.messages import FeedContext

BALLOTS_PER_UNIT_MAX = 256
"""Votes written by one unit of work: bounds how long other writers wait for it."""
BALLOTS_WAITING_MAX = 10_000


class _Waiting(NamedTuple):
    ballot: Ballot
    done: asyncio.Future[Cast]


class BallotBox:
    """Casts votes through the store. ``feed`` makes what the messages of one unit of work depend on."""

    def __init__(self, store: Store, feed: Callable[[], FeedContext], background: Background, metrics: Metrics) -> None:
        self._store, self._feed, self._background = store, feed, background
        self._accepted = {kind: metrics.votes_total.labels(kind.name.lower(), "api") for kind in VoteType}
        self._waiting: deque[_Waiting] = deque()
        self._is_counting = False

    async def cast(self, ballot: Ballot) -> Cast:
        """Store a vote; it is durable then. Raises what :func:`cast_votes` refuses with, StoreUnavailable."""
        if len(self._waiting) >= BALLOTS_WAITING_MAX:
            raise StoreUnavailable("The database is overloaded.")
        done: asyncio.Future[Cast] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(ballot, done))
        if not self._is_counting:
            self._start()
        return await done

    def _start(self) -> None:
        self._is_counting = True
        # Not a finally of the task itself: one that is cancelled before it began runs none of its own code.
        self._background.start(self._count(), "votes").add_done_callback(self._counted)

    async def _count(self) -> None:
        while self._waiting:
            size = min(len(self._waiting), BALLOTS_PER_UNIT_MAX)
            await self._write([self._waiting.popleft() for _ in range(size)])

    def _counted(self, task: asyncio.Task[None]) -> None:
        self._is_counting = False
        if task.cancelled():
            self._fail(self._waiting, StoreUnavailable("The node is stopping."))
            self._waiting.clear()
        elif self._waiting:  # came after the task had looked for the last time
            self._start()

    async def _write(self, batch: list[_Waiting]) -> None:
        try:
            outcomes = await self._store.write(
                partial(cast_votes, context=self._feed(), ballots=[one.ballot for one in batch])
            )
        except asyncio.CancelledError:
            self._fail(batch, StoreUnavailable("The node is stopping."))
            raise
        except StoreUnavailable as error:
            self._fail(batch, error)
        except Exception as error:  # noqa: BLE001 - it goes to whoever cast the vote
            await self._write_each(batch, error)
        else:
            pairs = list(zip(batch, outcomes, strict=True))
            accepted = Counter(one.ballot.kind for one, outcome in pairs if isinstance(outcome, Cast))
            for kind, count in accepted.items():
                self._accepted[kind].inc(count)
            for one, outcome in pairs:
                _settle(one.done, outcome)

    async def _write_each(self, batch: list[_Waiting], error: Exception) -> None:
        """One ballot broke the unit: the others must not suffer for it."""
        if len(batch) == 1:
            self._fail(batch, error)
            return
        for one in batch:
            await self._write([one])

    @staticmethod
    def _fail(batch: "list[_Waiting] | deque[_Waiting]", error: Exception) -> None:
        for one in batch:
            _settle(one.done, error)


def _settle(done: asyncio.Future[Cast], outcome: Cast | Exception) -> None:
    if done.done():
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
    else:
        done.set_result(outcome)
