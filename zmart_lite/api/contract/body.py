"""Bodies of requests: read up to a bound, and taken only as the JSON that they say they are."""

from typing import Any

import msgspec

from zmart_lite.api.contract.request import Request
from zmart_lite.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType

IDENTITY = "identity"
"""The encoding of what is not compressed."""
JSON_TYPE = "application/json"


class ClientGone(Exception):
    """The client went away before its request was complete."""


def require_json(request: Request) -> None:
    """Raises UnsupportedMediaType for a body that is compressed, or not said to be JSON."""
    media_type = request.header(b"content-type") or ""
    if media_type != JSON_TYPE and media_type.partition(";")[0].strip().lower() != JSON_TYPE:
        raise UnsupportedMediaType
    if b"content-encoding" not in request.raw_headers:
        return
    if (request.header(b"content-encoding") or IDENTITY).strip().lower() != IDENTITY:
        raise UnsupportedMediaType("Send the body uncompressed.")


async def read_bytes(request: Request, bytes_max: int) -> bytes:
    """The body, at most ``bytes_max`` long, whatever its length header says. Raises PayloadTooLarge."""
    check_length(request, bytes_max)
    parts: list[bytes] = []
    length, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        if length > bytes_max:
            raise PayloadTooLarge(f"The body may have at most {bytes_max} bytes.")
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def check_length(request: Request, bytes_max: int) -> None:
    """Raises PayloadTooLarge for a body whose header says so itself."""
    declared = request.header(b"content-length")
    if declared is not None and (not declared.isdecimal() or int(declared[:20]) > bytes_max):
        raise PayloadTooLarge(f"The body may have at most {bytes_max} bytes.")


def parse_json(raw: bytes) -> Any:
    """Any JSON value; raises BadRequest ``malformed_json``, also for nesting deeper than the parser goes."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest("The body is not valid JSON.", reason="malformed_json") from error
