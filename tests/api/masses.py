"""A database in which everything that grows has as many rows as a test asks for."""

from typing import Any

from tests.api.harness import ADMIN, ALICE, START_MS, START_S, ApiNode, P, key
from zmart_lite.models import SharesBought
from zmart_lite.store.engine.amounts import u64_text
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.state import alerts, moderation, positions, search, votes
from zmart_lite.store.state.markets import wallet_key
from zmart_lite.store.state.moderation import Audit

CATEGORIES = ("crypto", "politics", "sports")
STATES = 7
LONG_AGO_S = START_S - 40 * 86_400
WALLETS = 8
TYPES = ("stuck_market", "job_failure", "backup_failure")


def wallet(number: int) -> bytes:
    return key(ALICE) if number == 0 else bytes([200]) + number.to_bytes(31, "big")


def market_id(number: int) -> bytes:
    return bytes([number]) * 32 if number < 4 else bytes([100]) + number.to_bytes(31, "big")


def signature(number: int) -> bytes:
    """Of the transaction of the trade with this number, in slot 1000 + number."""
    return b"m" * 56 + number.to_bytes(8, "big")


async def fill(node: ApiNode, rows: int) -> None:
    """``rows`` of each kind. Market 1 has all trades, positions and posts, market 2 (a proposal) all votes; the first
    wallet is part of everything.
    """
    for number, state in ((1, 2), (2, 0), (3, 5)):
        await node.add_market(number, state=state, question=f"Will number {number} happen?")
    for unit in (_wallets, _markets, _trades, _positions, _votes, _posts, _operations, _feed):
        await node.store.write(lambda tx, unit=unit: unit(node, tx, rows))  # type: ignore[misc]


def _wallets(_: ApiNode, tx: Tx, rows: int) -> None:
    for number in range(rows):
        wallet_key(tx, wallet(number))


def _markets(node: ApiNode, tx: Tx, rows: int) -> None:
    for number in range(4, rows):
        address, category = node.parts.codec.market_address(market_id(number)), CATEGORIES[number % 3]
        market = tx.value(
            "INSERT INTO markets (market_id, address, known, creator, state, total_volume, created_at, activated_at,"
            " last_state_change_at, listed_category, listed_end_date, ready_for_approval)"
            " VALUES (?, ?, 1, ?, ?, ?, ?, 1, ?, ?, ?, ?) RETURNING id",
            (
                *(market_id(number), address, wallet_key(tx, wallet(number % 2)), number % STATES, u64_text(number)),
                *(LONG_AGO_S + number, LONG_AGO_S + number, category, START_S + number, int(number % STATES == 0)),
            ),
        )
        question = f"Will it rain on day {number:05d}?"
        tx.execute(
            "INSERT INTO market_texts (market, question, description, category, tags, end_date, cid, canonical_json,"
            " attached_ms) VALUES (?, ?, '', ?, '[]', ?, '', '{}', 0)",
            (market, question, category, START_S + number),
        )
        search.index_question(tx, market, question)


def _trades(node: ApiNode, tx: Tx, rows: int) -> None:
    event, codec = SharesBought(market_id(1), wallet(0), True, P, P, P // 2, LONG_AGO_S), node.parts.codec
    data = codec.encode_event(event)
    for number in range(rows):
        who, at_s = wallet_key(tx, wallet(number % WALLETS)), LONG_AGO_S + number * 60
        transaction = tx.value(
            "INSERT INTO transactions (signature, slot, index_in_block, block_time, failed, complete, finality, source,"
            " created_ms) VALUES (?, ?, 0, ?, 0, 1, 2, 'poll', ?) RETURNING id",
            (signature(number), 1_000 + number, at_s, START_MS),
        )
        kind = "SharesBought" if number % 2 else "MarketResolved"
        row = (transaction + 10_000, transaction, 0, kind, 1, who, 1_000 + number, 0, at_s, data, None)
        chainlog.add_events(tx, [row])
        if kind == "SharesBought":
            positions.add_trades(tx, [positions.trade_row(event._replace(timestamp=at_s), row[0], 1, who)])


def _positions(_: ApiNode, tx: Tx, rows: int) -> None:
    for number in range(rows):
        for market, holder in ((1, number), (number + 4, 0)):
            if tx.value("SELECT 1 FROM markets WHERE id = ?", (market,)) is None:
                continue
            who = wallet_key(tx, wallet(holder))
            tx.execute(
                "INSERT INTO positions (market, wallet, address, shares_yes, shares_no, total_invested, trades_count,"
                " last_trade_at, has_claimed, claimed_amount, basis_yes, basis_no, cost_bought, realized_pnl,"
                " first_trade_at, updated_ms, holding)"
                " VALUES (?, ?, ?, ?, ?, ?, 1, 1, 0, ?, '0', '0', '0', '0', 1, 0, ?)",
                (market, who, bytes(32), *[u64_text(number)] * 4, positions.holding_text(number, number)),
            )


def _votes(_: ApiNode, tx: Tx, rows: int) -> None:
    for number in range(rows):
        for market, voter in ((2, number), (number + 4, 0)):
            if tx.value("SELECT 1 FROM markets WHERE id = ?", (market,)) is not None:
                tx.execute(
                    "INSERT INTO votes (market, wallet, kind, vote, weight, source, voted_ms, received_ms)"
                    " VALUES (?, ?, ?, 1, '1', 'api', ?, 0)",
                    (market, wallet_key(tx, wallet(voter)), number % 2 if market != 2 else 0, START_MS),
                )
    votes.recount(tx, 2)


def _posts(_: ApiNode, tx: Tx, rows: int) -> None:
    sql = (
        "INSERT INTO discussions (market, wallet, parent, depth, content, replies, created_ms, updated_ms, deleted_ms)"
        " VALUES (1, ?, ?, ?, 'x', ?, ?, ?, ?)"
    )
    who = wallet_key(tx, wallet(0))
    tx.execute(sql, (who, None, 0, rows, START_MS, START_MS, None))
    for number in range(rows):
        tx.execute(sql, (who, 1, 1, 0, START_MS, START_MS, None))
        tx.execute(sql, (who, None, 0, 0, START_MS, START_MS, START_MS if number % 2 else None))


def _operations(_: ApiNode, tx: Tx, rows: int) -> None:
    for number in range(rows):
        severity, kind = alerts.SEVERITIES[number % 4], TYPES[number % 3]
        subject = (market_id(1) if number % 2 else market_id(number)).hex()
        status = ("open", "resolved")[number % 2]
        tx.execute(
            "INSERT INTO alerts (alert_type, subject, severity, message, data, status, opened_ms, last_seen_ms,"
            " resolved_ms) VALUES (?, ?, ?, 'x', '{}', ?, ?, ?, ?)",
            (kind, subject, severity, status, START_MS, START_MS, START_MS if number % 2 else None),
        )
        tx.execute(
            "INSERT INTO discrepancies (market, field, slot, detected_ms, resolved_ms) VALUES (?, 'state', 1, ?, ?)",
            (1 + number % 2, START_MS, START_MS if number % 3 else None),
        )
        tx.execute(
            "INSERT INTO intents (action, market, subject, round, args, status, created_ms)"
            " VALUES (?, ?, ?, ?, '{}', ?, ?)",
            (
                *(("finalize_market", "resolve_market")[number % 2], 1 + number % 2, market_id(1).hex(), number),
                *(("confirmed", "failed")[number % 3 == 0], START_MS),
            ),
        )
        chainlog.add_dead_letter(tx, "event", "odd", slot=number)
        act = Audit(key(ADMIN), ("job_run", "job_pause")[number % 2], "poll", None, {}, "ok", "r", "127.0.0.1")
        moderation.add_audit(tx, act)
        tx.execute("INSERT INTO job_runs (job, started_ms, finished_ms, result) VALUES ('aggregate', 1, 2, 'ok')")
        tx.execute(
            "INSERT INTO snapshots (market, snapshot_date, cid, discussions_count, pinned, created_ms)"
            " VALUES (1, ?, 'Qm', 1, 1, ?)",
            (f"{2000 + number // 28}-01-{number % 28 + 1:02d}", START_MS),
        )


def _feed(_: ApiNode, tx: Tx, rows: int) -> None:
    for number in range(rows):
        data: dict[str, Any] = {"market_id": market_id(1).hex()}
        tx.publish(("trade", "vote")[number % 2], data, market_id=market_id(1 + number % 2))
