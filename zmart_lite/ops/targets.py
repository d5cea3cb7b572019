"""Where alerts go: Slack, mail, PagerDuty and whatever else apprise knows, each configured by one address.

Addresses hold secrets: they are never shown, a target is named by its service.
"""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from zmart_lite.errors import StartupError

logger = logging.getLogger(__name__)

TELL_SECRETS = ("apprise", "urllib3", "requests")
"""Loggers that show whole addresses at the level DEBUG."""
HTTP_PORT, HTTPS_PORT, SMTP_PORT = 80, 443, 25
KINDS = {"info": "info", "good": "success", "bad": "failure"}
"""apprise's names for the kinds of messages."""


class Message(NamedTuple):
    """Something to tell. ``kind``: bad, good or info."""

    title: str
    body: str
    kind: str = "bad"


class Target:
    """One configured address. Raises StartupError for one that apprise does not know."""

    def __init__(self, url: str, number: int) -> None:
        # A tenth of the time that a node takes to start, which those without targets save.
        import apprise

        # Without a title these services would show apprise's own name and picture.
        asset = apprise.AppriseAsset(app_id="zmart-lite", app_desc="zmart-lite", async_mode=False)
        service: Any = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if service is None:
            raise StartupError(f"alerts.urls: number {number} is not an address that apprise knows.")
        self._service = service
        self.name = f"{number} ({service.service_name})"

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """Host and port that a message goes to; None where apprise does not say."""
        service = self._service
        if smtp_host := getattr(service, "smtp_host", None):
            return smtp_host, service.port or SMTP_PORT
        fixed = getattr(service, "notify_url", None) or getattr(service, "webhook_url", None)
        if isinstance(fixed, str) and (host := urlsplit(fixed).hostname):
            return host, urlsplit(fixed).port or HTTPS_PORT
        if any("{host}" in template for template in service.templates):
            return service.host, service.port or (HTTPS_PORT if service.secure else HTTP_PORT)
        return None

    def send(self, message: Message) -> bool:
        """Deliver and say whether it worked. Blocks, for some seconds at most; never raises."""
        try:
            return bool(
                self._service.notify(
                    body=message.body, title=message.title, notify_type=KINDS[message.kind], body_format="text"
                )
            )
        except Exception:
            # Dozens of services, each with code of its own: none of them may stop the others.
            logger.exception("the alert target %s raised", self.name)
            return False


def targets_of(urls: Sequence[str]) -> list[Target]:
    """Raises StartupError naming the number of an address that is no target."""
    for talkative in TELL_SECRETS:
        logging.getLogger(talkative).setLevel(logging.WARNING)
    return [Target(url, number) for number, url in enumerate(urls, 1)]
