"""The program's eighteen instructions as functions: addresses derived, accounts in the IDL's order. Pure.

Amounts are lamports, shares have 9 decimals, ``b_parameter`` is fixed point (10^9 = 1.0), rates and thresholds are bps,
delays and periods seconds. A value its field cannot hold raises ValueError.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM

from zmart_lite.codec import Codec
from zmart_lite.models import GlobalConfig, VoteType

COMPUTE_UNITS_MAX = 1_400_000
HASH_BYTES = 46
MARKET_ID_BYTES = 32
SYSTEM_PROGRAM_ID = bytes(SYSTEM_PROGRAM)


class NamedAccount(NamedTuple):
    """An account of an instruction under its IDL name."""

    name: str
    address: bytes
    signer: bool
    writable: bool


def build(codec: Codec, name: str, args: Mapping[str, object], accounts: Mapping[str, bytes]) -> Instruction:
    """The instruction ``name`` with ``accounts`` by IDL name; config and System program are filled in.

    Raises ValueError for an account too few or too many, or an argument its type cannot hold.
    """
    known = {"global_config": codec.config_address(), "system_program": SYSTEM_PROGRAM_ID} | dict(accounts)
    specs = codec.instruction_accounts(name)
    if missing := {spec.name for spec in specs} - known.keys():
        raise ValueError(f"{name} lacks the accounts {sorted(missing)}")
    if unknown := accounts.keys() - {spec.name for spec in specs}:
        raise ValueError(f"{name} takes no accounts {sorted(unknown)}")
    metas = [AccountMeta(Pubkey.from_bytes(known[spec.name]), spec.signer, spec.writable) for spec in specs]
    try:
        data = codec.encode_instruction(name, args)
    except struct.error as error:
        raise ValueError(f"{name}: {error}") from error
    return Instruction(Pubkey.from_bytes(codec.program_id), data, metas)


def accounts_of(codec: Codec, instruction: Instruction) -> tuple[NamedAccount, ...]:
    """The accounts of one of our instructions with their IDL names; further ones than the IDL knows have none ("")."""
    name = codec.instruction_by_discriminator(instruction.data) or ""
    names = [spec.name for spec in codec.instruction_accounts(name)] if name else []
    names += [""] * (len(instruction.accounts) - len(names))
    return tuple(
        NamedAccount(label, bytes(meta.pubkey), meta.is_signer, meta.is_writable)
        for label, meta in zip(names, instruction.accounts, strict=False)
    )


def message_with_budget(
    instruction: Instruction, payer: bytes, unit_limit: int, unit_price: int, blockhash: bytes
) -> Message:
    """A legacy message: compute-unit limit, price (micro-lamports per unit), then the one instruction."""
    if not 0 < unit_limit <= COMPUTE_UNITS_MAX:
        raise ValueError(f"{unit_limit} compute units, the runtime takes 1 to {COMPUTE_UNITS_MAX}")
    budget = [set_compute_unit_limit(unit_limit), set_compute_unit_price(unit_price)]
    return Message.new_with_blockhash([*budget, instruction], Pubkey.from_bytes(payer), Hash.from_bytes(blockhash))


def writable_accounts(instructions: Sequence[Instruction]) -> tuple[bytes, ...]:
    """Each writable account once, in order of appearance."""
    metas = (meta for instruction in instructions for meta in instruction.accounts if meta.is_writable)
    return tuple(dict.fromkeys(bytes(meta.pubkey) for meta in metas))


def _exactly(size: int, value: bytes) -> bytes:
    # struct would pad or cut bytes of another length without a word.
    if len(value) != size:
        raise ValueError(f"{len(value)} bytes instead of {size}")
    return value


# Configuration


def initialize_global_config(
    codec: Codec, admin: bytes, backend_authority: bytes, protocol_fee_wallet: bytes
) -> Instruction:
    accounts = {"admin": admin, "protocol_fee_wallet": protocol_fee_wallet}
    return build(codec, "initialize_global_config", {"backend_authority": backend_authority}, accounts)


def update_global_config(
    codec: Codec,
    config: GlobalConfig,
    *,
    min_resolution_delay: int | None = None,
    dispute_period: int | None = None,
) -> Instruction:
    """Rates and thresholds are those of ``config`` (the program always overwrites them).

    None leaves a delay as it is.
    """
    args = {
        "protocol_fee_bps": config.protocol_fee_bps,
        "resolver_reward_bps": config.resolver_reward_bps,
        "liquidity_provider_fee_bps": config.liquidity_provider_fee_bps,
        "proposal_approval_threshold": config.proposal_approval_threshold,
        "dispute_success_threshold": config.dispute_success_threshold,
        "min_resolution_delay": min_resolution_delay,
        "dispute_period": dispute_period,
    }
    return build(codec, "update_global_config", args, {"admin": config.admin})


def emergency_pause(codec: Codec, admin: bytes) -> Instruction:
    """Toggles the pause: read the flag first."""
    return build(codec, "emergency_pause", {}, {"admin": admin})


# Proposals


def create_market(
    codec: Codec, creator: bytes, market_id: bytes, b_parameter: int, initial_liquidity: int, question_hash: bytes
) -> Instruction:
    """``question_hash`` are the 46 bytes of a CIDv0 in its text form."""
    args = {
        "market_id": _exactly(MARKET_ID_BYTES, market_id),
        "b_parameter": b_parameter,
        "initial_liquidity": initial_liquidity,
        "ipfs_question_hash": _exactly(HASH_BYTES, question_hash),
    }
    return build(codec, "create_market", args, {"creator": creator, "market": codec.market_address(market_id)})


def _vote(codec: Codec, name: str, kind: VoteType, market_id: bytes, user: bytes, vote: bool) -> Instruction:
    market = codec.market_address(market_id)
    accounts = {"market": market, "vote_record": codec.vote_pda(market, user, kind)[0], "user": user}
    return build(codec, name, {"vote": vote}, accounts)


def submit_proposal_vote(codec: Codec, market_id: bytes, user: bytes, vote: bool) -> Instruction:
    return _vote(codec, "submit_proposal_vote", VoteType.PROPOSAL, market_id, user, vote)


def aggregate_proposal_votes(
    codec: Codec, market_id: bytes, backend_authority: bytes, likes: int, dislikes: int
) -> Instruction:
    accounts = {"market": codec.market_address(market_id), "backend_authority": backend_authority}
    return build(codec, "aggregate_proposal_votes", {"final_likes": likes, "final_dislikes": dislikes}, accounts)


def approve_proposal(codec: Codec, market_id: bytes, admin: bytes) -> Instruction:
    return build(codec, "approve_proposal", {}, {"admin": admin, "market": codec.market_address(market_id)})


def activate_market(codec: Codec, market_id: bytes, authority: bytes) -> Instruction:
    return build(codec, "activate_market", {}, {"authority": authority, "market": codec.market_address(market_id)})


def cancel_market(codec: Codec, market_id: bytes, admin: bytes) -> Instruction:
    return build(codec, "cancel_market", {}, {"admin": admin, "market": codec.market_address(market_id)})


# Trading


def _trade(
    codec: Codec, name: str, args: Mapping[str, object], config: GlobalConfig, market_id: bytes, user: bytes
) -> Instruction:
    market = codec.market_address(market_id)
    accounts = {
        "market": market,
        "position": codec.position_address(market, user),
        "user": user,
        "protocol_fee_wallet": config.protocol_fee_wallet,
    }
    return build(codec, name, args, accounts)


def buy_shares(
    codec: Codec, config: GlobalConfig, market_id: bytes, user: bytes, outcome: bool, target_cost: int
) -> Instruction:
    """``target_cost`` limits all that is charged, fees included; the program finds the share count."""
    args = {"outcome": outcome, "target_cost": target_cost}
    return _trade(codec, "buy_shares", args, config, market_id, user)


def sell_shares(
    codec: Codec, config: GlobalConfig, market_id: bytes, user: bytes, outcome: bool, shares: int, min_proceeds: int
) -> Instruction:
    """``min_proceeds`` is net of fees."""
    args = {"outcome": outcome, "shares_to_sell": shares, "min_proceeds": min_proceeds}
    return _trade(codec, "sell_shares", args, config, market_id, user)


# Resolution


def resolve_market(codec: Codec, market_id: bytes, resolver: bytes, outcome: bool, evidence_hash: bytes) -> Instruction:
    args = {"proposed_outcome": outcome, "ipfs_evidence_hash": _exactly(HASH_BYTES, evidence_hash)}
    return build(codec, "resolve_market", args, {"market": codec.market_address(market_id), "resolver": resolver})


def initiate_dispute(codec: Codec, market_id: bytes, initiator: bytes) -> Instruction:
    return build(codec, "initiate_dispute", {}, {"market": codec.market_address(market_id), "initiator": initiator})


def submit_dispute_vote(codec: Codec, market_id: bytes, user: bytes, vote: bool) -> Instruction:
    """``vote`` True says: the proposed outcome is wrong."""
    return _vote(codec, "submit_dispute_vote", VoteType.DISPUTE, market_id, user, vote)


def aggregate_dispute_votes(
    codec: Codec, market_id: bytes, backend_authority: bytes, agrees: int, disagrees: int
) -> Instruction:
    """Not for normal operation: it leaves markets in states nobody can repair. Settle with :func:`finalize_market`."""
    accounts = {"market": codec.market_address(market_id), "backend_authority": backend_authority}
    args = {"final_agrees": agrees, "final_disagrees": disagrees}
    return build(codec, "aggregate_dispute_votes", args, accounts)


def finalize_market(
    codec: Codec,
    market_id: bytes,
    backend_authority: bytes,
    dispute_agree: int | None = None,
    dispute_disagree: int | None = None,
) -> Instruction:
    """The counts are needed for a disputed market and ignored otherwise."""
    accounts = {"market": codec.market_address(market_id), "backend_authority": backend_authority}
    args = {"dispute_agree": dispute_agree, "dispute_disagree": dispute_disagree}
    return build(codec, "finalize_market", args, accounts)


# Payouts


def claim_winnings(codec: Codec, market_id: bytes, user: bytes, resolver: bytes) -> Instruction:
    """``resolver`` is the market account's, paid on the way; an all-zero key is passed like any other."""
    market = codec.market_address(market_id)
    accounts = {
        "market": market,
        "position": codec.position_address(market, user),
        "user": user,
        "resolver": resolver,
    }
    return build(codec, "claim_winnings", {}, accounts)


def withdraw_liquidity(codec: Codec, market_id: bytes, creator: bytes) -> Instruction:
    return build(codec, "withdraw_liquidity", {}, {"market": codec.market_address(market_id), "creator": creator})
