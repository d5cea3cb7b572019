"""Every answer of the API's tests is held against the OpenAPI document: status, content type, and each field of it."""

from functools import cache
from typing import Any

import httpx
import jsonschema_rs
import msgspec

from zmart_lite.api import list_endpoints
from zmart_lite.api.contract.endpoints import Endpoint
from zmart_lite.api.contract.routing import RouteTable
from zmart_lite.api.openapi.document import make_document
from zmart_lite.codec import Codec

Json = dict[str, Any]

BODILESS = frozenset({204, 304})
UNROUTED = frozenset({404, 405, 429})


@cache
def document() -> Json:
    return make_document(list_endpoints(embedded_devnet=True), Codec(bytes(32)).idl, "0.0.0")


@cache
def table() -> RouteTable:
    return RouteTable(list_endpoints(embedded_devnet=True))


async def check_documented(response: httpx.Response) -> None:
    """An httpx hook. Raises AssertionError for an answer that the document does not foresee."""
    request = response.request
    match = table().match(request.url.path)
    method = "GET" if request.method == "HEAD" else request.method
    endpoint = None if match is None else match.methods.get(method)
    if endpoint is not None and request.method == "HEAD" and not endpoint.head:
        endpoint = None
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if endpoint is None or media_type == "text/event-stream":
        assert endpoint is not None or response.status_code in UNROUTED or method == "OPTIONS"
        return
    if media_type == "application/json" and response.status_code not in BODILESS:
        content = (await response.aread()) or b"null"
        check_answer(endpoint, response.status_code, content if request.method != "HEAD" else None)
    else:
        assert str(response.status_code) in operation(endpoint)["responses"], f"{endpoint.path}: {response.status_code}"


def check_answer(endpoint: Endpoint, status: int, content: bytes | None) -> None:
    """``content``: the JSON that was answered, None for what is not looked at."""
    validator = _validator(endpoint.method, endpoint.path, status)
    assert validator is not None, f"{endpoint.method} {endpoint.path} answers {status}, which is not documented"
    if content is not None:
        problems = [
            f"{list(each.instance_path)}: {each.message[:200]}"
            for each in validator.iter_errors(msgspec.json.decode(content))
        ]
        assert not problems, f"{endpoint.method} {endpoint.path} {status}: {problems[:5]}"


def operation(endpoint: Endpoint) -> Json:
    found: Json = document()["paths"][endpoint.path][endpoint.method.lower()]
    return found


@cache
def _validator(method: str, path: str, status: int) -> jsonschema_rs.Draft202012Validator | None:
    answer = document()["paths"][path][method.lower()]["responses"].get(str(status))
    if answer is None or "application/json" not in answer.get("content", {}):
        return None
    schema = answer["content"]["application/json"]["schema"]
    return jsonschema_rs.Draft202012Validator(
        {**closed(schema), "components": _closed_components()}, validate_formats=True
    )


@cache
def _closed_components() -> Json:
    found: Json = closed({"schemas": document()["components"]["schemas"]})
    return found


def closed(schema: Any) -> Any:
    """The schema with objects that have no other fields than those that are named."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(value) for name, value in schema.items()}
    if isinstance(found.get("properties"), dict) and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found
