"""The newest lines of the log in memory, and those who follow it."""

import json
import logging
from threading import Thread

import pytest

from zmart_lite.logs import AccessLog
from zmart_lite.ops.log_tail import CHARS_MAX, LINES_MAX, LogTail, Wanted
from zmart_lite.ops.wake import Wake

SECRET = "the-secret-of-this-test"


def record(message: str, level: int = logging.INFO, logger: str = "zmart_lite.indexer.apply") -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": logger, "levelno": level, "levelname": logging.getLevelName(level), "msg": message}
    )


def messages(lines: list[str]) -> list[str]:
    return [json.loads(line)["message"] for line in lines]


async def test_the_last_lines_come_first_and_then_each_that_is_written() -> None:
    tail = LogTail()
    for number in range(5):
        tail.handle(record(f"before {number}"))
    wake = Wake()
    with tail.followed(Wanted(), wake, 2) as follower:
        assert await wake.wait()
        lost, lines = follower.take()
        assert (lost, messages(lines)) == (0, ["before 3", "before 4"])
        writing = Thread(target=tail.handle, args=(record("from a thread"),))
        writing.start()
        assert await wake.wait()
        writing.join()
        assert messages(follower.take()[1]) == ["from a thread"]
    tail.handle(record("nobody is there"))
    assert follower.take() == (0, [])


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), ["apply", "warns", "library"]),
        (Wanted(level=logging.WARNING), ["warns"]),
        (Wanted(logger="indexer"), ["apply", "warns"]),
        (Wanted(logger="zmart_lite.indexer.apply"), ["apply", "warns"]),
        (Wanted(logger="index"), []),
        (Wanted(logger="sqlite"), ["library"]),
    ],
)
async def test_lines_are_wanted_by_level_and_logger(wanted: Wanted, found: list[str]) -> None:
    tail = LogTail()
    tail.handle(record("apply"))
    tail.handle(record("warns", logging.WARNING))
    tail.handle(record("library", logger="sqlite"))
    with tail.followed(wanted, Wake(), LINES_MAX) as follower:
        assert messages(follower.take()[1]) == found


async def test_what_is_not_taken_in_time_is_lost_and_counted() -> None:
    tail = LogTail()
    with tail.followed(Wanted(), Wake(), 0) as follower:
        for number in range(LINES_MAX + 7):
            tail.handle(record(str(number)))
        lost, lines = follower.take()
        assert (lost, len(lines), messages(lines)[0]) == (7, LINES_MAX, "7")
        tail.handle(record("the next"))
        assert follower.take()[0] == 0


async def test_long_lines_are_bounded_by_their_size() -> None:
    tail = LogTail()
    with tail.followed(Wanted(), Wake(), 0) as follower:
        for _ in range(LINES_MAX):
            tail.handle(record("x" * 8_000))
        lost, lines = follower.take()
        assert lost > 0
        assert sum(map(len, lines)) <= CHARS_MAX


async def test_lines_are_masked_as_the_log_is(caplog: pytest.LogCaptureFixture) -> None:
    tail = LogTail([SECRET])
    access = logging.getLogger("zmart_lite.api.access")
    caplog.set_level(logging.INFO)
    with tail.attached():
        logging.getLogger("zmart_lite.test").warning("at https://user:word@host", extra={"of": SECRET, "api_key": "k"})
        AccessLog(access).note("1", "GET", f"/{SECRET}", 200, 1.5, "::1")
        wake = Wake()
        with tail.followed(Wanted(), wake, 0):
            assert await wake.wait()
    with tail.followed(Wanted(), Wake(), LINES_MAX) as follower:
        line, request = (json.loads(text) for text in follower.take()[1])
    assert (line["message"], line["of"], line["api_key"]) == ("at https://***@host", "***", "***")
    assert (request["message"], request["path"], request["status"]) == ("request", "/***", 200)


async def test_a_wake_that_is_over_ends_the_waiting_at_once() -> None:
    wake = Wake()
    wake.set()
    assert await wake.wait()
    wake.end()
    wake.set()
    assert not await wake.wait()
    assert not await wake.wait()
