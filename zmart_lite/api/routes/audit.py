"""Every act of an administrator, and every attempt at one, leaves a row that nothing removes (contract 2.10)."""

from dataclasses import dataclass
from typing import Any

import msgspec

from zmart_lite.api.contract.parsers import plain_text
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import field
from zmart_lite.errors import RequestError
from zmart_lite.store.state import moderation
from zmart_lite.store.state.moderation import Audit

REASON_CHARS_MIN, REASON_CHARS_MAX = 3, 500
PARAMS_BYTES_MAX = 4_096
CREDENTIALS = frozenset({"_auth", "message", "signature", "wallet"})
"""What of a body is never written down."""

reason = plain_text(REASON_CHARS_MIN, REASON_CHARS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class MayGiveReason:
    reason: str | None = field(reason, None, help="Why; kept in the audit.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MustGiveReason:
    reason: str = field(reason, help="Why; kept in the audit.", example="Agreed with the team.")


async def record(action: str, request: Request, error: Exception | None) -> None:
    """Write down how an administrator's call ended; nothing for a caller who has not proved who he is."""
    if request.identity is None:
        return
    given = request.body.get("reason")
    act = Audit(
        wallet=request.identity.wallet,
        action=action,
        target="/".join(request.params.values())[:200],
        reason=given[:REASON_CHARS_MAX] if isinstance(given, str) else None,
        params=_params(request.body),
        result=_result(error),
        request_id=request.request_id,
        address=request.address,
    )
    await request.write(lambda tx: moderation.add_audit(tx, act))


def _params(body: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in body.items() if name not in CREDENTIALS and name != "reason"}
    return shown if len(msgspec.json.encode(shown)) <= PARAMS_BYTES_MAX else {"truncated": True}


def _result(error: Exception | None) -> str:
    if error is None:
        return "ok"
    if isinstance(error, RequestError):
        return error.reason or error.code
    return type(error).__name__
