"""One RPC address: sends a request through solana-py's client and says what went wrong in this package's words.

The request goes through the client's HTTP session, but neither solders' request types nor its answers are used: they
know no ``getRecentPrioritizationFees``, drop ``transactionIndex``, hand unknown error codes (429, -32019, …) back as a
plain ``int``, and lose the Retry-After header. Addresses may carry an API key, so messages name the host only.
"""

import asyncio
import email.utils
import time
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import msgspec
from solana.rpc.async_api import AsyncClient

from zmart_lite.chain.rpc_errors import PREFLIGHT_FAILED, Remedy, remedy_for
from zmart_lite.errors import ChainError, NodeLacks, PlaceUnknown, RpcRefused, RpcUnavailable, SimulationFailed

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""Room for some 80,000 markets in one getProgramAccounts answer; more would be held in memory at once."""
MESSAGE_CHARS_MAX = 300
RETRY_AFTER_MAX_S = 60.0
"""A node cannot lock us out for longer than this, whatever it asks for."""
REFUSED_PAUSE_S = 30.0
"""How long an address that answers 401, 403 or 404 is left alone: asking again at once cures nothing."""
RECOVERY_S = 60.0
"""After this long without a failure an address counts as healthy again."""

RETRYABLE_STATUSES = frozenset({408, 429})
"""Statuses below 500 of which the next request may know nothing."""
REFUSING_STATUSES = frozenset({400, 413, 415, 422})

Backoff = Callable[[int], float]


class _RpcError(msgspec.Struct):
    code: int
    message: str = ""
    data: Any = None


class _Answer(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"")
    error: _RpcError | None = None


class _Client(AsyncClient):
    """solana-py's client, with access to the HTTP status, the headers and the unparsed body of an answer."""

    async def post(self, body: bytes) -> tuple[httpx.Response, bytes]:
        """Status, headers and body. Raises httpx.HTTPError, and RpcUnavailable for a body that is too large."""
        provider = self._provider
        headers = {"Content-Type": "application/json"}
        async with provider.session.stream(
            "POST", str(provider.endpoint_uri), content=body, headers=headers
        ) as response:
            received = bytearray()
            async for chunk in response.aiter_bytes():
                received += chunk
                if len(received) > ANSWER_BYTES_MAX:
                    raise RpcUnavailable(f"The RPC node answered with more than {ANSWER_BYTES_MAX} bytes.")
        return response, bytes(received)


class Client(Protocol):
    """What sends a body to one address. Raises httpx.HTTPError."""

    async def post(self, body: bytes) -> tuple[httpx.Response, bytes]: ...

    async def close(self) -> None: ...


Connect = Callable[[str, float], Client]
"""Makes the client of an address, given how many seconds a request may take."""


def over_http(url: str, timeout_s: float) -> Client:
    return _Client(url, timeout=timeout_s)


class Endpoint:
    """One RPC address with its health: failures in a row, and the moment before which it should be left alone.

    ``now``, ``ready_at`` and ``proven_at`` (when it last answered for the right cluster) are seconds of the caller's
    monotonic clock; ``backoff(n)`` is the pause after the n-th failure in a row. ``number`` counts from 1.
    """

    def __init__(self, number: int, url: str, client: Client, backoff: Backoff) -> None:
        self.number = number
        self.host = urlsplit(url).hostname or "?"
        self.client = client
        self.ready_at = float("-inf")
        self.proven_at = float("-inf")
        self.is_foreign = False
        self.proving = asyncio.Lock()
        self._backoff = backoff
        self._failures = 0
        self._failed_at = float("-inf")

    def score(self, now: float) -> int:
        """0 = healthy; grows with failures in a row, forgotten after a while."""
        return self._failures if now - self._failed_at < RECOVERY_S else 0

    async def ask(self, body: bytes, now: Callable[[], float]) -> msgspec.Raw:
        """The raw ``result``. Raises RpcUnavailable, RpcRefused or SimulationFailed; keeps the health."""
        try:
            response, text = await self.client.post(body)
        except httpx.HTTPError as error:
            raise self.blame(now(), f"The RPC node {self.host} cannot be reached ({type(error).__name__}).") from error
        except httpx.InvalidURL as error:
            raise RpcRefused(f"The RPC address of {self.host} is malformed.") from error
        return self._result(response, text, now())

    def praise(self) -> None:
        """Note an answer that could be used."""
        self._failures, self.ready_at = 0, float("-inf")

    def blame(self, now: float, message: str, retry_after_s: float | None = None) -> RpcUnavailable:
        """Note a failure of the node itself and return the error to raise."""
        if now >= self.ready_at:  # requests that were under way together count as one failure
            self._failures = self.score(now) + 1
        self._failed_at = now
        # What comes back after a failure may be another node, even of another cluster.
        self.proven_at = float("-inf")
        pause = self._backoff(self._failures) if retry_after_s is None else min(retry_after_s, RETRY_AFTER_MAX_S)
        self.ready_at = max(self.ready_at, now + pause)
        return RpcUnavailable(message, retry_after_s)

    def _result(self, response: httpx.Response, text: bytes, now: float) -> msgspec.Raw:
        try:
            answer = msgspec.json.decode(text, type=_Answer)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._http_failure(response, now, readable=False) from error
        if answer.error is not None and response.status_code != httpx.codes.TOO_MANY_REQUESTS:
            raise self._rpc_failure(answer.error, now, _retry_after_s(response))
        if response.status_code != httpx.codes.OK or not bytes(answer.result):
            raise self._http_failure(response, now, readable=bool(bytes(answer.result)))
        return answer.result

    def _http_failure(self, response: httpx.Response, now: float, readable: bool) -> ChainError:
        status = response.status_code
        if status == httpx.codes.OK and not readable:
            return self.blame(now, f"The RPC node {self.host} answered with something that is not JSON-RPC.")
        message = f"The RPC node {self.host} answered HTTP {status}."
        if status in REFUSING_STATUSES:
            return RpcRefused(message, rpc_code=status)
        pause = _retry_after_s(response)
        if pause is None and status < 500 and status not in RETRYABLE_STATUSES:
            pause = REFUSED_PAUSE_S
        return self.blame(now, message, pause)

    def _rpc_failure(self, error: _RpcError, now: float, retry_after_s: float | None) -> ChainError:
        message = f"The RPC node {self.host} refused ({error.code}): {error.message[:MESSAGE_CHARS_MAX]}"
        match remedy_for(error.code, error.message):
            case Remedy.PAUSE:
                return self.blame(now, message, retry_after_s)
            case Remedy.RETRY:
                return RpcUnavailable(message, retry_after_s)
            case Remedy.OTHER_NODE:
                return NodeLacks(message, error.code, error.data)
            case Remedy.START_AGAIN:
                return PlaceUnknown(message, error.code, error.data)
            case Remedy.GIVE_UP:
                return _refusal(message, error)

    async def close(self) -> None:
        await self.client.close()


def _refusal(message: str, error: _RpcError) -> RpcRefused:
    if error.code == PREFLIGHT_FAILED and isinstance(error.data, dict) and error.data.get("err") is not None:
        logs, units = error.data.get("logs"), error.data.get("unitsConsumed")
        return SimulationFailed(message, error.data["err"], _strings(logs), units if isinstance(units, int) else None)
    return RpcRefused(message, error.code, error.data)


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(line for line in value if isinstance(line, str)) if isinstance(value, list) else ()


def _retry_after_s(response: httpx.Response) -> float | None:
    """Seconds asked for by Retry-After, in either of its forms (RFC 9110 §10.2.3); None without a usable one."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), RETRY_AFTER_MAX_S)
    try:
        moment = email.utils.parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None
    return min(max(moment - time.time(), 0.0), RETRY_AFTER_MAX_S)
