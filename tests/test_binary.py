"""What is handed to people works from an empty environment, without Python or this checkout in reach: the one file, and
the program's folder, which archive, package and image hold.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from zmart_lite import __version__

ROOT = Path(__file__).resolve().parent.parent
ONE_FILE = ROOT / "dist" / "zmart-lite"
FOLDER = ROOT / "build" / "program" / "zmart-lite"
BYTES_MAX = 50_000_000
SELFTEST_S = 240
NOBODY = "65534"

pytestmark = pytest.mark.external


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that another user may reach, with both forms of the program."""
    for built in (ONE_FILE, FOLDER / "zmart-lite"):
        if not built.exists():
            reason = f"{built.relative_to(ROOT)} is not built: make build"
            if os.environ.get("REQUIRE_EXTERNAL_TOOLS"):
                pytest.fail(reason)
            pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="zmart-binary-"))
    folder.chmod(0o755)
    shutil.copy(ONE_FILE, folder / "zmart-lite")
    shutil.copytree(FOLDER, folder / "installed", symlinks=True)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def home(place: Path) -> Iterator[Path]:
    """A fresh folder that everybody may write to."""
    folder = Path(tempfile.mkdtemp(dir=place))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def run(
    *command: str | Path, home: Path, before: tuple[str, ...] = (), **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, *map(str, command)],
        cwd=home,
        env={"HOME": str(home), "PATH": "/nonexistent", **environ},
        capture_output=True,
        text=True,
        timeout=SELFTEST_S,
        check=False,
    )


def with_mounts(script: str) -> tuple[str, ...]:
    """Runs what follows in a mount namespace of its own, after ``script``; skips where that is not allowed."""
    inside = ("/usr/bin/unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)))
    if subprocess.run([*inside, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no mounts: not even in a namespace")
    return (*inside, "/bin/sh", "-ec", f'PATH=/usr/bin:/bin; {script}; exec "$@"', "sh")


def as_nobody() -> tuple[str, ...]:
    return ("/usr/bin/setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups") if os.geteuid() == 0 else ()


def test_the_one_file_is_no_larger_than_agreed(place: Path) -> None:
    assert (place / "zmart-lite").stat().st_size <= BYTES_MAX


def test_the_version_is_told_without_unpacking(place: Path, home: Path) -> None:
    ended = run(place / "zmart-lite", "--version", home=home)
    assert (ended.returncode, ended.stdout) == (0, f"zmart-lite, version {__version__}\n")
    assert list(home.iterdir()) == []
    assert run(place / "installed" / "zmart-lite", "--version", home=home).stdout == ended.stdout


@pytest.mark.parametrize("form", ["zmart-lite", "installed/zmart-lite"])
def test_a_market_from_its_creation_to_a_claim(place: Path, home: Path, form: str) -> None:
    """Without an environment, as a user of no rights, with all but one folder read-only."""
    read_only = f"mount --bind {home} {home}; mount -o remount,bind,ro /; cd {home}"
    ended = run(place / form, "selftest", home=home, before=(*with_mounts(read_only), *as_nobody()), TMPDIR=str(home))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "everything agrees" in ended.stdout


def test_it_unpacks_once_and_the_next_version_takes_its_place(place: Path, home: Path) -> None:
    assert run(place / "zmart-lite", "config", "check", home=home).returncode == 0
    programs = home / ".cache" / "zmart-lite-program"
    (mine,) = programs.iterdir()
    assert mine.name.startswith(f"{__version__}-")
    made = mine.stat().st_ino
    killed = programs / "0.0.1-0123456789ab.unpacking.99999999"
    killed.mkdir()
    old = programs / "0.0.1-0123456789ab"
    old.mkdir()
    os.utime(old, (0, 0))
    assert run(place / "zmart-lite", "config", "check", home=home).returncode == 0
    assert mine.stat().st_ino == made
    assert not old.exists()


def test_beside_the_data_if_that_is_named(place: Path, home: Path) -> None:
    data = home / "data"
    assert run(place / "zmart-lite", "config", "check", home=home, ZMART_STORE_DIR=str(data)).returncode == 0
    assert not data.exists()
    data.mkdir()
    shutil.rmtree(home / ".cache")
    assert run(place / "zmart-lite", "config", "check", home=home, ZMART_STORE_DIR=str(data)).returncode == 0
    assert [each.name for each in data.iterdir()] == ["zmart-lite-program"]


@pytest.mark.parametrize(
    ("mount", "reason"),
    [
        ("mount -t tmpfs -o noexec none {home}/there", "lets no program run (noexec)"),
        ("mount -t tmpfs -o size=20m none {home}/there", "MB free of"),
        ("mount -t tmpfs -o ro none {home}/there", "cannot be written"),
    ],
)
def test_where_it_cannot_unpack_it_says_so_in_one_sentence(place: Path, home: Path, mount: str, reason: str) -> None:
    (home / "there").mkdir()
    inside = with_mounts(mount.format(home=home))
    ended = run(place / "zmart-lite", "config", "check", home=home, before=inside, ZMARTLITE_DIR=str(home / "there"))
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert len(ended.stderr.splitlines()) == 1
    assert reason in ended.stderr
    assert "ZMARTLITE_DIR=" in ended.stderr


def test_a_folder_for_temporary_files_of_no_use_does_not_matter(place: Path, home: Path) -> None:
    (home / "tmp").mkdir()
    inside = with_mounts(f"mount -t tmpfs -o noexec,ro none {home}/tmp")
    ended = run(place / "zmart-lite", "config", "check", home=home, before=inside, TMPDIR=str(home / "tmp"))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_damaged_file_says_so(place: Path, home: Path) -> None:
    damaged = home / "damaged"
    damaged.write_bytes((place / "zmart-lite").read_bytes()[:1_000_000])
    damaged.chmod(0o755)
    ended = run(damaged, "config", "check", home=home, ZMARTLITE_DIR=str(home))
    assert ended.returncode == 1
    assert "this file damaged?" in ended.stderr
    assert [each.name for each in home.iterdir()] == ["damaged"]


def page_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip().startswith("Page"):
            return line.split()[1]
    raise AssertionError("the node ended")


@contextmanager
def serving(place: Path, home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [str(place / "zmart-lite"), "serve"],
        cwd=home,
        env={
            "HOME": str(home),
            "PATH": "/nonexistent",
            "TMPDIR": str(home / "tmp"),
            "ZMART_SERVER_PORT": "0",
            "ZMART_SERVER_WS_PORT": "0",
            "ZMART_LOCALNET_PORT": "0",
            "ZMART_LOG_LEVEL": "ERROR",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process, page_of(process)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_its_page_outlives_its_files_and_a_kill_leaves_nothing(place: Path, home: Path) -> None:
    (home / "tmp").mkdir()
    with serving(place, home) as (process, url):
        (program,) = (home / ".cache" / "zmart-lite-program").iterdir()
        for folder in ("static", "swagger_ui", "zmart_lite"):
            for found in program.rglob(folder):
                shutil.rmtree(found, ignore_errors=True)
        for path in ("/", "/docs", "/static/zmart.js", "/docs/swagger-ui-bundle.js", "/openapi.json"):
            assert httpx.get(url + path).status_code == 200, path
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert list((home / "tmp").iterdir()) == []
    # Under .local stands where the node ran: the next command sees that it is gone.
    assert {each.name for each in home.iterdir()} == {".cache", ".local", "data", "tmp"}
