"""How much counters grew lately: totals noted now and then, compared with those of a while ago."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from prometheus_client import Counter


class _Noted(NamedTuple):
    at_s: float
    totals: tuple[float, ...]


class Growth:
    """The growth of some totals within ``window_s`` seconds. Bounded: one note per ``step_s`` seconds is kept.

    What grew before the first note does not count.
    """

    def __init__(self, window_s: float, clock: Callable[[], float], step_s: float = 1) -> None:
        self._window_s = window_s
        self._clock = clock
        self._step_s = step_s
        self._notes: deque[_Noted] = deque()

    def note(self, *totals: float) -> tuple[float, ...]:
        """Note the totals of now; by how much each grew within the window."""
        now = self._clock()
        # The newest note that is older than the window stays: growth is reckoned from it.
        while len(self._notes) > 1 and self._notes[1].at_s <= now - self._window_s:
            self._notes.popleft()
        if not self._notes or now - self._notes[-1].at_s >= self._step_s:
            self._notes.append(_Noted(now, totals))
        return tuple(new - old for new, old in zip(totals, self._notes[0].totals, strict=True))


def total_of(counter: Counter, wanted: Callable[[Mapping[str, str]], bool] = bool) -> float:
    """The sum of a counter over its series whose labels are ``wanted``; by default of all that have labels."""
    return sum(
        sample.value
        for family in counter.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and wanted(sample.labels)
    )
