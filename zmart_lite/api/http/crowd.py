"""How many plain HTTP connections there may be, in all and from one address. Streams have seats of their own (the Hub).

Without an end to them, whoever opens connections and sends nothing takes all open files of the process.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from zmart_lite.api.http.http_guard import GuardedHttp
from zmart_lite.api.http.proxies import ClientAddresses, limit_key
from zmart_lite.config.sections import Server
from zmart_lite.errors import RateLimited, RequestError, Unavailable

REFUSED_MAX = 100
"""Connections beyond the limit that are told so at a time; further ones are cut off without a word."""
REFUSAL_S = 1.0
"""How long a refused connection may take to ask what it is then refused."""
RETRY_AFTER_S = 1


def no_room() -> Unavailable:
    text = "The node has as many connections as it can hold."
    return Unavailable(text, reason="connections_max", retry_after_s=RETRY_AFTER_S)


def too_many_from_address(limit: int) -> RateLimited:
    return RateLimited(
        f"Too many connections: {limit} are allowed for one address.",
        details={"limit": limit, "remaining": 0, "resetAt": None, "retryAfter": RETRY_AFTER_S},
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def _nobody() -> None:
    pass


class Crowd:
    """Counts the connections of one server. ``on_refused`` is told of each that finds no room."""

    def __init__(self, settings: Server, on_refused: Callable[[], None] = _nobody) -> None:
        self._total_max = settings.connections_max
        self._per_address_max = settings.connections_per_address
        self._addresses = ClientAddresses(settings.trusted_proxies)
        self._on_refused = on_refused
        self._by_address: Counter[str] = Counter()
        self.total = 0
        self.refused = 0
        """Connections that are being told that there is no room."""

    def enter(self, peer: str) -> RequestError | None:
        """Count a connection, to be given back by :meth:`leave`; or why there is no room for it."""
        refusal = self._refusal(peer)
        if refusal is None:
            self.add(peer)
        else:
            self._on_refused()
        return refusal

    def add(self, peer: str) -> None:
        """Count a connection that is there already."""
        self.total += 1
        self._by_address[limit_key(peer)] += 1

    def leave(self, peer: str) -> None:
        key = limit_key(peer)
        self.total -= 1
        self._by_address[key] -= 1
        if not self._by_address[key]:
            del self._by_address[key]

    def _refusal(self, peer: str) -> RequestError | None:
        if self.total >= self._total_max:
            return no_room()
        if self._by_address[limit_key(peer)] >= self._per_address_max and not self._addresses.is_proxy(peer):
            return too_many_from_address(self._per_address_max)
        return None


class CrowdedHttp(GuardedHttp):
    """A connection that counts while it is plain HTTP. One too many is told so as soon as it asks for something."""

    def __init__(self, *args: Any, crowd: Crowd, **options: Any) -> None:
        super().__init__(*args, **options)
        self._crowd = crowd
        self._peer = ""
        self._is_counted = False
        self._refusal: RequestError | None = None
        self._refusal_ends: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._peer = self.client[0] if self.client else ""
        self._refusal = self._crowd.enter(self._peer)
        if self._refusal is None:
            self._is_counted = True
        elif self._crowd.refused < REFUSED_MAX:
            self._crowd.refused += 1
            self._refusal_ends = self.loop.call_later(REFUSAL_S, transport.abort)
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._refusal is None:
            super().data_received(data)
        elif not self.transport.is_closing():
            self.send_refusal(self._refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        self.leave_crowd()
        if self._refusal_ends is not None:
            self._refusal_ends.cancel()
            self._refusal_ends = None
            self._crowd.refused -= 1
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self.leave_crowd()
        super().handle_websocket_upgrade()

    def leave_crowd(self) -> None:
        """It becomes a stream, or ends."""
        if self._is_counted:
            self._is_counted = False
            self._crowd.leave(self._peer)

    def join_crowd(self) -> None:
        """It was a stream, and may serve other requests."""
        if not self._is_counted and not self.transport.is_closing():
            self._is_counted = True
            self._crowd.add(self._peer)
