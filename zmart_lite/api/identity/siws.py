"""Sign-In With Solana without I/O: the message's text, the bytes a wallet really signs, and signatures in all their
forms.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from solders.pubkey import Pubkey
from solders.signature import Signature

MESSAGE_BYTES_MAX = 2048
SIGNATURE_BYTES = 64
SIGNATURE_TEXT_MAX = 128
PUBKEY_BYTES = 32
HEAD = re.compile(r"([^\s]{1,255}) wants you to sign in with your Solana account:")
FIELDS = (
    "URI",
    "Version",
    "Chain ID",
    "Nonce",
    "Issued At",
    "Expiration Time",
    "Not Before",
    "Request ID",
    "Resources",
)

ENVELOPE_PREFIX = b"\xffsolana offchain"
ENVELOPE_DOMAIN_BYTES = 32
ENVELOPE_SIGNERS_MAX = 32
ENVELOPE_FORMATS = (0, 1, 2)
"""Restricted ASCII and UTF-8, which hardware wallets sign, and UTF-8 that is too long for them."""


class SignIn(NamedTuple):
    """A sign-in message taken apart. Times are unix milliseconds; absent fields are None."""

    domain: str
    address: str
    statement: str | None
    uri: str | None
    version: str | None
    chain_id: str | None
    nonce: str | None
    issued_ms: int | None
    expires_ms: int | None
    not_before_ms: int | None


def parse_message(text: str) -> SignIn:
    """Take a message apart; raises ValueError saying what is wrong with its form."""
    if len(text.encode()) > MESSAGE_BYTES_MAX:
        raise ValueError(f"must be at most {MESSAGE_BYTES_MAX} bytes")
    lines = text.split("\n")
    head = HEAD.fullmatch(lines[0])
    if head is None or len(lines) < 2:
        raise ValueError("must begin with '<domain> wants you to sign in with your Solana account:' and the address")
    statement, field_lines = _blocks(lines[2:])
    values = _fields(field_lines)
    return SignIn(
        head[1],
        lines[1],
        statement,
        values.get("URI"),
        values.get("Version"),
        values.get("Chain ID"),
        values.get("Nonce"),
        _time(values, "Issued At"),
        _time(values, "Expiration Time"),
        _time(values, "Not Before"),
    )


def _blocks(lines: Sequence[str]) -> tuple[str | None, list[str]]:
    """(statement, field lines) of what follows the address: an empty line before each."""
    blocks: list[list[str]] = []
    for line in lines:
        if line == "":
            blocks.append([])
        elif not blocks:
            raise ValueError("needs an empty line behind the address")
        else:
            blocks[-1].append(line)
    if not blocks:
        return None, []
    if any(not block for block in blocks) or len(blocks) > 2:
        raise ValueError("has empty lines where none belong")
    if len(blocks) == 1:
        only = blocks[0]
        is_statement = len(only) == 1 and not only[0].startswith(tuple(f"{name}:" for name in FIELDS))
        return (only[0], []) if is_statement else (None, only)
    if len(blocks[0]) != 1:
        raise ValueError("has a statement of more than one line")
    return blocks[0][0], blocks[1]


def _fields(lines: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    place = 0
    for line in lines:
        if place == len(FIELDS) and line.startswith("- "):
            continue  # a resource
        name, colon, value = line.partition(":")
        if not colon or name not in FIELDS[place:]:
            raise ValueError(f"has a line that is unknown, repeated or out of order: {line[:40]!r}")
        place = FIELDS.index(name) + 1
        if name == "Resources":
            if value:
                raise ValueError("has text behind Resources")
            continue
        if not value.startswith(" ") or len(value) < 2:
            raise ValueError(f"has an empty {name}")
        values[name] = value[1:]
    return values


def _time(values: dict[str, str], name: str) -> int | None:
    text = values.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"has an {name} that is no ISO 8601 time with offset")
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // MILLISECOND


MILLISECOND = datetime(1970, 1, 1, 0, 0, 0, 1_000) - datetime(1970, 1, 1)  # noqa: DTZ001 - only a difference


def message_text(
    *, domain: str, address: str, statement: str, uri: str, chain_id: str, nonce: str, issued: str, expires: str
) -> str:
    """The message a wallet would build from the same fields."""
    return (
        f"{domain} wants you to sign in with your Solana account:\n{address}\n\n{statement}\n\nURI: {uri}\nVersion: 1\n"
        f"Chain ID: {chain_id}\nNonce: {nonce}\nIssued At: {issued}\nExpiration Time: {expires}"
    )


# The bytes that were signed


class Envelope(NamedTuple):
    """An off-chain message taken apart. ``signers`` is empty in the short form, which names none."""

    text: bytes
    signers: tuple[bytes, ...]


def parse_envelope(signed: bytes) -> Envelope:
    """Take Solana's off-chain envelope apart, of version 0 (full or short form) or 1; raises ValueError saying what is
    wrong.

    Layouts: docs.anza.xyz/proposals/off-chain-message-signing for version 0; version 1 has neither application domain
    nor format, and the text fills the rest (in an older form it has its length before it).
    """
    head = len(ENVELOPE_PREFIX)
    if not signed.startswith(ENVELOPE_PREFIX) or len(signed) == head:
        raise ValueError("is no off-chain message")
    version, body = signed[head], signed[head + 1 :]
    if version == 0:
        return _version_0(body)
    if version == 1:
        return _version_1(body)
    raise ValueError(f"is an off-chain message of version {version}; versions 0 and 1 are known")


def _version_0(body: bytes) -> Envelope:
    found = _short_body(body) or _full_body(body)
    if found is None:
        raise ValueError(
            "is an off-chain message of version 0 whose lengths do not fit, or of a format other than 0, 1 and 2"
        )
    return found


def _version_1(body: bytes) -> Envelope:
    """signer count, signers, text: behind its u16 length or without one.

    No text of a sign-in can pass for a length: two printable characters make 8,224 at least.
    """
    count = body[0] if body else 0
    signers_end = 1 + count * PUBKEY_BYTES
    if not 1 <= count <= ENVELOPE_SIGNERS_MAX or len(body) < signers_end:
        raise ValueError(f"is an off-chain message of version 1 with {count} signers, of which not all are there")
    signers = tuple(body[at : at + PUBKEY_BYTES] for at in range(1, signers_end, PUBKEY_BYTES))
    text = body[signers_end:]
    if int.from_bytes(text[:2], "little") == len(text) - 2:
        text = text[2:]
    return Envelope(text, signers)


def _short_body(body: bytes) -> Envelope | None:
    """format, u16 length, text"""
    if len(body) < 3 or body[0] not in ENVELOPE_FORMATS:
        return None
    text = body[3:]
    return Envelope(text, ()) if int.from_bytes(body[1:3], "little") == len(text) else None


def _full_body(body: bytes) -> Envelope | None:
    """application domain, format, signer count, signers, u16 length, text"""
    rest = body[ENVELOPE_DOMAIN_BYTES:]
    if len(rest) < 2 or rest[0] not in ENVELOPE_FORMATS or not 1 <= rest[1] <= ENVELOPE_SIGNERS_MAX:
        return None
    signers_end = 2 + rest[1] * PUBKEY_BYTES
    signers = tuple(rest[at : at + PUBKEY_BYTES] for at in range(2, signers_end, PUBKEY_BYTES))
    text = rest[signers_end + 2 :]
    length = int.from_bytes(rest[signers_end : signers_end + 2], "little")
    return Envelope(text, signers) if length == len(text) and len(signers[-1]) == PUBKEY_BYTES else None


def short_envelope(text: bytes, text_format: int) -> bytes:
    return ENVELOPE_PREFIX + bytes([0, text_format]) + len(text).to_bytes(2, "little") + text


def full_envelope(text: bytes, text_format: int, signer: bytes) -> bytes:
    """With the zero application domain and one signer, as hardware wallets build it."""
    head = ENVELOPE_PREFIX + b"\0" + bytes(ENVELOPE_DOMAIN_BYTES) + bytes([text_format, 1])
    return head + signer + len(text).to_bytes(2, "little") + text


def new_envelope(text: bytes, signer: bytes, *, with_length: bool = False) -> bytes:
    """Of version 1, with one signer."""
    length = len(text).to_bytes(2, "little") if with_length else b""
    return ENVELOPE_PREFIX + bytes([1, 1]) + signer + length + text


def candidates(text: bytes, signer: bytes) -> Iterator[bytes]:
    """What a wallet may have signed when it was asked to sign ``text``."""
    yield text
    for text_format in ENVELOPE_FORMATS:
        yield short_envelope(text, text_format)
    for text_format in ENVELOPE_FORMATS:
        yield full_envelope(text, text_format, signer)
    yield new_envelope(text, signer)
    yield new_envelope(text, signer, with_length=True)


# Signatures and keys


def signatures_of(value: object) -> tuple[bytes, ...]:
    """All 64-byte readings of a signature given as base58, base64, base64url or array; raises ValueError for none."""
    if isinstance(value, list):
        return (_signature(bytes_of_array(value, SIGNATURE_BYTES)),)
    if not isinstance(value, str) or len(value) > SIGNATURE_TEXT_MAX:
        raise ValueError("must be 64 bytes as base58, base64 or an array")
    readings = (_base58(value), decode_base64(value))
    found = tuple(raw for raw in readings if raw is not None and len(raw) == SIGNATURE_BYTES)
    if not found:
        raise ValueError("must be 64 bytes as base58, base64 or an array")
    return found


def _signature(raw: bytes) -> bytes:
    if len(raw) != SIGNATURE_BYTES:
        raise ValueError(f"must have {SIGNATURE_BYTES} bytes")
    return raw


def bytes_of_array(value: list[object], length_max: int) -> bytes:
    """Bytes given as a JSON array of integers."""
    if len(value) > length_max or not all(isinstance(byte, int) and not isinstance(byte, bool) for byte in value):
        raise ValueError(f"must be an array of at most {length_max} bytes")
    try:
        return bytes(value)  # type: ignore[arg-type]  # all integers, see above
    except ValueError:
        raise ValueError("must be an array of bytes, 0 to 255") from None


def decode_base64(text: str) -> bytes | None:
    """Base64 or base64url, with or without padding; None if it is neither."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _base58(text: str) -> bytes | None:
    try:
        return bytes(Signature.from_string(text))
    except ValueError:
        return None


def is_signed(messages: Iterator[bytes] | Sequence[bytes], signatures: Sequence[bytes], key: bytes) -> bool:
    """Whether one of the signatures is this key's over one of the messages. A key off the curve signs nothing."""
    pubkey = Pubkey.from_bytes(key)
    if not pubkey.is_on_curve():
        return False
    return any(Signature.from_bytes(raw).verify(pubkey, message) for message in messages for raw in signatures)
