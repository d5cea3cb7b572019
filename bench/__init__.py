"""The measurements of BENCHMARKS.md: each module here has ``run() -> list[Measurement]``."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


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


@contextmanager
def on_core(number: int) -> Iterator[None]:
    """Keep this process on one of its cores, where the system lets it."""
    if not CORES:
        yield
        return
    os.sched_setaffinity(0, {CORES[number]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


def put_on_core(number: int, process_id: int) -> None:
    """The same for a process that has just begun."""
    if CORES:
        os.sched_setaffinity(process_id, {CORES[number]})
