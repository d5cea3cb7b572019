"""Imports go one way: a module may import what stands left of it, never a sibling across a bar."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "zmart_lite"
NAME = PACKAGE.name

# Rooms of one inner tuple may import each other; the tuples of one level are siblings that may not.
LEVELS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("", "errors", "models", "resources"),),
    (("config", "rules", "codec", "drafts", "ops", "logs", "shown", "initial"),),
    (("chain",), ("store",), ("push",), ("ipfs",), ("localnet",)),
    (("indexer",),),
    (("jobs",), ("api",)),
    (("app",), ("demo",)),
    (("simulation",),),
    (("cli", "__main__"),),
)
# The same within a room that has rooms of its own: its files and folders, from the ground up.
INNER: dict[str, tuple[tuple[tuple[str, ...], ...], ...]] = {
    "api": (
        (("context",),),
        (("http",),),
        (("contract",),),
        (("identity",), ("openapi",)),
        (("live",),),
        (("routes",),),
        (("answers", "instance", "checks", "middleware", "application", ""),),
    ),
    "store": (
        (("engine",),),
        (("log",),),
        (("state",),),
        (("views",),),
        (("publishing",),),
        (("",),),
    ),
}
LOCALNET_USERS = frozenset({"localnet", "simulation", "cli"})

Places = dict[str, tuple[int, int]]


def _places(levels: tuple[tuple[tuple[str, ...], ...], ...]) -> Places:
    return {
        room: (level, group)
        for level, groups in enumerate(levels)
        for group, rooms in enumerate(groups)
        for room in rooms
    }


PLACES = _places(LEVELS)
INNER_PLACES = {room: _places(levels) for room, levels in INNER.items()}


def rooms_of(module: str) -> tuple[str, str]:
    """``zmart_lite.store.state.votes`` stands in the room ``store``, there in ``state``; what is left of both is ''."""
    parts = [*module.removeprefix(NAME).removeprefix(".").split("."), ""]
    return parts[0], parts[1]


def room_of(module: str) -> str:
    return rooms_of(module)[0]


def allowed(importer: str, imported: str) -> bool:
    """By modules, whole or as ``room.inner``."""
    (room, inner), (other, other_inner) = rooms_of(importer), rooms_of(imported)
    if other == "localnet" and room not in LOCALNET_USERS:
        return False
    if room == other and room in INNER:
        return _is_below(INNER_PLACES[room], inner, other_inner)
    return _is_below(PLACES, room, other)


def _is_below(places: Places, importer: str, imported: str) -> bool:
    (level, group), (other_level, other_group) = places[importer], places[imported]
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
    room, inner = rooms_of(module)
    assert room in PLACES, f"{module}: give the room {room!r} a level in {Path(__file__).name}"
    assert room not in INNER or inner in INNER_PLACES[room], f"{module}: give {inner!r} a place within {room!r}"
    found = imports(path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py")
    wrong = sorted({name for name in found if not allowed(module, name)})
    assert not wrong, f"{module} must not import {', '.join(wrong)}"


def test_no_circle_of_files() -> None:
    """Names that are imported for type checking only count like any other."""
    files = {module: path for path, module in modules()}
    graph = {module: _files_imported(path, module, files) for module, path in files.items()}
    assert not circle_in(graph)


def _files_imported(path: Path, module: str, files: dict[str, Path]) -> set[str]:
    """Modules by file: ``from room import name`` means the file ``room/name.py`` if there is one."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom) and node.module in files:
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= named & files.keys()
            if named - files.keys():
                found.add(str(node.module))
    return found - {module}


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """Modules of which each imports the next, and the last the first; empty without a circle."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_a_circle_is_seen() -> None:
    assert set(circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()})) == {"b", "c"}
    assert not circle_in({"a": {"b"}, "b": {"c"}, "c": set()})


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=lambda path: path.parent.name)
def test_each_room_says_what_belongs_there(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path.parent.name}/ has no docstring"


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
        ("store.state.votes", "store.engine.db", True),
        ("store.state.votes", "store.views.rows", False),
        ("api.contract.pages", "api.routes.votes", False),
        ("api.identity.auth", "api.openapi.texts", False),
        ("api.routes.votes", "store.views.rows", True),
    ],
)
def test_the_order_itself(importer: str, imported: str, expected: bool) -> None:
    assert allowed(importer, imported) is expected


def test_every_form_of_import_is_seen() -> None:
    source = """
import zmart_lite.store.engine.db
from zmart_lite import push, __version__
from zmart_lite.api.contract.errors import table
from . import votes
from .. import rules
from ..chain import tx
def later():
    from zmart_lite.jobs import monitor
"""
    found = set(imports(source, "zmart_lite.store.events", is_package=False))
    assert found == {
        "zmart_lite.store.engine.db",
        "zmart_lite.push",
        "zmart_lite",
        "zmart_lite.api.contract.errors",
        "zmart_lite.store",
        "zmart_lite.rules",
        "zmart_lite.chain",
        "zmart_lite.jobs",
    }
