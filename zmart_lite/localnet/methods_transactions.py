"""RPC methods that send, simulate and look up transactions."""

import hashlib
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import SanitizeError, VersionedTransaction

from zmart_lite.localnet.ages import BLOCKHASH_AGE_MAX
from zmart_lite.localnet.context import RpcContext, with_context
from zmart_lite.localnet.execution import Outcome
from zmart_lite.localnet.failures import TransactionRefused, transaction_text
from zmart_lite.localnet.layout import LAMPORTS_PER_SIGNATURE, compute_budget, fee_lamports, signature_count
from zmart_lite.localnet.ledger import Bank
from zmart_lite.localnet.methods_chain import check_version, confirmed_at_least, encoding_or_config
from zmart_lite.localnet.natives.addresses import MEMO_IDS
from zmart_lite.localnet.params import (
    FILTER_TRANSACTION_NOT_FOUND,
    PREFLIGHT_FAILURE,
    SIGNATURE_VERIFICATION_FAILURE,
    Config,
    Params,
    RpcError,
    decode_base58,
    invalid,
    read_pubkey,
    read_signature,
    read_text,
)
from zmart_lite.localnet.records import LandedTransaction, TransactionErr
from zmart_lite.localnet.runtime import Account
from zmart_lite.localnet.transactions import (
    TRANSACTION_BYTES_MAX,
    TRANSACTION_ONE_BYTES_MAX,
    VERSION_ONE,
    Transaction,
    TransactionV1,
    read_message_bytes,
    read_transaction_bytes,
    with_blockhash,
)
from zmart_lite.localnet.wire import (
    ACCOUNT_ENCODINGS,
    TRANSACTION_ENCODINGS,
    AccountForm,
    account_json,
    inner_instructions_json,
    loaded_addresses_json,
    meta_json,
    signature_text,
    status_json,
    transaction_json,
    version_json,
)
from zmart_lite.models import Commitment

STATUSES_MAX = 256
SIGNATURES_MAX = 1_000
AIRDROP_UNITS_BASE = 1_000
"""Each airdrop asks for another compute-unit limit from here up, so that two equal ones have different signatures."""
AIRDROP_UNITS_SPAN = 1_000_000

_DECODERS: dict[str, Callable[[str], bytes]] = {
    "base58": decode_base58,
    "base64": lambda text: b64decode(text, validate=True),
}


_LETTERS_MAX = {
    ("base58", TRANSACTION_BYTES_MAX): 1_683,
    ("base64", TRANSACTION_BYTES_MAX): 1_644,
    ("base64", TRANSACTION_ONE_BYTES_MAX): 5_464,
}
"""How long the text of so many bytes is at most."""
TRANSACTION_TYPE = "solana_transaction::versioned::VersionedTransaction"
MESSAGE_TYPE = "solana_message::versions::VersionedMessage"


def _is_version_one(text: str) -> bool:
    try:
        return b64decode(text[:4], validate=True)[:1] >= bytes([VERSION_ONE])
    except ValueError:
        return False


def decode_wire(text: str, encoding: str, what: str) -> bytes:
    """Raises :class:`RpcError` where the text is not in that encoding, or longer than its version may be.

    More than a packet is taken in base64 alone, whose first letters tell the version. ``what`` is the name of the
    cluster's type, which its errors tell.
    """
    if encoding not in _DECODERS:
        raise invalid(f"unsupported encoding: {encoding}. Supported encodings: base58, base64")
    large = encoding == "base64" and _is_version_one(text)
    bytes_max = TRANSACTION_ONE_BYTES_MAX if large else TRANSACTION_BYTES_MAX
    letters_max = _LETTERS_MAX[encoding, bytes_max]
    if len(text) > letters_max:
        limits = f"max: encoded/raw {letters_max}/{bytes_max}"
        raise invalid(f"{encoding} encoded {what} too large: {len(text)} bytes ({limits})")
    try:
        data = _DECODERS[encoding](text)
    except ValueError as exc:
        raise invalid(f"invalid {encoding} encoding: {exc}") from None
    if len(data) > bytes_max:
        raise invalid(f"decoded {what} too large: {len(data)} bytes (max: {bytes_max} bytes)")
    return data


def read_transaction(context: RpcContext, params: Params, config: Config) -> Transaction:
    """The transaction of a send or simulate call, well-formed. Raises :class:`RpcError`."""
    encoding = config.choice("encoding", TRANSACTION_ENCODINGS, "base58")
    data = decode_wire(params.text(0), encoding, TRANSACTION_TYPE)
    try:
        transaction = read_transaction_bytes(data, version_max=1 if context.release.has(4, 2) else 0)
    except ValueError as exc:
        raise invalid(f"failed to deserialize {TRANSACTION_TYPE}: {exc}") from None
    try:
        transaction.sanitize()
    except SanitizeError:
        raise invalid("invalid transaction: Transaction failed to sanitize accounts offsets correctly") from None
    return transaction


def check_lookups(context: RpcContext, transaction: Transaction, bank: Bank) -> None:
    """Raises :class:`RpcError` unless all that the message takes from lookup tables can be found."""
    try:
        context.ledger.lay_out(transaction.message, bank)
    except TransactionRefused as refused:
        raise invalid(f"invalid transaction: {refused}") from None


def is_signed(context: RpcContext, transaction: Transaction) -> bool:
    """Whether every signature is right, or of an address that somebody impersonates."""
    results, message = transaction.verify_with_results(), transaction.message
    signers = message.account_keys[: message.header.num_required_signatures]
    return len(results) == len(signers) and all(
        right or bytes(key) in context.impersonated for right, key in zip(results, signers, strict=True)
    )


def stand_in(context: RpcContext, transaction: Transaction) -> Transaction:
    """The same, with a signature of its own where its first one is missing and its payer is impersonated.

    The first signature names a transaction, so that two of them may not share an empty one.
    """
    message, signatures = transaction.message, list(transaction.signatures)
    if not message.account_keys or bytes(message.account_keys[0]) not in context.impersonated:
        return transaction
    if signatures and signatures[0] == Signature.default():
        signatures[0] = Signature(hashlib.sha512(b"localnet_impersonate" + bytes(transaction)).digest())
    if isinstance(transaction, TransactionV1):
        return TransactionV1(transaction.message, signatures)
    return VersionedTransaction.populate(transaction.message, signatures)


def _wrong_signature(context: RpcContext, transaction: Transaction) -> TransactionErr | None:
    """The error of a simulation that checks signatures; None where they are right.

    Raises :class:`RpcError` as releases before 3.1 do.
    """
    if is_signed(context, transaction):
        return None
    if not context.release.has(3, 1):
        raise RpcError(SIGNATURE_VERIFICATION_FAILURE, "Transaction signature verification failure")
    return "SignatureFailure"


def send_transaction(context: RpcContext, params: Params) -> Any:
    config = params.config(1)
    transaction = stand_in(context, read_transaction(context, params, config))
    bank = context.bank(config, name="preflightCommitment")
    check_lookups(context, transaction, bank)
    if not config.flag("skipPreflight"):
        _preflight(context, transaction, bank)
    # What cannot land is taken by a cluster, too, and answered with its signature: leaders drop it without a trace.
    with suppress(TransactionRefused):
        if is_signed(context, transaction):
            context.ledger.submit(transaction)
    return str(transaction.signatures[0])


def _preflight(context: RpcContext, transaction: Transaction, bank: Bank) -> None:
    wrong = _wrong_signature(context, transaction)
    simulated = _Simulated(wrong, None) if wrong else _simulate(context, transaction, bank)
    if simulated.err is None:
        return
    data = _simulation_json(simulated, whole=False)
    text = f"Transaction simulation failed: {transaction_text(simulated.err)}"
    raise RpcError(PREFLIGHT_FAILURE, text, data)


class _Simulated:
    """The outcome of a simulation; ``outcome`` is None where the transaction would not even land."""

    def __init__(self, err: TransactionErr | None, outcome: Outcome | None) -> None:
        self.err = err
        self.outcome = outcome
        self.logs: tuple[str, ...] = () if outcome is None else outcome.meta.logs
        self.units = 0 if outcome is None else outcome.meta.compute_units


def _simulate(context: RpcContext, transaction: Transaction, bank: Bank) -> _Simulated:
    try:
        outcome = context.ledger.simulate(transaction, bank)
    except TransactionRefused as refused:
        return _Simulated(refused.err, None)
    return _Simulated(outcome.meta.err, outcome)


def _simulation_json(simulated: _Simulated, *, whole: bool) -> dict[str, Any]:
    """A ``RpcSimulateTransactionResult``: each field always, null where it does not apply.

    ``whole`` is false for a preflight, whose failure tells neither fee nor balances.
    """
    outcome = simulated.outcome
    meta = outcome.meta if outcome is not None and whole else None
    return {
        "accounts": None,
        "err": simulated.err,
        "fee": None if meta is None else meta.fee_lamports,
        "innerInstructions": None,
        "loadedAccountsDataSize": outcome.loaded_bytes if outcome else 0,
        "loadedAddresses": None if meta is None else loaded_addresses_json(meta),
        "logs": simulated.logs,
        "postBalances": None if meta is None else meta.post_balances,
        "postTokenBalances": None if meta is None else [],
        "preBalances": None if meta is None else meta.pre_balances,
        "preTokenBalances": None if meta is None else [],
        "replacementBlockhash": None,
        "returnData": None,
        "unitsConsumed": simulated.units,
    }


def simulate_transaction(context: RpcContext, params: Params) -> Any:
    config = params.config(1)
    transaction = read_transaction(context, params, config)
    bank = context.bank(config)
    check_lookups(context, transaction, bank)
    replace = config.flag("replaceRecentBlockhash")
    wrong = None
    if config.flag("sigVerify"):
        if replace:
            raise invalid("sigVerify may not be used with replaceRecentBlockhash")
        wrong = _wrong_signature(context, transaction)
    if replace:
        # Before anything is looked up by it: with another blockhash it is another transaction.
        transaction = with_blockhash(transaction, bank.blockhash)
    simulated = _Simulated(wrong, None) if wrong else _simulate(context, transaction, bank)
    value = _simulation_json(simulated, whole=True)
    value["accounts"] = _simulated_accounts(config, transaction, bank, simulated)
    if config.flag("innerInstructions") and (outcome := simulated.outcome) is not None:
        value["innerInstructions"] = inner_instructions_json(outcome.meta, outcome.account_keys, "jsonParsed")
    if replace:
        newest = {"blockhash": str(Hash(bank.blockhash)), "lastValidBlockHeight": bank.last_valid_height}
        value["replacementBlockhash"] = newest
    return with_context(bank, value)


def _simulated_accounts(
    config: Config, transaction: Transaction, bank: Bank, simulated: _Simulated
) -> list[Any] | None:
    asked = config.get("accounts")
    if asked is None:
        return None
    if not isinstance(asked, dict) or not isinstance(asked.get("addresses"), list):
        raise invalid("Invalid params: missing field `addresses`.")
    form = AccountForm(Config(asked).choice("encoding", ACCOUNT_ENCODINGS, "base64"))
    if form.encoding in ("base58", "binary"):
        raise invalid("base58 encoding not supported")
    named = len(transaction.message.account_keys)
    if simulated.outcome is not None:
        named = len(simulated.outcome.account_keys)
    if len(asked["addresses"]) > named:
        raise invalid(f"Too many accounts provided; max {named}")
    keys = [read_pubkey(text) for text in asked["addresses"]]
    if simulated.err is not None or simulated.outcome is None:
        return [None] * len(keys)
    touched = simulated.outcome.accounts

    def load(key: bytes) -> Account | None:
        found = touched.get(key) or bank.account(key)
        return found if found is not None and found.lamports else None

    found = ((key, load(key)) for key in keys)
    return [None if account is None else account_json(key, account, form, load) for key, account in found]


def request_airdrop(context: RpcContext, params: Params) -> Any:
    target, lamports = params.pubkey(0), params.u64(1)
    context.airdrops += 1
    source = context.faucet.pubkey()
    units = AIRDROP_UNITS_BASE + context.airdrops % AIRDROP_UNITS_SPAN
    instructions = [
        set_compute_unit_limit(units),
        transfer(TransferParams(from_pubkey=source, to_pubkey=Pubkey(target), lamports=lamports)),
    ]
    bank = context.ledger.bank(Commitment.PROCESSED)
    message = Message.new_with_blockhash(instructions, source, Hash(bank.blockhash))
    transaction = VersionedTransaction(message, [context.faucet])
    simulated = _simulate(context, transaction, bank)
    if simulated.err is not None:
        raise invalid(f"airdrop refused: {transaction_text(simulated.err)}")
    return signature_text(context.ledger.submit(transaction).signature)


def get_fee_for_message(context: RpcContext, params: Params) -> Any:
    data = decode_wire(params.text(0), "base64", MESSAGE_TYPE)
    bank = context.bank(params.config(1), Commitment.FINALIZED)
    try:
        message = read_message_bytes(data)
    except ValueError as exc:
        raise invalid(f"failed to deserialize {MESSAGE_TYPE}: {exc}") from None
    if not bank.knows_blockhash(bytes(message.recent_blockhash)):
        return with_context(bank, None)
    try:
        layout = context.ledger.lay_out(message, bank)
    except TransactionRefused as refused:
        raise invalid(f"invalid transaction: {refused}") from None
    try:
        fee = fee_lamports(layout, compute_budget(layout))
    except TransactionRefused:
        fee = signature_count(layout) * LAMPORTS_PER_SIGNATURE
    return with_context(bank, fee)


def get_signature_statuses(context: RpcContext, params: Params) -> Any:
    signatures = [read_signature(text) for text in params.texts(0, STATUSES_MAX)]
    whole_history = params.config(1).flag("searchTransactionHistory")
    bank = context.ledger.bank(Commitment.PROCESSED)
    oldest = 0 if whole_history else bank.height - BLOCKHASH_AGE_MAX
    found = (context.ledger.history.find(signature) for signature in signatures)
    rows = [_status_row(context, each) if each and oldest <= each.height <= bank.height else None for each in found]
    return with_context(bank, rows)


def _status_row(context: RpcContext, landed: LandedTransaction) -> dict[str, Any]:
    commitment = context.ledger.commitment_of(landed.height)
    newest = context.ledger.height_at(Commitment.PROCESSED)
    return {
        "confirmationStatus": commitment.name.lower(),
        "confirmations": None if commitment is Commitment.FINALIZED else newest - landed.height,
        "err": landed.meta.err,
        "slot": landed.slot,
        "status": status_json(landed.meta.err),
    }


def get_signatures_for_address(context: RpcContext, params: Params) -> Any:
    key, config = params.pubkey(0), params.config(1)
    limit = config.u64("limit")
    if limit is None:
        limit = SIGNATURES_MAX
    if not 1 <= limit <= SIGNATURES_MAX:
        raise invalid(f"Invalid limit; max {SIGNATURES_MAX}")
    confirmed_at_least(config)
    bank = context.bank(config)
    before, until = config.signature("before"), config.signature("until")
    first, last = _position(context, bank, before), _position(context, bank, until)
    if before is not None and first is None:
        return _unknown_place(context, before)
    rows = _history_page(context, bank, key, (first, last), limit)
    if until is not None and last is None:
        # Before 4.0 a cluster ignores an `until` that it does not know, and so must whoever pages here expect it.
        _unknown_place(context, until)
    return rows


def _unknown_place(context: RpcContext, signature: bytes) -> list[Any]:
    """The answer about a place that the node does not know. Raises :class:`RpcError` since 4.0."""
    if context.release.has(4, 0):
        raise RpcError(FILTER_TRANSACTION_NOT_FOUND, f"Transaction {signature_text(signature)} not found")
    return []


def _position(context: RpcContext, bank: Bank, signature: bytes | None) -> int | None:
    landed = None if signature is None else context.ledger.history.find(signature)
    return landed.position if landed is not None and landed.height <= bank.height else None


def _history_page(
    context: RpcContext, bank: Bank, key: bytes, bounds: tuple[int | None, int | None], limit: int
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for landed in context.ledger.history.of_address(key, *bounds):
        if landed.height > bank.height:
            continue
        rows.append(_history_row(context, landed))
        if len(rows) == limit:
            break
    return rows


def _history_row(context: RpcContext, landed: LandedTransaction) -> dict[str, Any]:
    return {
        "blockTime": landed.block_time,
        "confirmationStatus": context.ledger.commitment_of(landed.height).name.lower(),
        "err": landed.meta.err,
        "memo": _memo(landed),
        "signature": signature_text(landed.signature),
        "slot": landed.slot,
    } | _place(context, landed)


def _place(context: RpcContext, landed: LandedTransaction) -> dict[str, int]:
    """Where in its block a transaction stands, which is told since 4.0."""
    return {"transactionIndex": landed.index} if context.release.has(4, 0) else {}


def _memo(landed: LandedTransaction) -> str | None:
    if MEMO_IDS.isdisjoint(landed.account_keys):
        return None
    memos = [
        bytes(each.data)
        for each in landed.transaction.message.instructions
        if landed.account_keys[each.program_id_index] in MEMO_IDS
    ]
    return "; ".join(f"[{len(data)}] {data.decode(errors='replace')}" for data in memos)


def get_transaction(context: RpcContext, params: Params) -> Any:
    signature = read_signature(read_text(params.require(0)))
    config = encoding_or_config(params, 1)
    commitment = confirmed_at_least(config)
    encoding = config.choice("encoding", TRANSACTION_ENCODINGS, "json")
    version = config.u64("maxSupportedTransactionVersion")
    landed = context.ledger.history.find(signature)
    if landed is None or landed.height > context.ledger.height_at(commitment):
        return None
    check_version(landed, version)
    shape = {
        "blockTime": landed.block_time,
        "meta": meta_json(landed, encoding),
        "slot": landed.slot,
        "transaction": transaction_json(landed, encoding),
    } | _place(context, landed)
    return shape if version is None else shape | {"version": version_json(landed.transaction)}


METHODS = {
    "getFeeForMessage": get_fee_for_message,
    "getSignatureStatuses": get_signature_statuses,
    "getSignaturesForAddress": get_signatures_for_address,
    "getTransaction": get_transaction,
    "requestAirdrop": request_airdrop,
    "sendTransaction": send_transaction,
    "simulateTransaction": simulate_transaction,
}
