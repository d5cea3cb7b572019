"""The System program (solana-system-program, system_processor.rs): error numbers and log lines are the original's."""

from collections.abc import Callable
from typing import NamedTuple

from solders.pubkey import Pubkey

from zmart_lite.localnet.natives import nonce
from zmart_lite.localnet.natives.bincode import BincodeReader
from zmart_lite.localnet.natives.writes import (
    ACCOUNT_DATA_BYTES_MAX,
    require_accounts,
    set_data,
    set_lamports,
    set_owner,
    signers_of,
)
from zmart_lite.localnet.runtime import SYSTEM_PROGRAM_ID, AccountRef, InstructionFailed, NativeInvocation

SYSTEM_UNITS = 150
MAX_SEED_BYTES = 32
PDA_MARKER = b"ProgramDerivedAddress"

ACCOUNT_ALREADY_IN_USE = 0
RESULT_WITH_NEGATIVE_LAMPORTS = 1
INVALID_ACCOUNT_DATA_LENGTH = 3
ADDRESS_WITH_SEED_MISMATCH = 5

# An address that cannot be derived ends as the number of PubkeyError in place of a SystemError, on clusters as well.
SEED_TOO_LONG = 0
ILLEGAL_OWNER = 2


class _Address(NamedTuple):
    """An address, and whom to ask for its signature: itself, or the base that it was derived from."""

    key: bytes
    base: bytes | None = None

    def __str__(self) -> str:
        base = "None" if self.base is None else f"Some({Pubkey(self.base)})"
        return f"Address {{ address: {Pubkey(self.key)}, base: {base} }}"

    def has_signed(self, invocation: NativeInvocation) -> bool:
        return (self.key if self.base is None else self.base) in signers_of(invocation)


def _derive(base: bytes, seed: bytes, owner: bytes) -> bytes:
    if len(seed) > MAX_SEED_BYTES:
        raise InstructionFailed("MaxSeedLengthExceeded", SEED_TOO_LONG)
    if owner.endswith(PDA_MARKER):
        raise InstructionFailed("IllegalOwner", ILLEGAL_OWNER)
    return bytes(Pubkey.create_with_seed(Pubkey(base), seed.decode(), Pubkey(owner)))


def _check_derived(invocation: NativeInvocation, who: str, key: bytes, derived: bytes) -> None:
    if derived != key:
        invocation.message(f"{who} {Pubkey(key)} does not match derived address {Pubkey(derived)}")
        raise InstructionFailed("AddressWithSeedMismatch", ADDRESS_WITH_SEED_MISMATCH)


def _seeded(invocation: NativeInvocation, key: bytes, base: bytes, seed: bytes, owner: bytes) -> _Address:
    _check_derived(invocation, "Create: address", key, _derive(base, seed, owner))
    return _Address(key, base)


class SystemProgram:
    """Creates, funds, sizes and hands over accounts, and keeps durable nonces."""

    def process(self, invocation: NativeInvocation) -> None:
        reader = BincodeReader(invocation.data)
        handler = _HANDLERS.get(reader.u32())
        if handler is None:
            raise InstructionFailed("InvalidInstructionData")
        handler(invocation, reader)


def _create_account(invocation: NativeInvocation, reader: BincodeReader) -> None:
    terms = (reader.u64(), reader.u64(), reader.take(32))
    require_accounts(invocation, 2)
    source, target = invocation.accounts[:2]
    _create(invocation, source, target, _Address(target.key), terms)


def _create_account_with_seed(invocation: NativeInvocation, reader: BincodeReader) -> None:
    base, seed = reader.take(32), reader.text()
    lamports, space, owner = reader.u64(), reader.u64(), reader.take(32)
    require_accounts(invocation, 2)
    source, target = invocation.accounts[:2]
    address = _seeded(invocation, target.key, base, seed, owner)
    _create(invocation, source, target, address, (lamports, space, owner))


def _create(
    invocation: NativeInvocation,
    source: AccountRef,
    target: AccountRef,
    address: _Address,
    terms: tuple[int, int, bytes],
) -> None:
    lamports, space, owner = terms
    if target.account.lamports > 0:
        invocation.message(f"Create Account: account {address} already in use")
        raise InstructionFailed("AccountAlreadyInUse", ACCOUNT_ALREADY_IN_USE)
    _allocate(invocation, target, address, space)
    _assign(invocation, target, address, owner)
    _transfer(invocation, source, target, lamports)


def _create_account_allow_prefund(invocation: NativeInvocation, reader: BincodeReader) -> None:
    """As ``CreateAccount``, for an address that may hold lamports already (SIMD-312); the payer comes second."""
    lamports, space, owner = reader.u64(), reader.u64(), reader.take(32)
    require_accounts(invocation, 2 if lamports else 1)
    target = invocation.accounts[0]
    _allocate(invocation, target, _Address(target.key), space)
    _assign(invocation, target, _Address(target.key), owner)
    if lamports:
        _transfer(invocation, invocation.accounts[1], target, lamports)


def _allocate(invocation: NativeInvocation, target: AccountRef, address: _Address, space: int) -> None:
    if not address.has_signed(invocation):
        invocation.message(f"Allocate: 'to' account {address} must sign")
        raise InstructionFailed("MissingRequiredSignature")
    if target.account.data or target.account.owner != SYSTEM_PROGRAM_ID:
        invocation.message(f"Allocate: account {address} already in use")
        raise InstructionFailed("AccountAlreadyInUse", ACCOUNT_ALREADY_IN_USE)
    if space > ACCOUNT_DATA_BYTES_MAX:
        invocation.message(f"Allocate: requested {space}, max allowed {ACCOUNT_DATA_BYTES_MAX}")
        raise InstructionFailed("InvalidAccountDataLength", INVALID_ACCOUNT_DATA_LENGTH)
    set_data(invocation, target, bytes(space))


def _assign(invocation: NativeInvocation, target: AccountRef, address: _Address, owner: bytes) -> None:
    if target.account.owner == owner:
        return
    if not address.has_signed(invocation):
        invocation.message(f"Assign: account {address} must sign")
        raise InstructionFailed("MissingRequiredSignature")
    set_owner(invocation, target, owner)


def _transfer(invocation: NativeInvocation, source: AccountRef, target: AccountRef, lamports: int) -> None:
    if not source.is_signer:
        invocation.message(f"Transfer: `from` account {Pubkey(source.key)} must sign")
        raise InstructionFailed("MissingRequiredSignature")
    _move(invocation, source, target, lamports)


def _move(invocation: NativeInvocation, source: AccountRef, target: AccountRef, lamports: int) -> None:
    if source.account.data:
        invocation.message("Transfer: `from` must not carry data")
        raise InstructionFailed("InvalidArgument")
    if lamports > source.account.lamports:
        invocation.message(f"Transfer: insufficient lamports {source.account.lamports}, need {lamports}")
        raise InstructionFailed("ResultWithNegativeLamports", RESULT_WITH_NEGATIVE_LAMPORTS)
    set_lamports(invocation, source, source.account.lamports - lamports)
    set_lamports(invocation, target, target.account.lamports + lamports)


def _assign_instruction(invocation: NativeInvocation, reader: BincodeReader) -> None:
    owner = reader.take(32)
    require_accounts(invocation, 1)
    target = invocation.accounts[0]
    _assign(invocation, target, _Address(target.key), owner)


def _transfer_instruction(invocation: NativeInvocation, reader: BincodeReader) -> None:
    lamports = reader.u64()
    require_accounts(invocation, 2)
    _transfer(invocation, invocation.accounts[0], invocation.accounts[1], lamports)


def _allocate_instruction(invocation: NativeInvocation, reader: BincodeReader) -> None:
    space = reader.u64()
    require_accounts(invocation, 1)
    target = invocation.accounts[0]
    _allocate(invocation, target, _Address(target.key), space)


def _allocate_with_seed(invocation: NativeInvocation, reader: BincodeReader) -> None:
    base, seed, space, owner = reader.take(32), reader.text(), reader.u64(), reader.take(32)
    require_accounts(invocation, 1)
    target = invocation.accounts[0]
    address = _seeded(invocation, target.key, base, seed, owner)
    _allocate(invocation, target, address, space)
    _assign(invocation, target, address, owner)


def _assign_with_seed(invocation: NativeInvocation, reader: BincodeReader) -> None:
    base, seed, owner = reader.take(32), reader.text(), reader.take(32)
    require_accounts(invocation, 1)
    target = invocation.accounts[0]
    _assign(invocation, target, _seeded(invocation, target.key, base, seed, owner), owner)


def _transfer_with_seed(invocation: NativeInvocation, reader: BincodeReader) -> None:
    lamports, seed, owner = reader.u64(), reader.text(), reader.take(32)
    require_accounts(invocation, 3)
    source, base, target = invocation.accounts[:3]
    if not base.is_signer:
        invocation.message(f"Transfer: 'from' account {Pubkey(base.key)} must sign")
        raise InstructionFailed("MissingRequiredSignature")
    _check_derived(invocation, "Transfer: 'from' address", source.key, _derive(base.key, seed, owner))
    _move(invocation, source, target, lamports)


_HANDLERS: dict[int, Callable[[NativeInvocation, BincodeReader], None]] = {
    0: _create_account,
    1: _assign_instruction,
    2: _transfer_instruction,
    3: _create_account_with_seed,
    4: nonce.advance,
    5: nonce.withdraw,
    6: nonce.initialize,
    7: nonce.authorize,
    8: _allocate_instruction,
    9: _allocate_with_seed,
    10: _assign_with_seed,
    11: _transfer_with_seed,
    12: nonce.upgrade,
    13: _create_account_allow_prefund,
}
