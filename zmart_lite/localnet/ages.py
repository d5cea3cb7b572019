"""How old a transaction may be: the recent blockhashes, and what landed since the oldest of them.

A cluster knows a transaction again by its message, which contains the blockhash, and not by its signature: with another
blockhash it is another transaction.
"""

import hashlib
from collections.abc import Iterable

from zmart_lite.localnet.transactions import AnyMessage, message_bytes

BLOCKHASH_AGE_MAX = 150
"""A transaction may name a blockhash for this many blocks after the one that made it."""
SIMULATED_AGE_MAX = BLOCKHASH_AGE_MAX - 6
"""A simulation leaves six blocks for what is simulated to reach a leader."""
KEPT_BLOCKS = 2 * BLOCKHASH_AGE_MAX


def identity(message: AnyMessage) -> bytes:
    """What makes two transactions the same."""
    return hashlib.sha256(message_bytes(message)).digest()


class Ages:
    """Heights by blockhash and by message, of the last blocks."""

    def __init__(self) -> None:
        self._blockhashes: dict[bytes, int] = {}
        self._messages: dict[bytes, int] = {}

    def add_block(self, blockhash: bytes, height: int) -> None:
        """Note the hash of a sealed block, and forget what is too old to matter."""
        self._blockhashes[blockhash] = height
        for kept in (self._blockhashes, self._messages):
            while kept and height - kept[oldest := next(iter(kept))] > KEPT_BLOCKS:
                del kept[oldest]

    def add_message(self, key: bytes, height: int) -> None:
        """``key`` is the message's :func:`identity`."""
        self._messages[key] = height

    def height_of(self, blockhash: bytes) -> int | None:
        return self._blockhashes.get(blockhash)

    def has_landed(self, key: bytes, height: int) -> bool:
        """Whether the message with that :func:`identity` is part of a block up to that height."""
        landed_at = self._messages.get(key)
        return landed_at is not None and landed_at <= height

    def go_back_to(self, height: int) -> None:
        """Forget the blocks above that height."""
        for kept in (self._blockhashes, self._messages):
            for key in [key for key, at in kept.items() if at > height]:
                del kept[key]

    def newest_blockhashes(self, height: int, limit: int) -> Iterable[bytes]:
        """Hashes of the blocks up to that height, newest first."""
        known = [key for key, at in reversed(self._blockhashes.items()) if at <= height]
        return known[:limit]
