"""What requests ask of the chain: accounts as of one slot, and unsigned transactions, simulated."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from solders.instruction import Instruction

from zmart_lite.api.context import ApiParts
from zmart_lite.api.contract.parsers import integer
from zmart_lite.api.contract.validate import Parser
from zmart_lite.api.routes.quotes import Pool, Priced
from zmart_lite.chain.error_texts import explained
from zmart_lite.chain.program_errors import ProgramFailure, failure_of
from zmart_lite.chain.rpc import AccountInfo
from zmart_lite.chain.tx import FeePolicy, build_unsigned
from zmart_lite.codec import Codec
from zmart_lite.errors import Conflict, ProgramError, SimulationFailed, Unavailable, UndecodableData
from zmart_lite.models import GlobalConfig, MarketAccount, UserPosition
from zmart_lite.rules import BuyQuote, SellQuote

Json = dict[str, Any]
A = TypeVar("A", GlobalConfig, MarketAccount, UserPosition)

UNIT_PRICE_MAX = 1_000_000_000
"""Micro-lamports per compute unit that a caller may ask for: 1.4 SOL for the largest transaction."""

unit_price: Parser = integer(0, UNIT_PRICE_MAX)


class OnChain(NamedTuple):
    """A market and what surrounds it, all of one slot. ``lamports`` is the market account's balance."""

    slot: int
    config: GlobalConfig
    market: MarketAccount
    lamports: int
    position: UserPosition | None

    @property
    def pool(self) -> Pool:
        """What an order meets."""
        return Pool(self.slot, self.market, self.lamports, self.position)


async def read_market(parts: ApiParts, market_id: bytes, user: bytes | None = None) -> OnChain:
    """The market's account, the config's, and ``user``'s position in it, in one question to the cluster.

    Raises RpcUnavailable, and Unavailable where the cluster does not have the market or the config.
    """
    codec = parts.codec
    market = codec.market_address(market_id)
    addresses = [codec.config_address(), market]
    if user is not None:
        addresses.append(codec.position_address(market, user))
    found = await parts.rpc.get_accounts(addresses)
    account, held = found[1], found[2] if user is not None else None
    if account is None:
        raise Unavailable("The cluster does not know this market yet.", reason="rpc_unavailable")
    return OnChain(
        account.slot,
        _decoded(codec, found[0], GlobalConfig),
        _decoded(codec, account, MarketAccount),
        account.lamports,
        None if held is None or held.owner != codec.program_id else _decoded(codec, held, UserPosition),
    )


async def chain_time(parts: ApiParts) -> int:
    """The chain's clock in unix seconds, read now: the node's own reading may be a second old, or a warp of the
    devnet.
    """
    reading = await parts.rpc.get_clock()
    parts.clock.observe(reading.slot, reading.unix_timestamp)
    return reading.unix_timestamp


async def read_config(parts: ApiParts) -> GlobalConfig:
    """The config's account. Raises RpcUnavailable, and Unavailable where the protocol is not initialised."""
    return _decoded(parts.codec, await parts.rpc.get_account(parts.codec.config_address()), GlobalConfig)


def _decoded(codec: Codec, account: AccountInfo | None, kind: type[A]) -> A:
    if account is None:
        raise Unavailable("The protocol is not initialised on this cluster.", reason="not_configured")
    try:
        found = codec.decode_account(account.data)
    except UndecodableData as error:
        raise Unavailable("An account on chain cannot be read.", reason="rpc_unavailable") from error
    if not isinstance(found, kind):
        raise Unavailable("An account on chain is not what it should be.", reason="rpc_unavailable")
    return found


async def build(parts: ApiParts, instruction: Instruction, payer: bytes, unit_price: int | None) -> Json:
    """Unsigned of the contract, simulated. ``unit_price``: micro-lamports, None for what lately landed.

    Raises Conflict ``program_error`` when the simulation fails.
    """
    fees = FeePolicy(fixed=unit_price, cap=UNIT_PRICE_MAX) if unit_price is not None else FeePolicy()
    try:
        built = await build_unsigned(
            parts.rpc, parts.codec, instruction, payer, cluster=parts.config.chain.cluster, fees=fees
        )
    except SimulationFailed as error:
        raise program_conflict(failure_of(error.err, error.logs, parts.codec)) from error
    return built.as_json()


def action_answer(
    action: str, market_id: bytes | None, message: str, transaction: Json, warnings: Sequence[str] = (), **more: object
) -> Json:
    """The answer of every call that builds a transaction (contract 2.4)."""
    return {
        "success": True,
        "message": message,
        "action": action,
        "market_id": None if market_id is None else market_id.hex(),
        "transaction": transaction,
        "warnings": list(warnings),
        **more,
    }


def program_conflict(failure: ProgramFailure, reason: str = "program_error", message: str | None = None) -> Conflict:
    """A failed run as the contract answers it."""
    return Conflict(
        message or f"The transaction would fail: {explained(failure.name)}.",
        reason=reason,
        details={"program_error": failure_json(failure), "logs": list(failure.logs)},
    )


def failure_json(failure: ProgramFailure) -> Json:
    answer: Json = {"name": failure.name, "instruction_index": failure.instruction_index}
    return answer if failure.number is None else answer | {"number": failure.number}


def rule_conflict(refusal: ProgramError, codec: Codec, reason: str = "program_error") -> Conflict:
    """What the rules know the program to refuse, answered as if the simulation had said so."""
    details: Mapping[str, object] = {
        "program_error": {"name": refusal.name, "number": codec.error_code(refusal.name), "instruction_index": None},
        "logs": [],
    }
    return Conflict(f"The program would refuse this: {explained(refusal.name)}.", reason=reason, details=details)


def require_executable(priced: Priced, codec: Codec) -> BuyQuote | SellQuote:
    """The quote. Raises Conflict with the reason that fits the program's."""
    if priced.found is not None:
        return priced.found
    assert priced.refusal is not None  # noqa: S101 - one of the two is there; for the type checker
    if priced.refusal.name == "ProtocolPaused":
        raise rule_conflict(priced.refusal, codec, "protocol_paused")
    if priced.refusal.name == "InvalidMarketState":
        raise rule_conflict(priced.refusal, codec, "wrong_state")
    raise rule_conflict(priced.refusal, codec)
