"""Where alerts go: Slack, mail, PagerDuty and whatever else apprise knows, each configured by one address.

Addresses hold secrets: they are never shown, a target is named by its service.
"""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import apprise

from zmart_lite.errors import StartupError

logger = logging.getLogger(__name__)

TELL_SECRETS = ("apprise", "urllib3", "requests")
"""Loggers that show whole addresses at the level DEBUG."""
KINDS = {"info": apprise.NotifyType.INFO, "good": apprise.NotifyType.SUCCESS, "bad": apprise.NotifyType.FAILURE}


class Message(NamedTuple):
    """Something to tell. ``kind``: bad, good or info."""

    title: str
    body: str
    kind: str = "bad"


class Target:
    """One configured address. Raises StartupError for one that apprise does not know."""

    def __init__(self, url: str, number: int) -> None:
        # Without a title these services would show apprise's own name and picture.
        asset = apprise.AppriseAsset(app_id="zmart-lite", app_desc="zmart-lite", async_mode=False)
        service: Any = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if service is None:
            raise StartupError(f"alerts.urls: number {number} is not an address that apprise knows.")
        self._service = service
        self.name = f"{number} ({service.service_name})"

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
