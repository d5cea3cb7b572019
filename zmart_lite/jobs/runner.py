"""Runs jobs on time, by hand, never twice at once, and keeps a record of every run.

Huey says when: each job is a delayed task that schedules its successor, since Huey's own periodic tasks know whole
minutes only. Huey forgets a task the moment it starts it, so nothing that must happen rests in its queue: the queue
is emptied at start and every job begins with a fresh tick — at once if its last run is further back than its
interval. The work itself is a coroutine on the node's event loop; a Huey worker thread merely waits for it.
"""

import asyncio
import logging
import os
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from huey import SqliteHuey
from huey.consumer import Consumer

from zmart_lite.errors import ChainError, Conflict, LeaseLost, NotFound, StartupError, StoreUnavailable, ZmartError
from zmart_lite.jobs.conditions import JobHealth
from zmart_lite.ops.breaker import Breakers
from zmart_lite.ops.metrics import Metrics
from zmart_lite.ops.runs import GoingRun, JobView, Progress
from zmart_lite.ops.tasks import Background
from zmart_lite.ops.wake import Wake
from zmart_lite.store.engine import leases
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.engine.leases import Lease
from zmart_lite.store.state import runs

logger = logging.getLogger(__name__)

POLL_FIRST_S = 0.1
POLL_MAX_S = 1.0
"""How long a worker sleeps at most before it looks into the queue again; Huey's default of 10 s would blur the
schedule.
"""
SCHEDULER_INTERVAL_S = 1
STOP_TIMEOUT_S = 3.0
LEASE_MS = 60_000
RENEW_EVERY_S = 20.0
"""A lease outlives two failed renewals; whoever waits for it waits a minute at most."""
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Summary(NamedTuple):
    """What a run came to: cases found, done, failed, and left for another time."""

    found: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0

    def plus(self, *, found: int = 0, done: int = 0, failed: int = 0, skipped: int = 0) -> "Summary":
        return Summary(self.found + found, self.done + done, self.failed + failed, self.skipped + skipped)

    def joined(self, other: "Summary") -> "Summary":
        return self.plus(**other._asdict())


Params = Mapping[str, Any]


def _untold(_: Progress) -> None:
    """Nobody asked."""


_tell: ContextVar[Callable[[Progress], None]] = ContextVar("progress", default=_untold)
"""Whom the run that is going on tells how far it came."""


def tell_progress(phase: str, done: int, total: int) -> None:
    """To be called by a job's work from time to time: administrators see it while the run goes on."""
    _tell.get()(Progress(phase, done, total))


class Job(NamedTuple):
    """Something done every ``interval_s`` seconds, or once a day at an hour. ``breaker`` is the circuit breaker it goes
    through, if any.
    """

    name: str
    interval_s: int
    time_limit_s: int
    run: Callable[[Params], Awaitable[Summary]]
    breaker: str | None = None
    enabled: bool = True
    at_hour_utc: int | None = None
    at_start: bool = False
    """Whether its first turn comes at once, whenever its last one was: what happened while the node was down waits."""

    @property
    def schedule(self) -> str:
        """For people."""
        if not self.enabled:
            return "by hand"
        return f"every {self.interval_s} s" if self.at_hour_utc is None else f"daily at {self.at_hour_utc:02d}:00 UTC"

    def first_due_ms(self, last_ms: int | None, now_ms: int) -> int:
        """When the first turn after a start comes: now, if one was missed. ``last_ms``: start of the last good run."""
        if self.at_hour_utc is None:
            return now_ms if last_ms is None or self.at_start else last_ms + self.interval_s * 1_000
        latest_ms = self._turn_before(now_ms)
        missed = last_ms is not None and last_ms < latest_ms
        return now_ms if missed else latest_ms + DAY_MS

    def next_due_ms(self, now_ms: int) -> int:
        """When the turn after one at ``now_ms`` comes."""
        if self.at_hour_utc is None:
            return now_ms + self.interval_s * 1_000
        return self._turn_before(now_ms) + DAY_MS

    def _turn_before(self, now_ms: int) -> int:
        hour_ms = (self.at_hour_utc or 0) * HOUR_MS
        return (now_ms - hour_ms) // DAY_MS * DAY_MS + hour_ms


class _Going(NamedTuple):
    """A run that is going on."""

    run_id: int
    lease: Lease


class _Record:
    """How a job has been doing since the runner started. Times are unix milliseconds."""

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        """When it last ended well, or began to be expected to."""
        self.error: str | None = None
        self.failures_in_a_row = 0

    def note(self, error: str | None, now_ms: int) -> None:
        self.error = error
        self.failures_in_a_row = 0 if error is None else self.failures_in_a_row + 1
        if error is None:
            self.since_ms = now_ms


class _EmbeddedConsumer(Consumer):  # type: ignore[misc]
    """Huey's consumer without its signal handlers: the process's signals belong to the node."""

    def _set_signal_handlers(self) -> None:
        """Leave the handlers alone; SIGHUP's would even re-execute the program."""


def _forget_queue(path: Path) -> None:
    """Remove Huey's queue of an earlier process, of which nothing is used: a damaged one would stop the start.

    Raises StartupError where it cannot be removed.
    """
    for suffix in ("", "-wal", "-shm", "-journal"):
        try:
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        except OSError as error:
            raise StartupError(f"The queue of jobs {path} cannot be made anew: {error.strerror}. Delete it.") from error


class JobRunner:
    """All jobs of the node. :meth:`start` and :meth:`stop` from the event loop."""

    def __init__(
        self,
        store: Store,
        jobs: Sequence[Job],
        queue_path: Path,
        *,
        workers: int,
        metrics: Metrics,
        breakers: Breakers,
        background: Background,
    ) -> None:
        self._store = store
        self._jobs = {job.name: job for job in jobs}
        self._metrics = metrics
        self._breakers = breakers
        self._background = background
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        """This runner's name in the leases."""
        self._running: dict[str, Lease | None] = {}
        self._progress: dict[str, Progress] = {}
        self._going: dict[str, int] = {}
        """The runs whose end is not recorded yet, by their job."""
        self._watching: dict[str, set[Wake]] = {job.name: set() for job in jobs}
        self._lost: set[Lease] = set()
        self._records = {job.name: _Record(store.now_ms()) for job in jobs}
        self._paused: set[str] = set()
        self._next_ms: dict[str, int] = {}
        self._waiting: set[Future[None]] = set()
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        _forget_queue(queue_path)
        self._huey = SqliteHuey("zmart-lite", filename=str(queue_path), immediate=False)
        self._tick = self._huey.task(name="tick")(self._tick_in_thread)
        self._workers = workers
        self._consumer: Consumer | None = None

    async def start(self) -> None:
        """Take over from an earlier process, and begin to tick."""
        self._loop = asyncio.get_running_loop()
        state = await self.take_over()
        await asyncio.to_thread(self._huey.flush)
        now_ms = self._store.now_ms()
        for job in self._jobs.values():
            if job.enabled:
                due_ms = job.first_due_ms(state.last_started_ms.get(job.name), now_ms)
                await asyncio.to_thread(self._schedule, job, max(0, due_ms - now_ms) / 1_000)
        self._consumer = _EmbeddedConsumer(
            self._huey,
            workers=self._workers,
            periodic=False,
            initial_delay=POLL_FIRST_S,
            max_delay=POLL_MAX_S,
            scheduler_interval=SCHEDULER_INTERVAL_S,
            check_worker_health=False,
            shutdown_timeout=STOP_TIMEOUT_S,
        )
        self._consumer.start()

    async def take_over(self) -> runs.JobsState:
        """Load what is paused, and close what an earlier process left open."""
        state = await self._store.write(runs.take_over)
        self._paused = state.paused
        return state

    async def stop(self) -> None:
        """End the waiting of Huey's threads, then Huey. Work under way is cancelled; its intents take it up again."""
        self._stopping.set()
        for waiting in list(self._waiting):
            waiting.cancel()
        if self._consumer is not None:
            await asyncio.to_thread(self._consumer.stop, graceful=True)
        await asyncio.to_thread(self._huey.storage.close)

    # Ticks, in Huey's threads

    def _schedule(self, job: Job, delay_s: float) -> None:
        self._next_ms[job.name] = self._store.now_ms() + int(delay_s * 1_000)
        if delay_s <= 0:
            self._tick(job.name)
        else:
            self._tick.schedule((job.name,), delay=delay_s)

    def _tick_in_thread(self, name: str) -> None:
        job = self._jobs.get(name)
        if job is None or self._stopping.is_set() or self._loop is None:
            return
        waiting = asyncio.run_coroutine_threadsafe(self._on_time(job), self._loop)
        self._waiting.add(waiting)
        try:
            waiting.result()
        except (CancelledError, asyncio.CancelledError):
            return
        finally:
            self._waiting.discard(waiting)
        if not self._stopping.is_set():
            now_ms = self._store.now_ms()
            self._schedule(job, (job.next_due_ms(now_ms) - now_ms) / 1_000)

    async def _on_time(self, job: Job) -> None:
        """One scheduled run, unless the job is paused, running by hand, or its breaker is open."""
        if job.name in self._paused or job.name in self._running:
            return
        if job.breaker is not None and not self._breakers[job.breaker].permit():
            return
        try:
            await self._run(job, await self._begin(job), {})
        except (Conflict, StoreUnavailable) as error:
            logger.warning("job %s did not start: %s", job.name, error)

    # Runs

    def _job(self, name: str) -> Job:
        job = self._jobs.get(name)
        if job is None:
            raise NotFound(f"There is no job {name}; there are: {', '.join(self._jobs)}.")
        return job

    async def run(self, name: str, params: Params | None = None) -> int:
        """Start a job now, whatever its breaker says, and return its run's id.

        Raises NotFound, Conflict ``already_running``.
        """
        job = self._job(name)
        going = await self._begin(job)
        self._background.start(self._run(job, going, params or {}), f"job-{name}")
        return going.run_id

    async def run_to_end(self, name: str, params: Params | None = None) -> Summary:
        """Run a job now and return what it came to; raises what it raised."""
        job = self._job(name)
        return await self._run(job, await self._begin(job), params or {}, reraise=True)

    async def _begin(self, job: Job) -> _Going:
        if job.name in self._running:
            raise Conflict(f"The job {job.name} is running already.", reason="already_running")
        self._running[job.name] = None
        try:
            going = await self._store.write(lambda tx: self._take(tx, job))
        except (Conflict, StoreUnavailable):
            del self._running[job.name]
            raise
        self._running[job.name] = going.lease
        self._going[job.name] = going.run_id
        self._tell_watching(job.name)
        return going

    def _take(self, tx: Tx, job: Job) -> _Going:
        lease = leases.take_lease(tx, f"job:{job.name}", self.holder, LEASE_MS)
        if lease is None:
            raise Conflict(f"The job {job.name} is running on another node.", reason="already_running")
        return _Going(runs.add_run(tx, job.name), lease)

    async def _run(self, job: Job, going: _Going, params: Params, *, reraise: bool = False) -> Summary:
        summary, error, result = Summary(), None, "failed"
        held = leases.HELD.set(going.lease)
        told = _tell.set(partial(self._note_progress, job.name))
        try:
            summary = await self._guarded(job, going, params)
            result = "ok"
            return summary
        except asyncio.CancelledError:
            result = "interrupted"
            raise
        except (ZmartError, TimeoutError) as failure:
            error = str(failure) or f"The run took longer than {job.time_limit_s} s."
            logger.warning("job %s failed: %s", job.name, error)
            if reraise:
                raise
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
            logger.exception("job %s failed", job.name)
            if reraise:
                raise
        finally:
            leases.HELD.reset(held)
            _tell.reset(told)
            del self._running[job.name]
            self._progress.pop(job.name, None)
            try:
                await self._record(job, going, summary, result, error)
            finally:
                if self._going.get(job.name) == going.run_id:
                    del self._going[job.name]
                self._tell_watching(job.name)
        return summary

    async def _guarded(self, job: Job, going: _Going, params: Params) -> Summary:
        breaker = self._breakers[job.breaker] if job.breaker else None
        try:
            async with asyncio.timeout(job.time_limit_s) as limit:
                renewing = self._background.start(self._renew(going.lease, limit), f"lease-{job.name}")
                try:
                    summary = await job.run(params)
                finally:
                    renewing.cancel()
        except (ChainError, TimeoutError) as error:
            if going.lease in self._lost:
                self._lost.discard(going.lease)
                raise LeaseLost(f"The run was ended: {going.lease.name} has been taken over.") from error
            if breaker is not None:
                breaker.fail(str(error) or "timed out")
            raise
        if breaker is not None:
            breaker.succeed()
        return summary

    async def _renew(self, lease: Lease, limit: asyncio.Timeout) -> None:
        """Keep the lease while the run goes on; end the run once somebody else has it."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            try:
                if not await self._store.write(lambda tx: leases.renew_lease(tx, lease, LEASE_MS)):
                    logger.error("%s has been taken over by another holder", lease.name)
                    self._lost.add(lease)
                    limit.reschedule(0)
                    return
            except StoreUnavailable as error:
                logger.warning("the lease %s cannot be renewed: %s", lease.name, error)

    async def _record(self, job: Job, going: _Going, summary: Summary, result: str, error: str | None) -> None:
        self._metrics.job_runs_total.labels(job.name, result).inc()
        if result != "interrupted":
            self._records[job.name].note(error, self._store.now_ms())
        if result == "ok":
            self._metrics.job_last_success_timestamp_seconds.labels(job.name).set(self._store.now_ms() / 1_000)

        def unit(tx: Tx) -> None:
            runs.end_run(tx, going.run_id, result, *summary, error=error)
            leases.release_lease(tx, going.lease)

        try:
            await self._store.write(unit)
        except StoreUnavailable as failure:
            logger.warning("the end of a run of %s is not recorded: %s", job.name, failure)

    # Watching

    @contextmanager
    def watched(self, name: str, wake: Wake) -> Iterator[None]:
        """Have ``wake`` set whenever a run of the job begins, tells how far it came, or has ended. Raises NotFound."""
        watching = self._watching[self._job(name).name]
        watching.add(wake)
        try:
            yield
        finally:
            watching.discard(wake)

    def going(self, name: str) -> GoingRun | None:
        """The job's run that is going on; None once its end is recorded."""
        run_id = self._going.get(name)
        return None if run_id is None else GoingRun(run_id, self._progress.get(name))

    def _note_progress(self, name: str, progress: Progress) -> None:
        """Called from the thread in which the work is done."""
        self._progress[name] = progress
        self._tell_watching(name)

    def _tell_watching(self, name: str) -> None:
        # A copy: the set may change in the loop while another thread goes through it.
        for wake in tuple(self._watching[name]):
            wake.set()

    # Control

    async def pause(self, name: str) -> None:
        """Stop a job from running by itself, until it is resumed; outlasts restarts."""
        self._job(name)
        await self._store.write(lambda tx: runs.set_paused(tx, name, True))
        self._paused.add(name)

    async def resume(self, name: str) -> None:
        self._job(name)
        await self._store.write(lambda tx: runs.set_paused(tx, name, False))
        self._paused.discard(name)
        self._records[name].since_ms = self._store.now_ms()

    def is_enabled(self, name: str) -> bool:
        """Whether a job runs by itself when it is not paused."""
        return self._job(name).enabled

    def is_paused(self, name: str) -> bool:
        return name in self._paused

    def health(self) -> list[JobHealth]:
        """How the jobs that run by themselves have been doing."""
        return [self._health(job) for job in self._jobs.values() if job.enabled and job.name not in self._paused]

    def _health(self, job: Job) -> JobHealth:
        record = self._records[job.name]
        breaker = self._breakers[job.breaker].view().state if job.breaker else "closed"
        return JobHealth(
            job.name,
            job.interval_s,
            max(0, self._store.now_ms() - record.since_ms) / 1_000,
            record.error,
            record.failures_in_a_row,
            breaker != "closed",
        )

    def lag_s(self, name: str) -> float:
        """Seconds since a run was due that has not ended well; 0 if on time, paused or off."""
        found = next((each for each in self.health() if each.name == name), None)
        return 0.0 if found is None else max(0.0, found.since_ok_s - found.interval_s)

    def next_run_ms(self, name: str) -> int | None:
        """When a job's next turn comes; None while it is paused or off."""
        return None if name in self._paused else self._next_ms.get(name)

    async def views(self) -> list[JobView]:
        records = await self._store.read(lambda tx: {name: runs.summarize(tx, name) for name in self._jobs})
        return [self._view(job, records[job.name]) for job in self._jobs.values()]

    def _view(self, job: Job, record: runs.RunSummary) -> JobView:
        last = record.last
        ended = last is not None and last["finished_ms"] is not None
        return JobView(
            name=job.name,
            schedule=job.schedule,
            paused=job.name in self._paused,
            running=job.name in self._running,
            holder=self.holder if job.name in self._running else None,
            last_started_ms=None if last is None else last["started_ms"],
            last_finished_ms=None if last is None else last["finished_ms"],
            last_result=None if last is None else last["result"],
            last_error=None if last is None else last["error"],
            last_duration_ms=last["finished_ms"] - last["started_ms"] if last is not None and ended else None,
            next_run_ms=self.next_run_ms(job.name),
            runs=record.runs,
            failures=record.failures,
            summary={} if last is None else {key: last[key] for key in Summary._fields},
            progress=self._progress.get(job.name),
        )
