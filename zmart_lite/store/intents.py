"""On-chain actions of the node: one row per action, subject and round, written before anything is sent.

A row is ``planned`` without bytes, ``sent`` once it holds the signed bytes (they may then be on the wire), and ends
``confirmed``, ``failed`` (landed and failed, or refused for good), ``expired`` (its bytes can never land) or
``abandoned`` by an admin. A new round of the same action is a new row, and is only opened when the last one can no
longer land.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from zmart_lite.store.db import Row, Tx

PROTOCOL = "protocol"
"""Subject of actions that concern no market."""
UNSETTLED = ("planned", "sent")
ERROR_CHARACTERS_MAX = 500


def find_last(tx: Tx, action: str, subject: str) -> Row | None:
    """The action's newest round."""
    return tx.one(
        "SELECT * FROM intents WHERE action = ? AND subject = ? ORDER BY round DESC LIMIT 1", (action, subject)
    )


def find_intent(tx: Tx, intent_id: int) -> Row | None:
    return tx.one("SELECT * FROM intents WHERE id = ?", (intent_id,))


def open_intent(
    tx: Tx, action: str, subject: str, args: Mapping[str, Any], *, market: int | None = None, reason: str | None = None
) -> tuple[Row, bool]:
    """The action's unsettled intent, or a new round of it: (row, whether it is new)."""
    last = find_last(tx, action, subject)
    if last is not None and last["status"] in UNSETTLED:
        return last, False
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


def set_confirmed(tx: Tx, intent_id: int) -> None:
    tx.execute(
        "UPDATE intents SET status = 'confirmed', confirmed_ms = ?, error_name = NULL, error_number = NULL,"
        " error_message = NULL WHERE id = ?",
        (tx.now_ms, intent_id),
    )


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


def list_unsettled(tx: Tx, limit: int) -> list[Row]:
    """Intents that were planned or sent, oldest first."""
    return tx.all("SELECT * FROM intents WHERE status IN ('planned', 'sent') ORDER BY id LIMIT ?", (limit,))


def count_by_status(tx: Tx) -> dict[str, int]:
    return {row["status"]: row["n"] for row in tx.all("SELECT status, count(*) AS n FROM intents GROUP BY status")}


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
