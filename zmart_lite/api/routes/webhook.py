"""Where Helius delivers: authenticated, durable, answered; nothing is folded before the answer (contract 3)."""

import time
from typing import NamedTuple

import msgspec

from zmart_lite.api.contract.body import ClientGone, check_length, read_bytes, require_json
from zmart_lite.api.contract.endpoints import Endpoint
from zmart_lite.api.contract.request import Request
from zmart_lite.api.http.proxies import limit_key
from zmart_lite.api.identity.limits import Limiter
from zmart_lite.chain.webhook import WebhookItem, is_authentic, parse_payload
from zmart_lite.config import Helius
from zmart_lite.errors import (
    BadRequest,
    PayloadTooLarge,
    RateLimited,
    RequestError,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.log.chainlog import Delivery
from zmart_lite.store.publishing import messages

WEBHOOK_BYTES_MAX = 5 * 1024 * 1024
UNPROVEN_MAX = 8
"""Bodies that are read at once before it is known whether their sender has the secret."""
PATHS = ("/api/webhooks/helius", "/webhooks/events", "/helius/webhook", "/api/events/webhook")
SOURCE = "webhook"
MALFORMED = (BadRequest, PayloadTooLarge, UnsupportedMediaType, ClientGone)


class Received(NamedTuple):
    """A delivery, told apart: what the indexer can work on, and what it cannot with the reason."""

    deliveries: list[Delivery]
    rejects: list[tuple[bytes, str]]


async def receive(request: Request, _: object) -> object:
    """One delivery. 200 means that every item of it is durable, in the inbox or among the dead letters."""
    metrics, started = request.parts.metrics, time.perf_counter()
    result = "failed"
    try:
        body = await _authentic_body(request)
        received = sort_items(body, request.parts.codec.program_id)
        accepted, known = await request.write(lambda tx: keep(tx, received))
        result = "ok"
    except (RequestError, ClientGone) as error:
        result = _result_of(error)
        raise
    finally:
        metrics.webhook_deliveries_total.labels(result).inc()
        metrics.webhook_duration_seconds.observe(time.perf_counter() - started)
    request.shared.webhook.note(accepted + known, request.parts.now_ms())
    if accepted:
        request.parts.indexer.wake()
    return {"success": True, "received": True, "eventsProcessed": accepted, "duplicates": known}


def _result_of(error: Exception) -> str:
    if isinstance(error, Unauthorized):
        return "unauthorized"
    if isinstance(error, RateLimited):
        return "limited"
    return "malformed" if isinstance(error, MALFORMED) else "failed"


async def _authentic_body(request: Request) -> bytes:
    """The body of a delivery that bears the secret.

    Raises PayloadTooLarge, Unavailable without a configured secret, Unauthorized for a wrong one, RateLimited for too
    many.
    """
    check_length(request, WEBHOOK_BYTES_MAX)
    if request.parts.stopping.is_set():
        raise Unavailable("The node is stopping.", reason="shutting_down")
    secrets = _secrets(request.parts.config.helius)
    if not secrets:
        raise Unavailable("No webhook secret is configured.", reason="not_configured", retry_after_s=60)
    headers, limits = request.raw_headers, request.service(Limiter)
    authorization, signature = headers.get(b"authorization"), headers.get(b"x-helius-signature")
    if is_authentic(secrets, b"", authorization, None):
        body = await read_bytes(request, WEBHOOK_BYTES_MAX)
    else:
        # Megabytes are read from strangers only where nothing else can tell whether they are strangers.
        body = b"" if signature is None else await _unproven_body(request)
        if signature is None or not is_authentic(secrets, body, None, signature):
            limits.require(limits.spend("address", limit_key(request.address)))
            missing = authorization is None and signature is None
            raise Unauthorized("Invalid signature", reason="missing" if missing else "bad_signature")
    spent = limits.spend("webhook")
    request.spent = [spent]
    limits.require(spent)
    if body:
        require_json(request)
    return body


async def _unproven_body(request: Request) -> bytes:
    """A body whose digest has yet to be compared: a few at once, because anybody may send such. Raises Unavailable."""
    counts = request.shared.webhook
    if counts.unproven >= UNPROVEN_MAX:
        raise Unavailable("Too many deliveries at once.", reason="connections_max")
    counts.unproven += 1
    try:
        return await read_bytes(request, WEBHOOK_BYTES_MAX)
    finally:
        counts.unproven -= 1


def _secrets(settings: Helius) -> list[str]:
    both = (settings.webhook_secret.reveal(), settings.webhook_secret_previous.reveal())
    return [secret for secret in both if secret]


def sort_items(body: bytes, program_id: bytes) -> Received:
    """Tell the items of a delivery apart. Raises BadRequest for a body that is no delivery at all. Pure."""
    received = Received([], [])
    items = parse_payload(body, program_id)
    for item, raw in zip(items, _raw_items(body), strict=True):
        if item.signature is None:
            received.rejects.append((raw, item.error or "no signature"))
        else:
            received.deliveries.append(Delivery(item.signature, item.slot, _payload(item, raw)))
    return received


def _payload(item: WebhookItem, raw: bytes) -> bytes | None:
    """What the indexer can decode without asking the cluster; an item without logs is fetched, so it is not kept."""
    return None if item.needs_fetch else raw


def _raw_items(body: bytes) -> list[bytes]:
    text = body.strip()
    if not text.startswith(b"["):
        return [text]
    return [bytes(raw) for raw in msgspec.json.decode(text, type=list[msgspec.Raw])]


def keep(tx: Tx, received: Received) -> tuple[int, int]:
    """Write a delivery down: (newly accepted, already known)."""
    for raw, error in received.rejects:
        chainlog.add_dead_letter(tx, "delivery", error, payload=raw)
    if received.rejects:
        messages.publish_undecodable(tx, "delivery", None, received.rejects[0][1])
    return chainlog.add_deliveries(tx, received.deliveries, SOURCE)


ENDPOINTS = [
    Endpoint(
        "POST",
        path,
        receive,
        "Take transactions from Helius: raw, enhanced or nested.",
        answer={"success": True, "received": True, "eventsProcessed": 1, "duplicates": 0},
        tag="webhooks",
        limited=False,
        refuses=("missing", "bad_signature", "not_configured", "shutting_down", "connections_max"),
        body_bytes_max=WEBHOOK_BYTES_MAX,
        raw_body=True,
    )
    for path in PATHS
]
