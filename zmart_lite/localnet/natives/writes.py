"""How the runtime's own programs look at their accounts and write to them.

A program in bytecode is judged by what its accounts were before and after it ran; a native one is judged at each write,
also at one that changes nothing (solana-transaction-context, instruction_accounts.rs).
"""

from zmart_lite.localnet.runtime import AccountRef, InstructionFailed, NativeInvocation

ACCOUNT_DATA_BYTES_MAX = 10 * 1024 * 1024
U64_MAX = (1 << 64) - 1


def require_accounts(invocation: NativeInvocation, count: int) -> None:
    """Raises the release's error for an instruction that names fewer accounts."""
    if len(invocation.accounts) < count:
        raise InstructionFailed("MissingAccount" if invocation.release.has(4, 0) else "NotEnoughAccountKeys")


def signers_of(invocation: NativeInvocation) -> frozenset[bytes]:
    return frozenset(ref.key for ref in invocation.accounts if ref.is_signer)


def set_lamports(invocation: NativeInvocation, ref: AccountRef, lamports: int) -> None:
    """Raises ``ExternalAccountLamportSpend``, ``ReadonlyLamportChange``, ``ArithmeticOverflow``."""
    if not 0 <= lamports <= U64_MAX:
        raise InstructionFailed("ArithmeticOverflow")
    if ref.account.owner != invocation.program_id and lamports < ref.account.lamports:
        raise InstructionFailed("ExternalAccountLamportSpend")
    if not ref.is_writable:
        raise InstructionFailed("ReadonlyLamportChange")
    ref.account.lamports = lamports


def set_owner(invocation: NativeInvocation, ref: AccountRef, owner: bytes) -> None:
    """Raises ``ModifiedProgramId`` unless the program owns the account, may write to it, and it holds only zeros."""
    if ref.account.owner != invocation.program_id or not ref.is_writable or any(ref.account.data):
        raise InstructionFailed("ModifiedProgramId")
    ref.account.owner = owner


def set_data(invocation: NativeInvocation, ref: AccountRef, data: bytes) -> None:
    """Raises ``ReadonlyDataModified``, ``ExternalAccountDataModified``, and for another length as the runtime does."""
    owned = ref.account.owner == invocation.program_id
    grown = len(data) - len(ref.account.data)
    if grown:
        if not owned:
            raise InstructionFailed("AccountDataSizeChanged")
        if len(data) > ACCOUNT_DATA_BYTES_MAX:
            raise InstructionFailed("InvalidRealloc")
        invocation.count_growth(grown)
    if not ref.is_writable:
        raise InstructionFailed("ReadonlyDataModified")
    if not owned:
        raise InstructionFailed("ExternalAccountDataModified")
    ref.account.data = data


def set_state(invocation: NativeInvocation, ref: AccountRef, state: bytes) -> None:
    """Overwrite the first bytes of the data. Raises ``AccountDataTooSmall``, and what :func:`set_data` does."""
    if len(state) > len(ref.account.data):
        set_data(invocation, ref, ref.account.data)
        raise InstructionFailed("AccountDataTooSmall")
    set_data(invocation, ref, state + ref.account.data[len(state) :])
