"""The record of job runs, and which jobs are paused."""

from typing import NamedTuple, cast

from zmart_lite.store.engine import leases
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import kept

ERROR_CHARACTERS_MAX = 500


class JobsState(NamedTuple):
    """What a runner takes over at its start. Times are unix milliseconds."""

    paused: set[str]
    last_started_ms: dict[str, int]


class RunSummary(NamedTuple):
    last: Row | None
    runs: int
    failures: int


def take_over(tx: Tx) -> JobsState:
    """Close the runs that a crash left open and end their leases; what is paused, when each job last started well."""
    leases.release_all(tx)
    tx.execute("UPDATE job_runs SET finished_ms = ?, result = 'interrupted' WHERE finished_ms IS NULL", (tx.now_ms,))
    paused = list_paused(tx)
    last = tx.all("SELECT job, max(started_ms) AS started_ms FROM job_runs WHERE result = 'ok' GROUP BY job")
    return JobsState(paused, {row["job"]: row["started_ms"] for row in last})


def list_paused(tx: Tx) -> set[str]:
    return {row["name"] for row in tx.all("SELECT name FROM jobs WHERE paused = 1")}


def add_run(tx: Tx, job: str) -> int:
    return cast(int, tx.value("INSERT INTO job_runs (job, started_ms) VALUES (?, ?) RETURNING id", (job, tx.now_ms)))


def end_run(
    tx: Tx, run_id: int, result: str, found: int, done: int, failed: int, skipped: int, *, error: str | None
) -> None:
    tx.execute(
        "UPDATE job_runs SET finished_ms = ?, result = ?, found = ?, done = ?, failed = ?, skipped = ?, error = ?"
        " WHERE id = ?",
        (tx.now_ms, result, found, done, failed, skipped, error and error[:ERROR_CHARACTERS_MAX], run_id),
    )


def find_run(tx: Tx, job: str, run_id: int | None) -> Row | None:
    """A run of the job, by default its last."""
    if run_id is None:
        return tx.one("SELECT * FROM job_runs WHERE job = ? ORDER BY id DESC LIMIT 1", (job,))
    return tx.one("SELECT * FROM job_runs WHERE id = ? AND job = ?", (run_id, job))


def summarize(tx: Tx, job: str) -> RunSummary:
    return RunSummary(find_run(tx, job, None), kept.one(tx, f"runs:{job}"), kept.one(tx, f"failed_runs:{job}"))


def set_paused(tx: Tx, job: str, paused: bool) -> None:
    tx.execute(
        "INSERT INTO jobs (name, paused) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET paused = excluded.paused",
        (job, int(paused)),
    )
