"""Which node or database a command means, and how it speaks with a node.

``--url`` decides; else the node that runs, wherever it wrote down that it does, or at the address of the settings; else
the database of the settings, if it is there. A command never makes one, and never speaks of another than it was asked
about: where two could be meant, it says so.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import click
import httpx

from zmart_lite.app.node import LOOPBACK_OF_ANY
from zmart_lite.cli import registration
from zmart_lite.cli.bars import Bars
from zmart_lite.cli.owner import as_owner_of
from zmart_lite.cli.registration import Registration
from zmart_lite.config import Config
from zmart_lite.errors import DatabaseInUse, StartupError
from zmart_lite.store.engine.connections import lock_database

T = TypeVar("T")

TIMEOUT_S = 15.0
PROBE_TIMEOUT_S = 3.0
STREAM_TIMEOUT_S = 45.0
"""Without a byte from a stream: the node sends a comment every 15 s."""
POLL_S = 0.25
SERVICE = "zmart-lite"
URL = click.option("--url", help="Address of the node that is meant (default: the one that runs here).")
SAME_HOST = {"localhost": "127.0.0.1", "::1": "127.0.0.1", **LOOPBACK_OF_ANY}
"""Names of this machine that a person may write for one another."""


class Found(NamedTuple):
    """A node that answers. ``known``: what it wrote down of itself, if that may be read here."""

    url: str
    known: Registration | None

    @property
    def key(self) -> str | None:
        return None if self.known is None else self.known.key


# Which one


def node_url(config: Config) -> str:
    """Where a node of this configuration listens. Raises StartupError if it chooses its port itself."""
    server = config.server
    if not server.port:
        raise StartupError("The node listens on a port of its own choice (server.port = 0); name it by --url.")
    host = LOOPBACK_OF_ANY.get(server.host, server.host)
    return f"http://[{host}]:{server.port}" if ":" in host else f"http://{host}:{server.port}"


def find_node(config: Config, url: str | None, *, changes: bool = False) -> Found | None:
    """The node that is meant; None if none runs. ``changes``: whether the command changes anything.

    Raises StartupError where the node that is meant does not answer, or more than one may be.
    """
    known = registration.list_registered(config.store.folder)
    if url is not None:
        return _named(checked_url(url), known)
    is_locked = database_is_locked(config)
    own = [each for each in known if _same_folder(each.store, config.store.folder)]
    if (found := _first_that_answers([each.url for each in own], known)) is not None:
        return found
    addresses = [node_url(config)] if config.server.port else []
    if (found := _first_that_answers(addresses, known)) is not None:
        _require_unmistakable(config, found, is_locked=is_locked, changes=changes)
        return found
    if is_locked:
        at = f" at {addresses[0]}" if addresses else ""
        raise StartupError(
            f"A process has the database {config.store.sqlite_path}, but no node answers{at}. It may be starting, or"
            " stand still: look into its log, or name its address by --url."
        )
    return None if has_database(config) else _only_one(known)


def require_database(config: Config) -> None:
    """Raises StartupError where there is no database to work on, with what may have been meant instead."""
    path = config.store.sqlite_path
    if config.store.is_postgres:
        raise StartupError("The database is PostgreSQL: this works through the node that runs on it.")
    if has_database(config):
        return
    if _hidden(path):
        raise StartupError(
            f"The database {path} may not be looked at by this user. Run the command as its owner:"
            f" sudo -u {_owner(path.parent) or 'OWNER'} zmart-lite …"
        )
    raise StartupError(
        f"There is no database {path} yet, and no node runs at the address of the settings. Start one (zmart-lite"
        " serve, zmart-lite dev), name it by --url, or name its settings by --config or ZMART_STORE_DIR."
    )


def has_database(config: Config) -> bool:
    return not config.store.is_postgres and os.path.lexists(config.store.sqlite_path)


def database_is_locked(config: Config) -> bool:
    """Whether somebody has the database of these settings. Nothing is made to find out."""
    if config.store.is_postgres or not os.path.lexists(f"{config.store.sqlite_path}.lock"):
        return False
    try:
        os.close(lock_database(config.store.sqlite_path))
    except DatabaseInUse:
        return True
    except StartupError:
        return False
    return False


def checked_url(url: str) -> str:
    """The address of a node as it is asked. Raises StartupError for what is none."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0:
            return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    except ValueError:
        pass
    raise StartupError("--url must be an address like http://127.0.0.1:4000.")


def _named(url: str, known: list[Registration]) -> Found:
    if (found := _first_that_answers([url], known)) is not None:
        return found
    raise StartupError(f"No node answers at {_shown(url)}.")


def _first_that_answers(urls: list[str], known: list[Registration]) -> Found | None:
    for url in urls:
        if answers(url):
            same = [each for each in known if _same_place(each.url, url)]
            # Of several at one address only the newest can be alive.
            return Found(url, next((each for each in reversed(same) if _alive(each.pid)), None))
    return None


def answers(url: str) -> bool:
    """Whether a node of this kind answers there, well or not."""
    try:
        health = httpx.get(f"{url}/health", timeout=PROBE_TIMEOUT_S).json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False
    return isinstance(health, dict) and health.get("service") == SERVICE


def _require_unmistakable(config: Config, found: Found, *, is_locked: bool, changes: bool) -> None:
    """A node answers at the address of the settings: is the database beside them another one?"""
    if is_locked or not has_database(config):
        return
    path = config.store.sqlite_path
    if changes:
        raise StartupError(
            f"Two could be meant: the node at {found.url}, and the database {path}, which that node does not use."
            f" Say --url {found.url}, or name the other one's settings by --config."
        )
    click.echo(f"Of the node at {found.url}; the database {path} is another one.", err=True)


def _only_one(known: list[Registration]) -> Found | None:
    """The only node that this user runs, wherever it is; None if there is none. Raises StartupError for several."""
    there = [each for each in known if _alive(each.pid) and answers(each.url)]
    if len(there) > 1:
        lines = "".join(f"\n  {each.url}  zmart-lite {each.command}, data in {each.store}" for each in there)
        raise StartupError(f"{len(there)} nodes run here; say which one is meant by --url:{lines}")
    if not there:
        return None
    click.echo(f"Of the node at {there[0].url}.", err=True)
    return Found(there[0].url, there[0])


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _same_folder(one: str, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _same_place(one: str, other: str) -> bool:
    return _place(one) == _place(other)


def _place(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    return SAME_HOST.get(parts.hostname or "", parts.hostname or ""), parts.port


def _shown(url: str) -> str:
    """Without a password in it."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _hidden(path: Path) -> bool:
    """Whether a folder on the way to the file keeps this user out."""
    return next((not os.access(each, os.X_OK) for each in path.absolute().parents if os.path.lexists(each)), False)


def _owner(folder: Path) -> str | None:
    try:
        return folder.owner()
    except (OSError, KeyError):
        return None


# Speaking with it


class NodeClient:
    """A running node: its public routes, and those of administrators, if its key may be read here. Close it."""

    def __init__(self, found: Found) -> None:
        self.url = found.url
        self.known = found.known
        self.has_key = found.key is not None
        headers = {"Authorization": f"Bearer {found.key}"} if found.key else {}
        self._client = httpx.Client(base_url=found.url, headers=headers, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._client.close()

    def get(self, path: str) -> Any:
        """One of the routes of administrators."""
        return self._call("GET", f"/api/admin/{path}")

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._call("POST", f"/api/admin/{path}", body or {})

    def ask(self, path: str) -> Any:
        """A public route."""
        return self._call("GET", path)

    def events(self, path: str) -> Iterator[tuple[str, Any]]:
        """Name and data of each event of one of the streams of administrators; ends with it, also where it breaks off,
        and at once where there is none.
        """
        name = ""
        try:
            with self._client.stream("GET", f"/api/admin/{path}", timeout=STREAM_TIMEOUT_S) as response:
                if response.status_code != httpx.codes.OK:
                    return
                for line in response.iter_lines():
                    field, _, value = line.partition(": ")
                    if field == "event":
                        name = value
                    elif field == "data":
                        yield name, json.loads(value)
        except (httpx.HTTPError, ValueError):
            return

    def _call(self, method: str, url: str, body: dict[str, Any] | None = None) -> Any:
        """Raises StartupError with the node's own words."""
        try:
            response = self._client.request(method, url, json=body)
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise StartupError(f"The node at {_shown(self.url)} does not answer: {type(error).__name__}.") from error
        if response.status_code == httpx.codes.UNAUTHORIZED and not self.has_key:
            raise StartupError(
                f"The node at {_shown(self.url)} takes this from its own user only, whose key may not be read here:"
                " run the command on its machine, as the user that the node runs as."
            )
        # A node that is unwell says so with 503 and all its figures.
        if response.is_error and not (isinstance(answer, dict) and answer.get("service") == SERVICE):
            said = answer.get("message") or answer.get("error") if isinstance(answer, dict) else response.status_code
            raise StartupError(f"The node refused: {said}")
        return answer


def by_node_or_database(
    config: Config,
    url: str | None,
    ask: Callable[[NodeClient], T],
    work: Callable[[], T],
    *,
    changes: bool = True,
    may_create: bool = False,
) -> T:
    """Have the node that runs do it, or, where none does, ``work`` on the database of the settings, as its owner.

    Raises StartupError where there is neither, unless the command may make a database.
    """
    found = find_node(config, url, changes=changes)
    if found is None:
        if not may_create:
            require_database(config)
        with as_owner_of(config.store.sqlite_path):
            return work()
    with NodeClient(found) as node:
        return ask(node)


def run_job_beside(node: NodeClient, job: str, body: dict[str, Any]) -> Any:
    """Have the node run a job, and wait for its end, showing how far it came; the run. Raises StartupError with the
    node's own words.
    """
    run_id, pause = node.post(f"jobs/{job}/run", body)["run_id"], threading.Event()
    click.echo("The running node does it.", err=True)
    with Bars() as bars:
        run = followed_run(node, job, run_id, bars)
        while run is None and (run := ended_run(node, job, run_id, bars)) is None:
            pause.wait(POLL_S)
    if run["result"] != "ok":
        raise StartupError(run["error"] or "The node was stopped meanwhile.")
    return run


def followed_run(node: NodeClient, job: str, run_id: int, bars: Bars) -> Any:
    """The run as it ended, its progress shown as the node tells it; None where the node streams none: it is of before,
    has no seat left, or its stream broke off.
    """
    for name, data in node.events(f"jobs/{job}/progress?run_id={run_id}"):
        if name == "progress":
            bars.show(data["phase"], data["done"], data["total"])
        elif name == "ended" and data is not None and data["finished_at"] is not None:
            return data
    return None


def ended_run(node: NodeClient, job: str, run_id: int, bars: Bars) -> Any:
    """The run, once it has ended; until then its progress is shown, and None."""
    answer = node.get(f"jobs/{job}/runs?limit=20")
    for view in answer["jobs"]:
        if view["progress"] is not None:
            bars.show(**view["progress"])
    return next((run for run in answer["runs"] if run["id"] == run_id and run["finished_at"] is not None), None)
