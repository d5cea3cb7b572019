"""A devnet's accounts in a file, and back onto another one."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.localnet.rpc_harness import Devnet, running
from zmart_lite.cli import devnet_state, main
from zmart_lite.cli.devnet_state import Account, State, export_state, import_state, read_state
from zmart_lite.errors import RpcRefused, StartupError

HOUR_S = 3_600


async def command(*arguments: str, code: int = 0) -> str:
    ended = await asyncio.to_thread(CliRunner().invoke, main, ["chain", *arguments])
    assert ended.exit_code == code, ended.output
    return ended.output


def accounts_of(devnet: Devnet) -> dict[bytes, tuple[int, bytes]]:
    return {key: (account.lamports, account.data) for key, account in devnet.net.ledger.accounts.items()}


async def test_a_state_moves_to_another_devnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devnet_state, "REQUEST_BYTES_MAX", 3_000)  # several requests
    path = tmp_path / "state.json"
    async with running() as first, running(seed=b"other") as second:
        await first.send(first.transaction(first.create_market(1)))
        await first.call("localnet_warp", {"seconds": HOUR_S})
        await second.send(second.transaction(second.create_market(2)))
        told = await command("export", str(path), "--url", first.net.rpc_url)
        assert str(len(accounts_of(first))) in told
        told = await command("import", str(path), "--url", second.net.rpc_url)
        assert "1 of the program removed" in told
        moved = accounts_of(second)
        assert accounts_of(first).items() <= moved.items()
        assert second.net.codec.market_address(b"\x02" * 32) not in moved
        assert second.net.ledger.clock.now_s() == first.net.ledger.clock.now_s()
        # The market goes on there.
        assert await second.call("getAccountInfo", str(first.alice.pubkey()))


async def test_an_import_that_is_refused_changes_nothing() -> None:
    async with running() as devnet:
        url = devnet.net.rpc_url
        state = await asyncio.to_thread(export_state, url)
        before = accounts_of(devnet)
        state.accounts[0].lamports += 1
        state.accounts.append(Account("nobody", 1, "1" * 32, "", False))
        with pytest.raises(RpcRefused, match="WrongSize"):
            await asyncio.to_thread(import_state, url, state)
        assert accounts_of(devnet) == before
        large = State(1, state.program_id, 0, [Account("1" * 32, 1, "1" * 32, "A" * 60_000, False)])
        with pytest.raises(StartupError, match="too large"):
            await asyncio.to_thread(import_state, url, large)
        other = State(1, "1" * 32, 0, [])
        with pytest.raises(StartupError, match="is of program"):
            await asyncio.to_thread(import_state, url, other)
        assert accounts_of(devnet) == before


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"\xff", b"[]", b'{"version":1}', b'{"version":2,"programId":"","unixTimestamp":0,"accounts":[]}'],
)
def test_what_is_no_state_is_named(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(text)
    with pytest.raises(StartupError, match=r"state\.json is"):
        read_state(path)
