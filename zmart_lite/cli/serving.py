"""Runs the node, and the embedded devnet beside it, until a signal comes."""

import asyncio
import gc
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import uvloop
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from zmart_lite import __version__
from zmart_lite.app import Node
from zmart_lite.cli.registration import Registration, registered
from zmart_lite.config import Config, Secret, cautions, hidden_texts
from zmart_lite.errors import StartupError
from zmart_lite.jobs import Keys, Summary
from zmart_lite.localnet import Localnet, LocalnetOptions  # noqa: TID251 - the one place that starts it
from zmart_lite.localnet.releases import RELEASES  # noqa: TID251 - likewise
from zmart_lite.logs import configured
from zmart_lite.store.engine.connections import lock_database

logger = logging.getLogger(__name__)

TRANSITION_SLACK_S = 61
COLLECTED_AFTER = 150_000
"""Objects made, and not gone by themselves, before Python looks for cycles among them: two batches of the indexer make
about as many, and each look goes through all of a batch. Its own is 700."""


class Running(NamedTuple):
    """A node that serves, and the devnet it runs on, if that is embedded."""

    node: Node
    localnet: Localnet | None


def run(main: Callable[[], Awaitable[int]]) -> int:
    """Run a coroutine on uvloop and return its exit code."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_as_coroutine(main))


async def _as_coroutine(main: Callable[[], Awaitable[int]]) -> int:
    return await main()


def serve(config: Config) -> None:
    run(lambda: _serve(config))


async def _serve(config: Config) -> int:
    with configured(config.log, hidden=hidden_texts(config)):
        for caution in cautions(config):
            logger.warning(caution)
        stop = stop_event()
        async with running(config, ledger_path=ledger_of(config)) as started:
            relax_collector()
            print_banner(started)
            await stop.wait()
            logger.info("stopping")
    return 0


def relax_collector() -> None:
    """Have Python look for unreachable cycles less often, and never in what has been made by now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER, *gc.get_threshold()[1:])


def stop_event() -> asyncio.Event:
    """Set by SIGTERM or SIGINT, from now on."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


@asynccontextmanager
async def running(
    config: Config,
    *,
    ledger_path: Path | None = None,
    genesis_time: int | None = None,
    devnet_admin: bool = False,
) -> AsyncIterator[Running]:
    """A node that serves, stopped in order at the end. Raises StartupError with what to do.

    ``devnet_admin`` makes the devnet's admin the node's admin, too. Its key is public: only for nodes that keep
    nothing.
    """
    async with prepared(config, ledger_path, genesis_time, devnet_admin=devnet_admin) as (node, localnet):
        await node.start()
        try:
            with registered(_registration(node, localnet)):
                yield Running(node, localnet)
        finally:
            await node.stop()


def _registration(node: Node, localnet: Localnet | None) -> Registration:
    context = click.get_current_context(silent=True)
    return Registration(
        url=node.url,
        key=node.operator_key,
        pid=os.getpid(),
        command="serve" if context is None else context.info_name or "serve",
        store=str(node.config.store.folder.absolute()),
        backups=str(node.config.backup_folder.absolute()),
        rpc_url=None if localnet is None else localnet.rpc_url,
        log_dir=str(Path(node.config.log.dir).expanduser().absolute()) if node.config.log.dir else None,
    )


@asynccontextmanager
async def prepared(
    config: Config,
    ledger_path: Path | None,
    genesis_time: int | None = None,
    *,
    devnet_admin: bool = False,
    keys: Keys | None = None,
) -> AsyncIterator[Running]:
    """A node that has not started, on a devnet that has, if the configuration embeds one. ``keys``: the configured
    ones, where they have been read.
    """
    keys = Keys.configured(config) if keys is None else keys
    if not config.embedded_devnet:
        yield Running(Node(config, keys), None)
        return
    # Beside a node the webhooks are the node's own, so that their key is known to nobody unless it is configured.
    webhook_key = config.helius.api_key.reveal() or secrets.token_urlsafe(32)
    localnet = Localnet(_localnet_options(config, ledger_path, genesis_time, webhook_key))
    await localnet.start()
    try:
        yield Running(Node(*_on_devnet(config, localnet, keys, devnet_admin)), localnet)
    finally:
        await localnet.stop()


def ledger_of(config: Config) -> Path | None:
    """Where the embedded devnet keeps its chain; None if it is to forget it."""
    return config.store.ledger_path if config.localnet.persist else None


async def run_job(config: Config, keys: Keys, name: str, params: Mapping[str, Any]) -> Summary:
    """Run a job in this process, as long as no node has the database.

    Raises DatabaseInUse if one does, StartupError, and what the job raises.
    """
    # The devnet's ledger belongs to whoever has the database.
    os.close(lock_database(config.store.sqlite_path))
    with configured(config.log, hidden=hidden_texts(config)):
        async with prepared(unseen(config), existing_ledger(config), keys=keys) as (node, _):
            return await node.run_job(name, params)


def unseen(config: Config) -> Config:
    """For a command that needs the embedded devnet for itself: any free port does, and nobody else's is in the way."""
    return replace(config, localnet=replace(config.localnet, host="127.0.0.1", port=0))


def existing_ledger(config: Config) -> Path | None:
    """The embedded devnet's chain for a command that must not begin a new one. Raises StartupError."""
    path = ledger_of(config)
    if path is not None and config.embedded_devnet and not os.path.lexists(path):
        raise StartupError(f"The embedded devnet's chain {path} is not there. Put it back, or start the node anew.")
    return path


def _localnet_options(
    config: Config, ledger_path: Path | None, genesis_time: int | None, webhook_key: str | None
) -> LocalnetOptions:
    if ledger_path is not None:
        ledger_path.parent.mkdir(parents=True, exist_ok=True)
    return LocalnetOptions(
        program_id=bytes(Pubkey.from_string(config.chain.program_id)),
        host=config.localnet.host,
        rpc_port=config.localnet.port,
        slot_ms=config.localnet.slot_ms,
        strict=config.localnet.strict,
        release=RELEASES[config.localnet.api],
        ledger_path=ledger_path,
        genesis_time=genesis_time,
        hosts=config.localnet.hosts,
        origins=config.localnet.origins,
        webhook_key=webhook_key,
    )


def _on_devnet(config: Config, localnet: Localnet, configured_: Keys, devnet_admin: bool) -> tuple[Config, Keys]:
    """The configuration joined with the devnet's addresses, and its keys where none are configured."""
    keys = Keys(configured_.backend or localnet.backend, configured_.admin or localnet.admin)
    helius = replace(
        config.helius,
        api_url=localnet.rpc_url,
        api_key=Secret(localnet.options.webhook_key or ""),
        # Deliveries come from this very process: the secret is made anew at every start and known to nobody else.
        webhook_secret=config.helius.webhook_secret or Secret(secrets.token_urlsafe(32)),
    )
    chain = replace(config.chain, rpc_url=Secret(localnet.rpc_url))
    wallets = (*config.auth.admin_wallets, str(localnet.admin.pubkey())) if devnet_admin else config.auth.admin_wallets
    return replace(config, chain=chain, helius=helius, auth=replace(config.auth, admin_wallets=wallets)), keys


async def run_localnet(config: Config) -> None:
    """The devnet alone, until a signal comes."""
    with configured(config.log, hidden=hidden_texts(config)):
        stop = stop_event()
        localnet = Localnet(_localnet_options(config, ledger_of(config), None, config.helius.api_key.reveal() or None))
        await localnet.start()
        try:
            click.secho("ZMART devnet", bold=True)
            print_devnet(localnet)
            await stop.wait()
        finally:
            await localnet.stop()


# What a stranger sees


def print_banner(started: Running) -> None:
    """Where everything is, and three calls to try."""
    node, url = started.node, started.node.url
    click.echo()
    click.secho(f"zmart-lite {__version__}", bold=True, nl=False)
    click.echo(f"  on {node.config.chain.cluster}, program {node.config.chain.program_id}")
    click.echo()
    for name, where in (("Page", url), ("API", f"{url}/api/markets"), ("Docs", f"{url}/docs")):
        click.echo(f"  {name:<9}{click.style(where, fg='cyan')}")
    if started.localnet is not None:
        print_devnet(started.localnet)
    click.echo("\nTry:")
    for line in (
        f"  curl {url}/api/markets",
        f"  curl -N '{url}/api/stream?channels=public'",
        f"  curl {url}/health",
    ):
        click.echo(line)
    click.echo("\nStop with Ctrl-C.")


def print_devnet(localnet: Localnet) -> None:
    click.echo(f"  {'RPC':<9}{click.style(localnet.rpc_url, fg='cyan')}   pubsub {localnet.ws_url}")
    click.echo(f"  {'Program':<9}{Pubkey(localnet.options.program_id)}")
    click.echo("\nWallets, 1000 SOL each. Their keys are public: never use them on a real cluster.")
    for number, wallet in enumerate(localnet.wallets):
        click.echo(f"  {number}  {wallet.pubkey()}  {_secret_text(wallet)}")
    click.echo(f"  admin {localnet.admin.pubkey()}  backend {localnet.backend.pubkey()}")


def _secret_text(wallet: Keypair) -> str:
    return click.style(str(wallet), dim=True)
