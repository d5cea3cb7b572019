"""Instructions of the precompiles over real signatures, some of which are spoilt."""

import random
import struct
from functools import lru_cache

from coincurve import PrivateKey
from Crypto.Hash import SHA256, keccak
from Crypto.PublicKey import ECC
from Crypto.Signature import DSS
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from zmart_lite.localnet.natives.addresses import ED25519_ID, SECP256K1_ID, SECP256R1_ID

MESSAGES = (b"", b"vote", b"a longer message that somebody signed")
_ED25519_KEY = Keypair.from_seed(b"\x05" * 32)
_SECP256K1_KEY = PrivateKey(b"\x06" * 32)
_SECP256R1_KEY = ECC.construct(curve="P-256", d=7)
_SECP256R1_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@lru_cache
def ed25519_parts(message: bytes) -> tuple[bytes, bytes]:
    return bytes(_ED25519_KEY.pubkey()), bytes(_ED25519_KEY.sign_message(message))


@lru_cache
def secp256k1_parts(message: bytes) -> tuple[bytes, bytes]:
    """Ethereum address, signature with its recovery id."""
    digest = keccak.new(data=message, digest_bits=256).digest()
    public = _SECP256K1_KEY.public_key.format(compressed=False)[1:]
    address = keccak.new(data=public, digest_bits=256).digest()[-20:]
    return address, _SECP256K1_KEY.sign_recoverable(digest, hasher=None)


@lru_cache
def secp256r1_parts(message: bytes) -> tuple[bytes, bytes]:
    signature = DSS.new(_SECP256R1_KEY, "deterministic-rfc6979").sign(SHA256.new(message))
    s = int.from_bytes(signature[32:])
    low = min(s, _SECP256R1_ORDER - s)
    key = _SECP256R1_KEY.public_key().export_key(format="SEC1", compress=True)
    return bytes(key), signature[:32] + low.to_bytes(32, "big")


def _two_bytes_in_front(parts: list[tuple[bytes, bytes, bytes]], index: int) -> bytes:
    """The form of ed25519 and secp256r1: count, padding, offsets, then key, signature and message of each."""
    at = 2 + 14 * len(parts)
    offsets, body = b"", b""
    for key, signature, message in parts:
        start = at + len(body)
        after_key = start + len(key)
        after_signature = after_key + len(signature)
        offsets += struct.pack("<7H", after_key, index, start, index, after_signature, len(message), index)
        body += key + signature + message
    return bytes([len(parts), 0]) + offsets + body


def ed25519_data(message: bytes, index: int = 0xFFFF, count: int = 1) -> bytes:
    key, signature = ed25519_parts(message)
    return _two_bytes_in_front([(key, signature, message)] * count, index)


def secp256r1_data(message: bytes, index: int = 0xFFFF, count: int = 1) -> bytes:
    key, signature = secp256r1_parts(message)
    return _two_bytes_in_front([(key, signature, message)] * count, index)


def secp256k1_data(message: bytes, index: int = 0) -> bytes:
    address, signature = secp256k1_parts(message)
    offsets = struct.pack("<HBHBHHB", 32, index, 12, index, 97, len(message), index)
    return bytes([1]) + offsets + address + signature + message


def precompile_instruction(rng: random.Random) -> Instruction:
    """One in two is spoilt: a byte changed, cut off, or another count."""
    message = rng.choice(MESSAGES)
    index = rng.choice([0xFFFF, 0xFFFF, 0, 1])
    program, data = rng.choice(
        [
            (ED25519_ID, ed25519_data(message, index, rng.choice([1, 1, 2, 0]))),
            (SECP256R1_ID, secp256r1_data(message, index, rng.choice([1, 1, 2, 0, 9]))),
            (SECP256K1_ID, secp256k1_data(message, rng.choice([0, 0, 1]))),
        ]
    )
    if rng.random() < 0.5:
        data = _spoilt(rng, data)
    return Instruction(Pubkey(program), data, [])


def _spoilt(rng: random.Random, data: bytes) -> bytes:
    if not data or rng.random() < 0.3:
        return data[: rng.randrange(len(data) + 1)]
    at = rng.choice([0, rng.randrange(len(data)), rng.randrange(len(data))])
    return data[:at] + bytes([rng.choice([0, 1, 255, data[at] ^ 1])]) + data[at + 1 :]
