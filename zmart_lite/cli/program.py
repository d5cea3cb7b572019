"""The folder that the built program runs from: held while it runs, and rid of versions that nobody uses any more."""

import fcntl
import os
import shutil
import sys
from pathlib import Path

UNPACKED = "zmart-lite-program"
"""The folder into which the one-file form unpacks each version (``release/launcher.sh``)."""
KEPT_UNUSED_S = 86_400
"""A version that was used this lately is about to be used again, or is starting just now."""


def hold(now_s: float) -> int | None:
    """Lock the program's folder for as long as this process lives, and remove other versions' folders beside it.

    The lock is what systemd-tmpfiles asks for before it takes away what is old. The descriptor that holds it; None
    where the program is no built one, or its folder cannot be locked, which costs only the protection.
    """
    if not getattr(sys, "frozen", False):
        return None
    return hold_folder(Path(sys.executable).resolve().parent, now_s)


def hold_folder(folder: Path, now_s: float) -> int | None:
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if folder.parent.name == UNPACKED:
            os.utime(folder, (now_s, now_s))
            _remove_unused(folder, now_s)
    except OSError:
        return None
    return held


def _remove_unused(folder: Path, now_s: float) -> None:
    for other in folder.parent.iterdir():
        if other != folder and other.is_dir() and now_s - other.stat().st_mtime > KEPT_UNUSED_S:
            held = os.open(other, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(other, ignore_errors=True)
            except BlockingIOError:
                continue
            finally:
                os.close(held)
