"""Checks a signed transaction that somebody else built before this node passes it on. Pure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.transaction import VersionedTransaction

from zmart_lite.codec import Codec
from zmart_lite.errors import UndecodableData, ValidationFailed

TRANSACTION_BYTES_MAX = 1_232
"""What fits into one packet of the cluster."""
FIELD = "transaction"

COMPUTE_BUDGET_PROGRAM = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
MEMO_V1_PROGRAM = Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo")
MEMO_PROGRAM = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
LIGHTHOUSE_PROGRAM = Pubkey.from_string("L2TExMFKdjpN9kozasaurPirfHy9P8sbXoAN1qA3S95")
"""Wallets insert its guards before and after what they were asked to sign."""
COMPANIONS = frozenset({COMPUTE_BUDGET_PROGRAM, SYSTEM_PROGRAM, MEMO_V1_PROGRAM, MEMO_PROGRAM, LIGHTHOUSE_PROGRAM})


class ProgramCall(NamedTuple):
    """One instruction of ours in a transaction.

    ``args`` is None where it cannot be decoded; ``accounts`` go by IDL name.
    """

    position: int
    name: str
    args: dict[str, Any] | None
    accounts: dict[str, bytes]


class CheckedTransaction(NamedTuple):
    """A transaction that may be relayed."""

    raw: bytes
    signature: bytes
    fee_payer: bytes
    signers: tuple[bytes, ...]
    blockhash: bytes
    calls: tuple[ProgramCall, ...]


def check_relayed(raw: bytes, codec: Codec) -> CheckedTransaction:
    """The checked transaction.

    Raises ValidationFailed naming the field ``transaction`` at the first thing that is wrong.
    """
    if len(raw) > TRANSACTION_BYTES_MAX:
        raise _invalid(f"has {len(raw)} bytes, a transaction at most {TRANSACTION_BYTES_MAX}")
    transaction = _parse(raw)
    message = transaction.message
    if isinstance(message, MessageV0) and message.address_table_lookups:
        raise _invalid("uses address lookup tables")
    keys = message.account_keys
    _check_shape(message, keys)
    calls = _calls(message, keys, codec)
    required = message.header.num_required_signatures
    _check_signatures(transaction, required)
    signers = tuple(bytes(key) for key in keys[:required])
    signature, blockhash = bytes(transaction.signatures[0]), bytes(message.recent_blockhash)
    return CheckedTransaction(raw, signature, signers[0], signers, blockhash, calls)


def _invalid(message: str) -> ValidationFailed:
    return ValidationFailed([(FIELD, message)])


def _parse(raw: bytes) -> VersionedTransaction:
    try:
        transaction = VersionedTransaction.from_bytes(raw)
    except ValueError as error:
        raise _invalid("is not a serialised Solana transaction") from error
    if bytes(transaction) != raw:  # the parser reads past unknown bytes at the end, the cluster does not
        raise _invalid("is not a serialised Solana transaction")
    return transaction


def _check_shape(message: Message | MessageV0, keys: Sequence[Pubkey]) -> None:
    header = message.header
    signers, unsigned = header.num_required_signatures, len(keys) - header.num_required_signatures
    if not 0 < signers <= len(keys) or header.num_readonly_signed_accounts >= signers:
        raise _invalid("names no account that pays the fee")
    if header.num_readonly_unsigned_accounts > unsigned or len(set(keys)) != len(keys):
        raise _invalid("has an inconsistent list of accounts")
    for instruction in message.instructions:
        if max([instruction.program_id_index, *instruction.accounts]) >= len(keys):
            raise _invalid("has an instruction with an account it does not list")


def _calls(message: Message | MessageV0, keys: Sequence[Pubkey], codec: Codec) -> tuple[ProgramCall, ...]:
    ours = Pubkey.from_bytes(codec.program_id)
    programs = [keys[instruction.program_id_index] for instruction in message.instructions]
    for program in programs:
        if program != ours and program not in COMPANIONS:
            raise _invalid(f"calls the program {program}, which is not relayed")
    calls = []
    for index, instruction in enumerate(message.instructions):
        if programs[index] == ours:
            accounts = [bytes(keys[number]) for number in instruction.accounts]
            calls.append(_call(index, bytes(instruction.data), accounts, codec))
    if not calls:
        raise _invalid("holds no instruction of this program")
    return tuple(calls)


def _call(index: int, data: bytes, accounts: Sequence[bytes], codec: Codec) -> ProgramCall:
    name = codec.instruction_by_discriminator(data)
    if name is None:
        raise _invalid(f"holds an unknown instruction of this program (number {index})")
    names = [spec.name for spec in codec.instruction_accounts(name)]
    return ProgramCall(index, name, _args(data, codec), dict(zip(names, accounts, strict=False)))


def _args(data: bytes, codec: Codec) -> dict[str, Any] | None:
    try:
        return codec.decode_instruction(data)[1]
    except UndecodableData:
        return None  # the program itself refuses it, with its own error


def _check_signatures(transaction: VersionedTransaction, required: int) -> None:
    if len(transaction.signatures) != required:
        raise _invalid(f"has {len(transaction.signatures)} signatures instead of {required}")
    for key, valid in zip(transaction.message.account_keys, transaction.verify_with_results(), strict=False):
        if not valid:
            raise _invalid(f"lacks a valid signature of {key}")
