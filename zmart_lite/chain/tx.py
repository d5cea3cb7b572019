"""Transactions on their way to the chain: built, simulated, signed, sent until they land or can no longer.

A transaction is signed once. The same bytes are sent again until they are seen at the commitment asked for, or until
the finalised block height has passed the last at which they are valid and no node knows them: only then may the caller
sign anew.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction, VersionedTransaction

from zmart_lite.chain.instructions import (
    COMPUTE_UNITS_MAX,
    NamedAccount,
    accounts_of,
    message_with_budget,
    writable_accounts,
)
from zmart_lite.chain.program_errors import ALREADY_PROCESSED, BLOCKHASH_NOT_FOUND
from zmart_lite.chain.rpc import Rpc, SignatureStatus, Simulation
from zmart_lite.codec import PUBKEY_BYTES, Codec
from zmart_lite.errors import (
    ChainError,
    RpcRefused,
    RpcUnavailable,
    SimulationFailed,
    TransactionExpired,
    TransactionFailed,
    Unavailable,
    UndecodableData,
    ZmartError,
)
from zmart_lite.models import Commitment

BASE_FEE_LAMPORTS = 5_000
"""Per signature."""
MICRO_LAMPORTS = 1_000_000
UNIT_MARGIN_PERCENT = 20
UNIT_MARGIN_MIN = 1_000
"""What a run may take beyond its simulation: other bumps, another path through the market maker's search."""
FEE_PERCENTILE = 75
RESEND_INTERVAL_S = 2.0
POLL_FIRST_S = 0.1
POLL_MAX_S = 2.0
SEND_DEADLINE_S = 180.0
"""Twice the life of a blockhash: beyond it the cluster cannot be reached, or has stopped."""

OnStatus = Callable[[SignatureStatus], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class FeePolicy:
    """The price per compute unit in micro-lamports.

    ``fixed`` if given, else what lately landed, within floor and cap.
    """

    fixed: int | None = None
    floor: int = 0
    cap: int = 1_000_000


class Budget(NamedTuple):
    """What a transaction asks for: compute units, and micro-lamports for each."""

    unit_limit: int
    unit_price: int

    def fee_lamports(self, signatures: int) -> int:
        """The whole fee; it follows the requested limit, not the use (rounded up, as the runtime does)."""
        return BASE_FEE_LAMPORTS * signatures + -(-self.unit_limit * self.unit_price // MICRO_LAMPORTS)


class Planned(NamedTuple):
    """A message ready to be signed, with the run that fixed its limit."""

    message: Message
    budget: Budget
    blockhash: bytes
    last_valid_block_height: int
    simulation: Simulation


class Signed(NamedTuple):
    """A signed transaction: what an intent keeps before it is sent."""

    signature: bytes
    raw: bytes
    blockhash: bytes
    last_valid_block_height: int
    budget: Budget


class Landed(NamedTuple):
    """A transaction that succeeded on chain."""

    signature: bytes
    slot: int
    commitment: Commitment


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A transaction for a wallet to sign: legacy format, 64 zero bytes for each signature. Fee in lamports."""

    transaction: bytes
    fee_payer: bytes
    signers: tuple[bytes, ...]
    instruction: str
    program_id: bytes
    accounts: tuple[NamedAccount, ...]
    blockhash: bytes
    last_valid_block_height: int
    compute_unit_limit: int
    compute_unit_price: int
    estimated_fee: int
    cluster: str
    simulation: Simulation

    def as_json(self) -> dict[str, Any]:
        """As the HTTP contract writes it."""
        return {
            "transaction": base64.b64encode(self.transaction).decode(),
            "encoding": "base64",
            "fee_payer": _text(self.fee_payer),
            "signers": [_text(signer) for signer in self.signers],
            "instruction": self.instruction,
            "program_id": _text(self.program_id),
            "accounts": [
                {"name": each.name, "address": _text(each.address), "signer": each.signer, "writable": each.writable}
                for each in self.accounts
            ],
            "blockhash": str(Hash.from_bytes(self.blockhash)),
            "last_valid_block_height": self.last_valid_block_height,
            "compute_unit_limit": self.compute_unit_limit,
            "compute_unit_price": self.compute_unit_price,
            "estimated_fee": str(self.estimated_fee),
            "cluster": self.cluster,
            "simulation": {
                "ok": self.simulation.err is None,
                "units": self.simulation.units,
                "logs": list(self.simulation.logs),
            },
        }


def _text(key: bytes) -> str:
    return str(Pubkey.from_bytes(key))


# Building


async def plan(
    rpc: Rpc,
    instruction: Instruction,
    payer: bytes,
    fees: FeePolicy,
    commitment: Commitment = Commitment.CONFIRMED,
) -> Planned:
    """Simulate, price and build ``instruction`` alone; preflight must use the same ``commitment``.

    Raises SimulationFailed with error, logs and units when the run fails, and what the RPC raises.
    """
    trial = message_with_budget(instruction, payer, COMPUTE_UNITS_MAX, 0, bytes(32))
    blockhash, price, run = await _together(
        rpc.get_latest_blockhash(commitment),
        unit_price(rpc, writable_accounts([instruction]), fees),
        rpc.simulate_transaction(bytes(Transaction.new_unsigned(trial)), replace_blockhash=True, commitment=commitment),
    )
    if run.err is not None:
        raise SimulationFailed("The simulated transaction failed.", run.err, run.logs, run.units)
    budget = Budget(unit_limit(run.units), price)
    message = message_with_budget(instruction, payer, *budget, blockhash.blockhash)
    return Planned(message, budget, blockhash.blockhash, blockhash.last_valid_block_height, run)


async def build_unsigned(
    rpc: Rpc,
    codec: Codec,
    instruction: Instruction,
    payer: bytes,
    *,
    cluster: str,
    fees: FeePolicy | None = None,
    commitment: Commitment = Commitment.CONFIRMED,
) -> Unsigned:
    """``instruction`` as a transaction that ``payer``'s wallet can sign; raises as :func:`plan`."""
    planned = await plan(rpc, instruction, payer, fees or FeePolicy(), commitment)
    message = planned.message
    signers = tuple(bytes(key) for key in message.account_keys[: message.header.num_required_signatures])
    return Unsigned(
        transaction=bytes(Transaction.new_unsigned(message)),
        fee_payer=payer,
        signers=signers,
        instruction=codec.instruction_by_discriminator(bytes(instruction.data)) or "",
        program_id=bytes(instruction.program_id),
        accounts=accounts_of(codec, instruction),
        blockhash=planned.blockhash,
        last_valid_block_height=planned.last_valid_block_height,
        compute_unit_limit=planned.budget.unit_limit,
        compute_unit_price=planned.budget.unit_price,
        estimated_fee=planned.budget.fee_lamports(len(signers)),
        cluster=cluster,
        simulation=planned.simulation,
    )


def sign(planned: Planned, signers: Sequence[Keypair]) -> Signed:
    """Raises ValueError when a required signer is missing or a superfluous one is given."""
    required = planned.message.account_keys[: planned.message.header.num_required_signatures]
    if {key.pubkey() for key in signers} != set(required):
        raise ValueError(f"the message wants the signatures of {', '.join(map(str, required))}")
    transaction = Transaction(list(signers), planned.message, Hash.from_bytes(planned.blockhash))
    return Signed(
        bytes(transaction.signatures[0]),
        bytes(transaction),
        planned.blockhash,
        planned.last_valid_block_height,
        planned.budget,
    )


async def unit_price(rpc: Rpc, writable: Sequence[bytes], fees: FeePolicy) -> int:
    """Micro-lamports per compute unit that compete for ``writable`` accounts, within the policy's floor and cap."""
    if fees.fixed is not None:
        return min(fees.fixed, fees.cap)
    try:
        landed = sorted(await rpc.get_recent_prioritization_fees(writable))
    except RpcRefused:
        landed = []  # a node without this method must not keep anything from being sent
    likely = landed[(len(landed) - 1) * FEE_PERCENTILE // 100] if landed else 0
    return min(max(likely, fees.floor), fees.cap)


def unit_limit(used: int) -> int:
    """The compute units to ask for when a simulation took ``used``."""
    return min(used + max(used * UNIT_MARGIN_PERCENT // 100, UNIT_MARGIN_MIN), COMPUTE_UNITS_MAX)


async def _together(*work: Coroutine[Any, Any, Any]) -> tuple[Any, ...]:
    """Results of coroutines run side by side; the first failure cancels the others and is raised as itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return tuple(task.result() for task in tasks)


# Sending


async def send_and_confirm(
    rpc: Rpc,
    raw: bytes,
    last_valid_block_height: int,
    commitment: Commitment = Commitment.CONFIRMED,
    on_status: OnStatus | None = None,
    *,
    preflight_commitment: Commitment = Commitment.CONFIRMED,
    already_sent: bool = False,
) -> Landed:
    """Send the signed bytes, again every two seconds, until they are seen at ``commitment`` or can no longer land.

    ``already_sent`` says that they may have been sent before (a resumed intent, a repeated request); preflight is then
    left out, because its verdict would say nothing about them. ``on_status`` is awaited whenever slot, commitment or
    error of the status change. Raises SimulationFailed (never broadcast), TransactionFailed (landed and failed),
    TransactionExpired (can never land; sign anew), RpcRefused, Unavailable (a breaker before the first
    attempt), or after three minutes without a decision the latest RpcUnavailable or Unavailable: the same bytes then
    have to be taken up again later.
    """
    delivery = _Delivery(rpc, raw, last_valid_block_height, commitment, on_status, preflight_commitment)
    delivery.broadcast = already_sent
    deadline, resend_at, pause = rpc.monotonic() + SEND_DEADLINE_S, rpc.monotonic(), POLL_FIRST_S
    failure: ZmartError = RpcUnavailable("The cluster neither confirmed nor expired the transaction in time.")
    while rpc.monotonic() < deadline:
        try:
            if rpc.monotonic() >= resend_at:
                await delivery.send()
                resend_at = rpc.monotonic() + RESEND_INTERVAL_S
            landed = await delivery.look()
        except RpcUnavailable as error:
            failure = error  # what was sent may land all the same: keep looking for as long as it can
        except Unavailable as error:  # a breaker
            if not delivery.may_have_landed:
                raise
            failure = error
        else:
            if landed is not None:
                return landed
        await rpc.sleep(pause)
        pause = min(pause * 2, POLL_MAX_S)
    raise failure


class _Delivery:
    """One transaction being delivered; ``broadcast`` tells whether a node has taken it."""

    def __init__(
        self,
        rpc: Rpc,
        raw: bytes,
        last_valid_block_height: int,
        commitment: Commitment,
        on_status: OnStatus | None,
        preflight_commitment: Commitment,
    ) -> None:
        self.broadcast = False
        self._uncertain = False
        self._rpc = rpc
        self._raw = raw
        self._signature = signature_of(raw)
        self._last_valid_block_height = last_valid_block_height
        self._commitment = commitment
        self._on_status = on_status
        self._preflight_commitment = preflight_commitment
        self._seen: SignatureStatus | None = None

    async def send(self) -> None:
        """One attempt, so that a refusal by preflight is never that of bytes which an earlier attempt got through."""
        if self._seen is not None and self._seen.commitment >= Commitment.CONFIRMED:
            return
        try:
            await self._rpc.send_transaction(
                self._raw,
                skip_preflight=self.broadcast,
                preflight_commitment=self._preflight_commitment,
                attempts_max=1,
            )
        except RpcUnavailable:
            self._uncertain = True
            raise
        except SimulationFailed as refusal:
            # An unknown blockhash: the node lags behind the one that gave it, or it expired. The height will tell.
            if refusal.err not in (ALREADY_PROCESSED, BLOCKHASH_NOT_FOUND) and not self.may_have_landed:
                raise
        except RpcRefused:
            if not self.may_have_landed:
                raise
        else:
            self.broadcast = True

    @property
    def may_have_landed(self) -> bool:
        return self.broadcast or self._uncertain

    async def look(self) -> Landed | None:
        """Where the transaction stands; None while undecided. Raises TransactionFailed or TransactionExpired."""
        status = await self._status()
        if status is None:
            self._seen = None
            return await self._look_for_expiry()
        return await self._judge(status)

    async def _look_for_expiry(self) -> Landed | None:
        # Finalised, because a block that is only confirmed and holds the transaction could still come up in a fork.
        if await self._rpc.get_block_height(Commitment.FINALIZED) <= self._last_valid_block_height:
            return None
        status = await self._status(search_history=True)
        if status is None:
            raise TransactionExpired()
        return await self._judge(status)

    async def _judge(self, status: SignatureStatus) -> Landed | None:
        if status != self._seen and self._on_status is not None:
            await self._on_status(status)
        self._seen = status
        if status.commitment < self._commitment:
            return None
        if status.err is not None:
            logs = await self._logs()
            raise TransactionFailed("The transaction landed and failed.", status.err, logs, status.slot)
        return Landed(self._signature, status.slot, status.commitment)

    async def _status(self, search_history: bool = False) -> SignatureStatus | None:
        return (await self._rpc.get_signature_statuses([self._signature], search_history))[0]

    async def _logs(self) -> tuple[str, ...]:
        """The failed run's log lines, where the node has them already: they only explain, so nothing waits for them."""
        try:
            found = await self._rpc.get_transaction(self._signature, bytes(PUBKEY_BYTES))
        except (ChainError, UndecodableData):
            return ()
        return () if found is None else found.logs or ()


async def valid_until(rpc: Rpc, blockhash: bytes, commitment: Commitment = Commitment.CONFIRMED) -> int | None:
    """A block height after which a transaction naming ``blockhash`` cannot land; None when it no longer can already.

    The cluster does not tell the height of a given blockhash, so this is that of the latest one, which is never lower.
    """
    if not await rpc.is_blockhash_valid(blockhash, commitment):
        return None
    return (await rpc.get_latest_blockhash(commitment)).last_valid_block_height


def signature_of(raw: bytes) -> bytes:
    """The signature that identifies a serialised transaction. Raises ValueError."""
    return bytes(VersionedTransaction.from_bytes(raw).signatures[0])
