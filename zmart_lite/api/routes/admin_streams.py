"""What administrators watch while it happens: how far a job's run came, and the node's log."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio

from zmart_lite.api.contract.endpoints import Endpoint, Level, Stream
from zmart_lite.api.contract.parsers import boolean, integer, text, word
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import field
from zmart_lite.api.live.client_stream import LOG, PROGRESS, ClientStream, Event, Kind, event, take_seat
from zmart_lite.api.live.streams import Streams, caller_of_request
from zmart_lite.api.routes.admin import SLOT_MAX, get_job, job_json
from zmart_lite.api.routes.admin_endpoints import PREFIX
from zmart_lite.errors import NotFound
from zmart_lite.ops.log_tail import LINES_MAX, Wanted
from zmart_lite.ops.wake import Wake
from zmart_lite.store.engine.db import Row
from zmart_lite.store.state import runs
from zmart_lite.store.views import operations

PROGRESS_INTERVAL_S = 0.1
"""Between two readings of how far a run came: no bar shows more."""
LEVELS = ("debug", "info", "warning", "error", "critical")
LOGGER_CHARS_MAX = 100
LINES_BEFORE = 100


def _open(request: Request, kind: Kind, wake: Wake, events: AsyncIterator[Event]) -> Stream:
    streams = request.service(Streams)
    take_seat(streams, kind)
    return Stream(ClientStream(streams, kind, caller_of_request(request), wake, events))


# The progress of a job


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressFields:
    run_id: int | None = field(
        integer(1, SLOT_MAX), None, help="The run to follow, of POST …/run; else the one that is going on, or the last."
    )


async def follow_job(request: Request, fields: ProgressFields) -> Stream:
    job = await get_job(request)
    if fields.run_id is not None and await _find_run(request, job.name, fields.run_id) is None:
        raise NotFound(f"There is no such run of {job.name}.")
    wake = Wake()
    return _open(request, PROGRESS, wake, _progress(request, job.name, fields.run_id, wake))


async def _progress(request: Request, job: str, run_id: int | None, wake: Wake) -> AsyncIterator[Event]:
    """The job's state, each change of how far the run came, and the run as it ended."""
    jobs = request.parts.jobs
    with jobs.watched(job, wake):
        view = await get_job(request)
        yield event("state", job_json(view))
        told = view.progress
        while (going := jobs.going(job)) is not None and run_id in (None, going.run_id):
            run_id = going.run_id
            if going.progress not in (None, told):
                told = going.progress
                yield event("progress", {"run_id": run_id, **told._asdict()})
            if not await wake.wait():
                return
            await anyio.sleep(PROGRESS_INTERVAL_S)
    run = await _find_run(request, job, run_id)
    yield event("ended", None if run is None else operations.run_row(run))


async def _find_run(request: Request, job: str, run_id: int | None) -> Row | None:
    """The run with this id, or the job's last."""
    return await request.read(lambda tx: runs.find_run(tx, job, run_id))


# The log


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFields:
    level: str = field(word(*LEVELS), LEVELS[0], help="Lines of this level or above.")
    logger: str | None = field(
        text(1, LOGGER_CHARS_MAX), None, help="Lines of this logger and those below it.", example="indexer"
    )
    lines: int = field(integer(0, LINES_MAX), LINES_BEFORE, help="How many of the lines of before come first.")
    follow: bool = field(boolean, True, help="False: end after the lines of before.")


async def follow_log(request: Request, fields: LogFields) -> Stream:
    wake = Wake()
    if not fields.follow:
        wake.end()
    return _open(request, LOG, wake, _lines(request, fields, wake))


async def _lines(request: Request, fields: LogFields, wake: Wake) -> AsyncIterator[Event]:
    """The lines of before, then each as it is written; where some were lost, how many, in their place."""
    wanted = Wanted(logging.getLevelNamesMapping()[fields.level.upper()], fields.logger or "")
    with request.parts.log_tail.followed(wanted, wake, fields.lines) as follower:
        while True:
            lost, lines = follower.take()
            if lost:
                yield event("lost", {"lines": lost})
            for line in lines:
                yield event("line", line)
            if not await wake.wait():
                return


ENDPOINTS = [
    Endpoint(
        "GET",
        PREFIX + "jobs/{name}/progress",
        follow_job,
        "How far a job's run came, as server-sent events: state, progress at each change, ended with what it came to.",
        level=Level.READ_ADMIN,
        fields=ProgressFields,
        tag="admin",
        head=False,
        media_type="text/event-stream",
        answer='event: progress\ndata: {"run_id":1,"phase":"markets","done":3,"total":8}\n\n',
        refuses=("connections_max", "shutting_down"),
    ),
    Endpoint(
        "GET",
        PREFIX + "logs/stream",
        follow_log,
        "The node's log, as server-sent events: a line each, and lost where the client was too slow for some.",
        level=Level.ADMIN,
        fields=LogFields,
        tag="admin",
        head=False,
        media_type="text/event-stream",
        answer='event: line\ndata: {"time":"…","level":"INFO","logger":"zmart_lite.jobs","message":"…"}\n\n',
        refuses=("connections_max", "shutting_down"),
    ),
]
