"""Registers the node's webhook with Helius, or with the embedded devnet's emulation of it.

REST as Helius documents it: one collection of webhooks per API key; an edit needs the whole object; a webhook that
failed too often is switched off until somebody switches it on again.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import httpx

from zmart_lite.errors import RpcRefused, RpcUnavailable

PATH = "/v0/webhooks"
TIMEOUT_S = 10.0
MESSAGE_CHARACTERS_MAX = 200
SWITCHED_OFF = "It is switched off."


class WebhookRegistration(NamedTuple):
    """A webhook as it should be. ``kind`` is raw or enhanced; devnet's kinds are named by the cluster."""

    url: str
    address: str
    kind: str
    auth_header: str
    cluster: str
    webhook_id: str = ""
    """The one to keep so, wherever it delivers now. Empty: the one that delivers to ``url``."""

    def as_json(self) -> dict[str, Any]:
        suffix = "Devnet" if self.cluster == "devnet" else ""
        return {
            "webhookURL": self.url,
            "transactionTypes": ["ANY"],
            "accountAddresses": [self.address],
            "webhookType": self.kind + suffix,
            "authHeader": self.auth_header,
            "txnStatus": "all",
        }


class Ensured(NamedTuple):
    """A webhook that is as it should be now, and what had to be done for that."""

    webhook_id: str
    created: bool = False
    corrected: tuple[str, ...] = ()
    """Names of the fields that were not as wanted."""
    switched_on: bool = False


class HeliusClient:
    """Webhook management. Close it when done."""

    def __init__(self, api_url: str, api_key: str) -> None:
        self._client = httpx.AsyncClient(base_url=api_url, params={"api-key": api_key}, timeout=TIMEOUT_S)

    async def close(self) -> None:
        await self._client.aclose()

    async def list_webhooks(self) -> list[dict[str, Any]]:
        return cast(list[dict[str, Any]], await self._call("GET", PATH))

    async def create(self, wanted: WebhookRegistration) -> dict[str, Any]:
        return cast(dict[str, Any], await self._call("POST", PATH, wanted.as_json()))

    async def replace(self, webhook_id: str, wanted: WebhookRegistration) -> dict[str, Any]:
        return cast(dict[str, Any], await self._call("PUT", f"{PATH}/{webhook_id}", wanted.as_json()))

    async def switch_on(self, webhook_id: str) -> None:
        """Have a webhook deliver again that was switched off because its receiver failed too often."""
        await self._call("PATCH", f"{PATH}/{webhook_id}", {"active": True})

    async def delete(self, webhook_id: str) -> None:
        await self._call("DELETE", f"{PATH}/{webhook_id}")

    async def ensure(self, wanted: WebhookRegistration) -> Ensured:
        """Create the webhook, or correct the one that is there and switch it on."""
        found = await self._find(wanted)
        if found is None:
            return Ensured(str((await self.create(wanted))["webhookID"]), created=True)
        webhook_id, corrected = str(found["webhookID"]), _deviations(found, wanted)
        if corrected:
            await self.replace(webhook_id, wanted)
        is_off = found.get("active") is False
        if is_off:
            await self.switch_on(webhook_id)
        return Ensured(webhook_id, corrected=tuple(corrected), switched_on=is_off)

    async def check(self, wanted: WebhookRegistration) -> list[str]:
        """What is wrong with the webhook, each in a sentence; nothing if all is well."""
        found = await self._find(wanted)
        if found is None:
            return [f"No webhook delivers to {wanted.url}."]
        problems = [f"Its {name} is not as configured." for name in _deviations(found, wanted)]
        return problems + ([SWITCHED_OFF] if found.get("active") is False else [])

    async def _find(self, wanted: WebhookRegistration) -> Mapping[str, Any] | None:
        registered = await self.list_webhooks()
        named = [each for each in registered if wanted.webhook_id and each.get("webhookID") == wanted.webhook_id]
        return next(iter(named + [each for each in registered if each.get("webhookURL") == wanted.url]), None)

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Raises RpcUnavailable, or RpcRefused with the service's own words."""
        try:
            response = await self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise RpcUnavailable(f"Helius cannot be reached: {type(error).__name__}.") from error
        if response.status_code >= 500 or response.status_code == 429:
            raise RpcUnavailable(f"Helius answered {response.status_code}.")
        if response.is_error:
            raise RpcRefused(f"Helius answered {response.status_code}: {response.text[:MESSAGE_CHARACTERS_MAX]}")
        return response.json() if response.content else None


def _deviations(found: Mapping[str, Any], wanted: WebhookRegistration) -> list[str]:
    return [name for name, value in wanted.as_json().items() if found.get(name) != value]
