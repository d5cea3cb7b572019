"""The rows of the node's own transactions: one unsettled round per action and subject, bytes before sending."""

import pytest

from tests.indexer.chain_log import signature_of
from tests.indexer.projection import Database
from tests.store.market_rows import ALICE, add_market, log_event
from zmart_lite.models import ProposalApproved
from zmart_lite.store.engine.db import Row
from zmart_lite.store.state import intents


@pytest.fixture
def database() -> Database:
    return Database()


def open_intent(database: Database, subject: str = "ab", **args: object) -> tuple[Row, bool]:
    return database.write(lambda tx: intents.open_intent(tx, "approve_proposal", subject, args, reason="why"))


def sign(database: Database, intent_id: int, number: int = 1) -> bool:
    return database.write(lambda tx: intents.set_signed(tx, intent_id, b"bytes", signature_of(number), 500))


def status(database: Database, intent_id: int) -> str:
    row = intents.find_intent(database.tx, intent_id)
    assert row is not None
    return str(row["status"])


def test_an_unsettled_action_is_not_opened_twice(database: Database) -> None:
    first, new = open_intent(database, likes=2**64)
    assert (new, first["round"], first["status"], first["reason"]) == (True, 1, "planned", "why")
    assert intents.args_of(first) == {"likes": 2**64}
    for _ in range(2):
        again, new = open_intent(database, likes=5)
        assert (again["id"], new, intents.args_of(again)) == (first["id"], False, {"likes": 2**64})
        sign(database, first["id"])
    assert open_intent(database, "cd")[1]


@pytest.mark.parametrize("end", ["failed", "expired", "abandoned"])
def test_a_settled_action_opens_a_new_round(database: Database, end: str) -> None:
    first, _ = open_intent(database)
    database.write(
        lambda tx: intents.set_ended(tx, first["id"], end, name="Unauthorized", number=6029, message="m" * 999)
    )
    second, new = open_intent(database)
    assert (new, second["round"]) == (True, 2)
    row = intents.find_intent(database.tx, first["id"])
    assert row is not None
    assert (row["status"], row["error_name"], row["error_number"]) == (end, "Unauthorized", 6029)
    assert len(row["error_message"]) == intents.ERROR_CHARACTERS_MAX
    last = intents.find_last(database.tx, "approve_proposal", "ab")
    assert last is not None
    assert last["id"] == second["id"]


def test_the_bytes_are_kept_once(database: Database) -> None:
    row, _ = open_intent(database)
    assert sign(database, row["id"])
    assert not sign(database, row["id"], 2)
    kept = intents.find_intent(database.tx, row["id"])
    assert kept is not None
    assert (kept["signature"], kept["signed_transaction"], kept["attempts"]) == (signature_of(1), b"bytes", 1)
    assert (kept["status"], kept["last_valid_block_height"]) == ("sent", 500)


def test_a_settled_intent_takes_no_bytes(database: Database) -> None:
    row, _ = open_intent(database)
    database.write(lambda tx: intents.set_ended(tx, row["id"], "abandoned"))
    assert not sign(database, row["id"])
    assert status(database, row["id"]) == "abandoned"


def test_confirming_clears_the_error_of_an_earlier_try(database: Database) -> None:
    row, _ = open_intent(database)
    database.write(lambda tx: intents.set_ended(tx, row["id"], "failed", name="X", number=1, message="m"))
    database.write(lambda tx: intents.set_confirmed(tx, row["id"], 7))
    done = intents.find_intent(database.tx, row["id"])
    assert done is not None
    assert (done["status"], done["error_name"], done["error_message"]) == ("confirmed", None, None)


def test_unsettled_intents_are_listed_oldest_first(database: Database) -> None:
    ids = [open_intent(database, subject)[0]["id"] for subject in "abcd"]
    sign(database, ids[1])
    database.write(lambda tx: intents.set_confirmed(tx, ids[2], 7))
    assert [row["id"] for row in intents.list_unsettled(database.tx, 9)] == [ids[0], ids[1], ids[3]]
    assert len(intents.list_unsettled(database.tx, 2)) == 2
    assert intents.count_by_status(database.tx) == {"planned": 2, "sent": 1, "confirmed": 1}


def test_what_jobs_planned_can_be_left_out(database: Database) -> None:
    mine, _ = open_intent(database, "a")
    jobs = [database.write(lambda tx, s=s: intents.open_intent(tx, "approve_proposal", s, {}))[0] for s in "bc"]  # type: ignore[misc]
    sign(database, jobs[0]["id"])
    listed = intents.list_unsettled(database.tx, 9, planned_by_jobs=False)
    assert [row["id"] for row in listed] == [mine["id"], jobs[0]["id"]]


# Until it is final


def confirmed(database: Database, number: int = 1, market: int | None = None) -> int:
    row, _ = database.write(lambda tx: intents.open_intent(tx, "approve_proposal", "ab", {}, market=market))
    sign(database, row["id"], number)
    database.write(lambda tx: intents.set_confirmed(tx, row["id"], 50))
    return int(row["id"])


def test_no_new_round_before_the_confirmed_one_is_indexed(database: Database) -> None:
    intent_id = confirmed(database)
    again, new = open_intent(database)
    assert (again["id"], new) == (intent_id, False)
    log_event(database, ProposalApproved(bytes(32), ALICE, 1), add_market(database), None, 1)
    assert open_intent(database)[1]


def test_a_confirmed_intent_is_listed_with_its_transaction_until_it_is_final(database: Database) -> None:
    intent_id = confirmed(database)
    (row,) = intents.list_unfinalized(database.tx, 9)
    assert (row["id"], row["landed_slot"], row["finality"]) == (intent_id, None, None)
    log_event(database, ProposalApproved(bytes(32), ALICE, 1), add_market(database), None, 1, slot=51)
    (row,) = intents.list_unfinalized(database.tx, 9)
    assert (row["landed_slot"], row["finality"]) == (51, 1)
    database.write(lambda tx: intents.set_finalized(tx, intent_id, 51))
    assert intents.list_unfinalized(database.tx, 9) == []
    done = intents.find_intent(database.tx, intent_id)
    assert done is not None
    assert (done["status"], done["slot"], done["finalized_ms"]) == ("confirmed", 51, database.now_ms)


@pytest.mark.parametrize(
    ("change", "height_max", "after"),
    [
        ("status = status", intents.HEIGHT_MAX, "sent"),
        ("status = 'failed'", intents.HEIGHT_MAX, "sent"),
        ("status = status", 500, "sent"),
        ("status = status", 499, "expired"),
        ("signed_transaction = NULL", intents.HEIGHT_MAX, "expired"),
    ],
)
def test_what_the_chain_dropped_is_sent_again_if_it_can_land(
    database: Database, change: str, height_max: int, after: str
) -> None:
    market = add_market(database)
    intent_id = confirmed(database, market=market)
    database.write(lambda tx: tx.execute(f"UPDATE intents SET {change}"))
    database.write(lambda tx: tx.execute("INSERT INTO tallies (market, kind) VALUES (?, 0)", (market,)))
    database.write(lambda tx: tx.execute("UPDATE markets SET reviewed_at = 1"))
    assert database.write(lambda tx: intents.reopen(tx, signature_of(1), height_max))
    assert status(database, intent_id) == after
    row = intents.find_intent(database.tx, intent_id)
    assert row is not None
    assert (row["slot"], row["confirmed_ms"], row["finalized_ms"]) == (None, None, None)
    assert database.tx.value("SELECT changed FROM tallies") == 1
    assert database.tx.value("SELECT reviewed_at FROM markets") is None


@pytest.mark.parametrize("end", ["expired", "abandoned"])
def test_what_never_landed_is_not_reopened(database: Database, end: str) -> None:
    intent_id = confirmed(database)
    database.write(lambda tx: intents.set_ended(tx, intent_id, end))
    assert not database.write(lambda tx: intents.reopen(tx, signature_of(1)))
    assert status(database, intent_id) == end


def test_votes_are_in_the_counts_until_the_action_read_them(database: Database) -> None:
    market = add_market(database)
    row, _ = open_intent(database, votes_until_ms=44)
    sign(database, row["id"], 1)
    event = ProposalApproved(bytes(32), ALICE, 1)
    _, own = log_event(database, event, market, None, 1)
    _, foreign = log_event(database, event, market, None, 2)
    assert intents.counted_until_ms(database.tx, own) == 44
    indexed_ms = database.tx.value("SELECT created_ms FROM transactions WHERE id = ?", (foreign,))
    assert intents.counted_until_ms(database.tx, foreign) == indexed_ms
    assert intents.counted_until_ms(database.tx, 999) == database.now_ms
