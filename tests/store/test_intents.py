"""The rows of the node's own transactions: one unsettled round per action and subject, bytes before sending."""

import pytest

from tests.indexer.chain_log import signature_of
from tests.indexer.projection import Database
from tests.store.market_rows import ALICE, add_market, log_event
from zmart_lite.models import ProposalApproved
from zmart_lite.store import intents
from zmart_lite.store.db import Row


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
    database.write(lambda tx: intents.set_confirmed(tx, row["id"]))
    done = intents.find_intent(database.tx, row["id"])
    assert done is not None
    assert (done["status"], done["error_name"], done["error_message"]) == ("confirmed", None, None)


def test_unsettled_intents_are_listed_oldest_first(database: Database) -> None:
    ids = [open_intent(database, subject)[0]["id"] for subject in "abcd"]
    sign(database, ids[1])
    database.write(lambda tx: intents.set_confirmed(tx, ids[2]))
    assert [row["id"] for row in intents.list_unsettled(database.tx, 9)] == [ids[0], ids[1], ids[3]]
    assert len(intents.list_unsettled(database.tx, 2)) == 2
    assert intents.count_by_status(database.tx) == {"planned": 2, "sent": 1, "confirmed": 1}


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
