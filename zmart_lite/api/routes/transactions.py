"""Relaying signed transactions: checked, simulated, sent until they land or expire, indexed (contract section 2.6)."""

import asyncio
import base64
import binascii
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from zmart_lite.api.contract.endpoints import Endpoint, Reply, Scoped
from zmart_lite.api.contract.parsers import word
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import Parser, field
from zmart_lite.api.openapi import action_examples
from zmart_lite.api.routes import onchain
from zmart_lite.api.routes.onchain import Json
from zmart_lite.chain.error_texts import explained
from zmart_lite.chain.program_errors import ALREADY_PROCESSED, BLOCKHASH_NOT_FOUND, failure_in, failure_of
from zmart_lite.chain.relay import TRANSACTION_BYTES_MAX, CheckedTransaction, check_relayed
from zmart_lite.chain.rpc import SignatureStatus
from zmart_lite.chain.transactions import base58_bytes, signature_of
from zmart_lite.chain.tx import Landed, send_and_confirm
from zmart_lite.errors import (
    ChainError,
    Conflict,
    NotFound,
    RequestError,
    SimulationFailed,
    TransactionExpired,
    TransactionFailed,
    Unavailable,
    UndecodableData,
    ValidationFailed,
    ZmartError,
)
from zmart_lite.models import Commitment
from zmart_lite.shown import optional_time, signature_text
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.state import relays
from zmart_lite.store.views import lists
from zmart_lite.store.views.rows import FINALITY_NAMES

CONFIRM_S = 30.0
"""How long a request waits for its transaction; the delivery goes on without it."""
DELIVERIES_MAX = 1_000
"""Transactions on their way at once; each lives for three minutes at most."""
TEXT_CHARS_MAX = 4_096
EXPLORER = "https://explorer.solana.com/tx/{signature}{query}"
EXPLORER_QUERY = {"mainnet": "", "devnet": "?cluster=devnet", "testnet": "?cluster=testnet"}
FINALITY_POLL_S = 0.5
COMMITMENTS = {"confirmed": Commitment.CONFIRMED, "finalized": Commitment.FINALIZED}

Delivery: TypeAlias = "asyncio.Task[Landed | ZmartError]"


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isascii():
        raise ValueError("must be a transaction as text")
    if len(value) > TEXT_CHARS_MAX:
        raise ValueError(f"is longer than any transaction of {TRANSACTION_BYTES_MAX} bytes")
    return value


transaction_text = Parser(_text, {"type": "string", "maxLength": TEXT_CHARS_MAX})


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayFields:
    transaction: str = field(
        transaction_text,
        aliases=("signed_transaction", "signedTransaction", "tx"),
        help="The signed transaction, whole.",
        example="AQAAAAAAAAAAAAAAAAAAAAAA",
    )
    encoding: str = field(word("base64", "base58"), "base64")
    wait: str = field(word("confirmed", "finalized", "none"), "confirmed", help="What to wait for, at most 30 s.")

    def bytes(self) -> bytes:
        """Raises ValidationFailed for a text that is not in this encoding."""
        try:
            if self.encoding == "base58":
                return base58_bytes(self.transaction)
            return base64.b64decode(self.transaction, validate=True)
        except (binascii.Error, ValueError, UndecodableData) as error:
            raise ValidationFailed([("transaction", f"is not {self.encoding}")]) from error


# Relaying


async def relay(request: Request, fields: RelayFields) -> Reply:
    """Pass a signed transaction on, or tell how it went if it was passed on before."""
    deadline = request.parts.rpc.monotonic() + CONFIRM_S
    checked = check_relayed(fields.bytes(), request.parts.codec)
    if fields.wait == "none" and (known := await _landed_before(request, checked)) is not None:
        return await _landed(request, checked, known)
    delivery = request.shared.deliveries.get(checked.signature) or await _deliver(request, checked)
    if fields.wait != "none":
        # A request that gives up leaves the delivery going.
        await asyncio.wait([delivery], timeout=CONFIRM_S)
    if fields.wait == "none" or not delivery.done():
        return await _sent(request, checked.signature)
    if delivery.cancelled():
        raise Unavailable("The node is stopping; ask again.", reason="shutting_down")
    landed = delivery.result()
    if isinstance(landed, ZmartError):
        raise _refusal(request, checked.signature, landed)
    if fields.wait == "finalized":
        landed = await _finalized(request, landed, deadline)
    return await _landed(request, checked, landed)


async def _landed_before(request: Request, checked: CheckedTransaction) -> Landed | None:
    """Where a transaction stands that was passed on or indexed before; None while that is not known or not over.

    Raises Conflict for one that failed, or whose blockhash has expired.
    """
    signature = checked.signature
    stored = await request.read(lambda tx: _stored(tx, request, signature))
    if stored.row is None and stored.relay is None:
        return None
    try:
        standing = await _standing(request, signature, stored)
    except (ChainError, Unavailable):
        return None
    if standing.status == "expired":
        raise _expired()
    if standing.status == "failed":
        failed = TransactionFailed("The transaction failed.", standing.err, slot=standing.slot)
        raise _refusal(request, signature, failed)
    if standing.status not in COMMITMENTS or standing.slot is None:
        return None
    return Landed(signature, standing.slot, COMMITMENTS[standing.status])


async def _deliver(request: Request, checked: CheckedTransaction) -> Delivery:
    """Start sending, once for all requests with the same bytes. Raises Conflict for a transaction that must fail."""
    if len(request.shared.deliveries) >= DELIVERIES_MAX:
        raise Unavailable("Too many transactions are on their way.", reason="rpc_unavailable")
    known = await request.parts.store.read(lambda tx: relays.find_relay(tx, checked.signature))
    if known is None:
        last_valid, already_sent = await _admit(request, checked)
    else:
        last_valid, already_sent = known["last_valid_block_height"], True
    found = request.shared.deliveries.get(checked.signature)
    if found is not None:  # another request with the same bytes came first while this one asked the cluster
        return found
    work = _send(request, checked, last_valid, already_sent)
    delivery = request.shared.deliveries[checked.signature] = request.parts.background.start(work, name="relay")
    delivery.add_done_callback(lambda _: request.shared.deliveries.pop(checked.signature, None))
    return delivery


async def _send(
    request: Request, checked: CheckedTransaction, last_valid: int, already_sent: bool
) -> Landed | ZmartError:
    """The delivery of one transaction; its failure is a result, for whoever waits."""
    try:
        return await send_and_confirm(request.parts.rpc, checked.raw, last_valid, already_sent=already_sent)
    except SimulationFailed as error:
        # No node took it, so there is nothing to resume.
        await request.parts.store.write(lambda tx: relays.forget_relay(tx, checked.signature))
        return error
    except (ChainError, RequestError) as error:
        return error


async def _admit(request: Request, checked: CheckedTransaction) -> tuple[int, bool]:
    """Simulate a new transaction and note it: the last block height at which it can land, and whether it has been sent.

    Raises Conflict ``simulation_failed`` or ``blockhash_expired``.
    """
    rpc, codec = request.parts.rpc, request.parts.codec
    run = await rpc.simulate_transaction(checked.raw, sig_verify=True)
    if run.err not in (None, ALREADY_PROCESSED, BLOCKHASH_NOT_FOUND):
        raise onchain.program_conflict(failure_of(run.err, run.logs, codec), "simulation_failed")
    # A blockhash tells nothing of its age, but none that is valid now outlives the newest one.
    last_valid, already_sent = (await rpc.get_latest_blockhash()).last_valid_block_height, False
    if run.err == BLOCKHASH_NOT_FOUND and not await rpc.is_blockhash_valid(checked.blockhash):
        # Too old to be sent: somebody else may have sent it in time.
        if (await rpc.get_signature_statuses([checked.signature], search_history=True))[0] is None:
            raise _expired()
        last_valid, already_sent = 0, True
    await request.parts.store.write(lambda tx: relays.add_relay(tx, checked.signature, last_valid))
    return last_valid, already_sent


def _expired() -> Conflict:
    return Conflict("The transaction's blockhash has expired; ask for a new one.", reason="blockhash_expired")


def _refusal(request: Request, signature: bytes, error: ZmartError) -> ZmartError:
    """How a delivery that ended badly is answered."""
    if isinstance(error, TransactionExpired):
        return _expired()
    if isinstance(error, SimulationFailed):
        return onchain.program_conflict(failure_in(error, request.parts.codec), "simulation_failed")
    if isinstance(error, TransactionFailed):
        failure = failure_in(error, request.parts.codec)
        conflict = onchain.program_conflict(
            failure, "transaction_failed", f"The transaction failed: {explained(failure.name)}."
        )
        conflict.details |= {"signature": signature_text(signature), "slot": error.slot}
        return conflict
    return error


async def _finalized(request: Request, landed: Landed, deadline: float) -> Landed:
    """Look until the transaction is final, as long as there is time; then it is answered as it stands."""
    rpc = request.parts.rpc
    while landed.commitment < Commitment.FINALIZED and rpc.monotonic() < deadline:
        await rpc.sleep(FINALITY_POLL_S)
        status = (await rpc.get_signature_statuses([landed.signature]))[0]
        if status is not None:
            landed = landed._replace(slot=status.slot, commitment=status.commitment)
    return landed


async def _sent(request: Request, signature: bytes) -> Reply:
    known = await request.read(lambda tx: relays.find_relay(tx, signature))
    answer = {
        "success": True,
        "signature": signature_text(signature),
        "status": "sent",
        "last_valid_block_height": None if known is None else known["last_valid_block_height"],
        "explorer": _explorer(request, signature),
    }
    return Reply(answer, 202)


async def _landed(request: Request, checked: CheckedTransaction, landed: Landed) -> Reply:
    indexed = await _index(request, checked.signature)
    stored = await request.read(lambda tx: _stored(tx, request, checked.signature))
    market = next((call.accounts["market"] for call in checked.calls if "market" in call.accounts), None)
    market_id = stored.market_id
    if market_id is None and market is not None:
        market_id = await request.read(lambda tx: _market_id_of(tx, market))
    answer = {
        "success": True,
        "signature": signature_text(checked.signature),
        "status": landed.commitment.name.lower(),
        "slot": landed.slot,
        "block_time": stored.block_time,
        "err": None,
        "indexed": indexed,
        "market_id": market_id,
        "events": stored.events,
        "explorer": _explorer(request, checked.signature),
    }
    return Reply(answer)


async def _index(request: Request, signature: bytes) -> bool:
    """Have the transaction folded now. If the cluster cannot be asked, the webhook or the poller will bring it."""
    try:
        return await request.parts.indexer.index_signature(signature)
    except (ChainError, RequestError):
        return False


def _market_id_of(tx: Tx, address: bytes) -> str | None:
    found = tx.value("SELECT market_id FROM markets WHERE address = ?", (address,))
    return None if found is None else found.hex()


def _explorer(request: Request, signature: bytes) -> str | None:
    query = EXPLORER_QUERY.get(request.parts.config.chain.cluster)
    return None if query is None else EXPLORER.format(signature=signature_text(signature), query=query)


# Looking up


class Stored(NamedTuple):
    """What the database knows of a transaction."""

    row: Row | None
    relay: Row | None
    events: list[Json]

    @property
    def market_id(self) -> str | None:
        return next((event["market_id"] for event in self.events if event["market_id"] is not None), None)

    @property
    def block_time(self) -> str | None:
        return None if self.row is None else optional_time(self.row["block_time"])


def _stored(tx: Tx, request: Request, signature: bytes) -> Stored:
    return Stored(
        chainlog.find_transaction(tx, signature),
        relays.find_relay(tx, signature),
        lists.list_transaction_events(tx, signature, request.shared.rows),
    )


class Standing(NamedTuple):
    """Where a transaction stands. ``err`` is the cluster's, None for success or where it is not known."""

    status: str
    slot: int | None
    err: Any = None


async def show(request: Request, _: object) -> object:
    """Where a transaction stands now. Raises NotFound if neither node nor cluster knows it."""
    try:
        signature = signature_of(request.params["signature"])
    except UndecodableData as error:
        raise NotFound("There is no such transaction.") from error
    stored = await request.read(lambda tx: _stored(tx, request, signature))
    standing = await _standing(request, signature, stored)
    answer = {
        "signature": signature_text(signature),
        "status": standing.status,
        "slot": standing.slot,
        "block_time": stored.block_time,
        "err": standing.err,
        "program_error": None,
        "indexed": stored.row is not None,
        "market_id": stored.market_id,
        "events": stored.events,
        "explorer": _explorer(request, signature),
    }
    if standing.status == "failed" and standing.err is not None:
        answer["program_error"] = await _program_error(request, signature, standing.err)
    return answer


async def _standing(request: Request, signature: bytes, stored: Stored) -> Standing:
    try:
        status = (await request.parts.rpc.get_signature_statuses([signature], search_history=True))[0]
    except (ChainError, Unavailable):
        if stored.row is None:
            raise
        return _stored_standing(stored.row)
    if status is not None:
        return _chain_standing(status)
    if stored.row is not None:
        return _stored_standing(stored.row)
    if stored.relay is None:
        raise NotFound("There is no such transaction.")
    height = await request.parts.rpc.get_block_height(Commitment.FINALIZED)
    return Standing("expired" if height > stored.relay["last_valid_block_height"] else "sent", None)


def _chain_standing(status: SignatureStatus) -> Standing:
    if status.err is not None and status.commitment >= Commitment.CONFIRMED:
        return Standing("failed", status.slot, status.err)
    return Standing(status.commitment.name.lower(), status.slot, status.err)


def _stored_standing(row: Row) -> Standing:
    """From the log alone, which does not keep why a transaction failed."""
    return Standing("failed" if row["failed"] else FINALITY_NAMES[row["finality"]], row["slot"])


async def _program_error(request: Request, signature: bytes, err: Any) -> Json:
    codec = request.parts.codec
    try:
        found = await request.parts.rpc.get_transaction(signature, codec.program_id)
    except (ChainError, Unavailable, UndecodableData):
        found = None
    return onchain.failure_json(failure_of(err, None if found is None else found.logs, codec))


ENDPOINTS = [
    Endpoint(
        "POST",
        "/api/transactions",
        relay,
        "Relay a signed transaction and wait until it is confirmed and indexed.",
        fields=RelayFields,
        answer=action_examples.RELAYED,
        also=((202, action_examples.SENT),),
        refuses=(
            "simulation_failed",
            "transaction_failed",
            "blockhash_expired",
            "rpc_unavailable",
            "breaker_open",
            "shutting_down",
        ),
        tag="transactions",
        scoped=Scoped("relays"),
    ),
    Endpoint(
        "GET",
        "/api/transactions/{signature}",
        show,
        "Where a transaction stands.",
        answer=action_examples.TRANSACTION,
        refuses=("rpc_unavailable", "breaker_open"),
        tag="transactions",
    ),
]
