"""``zmart-lite doctor``: what is well, what is not, what to do, and the exit code."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from tests.cli.process import node, run, write_config
from tests.ipfs.pinning import pinning_service
from zmart_lite.chain.helius import SWITCHED_OFF, HeliusClient
from zmart_lite.cli import doctor_chain, doctor_machine, doctor_services, main
from zmart_lite.cli.doctor import examine, show
from zmart_lite.cli.finding import Finding, Mark
from zmart_lite.config import Alerts, Chain, Config, Helius, Ipfs, Localnet, Secret, Server, Store
from zmart_lite.jobs import Keys
from zmart_lite.jobs.webhook import wanted_webhook
from zmart_lite.localnet import Localnet as Devnet
from zmart_lite.localnet import LocalnetOptions
from zmart_lite.models import GlobalConfig

ONE, TWO = Keypair.from_seed(bytes([1]) * 32), Keypair.from_seed(bytes([2]) * 32)
SOL = 10**9


def marks(findings: list[Finding]) -> dict[str, Mark]:
    return {finding.name: finding.mark for finding in findings}


def test_a_fresh_folder_is_well_and_nobody_is_told_of_alerts(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    ended = run("--config", str(config), "doctor", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "SQLite 3." in ended.stdout
    assert "! alerts" in ended.stdout
    assert "✗" not in ended.stdout


def test_beside_a_running_node(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with node(config) as running:
        ended = run("--config", str(config), "doctor", "--url", running.url, cwd=tmp_path)
        assert ended.returncode == 0, ended.stdout
        assert "belongs to a running node" in ended.stdout
        assert f"{running.url} runs" in ended.stdout
        lost = run("--config", str(config), "doctor", "--url", "http://127.0.0.1:1", cwd=tmp_path)
        assert lost.returncode == 1
        assert "No node answers at http://127.0.0.1:1" in lost.stdout
        assert running.stop() == 0


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    ended = run("--config", str(write_config(tmp_path)), "doctor", cwd=tmp_path)
    assert ended.returncode == 1
    assert "✗ disk" in ended.stdout
    assert "store.dir" in ended.stdout


def test_a_database_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "zmart.db").write_bytes(b"no database" * 1_000)
    ended = run("--config", str(write_config(tmp_path)), "doctor", cwd=tmp_path)
    assert ended.returncode == 1
    assert "db restore" in ended.stdout


def test_nothing_secret_is_printed(tmp_path: Path) -> None:
    secrets = {"alerts": {"urls": ["nonsense://hunter2"]}, "ipfs": {"kubo_url": "http://user:hunter2@127.0.0.1:1"}}
    chain = {"cluster": "devnet", "rpc_url": "http://127.0.0.1:1/?api-key=hunter2"}
    config = write_config(tmp_path, chain=chain, helius={"webhook_secret": "hunter2hunter2"}, **secrets)
    ended = run("--config", str(config), "doctor", cwd=tmp_path)
    assert ended.returncode == 1
    assert "hunter2" not in ended.stdout + ended.stderr
    assert "✗ RPC" in ended.stdout
    assert "✗ alerts" in ended.stdout
    assert "✗ IPFS" in ended.stdout


# The chain


@pytest.fixture
async def devnet() -> AsyncIterator[Devnet]:
    options = LocalnetOptions(program_id=bytes(Pubkey.from_string(Chain().program_id)), rpc_port=0, slot_ms=0)
    found = Devnet(options)
    await found.start()
    yield found
    await found.stop()


def on(devnet: Devnet, folder: Path, **chain: object) -> Config:
    """A configuration for the devnet as a validator of somebody else."""
    values = {"rpc_url": Secret(devnet.rpc_url), "backend_keypair": Secret(str(devnet.backend))} | chain
    return Config(
        chain=Chain(**values),  # type: ignore[arg-type]
        localnet=Localnet(enabled=False),
        store=Store(dir=str(folder / "data")),
        server=Server(port=0, ws_port=0),
    )


async def test_a_cluster_on_which_all_is_well(devnet: Devnet, tmp_path: Path) -> None:
    found = marks(await doctor_chain.examine(on(devnet, tmp_path, admin_keypair=Secret(str(devnet.admin)))))
    assert found == dict.fromkeys(
        (
            "RPC",
            "cluster",
            "clock",
            "program",
            "config account",
            "backend key",
            "admin key",
            "backend balance",
            "admin balance",
        ),
        Mark.GOOD,
    )


async def test_further_addresses_are_tested_one_by_one(devnet: Devnet, tmp_path: Path) -> None:
    other = Devnet(LocalnetOptions(program_id=bytes([9]) * 32, rpc_port=0, slot_ms=0))
    await other.start()
    same = Secret(f"{devnet.rpc_url}/?api-key=hunter2")
    gone = Secret("http://127.0.0.1:1/?api-key=hunter2")
    try:
        urls = (same, gone, Secret(other.rpc_url))
        found = await doctor_chain.examine(on(devnet, tmp_path, rpc_urls=urls))
    finally:
        await other.stop()
    marked = marks(found)
    assert [marked[f"RPC {number}"] for number in (2, 3, 4)] == [Mark.GOOD, Mark.WARNING, Mark.GOOD]
    assert marked["RPC clusters"] is Mark.BAD
    assert "hunter2" not in repr(found)
    well = marks(await doctor_chain.examine(on(devnet, tmp_path, rpc_urls=(same,))))
    assert well["RPC 2"] is Mark.GOOD
    assert "RPC clusters" not in well


async def test_another_cluster_program_and_keys(devnet: Devnet, tmp_path: Path) -> None:
    config = on(devnet, tmp_path, cluster="devnet", backend_keypair=Secret(str(ONE)), program_id=str(TWO.pubkey()))
    found = marks(await doctor_chain.examine(config))
    assert {name for name, mark in found.items() if mark is Mark.BAD} == {
        "cluster",
        "program",
        "config account",
        "backend balance",
    }
    assert found["backend key"] is Mark.WARNING
    assert found["admin key"] is Mark.OFF
    wallet = str(devnet.wallets[0].pubkey())
    assert marks(await doctor_chain.examine(on(devnet, tmp_path, program_id=wallet)))["program"] is Mark.BAD


async def test_everything_together_and_its_exit_code(
    devnet: Devnet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with pinning_service() as pinning:
        config = replace(on(devnet, tmp_path), ipfs=Ipfs(kubo_url=pinning.url), alerts=_alerts(pinning.url))
        found = await examine(config)
        away = await doctor_services.examine_services(replace(config, alerts=_alerts("http://127.0.0.1:1")))
    assert show(found) == 0, capsys.readouterr().out
    assert (marks(found)["IPFS"], marks(found)["alerts"]) == (Mark.GOOD, Mark.GOOD)
    assert [each.text for each in away if each.name == "alerts"] == ["number 1 (JSON) of alerts.urls cannot be reached"]
    assert show([*found, Finding(Mark.BAD, "x", "y", "z")]) == 1
    assert "1 wrong" in capsys.readouterr().out


def _alerts(url: str) -> Alerts:
    return Alerts(urls=(Secret(url.replace("http://", "json://")),))


def account(backend: Keypair, admin: Keypair) -> GlobalConfig:
    fields = {name: kind() if kind is not bytes else bytes(32) for name, kind in GlobalConfig.__annotations__.items()}
    return GlobalConfig(**fields)._replace(backend_authority=bytes(backend.pubkey()), admin=bytes(admin.pubkey()))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (Keys(ONE, TWO), [Mark.GOOD, Mark.GOOD]),
        (Keys(TWO, ONE), [Mark.BAD, Mark.BAD]),
        (Keys(None, None), [Mark.BAD, Mark.OFF]),
    ],
)
def test_keys(keys: Keys, expected: list[Mark]) -> None:
    assert [finding.mark for finding in doctor_chain.judge_keys(keys, account(ONE, TWO))] == expected


@pytest.mark.parametrize(
    ("lamports", "expected"),
    [
        (0, Mark.BAD),
        (SOL // 100 - 1, Mark.BAD),
        (SOL // 100, Mark.WARNING),
        (SOL // 10 - 1, Mark.WARNING),
        (SOL // 10, Mark.GOOD),
    ],
)
def test_balances(lamports: int, expected: Mark) -> None:
    assert doctor_chain.judge_balance("balance", ONE, lamports).mark is expected


@pytest.mark.parametrize(
    ("skew_s", "expected"),
    [(0, Mark.GOOD), (30, Mark.GOOD), (-31, Mark.WARNING), (150, Mark.WARNING), (151, Mark.BAD), (-1_000, Mark.BAD)],
)
def test_clocks(skew_s: int, expected: Mark) -> None:
    assert doctor_chain.judge_clock(1_800_000_000 + skew_s, 1_800_000_000).mark is expected


# The machine and the services


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((3, 53, 4), Mark.GOOD),
        ((3, 51, 3), Mark.GOOD),
        ((3, 51, 2), Mark.BAD),
        ((3, 50, 7), Mark.GOOD),
        ((3, 50, 6), Mark.BAD),
        ((3, 44, 6), Mark.GOOD),
        ((3, 45, 0), Mark.BAD),
        ((3, 40, 1), Mark.BAD),
    ],
)
def test_sqlite_versions(version: tuple[int, ...], expected: Mark) -> None:
    assert doctor_machine.judge_sqlite(version).mark is expected


@pytest.mark.parametrize(("median_ms", "expected"), [(0.01, Mark.WARNING), (2.0, Mark.GOOD), (51.0, Mark.WARNING)])
def test_disks(median_ms: float, expected: Mark) -> None:
    assert doctor_machine.judge_fsync(median_ms).mark is expected


URL = "https://node.example/api/webhooks/helius"


@pytest.mark.parametrize(
    ("url", "problems", "expected"),
    [
        (URL, [], Mark.GOOD),
        ("https://node.example/webhooks/events", [], Mark.GOOD),
        (URL, [SWITCHED_OFF], Mark.BAD),
        (URL, ["Its accountAddresses is not as configured."], Mark.WARNING),
        (URL, [f"No webhook delivers to {URL}."], Mark.WARNING),
        ("https://node.example/hook", [], Mark.WARNING),
    ],
)
def test_webhooks(url: str, problems: list[str], expected: Mark) -> None:
    assert doctor_services.judge_webhook(url, problems).mark is expected


async def test_the_webhook_is_asked_for_where_it_is_configured() -> None:
    async with Devnet(LocalnetOptions(bytes([7]) * 32, rpc_port=0, slot_ms=0)) as localnet:
        secret, key = Secret("a secret of the tests"), Secret("a key of the tests")
        helius = Helius(api_url=localnet.rpc_url, webhook_secret=secret, api_key=key, webhook_url=URL)
        config = Config(helius=helius, localnet=Localnet(enabled=False))
        assert await webhook_line(config) == (Mark.WARNING, f"No webhook delivers to {URL}.")
        client = HeliusClient(localnet.rpc_url, key.reveal())
        done = await client.ensure(wanted_webhook(config))
        assert await webhook_line(config) == (Mark.GOOD, f"{URL} is registered")
        localnet.helius.toggle(key.reveal(), done.webhook_id, {"active": False})
        assert await webhook_line(config) == (Mark.BAD, SWITCHED_OFF)
        await client.close()
    assert (await webhook_line(config))[0] is Mark.BAD
    nowhere = replace(config, helius=replace(helius, webhook_url=""))
    assert "by hand" in (await webhook_line(nowhere))[1]
    keyless = replace(config, helius=replace(helius, api_key=Secret()))
    assert "by hand" in (await webhook_line(keyless))[1]


async def webhook_line(config: Config) -> tuple[Mark, str]:
    found = await doctor_services._webhook(config)
    return found.mark, found.text


def test_a_setting_that_is_wrong_is_a_red_line(tmp_path: Path) -> None:
    config = write_config(tmp_path, votes={"interval_s": -1})
    ended = CliRunner().invoke(main, ["--config", str(config), "doctor"])
    assert ended.exit_code == 1
    assert ended.output.startswith("✗ settings")
    assert "votes.interval_s" in ended.output


def test_without_a_cluster_the_keys_are_told_of_all_the_same(tmp_path: Path) -> None:
    config = write_config(tmp_path, chain={"cluster": "devnet", "rpc_url": "http://127.0.0.1:9"})
    ended = CliRunner().invoke(main, ["--config", str(config), "doctor"])
    assert ended.exit_code == 1
    lines = [line.split("  ")[0] for line in ended.output.splitlines()]
    assert "✗ RPC" in lines
    assert "✗ backend key" in lines
