"""Commands for the embedded devnet: run it alone, and drive one that runs in another terminal."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import httpx
from solders.pubkey import Pubkey

from zmart_lite.cli import serving
from zmart_lite.cli.beside import checked_url, find_node
from zmart_lite.cli.values import DURATION, LAMPORTS, moment_s, sol_text
from zmart_lite.config import Config
from zmart_lite.errors import RpcRefused, RpcUnavailable, StartupError, ZmartError

TIMEOUT_S = 10
NEXT_TRANSITION = "next-transition"

Load = Callable[[Path | None], Config]


def call(url: str, method: str, params: list[Any]) -> Any:
    """One JSON-RPC call of a devnet. Raises RpcUnavailable, RpcRefused."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    try:
        answer = httpx.post(url, json=body, timeout=TIMEOUT_S).json()
    except (httpx.HTTPError, ValueError) as error:
        raise RpcUnavailable(f"No devnet answers at {url}. Start one with: zmart-lite dev") from error
    if "error" in answer:
        raise RpcRefused(str(answer["error"].get("message")), answer["error"].get("code"))
    return answer["result"]


def devnet_url(config: Config) -> str:
    """The devnet of the settings, if it answers; else that of the node that runs here."""
    url = config.rpc_url.reveal()
    if not config.localnet.port or not _is_devnet(url):
        found = find_node(config, None)
        if found is not None and found.known is not None and found.known.rpc_url is not None:
            return found.known.rpc_url
    return url


def _is_devnet(url: str) -> bool:
    try:
        call(url, "getHealth", [])
    except ZmartError:
        return False
    return True


def _time(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def add_commands(main: click.Group, load: Load) -> None:
    """Put the devnet's commands into the command line; ``load`` reads the configuration."""
    url_option = click.option("--url", help="RPC address of the devnet (default: that of the configuration).")

    def address(config_path: Path | None, url: str | None) -> str:
        config = load(config_path)
        if url is None and not config.embedded_devnet:
            raise StartupError(
                'This works on the embedded devnet only (chain.cluster = "localnet"); or name one by --url.'
            )
        return checked_url(url) if url else devnet_url(config)

    @main.command()
    @click.pass_obj
    def localnet(config_path: Path | None) -> None:
        """Run the embedded devnet alone: Solana RPC on 8899, pubsub on 8900, ten funded wallets."""
        asyncio.run(serving.run_localnet(load(config_path)))

    @main.command()
    @click.argument("duration", type=DURATION, required=False)
    @click.option("--to", "target", help=f"A unix time, an ISO time (UTC without a zone), or {NEXT_TRANSITION}.")
    @url_option
    @click.pass_obj
    def warp(config_path: Path | None, duration: int | None, target: str | None, url: str | None) -> None:
        """Move the devnet's clock forward: `warp 48h`, `warp --to next-transition`."""
        if (duration is None) == (target is None):
            raise click.UsageError("Say how far (48h) or where to (--to), one of the two.")
        where = address(config_path, url)
        wanted = _target(where, str(target)) if duration is None else {"seconds": duration}
        if wanted is None:
            click.echo("No market waits for time to pass.")
            return
        now = call(where, "localnet_warp", [wanted])
        click.echo(f"The devnet's clock shows {_time(now['unixTimestamp'])}, slot {now['slot']}.")

    @main.command()
    @click.argument("wallet")
    @click.argument("sol", type=LAMPORTS, default="10")
    @url_option
    @click.pass_obj
    def airdrop(config_path: Path | None, wallet: str, sol: int, url: str | None) -> None:
        """Give a wallet SOL on the devnet (10 unless said otherwise)."""
        try:
            Pubkey.from_string(wallet)
        except ValueError as error:
            raise click.BadParameter(f"{wallet!r} is not a wallet address") from error
        signature = call(address(config_path, url), "requestAirdrop", [wallet, sol])
        click.echo(f"{wallet} got {sol_text(sol)} SOL: {signature}")

    @main.command()
    @url_option
    @click.pass_obj
    def snapshot(config_path: Path | None, url: str | None) -> None:
        """Remember the devnet's state; prints the number that `revert` takes."""
        click.echo(str(call(address(config_path, url), "localnet_snapshot", [])))

    @main.command()
    @click.argument("snapshot_id", type=click.IntRange(min=1))
    @url_option
    @click.pass_obj
    def revert(config_path: Path | None, snapshot_id: int, url: str | None) -> None:
        """Put the devnet back to a snapshot; the node then forgets what never happened."""
        now = call(address(config_path, url), "localnet_revert", [snapshot_id])
        click.echo(f"The devnet is back at slot {now['slot']}, {_time(now['unixTimestamp'])}.")


def _target(url: str, text: str) -> dict[str, int] | None:
    """What ``--to`` means; None where no market waits."""
    if text == NEXT_TRANSITION:
        found = call(url, "localnet_nextTransition", [])
        # A minute more: the node's monitor leaves the program that much slack.
        return None if found is None else {"seconds": found["secondsAhead"] + serving.TRANSITION_SLACK_S}
    return {"to": moment_s(text)}
