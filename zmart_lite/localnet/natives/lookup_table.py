"""Address lookup tables: the program that keeps them, and taking addresses from them for a message.

Sources: solana-program/address-lookup-table (processor.rs), which runs as bytecode on clusters, and
solana-address-lookup-table-interface (state.rs) for which addresses of a table may be used when.
"""

import hashlib
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from solders.pubkey import Pubkey

from zmart_lite.localnet.failures import TransactionRefused
from zmart_lite.localnet.natives.addresses import LOOKUP_TABLE_ID, SLOT_HASHES_ID
from zmart_lite.localnet.natives.bincode import BincodeReader
from zmart_lite.localnet.runtime import (
    SYSTEM_PROGRAM_ID,
    Account,
    AccountMeta,
    AccountRef,
    InstructionFailed,
    NativeInvocation,
    rent_exempt_minimum,
)

ADDRESSES_MAX = 256
META_BYTES = 56
SLOT_HASHES_MAX = 512
NEW_ADDRESSES_MAX = (1_232 - 4 - 8) // 32
PDA_MARKER = b"ProgramDerivedAddress"
NEVER = (1 << 64) - 1
_META = struct.Struct("<IQQBB")
_INITIALIZED = 1
_SYSTEM_TRANSFER, _SYSTEM_ALLOCATE, _SYSTEM_ASSIGN = 2, 8, 1
_INVALID_SEEDS, _READONLY_DATA, _READONLY_LAMPORTS = 1, 10, 11
_CUSTOM_TEXTS = {
    _INVALID_SEEDS: "Provided seeds do not result in a valid address",
    _READONLY_DATA: "Instruction modified data of a read-only account",
    _READONLY_LAMPORTS: "Instruction changed the balance of a read-only account",
}


class LookupTable(NamedTuple):
    """A table's account. ``deactivation_slot`` is ``NEVER`` while it is in use; without ``authority`` it is frozen."""

    deactivation_slot: int = NEVER
    last_extended_slot: int = 0
    last_extended_start: int = 0
    authority: bytes | None = None
    addresses: tuple[bytes, ...] = ()

    @property
    def data(self) -> bytes:
        head = _META.pack(
            _INITIALIZED,
            self.deactivation_slot,
            self.last_extended_slot,
            self.last_extended_start,
            self.authority is not None,
        )
        return (head + (self.authority or b"")).ljust(META_BYTES, b"\0") + b"".join(self.addresses)

    def is_active(self, slot: int, slot_hashes: Sequence[int]) -> bool:
        return self.deactivation_slot in (NEVER, slot) or self.deactivation_slot in slot_hashes

    def active_addresses(self, slot: int) -> tuple[bytes, ...]:
        """Those added in this very slot cannot be used in it."""
        return self.addresses if slot > self.last_extended_slot else self.addresses[: self.last_extended_start]


def find_lookup_table(data: bytes) -> LookupTable | None:
    """None for data that is no table's."""
    if len(data) < META_BYTES or (len(data) - META_BYTES) % 32:
        return None
    kind, deactivated, extended, start, owned = _META.unpack_from(data)
    if kind != _INITIALIZED or owned not in (0, 1):
        return None
    authority = data[_META.size : _META.size + 32] if owned else None
    addresses = tuple(data[at : at + 32] for at in range(META_BYTES, len(data), 32))
    return LookupTable(deactivated, extended, start, authority, addresses)


def slots_of(slot_hashes: bytes) -> list[int]:
    """The slots of the SlotHashes sysvar, newest first."""
    (count,) = struct.unpack_from("<Q", slot_hashes)
    return [slot for slot, _hash in struct.iter_unpack("<Q32s", slot_hashes[8 : 8 + 40 * count])]


class Lookup(NamedTuple):
    """What a message takes from one table."""

    table: bytes
    writable: bytes
    readonly: bytes


def resolve(
    lookups: Sequence[Lookup], slot: int, load: Callable[[bytes], Account | None]
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The addresses that a message takes from tables: writable ones, readonly ones. Raises TransactionRefused."""
    writable: list[bytes] = []
    readonly: list[bytes] = []
    for lookup in lookups:
        addresses = _usable_addresses(load(lookup.table), slot, load)
        try:
            writable += [addresses[index] for index in lookup.writable]
            readonly += [addresses[index] for index in lookup.readonly]
        except IndexError:
            raise TransactionRefused("InvalidAddressLookupTableIndex") from None
    return tuple(writable), tuple(readonly)


def _usable_addresses(account: Account | None, slot: int, load: Callable[[bytes], Account | None]) -> tuple[bytes, ...]:
    if account is None:
        raise TransactionRefused("AddressLookupTableNotFound")
    if account.owner != LOOKUP_TABLE_ID:
        raise TransactionRefused("InvalidAddressLookupTableOwner")
    table = find_lookup_table(account.data)
    if table is None:
        raise TransactionRefused("InvalidAddressLookupTableData")
    slot_hashes = load(SLOT_HASHES_ID)
    if not table.is_active(slot, slots_of(slot_hashes.data) if slot_hashes else []):
        raise TransactionRefused("AddressLookupTableNotFound")
    return table.active_addresses(slot)


class _Refused(InstructionFailed):
    """An error of the program itself, which it names in its log; those of programs that it invokes it cannot see."""

    def __init__(self, name: str, custom: int | None = None) -> None:
        super().__init__(name, custom)
        self.line = f"Error: {name}" if custom is None else _CUSTOM_TEXTS[custom]


class LookupTableProgram:
    """Creates, extends, freezes, deactivates and closes tables."""

    def process(self, invocation: NativeInvocation) -> None:
        try:
            self._process(invocation)
        except _Refused as refused:
            invocation.log(refused.line)
            raise

    def _process(self, invocation: NativeInvocation) -> None:
        reader = BincodeReader(invocation.data)
        try:
            kind = reader.u32()
            name, handler, read = _INSTRUCTIONS[kind]
            args = read(reader)
        except (InstructionFailed, KeyError):
            raise _Refused("InvalidInstructionData") from None
        invocation.log(f"Instruction: {name}")
        handler(invocation, args)

    def entry_units(self, refs: Sequence[AccountRef], data: bytes) -> int:
        """Close to what the bytecode takes: the table's addresses are not walked through."""
        return 1_100 + 200 * len(refs) + len(data) // 4


def _account(invocation: NativeInvocation, index: int) -> AccountRef:
    if index >= len(invocation.accounts):
        raise _Refused("NotEnoughAccountKeys")
    return invocation.accounts[index]


def _refuse(invocation: NativeInvocation, line: str, name: str) -> _Refused:
    invocation.log(line)
    return _Refused(name)


def _read_creation(reader: BincodeReader) -> tuple[int, int]:
    return reader.u64(), reader.take(1)[0]


def _read_addresses(reader: BincodeReader) -> tuple[bytes, ...]:
    count = reader.u64()
    if count > NEW_ADDRESSES_MAX:
        raise InstructionFailed("InvalidInstructionData")
    return tuple(reader.take(32) for _ in range(count))


def _read_nothing(_reader: BincodeReader) -> None:
    return None


def _create(invocation: NativeInvocation, args: tuple[int, int]) -> None:
    slot, bump = args
    table, authority, payer = (_account(invocation, index) for index in range(3))
    if not payer.is_signer:
        raise _refuse(invocation, "Payer account must be a signer", "MissingRequiredSignature")
    if slot not in slots_of(invocation.sysvar(SLOT_HASHES_ID)):
        raise _refuse(invocation, f"{slot} is not a recent slot", "InvalidInstructionData")
    seeds = authority.key + slot.to_bytes(8, "little") + bytes([bump])
    address = hashlib.sha256(seeds + invocation.program_id + PDA_MARKER).digest()
    if Pubkey(address).is_on_curve():
        raise _Refused("InvalidSeeds", _INVALID_SEEDS)
    if table.key != address:
        raise _refuse(invocation, f"Table address must match derived address: {Pubkey(address)}", "InvalidArgument")
    if table.account.owner == LOOKUP_TABLE_ID:
        return
    _fund(invocation, payer, table, META_BYTES)
    _account(invocation, 3)
    held = (AccountMeta(table.key, True, True),)
    allocation = struct.pack("<IQ", _SYSTEM_ALLOCATE, META_BYTES)
    invocation.invoke(SYSTEM_PROGRAM_ID, held, allocation, signers=(table.key,))
    assignment = struct.pack("<I32s", _SYSTEM_ASSIGN, invocation.program_id)
    invocation.invoke(SYSTEM_PROGRAM_ID, held, assignment, signers=(table.key,))
    table.account.data = LookupTable(authority=authority.key).data


def _fund(invocation: NativeInvocation, payer: AccountRef, table: AccountRef, size_bytes: int) -> None:
    """Transfer what the table lacks of its rent."""
    missing = rent_exempt_minimum(size_bytes) - table.account.lamports
    if missing > 0:
        metas = (AccountMeta(payer.key, True, True), AccountMeta(table.key, False, True))
        invocation.invoke(SYSTEM_PROGRAM_ID, metas, struct.pack("<IQ", _SYSTEM_TRANSFER, missing))


def _signed_table(invocation: NativeInvocation) -> tuple[AccountRef, bytes]:
    """The table's account and who signs for it."""
    ref = _account(invocation, 0)
    if ref.account.owner != invocation.program_id:
        line = "Lookup table owner should be the Address Lookup Table program"
        raise _refuse(invocation, line, "InvalidAccountOwner")
    authority = _account(invocation, 1)
    if not authority.is_signer:
        raise _refuse(invocation, "Authority account must be a signer", "MissingRequiredSignature")
    return ref, authority.key


def _own_table(invocation: NativeInvocation, ref: AccountRef, authority: bytes, frozen: str) -> LookupTable:
    table = find_lookup_table(ref.account.data)
    if table is None:
        uninitialized = ref.account.data[:4] == bytes(4)
        raise _Refused("UninitializedAccount" if uninitialized else "InvalidAccountData")
    if table.authority is None:
        raise _refuse(invocation, frozen, "Immutable")
    if table.authority != authority:
        raise _refuse(invocation, "Incorrect lookup table authority", "IncorrectAuthority")
    return table


def _freeze(invocation: NativeInvocation, _args: None) -> None:
    ref, authority = _signed_table(invocation)
    table = _own_table(invocation, ref, authority, "Lookup table is already frozen")
    if table.deactivation_slot != NEVER:
        raise _refuse(invocation, "Deactivated tables cannot be frozen", "InvalidArgument")
    if not table.addresses:
        raise _refuse(invocation, "Empty lookup tables cannot be frozen", "InvalidInstructionData")
    ref.account.data = table._replace(authority=None).data


def _extend(invocation: NativeInvocation, added: tuple[bytes, ...]) -> None:
    ref, authority = _signed_table(invocation)
    table = _own_table(invocation, ref, authority, "Lookup table is frozen")
    _check_extension(invocation, table, added)
    slot = invocation.clock.slot
    if slot != table.last_extended_slot:
        table = table._replace(last_extended_slot=slot, last_extended_start=len(table.addresses))
    if not ref.is_writable:
        raise _Refused("ReadonlyDataModified", _READONLY_DATA)
    ref.account.data = table._replace(addresses=table.addresses + added).data
    if ref.account.lamports < rent_exempt_minimum(len(ref.account.data)):
        payer = _account(invocation, 2)
        if not payer.is_signer:
            raise _refuse(invocation, "Payer account must be a signer", "MissingRequiredSignature")
        _account(invocation, 3)
        _fund(invocation, payer, ref, len(ref.account.data))


def _check_extension(invocation: NativeInvocation, table: LookupTable, added: tuple[bytes, ...]) -> None:
    if table.deactivation_slot != NEVER:
        raise _refuse(invocation, "Deactivated tables cannot be extended", "InvalidArgument")
    if len(table.addresses) >= ADDRESSES_MAX:
        line = "Lookup table is full and cannot contain more addresses"
        raise _refuse(invocation, line, "InvalidArgument")
    if not added:
        raise _refuse(invocation, "Must extend with at least one address", "InvalidInstructionData")
    length = len(table.addresses) + len(added)
    if length > ADDRESSES_MAX:
        line = f"Extended lookup table length {length} would exceed max capacity of {ADDRESSES_MAX}"
        raise _refuse(invocation, line, "InvalidInstructionData")


def _deactivate(invocation: NativeInvocation, _args: None) -> None:
    ref, authority = _signed_table(invocation)
    table = _own_table(invocation, ref, authority, "Lookup table is frozen")
    if table.deactivation_slot != NEVER:
        raise _refuse(invocation, "Lookup table is already deactivated", "InvalidArgument")
    ref.account.data = table._replace(deactivation_slot=invocation.clock.slot).data


def _close(invocation: NativeInvocation, _args: None) -> None:
    ref, authority = _signed_table(invocation)
    recipient = _account(invocation, 2)
    if recipient.key == ref.key:
        line = "Lookup table cannot be the recipient of reclaimed lamports"
        raise _refuse(invocation, line, "InvalidArgument")
    table = _own_table(invocation, ref, authority, "Lookup table is frozen")
    _check_closing(invocation, table)
    if not recipient.is_writable:
        raise _Refused("ReadonlyLamportsChanged", _READONLY_LAMPORTS)
    if not ref.is_writable:
        raise _Refused("ReadonlyDataModified", _READONLY_DATA)
    recipient.account.lamports += ref.account.lamports
    ref.account.lamports = 0
    ref.account.data = b""


def _check_closing(invocation: NativeInvocation, table: LookupTable) -> None:
    """A table goes only once no block can refer to it any more: when the slot of its end is no recent one."""
    if table.deactivation_slot == NEVER:
        raise _refuse(invocation, "Lookup table is not deactivated", "InvalidArgument")
    slots = slots_of(invocation.sysvar(SLOT_HASHES_ID))
    remaining = None
    if table.deactivation_slot == invocation.clock.slot:
        remaining = SLOT_HASHES_MAX + 1
    elif table.deactivation_slot in slots:
        remaining = SLOT_HASHES_MAX - slots.index(table.deactivation_slot)
    if remaining is not None:
        line = f"Table cannot be closed until it's fully deactivated in {remaining} blocks"
        raise _refuse(invocation, line, "InvalidArgument")


_INSTRUCTIONS: dict[int, tuple[str, Callable[..., None], Callable[[BincodeReader], object]]] = {
    0: ("CreateLookupTable", _create, _read_creation),
    1: ("FreezeLookupTable", _freeze, _read_nothing),
    2: ("ExtendLookupTable", _extend, _read_addresses),
    3: ("DeactivateLookupTable", _deactivate, _read_nothing),
    4: ("CloseLookupTable", _close, _read_nothing),
}
