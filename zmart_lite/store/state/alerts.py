"""Alerts: one open row per type and subject, however often its cause is seen.

``notified_ms`` says when people were last told: NULL never, 0 when the alert was less severe than now. A resolved alert
that people know of is told of once more (``taken_back``).

A cause that comes and goes must not send a message each time: an alert whose cause is back within ``QUIET_S`` of its
end is opened again instead of anew, and people hear of it, or of its end, only when it has stayed so for that long.
"""

from collections.abc import Collection, Sequence
from typing import cast

import msgspec

from zmart_lite.models import SEVERITIES
from zmart_lite.store.engine.db import Row, Tx

QUIET_S = 900
"""How long an alert has to stay open or closed to count as stable, once it has come back."""
QUIET_MS = QUIET_S * 1_000


def raise_alert(
    tx: Tx, alert_type: str, severity: str, message: str, *, subject: str = "", data: object = None
) -> tuple[Row, bool]:
    """Open the alert or count its repetition: (row, whether it is news: opened, opened again, or risen in severity).

    ``subject`` is a market id in hex, or whatever else there can be one alert about; a repetition never lowers the
    severity.
    """
    known = _find_current(tx, alert_type, subject)
    text = msgspec.json.encode(data).decode()
    if known is None:
        row = tx.one(
            "INSERT INTO alerts (alert_type, subject, severity, message, data, status, opened_ms, last_seen_ms)"
            " VALUES (?, ?, ?, ?, ?, 'open', ?, ?) RETURNING *",
            (alert_type, subject, severity, message, text, tx.now_ms, tx.now_ms),
        )
        return cast(Row, row), True
    is_back = known["status"] == "resolved"
    if is_back:
        tx.execute(
            "UPDATE alerts SET status = 'open', reopened_ms = ?, resolved_ms = NULL, acknowledged_ms = NULL,"
            " acknowledged_by = NULL WHERE id = ?",
            (tx.now_ms, known["id"]),
        )
    risen = is_worse(severity, known["severity"])
    row = tx.one(
        "UPDATE alerts SET count = count + 1, last_seen_ms = ?, message = ?, data = ?, severity = ?, notified_ms ="
        " CASE WHEN ? = 1 AND notified_ms IS NOT NULL THEN 0 ELSE notified_ms END WHERE id = ? RETURNING *",
        (tx.now_ms, message, text, severity if risen else known["severity"], int(risen), known["id"]),
    )
    return cast(Row, row), risen or is_back


def _find_current(tx: Tx, alert_type: str, subject: str) -> Row | None:
    """The alert that is open, or ended so lately that it would be opened again."""
    return tx.one(
        "SELECT * FROM alerts WHERE alert_type = ? AND subject = ? AND (status <> 'resolved' OR resolved_ms > ?)"
        " ORDER BY id DESC LIMIT 1",
        (alert_type, subject, tx.now_ms - QUIET_MS),
    )


def is_worse(severity: str, than: str) -> bool:
    return SEVERITIES.index(severity) > SEVERITIES.index(than)


def resolve_alert(tx: Tx, alert_type: str, subject: str = "") -> Row | None:
    """Close the open alert, if there is one; the closed row."""
    return tx.one(
        "UPDATE alerts SET status = 'resolved', resolved_ms = ? WHERE alert_type = ? AND subject = ?"
        " AND status <> 'resolved' RETURNING *",
        (tx.now_ms, alert_type, subject),
    )


def find_alert(tx: Tx, alert_id: int) -> Row | None:
    return tx.one("SELECT * FROM alerts WHERE id = ?", (alert_id,))


def list_unresolved(tx: Tx, types: Collection[str]) -> list[Row]:
    """The open and acknowledged alerts of these types. There is at most one per type and subject."""
    marks = ", ".join("?" * len(types))
    return tx.all(
        f"SELECT * FROM alerts WHERE status IN ('open', 'acknowledged') AND alert_type IN ({marks}) ORDER BY id",
        tuple(types),
    )


def acknowledge_alert(tx: Tx, alert_id: int, wallet: bytes) -> Row | None:
    """Mark an open alert as seen by somebody; the row, or None if it is not open."""
    return tx.one(
        "UPDATE alerts SET status = 'acknowledged', acknowledged_ms = ?, acknowledged_by = ? WHERE id = ?"
        " AND status = 'open' RETURNING *",
        (tx.now_ms, wallet, alert_id),
    )


# Telling people


def list_untold(tx: Tx, severity_min: str, told_before_ms: int, limit: int) -> list[Row]:
    """What people are to be told, oldest first: new alerts of at least a severity, those that rose since, or came back
    to stay, and open ones they were last told of by ``told_before_ms``. Whoever acknowledged one is not reminded of it.
    """
    severities = SEVERITIES[SEVERITIES.index(severity_min) :]
    marks = ", ".join("?" * len(severities))
    return tx.all(
        f"SELECT * FROM alerts WHERE status IN ('open', 'acknowledged') AND severity IN ({marks})"
        " AND (notified_ms = 0 OR (status = 'open' AND (notified_ms IS NULL OR notified_ms <= ?"
        " OR (taken_back = 1 AND reopened_ms <= ?)))) ORDER BY id LIMIT ?",
        (*severities, told_before_ms, tx.now_ms - QUIET_MS, limit),
    )


def list_not_taken_back(tx: Tx, limit: int) -> list[Row]:
    """Resolved alerts that people were told of, and not of their end, oldest first; one that had come back only once it
    has stayed away.
    """
    return tx.all(
        "SELECT * FROM alerts WHERE status = 'resolved' AND taken_back = 0 AND notified_ms IS NOT NULL"
        " AND (reopened_ms IS NULL OR resolved_ms <= ?) ORDER BY id LIMIT ?",
        (tx.now_ms - QUIET_MS, limit),
    )


def set_told(tx: Tx, told: Sequence[Row], read_ms: int) -> None:
    """Note that people know of these alerts as read at ``read_ms``; what got worse since is told again."""
    tx.execute_many(
        "UPDATE alerts SET notified_ms = ?, taken_back = ? WHERE id = ? AND severity = ?",
        [(read_ms, int(row["status"] == "resolved"), row["id"], row["severity"]) for row in told],
    )
