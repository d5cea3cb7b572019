"""The chain's clock as the node knows it: deadlines of markets follow it, never the wall clock."""

import time
from collections.abc import Callable
from typing import NamedTuple

from zmart_lite.errors import RpcUnavailable

# Between two observations time is taken to pass as here, but not for ever: a chain may stand still.
EXTRAPOLATION_MAX_S = 120
# An RPC node that lags answers with an older slot: ignored, unless nothing newer came for this long (a fork, a revert).
OLDER_SLOT_AFTER_S = 10


class Observation(NamedTuple):
    slot: int
    unix_s: int
    monotonic_s: float


class ChainClock:
    """Slot and unix time of the chain. Safe to use from any thread: an observation is replaced as a whole."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last: Observation | None = None

    def observe(self, slot: int, unix_s: int) -> None:
        """Tells what the chain's clock showed at ``slot`` just now."""
        now = self._monotonic()
        last = self._last
        if last and slot < last.slot and now - last.monotonic_s < OLDER_SLOT_AFTER_S:
            return
        self._last = Observation(slot, unix_s, now)

    def forget(self) -> None:
        """Lets the next observation count whatever it says: after a warp or revert of the devnet."""
        self._last = None

    @property
    def known(self) -> bool:
        return self._last is not None

    @property
    def slot(self) -> int:
        """The last slot observed; 0 before the first observation."""
        return self._last.slot if self._last else 0

    @property
    def age_s(self) -> float | None:
        """Seconds since the last observation; None before the first."""
        return self._monotonic() - self._last.monotonic_s if self._last else None

    def now(self) -> int:
        """The chain's unix time in whole seconds; raises RpcUnavailable before the first observation."""
        last = self._last
        if last is None:
            raise RpcUnavailable("The chain's time is not known yet.")
        passed_s = self._monotonic() - last.monotonic_s
        return last.unix_s + int(min(max(passed_s, 0), EXTRAPOLATION_MAX_S))
