"""Files of the node are its user's alone, whoever runs a command; root leaves nothing that the node could not write."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.process import command, node, run, write_config

NOBODY = 65_534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run things as another user")


def modes(folder: Path) -> dict[str, str]:
    found = {str(path.relative_to(folder.parent)): path for path in (folder, *folder.rglob("*"))}
    return {name: oct(stat.S_IMODE(path.stat().st_mode)) for name, path in found.items()}


def test_what_a_node_makes_is_for_its_user_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        config = write_config(tmp_path)
        with node(config) as process:
            made = run("--config", str(config), "db", "backup", cwd=tmp_path)
            assert made.returncode == 0, made.stderr
            found = modes(tmp_path / "data")
            assert process.stop() == 0
    finally:
        os.umask(before)
    folders = {name for name in found if (tmp_path / name).is_dir()}
    assert {"data/zmart.db", "data/jobs.db", "data/devnet.ledger", "data/node.json", "data/jwt.secret"} <= set(found)
    assert {found[name] for name in folders} == {"0o700"}
    assert {mode for name, mode in found.items() if name not in folders} == {"0o600"}
    assert not (tmp_path / "data" / "node.json").exists(), "it says where a node runs, and none does any more"


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of a user who is not root; pytest's own lie where only root comes."""
    folder = Path(tempfile.mkdtemp(prefix="zmart-lite-owner-"))
    folder.chmod(0o755)
    os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def as_nobody(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    setpriv = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    call, env = [*setpriv, *command(*words)], clean | environ
    return subprocess.run(call, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


@AS_ROOT
def test_after_roots_commands_the_node_still_starts_as_its_user(home: Path) -> None:
    config = write_config(home)
    config.chmod(0o644)
    at = ("--config", str(config))
    begun = as_nobody(home, *at, "backfill", "--from-slot", "0")
    assert begun.returncode == 0, begun.stderr
    kept = Path(as_nobody(home, *at, "db", "backup").stdout.strip())
    hidden = Path(tempfile.mkdtemp()) / kept.name
    hidden.write_bytes(kept.read_bytes())
    (home / "data" / "zmart.db.lock").unlink()
    for words in (
        ("db", "restore", str(hidden), "--yes"),
        ("db", "backup"),
        ("job", "run", "prune"),
        ("reconcile",),
    ):
        ended = run(*at, *words, cwd=home)
        assert ended.returncode == 0, (words, ended.stderr)
    paths = [home / "data", *(home / "data").rglob("*")]
    assert {path.stat().st_uid for path in paths} == {NOBODY}, paths
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}
    again = as_nobody(home, *at, "job", "run", "prune")
    assert again.returncode == 0, again.stderr


@AS_ROOT
def test_who_may_not_read_is_told_so(home: Path, tmp_path: Path) -> None:
    locked = home / "locked"
    locked.mkdir(mode=0o700)
    key = locked / "backend-key"
    key.write_text("[]")
    ended = as_nobody(home, "doctor", BACKEND_KEYPAIR_PATH=str(key))
    assert f"cannot read the keypair file {key} (Permission denied)" in ended.stdout
    for words in (("job", "list"), ("db", "check")):
        ended = as_nobody(home, *words, ZMART_STORE_DIR=str(locked), ZMART_SERVER_PORT="9")
        assert ended.returncode == 1
        assert "may not be looked at by this user" in ended.stderr, ended.stderr
