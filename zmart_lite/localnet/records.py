"""What the embedded devnet remembers, and what it hands to observers.

An observer of blocks (the webhook emulation, pubsub) registers a callback::

    ledger.on_block(callback)                          # every block once it is confirmed
    ledger.on_block(callback, Commitment.FINALIZED)    # every block once it is finalized
    ledger.on_rollback(callback)                       # accounts that changed because blocks vanished
    ledger.on_transaction(callback)                    # every transaction at once, while its block is still open

A block callback receives a :class:`Block`; ``block.transactions`` are its :class:`LandedTransaction` in chain order,
failed ones included (``landed.meta.err``). Callbacks run inside the ledger, on the event loop's thread: they must not
wait, must not raise, and put what takes longer on a queue. A block that was announced can vanish in a fork
(``drop_blocks``, ``revert``); the slots of what replaces it are higher.

Keys, hashes and signatures are raw bytes. Everything but the transaction itself is a plain value that msgspec packs
for the journal.
"""

from typing import Any

import msgspec

from zmart_lite.localnet.transactions import Transaction

TransactionErr = str | dict[str, Any]
"""A TransactionError as JSON-RPC writes it: ``"BlockhashNotFound"``, ``{"InstructionError": [0, {"Custom": 6000}]}``"""


class InnerInstruction(msgspec.Struct, frozen=True, array_like=True):
    """An instruction that a program invoked. ``accounts`` holds one index into the transaction's keys per byte."""

    program_id_index: int
    accounts: bytes
    data: bytes
    stack_height: int


class InnerInstructions(msgspec.Struct, frozen=True, array_like=True):
    """What top-level instruction number ``index`` invoked, in the order of execution."""

    index: int
    instructions: tuple[InnerInstruction, ...]


class TransactionMeta(msgspec.Struct, frozen=True, array_like=True):
    """The outcome of a landed transaction. Balances are lamports, one for each of the transaction's keys."""

    err: TransactionErr | None
    fee_lamports: int
    pre_balances: tuple[int, ...]
    post_balances: tuple[int, ...]
    inner_instructions: tuple[InnerInstructions, ...]
    logs: tuple[str, ...]
    compute_units: int
    loaded_writable: tuple[bytes, ...] = ()
    loaded_readonly: tuple[bytes, ...] = ()


class LandedTransaction(msgspec.Struct, frozen=True, array_like=True):
    """A transaction that is part of a block, successful or not.

    ``position`` counts the chain's transactions from 0; ``index`` those of its block. ``block_time`` is in unix
    seconds.
    """

    signature: bytes
    slot: int
    height: int
    index: int
    position: int
    block_time: int
    transaction: Transaction
    account_keys: tuple[bytes, ...]
    meta: TransactionMeta

    @property
    def failed(self) -> bool:
        return self.meta.err is not None


class Block(msgspec.Struct, frozen=True, array_like=True):
    """A sealed block. ``time`` is its Clock's unix timestamp; heights have no gaps, slots may."""

    slot: int
    height: int
    parent_slot: int
    blockhash: bytes
    previous_blockhash: bytes
    time: int
    transactions: tuple[LandedTransaction, ...]
