"""A process that copies or restores a database and is killed before the n-th time it touches the names of files."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from zmart_lite.store import backup
from zmart_lite.store.restore import restore

NAME_CHANGES = frozenset({"os.rename", "os.link", "os.remove"})
OPENINGS = NAME_CHANGES | {"open"}
NOW_MS = 1_800_000_000_000


def killed_at(step: int, action: str, database: Path, target: Path) -> bool:
    """Run it, kill -9 before its step; False if it came to its end before that."""
    command = [sys.executable, "-m", "tests.store.copies", action, str(database), str(target), str(step)]
    code = subprocess.run(command, check=False).returncode
    assert code in (0, -signal.SIGKILL)
    return code != 0


def _kill_before(step: int, folder: str) -> None:
    left = step

    def hook(event: str, args: tuple[Any, ...]) -> None:
        nonlocal left
        if event in OPENINGS and str(args[0]).startswith(folder):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(hook)


def main() -> None:
    action, database, target, step = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    _kill_before(step, str(database.parent))
    if action == "backup":
        backup.make_backup(database, target, NOW_MS, threading.Event())
    else:
        restore(database, target, NOW_MS, threading.Event())


if __name__ == "__main__":
    main()
