"""What a route declares, and the reply that its handler gives.

Every ``api/routes/*.py`` exports ``ENDPOINTS``; ``api/__init__.py`` joins them into the one route table, from which
dispatch, the checks before a handler, the limits and the OpenAPI document are all derived.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from starlette.types import ASGIApp

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
    """Who asks, once proved. ``method``: 'jwt', 'signature' (header form), 'body', or 'operator' (a command on the
    node's own machine, which acts for no wallet); only 'jwt' carries a ``jti``.
    """

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

    app: ASGIApp


class Scoped(NamedTuple):
    """A limit besides the general one: its name in ``config.limits`` (``votes``, ``posts``, …) and what it counts by.

    ``key`` sees the request with its parsed body and returns what is counted separately (a market and kind; '' =
    nothing more, None = this request does not count). ``by_address``: count per address even where a wallet is known.
    """

    name: str
    key: Callable[[Any], str | None] | None = None
    by_address: bool = False


class Spent(NamedTuple):
    """One limit after a request was counted. ``reset_s``: unix seconds at which the window ends; ``left_s``: until
    then.
    """

    scope: str
    allowed: bool
    limit: int
    remaining: int
    reset_s: float
    left_s: float


Handler = Callable[[Any, Any], Awaitable[object]]
"""Gets the request (``contract.request.Request``, which carries its endpoint and so is not named here) and the
endpoint's decoded ``fields`` (None without); returns JSON-able data, a Reply or a Stream.
"""

Ended = Callable[[Any, Exception | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method on one path. ``path`` has ``{name}`` segments; ``fields`` is a class of
    :mod:`zmart_lite.api.contract.validate`.

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
    """Reasons of :mod:`zmart_lite.api.contract.refusals` for which this route says no, besides those of its checks."""
    media_type: str = "application/json"
    made_of: tuple[str, ...] = ()
    """For a GET whose answer depends on nothing but path, query and these tables: it is kept until one changes."""
    ended: Ended | None = None
    """Told how each call ended, refusals included, before it is answered (the audit)."""
    param_names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))
        object.__setattr__(self, "param_names", names)
