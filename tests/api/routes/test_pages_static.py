"""The page, its files and Swagger UI as they are served."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.harness import ApiNode, api_node
from zmart_lite.api.http.files import MEDIA_TYPES
from zmart_lite.api.routes.pages_static import SWAGGER_FILES
from zmart_lite.resources import find

STATIC = find("static")
FILES = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ApiNode]:
    async with api_node(tmp_path) as started:
        yield started


async def test_the_page_has_the_strict_policy(node: ApiNode) -> None:
    response = await node.http.get("/")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policies = response.headers.get_list("content-security-policy")
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'self';")
    assert "unsafe" not in policies[0]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", FILES)
async def test_every_shipped_file_is_served(node: ApiNode, name: str) -> None:
    response = await node.http.get(f"/static/{name}")
    assert response.status_code == 200
    assert response.content == (STATIC / name).read_bytes()
    assert response.headers["content-type"] == MEDIA_TYPES[Path(name).suffix]
    head = await node.http.head(f"/static/{name}")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(response.content)))


async def test_a_known_file_is_not_sent_again(node: ApiNode) -> None:
    first = await node.http.get("/static/zmart.js")
    again = await node.http.get("/static/zmart.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    other = await node.http.get("/static/zmart.js", headers={"If-None-Match": '"another"'})
    assert other.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/static",
        "/static/",
        "/static/page",
        "/static/nothing.js",
        "/static/../pyproject.toml",
        "/static/%2e%2e/pyproject.toml",
        "/static/..%2fpyproject.toml",
        "/static/page/%2e%2e/%2e%2e/schema.sql",
        "/static/page/..%5c..%5cschema.sql",
        "/static/.gitkeep",
        "/static/zmart.js%00.css",
        "/static/%2fetc%2fpasswd",
        "/static/a/b/c/d/e.js",
        "/docs/swagger-ui.js",
        "/docs/%2e%2e/__init__.py",
    ],
)
async def test_nothing_else_is(node: ApiNode, path: str) -> None:
    response = await node.http.get(path)
    assert response.status_code == 404
    assert response.json()["code"] == "NOT_FOUND"


async def test_pages_are_only_read(node: ApiNode) -> None:
    assert (await node.http.post("/")).status_code == 405


async def test_swagger_ui_comes_from_this_node(node: ApiNode) -> None:
    page = await node.http.get("/docs")
    assert "'unsafe-inline'" not in page.headers["content-security-policy"].partition("style-src")[0]
    for name in SWAGGER_FILES:
        assert f"/docs/{name}" in page.text
        assert (await node.http.get(f"/docs/{name}")).status_code == 200
    assert "//" not in page.text


def test_the_page_needs_nobody_else() -> None:
    """No file of the page names another host, parses HTML or evaluates text. The explorer and the wallets that open a
    page in a browser of their own are only linked to: the content policy would let nothing be loaded from there.
    """
    allowed = (
        "http://www.w3.org/2000/svg",
        "http://127.0.0.1:4000",
        "{ href: 'https://faucet.solana.com', target: '_blank'",
        "href: `https://explorer.solana.com/${kind}/",
        *(f"(page, home) => `https://{host}/ul/" for host in ("phantom.app", "solflare.com", "backpack.app")),
    )
    for name in FILES:
        text = (STATIC / name).read_text(encoding="utf-8")
        for known in allowed:
            text = text.replace(known, "")
        for banned in (
            "http://",
            "https://",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ):
            assert banned not in text, f"{name} contains {banned}"


async def test_the_icon_that_browsers_ask_for(node: ApiNode) -> None:
    answer = await node.http.get("/favicon.ico")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert answer.content == (STATIC / "icon.svg").read_bytes()
