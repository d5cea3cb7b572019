from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.instruction import AccountMeta, CompiledInstruction, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageHeader, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction, VersionedTransaction

from tests.chain.instruction_cases import CODEC, MARKET, MARKET_ID, SETTINGS
from zmart_lite.chain import instructions as make
from zmart_lite.chain.relay import (
    LIGHTHOUSE_PROGRAM,
    MEMO_PROGRAM,
    MEMO_V1_PROGRAM,
    TRANSACTION_BYTES_MAX,
    check_relayed,
)
from zmart_lite.errors import ValidationFailed

WALLET = Keypair.from_seed(bytes([7]) * 32)
OTHER = Keypair.from_seed(bytes([8]) * 32)
BLOCKHASH = Hash.from_bytes(bytes([9]) * 32)
USER = bytes(WALLET.pubkey())
BUY = make.buy_shares(CODEC, SETTINGS, MARKET_ID, USER, True, 10**9)


def legacy(instructions: Sequence[Instruction], *signers: Keypair) -> bytes:
    message = Message.new_with_blockhash(list(instructions), WALLET.pubkey(), BLOCKHASH)
    return bytes(Transaction(list(signers or (WALLET,)), message, BLOCKHASH))


def call(program: Pubkey, data: bytes = b"x", signer: Pubkey | None = None) -> Instruction:
    return Instruction(program, data, [AccountMeta(signer, True, False)] if signer else [])


def refusal(raw: bytes) -> str:
    with pytest.raises(ValidationFailed) as raised:
        check_relayed(raw, CODEC)
    (detail,) = raised.value.details
    assert detail["field"] == "transaction"
    return str(detail["message"])


def test_a_legacy_transaction() -> None:
    raw = legacy([set_compute_unit_limit(5), BUY])
    checked = check_relayed(raw, CODEC)
    assert (checked.raw, checked.fee_payer, checked.signers) == (raw, USER, (USER,))
    assert checked.signature == raw[1:65]
    assert checked.blockhash == bytes(BLOCKHASH)
    (found,) = checked.calls
    assert (found.position, found.name, found.args) == (1, "buy_shares", {"outcome": True, "target_cost": 10**9})
    assert found.accounts["market"] == MARKET
    assert found.accounts["user"] == USER


def test_a_v0_transaction() -> None:
    message = MessageV0.try_compile(WALLET.pubkey(), [BUY], [], BLOCKHASH)
    assert check_relayed(bytes(VersionedTransaction(message, [WALLET])), CODEC).calls[0].name == "buy_shares"


def test_lookup_tables_are_refused() -> None:
    table = AddressLookupTableAccount(Pubkey.default(), [Pubkey.from_bytes(MARKET)])
    message = MessageV0.try_compile(WALLET.pubkey(), [BUY], [table], BLOCKHASH)
    assert "lookup tables" in refusal(bytes(VersionedTransaction(message, [WALLET])))


def test_what_wallets_and_frontends_add_is_relayed() -> None:
    payment = transfer(TransferParams(from_pubkey=WALLET.pubkey(), to_pubkey=OTHER.pubkey(), lamports=1))
    extras = [call(LIGHTHOUSE_PROGRAM), call(MEMO_PROGRAM), call(MEMO_V1_PROGRAM), payment]
    assert check_relayed(legacy([*extras, BUY, call(LIGHTHOUSE_PROGRAM)]), CODEC).calls[0].position == 4


def test_other_programs_are_refused() -> None:
    assert "not relayed" in refusal(legacy([BUY, call(Pubkey.from_bytes(bytes([66]) * 32))]))


def test_a_transaction_must_call_the_program() -> None:
    assert "no instruction of this program" in refusal(legacy([call(MEMO_PROGRAM)]))
    assert "no instruction of this program" in refusal(legacy([]))


def test_unknown_instructions_are_refused() -> None:
    for data in (b"", b"1234567", b"12345678"):
        assert "unknown instruction" in refusal(legacy([BUY, call(Pubkey.from_bytes(CODEC.program_id), data)]))


def test_undecodable_arguments_are_left_to_the_program() -> None:
    cut = Instruction(BUY.program_id, bytes(BUY.data)[:9], BUY.accounts)
    assert check_relayed(legacy([cut]), CODEC).calls[0].args is None


def test_too_many_bytes() -> None:
    raw = legacy([BUY, call(MEMO_PROGRAM, b"x" * 1_000)])
    assert len(raw) > TRANSACTION_BYTES_MAX
    assert "1232" in refusal(raw)
    raw = legacy([BUY, call(MEMO_PROGRAM, b"x" * (TRANSACTION_BYTES_MAX - len(legacy([BUY, call(MEMO_PROGRAM)]))))])
    assert len(raw) == TRANSACTION_BYTES_MAX
    check_relayed(raw, CODEC)


def test_every_signature_must_be_there_and_valid() -> None:
    both = [BUY, call(MEMO_PROGRAM, signer=OTHER.pubkey())]
    raw = legacy(both, WALLET, OTHER)
    assert check_relayed(raw, CODEC).signers == (USER, bytes(OTHER.pubkey()))
    first, second = slice(1, 65), slice(65, 129)
    for broken in (first, second):
        changed = bytearray(raw)
        changed[broken] = bytes(64)
        assert "lacks a valid signature" in refusal(bytes(changed))
    changed = bytearray(raw)
    changed[-1] ^= 1  # the message is not the one that was signed
    assert "signature" in refusal(bytes(changed))
    transaction = Transaction.from_bytes(raw)
    fewer = Transaction.populate(transaction.message, transaction.signatures[:1])
    assert "1 signatures instead of 2" in refusal(bytes(fewer))


def test_an_unsigned_transaction_is_refused() -> None:
    message = Message.new_with_blockhash([BUY], WALLET.pubkey(), BLOCKHASH)
    assert "lacks a valid signature" in refusal(bytes(Transaction.new_unsigned(message)))


def _compiled(header: MessageHeader, keys: list[Pubkey], *indexes: int) -> bytes:
    instructions = [CompiledInstruction(indexes[0], bytes(BUY.data), bytes(indexes[1:]))]
    message = Message.new_with_compiled_instructions(
        header.num_required_signatures,
        header.num_readonly_signed_accounts,
        header.num_readonly_unsigned_accounts,
        keys,
        BLOCKHASH,
        instructions,
    )
    signatures = [WALLET.sign_message(bytes(message))] + [Signature.default()] * (header.num_required_signatures - 1)
    return bytes(Transaction.populate(message, signatures))


def test_inconsistent_messages_are_refused() -> None:
    keys = [WALLET.pubkey(), Pubkey.from_bytes(CODEC.program_id)]
    assert check_relayed(_compiled(MessageHeader(1, 0, 1), keys, 1, 0), CODEC).calls
    assert "pays the fee" in refusal(_compiled(MessageHeader(1, 1, 1), keys, 1, 0))
    assert "pays the fee" in refusal(_compiled(MessageHeader(3, 0, 0), keys, 1, 0))
    assert "inconsistent" in refusal(_compiled(MessageHeader(1, 0, 2), keys, 1, 0))
    assert "inconsistent" in refusal(_compiled(MessageHeader(1, 0, 1), [keys[0], keys[1], keys[1]], 1, 0))
    assert "does not list" in refusal(_compiled(MessageHeader(1, 0, 1), keys, 5, 0))
    assert "does not list" in refusal(_compiled(MessageHeader(1, 0, 1), keys, 1, 2))


@pytest.mark.parametrize("raw", [b"", b"\x00", b"\x00" * 100, b"\xff" * 200, b"hello", bytes(1232)])
def test_what_is_no_transaction(raw: bytes) -> None:
    refusal(raw)


def test_bytes_behind_the_transaction_are_refused() -> None:
    assert "not a serialised" in refusal(legacy([BUY]) + b"\x00")


@given(st.binary(max_size=300))
def test_noise_is_refused_and_never_raises_anything_else(raw: bytes) -> None:
    refusal(raw)


@given(st.data())
def test_a_flipped_bit_is_refused(data: st.DataObject) -> None:
    raw = bytearray(legacy([set_compute_unit_limit(5), BUY]))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    refusal(bytes(raw))
