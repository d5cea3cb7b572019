"""What the doctor tests beside the chain: a running node, the webhook, IPFS, where alerts go."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx

from zmart_lite import ipfs
from zmart_lite.api.routes.webhook import PATHS
from zmart_lite.app.server import bind
from zmart_lite.chain.helius import SWITCHED_OFF, HeliusClient
from zmart_lite.cli.beside import find_node
from zmart_lite.cli.finding import Finding, bad, good, off, warning
from zmart_lite.config import Config
from zmart_lite.errors import ChainError, IpfsError, StartupError
from zmart_lite.jobs.webhook import WEBHOOK_PATH, wanted_webhook
from zmart_lite.ops.targets import Target, targets_of

TIMEOUT_S = 5.0


# The node


async def examine_node(config: Config, url: str | None) -> list[Finding]:
    """What the running node says of itself; without one, whether one could start."""
    try:
        found = await asyncio.to_thread(find_node, config, url)
    except StartupError as error:
        return [bad("node", error.message, "Look into its log; or name its address by --url.")]
    if found is None:
        return [off("node", "none is running"), *_ports(config)]
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            health = (await client.get(f"{found.url}/health")).json()
    except (httpx.HTTPError, ValueError) as error:
        text = f"{found.url} does not answer any more: {type(error).__name__}"
        return [bad("node", text, "Look into its log; or name its address by --url.")]
    return _health(found.url, health)


def _health(where: str, health: dict[str, Any]) -> list[Finding]:
    """A line for each service that is not well, with the node's own reason."""
    unwell = [each for each in health.get("unwell") or [] if isinstance(each, dict)]
    if not unwell:
        return [good("node", f"{where} runs and is {health.get('status', 'there')}")]
    advice = f"Look into the node's log, and at {where}/status."
    return [
        (bad if each.get("status") == "error" else warning)(
            "node", f"{where} runs; {each.get('service')}: {each.get('reason')}", advice
        )
        for each in unwell
    ]


def _ports(config: Config) -> list[Finding]:
    server, found = config.server, []
    for setting, port in (("server.port", server.port), ("server.ws_port", server.ws_port)):
        if not port:
            continue
        try:
            bind(server.host, port, setting).close()
            found.append(good("port", f"{server.host}:{port} is free"))
        except StartupError as error:
            found.append(bad("port", error.message, f"Stop what uses it, or set {setting}."))
    return found


# Services


async def examine_services(config: Config) -> list[Finding]:
    return [await _webhook(config), await _ipfs(config), await _alerts(config)]


async def _webhook(config: Config) -> Finding:
    name, helius = "webhook", config.helius
    if config.embedded_devnet:
        return off(name, "the node registers its own with the embedded devnet")
    if not helius.webhook_secret:
        return warning(name, "no secret: no delivery is accepted", "Set helius.webhook_secret; polling costs a minute.")
    try:
        wanted = wanted_webhook(config)
    except StartupError:
        return off(name, "registered by hand: neither helius.webhook_url nor server.public_url is set")
    if not helius.api_key:
        return off(name, "registered by hand: helius.api_key is not set")
    client = HeliusClient(helius.api_url, helius.api_key.reveal())
    try:
        problems = await client.check(wanted)
    except ChainError as error:
        return bad(name, error.message, "Check helius.api_key, and what Helius says of its state.")
    finally:
        await client.close()
    return judge_webhook(wanted.url, problems)


def judge_webhook(url: str, problems: Sequence[str]) -> Finding:
    """``problems``: what is wrong with the webhook that should deliver to ``url``, if anything."""
    name = "webhook"
    if not url.endswith(PATHS):
        return warning(name, f"{url} is not the path of the node's route", f"Deliveries go to …{WEBHOOK_PATH}.")
    if problems:
        # What only differs the node corrects when it starts; what Helius switched off had a reason.
        mark = bad if SWITCHED_OFF in problems else warning
        return mark(name, " ".join(problems), "The node puts it right at its start, zmart-lite webhook register now.")
    return good(name, f"{url} is registered")


async def _ipfs(config: Config) -> Finding:
    service = ipfs.connect(config.ipfs)
    if service is None:
        return off("IPFS", "not configured: nothing is kept there")
    try:
        return good("IPFS", await service.check())
    except IpfsError as error:
        advice = "Check the settings ipfs.pinata_jwt, pinata_key and pinata_secret, or ipfs.kubo_url."
        return bad("IPFS", error.message, advice)
    finally:
        await service.close()


async def _alerts(config: Config) -> Finding:
    """Whether every target is one and its host can be reached; nothing is sent to people for that."""
    if not config.alerts.urls:
        return warning("alerts", "nobody is told when something is wrong", "Set alerts.urls: Slack, mail, PagerDuty, …")
    try:
        targets = targets_of([url.reveal() for url in config.alerts.urls])
    except StartupError as error:
        return bad("alerts", error.message, "See apprise's list of services for how to write it.")
    reached = await asyncio.gather(*(_is_reachable(target) for target in targets))
    if silent := ", ".join(target.name for target, answers in zip(targets, reached, strict=True) if not answers):
        return bad("alerts", f"number {silent} of alerts.urls cannot be reached", "Check its host and port.")
    names = ", ".join(target.name for target in targets)
    return good("alerts", f"{config.alerts.notify_from} and worse go to {names}; try them with zmart-lite alerts test")


async def _is_reachable(target: Target) -> bool:
    """Whether the target's host takes a connection; True where it is not known which host that is."""
    if target.endpoint is None:
        return True
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, writer = await asyncio.open_connection(*target.endpoint)
    except (OSError, TimeoutError, UnicodeError):
        return False
    writer.close()
    return True
