"""Imports go one way: a module may import what stands left of it, never a sibling across a bar."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "zmart_lite"
NAME = PACKAGE.name

# Rooms of one inner tuple may import each other; the tuples of one level are siblings that may not.
LEVELS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("", "errors", "models", "resources"),),
    (("config", "rules", "codec", "drafts", "ops", "logs"),),
    (("chain",), ("store",), ("push",), ("ipfs",), ("localnet",)),
    (("indexer",),),
    (("jobs",), ("api",)),
    (("app",), ("demo",)),
    (("cli", "__main__"),),
)
PLACES = {
    room: (level, group) for level, groups in enumerate(LEVELS) for group, rooms in enumerate(groups) for room in rooms
}
LOCALNET_USERS = frozenset({"localnet", "cli"})


def room_of(module: str) -> str:
    """``zmart_lite.store.votes`` stands in the room ``store``; the package itself in the room without a name."""
    return module.removeprefix(NAME).removeprefix(".").split(".")[0]


def allowed(importer: str, imported: str) -> bool:
    if imported == "localnet" and importer not in LOCALNET_USERS:
        return False
    (level, group), (other_level, other_group) = PLACES[importer], PLACES[imported]
    return other_level < level or (other_level, other_group) == (level, group)


def imports(source: str, module: str, *, is_package: bool) -> Iterator[str]:
    """The modules of this package that ``source`` imports, anywhere in it, also for type checking only."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == NAME)
        elif isinstance(node, ast.ImportFrom):
            yield from _imported_from(node, module, is_package=is_package)


def _imported_from(node: ast.ImportFrom, module: str, *, is_package: bool) -> Iterator[str]:
    base = node.module or ""
    if node.level:
        parts = module.split(".")
        here = parts[: len(parts) - node.level + is_package]
        base = ".".join([*here, base] if base else here)
    if base == NAME:
        # `from zmart_lite import store` names a room, `from zmart_lite import __version__` does not.
        yield from (f"{NAME}.{alias.name}" if alias.name in PLACES else NAME for alias in node.names)
    elif base.split(".")[0] == NAME:
        yield base


def modules() -> Iterator[tuple[Path, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield path, ".".join([NAME, *(part for part in parts if part != "__init__")])


@pytest.mark.parametrize(("path", "module"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_only_what_stands_left(path: Path, module: str) -> None:
    room = room_of(module)
    assert room in PLACES, f"{module}: give the room {room!r} a level in {Path(__file__).name}"
    found = imports(path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py")
    wrong = sorted({name for name in found if not allowed(room, room_of(name))})
    assert not wrong, f"{module} must not import {', '.join(wrong)}"


@pytest.mark.parametrize(
    ("importer", "imported", "expected"),
    [
        ("store", "errors", True),
        ("store", "store", True),
        ("store", "push", False),
        ("errors", "config", False),
        ("indexer", "chain", True),
        ("jobs", "api", False),
        ("app", "demo", False),
        ("app", "localnet", False),
        ("api", "localnet", False),
        ("cli", "localnet", True),
        ("logs", "config", True),
    ],
)
def test_the_order_itself(importer: str, imported: str, expected: bool) -> None:
    assert allowed(importer, imported) is expected


def test_every_form_of_import_is_seen() -> None:
    source = """
import zmart_lite.store.db
from zmart_lite import push, __version__
from zmart_lite.api.errors import table
from . import votes
from .. import rules
from ..chain import tx
def later():
    from zmart_lite.jobs import monitor
"""
    found = set(imports(source, "zmart_lite.store.events", is_package=False))
    assert found == {
        "zmart_lite.store.db",
        "zmart_lite.push",
        "zmart_lite",
        "zmart_lite.api.errors",
        "zmart_lite.store",
        "zmart_lite.rules",
        "zmart_lite.chain",
        "zmart_lite.jobs",
    }
