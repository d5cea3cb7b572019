"""Tells nodes that listen of forks: a revert to a snapshot, or dropped blocks.

Slots and heights do not tell, because new blocks can overtake both before anybody looks. So forks are counted, and a
node that asks for the count says with the next question up to which one it has dealt with. Whoever makes a fork gets
his answer when all that listen have.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

LISTENING_S = 5.0
"""A node that has not asked for so long does not listen any more; it asks every second."""
HEARD_MAX_S = 4.0
"""How long whoever makes a fork waits at most."""
LISTENERS_MAX = 32


class _Listener(NamedTuple):
    known: int
    asked_s: float


class Forks:
    """``now`` gives monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.count = 0
        self._now = now
        self._listeners: dict[str, _Listener] = {}
        self._heard = asyncio.Event()

    def note(self) -> None:
        """One more has happened."""
        self.count += 1

    def ask(self, listener: str | None, known: int) -> int:
        """How many there were. ``known``: up to which of them the listener has dealt with it."""
        if listener is not None:
            self._listeners.pop(listener, None)
            while len(self._listeners) >= LISTENERS_MAX:
                del self._listeners[next(iter(self._listeners))]
            self._listeners[listener] = _Listener(known, self._now())
            self._heard.set()
        return self.count

    def is_heard(self) -> bool:
        """Whether nobody who listens has still to deal with a fork."""
        since_s = self._now() - LISTENING_S
        return all(each.known >= self.count for each in self._listeners.values() if each.asked_s >= since_s)

    async def until_heard(self) -> None:
        """Return when all that listen have dealt with what happened, or after a while."""
        try:
            async with asyncio.timeout(HEARD_MAX_S):
                while not self.is_heard():
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            return
