"""An emulation of Helius webhooks on the devnet: registration over the service's REST, deliveries at *confirmed*.

The REST is served at ``/v0/webhooks`` of the devnet's RPC port: POST and GET there, GET, PUT (the full object), PATCH
(``{"active": …}``) and DELETE below it, each with ``?api-key=``; bodies are ``application/json``. Errors are
``{"error": text}``. No page of a browser is told an ``authHeader``. Registrations last as long as the process;
deviations from the service are listed in :mod:`zmart_lite.localnet.helius_webhooks`.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from zmart_lite.localnet.access import is_json
from zmart_lite.localnet.helius_delivery import BPS, Courier, Faults, Pause, Timing
from zmart_lite.localnet.helius_webhooks import RestRefused, Webhook, read_toggle, read_webhook, wallet_of
from zmart_lite.localnet.ledger import Ledger
from zmart_lite.localnet.params import Params, invalid, read_u64
from zmart_lite.localnet.records import Block

PATH = "/v0/webhooks"
WEBHOOKS_MAX = 64
BODY_BYTES_MAX = 8 * 1024 * 1024
"""Room for the most addresses a webhook may have."""
CONNECTIONS_MAX = 100
DELAY_MS_MAX = 600_000

_encode = msgspec.json.Encoder().encode


class HeliusEmulation:
    """The webhooks of one devnet. Hears of every confirmed block from its making on; delivers between start and stop.

    ``pause`` waits that many seconds before a retry or a delayed delivery; ``clock`` gives seconds for the time of
    grace. ``api_key`` is the only one that is taken; with None every key is an account of its own.
    """

    def __init__(
        self,
        ledger: Ledger,
        timing: Timing | None = None,
        pause: Pause = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        api_key: str | None = None,
    ) -> None:
        self._api_key = api_key
        self._timing = timing or Timing()
        self._pause = pause
        self._clock = clock
        self._couriers: dict[str, Courier] = {}
        self._registered = 0
        self._client: httpx.AsyncClient | None = None
        self.faults = Faults()
        ledger.on_block(self._on_block)

    async def start(self) -> None:
        """Begin to deliver."""
        # Proxies of the environment are for the world outside; one time limit holds for a delivery as a whole.
        limits = httpx.Limits(max_connections=CONNECTIONS_MAX)
        self._client = httpx.AsyncClient(trust_env=False, timeout=None, limits=limits)  # noqa: S113 - see Courier._send
        for courier in self._couriers.values():
            courier.start(self._client)

    async def stop(self) -> None:
        """Stop delivering; what is queued is lost."""
        client, self._client = self._client, None
        await asyncio.gather(*(courier.stop() for courier in self._couriers.values()))
        if client is not None:
            await client.aclose()

    async def settled(self) -> None:
        """Wait until every delivery so far was made or lost."""
        await asyncio.gather(*(courier.settled() for courier in self._couriers.values()))

    def _on_block(self, block: Block) -> None:
        if self._client is None or not block.transactions:
            return
        for courier in self._couriers.values():
            courier.post(block.transactions)

    # -- registrations ----------------------------------------------------------------------------------------------

    def register(self, api_key: str | None, body: object) -> Webhook:
        """Raises :class:`RestRefused`, as all of these do."""
        wallet = wallet_of(api_key, self._api_key)
        if len(self._couriers) >= WEBHOOKS_MAX:
            raise RestRefused(400, f"this devnet keeps at most {WEBHOOKS_MAX} webhooks: delete one first")
        webhook = read_webhook(body, str(uuid.uuid4()), wallet)
        self._registered += 1
        courier = Courier(webhook, self._registered, self._timing, self._pause, self._clock)
        courier.plan(self.faults)
        self._couriers[webhook.webhook_id] = courier
        if self._client is not None:
            courier.start(self._client)
        return webhook

    def list_webhooks(self, api_key: str | None) -> list[Webhook]:
        wallet = wallet_of(api_key, self._api_key)
        return [courier.webhook for courier in self._couriers.values() if courier.webhook.wallet == wallet]

    def get(self, api_key: str | None, webhook_id: str) -> Webhook:
        return self._courier(api_key, webhook_id).webhook

    def update(self, api_key: str | None, webhook_id: str, body: object) -> Webhook:
        """Replace all fields; what is queued goes where the new ones say."""
        courier = self._courier(api_key, webhook_id)
        known = courier.webhook
        fields = read_webhook(body, webhook_id, known.wallet, replaces=True)
        courier.webhook = replace(fields, active=known.active)
        return courier.webhook

    def toggle(self, api_key: str | None, webhook_id: str, body: object) -> Webhook:
        courier = self._courier(api_key, webhook_id)
        courier.switch(read_toggle(body))
        return courier.webhook

    async def delete(self, api_key: str | None, webhook_id: str) -> None:
        await self._couriers.pop(self._courier(api_key, webhook_id).webhook.webhook_id).stop()

    def _courier(self, api_key: str | None, webhook_id: str) -> Courier:
        wallet = wallet_of(api_key, self._api_key)
        courier = self._couriers.get(webhook_id)
        if courier is None or courier.webhook.wallet != wallet:
            raise RestRefused(404, f"webhook not found: {webhook_id}")
        return courier

    # -- faults -----------------------------------------------------------------------------------------------------

    def set_faults(self, faults: Faults) -> None:
        """From now on deliveries of all webhooks meet these; each webhook's count of deliveries begins anew."""
        self.faults = faults
        for courier in self._couriers.values():
            courier.plan(faults)

    def report(self) -> dict[str, dict[str, int]]:
        """What became of the deliveries of each webhook, by id."""
        return {webhook_id: courier.report() for webhook_id, courier in self._couriers.items()}


# -- JSON-RPC ---------------------------------------------------------------------------------------------------------

_FAULT_LIMITS = {
    "seed": ("seed", None),
    "dropBps": ("drop_bps", BPS),
    "repeatBps": ("repeat_bps", BPS),
    "delayBps": ("delay_bps", BPS),
    "reorderBps": ("reorder_bps", BPS),
    "delayMsMax": ("delay_ms_max", DELAY_MS_MAX),
}


def webhook_faults(emulation: HeliusEmulation, params: Params) -> Any:
    """``localnet_webhookFaults``: make deliveries fail on purpose. Answers the switches and what became of deliveries.

    ``{seed?, dropBps?, repeatBps?, delayBps?, reorderBps?, delayMsMax?}`` replaces all switches, ``{}`` ends all
    faults; without an argument nothing changes.

    Raises :class:`RpcError` for an unknown name or a value beyond its limit.
    """
    if params.get(0) is not None:
        emulation.set_faults(_read_faults(params.config(0).fields))
    switches = asdict(emulation.faults)
    return {
        "faults": {name: switches[field] for name, (field, _) in _FAULT_LIMITS.items()},
        "webhooks": emulation.report(),
    }


def _read_faults(fields: dict[str, Any]) -> Faults:
    values: dict[str, int] = {}
    for name, value in fields.items():
        if name not in _FAULT_LIMITS:
            raise invalid(f"unknown switch `{name}`; there are {', '.join(_FAULT_LIMITS)}")
        field, limit = _FAULT_LIMITS[name]
        values[field] = read_u64(value)
        if limit is not None and values[field] > limit:
            raise invalid(f"`{name}` is at most {limit}")
    return Faults(**values)


# -- REST -------------------------------------------------------------------------------------------------------------

_Handler = Callable[[HeliusEmulation, Request], Awaitable[Response]]


def webhook_routes(emulation: HeliusEmulation) -> list[Route]:
    """Routes for the application that serves the RPC port."""
    return [_route(emulation, PATH, _COLLECTION), _route(emulation, PATH + "/{webhook_id}", _ITEM)]


def _route(emulation: HeliusEmulation, path: str, handlers: dict[str, _Handler]) -> Route:
    async def handle(request: Request) -> Response:
        handler = handlers.get(request.method)
        if handler is None:
            return _failure(405, f"{request.method} is not supported here", {"Allow": ", ".join(handlers)})
        try:
            return await handler(emulation, request)
        except RestRefused as refused:
            return _failure(refused.status, refused.message)

    return Route(path, handle, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])


async def _create(emulation: HeliusEmulation, request: Request) -> Response:
    body = await _read_json(request)
    return _answer(request, emulation.register(_key(request), body))


async def _list(emulation: HeliusEmulation, request: Request) -> Response:
    return _json([_shown(request, webhook) for webhook in emulation.list_webhooks(_key(request))])


async def _get(emulation: HeliusEmulation, request: Request) -> Response:
    return _answer(request, emulation.get(_key(request), _id(request)))


async def _update(emulation: HeliusEmulation, request: Request) -> Response:
    return _answer(request, emulation.update(_key(request), _id(request), await _read_json(request)))


async def _toggle(emulation: HeliusEmulation, request: Request) -> Response:
    return _answer(request, emulation.toggle(_key(request), _id(request), await _read_json(request)))


async def _delete(emulation: HeliusEmulation, request: Request) -> Response:
    await emulation.delete(_key(request), _id(request))
    return Response(status_code=200)


_COLLECTION: dict[str, _Handler] = {"GET": _list, "POST": _create}
_ITEM: dict[str, _Handler] = {"GET": _get, "PUT": _update, "PATCH": _toggle, "DELETE": _delete}


def _key(request: Request) -> str | None:
    return request.query_params.get("api-key")


def _id(request: Request) -> str:
    return str(request.path_params["webhook_id"])


async def _read_json(request: Request) -> Any:
    """Raises :class:`RestRefused`: 413 above ``BODY_BYTES_MAX``, 415 where it is not called JSON, 400 if it is none."""
    if not is_json(request.headers):
        raise RestRefused(415, "the body is to be JSON: send it with Content-Type: application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise RestRefused(413, f"the body is longer than {BODY_BYTES_MAX} bytes")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RestRefused(400, "the body is not JSON") from None


def _answer(request: Request, webhook: Webhook) -> Response:
    return _json(_shown(request, webhook))


def _shown(request: Request, webhook: Webhook) -> dict[str, Any]:
    """As the service, this tells whoever has the key what deliveries carry; but not a page, which names its origin."""
    shape = webhook.as_json()
    if "origin" in request.headers:
        del shape["authHeader"]
    return shape


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_encode(value), status, headers, "application/json")


def _failure(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return _json({"error": message}, status, headers)
