"""The job that compares the database with the chain's accounts, and tries again what could not be indexed."""

from functools import partial

from zmart_lite.errors import ChainError
from zmart_lite.indexer import Indexer
from zmart_lite.indexer.reconcile import Reconciled
from zmart_lite.jobs.runner import Params, Summary, tell_progress
from zmart_lite.store.engine.db import Store
from zmart_lite.store.log import chainlog

LETTERS_MAX = 50
"""Dead letters tried again in one run."""


class Reconciliation:
    """``params`` may name one market by ``market_id``, or ask for every transaction of the log again by ``deep``."""

    def __init__(self, store: Store, indexer: Indexer) -> None:
        self._store, self._indexer = store, indexer

    async def run(self, params: Params) -> Summary:
        """As :func:`summary_of`, with the dead letters that came through. Raises what the RPC raises."""
        market_id = params.get("market_id")
        if market_id is not None:
            return summary_of(await self._indexer.reconciler.run_market(market_id))
        retried = await self._retry_letters()
        told = partial(tell_progress, "transactions")
        done = await self._indexer.reconciler.run(deep=bool(params.get("deep")), on_progress=told)
        return summary_of(done).plus(done=retried)

    async def _retry_letters(self) -> int:
        """Try transactions again that the cluster did not know or could not tell of; how many came through."""
        letters = await self._store.read(lambda tx: chainlog.list_retryable_letters(tx, LETTERS_MAX))
        resolved = 0
        for letter in letters:
            try:
                resolved += await self._indexer.letters.retry(letter["id"]) is not None
            except ChainError:
                break
        return resolved


def summary_of(done: Reconciled) -> Summary:
    """Accounts compared; what was corrected; markets that differ even now or cannot be read; those left for later."""
    corrected = done.differences + done.discovered + done.undone
    return Summary(done.accounts, corrected, done.unreadable + done.remaining, done.skipped)
