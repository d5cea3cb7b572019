"""Every program has an account, and every account a program behind it."""

from solders.pubkey import Pubkey

from zmart_lite.localnet.natives.addresses import (
    LOOKUP_TABLE_ID,
    PRECOMPILE_IDS,
    RESERVED_KEYS,
    UPGRADEABLE_LOADER_ID,
)
from zmart_lite.localnet.natives.catalogue import native_accounts, native_programs, upgradeable_program


def test_programs_and_accounts_belong_together() -> None:
    executable = {key for key, account in native_accounts().items() if account.executable}
    assert executable == set(native_programs()) | PRECOMPILE_IDS
    assert LOOKUP_TABLE_ID in RESERVED_KEYS
    assert len(RESERVED_KEYS) == 31


def test_a_program_points_to_its_data_which_is_there() -> None:
    program, authority = b"\x11" * 32, b"\x22" * 32
    accounts = upgradeable_program(program, authority)
    data_key, _bump = Pubkey.find_program_address([program], Pubkey(UPGRADEABLE_LOADER_ID))
    assert accounts[program].data == b"\2\0\0\0" + bytes(data_key)
    held = accounts[bytes(data_key)]
    assert held.data[:45] == b"\3\0\0\0" + bytes(8) + b"\1" + authority
    assert not held.executable
