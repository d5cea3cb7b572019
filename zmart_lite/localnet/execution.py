"""One transaction as the runtime executes it: a function of the accounts it names, the clock and the programs.

Nothing here touches the ledger: :func:`execute` loads copies, runs the instructions with all checks of the runtime, and
returns what changed, the logs and the outcome. The ledger decides whether to keep it (a block) or not (a simulation).

Compute units follow a deterministic model of plausible size, not the cluster's metering: so much for entering a
program, for each account and byte it is handed, for each log line and each invocation.
"""

import sys
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from solders.pubkey import Pubkey

from zmart_lite.localnet import natives
from zmart_lite.localnet.failures import TransactionRefused, instruction_err, instruction_text
from zmart_lite.localnet.records import InnerInstruction, InnerInstructions, TransactionErr, TransactionMeta
from zmart_lite.localnet.runtime import (
    SYSTEM_PROGRAM_ID,
    Account,
    AccountMeta,
    AccountRef,
    Clock,
    InstructionFailed,
    rent_exempt_minimum,
)
from zmart_lite.localnet.transactions import AnyMessage, MessageV1, Transaction, TransactionConfig

LAMPORTS_PER_SIGNATURE = 5_000
LOG_BYTES_MAX = 10_000
LOG_TRUNCATED = "Log truncated"
STACK_HEIGHT_MAX = 5
INSTRUCTION_TRACE_MAX = 64
LOADED_ACCOUNT_BYTES = 64
U64_MAX = (1 << 64) - 1
DEFAULT_INSTRUCTION_UNITS = 200_000
DEFAULT_NATIVE_INSTRUCTION_UNITS = 3_000
DATA_INCREASE_BYTES_MAX = 10_240
"""How much one instruction of a program (the natives excepted) may add to an account's data."""

PROGRAM_ENTRY_UNITS = 3_200
ACCOUNT_UNITS = 900
DATA_BYTES_PER_UNIT = 4
SYSTEM_UNITS = 150
LOG_UNITS = 100
INVOKE_UNITS = 946
SERIALIZED_BYTES_PER_UNIT = 250

_RESERVED_NAMES = (
    "SysvarC1ock11111111111111111111111111111111",
    "SysvarEpochSchedu1e111111111111111111111111",
    "SysvarFees111111111111111111111111111111111",
    "Sysvar1nstructions1111111111111111111111111",
    "SysvarRecentB1ockHashes11111111111111111111",
    "SysvarRent111111111111111111111111111111111",
    "SysvarRewards111111111111111111111111111111",
    "SysvarS1otHashes111111111111111111111111111",
    "SysvarS1otHistory11111111111111111111111111",
    "SysvarStakeHistory1111111111111111111111111",
    "SysvarEpochRewards1111111111111111111111111",
    "SysvarLastRestartS1ot1111111111111111111111",
    "BPFLoader1111111111111111111111111111111111",
    "BPFLoader2111111111111111111111111111111111",
    "BPFLoaderUpgradeab1e11111111111111111111111",
    "NativeLoader1111111111111111111111111111111",
    "ComputeBudget111111111111111111111111111111",
    "Vote111111111111111111111111111111111111111",
    "Stake11111111111111111111111111111111111111",
    "Config1111111111111111111111111111111111111",
    "Feature111111111111111111111111111111111111",
)
RESERVED_KEYS = frozenset([SYSTEM_PROGRAM_ID, *(bytes(Pubkey.from_string(name)) for name in _RESERVED_NAMES)])
"""Addresses no transaction may lock for writing; a writable flag on them is ignored."""


@lru_cache(maxsize=64)
def program_text(program_id: bytes) -> str:
    return str(Pubkey(program_id))


class ProgramEntry(NamedTuple):
    """A program and how the runtime treats it: natives write no ``consumed`` line and cost a fixed number of units."""

    program: natives.Program
    native_units: int | None = None


class LogCollector:
    """Collects log lines up to a number of bytes; then one marker, and what still fits, as a cluster does."""

    def __init__(self, bytes_max: int = LOG_BYTES_MAX) -> None:
        self.lines: list[str] = []
        self._bytes_max = bytes_max
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


class Environment(NamedTuple):
    """All that a transaction's outcome depends on besides itself."""

    load: Callable[[bytes], Account | None]
    clock: Clock
    programs: Mapping[bytes, ProgramEntry]
    log_bytes_max: int = LOG_BYTES_MAX


@dataclass(slots=True)
class Outcome:
    """What a transaction did. ``changes`` holds the new version of every account that changed, by the fee too."""

    meta: TransactionMeta
    account_keys: tuple[bytes, ...]
    changes: dict[bytes, Account]
    accounts: Mapping[bytes, Account]


class _Snapshot(NamedTuple):
    lamports: int
    owner: bytes
    data: bytes
    executable: bool


def _snapshot(account: Account) -> _Snapshot:
    return _Snapshot(account.lamports, account.owner, account.data, account.executable)


@dataclass(slots=True)
class Layout:
    """A message with the privileges of its keys worked out."""

    message: AnyMessage
    keys: tuple[bytes, ...]
    signers: int
    writable: tuple[bool, ...]
    invoked: frozenset[int]


def lay_out(message: AnyMessage) -> Layout:
    keys = tuple(bytes(key) for key in message.account_keys)
    header = message.header
    signers = header.num_required_signatures
    first_readonly_signer = signers - header.num_readonly_signed_accounts
    first_readonly = len(keys) - header.num_readonly_unsigned_accounts
    invoked = frozenset(instruction.program_id_index for instruction in message.instructions)
    writable = tuple(
        (index < first_readonly_signer if index < signers else index < first_readonly)
        and key not in RESERVED_KEYS
        and index not in invoked
        for index, key in enumerate(keys)
    )
    return Layout(message, keys, signers, writable, invoked)


def fee_lamports(signatures: int, budget: natives.ComputeBudget) -> int:
    return signatures * LAMPORTS_PER_SIGNATURE + budget.priority_fee_lamports


def compute_budget(layout: Layout, programs: Mapping[bytes, ProgramEntry]) -> natives.ComputeBudget:
    """What the transaction asks for, in its message or by compute-budget instructions.

    Raises :class:`TransactionRefused`.
    """
    if isinstance(layout.message, MessageV1):
        return _budget_of_config(layout.message.config)
    asked: dict[int, int] = {}
    default_units = 0
    for index, instruction in enumerate(layout.message.instructions):
        program_id = layout.keys[instruction.program_id_index]
        entry = programs.get(program_id)
        native = entry is not None and entry.native_units is not None
        default_units += DEFAULT_NATIVE_INSTRUCTION_UNITS if native else DEFAULT_INSTRUCTION_UNITS
        if program_id == natives.COMPUTE_BUDGET_ID:
            kind, value = _budget_request(index, bytes(instruction.data))
            if kind in asked:
                raise TransactionRefused({"DuplicateInstruction": index})
            asked[kind] = value
    return natives.ComputeBudget(
        min(asked.get(2, default_units), natives.COMPUTE_UNITS_MAX),
        asked.get(3, 0),
        min(asked.get(4, natives.LOADED_ACCOUNTS_DATA_BYTES_MAX), natives.LOADED_ACCOUNTS_DATA_BYTES_MAX),
    )


def _budget_of_config(config: TransactionConfig) -> natives.ComputeBudget:
    """Version 1 ignores compute-budget instructions, and what its config does not name is the least there is."""
    units = min(config.compute_unit_limit or 0, natives.COMPUTE_UNITS_MAX)
    fee = config.priority_fee_lamports or 0
    price = min(fee * natives.MICRO_LAMPORTS // units, U64_MAX) if units else 0
    loaded = min(config.loaded_data_bytes or 0, natives.LOADED_ACCOUNTS_DATA_BYTES_MAX)
    return natives.ComputeBudget(units, price, loaded, fee)


def _budget_request(index: int, data: bytes) -> tuple[int, int]:
    try:
        return natives.read_budget_instruction(index, data)
    except natives.InvalidComputeBudget as exc:
        if exc.name == "InvalidInstructionData":
            raise TransactionRefused({"InstructionError": [exc.index, exc.name]}) from None
        raise TransactionRefused(exc.name) from None


@dataclass(slots=True)
class _Run:
    """The state one transaction's instructions share."""

    layout: Layout
    environment: Environment
    accounts: dict[bytes, Account]
    logs: LogCollector
    units_left: int
    stack: list[bytes] = field(default_factory=list)
    inner: list[InnerInstruction] = field(default_factory=list)
    trace_length: int = 0

    def spend(self, units: int) -> None:
        if units > self.units_left:
            self.units_left = 0
            raise InstructionFailed("ComputationalBudgetExceeded")
        self.units_left -= units


class Frame:
    """One running instruction; implements :class:`zmart_lite.localnet.natives.NativeInvocation`."""

    __slots__ = ("_before", "_run", "accounts", "data", "depth", "program_id")

    def __init__(self, run: _Run, program_id: bytes, accounts: Sequence[AccountRef], data: bytes, depth: int) -> None:
        self.program_id = program_id
        self.accounts = accounts
        self.data = data
        self.depth = depth
        self._run = run
        self._before: dict[bytes, tuple[AccountRef, _Snapshot]] = {}
        self.remember()

    @property
    def clock(self) -> Clock:
        return self._run.environment.clock

    def log(self, text: str) -> None:
        self._run.spend(max(LOG_UNITS, len(text)))
        self._run.logs.write(f"Program log: {text}")

    def log_data(self, payload: bytes) -> None:
        self._run.spend(LOG_UNITS + LOG_UNITS + len(payload))
        self._run.logs.write(f"Program data: {b64encode(payload).decode()}")

    def message(self, text: str) -> None:
        self._run.logs.write(text)

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
        if account is None:
            self.message(f"Unknown program {Pubkey(program_id)}")
            raise InstructionFailed("MissingAccount")
        if not account.executable:
            self.message(f"Account {Pubkey(program_id)} is not executable")
            raise InstructionFailed("AccountNotExecutable")
        stack = self._run.stack
        if program_id in stack and program_id != stack[-1]:
            raise InstructionFailed("ReentrancyNotAllowed")
        if len(stack) >= STACK_HEIGHT_MAX:
            raise InstructionFailed("CallDepth")

    def _trace(self, program_id: bytes, refs: Sequence[AccountRef], data: bytes) -> None:
        self._run.trace_length += 1
        if self._run.trace_length > INSTRUCTION_TRACE_MAX:
            raise InstructionFailed("MaxInstructionTraceLengthExceeded")
        place = self._run.layout.keys.index
        indices = bytes(place(ref.key) for ref in refs)
        self._run.inner.append(InnerInstruction(place(program_id), indices, data, self.depth + 1))

    def remember(self) -> None:
        """Take the accounts as they are now for the state that this program's own changes are measured against."""
        self._before = {ref.key: (ref, _snapshot(ref.account)) for ref in self.accounts}

    def check_changes(self) -> None:
        """Raise the runtime's error for the first change this program had no right to make."""
        balance = 0
        for ref, before in self._before.values():
            account = ref.account
            balance += account.lamports - before.lamports
            if _snapshot(account) != before:
                self._check_change(ref, before)
        if balance:
            raise InstructionFailed("UnbalancedInstruction")

    def _check_change(self, ref: AccountRef, before: _Snapshot) -> None:
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

    def _check_data(self, ref: AccountRef, before: _Snapshot, owned: bool) -> None:
        grown = len(ref.account.data) - len(before.data)
        if grown and not owned:
            raise InstructionFailed("AccountDataSizeChanged")
        if not ref.is_writable:
            raise InstructionFailed("ReadonlyDataModified")
        if not owned:
            raise InstructionFailed("ExternalAccountDataModified")
        entry = self._run.environment.programs[self.program_id]
        if grown > DATA_INCREASE_BYTES_MAX and entry.native_units is None:
            raise InstructionFailed("InvalidRealloc")


def _joined_flags(metas: Iterable[tuple[bytes, bool, bool]]) -> dict[bytes, tuple[bool, bool]]:
    flags: dict[bytes, tuple[bool, bool]] = {}
    for key, is_signer, is_writable in metas:
        known = flags.get(key, (False, False))
        flags[key] = (known[0] or is_signer, known[1] or is_writable)
    return flags


def run_instruction(run: _Run, program_id: bytes, refs: Sequence[AccountRef], data: bytes, depth: int) -> None:
    """Run one instruction with its log lines. Raises :class:`InstructionFailed` after logging the failure."""
    entry = run.environment.programs[program_id]
    name = program_text(program_id)
    units_before = run.units_left
    run.logs.write(f"Program {name} invoke [{depth}]")
    run.stack.append(program_id)
    frame = Frame(run, program_id, refs, data, depth)
    try:
        run.spend(_entry_units(entry, refs, data))
        entry.program.process(frame)
        frame.check_changes()
    except InstructionFailed as failure:
        _log_consumed(run, entry, name, units_before)
        run.logs.write(f"Program {name} failed: {instruction_text(failure)}")
        raise
    _log_consumed(run, entry, name, units_before)
    run.logs.write(f"Program {name} success")
    run.stack.pop()


def _entry_units(entry: ProgramEntry, refs: Sequence[AccountRef], data: bytes) -> int:
    if entry.native_units is not None:
        return entry.native_units
    size = len(data) + sum(len(ref.account.data) for ref in refs)
    return PROGRAM_ENTRY_UNITS + ACCOUNT_UNITS * len(refs) + size // DATA_BYTES_PER_UNIT


def _log_consumed(run: _Run, entry: ProgramEntry, name: str, units_before: int) -> None:
    if entry.native_units is None:
        run.logs.write(f"Program {name} consumed {units_before - run.units_left} of {units_before} compute units")


def execute(transaction: Transaction, environment: Environment) -> Outcome:
    """Run a transaction whose form, signatures and blockhash were already checked.

    Raises :class:`TransactionRefused` where the cluster would not even charge the fee.
    """
    layout = lay_out(transaction.message)
    budget = compute_budget(layout, environment.programs)
    accounts = _load(layout.keys, environment)
    pre_balances = tuple(accounts[key].lamports for key in layout.keys)
    before = {key: _snapshot(accounts[key]) for key in layout.keys}
    fee = fee_lamports(layout.signers, budget)
    _charge_fee(accounts[layout.keys[0]], fee)
    run = _Run(layout, environment, accounts, LogCollector(environment.log_bytes_max), budget.unit_limit)
    inner: list[InnerInstructions] = []
    err = _check_loaded(layout, accounts, budget, environment.programs) or _run_all(run, inner)
    if err is None:
        err = _check_rent(layout, accounts, before)
    final = accounts
    if err is not None:
        final = _load(layout.keys, environment)
        _charge_fee(final[layout.keys[0]], fee)
    meta = TransactionMeta(
        err,
        fee,
        pre_balances,
        tuple(final[key].lamports for key in layout.keys),
        tuple(inner),
        tuple(run.logs.lines),
        budget.unit_limit - run.units_left,
    )
    changes = {key: final[key] for key in layout.keys if _snapshot(final[key]) != before[key]}
    return Outcome(meta, layout.keys, changes, accounts)


def _load(keys: Sequence[bytes], environment: Environment) -> dict[bytes, Account]:
    loaded: dict[bytes, Account] = {}
    for key in keys:
        known = environment.load(key)
        loaded[key] = Account() if known is None else Account(known.lamports, known.owner, known.data, known.executable)
    return loaded


def _charge_fee(payer: Account, fee: int) -> None:
    if payer.lamports == 0:
        raise TransactionRefused("AccountNotFound")
    if payer.owner != SYSTEM_PROGRAM_ID or payer.data:
        raise TransactionRefused("InvalidAccountForFee")
    if payer.lamports < fee:
        raise TransactionRefused("InsufficientFundsForFee")
    if 0 < payer.lamports - fee < rent_exempt_minimum(0):
        raise TransactionRefused({"InsufficientFundsForRent": {"account_index": 0}})
    payer.lamports -= fee


def loaded_data_bytes(accounts: Mapping[bytes, Account]) -> int:
    """What loading counts: each account that exists with its data and 64 bytes (SIMD-0186)."""
    return sum(LOADED_ACCOUNT_BYTES + len(account.data) for account in accounts.values() if account.lamports)


def _check_loaded(
    layout: Layout,
    accounts: Mapping[bytes, Account],
    budget: natives.ComputeBudget,
    programs: Mapping[bytes, ProgramEntry],
) -> TransactionErr | None:
    """The errors of loading, for which the fee is charged though nothing runs."""
    if loaded_data_bytes(accounts) > budget.loaded_data_bytes:
        return "MaxLoadedAccountsDataSizeExceeded"
    for instruction in layout.message.instructions:
        key = layout.keys[instruction.program_id_index]
        if accounts[key].lamports == 0:
            return "ProgramAccountNotFound"
        if key not in programs or not accounts[key].executable:
            return "InvalidProgramForExecution"
    return None


def _run_all(run: _Run, inner: list[InnerInstructions]) -> TransactionErr | None:
    """Run the instructions in order; fills ``inner``. Returns the first failure."""
    layout = run.layout
    for index, instruction in enumerate(layout.message.instructions):
        refs = tuple(
            AccountRef(layout.keys[at], at < layout.signers, layout.writable[at], run.accounts[layout.keys[at]])
            for at in bytes(instruction.accounts)
        )
        run.inner = []
        run.stack.clear()
        run.trace_length += 1
        failed: InstructionFailed | None = None
        try:
            run_instruction(run, layout.keys[instruction.program_id_index], refs, bytes(instruction.data), 1)
        except InstructionFailed as failure:
            failed = failure
        if run.inner:
            inner.append(InnerInstructions(index, tuple(run.inner)))
        if failed is not None:
            return instruction_err(index, failed)
    return None


def _check_rent(
    layout: Layout, accounts: Mapping[bytes, Account], before: Mapping[bytes, _Snapshot]
) -> TransactionErr | None:
    """An account may stay below its rent minimum, but neither fall there nor be created there."""
    for index, key in enumerate(layout.keys):
        account, old = accounts[key], before[key]
        if not layout.writable[index] or not 0 < account.lamports < rent_exempt_minimum(len(account.data)):
            continue
        was_paying = 0 < old.lamports < rent_exempt_minimum(len(old.data))
        if not (was_paying and len(old.data) == len(account.data) and account.lamports <= old.lamports):
            return {"InsufficientFundsForRent": {"account_index": index}}
    return None
