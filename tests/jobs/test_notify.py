"""People are told once, again while it lasts, and of the end; by a real HTTP server and a real SMTP server."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from zmart_lite.errors import StartupError
from zmart_lite.jobs.notify import Notifier, NotifyOptions
from zmart_lite.ops.targets import Message, targets_of
from zmart_lite.store.engine.db import Store
from zmart_lite.store.publishing.messages import raise_alert, resolve_alert
from zmart_lite.store.state import alerts
from zmart_lite.store.state.alerts import QUIET_S

REMIND_S = 3_600
START_MS = 1_700_000_000_000


class Wall:
    now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms

    def seconds(self) -> float:
        return self.now_ms / 1_000


class Post:
    """Servers that keep what they are sent: HTTP bodies, and mails. ``refuse``: answer as a service that is broken."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.mails: list[str] = []
        self.refuse = False
        self.http_port = self.smtp_port = 0

    async def http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length"))
        body = await reader.readexactly(length)
        if not self.refuse:
            self.bodies.append(json.loads(body))
        status = b"500 Broken" if self.refuse else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def smtp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                mail = await reader.readuntil(b"\r\n.\r\n")
                self.mails.append(mail.decode())
            writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 fine\r\n")
            await writer.drain()
            if verb == b"QUIT":
                break
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    post = Post()
    http = await asyncio.start_server(post.http, "127.0.0.1", 0)
    smtp = await asyncio.start_server(post.smtp, "127.0.0.1", 0)
    post.http_port, post.smtp_port = (each.sockets[0].getsockname()[1] for each in (http, smtp))
    yield post
    for server in (http, smtp):
        server.close()
        await server.wait_closed()


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
async def store(tmp_path: Path, wall: Wall) -> AsyncIterator[Store]:
    store = await Store(tmp_path / "zmart.db", now_ms=wall).open()
    yield store
    await store.close()


def http_url(post: Post) -> str:
    return f"json://127.0.0.1:{post.http_port}/alerts"


def mail_url(post: Post) -> str:
    return f"mailto://127.0.0.1:{post.smtp_port}/?from=node@example.org&to=operator@example.org"


def notifier(store: Store, wall: Wall, *urls: str, severity_min: str = "HIGH") -> Notifier:
    options = NotifyOptions(severity_min, REMIND_S, "zmart-lite on devnet", "https://node.example")
    return Notifier(store, targets_of(urls), options, wall.seconds)


async def raised(store: Store, severity: str, *, alert_type: str = "indexing_lag", subject: str = "") -> None:
    await store.write(lambda tx: raise_alert(tx, alert_type, severity, "It is late.", subject=subject))


async def test_an_alert_reaches_a_web_hook_and_a_mailbox_once(store: Store, wall: Wall, post: Post) -> None:
    telling = notifier(store, wall, http_url(post), mail_url(post))
    await raised(store, "HIGH")
    assert await telling.look() == 1
    assert await telling.look() == 0
    (body,) = post.bodies
    assert body["title"] == "[HIGH] zmart-lite on devnet: indexing_lag"
    assert body["message"].splitlines() == [
        "[HIGH] indexing_lag: It is late.",
        "What to do: https://node.example/runbooks/indexing_lag",
    ]
    (mail,) = post.mails
    assert "To: operator@example.org" in mail
    assert "indexing_lag" in mail


async def test_what_is_less_severe_is_not_sent(store: Store, wall: Wall, post: Post) -> None:
    await raised(store, "MEDIUM")
    assert await notifier(store, wall, http_url(post)).look() == 0
    assert await notifier(store, wall, http_url(post), severity_min="MEDIUM").look() == 1


async def test_repetitions_are_silent_a_rise_is_told_and_so_is_the_end(store: Store, wall: Wall, post: Post) -> None:
    telling = notifier(store, wall, http_url(post))
    await raised(store, "HIGH")
    await telling.look()
    await raised(store, "HIGH")
    assert await telling.look() == 0
    await raised(store, "CRITICAL")
    assert await telling.look() == 1
    wall.now_ms += 1_000
    await store.write(lambda tx: resolve_alert(tx, "indexing_lag"))
    assert await telling.look() == 1
    assert await telling.look() == 0
    titles = [body["title"].split()[0] for body in post.bodies]
    assert titles == ["[HIGH]", "[CRITICAL]", "[RESOLVED]"]
    assert post.bodies[2]["type"] == "success"


async def test_an_end_at_the_very_moment_of_telling_is_told_too(store: Store, wall: Wall, post: Post) -> None:
    telling = notifier(store, wall, http_url(post))
    await raised(store, "HIGH")
    await telling.look()
    await store.write(lambda tx: resolve_alert(tx, "indexing_lag"))
    assert await telling.look() == 1


async def test_what_ended_before_anybody_knew_is_not_told(store: Store, wall: Wall, post: Post) -> None:
    await raised(store, "HIGH")
    await store.write(lambda tx: resolve_alert(tx, "indexing_lag"))
    assert await notifier(store, wall, http_url(post)).look() == 0


async def test_one_that_comes_and_goes_is_told_of_again_only_when_it_stays(
    store: Store, wall: Wall, post: Post
) -> None:
    telling = notifier(store, wall, http_url(post))

    async def after(seconds: int, *, holds: bool) -> int:
        """How many alerts are told when the cause is there, or gone, some time later."""
        wall.now_ms += seconds * 1_000
        if holds:
            await raised(store, "HIGH")
        else:
            await store.write(lambda tx: resolve_alert(tx, "indexing_lag"))
        return await telling.look()

    assert [await after(0, holds=True), await after(60, holds=False)] == [1, 1]
    assert [await after(60, holds=number % 2 == 0) for number in range(20)] == [0] * 20
    assert await after(QUIET_S - 1, holds=True) == 0
    assert await after(QUIET_S - 1, holds=True) == 0
    assert await after(1, holds=True) == 1
    assert await after(60, holds=False) == 0
    assert await after(QUIET_S - 1, holds=False) == 0
    assert await after(1, holds=False) == 1
    assert await after(10 * REMIND_S, holds=False) == 0
    assert [body["title"].split()[0] for body in post.bodies] == ["[HIGH]", "[RESOLVED]"] * 2
    assert await store.read(lambda tx: tx.value("SELECT count(*) FROM alerts")) == 1


async def test_one_that_never_rests_is_recalled_by_the_reminder(store: Store, wall: Wall, post: Post) -> None:
    telling, told = notifier(store, wall, http_url(post)), []
    for minute in range(2 * REMIND_S // 60 + 2):
        if minute % 2 == 0:
            await raised(store, "HIGH")
        else:
            await store.write(lambda tx: resolve_alert(tx, "indexing_lag"))
        if await telling.look():
            told.append(minute)
        wall.now_ms += 60_000
    assert told == [0, 1, 62]


async def test_one_that_came_back_worse_is_told_of_at_once(store: Store, wall: Wall, post: Post) -> None:
    telling = notifier(store, wall, http_url(post))
    await raised(store, "HIGH")
    await telling.look()
    await store.write(lambda tx: resolve_alert(tx, "indexing_lag"))
    await telling.look()
    await raised(store, "CRITICAL")
    assert await telling.look() == 1


async def test_reminders_until_somebody_acknowledges(store: Store, wall: Wall, post: Post) -> None:
    telling = notifier(store, wall, http_url(post))
    await raised(store, "HIGH")
    for seconds, told in ((0, 1), (REMIND_S - 1, 0), (1, 1), (REMIND_S, 1)):
        wall.now_ms += seconds * 1_000
        assert await telling.look() == told
    assert post.bodies[-1]["message"].splitlines()[0].endswith("(still open)")
    await store.write(lambda tx: alerts.acknowledge_alert(tx, 1, bytes(32)))
    wall.now_ms += 10 * REMIND_S * 1_000
    assert await telling.look() == 0
    await raised(store, "CRITICAL")
    assert await telling.look() == 1


async def test_a_restart_neither_loses_nor_repeats(store: Store, wall: Wall, post: Post) -> None:
    await raised(store, "HIGH")
    assert await notifier(store, wall, http_url(post)).look() == 1
    assert await notifier(store, wall, http_url(post)).look() == 0


async def test_a_storm_is_one_message(store: Store, wall: Wall, post: Post) -> None:
    for number in range(30):
        await raised(store, "HIGH", alert_type="event_undecodable", subject=str(number))
    telling = notifier(store, wall, http_url(post))
    assert [await telling.look() for _ in range(3)] == [20, 10, 0]
    assert [body["title"] for body in post.bodies] == [
        "[HIGH] zmart-lite on devnet: 20 alerts",
        "[HIGH] zmart-lite on devnet: 10 alerts",
    ]


async def test_a_failing_target_keeps_nothing_from_the_others_and_is_tried_again_later(
    store: Store, wall: Wall, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    post.refuse = True
    telling = notifier(store, wall, http_url(post))
    await raised(store, "HIGH")
    with caplog.at_level(logging.WARNING):
        assert await telling.look() == 0
    assert "the alert target 1 (JSON) did not take a message" in caplog.text
    assert str(post.http_port) not in "".join(
        record.getMessage() for record in caplog.records if "target" in record.message
    )
    post.refuse = False
    assert await telling.look() == 0
    wall.now_ms += 15_000
    assert await telling.look() == 1
    post.refuse = True
    await raised(store, "HIGH", subject="other")
    both = notifier(store, wall, http_url(post), mail_url(post))
    assert await both.look() == 1
    assert len(post.mails) == 1


@asynccontextmanager
async def running(telling: Notifier) -> AsyncIterator[None]:
    task = asyncio.create_task(telling.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_target_that_hangs_blocks_nothing(store: Store, wall: Wall) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        port = listening.getsockname()[1]
        await raised(store, "HIGH")
        async with running(notifier(store, wall, f"json://127.0.0.1:{port}/?rto=1&cto=1")):
            asked, _ = await asyncio.get_running_loop().sock_accept(listening)
            await raised(store, "HIGH", subject="meanwhile")
            assert await store.read(lambda tx: tx.value("SELECT count(*) FROM alerts")) == 2
        asked.close()


async def test_a_database_that_fails_is_told_of_all_the_same(store: Store, wall: Wall, post: Post) -> None:
    telling = notifier(store, wall, http_url(post))
    store.faults.writing = "disk I/O error"
    for _ in range(2):
        assert await telling.look() == 0
    store.faults.writing = None
    await telling.look()
    assert [body["title"] for body in post.bodies] == [
        "[CRITICAL] zmart-lite on devnet: store_error",
        "[RESOLVED] zmart-lite on devnet: store_error",
    ]


def test_an_address_that_nothing_knows_stops_the_start_without_showing_it() -> None:
    with pytest.raises(StartupError) as caught:
        targets_of(["json://127.0.0.1", "carrier-pigeon://secret"])
    assert "number 2" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_without_targets_nothing_is_asked(store: Store, wall: Wall) -> None:
    await raised(store, "CRITICAL")
    async with asyncio.timeout(5):
        await notifier(store, wall).run()


def test_a_message_has_a_kind() -> None:
    assert Message("title", "body").kind == "bad"


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("json://127.0.0.1:9999/x", ("127.0.0.1", 9999)),
        ("jsons://example.com", ("example.com", 443)),
        ("mailto://user:word@gmail.com", ("smtp.gmail.com", 587)),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/", ("hooks.slack.com", 443)),
        ("pagerduty://ABC@123", None),
    ],
)
def test_a_target_says_where_its_messages_go(url: str, endpoint: tuple[str, int] | None) -> None:
    assert targets_of([url])[0].endpoint == endpoint
