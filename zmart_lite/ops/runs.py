"""How a job is doing, in the words in which the runner tells it and the API shows it."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Progress(NamedTuple):
    """How far a long run came: ``done`` of ``total`` in a phase of that name."""

    phase: str
    done: int
    total: int


class GoingRun(NamedTuple):
    """A run from its begin until its end is recorded. ``progress``: None unless its work tells."""

    run_id: int
    progress: Progress | None


class JobView(NamedTuple):
    """A job at one moment. Times are unix milliseconds."""

    name: str
    schedule: str
    paused: bool
    running: bool
    holder: str | None
    last_started_ms: int | None
    last_finished_ms: int | None
    last_result: str | None
    last_error: str | None
    last_duration_ms: int | None
    next_run_ms: int | None
    runs: int
    failures: int
    summary: Mapping[str, Any]
    progress: Progress | None = None
    """Of the run that is going on, if it tells."""
