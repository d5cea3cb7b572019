"""One line per event, with the request's id, without secrets, whatever a caller puts in."""

import asyncio
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_lite import logs
from zmart_lite.config import Log, Secret
from zmart_lite.errors import StartupError

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


def written(settings: Log, *calls: Any) -> str:
    stream = io.StringIO()
    with logs.configured(settings, stream):
        for call in calls:
            call(logging.getLogger("zmart_lite.test"))
    return stream.getvalue()


def line(call: Any) -> dict[str, Any]:
    (only,) = written(Log(format="json"), call).splitlines()
    found: dict[str, Any] = json.loads(only)
    return found


def test_a_json_line() -> None:
    found = line(
        lambda log: log.info("vote stored", extra={"market_id": "ab", "count": 3, "raw": b"\x01", "none": None})
    )
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "INFO",
        "logger": "zmart_lite.test",
        "message": "vote stored",
        "market_id": "ab",
        "count": 3,
        "raw": "01",
        "none": None,
    }


def test_the_request_id_is_in_every_line_of_the_request() -> None:
    token = logs.request_id.set("r-1")
    try:
        assert line(lambda log: log.info("x"))["request_id"] == "r-1"
        assert "request_id=r-1" in written(Log(format="console"), lambda log: log.info("x"))
    finally:
        logs.request_id.reset(token)
    assert "request_id" not in line(lambda log: log.info("x"))


def test_a_console_line() -> None:
    text = written(Log(format="console"), lambda log: log.warning("vote stored", extra={"market_id": "ab"}))
    assert text[8:] == " WARNING  test: vote stored market_id=ab\n"


def test_text_from_outside_cannot_forge_a_line() -> None:
    text = written(Log(format="console"), lambda log: log.info("name %s", "a\n12:00:00 INFO forged \x1b[2J\u2028"))
    assert len(text.splitlines()) == 1
    assert "\x1b" not in text


class CountedStream(io.StringIO):
    """Counts how often it was written through to the system."""

    flushes = 0

    def flush(self) -> None:
        self.flushes += 1


async def answered(settings: Log, *requests: tuple[str, int]) -> CountedStream:
    """What the access log writes of these paths and statuses, all noted in one turn of the event loop."""
    stream = CountedStream()
    with logs.configured(settings, stream):
        access = logs.AccessLog(logging.getLogger("zmart_lite.test"))
        for number, (path, status) in enumerate(requests, 1):
            access.note(f"r-{number}", "GET", path, status, 1.25, "10.0.0.7")
        assert stream.getvalue() == ""
        await asyncio.sleep(0)
    return stream


async def test_requests_of_one_turn_are_written_together() -> None:
    stream = await answered(Log(format="json"), ("/api/markets", 200), (f"/api/x/{JWT}", 404))
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first.pop("time") <= second.pop("time")
    assert first == {
        "level": "INFO",
        "logger": "zmart_lite.test",
        "message": "request",
        "request_id": "r-1",
        "method": "GET",
        "path": "/api/markets",
        "status": 200,
        "duration_ms": 1.25,
        "address": "10.0.0.7",
    }
    assert second["path"] == "/api/x/***"
    assert stream.flushes == 1


async def test_requests_on_a_console() -> None:
    stream = await answered(Log(format="console"), ("/api/markets", 200), ("/a\n12:00:00 INFO forged", 404))
    first, second = stream.getvalue().splitlines()
    assert first[8:] == (
        " INFO     test: request method=GET path=/api/markets status=200 duration_ms=1.25 address=10.0.0.7"
        " request_id=r-1"
    )
    assert "path=/a\\n12:00:00 INFO forged status=404" in second


async def test_half_a_character_in_a_path_is_written_escaped() -> None:
    stream = await answered(Log(format="json"), ("/\ud83d", 404))
    assert json.loads(stream.getvalue())["path"] == "/\ud83d"


async def test_requests_below_the_level_are_not_kept() -> None:
    stream = await answered(Log(format="json", level="WARNING"), ("/api/markets", 200))
    assert stream.getvalue() == ""


def test_an_exception_is_told() -> None:
    def call(log: logging.Logger) -> None:
        try:
            raise ValueError("no use of ?token=abcdef")
        except ValueError:
            log.exception("failed")

    found = line(call)
    assert "ValueError" in found["exception"]
    assert "abcdef" not in found["exception"]
    assert "Traceback" in written(Log(format="console"), call)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("GET /ws?ticket=abcdef HTTP", "abcdef"),
        ("GET /ws?x=1&token=abcdef&y=2", "abcdef"),
        ("https://rpc.example/?api-key=abcdef", "abcdef"),
        ("https://rpc.example/?API_KEY=abcdef#x", "abcdef"),
        ("postgresql://user:abcdef@host/db", "abcdef"),
        (f"Authorization: Bearer {JWT}", "eyJ"),
        (f"token was {JWT}", "eyJ"),
        ("Authorization: Signature message=abcdef&signature=ghijkl&wallet=w", "ghijkl"),
        ("https://hooks.slack.com/services/T0/B0/abcdef", "abcdef"),
    ],
)
def test_secrets_are_masked(text: str, secret: str) -> None:
    assert secret not in logs.mask(text)
    for settings in (Log(format="json"), Log(format="console")):
        assert secret not in written(
            settings, lambda log: log.info(text), lambda log: log.info("x", extra={"url": text})
        )


WORDS = (
    "?ticket=",
    "&key=",
    "a",
    "://",
    "u:p@",
    "Bearer ",
    "BASIC ",
    "signature message=",
    JWT,
    "hooks.slack.com/services/",
    " ",
)


@given(st.lists(st.sampled_from(WORDS), max_size=8).map("".join) | st.text())
def test_text_is_only_left_alone_where_no_pattern_would_find_anything(text: str) -> None:
    expected = text
    for pattern, replacement in logs._SECRETS:
        expected = pattern.sub(replacement, expected)
    assert logs.mask(text) == expected


def test_half_a_character_is_written_escaped() -> None:
    assert line(lambda log: log.info("x", extra={"path": "/\ud800"}))["path"] == "/\ud800"


def test_a_field_named_like_a_secret_is_masked() -> None:
    found = line(lambda log: log.info("x", extra={"jwt_secret": "abcdef", "key": Secret("ghijkl"), "token_count": 5}))
    assert (found["jwt_secret"], found["key"], found["token_count"]) == ("***", "***", 5)


def test_what_is_public_stays() -> None:
    signature = "5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQpjKhoR4tjF3ZpRzrFmBV6UjKdiSZkQUW"
    assert logs.mask(f"transaction signature {signature} landed") == f"transaction signature {signature} landed"
    assert logs.mask("https://a.example/x?limit=5") == "https://a.example/x?limit=5"


def test_a_line_is_bounded() -> None:
    assert len(written(Log(format="json"), lambda log: log.info("x" * 100_000, extra={"y": "z" * 100_000}))) < 12_000


def test_levels_and_noisy_libraries() -> None:
    text = written(
        Log(format="json", level="WARNING"),
        lambda log: log.info("quiet"),
        lambda log: log.warning("loud"),
        lambda log: logging.getLogger("httpx").info("HTTP Request: GET https://rpc.example"),
    )
    assert [json.loads(entry)["message"] for entry in text.splitlines()] == ["loud"]


def test_it_leaves_everything_as_it_was(tmp_path: Path) -> None:
    root, httpx = logging.getLogger(), logging.getLogger("httpx")
    before = (root.level, root.handlers[:], httpx.level, warnings.showwarning)
    with logs.configured(Log(dir=str(tmp_path)), io.StringIO()):
        assert root.handlers != before[1]
    assert (root.level, root.handlers, httpx.level, warnings.showwarning) == before


def test_files(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    written(Log(format="console", dir=str(folder)), lambda log: log.info("kept"))
    assert json.loads((folder / logs.FILE_NAME).read_text())["message"] == "kept"


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupError, match=r"log\.dir: cannot write"):
        written(Log(dir=str(tmp_path / "file" / "logs")))


# Files of days


def record(text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": text, "levelno": logging.INFO, "levelname": "INFO"})


@pytest.fixture
def now() -> list[float]:
    """Unix seconds that a test moves: 2026-12-01, noon."""
    return [1_796_126_400.0]


@pytest.fixture
def files(tmp_path: Path, now: list[float]) -> Iterator[logs.DailyFiles]:
    handler = logs.DailyFiles(tmp_path, lambda: now[0])
    yield handler
    handler.close()


def test_a_day_has_a_file_of_its_own_and_old_ones_go(tmp_path: Path, files: logs.DailyFiles, now: list[float]) -> None:
    for day in range(logs.DAYS_KEPT + 5):
        files.handle(record(f"day {day}"))
        now[0] += 86_400
    kept = sorted(tmp_path.glob("zmart-lite-*.log"))
    assert len(kept) == logs.DAYS_KEPT
    assert kept[-1].read_text() == f"day {logs.DAYS_KEPT + 3}\n"
    assert (tmp_path / logs.FILE_NAME).read_text() == f"day {logs.DAYS_KEPT + 4}\n"


def test_a_full_file_is_put_aside_within_the_day(
    tmp_path: Path, files: logs.DailyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES_MAX", 100)
    monkeypatch.setattr(logs, "FILES_KEPT", 3)
    for number in range(12):
        files.handle(record(f"{number:02d}" + "x" * 58))
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        *(f"zmart-lite-2026-12-01.{part}.log" for part in (10, 11, 9)),
        logs.FILE_NAME,
    ]
    assert (tmp_path / "zmart-lite-2026-12-01.11.log").read_text().startswith("10")


def test_a_node_that_was_off_at_midnight_begins_a_new_file(tmp_path: Path, now: list[float]) -> None:
    (tmp_path / logs.FILE_NAME).write_text("yesterday\n")
    os.utime(tmp_path / logs.FILE_NAME, (now[0] - 86_400,) * 2)
    handler = logs.DailyFiles(tmp_path, lambda: now[0])
    handler.handle(record("today"))
    handler.close()
    assert (tmp_path / "zmart-lite-2026-11-30.1.log").read_text() == "yesterday\n"
    assert (tmp_path / logs.FILE_NAME).read_text() == "today\n"
