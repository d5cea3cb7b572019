"""Market texts and evidence as they are hashed: canonical JSON, and IPFS content ids computed without an IPFS node.

The chain holds 46 bytes for a text: a CIDv0, which is the hash of the text as one UnixFS chunk. Whoever has the same
bytes gets the same id, from Kubo and from Pinata as from here.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from based58 import b58decode, b58encode

CHUNK_BYTES_MAX = 262_144
"""Content up to this size is a single block for IPFS; beyond it the id depends on how it is cut."""
CID_V0_CHARS = 46
TEXT_VERSION = 1

_SHA256_MULTIHASH = b"\x12\x20"
_CID_V1_RAW = b"\x01\x55"
_UNIXFS_FILE = b"\x08\x02"
_UNIXFS_DATA = 0x12
_UNIXFS_SIZE = 0x18
_DAG_PB_DATA = 0x0A


class MarketText(NamedTuple):
    """What people read of a market. ``end_date`` is in unix seconds."""

    question: str
    description: str
    category: str
    tags: tuple[str, ...]
    end_date: int


def canonical_json(text: MarketText) -> str:
    """The one spelling of a text that is hashed: sorted keys, no spaces, nothing escaped that need not be."""
    return json.dumps(
        {
            "category": text.category,
            "description": text.description,
            "end_date": end_date_text(text.end_date),
            "question": text.question,
            "tags": list(text.tags),
            "version": TEXT_VERSION,
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )


def end_date_text(unix_s: int) -> str:
    """Unix seconds as ``2026-01-02T03:04:05Z``. Raises ValueError beyond the year 9999."""
    try:
        return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError) as error:
        raise ValueError(f"{unix_s} is not a date") from error


def cid_v0(content: bytes) -> str:
    """The CIDv0 (``Qm…``, 46 characters) of content of one chunk. Raises ValueError for more."""
    digest = hashlib.sha256(_unixfs_block(content)).digest()
    return b58encode(_SHA256_MULTIHASH + digest).decode()


def cid_v1_raw(content: bytes) -> str:
    """The CIDv1 (``bafkrei…``) of content of one chunk kept as a raw leaf. Raises ValueError for more."""
    _check_size(content)
    binary = _CID_V1_RAW + _SHA256_MULTIHASH + hashlib.sha256(content).digest()
    return "b" + base64.b32encode(binary).decode().lower().rstrip("=")


def is_cid_v0(text: str) -> bool:
    """Whether the text is a CIDv0: base58 of a sha2-256 multihash."""
    if len(text) != CID_V0_CHARS or not text.isascii():
        return False
    try:
        binary = b58decode(text.encode())
    except ValueError:
        return False
    return binary[:2] == _SHA256_MULTIHASH and len(binary) == len(_SHA256_MULTIHASH) + hashlib.sha256().digest_size


def _check_size(content: Sequence[int]) -> None:
    if len(content) > CHUNK_BYTES_MAX:
        raise ValueError(f"{len(content)} bytes are more than one chunk of {CHUNK_BYTES_MAX}")


def _unixfs_block(content: bytes) -> bytes:
    """The dag-pb node of a file in one chunk: protobuf, an empty file without the data field."""
    _check_size(content)
    file = _UNIXFS_FILE
    if content:
        file += bytes([_UNIXFS_DATA]) + _varint(len(content)) + content
    file += bytes([_UNIXFS_SIZE]) + _varint(len(content))
    return bytes([_DAG_PB_DATA]) + _varint(len(file)) + file


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
