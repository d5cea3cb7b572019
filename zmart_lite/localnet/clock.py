"""The devnet's time.

Chain time is wall time plus an offset, or, on a chain whose blocks are made on demand and whose start time was given, a
number that only moves when it is told to. Either way it never goes back, except by a revert.
"""

import time
from collections.abc import Callable

from zmart_lite.localnet.runtime import Clock

SLOTS_PER_EPOCH = 432_000
SLOT_MS = 400
"""The cluster's nominal slot time; also what a warp by slots moves the time."""


class ChainClock:
    """``start_s``: chain time now, in unix seconds (None: wall time). ``frozen``: it moves by :meth:`advance` only."""

    def __init__(self, start_s: int | None = None, frozen: bool = False, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self.frozen = frozen
        # With frozen time the offset is the time itself.
        self._offset_s = int(start_s) if frozen and start_s is not None else 0
        if start_s is not None and not frozen:
            self._offset_s = start_s - int(wall())
        if frozen and start_s is None:
            self._offset_s = int(wall())

    def now_s(self) -> int:
        return self._offset_s if self.frozen else int(self._wall()) + self._offset_s

    def wall_ms(self) -> int:
        """Milliseconds of the machine's own time: when the node did something, wherever the chain's clock stands."""
        return int(self._wall() * 1000)

    def advance(self, seconds: int) -> None:
        self._offset_s += seconds

    @property
    def offset_s(self) -> int:
        """How far chain time is ahead of wall time, in seconds."""
        return self.now_s() - int(self._wall())

    @property
    def state(self) -> int:
        """What :meth:`restore` needs to go on from here."""
        return self._offset_s

    def restore(self, state: int) -> None:
        self._offset_s = state

    def catch_up(self, time_s: int) -> None:
        """Make sure that chain time is not before ``time_s``."""
        if (behind := time_s - self.now_s()) > 0:
            self.advance(behind)


def clock_of(slot: int, unix_timestamp: int) -> Clock:
    return Clock(slot, slot // SLOTS_PER_EPOCH, unix_timestamp)
