"""JSON-RPC 2.0: one reading of requests and one shape of answers for HTTP and pubsub.

A call without ``id`` is a notification and is never answered, not even with an error; whatever is wrong with a call
that has one, its answer carries it, so that nobody waits for ever.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from zmart_lite.localnet.ledger import LedgerRefused
from zmart_lite.localnet.params import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    Params,
    RpcError,
)

Call = Callable[[str, Any], Any]
"""Runs a method by its name and ``params`` as they came; raises :class:`RpcError` or :class:`LedgerRefused`."""

BATCH_BYTES_MAX = 32 * 1024 * 1024
"""Once the answers of a batch are longer, no further call of it is run: a leader schedule alone takes 3 MB."""

_MEMBERS = frozenset({"jsonrpc", "method", "params", "id"})

encode = msgspec.json.Encoder().encode


def answer(body: bytes, call: Call, batch_max: int) -> bytes:
    """The answer to one request body, a call or a batch; empty where it held notifications only."""
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return encode(failure(None, RpcError(PARSE_ERROR, "Parse error")))
    if not isinstance(request, list):
        found = _answer_one(request, call)
        return b"" if found is None else encode(found)
    if not 0 < len(request) <= batch_max:
        return encode(failure(None, _invalid_request()))
    answers = list(_answer_batch(request, call))
    return b"[" + b",".join(answers) + b"]" if answers else b""


def _answer_batch(requests: list[Any], call: Call) -> Iterator[bytes]:
    size = 0
    for each in requests:
        found = _answer_one(each, call if size <= BATCH_BYTES_MAX else _too_long)
        if found is not None:
            encoded = encode(found)
            size += len(encoded)
            yield encoded


def _too_long(_name: str, _params: Any) -> Any:
    raise RpcError(INTERNAL_ERROR, "the answers of this batch are too long: ask in several requests")


def calls_in(body: bytes) -> list[str]:
    """The names of the methods that a request body calls; empty where it is not JSON-RPC."""
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    calls = request if isinstance(request, list) else [request]
    return [call["method"] for call in calls if isinstance(call, dict) and isinstance(call.get("method"), str)]


def positional(params: Any) -> Params:
    """Raises :class:`RpcError` for parameters by name, which no method of a cluster takes."""
    if params is None:
        return Params([])
    if not isinstance(params, list):
        raise RpcError(INVALID_PARAMS, "`params` should be an array")
    return Params(params)


def unknown_method() -> RpcError:
    return RpcError(METHOD_NOT_FOUND, "Method not found")


def failure(request_id: Any, error: RpcError) -> dict[str, Any]:
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return {"jsonrpc": "2.0", "error": body, "id": request_id}


def _invalid_request() -> RpcError:
    return RpcError(INVALID_REQUEST, "Invalid request")


def _answer_one(request: Any, call: Call) -> dict[str, Any] | None:
    if not isinstance(request, dict):
        return failure(None, _invalid_request())
    request_id = request.get("id")
    if not isinstance(request_id, str | int | float | None) or isinstance(request_id, bool):
        return failure(None, _invalid_request())
    name = request.get("method")
    if request.get("jsonrpc") != "2.0" or not isinstance(name, str) or not request.keys() <= _MEMBERS:
        return failure(request_id, _invalid_request())
    found: dict[str, Any]
    try:
        found = {"jsonrpc": "2.0", "result": call(name, request.get("params")), "id": request_id}
    except RpcError as error:
        found = failure(request_id, error)
    except LedgerRefused as refused:
        found = failure(request_id, RpcError(INVALID_PARAMS, str(refused)))
    return found if "id" in request else None
