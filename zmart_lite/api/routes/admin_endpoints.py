"""How the routes of administrators are declared: reading for read-admin, writing for admin and audited."""

from functools import partial
from typing import Any

from zmart_lite.api.contract.endpoints import Endpoint, Handler, Level
from zmart_lite.api.routes.audit import MayGiveReason, record

PREFIX = "/api/admin/"


def reading(path: str, handler: Handler, summary: str, answer: object, *, fields: type[Any] | None = None) -> Endpoint:
    return Endpoint(
        "GET", PREFIX + path, handler, summary, level=Level.READ_ADMIN, fields=fields, answer=answer, tag="admin"
    )


def writing(
    path: str,
    handler: Handler,
    summary: str,
    action: str,
    answer: object,
    *,
    fields: type[Any] = MayGiveReason,
    status: int = 200,
    also: tuple[tuple[int, object], ...] = (),
    refuses: tuple[str, ...] = (),
) -> Endpoint:
    """``action`` is the word in the audit."""
    return Endpoint(
        "POST",
        PREFIX + path,
        handler,
        summary,
        level=Level.ADMIN,
        fields=fields,
        answer=answer,
        status=status,
        also=also,
        refuses=refuses,
        tag="admin",
        ended=partial(record, action),
    )
