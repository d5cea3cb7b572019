"""Transactions of every version that a cluster takes: legacy and 0 as solders reads them, version 1 read here.

Version 1 is SIMD-0385: no address lookup tables, up to 4,096 bytes, the compute budget in the message instead of in
instructions, and the signatures behind it. The limits are those of Agave 4.2 (agave-transaction-view, solana-message).
"""

import struct
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

from solders.hash import Hash
from solders.instruction import CompiledInstruction
from solders.keypair import Keypair
from solders.message import Message, MessageHeader, MessageV0, from_bytes_versioned, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import SanitizeError, VersionedTransaction

VERSION_ONE = 0x81
"""The first byte of a version-1 transaction. Older ones begin with the number of their signatures, below 0x80."""
TRANSACTION_BYTES_MAX = 1_232
TRANSACTION_ONE_BYTES_MAX = 4_096
SIGNATURES_MAX = 12
SIGNATURE_BYTES = 64
ADDRESSES_MAX = 64
INSTRUCTIONS_MAX = 64
HEAP_BYTES = range(32 * 1024, 256 * 1024 + 1, 1024)
"""The heap sizes that can be asked for."""

_HEADER = struct.Struct("<BBBI32sBB")
_INSTRUCTION = struct.Struct("<BBH")
_FEE = struct.Struct("<Q")
_U32 = struct.Struct("<I")
_FEE_BITS, _UNITS_BIT, _LOADED_BIT, _HEAP_BIT = 0b11, 0b100, 0b1000, 0b10000
_KNOWN_BITS = 0b11111


class TransactionConfig(NamedTuple):
    """What a version-1 transaction asks for; what it does not name counts as nothing, but the heap as 32 KiB."""

    priority_fee_lamports: int | None = None
    compute_unit_limit: int | None = None
    loaded_data_bytes: int | None = None
    heap_bytes: int | None = None

    @property
    def mask(self) -> int:
        bits = (_FEE_BITS, _UNITS_BIT, _LOADED_BIT, _HEAP_BIT)
        return sum(bit for bit, value in zip(bits, self, strict=True) if value is not None)

    def __bytes__(self) -> bytes:
        forms = (_FEE, _U32, _U32, _U32)
        return b"".join(form.pack(value) for form, value in zip(forms, self, strict=True) if value is not None)


class MessageV1(NamedTuple):
    """What the signers of a version-1 transaction sign."""

    header: MessageHeader
    config: TransactionConfig
    recent_blockhash: Hash
    account_keys: tuple[Pubkey, ...]
    instructions: tuple[CompiledInstruction, ...]

    @classmethod
    def from_bytes(cls, data: bytes) -> "MessageV1":
        """Raises ``ValueError`` naming what is wrong with the form."""
        reader = _Reader(data)
        message = reader.message()
        reader.end("message")
        return message

    @classmethod
    def of(cls, message: Message, config: TransactionConfig) -> "MessageV1":
        """The same instructions and accounts as a legacy message has."""
        keys, instructions = tuple(message.account_keys), tuple(message.instructions)
        return cls(message.header, config, message.recent_blockhash, keys, instructions)

    def __bytes__(self) -> bytes:
        header, instructions = self.header, self.instructions
        counts = (
            header.num_required_signatures,
            header.num_readonly_signed_accounts,
            header.num_readonly_unsigned_accounts,
        )
        blockhash = bytes(self.recent_blockhash)
        parts = [
            bytes([VERSION_ONE]),
            _HEADER.pack(*counts, self.config.mask, blockhash, len(instructions), len(self.account_keys)),
            *(bytes(key) for key in self.account_keys),
            bytes(self.config),
            *(_INSTRUCTION.pack(each.program_id_index, len(each.accounts), len(each.data)) for each in instructions),
            *(bytes(each.accounts) + bytes(each.data) for each in instructions),
        ]
        return b"".join(parts)


AnyMessage = Message | MessageV0 | MessageV1


@runtime_checkable
class Transaction(Protocol):
    """A transaction of any version: solders' own type, or :class:`TransactionV1`."""

    @property
    def message(self) -> Any: ...  # AnyMessage; the stubs of solders leave it untyped

    @property
    def signatures(self) -> Any: ...

    def __bytes__(self) -> bytes: ...

    def sanitize(self) -> Any:
        """Raises :class:`SanitizeError` for a transaction that no block may hold."""

    def verify_with_results(self) -> list[bool]:
        """For each signature whether it is right."""


class TransactionV1:
    """A version-1 transaction. The blockhash is what SIMD-0385 calls its lifetime specifier."""

    def __init__(self, message: MessageV1, signatures: Sequence[Signature]) -> None:
        self.message = message
        self.signatures = list(signatures)

    @classmethod
    def signed(cls, message: MessageV1, signers: Sequence[Keypair]) -> "TransactionV1":
        """Signed by each of its signers, who stand in the order of the message's first keys."""
        text = bytes(message)
        return cls(message, [signer.sign_message(text) for signer in signers])

    @classmethod
    def from_bytes(cls, data: bytes) -> "TransactionV1":
        """Raises ``ValueError`` naming what is wrong with the form; the limits are :meth:`sanitize`'s."""
        reader = _Reader(data)
        message = reader.message()
        signatures = [Signature(reader.take(SIGNATURE_BYTES)) for _ in range(message.header.num_required_signatures)]
        reader.end("last signature")
        return cls(message, signatures)

    @cached_property
    def _text(self) -> bytes:
        return bytes(self.message)

    def __bytes__(self) -> bytes:
        return self._text + b"".join(bytes(each) for each in self.signatures)

    def sanitize(self) -> None:
        if not self._is_sane():
            raise SanitizeError("a version-1 transaction beyond its limits")

    def _is_sane(self) -> bool:
        message, header = self.message, self.message.header
        signers, keys = header.num_required_signatures, message.account_keys
        heap = message.config.heap_bytes
        return (
            len(self._text) + len(self.signatures) * SIGNATURE_BYTES <= TRANSACTION_ONE_BYTES_MAX
            and header.num_readonly_signed_accounts < signers <= SIGNATURES_MAX
            and signers + header.num_readonly_unsigned_accounts <= len(keys) <= ADDRESSES_MAX
            and len(set(keys)) == len(keys)
            and len(message.instructions) <= INSTRUCTIONS_MAX
            and (heap is None or heap in HEAP_BYTES)
            and all(
                0 < each.program_id_index < len(keys) and all(at < len(keys) for at in bytes(each.accounts))
                for each in message.instructions
            )
        )

    def verify_with_results(self) -> list[bool]:
        pairs = zip(self.signatures, self.message.account_keys, strict=False)
        return [signature.verify(key, self._text) for signature, key in pairs]


class _Reader:
    """Reads the parts of a version-1 transaction one behind the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def end(self, what: str) -> None:
        if self._at < len(self._data):
            raise ValueError(f"{len(self._data) - self._at} bytes follow the {what}")

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise ValueError(f"it ends after {len(self._data)} bytes, in the middle of something")
        self._at += size
        return self._data[self._at - size : self._at]

    def _number(self, form: struct.Struct) -> int:
        return int(form.unpack(self.take(form.size))[0])

    def message(self) -> MessageV1:
        if self.take(1) != bytes([VERSION_ONE]):
            raise ValueError("the first byte is not that of version 1")
        *header, mask, blockhash, instruction_count, key_count = _HEADER.unpack(self.take(_HEADER.size))
        keys = tuple(Pubkey(self.take(32)) for _ in range(key_count))
        config = self._config(mask)
        forms = [_INSTRUCTION.unpack(self.take(_INSTRUCTION.size)) for _ in range(instruction_count)]
        instructions = tuple(self._instruction(*form) for form in forms)
        return MessageV1(MessageHeader(*header), config, Hash(blockhash), keys, instructions)

    def _instruction(self, program: int, account_count: int, data_bytes: int) -> CompiledInstruction:
        accounts = self.take(account_count)
        return CompiledInstruction(program, self.take(data_bytes), accounts)

    def _config(self, mask: int) -> TransactionConfig:
        if mask & ~_KNOWN_BITS or mask & _FEE_BITS not in (0, _FEE_BITS):
            raise ValueError("invalid transaction config mask")
        return TransactionConfig(
            self._number(_FEE) if mask & _FEE_BITS else None,
            *(self._number(_U32) if mask & bit else None for bit in (_UNITS_BIT, _LOADED_BIT, _HEAP_BIT)),
        )


def read_transaction_bytes(data: bytes, version_max: int = 1) -> Transaction:
    """A transaction of a version up to that from its wire form. Raises ``ValueError`` where it is none."""
    if version_max and data[:1] == bytes([VERSION_ONE]):
        return TransactionV1.from_bytes(data)
    return VersionedTransaction.from_bytes(data)


def read_message_bytes(data: bytes) -> AnyMessage:
    """What signers sign, of any version. Raises ``ValueError`` where it is none."""
    return MessageV1.from_bytes(data) if data[:1] == bytes([VERSION_ONE]) else from_bytes_versioned(data)


def message_bytes(message: AnyMessage) -> bytes:
    """What signers sign."""
    return bytes(message) if isinstance(message, MessageV1) else bytes(to_bytes_versioned(message))


def with_blockhash(transaction: Transaction, blockhash: bytes) -> Transaction:
    """The same with another blockhash; its signatures are no longer those of its message."""
    message, anew = transaction.message, Hash(blockhash)
    if isinstance(message, MessageV1):
        return TransactionV1(message._replace(recent_blockhash=anew), transaction.signatures)
    header, keys, instructions = message.header, message.account_keys, message.instructions
    if isinstance(message, MessageV0):
        renewed: Message | MessageV0 = MessageV0(header, keys, anew, instructions, message.address_table_lookups)
    else:
        counts = (
            header.num_required_signatures,
            header.num_readonly_signed_accounts,
            header.num_readonly_unsigned_accounts,
        )
        renewed = Message.new_with_compiled_instructions(*counts, keys, anew, instructions)
    return VersionedTransaction.populate(renewed, transaction.signatures)
