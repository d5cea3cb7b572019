"""One HTTP request on its way through the checks to its handler."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from starlette.types import Receive, Scope

from zmart_lite.api.context import ApiParts, Shared
from zmart_lite.api.contract.endpoints import Endpoint, Identity, Spent
from zmart_lite.api.contract.validate import parse_query
from zmart_lite.errors import Unauthorized
from zmart_lite.store.engine.changes import Version
from zmart_lite.store.engine.db import Store, Tx

T = TypeVar("T")


class Position(NamedTuple):
    """Where a page begins: behind the row with these sort values, in the list whose digest is ``scope``."""

    scope: bytes
    values: tuple[Any, ...]


class Place(NamedTuple):
    """Where an answer may be kept: what was asked, and the tables as they were before it was made."""

    path: str
    query: bytes
    version: Version


class Request:
    """One HTTP request on its way through the checks. What later checks add is set by then."""

    __slots__ = (
        "_query",
        "address",
        "body",
        "credential_error",
        "cursor",
        "endpoint",
        "identity",
        "is_recorded",
        "kept_at",
        "method",
        "params",
        "parts",
        "path",
        "raw_headers",
        "receive",
        "request_id",
        "scope",
        "service_key",
        "shared",
        "spent",
        "started",
    )

    def __init__(self, parts: ApiParts, shared: Shared, scope: Scope, receive: Receive) -> None:
        self.parts = parts
        self.shared = shared
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
    def store(self) -> Store:
        return self.parts.store

    def service(self, kind: type[T]) -> T:
        """A part of the API that rooms above this one know, by its class (``Streams``, ``Authenticator``)."""
        return cast(T, self.shared.services[kind])

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

    async def read(self, run: Callable[[Tx], T]) -> T:
        return await self.store.read(run, timeout_s=self.parts.config.store.read_timeout_s)

    async def write(self, run: Callable[[Tx], T]) -> T:
        return await self.store.write(run)
