"""A message with the privileges of its keys worked out, and what its transaction costs before anything runs."""

from dataclasses import dataclass

from solders.message import MessageV0

from zmart_lite.localnet.natives.addresses import (
    BUILTIN_IDS,
    COMPUTE_BUDGET_ID,
    PRECOMPILE_IDS,
    RESERVED_KEYS,
    UPGRADEABLE_LOADER_ID,
)
from zmart_lite.localnet.natives.compute_budget import BudgetRequests, ComputeBudget, budget_of_config
from zmart_lite.localnet.runtime import SYSTEM_PROGRAM_ID
from zmart_lite.localnet.transactions import AnyMessage, MessageV1

LAMPORTS_PER_SIGNATURE = 5_000
DEFAULT_INSTRUCTION_UNITS = 200_000
DEFAULT_NATIVE_INSTRUCTION_UNITS = 3_000
ADVANCE_NONCE = (4).to_bytes(4, "little")


@dataclass(slots=True)
class Layout:
    """A message with its keys, those from lookup tables behind its own, first the writable ones."""

    message: AnyMessage
    keys: tuple[bytes, ...]
    static_keys: int
    signers: int
    writable: tuple[bool, ...]

    @property
    def lookup_tables(self) -> int:
        return len(self.message.address_table_lookups) if isinstance(self.message, MessageV0) else 0

    @property
    def loaded_writable(self) -> tuple[bytes, ...]:
        loaded = range(self.static_keys, len(self.keys))
        return tuple(self.keys[index] for index in loaded if index < self._first_loaded_readonly)

    @property
    def loaded_readonly(self) -> tuple[bytes, ...]:
        return self.keys[self._first_loaded_readonly :]

    @property
    def _first_loaded_readonly(self) -> int:
        if not isinstance(self.message, MessageV0):
            return self.static_keys
        return self.static_keys + sum(len(each.writable_indexes) for each in self.message.address_table_lookups)

    def nonce_key(self) -> bytes | None:
        """The nonce account of a transaction that begins by advancing one, named by itself and writable."""
        if not self.message.instructions:
            return None
        first = self.message.instructions[0]
        accounts = bytes(first.accounts)
        if self.keys[first.program_id_index] != SYSTEM_PROGRAM_ID or bytes(first.data)[:4] != ADVANCE_NONCE:
            return None
        if not accounts or accounts[0] >= self.static_keys or not self.writable[accounts[0]]:
            return None
        return self.keys[accounts[0]]

    def signers_of_first_instruction(self) -> frozenset[bytes]:
        accounts = bytes(self.message.instructions[0].accounts)
        return frozenset(self.keys[index] for index in accounts if index < self.signers)


def lay_out(
    message: AnyMessage, loaded_writable: tuple[bytes, ...] = (), loaded_readonly: tuple[bytes, ...] = ()
) -> Layout:
    """``loaded_…`` are the addresses that the message takes from lookup tables, in the message's order."""
    static = tuple(bytes(key) for key in message.account_keys)
    keys = static + loaded_writable + loaded_readonly
    header = message.header
    signers = header.num_required_signatures
    first_readonly_signer = signers - header.num_readonly_signed_accounts
    first_readonly = len(static) - header.num_readonly_unsigned_accounts
    first_loaded_readonly = len(static) + len(loaded_writable)
    demoted: frozenset[int] = frozenset()
    if UPGRADEABLE_LOADER_ID not in keys:
        demoted = frozenset(instruction.program_id_index for instruction in message.instructions)

    def writable(index: int, key: bytes) -> bool:
        if index < signers:
            asked = index < first_readonly_signer
        elif index < len(static):
            asked = index < first_readonly
        else:
            asked = index < first_loaded_readonly
        return asked and key not in RESERVED_KEYS and index not in demoted

    flags = tuple(writable(index, key) for index, key in enumerate(keys))
    return Layout(message, keys, len(static), signers, flags)


def signature_count(layout: Layout) -> int:
    """The signatures that a transaction pays for: its own, and those that it has precompiles verify."""
    count = layout.signers
    for instruction in layout.message.instructions:
        if layout.keys[instruction.program_id_index] in PRECOMPILE_IDS:
            count += bytes(instruction.data)[0] if instruction.data else 0
    return count


def fee_lamports(layout: Layout, budget: ComputeBudget) -> int:
    return min(signature_count(layout) * LAMPORTS_PER_SIGNATURE + budget.priority_fee_lamports, (1 << 64) - 1)


def compute_budget(layout: Layout) -> ComputeBudget:
    """What the transaction asks for, in its message or by instructions. Raises :class:`TransactionRefused`."""
    if isinstance(layout.message, MessageV1):
        return budget_of_config(layout.message.config)
    requests = BudgetRequests()
    default_units = 0
    for index, instruction in enumerate(layout.message.instructions):
        program_id = layout.keys[instruction.program_id_index]
        native = program_id in BUILTIN_IDS
        default_units += DEFAULT_NATIVE_INSTRUCTION_UNITS if native else DEFAULT_INSTRUCTION_UNITS
        if program_id == COMPUTE_BUDGET_ID:
            requests.add(index, bytes(instruction.data))
    return requests.settle(default_units)
