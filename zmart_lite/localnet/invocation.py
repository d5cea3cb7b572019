"""Running instructions: what a program may do with its accounts, and the log lines around it.

Compute units: natives cost what they cost on a cluster, the memo programs what was measured. Of zmart-core, whose
bytecode does not run here, they are a deterministic model of plausible size: so much for entering the program, for each
account and byte it is handed, for each log line and each invocation.
"""

import sys
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol

from solders.pubkey import Pubkey

from zmart_lite.localnet.failures import instruction_text
from zmart_lite.localnet.layout import Layout
from zmart_lite.localnet.natives.addresses import PRECOMPILE_IDS
from zmart_lite.localnet.natives.precompiles import verify_precompile
from zmart_lite.localnet.records import InnerInstruction
from zmart_lite.localnet.releases import Release
from zmart_lite.localnet.runtime import (
    Account,
    AccountMeta,
    AccountRef,
    Clock,
    InstructionFailed,
    ProgramEntry,
)

LOG_BYTES_MAX = 10_000
LOG_TRUNCATED = "Log truncated"
STACK_HEIGHT_MAX = 5
INSTRUCTION_TRACE_MAX = 64
DATA_INCREASE_BYTES_MAX = 10_240
"""How much one instruction of a program (the natives excepted) may add to an account's data."""
DATA_GROWTH_BYTES_MAX = 20 * 1024 * 1024
"""How much one transaction may add to the data of all its accounts."""

PROGRAM_ENTRY_UNITS = 3_200
ACCOUNT_UNITS = 900
DATA_BYTES_PER_UNIT = 4
LOG_UNITS = 100
INVOKE_UNITS = 946
SERIALIZED_BYTES_PER_UNIT = 250


@lru_cache(maxsize=64)
def program_text(program_id: bytes) -> str:
    return str(Pubkey(program_id))


class LogCollector:
    """Collects log lines up to a number of bytes; then one marker, and what still fits, as a cluster does."""

    def __init__(self, bytes_max: int | None = LOG_BYTES_MAX) -> None:
        self.lines: list[str] = []
        self._bytes_max = sys.maxsize if bytes_max is None else bytes_max
        self._written = 0
        self._truncated = False

    def write(self, line: str) -> None:
        written = self._written + (len(line) if line.isascii() else len(line.encode()))
        if written < self._bytes_max:
            self._written = written
            # Most lines recur in every transaction of their kind, and the history keeps them all.
            self.lines.append(sys.intern(line))
        elif not self._truncated:
            self._truncated = True
            self.lines.append(LOG_TRUNCATED)


class Snapshot(NamedTuple):
    """An account as it was before somebody could change it."""

    lamports: int
    owner: bytes
    data: bytes
    executable: bool


def snapshot(account: Account) -> Snapshot:
    return Snapshot(account.lamports, account.owner, account.data, account.executable)


class Surroundings(Protocol):
    """What a running instruction needs to know of the chain."""

    @property
    def clock(self) -> Clock: ...

    @property
    def blockhash(self) -> bytes: ...

    @property
    def release(self) -> Release: ...

    def find_program(self, program_id: bytes) -> ProgramEntry | None: ...

    def sysvar(self, key: bytes) -> bytes: ...


@dataclass(slots=True)
class Run:
    """The state one transaction's instructions share."""

    layout: Layout
    surroundings: Surroundings
    accounts: dict[bytes, Account]
    logs: LogCollector
    units_left: int
    stack: list[bytes] = field(default_factory=list)
    inner: list[InnerInstruction] = field(default_factory=list)
    trace_length: int = 0
    grown_bytes: int = 0

    def spend(self, units: int, failure: InstructionFailed | None = None) -> None:
        """Raises ``ComputationalBudgetExceeded``, or ``failure``, once no units are left."""
        if units > self.units_left:
            self.units_left = 0
            raise failure or InstructionFailed("ComputationalBudgetExceeded")
        self.units_left -= units

    def push(self) -> None:
        """Count one more instruction. Raises ``MaxInstructionTraceLengthExceeded``."""
        if self.trace_length >= INSTRUCTION_TRACE_MAX:
            raise InstructionFailed("MaxInstructionTraceLengthExceeded")
        self.trace_length += 1


class Frame:
    """One running instruction; implements :class:`zmart_lite.localnet.runtime.NativeInvocation`."""

    __slots__ = ("_before", "_run", "accounts", "data", "depth", "program_id")

    def __init__(self, run: Run, program_id: bytes, accounts: Sequence[AccountRef], data: bytes, depth: int) -> None:
        self.program_id = program_id
        self.accounts = accounts
        self.data = data
        self.depth = depth
        self._run = run
        self._before: dict[bytes, tuple[AccountRef, Snapshot]] = {}

    @property
    def clock(self) -> Clock:
        return self._run.surroundings.clock

    @property
    def blockhash(self) -> bytes:
        return self._run.surroundings.blockhash

    @property
    def release(self) -> Release:
        return self._run.surroundings.release

    def log(self, text: str) -> None:
        self._run.spend(max(LOG_UNITS, len(text) if text.isascii() else len(text.encode())))
        self._run.logs.write(f"Program log: {text}")

    def log_data(self, payload: bytes) -> None:
        self._run.spend(LOG_UNITS + LOG_UNITS + len(payload))
        self._run.logs.write(f"Program data: {b64encode(payload).decode()}")

    def message(self, text: str) -> None:
        self._run.logs.write(text)

    def sysvar(self, key: bytes) -> bytes:
        return self._run.surroundings.sysvar(key)

    def count_growth(self, size_bytes: int) -> None:
        self._run.grown_bytes += size_bytes
        if self._run.grown_bytes > DATA_GROWTH_BYTES_MAX:
            raise InstructionFailed("MaxAccountsDataAllocationsExceeded")

    def invoke(
        self, program_id: bytes, accounts: Sequence[AccountMeta], data: bytes, signers: Sequence[bytes] = ()
    ) -> None:
        self.check_changes()
        self._run.spend(INVOKE_UNITS + (len(data) + 34 * len(accounts)) // SERIALIZED_BYTES_PER_UNIT)
        refs = self._callee_accounts(accounts, frozenset(signers))
        self._check_callee(program_id)
        self._trace(program_id, refs, data)
        run_instruction(self._run, program_id, refs, data, self.depth + 1)
        self.remember()

    def _callee_accounts(self, metas: Sequence[AccountMeta], signers: frozenset[bytes]) -> tuple[AccountRef, ...]:
        """The callee's references: flags of repeated accounts are joined, and none exceeds what the caller holds."""
        held = _joined_flags((ref.key, ref.is_signer, ref.is_writable) for ref in self.accounts)
        wanted = _joined_flags(metas)
        for key, (is_signer, is_writable) in wanted.items():
            if key not in held:
                self.message(f"Instruction references an unknown account {Pubkey(key)}")
                raise InstructionFailed("MissingAccount")
            may_sign, may_write = held[key]
            if is_writable and not may_write:
                self.message(f"{Pubkey(key)}'s writable privilege escalated")
                raise InstructionFailed("PrivilegeEscalation")
            if is_signer and not may_sign and key not in signers:
                self.message(f"{Pubkey(key)}'s signer privilege escalated")
                raise InstructionFailed("PrivilegeEscalation")
        return tuple(AccountRef(meta.key, *wanted[meta.key], self._run.accounts[meta.key]) for meta in metas)

    def _check_callee(self, program_id: bytes) -> None:
        account = self._run.accounts.get(program_id)
        if account is None or all(ref.key != program_id for ref in self.accounts):
            self.message(f"Unknown program {Pubkey(program_id)}")
            raise InstructionFailed("MissingAccount")
        if not account.executable:
            self.message(f"Account {Pubkey(program_id)} is not executable")
            raise InstructionFailed("AccountNotExecutable")
        stack = self._run.stack
        if program_id in stack and program_id != stack[-1]:
            raise InstructionFailed("ReentrancyNotAllowed")

    def _trace(self, program_id: bytes, refs: Sequence[AccountRef], data: bytes) -> None:
        self._run.push()
        if len(self._run.stack) >= STACK_HEIGHT_MAX:
            raise InstructionFailed("CallDepth")
        place = self._run.layout.keys.index
        indices = bytes(place(ref.key) for ref in refs)
        self._run.inner.append(InnerInstruction(place(program_id), indices, data, self.depth + 1))

    def remember(self) -> None:
        """Take the accounts as they are now for the state that this program's own changes are measured against."""
        self._before = {ref.key: (ref, snapshot(ref.account)) for ref in self.accounts}

    def check_changes(self) -> None:
        """Raise the runtime's error for the first change this program had no right to make."""
        balance = 0
        for ref, before in self._before.values():
            account = ref.account
            balance += account.lamports - before.lamports
            if snapshot(account) != before:
                self._check_change(ref, before)
        if balance:
            raise InstructionFailed("UnbalancedInstruction")

    def _check_change(self, ref: AccountRef, before: Snapshot) -> None:
        account = ref.account
        owned = before.owner == self.program_id
        if account.executable != before.executable:
            raise InstructionFailed("ExecutableModified")
        if account.lamports != before.lamports:
            if account.lamports < before.lamports and not owned:
                raise InstructionFailed("ExternalAccountLamportSpend")
            if not ref.is_writable:
                raise InstructionFailed("ReadonlyLamportChange")
        if account.data != before.data:
            self._check_data(ref, before, owned)
        if account.owner != before.owner and not (owned and ref.is_writable and not any(account.data)):
            raise InstructionFailed("ModifiedProgramId")

    def _check_data(self, ref: AccountRef, before: Snapshot, owned: bool) -> None:
        grown = len(ref.account.data) - len(before.data)
        if grown and not owned:
            raise InstructionFailed("AccountDataSizeChanged")
        if not ref.is_writable:
            raise InstructionFailed("ReadonlyDataModified")
        if not owned:
            raise InstructionFailed("ExternalAccountDataModified")
        if grown > DATA_INCREASE_BYTES_MAX:
            raise InstructionFailed("InvalidRealloc")
        self.count_growth(grown)


def _joined_flags(metas: Iterable[tuple[bytes, bool, bool]]) -> dict[bytes, tuple[bool, bool]]:
    flags: dict[bytes, tuple[bool, bool]] = {}
    for key, is_signer, is_writable in metas:
        known = flags.get(key, (False, False))
        flags[key] = (known[0] or is_signer, known[1] or is_writable)
    return flags


def run_top_level(run: Run, index: int) -> None:
    """Run instruction number ``index`` of the message. Raises :class:`InstructionFailed`."""
    layout = run.layout
    instruction = layout.message.instructions[index]
    run.inner = []
    run.stack.clear()
    run.push()
    program_id, data = layout.keys[instruction.program_id_index], bytes(instruction.data)
    if program_id in PRECOMPILE_IDS:
        # The runtime verifies by itself: no program is entered, nothing is logged, no unit is spent.
        verify_precompile(program_id, data, [bytes(each.data) for each in layout.message.instructions])
        return
    refs = tuple(
        AccountRef(layout.keys[at], at < layout.signers, layout.writable[at], run.accounts[layout.keys[at]])
        for at in bytes(instruction.accounts)
    )
    run_instruction(run, program_id, refs, data, 1)


def run_instruction(run: Run, program_id: bytes, refs: Sequence[AccountRef], data: bytes, depth: int) -> None:
    """Run one instruction with its log lines. Raises :class:`InstructionFailed` after logging the failure."""
    entry = run.surroundings.find_program(program_id)
    name = program_text(program_id)
    units_before = run.units_left
    run.logs.write(f"Program {name} invoke [{depth}]")
    run.stack.append(program_id)
    frame = Frame(run, program_id, refs, data, depth)
    try:
        if entry is None:
            raise InstructionFailed("UnsupportedProgramId")
        _enter(run, entry, frame)
    except InstructionFailed as failure:
        _log_consumed(run, entry, name, units_before)
        run.logs.write(f"Program {name} failed: {instruction_text(failure)}")
        raise
    _log_consumed(run, entry, name, units_before)
    run.logs.write(f"Program {name} success")
    run.stack.pop()


def _enter(run: Run, entry: ProgramEntry, frame: Frame) -> None:
    """Natives are checked at each write, programs in bytecode by what they leave behind."""
    if entry.native_units is not None:
        run.spend(entry.native_units)
        entry.program.process(frame)
        return
    out_of_units = InstructionFailed("ProgramFailedToComplete", text="exceeded CUs meter at BPF instruction")
    run.spend(_entry_units(entry, frame.accounts, frame.data), out_of_units)
    frame.remember()
    entry.program.process(frame)
    frame.check_changes()


def _entry_units(entry: ProgramEntry, refs: Sequence[AccountRef], data: bytes) -> int:
    if entry.entry_units is not None:
        return entry.entry_units(refs, data)
    size = len(data) + sum(len(ref.account.data) for ref in refs)
    return PROGRAM_ENTRY_UNITS + ACCOUNT_UNITS * len(refs) + size // DATA_BYTES_PER_UNIT


def _log_consumed(run: Run, entry: ProgramEntry | None, name: str, units_before: int) -> None:
    if entry is not None and entry.native_units is None:
        run.logs.write(f"Program {name} consumed {units_before - run.units_left} of {units_before} compute units")
