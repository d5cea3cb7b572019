"""The compute-budget program: what a transaction asks of the runtime besides its instructions.

Source: solana-compute-budget-instruction. First every instruction is read, then what they ask is checked.
"""

import struct
from typing import NamedTuple

from zmart_lite.localnet.failures import TransactionRefused
from zmart_lite.localnet.runtime import Invocation
from zmart_lite.localnet.transactions import TransactionConfig

COMPUTE_BUDGET_UNITS = 150
HEAP_FRAME_BYTES_MIN = 32 * 1024
HEAP_FRAME_BYTES_MAX = 256 * 1024
COMPUTE_UNITS_MAX = 1_400_000
MICRO_LAMPORTS = 1_000_000
"""In a lamport."""
LOADED_ACCOUNTS_DATA_BYTES_MAX = 64 * 1024 * 1024
_U64_MAX = (1 << 64) - 1
_HEAP, _UNIT_LIMIT, _UNIT_PRICE, _LOADED_DATA = 1, 2, 3, 4
_FORMS = {
    _HEAP: struct.Struct("<xI"),
    _UNIT_LIMIT: struct.Struct("<xI"),
    _UNIT_PRICE: struct.Struct("<xQ"),
    _LOADED_DATA: struct.Struct("<xI"),
}


class ComputeBudgetProgram:
    """Does nothing when run: the ledger reads its instructions before the transaction starts."""

    def process(self, invocation: Invocation) -> None:
        del invocation


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
        return min(-(-self.unit_limit * self.unit_price // MICRO_LAMPORTS), _U64_MAX)


def budget_of_config(config: TransactionConfig) -> ComputeBudget:
    """Version 1 ignores compute-budget instructions, and what its config does not name is the least there is."""
    units = min(config.compute_unit_limit or 0, COMPUTE_UNITS_MAX)
    fee = config.priority_fee_lamports or 0
    price = min(fee * MICRO_LAMPORTS // units, _U64_MAX) if units else 0
    loaded = min(config.loaded_data_bytes or 0, LOADED_ACCOUNTS_DATA_BYTES_MAX)
    return ComputeBudget(units, price, loaded, fee)


class BudgetRequests:
    """Collects what a transaction's compute-budget instructions ask for."""

    def __init__(self) -> None:
        self._asked: dict[int, tuple[int, int]] = {}

    def add(self, index: int, data: bytes) -> None:
        """Raises :class:`TransactionRefused` for what cannot be read, and for what was asked before."""
        form = _FORMS.get(data[0]) if data else None
        if form is None or len(data) < form.size:
            raise _invalid_data(index)
        kind = data[0]
        if kind in self._asked:
            raise TransactionRefused({"DuplicateInstruction": index})
        self._asked[kind] = (index, int(form.unpack_from(data)[0]))

    def settle(self, default_units: int) -> ComputeBudget:
        """Raises :class:`TransactionRefused` for what is out of range."""
        index, heap = self._asked.get(_HEAP, (0, HEAP_FRAME_BYTES_MIN))
        if heap % 1024 or not HEAP_FRAME_BYTES_MIN <= heap <= HEAP_FRAME_BYTES_MAX:
            raise _invalid_data(index)
        loaded = self._value(_LOADED_DATA, LOADED_ACCOUNTS_DATA_BYTES_MAX)
        if loaded == 0:
            raise TransactionRefused("InvalidLoadedAccountsDataSizeLimit")
        return ComputeBudget(
            min(self._value(_UNIT_LIMIT, default_units), COMPUTE_UNITS_MAX),
            self._value(_UNIT_PRICE, 0),
            min(loaded, LOADED_ACCOUNTS_DATA_BYTES_MAX),
        )

    def _value(self, kind: int, default: int) -> int:
        return self._asked[kind][1] if kind in self._asked else default


def _invalid_data(index: int) -> TransactionRefused:
    return TransactionRefused({"InstructionError": [index, "InvalidInstructionData"]})
