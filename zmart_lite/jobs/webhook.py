"""Keeps the webhook as the configuration has it: created, corrected, switched on again where the service had enough.

Failing costs speed only: the poller finds every event. But somebody has to know.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

from zmart_lite.chain.helius import Ensured, HeliusClient, WebhookRegistration
from zmart_lite.config import Config
from zmart_lite.errors import ChainError, StartupError
from zmart_lite.ops import Metrics
from zmart_lite.ops.rates import total_of

logger = logging.getLogger(__name__)

WEBHOOK_PATH = "/api/webhooks/helius"
CHECK_S = 600
"""At least so long lie between two looks, since the service charges for asking."""


def wanted_webhook(config: Config, url: str = "") -> WebhookRegistration:
    """The webhook as the configuration has it. ``url``: where it delivers, unless ``helius.webhook_url`` is set.

    Raises StartupError naming the setting that is missing.
    """
    helius = config.helius
    public = config.server.public_url and config.server.public_url.rstrip("/") + WEBHOOK_PATH
    found = helius.webhook_url or url or public
    if not found:
        raise StartupError("Set helius.webhook_url to the public https address of this node's webhook route.")
    if not helius.webhook_secret:
        raise StartupError("Set helius.webhook_secret: without it no delivery is accepted.")
    return WebhookRegistration(
        found,
        config.chain.program_id,
        helius.webhook_type,
        helius.webhook_secret.reveal(),
        config.chain.cluster,
        helius.webhook_id,
    )


class WebhookView(NamedTuple):
    """How the webhook stands: why it could not be looked after, and whether it was found switched off, and nothing
    has been delivered since.
    """

    error: str | None = None
    was_off: bool = False


class WebhookKeeper:
    """``wanted`` is asked at each look: None means that there is none to keep. ``connect`` makes a look's client."""

    def __init__(
        self,
        wanted: Callable[[], WebhookRegistration | None],
        connect: Callable[[], HeliusClient],
        metrics: Metrics,
        monotonic: Callable[[], float],
    ) -> None:
        self._wanted, self._connect, self._metrics, self._monotonic = wanted, connect, metrics, monotonic
        self._lock = asyncio.Lock()
        self._is_doubtful = True
        self._next_look = float("-inf")
        self._error: str | None = None
        self._delivered_before: float | None = None

    def doubt(self) -> None:
        """Events came that the webhook should have brought: it will be looked at."""
        self._is_doubtful = True

    async def look(self) -> None:
        """Look after the webhook if there is reason to, and the last look was long enough ago."""
        async with self._lock:
            wanted = self._wanted()
            if wanted is None or not self._is_doubtful or self._monotonic() < self._next_look:
                return
            self._next_look = self._monotonic() + CHECK_S
            client = self._connect()
            try:
                self._note(await client.ensure(wanted))
            except ChainError as error:
                self._error = error.message
                logger.warning("the webhook is not registered: %s", error)
            finally:
                await client.close()

    def _note(self, done: Ensured) -> None:
        self._is_doubtful, self._error = False, None
        if done.switched_on:
            self._delivered_before = self._delivered()
            logger.warning("the webhook had been switched off and is on again", extra={"webhook_id": done.webhook_id})
        else:
            logger.info("webhook registered", extra={"webhook_id": done.webhook_id})

    def _delivered(self) -> float:
        """Deliveries that were taken, ever."""
        return total_of(self._metrics.webhook_deliveries_total, lambda labels: labels["result"] == "ok")

    def view(self) -> WebhookView:
        before = self._delivered_before
        if before is not None and self._delivered() > before:
            before = self._delivered_before = None
        return WebhookView(self._error, before is not None)
