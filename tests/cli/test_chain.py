"""``backfill``, ``events retry``, ``db rebuild`` and ``webhook`` against the devnet, with no node running."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from solders.pubkey import Pubkey
from solders.signature import Signature

from tests.cli.process import write_config
from tests.jobs.devnet import PROGRAM_ID, World, devnet_world
from zmart_lite.cli import main
from zmart_lite.store.engine.db import Store
from zmart_lite.store.log import chainlog

HOOK = "https://node.example/api/webhooks/helius"


class Terminal:
    """Runs commands with a configuration for a devnet."""

    def __init__(self, world: World, folder: Path) -> None:
        self.database = folder / "data" / "zmart.db"
        self._path = write_config(
            folder,
            chain={"rpc_url": world.localnet.rpc_url, "program_id": str(Pubkey(PROGRAM_ID))},
            localnet={"enabled": False},
            helius={
                "api_url": world.localnet.rpc_url,
                "api_key": "a key of the tests",
                "webhook_secret": "a secret of the tests",
                "webhook_url": HOOK,
            },
        )

    async def run(self, *arguments: str, code: int = 0) -> str:
        # The commands bring their own event loop; the devnet needs this one.
        result: Result = await asyncio.to_thread(CliRunner().invoke, main, ["--config", str(self._path), *arguments])
        assert result.exit_code == code, result.output
        return result.output


@pytest.fixture
async def terminal(tmp_path: Path) -> AsyncIterator[Terminal]:
    async with devnet_world(tmp_path / "node") as world:
        market_id = await world.active_market(1)
        await world.buy(market_id, 1, outcome=True)
        yield Terminal(world, tmp_path)


async def test_backfilling_folding_again_and_retrying(terminal: Terminal) -> None:
    assert "of them new" in await terminal.run("backfill", "--from-slot", "0")
    assert "0 of them new" in await terminal.run("backfill", "--from-slot", "0")
    assert "1 markets folded again; 0 fields" in await terminal.run("db", "rebuild")
    store = await Store(terminal.database).open()
    signature = await store.read(lambda tx: tx.value("SELECT signature FROM transactions ORDER BY id DESC"))
    await store.write(lambda tx: chainlog.add_dead_letter(tx, "event", "too new", signature=signature))
    await store.write(lambda tx: tx.execute("UPDATE markets SET shares_yes = '00000000000000000005'"))
    await store.close()
    heads, letter, where = (await terminal.run("events", "list")).splitlines()
    assert heads.split() == ["ID", "KIND", "FIRST", "SEEN", "ATTEMPTS", "REASON"]
    number, kind, _, attempts, reason = letter.split(maxsplit=4)
    assert (number, kind, attempts, reason) == ("1", "event", "1", "too new")
    assert str(Signature(signature)) in where
    assert "There is none." in await terminal.run("events", "list", "--ended")
    # A retry folds the transaction's market again from its log.
    assert "1 dead letters tried, 1 resolved" in await terminal.run("events", "retry")
    assert "There is none." in await terminal.run("events", "list")
    ended = await terminal.run("events", "list", "--ended")
    assert "too new" in ended
    assert ": indexed whole" in ended
    assert "0 fields" in await terminal.run("db", "rebuild")


async def test_without_a_node_the_embedded_devnet_is_there_all_the_same(tmp_path: Path) -> None:
    config = write_config(tmp_path)

    async def run(*arguments: str) -> str:
        ended = await asyncio.to_thread(CliRunner().invoke, main, ["--config", str(config), *arguments])
        assert ended.exit_code == 0, ended.output
        return str(ended.output)

    assert "1 transactions seen, 1 of them new" in await run("backfill", "--from-slot", "0")
    assert "1 accounts compared, 0 differences corrected" in await run("reconcile")
    assert "0 dead letters tried" in await run("events", "retry")
    assert "0 fields came out otherwise" in await run("db", "rebuild")


async def test_a_wrong_database_is_corrected_and_said(terminal: Terminal) -> None:
    await terminal.run("backfill", "--from-slot", "0")
    store = await Store(terminal.database).open()
    await store.write(lambda tx: tx.execute("UPDATE markets SET shares_yes = '00000000000000000005'"))
    await store.close()
    output = await terminal.run("db", "rebuild", code=1)
    assert "1 fields came out otherwise" in output
    assert "shares_yes of " in output


async def test_the_webhook_of_the_configuration(terminal: Terminal) -> None:
    assert "There is none." in await terminal.run("webhook", "list")
    assert f"No webhook delivers to {HOOK}" in await terminal.run("webhook", "check", code=1)
    webhook_id = (await terminal.run("webhook", "register")).split()[0]
    assert "as it should be" in await terminal.run("webhook", "check")
    assert webhook_id in await terminal.run("webhook", "list")
    await terminal.run("webhook", "delete", webhook_id)
    assert "There is none." in await terminal.run("webhook", "list")
