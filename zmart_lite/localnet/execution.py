"""One transaction as the runtime executes it: a function of the accounts it names, the clock and the programs.

Nothing here touches the ledger: :func:`execute` loads copies, runs the instructions with all checks of the runtime, and
returns what changed, the logs and the outcome. The ledger decides whether to keep it (a block) or not (a simulation).
Sources: solana-svm of Agave 4.1 (account_loader.rs, rent_calculator.rs, rollback_accounts.rs).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from zmart_lite.localnet.failures import TransactionRefused, instruction_err
from zmart_lite.localnet.instructions_sysvar import instructions_account
from zmart_lite.localnet.invocation import LOG_BYTES_MAX, LogCollector, Run, run_top_level, snapshot
from zmart_lite.localnet.layout import Layout, compute_budget, fee_lamports
from zmart_lite.localnet.natives.addresses import (
    INCINERATOR_ID,
    INSTRUCTIONS_ID,
    LOADER_IDS,
    NATIVE_LOADER_ID,
    UPGRADEABLE_LOADER_ID,
)
from zmart_lite.localnet.natives.nonce import NONCE_BYTES, advanced, find_nonce_state
from zmart_lite.localnet.records import InnerInstructions, TransactionErr, TransactionMeta
from zmart_lite.localnet.releases import NEWEST, Release
from zmart_lite.localnet.runtime import (
    SYSTEM_PROGRAM_ID,
    Account,
    Clock,
    InstructionFailed,
    ProgramEntry,
    rent_exempt_minimum,
)

LOADED_ACCOUNT_BASE_BYTES = 64
"""What each account that exists counts besides its data (SIMD-186)."""
LOOKUP_TABLE_BASE_BYTES = 8_248
PROGRAM_DATA_POINTER = (2).to_bytes(4, "little")


class Environment(NamedTuple):
    """All that a transaction's outcome depends on besides itself. ``log_bytes_max`` None: logs are kept whole."""

    load: Callable[[bytes], Account | None]
    clock: Clock
    programs: Mapping[bytes, ProgramEntry]
    log_bytes_max: int | None = LOG_BYTES_MAX
    blockhash: bytes = bytes(32)
    release: Release = NEWEST

    def find_program(self, program_id: bytes) -> ProgramEntry | None:
        return self.programs.get(program_id)

    def sysvar(self, key: bytes) -> bytes:
        account = self.load(key)
        return b"" if account is None else account.data


@dataclass(slots=True)
class Outcome:
    """What a transaction did. ``changes`` holds the new version of every account that changed, by the fee too."""

    meta: TransactionMeta
    account_keys: tuple[bytes, ...]
    changes: dict[bytes, Account]
    accounts: Mapping[bytes, Account]
    loaded_bytes: int


class _RentState(NamedTuple):
    lamports: int
    size_bytes: int

    @property
    def is_paying(self) -> bool:
        return 0 < self.lamports < rent_exempt_minimum(self.size_bytes)


def _rent_state(account: Account) -> _RentState:
    return _RentState(account.lamports, len(account.data))


def execute(layout: Layout, environment: Environment, nonce_key: bytes | None = None) -> Outcome:
    """Run a transaction whose form, signatures and age were already checked.

    ``nonce_key`` is the nonce account by which it is valid, if it is not by a recent blockhash. Raises
    :class:`TransactionRefused` where the cluster would not even charge the fee.
    """
    budget = compute_budget(layout)
    accounts = _load(layout.keys, environment)
    if INSTRUCTIONS_ID in accounts:
        accounts[INSTRUCTIONS_ID] = instructions_account(layout)
    before = {key: snapshot(accounts[key]) for key in layout.keys}
    fee = fee_lamports(layout, budget)
    _charge_fee(accounts[layout.keys[0]], fee)
    rent_before = {key: _rent_state(accounts[key]) for key in layout.keys}
    run = Run(layout, environment, accounts, LogCollector(environment.log_bytes_max), budget.unit_limit)
    inner: list[InnerInstructions] = []
    loaded = _Loading(environment.load, budget.loaded_data_bytes)
    err = loaded.check(layout) or _run_all(run, inner) or _check_rent(layout, accounts, rent_before)
    final = accounts
    if err is not None:
        final = _rolled_back(layout, environment, fee, nonce_key)
    meta = TransactionMeta(
        err,
        fee,
        tuple(before[key].lamports for key in layout.keys),
        tuple(final[key].lamports for key in layout.keys),
        tuple(inner),
        tuple(run.logs.lines),
        budget.unit_limit - run.units_left,
        layout.loaded_writable,
        layout.loaded_readonly,
    )
    kept = (key for key in layout.keys if key != INSTRUCTIONS_ID)
    changes = {key: final[key] for key in kept if snapshot(final[key]) != before[key]}
    return Outcome(meta, layout.keys, changes, accounts, loaded.size_bytes)


def _load(keys: Sequence[bytes], environment: Environment) -> dict[bytes, Account]:
    loaded: dict[bytes, Account] = {}
    for key in keys:
        known = environment.load(key)
        loaded[key] = Account() if known is None else Account(known.lamports, known.owner, known.data, known.executable)
    return loaded


def _rolled_back(layout: Layout, environment: Environment, fee: int, nonce_key: bytes | None) -> dict[bytes, Account]:
    """What a failed transaction leaves: the fee is charged, and a nonce is used up."""
    final = _load(layout.keys, environment)
    if nonce_key is not None:
        final[nonce_key] = advanced(final[nonce_key], environment.blockhash)
    final[layout.keys[0]].lamports -= fee
    return final


def _charge_fee(payer: Account, fee: int) -> None:
    if payer.lamports == 0:
        raise TransactionRefused("AccountNotFound")
    before = _rent_state(payer)
    if payer.lamports - _least_balance(payer) < fee:
        raise TransactionRefused("InsufficientFundsForFee")
    payer.lamports -= fee
    if not _may_become(before, _rent_state(payer)):
        raise TransactionRefused({"InsufficientFundsForRent": {"account_index": 0}})


def _least_balance(payer: Account) -> int:
    """What a fee must leave. Raises :class:`TransactionRefused` unless it is a wallet or a nonce account in use."""
    if payer.owner == SYSTEM_PROGRAM_ID:
        if not payer.data:
            return 0
        state = find_nonce_state(payer.data) if len(payer.data) == NONCE_BYTES else None
        if state is not None and state.authority is not None:
            return rent_exempt_minimum(NONCE_BYTES)
    raise TransactionRefused("InvalidAccountForFee")


class _Loading:
    """Counts what a transaction loads, and finds the errors for which the fee is charged though nothing runs."""

    def __init__(self, load: Callable[[bytes], Account | None], bytes_max: int) -> None:
        self._load = load
        self._bytes_max = bytes_max
        self.size_bytes = 0

    def check(self, layout: Layout) -> TransactionErr | None:
        if not self._count(layout):
            return "MaxLoadedAccountsDataSizeExceeded"
        for instruction in layout.message.instructions:
            program = self._load(layout.keys[instruction.program_id_index])
            if program is None:
                return "ProgramAccountNotFound"
            if program.owner != NATIVE_LOADER_ID and program.owner not in LOADER_IDS:
                return "InvalidProgramForExecution"
        return None

    def _count(self, layout: Layout) -> bool:
        """Count one after the other, and stop above the limit."""
        counted = set(layout.keys)
        self.size_bytes = layout.lookup_tables * LOOKUP_TABLE_BASE_BYTES
        for key in layout.keys:
            if (account := self._load(key)) is None:
                continue
            self.size_bytes += LOADED_ACCOUNT_BASE_BYTES + len(account.data)
            data_key = _program_data_key(account)
            if data_key is not None and data_key not in counted and (program_data := self._load(data_key)) is not None:
                self.size_bytes += LOADED_ACCOUNT_BASE_BYTES + len(program_data.data)
                counted.add(data_key)
            if self.size_bytes > self._bytes_max:
                return False
        return self.size_bytes <= self._bytes_max


def _program_data_key(account: Account) -> bytes | None:
    """Where an upgradeable program's bytecode is, if that is what the account is."""
    if account.owner != UPGRADEABLE_LOADER_ID or account.data[:4] != PROGRAM_DATA_POINTER or len(account.data) < 36:
        return None
    return account.data[4:36]


def _run_all(run: Run, inner: list[InnerInstructions]) -> TransactionErr | None:
    """Run the instructions in order; fills ``inner``. Returns the first failure."""
    for index in range(len(run.layout.message.instructions)):
        failed: InstructionFailed | None = None
        try:
            run_top_level(run, index)
        except InstructionFailed as failure:
            failed = failure
        if run.inner:
            inner.append(InnerInstructions(index, tuple(run.inner)))
        if failed is not None:
            return instruction_err(index, failed)
    return None


def _check_rent(
    layout: Layout, accounts: Mapping[bytes, Account], before: Mapping[bytes, _RentState]
) -> TransactionErr | None:
    for index, key in enumerate(layout.keys):
        allowed = not layout.writable[index] or key == INCINERATOR_ID
        if not allowed and not _may_become(before[key], _rent_state(accounts[key])):
            return {"InsufficientFundsForRent": {"account_index": index}}
    return None


def _may_become(before: _RentState, after: _RentState) -> bool:
    """An account may stay below its rent minimum, but neither fall there, nor be created there, nor grow there."""
    if not after.is_paying:
        return True
    return before.is_paying and after.size_bytes == before.size_bytes and after.lamports <= before.lamports
