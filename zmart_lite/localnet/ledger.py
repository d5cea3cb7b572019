"""The embedded devnet's chain: blocks, commitments, forks and time, in memory and, if wanted, in a journal.

At any moment one block is open. Transactions are executed into it one by one and are *processed* at once; sealing the
block makes it *confirmed* (``confirmed_lag`` blocks behind the open one) and, 31 blocks later, *finalized*. With
``slot_ms=0`` every transaction seals its own block. Heights have no gaps; slots do, since what replaces dropped blocks
gets new slots, as after a fork on a cluster.

All methods are synchronous and belong to the event loop's thread. How to follow the chain: see
:mod:`zmart_lite.localnet.records`.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from solders.message import MessageV0

from zmart_lite.localnet.ages import BLOCKHASH_AGE_MAX, KEPT_BLOCKS, SIMULATED_AGE_MAX, Ages, identity
from zmart_lite.localnet.banks import AccountStates
from zmart_lite.localnet.clock import SLOT_MS, ChainClock, clock_of
from zmart_lite.localnet.execution import Environment, Outcome, execute
from zmart_lite.localnet.failures import TransactionRefused
from zmart_lite.localnet.history import TRANSACTIONS_MAX, History
from zmart_lite.localnet.invocation import LOG_BYTES_MAX
from zmart_lite.localnet.journal import Journal, SavedChain
from zmart_lite.localnet.layout import Layout, lay_out
from zmart_lite.localnet.natives.addresses import LOADER_IDS, NATIVE_LOADER_ID
from zmart_lite.localnet.natives.lookup_table import Lookup, resolve
from zmart_lite.localnet.natives.nonce import durable_nonce, usable_nonce
from zmart_lite.localnet.records import Block, LandedTransaction
from zmart_lite.localnet.releases import NEWEST, Release
from zmart_lite.localnet.runtime import Account, Clock, ProgramEntry
from zmart_lite.localnet.sysvars import Sysvars
from zmart_lite.localnet.transactions import AnyMessage, Transaction
from zmart_lite.models import Commitment

ACCOUNT_LOCKS_MAX = 128
"""How many accounts a transaction may name, those from lookup tables included."""
SNAPSHOTS_MAX = 64
BLOCKS_BEHIND_MAX = 64
"""How far :meth:`Ledger.looking_back` reaches."""
BLOCKS_PER_CALL_MAX = 10_000
TRUNCATED_LOG_BYTES = 200
"""The log cap while truncation is on: invoke and instruction lines fit, an event does not, a success line does."""


class LedgerRefused(Exception):
    """A developer's request does not fit the chain's present state; the message says why."""


@dataclass(frozen=True, slots=True)
class LedgerOptions:
    """How a chain behaves. Lags are in blocks behind the open one, at least 1. Older transactions are forgotten.

    ``release`` is that of the runtime whose rules hold.
    """

    slot_ms: int = SLOT_MS
    confirmed_lag: int = 1
    finalized_lag: int = 32
    transactions_max: int = TRANSACTIONS_MAX
    release: Release = NEWEST

    @property
    def on_demand(self) -> bool:
        return self.slot_ms == 0


class Snapshot(NamedTuple):
    height: int
    clock_state: int


@dataclass(slots=True)
class _OpenBlock:
    slot: int
    height: int
    parent_slot: int
    previous_blockhash: bytes
    time: int
    transactions: list[LandedTransaction]


@dataclass(frozen=True, slots=True)
class Bank:
    """The chain at one commitment: its newest block there, and the accounts after it."""

    slot: int
    height: int
    time: int
    blockhash: bytes
    blockhash_height: int
    _ledger: "Ledger"

    @property
    def release(self) -> Release:
        return self._ledger.options.release

    @property
    def clock(self) -> Clock:
        return clock_of(self.slot, self.time)

    @property
    def last_valid_height(self) -> int:
        """The last block height at which a transaction with this bank's blockhash can land."""
        return self.blockhash_height + BLOCKHASH_AGE_MAX

    def account(self, key: bytes) -> Account | None:
        found = self._ledger.accounts.get_at(key, self.height)
        return found if found is not None else self._ledger.sysvars.account(key, self)

    def owned_by(self, program_id: bytes) -> list[tuple[bytes, Account]]:
        return self._ledger.accounts.owned_at(program_id, self.height)

    def knows_blockhash(self, blockhash: bytes) -> bool:
        made_at = self._ledger.ages.height_of(blockhash)
        return made_at is not None and made_at <= self.height <= made_at + BLOCKHASH_AGE_MAX

    def may_simulate_with(self, blockhash: bytes) -> bool:
        """Whether what is simulated now with that blockhash would still have the time to land."""
        made_at = self._ledger.ages.height_of(blockhash)
        return made_at is not None and made_at <= self.blockhash_height <= made_at + SIMULATED_AGE_MAX


class Ledger:
    """One chain. ``genesis`` are the accounts it begins with; a non-empty journal takes precedence over them."""

    def __init__(
        self,
        programs: Mapping[bytes, ProgramEntry],
        clock: ChainClock,
        genesis: Mapping[bytes, Account],
        genesis_hash: bytes,
        options: LedgerOptions | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.options = options or LedgerOptions()
        self.clock = clock
        self.programs = programs
        self.accounts = AccountStates()
        self.history = History(self.options.transactions_max)
        self.genesis_hash = genesis_hash
        self.genesis_time = clock.now_s()
        self.ages = Ages()
        self.paused = False
        self._journal = journal
        self._snapshots: dict[int, Snapshot] = {}
        self._snapshot_count = 0
        self._floor = 0
        self._truncate_left = 0
        self._block_callbacks: dict[Commitment, list[Callable[[Block], None]]] = {level: [] for level in Commitment}
        self._transaction_callbacks: list[Callable[[LandedTransaction, frozenset[bytes]], None]] = []
        self._behind = 0
        self._slot_callbacks: list[Callable[[int, int, int], None]] = []
        self._rollback_callbacks: list[Callable[[frozenset[bytes], Commitment], None]] = []
        saved = journal.load() if journal is not None else None
        if saved is None:
            self._begin(genesis)
        else:
            self._resume(saved)
            self._add_programs(genesis)
        self.sysvars = Sysvars(self.ages, self.history, self.genesis_time, self.options.release)
        self._announced = dict.fromkeys(Commitment, self._open.height - 1)

    def _begin(self, genesis: Mapping[bytes, Account]) -> None:
        for key, account in genesis.items():
            self.accounts.put(key, account)
        self.accounts.start_at(1)
        first = Block(0, 0, 0, self.genesis_hash, self.genesis_hash, self.genesis_time, ())
        self.history.add_block(first)
        self.ages.add_block(self.genesis_hash, 0)
        self._open = _OpenBlock(1, 1, 0, self.genesis_hash, self.genesis_time, [])
        self.checkpoint()

    def _resume(self, saved: SavedChain) -> None:
        self.genesis_hash, self.genesis_time = saved.genesis_hash, saved.genesis_time
        for key, account in saved.accounts.items():
            self.accounts.put(key, account)
        tip = saved.blocks[-1]
        for block in saved.blocks:
            for landed in block.transactions:
                self.history.add_transaction(landed)
                if block.height >= tip.height - KEPT_BLOCKS:
                    self.ages.add_message(identity(landed.transaction.message), block.height)
            self.history.add_block(block)
            self.ages.add_block(block.blockhash, block.height)
        self.accounts.start_at(tip.height + 1)
        self._floor = tip.height
        if not self.clock.frozen:
            self.clock.restore(saved.clock_state)
        self.clock.catch_up(tip.time)
        self._open = _OpenBlock(tip.slot + 1, tip.height + 1, tip.slot, tip.blockhash, self.clock.now_s(), [])
        self.checkpoint()

    def _add_programs(self, genesis: Mapping[bytes, Account]) -> None:
        """A chain that an older version saved gets the programs that have been added since."""
        for key, account in genesis.items():
            is_program = account.owner == NATIVE_LOADER_ID or account.owner in LOADER_IDS
            if is_program and self.accounts.get(key) is None:
                self.accounts.put(key, account)

    @property
    def open_slot(self) -> int:
        return self._open.slot

    @property
    def open_transaction_count(self) -> int:
        return len(self._open.transactions)

    def height_at(self, commitment: Commitment) -> int:
        """Height of the newest block at that commitment; the open block counts as processed."""
        height = max(self._open.height - self._behind, 1)
        if commitment is Commitment.PROCESSED:
            return height
        lag = self.options.confirmed_lag if commitment is Commitment.CONFIRMED else self.options.finalized_lag
        return max(height - lag, min(self._floor, height - 1))

    @contextmanager
    def looking_back(self, blocks: int) -> Iterator[None]:
        """Within it, reading shows the chain of so many blocks ago. Nothing may be written, nor be waited for."""
        self._behind = min(blocks, BLOCKS_BEHIND_MAX)
        try:
            yield
        finally:
            self._behind = 0

    def bank(self, commitment: Commitment) -> Bank:
        if commitment is Commitment.PROCESSED and not self._behind:
            block = self._open
            return Bank(block.slot, block.height, block.time, block.previous_blockhash, block.height - 1, self)
        sealed = self.history.block_at_height(self.height_at(commitment))
        if sealed is None:
            raise LedgerRefused("the block at that commitment is no longer kept")
        return self.bank_after(sealed)

    def bank_after(self, block: Block) -> Bank:
        """The chain as it was once that block was sealed; accounts only of blocks that can still be dropped."""
        return Bank(block.slot, block.height, block.time, block.blockhash, block.height, self)

    def commitment_of(self, height: int) -> Commitment:
        """How settled the block of that height is."""
        if height <= self.height_at(Commitment.FINALIZED):
            return Commitment.FINALIZED
        return Commitment.CONFIRMED if height <= self.height_at(Commitment.CONFIRMED) else Commitment.PROCESSED

    def on_block(self, callback: Callable[[Block], None], commitment: Commitment = Commitment.CONFIRMED) -> None:
        """Call with every block once it reaches ``commitment`` (processed: once it is sealed), in chain order."""
        self._block_callbacks[commitment].append(callback)

    def on_transaction(self, callback: Callable[[LandedTransaction, frozenset[bytes]], None]) -> None:
        """Call with every transaction as it is processed, and with the keys of the accounts it changed."""
        self._transaction_callbacks.append(callback)

    def on_slot(self, callback: Callable[[int, int, int], None]) -> None:
        """Call with (slot, parent slot, root slot) whenever a block is opened."""
        self._slot_callbacks.append(callback)

    def on_rollback(self, callback: Callable[[frozenset[bytes], Commitment], None]) -> None:
        """Call where accounts changed without a transaction, by a fork or :meth:`set_account`.

        The callback gets their keys and the highest commitment at which they changed.
        """
        self._rollback_callbacks.append(callback)

    def submit(self, transaction: Transaction) -> LandedTransaction:
        """Execute into the open block; with blocks on demand, seal it. The form and signatures must have been checked.

        Raises :class:`TransactionRefused` where nothing lands: unknown blockhash, repeated transaction, fee payer too
        poor.
        """
        self._refresh_time()
        bank = self.bank(Commitment.PROCESSED)
        recent = bank.knows_blockhash(bytes(transaction.message.recent_blockhash))
        log_bytes = TRUNCATED_LOG_BYTES if self._truncate_left else LOG_BYTES_MAX
        outcome = self._execute(transaction, bank, recent, log_bytes)
        if self._truncate_left > 0:
            self._truncate_left -= 1
        landed = self._land(transaction, outcome)
        for callback in self._transaction_callbacks:
            callback(landed, frozenset(outcome.changes))
        if self.options.on_demand and not self.paused:
            self.seal_block()
        return landed

    def simulate(self, transaction: Transaction, bank: Bank) -> Outcome:
        """What the transaction would do on that bank. Raises :class:`TransactionRefused` as :meth:`submit` does.

        Its log is whole, and its blockhash must be a little younger than for landing.
        """
        recent = bank.may_simulate_with(bytes(transaction.message.recent_blockhash))
        return self._execute(transaction, bank, recent, None)

    def _execute(self, transaction: Transaction, bank: Bank, recent: bool, log_bytes_max: int | None) -> Outcome:
        layout = self.lay_out(transaction.message, bank)
        if len(set(layout.keys)) != len(layout.keys):
            raise TransactionRefused("AccountLoadedTwice")
        if len(layout.keys) > ACCOUNT_LOCKS_MAX:
            raise TransactionRefused("TooManyAccountLocks")
        nonce_key = None if recent else _usable_nonce_key(layout, bank)
        if not recent and nonce_key is None:
            raise TransactionRefused("BlockhashNotFound")
        if self.ages.has_landed(identity(transaction.message), bank.height):
            raise TransactionRefused("AlreadyProcessed")
        environment = Environment(
            bank.account, bank.clock, self.programs, log_bytes_max, bank.blockhash, self.options.release
        )
        return execute(layout, environment, nonce_key)

    def lay_out(self, message: AnyMessage, bank: Bank) -> Layout:
        """The message with the addresses that it takes from lookup tables. Raises :class:`TransactionRefused`."""
        if not isinstance(message, MessageV0) or not message.address_table_lookups:
            return lay_out(message)
        lookups = [
            Lookup(bytes(each.account_key), bytes(each.writable_indexes), bytes(each.readonly_indexes))
            for each in message.address_table_lookups
        ]
        return lay_out(message, *resolve(lookups, bank.slot, bank.account))

    def _land(self, transaction: Transaction, outcome: Outcome) -> LandedTransaction:
        block = self._open
        landed = LandedTransaction(
            bytes(transaction.signatures[0]),
            block.slot,
            block.height,
            len(block.transactions),
            self.history.transaction_count,
            block.time,
            transaction,
            outcome.account_keys,
            outcome.meta,
        )
        for key, account in outcome.changes.items():
            self.accounts.put(key, account)
        block.transactions.append(landed)
        self.history.add_transaction(landed)
        self.ages.add_message(identity(transaction.message), block.height)
        return landed

    def _refresh_time(self) -> None:
        """A block has one time; it is that of its first transaction."""
        if not self._open.transactions:
            self._open.time = max(self._open.time, self.clock.now_s())

    def seal_block(self) -> Block:
        """End the open block and open the next. Observers hear of every block that thereby reaches a commitment."""
        self._refresh_time()
        opened = self._open
        blockhash = _next_blockhash(opened.previous_blockhash, opened.slot, opened.transactions)
        block = Block(
            opened.slot,
            opened.height,
            opened.parent_slot,
            blockhash,
            opened.previous_blockhash,
            opened.time,
            tuple(opened.transactions),
        )
        if self._journal is not None:
            self._journal.append_block(block, self.accounts.open_changes(), self.clock.offset_s)
        self.accounts.seal()
        self.history.add_block(block)
        self.ages.add_block(blockhash, block.height)
        self._open = _OpenBlock(block.slot + 1, block.height + 1, block.slot, blockhash, block.time, [])
        self._refresh_time()
        self._announce()
        self._forget_old_versions()
        if self._journal is not None and self._journal.is_overgrown:
            self.checkpoint()
        return block

    def produce_blocks(self, count: int, seconds: int = 0) -> None:
        """Seal that many blocks, time moving by ``seconds`` before. Raises :class:`LedgerRefused` above the bound."""
        if not 0 <= count <= BLOCKS_PER_CALL_MAX:
            raise LedgerRefused(f"between 0 and {BLOCKS_PER_CALL_MAX} blocks can be produced at once")
        if seconds and self._open.transactions:
            self.seal_block()
        self.clock.advance(seconds)
        for _ in range(count):
            self.seal_block()

    def _announce(self) -> None:
        root = self.bank(Commitment.FINALIZED).slot
        for slot_callback in self._slot_callbacks:
            slot_callback(self._open.slot, self._open.parent_slot, root)
        for commitment, callbacks in self._block_callbacks.items():
            reached = min(self.height_at(commitment), self._open.height - 1)
            for height in range(self._announced[commitment] + 1, reached + 1):
                block = self.history.block_at_height(height)
                if block is not None:
                    for callback in callbacks:
                        callback(block)
            self._announced[commitment] = max(self._announced[commitment], reached)

    def _forget_old_versions(self) -> None:
        kept = [snapshot.height for snapshot in self._snapshots.values()]
        self.accounts.forget_through(min([self.height_at(Commitment.FINALIZED) - BLOCKS_BEHIND_MAX, *kept]))

    def warp(self, seconds: int) -> None:
        """Move time forward and make blocks until all that was there is final. Raises :class:`LedgerRefused`."""
        if seconds < 0:
            raise LedgerRefused("time does not go back; use a snapshot and revert to it")
        self.produce_blocks(self.options.finalized_lag + 1, seconds)

    def set_account(self, key: bytes, account: Account | None) -> None:
        """Write an account without a transaction, as part of the open block (sealed at once if on demand)."""
        self.accounts.put(key, account)
        for callback in self._rollback_callbacks:
            callback(frozenset([key]), Commitment.PROCESSED)
        if self.options.on_demand and not self.paused:
            self.seal_block()

    def truncate_logs(self, transactions: int) -> None:
        """Cap the logs of that many further transactions very low; -1: until told otherwise, 0: no longer."""
        self._truncate_left = transactions

    def snapshot(self) -> int:
        """Remember the chain as it is. The oldest is forgotten above ``SNAPSHOTS_MAX``; none survives a restart."""
        if self._open.transactions or self.accounts.open_changes():
            self.seal_block()
        self._snapshot_count += 1
        self._snapshots[self._snapshot_count] = Snapshot(self._open.height - 1, self.clock.state)
        if len(self._snapshots) > SNAPSHOTS_MAX:
            del self._snapshots[next(iter(self._snapshots))]
        return self._snapshot_count

    def revert(self, snapshot_id: int) -> None:
        """Go back to a snapshot, time included, finalized blocks or not. It stays usable; later ones are gone.

        Raises :class:`LedgerRefused` for an unknown one.
        """
        snapshot = self._snapshots.get(snapshot_id)
        if snapshot is None:
            raise LedgerRefused(f"there is no snapshot {snapshot_id}")
        if self.history.block_at_height(snapshot.height) is None:
            raise LedgerRefused(f"the block of snapshot {snapshot_id} is no longer kept")
        self.clock.restore(snapshot.clock_state)
        self._floor = min(self._floor, snapshot.height)
        self._go_back_to(snapshot.height, Commitment.FINALIZED)

    def drop_blocks(self, count: int) -> None:
        """A fork: the open block and the last ``count`` sealed ones vanish with their transactions.

        Raises :class:`LedgerRefused` where that would reach finalized blocks.
        """
        height = self._open.height - 1 - count
        finalized = self.height_at(Commitment.FINALIZED)
        if count < 0 or height < finalized:
            raise LedgerRefused(f"only the last {self._open.height - 1 - finalized} blocks are not finalized")
        self._floor = max(self._floor, finalized)
        self._go_back_to(height, Commitment.CONFIRMED)

    def _go_back_to(self, height: int, reaching: Commitment) -> None:
        newest = self._open
        for landed in reversed(newest.transactions):
            self.history.drop_transaction(landed)
        for gone in range(newest.height - 1, height, -1):
            block = self.history.block_at_height(gone)
            if block is not None:
                self.history.drop_block(block)
        self.ages.go_back_to(height)
        touched = self.accounts.undo_after(height)
        tip = self.history.block_at_height(height)
        assert tip is not None  # noqa: S101 - both callers made sure
        self._open = _OpenBlock(newest.slot + 1, height + 1, tip.slot, tip.blockhash, tip.time, [])
        self._announced = {level: min(reached, height) for level, reached in self._announced.items()}
        self._snapshots = {key: kept for key, kept in self._snapshots.items() if kept.height <= height}
        self._refresh_time()
        if self._journal is not None and self._journal.can_drop_to(height):
            self._journal.append_drop(height, self.clock.offset_s)
        else:
            self.checkpoint()
        for callback in self._rollback_callbacks:
            callback(touched, reaching)

    def checkpoint(self) -> None:
        """Write the whole chain, without the open block, to the journal in its shortest form."""
        if self._journal is not None:
            header = (self.genesis_hash, self.genesis_time)
            self._journal.rewrite(header, self.accounts.items(), self.history.blocks(), self.clock.offset_s)

    def close(self) -> None:
        """Seal what is open and end the journal."""
        if self._open.transactions or self.accounts.open_changes():
            self.seal_block()
        if self._journal is not None:
            self.checkpoint()
            self._journal.close()


def _usable_nonce_key(layout: Layout, bank: Bank) -> bytes | None:
    """The nonce account whose value stands in for the message's blockhash, if its authority signed to advance it."""
    key, value = layout.nonce_key(), bytes(layout.message.recent_blockhash)
    if key is None or value == durable_nonce(bank.blockhash):
        return None
    state = usable_nonce(bank.account(key), value)
    return key if state is not None and state.authority in layout.signers_of_first_instruction() else None


def _next_blockhash(previous: bytes, slot: int, transactions: Iterable[LandedTransaction]) -> bytes:
    digest = hashlib.sha256(previous + slot.to_bytes(8, "little"))
    for landed in transactions:
        digest.update(landed.signature)
    return digest.digest()
