"""On-chain actions of the node: one row per action, subject and round, written before anything is sent.

A row is ``planned`` without bytes, ``sent`` once it holds the signed bytes (they may then be on the wire), and ends
``confirmed``, ``failed`` (landed and failed, or refused for good), ``expired`` (its bytes can never land) or
``abandoned`` by an admin. A new round of the same action is a new row, and is only opened when the last one can no
longer land.

A confirmed row is followed until its transaction is final (``finalized_ms``). If the chain drops the transaction with a
fork before that, the row is ``sent`` again, in the same commit that takes back the transaction's events: the same bytes
may still land elsewhere, so they are sent on until they do or expire.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import kept

PROTOCOL = "protocol"
"""Subject of actions that concern no market."""
UNSETTLED = ("planned", "sent")
ERROR_CHARACTERS_MAX = 500
HEIGHT_MAX = 2**62


def find_last(tx: Tx, action: str, subject: str) -> Row | None:
    """The action's newest round."""
    return tx.one(
        "SELECT * FROM intents WHERE action = ? AND subject = ? ORDER BY round DESC LIMIT 1", (action, subject)
    )


def find_intent(tx: Tx, intent_id: int) -> Row | None:
    return tx.one("SELECT * FROM intents WHERE id = ?", (intent_id,))


def find_open(tx: Tx, action: str, subject: str) -> Row | None:
    """The action's newest round, if what it sent may still take effect or has not been indexed yet."""
    last = find_last(tx, action, subject)
    if last is None or last["status"] in UNSETTLED:
        return last
    return last if last["status"] == "confirmed" and not _is_indexed(tx, last) else None


def _is_indexed(tx: Tx, row: Row) -> bool:
    if row["finalized_ms"] is not None:
        return True
    return tx.one("SELECT 1 FROM transactions WHERE signature = ?", (row["signature"],)) is not None


def open_intent(
    tx: Tx, action: str, subject: str, args: Mapping[str, Any], *, market: int | None = None, reason: str | None = None
) -> tuple[Row, bool]:
    """The action's round that is under way, or a new one: (row, whether it is new)."""
    known = find_open(tx, action, subject)
    if known is not None:
        return known, False
    last = find_last(tx, action, subject)
    row = tx.one(
        "INSERT INTO intents (action, market, subject, round, args, status, reason, created_ms)"
        " VALUES (?, ?, ?, ?, ?, 'planned', ?, ?) RETURNING *",
        (
            action,
            market,
            subject,
            1 if last is None else last["round"] + 1,
            msgspec.json.encode(args).decode(),
            reason,
            tx.now_ms,
        ),
    )
    return cast(Row, row), True


def set_signed(
    tx: Tx, intent_id: int, signed_transaction: bytes, signature: bytes, last_valid_block_height: int
) -> bool:
    """Keep the bytes before they are sent. False if somebody else has signed or settled the intent meanwhile."""
    return (
        tx.execute(
            "UPDATE intents SET status = 'sent', signed_transaction = ?, signature = ?, last_valid_block_height = ?,"
            " attempts = attempts + 1, sent_ms = ? WHERE id = ? AND status = 'planned'",
            (signed_transaction, signature, last_valid_block_height, tx.now_ms, intent_id),
        )
        == 1
    )


def set_confirmed(tx: Tx, intent_id: int, slot: int) -> None:
    tx.execute(
        "UPDATE intents SET status = 'confirmed', confirmed_ms = ?, slot = ?, error_name = NULL, error_number = NULL,"
        " error_message = NULL WHERE id = ?",
        (tx.now_ms, slot, intent_id),
    )


def list_unfinalized(tx: Tx, limit: int) -> list[Row]:
    """Confirmed intents that are not known to be final, oldest first, with slot and finality (``landed_slot``,
    ``finality``) of their transaction as indexed; None where it is not.
    """
    return tx.all(
        "SELECT i.*, t.slot AS landed_slot, t.finality FROM intents i LEFT JOIN transactions t"
        " ON t.signature = i.signature WHERE i.status = 'confirmed' AND i.finalized_ms IS NULL ORDER BY i.id LIMIT ?",
        (limit,),
    )


def set_finalized(tx: Tx, intent_id: int, slot: int) -> None:
    tx.execute(
        "UPDATE intents SET finalized_ms = ?, slot = ? WHERE id = ? AND status = 'confirmed'",
        (tx.now_ms, slot, intent_id),
    )


def reopen(tx: Tx, signature: bytes, height_max: int = HEIGHT_MAX) -> bool:
    """The chain dropped the transaction: it counts as sent again. Whether an intent was concerned.

    Bytes that have been pruned are too old to land anywhere, and those valid beyond the block height ``height_max``
    name a block that is no more: that round has expired. The votes of its market are looked at again.
    """
    row = tx.one(
        "UPDATE intents SET status = CASE WHEN signed_transaction IS NULL OR last_valid_block_height > ?"
        " THEN 'expired' ELSE 'sent' END, confirmed_ms = NULL, slot = NULL, finalized_ms = NULL, error_name = NULL,"
        " error_number = NULL, error_message = NULL WHERE signature = ? AND status IN ('confirmed', 'failed')"
        " RETURNING market",
        (height_max, signature),
    )
    if row is None:
        return False
    tx.execute("UPDATE tallies SET changed = 1 WHERE market = ?", (row["market"],))
    tx.execute("UPDATE markets SET reviewed_at = NULL WHERE id = ? AND state = 0", (row["market"],))
    return True


def set_ended(
    tx: Tx,
    intent_id: int,
    status: str,
    *,
    name: str | None = None,
    number: int | None = None,
    message: str | None = None,
) -> None:
    """End an intent as ``failed``, ``expired`` or ``abandoned``, with the reason."""
    tx.execute(
        "UPDATE intents SET status = ?, error_name = ?, error_number = ?, error_message = ? WHERE id = ?",
        (status, name, number, None if message is None else message[:ERROR_CHARACTERS_MAX], intent_id),
    )


def list_unsettled(tx: Tx, limit: int, *, planned_by_jobs: bool = True) -> list[Row]:
    """Intents that were planned or sent, oldest first.

    Without ``planned_by_jobs`` only what may have been sent, and what a person asked for (who gave a reason).
    """
    which = "" if planned_by_jobs else " AND (status = 'sent' OR reason IS NOT NULL)"
    return tx.all(f"SELECT * FROM intents WHERE status IN ('planned', 'sent'){which} ORDER BY id LIMIT ?", (limit,))


def count_by_status(tx: Tx) -> dict[str, int]:
    return {status: count for status, count in kept.named(tx, "intents").items() if count}


def args_of(row: Row) -> dict[str, Any]:
    return cast(dict[str, Any], msgspec.json.decode(row["args"]))


def counted_until_ms(tx: Tx, transaction_id: int) -> int:
    """Up to when votes are in the counts that a transaction brought on chain; until it was indexed, if somebody else
    sent it.
    """
    row = tx.one(
        "SELECT t.created_ms, i.args FROM transactions t LEFT JOIN intents i ON i.signature = t.signature"
        " WHERE t.id = ?",
        (transaction_id,),
    )
    if row is None:
        return tx.now_ms
    return int(row["created_ms"] if row["args"] is None else args_of(row).get("votes_until_ms", row["created_ms"]))
