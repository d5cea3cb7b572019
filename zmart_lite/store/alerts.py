"""Alerts: one open row per type and subject, however often its cause is seen."""

from typing import cast

import msgspec

from zmart_lite.store.db import Row, Tx

SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")


def raise_alert(
    tx: Tx, alert_type: str, severity: str, message: str, *, subject: str = "", data: object = None
) -> tuple[Row, bool]:
    """Open the alert or count its repetition: (row, whether it is news: opened, or risen in severity).

    ``subject`` is a market id in hex, or whatever else there can be one alert about; a repetition never lowers the
    severity.
    """
    known = tx.one(
        "SELECT * FROM alerts WHERE alert_type = ? AND subject = ? AND status <> 'resolved'", (alert_type, subject)
    )
    text = msgspec.json.encode(data).decode()
    if known is None:
        row = tx.one(
            "INSERT INTO alerts (alert_type, subject, severity, message, data, status, opened_ms, last_seen_ms)"
            " VALUES (?, ?, ?, ?, ?, 'open', ?, ?) RETURNING *",
            (alert_type, subject, severity, message, text, tx.now_ms, tx.now_ms),
        )
        return cast(Row, row), True
    risen = SEVERITIES.index(severity) > SEVERITIES.index(known["severity"])
    row = tx.one(
        "UPDATE alerts SET count = count + 1, last_seen_ms = ?, message = ?, data = ?, severity = ? WHERE id = ? RETURNING *",
        (tx.now_ms, message, text, severity if risen else known["severity"], known["id"]),
    )
    return cast(Row, row), risen


def resolve_alert(tx: Tx, alert_type: str, subject: str = "") -> Row | None:
    """Close the open alert, if there is one; the closed row."""
    return tx.one(
        "UPDATE alerts SET status = 'resolved', resolved_ms = ? WHERE alert_type = ? AND subject = ?"
        " AND status <> 'resolved' RETURNING *",
        (tx.now_ms, alert_type, subject),
    )


def find_alert(tx: Tx, alert_id: int) -> Row | None:
    return tx.one("SELECT * FROM alerts WHERE id = ?", (alert_id,))


def acknowledge_alert(tx: Tx, alert_id: int, wallet: bytes) -> Row | None:
    """Mark an open alert as seen by somebody; the row, or None if it is not open."""
    return tx.one(
        "UPDATE alerts SET status = 'acknowledged', acknowledged_ms = ?, acknowledged_by = ? WHERE id = ?"
        " AND status = 'open' RETURNING *",
        (tx.now_ms, wallet, alert_id),
    )
