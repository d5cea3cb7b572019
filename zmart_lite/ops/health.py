"""How each service is doing, reported by itself and answered from memory."""

import threading
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

Status = Literal["ok", "degraded", "error", "disabled", "starting"]
Overall = Literal["healthy", "degraded", "unhealthy"]
Number = int | float | str | bool | None

UNWELL: frozenset[Status] = frozenset({"degraded", "error", "starting"})
SERVICES = (
    "database",
    "solana_rpc",
    "event_indexer",
    "vote_aggregator",
    "market_monitor",
    "websocket",
    "ipfs",
    "redis",
)


STALE_S = 30
"""Reports come every second; the slowest probe gives up after eight (``app.watch``)."""
NOT_YET = "it has not been looked at yet"
NOT_SEEN = "it has not been looked at for too long"


class ServiceHealth(NamedTuple):
    """``checked_at`` is in unix seconds, 0 before the first report. ``error`` is for the log and the doctor only."""

    status: Status
    checked_at: float
    numbers: Mapping[str, Number]
    error: str | None

    @property
    def reason(self) -> str | None:
        """Why it is as it is, for people; None where there is nothing to say."""
        found = self.numbers.get("reason")
        return None if found is None else str(found)


class Health:
    """``clock`` gives unix seconds. A service is starting until it first reports, and in error once it has not been
    reported on for :data:`STALE_S`: what is not known to be well is not said to be.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        not_yet = ServiceHealth("starting", 0, {"reason": NOT_YET}, None)
        self._services = dict.fromkeys(SERVICES, not_yet) | {"redis": ServiceHealth("disabled", 0, {}, None)}

    def report(
        self, service: str, status: Status, numbers: Mapping[str, Number] | None = None, error: str | None = None
    ) -> None:
        """Replaces what is known of ``service``; raises KeyError for one that does not exist."""
        with self._lock:
            if service not in self._services:
                raise KeyError(service)
            self._services[service] = ServiceHealth(status, self._clock(), dict(numbers or {}), error)

    def get(self, service: str) -> ServiceHealth:
        with self._lock:
            return self._seen(self._services[service])

    def services(self) -> dict[str, ServiceHealth]:
        with self._lock:
            return {name: self._seen(found) for name, found in self._services.items()}

    def _seen(self, found: ServiceHealth) -> ServiceHealth:
        if found.status in ("disabled", "starting") or self._clock() - found.checked_at <= STALE_S:
            return found
        return found._replace(status="error", numbers={**found.numbers, "reason": NOT_SEEN})

    def overall(self) -> Overall:
        """Unhealthy without the database; degraded while anything else is in error or not quite well."""
        services = self.services()
        if services["database"].status == "error":
            return "unhealthy"
        return "degraded" if any(found.status in UNWELL for found in services.values()) else "healthy"
