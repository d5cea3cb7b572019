"""Rows that tests of the store start from."""

from tests.indexer.chain_log import signature_of
from tests.indexer.projection import CODEC, Database
from zmart_lite.codec import event_name
from zmart_lite.indexer.fold import event_time
from zmart_lite.indexer.new_rows import NewRows
from zmart_lite.models import ChainEvent, ChainTransaction, MarketState, UserPosition
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.state import markets, positions

ALICE, BOB, EVE = bytes([21]) * 32, bytes([22]) * 32, bytes([23]) * 32


def add_market(
    database: Database, number: int = 1, state: MarketState = MarketState.PROPOSED, **columns: object
) -> int:
    """A known market; the key of its row."""
    market_id = bytes([number]) * 32
    record = database.write(lambda tx: markets.add_record(tx, market_id, CODEC.market_address(market_id)))
    values = {"known": 1, "state": int(state)} | columns
    sql = f"UPDATE markets SET {', '.join(f'{name} = ?' for name in values)} WHERE id = ?"
    database.write(lambda tx: tx.execute(sql, (*values.values(), record["id"])))
    return int(record["id"])


def add_wallet(database: Database, address: bytes) -> int:
    return database.write(lambda tx: markets.wallet_key(tx, address))


def hold(database: Database, market: int, address: bytes, yes: int, no: int = 0) -> int:
    """Give a wallet shares; the key of its row."""
    wallet = add_wallet(database, address)
    held = UserPosition(bytes(32), address, yes, no, 0, 1, 0, False, 0, bytes(64), 250)
    save_position(database, (market, wallet), bytes([market]) * 16 + address[:16], (held, 0, 0, 0, 0, 0))
    return wallet


def save_position(database: Database, key: positions.PositionKey, address: bytes, held: positions.Held) -> None:
    """Write a position, new or changed."""
    if positions.find_position(database.tx, *key) is None:
        database.write(lambda tx: positions.add_positions(tx, [(key, address, held)]))
    else:
        database.write(lambda tx: positions.update_positions(tx, [(key, held)]))


def log_event(
    database: Database, event: ChainEvent, market: int, wallet: int | None, number: int = 1, slot: int = 50
) -> tuple[int, int]:
    """An event alone in its transaction: (event id, transaction id)."""
    found = ChainTransaction(signature_of(number), slot, 4, None, False, (), ())

    def unit(tx: Tx) -> tuple[int, int]:
        rows = NewRows(tx)
        transaction_id = rows.add_transaction(found, complete=True, finality=1, source="poll", checked=True)
        data = CODEC.encode_event(event)
        event_id = rows.add_event(
            transaction_id,
            found,
            0,
            event_name(event),
            timestamp=event_time(event),
            market=market,
            wallet=wallet,
            data=data,
            facts=None,
        )
        rows.write()
        return event_id, transaction_id

    return database.write(unit)
