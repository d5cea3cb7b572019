"""``status``, ``version`` and ``completion``; and what ``config check`` says beside it."""

import json
from pathlib import Path

from click.testing import CliRunner

from tests.cli.process import node, write_config
from zmart_lite import __version__
from zmart_lite.cli import main
from zmart_lite.cli.watching import lines


def test_status_shows_the_node_that_runs_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    config, other = write_config(tmp_path), write_config(tmp_path / "elsewhere")
    none = CliRunner().invoke(main, ["--config", str(other), "status"])
    assert (none.exit_code, "No node runs" in none.output) == (1, True)
    with node(config) as process:
        for settings in (config, other):
            shown = CliRunner().invoke(main, ["--config", str(settings), "status"])
            assert shown.exit_code == 0, shown.output
            assert process.url in shown.output
            assert "slots" in shown.output
        found = json.loads(CliRunner().invoke(main, ["status", "--json", "--url", process.url]).output)
        assert found["service"] == "zmart-lite"
        jobs = CliRunner().invoke(main, ["--config", str(other), "job", "list"])
        assert "prune" in jobs.output
        found |= {"unwell": [{"service": "database", "status": "error", "reason": "the disk is full"}]}
        found["jobs"][0] |= {"paused": True}
        found["breakers"] = [{"name": "ipfs", "state": "open"}]
        told = "\n".join(lines(process.url, found))
        for part in ("the disk is full", f"job {found['jobs'][0]['name']}", "breaker ipfs is open"):
            assert part in told


def test_version_and_completion() -> None:
    assert json.loads(CliRunner().invoke(main, ["version", "--json"]).output)["zmart-lite"] == __version__
    for shell in ("bash", "zsh", "fish"):
        made = CliRunner().invoke(main, ["completion", shell])
        assert "_ZMART_LITE_COMPLETE" in made.output
    assert "Did you mean" in CliRunner().invoke(main, ["statsu"]).output


def test_what_is_impossible_is_said_before_the_start(tmp_path: Path) -> None:
    config = write_config(tmp_path, server={"host": "0.0.0.0"})
    for words in (("config", "check"), ("doctor",)):
        ended = CliRunner().invoke(main, ["--config", str(config), *words])
        assert "server.public_url is not set" in ended.output


def test_a_damaged_queue_of_jobs_is_made_anew(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    queue = tmp_path / "data" / "jobs.db"
    queue.parent.mkdir()
    queue.write_bytes(bytes(range(256)) * 20)
    with node(config) as process:
        assert process.get("/health")["service"] == "zmart-lite"
        assert process.stop() == 0
    assert queue.read_bytes()[:15] == b"SQLite format 3"
