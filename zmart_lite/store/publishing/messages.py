"""What each cause tells the clients: the messages of the push feed, built and appended inside the transaction that
changes the rows.

Which messages a cause has, and in which order, is a table of the contract (section 4.3); :func:`publish_event` is
that table.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from zmart_lite import models
from zmart_lite.models import ChainEvent, MarketState, VoteType
from zmart_lite.shown import optional_signature, outcome_name, signature_text, time_text
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.state import alerts, votes
from zmart_lite.store.state.votes import Tally
from zmart_lite.store.views import rows
from zmart_lite.store.views.holdings import POSITION_SELECT, position_row
from zmart_lite.store.views.rows import Json, RowContext, RowSettings


@dataclass
class FeedContext:
    """What messages depend on besides the rows. ``feed_since``: unix time before which events are not told of any
    more.
    """

    settings: RowSettings
    chain_now: Callable[[], int]
    feed_since: int = 0
    next_aggregation_ms: Callable[[], int | None] = lambda: None
    config_unknown: bool = False
    """Set when an event showed that the config's account has to be read."""
    markets_unknown: dict[bytes, int] = field(default_factory=dict)
    """Addresses that may be those of markets the log does not know, and the slots in which they were met."""
    _rows: RowContext | None = None

    def rows(self, tx: Tx) -> RowContext:
        if self._rows is None:
            self._rows = rows.read_context(tx, self.settings)
        return self._rows

    def forget_config(self) -> None:
        """The config changed: read it again when next needed."""
        self._rows = None


MakeContext = Callable[[], FeedContext]


class Cause(NamedTuple):
    """An event that was applied, and what it touched: keys of rows."""

    market: int
    market_id: bytes
    event_id: int
    old_state: int | None
    vote: int | None
    holding: tuple[int, int] | None
    attached: bool


def find_market_row(tx: Tx, market: int) -> Row:
    row = tx.one(f"{rows.MARKET_SELECT} WHERE m.id = ?", (market,))
    if row is None:
        raise KeyError(market)
    return row


def market_state_data(
    row: Row,
    context: RowContext,
    action: str,
    *,
    old_state: int | None = None,
    automatic: bool = False,
    whole: bool = True,
) -> Json:
    """Data of a market_state message. ``row`` of rows.MARKET_SELECT; ``whole``: with the MarketRow."""
    market = rows.market_row(row, context)
    changed = old_state is not None and old_state != row["state"]
    return {
        "action": action,
        "market_id": market["market_id"],
        "marketId": market["market_id"],
        "state": market["state"],
        "state_code": market["state_code"],
        "old_state": MarketState(old_state).name if changed and old_state is not None else None,
        "new_state": market["state"] if changed else None,
        "automatic": automatic,
        "priceYes": market["priceYes"],
        "priceNo": market["priceNo"],
        "totalShares": market["totalShares"],
        "shares_yes": market["shares_yes"],
        "shares_no": market["shares_no"],
        "tx_signature": optional_signature(row["last_signature"]),
        "source": row["source"],
        "market": market if whole else None,
    }


def publish_market(
    tx: Tx, context: FeedContext, market: int, old_state: int | None, *, action: str | None = None, whole: bool = True
) -> Row:
    """Tell that a market changed: ``created`` where it had no state before, else ``updated``; the market's row."""
    row = find_market_row(tx, market)
    act = action or ("created" if old_state is None else "updated")
    automatic = tx.one("SELECT 1 FROM intents WHERE signature = ?", (row["last_signature"],)) is not None
    tx.publish(
        "market_state",
        market_state_data(row, context.rows(tx), act, old_state=old_state, automatic=automatic, whole=whole),
        market_id=row["market_id"],
        listed=not row["hidden"],
        state_changed=old_state != row["state"],
    )
    return row


def publish_event(tx: Tx, context: FeedContext, event: ChainEvent, cause: Cause, *, late: bool = False) -> None:
    """Tell of an event of a market that has just been folded.

    ``late``: it came behind later ones and the market as it stands now has been told of already.
    """
    match event:
        case models.SharesBought() | models.SharesSold():
            _publish_trade(tx, context, cause)
        case models.ProposalVoteSubmitted() | models.DisputeVoteSubmitted():
            kind = VoteType.PROPOSAL if isinstance(event, models.ProposalVoteSubmitted) else VoteType.DISPUTE
            if cause.vote is not None:
                publish_vote(tx, context, cause.market, cause.vote, kind)
        case models.ProposalAggregated():
            publish_progress(tx, context, find_market_row(tx, cause.market), VoteType.PROPOSAL, aggregated=True)
        case models.WinningsClaimed() | models.WinningsClaimedLegacy():
            _publish_position(tx, cause)
        case models.MarketFinalized():
            if not late:
                publish_market(tx, context, cause.market, cause.old_state)
            _publish_claims_enabled(tx, find_market_row(tx, cause.market))
        case _:
            if not late:
                publish_market(tx, context, cause.market, cause.old_state)


def _publish_trade(tx: Tx, context: FeedContext, cause: Cause) -> None:
    found = tx.one(f"{rows.TRADE_SELECT} WHERE t.event_id = ?", (cause.event_id,))
    if found is None:
        return
    market = find_market_row(tx, cause.market)
    listed = not market["hidden"]
    state = market_state_data(market, context.rows(tx), "updated", whole=False)
    trade = rows.trade_row(found)
    trade |= {"tradeId": trade["id"], "priceYes": state["priceYes"], "priceNo": state["priceNo"]}
    tx.publish("trade", trade, market_id=cause.market_id, listed=listed)
    tx.publish("market_state", state, market_id=cause.market_id, listed=listed)
    price_yes = rows.price_fields(int(market["shares_yes"]), int(market["shares_no"]), int(market["b_parameter"]))
    price = {
        "market_id": state["market_id"],
        "marketId": state["market_id"],
        "priceYes": state["priceYes"],
        "priceNo": state["priceNo"],
        "current_price_yes": price_yes["current_price_yes"],
        "totalShares": state["totalShares"],
        "shares_yes": state["shares_yes"],
        "shares_no": state["shares_no"],
        "tx_signature": trade["signature"],
        "slot": trade["slot"],
    }
    tx.publish("price", price, market_id=cause.market_id, listed=listed)
    _publish_position(tx, cause)


def _publish_position(tx: Tx, cause: Cause) -> None:
    if cause.holding is None:
        return
    row = tx.one(f"{POSITION_SELECT} WHERE p.market = ? AND p.wallet = ?", cause.holding)
    if row is not None:
        tx.publish("position", position_row(row), market_id=cause.market_id, wallet=row["wallet_address"], listed=False)


def _publish_claims_enabled(tx: Tx, market: Row) -> None:
    outcome = None if market["final_outcome"] is None else bool(market["final_outcome"])
    market_id, finalized_at = market["market_id"].hex(), time_text(market["finalized_at"])
    data = {
        "market_id": market_id,
        "marketId": market_id,
        "outcome": "INVALID" if outcome is None else outcome_name(outcome),
        "outcome_bool": outcome,
        "finalized_at": finalized_at,
        "claims_available_at": finalized_at,
    }
    tx.publish("claims_enabled", data, market_id=market["market_id"], listed=not market["hidden"])


def publish_vote(tx: Tx, context: FeedContext, market: int, vote_id: int, kind: VoteType) -> Json:
    """Tell of a vote and of the progress after it; the vote's row as clients see it."""
    row, found = rows.vote_row(votes.get_vote(tx, vote_id)), find_market_row(tx, market)
    tally = votes.find_tally(tx, market, kind)
    publish_vote_row(tx, found, row, tally)
    publish_progress_row(tx, context, found, tally, kind)
    return row


def publish_vote_row(tx: Tx, market: Row, row: Json, tally: Tally) -> None:
    """Tell of a vote alone. ``market`` has the columns of markets, ``tally`` holds the vote."""
    counts = {"likes": tally.likes, "dislikes": tally.dislikes, "total": tally.total}
    tx.publish("vote", row | counts, market_id=market["market_id"], listed=not market["hidden"])


def publish_progress(tx: Tx, context: FeedContext, market: Row, kind: VoteType, *, aggregated: bool) -> None:
    """Tell how a vote stands. ``aggregated``: the counts have just been recorded on chain."""
    publish_progress_row(tx, context, market, votes.find_tally(tx, market["id"], kind), kind, aggregated=aggregated)


def publish_progress_row(
    tx: Tx, context: FeedContext, market: Row, tally: Tally, kind: VoteType, *, aggregated: bool = False
) -> None:
    """As :func:`publish_progress`, with nothing looked up."""
    progress = rows.progress(market, tally, kind, context.rows(tx), context.chain_now(), context.next_aggregation_ms())
    tx.publish(
        "voting_progress",
        progress | {"aggregated": aggregated},
        market_id=market["market_id"],
        listed=not market["hidden"],
    )


def publish_alert(tx: Tx, row: Row) -> None:
    shown = rows.alert_row(row)
    tx.publish("alert", shown | {"type": shown["alert_type"]}, listed=False)


def raise_alert(
    tx: Tx, alert_type: str, severity: str, message: str, *, subject: str = "", data: object = None
) -> None:
    """Open an alert or count its repetition, and tell of it if that is news."""
    row, is_news = alerts.raise_alert(tx, alert_type, severity, message, subject=subject, data=data)
    if is_news:
        publish_alert(tx, row)


def resolve_alert(tx: Tx, alert_type: str, subject: str = "") -> None:
    """Close an alert whose cause is gone, and tell of it; nothing if there is none."""
    row = alerts.resolve_alert(tx, alert_type, subject)
    if row is not None:
        publish_alert(tx, row)


UNDECODABLE = "event_undecodable"
NO_SIGNATURE = "webhook"
UNDECODABLE_MESSAGES = {
    "delivery": "Transactions that were announced could not be had from the cluster.",
    "transaction": "Transactions could not be applied.",
    "event": "Events could not be decoded, or belong to no known market.",
    "truncated": "The logs of transactions are truncated or were not told: events are missing.",
    NO_SIGNATURE: "A webhook delivered something without a usable signature.",
}
"""What the one open alert of each cause says, by its subject."""


def publish_undecodable(tx: Tx, kind: str, signature: bytes | None, error: str) -> None:
    """Tell that a dead letter of a kind was kept: one alert for each cause, however many letters there are."""
    subject = NO_SIGNATURE if signature is None else kind
    details = {"signature": None if signature is None else signature_text(signature), "error": error}
    raise_alert(tx, UNDECODABLE, "HIGH", UNDECODABLE_MESSAGES[subject], subject=subject, data=details)


def resolve_undecodable(tx: Tx) -> None:
    """Close the alerts of those causes of which no dead letter is open any more."""
    for row in alerts.list_unresolved(tx, (UNDECODABLE,)):
        subject = row["subject"]
        kind = "delivery" if subject == NO_SIGNATURE else subject
        if not chainlog.has_open_letter(tx, kind, signed=subject != NO_SIGNATURE):
            resolve_alert(tx, UNDECODABLE, subject)


FORK, CORRECTION = "fork", "delivery"


def publish_retracted(tx: Tx, signature: bytes, slot: int) -> None:
    details = {"signature": signature_text(signature), "slot": slot}
    message = "The chain dropped confirmed transactions; their effects were undone."
    raise_alert(tx, "event_retracted", "HIGH", message, subject=FORK, data=details)


def publish_corrected(tx: Tx, signature: bytes, slot: int) -> None:
    details = {"signature": signature_text(signature), "slot": slot}
    message = "Deliveries told of transactions what is not so; it was corrected from the chain."
    raise_alert(tx, "event_retracted", "HIGH", message, subject=CORRECTION, data=details)
