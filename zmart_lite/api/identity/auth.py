"""Who asks: session tokens, the compatibility forms of signed messages, service keys, tickets (contract section 1)."""

import hashlib
import hmac
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs

import jwt

from zmart_lite.api.contract.endpoints import Identity
from zmart_lite.api.contract.parsers import find_wallet
from zmart_lite.api.identity import siws
from zmart_lite.config import Auth, Config
from zmart_lite.config.sections import JWT_SECRET_BYTES_MIN
from zmart_lite.errors import StartupError, Unauthorized
from zmart_lite.shown import address_text
from zmart_lite.store.engine.db import Store
from zmart_lite.store.state import people

T = TypeVar("T")

TOKEN_LIFETIME_S = 3_600
TOKEN_LENGTH_MAX = 2_048
TOKENS_CACHED = 10_000
TICKET_LIFETIME_S = 30
TICKET_LENGTH_MAX = 128
ALGORITHM = "HS256"
CLAIMS = ("sub", "wallet", "walletAddress", "iat", "exp", "jti", "iss", "aud")
ISSUED_AHEAD_MAX_S = 60
KEY_FILE = "jwt.secret"

HEADER_MESSAGE = re.compile(r"Sign in to ZMART\nTimestamp: (\d{13})", re.ASCII)
BODY_MESSAGE = re.compile(r"Sign this message to authenticate with ZMART: (\d{13})", re.ASCII)
HEADER_AHEAD_MAX_MS = 300_000
HEADER_LENGTH_MAX = 4_096
SIGNATURE_SCHEME = "signature "
BEARER_SCHEME = "bearer "
BODY_CREDENTIALS = ("message", "signature", "wallet")
OPERATOR_PREFIX = "operator-"
OPERATOR_WALLET = bytes(32)
"""Whom the audit names for a command on the node's own machine: the address of no wallet. Signing in as it gives no
rights."""


def jwt_secret(config: Config) -> bytes:
    """The key of the session tokens: the configured one, or one made at the first start and kept in store.dir.

    Raises StartupError when it can be neither read nor written.
    """
    configured = config.auth.jwt_secret.reveal()
    if configured:
        return configured.encode()
    path = config.store.folder / KEY_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _read_secret(path) or _make_secret(path)
    except OSError as error:
        raise StartupError(
            f"The key file {path} cannot be used: {error.strerror}. Make it accessible or set auth.jwt_secret."
        ) from error


def _read_secret(path: Path) -> bytes | None:
    if not path.exists():
        return None
    found = path.read_bytes().strip()
    if len(found) < JWT_SECRET_BYTES_MIN:
        raise StartupError(f"The key file {path} is damaged: delete it (all sessions end) or set auth.jwt_secret.")
    return found


def _make_secret(path: Path) -> bytes:
    made = secrets.token_hex(JWT_SECRET_BYTES_MIN).encode()
    # Written whole under another name first: a crash leaves no half a key behind.
    draft = path.with_suffix(f".{os.getpid()}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(made)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return made


def make_operator_key() -> str:
    """A bearer token for commands on the node's own machine; made anew at each start, and kept in files that only the
    node's user may read.
    """
    return OPERATOR_PREFIX + secrets.token_urlsafe(32)


class Claims(NamedTuple):
    """A verified session token."""

    wallet: bytes
    jti: str
    expires_s: int


class Tokens:
    """Makes and verifies session tokens: HS256, all claims required. Times are unix seconds."""

    def __init__(self, secret: bytes, settings: Auth) -> None:
        if len(secret) < JWT_SECRET_BYTES_MIN:
            raise StartupError(f"auth.jwt_secret must have at least {JWT_SECRET_BYTES_MIN} bytes.")
        self._secret = secret
        self._issuer, self._audience = settings.issuer, settings.audience

    def issue(self, wallet: bytes, now_s: int) -> tuple[str, Claims]:
        address = address_text(wallet)
        claims = Claims(wallet, secrets.token_hex(16), now_s + TOKEN_LIFETIME_S)
        token = jwt.encode(
            {
                "sub": address,
                "wallet": address,
                "walletAddress": address,
                "iat": now_s,
                "exp": claims.expires_s,
                "jti": claims.jti,
                "iss": self._issuer,
                "aud": self._audience,
            },
            self._secret,
            algorithm=ALGORITHM,
        )
        return token, claims

    def verify(self, token: str, now_s: int) -> Claims:
        """Raises Unauthorized ``bad_signature`` or ``expired``. Revocation is the caller's to check."""
        payload = self._payload(token)
        address, issued, expires, jti = (payload[name] for name in ("wallet", "iat", "exp", "jti"))
        wallet = find_wallet(address)
        same = payload["sub"] == address == payload["walletAddress"]
        if wallet is None or not same or type(issued) is not int or type(expires) is not int:
            raise Unauthorized("The session token is not valid.", reason="bad_signature")
        if issued > now_s + ISSUED_AHEAD_MAX_S:
            raise Unauthorized("The session token is not valid yet.", reason="bad_signature")
        if expires <= now_s:
            raise Unauthorized("The session has expired; sign in again.", reason="expired")
        return Claims(wallet, jti, expires)

    def _payload(self, token: str) -> dict[str, Any]:
        # Our own clock decides about the times, so that tests and the node agree on it.
        try:
            return jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                options={
                    "require": list(CLAIMS),
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except jwt.InvalidTokenError as error:
            raise Unauthorized("The session token is not valid.", reason="bad_signature") from error


class Authenticator:
    """Turns credentials into identities. ``now_ms`` is the wall clock."""

    def __init__(
        self, config: Config, secret: bytes, store: Store, now_ms: Callable[[], int], operator_key: str = ""
    ) -> None:
        """``operator_key``: see :func:`make_operator_key`; empty = none is accepted."""
        self._operator = _digest(operator_key) if operator_key else None
        self._settings = config.auth
        self.tokens = Tokens(secret, config.auth)
        self._store = store
        self._now_ms = now_ms
        self._admins = frozenset(filter(None, map(find_wallet, config.auth.admin_wallets)))
        self._service_keys = {_digest(key.reveal()) for key in config.auth.service_keys}
        # Several nodes on one database: a token may be revoked by another one at any moment.
        self._shared = config.store.is_postgres
        self._verified: OrderedDict[str, Claims] = OrderedDict()
        self._revocations = 0

    def is_admin(self, wallet: bytes) -> bool:
        return wallet in self._admins

    def is_service_key(self, key: str) -> bool:
        return _digest(key) in self._service_keys

    def service_key_name(self, key: str) -> str:
        """What a service key is counted by: not the key."""
        return _digest(key).hex()

    async def from_header(self, value: str) -> Identity:
        """The identity behind an ``Authorization`` header, either form; raises Unauthorized."""
        scheme = value[: len(SIGNATURE_SCHEME)].lower()
        if scheme.startswith(BEARER_SCHEME):
            return await self.from_token(value[len(BEARER_SCHEME) :].strip())
        if scheme == SIGNATURE_SCHEME:
            return self.from_signature_header(value[len(SIGNATURE_SCHEME) :])
        raise Unauthorized("The Authorization header has an unknown form.", reason="bad_signature")

    async def from_token(self, token: str) -> Identity:
        """The identity of a session token; raises Unauthorized ``bad_signature``, ``expired`` or ``revoked``."""
        now_s = self._now_ms() // 1_000
        if token.startswith(OPERATOR_PREFIX):
            return self._operator_of(token, now_s)
        claims = self._verified.get(token)
        if claims is None or self._shared or claims.expires_s <= now_s:
            claims = await self._verify(token, now_s)
        return Identity(claims.wallet, "jwt", self.is_admin(claims.wallet), claims.expires_s * 1_000, claims.jti)

    def _operator_of(self, token: str, now_s: int) -> Identity:
        if self._operator is None or not hmac.compare_digest(_digest(token), self._operator):
            raise Unauthorized("The operator's key is not that of this start of the node.", reason="bad_signature")
        return Identity(OPERATOR_WALLET, "operator", True, (now_s + TOKEN_LIFETIME_S) * 1_000)

    async def _verify(self, token: str, now_s: int) -> Claims:
        if len(token) > TOKEN_LENGTH_MAX:
            raise Unauthorized("The session token is not valid.", reason="bad_signature")
        claims = self.tokens.verify(token, now_s)
        before = self._revocations
        if await self._store.read(lambda tx: people.is_revoked(tx, claims.jti)):
            raise Unauthorized("The session was ended; sign in again.", reason="revoked")
        # A token revoked while we looked must not be remembered as good.
        if not self._shared and before == self._revocations:
            self._verified[token] = claims
            if len(self._verified) > TOKENS_CACHED:
                self._verified.popitem(last=False)
        return claims

    async def revoke(self, identity: Identity) -> None:
        """End the session: its token is refused from now on."""
        jti = identity.jti or ""
        await self._store.write(lambda tx: people.revoke_token(tx, jti, identity.expires_ms))
        self._revocations += 1
        self._verified = OrderedDict((text, claims) for text, claims in self._verified.items() if claims.jti != jti)

    async def is_revoked(self, jti: str) -> bool:
        """Whether a session was ended meanwhile: asked again and again for connections that stay open."""
        return await self._store.read(lambda tx: people.is_revoked(tx, jti))

    async def make_ticket(self, identity: Identity) -> tuple[str, int]:
        """A single-use credential for one connection, and the unix milliseconds at which it expires."""
        ticket, expires_ms = secrets.token_urlsafe(32), self._now_ms() + TICKET_LIFETIME_S * 1_000
        session = people.Session(identity.wallet, identity.jti or "", identity.expires_ms)
        await self._store.write(lambda tx: people.add_ticket(tx, _digest(ticket), session, expires_ms))
        return ticket, expires_ms

    async def from_ticket(self, ticket: str) -> Identity:
        """Consume a ticket; raises Unauthorized if it is unknown, used or expired, or its session has ended.

        It counts as that session: what it opens ends when the session does.
        """
        if len(ticket) > TICKET_LENGTH_MAX:
            raise Unauthorized("The ticket is not valid.", reason="bad_signature")
        found = await self._store.write(lambda tx: people.take_ticket(tx, _digest(ticket)))
        if found is None:
            raise Unauthorized("The ticket is not valid: unknown, used or expired.", reason="expired")
        return Identity(found.wallet, "ticket", self.is_admin(found.wallet), found.expires_ms, found.jti)

    # Compatibility forms

    def from_signature_header(self, value: str) -> Identity:
        """``message=<URL-encoded>&signature=<base58>&wallet=<base58>``; raises Unauthorized."""
        fields: dict[str, str] = {}
        if len(value) <= HEADER_LENGTH_MAX:
            try:
                fields = {name: found[-1] for name, found in parse_qs(value, max_num_fields=8).items()}
            except ValueError as error:
                raise Unauthorized("The Authorization header cannot be read.", reason="bad_message") from error
        wallet, signed_ms = self._signed(fields, HEADER_MESSAGE)
        age_ms = self._now_ms() - signed_ms
        age_max_ms = self._settings.signature_age_max_s * 1_000
        _check_age(age_ms, age_max_ms, HEADER_AHEAD_MAX_MS)
        return Identity(wallet, "signature", False, signed_ms + age_max_ms)

    def from_body(self, body: Mapping[str, Any]) -> Identity | None:
        """The identity of credentials in a body, at top level or inside ``_auth``; None without any; raises
        Unauthorized.
        """
        given = body.get("_auth")
        fields = given if isinstance(given, dict) else body
        if not all(name in fields for name in BODY_CREDENTIALS):
            return None
        wallet, signed_ms = self._signed(fields, BODY_MESSAGE)
        skew_ms = self._settings.signature_skew_s * 1_000
        _check_age(self._now_ms() - signed_ms, skew_ms, skew_ms)
        return Identity(wallet, "body", False, signed_ms + skew_ms)

    def _signed(self, fields: Mapping[str, Any], form: re.Pattern[str]) -> tuple[bytes, int]:
        """(wallet, milliseconds in the message) of a message in exactly this form that the wallet signed."""
        message, wallet = fields.get("message"), find_wallet(fields.get("wallet"))
        found = form.fullmatch(message) if isinstance(message, str) else None
        if found is None or wallet is None:
            raise Unauthorized("The signed message does not have the form that belongs here.", reason="bad_message")
        try:
            signatures = siws.signatures_of(fields.get("signature"))
        except ValueError as error:
            raise Unauthorized("The signature cannot be read.", reason="bad_signature") from error
        if not siws.is_signed([found[0].encode()], signatures, wallet):
            raise Unauthorized("The signature is not this wallet's.", reason="bad_signature")
        return wallet, int(found[1])


def _check_age(age_ms: int, age_max_ms: int, ahead_max_ms: int) -> None:
    if age_ms > age_max_ms:
        raise Unauthorized("The signed message is too old.", reason="expired")
    if -age_ms > ahead_max_ms:
        raise Unauthorized("The signed message is from the future.", reason="bad_message")


def _digest(secret: str) -> bytes:
    """Secrets are compared by digest: how long a comparison takes tells nothing about them."""
    return hmac.digest(b"zmart-lite", secret.encode("utf-8", "surrogatepass"), hashlib.sha256)
