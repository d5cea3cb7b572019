"""The account by which a program reads the other instructions of its transaction; it exists only while that runs.

Form: solana-instructions-sysvar, ``construct_instructions_data``. The number of the running instruction, which a
cluster writes into the last two bytes, stays 0: no program of this devnet reads it.
"""

import struct

from zmart_lite.localnet.layout import Layout
from zmart_lite.localnet.natives.addresses import SYSVAR_OWNER_ID
from zmart_lite.localnet.runtime import Account

_IS_SIGNER, _IS_WRITABLE = 1, 2


def instructions_account(layout: Layout) -> Account:
    rows = [_row(layout, index) for index in range(len(layout.message.instructions))]
    at = 2 + 2 * len(rows)
    offsets = b""
    for row in rows:
        offsets += struct.pack("<H", at)
        at += len(row)
    data = struct.pack("<H", len(rows)) + offsets + b"".join(rows) + bytes(2)
    return Account(0, SYSVAR_OWNER_ID, data)


def _row(layout: Layout, index: int) -> bytes:
    instruction = layout.message.instructions[index]
    accounts, data = bytes(instruction.accounts), bytes(instruction.data)
    row = struct.pack("<H", len(accounts))
    for at in accounts:
        flags = _IS_SIGNER * (at < layout.signers) | _IS_WRITABLE * layout.writable[at]
        row += bytes([flags]) + layout.keys[at]
    return row + layout.keys[instruction.program_id_index] + struct.pack("<H", len(data)) + data
