"""What every pinning service has in common: its calls, their errors, and the few attempts each is worth."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

import httpx

from zmart_lite import drafts
from zmart_lite.errors import IpfsRefused, IpfsUnavailable

logger = logging.getLogger(__name__)

ATTEMPTS_MAX = 3
PAUSE_FIRST_S = 2.0
PAUSE_MAX_S = 60.0
"""A service that asks for a longer pause is left until the next run."""
TIMEOUT_S = 60.0
MESSAGE_CHARS_MAX = 200

T = TypeVar("T")
SERVER_ERRORS = 500
Sleep = Callable[[float], Awaitable[object]]


class Pin(NamedTuple):
    """Content that a service keeps. ``pin_id``, ``<way>:<what the service calls it>``, is what takes it back."""

    cid: str
    pin_id: str


class Service(ABC):
    """A pinning service. Every call is tried three times; raises IpfsUnavailable, IpfsRefused."""

    name: str

    def __init__(self, *, sleep: Sleep = asyncio.sleep) -> None:
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S)
        self._sleep = sleep

    async def close(self) -> None:
        await self._client.aclose()

    async def pin(self, content: bytes, name: str, *, cid_version: int = 1) -> Pin:
        """Upload and keep content; again if it is kept already. ``cid_version`` 0 for what stands on chain, else 1.

        Raises ValueError for more than one chunk, IpfsRefused where the service names another id than the content has.
        """
        expected = drafts.cid_v0(content) if cid_version == 0 else drafts.cid_v1_raw(content)
        pinned = await self._persist(lambda: self._pin(content, name, cid_version))
        if pinned.cid != expected:
            raise IpfsRefused(f"{self.name} keeps {name} as {pinned.cid} instead of {expected}.")
        return pinned

    async def unpin(self, pin_id: str) -> None:
        """Take content back; nothing if it is gone already."""
        await self._persist(lambda: self._unpin(pin_id))

    @abstractmethod
    async def check(self) -> str:
        """Prove that the service can be used; a sentence about it."""

    @abstractmethod
    async def _pin(self, content: bytes, name: str, cid_version: int) -> Pin: ...

    @abstractmethod
    async def _unpin(self, pin_id: str) -> None: ...

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        for attempt in range(1, ATTEMPTS_MAX):
            try:
                return await call()
            except IpfsUnavailable as error:
                pause_s = error.retry_after_s or PAUSE_FIRST_S * 2 ** (attempt - 1)
                if pause_s > PAUSE_MAX_S:
                    raise
                logger.info("%s: attempt %d of %d failed: %s", self.name, attempt, ATTEMPTS_MAX, error)
                await self._sleep(pause_s)
        return await call()

    async def _call(self, method: str, url: str, **options: Any) -> httpx.Response:
        """One request. Only 2xx comes back; the message of a refusal is the service's own."""
        try:
            response = await self._client.request(method, url, **options)
        except httpx.HTTPError as error:
            raise IpfsUnavailable(f"{self.name} cannot be reached: {type(error).__name__}.") from error
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS or response.status_code >= SERVER_ERRORS:
            raise IpfsUnavailable(f"{self.name} answered {_said(response)}", _retry_after_s(response))
        if not response.is_success:
            raise IpfsRefused(f"{self.name} answered {_said(response)}")
        return response


def field(answer: Any, *path: str) -> str:
    """A text deep inside a service's JSON. Raises IpfsRefused if it is not there."""
    for name in path:
        answer = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(answer, str) or not answer:
        raise IpfsRefused(f"The answer has no {'.'.join(path)}.")
    return answer


def decoded(response: httpx.Response) -> Any:
    """Raises IpfsRefused for what is not JSON."""
    try:
        return response.json()
    except ValueError as error:
        raise IpfsRefused(f"The answer is not JSON: {_said(response)}") from error


def _said(response: httpx.Response) -> str:
    return f"{response.status_code}: {response.text[:MESSAGE_CHARS_MAX]}"


def _retry_after_s(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
