"""What is wrong with the database, as writing and reading met it."""

from pysqlite3 import dbapi2 as sqlite

STORAGE_FAILURES = frozenset(
    {
        sqlite.SQLITE_BUSY,
        sqlite.SQLITE_NOMEM,
        sqlite.SQLITE_READONLY,
        sqlite.SQLITE_INTERRUPT,
        sqlite.SQLITE_IOERR,
        sqlite.SQLITE_CORRUPT,
        sqlite.SQLITE_FULL,
        sqlite.SQLITE_CANTOPEN,
    }
)
"""Results that say something about the disk or the machine, not about the unit that met them first."""
PRIMARY_RESULT = 0xFF
DAMAGED = frozenset({sqlite.SQLITE_CORRUPT, sqlite.SQLITE_NOTADB})
"""Results that nothing but another copy of the database mends."""


def result_of(error: Exception) -> int:
    """The primary result code of SQLite's error; 0 where it has none."""
    return getattr(error, "sqlite_errorcode", 0) & PRIMARY_RESULT


def is_storage_failure(error: Exception) -> bool:
    return isinstance(error, sqlite.Error) and result_of(error) in STORAGE_FAILURES


class Faults:
    """``damaged`` stays until the database is opened again; the others until the next commit or reading succeeds."""

    def __init__(self) -> None:
        self.writing: str | None = None
        """Why the last commit failed."""
        self.reading: str | None = None
        """Why the last reading failed."""
        self.damaged: str | None = None
        """What SQLite said where it met a page that is not as it was written."""

    @property
    def now(self) -> str | None:
        """The worst of them; None while all is well."""
        return self.damaged or self.writing or self.reading

    def read_well(self) -> None:
        self.reading = None

    def read_failed(self, error: sqlite.DatabaseError) -> None:
        """A statement that is wrong is no fault of the database."""
        if result_of(error) in STORAGE_FAILURES | DAMAGED:
            self.reading = f"The database cannot be read: {error}"
        self._look_for_damage(error)

    def wrote(self, error: sqlite.Error | None) -> None:
        """A commit ended, with ``error`` or well."""
        self.writing = None if error is None else f"The database cannot be written: {error}"
        if error is not None:
            self._look_for_damage(error)

    def _look_for_damage(self, error: sqlite.Error) -> None:
        if result_of(error) in DAMAGED:
            self.damaged = f"The database is damaged: {error}. Restore a backup (zmart-lite db restore)."
