"""How far a cluster can have come: what tells a node that is ahead of us from one that tells what cannot be.

Slots come at a rate that hardware bounds, so that one reading bounds all later ones. A reading beyond that is a claim.
It is believed once another address claims the same, or after it has been made for a minute: a chain for tests may jump,
and this process may have slept. Until then whatever says so is a node that is not to be trusted.
"""

from typing import NamedTuple

SLOTS_PER_S_MAX = 20
"""Eight times today's rate (400 ms), and room for the shorter slots that are planned."""
SLOTS_AHEAD_MAX = 150
"""By how much what is true may be ahead of a node that answers: about a minute."""
CLAIM_S = 60.0


class _Reading(NamedTuple):
    slot: int
    at_s: float

    def limit(self, now_s: float) -> int:
        """The highest slot that can follow from this reading."""
        return self.slot + int(max(now_s - self.at_s, 0) * SLOTS_PER_S_MAX) + SLOTS_AHEAD_MAX

    def goes_with(self, slot: int, now_s: float) -> bool:
        """Whether one and the same chain can have been at both."""
        return self.slot - SLOTS_AHEAD_MAX <= slot <= self.limit(now_s)


class _Claim(NamedTuple):
    first_s: float
    last: _Reading


class Tip:
    """The newest slot that is believed. Times are seconds of one monotonic clock; ``source`` numbers the addresses."""

    def __init__(self) -> None:
        self._last: _Reading | None = None
        self._claims: dict[int, _Claim] = {}

    def limit(self, now_s: float) -> int | None:
        """The highest slot that can be true now; None before the first reading."""
        return None if self._last is None else self._last.limit(now_s)

    def note(self, slot: int, now_s: float, source: int) -> bool:
        """Take a reading of a node's clock; whether it is believed."""
        if self._last is None or slot <= self._last.limit(now_s):
            self._claims.pop(source, None)
            # What only lags moves nothing, unless nothing better has come for long: then the tip itself was wrong.
            if self._last is None or self._last.goes_with(slot, now_s) or now_s - self._last.at_s > CLAIM_S:
                self._take(slot, now_s)
            return True
        known = self._claims.get(source)
        first_s = known.first_s if known is not None and known.last.goes_with(slot, now_s) else now_s
        self._claims[source] = _Claim(first_s, _Reading(slot, now_s))
        others = (claim.last for number, claim in self._claims.items() if number != source)
        if now_s - first_s >= CLAIM_S or any(each.goes_with(slot, now_s) for each in others):
            self._last = None
            self._take(slot, now_s)
            self._claims.clear()
            return True
        return False

    def _take(self, slot: int, now_s: float) -> None:
        last = self._last
        is_stale = last is not None and now_s - last.at_s > CLAIM_S
        self._last = _Reading(slot if last is None or is_stale else max(slot, last.slot), now_s)
