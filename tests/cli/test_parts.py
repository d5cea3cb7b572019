"""The table of commands is whole, and what needs no node imports none."""

import subprocess
import sys
from importlib import import_module

import click
import pytest

from zmart_lite import __version__
from zmart_lite.cli import main
from zmart_lite.cli.parts import PARTS, PartedCommands
from zmart_lite.cli.top import load_config

HEAVY = ("solders", "starlette", "httpx", "msgspec", "pysqlite3", "zmart_lite.config", "zmart_lite.app")
OWN = {"completion", "version", "config", "demo", "dev", "selftest", "serve"}
"""Commands that stand in the command line's own module."""


def test_the_table_names_each_command_that_its_modules_add() -> None:
    group = click.Group()
    for part in PARTS:
        import_module(f"zmart_lite.cli.{part}").add_commands(group, load_config)
    assert {name for names in PARTS.values() for name in names} == set(group.commands)
    assert set(main.list_commands(click.Context(main))) == set(group.commands) | OWN


@pytest.mark.parametrize("name", sorted({name for names in PARTS.values() for name in names}))
def test_each_command_is_found_first_of_all(name: str) -> None:
    group = PartedCommands()
    found = group.get_command(click.Context(group), name)
    assert found is not None
    assert found.get_short_help_str()


def test_the_version_is_told_without_the_node_and_its_libraries() -> None:
    code = (
        "import sys; sys.argv = ['zmart-lite', '--version']\n"
        "from zmart_lite.cli import main\n"
        "try: main()\n"
        f"finally: print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == [f"zmart-lite, version {__version__}", "[]"]
