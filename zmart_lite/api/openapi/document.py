"""The OpenAPI 3.1 document, made once at start from the same declarations that requests are checked by."""

import inspect
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, cast

import msgspec

from zmart_lite.api.contract.endpoints import Caching, Endpoint, Level
from zmart_lite.api.contract.parsers import market_ref
from zmart_lite.api.contract.refusals import REFUSALS
from zmart_lite.api.contract.validate import REQUIRED, FieldSpec, specs_of
from zmart_lite.api.http.files import Shipped
from zmart_lite.api.http.headers import etag_of
from zmart_lite.api.openapi.schemas import Schema, component_schemas, reference, schema_of
from zmart_lite.api.openapi.texts import (
    ABOUT,
    CREDENTIALS,
    HEADERS,
    LEVELS,
    PATH_PARAMETERS,
    RAW_BODY,
    SECURITY_SCHEMES,
    STATUS_TEXTS,
    TAGS,
)
from zmart_lite.api.openapi.vocabulary import ASKED
from zmart_lite.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    RequestError,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
)

OPENAPI_VERSION = "3.1.0"
JSON_TYPE = "application/json"
JSON_UTF8 = "application/json; charset=utf-8"
PAGES = "pages"
CODES = {
    kind.status: kind.code
    for kind in (
        *(BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, Conflict, PayloadTooLarge),
        *(UnsupportedMediaType, RateLimited, Unavailable, RequestError),
    )
}
LIMITED_HEADERS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


def render(endpoints: Iterable[Endpoint], idl: Mapping[str, Any], version: str, public_url: str) -> Shipped:
    """The document of these routes as it is sent."""
    body = msgspec.json.encode(make_document(endpoints, idl, version, public_url))
    return Shipped(body, etag_of(body), JSON_UTF8)


def make_document(endpoints: Iterable[Endpoint], idl: Mapping[str, Any], version: str, public_url: str = "") -> Schema:
    """The document of these routes. Raises LookupError for what the vocabulary does not explain."""
    paths: dict[str, Schema] = {}
    tags: dict[str, None] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation(endpoint)
        tags[endpoint.tag] = None
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": "zmart-lite",
            "version": version,
            "summary": "The off-chain side of the ZMART prediction-market protocol.",
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": public_url or "/"}],
        "tags": [{"name": name, "description": TAGS[name]} for name in tags],
        "paths": paths,
        "components": {
            "schemas": {**component_schemas(idl), "Error": _error_schema(), "BodyCredentials": CREDENTIALS},
            "headers": HEADERS,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def operation(endpoint: Endpoint) -> Schema:
    """One method of one path."""
    found: Schema = {
        "tags": [endpoint.tag],
        "summary": endpoint.summary.removesuffix("."),
        "operationId": operation_id(endpoint),
        "description": _description(endpoint),
    }
    in_query = endpoint.method == "GET"
    parameters = [_path_parameter(endpoint, name) for name in endpoint.param_names]
    if in_query:
        parameters += [_query_parameter(spec) for spec in _specs(endpoint)]
    if parameters:
        found["parameters"] = parameters
    if not in_query and (body := _body(endpoint)) is not None:
        found["requestBody"] = body
    found["responses"] = {str(status): answer for status, answer in sorted(_responses(endpoint).items())}
    found["security"] = [{name: []} for name in LEVELS[endpoint.level].schemes] or [{}]
    return found


def operation_id(endpoint: Endpoint) -> str:
    words = endpoint.path.translate(str.maketrans("/-.", "___", "{}")).strip("_") or "page"
    return f"{endpoint.method.lower()}_{words}"


def _description(endpoint: Endpoint) -> str:
    handler = endpoint.handler.func if isinstance(endpoint.handler, partial) else endpoint.handler
    told = inspect.getdoc(handler) if inspect.isfunction(handler) else None
    paragraphs = [" ".join((told or "").split()), LEVELS[endpoint.level].text]
    if endpoint.scoped is not None:
        by = "address" if endpoint.scoped.by_address else "wallet, or address without one"
        paragraphs.append(f"Counts for the limit `{endpoint.scoped.name}` per {by}.")
    return "\n\n".join(filter(None, paragraphs))


# What is asked


def _specs(endpoint: Endpoint) -> tuple[FieldSpec, ...]:
    return () if endpoint.fields is None else specs_of(cast(Any, endpoint.fields))


def _path_parameter(endpoint: Endpoint, name: str) -> Schema:
    before = endpoint.path.split("/{" + name + "}")[0].rpartition("/")[2]
    known = PATH_PARAMETERS.get(f"{before}/{name}") or PATH_PARAMETERS[name]
    schema: Schema = {"type": "string", "minLength": 1} | dict(known.schema)
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": known.text,
        "schema": schema,
        "example": known.example,
    }


def _query_parameter(spec: FieldSpec) -> Schema:
    found: Schema = {
        "name": spec.names[0],
        "in": "query",
        "description": _told(spec),
        "schema": _field_schema(spec),
    }
    if spec.default is REQUIRED:
        found["required"] = True
    example = example_of(spec)
    if example is not None:
        found["example"] = example
    return found


def asked_texts() -> dict[str, str]:
    """What request fields are that do not say it themselves, by name."""
    found = {}
    for line in ASKED.strip().splitlines():
        name, text = line.split(None, 1)
        found[name] = text
    return found


def _told(spec: FieldSpec) -> str:
    """Raises LookupError for a field that nothing explains."""
    parts = [spec.help or asked_texts()[spec.names[0]], spec.parser.schema.get("description", "")]
    if len(spec.names) > 1:
        parts.append(f"Also accepted as {', '.join(spec.names[1:])}.")
    return " ".join(filter(None, parts))


def _field_schema(spec: FieldSpec) -> Schema:
    schema = {key: value for key, value in spec.parser.schema.items() if key not in ("description", "examples")}
    if isinstance(spec.default, str | int):
        schema["default"] = spec.default
    return schema


def example_of(spec: FieldSpec) -> Any:
    """What a caller might write; None where nothing needs to be shown."""
    if spec.example is not None or spec.default is not REQUIRED:
        return spec.example
    schema = spec.parser.schema
    return schema["examples"][0] if "examples" in schema else schema["enum"][0]


def _body(endpoint: Endpoint) -> Schema | None:
    if endpoint.raw_body:
        return RAW_BODY
    specs = _specs(endpoint)
    properties = {spec.names[0]: {**_field_schema(spec), "description": _told(spec)} for spec in specs}
    if endpoint.level in (Level.WALLET, Level.WALLET_OR_KEY):
        properties["_auth"] = reference("BodyCredentials")
    if not properties:
        return None
    required = [spec.names[0] for spec in specs if spec.default is REQUIRED]
    schema = {"type": "object", "properties": properties} | ({"required": required} if required else {})
    example = {spec.names[0]: shown for spec in specs if (shown := example_of(spec)) is not None}
    return {"required": bool(required), "content": {JSON_TYPE: {"schema": schema, "example": example}}}


# What is answered


def _responses(endpoint: Endpoint) -> dict[int, Schema]:
    found = _refusals(endpoint)
    examples: dict[int, list[object]] = {endpoint.status: [endpoint.answer]}
    for status, example in endpoint.also:
        examples.setdefault(status, []).append(example)
    for status, given in examples.items():
        found[status] = _answer(endpoint, status, given, found.get(status))
    if _has_etag(endpoint):
        found[304] = {"description": "The caller has it already (If-None-Match).", "headers": _headers("ETag")}
    return found


def _answer(endpoint: Endpoint, status: int, examples: list[object], refusal: Schema | None) -> Schema:
    headers = ["X-Request-ID", *(LIMITED_HEADERS if _is_limited(endpoint) else ())]
    if _has_etag(endpoint):
        headers.append("ETag")
    if isinstance(endpoint.answer, list):
        headers += ["X-Total-Count", "X-Next-Cursor"]
    text = STATUS_TEXTS[status]
    schemas = [_answer_schema(endpoint, example) for example in examples]
    if refusal is not None:
        # A service that is not well describes itself with the status of a refusal.
        schemas.append(reference("Error"))
        text = f"{text} {refusal['description']}"
    different = [schema for place, schema in enumerate(schemas) if schema not in schemas[:place]]
    content: Schema = {"schema": different[0] if len(different) == 1 else {"anyOf": different}}
    if examples[0] is not None:
        content["example"] = examples[0]
    return {"description": text, "headers": _headers(*headers), "content": {endpoint.media_type: content}}


def _answer_schema(endpoint: Endpoint, example: object) -> Schema:
    return schema_of(example) if endpoint.media_type == JSON_TYPE else {"type": "string"}


def _refusals(endpoint: Endpoint) -> dict[int, Schema]:
    reasons: dict[int, list[str]] = {status: [] for status in _refused_statuses(endpoint)}
    for reason in (*_checked_reasons(endpoint), *endpoint.refuses):
        reasons.setdefault(REFUSALS[reason].status, []).append(reason)
    return {status: _refusal(endpoint, status, words) for status, words in reasons.items()}


def _refused_statuses(endpoint: Endpoint) -> set[int]:
    """Those without a reason that the checks before a handler, or any handler, may give."""
    found = {500}
    if endpoint.fields is not None or endpoint.method != "GET":
        found.add(400)
    if endpoint.method != "GET":
        found |= {413, 415}
    if endpoint.param_names or _names_market(endpoint):
        found.add(404)
    if _is_limited(endpoint) or endpoint.raw_body or endpoint.tag == "push":
        found.add(429)
    return found


def _checked_reasons(endpoint: Endpoint) -> list[str]:
    """Reasons that the checks before a handler, or any handler that reads the database, may give."""
    found = list(LEVELS[endpoint.level].refuses)
    if endpoint.method != "GET":
        found.append("malformed_json")
    if any(spec.name == "cursor" for spec in _specs(endpoint)):
        found.append("bad_cursor")
    if endpoint.tag != PAGES:
        found.append("store_unavailable")
    return found


def _refusal(endpoint: Endpoint, status: int, reasons: list[str]) -> Schema:
    told = "; ".join(f"`{reason}`: {REFUSALS[reason].text}" for reason in dict.fromkeys(reasons))
    headers = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(status, [])
    return {
        "description": f"{STATUS_TEXTS[status]} {told}{'.' if told else ''}".strip(),
        "headers": _headers("X-Request-ID", *headers),
        "content": {JSON_TYPE: {"schema": reference("Error"), "example": _refusal_example(endpoint, status, reasons)}},
    }


def _refusal_example(endpoint: Endpoint, status: int, reasons: list[str]) -> Schema:
    """The first of the reasons; of malformed requests a field, where there are any."""
    found: Schema = {"message": STATUS_TEXTS[status]}
    if status == ValidationFailed.status and (specs := _specs(endpoint)):
        problem = {"field": specs[0].names[0], "message": "is not what it should be"}
        found = {"message": "Validation failed", "details": [problem]}
        code = ValidationFailed.code
    else:
        code = CODES[status]
        if reasons:
            text = REFUSALS[reasons[0]].text
            found = {"message": f"{text[0].upper()}{text[1:]}.", "reason": reasons[0]}
    made = {"timestamp": "2026-01-02T03:04:05.678Z", "path": endpoint.path, "request_id": "55e1e2b600000354"}
    return {"error": code, "code": code, **found, "status": status, **made}


def _is_limited(endpoint: Endpoint) -> bool:
    return endpoint.scoped is not None or (endpoint.limited and endpoint.path.startswith("/api/"))


def _has_etag(endpoint: Endpoint) -> bool:
    if endpoint.tag == PAGES:
        return True
    is_public = endpoint.method == "GET" and endpoint.level is Level.NONE and endpoint.path.startswith("/api/")
    return is_public and endpoint.caching is not Caching.NO_STORE and endpoint.tag != "push"


def _names_market(endpoint: Endpoint) -> bool:
    return any(spec.parser is market_ref for spec in _specs(endpoint))


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _error_schema() -> Schema:
    return {
        "type": "object",
        "description": "Every refusal and failure.",
        "properties": {
            "error": {"type": "string", "description": "The same as code."},
            "code": {"type": "string", "description": "The kind of error; never changes its meaning."},
            "message": {"type": "string", "description": "One sentence for people."},
            "status": {"type": "integer", "description": "The HTTP status."},
            "reason": {"type": "string", "enum": list(REFUSALS), "description": "The finer word, where there is one."},
            "details": {
                "description": "By code: all bad fields with a message each; the limit, when it ends and the seconds"
                " until then; the program's error with its name, its number, the place of the instruction, and logs.",
                "type": ["array", "object", "null"],
            },
            "timestamp": {"type": "string", "format": "date-time", "description": "When it happened."},
            "path": {"type": "string", "description": "The path that was asked."},
            "request_id": {"type": "string", "description": "X-Request-ID of the answer; stands in the node's log."},
        },
        "required": ["error", "code", "message", "status", "timestamp", "path", "request_id"],
    }
