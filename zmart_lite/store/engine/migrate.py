"""Brings a database to the schema of this version.

A new database gets ``schema.sql`` whole; that of 0.1.0 was version 1. An older one gets the files of ``migrations/`` it
lacks, each in one transaction with the record of it. A test brings a database that 0.1.0 made up to date, and compares.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

from zmart_lite import resources
from zmart_lite.errors import StartupError

MIGRATION_NAME = re.compile(r"(\d{4})_\w+\.sql")
FIRST_VERSION = 1
"""Of a database made from schema.sql as it was in 0.1.0; the first migration leads from there to 2."""


class Migration(NamedTuple):
    version: int
    path: Path


def list_migrations() -> list[Migration]:
    """All migrations by the version they lead to. Raises StartupError for a gap or a malformed name: the installation
    is damaged.
    """
    folder = resources.find("store/engine/migrations")
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = MIGRATION_NAME.fullmatch(path.name)
        if match is None or int(match[1]) != FIRST_VERSION + len(found) + 1:
            raise StartupError(f"The migration {path.name} is out of order; install zmart-lite again.")
        found.append(Migration(int(match[1]), path))
    if not found:
        raise StartupError("The migrations are missing; install zmart-lite again.")
    return found


def schema_version(connection: Any) -> int:
    """0 for an empty database."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
        return 0
    row = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    if row is None or not row[0].isdecimal():
        raise StartupError("The database is not one of zmart-lite; set store.dir to an empty folder.")
    return int(row[0])


def migrate(connection: Any) -> None:
    """Create or upgrade the schema. Raises StartupError for a database of a newer version, which is left untouched."""
    migrations = list_migrations()
    latest = migrations[-1].version
    version = schema_version(connection)
    if version > latest:
        raise StartupError(
            f"The database has schema version {version}, this zmart-lite knows {latest}."
            " Start the newer version, or restore an older backup."
        )
    if version == 0:
        _apply(connection, resources.read_text("schema.sql"), latest)
    else:
        for migration in migrations[version - FIRST_VERSION :]:
            _apply(connection, migration.path.read_text(encoding="utf-8"), migration.version)
    connection.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('database_id', lower(hex(randomblob(16))))")
    connection.commit()


def database_id(connection: Any) -> str:
    """What tells this database from every other: clients notice by it that another one answers."""
    return str(connection.execute("SELECT value FROM meta WHERE key = 'database_id'").fetchone()[0])


def _apply(connection: Any, script: str, version: int) -> None:
    """One script and the record of its version, atomically."""
    record = f"INSERT OR REPLACE INTO meta (key, value) VALUES ('schema_version', '{version}');"
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\n{record}\nCOMMIT;")
    except Exception:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
