"""Why a market stands where it does, in words: the evidence of its outcome, what speaks against it, why it ended."""

from zmart_lite.api.contract.endpoints import Endpoint
from zmart_lite.api.contract.naming import path_market
from zmart_lite.api.contract.request import Request
from zmart_lite.api.openapi import examples
from zmart_lite.models import MarketState
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.publishing import discussions
from zmart_lite.store.state import intents, plans
from zmart_lite.store.views import lookups, rows
from zmart_lite.store.views.rows import Json

FIELDS = (
    "state",
    "proposed_outcome_name",
    "final_outcome_name",
    "resolver_wallet",
    "resolution_proposed_at",
    "ipfs_evidence_hash",
    "dispute_initiator",
    "dispute_initiated_at",
    "was_disputed",
    "cancelled_at",
)
"""What is as in the MarketRow."""


async def resolution(request: Request, _: None) -> Json:
    """The texts are people's own: the evidence that its hash stands for on chain, the post in which the dispute's
    initiator says why, the reason that the node's administrator gave for cancelling. Null where there is none.
    """
    ref = path_market(request)

    def read(tx: Tx) -> Json:
        row = lookups.get_whole_market(tx, ref)
        market = rows.market_row(row, rows.read_context(tx, request.shared.rows))
        return {
            "market_id": market["market_id"],
            **{field: market[field] for field in FIELDS},
            "evidence": _evidence(tx, market["ipfs_evidence_hash"]),
            "dispute_reason": _dispute_reason(tx, row),
            "cancel_reason": _cancel_reason(tx, market["market_id"], row),
        }

    return await request.read(read)


def _evidence(tx: Tx, cid: str | None) -> str | None:
    found = None if cid is None else plans.find_evidence(tx, cid)
    return None if found is None else str(found["content"])


def _dispute_reason(tx: Tx, row: Row) -> str | None:
    if row["dispute_initiator"] is None:
        return None
    return discussions.find_dispute_reason(tx, row["id"], row["dispute_initiator"])


def _cancel_reason(tx: Tx, market_id: str, row: Row) -> str | None:
    if row["state"] != MarketState.CANCELLED:
        return None
    found = intents.find_last(tx, "cancel_market", market_id)
    return None if found is None else found["reason"]


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/markets/{id}/resolution",
        resolution,
        "Why a market stands where it does, in words",
        answer={
            "market_id": examples.MARKET["market_id"],
            **{field: examples.MARKET[field] for field in FIELDS},
            "evidence": None,
            "dispute_reason": None,
            "cancel_reason": None,
        },
        tag="markets",
    ),
)
