"""The order of checks (contract 0.1), first failure wins: limit, route, body, fields, signed in, role; then the
handler.
"""

from typing import Any

import msgspec

from zmart_lite.api.endpoints import Endpoint, Level, Reply, Request, Stream
from zmart_lite.api.limits import Spent
from zmart_lite.api.proxies import limit_key
from zmart_lite.api.routing import Match, RouteTable, allowed_methods
from zmart_lite.api.validate import decode
from zmart_lite.errors import (
    BadRequest,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Unauthorized,
    UnsupportedMediaType,
    ValidationFailed,
)
from zmart_lite.store.shown import address_text

IDENTITY = "identity"
"""The encoding of what is not compressed."""
JSON_TYPE = "application/json"
API_PREFIX = "/api/"
AUTH_PREFIX = "/api/auth/"


class ClientGone(Exception):
    """The client went away before its request was complete."""


async def answer(request: Request, table: RouteTable) -> Reply | Stream:
    """Run a request through all checks and its handler. Raises whatever refuses it."""
    match = table.match(request.path)
    method = "GET" if request.method == "HEAD" else request.method
    endpoint = match.methods.get(method) if match is not None else None
    if endpoint is not None and request.method == "HEAD" and not endpoint.head:
        endpoint = None
    request.endpoint = endpoint
    await _identify(request)
    spent = _spend_general(request, endpoint)
    found = _require_route(request, match, endpoint)
    if found.param_names:
        request.params = dict(zip(found.param_names, match.values if match else (), strict=True))
    if found.ended is None:
        return await _handle(request, found, spent)
    try:
        result = await _handle(request, found, spent)
    except Exception as error:
        await found.ended(request, error)
        raise
    await found.ended(request, None)
    return result


async def _handle(request: Request, found: Endpoint, spent: list[Spent]) -> Reply | Stream:
    """The checks from the body on, and the handler."""
    if found.made_of:
        request.kept_at = request.api.answers.place(request)
        if request.kept_at is not None and (kept := request.api.answers.find(request.kept_at)) is not None:
            return kept
    await _read_body(request, found)
    _spend_scoped(request, found, spent)
    fields = None if found.fields is None else decode_fields(request, found.fields)
    _authorize(request, found.level)
    result = await found.handler(request, fields)
    return result if isinstance(result, Reply | Stream) else Reply(result, found.status)


def decode_fields(request: Request, fields: type[Any]) -> Any:
    """The request's fields by their declaration. Also opens the cursor of a list, which has to be one of ours."""
    in_query = request.method in ("GET", "HEAD")
    found = decode(fields, request.query if in_query else request.body)
    cursor = getattr(found, "cursor", None)
    if cursor is not None:
        request.cursor = request.api.cursors.open(cursor)
    return found


# Limits


async def _identify(request: Request) -> None:
    """Prove the credentials in headers. A bad one is only noted: where none is needed it is ignored."""
    auth = request.api.auth
    if b"x-service-key" in request.raw_headers:
        request.service_key = auth.is_service_key(request.header(b"x-service-key") or "")
    value = request.header(b"authorization")
    if value is None:
        return
    try:
        request.identity = await auth.from_header(value)
    except Unauthorized as error:
        request.credential_error = error


def _spend_general(request: Request, endpoint: Endpoint | None) -> list[Spent]:
    """Count the request for everybody's limit under /api, and for that of the sign-in calls. Raises RateLimited."""
    if not request.path.startswith(API_PREFIX) or (endpoint is not None and not endpoint.limited):
        return []
    limits, address = request.api.limits, limit_key(request.address)
    if request.service_key:
        spent = [limits.spend("service", request.api.auth.service_key_name(request.header(b"x-service-key") or ""))]
    elif request.identity is not None:
        spent = [limits.spend("wallet", address_text(request.identity.wallet))]
    else:
        spent = [limits.spend("address", address)]
    if request.path.startswith(AUTH_PREFIX):
        spent.append(limits.spend("auth", address))
    _require_all(request, spent)
    return spent


def _spend_scoped(request: Request, endpoint: Endpoint, spent: list[Spent]) -> None:
    """Count the request for its route's own limit, per wallet or else address. Raises RateLimited."""
    scoped = endpoint.scoped
    if scoped is None:
        return
    about = scoped.key(request) if scoped.key is not None else ""
    if about is None:
        return
    by_wallet = request.identity is not None and not scoped.by_address
    who = address_text(request.wallet) if by_wallet else limit_key(request.address)
    spent.append(request.api.limits.spend(scoped.name, who, about))
    _require_all(request, spent)


def _require_all(request: Request, spent: list[Spent]) -> None:
    limits = request.api.limits
    request.spent = spent
    for one in spent:
        limits.require(one)


# Route and body


def _require_route(request: Request, match: Match | None, endpoint: Endpoint | None) -> Endpoint:
    if match is None:
        raise NotFound(f"Route {request.method} {request.path} not found")
    if endpoint is None:
        allow = allowed_methods(match.methods)
        raise MethodNotAllowed(f"{request.path} takes {allow}.", headers={"Allow": allow})
    return endpoint


async def _read_body(request: Request, endpoint: Endpoint) -> None:
    """Read and parse the body of a method that has one. Raises PayloadTooLarge, UnsupportedMediaType, BadRequest."""
    if request.method in ("GET", "HEAD") or endpoint.raw_body:
        return
    raw = await read_bytes(request, endpoint.body_bytes_max)
    if not raw:
        return
    require_json(request)
    body = parse_json(raw)
    if not isinstance(body, dict):
        raise BadRequest("The body must be a JSON object.", reason="malformed_json")
    request.body = body


def require_json(request: Request) -> None:
    """Raises UnsupportedMediaType for a body that is compressed, or not said to be JSON."""
    media_type = request.header(b"content-type") or ""
    if media_type != JSON_TYPE and media_type.partition(";")[0].strip().lower() != JSON_TYPE:
        raise UnsupportedMediaType
    if b"content-encoding" not in request.raw_headers:
        return
    if (request.header(b"content-encoding") or IDENTITY).strip().lower() != IDENTITY:
        raise UnsupportedMediaType("Send the body uncompressed.")


async def read_bytes(request: Request, bytes_max: int) -> bytes:
    """The body, at most ``bytes_max`` long, whatever its length header says. Raises PayloadTooLarge."""
    check_length(request, bytes_max)
    parts: list[bytes] = []
    length, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        if length > bytes_max:
            raise PayloadTooLarge(f"The body may have at most {bytes_max} bytes.")
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def check_length(request: Request, bytes_max: int) -> None:
    """Raises PayloadTooLarge for a body whose header says so itself."""
    declared = request.header(b"content-length")
    if declared is not None and (not declared.isdecimal() or int(declared[:20]) > bytes_max):
        raise PayloadTooLarge(f"The body may have at most {bytes_max} bytes.")


def parse_json(raw: bytes) -> Any:
    """Any JSON value; raises BadRequest ``malformed_json``, also for nesting deeper than the parser goes."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest("The body is not valid JSON.", reason="malformed_json") from error


# Who asks


def _authorize(request: Request, level: Level) -> None:
    """Raises Unauthorized, then Forbidden ``not_admin``. Body credentials count where no header was sent, for wallet
    level.
    """
    if level is Level.NONE or (request.service_key and level in (Level.READ_ADMIN, Level.WALLET_OR_KEY)):
        return
    if request.credential_error is not None:
        raise request.credential_error
    if request.identity is None and request.header(b"authorization") is None:
        request.identity = request.api.auth.from_body(request.body)
    identity = request.identity
    if identity is None:
        raise Unauthorized("Sign in first.", reason="missing")
    if level in (Level.WALLET, Level.WALLET_OR_KEY):
        return
    if identity.method != "jwt":
        raise Unauthorized("This needs a session: sign in at /api/auth/login.", reason="jwt_required")
    if level in (Level.ADMIN, Level.READ_ADMIN) and not identity.is_admin:
        raise Forbidden("This is for administrators of the node.", reason="not_admin")


def one_field(name: str, message: str) -> ValidationFailed:
    """A single bad field that only a handler can find."""
    return ValidationFailed([(name, message)])
