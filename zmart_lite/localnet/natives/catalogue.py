"""The programs of every devnet besides zmart-core, and the accounts that stand for them."""

from solders.pubkey import Pubkey

from zmart_lite.localnet.natives.addresses import (
    COMPUTE_BUDGET_ID,
    LOADER_1_ID,
    LOADER_2_ID,
    LOOKUP_TABLE_ID,
    MEMO_ID,
    MEMO_V1_ID,
    MEMO_V4_ID,
    NATIVE_LOADER_ID,
    PRECOMPILE_IDS,
    UPGRADEABLE_LOADER_ID,
)
from zmart_lite.localnet.natives.compute_budget import COMPUTE_BUDGET_UNITS, ComputeBudgetProgram
from zmart_lite.localnet.natives.lookup_table import LookupTableProgram
from zmart_lite.localnet.natives.memo import MemoProgram, MemoProgramV1, MemoProgramV3
from zmart_lite.localnet.natives.system import SYSTEM_UNITS, SystemProgram
from zmart_lite.localnet.releases import NEWEST, Release
from zmart_lite.localnet.runtime import SYSTEM_PROGRAM_ID, Account, ProgramEntry, rent_exempt_minimum

_PROGRAM, _PROGRAM_DATA = (2).to_bytes(4, "little"), (3).to_bytes(4, "little")
_BYTECODE = b"\x7fELF"
"""All that there is of a program's bytecode: what it is, since nothing here runs any."""


def native_programs(release: Release = NEWEST) -> dict[bytes, ProgramEntry]:
    """The programs by address. The memo program's address holds another program since Agave 4.0."""
    newest, first, quoting, tables = MemoProgram(), MemoProgramV1(), MemoProgramV3(), LookupTableProgram()
    memo_v4 = ProgramEntry(newest, entry_units=newest.entry_units)
    memo_v3 = ProgramEntry(quoting, entry_units=quoting.entry_units)
    return {
        SYSTEM_PROGRAM_ID: ProgramEntry(SystemProgram(), SYSTEM_UNITS),
        COMPUTE_BUDGET_ID: ProgramEntry(ComputeBudgetProgram(), COMPUTE_BUDGET_UNITS),
        MEMO_V1_ID: ProgramEntry(first, entry_units=first.entry_units),
        MEMO_ID: memo_v4 if release.has(4, 0) else memo_v3,
        MEMO_V4_ID: memo_v4,
        LOOKUP_TABLE_ID: ProgramEntry(tables, entry_units=tables.entry_units),
    }


def native_accounts() -> dict[bytes, Account]:
    loaded = rent_exempt_minimum(len(_BYTECODE))
    accounts = {
        SYSTEM_PROGRAM_ID: Account(1, NATIVE_LOADER_ID, b"system_program", True),
        COMPUTE_BUDGET_ID: Account(1, NATIVE_LOADER_ID, b"compute_budget_program", True),
        MEMO_V1_ID: Account(loaded, LOADER_1_ID, _BYTECODE, True),
        MEMO_ID: Account(loaded, LOADER_2_ID, _BYTECODE, True),
        MEMO_V4_ID: Account(loaded, LOADER_2_ID, _BYTECODE, True),
    }
    accounts |= upgradeable_program(LOOKUP_TABLE_ID, None)
    return accounts | {key: Account(1, NATIVE_LOADER_ID, b"", True) for key in PRECOMPILE_IDS}


def upgradeable_program(program_id: bytes, authority: bytes | None) -> dict[bytes, Account]:
    """The pair of accounts of an upgradeable program: itself, and its data with slot and authority in front."""
    data_key, _bump = Pubkey.find_program_address([program_id], Pubkey(UPGRADEABLE_LOADER_ID))
    pointer = _PROGRAM + bytes(data_key)
    held_by = b"\0" + bytes(32) if authority is None else b"\1" + authority
    data = _PROGRAM_DATA + bytes(8) + held_by + _BYTECODE
    return {
        program_id: Account(rent_exempt_minimum(len(pointer)), UPGRADEABLE_LOADER_ID, pointer, True),
        bytes(data_key): Account(rent_exempt_minimum(len(data)), UPGRADEABLE_LOADER_ID, data),
    }
