"""The process's limit on open files is raised as far as the connections need and the system allows, and a connection
that is not used is closed.
"""

import asyncio
import resource
import socket
from collections.abc import Iterator

import pytest
import uvloop
from starlette.responses import PlainTextResponse

from zmart_lite.app import server
from zmart_lite.app.server import ACCEPTED_PER_TURN, OTHER_FILES, allow_connections, bind, make_server, serve
from zmart_lite.config import Config


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_few_files_become_enough(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    allow_connections(100)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (100 + OTHER_FILES, limits[1])


def test_enough_stays_and_the_hard_limit_holds(limits: tuple[int, int], caplog: pytest.LogCaptureFixture) -> None:
    allow_connections(1)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits
    assert not caplog.records
    if limits[1] != resource.RLIM_INFINITY:
        allow_connections(limits[1] + 1)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (limits[1], limits[1])
        assert [record.getMessage() for record in caplog.records] == ["fewer open files are allowed than connections"]


async def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "KEEP_ALIVE_S", 0.05)
    listening = bind("127.0.0.1", 0, "server.port")
    running = make_server(PlainTextResponse("well"), Config())
    serving = await serve(running, [listening])
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    try:
        async with asyncio.timeout(5):
            for _ in range(2):
                writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert (await reader.readuntil(b"well")).startswith(b"HTTP/1.1 200 OK")
            assert await reader.read() == b""
    finally:
        writer.close()
        running.should_exit = True
        await serving
        listening.close()


def test_connections_that_come_at_once_are_taken_in_few_turns() -> None:
    """In the event loop that the node uses, which takes one per turn and socket."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_turns_to_take(3 * ACCEPTED_PER_TURN)) < ACCEPTED_PER_TURN


async def _turns_to_take(count: int) -> int:
    """How many turns of the event loop pass until so many connections, made while it was busy, are taken."""
    listening = bind("127.0.0.1", 0, "server.port")
    running = make_server(PlainTextResponse("well"), Config())
    serving = await serve(running, [listening])
    callers = [socket.create_connection(listening.getsockname()) for _ in range(count)]
    turns = 0
    while len(running.server_state.connections) < count and turns < count:
        await asyncio.sleep(0)
        turns += 1
    for caller in callers:
        caller.close()
    running.should_exit = True
    await serving
    return turns
