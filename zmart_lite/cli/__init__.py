"""The command line: alone reads arguments, prints, exits, and starts the embedded devnet beside the node.

What a command needs is imported when it is called: ``zmart-lite --version`` reads neither the node nor its libraries.
"""

import os
import sys
from pathlib import Path

import click

from zmart_lite import __version__
from zmart_lite.cli.parts import PartedCommands
from zmart_lite.cli.top import load_config

PRIVATE = 0o077
"""The umask: files 0600, folders 0700."""


@click.group(cls=PartedCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zmart-lite")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file (default: zmart.toml in this folder, if there is one).",
)
@click.pass_context
def main(ctx: click.Context, config_path: Path | None) -> None:
    """The off-chain side of the ZMART prediction-market protocol, in one process."""
    # Whatever is made, by our code or a library's: the data holds nonces, addresses, signed transactions.
    os.umask(PRIVATE)
    ctx.obj = config_path


@main.command()
@click.pass_obj
def serve(config_path: Path | None) -> None:
    """Run the node; with chain.cluster = "localnet", the embedded devnet beside it."""
    from zmart_lite.cli import serving

    serving.serve(load_config(config_path))


@main.command()
@click.option("--empty", is_flag=True, help="Start without the demo markets.")
@click.pass_obj
def dev(config_path: Path | None, empty: bool) -> None:
    """Run the node on a fresh devnet with demo markets in every state; nothing is kept."""
    from zmart_lite.cli import playing

    playing.dev(load_config(config_path), empty=empty)


@main.command()
@click.pass_obj
def demo(config_path: Path | None) -> None:
    """Play a market's whole life in under a minute, and check every figure at the end."""
    from zmart_lite.cli import playing

    sys.exit(playing.demo(load_config(config_path)))


@main.command()
@click.pass_obj
def selftest(config_path: Path | None) -> None:
    """Boot everything on free ports, take one market from its creation to a claim, and exit 0."""
    from zmart_lite.cli import playing

    sys.exit(playing.selftest(load_config(config_path)))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def version(as_json: bool) -> None:
    """Print the version, and those of Python and SQLite beside it."""
    import json
    import platform

    from pysqlite3 import dbapi2 as sqlite

    found = {"zmart-lite": __version__, "python": platform.python_version(), "sqlite": sqlite.sqlite_version}
    click.echo(json.dumps(found) if as_json else "\n".join(f"{name} {value}" for name, value in found.items()))


@main.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print what makes a shell complete the commands: zmart-lite completion bash >> ~/.bashrc"""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - one of the three above
    click.echo(found(main, {}, "zmart-lite", "_ZMART_LITE_COMPLETE").source())


@main.group()
def config() -> None:
    """Look at the settings."""


@config.command("show")
@click.pass_obj
def show_config(config_path: Path | None) -> None:
    """Print the settings in force; secrets are masked."""
    from zmart_lite.config import to_plain_toml

    click.echo(to_plain_toml(load_config(config_path)), nl=False)


@config.command("check")
@click.pass_obj
def check_config(config_path: Path | None) -> None:
    """Say whether the settings are usable, without starting anything."""
    from zmart_lite.config import cautions

    found = cautions(load_config(config_path))
    for sentence in found:
        click.echo(f"{click.style('!', fg='yellow', bold=True)} {sentence}")
    click.echo(f"The configuration can be used; {len(found)} to look at." if found else "The configuration is fine.")


@config.command("defaults")
def default_config() -> None:
    """Print a zmart.toml with every setting, its default and what it means."""
    from zmart_lite.config import Config, to_toml

    click.echo(to_toml(Config()), nl=False)
