"""Registered webhooks of the Helius emulation: their fields as the REST has them, and what each wants to hear of.

Deviations from the service: addresses may be ``http`` and private or of this machine, since that is where a devnet's
receivers are; Discord webhooks are refused; ``raw`` and ``rawDevnet`` mean the same chain, as do ``enhanced`` and
``enhancedDevnet``; ``encoding``, which is about account webhooks, is kept and answered without effect.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from zmart_lite.localnet.helius_payloads import transaction_type
from zmart_lite.localnet.params import RpcError, read_pubkey
from zmart_lite.localnet.records import LandedTransaction
from zmart_lite.localnet.wire import pubkey_text

ADDRESSES_MAX = 100_000
TRANSACTION_TYPES_MAX = 200
URL_CHARS_MAX = 2_048
PORT_MAX = 65_535
AUTH_HEADER_CHARS_MAX = 4_096
API_KEY_CHARS_MAX = 256

RAW_TYPES = ("raw", "rawDevnet")
ENHANCED_TYPES = ("enhanced", "enhancedDevnet")
ENCODINGS = ("jsonParsed", "json", "base58", "base64", "base64+zstd")
STATUSES = ("all", "success", "failed")
ANY_TYPE = "ANY"

_TYPE_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
"""Printable ASCII without blanks at the ends: what can stand in an HTTP header unchanged."""


class RestRefused(Exception):
    """A request that the webhook REST answers with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class _Fields(msgspec.Struct, kw_only=True, rename="camel"):
    """The body of a registration. Fields that are not listed are ignored, as the service does."""

    webhook_url: str = msgspec.field(name="webhookURL")
    transaction_types: list[str]
    account_addresses: list[str]
    webhook_type: str | None = None
    auth_header: str | None = None
    encoding: str | None = None
    txn_status: str | None = None


class _Toggle(msgspec.Struct):
    active: bool


@dataclass(frozen=True, slots=True)
class Webhook:
    """One registration. ``wallet`` is the account of the API key that owns it."""

    webhook_id: str
    wallet: str
    url: str
    transaction_types: tuple[str, ...]
    addresses: tuple[bytes, ...]
    webhook_type: str
    auth_header: str
    encoding: str
    txn_status: str
    watched: frozenset[bytes]
    active: bool = True

    @property
    def is_enhanced(self) -> bool:
        return self.webhook_type in ENHANCED_TYPES

    def wants(self, landed: LandedTransaction) -> bool:
        """Whether the transaction names one of the addresses, loaded ones included, and passes the other filters."""
        if self.txn_status != "all" and landed.failed != (self.txn_status == "failed"):
            return False
        meta = landed.meta
        named = (*landed.account_keys, *meta.loaded_writable, *meta.loaded_readonly)
        if self.watched.isdisjoint(named):
            return False
        # Only enhanced webhooks know types.
        return (
            not self.is_enhanced
            or ANY_TYPE in self.transaction_types
            or transaction_type(landed) in self.transaction_types
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "webhookID": self.webhook_id,
            "wallet": self.wallet,
            "webhookURL": self.url,
            "transactionTypes": self.transaction_types,
            "accountAddresses": [pubkey_text(key) for key in self.addresses],
            "webhookType": self.webhook_type,
            "authHeader": self.auth_header,
            "encoding": self.encoding,
            "txnStatus": self.txn_status,
            "active": self.active,
        }


def wallet_of(api_key: str | None, only_key: str | None = None) -> str:
    """The account behind an API key. Without an ``only_key`` every key is one, whose webhooks the others do not see.

    Raises :class:`RestRefused` (401) without a key, and for another than the only one.
    """
    if not api_key or len(api_key) > API_KEY_CHARS_MAX:
        raise RestRefused(401, "missing or invalid api key: add ?api-key= to the address")
    if only_key is not None and not hmac.compare_digest(api_key.encode(), only_key.encode()):
        raise RestRefused(401, "invalid api key: this devnet takes only that of its node (helius.api_key)")
    return pubkey_text(hashlib.sha256(b"helius account of " + api_key.encode()).digest())


def read_webhook(body: object, webhook_id: str, wallet: str, *, replaces: bool = False) -> Webhook:
    """The webhook that a body describes; one that ``replaces`` another has to name its type, too.

    Raises :class:`RestRefused` (400) saying which field is wrong.
    """
    try:
        fields = msgspec.convert(body, _Fields)
    except msgspec.ValidationError as error:
        raise RestRefused(400, f"invalid webhook: {error}") from None
    if replaces and fields.webhook_type is None:
        raise RestRefused(
            400, "invalid webhook: Object missing required field `webhookType`; an update takes the full object"
        )
    addresses = _addresses(fields.account_addresses)
    return Webhook(
        webhook_id,
        wallet,
        _url(fields.webhook_url),
        _transaction_types(fields.transaction_types),
        addresses,
        _one_of("webhookType", fields.webhook_type, ("enhanced", "enhancedDevnet", *RAW_TYPES)),
        _auth_header(fields.auth_header),
        _one_of("encoding", fields.encoding, ENCODINGS),
        _one_of("txnStatus", fields.txn_status, STATUSES),
        frozenset(addresses),
    )


def read_toggle(body: object) -> bool:
    """``{"active": bool}``. Raises :class:`RestRefused` (400)."""
    try:
        return msgspec.convert(body, _Toggle).active
    except msgspec.ValidationError as error:
        raise RestRefused(400, f"only `active` can be changed alone: {error}") from None


def _one_of(name: str, value: str | None, choices: tuple[str, ...]) -> str:
    """The value, or the first choice for none."""
    if value is None:
        return choices[0]
    if value not in choices:
        raise RestRefused(400, f"invalid webhook: `{name}` is one of {', '.join(choices)}")
    return value


def _url(text: str) -> str:
    try:
        url = httpx.URL(text) if len(text) <= URL_CHARS_MAX else None
    except httpx.InvalidURL as error:
        raise RestRefused(400, f"invalid webhook: `webhookURL`: {error}") from None
    # Names in an address would take the place of authHeader.
    if url is None or url.scheme not in ("http", "https") or not url.host or url.userinfo or (url.port or 0) > PORT_MAX:
        raise RestRefused(
            400,
            f"invalid webhook: `webhookURL` is an http(s) address without user, of at most {URL_CHARS_MAX} characters",
        )
    return text


def _transaction_types(names: list[str]) -> tuple[str, ...]:
    if not 0 < len(names) <= TRANSACTION_TYPES_MAX or not all(_TYPE_NAME.fullmatch(name) for name in names):
        raise RestRefused(
            400, f'invalid webhook: `transactionTypes` is ["{ANY_TYPE}"] or a list of types such as TRANSFER'
        )
    return tuple(names)


def _addresses(texts: list[str]) -> tuple[bytes, ...]:
    """Without an address nothing would ever be delivered: that is a mistake and not a wish."""
    if not 0 < len(texts) <= ADDRESSES_MAX:
        raise RestRefused(400, f"invalid webhook: `accountAddresses` holds 1 to {ADDRESSES_MAX} addresses")
    try:
        return tuple(dict.fromkeys(read_pubkey(text) for text in texts))
    except RpcError as error:
        raise RestRefused(400, f"invalid webhook: `accountAddresses`: {error.message}") from None


def _auth_header(text: str | None) -> str:
    if not text:
        return ""
    if len(text) > AUTH_HEADER_CHARS_MAX or not _HEADER_VALUE.fullmatch(text):
        wanted = f"at most {AUTH_HEADER_CHARS_MAX} printable ASCII characters without blanks at the ends"
        raise RestRefused(400, f"invalid webhook: `authHeader` is {wanted}")
    return text
