"""Where the nodes of this machine run: each writes it down while it does, with the key that commands beside it show.

The file lies beside the data, in the folder that systemd makes for a service (``RuntimeDirectory=``), and in one of the
user's own, where commands that know nothing of the node's settings find it. Only the node's user may read it. What a
killed node leaves behind counts for nothing: a node is there if it answers.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

FILE = "node.json"
SERVICE_FOLDER = Path("/run/zmart-lite")
"""The unit's ``RuntimeDirectory=``."""
FILE_BYTES_MAX = 16_384
NODES_MAX = 64
"""Files of one user's folder that are looked at."""


class Registration(msgspec.Struct, frozen=True):
    """A node that runs, or ran. ``store`` and ``backups``: the folders of its data; ``rpc_url``: its devnet's."""

    url: str
    key: str
    pid: int
    command: str
    store: str
    backups: str = ""
    rpc_url: str | None = None
    log_dir: str | None = None


@contextmanager
def registered(node: Registration) -> Iterator[None]:
    """Write down where a node runs, for the time of the block. Folders that cannot be written are passed by."""
    written = [path for path in _places(node) if _write(path, node)]
    try:
        yield
    finally:
        for path in written:
            if (found := read(path)) is not None and found.key == node.key:
                with contextlib.suppress(OSError):
                    path.unlink()


def list_registered(store: Path) -> list[Registration]:
    """Everything that is written down and may be read here: beside the data in ``store`` first."""
    mine = sorted(_user_folder().glob("*.json"), key=lambda path: path.name)[:NODES_MAX]
    found = [read(path) for path in (store / FILE, SERVICE_FOLDER / FILE, *mine)]
    return list({each.key: each for each in found if each is not None}.values())


def read(path: Path) -> Registration | None:
    """None for a file that is not there, may not be read, is damaged, or belongs to a stranger."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode) or (about.st_uid != os.geteuid() and os.geteuid() != 0):
                return None
            return msgspec.json.decode(file.read(FILE_BYTES_MAX), type=Registration)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _places(node: Registration) -> list[Path]:
    # systemd separates several by colons; the first is ours.
    service = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    beside = [Path(node.store) / FILE] + ([Path(service) / FILE] if service else [])
    folder = _user_folder()
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return [*beside, folder / f"{node.pid}.json"]


def _user_folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime:
        return Path(runtime) / "zmart-lite"
    state = os.environ.get("XDG_STATE_HOME", "")
    try:
        return (Path(state) if state else Path.home() / ".local" / "state") / "zmart-lite" / "nodes"
    except RuntimeError:  # a user without a home
        return Path("/nonexistent")


def _write(path: Path, node: Registration) -> bool:
    """Whole or not at all, for the eyes of this user only."""
    draft = path.with_name(f"{path.name}.{node.pid}.new")
    try:
        if path.parent.stat().st_uid != os.geteuid():
            return False
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
            file.write(msgspec.json.encode(node))
        draft.replace(path)
    except OSError:
        return False
    return True
