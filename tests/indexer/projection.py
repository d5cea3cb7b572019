"""A database in memory to apply transactions to, and its projections as plain values to compare two runs by."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from pysqlite3 import dbapi2 as sqlite

from tests.localnet.program_harness import PROGRAM_ID
from zmart_lite.codec import Codec
from zmart_lite.config import Config
from zmart_lite.indexer.apply import Applied, Applier, Sourced, apply_transactions
from zmart_lite.models import ChainTransaction
from zmart_lite.simulation.kept_figures import differences
from zmart_lite.store.engine import migrate
from zmart_lite.store.engine.tx import Row, Shared, Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.log.chainlog import LogChange
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.views.rows import RowSettings

T = TypeVar("T")
NOW_MS = 1_800_000_000_000
CODEC = Codec(PROGRAM_ID)
SETTINGS = RowSettings.of(Config(), CODEC)

MARKETS = """SELECT m.*, c.address AS creator_address, r.address AS resolver_address, i.address AS initiator_address,
 t.signature AS last_signature, x.question, x.cid FROM markets m LEFT JOIN wallets c ON c.id = m.creator
 LEFT JOIN wallets r ON r.id = m.resolver LEFT JOIN wallets i ON i.id = m.dispute_initiator
 LEFT JOIN transactions t ON t.id = m.last_transaction LEFT JOIN market_texts x ON x.market = m.id
 WHERE m.known = 1 OR m.last_transaction IS NOT NULL ORDER BY m.market_id"""
POSITIONS = """SELECT p.*, m.market_id, w.address AS wallet_address FROM positions p JOIN markets m ON m.id = p.market
 JOIN wallets w ON w.id = p.wallet ORDER BY p.address"""
TRADES = """SELECT r.*, t.signature, e.event_index, e.slot, e.index_in_block, m.market_id, w.address AS wallet_address
 FROM trades r JOIN events e ON e.id = r.event_id JOIN transactions t ON t.id = e.transaction_id
 JOIN markets m ON m.id = r.market JOIN wallets w ON w.id = r.wallet ORDER BY t.signature, e.event_index"""
VOTES = """SELECT v.*, m.market_id, w.address AS wallet_address, t.signature, e.event_index FROM votes v
 JOIN markets m ON m.id = v.market JOIN wallets w ON w.id = v.wallet LEFT JOIN events e ON e.id = v.event_id
 LEFT JOIN transactions t ON t.id = e.transaction_id ORDER BY m.market_id, v.kind, w.address"""
TALLIES = """SELECT y.*, m.market_id, t.signature, e.event_index FROM tallies y JOIN markets m ON m.id = y.market
 LEFT JOIN events e ON e.id = y.recorded_event LEFT JOIN transactions t ON t.id = e.transaction_id
 WHERE y.likes + y.dislikes > 0 OR y.last_aggregated_at IS NOT NULL ORDER BY m.market_id, y.kind"""
EVENTS = """SELECT e.*, t.signature, m.market_id, w.address AS wallet_address FROM events e
 JOIN transactions t ON t.id = e.transaction_id LEFT JOIN markets m ON m.id = e.market
 LEFT JOIN wallets w ON w.id = e.wallet ORDER BY t.signature, e.event_index"""
CONFIGS = """SELECT c.*, t.signature, e.event_index FROM configs c LEFT JOIN events e ON e.id = c.event_id
 LEFT JOIN transactions t ON t.id = e.transaction_id ORDER BY c.slot, c.index_in_block, t.signature, e.event_index"""
TRANSACTIONS = "SELECT * FROM transactions ORDER BY signature"
LETTERS = (
    "SELECT kind, signature, event_index, slot, error, resolved_ms IS NULL AS open FROM dead_letters ORDER BY 1, 2, 3"
)

ASIDE = {
    *("id", "creator", "resolver", "dispute_initiator", "last_transaction", "market", "wallet", "transaction_id"),
    *("event_id", "updated_ms", "created_ms", "source_id", "changed", "recorded_event", "resync_tried_ms"),
}
"""Keys that depend on the order of arrival, and times of arrival."""


def dump(tx: Tx) -> dict[str, list[dict[str, Any]]]:
    """All projections, without the node's own keys and clocks. What is kept as counts is counted on the way."""
    assert differences(tx) == []
    queries = {
        "markets": MARKETS,
        "positions": POSITIONS,
        "trades": TRADES,
        "votes": VOTES,
        "tallies": TALLIES,
        "events": EVENTS,
        "configs": CONFIGS,
        "transactions": TRANSACTIONS,
    }
    aside = {"transactions": ASIDE | {"source", "checked"}}
    return {name: [_plain(row, aside.get(name, ASIDE)) for row in tx.all(sql)] for name, sql in queries.items()}


def _plain(row: Row, aside: set[str]) -> dict[str, Any]:
    return {key: row[key] for key in row.keys() if key not in aside}  # noqa: SIM118


class Database:
    """A store's schema in memory, written by one transaction after the other."""

    def __init__(self, feed_since: int = 0) -> None:
        self.connection = sqlite.connect(":memory:", isolation_level=None)
        self.connection.row_factory = sqlite.Row
        self.connection.execute("PRAGMA foreign_keys = ON")
        migrate.migrate(self.connection)
        self.now_ms = NOW_MS
        self.codec = CODEC
        self.context = FeedContext(SETTINGS, lambda: NOW_MS // 1_000, feed_since=feed_since)

    def write(self, unit: Callable[[Tx], T], is_awaited: Callable[[], bool] = lambda: False) -> T:
        self.now_ms += 1
        self.connection.execute("BEGIN")
        try:
            tx = Tx(self.connection, self.now_ms, shared=Shared(is_awaited, {}))
            result = unit(tx)
            tx.store_published()
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
        return result

    @property
    def tx(self) -> Tx:
        return Tx(self.connection, self.now_ms)

    def apply(self, *batch: ChainTransaction, source: str = "webhook") -> Applied:
        """One batch, in one commit, and the order of its blocks as the chain has it if ``places`` are known."""
        pairs = [(each, source) for each in batch]
        return self.write(lambda tx: apply_transactions(tx, self.codec, self.context, pairs, finality=1))

    def apply_beside_others(self, batch: Sequence[ChainTransaction], is_awaited: Callable[[], bool]) -> int:
        """One batch, in as many commits as it takes where others wait for the database; their number."""
        left: Sequence[Sourced] = [(each, "webhook") for each in batch]
        commits = 0
        while left:
            commits += 1
            left = self.write(
                lambda tx, some=left: apply_transactions(tx, self.codec, self.context, some, finality=1),  # type: ignore[misc]
                is_awaited,
            ).left
        return commits

    def change(self, unit: Callable[[Tx], LogChange]) -> None:
        """A change of the log, and the fold of what it concerns."""
        self.write(lambda tx: Applier(tx, self.codec, self.context).refold_changed(unit(tx)))

    def remove(self, signature: bytes) -> None:
        row = chainlog.find_transaction(self.tx, signature)
        assert row is not None
        self.change(lambda tx: chainlog.remove_transaction(tx, row["id"]))

    def dump(self) -> dict[str, list[dict[str, Any]]]:
        return dump(self.tx)

    def letters(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.tx.all(LETTERS)]

    def feed(self, after: int = 0) -> list[tuple[str, dict[str, Any]]]:
        rows = self.tx.all("SELECT * FROM feed WHERE feed_offset > ? ORDER BY feed_offset", (after,))
        return [(row["type"], dict(row) | {"data": msgspec.json.decode(row["data"])}) for row in rows]

    @property
    def head(self) -> int:
        return int(self.tx.value("SELECT coalesce(max(feed_offset), 0) FROM feed"))

    def types_after(self, head: int) -> list[str]:
        return [kind for kind, _ in self.feed(head)]

    def market(self, market_id: bytes) -> dict[str, Any]:
        row = self.tx.one("SELECT * FROM markets WHERE market_id = ?", (market_id,))
        assert row is not None
        return dict(row)


def in_order(transactions: Sequence[ChainTransaction]) -> Database:
    """The reference: every transaction once, alone, in chain order."""
    database = Database()
    for transaction in sorted(transactions, key=lambda each: (each.slot, each.index_in_block or 0)):
        database.apply(transaction)
    return database
