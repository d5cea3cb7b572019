"""What the JSON-RPC methods answer: the values callers get, and the readers that turn raw JSON into them.

A reader raises ValueError (of which msgspec's errors are a kind) for an answer that has not the documented shape;
nothing of a malformed answer gets past here.
"""

import base64
import binascii
import struct
from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_lite.models import Commitment, SignatureInfo

T = TypeVar("T")
R = TypeVar("R")
Raw = bytes | msgspec.Raw
Reader = Callable[[Raw], R]

CLOCK_SYSVAR = bytes(Pubkey.from_string("SysvarC1ock11111111111111111111111111111111"))
CLOCK_APART_MAX = 150
"""Slots between what the Clock sysvar says and the slot at which the node says that it read it: none, by right."""
_CLOCK = struct.Struct("<QqQQq")


class AccountInfo(NamedTuple):
    """An account as it stood at ``slot``."""

    lamports: int
    owner: bytes
    data: bytes
    slot: int
    executable: bool = False


class LatestBlockhash(NamedTuple):
    """A blockhash and the last block height (not slot) at which a transaction that names it can land."""

    blockhash: bytes
    last_valid_block_height: int


class ClockReading(NamedTuple):
    """The cluster's own clock: the slot and its unix second."""

    slot: int
    unix_timestamp: int


class SignatureStatus(NamedTuple):
    """Where a transaction stands. ``err`` is the cluster's TransactionError as JSON, None for success."""

    slot: int
    commitment: Commitment
    err: Any


class Simulation(NamedTuple):
    """A simulated run. ``units`` are the compute units it took; ``err`` as in :class:`SignatureStatus`."""

    err: Any
    logs: tuple[str, ...]
    units: int


class DataSize(NamedTuple):
    """A filter: accounts of exactly this many bytes."""

    size_bytes: int


class Memcmp(NamedTuple):
    """A filter: accounts whose data hold ``data`` (at most 128 bytes) at ``offset``."""

    offset: int
    data: bytes


class _Camel(msgspec.Struct, rename="camel"):
    pass


class _Context(_Camel):
    slot: int


class _With(_Camel, Generic[T]):
    context: _Context
    value: T


class _Account(_Camel):
    lamports: int
    owner: str
    data: tuple[str, str]
    executable: bool = False


class _KeyedAccount(_Camel):
    pubkey: str
    account: _Account


class _Blockhash(_Camel):
    blockhash: str
    last_valid_block_height: int


class _Status(_Camel):
    slot: int
    err: Any = None
    confirmations: int | None = None
    confirmation_status: str | None = None


class _Simulated(_Camel):
    err: Any = None
    logs: list[str] | None = None
    units_consumed: int | None = None


class _SignatureRow(_Camel):
    signature: str
    slot: int
    err: Any = None
    block_time: int | None = None
    transaction_index: int | None = None


class _BlockSignatures(_Camel):
    signatures: list[str]


class _Fee(_Camel):
    prioritization_fee: int


def plain(kind: type[R]) -> Reader[R]:
    """A reader of an answer that is a bare value."""
    return lambda raw: msgspec.json.decode(raw, type=kind)


def valued(kind: type[R]) -> Reader[R]:
    """A reader of a bare value wrapped with its slot."""
    answer = _With[kind]  # type: ignore[valid-type]
    return lambda raw: msgspec.json.decode(raw, type=answer).value


VERSION_CHARACTERS_MAX = 64


class _Software(msgspec.Struct):
    solana_core: Any = msgspec.field(name="solana-core", default=None)


def software_version(raw: Raw) -> str | None:
    """The ``solana-core`` of getVersion, a text of somebody else's; None for what is no version.

    Nothing depends on it, so that an odd one is no fault of the address.
    """
    found = msgspec.json.decode(raw, type=_Software).solana_core
    sane = isinstance(found, str) and 1 <= len(found) <= VERSION_CHARACTERS_MAX and found.isprintable()
    return found if sane else None


def hash_bytes(raw: Raw) -> bytes:
    return bytes(Hash.from_string(msgspec.json.decode(raw, type=str)))


def signature_bytes(raw: Raw) -> bytes:
    return bytes(Signature.from_string(msgspec.json.decode(raw, type=str)))


def latest_blockhash(raw: Raw) -> LatestBlockhash:
    value = msgspec.json.decode(raw, type=_With[_Blockhash]).value
    return LatestBlockhash(bytes(Hash.from_string(value.blockhash)), value.last_valid_block_height)


def _account(found: _Account, slot: int) -> AccountInfo:
    text, encoding = found.data
    if encoding != "base64":
        raise ValueError(f"account data in {encoding} instead of base64")
    owner = bytes(Pubkey.from_string(found.owner))
    return AccountInfo(found.lamports, owner, base64.b64decode(text, validate=True), slot, found.executable)


def account(raw: Raw) -> AccountInfo | None:
    answer = msgspec.json.decode(raw, type=_With[_Account | None])
    return None if answer.value is None else _account(answer.value, answer.context.slot)


def accounts(count: int) -> Reader[list[AccountInfo | None]]:
    """A reader of exactly ``count`` accounts, None for each that does not exist."""

    def read(raw: Raw) -> list[AccountInfo | None]:
        answer = msgspec.json.decode(raw, type=_With[list[_Account | None]])
        _expect(len(answer.value), count)
        return [None if found is None else _account(found, answer.context.slot) for found in answer.value]

    return read


def program_accounts(raw: Raw) -> list[tuple[bytes, AccountInfo]]:
    answer = msgspec.json.decode(raw, type=_With[list[_KeyedAccount]])
    slot = answer.context.slot
    return [(bytes(Pubkey.from_string(row.pubkey)), _account(row.account, slot)) for row in answer.value]


def clock(raw: Raw) -> ClockReading:
    found = account(raw)
    if found is None or len(found.data) < _CLOCK.size:
        raise ValueError("the Clock sysvar is missing")
    slot, _, _, _, unix_timestamp = _CLOCK.unpack_from(found.data)
    if abs(found.slot - slot) > CLOCK_APART_MAX:
        raise ValueError(f"slot {found.slot} beside a clock that is at slot {slot}")
    return ClockReading(slot, unix_timestamp)


def signatures(raw: Raw) -> list[SignatureInfo]:
    rows = msgspec.json.decode(raw, type=list[_SignatureRow])
    return [
        SignatureInfo(
            bytes(Signature.from_string(row.signature)),
            row.slot,
            row.transaction_index,
            row.block_time,
            row.err is not None,
        )
        for row in rows
    ]


def block_signatures(raw: Raw) -> list[bytes] | None:
    block = msgspec.json.decode(raw, type=_BlockSignatures | None)
    return None if block is None else [bytes(Signature.from_string(text)) for text in block.signatures]


def statuses(count: int) -> Reader[list[SignatureStatus | None]]:
    """A reader of exactly ``count`` statuses, None for each unknown transaction."""

    def read(raw: Raw) -> list[SignatureStatus | None]:
        rows = msgspec.json.decode(raw, type=_With[list[_Status | None]]).value
        _expect(len(rows), count)
        return [None if row is None else SignatureStatus(row.slot, _commitment(row), row.err) for row in rows]

    return read


def _commitment(row: _Status) -> Commitment:
    if row.confirmation_status is not None:
        return Commitment[row.confirmation_status.upper()]
    # Nodes that leave the word out say "rooted" by null confirmations; nothing more than processed is sure else.
    return Commitment.FINALIZED if row.confirmations is None else Commitment.PROCESSED


def simulation(raw: Raw) -> Simulation:
    value = msgspec.json.decode(raw, type=_With[_Simulated]).value
    return Simulation(value.err, tuple(value.logs or ()), value.units_consumed or 0)


def fees(raw: Raw) -> list[int]:
    return [row.prioritization_fee for row in msgspec.json.decode(raw, type=list[_Fee])]


def no_slot(_: object) -> int:
    """Of an answer that names no slot."""
    return 0


def own_slot(answer: Any) -> int:
    """Of an answer that has a slot, or is None."""
    return 0 if answer is None else int(answer.slot)


def highest_slot(answer: Iterable[Any]) -> int:
    """Of several answers that have a slot or are None."""
    return max((each.slot for each in answer if each is not None), default=0)


def _expect(found: int, asked: int) -> None:
    if found != asked:
        raise ValueError(f"{found} rows for {asked} questions")


MALFORMED = (msgspec.MsgspecError, ValueError, KeyError, binascii.Error, struct.error)
"""What a reader raises for an answer without the documented shape."""
