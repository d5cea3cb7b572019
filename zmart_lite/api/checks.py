"""The order of checks (contract 0.1), first failure wins: limit, route, body, fields, signed in, role; then the
handler.
"""

from typing import Any

from zmart_lite.api.contract.body import parse_json, read_bytes, require_json
from zmart_lite.api.contract.endpoints import Endpoint, Level, Reply, Spent, Stream
from zmart_lite.api.contract.pages import Cursors
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.routing import Match, RouteTable, allowed_methods
from zmart_lite.api.contract.validate import decode
from zmart_lite.api.http.proxies import limit_key
from zmart_lite.api.identity.auth import Authenticator
from zmart_lite.api.identity.limits import Limiter
from zmart_lite.api.instance import Api
from zmart_lite.errors import (
    BadRequest,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    Unauthorized,
    ValidationFailed,
)
from zmart_lite.shown import address_text

API_PREFIX = "/api/"
AUTH_PREFIX = "/api/auth/"


async def answer(api: Api, request: Request, table: RouteTable) -> Reply | Stream:
    """Run a request through all checks and its handler. Raises whatever refuses it."""
    match = table.match(request.path)
    method = "GET" if request.method == "HEAD" else request.method
    endpoint = match.methods.get(method) if match is not None else None
    if endpoint is not None and request.method == "HEAD" and not endpoint.head:
        endpoint = None
    request.endpoint = endpoint
    await _identify(api.auth, request)
    spent = _spend_general(api, request, endpoint)
    found = _require_route(request, match, endpoint)
    if found.param_names:
        request.params = dict(zip(found.param_names, match.values if match else (), strict=True))
    if found.ended is None:
        return await _handle(api, request, found, spent)
    try:
        result = await _handle(api, request, found, spent)
    except Exception as error:
        await found.ended(request, error)
        raise
    await found.ended(request, None)
    return result


async def _handle(api: Api, request: Request, found: Endpoint, spent: list[Spent]) -> Reply | Stream:
    """The checks from the body on, and the handler."""
    if found.made_of:
        request.kept_at = api.answers.place(request)
        if request.kept_at is not None and (kept := api.answers.find(request.kept_at)) is not None:
            return kept
    await _read_body(request, found)
    _spend_scoped(api.limits, request, found, spent)
    fields = None if found.fields is None else decode_fields(api.cursors, request, found.fields)
    _authorize(api.auth, request, found.level)
    result = await found.handler(request, fields)
    return result if isinstance(result, Reply | Stream) else Reply(result, found.status)


def decode_fields(cursors: Cursors, request: Request, fields: type[Any]) -> Any:
    """The request's fields by their declaration. Also opens the cursor of a list, which has to be one of ours."""
    in_query = request.method in ("GET", "HEAD")
    found = decode(fields, request.query if in_query else request.body)
    cursor = getattr(found, "cursor", None)
    if cursor is not None:
        request.cursor = cursors.open(cursor)
    return found


# Limits


async def _identify(auth: Authenticator, request: Request) -> None:
    """Prove the credentials in headers. A bad one is only noted: where none is needed it is ignored."""
    if b"x-service-key" in request.raw_headers:
        request.service_key = auth.is_service_key(request.header(b"x-service-key") or "")
    value = request.header(b"authorization")
    if value is None:
        return
    try:
        request.identity = await auth.from_header(value)
    except Unauthorized as error:
        request.credential_error = error


def _spend_general(api: Api, request: Request, endpoint: Endpoint | None) -> list[Spent]:
    """Count the request for everybody's limit under /api, and for that of the sign-in calls. Raises RateLimited."""
    if not request.path.startswith(API_PREFIX) or (endpoint is not None and not endpoint.limited):
        return []
    limits, address = api.limits, limit_key(request.address)
    if request.service_key:
        spent = [limits.spend("service", api.auth.service_key_name(request.header(b"x-service-key") or ""))]
    elif request.identity is not None and request.identity.method != "signature":
        # Wallets cost nothing to make: however many of them one address signs in, it has a ceiling.
        spent = [limits.spend("wallet", address_text(request.identity.wallet)), limits.spend("sessions", address)]
    else:
        spent = [limits.spend("address", address)]
    if request.path.startswith(AUTH_PREFIX):
        spent.append(limits.spend("auth", address))
    _require_all(limits, request, spent)
    return spent


def _spend_scoped(limits: Limiter, request: Request, endpoint: Endpoint, spent: list[Spent]) -> None:
    """Count the request for its route's own limit, per wallet or else address. Raises RateLimited."""
    scoped = endpoint.scoped
    if scoped is None:
        return
    about = scoped.key(request) if scoped.key is not None else ""
    if about is None:
        return
    by_wallet = request.identity is not None and not scoped.by_address
    who = address_text(request.wallet) if by_wallet else limit_key(request.address)
    spent.append(limits.spend(scoped.name, who, about))
    _require_all(limits, request, spent)


def _require_all(limits: Limiter, request: Request, spent: list[Spent]) -> None:
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


# Who asks


def _authorize(auth: Authenticator, request: Request, level: Level) -> None:
    """Raises Unauthorized, then Forbidden ``not_admin``. Body credentials count where no header was sent, for wallet
    level.
    """
    if level is Level.NONE or (request.service_key and level in (Level.READ_ADMIN, Level.WALLET_OR_KEY)):
        return
    if request.credential_error is not None:
        raise request.credential_error
    if request.identity is None and request.header(b"authorization") is None:
        request.identity = auth.from_body(request.body)
    identity = request.identity
    if identity is None:
        raise Unauthorized("Sign in first.", reason="missing")
    is_operator = identity.method == "operator"
    if level is Level.WALLET_OR_KEY or (level is Level.WALLET and not is_operator):
        return
    if identity.method != "jwt" and not (is_operator and level in (Level.ADMIN, Level.READ_ADMIN)):
        raise Unauthorized("This needs a session: sign in at /api/auth/login.", reason="jwt_required")
    if level in (Level.ADMIN, Level.READ_ADMIN) and not identity.is_admin:
        raise Forbidden("This is for administrators of the node.", reason="not_admin")


def one_field(name: str, message: str) -> ValidationFailed:
    """A single bad field that only a handler can find."""
    return ValidationFailed([(name, message)])
