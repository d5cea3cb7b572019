"""What a client may listen to, and which messages go where. Pure.

One table, ``REACHES``, says which types of message each kind of channel carries; :func:`channels_of` (live) and
:func:`selections` (from the log) both follow it, so that a resumed client gets exactly what a connected one got.
"""

import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

from solders.pubkey import Pubkey

from zmart_lite.models import FeedMessage

Scope = Literal["market", "listed", "wallet", "all"]
"""How a channel's messages are found: by market, among all visible markets, by addressee, or all there are."""

PUBLIC_TYPES = ("market_state", "trade", "vote", "discussion", "claims_enabled")
MARKET_TYPES = ("market_state", "price", "trade", "vote", "voting_progress", "discussion", "claims_enabled")
MARKET_ID_BYTES = 32
CHANNELS_KEPT = 4_096
"""Kinds of messages, each about a market or a wallet, whose channels are remembered: one is seldom the only one."""

_HEX_ID = re.compile(r"[0-9a-fA-F]{64}")
_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}")


class Channel(NamedTuple):
    """A channel by its kind and what it is about: a market id, a wallet, or nothing.

    ``by_address``: the subject is still a market account's address, which only the store can turn into a market id.
    """

    kind: str
    subject: bytes | None = None
    by_address: bool = False

    @property
    def name(self) -> str:
        """The canonical name."""
        if self.subject is None:
            return self.kind
        return (
            f"{self.kind}:{Pubkey(self.subject) if self.scope == 'wallet' or self.by_address else self.subject.hex()}"
        )

    @property
    def scope(self) -> Scope:
        return REACHES[self.kind][0].scope


class Reach(NamedTuple):
    """Types of message a kind of channel carries; ``state_changes``: only those that change the market's state."""

    scope: Scope
    types: tuple[str, ...]
    state_changes: bool = False


REACHES: dict[str, tuple[Reach, ...]] = {
    "market": (Reach("market", MARKET_TYPES),),
    "price": (Reach("market", ("price",)),),
    "trade": (Reach("market", ("trade",)),),
    "discussion": (Reach("market", ("discussion",)),),
    "voting": (Reach("market", ("vote", "voting_progress")), Reach("market", ("market_state",), state_changes=True)),
    "markets": (Reach("listed", ("market_state", "claims_enabled")),),
    "trades": (Reach("listed", ("trade",)),),
    "votes": (Reach("listed", ("vote", "voting_progress")),),
    "public": (Reach("listed", PUBLIC_TYPES),),
    "user": (Reach("wallet", ("position",)),),
    "alerts": (Reach("all", ("alert",)),),
}

PUBLIC = Channel("public")
ALERTS = Channel("alerts")

_BY_TYPE: dict[str, tuple[tuple[str, Reach], ...]] = {
    type_: tuple((kind, reach) for kind, reaches in REACHES.items() for reach in reaches if type_ in reach.types)
    for type_ in (*MARKET_TYPES, "position", "alert")
}


def channels_of(message: FeedMessage) -> tuple[Channel, ...]:
    """The channels a message goes to; none for a type nobody can listen to."""
    return _channels(message.type, message.market_id, message.wallet, message.listed, message.state_changed)


@lru_cache(CHANNELS_KEPT)
def _channels(
    message_type: str, market_id: bytes | None, wallet: bytes | None, listed: bool, state_changed: bool
) -> tuple[Channel, ...]:
    found = []
    for kind, reach in _BY_TYPE.get(message_type, ()):
        if reach.state_changes and not state_changed:
            continue
        if reach.scope == "market":
            if market_id is not None:
                found.append(Channel(kind, market_id))
        elif reach.scope == "wallet":
            if wallet is not None:
                found.append(Channel(kind, wallet))
        elif reach.scope == "all" or listed:
            found.append(Channel(kind))
    return tuple(found)


class Selection(NamedTuple):
    """Messages to look for in the log. ``subjects``: market ids or wallets; empty for the scopes without any."""

    scope: Scope
    types: tuple[str, ...]
    subjects: tuple[bytes, ...]
    state_changes: bool


def selections(channels: Iterable[Channel]) -> tuple[Selection, ...]:
    """The same channels as questions to the log, channels of one kind joined."""
    subjects: dict[str, list[bytes]] = {}
    for channel in channels:
        subjects.setdefault(channel.kind, []).extend(() if channel.subject is None else (channel.subject,))
    return tuple(
        Selection(reach.scope, reach.types, tuple(found), reach.state_changes)
        for kind, found in subjects.items()
        for reach in REACHES[kind]
    )


def parse_channel(text: str) -> Channel | None:
    """The channel a name or alias stands for; None if it stands for none."""
    for pattern, kind in _FORMS:
        match = pattern.fullmatch(text)
        if match is not None:
            return _with_subject(kind, match["subject"])
    plain = _PLAIN_ALIASES.get(text, text)
    if plain in REACHES and REACHES[plain][0].scope in ("listed", "all"):
        return Channel(plain)
    return None


def market_channel(reference: str, kind: str = "market") -> Channel | None:
    """The channel of one market, given as hex id or as address of the market account."""
    if _HEX_ID.fullmatch(reference):
        return Channel(kind, bytes.fromhex(reference))
    address = _decode_address(reference)
    return None if address is None else Channel(kind, address, by_address=True)


def wallet_channel(reference: str) -> Channel | None:
    address = _decode_address(reference)
    return None if address is None else Channel("user", address)


def names(channels: Collection[Channel]) -> list[str]:
    """Canonical names, sorted: the same set always reads the same."""
    return sorted(channel.name for channel in channels)


_PLAIN_ALIASES = {"global:vote": "votes"}
# The first form that fits counts, so the longer ones come first.
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern.replace("{}", "(?P<subject>[0-9A-Za-z]{32,64})")), kind)
    for pattern, kind in (
        ("market:{}:update", "market"),
        ("market:{}:price", "price"),
        ("market:{}:trade", "trade"),
        ("market[:_]{}", "market"),
        ("price:{}", "price"),
        ("trade:{}", "trade"),
        ("discussion:{}", "discussion"),
        ("voting:{}", "voting"),
        ("votes_{}", "voting"),
        ("user:{}", "user"),
        ("user_{}_positions", "user"),
    )
)


def _with_subject(kind: str, reference: str) -> Channel | None:
    return wallet_channel(reference) if kind == "user" else market_channel(reference, kind)


def _decode_address(reference: str) -> bytes | None:
    if not _BASE58.fullmatch(reference):
        return None
    try:
        return bytes(Pubkey.from_string(reference))
    except ValueError:
        return None
