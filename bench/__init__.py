"""The measurements of BENCHMARKS.md: each module here has ``run() -> list[Measurement]``."""

import time
from collections.abc import Callable
from typing import NamedTuple


class Measurement(NamedTuple):
    """One line of the table. ``at_least`` or ``at_most`` is the promised value, None where nothing is promised."""

    name: str
    value: float
    unit: str
    at_least: float | None = None
    note: str = ""
    at_most: float | None = None

    @property
    def kept(self) -> bool:
        enough = self.at_least is None or self.value >= self.at_least
        return enough and (self.at_most is None or self.value <= self.at_most)

    @property
    def promised(self) -> str:
        """The promise in words, and whether it was broken."""
        limits = (("≥", self.at_least), ("≤", self.at_most))
        said = [f"{sign} {number_text(limit)}" for sign, limit in limits if limit is not None]
        return " ".join(said if self.kept else [*said, "MISSED"])


def number_text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def best_seconds(*work: Callable[[], object], rounds: int = 5) -> list[float]:
    """The fastest of several rounds for each piece of work, all taking turns so that a busy moment meets each alike."""
    best = [float("inf")] * len(work)
    for _ in range(rounds):
        for place, function in enumerate(work):
            started = time.perf_counter()
            function()
            best[place] = min(best[place], time.perf_counter() - started)
    return best
