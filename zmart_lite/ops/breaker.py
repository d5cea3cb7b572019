"""Circuit breakers: after repeated failures a dependency is left alone for a while, then tried once.

Three consecutive failures open a breaker for 5 minutes; each failed probe doubles the time, up to 20 minutes. They are
used from the event loop and from job threads, hence the lock.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from zmart_lite.errors import Unavailable

BREAKERS = ("vote_aggregation", "market_transitions", "event_indexing", "ipfs", "api")

FAILURES_TO_OPEN = 3
OPEN_FIRST_S = 300
OPEN_MAX_S = 1200
# A probe whose outcome nobody told by then no longer keeps the next one waiting.
PROBE_MAX_S = 60
ERROR_LENGTH_MAX = 300


class BreakerView(NamedTuple):
    """A breaker at one moment. Times are unix seconds; ``state`` is closed, open or half_open."""

    name: str
    state: str
    failures: int
    opened_at: float | None
    open_until: float | None
    last_error: str | None


class SavedBreaker(NamedTuple):
    """What outlasts a restart. ``state``: the last one told of; ``openings``: in a row, without a success between.

    Times are unix seconds.
    """

    state: str
    failures: int
    openings: int
    opened_at: float | None
    open_until: float | None
    last_error: str | None


def _ignore(_: BreakerView) -> None:
    """Nobody asked to be told."""


class CircuitBreaker:
    """``clock`` gives unix seconds; ``on_change`` is called, outside the lock, once for each change of state."""

    def __init__(
        self,
        name: str,
        clock: Callable[[], float],
        on_change: Callable[[BreakerView], None] = _ignore,
    ) -> None:
        self.name = name
        self._clock = clock
        self._on_change = on_change
        self._lock = threading.Lock()
        self._failures = 0
        self._openings = 0
        self._opened_at: float | None = None
        self._open_until: float | None = None
        self._probe_started: float | None = None
        self._last_error: str | None = None
        self._told = "closed"

    def view(self) -> BreakerView:
        with self._lock:
            return self._view(self._clock())

    def saved(self) -> SavedBreaker:
        with self._lock:
            return SavedBreaker(
                self._told, self._failures, self._openings, self._opened_at, self._open_until, self._last_error
            )

    def restore(self, saved: SavedBreaker) -> None:
        """Go on from where an earlier process stopped; nobody is told."""
        with self._lock:
            self._told, self._failures, self._openings, self._opened_at, self._open_until, self._last_error = saved

    def permit(self) -> bool:
        """Whether a call may be made now. In the half-open state one caller is told yes: the probe."""
        self.notice()
        with self._lock:
            now = self._clock()
            state = self._state(now)
            if state == "half_open" and not self._probe_pending(now):
                self._probe_started = now
                return True
            return state == "closed"

    def notice(self) -> None:
        """Tell, once, that the time of an open breaker is over: nothing but time makes it half-open."""
        with self._lock:
            view = self._view(self._clock())
            is_news = view.state == "half_open" and self._told == "open"
            if is_news:
                self._told = view.state
        if is_news:
            self._on_change(view)

    def succeed(self) -> None:
        """The call worked: the count starts anew, an open breaker closes."""
        with self._lock:
            was_open = self._open_until is not None
            self._close()
            self._told = "closed"
            view = self._view(self._clock())
        if was_open:
            self._on_change(view)

    def fail(self, error: str) -> None:
        """The call did not work. The third failure in a row, or a failed probe, opens the breaker."""
        with self._lock:
            now = self._clock()
            state = self._state(now)
            self._failures += 1
            self._last_error = error[:ERROR_LENGTH_MAX]
            opens = state == "half_open" or (state == "closed" and self._failures >= FAILURES_TO_OPEN)
            if opens:
                self._open(now)
                self._told = "open"
            view = self._view(now)
        if opens:
            self._on_change(view)

    def reset(self) -> None:
        """Closes the breaker, as an administrator may."""
        self.succeed()

    @contextmanager
    def guard(self, *failures: type[Exception]) -> Iterator[None]:
        """Runs a block as one call: ``failures`` count against the dependency, any other outcome proves it alive.

        Raises Unavailable (``breaker_open``) without running the block while the breaker is open.
        """
        if not self.permit():
            raise Unavailable(
                f"{self.name} is paused after repeated failures.", reason="breaker_open", retry_after_s=self._wait_s()
            )
        try:
            yield
        except failures as exc:
            self.fail(f"{type(exc).__name__}: {exc}")
            raise
        except Exception:
            self.succeed()
            raise
        except BaseException:
            self._release_probe()
            raise
        self.succeed()

    def _wait_s(self) -> int:
        until = self.view().open_until
        return max(1, round(until - self._clock())) if until else 1

    def _release_probe(self) -> None:
        with self._lock:
            self._probe_started = None

    def _open(self, now: float) -> None:
        open_s = min(OPEN_FIRST_S * 2**self._openings, OPEN_MAX_S)
        self._openings += 1
        self._opened_at = self._opened_at or now
        self._open_until = now + open_s
        self._probe_started = None

    def _close(self) -> None:
        self._failures = self._openings = 0
        self._opened_at = self._open_until = self._probe_started = None

    def _probe_pending(self, now: float) -> bool:
        return self._probe_started is not None and now < self._probe_started + PROBE_MAX_S

    def _state(self, now: float) -> str:
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "half_open"

    def _view(self, now: float) -> BreakerView:
        return BreakerView(
            self.name, self._state(now), self._failures, self._opened_at, self._open_until, self._last_error
        )


class Breakers:
    """The five breakers, one per purpose."""

    def __init__(self, clock: Callable[[], float], on_change: Callable[[BreakerView], None] = _ignore) -> None:
        self._breakers = {name: CircuitBreaker(name, clock, on_change) for name in BREAKERS}

    def __getitem__(self, name: str) -> CircuitBreaker:
        return self._breakers[name]

    def find(self, name: str) -> CircuitBreaker | None:
        return self._breakers.get(name)

    def restore(self, saved: Mapping[str, SavedBreaker]) -> None:
        """Take over what an earlier process left; names that are none any more are passed by."""
        for name, state in saved.items():
            if name in self._breakers:
                self._breakers[name].restore(state)

    def notice(self) -> None:
        for breaker in self._breakers.values():
            breaker.notice()

    def views(self) -> tuple[BreakerView, ...]:
        return tuple(breaker.view() for breaker in self._breakers.values())
