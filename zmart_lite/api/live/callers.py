"""Who is at the other end of a connection, and which channels they may listen to."""

from collections.abc import Iterable
from typing import NamedTuple

from zmart_lite.errors import Forbidden, RequestError, Unauthorized
from zmart_lite.push.channels import Channel


class Caller(NamedTuple):
    """Who is at the other end. ``expires_ms``: when the credential that says so ends."""

    wallet: bytes | None = None
    is_admin: bool = False
    service_key: bool = False
    expires_ms: int | None = None
    jti: str | None = None

    @property
    def is_known(self) -> bool:
        return self.wallet is not None or self.service_key


ANONYMOUS = Caller()


def authorize(caller: Caller, channels: Iterable[Channel]) -> None:
    """Raise Unauthorized or Forbidden unless the caller may listen to all of them."""
    for channel in channels:
        if channel.kind == "user":
            allowed = caller.is_admin or caller.service_key or caller.wallet == channel.subject
        else:
            allowed = channel.kind != "alerts" or caller.is_known
        if not allowed:
            raise _refusal(caller, channel)


def _refusal(caller: Caller, channel: Channel) -> RequestError:
    message = f"Forbidden channel: {channel.name}"
    if not caller.is_known:
        return Unauthorized(message, reason="missing")
    return Forbidden(message, reason="wallet_mismatch")
