"""Commands beside a running node: one process owns the database, so whatever changes it goes through the admin API.

Whoever can read the node's key file may act as one of its administrators; that is how a command signs in.
"""

import threading
import time
from types import TracebackType
from typing import Any, Self

import click
import httpx
from solders.pubkey import Pubkey

from zmart_lite.api.identity.auth import Tokens, jwt_secret
from zmart_lite.app.node import LOOPBACK_OF_ANY
from zmart_lite.cli.bars import Bars
from zmart_lite.config import Config
from zmart_lite.errors import StartupError

TIMEOUT_S = 15.0
POLL_S = 0.25


def node_url(config: Config) -> str:
    """Where the node of this configuration listens. Raises StartupError if it chose its port itself."""
    server = config.server
    if not server.port:
        raise StartupError("The node listens on a port of its own choice (server.port = 0); name it by --url.")
    host = LOOPBACK_OF_ANY.get(server.host, server.host)
    return f"http://[{host}]:{server.port}" if ":" in host else f"http://{host}:{server.port}"


class NodeAdmin:
    """The admin API of a running node. Close it when done."""

    def __init__(self, config: Config, url: str | None = None) -> None:
        """Raises StartupError where no wallet is an administrator."""
        if not config.auth.admin_wallets:
            raise StartupError(
                "A node has the database, and its admin API takes orders from administrators only:"
                " stop the node first, or set auth.admin_wallets and start it again."
            )
        wallet = bytes(Pubkey.from_string(config.auth.admin_wallets[0]))
        token, _ = Tokens(jwt_secret(config), config.auth).issue(wallet, int(time.time()))
        self._client = httpx.Client(
            base_url=url or node_url(config), headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._client.close()

    def get(self, path: str) -> Any:
        return self._call("GET", path)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._call("POST", path, body or {})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Raises StartupError with the node's own words."""
        url = f"/api/admin/{path}"
        try:
            response = self._client.request(method, url, json=body)
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise StartupError(
                f"A process has the database, but no node answers at {self._client.base_url}: {type(error).__name__}."
            ) from error
        if response.is_error:
            raise StartupError(f"The node refused: {answer.get('message') or answer.get('error')}")
        return answer


def run_job_beside(config: Config, url: str | None, job: str, body: dict[str, Any]) -> Any:
    """Have the node run a job, and wait for its end, showing how far it came; the run. Raises StartupError with the
    node's own words.
    """
    with NodeAdmin(config, url) as node:
        run_id, pause = node.post(f"jobs/{job}/run", body)["run_id"], threading.Event()
        click.echo("The running node does it.")
        with Bars() as bars:
            while (run := ended_run(node, job, run_id, bars)) is None:
                pause.wait(POLL_S)
    if run["result"] != "ok":
        raise StartupError(run["error"] or "The node was stopped meanwhile.")
    return run


def ended_run(node: NodeAdmin, job: str, run_id: int, bars: Bars) -> Any:
    """The run, once it has ended; until then its progress is shown, and None."""
    answer = node.get(f"jobs/{job}/runs?limit=20")
    for view in answer["jobs"]:
        if view["progress"] is not None:
            bars.show(**view["progress"])
    return next((run for run in answer["runs"] if run["id"] == run_id and run["finished_at"] is not None), None)
