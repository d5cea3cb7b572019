"""What a program on the embedded devnet sees of the runtime that calls it.

The ledger implements :class:`Invocation`; the programs (zmart-core, System, memo, compute budget) are functions of
it. Nothing here does I/O: a program may only read and change the accounts it was handed, write log lines, and invoke
another program.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from zmart_lite.localnet.releases import Release

SYSTEM_PROGRAM_ID = bytes(32)
LAMPORTS_PER_BYTE_YEAR_TWICE = 6_960
ACCOUNT_STORAGE_OVERHEAD_BYTES = 128


def rent_exempt_minimum(space_bytes: int) -> int:
    """Lamports that make an account of ``space_bytes`` of data rent exempt, with the cluster's current parameters."""
    return (ACCOUNT_STORAGE_OVERHEAD_BYTES + space_bytes) * LAMPORTS_PER_BYTE_YEAR_TWICE


@dataclass(slots=True)
class Account:
    """One account of the ledger. ``data`` is immutable bytes and replaced as a whole, so that a shallow copy is a
    snapshot.
    """

    lamports: int = 0
    owner: bytes = SYSTEM_PROGRAM_ID
    data: bytes = b""
    executable: bool = False


@dataclass(slots=True)
class AccountRef:
    """An account as one instruction names it. Two references to the same key share one ``account`` object."""

    key: bytes
    is_signer: bool
    is_writable: bool
    account: Account


class AccountMeta(NamedTuple):
    """How an instruction that a program invokes names one of its accounts."""

    key: bytes
    is_signer: bool
    is_writable: bool


class Clock(NamedTuple):
    """The Clock sysvar: ``unix_timestamp`` in seconds."""

    slot: int
    epoch: int
    unix_timestamp: int


class InstructionFailed(Exception):
    """An instruction ended with an error; the whole transaction is rolled back.

    ``custom`` is the program's own number (``Custom(n)``), or None for one of the runtime's errors, whose name
    (``PrivilegeEscalation``, ``MissingRequiredSignature``, …) is then in ``name``. ``text`` is what the log says, where
    it is not the sentence that belongs to the name.
    """

    def __init__(self, name: str, custom: int | None = None, text: str | None = None) -> None:
        super().__init__(name)
        self.name = name
        self.custom = custom
        self.text = text


class Invocation(Protocol):
    """One running instruction: its inputs and the few things it may ask of the runtime."""

    @property
    def program_id(self) -> bytes: ...

    @property
    def accounts(self) -> Sequence[AccountRef]: ...

    @property
    def data(self) -> bytes: ...

    @property
    def clock(self) -> Clock: ...

    def log(self, text: str) -> None:
        """Write ``Program log: <text>``."""

    def log_data(self, payload: bytes) -> None:
        """Write ``Program data: <base64 of payload>``, what Anchor's ``emit!`` does."""

    def invoke(
        self, program_id: bytes, accounts: Sequence[AccountMeta], data: bytes, signers: Sequence[bytes] = ()
    ) -> None:
        """Call another program. ``signers`` are addresses this program signs for by their seeds (program-derived).

        A signer or writable flag that the caller's own references do not carry, and no seed covers, aborts with
        ``PrivilegeEscalation``. Failures of the callee propagate: the runtime gives a program no way to catch them.
        """


class NativeInvocation(Invocation, Protocol):
    """What the runtime's own programs see besides: log lines without ``Program log:``, and the block."""

    @property
    def blockhash(self) -> bytes:
        """The hash of the last sealed block, from which durable nonces derive."""

    @property
    def release(self) -> Release:
        """The release of the runtime whose rules hold."""

    def message(self, text: str) -> None: ...

    def sysvar(self, key: bytes) -> bytes:
        """The data of a sysvar, whether or not the instruction names its account."""

    def count_growth(self, size_bytes: int) -> None:
        """Note that account data grew by so much (negative: shrank). Raises what is above a transaction's limit."""


class Program(Protocol):
    """A program of the devnet: a function of one running instruction."""

    def process(self, invocation: NativeInvocation) -> None: ...


class ProgramEntry(NamedTuple):
    """A program and how the runtime treats it: natives write no ``consumed`` line and cost a fixed number of units."""

    program: Program
    native_units: int | None = None
    entry_units: Callable[[Sequence[AccountRef], bytes], int] | None = None
    """What a program in bytecode costs besides its log lines, where that was measured; None: a general model."""
