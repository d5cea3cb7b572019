"""A new database and one brought up by migrations are the same; a damaged installation or a strange database stops."""

import gzip
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2 as sqlite

from zmart_lite import resources
from zmart_lite.errors import StartupError
from zmart_lite.simulation import kept_figures
from zmart_lite.store.engine import migrate
from zmart_lite.store.engine.db import Store

Schema = list[tuple[str, str, str]]


def connect() -> sqlite.Connection:
    return sqlite.connect(":memory:", isolation_level=None)


def schema_of(connection: sqlite.Connection) -> Schema:
    """Everything the database defines, without comments and the accidents of layout."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type, name")
    return [(kind, name, normalised(sql)) for kind, name, sql in rows]


def normalised(sql: str) -> str:
    bare = re.sub(r"--[^\n]*", "", sql)
    return re.sub(r"\s*([(),])\s*", r"\1", re.sub(r"\s+", " ", bare)).strip()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations to change."""
    copied = tmp_path / "migrations"
    shutil.copytree(resources.find("store/engine/migrations"), copied)
    real = resources.find
    monkeypatch.setattr(resources, "find", lambda name: copied if name == "store/engine/migrations" else real(name))
    return copied


@pytest.fixture
def released(tmp_path: Path) -> sqlite.Connection:
    """The database of a devnet with demo markets in all seven states, as the released 0.1.0 left it."""
    path = tmp_path / "released.db"
    path.write_bytes(gzip.decompress((Path(__file__).parent / "released" / "0.1.0.db.gz").read_bytes()))
    return sqlite.connect(str(path), isolation_level=None)


def test_a_database_of_the_first_release_becomes_what_a_new_one_is(released: sqlite.Connection) -> None:
    assert migrate.schema_version(released) == migrate.FIRST_VERSION
    kept = {table: rows_of(released, table) for table in ("markets", "trades", "positions", "votes", "events", "feed")}
    new = connect()
    migrate.migrate(new)
    migrate.migrate(released)
    assert schema_of(released) == schema_of(new)
    assert migrate.schema_version(released) == migrate.schema_version(new) == migrate.list_migrations()[-1].version
    assert released.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not released.execute("PRAGMA foreign_key_check").fetchall()
    for table, rows in kept.items():
        assert rows
        assert [row[: len(rows[0])] for row in rows_of(released, table)] == rows, table


def rows_of(connection: sqlite.Connection, table: str) -> list[Any]:
    """Columns that a migration adds stand at the end."""
    return list(connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2"))


async def test_what_a_node_made_of_it_says_so_of_itself(released: sqlite.Connection) -> None:
    """Kept figures that a migration adds are as if they had been kept all along."""
    path = Path(released.execute("PRAGMA database_list").fetchone()[2])
    released.close()
    store = await Store(path).open()
    assert await store.read(kept_figures.differences) == []
    await store.close()


def test_migrating_twice_changes_nothing() -> None:
    connection = connect()
    migrate.migrate(connection)
    before = schema_of(connection)
    migrate.migrate(connection)
    assert schema_of(connection) == before


def test_an_older_database_gets_what_it_lacks(folder: Path) -> None:
    connection = connect()
    migrate.migrate(connection)
    last = migrate.list_migrations()[-1].version
    (folder / f"{last + 1:04d}_more.sql").write_text("CREATE TABLE more (a TEXT) STRICT;")
    migrate.migrate(connection)
    assert migrate.schema_version(connection) == last + 1
    assert connection.execute("SELECT count(*) FROM more").fetchone() == (0,)


def test_a_migration_that_fails_leaves_nothing(folder: Path) -> None:
    connection = connect()
    migrate.migrate(connection)
    before, last = schema_of(connection), migrate.list_migrations()[-1].version
    (folder / f"{last + 1:04d}_broken.sql").write_text("CREATE TABLE more (a TEXT) STRICT; CREATE TABLE meta (b TEXT);")
    with pytest.raises(sqlite.OperationalError, match="meta"):
        migrate.migrate(connection)
    assert not connection.in_transaction
    assert schema_of(connection) == before
    assert migrate.schema_version(connection) == last


@pytest.mark.parametrize(
    "name", ["0000_zero.sql", "0099_gap.sql", "0002_again.sql", "2_short.sql", "x.sql", "0003.sql"]
)
def test_gaps_and_malformed_names_stop_the_start(folder: Path, name: str) -> None:
    (folder / name).write_text("SELECT 1;")
    with pytest.raises(StartupError, match="install zmart-lite again"):
        migrate.list_migrations()


def test_missing_migrations_stop_the_start(folder: Path) -> None:
    for path in folder.glob("*.sql"):
        path.unlink()
    with pytest.raises(StartupError, match="missing"):
        migrate.list_migrations()


def test_other_files_beside_the_migrations_do_not_matter(folder: Path) -> None:
    (folder / "README.md").write_text("hello")
    assert migrate.list_migrations()


def test_a_newer_database_is_left_as_it_is() -> None:
    connection = connect()
    migrate.migrate(connection)
    connection.execute("UPDATE meta SET value = '77' WHERE key = 'schema_version'")
    before = schema_of(connection)
    with pytest.raises(StartupError, match="schema version 77"):
        migrate.migrate(connection)
    assert schema_of(connection) == before
    assert migrate.schema_version(connection) == 77


@pytest.mark.parametrize("rows", [[], [("schema_version", "many")]])
def test_another_programs_database_is_refused(rows: list[tuple[str, str]]) -> None:
    connection = connect()
    connection.execute("CREATE TABLE meta (key TEXT, value TEXT)")
    connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
    with pytest.raises(StartupError, match="not one of zmart-lite"):
        migrate.migrate(connection)


def test_an_empty_database_has_no_version() -> None:
    assert migrate.schema_version(connect()) == 0


def test_every_amount_is_a_text_and_every_table_strict() -> None:
    connection = connect()
    migrate.migrate(connection)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        if not table.startswith("sqlite_"):
            (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            assert "STRICT" in normalised(sql).rpartition(")")[2]
    amounts = {row[1]: row[2] for row in connection.execute("PRAGMA table_info(markets)")}
    assert amounts["shares_yes"] == amounts["total_volume"] == "TEXT"
