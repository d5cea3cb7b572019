#!/usr/bin/env bash
# A time limit for readings that never stops any of them keeps their transaction open for ever.
#
# What one would expect: sqlite3_progress_handler(db, N, f) asks f about every N steps of a statement, so a ROLLBACK,
# which takes a handful of steps, is never asked about; and a reading that takes 6 ms of the application's own time and
# next to no steps of SQLite's is not stopped by a limit of 5 ms either.
# What happens: a statement that the binding keeps prepared goes on counting where its last run ended. With 3 steps for each
# ROLLBACK and N = 1000, every 333rd ROLLBACK asks f, is told that the time is over, and fails with SQLITE_INTERRUPT.
# The connection stays in its read transaction. In WAL mode no checkpoint passes that snapshot from then on: the log grows
# without end, although every statement of every reading went well.
#
# pysqlite3 0.6.1 with the SQLite it bundles. Output seen on Linux x86_64, CPython 3.11:
#   SQLite 3.53.4: rollback 333 of 400 was interrupted
#   the connection is still in a transaction: True
#   frames in the log 1002, written back 0
#   with the handler removed before each ROLLBACK: interrupted 0 of 400
# Exit code 1 if a release behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check pysqlite3==0.6.1
cd "$folder"
env/bin/python - <<'PY'
import sys

from pysqlite3 import dbapi2 as sqlite

STEPS, READINGS = 1_000, 400


def reader():
    connection = sqlite.connect("data.db", isolation_level=None)
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM rows").fetchone()
    connection.execute("ROLLBACK")
    return connection


def readings(connection, remove_first):
    """The number of the reading whose ROLLBACK was interrupted, 0 if none was."""
    for number in range(1, READINGS + 1):
        # Each reading is in time while it runs, and over its time by the moment it ends.
        is_over = [False]
        connection.set_progress_handler(lambda over=is_over: over[0], STEPS)
        connection.execute("BEGIN")
        is_over[0] = True
        if remove_first:
            connection.set_progress_handler(None, 0)
        try:
            connection.execute("ROLLBACK")
        except sqlite.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            return number
    return 0


writer = sqlite.connect("data.db", isolation_level=None)
writer.execute("PRAGMA journal_mode = WAL")
writer.execute("PRAGMA wal_autocheckpoint = 0")
writer.execute("CREATE TABLE rows (content BLOB)")
writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

limited = reader()
stopped = readings(limited, remove_first=False)
print(f"SQLite {sqlite.sqlite_version}: rollback {stopped} of {READINGS} was interrupted")
print(f"the connection is still in a transaction: {limited.in_transaction}")
limited.set_progress_handler(None, 0)
limited.execute("SELECT count(*) FROM rows").fetchone()  # its snapshot is that of this moment
for _ in range(500):
    writer.execute("INSERT INTO rows VALUES (randomblob(4000))")
_, frames, back = writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
print(f"frames in the log {frames}, written back {back}")
clean = readings(reader(), remove_first=True)
print(f"with the handler removed before each ROLLBACK: interrupted {clean} of {READINGS}")
sys.exit(0 if stopped and limited.in_transaction and back < frames and not clean else 1)
PY
