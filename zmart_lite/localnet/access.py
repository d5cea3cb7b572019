"""Who may call the devnet's ports: the ``Host`` and ``Origin`` of every request are looked at before anything else.

A page of the world can reach this machine's loopback address: by naming it, which the page's origin tells, or by a name
of its own that it lets point here later (DNS rebinding), which the host tells. Neither may read the node's secrets, set
accounts or move the clock. Preflights are answered for every origin, also for those whose request is then refused: only
so can a page read why.
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ANY_ORIGIN = "*"
CORS_MAX_AGE_S = 86_400
POLICY_VIOLATION = 1008
METHODS_ALLOWED = "DELETE, GET, POST, PUT, PATCH, OPTIONS"
EXTENSION_SCHEMES = frozenset({"chrome-extension", "moz-extension", "safari-web-extension"})
"""A wallet's background page: no page of the web can have such an origin."""
_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
_SHOWN_CHARS_MAX = 100


class Access:
    """The rule. ``bound`` is the address listened on; ``hosts`` and ``origins`` are allowed besides local ones."""

    def __init__(self, bound: str, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._reached_by_address = bound in _WILDCARDS
        self._hosts = frozenset(host.lower() for host in {bound, *hosts} - _WILDCARDS)
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    def host_refusal(self, headers: Headers, own_address: str | None) -> str | None:
        """Why a request to this host is refused, in a sentence; None where it is not."""
        hosts = headers.getlist("host")
        if len(hosts) == 1 and self._host_allowed(_host_of(f"//{hosts[0]}"), own_address):
            return None
        name = ", ".join(hosts)[:_SHOWN_CHARS_MAX] or "none"
        return f"Host not allowed: {name}. Use localhost, or add the name to localnet.hosts."

    def origin_refusal(self, headers: Headers, own_address: str | None) -> str | None:
        """Why a page of this origin is refused, in a sentence; None where it is not."""
        for origin in headers.getlist("origin"):
            if not self._origin_allowed(origin.lower(), own_address):
                return f"Origin not allowed: {origin[:_SHOWN_CHARS_MAX]}. Add it to localnet.origins."
        return None

    def _host_allowed(self, host: str | None, own_address: str | None) -> bool:
        if host is None:
            return False
        return _is_local(host) or host in self._hosts or (self._reached_by_address and host == own_address)

    def _origin_allowed(self, origin: str, own_address: str | None) -> bool:
        if ANY_ORIGIN in self._origins or origin in self._origins:
            return True
        scheme = origin.partition("://")[0]
        if scheme in EXTENSION_SCHEMES:
            return True
        return scheme in ("http", "https") and self._host_allowed(_host_of(origin), own_address)


def _host_of(url: str) -> str | None:
    """The host of an address in lower case, without port and brackets; None where it has none or is malformed."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        return None
    return parts.hostname


def _is_local(host: str) -> bool:
    """Browsers and resolvers keep ``localhost`` and the names below it on this machine (RFC 6761 §6.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class AccessMiddleware:
    """Refuses with 403 what :class:`Access` refuses, answers preflights, adds the CORS header to what it lets in."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, server = Headers(scope=scope), scope.get("server")
        own_address = server[0] if server else None
        wrong_host = self._access.host_refusal(headers, own_address)
        refused = wrong_host or self._access.origin_refusal(headers, own_address)
        if scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send, refused)
        elif wrong_host is None and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await _preflight(headers)(scope, receive, send)
        elif refused is not None:
            await PlainTextResponse(f"{refused}\n", 403, _cors(headers))(scope, receive, send)
        else:
            await self._app(scope, receive, _with_cors(send) if "origin" in headers else send)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send, refused: str | None) -> None:
        if refused is None:
            await self._app(scope, receive, send)
            return
        # Closed before it is accepted, which the server answers with 403.
        await receive()
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": refused})


def is_json(headers: Headers) -> bool:
    """Whether a body is called JSON: other types a page may send anywhere without a preflight."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _cors(headers: Headers) -> dict[str, str]:
    return {"access-control-allow-origin": ANY_ORIGIN} if "origin" in headers else {}


def _with_cors(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["access-control-allow-origin"] = ANY_ORIGIN
        await send(message)

    return wrapped


def _preflight(headers: Headers) -> Response:
    """Nothing here is by cookie, so that any origin may be named by ``*``."""
    answer = {
        "access-control-allow-origin": ANY_ORIGIN,
        "access-control-allow-methods": METHODS_ALLOWED,
        "access-control-allow-headers": headers.get("access-control-request-headers", ANY_ORIGIN),
        "access-control-max-age": str(CORS_MAX_AGE_S),
    }
    if headers.get("access-control-request-private-network") == "true":
        # A page of a public address asks so before it talks to a private one (Private Network Access).
        answer["access-control-allow-private-network"] = "true"
    return PlainTextResponse("OK", headers=answer)
