"""The measurements of BENCHMARKS.md: each module here has ``run() -> list[Measurement]``."""

import time
from collections.abc import Callable
from typing import NamedTuple


class Measurement(NamedTuple):
    """One line of the table. ``at_least`` is the promised value, None where nothing is promised."""

    name: str
    value: float
    unit: str
    at_least: float | None = None
    note: str = ""

    @property
    def kept(self) -> bool:
        return self.at_least is None or self.value >= self.at_least


def best_seconds(*work: Callable[[], object], rounds: int = 5) -> list[float]:
    """The fastest of several rounds for each piece of work, all taking turns so that a busy moment meets each alike."""
    best = [float("inf")] * len(work)
    for _ in range(rounds):
        for place, function in enumerate(work):
            started = time.perf_counter()
            function()
            best[place] = min(best[place], time.perf_counter() - started)
    return best
