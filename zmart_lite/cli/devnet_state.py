"""``chain export`` and ``chain import``: what stands on a devnet as one JSON file, and put onto another.

The file holds every account and the chain's time, not the history: ``{"version", "programId", "unixTimestamp",
"accounts": [{"address", "lamports", "owner", "data" (base64), "executable"}]}``.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import httpx
import msgspec

from zmart_lite.cli.beside import checked_url
from zmart_lite.cli.devnet import call, devnet_url
from zmart_lite.config import Config
from zmart_lite.errors import RpcRefused, RpcUnavailable, StartupError

Load = Callable[[Path | None], Config]

VERSION = 1
REQUEST_BYTES_MAX = 40 * 1024
"""Below what the devnet takes in one body."""
TIMEOUT_S = 60


class Account(msgspec.Struct, forbid_unknown_fields=True):
    """One account of a file; ``data`` is base64."""

    address: str
    lamports: int
    owner: str
    data: str
    executable: bool


class State(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What ``localnet_exportState`` answers."""

    version: int
    program_id: str
    unix_timestamp: int
    accounts: list[Account]


def add_commands(main: click.Group, load: Load) -> None:
    """Put the commands into the command line; ``load`` reads the configuration."""
    url_option = click.option("--url", help="RPC address of the devnet (default: that of the configuration).")

    def address(config_path: Path | None, url: str | None) -> str:
        return checked_url(url) if url else devnet_url(load(config_path))

    @main.group()
    def chain() -> None:
        """What stands on the devnet, in a file and back."""

    @chain.command("export")
    @click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
    @url_option
    @click.pass_obj
    def export_command(config_path: Path | None, path: Path, url: str | None) -> None:
        """Write every account of the devnet and its time to a file."""
        state = export_state(address(config_path, url))
        try:
            path.write_bytes(msgspec.json.format(msgspec.json.encode(state)))
        except OSError as error:
            raise StartupError(f"The file {path} cannot be written: {error.strerror}.") from error
        click.echo(f"{len(state.accounts)} accounts written to {path}")

    @chain.command("import")
    @click.argument("path", type=click.Path(path_type=Path, dir_okay=False, exists=True))
    @url_option
    @click.pass_obj
    def import_command(config_path: Path | None, path: Path, url: str | None) -> None:
        """Put the accounts of a file onto the devnet, and move its clock to theirs if that lies ahead."""
        written, removed = import_state(address(config_path, url), read_state(path))
        click.echo(f"{written} accounts written, {removed} of the program removed that the file does not have")


def export_state(url: str) -> State:
    return msgspec.convert(call(url, "localnet_exportState", []), State)


def read_state(path: Path) -> State:
    """Raises StartupError where the file is not one that ``chain export`` wrote."""
    try:
        state = msgspec.json.decode(path.read_bytes(), type=State)
    except OSError as error:
        raise StartupError(f"The file {path} cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StartupError(f"{path} is no state of a devnet: {error}") from None
    if state.version != VERSION:
        raise StartupError(f"{path} is of version {state.version}; this program reads version {VERSION}.")
    return state


def import_state(url: str, state: State) -> tuple[int, int]:
    """How many accounts were written and removed. If anything is refused, the devnet is put back as it was.

    Raises StartupError where the file is of another program or holds an account that does not fit into a request.
    """
    known = export_state(url)
    if known.program_id != state.program_id:
        raise StartupError(f"The file is of program {state.program_id}, the devnet has {known.program_id}.")
    kept = {account.address for account in state.accounts}
    gone = [each.address for each in known.accounts if each.owner == state.program_id and each.address not in kept]
    writes: list[list[Any]] = [[each, None] for each in gone]
    writes += [[each.address, _fields(each)] for each in state.accounts]
    batches = list(_batches(writes))
    before = call(url, "localnet_snapshot", [])
    try:
        for batch in batches:
            _send(url, batch)
        ahead = state.unix_timestamp - known.unix_timestamp
        call(url, "localnet_warp", [{"seconds": max(ahead, 0)}])
    except (RpcRefused, RpcUnavailable):
        call(url, "localnet_revert", [before])
        raise
    return len(state.accounts), len(gone)


def _fields(account: Account) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(account).items() if name != "address"}


def _batches(writes: list[list[Any]]) -> Iterator[list[list[Any]]]:
    batch: list[list[Any]] = []
    size = 0
    for each in writes:
        bytes_ = len(msgspec.json.encode(each)) + 100
        if bytes_ > REQUEST_BYTES_MAX:
            raise StartupError(f"The account {each[0]} is too large to be written ({bytes_} bytes).")
        if size + bytes_ > REQUEST_BYTES_MAX:
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += bytes_
    if batch:
        yield batch


def _send(url: str, batch: list[list[Any]]) -> None:
    """Raises RpcRefused with the first refusal, RpcUnavailable where no devnet answers."""
    body = [
        {"jsonrpc": "2.0", "id": number, "method": "localnet_setAccount", "params": each}
        for number, each in enumerate(batch)
    ]
    try:
        answers = httpx.post(url, json=body, timeout=TIMEOUT_S).json()
    except (httpx.HTTPError, ValueError) as error:
        raise RpcUnavailable(f"No devnet answers at {url}.") from error
    for answer in answers if isinstance(answers, list) else [answers]:
        if "error" in answer:
            raise RpcRefused(str(answer["error"].get("message")), answer["error"].get("code"))
