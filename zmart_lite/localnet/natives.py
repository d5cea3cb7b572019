"""The programs besides zmart-core: System, the two memo programs and the compute-budget program.

A wallet, an SDK and zmart-core itself need no others. Error numbers and log lines are those of the cluster's programs.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple, Protocol

from solders.pubkey import Pubkey

from zmart_lite.localnet.runtime import SYSTEM_PROGRAM_ID, AccountRef, InstructionFailed, Invocation

COMPUTE_BUDGET_ID = bytes(Pubkey.from_string("ComputeBudget111111111111111111111111111111"))
MEMO_ID = bytes(Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"))
MEMO_V1_ID = bytes(Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo"))

MAX_ACCOUNT_DATA_BYTES = 10 * 1024 * 1024
MAX_SEED_BYTES = 32

ACCOUNT_ALREADY_IN_USE = 0
RESULT_WITH_NEGATIVE_LAMPORTS = 1
INVALID_ACCOUNT_DATA_LENGTH = 3
ADDRESS_WITH_SEED_MISMATCH = 5


class NativeInvocation(Invocation, Protocol):
    """An invocation that can also write the runtime's own lines, which carry no ``Program log:`` in front."""

    def message(self, text: str) -> None: ...


class Program(Protocol):
    """A program of the devnet: a function of one running instruction."""

    def process(self, invocation: NativeInvocation) -> None: ...


class BincodeReader:
    """Reads bincode, the encoding of System instructions. Raises ``InvalidInstructionData`` where bytes are missing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def take(self, size: int) -> bytes:
        chunk = self._data[self._offset : self._offset + size]
        if len(chunk) != size:
            raise InstructionFailed("InvalidInstructionData")
        self._offset += size
        return chunk

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def text(self) -> bytes:
        raw = self.take(min(self.u64(), len(self._data) + 1))
        try:
            raw.decode()
        except UnicodeDecodeError:
            raise InstructionFailed("InvalidInstructionData") from None
        return raw


class _Address(NamedTuple):
    """An address, and whom to ask for its signature: itself, or the base that it was derived from."""

    key: bytes
    base: bytes | None = None

    def __str__(self) -> str:
        base = "None" if self.base is None else f"Some({Pubkey(self.base)})"
        return f"Address {{ address: {Pubkey(self.key)}, base: {base} }}"


def _seeded(invocation: NativeInvocation, key: bytes, base: bytes, seed: bytes, owner: bytes) -> _Address:
    if len(seed) > MAX_SEED_BYTES:
        raise InstructionFailed("MaxSeedLengthExceeded")
    derived = bytes(Pubkey.create_with_seed(Pubkey(base), seed.decode(), Pubkey(owner)))
    if derived != key:
        invocation.message(f"Create: address {Pubkey(key)} does not match derived address {Pubkey(derived)}")
        raise InstructionFailed("AddressWithSeedMismatch", ADDRESS_WITH_SEED_MISMATCH)
    return _Address(key, base)


def _signed(invocation: NativeInvocation, address: _Address) -> bool:
    wanted = address.key if address.base is None else address.base
    return any(ref.is_signer and ref.key == wanted for ref in invocation.accounts)


def _account(invocation: NativeInvocation, index: int) -> AccountRef:
    if index >= len(invocation.accounts):
        raise InstructionFailed("NotEnoughAccountKeys")
    return invocation.accounts[index]


class SystemProgram:
    """Creates, funds, sizes and hands over accounts. Durable nonces are not part of the devnet."""

    def process(self, invocation: NativeInvocation) -> None:
        reader = BincodeReader(invocation.data)
        handler = _SYSTEM_HANDLERS.get(reader.u32())
        if handler is None:
            raise InstructionFailed("InvalidInstructionData")
        handler(invocation, reader)


def _create_account(invocation: NativeInvocation, reader: BincodeReader) -> None:
    lamports, space, owner = reader.u64(), reader.u64(), reader.take(32)
    source, target = _account(invocation, 0), _account(invocation, 1)
    _create(invocation, source, target, _Address(target.key), (lamports, space, owner))


def _create_account_with_seed(invocation: NativeInvocation, reader: BincodeReader) -> None:
    base, seed, lamports, space, owner = reader.take(32), reader.text(), reader.u64(), reader.u64(), reader.take(32)
    source, target = _account(invocation, 0), _account(invocation, 1)
    _create(invocation, source, target, _seeded(invocation, target.key, base, seed, owner), (lamports, space, owner))


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


def _allocate(invocation: NativeInvocation, target: AccountRef, address: _Address, space: int) -> None:
    if not _signed(invocation, address):
        invocation.message(f"Allocate: 'to' account {address} must sign")
        raise InstructionFailed("MissingRequiredSignature")
    if target.account.data or target.account.owner != SYSTEM_PROGRAM_ID:
        invocation.message(f"Allocate: account {address} already in use")
        raise InstructionFailed("AccountAlreadyInUse", ACCOUNT_ALREADY_IN_USE)
    if space > MAX_ACCOUNT_DATA_BYTES:
        invocation.message(f"Allocate: requested {space}, max allowed {MAX_ACCOUNT_DATA_BYTES}")
        raise InstructionFailed("InvalidAccountDataLength", INVALID_ACCOUNT_DATA_LENGTH)
    target.account.data = bytes(space)


def _assign(invocation: NativeInvocation, target: AccountRef, address: _Address, owner: bytes) -> None:
    if target.account.owner == owner:
        return
    if not _signed(invocation, address):
        invocation.message(f"Assign: account {address} must sign")
        raise InstructionFailed("MissingRequiredSignature")
    target.account.owner = owner


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
    source.account.lamports -= lamports
    if target.account.lamports + lamports >= 1 << 64:
        raise InstructionFailed("ArithmeticOverflow")
    target.account.lamports += lamports


def _assign_instruction(invocation: NativeInvocation, reader: BincodeReader) -> None:
    owner = reader.take(32)
    target = _account(invocation, 0)
    _assign(invocation, target, _Address(target.key), owner)


def _transfer_instruction(invocation: NativeInvocation, reader: BincodeReader) -> None:
    lamports = reader.u64()
    _transfer(invocation, _account(invocation, 0), _account(invocation, 1), lamports)


def _allocate_instruction(invocation: NativeInvocation, reader: BincodeReader) -> None:
    space = reader.u64()
    target = _account(invocation, 0)
    _allocate(invocation, target, _Address(target.key), space)


def _allocate_with_seed(invocation: NativeInvocation, reader: BincodeReader) -> None:
    base, seed, space, owner = reader.take(32), reader.text(), reader.u64(), reader.take(32)
    target = _account(invocation, 0)
    address = _seeded(invocation, target.key, base, seed, owner)
    _allocate(invocation, target, address, space)
    _assign(invocation, target, address, owner)


def _assign_with_seed(invocation: NativeInvocation, reader: BincodeReader) -> None:
    base, seed, owner = reader.take(32), reader.text(), reader.take(32)
    target = _account(invocation, 0)
    _assign(invocation, target, _seeded(invocation, target.key, base, seed, owner), owner)


def _transfer_with_seed(invocation: NativeInvocation, reader: BincodeReader) -> None:
    lamports, seed, owner = reader.u64(), reader.text(), reader.take(32)
    source, base, target = (_account(invocation, index) for index in range(3))
    if not base.is_signer:
        invocation.message(f"Transfer: 'from' account {Pubkey(base.key)} must sign")
        raise InstructionFailed("MissingRequiredSignature")
    _seeded(invocation, source.key, base.key, seed, owner)
    _move(invocation, source, target, lamports)


_SYSTEM_HANDLERS: dict[int, Callable[[NativeInvocation, BincodeReader], None]] = {
    0: _create_account,
    1: _assign_instruction,
    2: _transfer_instruction,
    3: _create_account_with_seed,
    8: _allocate_instruction,
    9: _allocate_with_seed,
    10: _assign_with_seed,
    11: _transfer_with_seed,
}


class MemoProgram:
    """Demands the signature of every account it is given and writes its data, valid UTF-8, to the log."""

    def process(self, invocation: Invocation) -> None:
        missing = False
        for ref in invocation.accounts:
            if ref.is_signer:
                invocation.log(f"Signed by {Pubkey(ref.key)}")
            else:
                missing = True
        if missing:
            raise InstructionFailed("MissingRequiredSignature")
        try:
            text = invocation.data.decode()
        except UnicodeDecodeError as exc:
            invocation.log(f"Invalid UTF-8, from byte {exc.start}")
            raise InstructionFailed("InvalidInstructionData") from None
        invocation.log(f"Memo (len {len(invocation.data)}): {_quoted(text)}")


class MemoProgramV1:
    """The first memo program: checks that its data is UTF-8 and says nothing."""

    def process(self, invocation: Invocation) -> None:
        try:
            invocation.data.decode()
        except UnicodeDecodeError:
            raise InstructionFailed("InvalidInstructionData") from None


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def _quoted(text: str) -> str:
    """Rust's debug form of a string, which is what the memo program prints."""
    return (
        '"'
        + "".join(_ESCAPES.get(char, char if char.isprintable() else f"\\u{{{ord(char):x}}}") for char in text)
        + '"'
    )


class ComputeBudgetProgram:
    """Does nothing when run: the ledger reads its instructions before the transaction starts."""

    def process(self, invocation: Invocation) -> None:
        del invocation


HEAP_FRAME_BYTES_MIN = 32 * 1024
HEAP_FRAME_BYTES_MAX = 256 * 1024
COMPUTE_UNITS_MAX = 1_400_000
MICRO_LAMPORTS = 1_000_000
"""In a lamport."""
LOADED_ACCOUNTS_DATA_BYTES_MAX = 64 * 1024 * 1024
_BUDGET_FORMS = {1: struct.Struct("<xI"), 2: struct.Struct("<xI"), 3: struct.Struct("<xQ"), 4: struct.Struct("<xI")}


class ComputeBudget(NamedTuple):
    """What a transaction asked for. The price is in micro-lamports per unit."""

    unit_limit: int
    unit_price: int
    loaded_data_bytes: int
    fee_lamports: int | None = None
    """The priority fee itself, which version 1 names in place of a price."""

    @property
    def priority_fee_lamports(self) -> int:
        if self.fee_lamports is not None:
            return self.fee_lamports
        return -(-self.unit_limit * self.unit_price // MICRO_LAMPORTS)


class InvalidComputeBudget(Exception):
    """Instruction ``index`` of the compute-budget program is malformed, out of range (``name``) or a repetition."""

    def __init__(self, name: str, index: int) -> None:
        super().__init__(name)
        self.name = name
        self.index = index


def read_budget_instruction(index: int, data: bytes) -> tuple[int, int]:
    """(kind, value) of one compute-budget instruction; kinds: 1 heap, 2 unit limit, 3 unit price, 4 loaded data.

    Raises :class:`InvalidComputeBudget`."""
    form = _BUDGET_FORMS.get(data[0]) if data else None
    if form is None or len(data) < form.size:
        raise InvalidComputeBudget("InvalidInstructionData", index)
    kind, value = data[0], int(form.unpack_from(data)[0])
    if kind == 1 and (value % 1024 or not HEAP_FRAME_BYTES_MIN <= value <= HEAP_FRAME_BYTES_MAX):
        raise InvalidComputeBudget("InvalidInstructionData", index)
    if kind == 4 and value == 0:
        raise InvalidComputeBudget("InvalidLoadedAccountsDataSizeLimit", index)
    return kind, value
