"""Solana JSON-RPC over HTTP, as the cluster's nodes answer it, and the developers' ``localnet_`` methods.

Deliberate deviations: subscriptions are served on this port, too, and each ``localnet_`` method exists besides the
cluster's.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from zmart_lite.localnet import (
    devtools,
    jsonrpc,
    methods_accounts,
    methods_chain,
    methods_cluster,
    methods_tokens,
    methods_transactions,
    tempers,
)
from zmart_lite.localnet.access import Access, AccessMiddleware, is_json
from zmart_lite.localnet.context import RpcContext
from zmart_lite.localnet.params import Params
from zmart_lite.localnet.pubsub import Pubsub

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 50 * 1024
BATCH_MAX = 500

Method = Callable[[RpcContext, Params], Any]

METHODS: Mapping[str, Method] = {
    **methods_accounts.METHODS,
    **methods_chain.METHODS,
    **methods_cluster.METHODS,
    **methods_tokens.METHODS,
    **methods_transactions.METHODS,
    **devtools.METHODS,
}


class Rpc:
    """Answers JSON-RPC bodies. One instance serves one devnet."""

    def __init__(self, context: RpcContext, methods: Mapping[str, Method] | None = None) -> None:
        self._context = context
        self._methods = METHODS if methods is None else {**METHODS, **methods}

    def answer(self, body: bytes) -> bytes:
        """The answer to one request body; empty where it held notifications only."""
        return jsonrpc.answer(body, self._call, BATCH_MAX)

    def _call(self, name: str, params: Any) -> Any:
        method = self._methods.get(name)
        if method is None:
            raise jsonrpc.unknown_method()
        # Only the developers' methods take their one object without a list around it.
        named = isinstance(params, dict) and name.startswith(tempers.PREFIX)
        return method(self._context, Params([params]) if named else jsonrpc.positional(params))


def build_app(
    context: RpcContext,
    pubsub: Pubsub,
    access: Access,
    routes: Sequence[Route] = (),
    methods: Mapping[str, Method] | None = None,
) -> Starlette:
    """The ASGI application: JSON-RPC over HTTP and subscriptions over WebSocket at ``/``, ``/health``, and more routes.

    ``methods`` are served besides this module's own.
    """
    rpc = Rpc(context, methods)

    async def handle(request: Request) -> Response:
        if not is_json(request.headers):
            text = "Supplied content type is not allowed. Content-Type: application/json is required\n"
            return PlainTextResponse(text, 415)
        body = await _read_body(request)
        if body is None:
            return PlainTextResponse("Request body is too large\n", 413)
        provider = request.path_params.get("name", "")
        met = context.tempers.take(frozenset(jsonrpc.calls_in(body)), provider) if context.tempers else []
        if met:
            return await context.tempers.respond(request, body, met, lambda: rpc.answer(body))
        before = context.forks.count
        answer = rpc.answer(body)
        if context.forks.count != before:
            # Who asks a node next finds nothing there of what the fork undid.
            await context.forks.until_heard()
        return Response(answer, media_type="application/json; charset=utf-8")

    async def health(_request: Request) -> Response:
        return PlainTextResponse("ok")

    own = [
        Route("/", handle, methods=["POST"]),
        Route("/provider/{name}", handle, methods=["POST"]),
        Route("/health", health, methods=["GET"]),
        WebSocketRoute("/", pubsub.serve),
        WebSocketRoute("/provider/{name}", pubsub.serve),
    ]
    return Starlette(routes=[*own, *routes], middleware=[Middleware(AccessMiddleware, access=access)])


async def _read_body(request: Request) -> bytes | None:
    """The body, or None where it is longer than ``BODY_BYTES_MAX``."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
