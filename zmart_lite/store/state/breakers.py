"""Circuit breakers over restarts: a dependency that was left alone stays alone for as long as it was to."""

from zmart_lite.ops.breaker import SavedBreaker
from zmart_lite.store.engine.db import Tx

MS = 1_000


def save_breaker(tx: Tx, name: str, saved: SavedBreaker) -> None:
    tx.execute(
        "INSERT INTO breakers (name, state, failures, openings, opened_ms, open_until_ms, last_error)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET state = excluded.state,"
        " failures = excluded.failures, openings = excluded.openings, opened_ms = excluded.opened_ms,"
        " open_until_ms = excluded.open_until_ms, last_error = excluded.last_error",
        (
            name,
            saved.state,
            saved.failures,
            saved.openings,
            _ms(saved.opened_at),
            _ms(saved.open_until),
            saved.last_error,
        ),
    )


def list_breakers(tx: Tx) -> dict[str, SavedBreaker]:
    """The breakers that were open when they last changed."""
    rows = tx.all("SELECT * FROM breakers WHERE state <> 'closed'")
    return {
        row["name"]: SavedBreaker(
            row["state"],
            row["failures"],
            row["openings"],
            _s(row["opened_ms"]),
            _s(row["open_until_ms"]),
            row["last_error"],
        )
        for row in rows
    }


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * MS)


def _s(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / MS
