"""A new database and one brought up by migrations are the same; a damaged installation or a strange database stops."""

import re
import shutil
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite

from zmart_lite import resources
from zmart_lite.errors import StartupError
from zmart_lite.store.engine import migrate

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


def test_the_schema_equals_all_migrations_applied() -> None:
    new, grown = connect(), connect()
    migrate.migrate(new)
    for migration in migrate.list_migrations():
        grown.executescript(migration.path.read_text(encoding="utf-8"))
    assert schema_of(new) == schema_of(grown)
    assert migrate.schema_version(new) == migrate.list_migrations()[-1].version


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
    "name", ["0000_zero.sql", "0099_gap.sql", "0001_again.sql", "2_short.sql", "x.sql", "0002.sql"]
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
