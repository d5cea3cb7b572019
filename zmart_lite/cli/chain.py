"""``backfill``, ``reconcile``, ``events retry``, ``db rebuild``, ``webhook``: the copy of the chain, kept by hand.

What changes the database works on it directly while no node runs, and through the admin API of one that does.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from string import hexdigits
from typing import Any, TypeVar

import click
from solders.pubkey import Pubkey

from zmart_lite.app.pinning import pin
from zmart_lite.chain.helius import Ensured, HeliusClient, WebhookRegistration
from zmart_lite.chain.rpc import RetryPolicy, Rpc
from zmart_lite.cli import letters
from zmart_lite.cli.bars import Bars
from zmart_lite.cli.beside import URL, NodeClient, by_node_or_database, run_job_beside
from zmart_lite.cli.serving import existing_ledger, ledger_of, prepared, unseen
from zmart_lite.codec import Codec
from zmart_lite.config import Config
from zmart_lite.errors import ChainError, StartupError
from zmart_lite.indexer import Indexer
from zmart_lite.indexer.backfill import Backfill, Backfilled
from zmart_lite.indexer.letters import Retried
from zmart_lite.indexer.rebuild import Rebuilt, rebuild
from zmart_lite.indexer.reconcile import Reconciled
from zmart_lite.indexer.service import IndexerOptions
from zmart_lite.jobs import Keys
from zmart_lite.jobs.reconcile import summary_of
from zmart_lite.jobs.webhook import wanted_webhook
from zmart_lite.ops import ChainClock, Metrics
from zmart_lite.store.engine.db import Store, wall_clock_ms
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.views.rows import RowSettings

Load = Callable[[Path | None], Config]
T = TypeVar("T")

MARKET_ID_DIGITS = 64
DIFFERENCES_SHOWN_MAX = 20
DAY_S = 86_400
SLOT_MAX = 2**53 - 1


def add_commands(main: click.Group, load: Load) -> None:
    """Put the commands into the command line; ``load`` reads the configuration."""

    @main.command("backfill")
    @click.option("--from-slot", type=click.IntRange(0, SLOT_MAX), required=True, help="First slot to read.")
    @URL
    @click.pass_obj
    def backfill_command(config_path: Path | None, from_slot: int, url: str | None) -> None:
        """Read the program's history from a slot on. Interrupted, it goes on where it was when run again."""
        click.echo(backfill(load(config_path), url, from_slot))

    @main.group()
    def events() -> None:
        """What could not be indexed."""

    letters.add_commands(events, load)

    @events.command("retry")
    @URL
    @click.pass_obj
    def retry_command(config_path: Path | None, url: str | None) -> None:
        """Try every open dead letter again, after an upgrade or when the cluster knows more."""
        tried, resolved = retry(load(config_path), url)
        click.echo(f"{tried} dead letters tried, {resolved} resolved.")

    @main.command("reconcile")
    @click.argument("market_id", required=False)
    @click.option("--deep", is_flag=True, help="Ask for the slot and finality of every transaction again first.")
    @URL
    @click.pass_obj
    def reconcile_command(config_path: Path | None, market_id: str | None, deep: bool, url: str | None) -> None:
        """Compare the database with the accounts on chain and correct it: everything, or the market with this id.

        Exit code 1 if anything differs even then, or could not be compared.
        """
        key = None if market_id is None else _market_id(market_id)
        if deep and key is not None:
            raise StartupError("--deep is for everything; leave the market's id out.")
        _tell_reconciled(reconcile(load(config_path), url, key, deep=deep))

    database = main.commands["db"]
    assert isinstance(database, click.Group)  # noqa: S101 - made by cli.database

    @database.command("rebuild")
    @URL
    @click.pass_obj
    def rebuild_command(config_path: Path | None, url: str | None) -> None:
        """Fold the whole log again from nothing and compare. Exit code 1 if anything came out otherwise."""
        _tell_rebuilt(*rebuild_all(load(config_path), url))

    _add_webhook_commands(main, load)


# By the node that runs, or without one


def backfill(config: Config, url: str | None, from_slot: int) -> str:
    """How much was read, in a sentence or two. The only one of these that may begin a database."""

    def ask(node: NodeClient) -> str:
        run = run_job_beside(node, "backfill", {"from_slot": from_slot})
        return f"{run['found']} transactions seen, {run['done']} of them new."

    def work() -> str:
        done = asyncio.run(_backfill(config, from_slot))
        said = f"{done.seen} transactions seen, {done.new} of them new."
        if done.lacking_below is not None:
            said += f"\nThe RPC node has no history before slot {done.lacking_below}: what is older was not read."
        return said

    return by_node_or_database(config, url, ask, work, may_create=True)


def retry(config: Config, url: str | None) -> tuple[int, int]:
    """Dead letters tried and resolved."""

    def ask(node: NodeClient) -> tuple[int, int]:
        run = run_job_beside(node, "retry", {})
        return run["found"], run["done"]

    return by_node_or_database(config, url, ask, lambda: asyncio.run(_retry(config)))


def reconcile(config: Config, url: str | None, market_id: bytes | None, *, deep: bool) -> Mapping[str, Any]:
    """What it came to: found, done, failed, skipped."""
    params: dict[str, Any] = {"deep": True} if deep else {}
    if market_id is not None:
        params["market_id"] = market_id.hex()
    return by_node_or_database(
        config,
        url,
        lambda node: run_job_beside(node, "reconcile", params),
        lambda: summary_of(asyncio.run(_reconcile(config, market_id, deep)))._asdict(),
    )


def rebuild_all(config: Config, url: str | None) -> tuple[int, int, list[str]]:
    """Markets folded, fields that differed, and what they were, where that is known."""

    def ask(node: NodeClient) -> tuple[int, int, list[str]]:
        run = run_job_beside(node, "rebuild", {})
        return run["found"], run["failed"], []

    def work() -> tuple[int, int, list[str]]:
        done = asyncio.run(_rebuild(config))
        lines = [f"{name} of {market or 'the config'}: {new}, was {old}" for market, name, old, new in done.differences]
        return done.markets, len(lines), lines

    return by_node_or_database(config, url, ask, work)


def _tell_reconciled(summary: Mapping[str, Any]) -> None:
    found, done, failed, left = (summary[key] for key in ("found", "done", "failed", "skipped"))
    click.echo(f"{found} accounts compared, {done} differences corrected, {left} markets left for later.")
    if failed:
        click.echo(f"{failed} markets differ even now, or cannot be read: see the alerts, then try reconcile --deep.")
    if failed or left:
        raise SystemExit(1)


def _tell_rebuilt(markets: int, different: int, lines: list[str]) -> None:
    click.echo(f"{markets} markets folded again; {different} fields came out otherwise and were corrected.")
    for line in lines[:DIFFERENCES_SHOWN_MAX]:
        click.echo(f"  {line}")
    if different:
        raise SystemExit(1)


# Without a node


@asynccontextmanager
async def _opened(
    config: Config, *, with_cluster: bool = True
) -> AsyncIterator[tuple[Indexer, Callable[[], FeedContext]]]:
    """The indexer on the database itself, and the embedded devnet beside it, if the configuration has one.

    Raises DatabaseInUse while a node runs, StartupError for another program.
    """
    codec, clock = Codec(bytes(Pubkey.from_string(config.chain.program_id))), ChainClock()
    settings = RowSettings.of(config, codec)

    def feed() -> FeedContext:
        since = wall_clock_ms() // 1_000 - config.retention.feed_days * DAY_S
        return FeedContext(settings, lambda: wall_clock_ms() // 1_000, feed_since=since)

    ledger = existing_ledger(config) if with_cluster and config.store.sqlite_path.exists() else ledger_of(config)
    async with AsyncExitStack() as stack:
        # The devnet's ledger belongs to whoever has the database.
        store = await Store(config.store.sqlite_path, readers=1).open()
        stack.push_async_callback(store.close)
        await store.write(lambda tx: pin(tx, config))
        addresses = config.rpc_addresses
        if with_cluster and config.embedded_devnet:
            beside = await stack.enter_async_context(prepared(unseen(config), ledger, keys=Keys(None, None)))
            addresses = beside.node.config.rpc_addresses
        policy = RetryPolicy(timeout_s=config.chain.rpc_timeout_s, attempts_max=config.chain.rpc_attempts_max)
        rpc = Rpc(addresses, policy)
        stack.push_async_callback(rpc.close)
        yield Indexer(store, codec, rpc, clock, Metrics(), feed, IndexerOptions.of(config)), feed


async def _on_chain(indexer: Indexer, config: Config) -> None:
    """Refuse a database that belongs to another chain. Raises StartupError, ChainError."""
    rpc = indexer.writer.rpc
    genesis = await rpc.get_genesis_hash()
    rpc.require_cluster(genesis)
    if not config.embedded_devnet:
        rpc.require_slots()
    await indexer.writer.store.write(lambda tx: pin(tx, config, genesis_hash=genesis))


async def _backfill(config: Config, from_slot: int) -> Backfilled:
    async with _opened(config) as (indexer, _):
        await _on_chain(indexer, config)
        with Bars() as bars:
            return await Backfill(indexer, lambda step: bars.show(*step)).run(from_slot)


async def _retry(config: Config) -> Retried:
    async with _opened(config) as (indexer, _):
        await _on_chain(indexer, config)
        with Bars() as bars:
            done = await indexer.letters.retry_all(partial(bars.show, "letters"))
        await indexer.drain()
        await indexer.resync_flagged()
        return done


def _market_id(text: str) -> bytes:
    if len(text) != MARKET_ID_DIGITS or any(digit not in hexdigits for digit in text):
        raise StartupError(f"{text!r} is no market id: it has {MARKET_ID_DIGITS} hexadecimal digits.")
    return bytes.fromhex(text)


async def _reconcile(config: Config, market_id: bytes | None, deep: bool) -> Reconciled:
    async with _opened(config) as (indexer, _):
        await _on_chain(indexer, config)
        if market_id is not None:
            return await indexer.reconciler.run_market(market_id)
        with Bars() as bars:
            return await indexer.reconciler.run(deep=deep, on_progress=partial(bars.show, "transactions"))


async def _rebuild(config: Config) -> Rebuilt:
    async with _opened(config, with_cluster=False) as (indexer, feed):
        with Bars() as bars:
            return await rebuild(indexer.writer, feed, partial(bars.show, "markets"))


# Webhooks


def _add_webhook_commands(main: click.Group, load: Load) -> None:
    @main.group()
    def webhook() -> None:
        """The registration by which Helius delivers transactions to the node."""

    @webhook.command("register")
    @click.pass_obj
    def register_command(config_path: Path | None) -> None:
        """Create the webhook of the configuration, or correct it, and switch it on."""
        config = load(config_path)
        done, wanted = _with_webhook(config, lambda client, wanted: client.ensure(wanted))
        _tell_registered(done, wanted)

    @webhook.command("list")
    @click.pass_obj
    def list_command(config_path: Path | None) -> None:
        """Show every webhook of the API key."""
        found = _with_helius(load(config_path), lambda client: client.list_webhooks())
        for each in found:
            state = "on" if each.get("active", True) else "off"
            click.echo(f"{each.get('webhookID')}  {state:<3}  {each.get('webhookType')}  {each.get('webhookURL')}")
        if not found:
            click.echo("There is none.")

    @webhook.command("check")
    @click.pass_obj
    def check_command(config_path: Path | None) -> None:
        """Say whether the webhook of the configuration is there, as it should be, and on. Exit code 1 if not."""
        config = load(config_path)
        problems, wanted = _with_webhook(config, lambda client, wanted: client.check(wanted))
        for problem in problems:
            click.echo(problem)
        if problems:
            click.echo("Repair it with: zmart-lite webhook register")
            raise SystemExit(1)
        click.echo(f"The webhook to {wanted.url} is as it should be.")

    @webhook.command("delete")
    @click.argument("webhook_id")
    @click.pass_obj
    def delete_command(config_path: Path | None, webhook_id: str) -> None:
        """Delete a webhook by its id."""
        _with_helius(load(config_path), lambda client: client.delete(webhook_id))
        click.echo(f"{webhook_id} is deleted.")


def _tell_registered(done: Ensured, wanted: WebhookRegistration) -> None:
    click.echo(f"{done.webhook_id} delivers {wanted.kind} transactions of {wanted.address} to {wanted.url}.")
    if done.created:
        click.echo("It is new.")
    if done.corrected:
        click.echo(f"Corrected: {', '.join(done.corrected)}.")
    if done.switched_on:
        click.echo("It had been switched off and is on again.")


def _with_webhook(
    config: Config, work: Callable[[HeliusClient, WebhookRegistration], Awaitable[T]]
) -> tuple[T, WebhookRegistration]:
    """What comes of the work with the webhook of the configuration, and that."""
    _require_helius(config)
    wanted = wanted_webhook(config)
    return _with_helius(config, lambda client: work(client, wanted)), wanted


def _require_helius(config: Config) -> None:
    """Raises StartupError with what to do where there is nobody to ask."""
    if not config.helius.api_key and config.embedded_devnet:
        raise StartupError("With the embedded devnet the node registers its webhook itself, at every start.")
    if not config.helius.api_key:
        raise StartupError("Set helius.api_key (HELIUS_API_KEY).")


def _with_helius(config: Config, work: Callable[[HeliusClient], Awaitable[T]]) -> T:
    _require_helius(config)

    async def run() -> T:
        client = HeliusClient(config.helius.api_url, config.helius.api_key.reveal())
        try:
            return await work(client)
        except ChainError as error:
            raise StartupError(error.message) from error
        finally:
            await client.close()

    return asyncio.run(run())
