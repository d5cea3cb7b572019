"""The accounts by which a chain tells programs about itself; made when they are asked for, never stored.

Forms: the sysvar types of the Solana SDK, in bincode. The Instructions sysvar is no account of the chain on clusters
either: it exists only for the transaction that runs.
"""

import struct
from collections.abc import Callable
from typing import Protocol

from zmart_lite.localnet.ages import BLOCKHASH_AGE_MAX, Ages
from zmart_lite.localnet.clock import SLOTS_PER_EPOCH
from zmart_lite.localnet.history import History
from zmart_lite.localnet.layout import LAMPORTS_PER_SIGNATURE
from zmart_lite.localnet.natives.addresses import (
    CLOCK_ID,
    EPOCH_REWARDS_ID,
    EPOCH_SCHEDULE_ID,
    LAST_RESTART_SLOT_ID,
    RECENT_BLOCKHASHES_ID,
    RENT_ID,
    SLOT_HASHES_ID,
    SLOT_HISTORY_ID,
    STAKE_HISTORY_ID,
    SYSVAR_OWNER_ID,
)
from zmart_lite.localnet.releases import Release
from zmart_lite.localnet.runtime import LAMPORTS_PER_BYTE_YEAR_TWICE, Account, Clock, rent_exempt_minimum

SLOT_HASHES_MAX = 512
SLOT_HASHES_BYTES = 8 + SLOT_HASHES_MAX * 40
RECENT_BLOCKHASHES_BYTES = 8 + BLOCKHASH_AGE_MAX * 40
STAKE_HISTORY_BYTES = 8 + 512 * 32
SLOT_HISTORY_SLOTS = 1024 * 1024
BURN_PERCENT = 50


class Moment(Protocol):
    """The bank whose sysvars are asked for."""

    @property
    def slot(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def blockhash(self) -> bytes: ...

    @property
    def blockhash_height(self) -> int: ...

    @property
    def clock(self) -> Clock: ...


class Sysvars:
    """The sysvars of one chain."""

    def __init__(self, ages: Ages, history: History, genesis_time: int, release: Release) -> None:
        self._ages = ages
        self._history = history
        self._genesis_time = genesis_time
        self._release = release
        self._slot_hashes: tuple[tuple[int, bytes], bytes] = ((0, b""), b"")
        self._forms: dict[bytes, Callable[[Moment], bytes]] = {
            CLOCK_ID: self._clock,
            EPOCH_REWARDS_ID: lambda _bank: bytes(81),
            EPOCH_SCHEDULE_ID: lambda _bank: struct.pack("<QQ?QQ", SLOTS_PER_EPOCH, SLOTS_PER_EPOCH, False, 0, 0),
            LAST_RESTART_SLOT_ID: lambda _bank: bytes(8),
            RECENT_BLOCKHASHES_ID: self._recent_blockhashes,
            RENT_ID: lambda _bank: self._rent(),
            SLOT_HASHES_ID: self._kept_slot_hashes,
            SLOT_HISTORY_ID: self._slot_history,
            STAKE_HISTORY_ID: lambda _bank: bytes(STAKE_HISTORY_BYTES),
        }

    def account(self, key: bytes, bank: Moment) -> Account | None:
        """None for any other key."""
        form = self._forms.get(key)
        if form is None:
            return None
        data = form(bank)
        return Account(rent_exempt_minimum(len(data)), SYSVAR_OWNER_ID, data)

    def _clock(self, bank: Moment) -> bytes:
        clock = bank.clock
        return struct.pack("<QqQQq", clock.slot, self._genesis_time, clock.epoch, clock.epoch + 1, clock.unix_timestamp)

    def _rent(self) -> bytes:
        """Since Agave 4.0 the price is that of exemption itself, with a threshold of 1 (SIMD-194)."""
        years = 1 if self._release.has(4, 0) else 2
        return struct.pack("<QdB", LAMPORTS_PER_BYTE_YEAR_TWICE // years, float(years), BURN_PERCENT)

    def _recent_blockhashes(self, bank: Moment) -> bytes:
        hashes = list(self._ages.newest_blockhashes(bank.blockhash_height, BLOCKHASH_AGE_MAX))
        rows = b"".join(each + LAMPORTS_PER_SIGNATURE.to_bytes(8, "little") for each in hashes)
        return (len(hashes).to_bytes(8, "little") + rows).ljust(RECENT_BLOCKHASHES_BYTES, b"\0")

    def _kept_slot_hashes(self, bank: Moment) -> bytes:
        """As of the same parent they are the same, and every use of a lookup table asks for them."""
        key = (bank.height, bank.blockhash)
        if self._slot_hashes[0] != key:
            self._slot_hashes = (key, self._make_slot_hashes(bank))
        return self._slot_hashes[1]

    def _make_slot_hashes(self, bank: Moment) -> bytes:
        """The hash of a block stands for that of its bank, which there is none of here."""
        heights = range(bank.height - 1, max(bank.height - 1 - SLOT_HASHES_MAX, -1), -1)
        blocks = [block for block in map(self._history.block_at_height, heights) if block is not None]
        rows = b"".join(block.slot.to_bytes(8, "little") + block.blockhash for block in blocks)
        return (len(blocks).to_bytes(8, "little") + rows).ljust(SLOT_HASHES_BYTES, b"\0")

    def _slot_history(self, bank: Moment) -> bytes:
        """One bit for each of the last million slots, set where there is a block; then the next slot."""
        bits = 1  # Slot 0 is always there.
        first = max(bank.slot - SLOT_HISTORY_SLOTS, 0)
        for slot in self._history.slots_from(first, bank.slot, SLOT_HISTORY_SLOTS):
            bits |= 1 << slot % SLOT_HISTORY_SLOTS
        words = bits.to_bytes(SLOT_HISTORY_SLOTS // 8, "little")
        count = (SLOT_HISTORY_SLOTS // 64).to_bytes(8, "little")
        return b"\1" + count + words + struct.pack("<QQ", SLOT_HISTORY_SLOTS, bank.slot + 1)
