"""The chain in one file: a log of msgpack records, each with its length and checksum.

Every sealed block is appended in one write, so that the end of the process, however sudden, loses nothing that was
confirmed; a power cut may lose the last seconds, since nothing is synced. A torn record at the end is cut off when the
file is read. From time to time the log is rewritten in its shortest form and takes the old one's place in one step.
"""

import errno
import fcntl
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from zmart_lite.errors import StartupError
from zmart_lite.localnet.records import Block
from zmart_lite.localnet.runtime import Account
from zmart_lite.localnet.transactions import Transaction, read_transaction_bytes

FORMAT = 1
_FRAME = struct.Struct("<II")
ACCOUNTS_PER_RECORD = 1_000
RECORD_BYTES_MAX = 256 * 1024 * 1024
REWRITE_BYTES_MIN = 64 * 1024 * 1024
REWRITE_GROWTH = 4
"""The log is rewritten once it is so many times as long as after the last time and above ``REWRITE_BYTES_MIN``."""

AccountRow = tuple[bytes, int, bytes, bytes, bool]


class _Header(msgspec.Struct, frozen=True, array_like=True, tag="header"):
    format: int
    program_id: bytes
    genesis_hash: bytes
    genesis_time: int


class _Accounts(msgspec.Struct, frozen=True, array_like=True, tag="accounts"):
    rows: list[AccountRow]


class _Sealed(msgspec.Struct, frozen=True, array_like=True, tag="block"):
    block: Block
    changed: list[AccountRow]
    removed: list[bytes]
    clock_state: int


class _Dropped(msgspec.Struct, frozen=True, array_like=True, tag="dropped"):
    height: int
    clock_state: int


_Record = _Header | _Accounts | _Sealed | _Dropped


def _pack_foreign(value: Any) -> bytes:
    if isinstance(value, Transaction):
        return bytes(value)
    raise NotImplementedError(f"{type(value)} is no part of the journal")


def _unpack_foreign(wanted: type, value: Any) -> Any:
    return read_transaction_bytes(value) if wanted is Transaction else value


@dataclass(slots=True)
class SavedChain:
    """A chain as read from its journal. The last block is the tip."""

    genesis_hash: bytes
    genesis_time: int
    clock_state: int = 0
    accounts: dict[bytes, Account] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)


def _row(key: bytes, account: Account) -> AccountRow:
    return (key, account.lamports, account.owner, account.data, account.executable)


class Journal:
    """One chain's file, for one process at a time. Create, then :meth:`load` before anything else."""

    def __init__(self, path: Path, program_id: bytes) -> None:
        self._path = path
        self._program_id = program_id
        self._encoder = msgspec.msgpack.Encoder(enc_hook=_pack_foreign)
        self._file: BinaryIO | None = None
        self._size = 0
        self._size_rewritten = 0
        self._base_height = 0
        self._lock: BinaryIO | None = None

    def load(self) -> SavedChain | None:
        """Read the file; None if there is none or it is empty.

        Raises :class:`StartupError` where another process uses it, or where it belongs to another program.
        """
        self._take_lock()
        if not self._path.exists() or not self._path.stat().st_size:
            return None
        header: _Header | None = None
        accounts: list[AccountRow] = []
        sealed: list[_Sealed] = []
        clock_state = 0
        for record in self._records():
            match record:
                case _Header():
                    header = record
                case _Accounts():
                    accounts.extend(record.rows)
                case _Sealed():
                    sealed.append(record)
                    clock_state = record.clock_state
                case _Dropped():
                    while sealed and sealed[-1].block.height > record.height:
                        sealed.pop()
                    clock_state = record.clock_state
        self._check(header)
        if header is None or not sealed:
            return None
        return _replay(header, accounts, sealed, clock_state)

    def _take_lock(self) -> None:
        """Lock a file beside the journal, since the journal itself gets replaced."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self._path.with_name(self._path.name + ".lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            self.close()
            raise StartupError(f"{self._path} is in use by another devnet; stop it or choose another path") from exc

    def _check(self, header: _Header | None) -> None:
        if header is None:
            self.close()
            raise StartupError(f"{self._path} is not a devnet ledger; move it away or choose another path")
        if header.format != FORMAT or header.program_id != self._program_id:
            self.close()
            raise StartupError(
                f"{self._path} is the ledger of another program or version; move it away or choose another path"
            )

    def _records(self) -> Iterator[_Record]:
        decoder = msgspec.msgpack.Decoder(_Record, dec_hook=_unpack_foreign)
        with self._path.open("rb") as file:
            while head := file.read(_FRAME.size):
                if len(head) < _FRAME.size:
                    return
                size, checksum = _FRAME.unpack(head)
                payload = file.read(size) if size <= RECORD_BYTES_MAX else b""
                if len(payload) != size or zlib.crc32(payload) != checksum:
                    return
                yield decoder.decode(payload)

    def append_block(self, block: Block, changes: Mapping[bytes, Account | None], clock_state: int) -> None:
        """Add a sealed block with the new version of every account it changed."""
        changed = [_row(key, account) for key, account in changes.items() if account is not None]
        removed = [key for key, account in changes.items() if account is None]
        self._append(_Sealed(block, changed, removed, clock_state))

    def append_drop(self, height: int, clock_state: int) -> None:
        """Record that the blocks above ``height`` vanished."""
        self._append(_Dropped(height, clock_state))

    def can_drop_to(self, height: int) -> bool:
        """Whether the file still tells blocks above ``height`` from the state they were folded into."""
        return height >= self._base_height

    @property
    def is_overgrown(self) -> bool:
        return self._size > max(REWRITE_BYTES_MIN, REWRITE_GROWTH * self._size_rewritten)

    def rewrite(
        self,
        header: tuple[bytes, int],
        accounts: Iterable[tuple[bytes, Account]],
        blocks: Iterable[Block],
        clock_state: int,
    ) -> None:
        """Replace the file by its shortest form. ``header``: (genesis hash, genesis time); blocks: oldest first."""
        temporary = self._path.with_name(self._path.name + ".new")
        with temporary.open("wb") as file:
            size = file.write(self._frame(_Header(FORMAT, self._program_id, *header)))
            rows = [_row(key, account) for key, account in accounts]
            for start in range(0, len(rows), ACCOUNTS_PER_RECORD):
                size += file.write(self._frame(_Accounts(rows[start : start + ACCOUNTS_PER_RECORD])))
            for block in blocks:
                size += file.write(self._frame(_Sealed(block, [], [], clock_state)))
                self._base_height = block.height
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        self._reopen()
        self._size = self._size_rewritten = size

    def close(self) -> None:
        for file in (self._file, self._lock):
            if file is not None:
                file.close()
        self._file = self._lock = None

    def _reopen(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._path.open("ab", buffering=0)

    def _append(self, record: _Record) -> None:
        if self._file is None:
            self._reopen()
        assert self._file is not None  # noqa: S101 - narrows the type
        frame = self._frame(record)
        try:
            written = self._file.write(frame)
        except OSError:
            self._file.truncate(self._size)
            raise
        if written != len(frame):
            self._file.truncate(self._size)
            raise OSError(errno.ENOSPC, "the record was not written whole", str(self._path))
        self._size += len(frame)

    def _frame(self, record: _Record) -> bytes:
        payload = self._encoder.encode(record)
        return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def _replay(header: _Header, accounts: list[AccountRow], sealed: list[_Sealed], clock_state: int) -> SavedChain:
    chain = SavedChain(header.genesis_hash, header.genesis_time, clock_state)
    for row in accounts:
        chain.accounts[row[0]] = Account(*row[1:])
    for record in sealed:
        chain.blocks.append(record.block)
        for row in record.changed:
            chain.accounts[row[0]] = Account(*row[1:])
        for key in record.removed:
            chain.accounts.pop(key, None)
    return chain
