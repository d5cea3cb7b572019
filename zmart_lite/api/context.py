"""What the API is given by the composition root, and what all its requests share. It knows none of the API's rooms."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from zmart_lite.chain.rpc import Rpc
from zmart_lite.chain.tx import Landed
from zmart_lite.codec import Codec
from zmart_lite.config import Config
from zmart_lite.errors import ZmartError
from zmart_lite.ops import Background, Breakers, ChainClock, Health, Metrics
from zmart_lite.ops.log_tail import LogTail
from zmart_lite.ops.runs import GoingRun, JobView
from zmart_lite.ops.wake import Wake
from zmart_lite.push.hub import Hub
from zmart_lite.store.engine.db import Row, Store
from zmart_lite.store.publishing.ballot_box import BallotBox
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.views.known_markets import KnownMarkets
from zmart_lite.store.views.rows import RowSettings

REMEMBERED_MS = 1_000
"""Age up to which figures of the whole node are not read anew, however many ask."""


class JobHooks(Protocol):
    """The job runner as requests use it."""

    async def views(self) -> list[JobView]: ...

    async def run(
        self,
        name: str,
        *,
        market_id: bytes | None = None,
        dry_run: bool = False,
        from_slot: int | None = None,
        deep: bool = False,
    ) -> int:
        """Start a job now and return its run's id; raises Conflict ``already_running``."""

    async def pause(self, name: str) -> None: ...

    async def resume(self, name: str) -> None: ...

    def watched(self, name: str, wake: Wake) -> AbstractContextManager[None]:
        """Have ``wake`` set whenever a run of the job begins, tells how far it came, or has ended."""

    def going(self, name: str) -> GoingRun | None:
        """The job's run that is going on; None once its end is recorded."""

    def next_run_ms(self, name: str) -> int | None: ...


class Resynced(NamedTuple):
    """What reading a market's account changed: (field, stored, on chain) as texts."""

    discrepancies: list[tuple[str, str | None, str | None]]


class IndexerHooks(Protocol):
    """The indexer as requests use it."""

    def wake(self) -> None:
        """Something new lies in the inbox."""

    async def index_signature(self, signature: bytes, source: str = "relay") -> bool:
        """Fetch and fold one transaction now; whether it is indexed (or known to concern nothing of ours)."""

    async def resync(self, market_id: bytes) -> Resynced:
        """Read a market's account and correct its row."""

    async def retry_dead_letter(self, dead_letter_id: int) -> int | None:
        """Try a dead letter again: the number of events applied, None if it failed again."""


class IntentHooks(Protocol):
    """The node's own transactions as requests use them. The keys say which actions the node can sign itself."""

    @property
    def backend(self) -> bytes | None:
        """The address of the key that aggregates and finalises, None without one."""

    @property
    def admin(self) -> bytes | None:
        """The configured admin key's address, None without one: then the admin's wallet signs."""

    async def plan(
        self, action: str, market_id: bytes | None, args: Mapping[str, Any], reason: str | None = None
    ) -> Row:
        """The action's unsettled intent, or a new round of it, which is then signed and sent in the background."""


@dataclass(frozen=True, slots=True)
class ApiParts:
    """The parts of the node that requests use. ``now_ms`` is the wall clock, ``clock`` the chain's."""

    config: Config
    store: Store
    codec: Codec
    rpc: Rpc
    clock: ChainClock
    metrics: Metrics
    health: Health
    breakers: Breakers
    hub: Hub
    indexer: IndexerHooks
    jobs: JobHooks
    intents: IntentHooks
    feed: Callable[[], FeedContext]
    """Makes what messages of one unit of work depend on."""
    background: Background
    jwt_secret: bytes
    started_ms: int
    version: str
    now_ms: Callable[[], int]
    stopping: asyncio.Event
    """Set when the node begins to stop: streams end."""
    log_tail: LogTail = field(default_factory=LogTail)
    refresh_metrics: Callable[[], Awaitable[None]] | None = None
    operator_key: str = ""
    """What commands on this machine may show instead of an administrator's session; empty = nothing."""
    """Brings the gauges that are only looked up for /metrics up to date."""


MADE_SHARE = 20
"""Making a remembered value takes at most one part in so many of the time."""


class Remembered:
    """A value that is made at most once per ``age_max_ms``, by one of those who ask meanwhile; less often where making
    it takes long.
    """

    def __init__(self, age_max_ms: int = REMEMBERED_MS) -> None:
        self._age_max_ms = age_max_ms
        self._kept_ms = float(age_max_ms)
        self._made_ms = 0
        self._value: Any = None
        self._lock = asyncio.Lock()

    async def get(self, now_ms: Callable[[], int], make: Callable[[], Awaitable[Any]]) -> Any:
        async with self._lock:
            if self._value is None or not 0 <= now_ms() - self._made_ms < self._kept_ms:
                started = time.perf_counter()
                self._value = await make()
                self._made_ms = now_ms()
                self._kept_ms = max(self._age_max_ms, (time.perf_counter() - started) * 1_000 * MADE_SHARE)
            return self._value


class WebhookCounts:
    """Deliveries since the start, for /status. ``received`` counts their items."""

    def __init__(self) -> None:
        self.received = 0
        self.last_ms: int | None = None
        self.unproven = 0
        """Bodies that are being read before it is known whether their sender has the secret."""

    def note(self, items: int, now_ms: int) -> None:
        self.received += items
        self.last_ms = now_ms


class Selling:
    """Whether the deployed program can pay sales out: ``available`` is None until a simulated sale has told."""

    def __init__(self) -> None:
        self.available: bool | None = None


class Traffic:
    """Requests and server errors of the last minute, for /health; fixed memory, one slot per second."""

    SLOTS = 60

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._second = 0
        self._requests = [0] * self.SLOTS
        self._errors = [0] * self.SLOTS

    def count(self, status: int) -> None:
        slot = self._advance()
        self._requests[slot] += 1
        if status >= 500:
            self._errors[slot] += 1

    def last_minute(self) -> tuple[int, int]:
        """(requests, those answered with 5xx)."""
        self._advance()
        return sum(self._requests), sum(self._errors)

    def _advance(self) -> int:
        second = self._now_ms() // 1_000
        if second > self._second:
            for missed in range(max(self._second + 1, second - self.SLOTS + 1), second + 1):
                self._requests[missed % self.SLOTS] = self._errors[missed % self.SLOTS] = 0
            self._second = second
        return self._second % self.SLOTS


@dataclass(frozen=True, slots=True)
class Shared:
    """What requests of one API instance have in common, besides the node's parts."""

    rows: RowSettings
    traffic: Traffic
    markets: KnownMarkets
    ballots: BallotBox
    services: Mapping[type[Any], object]
    """Parts of the API by their class, for those who know the class: see ``Request.service``."""
    figures: Remembered = field(default_factory=Remembered)
    status: Remembered = field(default_factory=Remembered)
    costly: defaultdict[str, Remembered] = field(default_factory=lambda: defaultdict(Remembered))
    """Answers that are the same for all and look at much of the database, by the name of their route."""
    webhook: WebhookCounts = field(default_factory=WebhookCounts)
    selling: Selling = field(default_factory=Selling)
    deliveries: dict[bytes, asyncio.Task[Landed | ZmartError]] = field(default_factory=dict)
    """Relayed transactions on their way, by signature."""
    protocol_turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a change of the protocol's config is decided: the pause is a toggle."""
