"""The route table: a tree of path segments, literal ones before ``{name}``, an Endpoint per method at each end."""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from zmart_lite.api.contract.endpoints import Endpoint

SEGMENTS_MAX = 12
"""Longer paths than any route has; bounds the work on a hostile one."""
PARAM = "{}"
PATHS_KEPT = 4_096
"""Paths whose route is remembered: what is asked for is asked for again."""


class Match(NamedTuple):
    """What a path names: the endpoints by method, and the values of its ``{name}`` segments in order."""

    methods: dict[str, Endpoint]
    values: tuple[str, ...]


class _Node:
    __slots__ = ("children", "methods")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.methods: dict[str, Endpoint] = {}


class RouteTable:
    """All endpoints. Raises ValueError when two claim the same method and path."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self.endpoints = tuple(endpoints)
        self._root = _Node()
        self._literal: dict[str, Match] = {}
        self._matched = lru_cache(PATHS_KEPT)(self._match)
        for endpoint in self.endpoints:
            self._add(endpoint)

    def _add(self, endpoint: Endpoint) -> None:
        node = self._root
        for part in _segments(endpoint.path):
            node = node.children.setdefault(PARAM if part.startswith("{") else part, _Node())
        if endpoint.method in node.methods:
            raise ValueError(f"{endpoint.method} {endpoint.path} is declared twice")
        node.methods[endpoint.method] = endpoint
        if not endpoint.param_names:
            self._literal[endpoint.path] = Match(node.methods, ())

    def match(self, path: str) -> Match | None:
        """The route of a path, with or without one trailing slash; None if nothing has it."""
        return self._literal.get(path) or self._matched(path)

    def _match(self, path: str) -> Match | None:
        segments = _segments(path)
        if len(segments) > SEGMENTS_MAX or "" in segments:
            return None
        return _descend(self._root, segments, 0, ())


def _segments(path: str) -> list[str]:
    trimmed = path[1:-1] if path.endswith("/") else path[1:]
    return trimmed.split("/") if trimmed else []


def _descend(node: _Node, segments: list[str], depth: int, values: tuple[str, ...]) -> Match | None:
    if depth == len(segments):
        return Match(node.methods, values) if node.methods else None
    segment = segments[depth]
    child = node.children.get(segment) if segment != PARAM else None
    if child is not None and (found := _descend(child, segments, depth + 1, values)) is not None:
        return found
    child = node.children.get(PARAM)
    return None if child is None else _descend(child, segments, depth + 1, (*values, segment))


def allowed_methods(methods: dict[str, Endpoint]) -> str:
    """The ``Allow`` header of a path."""
    names = set(methods) | {"OPTIONS"}
    if "GET" in methods and methods["GET"].head:
        names.add("HEAD")
    return ", ".join(sorted(names))
