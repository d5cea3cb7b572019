"""The command line: alone reads arguments, prints, exits, and starts the embedded devnet beside the node."""

import sys
from pathlib import Path

import click

from zmart_lite import __version__
from zmart_lite.cli import chain, database, devnet, doctor, operating, playing, serving
from zmart_lite.cli.top import Commands, load_config
from zmart_lite.config import Config, to_plain_toml, to_toml


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
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
    ctx.obj = config_path


@main.command()
@click.pass_obj
def serve(config_path: Path | None) -> None:
    """Run the node; with chain.cluster = "localnet", the embedded devnet beside it."""
    serving.serve(load_config(config_path))


@main.command()
@click.option("--empty", is_flag=True, help="Start without the demo markets.")
@click.pass_obj
def dev(config_path: Path | None, empty: bool) -> None:
    """Run the node on a fresh devnet with demo markets in every state; nothing is kept."""
    playing.dev(load_config(config_path), empty=empty)


@main.command()
@click.pass_obj
def demo(config_path: Path | None) -> None:
    """Play a market's whole life in under a minute, and check every figure at the end."""
    sys.exit(playing.demo(load_config(config_path)))


@main.command()
@click.pass_obj
def selftest(config_path: Path | None) -> None:
    """Boot everything on free ports, take one market from its creation to a claim, and exit 0."""
    sys.exit(playing.selftest(load_config(config_path)))


@main.group()
def config() -> None:
    """Look at the settings."""


@config.command("show")
@click.pass_obj
def show_config(config_path: Path | None) -> None:
    """Print the settings in force; secrets are masked."""
    click.echo(to_plain_toml(load_config(config_path)), nl=False)


@config.command("check")
@click.pass_obj
def check_config(config_path: Path | None) -> None:
    """Say whether the settings are usable, without starting anything."""
    load_config(config_path)
    click.echo("The configuration is fine.")


@config.command("defaults")
def default_config() -> None:
    """Print a zmart.toml with every setting, its default and what it means."""
    click.echo(to_toml(Config()), nl=False)


database.add_commands(main, load_config)
chain.add_commands(main, load_config)
devnet.add_commands(main, load_config)
doctor.add_commands(main, load_config)
operating.add_commands(main, load_config)
