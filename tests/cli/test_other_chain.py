"""A database that belongs to another cluster or program is refused, clearly, by all that would write into it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pysqlite3 import dbapi2 as sqlite
from solders.pubkey import Pubkey

from tests.cli.process import run, write_config
from zmart_lite.cli import main
from zmart_lite.localnet import Localnet, LocalnetOptions

PROGRAM, OTHER_PROGRAM = bytes([7]) * 32, bytes([8]) * 32
CONNECTING = (
    ("backfill", "--from-slot", "0"),
    ("reconcile",),
    ("events", "retry"),
    ("job", "run", "poll"),
)
OFFLINE = (("db", "rebuild"),)
"""Folds what is there, without the cluster: only another program would spoil it."""


def devnet(program: bytes) -> Localnet:
    return Localnet(LocalnetOptions(program, rpc_port=0, slot_ms=0))


def configure(folder: Path, localnet: Localnet) -> Path:
    chain = {"rpc_url": localnet.rpc_url, "program_id": str(Pubkey(localnet.options.program_id))}
    return write_config(folder, chain=chain, localnet={"enabled": False})


async def command(config: Path, *arguments: str) -> tuple[int, str]:
    # Commands bring their own event loop; the devnet needs this one.
    ended = await asyncio.to_thread(CliRunner().invoke, main, ["--config", str(config), *arguments])
    return ended.exit_code, ended.output


async def serve(config: Path) -> tuple[int, str]:
    ended = await asyncio.to_thread(run, "--config", str(config), "serve", cwd=config.parent)
    return ended.returncode, ended.stderr


def contents(folder: Path) -> dict[str, list[Any]]:
    """Every row by table."""
    connection = sqlite.connect(str(folder / "data" / "zmart.db"))
    try:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {each: connection.execute(f"SELECT * FROM {each}").fetchall() for each in tables}
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("program", "what", "commands"),
    [(PROGRAM, "cluster", CONNECTING), (OTHER_PROGRAM, "program", (*CONNECTING, *OFFLINE))],
)
async def test_it_is_refused_and_left_as_it_was(
    tmp_path: Path, program: bytes, what: str, commands: tuple[tuple[str, ...], ...]
) -> None:
    async with devnet(PROGRAM) as own:
        config = configure(tmp_path, own)
        assert (await command(config, "backfill", "--from-slot", "0"))[0] == 0
        before = contents(tmp_path)
    async with devnet(program) as other:
        config = configure(tmp_path, other)
        answers = {" ".join(each): await command(config, *each) for each in commands}
        answers["serve"] = await serve(config)
    setting = "chain.rpc_url" if what == "cluster" else "chain.program_id"
    for name, (code, output) in answers.items():
        assert code == 1, name
        assert f"belongs to another {what}" in output, name
        assert f"Set {setting} back, or store.dir to an empty folder." in output, name
        assert "Traceback" not in output, name
    assert contents(tmp_path) == before


async def test_a_devnet_whose_chain_is_gone_is_not_begun_anew(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    assert (await command(config, "backfill", "--from-slot", "0"))[0] == 0
    before, ledger = contents(tmp_path), tmp_path / "data" / "devnet.ledger"
    ledger.unlink()
    code, output = await command(config, "job", "run", "poll")
    assert code == 1
    assert f"{ledger} is not there. Put it back" in output
    assert contents(tmp_path) == before
