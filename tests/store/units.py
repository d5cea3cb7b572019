"""Small units of work."""

from zmart_lite.store.engine.db import Tx


def add_wallet(tx: Tx, number: int) -> int:
    tx.execute("INSERT INTO wallets (address, first_seen_ms) VALUES (?, ?)", (number.to_bytes(32, "big"), tx.now_ms))
    return number


def count(tx: Tx) -> int:
    return int(tx.value("SELECT count(*) FROM wallets"))
