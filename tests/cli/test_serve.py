"""Starting, stopping and being killed, seen from outside."""

import asyncio
import gc
import json
import socket
from pathlib import Path

import httpx
import pytest
from solders.keypair import Keypair
from websockets.asyncio.client import connect

from tests.cli.process import Process, node, run, write_config
from zmart_lite.cli.serving import COLLECTED_AFTER, relax_collector
from zmart_lite.demo.client import Api, Wallet
from zmart_lite.store.engine import migrate


def test_an_unknown_setting_stops_the_start_with_one_line(tmp_path: Path) -> None:
    config = write_config(tmp_path, server={"prot": 4000})
    ended = run("--config", str(config), "serve", cwd=tmp_path)
    assert ended.returncode == 1
    assert "server.prot" in ended.stderr
    assert "server.port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_unreadable_keypair_stops_the_start_with_one_line(tmp_path: Path) -> None:
    config = write_config(tmp_path, chain={"backend_keypair": str(tmp_path / "missing.json")})
    ended = run("--config", str(config), "serve", cwd=tmp_path)
    assert ended.returncode == 1
    assert "chain.backend_keypair" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("section", "setting"), [("server", "server.port"), ("localnet", "localnet")])
def test_a_busy_port_stops_the_start_with_one_line(tmp_path: Path, section: str, setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config = write_config(tmp_path, **{section: {"port": port}})
        ended = run("--config", str(config), "serve", cwd=tmp_path)
    assert ended.returncode == 1
    assert str(port) in ended.stderr
    assert setting in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_database_of_a_newer_version_stops_the_start_and_is_left_alone(tmp_path: Path) -> None:
    from pysqlite3 import dbapi2 as sqlite

    config = write_config(tmp_path)
    (tmp_path / "data").mkdir()
    connection = sqlite.connect(str(tmp_path / "data" / "zmart.db"))
    migrate.migrate(connection)
    connection.execute("UPDATE meta SET value = '9999' WHERE key = 'schema_version'")
    connection.commit()
    connection.close()
    ended = run("--config", str(config), "serve", cwd=tmp_path)
    assert ended.returncode == 1
    assert "9999" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_database_that_is_not_supported_stops_the_start(tmp_path: Path) -> None:
    config = write_config(tmp_path, store={"dsn": "postgresql://user:hidden@127.0.0.1/zmart"})
    ended = run("--config", str(config), "serve", cwd=tmp_path)
    assert ended.returncode == 1
    assert "store.dsn" in ended.stderr
    assert "hidden" not in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


def test_a_database_of_another_cluster_stops_the_start(tmp_path: Path) -> None:
    config = write_config(tmp_path, localnet={"persist": False})
    with node(config) as first:
        assert first.stop() == 0
    ended = run("--config", str(config), "serve", cwd=tmp_path)
    assert ended.returncode == 1
    assert "genesis_hash" in ended.stderr
    assert "store.dir" in ended.stderr


def test_the_same_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with node(config) as first:
        slot = first.get("/status")["slot"]["chain"]
        assert first.stop() == 0
    with node(config) as second:
        assert second.get("/status")["slot"]["chain"] >= slot
        assert second.stop() == 0


async def test_a_stop_with_open_streams_is_clean_and_quick(tmp_path: Path) -> None:
    with node(write_config(tmp_path)) as running:
        async with (
            httpx.AsyncClient(timeout=10) as client,
            connect(running.url.replace("http", "ws") + "/ws") as socket_,
            client.stream("GET", f"{running.url}/api/stream") as stream,
        ):
            assert json.loads(await socket_.recv())["type"] == "welcome"
            lines = stream.aiter_lines()
            assert await anext(lines) == "retry: 3000"
            code = await asyncio.to_thread(running.stop)
            rest = [line async for line in lines]
            await socket_.wait_closed()
            assert socket_.close_code == 1012
        assert code == 0
        assert rest


async def _voted_market(running: Process) -> tuple[str, int]:
    """A market, and how many votes for it were answered before the node was killed without warning."""
    api = Api(running.url, running.rpc_url)
    try:
        creator = Wallet(api, "creator")
        await creator.fund(10)
        await creator.sign_in()
        body = {
            "question": "Will every answered vote still be there?",
            "category": "other",
            "end_date": "2100-01-01T00:00:00Z",
            "initial_liquidity": "1000000000",
        }
        built, _ = await creator.act("/api/markets", body)
        voters = [Wallet(api, f"voter {number}", Keypair()) for number in range(8)]
        await asyncio.gather(*(voter.sign_in() for voter in voters))
        answered = 0
        for voter in voters:
            await voter.post("/api/votes/proposal", {"market_id": built["market_id"], "vote": True})
            answered += 1
        return built["market_id"], answered
    finally:
        await api.close()


async def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    config = write_config(tmp_path, votes={"interval_s": 3600})
    with node(config) as first:
        market_id, answered = await _voted_market(first)
        first.kill()
    with node(config) as second:
        tally = second.get(f"/api/votes/{market_id}")["proposal_votes"]
        assert tally["likes"] == answered
        assert second.get(f"/api/markets/{market_id}")["question"] == "Will every answered vote still be there?"
        assert second.stop() == 0


def test_the_collector_looks_less_often_and_not_at_what_is_there() -> None:
    before = gc.get_threshold()
    try:
        relax_collector()
        assert gc.get_threshold() == (COLLECTED_AFTER, *before[1:])
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
