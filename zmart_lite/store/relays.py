"""Transactions of wallets that the node passed on, so that a repeated call tells how the first one ended."""

from zmart_lite.store import rows
from zmart_lite.store.db import Row, Tx
from zmart_lite.store.rows import Json, RowSettings

EVENTS_MAX = 64
"""Events of one transaction that an answer shows; a transaction of 1232 bytes cannot cause more."""


def add_relay(tx: Tx, signature: bytes, last_valid_block_height: int) -> bool:
    """Note a transaction before it is sent; False if it was noted before."""
    return (
        tx.execute(
            "INSERT INTO relayed_transactions (signature, last_valid_block_height, created_ms) VALUES (?, ?, ?)"
            " ON CONFLICT (signature) DO NOTHING",
            (signature, last_valid_block_height, tx.now_ms),
        )
        == 1
    )


def find_relay(tx: Tx, signature: bytes) -> Row | None:
    return tx.one("SELECT * FROM relayed_transactions WHERE signature = ?", (signature,))


def forget_relay(tx: Tx, signature: bytes) -> None:
    """A transaction that no node of the cluster took."""
    tx.execute("DELETE FROM relayed_transactions WHERE signature = ?", (signature,))


def list_transaction_events(tx: Tx, signature: bytes, settings: RowSettings) -> list[Json]:
    """EventRows of one transaction, in their order."""
    context = rows.read_context(tx, settings)
    found = tx.all(f"{rows.EVENT_SELECT} WHERE x.signature = ? ORDER BY e.event_index LIMIT ?", (signature, EVENTS_MAX))
    return [rows.event_row(row, context) for row in found]
