"""Streams of which each client has its own, over a real uvicorn: progress of jobs, the log."""

import asyncio
import json
import logging
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from tests.api.stream_node import ADMIN, ALICE, SERVICE_KEY, StreamNode, stream_node
from zmart_lite.api.live.client_stream import LOG
from zmart_lite.app.hooks import JobAdapter
from zmart_lite.jobs.runner import Job, JobRunner, Params, Summary, tell_progress
from zmart_lite.ops import Background, Breakers, Metrics
from zmart_lite.ops.log_tail import LINES_MAX
from zmart_lite.store.engine.db import Store

PROGRESS = "/api/admin/jobs/count/progress"
LOGS = "/api/admin/logs/stream"
IMPORTED_AFTER_US = """
import uvicorn
before = uvicorn.Server.handle_exit
import zmart_lite.api
assert uvicorn.Server.handle_exit is before
from sse_starlette.sse import AppStatus
assert AppStatus.original_handler is before
"""

logger = logging.getLogger("zmart_lite.test")


class Counting:
    """A job that goes on, step by step, when the test says so."""

    def __init__(self) -> None:
        self.steps: asyncio.Queue[int] = asyncio.Queue()
        self.fails = False
        self.background = Background()

    def jobs(self, store: Store) -> JobAdapter:
        job = Job("count", 3_600, 60, self.run, enabled=False)
        runner = JobRunner(
            store,
            [job],
            store.path.with_name("huey.db"),
            workers=1,
            metrics=Metrics(),
            breakers=Breakers(lambda: 0.0),
            background=self.background,
        )
        return JobAdapter(runner)

    async def run(self, _: Params) -> Summary:
        while (done := await self.steps.get()) < 3:
            # As the work of the store does: in a thread.
            await asyncio.to_thread(tell_progress, "markets", done, 3)
        if self.fails:
            raise TimeoutError
        return Summary(found=3, done=3)


class Events:
    """The events of an open stream, comments left out."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()

    async def next(self) -> tuple[str, Any]:
        """Raises StopAsyncIteration at the end of the stream."""
        name = ""
        while True:
            line = await anext(self._lines)
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                return name, json.loads(line.removeprefix("data: "))

    async def ended(self) -> bool:
        try:
            await self.next()
        except StopAsyncIteration:
            return True
        return False


@asynccontextmanager
async def follow(node: StreamNode, path: str, headers: dict[str, str] | None = None) -> AsyncIterator[Events]:
    async with (
        httpx.AsyncClient(base_url=node.url, timeout=10) as http,
        http.stream("GET", path, headers=headers or node.bearer(ADMIN)) as response,
    ):
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield Events(response)


@pytest.fixture
async def counting() -> AsyncIterator[Counting]:
    found = Counting()
    yield found
    await found.background.stop()


@pytest.fixture
async def node(tmp_path: Path, counting: Counting) -> AsyncIterator[StreamNode]:
    async with stream_node(tmp_path, make_jobs=counting.jobs) as found:
        with found.parts.log_tail.attached():
            yield found


# Progress


async def test_a_run_is_followed_from_its_state_to_its_end(node: StreamNode, counting: Counting) -> None:
    run_id = await node.parts.jobs.run("count")
    async with follow(node, f"{PROGRESS}?run_id={run_id}") as events, follow(node, PROGRESS) as others:
        for each in (events, others):
            name, state = await each.next()
            assert (name, state["name"], state["running"], state["progress"]) == ("state", "count", True, None)
        for done in (1, 2):
            counting.steps.put_nowait(done)
            told = {"run_id": run_id, "phase": "markets", "done": done, "total": 3}
            for each in (events, others):
                assert await each.next() == ("progress", told)
        counting.steps.put_nowait(3)
        for each in (events, others):
            name, run = await each.next()
            assert (name, run["id"], run["result"], run["found"], run["done"]) == ("ended", run_id, "ok", 3, 3)
            assert run["finished_at"] is not None
            assert await each.ended()
    await node.until(lambda: node.streams.seats.total() == 0 and not node.streams.connections)


async def test_a_run_that_is_over_is_told_at_once(node: StreamNode, counting: Counting) -> None:
    async with follow(node, PROGRESS) as events:
        assert (await events.next())[1]["runs"] == 0
        assert await events.next() == ("ended", None)
    counting.fails = True
    counting.steps.put_nowait(3)
    run_id = await node.parts.jobs.run("count")
    async with follow(node, f"{PROGRESS}?run_id={run_id}") as events:
        assert (await events.next())[0] == "state"
        name, run = await events.next()
        assert (name, run["result"]) == ("ended", "failed")
        assert "longer than" in run["error"]
    second = await node.parts.jobs.run("count")
    async with follow(node, f"{PROGRESS}?run_id={run_id}") as events:
        assert (await events.next())[1]["running"]
        assert (await events.next())[1]["id"] == run_id != second
    counting.steps.put_nowait(3)
    async with follow(node, PROGRESS) as events:
        await events.next()
        assert (await events.next())[1]["id"] == second


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/admin/jobs/nothing/progress", 404),
        (f"{PROGRESS}?run_id=77", 404),
        (f"{PROGRESS}?run_id=x", 400),
        (f"{LOGS}?level=LOUD", 400),
        (f"{LOGS}?lines={LINES_MAX + 1}", 400),
    ],
)
async def test_what_cannot_be_followed_is_refused(node: StreamNode, path: str, status: int) -> None:
    assert (await node.get(path, node.bearer(ADMIN))).status_code == status


async def test_only_administrators_follow_and_only_they_read_the_log(node: StreamNode) -> None:
    for path in (PROGRESS, LOGS):
        assert (await node.get(path)).status_code == 401
        assert (await node.get(path, node.bearer(ALICE))).status_code == 403
    key = {"x-service-key": SERVICE_KEY}
    async with follow(node, PROGRESS, key) as events:
        assert (await events.next())[0] == "state"
    assert (await node.get(LOGS, key)).status_code == 401


# The log


async def test_the_log_is_followed_as_it_is_written(node: StreamNode, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "zmart_lite.test")
    logger.warning("token=abc before")
    logger.info("not this")
    path = f"{LOGS}?level=WARNING&logger=test"
    async with follow(node, path) as events:
        name, line = await events.next()
        assert (name, line["level"], line["message"]) == ("line", "WARNING", "token=abc before")
        logger.info("nor this")
        logging.getLogger("zmart_lite.tester").error("nor that")
        logger.error("at https://host/?ticket=abc", extra={"password": "abc"})
        line = (await events.next())[1]
        assert (line["message"], line["password"]) == ("at https://host/?ticket=***", "***")
    async with follow(node, f"{path}&follow=false&lines=1") as events:
        assert (await events.next())[1]["level"] == "ERROR"
        assert await events.ended()


async def test_a_client_is_told_how_many_lines_it_lost(node: StreamNode) -> None:
    async with follow(node, f"{LOGS}?logger=test&lines=0") as events:
        await node.until(lambda: len(node.parts.log_tail._followers) == 1)
        for number in range(LINES_MAX + 50):
            logger.warning("line %d", number)
        assert await events.next() == ("lost", {"lines": 50})
        assert (await events.next())[1]["message"] == "line 50"
    await node.until(lambda: not node.parts.log_tail._followers)


async def test_the_log_has_few_seats_which_are_given_back(node: StreamNode) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(LOG.seats):
            await stack.enter_async_context(follow(node, LOGS))
        refused = await node.get(LOGS, node.bearer(ADMIN))
        assert (refused.status_code, refused.json()["reason"]) == (503, "connections_max")
        assert f"At most {LOG.seats} clients" in refused.json()["message"]
        async with follow(node, PROGRESS) as events:
            assert (await events.next())[0] == "state"
    await node.until(lambda: node.streams.seats.total() == 0)


# The end


async def test_streams_end_with_the_credential(node: StreamNode, counting: Counting) -> None:
    await node.parts.jobs.run("count")
    token = node.token(ADMIN)
    async with (
        follow(node, PROGRESS, {"Authorization": f"Bearer {token}"}) as progress,
        follow(node, f"{LOGS}?logger=nobody") as lines,
    ):
        assert (await progress.next())[0] == "state"
        await node.revoke(token)
        await node.streams.end_revoked()
        assert await progress.ended()
        node.times.pass_s(366 * 86_400)
        node.streams.sweep()
        assert await lines.ended()


async def test_a_stop_waits_for_no_stream_not_even_one_that_is_not_read(tmp_path: Path, counting: Counting) -> None:
    """This uvicorn has no graceful time: it would wait for ever."""
    async with stream_node(tmp_path, make_jobs=counting.jobs) as node:
        await node.parts.jobs.run("count")
        with node.parts.log_tail.attached():
            stuck = await _stuck_reader(node)
            async with follow(node, PROGRESS) as progress, follow(node, f"{LOGS}?lines=0&logger=nobody") as lines:
                assert (await progress.next())[0] == "state"
                node.server.should_exit = True
                assert await progress.ended()
                assert await lines.ended()
        stuck.close()


async def _stuck_reader(node: StreamNode) -> socket.socket:
    """A client of the log that takes nothing, once the node cannot write to it any more."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", node.port))
    head = f"GET {LOGS}?lines=0 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {node.token(ADMIN)}\r\n\r\n"
    await loop.sock_sendall(sock, head.encode())
    await node.until(lambda: len(node.streams.connections) == 1)
    (stream,) = node.streams.connections

    def is_stuck() -> bool:
        logger.warning("x" * 8_000)
        return stream._wire is not None and not stream._wire.ready  # type: ignore[attr-defined]

    await node.until(is_stuck)
    return sock


def test_uvicorn_is_left_as_it_is() -> None:
    assert uvicorn.Server.handle_exit.__module__ == "uvicorn.server"
    subprocess.run([sys.executable, "-c", IMPORTED_AFTER_US], check=True)
