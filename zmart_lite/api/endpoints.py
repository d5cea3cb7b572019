"""What a route is: its declaration, the request a handler gets, and the reply it gives.

Every ``api/*.py`` exports ``ENDPOINTS``; ``api/__init__.py`` joins them into the one route table, from which
dispatch, the checks before a handler, the limits and the OpenAPI document are all derived.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from zmart_lite.api.validate import parse_query
from zmart_lite.errors import Unauthorized

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope

    from zmart_lite.api.answers import Place
    from zmart_lite.api.context import Api, ApiParts
    from zmart_lite.api.limits import Spent
    from zmart_lite.api.pages import Position
    from zmart_lite.store.db import Store, Tx

T = TypeVar("T")

BODY_BYTES_MAX = 64 * 1024
"""Largest request body of an ordinary route."""


class Level(IntEnum):
    """What a route asks of its caller (contract section 1)."""

    NONE = 0
    WALLET = 1
    JWT = 2
    ADMIN = 3
    READ_ADMIN = 4
    WALLET_OR_KEY = 5
    """A signed-in wallet, or a service key (alerts)."""


class Identity(NamedTuple):
    """Who asks, once proved. ``method``: 'jwt', 'signature' (header form) or 'body'; only 'jwt' carries a ``jti``."""

    wallet: bytes
    method: str
    is_admin: bool
    expires_ms: int
    jti: str | None = None


class Caching(IntEnum):
    """``Cache-Control`` of a success."""

    AUTO = 0
    """``public, no-cache`` with an ETag for a public GET under /api, else ``no-store``."""
    SHORT = 1
    """``public, max-age=30`` with an ETag."""
    NO_STORE = 2


class Reply(NamedTuple):
    """A handler's answer. ``body`` becomes JSON unless it is bytes, which are sent as ``media_type``."""

    body: object
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    caching: Caching = Caching.AUTO
    media_type: str = "application/json"
    etag: str = ""
    """Of a body in bytes, where it is known."""


class Stream(NamedTuple):
    """An answer that sends itself (server-sent events, files): any ASGI application. Common headers are added to its
    own.
    """

    app: "ASGIApp"


class Scoped(NamedTuple):
    """A limit besides the general one: its name in ``config.limits`` (``votes``, ``posts``, …) and what it counts by.

    ``key`` sees the request with its parsed body and returns what is counted separately (a market and kind; '' =
    nothing more, None = this request does not count). ``by_address``: count per address even where a wallet is known.
    """

    name: str
    key: Callable[["Request"], str | None] | None = None
    by_address: bool = False


Handler = Callable[["Request", Any], Awaitable[object]]
"""Gets the request and the endpoint's decoded ``fields`` (None without); returns JSON-able data, a Reply or a Stream.
"""

Ended = Callable[["Request", Exception | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method on one path. ``path`` has ``{name}`` segments; ``fields`` is a class of
    :mod:`zmart_lite.api.validate`.

    ``fields`` are read from the query for GET, else from the body. ``answer`` is an example of a success, for the
    OpenAPI document. ``raw_body``: the handler reads the body itself (webhooks): nothing of it is checked before.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    level: Level = Level.NONE
    fields: type[Any] | None = None
    answer: object = None
    status: int = 200
    tag: str = ""
    scoped: Scoped | None = None
    limited: bool = True
    caching: Caching = Caching.AUTO
    body_bytes_max: int = BODY_BYTES_MAX
    raw_body: bool = False
    head: bool = True
    also: tuple[tuple[int, object], ...] = ()
    """Further successes: (status, example)."""
    refuses: tuple[str, ...] = ()
    """Reasons of :mod:`zmart_lite.api.refusals` for which this route says no, besides those of its checks."""
    media_type: str = "application/json"
    made_of: tuple[str, ...] = ()
    """For a GET whose answer depends on nothing but path, query and these tables: it is kept until one changes."""
    ended: Ended | None = None
    """Told how each call ended, refusals included, before it is answered (the audit)."""
    param_names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))
        object.__setattr__(self, "param_names", names)


class Request:
    """One HTTP request on its way through the checks. What later checks add is set by then."""

    __slots__ = (
        "_query",
        "address",
        "api",
        "body",
        "credential_error",
        "cursor",
        "endpoint",
        "identity",
        "is_recorded",
        "kept_at",
        "method",
        "params",
        "path",
        "raw_headers",
        "receive",
        "request_id",
        "scope",
        "service_key",
        "spent",
        "started",
    )

    def __init__(self, api: "Api", scope: "Scope", receive: "Receive") -> None:
        self.api = api
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_headers: dict[bytes, bytes] = dict(scope["headers"])
        """Headers by lower-case name; of a repeated one the last."""
        self.endpoint: Endpoint | None = None
        self.params: Mapping[str, str] = {}
        self.body: dict[str, Any] = {}
        """The parsed JSON object; empty for GET."""
        self.identity: Identity | None = None
        self.credential_error: Unauthorized | None = None
        self.service_key = False
        """Whether a valid x-service-key came with the request."""
        self.cursor: Position | None = None
        self.address = ""
        self.request_id = ""
        self.started = 0.0
        self.spent: Sequence[Spent] = ()
        """The limits that the request was counted for so far."""
        self.is_recorded = False
        self.kept_at: Place | None = None
        """Where the answer may be kept, once it is finished."""
        self._query: dict[str, str] | None = None

    def header(self, name: bytes) -> str | None:
        """The value of the header with this lower-case name, decoded as Latin-1."""
        value = self.raw_headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def query(self) -> dict[str, str]:
        """Query parameters; of a repeated one the last. Raises BadRequest for too many of them."""
        if self._query is None:
            self._query = parse_query(self.scope["query_string"])
        return self._query

    @property
    def parts(self) -> "ApiParts":
        return self.api.parts

    @property
    def store(self) -> "Store":
        return self.api.parts.store

    @property
    def signed_in(self) -> Identity:
        """Who asks. Only behind a level that guarantees somebody; raises Unauthorized otherwise."""
        if self.identity is None:
            raise Unauthorized("Sign in first.", reason="missing")
        return self.identity

    @property
    def wallet(self) -> bytes:
        """The signed-in wallet, as :attr:`signed_in`."""
        return self.signed_in.wallet

    @property
    def is_read_admin(self) -> bool:
        return self.service_key or (self.identity is not None and self.identity.is_admin)

    async def read(self, run: "Callable[[Tx], T]") -> T:
        parts = self.api.parts
        return await parts.store.read(run, timeout_s=parts.config.store.read_timeout_s)

    async def write(self, run: "Callable[[Tx], T]") -> T:
        return await self.api.parts.store.write(run)
