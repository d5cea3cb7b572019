"""uvicorn's HTTP as strangers meet it: what is no HTTP is answered in the one shape of errors, without a warning."""

import logging
import secrets
import time
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zmart_lite.errors import BadRequest
from zmart_lite.store.shown import time_text_ms


class _Unexcited(logging.LoggerAdapter[logging.Logger]):
    """What uvicorn warns of is what anybody can send, as often as he likes."""

    level = logging.INFO

    def warning(self, msg: object, *args: object, **options: Any) -> None:
        self.debug(msg, *args, **options)


class GuardedHttp(HttpToolsProtocol):
    """A request that cannot be parsed gets a 400 like any other, and loses its connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = _Unexcited(self.logger)  # type: ignore[assignment]  # the methods that uvicorn uses are there

    def send_400_response(self, msg: str) -> None:
        body = _malformed(msg)
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncache-control: no-store\r\n"
            f"x-content-type-options: nosniff\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _malformed(message: str) -> bytes:
    """The error's JSON; no path, since none was understood."""
    code = BadRequest.code
    answer = {"error": code, "code": code, "message": message, "status": BadRequest.status}
    answer |= {"timestamp": time_text_ms(time.time_ns() // 1_000_000), "path": "", "request_id": secrets.token_hex(8)}
    return msgspec.json.encode(answer)
