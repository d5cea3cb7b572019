"""The program's accounts packed by hand after the specification's tables, from fields under their IDL names."""

import struct
from collections.abc import Mapping
from typing import Any

STATES = ("Proposed", "Approved", "Active", "Resolving", "Disputed", "Finalized", "Cancelled")
VOTE_TYPES = ("Proposal", "Dispute")

Fields = Mapping[str, Any]


def config_bytes(fields: Fields) -> bytes:
    keys = b"".join(bytes(fields[name]) for name in ("admin", "backend_authority", "protocol_fee_wallet"))
    numbers = struct.pack(
        "<5H2qH?",
        fields["protocol_fee_bps"],
        fields["resolver_reward_bps"],
        fields["liquidity_provider_fee_bps"],
        fields["proposal_approval_threshold"],
        fields["dispute_success_threshold"],
        fields["min_resolution_delay"],
        fields["dispute_period"],
        fields["min_resolver_reputation"],
        fields["is_paused"],
    )
    packed = bytes.fromhex("95089ccaa0fcb0d9") + keys + numbers + bytes(64) + bytes([fields["bump"]])
    assert len(packed) == 198
    return packed.ljust(206, b"\0")


def market_bytes(fields: Fields) -> bytes:
    head = struct.pack(
        "<8s32s32sB6Q6q32s",
        bytes.fromhex("c94ebbe1f0c6c9fb"),
        fields["market_id"],
        bytes(fields["creator"]),
        STATES.index(fields["state"]),
        fields["b_parameter"],
        fields["initial_liquidity"],
        fields["current_liquidity"],
        fields["shares_yes"],
        fields["shares_no"],
        fields["total_volume"],
        fields["created_at"],
        fields["approved_at"],
        fields["activated_at"],
        fields["resolution_proposed_at"],
        fields["resolved_at"],
        fields["finalized_at"],
        bytes(fields["resolver"]),
    )
    assert len(head) == 201
    outcomes = _option("<?", fields["proposed_outcome"]) + _option("<?", fields["final_outcome"])
    return (head + outcomes + _market_tail(fields)).ljust(488, b"\0")


def _market_tail(fields: Fields) -> bytes:
    evidence_and_dispute = struct.pack(
        "<46sq32s", fields["ipfs_evidence_hash"], fields["dispute_initiated_at"], bytes(fields["dispute_initiator"])
    )
    fees = [fields[f"accumulated_{kind}_fees"] for kind in ("protocol", "resolver", "lp")]
    verdicts = ("agree", "disagree", "total_votes")
    counts = [fields[f"proposal_{name}"] for name in ("likes", "dislikes", "total_votes")]
    counts += [fields[f"{kind}_{name}"] for kind in ("resolution", "dispute") for name in verdicts]
    numbers = struct.pack("<3Q9I2?", *fees, *counts, fields["was_disputed"], fields["is_cancelled"])
    end = struct.pack("<?119xB", fields["is_locked"], fields["bump"])
    return evidence_and_dispute + numbers + _option("<q", fields["cancelled_at"]) + end


def _option(form: str, value: Any) -> bytes:
    return b"\0" if value is None else b"\1" + struct.pack(form, value)


def position_bytes(fields: Fields) -> bytes:
    packed = struct.pack(
        "<8s32s32s3QIq?Q64xB",
        bytes.fromhex("fbf8d1f553ea111b"),
        bytes(fields["market"]),
        bytes(fields["user"]),
        fields["shares_yes"],
        fields["shares_no"],
        fields["total_invested"],
        fields["trades_count"],
        fields["last_trade_at"],
        fields["has_claimed"],
        fields["claimed_amount"],
        fields["bump"],
    )
    assert len(packed) == 182
    return packed


def vote_bytes(fields: Fields) -> bytes:
    packed = struct.pack(
        "<8s32s32sB?qB",
        bytes.fromhex("70097ba5ea099da7"),
        bytes(fields["market"]),
        bytes(fields["user"]),
        VOTE_TYPES.index(fields["vote_type"]),
        fields["vote"],
        fields["voted_at"],
        fields["bump"],
    )
    assert len(packed) == 83
    return packed
