"""Solana JSON-RPC over HTTP, as the cluster's nodes answer it, and the developers' ``localnet_`` methods.

Deliberate deviations: subscriptions are served on this port, too, and each ``localnet_`` method exists besides the
cluster's.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from zmart_lite.localnet import devtools, methods_accounts, methods_chain, methods_transactions
from zmart_lite.localnet.access import Access, AccessMiddleware, is_json
from zmart_lite.localnet.context import RpcContext
from zmart_lite.localnet.ledger import LedgerRefused
from zmart_lite.localnet.params import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, Params, RpcError
from zmart_lite.localnet.pubsub import Pubsub

log = logging.getLogger(__name__)

BODY_BYTES_MAX = 50 * 1024
BATCH_MAX = 500

Method = Callable[[RpcContext, Params], Any]

METHODS: Mapping[str, Method] = {
    **methods_accounts.METHODS,
    **methods_chain.METHODS,
    **methods_transactions.METHODS,
    **devtools.METHODS,
}

_encode = msgspec.json.Encoder().encode


class Rpc:
    """Answers JSON-RPC bodies. One instance serves one devnet."""

    def __init__(self, context: RpcContext, methods: Mapping[str, Method] | None = None) -> None:
        self._context = context
        self._methods = METHODS if methods is None else {**METHODS, **methods}

    def answer(self, body: bytes) -> bytes:
        """The answer to one request body; empty where it held notifications only."""
        try:
            request = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _encode(_failure(None, RpcError(PARSE_ERROR, "Parse error")))
        if not isinstance(request, list):
            answer = self._answer_one(request)
            return b"" if answer is None else _encode(answer)
        if not request or len(request) > BATCH_MAX:
            return _encode(_failure(None, RpcError(INVALID_REQUEST, "Invalid request")))
        answers = [answer for each in request if (answer := self._answer_one(each)) is not None]
        return _encode(answers) if answers else b""

    def _answer_one(self, request: Any) -> dict[str, Any] | None:
        """The answer to one call; None for a notification."""
        match request:
            case {"jsonrpc": "2.0", "method": str(name)} if isinstance(request.get("id"), str | int | float | None):
                pass
            case _:
                return _failure(None, RpcError(INVALID_REQUEST, "Invalid request"))
        try:
            result = self._call(name, request.get("params"))
        except RpcError as error:
            return _failure(request.get("id"), error) if "id" in request else None
        except LedgerRefused as refused:
            return _failure(request.get("id"), RpcError(INVALID_PARAMS, str(refused))) if "id" in request else None
        return {"jsonrpc": "2.0", "result": result, "id": request["id"]} if "id" in request else None

    def _call(self, name: str, params: Any) -> Any:
        method = self._methods.get(name)
        if method is None:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        if params is None:
            params = []
        if not isinstance(params, list):
            # Only the developers' methods take their one object without a list around it.
            if not (isinstance(params, dict) and name.startswith(devtools.PREFIX)):
                raise RpcError(INVALID_PARAMS, "`params` should be an array")
            params = [params]
        return method(self._context, Params(params))


def _failure(request_id: Any, error: RpcError) -> dict[str, Any]:
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return {"jsonrpc": "2.0", "error": body, "id": request_id}


def method_names(body: bytes) -> frozenset[str]:
    """The methods a request body calls; empty where it is not JSON-RPC."""
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return frozenset()
    calls = request if isinstance(request, list) else [request]
    return frozenset(call["method"] for call in calls if isinstance(call, dict) and isinstance(call.get("method"), str))


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
        fault = devtools.take_fault(context, method_names(body)) if context.faults else None
        if fault is not None:
            return await devtools.inject(fault, request, lambda: rpc.answer(body))
        return Response(rpc.answer(body), media_type="application/json; charset=utf-8")

    async def health(_request: Request) -> Response:
        return PlainTextResponse("ok")

    own = [
        Route("/", handle, methods=["POST"]),
        Route("/health", health, methods=["GET"]),
        WebSocketRoute("/", pubsub.serve),
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
