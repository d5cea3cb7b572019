"""How often somebody may ask (contract 0.7): fixed windows of the `limits` library over a bounded table in memory."""

import math
import time
from collections.abc import Callable, Sequence

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import Storage

from zmart_lite.api.contract.endpoints import Spent
from zmart_lite.api.http.headers import Lines
from zmart_lite.config import Limits
from zmart_lite.errors import RateLimited
from zmart_lite.ops import Metrics
from zmart_lite.shown import time_text_ms

COUNTERS_MAX = 200_000
"""Counters kept; beyond that expired and then the oldest ones go, so that a flood of addresses costs no memory."""


class Counters(Storage):
    """The library's storage, in one thread and bounded: its own memory storage starts a thread for every sweep."""

    STORAGE_SCHEME = None

    def __init__(self, clock: Callable[[], float] = time.time, counters_max: int = COUNTERS_MAX) -> None:
        super().__init__()
        self._clock = clock
        self._max = counters_max
        self._counters: dict[str, tuple[int, float]] = {}

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        return ()

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        return self.count(key, expiry, amount)[0]

    def count(self, key: str, expiry: int, amount: int = 1) -> tuple[int, float, float]:
        """As ``incr``, of one look at the table and the clock: (count, unix seconds at which its window ends, those
        left until then).
        """
        now = self._clock()
        count, expires = self._counters.get(key, (0, 0.0))
        if expires <= now:
            # A new window goes to the end of the table, which is thereby ordered by age.
            self._counters.pop(key, None)
            if len(self._counters) >= self._max:
                self._make_room(now)
            count, expires = 0, now + expiry
        self._counters[key] = (count + amount, expires)
        return count + amount, expires, expires - now

    def get(self, key: str) -> int:
        count, expires = self._counters.get(key, (0, 0.0))
        return count if expires > self._clock() else 0

    def get_expiry(self, key: str) -> float:
        return self._counters.get(key, (0, self._clock()))[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        count = len(self._counters)
        self._counters.clear()
        return count

    def clear(self, key: str) -> None:
        self._counters.pop(key, None)

    def __len__(self) -> int:
        return len(self._counters)

    def _make_room(self, now: float) -> None:
        for key in [key for key, (_, expires) in self._counters.items() if expires <= now]:
            del self._counters[key]
        # A tenth at once, so that a full table is not swept for every new counter.
        while len(self._counters) > self._max * 9 // 10:
            del self._counters[next(iter(self._counters))]


HEADERS = (
    b"ratelimit-limit: %d\r\nratelimit-remaining: %d\r\nratelimit-reset: %d\r\n"
    b"x-ratelimit-limit: %d\r\nx-ratelimit-remaining: %d\r\nx-ratelimit-reset: %d\r\n"
)
"""Limit, what remains of it, and its end: in seconds from now, and, in the older family, as unix time."""


class Limiter:
    """All limits by name: ``address wallet sessions service webhook auth votes posts drafts relays``. ``clock`` gives
    unix seconds.
    """

    def __init__(self, settings: Limits, metrics: Metrics, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._metrics = metrics
        self.counters = Counters(clock)
        items: dict[str, RateLimitItem] = {
            "address": RateLimitItemPerMinute(settings.address_per_minute),
            "wallet": RateLimitItemPerMinute(settings.wallet_per_minute),
            "sessions": RateLimitItemPerMinute(settings.sessions_per_minute),
            "service": RateLimitItemPerMinute(settings.service_per_minute),
            "webhook": RateLimitItemPerMinute(settings.webhook_per_minute),
            "auth": RateLimitItemPerMinute(settings.auth_per_minute),
            "votes": RateLimitItemPerHour(settings.votes_per_hour),
            "posts": RateLimitItemPerHour(settings.posts_per_hour),
            "drafts": RateLimitItemPerHour(settings.drafts_per_hour),
            "relays": RateLimitItemPerMinute(settings.relays_per_minute),
        }
        self._windows = {scope: (item.amount, item.get_expiry()) for scope, item in items.items()}
        """Requests and seconds of each limit."""

    def spend(self, scope: str, *keys: str) -> Spent:
        """Count one request."""
        limit, window_s = self._windows[scope]
        count, reset_s, left_s = self.counters.count("/".join((scope, *keys)), window_s)
        return Spent(scope, count <= limit, limit, max(0, limit - count), reset_s, left_s)

    def require(self, spent: Spent) -> None:
        """Raise RateLimited if the limit was exceeded."""
        if not spent.allowed:
            raise self.refusal(spent)

    def refusal(self, spent: Spent) -> RateLimited:
        self._metrics.rate_limited_total.labels(spent.scope).inc()
        wait_s = max(1, math.ceil(spent.reset_s - self._clock()))
        return RateLimited(
            f"Too many requests: {spent.limit} are allowed. Try again in {wait_s} s.",
            details={
                "limit": spent.limit,
                "remaining": 0,
                "resetAt": time_text_ms(int(spent.reset_s * 1_000)),
                "retryAfter": wait_s,
            },
            headers={"Retry-After": str(wait_s)},
        )

    def headers(self, spent: Sequence[Spent]) -> Lines:
        """Both header families, for the limit that is nearest to its end."""
        if not spent:
            return b""
        nearest = spent[0] if len(spent) == 1 else min(spent, key=lambda one: (one.allowed, one.remaining))
        _, _, limit, remaining, reset_s, left_s = nearest
        return HEADERS % (limit, remaining, math.ceil(left_s), limit, remaining, math.ceil(reset_s))
