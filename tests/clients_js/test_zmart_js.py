"""static/zmart.js in Node.js: its own tests, run against a real node on a devnet."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.process import node, write_config

HERE = Path(__file__).resolve().parent
TESTS_S = 180
GENEROUS = dict.fromkeys(("address_per_minute", "wallet_per_minute", "auth_per_minute", "drafts_per_hour"), 10_000)


@pytest.mark.external
def test_the_client_does_what_it_says(tmp_path: Path, external_tool: Callable[[str], str]) -> None:
    javascript = external_tool("node")
    config = write_config(tmp_path, limits=GENEROUS, log={"level": "ERROR"}, push={"connections_per_address": 100})
    with node(config) as process:
        ended = subprocess.run(
            # Node.js 20 has WebSocket behind this switch, later ones always.
            [
                javascript,
                "--experimental-websocket",
                "--no-warnings",
                "--test",
                *map(str, sorted(HERE.glob("*.test.mjs"))),
            ],
            env={"ZMART_URL": process.url, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=TESTS_S,
            check=False,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
