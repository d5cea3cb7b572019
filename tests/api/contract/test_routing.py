"""The route table."""

from typing import Any

import pytest

from zmart_lite.api import list_endpoints
from zmart_lite.api.contract.endpoints import Endpoint
from zmart_lite.api.contract.routing import RouteTable, allowed_methods


async def handler(*_: Any) -> None: ...


def endpoint(method: str, path: str) -> Endpoint:
    return Endpoint(method, path, handler, path)


TABLE = RouteTable([
    endpoint("GET", "/"),
    endpoint("GET", "/a"),
    endpoint("GET", "/a/b"),
    endpoint("GET", "/a/{x}"),
    endpoint("POST", "/a/{y}/c"),
    endpoint("GET", "/{p}/{q}/{r}"),
])  # fmt: skip


@pytest.mark.parametrize(("path", "expected", "values"), [
    ("/", "/", ()),
    ("/a", "/a", ()),
    ("/a/", "/a", ()),
    ("/a/b", "/a/b", ()),
    ("/a/z", "/a/{x}", ("z",)),
    ("/a/{}", "/a/{x}", ("{}",)),
    ("/a/b/d", "/{p}/{q}/{r}", ("a", "b", "d")),
    ("/x/y/z/", "/{p}/{q}/{r}", ("x", "y", "z")),
])  # fmt: skip
def test_match(path: str, expected: str, values: tuple[str, ...]) -> None:
    found = TABLE.match(path)
    assert found is not None
    assert (found.methods["GET"].path, found.values) == (expected, values)


@pytest.mark.parametrize("path", ["/b", "/a//", "//a", "/a/b/c/d", "/a//b", "/" + "/".join("x" * 20)])
def test_no_match(path: str) -> None:
    assert TABLE.match(path) is None


def test_methods_of_a_path() -> None:
    found = TABLE.match("/a/1/c")
    assert found is not None
    assert allowed_methods(found.methods) == "OPTIONS, POST"


def test_two_of_a_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        RouteTable([endpoint("GET", "/a/{x}"), endpoint("GET", "/a/{y}")])


def test_every_route_is_described() -> None:
    for route in list_endpoints():
        assert route.summary, route.path
        assert route.tag, route.path
