"""Which tables commits changed."""

from pathlib import Path

import pytest

from zmart_lite.store.engine.changes import EVERY_TABLE, Changes, changed_table
from zmart_lite.store.engine.db import Store, Tx


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("SELECT 1 FROM markets", None),
        ("INSERT INTO markets (id) VALUES (1) RETURNING id", "markets"),
        ("insert into\n  votes (id) VALUES (1)", "votes"),
        ("UPDATE tallies SET likes = 1", "tallies"),
        ("DELETE FROM events WHERE id = 1", "events"),
        ("WITH gone AS (SELECT 1) DELETE FROM events", EVERY_TABLE),
        ("DROP TABLE events", EVERY_TABLE),
    ],
)
def test_the_table_of_a_statement(sql: str, table: str | None) -> None:
    assert changed_table(sql) == table


def test_a_version_is_of_its_tables() -> None:
    changes = Changes()
    before = changes.version(("markets", "configs"))
    changes.count({"votes"})
    assert changes.version(("markets", "configs")) == before
    changes.count({"configs"})
    after = changes.version(("markets", "configs"))
    assert after != before
    changes.count({EVERY_TABLE})
    assert changes.version(("markets", "configs")) != after


async def test_commits_are_counted(tmp_path: Path) -> None:
    store = await Store(tmp_path / "zmart.db").open()
    try:
        tables = ("wallets",)

        def add(tx: Tx) -> None:
            tx.execute("INSERT INTO wallets (address, first_seen_ms) VALUES (?, 0)", (tx.now_ms.to_bytes(32),))

        def fail(tx: Tx) -> None:
            add(tx)
            raise LookupError

        start = store.changes.version(tables)
        await store.read(lambda tx: tx.all("SELECT * FROM wallets"))
        await store.write(lambda tx: tx.value("SELECT count(*) FROM wallets"))
        with pytest.raises(LookupError):
            await store.write(fail)
        assert store.changes.version(tables) == start
        await store.write(add)
        added = store.changes.version(tables)
        assert added != start
        await store.on_writer(lambda connection: connection.execute("DELETE FROM wallets"))
        assert store.changes.version(tables) != added
    finally:
        await store.close()


async def test_whoever_is_told_of_a_commit_meets_its_version(tmp_path: Path) -> None:
    store = await Store(tmp_path / "zmart.db").open()
    try:
        seen = []
        store.on_commit = lambda _: seen.append(store.changes.version(("feed",)))
        before = store.changes.version(("feed",))
        await store.write(lambda tx: tx.publish("trade", {}))
        assert seen == [store.changes.version(("feed",))]
        assert seen != [before]
    finally:
        await store.close()
