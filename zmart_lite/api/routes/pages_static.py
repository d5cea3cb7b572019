"""The built-in page, the files it is made of, and Swagger UI: only what is shipped, nothing from elsewhere."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from zmart_lite.api.contract.endpoints import Endpoint, Stream
from zmart_lite.api.contract.request import Request
from zmart_lite.api.http.files import FileAnswer, load, load_all
from zmart_lite.errors import NotFound
from zmart_lite.resources import find

DEPTH_MAX = 3
"""Folders below /static, the file included."""
SEGMENT = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
"""What a shipped file or folder may be called: no dots in a row, nothing hidden, no separator of any system."""
PAGE_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; img-src 'self' data:;"
    " object-src 'none'"
)
"""Wallets tell their icons as data URLs, and so does Swagger UI."""
DOCS_POLICY = f"{PAGE_POLICY}; style-src 'self' 'unsafe-inline'"
"""Swagger UI styles its parts inline."""
SWAGGER_PACKAGE = "swagger_ui"
SWAGGER_FILES = frozenset({"swagger-ui.css", "swagger-ui-bundle.js"})


async def page(_request: Request, _: object) -> Stream:
    """The built-in page; its views are told apart behind the #."""
    return Stream(FileAnswer(load(_static_folder() / "index.html"), PAGE_POLICY))


async def static_file(request: Request, _: object) -> Stream:
    segments = tuple(request.params.values())
    if not all(SEGMENT.fullmatch(segment) for segment in segments):
        raise NotFound("There is no such file.")
    return Stream(FileAnswer(load(_static_folder().joinpath(*segments)), PAGE_POLICY))


async def icon(_request: Request, _: object) -> Stream:
    """What browsers ask for by themselves, whichever page they show."""
    return Stream(FileAnswer(load(_static_folder() / "icon.svg"), PAGE_POLICY))


async def docs(_request: Request, _: object) -> Stream:
    return Stream(FileAnswer(load(_static_folder() / "docs.html"), DOCS_POLICY))


async def docs_file(request: Request, _: object) -> Stream:
    name = request.params["file"]
    if name not in SWAGGER_FILES:
        raise NotFound("There is no such file.")
    return Stream(FileAnswer(load(_swagger_folder() / name), DOCS_POLICY))


async def runbook(request: Request, _: object) -> Stream:
    """What to do about alerts of a type."""
    name = request.params["alert_type"]
    if not SEGMENT.fullmatch(name):
        raise NotFound("There is no such runbook.")
    return Stream(FileAnswer(load(_runbook_folder() / f"{name}.md"), PAGE_POLICY))


async def runbooks(_request: Request, _: object) -> Stream:
    """The list of all runbooks."""
    return Stream(FileAnswer(load(_runbook_folder() / "index.md"), PAGE_POLICY))


def read_all() -> None:
    """Have everything that is served in memory: whoever cleans the disk while a node runs does not empty its page."""
    load_all(_static_folder())
    load_all(_runbook_folder())
    for name in SWAGGER_FILES:
        load(_swagger_folder() / name)


@cache
def _static_folder() -> Path:
    return find("static")


@cache
def _runbook_folder() -> Path:
    return find("docs/runbooks")


@cache
def _swagger_folder() -> Path:
    """Where the package keeps Swagger UI; found without importing it, and with it the web frameworks it serves."""
    spec = find_spec(SWAGGER_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise NotFound("Swagger UI is missing from this installation.")
    return Path(next(iter(spec.submodule_search_locations))) / "static"


def _static_path(depth: int) -> str:
    return "/static" + "".join(f"/{{part{number}}}" for number in range(1, depth + 1))


ENDPOINTS = (
    Endpoint("GET", "/", page, "The built-in page", tag="pages", limited=False, media_type="text/html"),
    *(
        Endpoint(
            "GET",
            _static_path(depth),
            static_file,
            "A file of the built-in page",
            tag="pages",
            limited=False,
            media_type="*/*",
        )
        for depth in range(1, DEPTH_MAX + 1)
    ),
    Endpoint("GET", "/favicon.ico", icon, "The icon", tag="pages", limited=False, media_type="*/*"),
    Endpoint("GET", "/runbooks", runbooks, "The runbooks", tag="pages", limited=False, media_type="text/plain"),
    Endpoint(
        "GET",
        "/runbooks/{alert_type}",
        runbook,
        "What to do about an alert",
        tag="pages",
        limited=False,
        media_type="text/plain",
    ),
    Endpoint("GET", "/docs", docs, "Swagger UI of this API", tag="pages", limited=False, media_type="text/html"),
    Endpoint("GET", "/docs/{file}", docs_file, "A file of Swagger UI", tag="pages", limited=False, media_type="*/*"),
)
