"""Transactions of wallets that the node passed on, so that a repeated call tells how the first one ended."""

from zmart_lite.store.engine.db import Row, Tx


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
