"""A process that copies or restores a database and is killed before its n-th step."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from zmart_lite.store.engine import backup
from zmart_lite.store.engine.restore import restore

STEPS = frozenset({"os.rename", "os.link", "os.remove", "open"})
NOW_MS = 1_800_000_000_000


def killed_at(step: int, action: str, database: Path, target: Path) -> bool:
    """Run it, kill -9 before its step; False if it came to its end before that."""
    command = [sys.executable, "-m", "tests.store.copies", action, str(database), str(target), str(step)]
    code = subprocess.run(command, check=False).returncode
    assert code in (0, -signal.SIGKILL)
    return code != 0


class _Fate(threading.Event):
    """Kills the process before its n-th step: a step is a look at whether to stop, or a change of a file's name."""

    def __init__(self, step: int, folder: str) -> None:
        super().__init__()
        self._left = step
        self._folder = folder
        sys.addaudithook(self._audited)

    def is_set(self) -> bool:
        self._step()
        return False

    def _audited(self, event: str, args: tuple[Any, ...]) -> None:
        if event in STEPS and str(args[0]).startswith(self._folder):
            self._step()

    def _step(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


def main() -> None:
    action, database, target, step = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    stop = _Fate(step, str(database.parent))
    if action == "backup":
        backup.make_backup(database, target, NOW_MS, stop)
    else:
        restore(database, target, NOW_MS, stop)


if __name__ == "__main__":
    main()
