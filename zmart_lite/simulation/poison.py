"""What no sane program writes: a program that was upgraded behind the node's back, values at the edge of their types,
hostile bytes; and a version of the node that knows less than its chain.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, get_args

import msgspec
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from zmart_lite import models
from zmart_lite.codec import Codec
from zmart_lite.errors import UndecodableData
from zmart_lite.localnet.runtime import Invocation
from zmart_lite.models import ChainAccount, ChainEvent, GlobalConfig, MarketAccount, MarketState, UserPosition

U16_MAX, U32_MAX, U64_MAX, I64_MAX = 2**16 - 1, 2**32 - 1, 2**64 - 1, 2**63 - 1
DISCRIMINATOR = b"poisoned"
"""Of an instruction that is in no IDL."""
HOSTILE_HASHES = (
    bytes(46),
    b"\xff" * 46,
    b"<script>alert(document.domain)</script>".ljust(46, b"\0"),
    b"'; DROP TABLE markets; --\n\r\t\x00\x1b[31m".ljust(46, b"%"),
    "\u202e\u0645\u200b\U0001d54f\ufeff".encode().ljust(46, b"\xc3"),
)
EDGE_B = (1, U64_MAX)
KINDS_OF_EVENTS = tuple(kind for kind in get_args(ChainEvent) if {"market_id", "market"} & set(kind._fields))
"""Those that concern a market."""
KINDS_OF_CONFIG_EVENTS = tuple(kind for kind in get_args(ChainEvent) if kind not in KINDS_OF_EVENTS)
LEGACY_CLAIM = {"market_id": "pubkey", "user": "pubkey", "amount": "u64", "resolver_fee": "u64", "timestamp": "i64"}
GARBAGE = ("unknown_event", "longer_event", "shorter_event", "empty_event")
NEWER: dict[type[Any], str] = {
    models.ProposalApproved: "unknown_layout",
    models.ProposalAggregated: "longer_layout",
    models.MarketActivated: "shorter_layout",
}
"""Events of which an older version of the node cannot make anything, and what it makes of them."""
NEWER_MARKET = 0
"""The first byte of the ids of markets that came with the newer program."""


class _Poison(msgspec.Struct, array_like=True):
    payloads: list[bytes]
    accounts: list[bytes]
    """The new contents of the instruction's writable accounts, in their order."""


class UpgradedProgram:
    """zmart-core with one more instruction, which emits and writes whatever its data says."""

    def __init__(self, program: Any) -> None:
        self._program = program

    def process(self, invocation: Invocation) -> None:
        if not invocation.data.startswith(DISCRIMINATOR):
            self._program.process(invocation)
            return
        asked = msgspec.msgpack.decode(invocation.data[len(DISCRIMINATOR) :], type=_Poison)
        invocation.log("Instruction: Poison")
        for payload in asked.payloads:
            invocation.log_data(payload)
        writable = [ref for ref in invocation.accounts if ref.is_writable]
        for ref, data in zip(writable, asked.accounts, strict=True):
            ref.account.data = data


def poison(program_id: bytes, payloads: Sequence[bytes], accounts: Sequence[tuple[bytes, bytes]]) -> Instruction:
    """A call of the new instruction. ``accounts``: addresses and what they hold after it."""
    data = DISCRIMINATOR + msgspec.msgpack.encode(_Poison(list(payloads), [data for _, data in accounts]))
    metas = [AccountMeta(Pubkey(address), False, True) for address, _ in accounts]
    return Instruction(Pubkey(program_id), data, metas)


# Values at the edge


def edge_event(codec: Codec, kind: type[Any], edge: str, named: Mapping[str, Any]) -> ChainEvent:
    """An event with the ``largest`` or the ``least`` value in every field but those that are ``named``."""
    event: ChainEvent = kind(
        *(named.get(name) or _at_edge(idl_type, edge) for name, idl_type in _fields(codec, kind).items())
    )
    return event


def _fields(codec: Codec, kind: type[Any]) -> dict[str, Any]:
    if kind is models.WinningsClaimedLegacy:
        return LEGACY_CLAIM
    (fields,) = (each["type"]["fields"] for each in codec.idl["types"] if each["name"] == kind.__name__)
    return {each["name"]: each["type"] for each in fields}


def _at_edge(idl_type: Any, edge: str) -> Any:
    return _largest(idl_type) if edge == "largest" else _least(idl_type)


def _largest(idl_type: Any) -> Any:
    if isinstance(idl_type, dict):
        return _largest(idl_type["option"]) if "option" in idl_type else b"\xff" * idl_type["array"][1]
    bits = {"u8": 8, "u16": 16, "u32": 32, "u64": 64, "i64": 63}
    return 2 ** bits[idl_type] - 1 if idl_type in bits else {"bool": True, "pubkey": b"\xff" * 32}[idl_type]


def _least(idl_type: Any) -> Any:
    if isinstance(idl_type, dict):
        return None if "option" in idl_type else bytes(idl_type["array"][1])
    return {"bool": False, "pubkey": bytes(32), "i64": -(2**63)}.get(idl_type, 0)


def _each(names: Sequence[str], value: int) -> dict[str, Any]:
    return dict.fromkeys(names, value)


def extreme_config(config: GlobalConfig) -> GlobalConfig:
    """The config with the largest value in every field."""
    return config._replace(
        admin=b"\xff" * 32,
        backend_authority=b"\xff" * 32,
        protocol_fee_wallet=b"\xff" * 32,
        **_each(
            (
                *("protocol_fee_bps", "resolver_reward_bps", "liquidity_provider_fee_bps"),
                *("proposal_approval_threshold", "dispute_success_threshold", "min_resolver_reputation"),
            ),
            U16_MAX,
        ),
        min_resolution_delay=I64_MAX,
        dispute_period=I64_MAX,
        is_paused=True,
    )


def extreme_market(market: MarketAccount) -> MarketAccount:
    """The market with the largest value wherever the program keeps one that the others do not determine."""
    return market._replace(
        state=MarketState.ACTIVE,
        **_each(
            (
                *("b_parameter", "initial_liquidity", "current_liquidity", "shares_yes", "shares_no", "total_volume"),
                *("accumulated_resolver_fees", "accumulated_lp_fees"),
            ),
            U64_MAX,
        ),
        **_each(
            (
                *("created_at", "approved_at", "activated_at", "resolution_proposed_at", "resolved_at"),
                *("finalized_at", "dispute_initiated_at", "cancelled_at"),
            ),
            I64_MAX,
        ),
        **_each(("proposal_likes", "proposal_total_votes", "dispute_agree", "dispute_total_votes"), U32_MAX),
        ipfs_evidence_hash=b"\xff" * 46,
        resolver=b"\xff" * 32,
        dispute_initiator=b"\xff" * 32,
        proposed_outcome=True,
        final_outcome=False,
        was_disputed=True,
    )


def extreme_position(position: UserPosition) -> UserPosition:
    return position._replace(
        shares_yes=U64_MAX,
        shares_no=U64_MAX,
        total_invested=U64_MAX,
        trades_count=U32_MAX,
        last_trade_at=I64_MAX,
        has_claimed=True,
        claimed_amount=U64_MAX,
    )


def spoiled(kind: str, whole: bytes, random: Random) -> bytes:
    """The bytes of an event as a program with another layout writes them."""
    match kind:
        case "unknown_event":
            return random.randbytes(8) + whole[8:]
        case "longer_event":
            return whole + random.randbytes(random.randint(1, 9))
        case "shorter_event":
            return whole[: random.randint(8, len(whole) - 1)]
        case "empty_event":
            return b""
    return whole


# An older version of the node


class OlderCodec(Codec):
    """Knows the layouts of before the program's upgrade: of newer markets some events and all positions are strange."""

    def decode_event(self, data: bytes) -> ChainEvent:
        event = super().decode_event(data)
        what = NEWER.get(type(event))
        if what is None or getattr(event, "market_id", b"\xff")[0] != NEWER_MARKET:
            return event
        raise UndecodableData(f"{what}: {type(event).__name__}")

    def decode_account(self, data: bytes) -> ChainAccount:
        account = super().decode_account(data)
        if isinstance(account, MarketAccount) and account.market_id[0] == NEWER_MARKET and account.market_id[1] % 2:
            raise UndecodableData("account_layout: MarketAccount")
        return account
