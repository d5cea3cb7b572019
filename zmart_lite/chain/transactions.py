"""Reads a transaction as the cluster's JSON tells of it: a getTransaction answer or one item of a raw webhook. Pure.

Both have the same shape (``slot``, ``meta``, ``transaction.message``), so one set of structs reads both and checks
every field on the way in.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from based58 import b58decode
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_lite.errors import UndecodableData
from zmart_lite.models import ChainInstruction, ChainTransaction

BASE58_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BASE58_DIGITS = {digit: value for value, digit in enumerate(BASE58_ALPHABET)}
BASE58_CHUNK = 64
BASE58_SHORT = 256
"""The library is ten times as fast on short texts, but takes time with the square of the length."""
INSTRUCTION_CHARS_MAX = 14_200
"""Base58 characters of the longest instruction data: 10 240 bytes, the most one program may pass to another."""
I64_MAX = 2**63 - 1
ADDRESSES_KEPT = 10_000
"""Most transactions name the same few accounts."""

Unsigned = Annotated[int, msgspec.Meta(ge=0, le=I64_MAX)]
UnixSeconds = Annotated[int, msgspec.Meta(ge=-I64_MAX, le=I64_MAX)]


class _Wire(msgspec.Struct, rename="camel", gc=False):
    """What the cluster writes; fields that are not listed are ignored."""


class _Instruction(_Wire):
    program_id_index: Unsigned
    accounts: list[Unsigned]
    data: str


class _InnerInstructions(_Wire):
    index: Unsigned
    instructions: list[_Instruction]


class _LoadedAddresses(_Wire):
    writable: list[str] = []
    readonly: list[str] = []


class _Meta(_Wire):
    err: Any
    log_messages: list[str] | None = None
    inner_instructions: list[_InnerInstructions] | None = None
    loaded_addresses: _LoadedAddresses | None = None


class _Message(_Wire):
    account_keys: list[str]
    instructions: list[_Instruction]


class _SignedMessage(_Wire):
    message: _Message
    signatures: list[str]


class _Transaction(_Wire):
    slot: Unsigned
    meta: _Meta
    transaction: _SignedMessage
    block_time: UnixSeconds | None = None
    index_within_block: Unsigned | None = None
    transaction_index: Unsigned | None = None


_decode = msgspec.json.Decoder(_Transaction).decode


def transaction_of_rpc(answer: object, program_id: bytes) -> ChainTransaction:
    """The transaction in the result of ``getTransaction`` with encoding ``json``.

    Only instructions of ``program_id`` are kept. Raises UndecodableData naming the field that is wrong.
    """
    try:
        wire = msgspec.convert(answer, _Transaction)
    except msgspec.ValidationError as error:
        raise UndecodableData(f"not a transaction: {error}") from error
    return _resolve(wire, program_id)


def transaction_of_raw(raw: bytes | msgspec.Raw, program_id: bytes) -> ChainTransaction | None:
    """As :func:`transaction_of_rpc`, from the JSON itself and in half the time; None for anything that is not one."""
    try:
        return _resolve(_decode(raw), program_id)
    except (msgspec.MsgspecError, UndecodableData, RecursionError):
        return None


def signature_of(text: object) -> bytes:
    """The 64 bytes of a base58 signature. Raises UndecodableData."""
    if not isinstance(text, str):
        raise UndecodableData("the signature is not a text")
    try:
        return bytes(Signature.from_string(text))
    except ValueError as error:
        raise UndecodableData(f"the signature is not base58 of 64 bytes: {error}") from error


def base58_bytes(text: str) -> bytes:
    """Any number of bytes from base58. Raises UndecodableData, also above ``INSTRUCTION_CHARS_MAX`` characters."""
    if len(text) > INSTRUCTION_CHARS_MAX:
        raise UndecodableData(f"{len(text)} characters of base58 are more than any instruction has")
    if len(text) <= BASE58_SHORT:
        try:
            return b58decode(text.encode())
        except ValueError:
            pass  # said below, with the digit
    try:
        number = _base58_number(text)
    except KeyError as error:
        raise UndecodableData(f"{error.args[0]!r} is not a base58 digit") from error
    zeros = len(text) - len(text.lstrip(BASE58_ALPHABET[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _base58_number(text: str) -> int:
    """Halves long texts, which takes far less time than adding one digit after the other to an ever longer number."""
    if len(text) > BASE58_CHUNK:
        middle = len(text) // 2
        scale: int = 58 ** (len(text) - middle)
        return _base58_number(text[:middle]) * scale + _base58_number(text[middle:])
    number = 0
    for digit in text:
        number = number * 58 + BASE58_DIGITS[digit]
    return number


def _resolve(wire: _Transaction, program_id: bytes) -> ChainTransaction:
    if not wire.transaction.signatures:
        raise UndecodableData("a transaction without signatures")
    index = wire.transaction_index if wire.index_within_block is None else wire.index_within_block
    instructions, logs = _instructions(wire, program_id), wire.meta.log_messages
    if not logs and not instructions and wire.meta.inner_instructions is None:
        # Neither what was called inside is told nor what it wrote: nothing says that the program was not.
        logs = None
    return ChainTransaction(
        signature_of(wire.transaction.signatures[0]),
        wire.slot,
        index,
        wire.block_time,
        wire.meta.err is not None,
        None if logs is None else tuple(logs),
        tuple(instructions),
    )


def _instructions(wire: _Transaction, program_id: bytes) -> list[ChainInstruction]:
    """Those of one program, in the order of execution, with account numbers turned into addresses.

    Numbers count through the message's keys, then the loaded writable ones, then the loaded read-only ones.
    """
    message, loaded, inner = wire.transaction.message, wire.meta.loaded_addresses, wire.meta.inner_instructions
    keys = message.account_keys if loaded is None else [*message.account_keys, *loaded.writable, *loaded.readonly]
    found = []
    for instruction in _in_order(message.instructions, inner) if inner else message.instructions:
        try:
            if _address(keys[instruction.program_id_index]) == program_id:
                accounts = tuple([_address(keys[number]) for number in instruction.accounts])
                found.append(ChainInstruction(program_id, accounts, base58_bytes(instruction.data)))
        except IndexError as error:
            number = max([instruction.program_id_index, *instruction.accounts])
            raise UndecodableData(f"account {number} of {len(keys)}") from error
    return found


def _in_order(outer: Sequence[_Instruction], inner: Sequence[_InnerInstructions]) -> list[_Instruction]:
    """Each instruction of the message followed by those it invoked, directly or not."""
    ordered = [[instruction] for instruction in outer]
    for group in inner:
        if group.index >= len(ordered):
            raise UndecodableData(f"inner instructions of instruction {group.index}, of {len(ordered)}")
        ordered[group.index] += group.instructions
    return [instruction for group in ordered for instruction in group]


@lru_cache(ADDRESSES_KEPT)
def _address(text: str) -> bytes:
    try:
        return bytes(Pubkey.from_string(text))
    except ValueError as error:
        raise UndecodableData(f"{text[:60]!r} is not an address: {error}") from error
