"""What administrators do to what is shown, and the record of every act of theirs."""

from typing import Any, NamedTuple

import msgspec

from zmart_lite.store.engine.db import Tx

Json = dict[str, Any]


class Audit(NamedTuple):
    """One act of an administrator, or an attempt at one."""

    wallet: bytes
    action: str
    target: str
    reason: str | None
    params: Json
    result: str
    request_id: str
    address: str


def add_audit(tx: Tx, act: Audit) -> None:
    tx.execute(
        "INSERT INTO audit (at_ms, wallet, action, target, reason, params, result, request_id, address)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            tx.now_ms,
            act.wallet,
            act.action,
            act.target,
            act.reason,
            msgspec.json.encode(act.params).decode(),
            act.result,
            act.request_id,
            act.address,
        ),
    )


def set_hidden(tx: Tx, market: int, hidden: bool) -> bool:
    """Whether that changed anything."""
    values = (int(hidden), market, int(hidden))
    return tx.execute("UPDATE markets SET hidden = ? WHERE id = ? AND hidden <> ?", values) > 0


def set_note(tx: Tx, market: int, note: str | None) -> None:
    tx.execute("UPDATE markets SET note = ? WHERE id = ?", (note, market))
