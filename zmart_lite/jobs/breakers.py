"""Keeps the circuit breakers over restarts, and tells at once of each that opens, half-opens or closes."""

import asyncio
import logging

from zmart_lite.errors import StoreUnavailable
from zmart_lite.jobs import conditions
from zmart_lite.ops import Background, Breakers, BreakerView, Metrics, SavedBreaker
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import alerts, breakers

logger = logging.getLogger(__name__)

ALERT = "circuit_breaker_open"


class BreakerKeeper:
    """Hand :meth:`changed` to the breakers; :meth:`restore` from the event loop, before anything uses them."""

    def __init__(self, store: Store, metrics: Metrics, background: Background) -> None:
        self._store = store
        self._metrics = metrics
        self._background = background
        self._breakers: Breakers | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = asyncio.Lock()

    async def restore(self, breakers_: Breakers) -> None:
        self._breakers, self._loop = breakers_, asyncio.get_running_loop()
        breakers_.restore(await self._store.read(breakers.list_breakers))

    def changed(self, view: BreakerView) -> None:
        """A breaker changed its state; from any thread."""
        if view.state == "open":
            self._metrics.circuit_breaker_opened_total.labels(view.name).inc()
            logger.warning("the circuit breaker %s opened: %s", view.name, view.last_error)
        else:
            logger.info("the circuit breaker %s is %s", view.name, view.state)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._keep_soon, view)

    def _keep_soon(self, view: BreakerView) -> None:
        self._background.start(self._keep(view), f"breaker-{view.name}")

    async def _keep(self, view: BreakerView) -> None:
        """Write down how the breaker stands now and tell of the change; one after the other, in their order."""
        async with self._turn:
            if self._breakers is None:
                return
            saved = self._breakers[view.name].saved()
            try:
                await self._store.write(lambda tx: _write(tx, view, saved))
            except StoreUnavailable as error:
                logger.warning("the state of the breaker %s is not kept: %s", view.name, error)


def _write(tx: Tx, view: BreakerView, saved: SavedBreaker) -> None:
    """Each change is pushed; people are told once, of the opening, as long as it does not close."""
    breakers.save_breaker(tx, view.name, saved)
    found = next(iter(conditions.breakers([view], 0)), None)
    if found is None:
        messages.resolve_alert(tx, ALERT, view.name)
    else:
        row, _ = alerts.raise_alert(
            tx, found.alert_type, found.severity, found.message, subject=found.subject, data=found.data
        )
        messages.publish_alert(tx, row)
