"""The HTTP and push contract: one route table, joined from the modules that answer it."""

from dataclasses import replace
from functools import cache, partial
from types import ModuleType

from zmart_lite.api import (
    actions,
    admin,
    admin_chain,
    creation,
    devnet,
    discussions,
    events,
    markets,
    openapi,
    pages_static,
    price_history,
    sign_in,
    status,
    stream,
    trades,
    transactions,
    users,
    votes,
    webhook,
)
from zmart_lite.api.answers import Answers
from zmart_lite.api.auth import Authenticator
from zmart_lite.api.ballot_box import BallotBox
from zmart_lite.api.context import Api, ApiParts, Traffic
from zmart_lite.api.endpoints import Endpoint
from zmart_lite.api.limits import Limiter
from zmart_lite.api.middleware import Application
from zmart_lite.api.pages import Cursors
from zmart_lite.api.pages_static import Shipped
from zmart_lite.api.proxies import ClientAddresses
from zmart_lite.api.routing import RouteTable
from zmart_lite.codec import Codec
from zmart_lite.errors import RpcUnavailable
from zmart_lite.store.known_markets import KnownMarkets
from zmart_lite.store.rows import RowSettings

__all__ = ["Api", "ApiParts", "Application", "create_app", "list_endpoints", "make_api"]

MODULES: tuple[ModuleType, ...] = (
    status,
    sign_in,
    markets,
    price_history,
    creation,
    actions,
    trades,
    transactions,
    votes,
    users,
    discussions,
    events,
    webhook,
    admin,
    admin_chain,
    stream,
    openapi,
    pages_static,
)
"""Each has ``ENDPOINTS``; a new module of routes is added here."""


def list_endpoints(*, embedded_devnet: bool = False) -> tuple[Endpoint, ...]:
    """Every route of the node, in the order of the modules; those that drive the embedded devnet only where it is."""
    modules = (*MODULES, devnet) if embedded_devnet else MODULES
    return tuple(endpoint for module in modules for endpoint in module.ENDPOINTS)


ANY_PROGRAM = bytes(32)


@cache
def _document(embedded_devnet: bool, version: str, public_url: str) -> Shipped:
    # The IDL is part of the package: every program id has the same.
    endpoints = list_endpoints(embedded_devnet=embedded_devnet)
    return openapi.render(endpoints, Codec(ANY_PROGRAM).idl, version, public_url)


def make_api(parts: ApiParts) -> Api:
    """What requests share, made from the node's parts. Raises StartupError for an unusable key."""
    # Only what requests cause stands behind this breaker; the node's own work asks the cluster by itself.
    guarded = parts.rpc.guarded(partial(parts.breakers["api"].guard, RpcUnavailable))
    parts = replace(parts, rpc=guarded)
    config = parts.config
    auth = Authenticator(config, parts.jwt_secret, parts.store, parts.now_ms)
    addresses = ClientAddresses(config.server.trusted_proxies)
    limits = Limiter(config.limits, parts.metrics, lambda: parts.now_ms() / 1_000)
    return Api(
        parts=parts,
        rows=RowSettings.of(config, parts.codec),
        auth=auth,
        limits=limits,
        cursors=Cursors(parts.jwt_secret),
        addresses=addresses,
        traffic=Traffic(parts.now_ms),
        streams=stream.Streams(parts, auth, addresses, limits),
        answers=Answers(parts.store, is_shared=config.store.is_postgres),
        markets=KnownMarkets(parts.store.changes, is_shared=config.store.is_postgres),
        ballots=BallotBox(parts.store, parts.feed, parts.background, parts.metrics),
        document=_document(config.embedded_devnet, parts.version, config.server.public_url),
    )


def create_app(parts: ApiParts) -> Application:
    """The ASGI application, for HTTP and WebSockets."""
    api = make_api(parts)
    table = RouteTable(list_endpoints(embedded_devnet=parts.config.embedded_devnet))
    return Application(api, table, api.streams.websocket)
