"""The watch over query plans sees what it is there for: every other test relies on it."""

import pytest

from tests.indexer.projection import Database
from tests.plans import Watch, watch
from zmart_lite.store.engine.db import Tx


def objections_to(monkeypatch: pytest.MonkeyPatch, sql: str, *params: object) -> list[str]:
    """What a watch of its own says of a statement that is the product's."""
    own = Watch()
    monkeypatch.setattr("tests.plans._asked_by_a_test", lambda: False)
    own.look(Database().tx, sql, params)
    return own.take()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM votes",
        "SELECT * FROM trades t WHERE t.cost = '1'",
        "SELECT e.id FROM events e WHERE e.slot > 5 ORDER BY e.data LIMIT 10",
        "SELECT wallet FROM votes WHERE market = 1 GROUP BY voted_ms",
        "SELECT v.id FROM votes v JOIN markets m ON m.id = v.market WHERE v.vote = 1",
        "UPDATE alerts SET count = 2 WHERE message = 'x'",
        "DELETE FROM feed WHERE type = 'vote'",
        "WITH old AS (SELECT * FROM audit WHERE result = 'ok') SELECT count(*) FROM old",
    ],
)
def test_what_grows_is_told_of(monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    (objection,) = objections_to(monkeypatch, sql)
    assert objection.startswith(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM votes WHERE market = 1 AND wallet = 2 AND kind = 0",
        "SELECT id FROM audit ORDER BY at_ms DESC, id DESC LIMIT 5",
        "SELECT * FROM meta ORDER BY value",
        "INSERT INTO wallets (address, first_seen_ms) VALUES (x'00', 1)",
        "SELECT e.id FROM events e WHERE e.market = 1 AND e.is_trade = 1 ORDER BY e.slot DESC LIMIT 1",
        "not even SQL",
    ],
)
def test_what_an_index_answers_is_fine(monkeypatch: pytest.MonkeyPatch, sql: str) -> None:
    assert objections_to(monkeypatch, sql) == []


def test_a_tests_own_statements_are_its_own() -> None:
    Database().tx.all("SELECT * FROM feed WHERE data = 'read by a test'")
    assert not any("read by a test" in statement for statement in watch.seen)


def test_every_way_to_the_database_is_watched() -> None:
    for name in ("execute", "execute_many", "one", "all"):
        assert getattr(Tx, name).__module__ == "tests.plans", name
