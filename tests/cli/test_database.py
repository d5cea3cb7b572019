"""``zmart-lite db``: beside a running node, without one, and the round trip of a node through a copy."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from tests.cli.process import Process, node, run, write_config
from tests.cli.test_serve import _voted_market

ADMIN = str(Keypair.from_seed(bytes([9]) * 32).pubkey())


def votes_of(running: Process, market_id: str) -> int:
    return int(running.get(f"/api/votes/{market_id}")["proposal_votes"]["likes"])


def job_of(running: Process, name: str) -> Any:
    return next(job for job in running.get("/status")["jobs"] if job["name"] == name)


async def test_a_node_comes_back_from_its_copy_and_catches_up_with_the_chain(tmp_path: Path) -> None:
    limits = {"auth_per_minute": 1_000, "address_per_minute": 100_000}
    config = write_config(tmp_path, auth={"admin_wallets": [ADMIN]}, votes={"interval_s": 3600}, limits=limits)
    command = ("--config", str(config), "db")
    with node(config) as running:
        market_id, votes = await _voted_market(running)
        made = run(*command, "backup", "--url", running.url, cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        packed = Path(made.stdout.strip())
        assert packed.parent == tmp_path / "data" / "backups"
        later, _ = await _voted_market(running)
        for words in (("restore", packed.name, "--yes"), ("check",)):
            refused = run(*command, *words, cwd=tmp_path)
            assert refused.returncode == 1
            assert "Traceback" not in refused.stderr
        checked = run(*command, "check", packed.name, cwd=tmp_path).stdout
        assert checked.startswith("Sound: schema version ")
        assert ", 1 markets" in checked
        assert running.stop() == 0
    restored = run(*command, "restore", packed.name, "--yes", cwd=tmp_path)
    assert restored.returncode == 0, restored.stderr
    assert "zmart.db.replaced-" in restored.stdout
    assert run(*command, "check", cwd=tmp_path).returncode == 0
    restored_at = datetime.now(UTC).isoformat()
    with node(config) as running:
        assert votes_of(running, market_id) == votes
        # Made on chain after the copy: only reading the chain can bring it back.
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and "state" not in running.get(f"/api/markets/{later}"):
            pass
        assert running.get(f"/api/markets/{later}")["state"] == "PROPOSED"
        assert votes_of(running, later) == 0
        while not (reconciled := job_of(running, "reconcile"))["last_finished_at"] and time.monotonic() < deadline:
            pass
        assert (reconciled["last_result"], reconciled["last_finished_at"] > restored_at) == ("ok", True)
        assert running.stop() == 0


@pytest.mark.parametrize("words", [("backup",), ("check",)])
def test_without_a_database_it_says_so(tmp_path: Path, words: tuple[str, ...]) -> None:
    config = write_config(tmp_path)
    ended = run("--config", str(config), "db", *words, cwd=tmp_path)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "There is no database" in ended.stderr


async def test_without_a_node_it_works_directly(tmp_path: Path) -> None:
    config = write_config(tmp_path, backup={"dir": str(tmp_path / "elsewhere"), "keep": 2})
    with node(config) as running:
        made = run("--config", str(config), "db", "backup", "--url", running.url, cwd=tmp_path)
        assert made.stdout.startswith(f"{tmp_path}/elsewhere/zmart-"), made.stderr
        running.kill()
    for _ in range(3):
        assert run("--config", str(config), "db", "backup", cwd=tmp_path).returncode == 0
    files = sorted(path.name for path in (tmp_path / "elsewhere").iterdir())
    assert len(files) == 2
    missing = run("--config", str(config), "db", "restore", "nothing.db.gz", "--yes", cwd=tmp_path)
    assert missing.returncode == 1
    assert files[-1] in missing.stderr


def test_postgres_has_its_own_tools(tmp_path: Path) -> None:
    config = write_config(tmp_path, store={"dsn": "postgresql://user@host/name"})
    ended = run("--config", str(config), "db", "backup", cwd=tmp_path)
    assert ended.returncode == 1
    assert "pg_dump" in ended.stderr
