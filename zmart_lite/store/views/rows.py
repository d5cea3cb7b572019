"""Rows as clients see them, built from the database's, and the joined SELECTs they are built from.

Requests and the indexer share these, so that a row looks the same in an answer and in a push message. A row always has
all its fields, aliases included (contract section 2.1).
"""

from functools import lru_cache
from typing import Any, cast

import msgspec

from zmart_lite import rules
from zmart_lite.models import MarketState, VoteType
from zmart_lite.shown import (
    address_text,
    as_bool,
    hash_text,
    optional_address,
    optional_signature,
    optional_time,
    optional_time_ms,
    outcome_name,
    percent,
    price_text,
    shown_title,
    signature_text,
    time_text,
    time_text_ms,
    trimmed_u64,
    units,
)
from zmart_lite.store.engine.db import Row
from zmart_lite.store.state.votes import VOTING_STATE, Recorded, Tally
from zmart_lite.store.views.holdings import POSITION_SELECT, payable_of, payout_fields, position_row
from zmart_lite.store.views.row_context import MarketRef, RowContext, RowSettings, read_context

__all__ = ["POSITION_SELECT", "MarketRef", "RowContext", "RowSettings", "position_row", "read_context"]

Json = dict[str, Any]

MARKETS_REMEMBERED = 8_192
"""Finished rows kept; about 4 KB each."""

FINALIZED = int(MarketState.FINALIZED)
MARKET_ID_HEX_LENGTH = 64
DELETED_CONTENT = "[deleted]"
FINALITY_NAMES = {1: "confirmed", 2: "finalized"}


# Markets

MARKET_COLUMNS = (
    "m.*, cw.address AS creator_address, rw.address AS resolver_address, iw.address AS dispute_initiator_address,"
    " mt.question, mt.description, mt.category, mt.tags, mt.end_date, lt.signature AS last_signature,"
    " rp.due_at AS plan_due_at, rp.registered_ms AS plan_registered_ms, mf.claimed_high, mf.claimed_low"
)
MARKET_JOINS = (
    " LEFT JOIN wallets cw ON cw.id = m.creator LEFT JOIN wallets rw ON rw.id = m.resolver"
    " LEFT JOIN wallets iw ON iw.id = m.dispute_initiator LEFT JOIN market_texts mt ON mt.market = m.id"
    " LEFT JOIN transactions lt ON lt.id = m.last_transaction LEFT JOIN resolution_plans rp ON rp.market = m.id"
    " LEFT JOIN market_figures mf ON mf.market = m.id"
)
MARKET_SELECT = f"SELECT {MARKET_COLUMNS} FROM markets m{MARKET_JOINS}"


def market_row(row: Row, context: RowContext) -> Json:
    """MarketRow of a row of MARKET_SELECT."""
    market_id = row["market_id"].hex()
    state = row["state"]
    shares_yes, shares_no = int(row["shares_yes"]), int(row["shares_no"])
    b_parameter = int(row["b_parameter"])
    out: Json = {
        "id": market_id,
        "market_id": market_id,
        "on_chain_address": address_text(row["address"]),
        "slot": row["slot"],
        "tx_signature": optional_signature(row["last_signature"]),
        "source": row["source"],
    }
    out |= _market_text(row)
    out |= _market_people(row)
    out |= _market_state(row, context, b_parameter)
    for name in ("initial_liquidity", "current_liquidity", "accumulated_resolver_fees", "accumulated_lp_fees"):
        out[name] = trimmed_u64(row[name])
    out |= price_fields(shares_yes, shares_no, b_parameter)
    out |= _market_payouts(row, shares_yes, shares_no)
    out |= _market_numbers(shares_yes, shares_no, int(row["total_volume"]))
    out |= _market_outcome(row, state)
    out |= _market_counts(row)
    out |= _market_times(row, context)
    return out


def market_json(row: Row, context: RowContext) -> msgspec.Raw:
    """:func:`market_row` as finished JSON. Remembered by everything it depends on, since lists show the same rows
    again.
    """
    return _market_json(tuple(row.keys()), tuple(row), context)


@lru_cache(MARKETS_REMEMBERED)
def _market_json(columns: tuple[str, ...], values: tuple[Any, ...], context: RowContext) -> msgspec.Raw:
    # Of columns with the same name the first counts, as in the database's own rows.
    row = dict(zip(reversed(columns), reversed(values), strict=True))
    return msgspec.Raw(msgspec.json.encode(market_row(row, context)))


def price_fields(shares_yes: int, shares_no: int, b_parameter: int) -> Json:
    """Shares, b and prices of a market, in the forms of MarketRow that they share with price answers and messages."""
    price_yes = rules.shown_price_yes(shares_yes, shares_no, b_parameter)
    return {
        "b_parameter": str(b_parameter),
        "shares_yes": str(shares_yes),
        "shares_no": str(shares_no),
        "current_price_yes": price_text(price_yes),
        "current_price_no": price_text(rules.P - price_yes),
        "priceYes": units(price_yes),
        "priceNo": units(rules.P - price_yes),
        "yesPrice": units(price_yes),
        "totalShares": units(shares_yes + shares_no),
        "liquidityParameter": units(b_parameter),
        "liquidity_parameter": units(b_parameter),
    }


def _market_text(row: Row) -> Json:
    title = shown_title(row["market_id"], row["question"])
    end_date = optional_time(row["end_date"])
    return {
        "question": title,
        "title": title,
        "description": row["description"] or "",
        "category": row["category"] or "other",
        "tags": msgspec.json.decode(row["tags"]) if row["tags"] else [],
        "end_date": end_date,
        "ends_at": end_date,
        "text_source": "none" if row["question"] is None else "draft",
        "question_hash": hash_text(row["question_hash"]),
        "ipfs_evidence_hash": hash_text(row["evidence_hash"]) if row["resolution_proposed_at"] else None,
    }


def _market_people(row: Row) -> Json:
    creator = optional_address(row["creator_address"])
    return {
        "creator_wallet": creator,
        "creator": creator,
        "resolver_wallet": optional_address(row["resolver_address"]),
        "dispute_initiator": optional_address(row["dispute_initiator_address"]),
    }


def _market_state(row: Row, context: RowContext, b_parameter: int) -> Json:
    state = MarketState(row["state"])
    plan = None
    if row["plan_due_at"] is not None:
        plan = {"due_at": time_text(row["plan_due_at"]), "registered_at": time_text_ms(row["plan_registered_ms"])}
    return {
        "state": state.name,
        "status": state.name,
        "state_code": int(state),
        "is_cancelled": state is MarketState.CANCELLED,
        "hidden": bool(row["hidden"]),
        "note": row["note"],
        "claims_enabled": state is MarketState.FINALIZED,
        "tradable": is_tradable(state, b_parameter, context),
        "ready_for_approval": bool(row["ready_for_approval"]) and state is MarketState.PROPOSED,
        "planned_resolution": plan,
    }


def is_tradable(state: MarketState, b_parameter: int, context: RowContext) -> bool:
    return state is MarketState.ACTIVE and not context.is_paused and b_parameter >= rules.B_PARAMETER_MIN


def _market_numbers(shares_yes: int, shares_no: int, total_volume: int) -> Json:
    yes, no = units(shares_yes), units(shares_no)
    return {
        "total_volume": str(total_volume),
        "total_yes_shares": yes,
        "yes_shares": yes,
        "total_no_shares": no,
        "no_shares": no,
        "volume_sol": units(total_volume),
    }


def _market_payouts(row: Row, shares_yes: int, shares_no: int) -> Json:
    """What one whole share of each side would be paid, and all that the account can pay."""
    liquidity = int(row["current_liquidity"])
    return payout_fields(
        rules.winning_share(rules.P, shares_yes, liquidity),
        rules.winning_share(rules.P, shares_no, liquidity),
        payable_of(row, shares_yes, shares_no),
    )


def _market_outcome(row: Row, state: int) -> Json:
    proposed, final = as_bool(row["proposed_outcome"]), as_bool(row["final_outcome"])
    final_name = "INVALID" if final is None and state == FINALIZED else outcome_name(final)
    return {
        "proposed_outcome": proposed,
        "final_outcome": final,
        "outcome": final,
        "proposed_outcome_name": outcome_name(proposed),
        "final_outcome_name": final_name,
        "was_disputed": bool(row["was_disputed"]),
    }


def _market_counts(row: Row) -> Json:
    return {
        "proposal_likes": row["proposal_likes"],
        "proposal_dislikes": row["proposal_dislikes"],
        "proposal_total_votes": row["proposal_likes"] + row["proposal_dislikes"],
        "dispute_agree": row["dispute_agree"],
        "dispute_disagree": row["dispute_disagree"],
        "dispute_total_votes": row["dispute_agree"] + row["dispute_disagree"],
    }


def _market_times(row: Row, context: RowContext) -> Json:
    proposed_at, disputed_at = row["resolution_proposed_at"], row["dispute_initiated_at"]
    created, activated = time_text(row["created_at"]), optional_time(row["activated_at"])
    finalized, resolution = optional_time(row["finalized_at"]), optional_time(proposed_at)
    return {
        "created_at": created,
        "createdAt": created,
        "approved_at": optional_time(row["approved_at"]),
        "activated_at": activated,
        "activatedAt": activated,
        "resolution_proposed_at": resolution,
        "resolutionTime": resolution,
        "dispute_deadline": optional_time(
            proposed_at and rules.dispute_deadline(proposed_at, context.dispute_period_s)
        ),
        "dispute_initiated_at": optional_time(disputed_at),
        "dispute_settle_at": optional_time(disputed_at and disputed_at + context.settings.settle_after_s),
        "resolved_at": optional_time(row["resolved_at"]),
        "finalized_at": finalized,
        "finalizedAt": finalized,
        "claims_available_at": finalized,
        "cancelled_at": optional_time(row["cancelled_at"]),
        "last_state_change": time_text(row["last_state_change_at"]),
        "updated_at": time_text_ms(row["updated_ms"]),
    }


# Trades

TRADE_COLUMNS = "t.*, e.slot, e.event_index, m.market_id, w.address AS wallet_address, x.signature"
TRADE_JOINS = (
    " JOIN events e ON e.id = t.event_id JOIN transactions x ON x.id = e.transaction_id"
    " JOIN markets m ON m.id = t.market JOIN wallets w ON w.id = t.wallet"
)
TRADE_SELECT = f"SELECT {TRADE_COLUMNS} FROM trades t{TRADE_JOINS}"


def trade_row(row: Row) -> Json:
    """TradeRow of a row of TRADE_SELECT."""
    market_id, user, signature = (
        row["market_id"].hex(),
        address_text(row["wallet_address"]),
        signature_text(row["signature"]),
    )
    is_buy, shares, cost = bool(row["is_buy"]), int(row["shares"]), int(row["cost"])
    price_after, traded_at = int(row["new_price_yes"]), time_text(row["traded_at"])
    return {
        "id": f"{signature}:{row['event_index']}",
        "market_id": market_id,
        "marketId": market_id,
        "user_wallet": user,
        "user": user,
        "trader": user,
        "trade_type": "buy" if is_buy else "sell",
        "outcome": outcome_name(bool(row["outcome"])),
        "outcome_bool": bool(row["outcome"]),
        "shares": str(shares),
        "cost": str(cost),
        "payout": None if is_buy else str(cost),
        "shares_decimal": units(shares),
        "cost_sol": units(cost),
        "price": cost / shares if shares else 0,
        "price_after": units(price_after),
        "new_price_yes": str(price_after),
        "tx_signature": signature,
        "signature": signature,
        "event_index": row["event_index"],
        "slot": row["slot"],
        "block_time": traded_at,
        "timestamp": traded_at,
        "created_at": traded_at,
    }


# Votes


def vote_row(row: Row) -> Json:
    """VoteRow of a row of votes.VOTE_SELECT."""
    shown = new_vote_row(
        row["id"],
        row["market_id"],
        row["wallet_address"],
        VoteType(row["kind"]),
        bool(row["vote"]),
        int(row["weight"]),
        row["voted_ms"],
    )
    shown["source"], shown["tx_signature"] = row["source"], optional_signature(row["signature"])
    shown["aggregated"] = bool(row["aggregated"])
    return shown


def new_vote_row(
    vote_id: int, market_id: bytes, wallet: bytes, kind: VoteType, vote: bool, weight: int, voted_ms: int
) -> Json:
    """VoteRow of a vote that was just cast through the node: reading it back would cost two joins for each."""
    is_proposal = kind is VoteType.PROPOSAL
    words = ("like", "dislike") if is_proposal else ("agree", "disagree")
    id_text, voted_at = str(vote_id), time_text_ms(voted_ms)
    return {
        "id": id_text,
        "vote_id": id_text,
        "market_id": market_id.hex(),
        "user_wallet": address_text(wallet),
        "vote_type": "proposal" if is_proposal else "dispute",
        "vote": vote,
        "choice": words[0] if vote else words[1],
        "weight": str(weight),
        "source": "api",
        "tx_signature": None,
        "aggregated": False,
        "created_at": voted_at,
        "voted_at": voted_at,
        "timestamp": voted_at,
    }


def tally(found: Tally, kind: VoteType, context: RowContext) -> Json:
    """Tally of the contract (2.7): the counts, and whether they reach the threshold now in force."""
    is_proposal = kind is VoteType.PROPOSAL
    threshold_bps = context.proposal_threshold_bps if is_proposal else context.dispute_threshold_bps
    votes_min = context.settings.proposal_votes_min if is_proposal else 0
    by_heads = is_proposal or context.settings.dispute_by_heads
    yes, no = (found.likes, found.dislikes) if by_heads else (found.agree_weight, found.disagree_weight)
    reached = rules.ratio_bps(yes, yes + no)
    return {
        "likes": found.likes,
        "dislikes": found.dislikes,
        "agrees": found.likes,
        "disagrees": found.dislikes,
        "total": found.total,
        "agree_weight": str(found.agree_weight),
        "disagree_weight": str(found.disagree_weight),
        "percentage_bps": reached,
        "threshold_bps": threshold_bps,
        "min_votes": votes_min,
        "threshold_met": reached >= threshold_bps and found.total >= max(votes_min, 1),
        "last_aggregated_at": optional_time(found.last_aggregated_at),
        "recorded": None if found.recorded is None else _recorded(found.recorded, found.last_aggregated_at),
    }


def _recorded(found: Recorded, recorded_at: int | None) -> Json:
    """What stands on chain: the counts as the program got them, and what they came to by its threshold of then."""
    reached = rules.ratio_bps(found.yes, found.yes + found.no)
    return {
        "yes": found.yes,
        "no": found.no,
        "percentage_bps": reached,
        "threshold_bps": found.threshold_bps,
        "threshold_met": reached >= found.threshold_bps,
        "tx_signature": signature_text(found.signature),
        "slot": found.slot,
        "finality": "finalized" if found.is_final else "confirmed",
        "recorded_at": optional_time(recorded_at),
    }


def progress(
    market: Row, found: Tally, kind: VoteType, context: RowContext, now_s: int, next_aggregation_ms: int | None = None
) -> Json:
    """Progress of the contract (2.7). ``market``: any row with the columns of markets; ``now_s``: chain time."""
    is_open = market["state"] == VOTING_STATE[kind]
    ends_at = vote_ends_at(market, kind, context)
    return tally(found, kind, context) | {
        "market_id": market["market_id"].hex(),
        "vote_type": kind.name.lower(),
        "open": is_open,
        "ends_at": optional_time(ends_at),
        "time_remaining_seconds": max(0, ends_at - now_s) if ends_at and is_open else 0,
        "next_aggregation_at": optional_time_ms(next_aggregation_ms) if is_open else None,
        "timestamp": time_text(now_s),
    }


def vote_ends_at(market: Row, kind: VoteType, context: RowContext) -> int | None:
    """Unix seconds: creation + 24 h for proposals (then a person looks), dispute + 3 days. None before there is a
    dispute.
    """
    if kind is VoteType.PROPOSAL:
        return cast(int, market["created_at"]) + context.settings.review_after_s
    started: int = market["dispute_initiated_at"]
    return started + context.settings.settle_after_s if started else None


# Events

EVENT_COLUMNS = (
    "e.*, m.market_id, x.signature, x.block_time, x.finality, x.source, x.created_ms, x.index_in_block AS told_index"
)
EVENT_JOINS = " JOIN transactions x ON x.id = e.transaction_id LEFT JOIN markets m ON m.id = e.market"
EVENT_SELECT = f"SELECT {EVENT_COLUMNS} FROM events e{EVENT_JOINS}"


def event_row(row: Row, context: RowContext) -> Json:
    """EventRow of a row of EVENT_SELECT."""
    signature = signature_text(row["signature"])
    market_id = None if row["market_id"] is None else row["market_id"].hex()
    return {
        "id": f"{signature}:{row['event_index']}",
        "transaction_signature": signature,
        "tx_signature": signature,
        "event_index": row["event_index"],
        "event_type": row["event_type"],
        "market_id": market_id,
        "event_data": context.settings.event_data.shown(row["data"], market_id),
        "block_slot": row["slot"],
        "slot": row["slot"],
        "block_time": optional_time(row["block_time"]),
        "timestamp": time_text(row["timestamp"]),
        "index_in_block": row["told_index"],
        "finality": FINALITY_NAMES[row["finality"]],
        "source": row["source"],
        "created_at": time_text_ms(row["created_ms"]),
    }


# Discussions

DISCUSSION_COLUMNS = "d.*, m.market_id, w.address AS wallet_address"
DISCUSSION_JOINS = " JOIN markets m ON m.id = d.market JOIN wallets w ON w.id = d.wallet"
DISCUSSION_SELECT = f"SELECT {DISCUSSION_COLUMNS} FROM discussions d{DISCUSSION_JOINS}"


def discussion_row(row: Row, context: RowContext, replies: list[Json] | None = None) -> Json:
    """DiscussionRow of a row of DISCUSSION_SELECT. The text of a deleted post is never shown."""
    post_id, market_id, author = str(row["id"]), row["market_id"].hex(), address_text(row["wallet_address"])
    parent_id = None if row["parent"] is None else str(row["parent"])
    content = row["content"] if row["deleted_ms"] is None else DELETED_CONTENT
    created_at, is_flagged = time_text_ms(row["created_ms"]), row["flag_count"] >= context.settings.flags_needed
    return {
        "id": post_id,
        "discussion_id": post_id,
        "market_id": market_id,
        "marketId": market_id,
        "user_wallet": author,
        "wallet": author,
        "author": author,
        "user": author,
        "content": content,
        "text": content,
        "parent_id": parent_id,
        "parentId": parent_id,
        "depth": row["depth"],
        "upvotes": row["upvotes"],
        "downvotes": row["downvotes"],
        "score": row["upvotes"] - row["downvotes"],
        "flag_count": row["flag_count"],
        "is_flagged": is_flagged,
        "isFlagged": is_flagged,
        "reply_count": row["replies"],
        "replies": replies or [],
        "created_at": created_at,
        "createdAt": created_at,
        "updated_at": time_text_ms(row["updated_ms"]),
        "deleted_at": optional_time_ms(row["deleted_ms"]),
    }


# Alerts


def alert_row(row: Row, *, with_data: bool = False) -> Json:
    """AlertRow of a row of alerts. ``with_data``: only for read-admin."""
    subject: str = row["subject"]
    opened_at = time_text_ms(row["opened_ms"])
    out: Json = {
        "id": str(row["id"]),
        "alert_type": row["alert_type"],
        "severity": row["severity"],
        "message": row["message"],
        "market_id": subject if is_market_id_hex(subject) else None,
        "subject": subject or None,
        "status": row["status"],
        "count": row["count"],
        "opened_at": opened_at,
        "created_at": opened_at,
        "last_seen_at": time_text_ms(row["last_seen_ms"]),
        "acknowledged_at": optional_time_ms(row["acknowledged_ms"]),
        "acknowledged_by": optional_address(row["acknowledged_by"]),
        "resolved_at": optional_time_ms(row["resolved_ms"]),
        "runbook": runbook_path(row["alert_type"]),
    }
    if with_data:
        out["data"] = msgspec.json.decode(row["data"])
    return out


def runbook_path(alert_type: str) -> str:
    """Where the node serves the page that says what to do about alerts of a type."""
    return f"/runbooks/{alert_type}"


def is_market_id_hex(subject: str) -> bool:
    return len(subject) == MARKET_ID_HEX_LENGTH and all(digit in "0123456789abcdef" for digit in subject)


def chance(price: int) -> Json:
    """A price as 0 … 100 for both sides."""
    return {"yes": percent(price), "no": percent(rules.P - price)}
