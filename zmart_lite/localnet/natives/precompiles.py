"""The three programs that are the runtime's own code: they verify signatures which other instructions rely on.

Source: agave-precompiles. The verifying is done by libraries; where the signatures lie and in which order faults are
found is the runtime's. Two libraries are imported where they are first used: few chains ever verify, and they take a
fifth of a second.
"""

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_lite.localnet.natives.addresses import ED25519_ID, SECP256K1_ID, SECP256R1_ID
from zmart_lite.localnet.runtime import InstructionFailed

INVALID_PUBLIC_KEY = 0
INVALID_RECOVERY_ID = 1
INVALID_SIGNATURE = 2
INVALID_DATA_OFFSETS = 3
INVALID_INSTRUCTION_DATA_SIZE = 4

SIGNATURE_BYTES = 64
ETHEREUM_ADDRESS_BYTES = 20
COMPRESSED_KEY_BYTES = 33
SECP256R1_SIGNATURES_MAX = 8
THIS_INSTRUCTION = 0xFFFF

_SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_SECP256R1_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_OFFSETS = struct.Struct("<7H")
_SECP256K1_OFFSETS = struct.Struct("<HBHBHHB")


class _Fault(InstructionFailed):
    def __init__(self, number: int) -> None:
        super().__init__("PrecompileError", number)


class _Signed(NamedTuple):
    """What one entry of an instruction points to."""

    signature: bytes
    key: bytes
    message: bytes


def verify_precompile(program_id: bytes, data: bytes, instructions: Sequence[bytes]) -> None:
    """Verify what ``data`` lists. ``instructions`` are the data of all instructions of the message.

    Raises :class:`InstructionFailed` with the number of a PrecompileError.
    """
    _VERIFIERS[program_id](data, instructions)


def _verify_ed25519(data: bytes, instructions: Sequence[bytes]) -> None:
    if len(data) < 2 or (data[0] == 0 and len(data) > 2):
        raise _Fault(INVALID_INSTRUCTION_DATA_SIZE)
    for place in _entries(data, _OFFSETS):
        signature = _slice(data, instructions, place[1], place[0], SIGNATURE_BYTES)
        if int.from_bytes(signature[32:], "little") >= _ED25519_ORDER:
            raise _Fault(INVALID_SIGNATURE)
        key = _slice(data, instructions, place[3], place[2], 32)
        if not Pubkey(key).is_on_curve():
            raise _Fault(INVALID_PUBLIC_KEY)
        message = _slice(data, instructions, place[6], place[4], place[5])
        if not Signature(signature).verify(Pubkey(key), message):
            raise _Fault(INVALID_SIGNATURE)


_ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def _verify_secp256r1(data: bytes, instructions: Sequence[bytes]) -> None:
    if len(data) < 2 or not 0 < data[0] <= SECP256R1_SIGNATURES_MAX:
        raise _Fault(INVALID_INSTRUCTION_DATA_SIZE)
    for place in _entries(data, _OFFSETS):
        signed = _Signed(
            _slice(data, instructions, place[1], place[0], SIGNATURE_BYTES),
            _slice(data, instructions, place[3], place[2], COMPRESSED_KEY_BYTES),
            _slice(data, instructions, place[6], place[4], place[5]),
        )
        r, s = int.from_bytes(signed.signature[:32]), int.from_bytes(signed.signature[32:])
        if not (1 <= r < _SECP256R1_ORDER and 1 <= s <= _SECP256R1_ORDER >> 1):
            raise _Fault(INVALID_SIGNATURE)
        _verify_p256(signed)


def _verify_p256(signed: _Signed) -> None:
    from Crypto.Hash import SHA256
    from Crypto.PublicKey import ECC
    from Crypto.Signature import DSS

    try:
        key = ECC.import_key(signed.key, curve_name="P-256")
    except ValueError:
        raise _Fault(INVALID_PUBLIC_KEY) from None
    try:
        DSS.new(key, "fips-186-3").verify(SHA256.new(signed.message), signed.signature)
    except ValueError:
        raise _Fault(INVALID_SIGNATURE) from None


def _entries(data: bytes, form: struct.Struct) -> list[tuple[int, ...]]:
    """The places that ed25519 and secp256r1 instructions list: offset and instruction of each part."""
    if len(data) < 2 + data[0] * form.size:
        raise _Fault(INVALID_INSTRUCTION_DATA_SIZE)
    return [form.unpack_from(data, 2 + number * form.size) for number in range(data[0])]


def _slice(data: bytes, instructions: Sequence[bytes], index: int, start: int, size: int) -> bytes:
    if index != THIS_INSTRUCTION and index >= len(instructions):
        raise _Fault(INVALID_DATA_OFFSETS)
    source = data if index == THIS_INSTRUCTION else instructions[index]
    if start + size > len(source):
        raise _Fault(INVALID_DATA_OFFSETS)
    return source[start : start + size]


def _verify_secp256k1(data: bytes, instructions: Sequence[bytes]) -> None:
    """By recovering the key: what is listed is an Ethereum address, the end of the key's hash."""
    from coincurve import PublicKey

    if not data or (data[0] == 0 and len(data) > 1) or len(data) < 1 + data[0] * _SECP256K1_OFFSETS.size:
        raise _Fault(INVALID_INSTRUCTION_DATA_SIZE)
    for number in range(data[0]):
        place = _SECP256K1_OFFSETS.unpack_from(data, 1 + number * _SECP256K1_OFFSETS.size)
        signature = _recoverable_signature(instructions, place[1], place[0])
        address = _secp256k1_slice(instructions, place[3], place[2], ETHEREUM_ADDRESS_BYTES)
        message = _secp256k1_slice(instructions, place[6], place[4], place[5])
        try:
            key = PublicKey.from_signature_and_message(signature, _keccak256(message), hasher=None)
        except ValueError:
            raise _Fault(INVALID_SIGNATURE) from None
        if _keccak256(key.format(compressed=False)[1:])[-ETHEREUM_ADDRESS_BYTES:] != address:
            raise _Fault(INVALID_SIGNATURE)


def _recoverable_signature(instructions: Sequence[bytes], index: int, start: int) -> bytes:
    if index >= len(instructions):
        raise _Fault(INVALID_INSTRUCTION_DATA_SIZE)
    signature = instructions[index][start : start + SIGNATURE_BYTES + 1]
    if len(signature) <= SIGNATURE_BYTES:
        raise _Fault(INVALID_SIGNATURE)
    if any(int.from_bytes(signature[at : at + 32]) >= _SECP256K1_ORDER for at in (0, 32)):
        raise _Fault(INVALID_SIGNATURE)
    if signature[SIGNATURE_BYTES] >= 4:
        raise _Fault(INVALID_RECOVERY_ID)
    return signature


def _secp256k1_slice(instructions: Sequence[bytes], index: int, start: int, size: int) -> bytes:
    if index >= len(instructions):
        raise _Fault(INVALID_DATA_OFFSETS)
    if start + size > len(instructions[index]):
        raise _Fault(INVALID_SIGNATURE)
    return instructions[index][start : start + size]


def _keccak256(data: bytes) -> bytes:
    from Crypto.Hash import keccak

    return keccak.new(data=data, digest_bits=256).digest()


_VERIFIERS: dict[bytes, Callable[[bytes, Sequence[bytes]], None]] = {
    ED25519_ID: _verify_ed25519,
    SECP256K1_ID: _verify_secp256k1,
    SECP256R1_ID: _verify_secp256r1,
}
