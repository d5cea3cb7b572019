"""Market texts: a wallet's drafts, and what is attached to a market."""

import pytest

from tests.indexer.projection import Database
from tests.store.market_rows import ALICE, BOB, add_market
from zmart_lite.drafts import MarketText, canonical_json, cid_v0
from zmart_lite.store.engine.db import Row
from zmart_lite.store.state import markets, texts

TEXT = MarketText("Wird es regnen – ja?", "Berlin", "science", ("rain", "berlin"), 1_900_000_000)
JSON = canonical_json(TEXT)
CID = cid_v0(JSON.encode())


def add_draft(database: Database, market_id: bytes = bytes([1]) * 32, wallet: bytes = ALICE, life_ms: int = 50) -> Row:
    return database.write(
        lambda tx: texts.add_draft(
            tx, market_id=market_id, wallet=wallet, cid=CID, canonical_json=JSON, lifetime_ms=life_ms
        )
    )


def attach(database: Database, *, creator: bytes = ALICE, hash_: bytes | None = CID.encode()) -> bool:
    key = add_market(database)
    record = markets.find_record_by_key(database.tx, key)
    assert record is not None
    record |= {"creator_address": creator, "question_hash": hash_}
    return database.write(lambda tx: texts.attach_draft(tx, record))


def test_the_same_text_again_is_the_same_draft_with_a_new_life() -> None:
    database = Database()
    first = add_draft(database)
    again = add_draft(database, bytes([2]) * 32, life_ms=1_000)
    assert again["market_id"] == first["market_id"]
    assert again["expires_ms"] > first["expires_ms"]
    assert add_draft(database, bytes([3]) * 32, BOB)["market_id"] == bytes([3]) * 32
    found = texts.find_draft(database.tx, ALICE, CID)
    assert found is not None
    assert found["canonical_json"] == JSON
    assert texts.find_draft(database.tx, ALICE, "Qm") is None


@pytest.mark.parametrize(
    ("creator", "hash_", "attached"),
    [(ALICE, CID.encode(), True), (BOB, CID.encode(), False), (ALICE, b"Q" * 46, False), (ALICE, None, False)],
)
def test_a_draft_is_attached_where_hash_and_creator_match(creator: bytes, hash_: bytes | None, attached: bool) -> None:
    database = Database()
    add_draft(database)
    assert attach(database, creator=creator, hash_=hash_) is attached
    assert database.tx.value("SELECT count(*) FROM drafts") == int(not attached)
    row = database.tx.one("SELECT * FROM market_texts")
    assert (row is not None) == attached
    if row is not None:
        assert (row["question"], row["tags"], row["end_date"]) == (TEXT.question, '["rain","berlin"]', TEXT.end_date)
        market = database.market(bytes([1]) * 32)
        assert (market["listed_category"], market["listed_end_date"]) == ("science", TEXT.end_date)


def test_a_market_without_a_draft_has_no_text() -> None:
    database = Database()
    add_draft(database, bytes([2]) * 32)
    assert not attach(database)


def test_a_detached_text_is_a_draft_again() -> None:
    database = Database()
    add_draft(database)
    attach(database)
    record = markets.find_record(database.tx, bytes([1]) * 32)
    assert record is not None
    database.write(lambda tx: texts.detach_text(tx, record | {"creator_address": ALICE}))
    for table in ("market_texts", "question_trigrams"):
        assert database.tx.value(f"SELECT count(*) FROM {table}") == 0
    market = database.market(bytes([1]) * 32)
    assert (market["listed_category"], market["listed_end_date"]) == ("other", texts.END_DATE_UNKNOWN)
    draft = texts.find_draft(database.tx, ALICE, CID)
    assert draft is not None
    assert draft["market_id"] == bytes([1]) * 32
    database.write(lambda tx: texts.detach_text(tx, record))


def test_the_unknown_end_date_is_the_schemas() -> None:
    database = Database()
    add_market(database)
    assert database.market(bytes([1]) * 32)["listed_end_date"] == texts.END_DATE_UNKNOWN
