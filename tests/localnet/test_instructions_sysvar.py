"""The account that holds a transaction's own instructions."""

import struct

from tests.localnet.chain_harness import ALICE, BOB, Chain, payment
from zmart_lite.localnet.instructions_sysvar import instructions_account
from zmart_lite.localnet.layout import lay_out
from zmart_lite.localnet.natives.addresses import SYSVAR_OWNER_ID


def test_flags_keys_and_data_of_each_instruction() -> None:
    layout = lay_out(Chain().transaction(payment(5), payment(6)).message)
    account = instructions_account(layout)
    assert (account.owner, account.lamports) == (SYSVAR_OWNER_ID, 0)
    count, first, second = struct.unpack_from("<3H", account.data)
    assert (count, first) == (2, 6)
    row = account.data[second:]
    assert row[:2] == b"\2\0"
    assert row[2:68] == b"\3" + bytes(ALICE.pubkey()) + b"\2" + bytes(BOB.pubkey())
    assert row[68:100] == bytes(32)
    assert row[100:102] == b"\x0c\0"
    assert row[102:114] == struct.pack("<IQ", 2, 6)
    assert account.data[-2:] == b"\0\0"
