"""The newest lines of the log in memory, and those who follow it. Never writes one of its own."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from zmart_lite.logs import Answered, JsonFormatter, requests_of
from zmart_lite.ops.wake import Wake

LINES_MAX = 1_000
"""Lines that are kept, and that wait for one follower at most."""
CHARS_MAX = 1024 * 1024
"""The same in characters: a line may have a long traceback."""
REQUEST_CHARS = 512
"""What a line of the access log counts for: it is written out only when somebody reads it."""
OWN_LOGGERS = "zmart_lite."


class Line(NamedTuple):
    """A line of the log. ``text``: masked JSON, or the request of the access log that it tells of."""

    level: int
    logger: str
    text: str | Answered

    @property
    def chars(self) -> int:
        return len(self.text) if isinstance(self.text, str) else REQUEST_CHARS


class Wanted(NamedTuple):
    """Which lines somebody wants: of this level or above, of this logger or those below it ('' = all).

    The node's own loggers may be named without ``zmart_lite.``.
    """

    level: int = logging.NOTSET
    logger: str = ""

    def takes(self, line: Line) -> bool:
        if line.level < self.level:
            return False
        return not self.logger or any(
            name == self.logger or name.startswith(f"{self.logger}.")
            for name in (line.logger, line.logger.removeprefix(OWN_LOGGERS))
        )


class _Newest:
    """The newest lines, bounded in number and size."""

    def __init__(self) -> None:
        self.lines: deque[Line] = deque()
        self._chars = 0

    def add(self, line: Line) -> int:
        """How many older ones had to go."""
        self.lines.append(line)
        self._chars += line.chars
        gone = 0
        while len(self.lines) > LINES_MAX or (self._chars > CHARS_MAX and len(self.lines) > 1):
            self._chars -= self.lines.popleft().chars
            gone += 1
        return gone

    def take(self) -> list[Line]:
        taken = list(self.lines)
        self.lines.clear()
        self._chars = 0
        return taken


class Follower:
    """The lines that wait for one reader; the oldest are lost where it takes them too slowly."""

    def __init__(self, tail: "LogTail", wanted: Wanted, wake: Wake) -> None:
        self._tail = tail
        self._wanted = wanted
        self._wake = wake
        self._waiting = _Newest()
        self._lost = 0

    def offer(self, lines: Sequence[Line]) -> None:
        """Called with the tail's lock held."""
        wanted = [line for line in lines if self._wanted.takes(line)]
        for line in wanted:
            self._lost += self._waiting.add(line)
        if wanted:
            self._wake.set()

    def take(self) -> tuple[int, list[str]]:
        """How many lines were lost since the last call, and those that came after them, as JSON."""
        with self._tail.locked():
            lost, self._lost = self._lost, 0
            lines = self._waiting.take()
        return lost, [self._tail.json(line) for line in lines]


class LogTail(logging.Handler):
    """A handler of the root logger that keeps the newest lines, masked as the log's own, and hands them to followers.

    Records come from any thread.
    """

    def __init__(self, hidden: Sequence[str] = ()) -> None:
        super().__init__()
        self._json = JsonFormatter(hidden)
        self.setFormatter(self._json)
        self._kept = _Newest()
        self._followers: set[Follower] = set()

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Take part in the process's logging for the time of the block."""
        root = logging.getLogger()
        root.addHandler(self)
        try:
            yield
        finally:
            root.removeHandler(self)

    @contextmanager
    def followed(self, wanted: Wanted, wake: Wake, before: int) -> Iterator[Follower]:
        """Somebody follows the log for the time of the block, beginning with the last ``before`` lines that it wants.

        ``wake`` is set whenever there is something to take.
        """
        follower = Follower(self, wanted, wake)
        with self.locked():
            matching = [line for line in self._kept.lines if wanted.takes(line)]
            follower.offer(matching[len(matching) - min(before, len(matching)) :])
            self._followers.add(follower)
        try:
            yield follower
        finally:
            with self.locked():
                self._followers.discard(follower)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            requests = requests_of(record)
            texts: Sequence[str | Answered] = [self.format(record)] if requests is None else requests
        except Exception:  # noqa: BLE001 - as every handler of logging: a bad record must not break what logged it
            self.handleError(record)
            return
        lines = [Line(record.levelno, record.name, text) for text in texts]
        for line in lines:
            self._kept.add(line)
        for follower in self._followers:
            follower.offer(lines)

    def json(self, line: Line) -> str:
        return line.text if isinstance(line.text, str) else self._json.request_line(line.text)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nothing is logged meanwhile."""
        self.acquire()
        try:
            yield
        finally:
            self.release()
