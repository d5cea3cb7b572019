"""Joins the indexer, the jobs and the node's transactions to the protocols by which the API knows them.

None of these rooms may import the other; only the composition root sees both sides.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from zmart_lite.api.context import Resynced
from zmart_lite.indexer import Indexer
from zmart_lite.jobs import Actions, JobRunner
from zmart_lite.ops import Background
from zmart_lite.ops.runs import GoingRun, JobView
from zmart_lite.ops.wake import Wake
from zmart_lite.store.engine.db import Row, Store, Tx
from zmart_lite.store.state import intents, markets


class IndexerAdapter:
    """The indexer as requests use it."""

    def __init__(self, indexer: Indexer) -> None:
        self._indexer = indexer

    def wake(self) -> None:
        self._indexer.wake()

    async def index_signature(self, signature: bytes, source: str = "relay") -> bool:
        return await self._indexer.index_signature(signature, source)

    async def resync(self, market_id: bytes) -> Resynced:
        differences = await self._indexer.resync(market_id)
        return Resynced([(each.field, each.stored, each.on_chain) for each in differences])

    async def retry_dead_letter(self, dead_letter_id: int) -> int | None:
        return await self._indexer.letters.retry(dead_letter_id)


class JobAdapter:
    """The job runner as requests use it."""

    def __init__(self, runner: JobRunner) -> None:
        self._runner = runner

    async def views(self) -> list[JobView]:
        return await self._runner.views()

    async def run(
        self,
        name: str,
        *,
        market_id: bytes | None = None,
        dry_run: bool = False,
        from_slot: int | None = None,
        deep: bool = False,
    ) -> int:
        params: dict[str, object] = {"dry_run": dry_run, "deep": deep}
        if market_id is not None:
            params["market_id"] = market_id
        if from_slot is not None:
            params["from_slot"] = from_slot
        return await self._runner.run(name, params)

    async def pause(self, name: str) -> None:
        await self._runner.pause(name)

    async def resume(self, name: str) -> None:
        await self._runner.resume(name)

    def watched(self, name: str, wake: Wake) -> AbstractContextManager[None]:
        return self._runner.watched(name, wake)

    def going(self, name: str) -> GoingRun | None:
        return self._runner.going(name)

    def next_run_ms(self, name: str) -> int | None:
        return self._runner.next_run_ms(name)


class IntentAdapter:
    """The node's own transactions as requests use them: planned at once, carried out in the background."""

    def __init__(self, store: Store, actions: Actions, background: Background) -> None:
        self._store = store
        self._actions = actions
        self._background = background

    @property
    def backend(self) -> bytes | None:
        key = self._actions.keys.backend
        return None if key is None else bytes(key.pubkey())

    @property
    def admin(self) -> bytes | None:
        key = self._actions.keys.admin
        return None if key is None else bytes(key.pubkey())

    async def plan(
        self, action: str, market_id: bytes | None, args: Mapping[str, Any], reason: str | None = None
    ) -> Row:
        subject = intents.PROTOCOL if market_id is None else market_id.hex()

        def unit(tx: Tx) -> tuple[Row, bool]:
            record = None if market_id is None else markets.find_record(tx, market_id)
            market = None if record is None else record["id"]
            return intents.open_intent(tx, action, subject, args, market=market, reason=reason)

        intent, is_new = await self._store.write(unit)
        if is_new:
            self._background.start(self._actions.pursue(intent), f"intent-{action}")
        return intent
