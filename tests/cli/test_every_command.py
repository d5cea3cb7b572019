"""Every command and option, right and wrong, wherever it may be called: an exit code and a sentence, never a traceback;
and nothing is made by a command that looks or repairs.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tests.cli.process import Process, node, write_config
from zmart_lite.cli import main

RUN_FOR_EVER = ("serve", "dev", "demo", "selftest", "localnet", "simulate")
"""Commands that start a node or a devnet: they are asked for their help, and for nonsense."""
MAKE = ("backfill",)
"""Commands that may begin a database, besides those."""
TALK = ("webhook", "alerts")
ARGUMENTS = {
    "market_id": ("ab" * 32, "xyz", "-1"),
    "name": ("prune", "none", ""),
    "duration": ("1s", "-1h", "soon", "999999999999w"),
    "wallet": ("4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi", "me", "-5"),
    "sol": ("1", "-5", "nan", "1e99", "much"),
    "snapshot_id": ("1", "-1", "first"),
    "webhook_id": ("none",),
    "shell": ("bash", "powershell", "-1"),
    "path": ("none/there", "/", "/proc/self/mem"),
    "file": ("none", "/", "/proc/self/mem", "zmart.toml"),
}
OPTIONS = {
    "--url": ("http://127.0.0.1:9", "nowhere", "http://127.0.0.1:99999", "ftp://x", "http://[::1", "-"),
    "--limit": ("1", "0", "-1", "x"),
    "--from-slot": ("0", "-1", "99999999999999999999", "x"),
    "--to": ("next-transition", "2030-01-01", "2030-01-01T00:00:00+02:00", "-5", "1", "yesterday", "9" * 30),
}


ENDLESS = ("--help", "--watch")
"""Options that end otherwise, or not at all."""


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from leaves(child, (*path, name))


LEAVES = dict(leaves(main))


def calls(path: tuple[str, ...], command: click.Command) -> Iterator[tuple[str, ...]]:
    """Each argument in each way beside a good one of the others, and each option in each way."""
    positional = [part for part in command.params if isinstance(part, click.Argument)]
    good = [_values(part)[0] for part in positional]
    required = [
        word
        for part in command.params
        if isinstance(part, click.Option) and part.required
        for word in (part.opts[0], OPTIONS[part.opts[0]][0])
    ]
    yield (*path, *good, *required)
    yield path
    yield (*path, "--no-such-option")
    yield (*path, *good, *required, "one", "too", "many")
    for place, part in enumerate(positional):
        for value in _values(part):
            yield (*path, *good[:place], value, *good[place + 1 :], *required)
    for part in command.params:
        if isinstance(part, click.Option) and part.opts[0] not in ENDLESS:
            for values in ((),) if part.is_flag else ((value,) for value in _options(part)):
                yield (*path, *good, *required, part.opts[0], *values)


def _values(part: click.Argument) -> tuple[str, ...]:
    assert part.name in ARGUMENTS, f"give the argument {part.name} values to be tried with"
    return ARGUMENTS[part.name]


def _options(part: click.Option) -> tuple[str, ...]:
    assert part.opts[0] in OPTIONS, f"give the option {part.opts[0]} values to be tried with"
    return OPTIONS[part.opts[0]]


def called(config: Path, words: tuple[str, ...]) -> Result:
    """One call. Whatever ends it, it is an exit code and at most a few lines that say why."""
    answer = "y\n" if "restore" in words else None
    ended = CliRunner().invoke(main, ["--config", str(config), *words], input=answer)
    assert ended.exception is None or isinstance(ended.exception, SystemExit), (words, repr(ended.exception))
    assert "Traceback" not in ended.output, (words, ended.output)
    assert "a mistake in zmart-lite" not in ended.output, (words, ended.output)
    assert ended.exit_code in (0, 1, 2), (words, ended.exit_code)
    if ended.exit_code:
        assert ended.output.strip(), words
    return ended


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


SAFE = {path: command for path, command in LEAVES.items() if path[0] not in RUN_FOR_EVER}


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_its_help_says_what_it_does(path: tuple[str, ...]) -> None:
    ended = CliRunner().invoke(main, [*path, "--help"])
    assert ended.exit_code == 0
    described = ended.output.partition("\n\n")[2].strip()
    assert described[:1].isupper()
    assert CliRunner().invoke(main, [*path, "--no-such-option"]).exit_code == 2


@pytest.mark.parametrize("path", SAFE, ids=" ".join)
def test_without_a_node_and_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...]) -> None:
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path)
    before = files_in(tmp_path)
    for words in calls(path, SAFE[path]):
        called(config, words)
        assert path[0] in MAKE or files_in(tmp_path) == before, words


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Process]]:
    os.environ["XDG_RUNTIME_DIR"] = str(tmp_path_factory.mktemp("runtime"))
    config = write_config(tmp_path_factory.mktemp("served"), limits={"address_per_minute": 100_000})
    with node(config) as process:
        yield config, process


@pytest.mark.parametrize("path", [path for path in SAFE if path[0] not in TALK], ids=" ".join)
def test_beside_a_node(served: tuple[Path, Process], path: tuple[str, ...]) -> None:
    config, process = served
    for words in calls(path, SAFE[path]):
        called(config, words)
    assert process.popen.poll() is None
    assert process.get("/health")["status"] != "unhealthy"
