"""The outermost part of the command line: every failure becomes one sentence and an exit code.

What an exception of Python's or a library's says is never printed: it may quote a setting, and settings hold keys.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zmart_lite.cli.values import Command
from zmart_lite.errors import ZmartError

if TYPE_CHECKING:
    from zmart_lite.config import Config

DEFAULT_FILE = Path("zmart.toml")
HIDDEN = "zmart_lite.hidden"
"""Where the context keeps the texts that no message may hold."""


class Group(click.Group):
    """A group of commands that take negative numbers as values."""

    command_class = Command


class Commands(Group):
    """Turns errors into one line each and the exit code 1. One that is not the package's own is a bug: its kind and
    its place are told, which is what a report of it needs.
    """

    group_class = Group

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except ZmartError as error:
            message = error.message
        except OSError as error:
            message = explained(error)
        except Exception as error:  # noqa: BLE001 - the last one who could catch it
            message = located(error)
        click.secho(f"zmart-lite: {masked(message, ctx.meta.get(HIDDEN, ()))}", fg="red", err=True)
        sys.exit(1)


def load_config(path: Path | None) -> "Config":
    """The configuration from ``--config``, else from zmart.toml in this folder if there is one."""
    from zmart_lite.config import hidden_texts, load

    if path is None and os.path.lexists(DEFAULT_FILE):
        path = DEFAULT_FILE
    config = load(path, os.environ)
    click.get_current_context().meta[HIDDEN] = hidden_texts(config)
    return config


def masked(text: str, hidden: Sequence[str]) -> str:
    from zmart_lite.logs import MASK

    for each in hidden:
        text = text.replace(each, MASK)
    return text


def explained(error: OSError) -> str:
    """What the system says, and of which file, if there is one of that name: anything else may be a mistyped key."""
    said = error.strerror or type(error).__name__
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    is_path = bool(name) and (os.path.lexists(name) or os.path.lexists(str(Path(name).parent)))
    return f"{name}: {said}." if is_path else f"{said} ({located(error)})"


def located(error: BaseException) -> str:
    """The kind of an unexpected error, and the innermost place of ours that it came from."""
    package = Path(__file__).resolve().parents[1]
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(package)]
    where = ours[-1] if ours else frames[-1]
    file = Path(where.filename)
    shown = file.relative_to(package) if file.is_relative_to(package) else file.name
    return (
        f"{type(error).__name__} in {shown}, line {where.lineno} ({where.name}): a mistake in zmart-lite. Please report"
        " this line; it holds none of your settings."
    )
