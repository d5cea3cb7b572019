"""A message to thousands of clients, beside a plain loop of ``await websocket.send_text`` in the same process and run.

The node runs in a process of its own, all clients in this one, each on a core of its own. Times run from the moment
the commit hands the messages over (for a vote and a trade: from their POST) to the moment a client has read them.
"""

import gc
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from bench import Measurement, on_core, put_on_core
from bench._crowd import PLAIN, Client, Crowd, Kind, listening, streaming
from bench._load import post_request

FEW, MANY, MOST = 1_000, 5_000, 10_000
LISTENERS_TO_TRADES = 500
BURST = 10
ROUNDS = 15
POSTS = 300
POST_PAUSE_S = 0.02
FILES = MOST + MANY + 1_024
STAY_S = 35.0
"""Longer than the node's pings are apart."""
LONG_RUN_COMMITS = 1_200
ONE_SHARE_MAX, BURST_SHARE_MAX = 65, 20
VOTE_P99_MS_MAX, TRADE_P99_MS_MAX = 25, 20
GROWTH_MB_MAX = 4
MB = 2**20
LIKE = b'{"vote":"like"}'


class Fanout(NamedTuple):
    """Messages that went out to all. Times in milliseconds, one value for each delivery or round."""

    deliveries_ms: list[float]
    lasts_ms: list[float]
    cpu_ms: list[float]

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.deliveries_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    @property
    def last_ms(self) -> float:
        """Until the last client had it."""
        return statistics.median(self.lasts_ms)

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpu_ms)


class Server:
    """The node's process, and how it is spoken to while the crowd goes on reading."""

    def __init__(self, crowd: Crowd, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.crowd = crowd
        self._process, self._input, self._output = process, process.stdin, process.stdout
        self._answer = b""
        self.told = json.loads(self._output.readline())
        crowd.watch(self._output.fileno(), self._read)

    def ask(self, command: str, count: int = 0) -> dict[str, Any]:
        self._answer = b""
        self._input.write(json.dumps({"do": command, "count": count}).encode() + b"\n")
        self._input.flush()
        self.crowd.run_until(lambda: self._answer.endswith(b"\n"), f"the answer to {command}")
        return cast(dict[str, Any], json.loads(self._answer))

    def _read(self) -> None:
        self._answer += os.read(self._output.fileno(), 65_536)

    def resident_bytes(self) -> int:
        return cast(int, self.ask("usage")["bytes"])

    def close(self) -> None:
        self.crowd.forget(self._output.fileno())
        self._process.communicate()


def run() -> list[Measurement]:
    _allow_files()
    gc.disable()  # a pause of this process would count as one of the server
    found: list[Measurement] = []
    for measure in (_event_streams, _websockets, _posts):
        # On two cores each has one: a scheduler that lets them trade places is not what is measured.
        with on_core(-1), _server() as server:
            found += measure(server)
    return found


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))


@contextmanager
def _server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="zmart-bench-") as folder:
        command = [sys.executable, "-m", "bench._push_node", folder]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
            put_on_core(0, process.pid)
            server = Server(Crowd(), process)
            yield server
            server.close()


# One message to all


def _rounds(server: Server, groups: dict[str, list[Client]], count: int, rounds: int = ROUNDS) -> dict[str, Fanout]:
    """Let the groups take turns, each named by the command that sends to it, so that a busy moment meets each alike."""
    found = {command: Fanout([], [], []) for command in groups}
    for number in range(rounds + 1):
        for command, clients in groups.items():
            fanout = _round(server, command, clients, count)
            if number:  # the first one warms up
                found[command].deliveries_ms.extend(fanout.deliveries_ms)
                found[command].lasts_ms.extend(fanout.lasts_ms)
                found[command].cpu_ms.extend(fanout.cpu_ms)
    return found


def _round(server: Server, command: str, clients: list[Client], count: int) -> Fanout:
    began = server.ask(command, count)
    arrivals = server.crowd.arrivals(clients, count)
    cpu_s = server.ask("usage")["cpu_s"] - began["began_cpu_s"]
    deliveries = [(at - began["began_at"]) * 1_000 for at in arrivals]
    return Fanout(deliveries, [max(deliveries)], [cpu_s * 1_000])


def _fanout_rows(what: str, fanout: Fanout) -> list[Measurement]:
    note = f"median {fanout.percentile_ms(0.5):.1f} ms, server CPU {fanout.cpu:.1f} ms a message"
    return [Measurement(f"{what}, p99", fanout.percentile_ms(0.99), "ms", note=note)]


def _beside(what: str, ours: Fanout, plain: Fanout, at_most: float | None) -> list[Measurement]:
    return [
        Measurement(f"{what}, until the last", ours.last_ms, "ms", note=f"plain loop {plain.last_ms:.1f} ms"),
        Measurement("  of the plain loop's time", 100 * ours.last_ms / plain.last_ms, "%", at_most=at_most),
        Measurement("  of its server CPU", 100 * ours.cpu / plain.cpu, "%", at_most=at_most),
    ]


def _grow(server: Server, kind: Kind, port: int, count: int) -> tuple[list[Client], float]:
    """So many clients more, and what each of them costs the server in KB."""
    before = server.resident_bytes()
    clients = server.crowd.open(kind, port, count)
    return clients, (server.resident_bytes() - before) / count / 1_024


def _event_streams(server: Server) -> list[Measurement]:
    told = server.told
    plain = server.crowd.open(PLAIN, told["plain_port"], FEW)
    streams, kb = _grow(server, streaming("public"), told["port"], FEW)
    found = _rounds(server, {"publish": streams, "loop": plain}, 1)
    what = f"one message to {FEW:,} event streams"
    return [
        *_fanout_rows(what, found["publish"]),
        *_beside(what, found["publish"], found["loop"], None),
        Measurement("memory of an event stream", kb, "KB"),
    ]


def _websockets(server: Server) -> list[Measurement]:
    crowd, told = server.crowd, server.told
    plain = crowd.open(PLAIN, told["plain_port"], FEW)
    clients = crowd.open(listening("public"), told["port"], FEW)
    few = _rounds(server, {"publish": clients, "loop": plain}, 1)
    more, plain_kb = _grow(server, PLAIN, told["plain_port"], MANY - FEW)
    plain += more
    more, kb = _grow(server, listening("public"), told["port"], MANY - FEW)
    clients += more
    many = _rounds(server, {"publish": clients, "loop": plain}, 1)
    burst = _rounds(server, {"publish": clients, "loop": plain}, BURST, rounds=5)
    crowd.close(plain)
    rows = []
    for count, found in ((FEW, few), (MANY, many)):
        what = f"one message to {count:,} WebSockets"
        rows += _fanout_rows(what, found["publish"])
        rows += _beside(what, found["publish"], found["loop"], ONE_SHARE_MAX if count == MANY else None)
    rows += _beside(f"{BURST} messages to {MANY:,} WebSockets", burst["publish"], burst["loop"], BURST_SHARE_MAX)
    rows.append(
        Measurement("memory of a WebSocket", kb, "KB", note=f"of uvicorn's own with Starlette {plain_kb:.1f} KB")
    )
    return [*rows, *_stay(server, clients)]


def _stay(server: Server, clients: list[Client]) -> list[Measurement]:
    """As many clients as the machine's limits allow for, over the time of a ping."""
    clients += server.crowd.open(listening("public"), server.told["port"], MOST - len(clients))
    server.crowd.run_for(STAY_S)
    fanout = _rounds(server, {"publish": clients}, 1, rounds=3)["publish"]
    staying = sum(client.is_open for client in clients)
    note = f"answered pings for {STAY_S:.0f} s; then a message reached the last of them after {fanout.last_ms:.0f} ms"
    return [Measurement("clients that connect and stay", staying, "", MOST, note)]


# A POST and its delivery


def _posts(server: Server) -> list[Measurement]:
    told, crowd = server.told, server.crowd
    clients = crowd.open(listening("public"), told["port"], LISTENERS_TO_TRADES)
    trades = [_delivery(told["secret"], trade.encode()) for trade in told["trades"][:POSTS]]
    traded = _post_each(server, clients, trades, b"HTTP/1.1 200", 2)
    growth = _long_run(server, clients)
    clients += crowd.open(listening("public"), told["port"], FEW - LISTENERS_TO_TRADES)
    votes = [
        post_request(f"/api/votes/proposal/{told['proposals'][number % len(told['proposals'])]}", token, LIKE)
        for number, token in enumerate(told["tokens"][:POSTS])
    ]
    voted = _post_each(server, clients, votes, b"HTTP/1.1 201", 1)
    return [
        _posted(f"vote to its delivery, {FEW:,} clients, p99", voted, VOTE_P99_MS_MAX),
        _posted(f"webhook with a trade to its delivery, {LISTENERS_TO_TRADES} clients, p99", traded, TRADE_P99_MS_MAX),
        growth,
    ]


def _delivery(secret: str, body: bytes) -> bytes:
    """A webhook: its secret is the whole header, without a scheme."""
    return post_request("/api/webhooks/helius", secret, body).replace(b"Authorization: Bearer ", b"Authorization: ")


def _posted(what: str, fanout: Fanout, at_most: float) -> Measurement:
    note = f"median {fanout.percentile_ms(0.5):.1f} ms, {len(fanout.lasts_ms)} of them"
    return Measurement(what, fanout.percentile_ms(0.99), "ms", note=note, at_most=at_most)


def _post_each(server: Server, clients: list[Client], requests: list[bytes], status: bytes, messages: int) -> Fanout:
    """Post one after the other; each brings so many messages to every client."""
    found = Fanout([], [], [])
    with socket.create_connection(("127.0.0.1", server.told["port"])) as poster:
        poster.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for request in requests:
            began_at = time.perf_counter()
            poster.sendall(request)
            arrivals = server.crowd.arrivals(clients, messages)
            _read_answer(poster, status)
            found.deliveries_ms.extend((at - began_at) * 1_000 for at in arrivals)
            found.lasts_ms.append((max(arrivals) - began_at) * 1_000)
            server.crowd.run_for(POST_PAUSE_S)
    return found


def _read_answer(poster: socket.socket, status: bytes) -> None:
    head, missing = b"", 1
    while missing:
        head += poster.recv(65_536)
        at = head.find(b"\r\n\r\n") + 4
        if at > 3:
            length = head.index(b"content-length: ") + 16
            missing = at + int(head[length : head.index(b"\r\n", length)]) - len(head)
    if not head.startswith(status):
        raise RuntimeError(head.decode())


def _long_run(server: Server, clients: list[Client]) -> Measurement:
    """How much the server grows during the second half of many messages; in the first its caches fill."""
    sizes = []
    for _ in range(2):
        for _ in range(LONG_RUN_COMMITS // 2):
            server.ask("publish", BURST)
            server.crowd.arrivals(clients, BURST)
        sizes.append(server.resident_bytes())
    messages = LONG_RUN_COMMITS * BURST
    note = f"second half of {messages:,} messages to {len(clients)} clients; {sizes[-1] / MB:.0f} MB in all"
    return Measurement(
        "growth of the node's memory", (sizes[-1] - sizes[0]) / MB, "MB", note=note, at_most=GROWTH_MB_MAX
    )
