"""What clients are told, beyond the events of the chain (those are in tests/indexer/test_apply.py)."""

from collections.abc import Callable
from typing import cast

import pytest

from tests.indexer.chain_log import signature_of
from tests.indexer.projection import Database
from tests.store.market_rows import ALICE, add_market, hold
from tests.store.voting import add_vote
from zmart_lite.config import Retention
from zmart_lite.models import MarketState, VoteType
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import chainlog, retention
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import votes


@pytest.mark.parametrize("hidden", [0, 1])
@pytest.mark.parametrize(("kind", "state"), votes.VOTING_STATE.items())
def test_a_vote_is_told_with_the_counts_after_it(kind: VoteType, state: MarketState, hidden: int) -> None:
    database = Database()
    market = add_market(database, state=state, hidden=hidden)
    wallet = hold(database, market, ALICE, 5)
    vote_id, _ = database.write(lambda tx: add_vote(tx, market, wallet, kind, True))
    row = database.write(lambda tx: messages.publish_vote(tx, database.context, market, vote_id, kind))
    (first, vote), (second, progress) = database.feed()
    assert (first, second) == ("vote", "voting_progress")
    assert vote["listed"] == progress["listed"] == 1 - hidden
    assert vote["data"] == row | {"likes": 1, "dislikes": 0, "total": 1}
    assert progress["data"]["aggregated"] is False
    assert progress["data"]["likes"] == 1


def test_progress_says_whether_the_counts_went_on_chain() -> None:
    database = Database()
    market = add_market(database)
    row = messages.find_market_row(database.tx, market)
    database.write(lambda tx: messages.publish_progress(tx, database.context, row, VoteType.PROPOSAL, aggregated=True))
    assert database.feed()[0][1]["data"]["aggregated"] is True


@pytest.mark.parametrize(
    ("old_state", "action", "new_state"), [(None, "created", None), (0, "updated", "ACTIVE"), (2, "updated", None)]
)
def test_a_market_is_told_as_it_is(old_state: int | None, action: str, new_state: str | None) -> None:
    database = Database()
    market = add_market(database, state=MarketState.ACTIVE)
    database.write(lambda tx: messages.publish_market(tx, database.context, market, old_state))
    ((kind, message),) = database.feed()
    data = message["data"]
    assert (kind, data["action"], data["state"], data["new_state"]) == ("market_state", action, "ACTIVE", new_state)
    assert message["state_changed"] == int(old_state != 2)
    assert data["market"]["state"] == "ACTIVE"
    assert data["automatic"] is False


def test_what_the_node_did_itself_is_marked() -> None:
    database = Database()
    market = add_market(database)

    def unit(tx: object) -> None:
        database.tx.execute(
            "INSERT INTO transactions (signature, slot, failed, complete, finality, source, created_ms)"
            " VALUES (?, 1, 0, 1, 1, 'poll', 0)",
            (signature_of(1),),
        )
        database.tx.execute("UPDATE markets SET last_transaction = 1")
        database.tx.execute(
            "INSERT INTO intents (action, subject, round, args, status, signature, created_ms)"
            " VALUES ('approve_proposal', '', 1, '{}', 'sent', ?, 0)",
            (signature_of(1),),
        )

    database.write(unit)
    database.write(lambda tx: messages.publish_market(tx, database.context, market, 0))
    assert database.feed()[0][1]["data"]["automatic"] is True


def test_a_market_that_goes_is_told_without_its_row() -> None:
    database = Database()
    market = add_market(database)
    database.write(lambda tx: messages.publish_market(tx, database.context, market, 0, action="deleted", whole=False))
    ((_, message),) = database.feed()
    assert (message["data"]["action"], message["data"]["market"]) == ("deleted", None)


def test_an_alert_is_told_when_it_is_news() -> None:
    database = Database()
    for severity in ("LOW", "LOW", "HIGH"):
        database.write(lambda tx, severity=severity: messages.raise_alert(tx, "stuck", severity, "text", data=[1]))
    database.write(lambda tx: messages.resolve_alert(tx, "stuck"))
    database.write(lambda tx: messages.resolve_alert(tx, "stuck"))
    told = database.feed()
    assert [(kind, message["listed"]) for kind, message in told] == [("alert", 0)] * 3
    assert [message["data"]["status"] for _, message in told] == ["open", "open", "resolved"]
    assert all("data" not in message["data"] and message["data"]["type"] == "stuck" for _, message in told)


STATUS = "SELECT status FROM alerts WHERE subject = ?"


def letter(kind: str, number: int | None, error: str = "no") -> Callable[[Tx], int]:
    signature = None if number is None else signature_of(number)

    def unit(tx: Tx) -> int:
        added = chainlog.add_dead_letter(tx, kind, error, signature=signature, payload=b"{}")
        messages.publish_undecodable(tx, kind, signature, error)
        return cast(int, added)

    return unit


def test_dead_letters_of_one_cause_are_one_alert_until_the_last_is_cured() -> None:
    database = Database()
    for number in range(40):
        database.write(letter("event", number, f"unknown discriminator {number}"))
    database.write(letter("truncated", 1))
    database.write(letter("delivery", 2))
    database.write(letter("delivery", None))
    found = {row["subject"]: row for row in database.tx.all("SELECT * FROM alerts WHERE status = 'open'")}
    assert found.keys() == {"event", "truncated", "delivery", "webhook"}
    assert (found["event"]["count"], found["event"]["severity"]) == (40, "HIGH")
    assert [kind for kind, _ in database.feed()] == ["alert"] * 4
    for number in range(40):
        database.write(messages.resolve_undecodable)
        assert number in (0, 1) or database.tx.value(STATUS, ("event",)) == "open"
        database.write(lambda tx, n=number: chainlog.resolve_dead_letters(tx, signature_of(n), "well"))  # type: ignore[misc]
    database.write(messages.resolve_undecodable)
    assert [database.tx.value(STATUS, (subject,)) for subject in found] == ["resolved"] * 3 + ["open"]


def test_what_names_no_transaction_is_closed_with_its_contents() -> None:
    database = Database()
    database.write(letter("delivery", None))
    database.write(letter("delivery", 1))
    limits = retention.limits_ms(database.now_ms + 15 * retention.DAY_MS, Retention())
    assert database.write(lambda tx: retention.prune(tx, "payloads", limits["payloads"])) == 2
    database.write(messages.resolve_undecodable)
    assert [database.tx.value(STATUS, (subject,)) for subject in ("webhook", "delivery")] == ["resolved", "open"]


def test_a_retraction_is_an_alert_and_a_correction_another() -> None:
    database = Database()
    for number in range(3):
        database.write(lambda tx, n=number: messages.publish_retracted(tx, signature_of(n), 5))  # type: ignore[misc]
    database.write(lambda tx: messages.publish_corrected(tx, signature_of(9), 5))
    assert [message["data"]["alert_type"] for _, message in database.feed()] == ["event_retracted"] * 2
    assert database.tx.value("SELECT count FROM alerts WHERE subject = 'fork'") == 3


def test_a_market_that_is_not_there_has_no_row() -> None:
    with pytest.raises(KeyError):
        messages.find_market_row(Database().tx, 5)


def test_the_rows_settings_are_read_again_when_the_config_changes() -> None:
    database = Database()
    first = database.context.rows(database.tx)
    assert database.context.rows(database.tx) is first
    database.context.forget_config()
    assert database.context.rows(database.tx) is not first
