"""The calls of /api/auth: nonce, login, logout, me, ticket (contract 1.1)."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from solders.pubkey import Pubkey

from zmart_lite.api.contract import parsers
from zmart_lite.api.contract.endpoints import Caching, Endpoint, Level
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import Parser, Problems, field
from zmart_lite.api.identity import siws
from zmart_lite.api.identity.auth import TICKET_LIFETIME_S, TOKEN_LIFETIME_S, Authenticator
from zmart_lite.api.openapi import examples
from zmart_lite.config import Config
from zmart_lite.errors import Unauthorized
from zmart_lite.shown import address_text, time_text_ms
from zmart_lite.store.state import people

NONCE_LIFETIME_MS = 300_000
NONCE_BYTES = 16
ISSUED_AGE_MAX_MS = 600_000
ISSUED_AHEAD_MAX_MS = 60_000
SKEW_MS = 60_000
STATEMENT = "Sign in to ZMART."
VERSION = "1"
LOOPBACK_HOSTS = ("localhost", "127.0.0.1")
LISTENS_ON_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
DEFAULT_PORTS = {"http": 80, "https": 443}
MESSAGE_SHOWN = (
    "zmart.example wants you to sign in with your Solana account:\n4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM\n\n"
    "Sign in to ZMART.\n\nURI: https://zmart.example\nVersion: 1\nChain ID: devnet\nNonce: 3f9c0a52d1e84b67a0c4\n"
    "Issued At: 2026-01-02T03:04:05.678Z"
)
"""For the documentation."""
SIGNED_BYTES_MAX = siws.MESSAGE_BYTES_MAX + 2_048
"""Room for an envelope around the longest message."""


# Which hosts a message may name


def allowed_domains(config: Config) -> frozenset[str]:
    """Lower-case hosts, with a port where it is not the scheme's own."""
    if config.auth.domains:
        return frozenset(_host_of(domain) if "://" in domain else domain.lower() for domain in config.auth.domains)
    urls = [config.server.public_url, *config.server.cors_origins]
    return frozenset(_host_of(url) for url in urls if "://" in url)


def is_allowed_domain(config: Config, domain: str) -> bool:
    """Whether a sign-in message may name this host. A node that listens on loopback only also takes loopback, any
    port.
    """
    domain = domain.lower()
    if domain in allowed_domains(config):
        return True
    host, colon, port = domain.partition(":")
    is_loopback = host in LOOPBACK_HOSTS and (not colon or (port.isascii() and port.isdigit()))
    return is_loopback and not config.auth.domains and config.server.host in LISTENS_ON_LOOPBACK


def _host_of(url: str) -> str:
    """``host`` or ``host:port`` of a URL; '' if it has none."""
    if "\\" in url:
        return ""  # browsers read it as a slash: the host would be another one for them
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return ""
    host = f"[{host}]" if ":" in host else host
    return host if port is None or port == DEFAULT_PORTS.get(parts.scheme) else f"{host}:{port}"


def _own_site(request: Request) -> tuple[str, str]:
    """(domain, uri) for a message: the page that asks, if it may sign in here, else the node's own address."""
    config = request.parts.config
    origin = request.header(b"origin")
    if origin is not None and (domain := _host_of(origin)) and is_allowed_domain(config, domain):
        return domain, origin
    if config.server.public_url and is_allowed_domain(config, _host_of(config.server.public_url)):
        return _host_of(config.server.public_url), config.server.public_url
    host = (request.header(b"host") or "").lower()
    if is_allowed_domain(config, host):
        return host, f"http://{host}"
    known = sorted(allowed_domains(config))
    domain = known[0] if known else f"localhost:{config.server.port}"
    return domain, f"https://{domain}" if known else f"http://{domain}"


# Nonce


@dataclass(frozen=True, slots=True)
class NonceQuery:
    wallet: bytes | None = field(parsers.wallet, None, help="Binds the nonce to this wallet.")


async def nonce(request: Request, fields: NonceQuery) -> dict[str, Any]:
    now_ms = request.parts.now_ms()
    made, expires_ms = secrets.token_hex(NONCE_BYTES), now_ms + NONCE_LIFETIME_MS
    await request.write(lambda tx: people.add_nonce(tx, made, fields.wallet, expires_ms))
    domain, uri = _own_site(request)
    issued, expires = time_text_ms(now_ms), time_text_ms(expires_ms)
    chain_id = request.parts.config.chain.cluster
    answer: dict[str, Any] = {
        "domain": domain,
        "uri": uri,
        "statement": STATEMENT,
        "version": VERSION,
        "chainId": chain_id,
        "nonce": made,
        "issuedAt": issued,
        "expirationTime": expires,
        "expires_in": NONCE_LIFETIME_MS // 1_000,
    }
    if fields.wallet is not None:
        answer["message"] = siws.message_text(
            domain=domain,
            address=address_text(fields.wallet),
            statement=STATEMENT,
            uri=uri,
            chain_id=chain_id,
            nonce=made,
            issued=issued,
            expires=expires,
        )
    return answer


# Login


def _message(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004 - whatever is wrong with a field is a ValueError
    try:
        siws.parse_message(value)
    except UnicodeEncodeError:
        raise ValueError("must be UTF-8") from None
    return value


def _signed_message(value: Any) -> bytes:
    if isinstance(value, list):
        return siws.bytes_of_array(value, SIGNED_BYTES_MAX)
    raw = siws.decode_base64(value) if isinstance(value, str) and len(value) <= 2 * SIGNED_BYTES_MAX else None
    if raw is None or len(raw) > SIGNED_BYTES_MAX:
        raise ValueError("must be base64 or an array of bytes")
    return raw


message_parser = Parser(_message, {"type": "string", "maxLength": siws.MESSAGE_BYTES_MAX})
signed_message_parser = Parser(_signed_message, {"type": ["string", "array"], "items": {"type": "integer"}})
signature_parser = Parser(siws.signatures_of, {"type": ["string", "array"], "items": {"type": "integer"}})


@dataclass(frozen=True, slots=True)
class LoginBody:
    """``message`` or ``signedMessage``; with both the text must be the one that was signed."""

    message: str | None = field(
        message_parser, None, help="The text, if the wallet signed it as it is.", example=MESSAGE_SHOWN
    )
    signedMessage: bytes | None = field(  # noqa: N815
        signed_message_parser, None, help="The bytes really signed, bare or in an off-chain envelope (version 0 or 1)."
    )
    signature: tuple[bytes, ...] = field(
        signature_parser, help="64 bytes: base58, base64 or an array.", example="5" * 88
    )
    wallet: bytes | None = field(parsers.wallet, None, aliases=("address", "publicKey"))

    def check(self) -> Problems:
        if self.message is None and self.signedMessage is None:
            yield "message", "is required (or signedMessage)"
        if self.signedMessage is not None:
            yield from self._check_signed()

    def text(self) -> str:
        return (self.message or "") if self.signedMessage is None else signed_text(self.signedMessage)

    def _check_signed(self) -> Iterator[tuple[str, str]]:
        try:
            text = signed_text(self.signedMessage or b"")
            siws.parse_message(text)
        except (ValueError, UnicodeDecodeError) as error:
            yield "signedMessage", "must be UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            return
        if self.message is not None and text != self.message:
            yield "signedMessage", "holds another text than message"


def signed_text(signed: bytes) -> str:
    """The text of signed bytes, inside an envelope or bare; raises ValueError (also UnicodeDecodeError)."""
    is_envelope = signed.startswith(siws.ENVELOPE_PREFIX)
    return (siws.parse_envelope(signed).text if is_envelope else signed).decode()


async def login(request: Request, fields: LoginBody) -> dict[str, Any]:
    text = fields.text()
    message = siws.parse_message(text)
    config = request.parts.config
    _check_place(config, message)
    wallet = _signer(message, fields, text)
    if message.nonce is None or not await _take_nonce(request, message.nonce, wallet):
        raise Unauthorized("The nonce is unknown, used, expired or another wallet's.", reason="nonce_invalid")
    now_ms = request.parts.now_ms()
    _check_times(message, now_ms)
    auth = request.service(Authenticator)
    token, claims = auth.tokens.issue(wallet, now_ms // 1_000)
    expires = time_text_ms(claims.expires_s * 1_000)
    return {
        "success": True,
        "token": token,
        "token_type": "Bearer",
        "wallet": address_text(wallet),
        "role": "admin" if auth.is_admin(wallet) else "user",
        "expires_in": TOKEN_LIFETIME_S,
        "expiresAt": expires,
        "expires_at": expires,
        "message": "Signed in.",
    }


def _check_place(config: Config, message: siws.SignIn) -> None:
    """The message is for this site, this version and this cluster. Raises Unauthorized."""
    if not is_allowed_domain(config, message.domain):
        raise Unauthorized("The message is for another site.", reason="bad_domain")
    if message.uri is not None and not is_allowed_domain(config, _host_of(message.uri)):
        raise Unauthorized("The message's URI is of another site.", reason="bad_domain")
    if message.version not in (None, VERSION):
        raise Unauthorized("The message has another version than 1.", reason="bad_message")
    cluster = config.chain.cluster
    if message.chain_id not in (None, cluster, f"solana:{cluster}"):
        raise Unauthorized(f"The message is for another cluster than {cluster}.", reason="wrong_chain")


def _signer(message: siws.SignIn, fields: LoginBody, text: str) -> bytes:
    """The wallet the message names, once it is proved that exactly this key signed. Raises Unauthorized."""
    wallet = parsers.find_wallet(message.address)
    if wallet is None or not Pubkey.from_bytes(wallet).is_on_curve():
        raise Unauthorized("The message names no wallet that can sign.", reason="bad_message")
    if fields.wallet is not None and fields.wallet != wallet:
        raise Unauthorized("The message names another wallet.", reason="address_mismatch")
    signed = fields.signedMessage
    if signed is None:
        tried = list(siws.candidates(text.encode(), wallet))
    else:
        tried = [signed]
        if signed.startswith(siws.ENVELOPE_PREFIX):
            signers = siws.parse_envelope(signed).signers
            if signers and wallet not in signers:
                raise Unauthorized("The message was signed by another wallet.", reason="address_mismatch")
    if not siws.is_signed(tried, fields.signature, wallet):
        raise Unauthorized("The signature is not this wallet's.", reason="bad_signature")
    return wallet


async def _take_nonce(request: Request, given: str, wallet: bytes) -> bool:
    return await request.write(lambda tx: people.take_nonce(tx, given, wallet))


def _check_times(message: siws.SignIn, now_ms: int) -> None:
    """Wall clock, not chain clock. Raises Unauthorized."""
    if message.issued_ms is None:
        raise Unauthorized("The message does not say when it was issued.", reason="bad_message")
    if message.issued_ms > now_ms + ISSUED_AHEAD_MAX_MS:
        raise Unauthorized("The message is from the future.", reason="bad_message")
    if message.issued_ms < now_ms - ISSUED_AGE_MAX_MS:
        raise Unauthorized("The message is too old.", reason="expired")
    if message.expires_ms is not None and message.expires_ms < now_ms - SKEW_MS:
        raise Unauthorized("The message has expired.", reason="expired")
    if message.not_before_ms is not None and message.not_before_ms > now_ms + SKEW_MS:
        raise Unauthorized("The message is not valid yet.", reason="bad_message")


# Sessions


async def logout(request: Request, _: None) -> dict[str, Any]:
    await request.service(Authenticator).revoke(request.signed_in)
    return {"success": True}


async def me(request: Request, _: None) -> dict[str, Any]:
    identity = request.signed_in
    address = address_text(identity.wallet)
    return {
        "wallet": address,
        "walletAddress": address,
        "role": "admin" if identity.is_admin and identity.method == "jwt" else "user",
        "auth": "jwt" if identity.method == "jwt" else "signature",
        "expires_at": time_text_ms(identity.expires_ms),
    }


async def ticket(request: Request, _: None) -> dict[str, Any]:
    made, expires_ms = await request.service(Authenticator).make_ticket(request.signed_in)
    return {"ticket": made, "expires_in": TICKET_LIFETIME_S, "expires_at": time_text_ms(expires_ms)}


_WALLET = "4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM"
_TIME = "2026-01-02T03:04:05.678Z"

ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/auth/nonce",
        nonce,
        "What a wallet needs to sign in",
        fields=NonceQuery,
        caching=Caching.NO_STORE,
        tag="auth",
        answer=examples.SIGN_IN,
    ),
    Endpoint(
        "POST",
        "/api/auth/login",
        login,
        "Sign in with a signed message",
        fields=LoginBody,
        caching=Caching.NO_STORE,
        tag="auth",
        answer={
            "success": True,
            "token": "eyJ…",
            "token_type": "Bearer",
            "wallet": _WALLET,
            "role": "user",
            "expires_in": TOKEN_LIFETIME_S,
            "expiresAt": _TIME,
            "expires_at": _TIME,
            "message": "Signed in.",
        },
        refuses=(
            "bad_message",
            "bad_domain",
            "wrong_chain",
            "address_mismatch",
            "bad_signature",
            "nonce_invalid",
            "expired",
        ),
    ),
    Endpoint(
        "POST", "/api/auth/logout", logout, "End this session", level=Level.JWT, tag="auth", answer={"success": True}
    ),
    Endpoint(
        "GET",
        "/api/auth/me",
        me,
        "Who is signed in",
        level=Level.WALLET,
        tag="auth",
        answer={
            "wallet": _WALLET,
            "walletAddress": _WALLET,
            "role": "user",
            "auth": "jwt",
            "expires_at": _TIME,
        },
    ),
    Endpoint(
        "POST",
        "/api/auth/ticket",
        ticket,
        "A single-use credential for one stream",
        level=Level.JWT,
        status=201,
        tag="auth",
        answer={"ticket": "p4Xw…", "expires_in": TICKET_LIFETIME_S, "expires_at": _TIME},
    ),
)
