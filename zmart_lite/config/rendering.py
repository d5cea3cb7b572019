"""The configuration shown to people, secrets masked: as a commented zmart.toml, or as names and values for a log."""

from typing import Any

from zmart_lite.config.environment import aliases_of
from zmart_lite.config.settings import Config, rows
from zmart_lite.config.values import Row, Secret

HEAD = (
    "# Every setting of zmart-lite with its default. A missing one keeps its default, an unknown one stops the start.",
    "# ZMART_SECTION_KEY in the environment wins over this file, and so do the older names given after 'also'.",
)


def as_dict(config: Config) -> dict[str, Any]:
    """``{section.key: value}`` with secrets masked, for logs and the doctor."""
    return {name: _plain(_value(config, row)) for name, row in rows().items()}


def to_toml(config: Config) -> str:
    """The configuration as a commented zmart.toml, secrets masked. The defaults give the file in the repository."""
    lines = list(HEAD)
    section = ""
    for row in rows().values():
        if row.section != section:
            section = row.section
            lines += ["", f"# {type(getattr(config, section)).__doc__}", f"[{section}]"]
        lines += [*_remarks(row), f"{row.key} = {_toml(_plain(_value(config, row)))}"]
    return "\n".join(lines) + "\n"


def to_plain_toml(config: Config) -> str:
    """The settings in force without a word about them, secrets masked."""
    lines: list[str] = []
    for row in rows().values():
        if (head := f"[{row.section}]") not in lines:
            lines += ["", head]
        lines.append(f"{row.key} = {_toml(_plain(_value(config, row)))}")
    return "\n".join(lines[1:]) + "\n"


def _remarks(row: Row) -> list[str]:
    parts = [row.help]
    if row.low is not None and row.high is not None:
        parts.append(f"{row.low} to {row.high}.")
    if row.choices:
        parts.append(f"One of {', '.join(row.choices)}.")
    remarks = [f"# {' '.join(parts)}"]
    if also := ", ".join(alias.variable for alias in aliases_of(row.name)):
        remarks.append(f"# also {also}")
    return remarks


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(_toml(entry) for entry in value)}]"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Secret) else value


def _value(config: Config, row: Row) -> Any:
    return getattr(getattr(config, row.section), row.key)
