"""What clients say over a WebSocket: one JSON object per frame, decoded and checked here. Pure."""

from typing import Any, NamedTuple

import msgspec

from zmart_lite.errors import BadRequest
from zmart_lite.push.channels import Channel, market_channel, parse_channel

COMMAND_CHANNELS_MAX = 50
OFFSET_MAX = 2**63 - 1
QUOTED_LENGTH_MAX = 128
"""How much of a client's own word an error repeats."""


class ResumePoint(NamedTuple):
    """The last offset a client saw; None where what it sent is no offset at all."""

    offset: int | None


class Command(NamedTuple):
    """``by_market``: the form with ``market_id`` alone, which is confirmed by a market_state."""

    action: str
    channels: tuple[Channel, ...] = ()
    by_market: bool = False
    resume: ResumePoint | None = None


def decode_command(text: str) -> Command:
    """The command in a frame. Raises BadRequest with the contract's texts."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _malformed() from error
    if not isinstance(found, dict) or not isinstance(found.get("action"), str):
        raise _malformed()
    action = found["action"]
    if action == "pong":
        return Command(action)
    if action not in ("subscribe", "unsubscribe", "resume"):
        raise BadRequest(f"Unknown action: {_quoted(action)}")
    return _with_channels(action, found)


def resume_point(text: str) -> ResumePoint:
    """An offset as it stands in a URL or header."""
    if text.isascii() and text.isdigit() and len(text) <= len(str(OFFSET_MAX)) and int(text) <= OFFSET_MAX:
        return ResumePoint(int(text))
    return ResumePoint(None)


def named_channel(name: str) -> Channel:
    """The channel of a name or alias. Raises BadRequest."""
    channel = parse_channel(name)
    if channel is None:
        raise unknown_channel(name)
    return channel


def unknown_channel(name: str) -> BadRequest:
    return BadRequest(f"Unknown channel: {_quoted(name)}")


def _with_channels(action: str, found: dict[str, Any]) -> Command:
    channels = dict.fromkeys(map(named_channel, _names(found)))
    market_id = found.get("market_id")
    by_market = market_id is not None and not channels
    if market_id is not None:
        channels[_market(market_id)] = None
    if not channels and action != "resume":
        raise BadRequest(f"market_id required for {action} action")
    resume = None if action == "unsubscribe" else _resume(found)
    return Command(action, tuple(channels), by_market, resume)


def _names(found: dict[str, Any]) -> list[str]:
    """Those of ``channel`` and ``channels`` together."""
    many, one = found.get("channels"), found.get("channel")
    if many is None:
        many = []
    if not isinstance(many, list) or not isinstance(one, str | None) or not all(isinstance(n, str) for n in many):
        raise _malformed()
    if len(many) > COMMAND_CHANNELS_MAX:
        raise BadRequest("Too many subscriptions")
    return many if one is None else [*many, one]


def _market(reference: object) -> Channel:
    if not isinstance(reference, str):
        raise _malformed()
    channel = market_channel(reference)
    if channel is None:
        raise unknown_channel(f"market:{reference}")
    return channel


def _resume(found: dict[str, Any]) -> ResumePoint | None:
    given = found.get("from")
    if given is None:
        return None
    if isinstance(given, str):
        return resume_point(given)
    if not isinstance(given, int) or isinstance(given, bool):
        raise _malformed()
    return ResumePoint(given if 0 <= given <= OFFSET_MAX else None)


def _malformed() -> BadRequest:
    return BadRequest("Invalid message format")


def _quoted(text: str) -> str:
    return text[:QUOTED_LENGTH_MAX]
