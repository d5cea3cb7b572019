"""The chain's log in the database: deliveries waiting in the inbox, transactions, events, dead letters, cursors."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple, cast

from zmart_lite.models import ChainTransaction
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import kept

VALUES_PER_QUERY_MAX = 500
HINTED = "logs"
"""Source of what logsSubscribe hinted at."""
INBOX_COUNTED_MAX = 10_000
DEAD_LETTER_PAYLOAD_BYTES_MAX = 65_536
ERROR_CHARACTERS_MAX = 500


INDEXED = "indexed whole"
READ_IN_PART = "indexed as far as it can be read"
ACCOUNTS_READ = "the accounts it touched were read from the chain"
MARKET_KNOWN = "its market is known now"
SIGNATURE_FOUND = "its transaction was found"
DROPPED = "the chain dropped its transaction"
CORRECTED = "a delivery had told it wrongly"
"""How a dead letter can end."""

CONFIG_EVENTS = ("GlobalConfigInitialized", "ConfigUpdated", "ProtocolPauseStatusChanged")
"""The types of the events that change the global config; none of them concerns a market."""


class LogChange(NamedTuple):
    """What has to be folded again after events moved or vanished."""

    markets: frozenset[int]
    config_slot: int | None = None
    """The slot from which the versions of the global config have to be folded again."""

    def plus(self, other: "LogChange") -> "LogChange":
        """Both changes together."""
        slots = [slot for slot in (self.config_slot, other.config_slot) if slot is not None]
        return LogChange(self.markets | other.markets, min(slots, default=None))


class Delivery(NamedTuple):
    """A transaction that a source told of. Without a payload it is fetched by signature."""

    signature: bytes
    slot: int | None
    payload: bytes | None


def add_deliveries(tx: Tx, deliveries: Sequence[Delivery], source: str) -> tuple[int, int]:
    """Put what is not known yet into the inbox: (newly accepted, already known).

    What a hint or the poller told of first and a webhook brings, too, counts as the webhook's.
    """
    accepted = 0
    if source == "webhook":
        _claim(tx, deliveries)
    for delivery in deliveries:
        if find_transaction(tx, delivery.signature) is not None:
            continue
        accepted += tx.execute(
            "INSERT INTO inbox (signature, slot, source, payload, received_ms) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (signature) DO NOTHING",
            (delivery.signature, delivery.slot, source, delivery.payload, tx.now_ms),
        )
    return accepted, len(deliveries) - accepted


def _claim(tx: Tx, deliveries: Sequence[Delivery]) -> None:
    for table in ("inbox", "transactions"):
        tx.execute_many(
            f"UPDATE {table} SET source = 'webhook' WHERE signature = ? AND source IN ('{HINTED}', 'poll')",
            [(delivery.signature,) for delivery in deliveries],
        )


def count_missed_events(tx: Tx, slot_min: int, slot_max: int) -> int:
    """Events of transactions in these slots that no webhook brought: a hint told of them, or the poller found them."""
    sql = (
        "SELECT count(*) FROM transactions t JOIN events e ON e.transaction_id = t.id"
        f" WHERE t.slot BETWEEN ? AND ? AND t.source IN ('{HINTED}', 'poll')"
    )
    return cast(int, tx.value(sql, (slot_min, slot_max)))


def list_inbox(tx: Tx, limit: int, payloads_bytes_max: int) -> list[Row]:
    """The deliveries whose turn it is: in the order of their slots, whatever that of arrival. At most ``limit``, with
    payloads of that many bytes together, but one in any case.
    """
    due = "FROM inbox WHERE next_try_ms <= ? ORDER BY next_try_ms, slot, id LIMIT ?"
    sizes = [row[0] for row in tx.all(f"SELECT coalesce(length(payload), 0) {due}", (tx.now_ms, limit))]
    fitting = bisect_right(list(accumulate(sizes)), payloads_bytes_max)
    return tx.all(f"SELECT * {due}", (tx.now_ms, max(fitting, 1)))


def next_inbox_try_ms(tx: Tx) -> int | None:
    """When the next delivery's turn comes, or None if the inbox is empty."""
    return cast(int | None, tx.value("SELECT min(next_try_ms) FROM inbox"))


def inbox_length(tx: Tx) -> int:
    """Deliveries that wait, counted up to INBOX_COUNTED_MAX."""
    return cast(int, tx.value("SELECT count(*) FROM (SELECT 1 FROM inbox LIMIT ?) waiting", (INBOX_COUNTED_MAX,)))


def remove_delivery(tx: Tx, signature: bytes) -> None:
    tx.execute("DELETE FROM inbox WHERE signature = ?", (signature,))


def remove_deliveries(tx: Tx, signatures: Sequence[bytes]) -> None:
    for start in range(0, len(signatures), VALUES_PER_QUERY_MAX):
        part = signatures[start : start + VALUES_PER_QUERY_MAX]
        tx.execute(f"DELETE FROM inbox WHERE signature IN ({', '.join('?' * len(part))})", part)


def postpone_delivery(tx: Tx, inbox_id: int, error: str, next_try_ms: int, *, counted: bool = True) -> None:
    """Try again at ``next_try_ms``. ``counted``: as an attempt, of which a delivery has a limited number."""
    tx.execute(
        "UPDATE inbox SET attempts = attempts + ?, error = ?, next_try_ms = ? WHERE id = ?",
        (int(counted), error[:ERROR_CHARACTERS_MAX], next_try_ms, inbox_id),
    )


def find_transaction(tx: Tx, signature: bytes) -> Row | None:
    return tx.one("SELECT * FROM transactions WHERE signature = ?", (signature,))


TransactionRow = tuple[int, bytes, int, int | None, int | None, int, int, int, str, int, int]
"""Values of the columns that :func:`add_transactions` names."""
EventRow = tuple[int, int, int, str, int | None, int | None, int, int, int, bytes, str | None]
"""Values of the columns that :func:`add_events` names."""


def next_keys(tx: Tx) -> tuple[int, int]:
    """Keys for the next transaction and the next event. There is one writer, and it takes them in this order."""
    transaction = tx.value("SELECT coalesce(max(id), 0) + 1 FROM transactions")
    return transaction, tx.value("SELECT coalesce(max(id), 0) + 1 FROM events")


def known_signatures(tx: Tx, signatures: Sequence[bytes]) -> set[bytes]:
    """Those of the signatures that are in the log."""
    found: set[bytes] = set()
    for start in range(0, len(signatures), VALUES_PER_QUERY_MAX):
        part = signatures[start : start + VALUES_PER_QUERY_MAX]
        marks = ", ".join("?" * len(part))
        found |= {row[0] for row in tx.all(f"SELECT signature FROM transactions WHERE signature IN ({marks})", part)}
    return found


def add_transactions(tx: Tx, rows: Sequence[TransactionRow]) -> None:
    tx.execute_many(
        "INSERT INTO transactions (id, signature, slot, index_in_block, block_time, failed, complete, finality, source,"
        " checked, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def add_events(tx: Tx, rows: Sequence[EventRow]) -> None:
    tx.execute_many(
        "INSERT INTO events (id, transaction_id, event_index, event_type, market, wallet, slot, index_in_block,"
        " timestamp, data, facts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    kept.count_events(tx, len(rows))


def set_known(tx: Tx, found: ChainTransaction, finality: int) -> None:
    """Fill in what was unknown about a transaction of the log."""
    tx.execute(
        "UPDATE transactions SET block_time = coalesce(block_time, ?), finality = max(finality, ?) WHERE signature = ?",
        (found.block_time, finality, found.signature),
    )


EVENT_ORDER = "slot, index_in_block, id"
"""Chain order. Keys grow with arrival, and with the places in a transaction, which enters the log as a whole:
transactions of one block whose places are not known yet are in the order of their arrival.
"""
FIRST_SLOT = "(SELECT min(slot) FROM events WHERE timestamp = (SELECT min(timestamp) FROM events WHERE timestamp >= ?))"
LAST_SLOT = "(SELECT max(slot) FROM events WHERE timestamp = (SELECT max(timestamp) FROM events WHERE timestamp < ?))"
"""The slots between which a span of time lies, which the indexes in chain order know. The chain's clock never goes
back: the slots with an event at the nearest second bound all others.
"""


def list_market_events(tx: Tx, market: int) -> list[Row]:
    """All events of a market in chain order."""
    return tx.all(
        "SELECT id, transaction_id, event_index, event_type, slot, index_in_block, timestamp, data, facts"
        f" FROM event_log WHERE market = ? ORDER BY {EVENT_ORDER}",
        (market,),
    )


def list_unordered_slots(tx: Tx, slots: Sequence[int]) -> list[int]:
    """Those of ``slots`` that hold several of our transactions, one of them at an unknown place."""
    found: list[int] = []
    for start in range(0, len(slots), VALUES_PER_QUERY_MAX):
        part = slots[start : start + VALUES_PER_QUERY_MAX]
        rows = tx.all(
            f"SELECT slot FROM transactions WHERE slot IN ({', '.join('?' * len(part))}) GROUP BY slot"
            " HAVING count(*) > 1 AND count(index_in_block) < count(*) ORDER BY slot",
            part,
        )
        found += [row["slot"] for row in rows]
    return found


def list_unordered_since(tx: Tx, slot_min: int, limit: int) -> list[int]:
    """The first slots from ``slot_min`` on that hold several of our transactions, one of them at an unknown place."""
    rows = tx.all(
        "SELECT slot FROM transactions WHERE slot >= ? GROUP BY slot"
        " HAVING count(*) > 1 AND count(index_in_block) < count(*) ORDER BY slot LIMIT ?",
        (slot_min, limit),
    )
    return [row["slot"] for row in rows]


def set_block_order(tx: Tx, slot: int, signatures: Sequence[bytes]) -> LogChange:
    """Record the places of a block's transactions; what got another place."""
    return set_places(tx, slot, {signature: index for index, signature in enumerate(signatures)})


def set_places(tx: Tx, slot: int, places: Mapping[bytes, int]) -> LogChange:
    """Record the places in their block of some of a slot's transactions; what got another place."""
    change = LogChange(frozenset())
    for row in tx.all("SELECT id, signature, index_in_block FROM transactions WHERE slot = ?", (slot,)):
        place = places.get(row["signature"])
        if place is None or place == row["index_in_block"]:
            continue
        tx.execute("UPDATE transactions SET index_in_block = ? WHERE id = ?", (place, row["id"]))
        tx.execute("UPDATE events SET index_in_block = ? WHERE transaction_id = ?", (place, row["id"]))
        tx.execute(
            "UPDATE configs SET index_in_block = ? WHERE event_id IN (SELECT id FROM events WHERE transaction_id = ?)",
            (place, row["id"]),
        )
        change = change.plus(_touched(tx, row["id"], slot))
    return change


def _touched(tx: Tx, transaction_id: int, slot: int) -> LogChange:
    """What the events of a transaction concern."""
    rows = tx.all("SELECT DISTINCT market, event_type FROM events WHERE transaction_id = ?", (transaction_id,))
    is_config = any(row["event_type"] in CONFIG_EVENTS for row in rows)
    markets = frozenset(row["market"] for row in rows if row["market"] is not None)
    return LogChange(markets, slot if is_config else None)


def list_config_events(tx: Tx, slot_min: int) -> list[Row]:
    """All events from ``slot_min`` on that change the global config, in chain order."""
    marks = ", ".join("?" * len(CONFIG_EVENTS))
    return tx.all(
        "SELECT id, transaction_id, event_index, slot, index_in_block, data, facts FROM events"
        f" WHERE event_type IN ({marks}) AND slot >= ? ORDER BY {EVENT_ORDER}",
        (*CONFIG_EVENTS, slot_min),
    )


def has_config_events_after(tx: Tx, place: tuple[int, int, int, int]) -> bool:
    """Whether the log has changes of the config behind a place, folded or not."""
    marks = ", ".join("?" * len(CONFIG_EVENTS))
    behind = "(slot, index_in_block, transaction_id, event_index) > (?, ?, ?, ?)"
    sql = f"SELECT 1 FROM events WHERE event_type IN ({marks}) AND {behind} LIMIT 1"
    return tx.one(sql, (*CONFIG_EVENTS, *place)) is not None


def list_ownerless_claims(tx: Tx) -> list[Row]:
    """Claims whose market, which they name by its address, was not known when they came."""
    return tx.all(
        "SELECT e.id, e.event_index, e.data, t.signature FROM events e JOIN transactions t ON t.id = e.transaction_id"
        " WHERE e.market IS NULL AND e.event_type = 'WinningsClaimed'"
    )


def set_event_market(tx: Tx, event_id: int, market: int) -> None:
    tx.execute("UPDATE events SET market = ? WHERE id = ?", (market, event_id))


def list_unfinalized(tx: Tx, slot_max: int, limit: int, after: tuple[int, int] = (-1, 0)) -> list[Row]:
    """Confirmed transactions up to ``slot_max`` that are not known to be finalized, oldest first.

    ``after``: slot and id of the one behind which the list begins.
    """
    return tx.all(
        "SELECT id, signature, slot, index_in_block, failed, complete, checked FROM transactions"
        " WHERE finality = 1 AND slot <= ? AND (slot, id) > (?, ?) ORDER BY slot, id LIMIT ?",
        (slot_max, *after, limit),
    )


def list_newest(tx: Tx, before_id: int, limit: int) -> list[Row]:
    """Transactions by descending arrival, from before ``before_id``."""
    return tx.all(
        "SELECT id, signature, slot, finality FROM transactions WHERE id < ? ORDER BY id DESC LIMIT ?",
        (before_id, limit),
    )


def list_after_slot(tx: Tx, slot: int, limit: int) -> list[Row]:
    """Transactions of later slots than ``slot``, final or not."""
    return tx.all(
        "SELECT id, signature, slot, finality FROM transactions WHERE slot > ? ORDER BY slot, id LIMIT ?", (slot, limit)
    )


def list_market_transactions(tx: Tx, market_id: bytes, limit: int) -> list[Row]:
    """The transactions of a market's newest events, as many as ``limit``."""
    market = tx.value("SELECT id FROM markets WHERE market_id = ?", (market_id,))
    newest = "SELECT transaction_id FROM event_log WHERE market = ? ORDER BY slot DESC, index_in_block DESC, id DESC"
    found = [row[0] for row in tx.all(f"{newest} LIMIT ?", (market, limit))]
    rows: list[Row] = []
    for start in range(0, len(found), VALUES_PER_QUERY_MAX):
        part = found[start : start + VALUES_PER_QUERY_MAX]
        marks = ", ".join("?" * len(part))
        rows += tx.all(f"SELECT id, signature, slot, finality FROM transactions WHERE id IN ({marks})", part)
    return list({row["id"]: row for row in rows}.values())


def count_transactions(tx: Tx) -> int:
    """About how many transactions the log has: keys are given once, and few are taken out."""
    return cast(int, tx.value("SELECT coalesce(max(id), 0) FROM transactions"))


def set_finalized(tx: Tx, transaction_ids: Sequence[int]) -> None:
    tx.execute_many("UPDATE transactions SET finality = 2 WHERE id = ?", [(i,) for i in transaction_ids])


def set_confirmed(tx: Tx, transaction_ids: Sequence[int]) -> None:
    """Take back that these transactions are final."""
    tx.execute_many("UPDATE transactions SET finality = 1 WHERE id = ?", [(i,) for i in transaction_ids])


def set_checked(tx: Tx, transaction_ids: Sequence[int]) -> None:
    """Note that the cluster tells the same of these transactions as the deliveries that brought them."""
    tx.execute_many("UPDATE transactions SET checked = 1 WHERE id = ?", [(i,) for i in transaction_ids])


def list_transaction_events(tx: Tx, transaction_id: int) -> list[Row]:
    return tx.all(
        "SELECT event_index, data, facts FROM events WHERE transaction_id = ? ORDER BY event_index", (transaction_id,)
    )


def count_in_slot(tx: Tx, slot: int) -> int:
    """Our transactions in a block."""
    return cast(int, tx.value("SELECT count(*) FROM transactions WHERE slot = ?", (slot,)))


def remove_transaction(tx: Tx, transaction_id: int) -> LogChange:
    """Forget a transaction that the chain dropped, with its events; what to fold again.

    Votes it cast stay, without their event, until their market is folded again.
    """
    slot = tx.value("SELECT slot FROM transactions WHERE id = ?", (transaction_id,))
    if slot is None:
        return LogChange(frozenset())
    change = _touched(tx, transaction_id, slot)
    if change.config_slot is not None:
        # A reading of the config's account from then on may hold what the chain has dropped.
        tx.execute("DELETE FROM configs WHERE event_id IS NULL AND slot >= ?", (slot,))
    events = "SELECT id FROM events WHERE transaction_id = ?"
    tx.execute(f"DELETE FROM trades WHERE event_id IN ({events})", (transaction_id,))
    tx.execute(f"DELETE FROM configs WHERE event_id IN ({events})", (transaction_id,))
    tx.execute(f"UPDATE votes SET event_id = NULL WHERE event_id IN ({events})", (transaction_id,))
    tx.execute(
        "UPDATE markets SET last_transaction = NULL WHERE last_transaction = ?"
        " AND id IN (SELECT market FROM events WHERE transaction_id = ?)",
        (transaction_id, transaction_id),
    )
    tx.execute("DELETE FROM events WHERE transaction_id = ?", (transaction_id,))
    tx.execute("DELETE FROM transactions WHERE id = ?", (transaction_id,))
    return change


def add_dead_letter(
    tx: Tx,
    kind: str,
    error: str,
    *,
    signature: bytes | None = None,
    event_index: int | None = None,
    slot: int | None = None,
    payload: bytes | None = None,
) -> int | None:
    """Keep what could not be used, with the reason; its id if that is news.

    None if the same one is kept already and open: its attempts then grow. One that was resolved is opened again.
    """
    if signature is not None:
        known = tx.one(
            "SELECT id, resolved_ms FROM dead_letters WHERE signature = ? AND kind = ?"
            " AND coalesce(event_index, -1) = ?",
            (signature, kind, -1 if event_index is None else event_index),
        )
        if known is not None:
            tx.execute(
                "UPDATE dead_letters SET attempts = attempts + 1, last_tried_ms = ?, error = ?, resolved_ms = NULL,"
                " resolution = NULL WHERE id = ?",
                (tx.now_ms, error[:ERROR_CHARACTERS_MAX], known["id"]),
            )
            return None if known["resolved_ms"] is None else cast(int, known["id"])
    return cast(
        int,
        tx.value(
            "INSERT INTO dead_letters"
            " (kind, signature, event_index, slot, payload, error, first_seen_ms, last_tried_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (
                kind,
                signature,
                event_index,
                slot,
                None if payload is None else payload[:DEAD_LETTER_PAYLOAD_BYTES_MAX],
                error[:ERROR_CHARACTERS_MAX],
                tx.now_ms,
                tx.now_ms,
            ),
        ),
    )


def list_lettered(tx: Tx, signatures: Sequence[bytes]) -> set[bytes]:
    """Those of the signatures of which a delivery is an open dead letter."""
    found: set[bytes] = set()
    for start in range(0, len(signatures), VALUES_PER_QUERY_MAX):
        part = signatures[start : start + VALUES_PER_QUERY_MAX]
        marks = ", ".join("?" * len(part))
        sql = f"SELECT signature FROM dead_letters WHERE signature IN ({marks}) AND kind = 'delivery'"
        found |= {row[0] for row in tx.all(f"{sql} AND resolved_ms IS NULL", part)}
    return found


def find_dead_letter(tx: Tx, dead_letter_id: int) -> Row | None:
    return tx.one("SELECT * FROM dead_letters WHERE id = ?", (dead_letter_id,))


LETTER_ATTEMPTS_MAX = 50
"""After so many a dead letter is tried again by hand only."""


def list_retryable_letters(tx: Tx, limit: int) -> list[Row]:
    """Open dead letters of transactions that could not be had, or only in part, those tried longest ago first."""
    return tx.all(
        "SELECT id FROM dead_letters WHERE resolved_ms IS NULL AND signature IS NOT NULL AND attempts < ?"
        " AND (kind || '') IN ('delivery', 'transaction', 'truncated') ORDER BY last_tried_ms, id LIMIT ?",
        (LETTER_ATTEMPTS_MAX, limit),
    )


def list_open_letters(tx: Tx, after: int, limit: int) -> list[Row]:
    """Open dead letters from behind an id on, oldest first."""
    return tx.all(
        "SELECT id, signature FROM dead_letters WHERE resolved_ms IS NULL AND id > ? ORDER BY id LIMIT ?",
        (after, limit),
    )


def list_letters(tx: Tx, limit: int, *, ended: bool) -> list[Row]:
    """Dead letters that are open, or those that have ended, newest first."""
    condition = "resolved_ms IS NOT NULL" if ended else "resolved_ms IS NULL"
    return tx.all(f"SELECT * FROM dead_letters WHERE {condition} ORDER BY id DESC LIMIT ?", (limit,))


def resolve_letter(tx: Tx, dead_letter_id: int, resolution: str) -> None:
    tx.execute(
        "UPDATE dead_letters SET resolved_ms = ?, last_tried_ms = ?, resolution = ? WHERE id = ?",
        (tx.now_ms, tx.now_ms, resolution, dead_letter_id),
    )


def count_retry(tx: Tx, dead_letter_id: int) -> None:
    tx.execute(
        "UPDATE dead_letters SET attempts = attempts + 1, last_tried_ms = ? WHERE id = ?", (tx.now_ms, dead_letter_id)
    )


def resolve_dead_letters(tx: Tx, signature: bytes, resolution: str, event_index: int | None = None) -> bool:
    """Close the dead letters of a transaction that has been indexed whole or is gone, or only that of one event.

    Whether the transaction has none left.
    """
    tx.execute(
        "UPDATE dead_letters SET resolved_ms = ?, last_tried_ms = ?, resolution = ? WHERE signature = ?"
        " AND resolved_ms IS NULL AND (event_index = ? OR ? IS NULL)",
        (tx.now_ms, tx.now_ms, resolution, signature, event_index, event_index),
    )
    return tx.one("SELECT 1 FROM dead_letters WHERE signature = ? AND resolved_ms IS NULL", (signature,)) is None


def forget_for_retry(tx: Tx, signature: bytes) -> LogChange:
    """Remove a transaction that was indexed in part, so that it can be applied again; what it touched."""
    known = find_transaction(tx, signature)
    return LogChange(frozenset()) if known is None else remove_transaction(tx, known["id"])


def has_open_letter(tx: Tx, kind: str, *, signed: bool) -> bool:
    """Whether a dead letter of a kind is open. ``signed``: among those that name a transaction, else the others."""
    condition = "signature IS NOT NULL" if signed else "signature IS NULL"
    sql = f"SELECT 1 FROM dead_letters WHERE resolved_ms IS NULL AND kind = ? AND {condition} LIMIT 1"
    return tx.one(sql, (kind,)) is not None


def count_dead_letters(tx: Tx) -> int:
    """Open ones."""
    return kept.one(tx, "dead_letters")


def find_cursor(tx: Tx, address: bytes) -> int | None:
    """The slot up to which the address has been polled, or None."""
    return cast(int | None, tx.value("SELECT slot FROM cursors WHERE address = ?", (address,)))


def set_cursor(tx: Tx, address: bytes, slot: int) -> None:
    tx.execute(
        "INSERT INTO cursors (address, slot, updated_ms) VALUES (?, ?, ?)"
        " ON CONFLICT (address) DO UPDATE SET slot = excluded.slot, updated_ms = excluded.updated_ms",
        (address, slot, tx.now_ms),
    )


def lower_cursor(tx: Tx, address: bytes, slot: int) -> None:
    """Read again from ``slot`` on, if the address has been read further than that."""
    tx.execute("UPDATE cursors SET slot = ? WHERE address = ? AND slot > ?", (slot, address, slot))


def last_indexed_slot(tx: Tx) -> int:
    return cast(int, tx.value("SELECT coalesce(max(slot), 0) FROM transactions"))


def find_meta(tx: Tx, key: str) -> str | None:
    return cast(str | None, tx.value("SELECT value FROM meta WHERE key = ?", (key,)))


def lower_meta(tx: Tx, key: str, slot: int) -> None:
    """A slot that is noted under a key, to at most ``slot``."""
    if int(find_meta(tx, key) or 0) > slot:
        set_meta(tx, key, str(slot))


def set_meta(tx: Tx, key: str, value: str) -> None:
    tx.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, value),
    )
