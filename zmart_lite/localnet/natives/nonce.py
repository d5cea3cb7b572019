"""Durable nonces: accounts that keep a value to be used in place of a recent blockhash.

Sources: solana-system-program (system_instruction.rs) for the instructions, solana-nonce for the state,
solana-nonce-account and the bank's check of a transaction's age for what makes a transaction durable.
"""

import hashlib
import struct
from typing import NamedTuple

from solders.pubkey import Pubkey

from zmart_lite.localnet.natives.addresses import RECENT_BLOCKHASHES_ID, RENT_ID
from zmart_lite.localnet.natives.bincode import BincodeReader
from zmart_lite.localnet.natives.writes import require_accounts, set_lamports, set_state, signers_of
from zmart_lite.localnet.runtime import (
    SYSTEM_PROGRAM_ID,
    Account,
    AccountRef,
    InstructionFailed,
    NativeInvocation,
    rent_exempt_minimum,
)

NONCE_BYTES = 80
NONCE_BLOCKHASH_NOT_EXPIRED = 7
LAMPORTS_PER_SIGNATURE = 5_000

_LEGACY, _CURRENT = 0, 1
_UNINITIALIZED, _INITIALIZED = 0, 1
_HEAD = struct.Struct("<II")
_BODY = struct.Struct("<32s32sQ")
_U64_MAX = (1 << 64) - 1


class NonceState(NamedTuple):
    """A nonce account's state. ``authority`` None: not initialized. ``nonce`` is what stands in for a blockhash."""

    version: int
    authority: bytes | None = None
    nonce: bytes = bytes(32)
    lamports_per_signature: int = 0

    @property
    def data(self) -> bytes:
        if self.authority is None:
            return _HEAD.pack(self.version, _UNINITIALIZED)
        body = _BODY.pack(self.authority, self.nonce, self.lamports_per_signature)
        return _HEAD.pack(self.version, _INITIALIZED) + body


def durable_nonce(blockhash: bytes) -> bytes:
    return hashlib.sha256(b"DURABLE_NONCE" + blockhash).digest()


def find_nonce_state(data: bytes) -> NonceState | None:
    """None for data that is no nonce account's."""
    if len(data) < _HEAD.size:
        return None
    version, state = _HEAD.unpack_from(data)
    if version not in (_LEGACY, _CURRENT) or state not in (_UNINITIALIZED, _INITIALIZED):
        return None
    if state == _UNINITIALIZED:
        return NonceState(version)
    return NonceState(version, *_BODY.unpack_from(data, _HEAD.size)) if len(data) >= NONCE_BYTES else None


def _state_of(ref: AccountRef) -> NonceState:
    state = find_nonce_state(ref.account.data)
    if state is None:
        raise InstructionFailed("InvalidAccountData")
    return state


def usable_nonce(account: Account | None, value: bytes) -> NonceState | None:
    """The state of a nonce account that a transaction may name ``value`` of, or None."""
    if account is None or account.owner != SYSTEM_PROGRAM_ID:
        return None
    state = find_nonce_state(account.data)
    if state is None or state.version != _CURRENT or state.authority is None or state.nonce != value:
        return None
    return state


def advanced(account: Account, blockhash: bytes) -> Account:
    """The nonce account as a failed transaction leaves it: it has the next nonce all the same."""
    state = find_nonce_state(account.data)
    assert state is not None  # noqa: S101 - usable_nonce() was asked before
    following = NonceState(_CURRENT, state.authority, durable_nonce(blockhash), LAMPORTS_PER_SIGNATURE).data
    return Account(account.lamports, account.owner, following + account.data[len(following) :], account.executable)


def _require_sysvar(invocation: NativeInvocation, index: int, key: bytes) -> None:
    require_accounts(invocation, index + 1)
    if invocation.accounts[index].key != key:
        raise InstructionFailed("InvalidArgument")


def _require_writable(invocation: NativeInvocation, what: str) -> AccountRef:
    ref = invocation.accounts[0]
    if not ref.is_writable:
        invocation.message(f"{what} nonce account: Account {Pubkey(ref.key)} must be writeable")
        raise InstructionFailed("InvalidArgument")
    return ref


def _require_signer(invocation: NativeInvocation, key: bytes, line: str) -> None:
    if key not in signers_of(invocation):
        invocation.message(line)
        raise InstructionFailed("MissingRequiredSignature")


def _not_expired(invocation: NativeInvocation, what: str) -> InstructionFailed:
    invocation.message(f"{what} nonce account: nonce can only advance once per slot")
    return InstructionFailed("NonceBlockhashNotExpired", NONCE_BLOCKHASH_NOT_EXPIRED)


def _invalid_state(invocation: NativeInvocation, what: str, ref: AccountRef) -> InstructionFailed:
    invocation.message(f"{what} nonce account: Account {Pubkey(ref.key)} state is invalid")
    return InstructionFailed("InvalidAccountData")


def _insufficient(invocation: NativeInvocation, what: str, held: int, needed: int) -> InstructionFailed:
    invocation.message(f"{what} nonce account: insufficient lamports {held}, need {needed}")
    return InstructionFailed("InsufficientFunds")


def _renew(invocation: NativeInvocation, ref: AccountRef, authority: bytes) -> None:
    nonce = durable_nonce(invocation.blockhash)
    set_state(invocation, ref, NonceState(_CURRENT, authority, nonce, LAMPORTS_PER_SIGNATURE).data)


def advance(invocation: NativeInvocation, _reader: BincodeReader) -> None:
    require_accounts(invocation, 1)
    _require_sysvar(invocation, 1, RECENT_BLOCKHASHES_ID)
    ref = _require_writable(invocation, "Advance")
    state = _state_of(ref)
    if state.authority is None:
        raise _invalid_state(invocation, "Advance", ref)
    line = f"Advance nonce account: Account {Pubkey(state.authority)} must be a signer"
    _require_signer(invocation, state.authority, line)
    if state.nonce == durable_nonce(invocation.blockhash):
        raise _not_expired(invocation, "Advance")
    _renew(invocation, ref, state.authority)


def withdraw(invocation: NativeInvocation, reader: BincodeReader) -> None:
    lamports = reader.u64()
    require_accounts(invocation, 2)
    _require_sysvar(invocation, 2, RECENT_BLOCKHASHES_ID)
    _require_sysvar(invocation, 3, RENT_ID)
    source, target = _require_writable(invocation, "Withdraw"), invocation.accounts[1]
    state = _state_of(source)
    held = source.account.lamports
    if state.authority is None:
        if lamports > held:
            raise _insufficient(invocation, "Withdraw", held, lamports)
        _require_signer(invocation, source.key, f"Withdraw nonce account: Account {Pubkey(source.key)} must sign")
    else:
        _check_withdrawal(invocation, source, state.authority, lamports)
        if lamports == held:
            set_state(invocation, source, NonceState(_CURRENT).data)
    set_lamports(invocation, source, held - lamports)
    set_lamports(invocation, target, target.account.lamports + lamports)


def _check_withdrawal(invocation: NativeInvocation, source: AccountRef, authority: bytes, lamports: int) -> None:
    """All of it only once the nonce is out of date, otherwise not below the account's rent minimum."""
    held = source.account.lamports
    if lamports == held:
        if _state_of(source).nonce == durable_nonce(invocation.blockhash):
            raise _not_expired(invocation, "Withdraw")
    else:
        needed = lamports + rent_exempt_minimum(len(source.account.data))
        if needed > _U64_MAX:
            raise InstructionFailed("InsufficientFunds")
        if needed > held:
            raise _insufficient(invocation, "Withdraw", held, needed)
    _require_signer(invocation, authority, f"Withdraw nonce account: Account {Pubkey(authority)} must sign")


def initialize(invocation: NativeInvocation, reader: BincodeReader) -> None:
    authority = reader.take(32)
    require_accounts(invocation, 1)
    _require_sysvar(invocation, 1, RECENT_BLOCKHASHES_ID)
    _require_sysvar(invocation, 2, RENT_ID)
    ref = _require_writable(invocation, "Initialize")
    if _state_of(ref).authority is not None:
        raise _invalid_state(invocation, "Initialize", ref)
    needed = rent_exempt_minimum(len(ref.account.data))
    if ref.account.lamports < needed:
        raise _insufficient(invocation, "Initialize", ref.account.lamports, needed)
    _renew(invocation, ref, authority)


def authorize(invocation: NativeInvocation, reader: BincodeReader) -> None:
    authority = reader.take(32)
    require_accounts(invocation, 1)
    ref = _require_writable(invocation, "Authorize")
    state = _state_of(ref)
    if state.authority is None:
        raise _invalid_state(invocation, "Authorize", ref)
    line = f"Authorize nonce account: Account {Pubkey(state.authority)} must sign"
    _require_signer(invocation, state.authority, line)
    set_state(invocation, ref, state._replace(authority=authority).data)


def upgrade(invocation: NativeInvocation, _reader: BincodeReader) -> None:
    """From the first version, whose value could be taken for a blockhash."""
    require_accounts(invocation, 1)
    ref = invocation.accounts[0]
    if ref.account.owner != SYSTEM_PROGRAM_ID:
        raise InstructionFailed("InvalidAccountOwner")
    if not ref.is_writable:
        raise InstructionFailed("InvalidArgument")
    state = _state_of(ref)
    if state.version != _LEGACY or state.authority is None:
        raise InstructionFailed("InvalidArgument")
    set_state(invocation, ref, state._replace(version=_CURRENT, nonce=durable_nonce(state.nonce)).data)
