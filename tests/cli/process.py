"""The node as a process of its own, started and stopped as a person or systemd would."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import httpx

START_S = 60
STOP_S = 5
"""The contract of a clean stop, open streams or not."""


def write_config(folder: Path, **sections: dict[str, Any]) -> Path:
    """A zmart.toml in ``folder`` on free ports, with these settings besides."""
    settings: dict[str, dict[str, Any]] = {
        "server": {"port": 0, "ws_port": 0},
        "localnet": {"port": 0, "slot_ms": 50},
        "store": {"dir": str(folder / "data")},
    }
    for section, values in sections.items():
        settings[section] = settings.get(section, {}) | values
    lines = []
    for section, values in settings.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {_toml(value)}" for name, value in values.items()]
    path = folder / "zmart.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    return repr(value) if isinstance(value, int) else '"' + str(value) + '"'


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "zmart_lite", *arguments]


def run(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ZMART_")}
    clean["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    return subprocess.run(
        command(*arguments), cwd=cwd, env=clean | environ, capture_output=True, text=True, timeout=START_S, check=False
    )


class Process:
    """A running node."""

    def __init__(self, popen: subprocess.Popen[str], lines: list[str]) -> None:
        self.popen = popen
        self.lines = lines
        self.url = self._found("Page")
        self.rpc_url = self._found("RPC").split()[0]

    def _found(self, label: str) -> str:
        line = next(line for line in self.lines if line.strip().startswith(label + " "))
        return line.strip().removeprefix(label).strip()

    def stop(self) -> int:
        """SIGTERM, and the exit code; TimeoutExpired if it takes longer than promised."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(STOP_S)

    def kill(self) -> None:
        """As a power cut would, for the process."""
        self.popen.kill()
        self.popen.wait(STOP_S)

    def get(self, path: str) -> Any:
        return httpx.get(self.url + path, timeout=10).json()


@contextmanager
def node(config: Path, *arguments: str) -> Iterator[Process]:
    """``zmart-lite serve`` (or what ``arguments`` say), from its banner on; killed at the end if it still runs."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ZMART_")}
    clean["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    # A file: the log of many requests would fill a pipe that nobody reads, and the node wait for ever.
    with TemporaryFile("w+") as log:
        popen = subprocess.Popen(
            command("--config", str(config), *(arguments or ("serve",))),
            cwd=config.parent,
            env=clean,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            yield Process(popen, _banner(popen, log))
        finally:
            if popen.poll() is None:
                popen.kill()
            popen.communicate()


def _banner(popen: subprocess.Popen[str], log: IO[str]) -> list[str]:
    """The lines up to the end of the banner."""
    lines: list[str] = []
    assert popen.stdout is not None
    for line in popen.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith("Stop with"):
            return lines
    popen.wait()
    log.seek(0)
    raise AssertionError(f"the node ended: {log.read()}")
