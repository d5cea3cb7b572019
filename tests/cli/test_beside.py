"""Commands while a node runs on the same database: they act through it, or say clearly why not."""

import asyncio
import io
from pathlib import Path
from typing import Any, cast

from click.testing import CliRunner
from rich.console import Console
from solders.keypair import Keypair

from tests.cli.process import node, write_config
from zmart_lite.cli import beside, main
from zmart_lite.cli.bars import Bars
from zmart_lite.cli.beside import NodeClient
from zmart_lite.config import load
from zmart_lite.demo.client import Api, Wallet
from zmart_lite.jobs.webhook import WEBHOOK_PATH
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.log import chainlog

LETTERS = 250
MARKET = {
    "question": "Will this be read twice?",
    "category": "other",
    "end_date": "2100-01-01T00:00:00Z",
    "initial_liquidity": "1000000000",
}


async def _market(url: str, rpc_url: str) -> str:
    api = Api(url, rpc_url)
    try:
        wallet = Wallet(api, "creator")
        await wallet.fund(10)
        await wallet.sign_in()
        built, _ = await wallet.act("/api/markets", MARKET)
        return str(built["market_id"])
    finally:
        await api.close()


async def _spoil(path: Path) -> None:
    """More dead letters than one page of the admin API holds, of a transaction that is whole on chain."""
    store = await Store(path).open()

    def unit(tx: Tx) -> None:
        signature = tx.value("SELECT signature FROM transactions ORDER BY id DESC")
        for index in range(LETTERS):
            chainlog.add_dead_letter(tx, "event", "too new", signature=signature, event_index=index)
        tx.execute("UPDATE markets SET shares_no = '00000000000000000005'")

    await store.write(unit)
    await store.close()


def test_commands_beside_a_running_node(tmp_path: Path) -> None:
    settings: dict[str, dict[str, Any]] = {
        "auth": {"admin_wallets": [str(Keypair().pubkey())]},
        "helius": {"webhook_secret": "a secret of the tests", "api_key": "a key of the tests"},
        "reconcile": {"enabled": False},
    }
    config = write_config(tmp_path, **settings)

    def run(*arguments: str, code: int = 0) -> str:
        ended = CliRunner().invoke(main, ["--config", str(config), *arguments])
        assert ended.exit_code == code, ended.output
        return ended.output

    with node(config) as process:
        market_id = asyncio.run(_market(process.url, process.rpc_url))
        assert process.stop() == 0
    asyncio.run(_spoil(tmp_path / "data" / "zmart.db"))
    with node(config) as process:
        at = ("--url", process.url)
        assert run("events", "list", "--limit", "3", *at).count("event") == 3
        assert f"{LETTERS} dead letters tried, {LETTERS} resolved" in run("events", "retry", *at)
        assert run("events", "list", "--ended", "--limit", "100", *at).count(": indexed whole") == 100
        assert " 0 of them new" in run("backfill", "--from-slot", "0", *at)
        output = run("reconcile", market_id, *at)
        assert "The running node does it." in output
        assert "accounts compared" in run("reconcile", *at)
        assert "0 fields came out otherwise" in run("db", "rebuild", *at)
        assert "is no market id" in run("reconcile", "xyz", *at, code=1)
        here = {"api_url": process.rpc_url, "webhook_url": process.url + WEBHOOK_PATH}
        write_config(tmp_path, **settings | {"helius": settings["helius"] | here})
        assert process.url in run("webhook", "list")
        assert "as it should be" in run("webhook", "check")
        webhook_id = run("webhook", "register").split()[0]
        run("webhook", "delete", webhook_id)
        assert "No webhook delivers" in run("webhook", "check", code=1)
        assert process.stop() == 0


class _Answers:
    """A node whose run goes on for two questions."""

    def __init__(self) -> None:
        self._asked = 0

    def get(self, path: str) -> Any:
        assert path == "jobs/backfill/runs?limit=20"
        self._asked += 1
        progress = None if self._asked > 2 else {"phase": "reading", "done": 70 * self._asked, "total": 210}
        run = {"id": 7, "finished_at": "2026-01-02T03:04:05.000Z" if progress is None else None, "result": "ok"}
        return {"runs": [{"id": 6, "finished_at": "2026-01-01T00:00:00.000Z"}, run], "jobs": [{"progress": progress}]}


def test_the_progress_of_a_run_is_shown_until_it_ends() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    node, bars = cast(NodeClient, _Answers()), Bars(console)
    with bars:
        runs = [beside.ended_run(node, "backfill", 7, bars) for _ in range(3)]
    assert [run is not None and run["id"] for run in runs] == [False, False, 7]
    assert "reading" in console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above
    assert "140/210" in console.file.getvalue()  # type: ignore[attr-defined]


def test_commands_find_the_node_of_their_settings_and_need_no_administrator(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with node(config) as process:
        for arguments in (("events", "retry"), ("backfill", "--from-slot", "0"), ("db", "rebuild"), ("reconcile",)):
            ended = CliRunner().invoke(main, ["--config", str(config), *arguments])
            assert ended.exit_code == 0, ended.output
            assert "The running node does it." in ended.output
        found = beside.find_node(load(config, {}), None)
        assert found is not None
        with NodeClient(found) as client, Bars(Console(file=io.StringIO())) as bars:
            (run,) = client.get("jobs/rebuild/runs")["runs"]
            assert beside.followed_run(client, "rebuild", run["id"], bars) == run
            names = [name for name, _ in client.events(f"jobs/rebuild/progress?run_id={run['id']}")]
            assert (names[0], names[-1]) == ("state", "ended")
            assert beside.followed_run(client, "rebuild", 10**6, bars) is None
        acts = process.get("/api/stats")
        assert acts["totalMarkets"] == 0
    for arguments in (("list",), ("check",), ("register",), ("delete", "x")):
        ended = CliRunner().invoke(main, ["--config", str(config), "webhook", *arguments])
        assert ended.exit_code == 1
        assert "registers its webhook itself" in ended.output
