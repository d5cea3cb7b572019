"""``job`` and ``alerts test``, beside a running node and without one."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner
from solders.keypair import Keypair

from tests.cli.process import node, run, write_config
from zmart_lite.cli import main


def test_jobs_are_paused_and_run_through_the_node_or_in_its_database(tmp_path: Path) -> None:
    config = write_config(tmp_path, auth={"admin_wallets": [str(Keypair().pubkey())]})

    def job(*arguments: str, code: int = 0) -> str:
        ended = CliRunner().invoke(main, ["--config", str(config), "job", *arguments])
        assert ended.exit_code == code, ended.output
        return ended.output

    with node(config) as process:
        at = ("--url", process.url)
        assert job("pause", "prune", *at) == "prune: paused\n"
        lines = {line.split()[0]: line for line in job("list", *at).splitlines()}
        assert set(lines) >= {"aggregate", "monitor", "poll", "reconcile", "backup", "prune", "alerts"}
        assert lines["prune"].split()[1] == "paused"
        assert job("run", "prune", *at).endswith("prune: found 0, done 0, failed 0, left 0\n")
        assert process.stop() == 0
    lines = {line.split()[0]: line for line in job("list").splitlines()}
    assert lines["prune"].split()[1] == "paused"
    assert job("resume", "prune") == "prune: resumed\n"
    assert "paused" not in job("list")
    assert "monitor: found 0, done 0, failed 0, left 0" in job("run", "monitor")
    assert "ok" in next(line for line in job("list").splitlines() if line.startswith("monitor"))


@contextmanager
def mailbox(bodies: list[dict[str, object]], status: int) -> Iterator[int]:
    """A web hook's port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_test_message_reaches_every_target_or_the_exit_code_says_so(tmp_path: Path) -> None:
    taken: list[dict[str, object]] = []
    refused: list[dict[str, object]] = []
    with mailbox(taken, 200) as good, mailbox(refused, 500) as bad:
        urls = [f"json://127.0.0.1:{good}/secret-path", f"json://127.0.0.1:{bad}/secret-path"]
        config = write_config(tmp_path, alerts={"urls": urls})
        ended = run("--config", str(config), "alerts", "test", cwd=tmp_path)
        assert ended.returncode == 1
        assert ended.stdout.splitlines() == ["✓ 1 (JSON)", "✗ 2 (JSON)"]
        config = write_config(tmp_path, alerts={"urls": urls[:1]})
        assert run("--config", str(config), "alerts", "test", cwd=tmp_path).returncode == 0
    assert "secret-path" not in ended.stdout + ended.stderr
    assert taken[0]["title"] == "[TEST] zmart-lite on localnet"


def test_without_targets_it_says_that_nobody_is_told(tmp_path: Path) -> None:
    ended = run("--config", str(write_config(tmp_path)), "alerts", "test", cwd=tmp_path)
    assert ended.returncode == 1
    assert "nobody is told" in ended.stdout
