"""uvicorn's HTTP as strangers meet it: what is no HTTP is answered in the one shape of errors, without a warning."""

import logging
import secrets
import time
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from zmart_lite.api.http.headers import LINE_END, Lines
from zmart_lite.errors import BadRequest, RequestError
from zmart_lite.shown import time_text_ms


class _Unexcited(logging.LoggerAdapter[logging.Logger]):
    """What uvicorn warns of is what anybody can send, as often as he likes."""

    level = logging.INFO

    def warning(self, msg: object, *args: object, **options: Any) -> None:
        self.debug(msg, *args, **options)


class GuardedHttp(HttpToolsProtocol):
    """A request that cannot be parsed gets a 400 like any other, and loses its connection. ``common``: headers of every
    answer.
    """

    def __init__(self, *args: Any, common: Lines, **options: Any) -> None:
        super().__init__(*args, **options)
        self._common = common
        self.logger = _Unexcited(self.logger)  # type: ignore[assignment]  # the methods that uvicorn uses are there

    def send_400_response(self, msg: str) -> None:
        self.send_refusal(BadRequest(msg))

    def send_refusal(self, error: RequestError) -> None:
        """An error in the one shape, before any request was understood; then the connection is closed."""
        body = _shape(error)
        head = "content-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\n"
        head += f"content-length: {len(body)}\r\n"
        head += "".join(f"{name.lower()}: {value}\r\n" for name, value in error.headers.items())
        self.transport.write(b"".join((STATUS_LINE[error.status], self._common, head.encode(), LINE_END, body)))
        self.transport.close()


def _shape(error: RequestError) -> bytes:
    """The error's JSON; no path, since none was understood."""
    answer = {"error": error.code, "code": error.code, "message": error.message, "status": error.status}
    answer |= {} if error.reason is None else {"reason": error.reason}
    answer |= {} if error.details is None else {"details": error.details}
    answer |= {"timestamp": time_text_ms(time.time_ns() // 1_000_000), "path": "", "request_id": secrets.token_hex(8)}
    return msgspec.json.encode(answer)
