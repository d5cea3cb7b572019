"""What the OpenAPI document says besides the routes themselves."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from zmart_lite.api.contract.endpoints import Level
from zmart_lite.api.http.headers import REQUEST_ID
from zmart_lite.api.openapi.examples import MARKET_ID, TRADE, WALLET

ABOUT = """\
Votes, events, markets, trades, positions, discussions and operations of a ZMART deployment.

**Custody.** The node never signs for a user. Calls that act on chain answer an unsigned transaction; sign it and send \
it to `POST /api/transactions`.

**Identifiers.** A market is the 64 lower-case hex digits of its id; everywhere the base58 address of its account is \
accepted too. In a path a malformed id is 404, in a query or body 400.

**Numbers.** Lamports, shares and other u64 are decimal strings and exact. JSON numbers are counts, basis points, \
slots, times and values rounded for display.

**Times.** Answers: `2026-01-02T03:04:05.678Z`. Requests: ISO 8601 with offset, unix seconds (10 digits) or \
milliseconds (13 digits). Ranges: `from` ≤ t < `to`.

**Pages.** `limit` with `offset` or `cursor`. A cursor is valid only for the list and filters it came from.

**Signing in.** Get a nonce, sign the message, post it to `/api/auth/login`, send the token as `Authorization: \
Bearer`. Calls of level wallet also take `Authorization: Signature message=…&signature=…&wallet=…` over \
`Sign in to ZMART\\nTimestamp: <ms>`, or the fields of `BodyCredentials`, at top level or inside `_auth`.

**Caching.** Public answers carry an `ETag`; `If-None-Match` gets 304. `HEAD` works wherever `GET` does, but for the \
event stream.

**Limits.** Per address, per wallet with a token, per service key; `RateLimit-*` headers tell what is left. A connection
too many gets 429 (of its address) or 503 (of all) for whatever it asks first, and is closed.
"""

TAGS = {
    "health": "How the node is doing.",
    "meta": "The protocol and the whole service.",
    "auth": "Signing in with a Solana wallet.",
    "markets": "Markets, and the transactions that move them.",
    "actions": "Solana Actions (Blinks): markets that are traded from any client that unfolds their links.",
    "trades": "Quotes, and the transactions that trade.",
    "transactions": "Relaying signed transactions.",
    "votes": "Votes on proposals and disputes.",
    "users": "Wallets.",
    "positions": "What wallets hold.",
    "discussions": "Posts below markets.",
    "events": "The program's events, and the feed for clients that poll.",
    "alerts": "What the node noticed about itself and the protocol.",
    "webhooks": "Where Helius delivers.",
    "admin": "Administration; every call is kept in the audit.",
    "push": "The feed as server-sent events; the same over WebSocket on / and /ws.",
    "pages": "Pages and documentation.",
    "devnet": "The embedded devnet; only where it runs.",
}


class LevelTexts(NamedTuple):
    """What a level means to a caller. ``schemes``: the ways in, any of which will do."""

    text: str
    schemes: tuple[str, ...]
    refuses: tuple[str, ...]


_SESSION = ("missing", "bad_signature", "expired", "revoked")
_SIGNED = (*_SESSION, "bad_message")
LEVELS = {
    Level.NONE: LevelTexts("", (), ()),
    Level.WALLET: LevelTexts("For a signed-in wallet.", ("session", "signature"), _SIGNED),
    Level.JWT: LevelTexts("For a session.", ("session",), (*_SIGNED, "jwt_required")),
    Level.ADMIN: LevelTexts(
        "For administrators, with a session.", ("session",), (*_SIGNED, "jwt_required", "not_admin")
    ),
    Level.READ_ADMIN: LevelTexts(
        "For administrators and service keys.",
        ("session", "serviceKey"),
        (*_SIGNED, "jwt_required", "not_admin"),
    ),
    Level.WALLET_OR_KEY: LevelTexts(
        "For a signed-in wallet or a service key.", ("session", "signature", "serviceKey"), _SIGNED
    ),
}
SECURITY_SCHEMES = {
    "session": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The token of POST /api/auth/login.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Signature message=<URL-encoded>&signature=<base58>&wallet=<base58>` over"
        " `Sign in to ZMART\\nTimestamp: <13-digit ms>`, at most an hour old.",
    },
    "serviceKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-service-key",
        "description": "A key of the configuration; reads only.",
    },
}
CREDENTIALS: dict[str, Any] = {
    "type": "object",
    "description": "Instead of an Authorization header: a message this wallet signed at most five minutes ago.",
    "properties": {
        "message": {
            "type": "string",
            "description": "`Sign this message to authenticate with ZMART: <13-digit ms>`.",
        },
        "signature": {"type": "string", "description": "Base58 of the ed25519 signature over the text."},
        "wallet": {"type": "string", "description": "The wallet."},
    },
    "required": ["message", "signature", "wallet"],
}


class PathParameter(NamedTuple):
    text: str
    example: str
    schema: Mapping[str, Any] = {}


_ROW = {"pattern": "^[0-9]{1,18}$"}
PATH_PARAMETERS = {
    "id": PathParameter("The market: 64 hex digits of its id, or the address of its account.", MARKET_ID),
    "market": PathParameter("The market: 64 hex digits of its id, or the address of its account.", MARKET_ID),
    "wallet": PathParameter("The wallet's address: base58 of 32 bytes.", WALLET),
    "did": PathParameter("Id of the post.", "12"),
    "signature": PathParameter("Signature of the transaction: base58 of 64 bytes.", TRADE["signature"]),
    "event_type": PathParameter("Name of the event.", "SharesBought"),
    "service": PathParameter(
        "The service.",
        "database",
        {
            "enum": [
                "database",
                "solana-rpc",
                "event-indexer",
                "vote-aggregator",
                "market-monitor",
                "websocket",
                "ipfs",
            ]
        },
    ),
    "alerts/id": PathParameter("Id of the alert.", "1", _ROW),
    "intents/id": PathParameter("Id of the intent.", "1", _ROW),
    "dead-letters/id": PathParameter("Id of the dead letter.", "1", _ROW),
    "jobs/name": PathParameter("Name of the job.", "aggregate"),
    "breakers/name": PathParameter("Name of the breaker.", "api"),
    "runbooks/alert_type": PathParameter("Type of an alert.", "stuck_market"),
    "docs/file": PathParameter("Name of the file.", "swagger-ui.css"),
    "static/part1": PathParameter("Name of the file or folder.", "icon.svg"),
    "part2": PathParameter("Name of the file or folder.", "layout.css"),
    "part3": PathParameter("Name of the file.", "price.js"),
}
RAW_BODY: dict[str, Any] = {
    "required": True,
    "description": "Transactions as Helius delivers them: raw, enhanced or nested; at most 5 MiB.",
    "content": {
        "application/json": {
            "schema": {"type": ["array", "object"]},
            "example": [{"signature": TRADE["signature"], "slot": 10, "transactionError": None}],
        }
    },
}


def _header(text: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"description": text, "schema": {"type": kind, **more}}


HEADERS = {
    "X-Request-ID": _header("The request's own id, or one made for it.", pattern=f"^{REQUEST_ID.pattern}$"),
    "ETag": _header("Strong; send it back in If-None-Match."),
    "Retry-After": _header("Seconds to wait.", "integer"),
    "WWW-Authenticate": _header("Bearer"),
    "RateLimit-Limit": _header("Calls allowed in the window.", "integer"),
    "RateLimit-Remaining": _header("Calls left.", "integer"),
    "RateLimit-Reset": _header("Seconds until the window ends.", "integer"),
    "X-Total-Count": _header("Rows that match, counted up to 10,000.", "integer"),
    "X-Next-Cursor": _header("Cursor of the next page; absent on the last."),
}
STATUS_TEXTS = {
    200: "Done.",
    201: "Made.",
    202: "Accepted; not finished yet.",
    400: "A field or the request is malformed; all bad fields are named at once.",
    401: "Not signed in.",
    403: "Not allowed.",
    404: "There is no such thing.",
    409: "Does not fit the present state.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    429: "Too many requests.",
    500: "Internal error.",
    503: "Not available right now.",
}
