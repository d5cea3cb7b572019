"""Webhook deliveries: who sent them and what they tell of. Pure.

A delivery is a JSON array of transactions, or one alone. Each item is told apart by itself and fails by itself:

- *raw*: ``transaction.signatures`` and ``meta``, the transaction as a cluster answers it, logs included;
- *enhanced*: ``signature`` at the top. It carries no logs, so the transaction has to be fetched;
- *nested*: ``transaction.signature``, likewise.
"""

import hmac
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from zmart_lite.chain.transactions import I64_MAX, signature_of, transaction_of_raw, transaction_of_rpc
from zmart_lite.errors import BadRequest, UndecodableData
from zmart_lite.models import ChainTransaction

ITEMS_MAX = 5_000
"""Items of one delivery. Helius sends a few hundred at most; five MiB hold some thousand of the shortest
transactions."""

JSON_SPACE = b" \t\r\n"

ItemKind = Literal["raw", "enhanced", "nested", "unknown"]


class WebhookItem(NamedTuple):
    """One item of a delivery, as far as it could be read.

    ``transaction`` is there only for a sound raw item; with a ``signature`` alone it has to be fetched; without one
    the item is a dead letter. ``error`` says what is wrong. ``slot`` and ``failed`` are the sender's words, None if
    it does not say.
    """

    kind: ItemKind
    signature: bytes | None
    slot: int | None = None
    failed: bool | None = None
    transaction: ChainTransaction | None = None
    error: str | None = None

    @property
    def needs_fetch(self) -> bool:
        """Whether the transaction is known but its logs are not."""
        return self.signature is not None and (self.transaction is None or self.transaction.logs is None)


def is_authentic(secrets: Sequence[str], body: bytes, authorization: bytes | None, signature: bytes | None) -> bool:
    """Whether a delivery bears one of the configured secrets, in a time that does not depend on which or how nearly.

    ``authorization`` and ``signature`` are the header values ``Authorization`` and ``x-helius-signature`` as
    received. The first must equal a secret byte for byte, or the second be the hex HMAC-SHA256 of the raw body under
    it. Empty secrets never match.
    """
    authentic = False
    for secret in secrets:
        key = secret.encode()
        digest = hmac.digest(key, body, "sha256").hex().encode()
        same_text = hmac.compare_digest(key, authorization or b"")
        same_digest = hmac.compare_digest(digest, (signature or b"").lower())
        authentic |= bool(key) and (same_text or same_digest)
    return authentic


def parse_payload(body: bytes, program_id: bytes) -> list[WebhookItem]:
    """The items of a delivery in its order; of raw ones only the instructions of ``program_id`` are kept.

    Raises BadRequest if the body as a whole is not JSON, neither object nor array, or longer than ``ITEMS_MAX``
    items; anything else that is wrong is the item's ``error``.
    """
    sound = transaction_of_raw(body, program_id)
    if sound is not None:
        return [WebhookItem("raw", sound.signature, sound.slot, sound.failed, sound)]
    return [_item(raw, program_id) for raw in _items(body)]


def _items(body: bytes) -> list[msgspec.Raw]:
    text = body.strip(JSON_SPACE)
    is_array = text.startswith(b"[")
    try:
        items = (
            msgspec.json.decode(text, type=list[msgspec.Raw])
            if is_array
            else [msgspec.json.decode(text, type=msgspec.Raw)]
        )
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest("The body is not JSON.", reason="malformed_json") from error
    if not is_array and not text.startswith(b"{"):
        raise BadRequest("Send a JSON array or object.")
    if len(items) > ITEMS_MAX:
        raise BadRequest(f"At most {ITEMS_MAX} transactions in one delivery.")
    return items


def _item(raw: msgspec.Raw, program_id: bytes) -> WebhookItem:
    sound = transaction_of_raw(raw, program_id)
    if sound is not None:
        return WebhookItem("raw", sound.signature, sound.slot, sound.failed, sound)
    try:
        item = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        return WebhookItem("unknown", None, error=f"unreadable: {error}")
    if not isinstance(item, dict):
        return WebhookItem("unknown", None, error="not an object")
    nested = item.get("transaction")
    transaction: dict[str, Any] = nested if isinstance(nested, dict) else {}
    if "signatures" in transaction:
        return _raw_item(item, transaction, program_id)
    if "signature" in item:
        return _named_item("enhanced", item, item["signature"])
    if "signature" in transaction:
        return _named_item("nested", item, transaction["signature"])
    return WebhookItem("unknown", None, error="no signature")


def _raw_item(item: dict[str, Any], transaction: dict[str, Any], program_id: bytes) -> WebhookItem:
    signatures = transaction["signatures"]
    try:
        signature = signature_of(signatures[0] if isinstance(signatures, list) and signatures else None)
    except UndecodableData as error:
        return WebhookItem("raw", None, error=error.message)
    try:
        found = transaction_of_rpc(item, program_id)
    except UndecodableData as error:
        return WebhookItem("raw", signature, _slot_of(item), error=error.message)
    return WebhookItem("raw", signature, found.slot, found.failed, found)


def _named_item(kind: ItemKind, item: dict[str, Any], signature_text: object) -> WebhookItem:
    try:
        signature = signature_of(signature_text)
    except UndecodableData as error:
        return WebhookItem(kind, None, error=error.message)
    failed = item["transactionError"] is not None if "transactionError" in item else None
    return WebhookItem(kind, signature, _slot_of(item), failed)


def _slot_of(item: dict[str, Any]) -> int | None:
    slot = item.get("slot")
    return slot if type(slot) is int and 0 <= slot <= I64_MAX else None
