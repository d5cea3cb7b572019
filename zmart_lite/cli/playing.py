"""``dev``, ``demo`` and ``selftest``: a node on a fresh devnet, and what is played on it."""

import logging
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
import httpx
from rich.console import Console

from zmart_lite.cli import serving
from zmart_lite.cli.serving import Running, running
from zmart_lite.config import Config, Secret, hidden_texts
from zmart_lite.demo.bots import Bots
from zmart_lite.demo.client import Api, DemoFailed
from zmart_lite.demo.lifecycle import Lifecycle
from zmart_lite.demo.listener import Listener
from zmart_lite.demo.showcase import HISTORY_S, Showcase
from zmart_lite.errors import StartupError
from zmart_lite.logs import configured
from zmart_lite.push.channels import PUBLIC_TYPES

logger = logging.getLogger(__name__)

REQUESTS_PER_MINUTE = 100_000
FAST_SLOT_MS = 40
JOB_INTERVAL_S = 1
CREATORS = 3


def fresh(config: Config, folder: Path) -> Config:
    """The configuration with everything kept in ``folder``, on the embedded devnet."""
    if not config.embedded_devnet:
        raise StartupError(
            'This plays on the embedded devnet: set chain.cluster = "localnet" and localnet.enabled = true.'
        )
    return replace(
        config,
        store=replace(config.store, dir=str(folder), dsn=Secret()),
        localnet=replace(config.localnet, persist=False),
    )


def sped_up(config: Config) -> Config:
    """Limits raised for many wallets behind one address, and jobs that need not be waited for."""
    raised = dict.fromkeys(
        ("address_per_minute", "wallet_per_minute", "sessions_per_minute", "auth_per_minute", "relays_per_minute"),
        REQUESTS_PER_MINUTE,
    )
    return replace(
        config,
        limits=replace(config.limits, **raised),
        votes=replace(config.votes, interval_s=JOB_INTERVAL_S),
        monitor=replace(config.monitor, interval_s=JOB_INTERVAL_S),
    )


def on_free_ports(config: Config) -> Config:
    return replace(
        config,
        server=replace(config.server, host="127.0.0.1", port=0, ws_port=0),
        localnet=replace(config.localnet, host="127.0.0.1", port=0, slot_ms=FAST_SLOT_MS),
    )


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"zmart-lite-{name}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


# dev


def dev(config: Config, *, empty: bool) -> None:
    serving.run(lambda: _dev(config, empty=empty))


async def _dev(config: Config, *, empty: bool) -> int:
    with configured(config.log, hidden=hidden_texts(config)), temporary_folder("dev") as folder:
        # The demo wallets alone make hundreds of requests; a line for each would bury what a person wants to read.
        logging.getLogger("zmart_lite.api.access").setLevel(logging.WARNING)
        stop = serving.stop_event()
        started_at = int(time.time())
        genesis_time = started_at if empty else started_at - HISTORY_S
        async with running(sped_up(fresh(config, folder)), genesis_time=genesis_time, devnet_admin=True) as started:
            serving.print_banner(started)
            if not empty:
                started.node.parts.background.start(_fill(started), "showcase")
            await stop.wait()
    return 0


async def _fill(started: Running) -> None:
    """Play the demo markets while the node already answers."""
    localnet = started.localnet
    if localnet is None:
        raise StartupError("Demo markets are for the embedded devnet only.")
    api = Api(started.node.url, localnet.rpc_url)
    localnet.pace_ms = min(FAST_SLOT_MS, localnet.options.slot_ms)
    try:
        showcase = Showcase(
            api, localnet.admin, localnet.wallets[:CREATORS], lambda line: click.secho(f"  · {line}", dim=True)
        )
        await showcase.fill(time.time)
        localnet.pace_ms = localnet.options.slot_ms
        if started.node.parts.config.localnet.bots:
            await Bots(api, showcase.traders, showcase.open_markets, random.Random()).run()  # noqa: S311 - play money
    except (DemoFailed, httpx.HTTPError) as error:
        if not started.node.stopping.is_set():
            logger.error("the demo markets are incomplete: %s", error)
    finally:
        localnet.pace_ms = localnet.options.slot_ms
        await api.close()


# demo and selftest


def demo(config: Config) -> int:
    return serving.run(lambda: play_demo(config, Console()))


def selftest(config: Config) -> int:
    return serving.run(lambda: play_demo(config, Console()))


async def play_demo(config: Config, console: Console) -> int:
    """Everything in one process on free ports; 0 if every figure was as it must be."""
    began = time.monotonic()
    # Without reconciliation, so that the last comparison judges the indexer and nothing that corrects it.
    quiet = replace(
        config, log=replace(config.log, level="WARNING"), reconcile=replace(config.reconcile, enabled=False)
    )
    with configured(quiet.log, hidden=hidden_texts(config)), temporary_folder("demo") as folder:
        started_at = int(time.time())
        async with running(sped_up(on_free_ports(fresh(quiet, folder))), genesis_time=started_at) as started:
            try:
                await _play(started, console)
            except DemoFailed as error:
                console.print(f"[bold red]✗ {error}[/]")
                return 1
    console.print(f"[bold green]✓ everything agrees[/] after {time.monotonic() - began:.1f} s")
    return 0


async def _play(started: Running, console: Console) -> None:
    assert started.localnet is not None  # noqa: S101 - free ports mean the embedded devnet
    api = Api(started.node.url, started.localnet.rpc_url)
    listener = Listener(started.node.url)
    try:
        await listener.start()
        life = Lifecycle(api, listener, lambda line: console.print(f"    {line}", style="dim", highlight=False))
        with console.status("starting") as status:
            for number, (title, step) in enumerate(life.steps, 1):
                status.update(f"{number}/{len(life.steps)} {title}")
                await step()
                console.print(f"[green]✓[/] {title}")
            status.update("comparing database, chain and feed")
            await _compare(started, listener, console)
    finally:
        await listener.stop()
        await api.close()


async def _compare(started: Running, listener: Listener, console: Console) -> None:
    """Database against accounts, and what came over push against the feed. Raises DemoFailed for any difference."""
    # anchorpy takes a quarter of a second to import, which every other command would pay for.
    from zmart_lite.demo.accounts import differences

    node, localnet = started.node, started.localnet
    assert localnet is not None  # noqa: S101
    compared, found = await differences(node.parts.store, node.parts.codec, localnet.rpc_url)
    if found:
        raise DemoFailed("Database and chain differ: " + "; ".join(found))
    console.print(f"[green]✓[/] {compared} fields of config, markets and positions equal the chain's accounts")
    rows = await node.parts.store.read(
        lambda tx: tx.all("SELECT feed_offset, type, listed FROM feed ORDER BY feed_offset")
    )
    public = [row["feed_offset"] for row in rows if row["listed"] and row["type"] in PUBLIC_TYPES]
    streamed = [message["offset"] for message in listener.streamed if message["type"] not in ("subscribed", "reset")]
    if streamed != public:
        raise DemoFailed(f"The stream brought {len(streamed)} messages, the feed holds {len(public)}.")
    console.print(f"[green]✓[/] {len(streamed)} messages of the public feed came over SSE, each once, in order")
