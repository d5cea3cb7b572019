"""What a subscription begins with: its channels resolved, and the state they stand for, read in one transaction."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from zmart_lite.api.live.commands import unknown_channel
from zmart_lite.models import MarketState, VoteType
from zmart_lite.push.channels import Channel
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log.feed import feed_head
from zmart_lite.store.publishing.messages import FeedContext, market_state_data
from zmart_lite.store.state import votes
from zmart_lite.store.views import rows

SNAPSHOT_KINDS = frozenset({"market", "price", "voting", "user", "alerts"})
POSITIONS_MAX = 100
ALERTS_MAX = 50


class Part(NamedTuple):
    """One frame of a snapshot."""

    type: str
    market_id: bytes | None
    data: dict[str, Any]


class Opening(NamedTuple):
    """The state at ``head``, the offset at which all of ``parts`` is valid. ``channels`` have no addresses any more.

    ``confirmation`` is the market_state that confirms the form with a market id, None if that market is not known.
    """

    head: int
    channels: tuple[Channel, ...]
    parts: tuple[Part, ...]
    confirmation: Part | None = None


def needs_store(channels: Sequence[Channel]) -> bool:
    """Whether opening these channels has to ask the database at all."""
    return any(channel.by_address or channel.kind in SNAPSHOT_KINDS for channel in channels)


def read_opening(
    tx: Tx, context: FeedContext, channels: Sequence[Channel], *, confirm: str | None = None, snapshot: bool = True
) -> Opening:
    """Everything about these channels as of one moment.

    ``confirm``: 'subscribed' or 'unsubscribed' for the form with one market id; its confirmation is the snapshot too.
    Raises BadRequest for a market address nobody knows.
    """
    resolved = tuple(dict.fromkeys(_resolve(tx, channel) for channel in channels))
    context = FeedContext(context.settings, context.chain_now, next_aggregation_ms=context.next_aggregation_ms)
    head = feed_head(tx)
    if confirm is not None and (market := _find_market(tx, resolved[0])) is not None:
        data = market_state_data(market, context.rows(tx), confirm)
        return Opening(head, resolved, (), Part("market_state", market["market_id"], data))
    parts = [part for channel in resolved for part in _parts(tx, context, channel)] if snapshot else []
    return Opening(head, resolved, tuple(_without_repeats(parts)))


def _resolve(tx: Tx, channel: Channel) -> Channel:
    if not channel.by_address:
        return channel
    market_id = tx.value("SELECT market_id FROM markets WHERE address = ?", (channel.subject,))
    if market_id is None:
        raise unknown_channel(channel.name)
    return Channel(channel.kind, market_id)


def _find_market(tx: Tx, channel: Channel) -> Row | None:
    return tx.one(f"{rows.MARKET_SELECT} WHERE m.market_id = ? AND m.known = 1", (channel.subject,))


def _parts(tx: Tx, context: FeedContext, channel: Channel) -> list[Part]:
    if channel.kind in ("market", "price"):
        return _market_part(tx, context, channel)
    if channel.kind == "voting":
        return _progress_part(tx, context, channel)
    if channel.kind == "user":
        return _position_parts(tx, channel)
    return _alert_parts(tx) if channel.kind == "alerts" else []


def _market_part(tx: Tx, context: FeedContext, channel: Channel) -> list[Part]:
    market = _find_market(tx, channel)
    if market is None:
        return []
    return [Part("market_state", channel.subject, market_state_data(market, context.rows(tx), "snapshot"))]


def _progress_part(tx: Tx, context: FeedContext, channel: Channel) -> list[Part]:
    market = _find_market(tx, channel)
    if market is None:
        return []
    disputed = market["state"] >= MarketState.DISPUTED and market["dispute_initiated_at"]
    kind = VoteType.DISPUTE if disputed else VoteType.PROPOSAL
    tally = votes.find_tally(tx, market["id"], kind)
    data = rows.progress(market, tally, kind, context.rows(tx), context.chain_now(), context.next_aggregation_ms())
    return [Part("voting_progress", channel.subject, data | {"aggregated": False})]


def _position_parts(tx: Tx, channel: Channel) -> list[Part]:
    found = tx.all(
        f"{rows.POSITION_SELECT} WHERE w.address = ? ORDER BY p.market LIMIT ?", (channel.subject, POSITIONS_MAX)
    )
    return [Part("position", row["market_id"], rows.position_row(row)) for row in found]


def _alert_parts(tx: Tx) -> list[Part]:
    found = tx.all("SELECT * FROM alerts WHERE status = 'open' ORDER BY id DESC LIMIT ?", (ALERTS_MAX,))
    shown = [rows.alert_row(row) for row in reversed(found)]
    return [Part("alert", None, row | {"type": row["alert_type"]}) for row in shown]


def _without_repeats(parts: Sequence[Part]) -> list[Part]:
    """``market`` and ``price`` of one market have the same snapshot: once is enough."""
    seen = set()
    kept = []
    for part in parts:
        key = (part.type, part.market_id)
        if part.type in ("position", "alert") or key not in seen:
            kept.append(part)
        seen.add(key)
    return kept
