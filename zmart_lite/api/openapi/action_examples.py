"""Examples of answers of the routes that act, as the node gives them, for the OpenAPI document."""

from typing import Any

from zmart_lite.api.openapi.examples import EVENT, MARKET_ID, VOTE

UNSIGNED: dict[str, Any] = {
    "transaction": "AQAAAAAAAAAAAAAAAAAAAAAA…",
    "encoding": "base64",
    "fee_payer": "HFrhW9hx7JmBLR1ok3ZrMTvh7y6wQYWBNpxsK7DSP2q3",
    "signers": ["HFrhW9hx7JmBLR1ok3ZrMTvh7y6wQYWBNpxsK7DSP2q3"],
    "instruction": "buy_shares",
    "program_id": "US517G5965aydkZ46HS38QLi7UQiSojurfbQfKCELFx",
    "accounts": [
        {
            "name": "global_config",
            "address": "Fu248CXJKHCRnnXCw9iSujexJe6SuhFj8E3qWUZWMaD6",
            "signer": False,
            "writable": False,
        }
    ],
    "blockhash": "3Fz7csaQR5Sx2sbcw1tfLdTgsTN8VymikuPv3cJTa5kS",
    "last_valid_block_height": 169,
    "compute_unit_limit": 15328,
    "compute_unit_price": 0,
    "estimated_fee": "5000",
    "cluster": "localnet",
    "simulation": {
        "ok": True,
        "units": 12774,
        "logs": [
            "Program ComputeBudget111111111111111111111111111111 invoke [1]",
            "Program ComputeBudget111111111111111111111111111111 success",
        ],
    },
}
ACTION: dict[str, Any] = {
    "success": True,
    "message": "Sign and send this transaction to open trading.",
    "action": "activate_market",
    "market_id": "7cf6ddef939562439d2bce0bd95a7cb5c3f4720900c9be34d2dab8c14d52bde9",
    "warnings": [],
    "transaction": UNSIGNED,
}
CREATED: dict[str, Any] = {
    "success": True,
    "message": "Sign and send this transaction to create the market.",
    "action": "create_market",
    "market_id": "2404981b619d3b03983848858ee442da78954070dfe017fe2756885a0de508f9",
    "transaction": UNSIGNED,
    "warnings": ["liquidity_not_deposited"],
    "id": "2404981b619d3b03983848858ee442da78954070dfe017fe2756885a0de508f9",
    "on_chain_address": "CsyDyqLPL55eLnsPpcKmzBmcyDTaFecYry9Xcb9fud8H",
    "cid": "QmYBthN4vE7JDFSmJBZ1SEKt7sENCsGUsma79ufH6TAGy8",
    "draft": {
        "question": "Will it rain in Lisbon tomorrow?",
        "description": "By the official gauge.",
        "category": "science",
        "tags": ["weather"],
        "end_date": "2026-01-12T03:04:05.000Z",
        "creator_wallet": "3c4NP3UpbZguW1W9fPHbLwympTFSGDvDDDrm6htq2Z73",
        "canonical_json": '{"category":"science","description":"By the official gauge.",…}',
        "expires_at": "2026-01-03T03:04:05.000Z",
    },
}
PLANNED_RESOLUTION: dict[str, Any] = {
    "success": True,
    "message": "The outcome is registered; the node proposes it at the market's end date.",
    "planned_resolution": {
        "outcome": "YES",
        "outcome_bool": True,
        "evidence_hash": "QmULKig5Fxrs2sC4qt9nNduucXfb92AFYQ6Hi3YRqDmrYC",
        "due_at": "2026-01-12T03:04:05.000Z",
        "registered_at": "2026-01-02T03:04:05.000Z",
    },
}
CLAIM: dict[str, Any] = ACTION | {
    "message": "Sign and send this transaction to claim 0.014001234 SOL.",
    "action": "claim_winnings",
    "amount": "14001234",
    "payable": True,
}
WITHDRAWAL: dict[str, Any] = ACTION | {
    "message": "Sign and send this transaction to withdraw what the market holds: 0.000987654 SOL.",
    "action": "withdraw_liquidity",
    "warnings": ["unclaimed_winnings"],
    "amount": "987654",
}
RESOLUTION: dict[str, Any] = ACTION | {
    "message": "Sign and send this transaction to propose YES as the outcome.",
    "action": "resolve_market",
    "warnings": ["before_end_date"],
    "evidence_hash": "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o",
}
BUY_QUOTE: dict[str, Any] = {
    "market_id": "ab5d53710059dc959a21725c3d141fb2681d5784a3753692b3ffedabc107f754",
    "side": "buy",
    "outcome": "YES",
    "outcome_bool": True,
    "shares": "1835823062",
    "price_before": {"priceYes": 0.5, "priceNo": 0.5},
    "price_after": {"priceYes": 0.504589428, "priceNo": 0.495410572},
    "new_price_yes": "504589428",
    "avg_price": 0.5446757918547164,
    "priceImpact": 0.004589428,
    "fees": {"protocol": "27270774", "resolver": "18180516", "lp": "45451290", "total": "90902580"},
    "executable": True,
    "error": None,
    "slot": 19,
    "payout_if_yes": "6800000000",
    "payout_if_no": "0",
    "payable_now": "954477090",
    "warnings": ["payout_above_payable", "creator_may_withdraw"],
    "cost": "909025800",
    "total_cost": "999928380",
    "target_cost": "1000000000",
    "min_budget": "1071510",
    "refusal": None,
}
SELL_QUOTE: dict[str, Any] = {
    "market_id": "ab5d53710059dc959a21725c3d141fb2681d5784a3753692b3ffedabc107f754",
    "side": "sell",
    "outcome": "YES",
    "outcome_bool": True,
    "shares": "500000000",
    "price_before": {"priceYes": 0.504589428, "priceNo": 0.495410572},
    "price_after": {"priceYes": 0.503339507, "priceNo": 0.496660493},
    "new_price_yes": "503339507",
    "avg_price": 0.45414252,
    "priceImpact": 0.001249921,
    "fees": {"protocol": "7569042", "resolver": "5046028", "lp": "12615070", "total": "25230140"},
    "executable": True,
    "error": None,
    "slot": 20,
    "payout_if_yes": "0",
    "payout_if_no": "0",
    "payable_now": "714790718",
    "warnings": [],
    "gross": "252301400",
    "proceeds": "227071260",
    "min_proceeds": "224800547",
    "max_shares": "1835823062",
    "refusal": None,
}
BUY: dict[str, Any] = ACTION | {
    "message": "Sign and send this transaction to buy 1.835823062 YES shares for 0.99992838 SOL, fees included.",
    "action": "buy_shares",
    "quote": BUY_QUOTE,
}
SELL: dict[str, Any] = ACTION | {
    "message": "Sign and send this transaction to sell 0.5 YES shares for 0.22707126 SOL, fees deducted.",
    "action": "sell_shares",
    "quote": SELL_QUOTE,
}
ESTIMATE: dict[str, Any] = BUY_QUOTE | {
    "marketId": "ab5d53710059dc959a21725c3d141fb2681d5784a3753692b3ffedabc107f754",
    "tradeType": "buy",
    "estimatedCost": "557328200",
    "pricePerShare": "557102929",
    "newPriceYes": 0.507090092,
    "newPriceNo": 0.492909908,
    "timestamp": "2026-01-02T04:04:05.000Z",
}
SELL_ESTIMATE: dict[str, Any] = SELL_QUOTE | {
    "marketId": "ab5d53710059dc959a21725c3d141fb2681d5784a3753692b3ffedabc107f754",
    "tradeType": "sell",
    "estimatedCost": "227071260",
    "pricePerShare": "454142520",
    "newPriceYes": 0.503339507,
    "newPriceNo": 0.496660493,
    "timestamp": "2026-01-02T04:04:05.000Z",
}
SENT: dict[str, Any] = {
    "success": True,
    "signature": "3P4dN7UiTDLsahPDCrtmpr8eFNvkRochQHVPh5XcVvRB7DR37rJaK6QLwyAPxLUWweArEjTjCxGVV7zNnap5xftb",
    "status": "sent",
    "last_valid_block_height": 169,
    "explorer": None,
}
RELAYED: dict[str, Any] = {
    "success": True,
    "signature": "3P4dN7UiTDLsahPDCrtmpr8eFNvkRochQHVPh5XcVvRB7DR37rJaK6QLwyAPxLUWweArEjTjCxGVV7zNnap5xftb",
    "status": "confirmed",
    "slot": 20,
    "block_time": "2026-01-02T04:04:05.000Z",
    "err": None,
    "indexed": True,
    "market_id": "ab5d53710059dc959a21725c3d141fb2681d5784a3753692b3ffedabc107f754",
    "events": [EVENT],
    "explorer": None,
}
TRANSACTION: dict[str, Any] = {
    "signature": "3P4dN7UiTDLsahPDCrtmpr8eFNvkRochQHVPh5XcVvRB7DR37rJaK6QLwyAPxLUWweArEjTjCxGVV7zNnap5xftb",
    "status": "confirmed",
    "slot": 20,
    "block_time": "2026-01-02T04:04:05.000Z",
    "err": None,
    "program_error": None,
    "indexed": True,
    "market_id": "ab5d53710059dc959a21725c3d141fb2681d5784a3753692b3ffedabc107f754",
    "events": [EVENT],
    "explorer": None,
}
RECORDED: dict[str, Any] = {
    "yes": 1,
    "no": 0,
    "percentage_bps": 10000,
    "threshold_bps": 7000,
    "threshold_met": True,
    "tx_signature": EVENT["tx_signature"],
    "slot": 31,
    "finality": "confirmed",
    "recorded_at": "2026-01-02T04:04:05.000Z",
}
TALLY: dict[str, Any] = {
    "likes": 1,
    "dislikes": 0,
    "agrees": 1,
    "disagrees": 0,
    "total": 1,
    "agree_weight": "1",
    "disagree_weight": "0",
    "percentage_bps": 10000,
    "threshold_bps": 7000,
    "min_votes": 10,
    "threshold_met": False,
    "last_aggregated_at": None,
    "recorded": None,
}
PROGRESS: dict[str, Any] = TALLY | {
    "market_id": "2404981b619d3b03983848858ee442da78954070dfe017fe2756885a0de508f9",
    "vote_type": "proposal",
    "open": True,
    "ends_at": "2026-01-03T03:04:05.000Z",
    "time_remaining_seconds": 86400,
    "next_aggregation_at": None,
    "timestamp": "2026-01-02T03:04:05.000Z",
}
VOTED: dict[str, Any] = {
    "success": True,
    "message": "Vote recorded.",
    "vote_id": "1",
    "vote_count": {"likes": 1, "dislikes": 0, "total": 1},
    "vote": VOTE,
    "data": [VOTE],
    "count": 1,
    "metadata": {
        "message": "Vote recorded.",
        "market_id": "2404981b619d3b03983848858ee442da78954070dfe017fe2756885a0de508f9",
        "vote_type": "proposal",
        "user_wallet": "HFrhW9hx7JmBLR1ok3ZrMTvh7y6wQYWBNpxsK7DSP2q3",
    },
}
KIND_TALLY: dict[str, Any] = {
    "success": True,
    "marketId": "2404981b619d3b03983848858ee442da78954070dfe017fe2756885a0de508f9",
    "market_id": "2404981b619d3b03983848858ee442da78954070dfe017fe2756885a0de508f9",
    "counts": {"likes": 1, "dislikes": 0, "agrees": 1, "disagrees": 0, "total": 1},
    "data": TALLY,
}
BOTH_TALLIES: dict[str, Any] = {"market_id": MARKET_ID, "proposal_votes": TALLY, "dispute_votes": TALLY}
JOB: dict[str, Any] = {
    "name": "poll",
    "schedule": "every 60 s",
    "paused": False,
    "running": True,
    "holder": "node:4000:0a1b2c3d",
    "last_started_at": None,
    "last_finished_at": None,
    "last_result": None,
    "last_error": None,
    "last_duration_ms": None,
    "next_run_at": "1970-01-01T00:00:05.000Z",
    "runs": 1,
    "failures": 0,
    "summary": {},
    "progress": {"phase": "reading", "done": 120, "total": 500},
}
RUN: dict[str, Any] = {
    "id": 1,
    "job": "poll",
    "started_at": "2026-01-02T04:04:05.000Z",
    "finished_at": "2026-01-02T04:04:05.000Z",
    "result": "ok",
    "found": 3,
    "done": 2,
    "failed": 0,
    "skipped": 1,
    "error": None,
}
BREAKER: dict[str, Any] = {
    "name": "vote_aggregation",
    "state": "closed",
    "failures": 0,
    "opened_at": None,
    "open_until": None,
    "last_error": None,
}
INTENT: dict[str, Any] = {
    "id": "1",
    "action": "emergency_pause",
    "market_id": None,
    "round": 1,
    "args": {"paused": True},
    "status": "planned",
    "signature": None,
    "attempts": 0,
    "last_valid_block_height": None,
    "error": None,
    "created_at": "2026-01-02T04:04:05.000Z",
    "sent_at": None,
    "confirmed_at": None,
    "slot": None,
    "finality": None,
    "finalized_at": None,
}
AUDIT: dict[str, Any] = {
    "id": "1",
    "at": "2026-01-02T04:04:05.000Z",
    "wallet": "4uyTxMCdTKuhUQ6svNkWwKuELUbxnHDBGa9JcsfFvTef",
    "action": "protocol_pause",
    "target": "",
    "reason": "a test",
    "params": {"paused": True},
    "result": "ok",
    "request_id": "8ef05d0a3f13749a",
    "address": "127.0.0.1",
}
DISCREPANCY: dict[str, Any] = {
    "id": "1",
    "market_id": MARKET_ID,
    "field": "shares_yes",
    "stored": "5",
    "on_chain": "6",
    "slot": 7,
    "detected_at": "2026-01-02T03:04:05.000Z",
    "resolved_at": None,
    "resolution": None,
}
DEAD_LETTER: dict[str, Any] = {
    "id": "1",
    "kind": "delivery",
    "signature": None,
    "slot": None,
    "error": "no signature",
    "attempts": 1,
    "first_seen_at": "2026-01-02T03:04:05.000Z",
    "last_tried_at": "2026-01-02T03:04:05.000Z",
    "resolved_at": None,
    "resolution": None,
}
BACKUP: dict[str, Any] = {
    "id": "1",
    "file": "zmart-2026-01-02.db",
    "size_bytes": 4096,
    "created_at": "2026-01-02T03:04:05.000Z",
    "verified": True,
}
