"""Sign-in state and what is known of wallets. Nonces and tickets are consumed by deleting them: whoever deletes the
row has it.
"""

from typing import NamedTuple, cast

from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import kept

# Nonces


def add_nonce(tx: Tx, nonce: str, wallet: bytes | None, expires_ms: int) -> None:
    tx.execute("INSERT INTO nonces (nonce, wallet, expires_ms) VALUES (?, ?, ?)", (nonce, wallet, expires_ms))


def take_nonce(tx: Tx, nonce: str, wallet: bytes) -> bool:
    """Consume a nonce for this wallet, once: False if it is unknown, used, expired or bound to another wallet."""
    row = tx.one(
        "DELETE FROM nonces WHERE nonce = ? AND expires_ms > ? AND (wallet IS NULL OR wallet = ?) RETURNING nonce",
        (nonce, tx.now_ms, wallet),
    )
    return row is not None


# Session tokens


def revoke_token(tx: Tx, jti: str, expires_ms: int) -> None:
    """Refuse a token from now on; the row is needed only as long as the token would be valid."""
    tx.execute(
        "INSERT INTO revoked_tokens (jti, expires_ms) VALUES (?, ?) ON CONFLICT (jti) DO NOTHING", (jti, expires_ms)
    )


def is_revoked(tx: Tx, jti: str) -> bool:
    return tx.one("SELECT 1 FROM revoked_tokens WHERE jti = ?", (jti,)) is not None


# Tickets


class Session(NamedTuple):
    """A session behind a ticket. ``expires_ms``: when its token does."""

    wallet: bytes
    jti: str
    expires_ms: int


def add_ticket(tx: Tx, ticket_hash: bytes, session: Session, expires_ms: int) -> None:
    tx.execute(
        "INSERT INTO tickets (ticket_hash, wallet, jti, session_expires_ms, expires_ms) VALUES (?, ?, ?, ?, ?)",
        (ticket_hash, *session, expires_ms),
    )


def take_ticket(tx: Tx, ticket_hash: bytes) -> Session | None:
    """Consume a ticket, once: its session, or None if it is unknown, used or expired, or the session has ended."""
    row = tx.one(
        "DELETE FROM tickets WHERE ticket_hash = ? RETURNING wallet, jti, session_expires_ms, expires_ms",
        (ticket_hash,),
    )
    if row is None or min(row["expires_ms"], row["session_expires_ms"]) <= tx.now_ms or is_revoked(tx, row["jti"]):
        return None
    return Session(row["wallet"], row["jti"], row["session_expires_ms"])


# Wallets

AMOUNT_LOW_DIGITS = 10
COUNTED_MAX = 10_000
"""A wallet's votes, posts and markets are counted up to here, as lists are."""


def exact_sum(column: str) -> str:
    """Two SQL sums that together add up u64 texts exactly: SQLite's own sum would overflow or turn into a float."""
    low = f"SUM(CAST(substr({column}, {AMOUNT_LOW_DIGITS + 1}) AS BIGINT))"
    return f"SUM(CAST(substr({column}, 1, {AMOUNT_LOW_DIGITS}) AS BIGINT)) AS high, {low} AS low"


def sum_of(row: Row | None) -> int:
    """The exact sum behind :func:`exact_sum`; 0 over no rows."""
    if row is None or row["low"] is None:
        return 0
    return int(row["high"]) * kept.AMOUNT_HIGH_UNIT + int(row["low"])


def find_wallet_key(tx: Tx, address: bytes) -> int | None:
    return cast(int | None, tx.value("SELECT id FROM wallets WHERE address = ?", (address,)))


class WalletCounts(NamedTuple):
    """What a wallet did. ``volume`` in lamports, over buys and sales. Counting the rest stops at COUNTED_MAX."""

    first_seen_ms: int | None = None
    trades: int = 0
    volume: int = 0
    markets_created: int = 0
    proposal_votes: int = 0
    dispute_votes: int = 0
    discussions: int = 0


def wallet_counts(tx: Tx, address: bytes) -> WalletCounts:
    """Zeros for a wallet nobody has seen."""
    found = tx.one("SELECT id, first_seen_ms FROM wallets WHERE address = ?", (address,))
    if found is None:
        return WalletCounts()
    key = found["id"]

    def count(found: str) -> int:
        return int(tx.value(f"SELECT count(*) FROM (SELECT 1 FROM {found} LIMIT ?) found", (key, COUNTED_MAX)))

    traded = kept.wallet_trades(tx, key)
    votes = tx.all("SELECT kind FROM votes WHERE wallet = ? ORDER BY id DESC LIMIT ?", (key, COUNTED_MAX))
    disputes = sum(row["kind"] for row in votes)
    return WalletCounts(
        found["first_seen_ms"],
        traded.trades,
        traded.lamports,
        count("markets WHERE creator = ? AND known = 1"),
        len(votes) - disputes,
        disputes,
        count("discussions WHERE wallet = ? AND deleted_ms IS NULL"),
    )
