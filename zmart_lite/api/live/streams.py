"""What all open connections share: their seats, who they are, and the sweep that ends those whose time is over."""

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Protocol

from starlette.types import Scope

from zmart_lite.api.context import ApiParts
from zmart_lite.api.contract.endpoints import Identity
from zmart_lite.api.contract.request import Request
from zmart_lite.api.http.headers import CommonHeaders
from zmart_lite.api.http.proxies import ClientAddresses, limit_key
from zmart_lite.api.identity.auth import Authenticator
from zmart_lite.api.identity.limits import Limiter
from zmart_lite.api.live.callers import ANONYMOUS, Caller
from zmart_lite.errors import StoreUnavailable, Unauthorized
from zmart_lite.push.hub import Hub
from zmart_lite.shown import optional_address
from zmart_lite.store.publishing.messages import FeedContext

logger = logging.getLogger(__name__)

IMPLICIT_DELAY_S = 1.0
SSE_PING_INTERVAL_S = 15.0
SWEEP_INTERVAL_S = 1.0
SWEEPS_PER_REVOCATION_CHECK = 10


class Connection(Protocol):
    """An open connection, as the sweep sees it."""

    caller: Caller

    def check(self, now_ms: int, now_s: float) -> None:
        """End it if its time is over."""

    def refuse(self) -> None:
        """End it: its credential counts no more."""


class Streams:
    """What all connections share. ``monotonic``, ``new_id`` and the delays are arguments for tests' sake."""

    def __init__(
        self,
        parts: ApiParts,
        auth: Authenticator,
        addresses: ClientAddresses,
        limiter: Limiter,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] = lambda: secrets.token_hex(8),
        implicit_delay_s: float = IMPLICIT_DELAY_S,
        sse_ping_interval_s: float = SSE_PING_INTERVAL_S,
    ) -> None:
        self.hub: Hub = parts.hub
        self.store = parts.store
        self._rpc = parts.rpc
        self._make_feed = parts.feed
        self.limits = parts.config.push
        self.version = parts.version
        self.now_ms = parts.now_ms
        self.monotonic = monotonic
        self.new_id = new_id
        self.implicit_delay_s = implicit_delay_s
        self.sse_ping_interval_s = sse_ping_interval_s
        self.connections: set[Connection] = set()
        self.seats: Counter[str] = Counter()
        """How many streams there are of each kind of which every client has its own."""
        self.stopping = parts.stopping
        self._auth = auth
        self._addresses = addresses
        self._limiter = limiter
        self._origins = CommonHeaders(parts.config.server)
        self._url_token = parts.config.auth.url_token

    @property
    def genesis_hash(self) -> bytes | None:
        """The cluster's, once it has been asked."""
        return self._rpc.genesis_hash

    @property
    def feed(self) -> FeedContext:
        """A new one for each unit of work: it remembers the config that was in force."""
        return self._make_feed()

    async def run(self) -> None:
        """Sweep for as long as the node runs."""
        count = 0
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            self.sweep()
            count += 1
            if count % SWEEPS_PER_REVOCATION_CHECK == 0:
                try:
                    await self.end_revoked()
                except StoreUnavailable as error:
                    # The next check may work; expiry and slow clients are seen to meanwhile.
                    logger.warning("ended sessions could not be looked up", extra={"cause": str(error)})

    def sweep(self) -> None:
        """End connections whose credential has expired, which are idle, or whose client takes nothing."""
        now_ms, now_s = self.now_ms(), self.monotonic()
        self.hub.sweep(now_s)
        for connection in list(self.connections):
            connection.check(now_ms, now_s)

    async def end_revoked(self) -> None:
        """End connections whose session has been ended since they were opened."""
        for jti in {connection.caller.jti for connection in self.connections} - {None}:
            if jti is not None and await self._auth.is_revoked(jti):
                for connection in [one for one in self.connections if one.caller.jti == jti]:
                    connection.refuse()

    async def identify(self, headers: Mapping[bytes, bytes], query: Mapping[str, str]) -> Caller:
        """Who opens a WebSocket; raises Unauthorized for a credential that is not good."""
        caller = ANONYMOUS
        if (key := headers.get(b"x-service-key")) is not None:
            if not self._auth.is_service_key(key.decode("latin-1")):
                raise Unauthorized("The service key is not valid.", reason="bad_signature")
            caller = Caller(service_key=True)
        if "ticket" in query:
            return caller_of(await self._auth.from_ticket(query["ticket"]), service_key=caller.service_key)
        if (value := headers.get(b"authorization")) is not None:
            identity = await self._auth.from_header(value.decode("latin-1"))
            if identity.method != "jwt":
                raise Unauthorized("A stream needs a session or a ticket.", reason="jwt_required")
            return caller_of(identity, service_key=caller.service_key)
        if "token" in query and self._url_token:
            return caller_of(await self._auth.from_token(query["token"]), service_key=caller.service_key)
        return caller

    async def http_caller(self, request: Request) -> Caller:
        """Who opens an event stream; raises Unauthorized for a bad ticket, other bad credentials count as none."""
        ticket = request.query.get("ticket")
        identity = request.identity
        if ticket is not None:
            identity = await self._auth.from_ticket(ticket)
        if identity is None or (identity.method != "jwt" and ticket is None):
            return Caller(service_key=request.service_key)
        return caller_of(identity, service_key=request.service_key)

    def address_of(self, scope: Scope) -> str:
        """What connections are counted by."""
        peer = scope.get("client")
        return limit_key(self._addresses.of(peer[0] if peer else None, scope["headers"]))

    def may_open(self, address: str) -> bool:
        """Count a WebSocket's opening: as many a minute as requests, because each may ask for as much as they do."""
        return self._limiter.spend("address", "websocket", address).allowed

    def origin_allowed(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a page of this origin may listen: one that is listed, or the node's own."""
        origin = headers.get(b"origin")
        if origin is None:
            return True
        own_host = origin.partition(b"://")[2] == headers.get(b"host")
        return own_host or bool(self._origins.allows(origin.decode("latin-1")))

    def wallet_text(self, caller: Caller) -> str | None:
        return optional_address(caller.wallet)


def caller_of_request(request: Request) -> Caller:
    """Who makes a request whose credential has been looked at."""
    if request.identity is None:
        return Caller(service_key=request.service_key)
    return caller_of(request.identity, service_key=request.service_key)


def caller_of(identity: Identity, *, service_key: bool) -> Caller:
    return Caller(identity.wallet, identity.is_admin, service_key, identity.expires_ms, identity.jti)
