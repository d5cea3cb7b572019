"""Every exception this package raises on purpose.

::

    ZmartError
     ├── StartupError                 the node cannot start; the message says what to do
     │    ├── ConfigError             a setting is unknown, malformed or out of range
     │    └── DatabaseInUse           another process has the database
     ├── ProgramError                 zmart-core (or the rules that mirror it) refuses, by IDL error name
     ├── UndecodableData              bytes that are not what the IDL describes
     ├── ChainError                   the cluster or the way to it
     │    ├── RpcUnavailable          retryable: time-outs, 429, 5xx, node behind
     │    ├── RpcRefused              the cluster answered with an error that a retry does not cure
     │    │    ├── SimulationFailed   preflight or simulation failed; carries the logs
     │    │    ├── NodeLacks          this node cannot answer that, another one may
     │    │    └── PlaceUnknown       no node knows the transaction from which a history should go on
     │    ├── TransactionFailed       landed and failed
     │    └── TransactionExpired      did not land and no longer can
     ├── StoreUnavailable             the database cannot be written or read now
     │    └── ReadTooLong             a reading was stopped at its time limit
     ├── LeaseLost                    another holder has taken over what this one was doing
     ├── BackupFailed                 a copy of the database could not be made, or is not usable
     ├── IpfsError                    IPFS or the way to it
     │    ├── IpfsUnavailable         retryable: time-outs, 429, 5xx
     │    └── IpfsRefused             the service said no, or answered with another content id than the content has
     └── RequestError                 a caller's mistake or a refusal; becomes the HTTP answer of the same class
          ├── BadRequest (400) ── ValidationFailed (400)
          ├── Unauthorized (401)
          ├── Forbidden (403)
          ├── NotFound (404)
          ├── MethodNotAllowed (405)
          ├── Conflict (409)
          ├── PayloadTooLarge (413)
          ├── UnsupportedMediaType (415)
          ├── RateLimited (429)
          └── Unavailable (503)

``RequestError.code`` is the stable machine word of the answer, ``reason`` the finer one, ``details`` whatever else the
caller needs; the message is one sentence for people.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class ZmartError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())

    @property
    def message(self) -> str:
        return str(self.args[0])


class StartupError(ZmartError):
    """The node cannot start."""


class ConfigError(StartupError):
    """The configuration is not usable."""


class DatabaseInUse(StartupError):
    """Another process has the database open."""


class ProgramError(ZmartError):
    """The program refuses. ``name`` is the error's name in the IDL (``SlippageExceeded``, …)."""

    def __init__(self, name: str, message: str | None = None) -> None:
        super().__init__(message or name)
        self.name = name


class UndecodableData(ZmartError):
    """The bytes are not what the IDL describes."""


class ChainError(ZmartError):
    """The cluster could not be used."""


class RpcUnavailable(ChainError):
    """The RPC node is not available right now."""

    def __init__(self, message: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RpcRefused(ChainError):
    """The RPC node refused the request. ``rpc_code`` is the JSON-RPC error code."""

    def __init__(self, message: str, rpc_code: int | None = None, data: Any = None) -> None:
        super().__init__(message)
        self.rpc_code = rpc_code
        self.data = data


class SimulationFailed(RpcRefused):
    """A simulation or preflight failed. ``err`` is the cluster's TransactionError as JSON, ``logs`` its log lines."""

    def __init__(self, message: str, err: Any, logs: Sequence[str] = (), units: int | None = None) -> None:
        super().__init__(message, rpc_code=-32002)
        self.err = err
        self.logs = tuple(logs)
        self.units = units


class NodeLacks(RpcRefused):
    """The RPC node does not have what it was asked for."""


class PlaceUnknown(RpcRefused):
    """The RPC node does not know the transaction from which the history should go on."""


class TransactionFailed(ChainError):
    """A transaction landed and failed."""

    def __init__(self, message: str, err: Any, logs: Sequence[str] = (), slot: int | None = None) -> None:
        super().__init__(message)
        self.err = err
        self.logs = tuple(logs)
        self.slot = slot


class TransactionExpired(ChainError):
    """The transaction did not land before its blockhash expired."""


class StoreUnavailable(ZmartError):
    """The database is not available right now."""


class ReadTooLong(StoreUnavailable):
    """Reading this took too long."""


class LeaseLost(ZmartError):
    """Another holder has taken over what this one was doing."""


class BackupFailed(ZmartError):
    """The database could not be copied, or the copy is not usable."""


class IpfsError(ZmartError):
    """IPFS could not be used."""


class IpfsUnavailable(IpfsError):
    """The IPFS service is not available right now."""

    def __init__(self, message: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class IpfsRefused(IpfsError):
    """The IPFS service refused."""


class RequestError(ZmartError):
    """The request cannot be answered."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL_SERVER_ERROR"

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: str | None = None,
        details: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.details = details
        self.headers = dict(headers or {})


class BadRequest(RequestError):
    """The request is malformed."""

    status = 400
    code = "BAD_REQUEST"


class ValidationFailed(BadRequest):
    """Validation failed"""

    code = "VALIDATION_ERROR"

    def __init__(self, fields: Sequence[tuple[str, str]]) -> None:
        super().__init__("Validation failed", details=[{"field": field, "message": text} for field, text in fields])


class Unauthorized(RequestError):
    """Sign in first."""

    status = 401
    code = "UNAUTHORIZED"

    def __init__(self, message: str | None = None, *, reason: str) -> None:
        super().__init__(message, reason=reason, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(RequestError):
    """This is not allowed."""

    status = 403
    code = "FORBIDDEN"


class NotFound(RequestError):
    """There is no such thing."""

    status = 404
    code = "NOT_FOUND"


class MethodNotAllowed(RequestError):
    """This path does not take that method."""

    status = 405
    code = "METHOD_NOT_ALLOWED"


class Conflict(RequestError):
    """The request does not fit the present state."""

    status = 409
    code = "CONFLICT"


class PayloadTooLarge(RequestError):
    """The request body is too large."""

    status = 413
    code = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaType(RequestError):
    """Send the body as application/json."""

    status = 415
    code = "UNSUPPORTED_MEDIA_TYPE"


class RateLimited(RequestError):
    """Too many requests."""

    status = 429
    code = "RATE_LIMIT_EXCEEDED"


class Unavailable(RequestError):
    """The service is not available right now."""

    status = 503
    code = "SERVICE_UNAVAILABLE"

    def __init__(self, message: str | None = None, *, reason: str, retry_after_s: int = 5) -> None:
        super().__init__(message, reason=reason, headers={"Retry-After": str(retry_after_s)})
