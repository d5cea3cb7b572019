"""Pages of markets and votes over HTTP, beside an empty request behind the same middleware in the same run.

The node runs in a process of its own, this one makes the load, each on a core of its own.
"""

import asyncio
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvloop

from bench import Measurement, on_core, put_on_core
from bench._http_node import EMPTY, MARKETS
from bench._load import Load, NextRequest, each_once, get_request, load, post_request, repeating
from zmart_lite.api.contract.parsers import CATEGORIES
from zmart_lite.models import MarketState

READERS, VOTERS = 100, 50
SECONDS = 4.0
ROUNDS = 3
PAGES_PER_SECOND_MIN, PAGES_SHARE_MIN = 2_500, 35
VOTES_PER_SECOND_MIN, VOTES_SHARE_MIN = 4_000, 25
VOTES_MEANWHILE_PAUSE_S = 0.01
SORTS = ("newest", "volume", "ending_soon")
FOLLOWED = 0.6
"""How often a client turns the page instead of choosing other filters."""
LIKE = b'{"vote":"like"}'


def run() -> list[Measurement]:
    with on_core(-1), node() as told, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(told))


@contextmanager
def node() -> Iterator[dict[str, Any]]:
    """A running node: its port, tokens of wallets, ids of proposals."""
    with tempfile.TemporaryDirectory(prefix="zmart-bench-") as folder:
        command = [sys.executable, "-m", "bench._http_node", folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            put_on_core(0, process.pid)
            yield json.loads(process.stdout.readline())
            process.communicate()


async def _measure(told: dict[str, Any]) -> list[Measurement]:
    port, votes = told["port"], _votes(told)
    empty_get = [repeating(get_request(EMPTY))] * READERS
    empty_post = [repeating(post_request(EMPTY, told["tokens"][0], LIKE))] * VOTERS
    pages = [_reader(random.Random(number)) for number in range(READERS)]
    await load(port, pages, b"HTTP/1.1 200", SECONDS)
    rounds: dict[str, list[Load]] = {"empty GET": [], "pages": [], "empty POST": [], "votes": []}
    for _ in range(ROUNDS):
        rounds["empty GET"].append(await load(port, empty_get, b"HTTP/1.1 200", SECONDS))
        rounds["pages"].append(await _pages_while_voting(port, pages, votes))
        rounds["empty POST"].append(await load(port, empty_post, b"HTTP/1.1 200", SECONDS))
        rounds["votes"].append(await load(port, [each_once(votes)] * VOTERS, b"HTTP/1.1 201", SECONDS))
    best = {name: max(found, key=lambda one: one.rate) for name, found in rounds.items()}
    wrong = {name: sum(one.wrong for one in found) for name, found in rounds.items()}
    if any(wrong.values()):
        raise RuntimeError(f"answers of another status: {wrong}")
    return _table(best)


def _table(best: dict[str, Load]) -> list[Measurement]:
    pages, votes = best["pages"], best["votes"]
    note = f"20 of {MARKETS:,}, {READERS} clients, random filters and cursors, while votes are written"
    return [
        Measurement("pages of markets", pages.rate, "pages/s", PAGES_PER_SECOND_MIN, note),
        Measurement("of an empty GET", 100 * pages.rate / best["empty GET"].rate, "%", PAGES_SHARE_MIN),
        Measurement("empty GET", best["empty GET"].rate, "requests/s", note="same middleware, same clients"),
        Measurement("pages, p99", pages.percentile_ms(0.99), "ms", note=f"median {pages.percentile_ms(0.5):.1f} ms"),
        Measurement("votes", votes.rate, "votes/s", VOTES_PER_SECOND_MIN, f"{VOTERS} clients, each vote durable"),
        Measurement("of an empty POST", 100 * votes.rate / best["empty POST"].rate, "%", VOTES_SHARE_MIN),
        Measurement("empty POST", best["empty POST"].rate, "requests/s", note="same middleware, same clients"),
        Measurement("votes, p99", votes.percentile_ms(0.99), "ms", note=f"median {votes.percentile_ms(0.5):.1f} ms"),
    ]


# Requests


def _reader(source: random.Random) -> NextRequest:
    """A client that looks at lists by random filters and turns their pages."""
    path = ""

    def following(tail: bytes | None) -> bytes:
        nonlocal path
        cursor = None if tail is None else _cursor(tail)
        if cursor is None or source.random() > FOLLOWED:
            path, cursor = _filters(source), None
        return get_request(path if cursor is None else f"{path}&cursor={cursor}")

    return following


def _filters(source: random.Random) -> str:
    chosen = [f"sort={source.choice(SORTS)}", "limit=20"]
    if source.random() < 0.5:
        chosen.append(f"state={source.choice(list(MarketState)).name}")
    if source.random() < 0.5:
        chosen.append(f"category={source.choice(CATEGORIES)}")
    return f"/api/markets?{'&'.join(chosen)}"


def _cursor(tail: bytes) -> str | None:
    _, found, value = tail.rpartition(b'"next_cursor":"')
    return value[: value.index(b'"')].decode() if found else None


def _votes(told: dict[str, Any]) -> Iterator[bytes]:
    """Each wallet votes on each proposal once."""
    for market_id in told["markets"]:
        path = f"/api/votes/proposal/{market_id}"
        for token in told["tokens"]:
            yield post_request(path, token, LIKE)


async def _pages_while_voting(port: int, pages: list[NextRequest], votes: Iterator[bytes]) -> Load:
    writing = asyncio.create_task(_vote_now_and_then(port, votes))
    try:
        return await load(port, pages, b"HTTP/1.1 200", SECONDS)
    finally:
        writing.cancel()


async def _vote_now_and_then(port: int, votes: Iterator[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for request in votes:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            at = head.index(b"content-length: ") + 16
            await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
            await asyncio.sleep(VOTES_MEANWHILE_PAUSE_S)
    finally:
        writer.close()
