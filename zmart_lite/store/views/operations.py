"""What operators look at: audit, discrepancies, intents, dead letters, backups, runs of jobs, markets to approve."""

from typing import Any

import msgspec

from zmart_lite.shown import optional_address, optional_signature, optional_time_ms, time_text_ms
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.engine.paging import Listing, Page, Query, list_page
from zmart_lite.store.state.intents import args_of
from zmart_lite.store.views import rows
from zmart_lite.store.views.lists import Conditions
from zmart_lite.store.views.rows import Json

PAYLOAD_SHOWN_BYTES_MAX = 65_536


def _query(table: str, columns: str = "x.*", joins: str = "") -> Query:
    """A list of a table's rows, newest first."""
    select = f"SELECT x.id AS page_key, {columns} FROM {table} x{joins}"
    return Query(key="x.id", source=f"{table} x", order=("x.id",), rows=select)


_WITH_MARKET = " LEFT JOIN markets m ON m.id = x.market"

AUDIT = _query("audit")._replace(order=("x.at_ms", "x.id"))
DISCREPANCIES = _query("discrepancies", "x.*, m.market_id", _WITH_MARKET)
INTENTS = _query("intents", "x.*, m.market_id", _WITH_MARKET)
DEAD_LETTERS = _query("dead_letters")
BACKUPS = _query("backups")
RUNS = _query("job_runs")
APPROVALS = Query(
    key="m.id",
    source="markets m",
    order=("m.created_at", "m.id"),
    rows=f"SELECT m.id AS page_key, {rows.MARKET_COLUMNS} FROM markets m{rows.MARKET_JOINS}",
    descending=False,
)


def list_rows(tx: Tx, query: Query, conditions: Conditions, page: Page) -> Listing:
    """A page of one of the lists above."""
    return list_page(tx, query, conditions.where, conditions.params, page)


def list_approvals(tx: Tx, page: Page) -> Listing:
    """Proposals whose recorded votes suffice and which wait for the admin's signature, oldest first."""
    return list_rows(tx, APPROVALS, Conditions("m.ready_for_approval = 1", "m.state = 0"), page)


def find_intent(tx: Tx, intent_id: int) -> Row | None:
    return tx.one(f"SELECT x.*, m.market_id FROM intents x{_WITH_MARKET} WHERE x.id = ?", (intent_id,))


# As clients see them


def audit_row(row: Row) -> Json:
    return {
        "id": str(row["id"]),
        "at": time_text_ms(row["at_ms"]),
        "wallet": optional_address(row["wallet"]),
        "action": row["action"],
        "target": row["target"],
        "reason": row["reason"],
        "params": msgspec.json.decode(row["params"]),
        "result": row["result"],
        "request_id": row["request_id"],
        "address": row["address"],
    }


def discrepancy_row(row: Row) -> Json:
    return {
        "id": str(row["id"]),
        "market_id": _hex(row["market_id"]),
        "field": row["field"],
        "stored": row["stored"],
        "on_chain": row["on_chain"],
        "slot": row["slot"],
        "detected_at": time_text_ms(row["detected_ms"]),
        "resolved_at": optional_time_ms(row["resolved_ms"]),
        "resolution": row["resolution"],
    }


def intent_row(row: Row) -> Json:
    """IntentRow of a row with the market's id; never the signed bytes."""
    error = None
    if row["error_name"] is not None or row["error_message"] is not None:
        error = {"name": row["error_name"], "number": row["error_number"], "message": row["error_message"]}
    return {
        "id": str(row["id"]),
        "action": row["action"],
        "market_id": _hex(row["market_id"]),
        "round": row["round"],
        "args": args_of(row),
        "status": row["status"],
        "signature": optional_signature(row["signature"]),
        "attempts": row["attempts"],
        "last_valid_block_height": row["last_valid_block_height"],
        "error": error,
        "created_at": time_text_ms(row["created_ms"]),
        "sent_at": optional_time_ms(row["sent_ms"]),
        "confirmed_at": optional_time_ms(row["confirmed_ms"]),
        "slot": row["slot"],
        "finality": _finality(row),
        "finalized_at": optional_time_ms(row["finalized_ms"]),
    }


def _finality(intent: Row) -> str | None:
    if intent["status"] != "confirmed":
        return None
    return "confirmed" if intent["finalized_ms"] is None else "finalized"


def dead_letter_row(row: Row, *, with_payload: bool = False) -> Json:
    """``with_payload``: also what was received, as text; bytes that are no UTF-8 show as replacement characters."""
    out: Json = {
        "id": str(row["id"]),
        "kind": row["kind"],
        "signature": optional_signature(row["signature"]),
        "slot": row["slot"],
        "error": row["error"],
        "attempts": row["attempts"],
        "first_seen_at": time_text_ms(row["first_seen_ms"]),
        "last_tried_at": time_text_ms(row["last_tried_ms"]),
        "resolved_at": optional_time_ms(row["resolved_ms"]),
        "resolution": row["resolution"],
    }
    if with_payload:
        payload = row["payload"]
        out["payload"] = None if payload is None else payload[:PAYLOAD_SHOWN_BYTES_MAX].decode(errors="replace")
    return out


def backup_row(row: Row) -> Json:
    return {
        "id": str(row["id"]),
        "file": row["file"],
        "size_bytes": row["size_bytes"],
        "created_at": time_text_ms(row["created_ms"]),
        "verified": bool(row["verified"]),
    }


def run_row(row: Row) -> Json:
    return {
        "id": row["id"],
        "job": row["job"],
        "started_at": time_text_ms(row["started_ms"]),
        "finished_at": optional_time_ms(row["finished_ms"]),
        "result": row["result"],
        "found": row["found"],
        "done": row["done"],
        "failed": row["failed"],
        "skipped": row["skipped"],
        "error": row["error"],
    }


def _hex(market_id: Any) -> str | None:
    return None if market_id is None else market_id.hex()
