"""Delivering to one webhook: its bounded queue, the time limit, the retries, and faults on purpose.

First attempts are made one after the other, in chain order; a retry does not hold up what follows, so that a receiver
sees deliveries out of order as soon as it fails one. What could not be delivered is lost for good.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from random import Random
from typing import Any, NamedTuple

import httpx

from zmart_lite.localnet.helius_payloads import encode_delivery
from zmart_lite.localnet.helius_webhooks import Webhook
from zmart_lite.localnet.records import LandedTransaction
from zmart_lite.ops.tasks import Background

log = logging.getLogger(__name__)

RETRIES_MAX = 3
QUEUE_MAX = 1_000
"""Deliveries that wait for a slow receiver; those above are lost."""
TRANSACTIONS_PER_DELIVERY_MAX = 50
"""A block with more comes in several deliveries, none longer than a receiver takes (10 kB of logs each at most)."""
HELD_MAX = 8
LATE_MAX = 64
"""Delayed and retried deliveries at a time; above that, first attempts wait for their retries."""
FAILURE_WINDOW = 50
DISABLE_RATE_BPS = 9_500
"""A webhook is disabled once this share of its last ``FAILURE_WINDOW`` deliveries was lost; the service only says that
a high rate disables."""
ANSWER_BYTES_MAX = 64 * 1024
BPS = 10_000
FORBIDDEN = 403

Pause = Callable[[float], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Timing:
    """Intervals in seconds, by default those of the service.

    ``answer_s`` is the receiver's time for an answer, ``retry_s`` lies between two attempts, ``reorder_hold_s`` is how
    long a delivery that waits for the next one does so, ``grace_s`` how long a webhook that was switched on again is
    not disabled.
    """

    answer_s: float = 1.0
    retry_s: float = 1.0
    reorder_hold_s: float = 2.0
    grace_s: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Faults:
    """How deliveries go wrong on purpose, in basis points of them, decided by seed, webhook and delivery alone.

    Dropped deliveries are never sent; repeated ones are sent again at once; delayed ones up to ``delay_ms_max`` later;
    reordered ones after the next one.
    """

    seed: int = 0
    drop_bps: int = 0
    repeat_bps: int = 0
    delay_bps: int = 0
    reorder_bps: int = 0
    delay_ms_max: int = 3_000

    def fate(self, webhook_number: int, delivery_number: int) -> "Fate":
        random = Random(f"{self.seed}/{webhook_number}/{delivery_number}")  # noqa: S311 - to be repeated, not to be secret
        drop, repeat, delay, reorder = (random.randrange(BPS) for _ in range(4))
        return Fate(
            drop < self.drop_bps,
            repeat < self.repeat_bps,
            random.randint(1, max(self.delay_ms_max, 1)) if delay < self.delay_bps else 0,
            reorder < self.reorder_bps,
        )


class Fate(NamedTuple):
    drop: bool = False
    repeat: bool = False
    delay_ms: int = 0
    reorder: bool = False


class Delivery(NamedTuple):
    transactions: tuple[LandedTransaction, ...]
    fate: Fate


@dataclass(slots=True)
class Counters:
    """What became of a webhook's deliveries. ``attempts`` are requests made; ``lost`` those that failed for good."""

    attempts: int = 0
    delivered: int = 0
    lost: int = 0
    overflowed: int = 0
    dropped: int = 0
    repeated: int = 0
    delayed: int = 0
    reordered: int = 0


class Verdict(Enum):
    ACCEPTED = "accepted"
    RETRY = "retry"
    REFUSED = "refused"


class Courier:
    """Delivers to one webhook. All but :meth:`start` and :meth:`stop` may be called whether or not it runs."""

    def __init__(
        self,
        webhook: Webhook,
        number: int,
        timing: Timing,
        pause: Pause = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.webhook = webhook
        self.number = number
        self.counters = Counters()
        self._timing = timing
        self._pause = pause
        self._clock = clock
        self._faults = Faults()
        self._delivery_number = 0
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue(QUEUE_MAX)
        self._held: list[Delivery] = []
        self._late = Background()
        self._work = Background()
        self._outcomes: deque[bool] = deque(maxlen=FAILURE_WINDOW)
        self._grace_until = float("-inf")
        self._pending = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self, client: httpx.AsyncClient) -> None:
        self._work.start(self._run(client), f"helius-{self.webhook.webhook_id}")

    async def stop(self) -> None:
        """Give up what is queued and under way."""
        await self._work.stop()
        await self._late.stop()
        self._queue = asyncio.Queue(QUEUE_MAX)
        self._held.clear()
        self._pending = 0
        self._idle.set()

    async def settled(self) -> None:
        """Wait until every delivery so far was made or lost."""
        await self._idle.wait()

    def plan(self, faults: Faults) -> None:
        """Let further deliveries meet these faults, counted anew."""
        self._faults = faults
        self._delivery_number = 0

    def switch(self, active: bool) -> None:
        """Switching on starts the time of grace; switching off loses what is queued."""
        if active:
            self._outcomes.clear()
            self._grace_until = self._clock() + self._timing.grace_s
        self.webhook = replace(self.webhook, active=active)

    def post(self, transactions: Sequence[LandedTransaction]) -> None:
        """Queue what the webhook wants of one block's transactions."""
        if not self.webhook.active:
            return
        wanted = [landed for landed in transactions if self.webhook.wants(landed)]
        for start in range(0, len(wanted), TRANSACTIONS_PER_DELIVERY_MAX):
            self._decide(tuple(wanted[start : start + TRANSACTIONS_PER_DELIVERY_MAX]))

    def _decide(self, transactions: tuple[LandedTransaction, ...]) -> None:
        self._delivery_number += 1
        fate = self._faults.fate(self.number, self._delivery_number)
        if fate.drop:
            self.counters.dropped += 1
            return
        self._enqueue(Delivery(transactions, fate))
        if fate.repeat:
            self.counters.repeated += 1
            self._enqueue(Delivery(transactions, Fate()))

    def _enqueue(self, delivery: Delivery) -> None:
        try:
            self._queue.put_nowait(delivery)
        except asyncio.QueueFull:
            self.counters.overflowed += 1
            return
        self._pending += 1
        self._idle.clear()

    # -- the worker -------------------------------------------------------------------------------------------------

    async def _run(self, client: httpx.AsyncClient) -> None:
        while True:
            delivery = await self._take()
            if delivery is not None and delivery.fate.reorder and len(self._held) < HELD_MAX:
                self.counters.reordered += 1
                self._held.append(delivery)
                continue
            if delivery is not None:
                await self._dispatch(client, delivery)
            while self._held:
                await self._dispatch(client, self._held.pop())

    async def _take(self) -> Delivery | None:
        """The next delivery; None where those held back have waited for it long enough."""
        try:
            async with asyncio.timeout(self._timing.reorder_hold_s if self._held else None):
                return await self._queue.get()
        except TimeoutError:
            return None

    async def _dispatch(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        """Make the first attempt, and leave a delay or the retries to a task of their own while there are few."""
        if delivery.fate.delay_ms:
            self.counters.delayed += 1
            await self._aside(self._delayed(client, delivery))
            return
        if await self._attempt(client, delivery):
            await self._aside(self._retry(client, delivery))

    async def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._late.start(work, f"helius-late-{self.webhook.webhook_id}")
        if len(self._late) > LATE_MAX:
            await asyncio.wait([task])

    async def _delayed(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        await self._pause(delivery.fate.delay_ms / 1000)
        if await self._attempt(client, delivery):
            await self._retry(client, delivery)

    async def _retry(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        for left in reversed(range(RETRIES_MAX)):
            await self._pause(self._timing.retry_s)
            if not await self._attempt(client, delivery, is_last=left == 0):
                return

    async def _attempt(self, client: httpx.AsyncClient, delivery: Delivery, *, is_last: bool = False) -> bool:
        """Whether another attempt is due; if not, the delivery is settled."""
        if not self.webhook.active:
            self._settle(delivered=False)
            return False
        self.counters.attempts += 1
        verdict = await self._send(client, delivery)
        if verdict is Verdict.RETRY and not is_last:
            return True
        self._judge(delivered=verdict is Verdict.ACCEPTED)
        self._settle(delivered=verdict is Verdict.ACCEPTED)
        return False

    async def _send(self, client: httpx.AsyncClient, delivery: Delivery) -> Verdict:
        webhook = self.webhook
        headers = {"Content-Type": "application/json"}
        if webhook.auth_header:
            headers["Authorization"] = webhook.auth_header
        body = encode_delivery(delivery.transactions, enhanced=webhook.is_enhanced)
        try:
            async with asyncio.timeout(self._timing.answer_s):
                return _verdict(await _post(client, webhook.url, body, headers))
        except (
            httpx.HTTPError,
            OSError,
            UnicodeError,
        ) as error:  # TimeoutError is an OSError; UnicodeError: no such host name
            log.debug("webhook not delivered", extra={"webhook": webhook.webhook_id, "error": repr(error)})
            return Verdict.RETRY

    # -- outcomes ---------------------------------------------------------------------------------------------------

    def _judge(self, *, delivered: bool) -> None:
        """Disable a webhook that loses nearly everything."""
        self._outcomes.append(delivered)
        lost = self._outcomes.count(False)
        if len(self._outcomes) < FAILURE_WINDOW or lost * BPS < DISABLE_RATE_BPS * FAILURE_WINDOW:
            return
        if self.webhook.active and self._clock() >= self._grace_until:
            log.warning(
                "webhook disabled: its receiver fails", extra={"webhook": self.webhook.webhook_id, "lost": lost}
            )
            self.switch(False)

    def _settle(self, *, delivered: bool) -> None:
        self.counters.delivered += delivered
        self.counters.lost += not delivered
        self._pending -= 1
        if self._pending == 0:
            self._idle.set()

    def report(self) -> dict[str, int]:
        return asdict(self.counters) | {"pending": self._pending}


async def _post(client: httpx.AsyncClient, url: str, body: bytes, headers: dict[str, str]) -> int:
    """The status of the answer. Its body is read, so that the connection can be used again, unless it is long."""
    async with client.stream("POST", url, content=body, headers=headers) as response:
        size = 0
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > ANSWER_BYTES_MAX:
                break
        return response.status_code


def _verdict(status: int) -> Verdict:
    if 200 <= status < 300:
        return Verdict.ACCEPTED
    return Verdict.RETRY if status >= 400 and status != FORBIDDEN else Verdict.REFUSED
