"""How each service is doing, reported by itself and answered from memory."""

import threading
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

Status = Literal["ok", "degraded", "error", "disabled"]
Overall = Literal["healthy", "degraded", "unhealthy"]
Number = int | float | str | bool | None

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


class ServiceHealth(NamedTuple):
    """``checked_at`` is in unix seconds, 0 before the first report. ``error`` is for the log and the doctor only."""

    status: Status
    checked_at: float
    numbers: Mapping[str, Number]
    error: str | None


class Health:
    """``clock`` gives unix seconds. A service is disabled until it first reports."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._services = {name: ServiceHealth("disabled", 0, {}, None) for name in SERVICES}

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
            return self._services[service]

    def services(self) -> dict[str, ServiceHealth]:
        with self._lock:
            return dict(self._services)

    def overall(self) -> Overall:
        """Unhealthy without the database; degraded while anything else is in error."""
        services = self.services()
        if services["database"].status == "error":
            return "unhealthy"
        return "degraded" if any(service.status == "error" for service in services.values()) else "healthy"
