"""Pages of lists: cursors that only this service makes, bound to the list and filters they came from."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import fields as dataclass_fields
from typing import Any, NamedTuple, TypeAlias

import msgspec

from zmart_lite.api.contract.endpoints import Reply
from zmart_lite.api.contract.request import Position, Request
from zmart_lite.api.contract.validate import PageFields
from zmart_lite.errors import BadRequest
from zmart_lite.store.engine.paging import COUNT_MAX, Listing, Page

TAG_BYTES = 12
SCOPE_BYTES = 12
PAGING_FIELDS = frozenset({"limit", "offset", "cursor"})


Scope: TypeAlias = tuple[object, ...]


class Cursors:
    """Makes and opens cursors. ``key`` is a secret of the service: nodes that share it read each other's cursors."""

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.sha256(b"zmart-lite cursors" + key).digest()

    def make(self, scope: bytes, values: tuple[Any, ...]) -> str:
        payload = scope + msgspec.msgpack.encode(values)
        return base64.urlsafe_b64encode(self._tag(payload) + payload).rstrip(b"=").decode()

    def open(self, cursor: str) -> Position:
        """Raises BadRequest ``bad_cursor`` for a text that :meth:`make` did not make."""
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except (binascii.Error, ValueError) as error:
            raise bad_cursor() from error
        tag, payload = raw[:TAG_BYTES], raw[TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(payload)):
            raise bad_cursor()
        return Position(payload[:SCOPE_BYTES], tuple(msgspec.msgpack.decode(payload[SCOPE_BYTES:])))

    def _tag(self, payload: bytes) -> bytes:
        return hashlib.blake2b(payload, digest_size=TAG_BYTES, key=self._key).digest()


def bad_cursor() -> BadRequest:
    return BadRequest("This cursor does not belong to this list.", reason="bad_cursor")


def list_scope(name: str, fields: PageFields, *more: object) -> bytes:
    """A digest of a list and its filters. ``more``: what else selects the rows (market, wallet of the caller)."""
    filters = [getattr(fields, part.name) for part in dataclass_fields(fields) if part.name not in PAGING_FIELDS]
    return hashlib.blake2b(repr((name, filters, more)).encode(), digest_size=SCOPE_BYTES).digest()


class PageRequest(NamedTuple):
    """A page as asked for: what the store needs, and the scope that its cursor gets."""

    page: Page
    scope: bytes


def page_of(request: Request, name: str, fields: PageFields, *more: object) -> PageRequest:
    """The page a request asks for. Raises BadRequest ``bad_cursor`` for a cursor of another list or other filters."""
    scope = list_scope(name, fields, *more)
    after = request.cursor
    if after is not None and after.scope != scope:
        raise bad_cursor()
    return PageRequest(Page(fields.limit, fields.offset or 0, None if after is None else after.values), scope)


def page_fields(request: Request, asked: PageRequest, found: Listing) -> dict[str, Any]:
    """The page fields of a wrapped list."""
    answer: dict[str, Any] = {
        "count": len(found.rows),
        "limit": asked.page.limit,
        "offset": asked.page.offset,
        "total_count": found.total_count,
        "has_more": found.has_more,
        "next_cursor": _next_cursor(request, asked, found),
    }
    if found.total_count >= COUNT_MAX and found.total_capped:
        answer["total_capped"] = True
    return answer


def bare_page(request: Request, asked: PageRequest, found: Listing, rows: list[dict[str, Any]]) -> Reply:
    """A bare array with its page fields in headers."""
    headers = [("X-Total-Count", str(found.total_count))]
    if (cursor := _next_cursor(request, asked, found)) is not None:
        headers.append(("X-Next-Cursor", cursor))
    return Reply(rows, headers=tuple(headers))


def _next_cursor(request: Request, asked: PageRequest, found: Listing) -> str | None:
    return request.service(Cursors).make(asked.scope, found.last) if found.has_more and found.last else None
