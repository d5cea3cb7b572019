"""The HTTP and push contract: one route table, joined from the modules that answer it."""

from dataclasses import replace
from functools import cache, partial
from types import ModuleType

from zmart_lite.api.answers import Answers
from zmart_lite.api.application import NodeApplication
from zmart_lite.api.context import ApiParts, Shared, Traffic
from zmart_lite.api.contract.endpoints import Endpoint
from zmart_lite.api.contract.pages import Cursors
from zmart_lite.api.contract.routing import RouteTable
from zmart_lite.api.http.files import Shipped
from zmart_lite.api.http.proxies import ClientAddresses
from zmart_lite.api.identity.auth import Authenticator
from zmart_lite.api.identity.limits import Limiter
from zmart_lite.api.instance import Api
from zmart_lite.api.live.streams import Streams
from zmart_lite.api.openapi.document import render
from zmart_lite.api.routes import (
    actions,
    admin,
    admin_chain,
    admin_streams,
    creation,
    devnet,
    discussions,
    events,
    markets,
    openapi,
    pages_static,
    previews,
    price_history,
    resolution,
    sign_in,
    solana_actions,
    status,
    stream,
    trades,
    transactions,
    users,
    votes,
    webhook,
)
from zmart_lite.codec import Codec
from zmart_lite.errors import RpcUnavailable
from zmart_lite.store.publishing.ballot_box import BallotBox
from zmart_lite.store.views.known_markets import KnownMarkets
from zmart_lite.store.views.rows import RowSettings

__all__ = ["Api", "ApiParts", "NodeApplication", "create_app", "list_endpoints", "make_api", "make_table"]

MODULES: tuple[ModuleType, ...] = (
    status,
    sign_in,
    markets,
    price_history,
    resolution,
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
    admin_streams,
    stream,
    openapi,
    pages_static,
    previews,
    solana_actions,
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
    return render(endpoints, Codec(ANY_PROGRAM).idl, version, public_url)


def make_api(parts: ApiParts) -> Api:
    """What requests share, made from the node's parts. Raises StartupError for an unusable key."""
    config, secret, operator_key = parts.config, parts.jwt_secret, parts.operator_key
    # Only what requests cause stands behind this breaker; the node's own work asks the cluster by itself. And no
    # handler has any use for the keys of sessions and commands.
    guarded = parts.rpc.guarded(partial(parts.breakers["api"].guard, RpcUnavailable))
    parts = replace(parts, rpc=guarded, jwt_secret=b"", operator_key="")
    auth = Authenticator(config, secret, parts.store, parts.now_ms, operator_key)
    addresses = ClientAddresses(config.server.trusted_proxies)
    limits = Limiter(config.limits, parts.metrics, lambda: parts.now_ms() / 1_000)
    streams, cursors = Streams(parts, auth, addresses, limits), Cursors(secret)
    document = _document(config.embedded_devnet, parts.version, config.server.public_url)
    shared = Shared(
        rows=RowSettings.of(config, parts.codec),
        traffic=Traffic(parts.now_ms),
        markets=KnownMarkets(parts.store.changes, is_shared=config.store.is_postgres),
        ballots=BallotBox(parts.store, parts.feed, parts.background, parts.metrics),
        services={type(service): service for service in (auth, limits, streams, cursors, document)},
    )
    answers = Answers(parts.store, is_shared=config.store.is_postgres)
    return Api(parts, shared, auth, limits, cursors, addresses, streams, answers)


def make_table(*, embedded_devnet: bool = False) -> RouteTable:
    return RouteTable(list_endpoints(embedded_devnet=embedded_devnet))


def create_app(parts: ApiParts) -> NodeApplication:
    """The ASGI application of a node whose parts are at work: a Starlette application, for HTTP and WebSockets."""
    pages_static.read_all()
    app = NodeApplication(make_table(embedded_devnet=parts.config.embedded_devnet))
    app.attach(make_api(parts))
    return app
