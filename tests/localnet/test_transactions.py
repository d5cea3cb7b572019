"""The wire form of version-1 transactions: against the released crates, an encoder of the specification, and damage."""

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import SanitizeError, VersionedTransaction

from tests.localnet import version_one
from tests.localnet.version_one_crate import WRITTEN
from zmart_lite.localnet.transactions import (
    ADDRESSES_MAX,
    INSTRUCTIONS_MAX,
    SIGNATURES_MAX,
    MessageV1,
    Transaction,
    TransactionConfig,
    TransactionV1,
    read_message_bytes,
    read_transaction_bytes,
)

A, B = (Keypair.from_seed(bytes([number]) * 32) for number in (1, 2))
PROGRAM, OTHER, X, Y = (Pubkey(bytes([number]) * 32) for number in (7, 8, 3, 4))
BLOCKHASH = bytes([9]) * 32
FIRST = Instruction(
    PROGRAM,
    b"\x01\x02\x03",
    [AccountMeta(X, False, True), AccountMeta(Y, False, False), AccountMeta(A.pubkey(), True, True)],
)
SECOND = Instruction(
    OTHER, bytes(range(256)) + bytes(range(45)), [AccountMeta(B.pubkey(), True, False), AccountMeta(X, False, True)]
)
THIRD = Instruction(PROGRAM, b"", [])
CASES: dict[str, tuple[dict[str, int], list[Instruction], list[Keypair]]] = {
    "bare": ({}, [THIRD], [A]),
    "full": (
        {"priority_fee": 1 << 40, "units": 200_000, "loaded": 65_536, "heap": 65_536},
        [FIRST, SECOND, THIRD],
        [A, B],
    ),
    "units": ({"units": 1_400_000}, [SECOND, FIRST], [A, B]),
    "fee": ({"priority_fee": 2**64 - 1}, [FIRST], [A]),
    "heap": ({"heap": 32_768, "loaded": 1}, [FIRST], [A]),
}
FULL = bytes.fromhex(WRITTEN["full"])


def config_of(asked: dict[str, int]) -> TransactionConfig:
    return TransactionConfig(*(asked.get(name) for name in ("priority_fee", "units", "loaded", "heap")))


@pytest.mark.parametrize("name", CASES)
def test_the_crates_the_specification_and_the_devnet_write_the_same(name: str) -> None:
    asked, instructions, signers = CASES[name]
    written = bytes.fromhex(WRITTEN[name])
    assert version_one.signed(signers, instructions, BLOCKHASH, **asked) == written
    legacy = Message.new_with_blockhash(instructions, signers[0].pubkey(), Hash(BLOCKHASH))
    assert bytes(TransactionV1.signed(MessageV1.of(legacy, config_of(asked)), signers)) == written
    read = read_transaction_bytes(written)
    assert bytes(read) == written
    assert read.message.config == config_of(asked)
    assert read.verify_with_results() == [True] * len(signers)
    read.sanitize()


def test_a_message_is_read_without_signatures() -> None:
    text = version_one.message(A.pubkey(), [FIRST, THIRD], BLOCKHASH, units=7)
    message = read_message_bytes(text)
    assert isinstance(message, MessageV1)
    assert (bytes(message), message.config.compute_unit_limit) == (text, 7)
    with pytest.raises(ValueError, match="1 bytes follow the message"):
        read_message_bytes(text + b"\0")


def test_older_versions_are_read_as_before() -> None:
    legacy = Message.new_with_blockhash([FIRST], A.pubkey(), Hash(BLOCKHASH))
    newer = MessageV0.try_compile(A.pubkey(), [FIRST], [], Hash(BLOCKHASH))
    for message in (legacy, newer):
        transaction = VersionedTransaction(message, [A])
        assert read_transaction_bytes(bytes(transaction)) == transaction
        assert isinstance(transaction, Transaction)


@given(st.data())
def test_any_cut_and_any_surplus_is_refused(data: st.DataObject) -> None:
    kept = data.draw(st.integers(1, len(FULL) - 1))
    with pytest.raises(ValueError, match="it ends after"):
        read_transaction_bytes(FULL[:kept])
    with pytest.raises(ValueError, match="follow the last signature"):
        read_transaction_bytes(FULL + data.draw(st.binary(min_size=1, max_size=80)))


@given(st.binary(max_size=300))
def test_what_is_read_is_written_back(noise: bytes) -> None:
    with suppress(ValueError):
        assert bytes(read_transaction_bytes(b"\x81" + noise)) == b"\x81" + noise


@given(st.integers(0, len(FULL) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_breaks_a_signature(at: int, by: int) -> None:
    damaged = bytes([*FULL[:at], FULL[at] ^ by, *FULL[at + 1 :]])
    try:
        read = read_transaction_bytes(damaged)
        read.sanitize()
    except (ValueError, SanitizeError):
        return
    assert bytes(read) == damaged
    assert not all(read.verify_with_results())


@pytest.mark.parametrize("mask", [0b01, 0b10, 0b100000, 1 << 31])
def test_bits_that_nobody_knows_are_refused(mask: int) -> None:
    with pytest.raises(ValueError, match="config mask"):
        read_transaction_bytes(FULL[:4] + struct.pack("<I", mask) + FULL[8:])


def built(
    *,
    header: tuple[int, int, int] = (1, 0, 1),
    keys: int = 3,
    instructions: tuple[tuple[int, bytes], ...] = ((2, b"\x01"),),
    repeated: bool = False,
    heap: int | None = None,
) -> TransactionV1:
    """A transaction of these counts; its signatures are nothing."""
    parts = [bytes([number]) * 32 for number in range(1, keys + 1)]
    if repeated:
        parts[-1] = parts[0]
    text = bytes([129, *header]) + (16 if heap is not None else 0).to_bytes(4, "little") + BLOCKHASH
    text += bytes([len(instructions), keys]) + b"".join(parts)
    text += b"" if heap is None else heap.to_bytes(4, "little")
    text += b"".join(bytes([program, len(accounts), 0, 0]) for program, accounts in instructions)
    text += b"".join(accounts for _program, accounts in instructions) + bytes(64 * header[0])
    return TransactionV1.from_bytes(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"header": (1, 1, 1)},  # nobody could pay
        {"header": (0, 0, 1)},
        {"header": (2, 0, 2)},
        {"header": (SIGNATURES_MAX + 1, 0, 1), "keys": 20},
        {"keys": ADDRESSES_MAX + 1},
        {"instructions": ((2, b""),) * (INSTRUCTIONS_MAX + 1)},
        {"instructions": ((0, b""),)},  # the payer is no program
        {"instructions": ((3, b""),)},
        {"instructions": ((2, b"\x03"),)},
        {"repeated": True},
        {"instructions": ((2, bytes(255)),) * 16},  # 4,278 bytes
        {"heap": 31 * 1024},
        {"heap": 33 * 1024 + 1},
        {"heap": 257 * 1024},
    ],
)
def test_what_is_beyond_the_limits_fails_sanitization(wrong: dict[str, Any]) -> None:
    with pytest.raises(SanitizeError):
        built(**wrong).sanitize()


@pytest.mark.parametrize(
    "most",
    [
        {},
        {"header": (SIGNATURES_MAX, 0, 1), "keys": 20},
        {"keys": ADDRESSES_MAX},
        {"instructions": ((2, bytes(50)),) * INSTRUCTIONS_MAX},
        {"instructions": ((2, bytes(255)),)},
        {"heap": 32 * 1024},
        {"heap": 256 * 1024},
    ],
)
def test_the_limits_themselves_are_allowed(most: dict[str, Any]) -> None:
    built(**most).sanitize()
