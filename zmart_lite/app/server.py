"""uvicorn inside the node: sockets bound first, signals left to the node, every limit set."""

import asyncio
import contextlib
import errno
import logging
import resource
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

from zmart_lite.api.http.crowd import Crowd
from zmart_lite.api.http.wire import server_options
from zmart_lite.config import Config
from zmart_lite.errors import StartupError

logger = logging.getLogger(__name__)

BACKLOG = 2_048
GRACEFUL_STOP_S = 3
"""Streams end by the node's own event; this is for requests that are being answered."""
KEEP_ALIVE_S = 30
OTHER_FILES = 1_024
"""Open files besides the connections: databases, calls that go out, the embedded devnet."""
START_POLL_S = 0.001
ACCEPTED_PER_TURN = 8
"""New connections taken in one turn of the event loop. libuv takes one per turn and socket: beside a hundred busy
clients a turn lasts 15 ms, and a hundred new ones waited more than a second."""


def bind(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket. Raises StartupError that names ``setting``, where the port is taken or not allowed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; without that an answer can take 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise StartupError(
                f"Port {port} on {host} is in use. Stop what uses it, or set {setting} to another port."
            ) from error
        raise StartupError(f"The node cannot listen on {host}:{port}: {error.strerror}. Check {setting}.") from error
    bound.setblocking(False)
    return bound


def allow_connections(count: int) -> None:
    """Raise the process's limit on open files, often 1024, so that this many connections fit; as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + OTHER_FILES
    if hard != resource.RLIM_INFINITY and wanted > hard:
        logger.warning("fewer open files are allowed than connections", extra={"allowed": hard, "wanted": wanted})
        wanted = hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class EmbeddedServer(uvicorn.Server):
    """uvicorn that leaves the process's signals to the node."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_server(app: ASGIApp, config: Config, crowd: Crowd | None = None) -> EmbeddedServer:
    options = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACEFUL_STOP_S,
        **server_options(config, crowd),
    )
    return EmbeddedServer(options)


async def serve(server: EmbeddedServer, sockets: Sequence[socket.socket]) -> asyncio.Task[None]:
    """Start serving; the task ends after ``server.should_exit`` is set. The sockets are closed then."""
    all_sockets = [copy for one in sockets for copy in (one, *(one.dup() for _ in range(ACCEPTED_PER_TURN - 1)))]
    task = asyncio.get_running_loop().create_task(server.serve(all_sockets), name="http-server")
    # uvicorn has a flag here, not an event.
    while not server.started and not task.done():  # noqa: ASYNC110
        await asyncio.sleep(START_POLL_S)
    if task.done():
        task.result()
    return task
