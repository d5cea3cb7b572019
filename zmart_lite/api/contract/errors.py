"""From any exception to the one JSON shape of the contract (section 0.6). What is not known is 500 and says nothing."""

import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from zmart_lite.api.contract.endpoints import Caching, Reply
from zmart_lite.api.contract.request import Request
from zmart_lite.chain.error_texts import explained
from zmart_lite.errors import (
    ChainError,
    Conflict,
    ProgramError,
    ReadTooLong,
    RequestError,
    RpcUnavailable,
    SimulationFailed,
    StoreUnavailable,
    TransactionFailed,
    Unavailable,
    ZmartError,
)
from zmart_lite.shown import time_text_ms

logger = logging.getLogger(__name__)

Translate: TypeAlias = Callable[[Any], RequestError]

LOGS_SHOWN_MAX = 20
INTERNAL_ERROR = "Internal error."


def _program_error(error: ProgramError) -> RequestError:
    return Conflict(
        f"The program would refuse this: {explained(error.name)}.",
        reason="program_error",
        details={"program_error": {"name": error.name, "number": None, "instruction_index": None}, "logs": []},
    )


def _simulation_failed(error: SimulationFailed) -> RequestError:
    return Conflict(
        "The simulation of the transaction failed.",
        reason="simulation_failed",
        details={"logs": list(error.logs[-LOGS_SHOWN_MAX:])},
    )


def _transaction_failed(error: TransactionFailed) -> RequestError:
    return Conflict(
        "The transaction landed and failed.",
        reason="transaction_failed",
        details={"logs": list(error.logs[-LOGS_SHOWN_MAX:]), "slot": error.slot},
    )


def _store_unavailable(_: StoreUnavailable) -> RequestError:
    return Unavailable("The database is not available right now.", reason="store_unavailable")


def _read_too_long(_: ReadTooLong) -> RequestError:
    message = "Reading this took too long, or too much is being read right now: ask for less, or again later."
    return Unavailable(message, reason="store_unavailable")


def _rpc_unavailable(error: RpcUnavailable) -> RequestError:
    wait_s = max(1, round(error.retry_after_s)) if error.retry_after_s else 5
    return Unavailable("The Solana cluster does not answer right now.", reason="rpc_unavailable", retry_after_s=wait_s)


def _chain_error(_: ChainError) -> RequestError:
    return Unavailable("The Solana cluster refused the node's question.", reason="rpc_unavailable")


TRANSLATIONS: dict[type[ZmartError], Translate] = {
    ProgramError: _program_error,
    SimulationFailed: _simulation_failed,
    TransactionFailed: _transaction_failed,
    RpcUnavailable: _rpc_unavailable,
    ChainError: _chain_error,
    StoreUnavailable: _store_unavailable,
    ReadTooLong: _read_too_long,
}
"""How errors of the lower layers look to a client; the nearest class in the error's own order counts."""


def as_request_error(error: Exception) -> RequestError | None:
    """The client's view of an error; None for one that nobody foresaw."""
    if isinstance(error, RequestError):
        return error
    for kind in type(error).__mro__:
        if (translate := TRANSLATIONS.get(kind)) is not None:
            return translate(error)
    return None


def error_reply(error: Exception, request: Request) -> Reply:
    """The answer to a request that ended in ``error``; an unforeseen one is logged with its traceback."""
    found = as_request_error(error)
    if found is None:
        logger.error("request failed", exc_info=error, extra={"method": request.method, "path": request.path[:200]})
        found = RequestError(INTERNAL_ERROR)
    elif found.status >= 500:
        logger.warning("request refused", extra={"reason": found.reason, "cause": str(error)})
    body: dict[str, Any] = {"error": found.code, "code": found.code, "message": found.message, "status": found.status}
    if found.reason is not None:
        body["reason"] = found.reason
    if found.details is not None:
        body["details"] = found.details
    body["timestamp"] = time_text_ms(request.parts.now_ms())
    body["path"] = request.path
    body["request_id"] = request.request_id
    return Reply(body, found.status, tuple(found.headers.items()), Caching.NO_STORE)
