"""Structured logging: one line per event, JSON or console, with the request's id and without secrets.

A message is constant; what varies goes into ``extra``: ``log.info("vote stored", extra={"market_id": …})``. Everything
that leaves here is masked once more, whatever a caller or a library put into it.
"""

import asyncio
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from logging.handlers import BaseRotatingHandler
from pathlib import Path
from typing import Any, TextIO

import msgspec

from zmart_lite.config import Log
from zmart_lite.errors import StartupError

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being answered, in every line written meanwhile; empty outside of requests."""

MASK = "***"
REQUESTS = "requests"
"""Where a record of the access log holds its requests."""
ACCESS_MESSAGE = "request"
TEXT_LENGTH_MAX = 8192
FIELD_LENGTH_MAX = 2048
FILE_NAME = "zmart-lite.log"
FILE_BYTES_MAX = 10 * 1024 * 1024
FILES_KEPT = 200
"""2 GiB: a bound for days in which somebody makes the node write without end."""
DAYS_KEPT = 30

# httpx logs whole URLs, which hold API keys; the others repeat what our own lines say.
QUIET = (
    "httpx",
    "httpcore",
    "websockets",
    "uvicorn",
    "huey",
    "apprise",
    "asyncio",
    "limits",
    "solanaweb3",
    "sse_starlette",
)

_SECRETS = (
    # Query values: ?ticket=…&api-key=…
    (re.compile(r"(?i)([?&](?:ticket|token|api[-_]?key|key|secret|signature|jwt)=)[^&\s\"'#]+"), rf"\1{MASK}"),
    # user:password@ in a URL.
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s:@]*:[^/\s@]+@"), rf"\1{MASK}@"),
    # Authorization values.
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{16,}"), rf"\1 {MASK}"),
    (re.compile(r"(?i)\b(signature\s+message=)\S+"), rf"\1{MASK}"),
    # A JSON Web Token wherever it stands.
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"), MASK),
    # Slack's webhook addresses are secrets as a whole.
    (re.compile(r"(hooks\.slack\.com/services/)\S+"), rf"\1{MASK}"),
)
_TRACES = ("=", "://", "bearer", "basic", "eyj", "slack")
"""Text without any of these, in small letters, holds nothing that _SECRETS finds."""
_SECRET_NAMES = re.compile(r"(?i)(secret|password|token|ticket|jwt|api_?key|keypair|authorization|credential)")
_encode = msgspec.json.Encoder().encode
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def mask(text: str) -> str:
    """``text`` without tokens, keys and passwords."""
    small = text.lower()
    for trace in _TRACES:
        if trace in small:
            return _masked(text)
    return text


def _masked(text: str) -> str:
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class Answered(msgspec.Struct, gc=False):
    """A request that was answered, as the access log tells of it: its fields are those of the line."""

    time: str
    level: str
    logger: str
    message: str
    request_id: str
    method: str
    path: str
    status: int
    duration_ms: float
    address: str


class AccessLog:
    """A line for each request, all those of one turn of the event loop written together: by itself, the way through
    :mod:`logging` to a system call takes a third of the time in which a small request is answered.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._waiting: list[Answered] = []

    def note(self, request_id: str, method: str, path: str, status: int, duration_ms: float, address: str) -> None:
        """Have a line written, with the next turn of the running event loop."""
        if not self._logger.isEnabledFor(logging.INFO):
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write)
        head = _time(time.time()), "INFO", self._logger.name, ACCESS_MESSAGE
        self._waiting.append(Answered(*head, request_id, method, _shown(path), status, duration_ms, address))

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        name, level = self._logger.name, logging.INFO
        extra = {REQUESTS: waiting}
        self._logger.handle(self._logger.makeRecord(name, level, "", 0, ACCESS_MESSAGE, (), None, extra=extra))


class Masking(logging.Formatter):
    """Replaces the texts in ``hidden``, whoever put them into a line, besides what looks like a secret."""

    def __init__(self, hidden: Sequence[str] = ()) -> None:
        super().__init__()
        escaped = {json.dumps(text)[1:-1] for text in hidden} | {
            json.dumps(text, ensure_ascii=False)[1:-1] for text in hidden
        }
        self._hidden = sorted(escaped | set(hidden), key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        return self._hide(self._line(record))

    def _hide(self, line: str) -> str:
        for text in self._hidden:
            if text in line:
                line = line.replace(text, MASK)
        return line

    def _line(self, record: logging.LogRecord) -> str:
        raise NotImplementedError


class JsonFormatter(Masking):
    """One JSON object per line."""

    def request_line(self, request: Answered) -> str:
        """The line of one request of the access log."""
        return self._hide(_json_text(request))

    def _line(self, record: logging.LogRecord) -> str:
        requests = requests_of(record)
        if requests is not None:
            return "\n".join([_json_text(request) for request in requests])
        line: dict[str, Any] = {
            "time": _time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        if current := request_id.get():
            line["request_id"] = current
        line.update(_fields(record))
        if record.exc_info:
            line["exception"] = _cut(mask(self.formatException(record.exc_info)), TEXT_LENGTH_MAX)
        return _json_text(line)


class ConsoleFormatter(Masking):
    """Time, level, logger, message, then name=value; a traceback below."""

    def _line(self, record: logging.LogRecord) -> str:
        requests = requests_of(record)
        if requests is not None:
            return "\n".join([_console_request(request) for request in requests])
        head = _time(record.created), record.levelname, record.name, _message(record)
        line = _console_line(*head, _fields(record), request_id.get())
        if record.exc_info:
            line += "\n" + _cut(mask(self.formatException(record.exc_info)), TEXT_LENGTH_MAX)
        return line


def requests_of(record: logging.LogRecord) -> Sequence[Answered] | None:
    """What a record of the :class:`AccessLog` holds; None for any other."""
    return getattr(record, REQUESTS, None)


def _json_text(line: dict[str, Any] | Answered) -> str:
    try:
        return _encode(line).decode()
    except UnicodeEncodeError:  # half of a surrogate pair, from outside
        return json.dumps(msgspec.to_builtins(line))


def _console_line(
    time_text: str, level: str, logger: str, message: str, fields: Mapping[str, Any], current: str
) -> str:
    parts = [time_text[11:19], f"{level:<8}", f"{logger.removeprefix('zmart_lite.')}:", _one_line(message)]
    parts += [f"{name}={_one_line(str(value))}" for name, value in fields.items()]
    return " ".join([*parts, f"request_id={current}"] if current else parts)


def _console_request(request: Answered) -> str:
    time_text, level, logger, message, current, *_ = msgspec.structs.astuple(request)
    fields = {name: getattr(request, name) for name in ("method", "path", "status", "duration_ms", "address")}
    return _console_line(time_text, level, logger, message, fields, current)


@contextmanager
def configured(settings: Log, stream: TextIO = sys.stderr, hidden: Sequence[str] = ()) -> Iterator[None]:
    """Sets up the root logger for the time of the block and leaves it as it was. ``hidden``: texts that are masked.

    Raises StartupError if the log folder cannot be written.
    """
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    handlers = _handlers(settings, stream, hidden)
    root.handlers[:] = handlers
    root.setLevel(settings.level)
    quiet = {name: logging.getLogger(name).level for name in QUIET}
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.setLevel(before[0])
        root.handlers[:] = before[1]
        for name, level in quiet.items():
            logging.getLogger(name).setLevel(level)
        for handler in handlers:
            handler.close()


def _handlers(settings: Log, stream: TextIO, hidden: Sequence[str]) -> list[logging.Handler]:
    output = logging.StreamHandler(stream)
    as_json = settings.format == "json" or (settings.format == "auto" and not stream.isatty())
    output.setFormatter(JsonFormatter(hidden) if as_json else ConsoleFormatter(hidden))
    return [output, _file_handler(Path(settings.dir).expanduser(), hidden)] if settings.dir else [output]


class DailyFiles(BaseRotatingHandler):
    """``zmart-lite.log``, put aside as ``zmart-lite-2026-12-01.1.log`` at the end of each day (UTC) and of each 10 MiB;
    what is older than 30 days goes. ``now`` gives unix seconds.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._folder, self._now = folder, now
        super().__init__(folder / FILE_NAME, "a", encoding="utf-8")
        written = Path(self.baseFilename).stat()
        self._day = _day(written.st_mtime if written.st_size else now())

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - the name that logging asks for
        """Whether a line begins a new file. A file that is no longer there is made anew."""
        if self.stream is None:
            self.stream = self._open()
        return _day(self._now()) != self._day or self.stream.tell() + len(self.format(record)) > FILE_BYTES_MAX

    def doRollover(self) -> None:  # noqa: N802 - the name that logging asks for
        """Put the file aside, remove what is too old, begin the next."""
        if self.stream is not None:
            self.stream.close()
        number = max((_age(file)[1] for file in self._folder.glob(f"{_STEM}-{self._day}.*.log")), default=0) + 1
        Path(self.baseFilename).rename(self._folder / f"{_STEM}-{self._day}.{number}.log")
        self._remove_old()
        self.stream = self._open()
        self._day = _day(self._now())

    def _remove_old(self) -> None:
        oldest = _day(self._now() - DAYS_KEPT * 86_400)
        files = sorted(self._folder.glob(f"{_STEM}-????-??-??.*.log"), key=_age)
        for number, file in enumerate(reversed(files)):
            if number >= FILES_KEPT or file.name[len(_STEM) + 1 :][:10] < oldest:
                file.unlink(missing_ok=True)


_STEM = FILE_NAME.removesuffix(".log")


def _age(file: Path) -> tuple[str, int]:
    """Day and number of a file that was put aside."""
    day, number = file.name.removeprefix(f"{_STEM}-").removesuffix(".log").split(".", 1)
    return day, int(number) if number.isdecimal() else 0


def _day(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d}"


def _file_handler(folder: Path, hidden: Sequence[str]) -> logging.Handler:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = DailyFiles(folder)
    except OSError as exc:
        raise StartupError(f"log.dir: cannot write to {folder} ({exc.strerror}); make it or choose another") from exc
    handler.setFormatter(JsonFormatter(hidden))
    return handler


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    return {name: _field(name, value) for name, value in vars(record).items() if name not in _RECORD_FIELDS}


def _field(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if _is_secret(name):
        return MASK
    return _shown(value.hex() if isinstance(value, bytes) else str(value))


def _shown(text: str) -> str:
    return _cut(mask(text), FIELD_LENGTH_MAX)


@lru_cache(1_024)
def _is_secret(name: str) -> bool:
    return _SECRET_NAMES.search(name) is not None


def _message(record: logging.LogRecord) -> str:
    return _cut(mask(record.getMessage()), TEXT_LENGTH_MAX)


def _cut(text: str, length_max: int) -> str:
    return text if len(text) <= length_max else text[:length_max] + "…"


def _one_line(text: str) -> str:
    """Text from outside cannot start a line of its own or steer a terminal."""
    return _CONTROL.sub(lambda found: repr(found.group())[1:-1], text)


def _time(unix_s: float) -> str:
    seconds, milliseconds = divmod(int(unix_s * 1_000), 1_000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(16)
def _second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
