"""Address lookup tables: made, filled, used by messages, frozen, and closed after their time."""

import struct

import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from tests.localnet.chain_harness import ALICE, BOB, CAROL, SOL, Chain, keypair, meta, payment
from zmart_lite.localnet.failures import TransactionRefused
from zmart_lite.localnet.ledger import LedgerOptions
from zmart_lite.localnet.natives.addresses import LOOKUP_TABLE_ID
from zmart_lite.localnet.natives.lookup_table import NEVER, LookupTable, find_lookup_table
from zmart_lite.localnet.runtime import SYSTEM_PROGRAM_ID, Account, rent_exempt_minimum
from zmart_lite.models import Commitment

PROGRAM = Pubkey(LOOKUP_TABLE_ID)
BOB_KEY, CAROL_KEY = bytes(BOB.pubkey()), bytes(CAROL.pubkey())


class Tables:
    """A chain and one table of Alice on it."""

    def __init__(self) -> None:
        self.chain = Chain(LedgerOptions(slot_ms=400))
        self.chain.ledger.seal_block()
        slot = self.chain.ledger.bank(Commitment.PROCESSED).slot - 1
        seeds = [bytes(ALICE.pubkey()), slot.to_bytes(8, "little")]
        self.key, bump = Pubkey.find_program_address(seeds, PROGRAM)
        self.create = self.instruction(struct.pack("<IQB", 0, slot, bump), signs=False)

    def instruction(self, data: bytes, *more: AccountMeta, signs: bool = True) -> Instruction:
        authority = meta(ALICE, signer=signs, writable=False)
        paying = [meta(ALICE, signer=True), meta(SYSTEM_PROGRAM_ID, writable=False)]
        return Instruction(PROGRAM, data, [AccountMeta(self.key, False, True), authority, *(more or paying)])

    def extend(self, *keys: bytes) -> Instruction:
        return self.instruction(struct.pack("<IQ", 2, len(keys)) + b"".join(keys))

    def table(self) -> LookupTable:
        account = self.chain.ledger.accounts.get(bytes(self.key))
        assert account is not None
        found = find_lookup_table(account.data)
        assert found is not None
        return found

    def paying(self, lamports: int) -> VersionedTransaction:
        """A payment to Bob, whose key comes from the table."""
        addresses = [Pubkey(key) for key in self.table().addresses]
        known = AddressLookupTableAccount(self.key, addresses)
        blockhash = Hash(self.chain.ledger.bank(Commitment.PROCESSED).blockhash)
        message = MessageV0.try_compile(ALICE.pubkey(), [payment(lamports)], [known], blockhash)
        assert message.address_table_lookups
        return VersionedTransaction(message, [ALICE])


def filled() -> Tables:
    tables = Tables()
    landed = tables.chain.run(tables.create, tables.extend(CAROL_KEY, BOB_KEY))
    assert not landed.failed, landed.meta.logs
    tables.chain.ledger.seal_block()
    return tables


def test_a_table_is_created_and_extended() -> None:
    tables = filled()
    account = tables.chain.ledger.accounts.get(bytes(tables.key))
    assert account is not None
    assert (account.owner, len(account.data)) == (LOOKUP_TABLE_ID, 56 + 64)
    assert account.lamports == rent_exempt_minimum(56 + 64)
    assert tables.table() == LookupTable(NEVER, 2, 0, bytes(ALICE.pubkey()), (CAROL_KEY, BOB_KEY))


def test_a_message_takes_addresses_from_a_table() -> None:
    tables = filled()
    landed = tables.chain.ledger.submit(tables.paying(5))
    assert not landed.failed
    assert tables.chain.lamports(BOB) == 100 * SOL + 5
    assert landed.meta.loaded_writable == (BOB_KEY,)
    assert landed.account_keys[-1] == BOB_KEY
    assert tables.chain.ledger.history.of_address(BOB_KEY, None, None).__next__() is landed


def test_addresses_cannot_be_used_in_the_slot_in_which_they_came() -> None:
    tables = Tables()
    assert not tables.chain.run(tables.create, tables.extend(BOB_KEY)).failed
    with pytest.raises(TransactionRefused, match="uses an invalid index"):
        tables.chain.ledger.submit(tables.paying(5))
    tables.chain.ledger.seal_block()
    assert not tables.chain.ledger.submit(tables.paying(5)).failed


def test_a_frozen_table_stays_as_it_is() -> None:
    tables = filled()
    assert not tables.chain.run(tables.instruction((1).to_bytes(4, "little"))).failed
    assert tables.table().authority is None
    landed = tables.chain.run(tables.extend(BOB_KEY))
    assert landed.meta.err == {"InstructionError": [0, "Immutable"]}
    assert "Program log: Lookup table is frozen" in landed.meta.logs
    assert not tables.chain.ledger.submit(tables.paying(5)).failed


def test_a_deactivated_table_is_usable_for_512_blocks_and_then_closes() -> None:
    tables = filled()
    assert not tables.chain.run(tables.instruction((3).to_bytes(4, "little"))).failed
    close = tables.instruction((4).to_bytes(4, "little"), meta(BOB))
    early = tables.chain.run(close)
    assert early.meta.err == {"InstructionError": [0, "InvalidArgument"]}
    assert "Program log: Table cannot be closed until it's fully deactivated in 513 blocks" in early.meta.logs
    tables.chain.ledger.produce_blocks(512)
    assert not tables.chain.ledger.submit(tables.paying(5)).failed
    tables.chain.ledger.seal_block()
    with pytest.raises(TransactionRefused, match="doesn't exist"):
        tables.chain.ledger.submit(tables.paying(6))
    rent = rent_exempt_minimum(56 + 64)
    assert not tables.chain.run(close).failed
    assert tables.chain.lamports(BOB) == 100 * SOL + 5 + rent
    assert tables.chain.ledger.accounts.get(bytes(tables.key)) is None


def test_a_slot_that_is_not_recent_makes_no_table() -> None:
    tables = Tables()
    data = struct.pack("<IQB", 0, 10**6, 255)
    landed = tables.chain.run(tables.instruction(data, signs=False))
    assert landed.meta.err == {"InstructionError": [0, "InvalidInstructionData"]}
    assert "Program log: 1000000 is not a recent slot" in landed.meta.logs


def test_somebody_else_cannot_extend() -> None:
    tables = filled()
    stranger = keypair(40)
    data = struct.pack("<IQ", 2, 1) + BOB_KEY
    accounts = [AccountMeta(tables.key, False, True), meta(stranger, signer=True, writable=False)]
    landed = tables.chain.run(Instruction(PROGRAM, data, accounts), signers=[stranger])
    assert landed.meta.err == {"InstructionError": [0, "IncorrectAuthority"]}


def test_zeros_are_no_table_yet_whatever_their_length() -> None:
    tables = filled()
    for data, name in (
        (bytes(10), "UninitializedAccount"),
        (b"\1\0", "InvalidAccountData"),
        (b"", "InvalidAccountData"),
    ):
        tables.chain.ledger.set_account(bytes(tables.key), Account(SOL, LOOKUP_TABLE_ID, data))
        landed = tables.chain.run(tables.extend(BOB_KEY, bytes([len(data)]) * 32))
        assert landed.meta.err == {"InstructionError": [0, name]}
