"""The folder of the built program is locked while it runs; versions that nobody uses go."""

import fcntl
import os
from pathlib import Path

import pytest

from zmart_lite.cli.program import KEPT_UNUSED_S, UNPACKED, hold, hold_folder

NOW_S = 1_700_000_000.0


def version(folder: Path, name: str, age_s: float) -> Path:
    made = folder / UNPACKED / name
    (made / "_internal").mkdir(parents=True)
    (made / "_internal" / "file").touch()
    os.utime(made, (NOW_S - age_s, NOW_S - age_s))
    return made


def test_a_checkout_holds_nothing() -> None:
    assert hold(NOW_S) is None


def test_a_program_that_runs_is_locked_against_cleaning(tmp_path: Path) -> None:
    mine = version(tmp_path, "2", 2 * KEPT_UNUSED_S)
    held = hold_folder(mine, NOW_S)
    assert held is not None
    other = os.open(mine, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(held)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    assert mine.stat().st_mtime == NOW_S


def test_only_versions_that_nobody_runs_or_used_lately_go(tmp_path: Path) -> None:
    mine, unused = version(tmp_path, "3", 0), version(tmp_path, "1", KEPT_UNUSED_S + 1)
    lately, running = version(tmp_path, "2", KEPT_UNUSED_S - 1), version(tmp_path, "0", 9 * KEPT_UNUSED_S)
    holder = os.open(running, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_SH)
    held = hold_folder(mine, NOW_S)
    assert held is not None
    assert [each.exists() for each in (mine, unused, lately, running)] == [True, False, True, True]
    os.close(held)
    os.close(holder)


def test_an_installation_removes_nothing_beside_it(tmp_path: Path) -> None:
    mine, other = tmp_path / "zmart-lite-2", tmp_path / "zmart-lite-1"
    for folder in (mine, other):
        folder.mkdir()
    os.utime(other, (0, 0))
    held = hold_folder(mine, NOW_S)
    assert held is not None
    os.close(held)
    assert other.exists()
