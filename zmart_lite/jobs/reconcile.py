"""The job that compares the database with the chain's accounts, and tries again what could not be indexed."""

from zmart_lite.errors import ChainError
from zmart_lite.indexer import Indexer
from zmart_lite.indexer.reconcile import Reconciled
from zmart_lite.jobs.runner import Params, Summary
from zmart_lite.store.engine.db import Store
from zmart_lite.store.log import chainlog

LETTERS_MAX = 50
"""Dead letters tried again in one run."""


class Reconciliation:
    """``params`` may name one market by ``market_id``."""

    def __init__(self, store: Store, indexer: Indexer) -> None:
        self._store, self._indexer = store, indexer

    async def run(self, params: Params) -> Summary:
        """Accounts compared, fields corrected, left for the next run. Raises what the RPC raises."""
        market_id = params.get("market_id")
        if market_id is not None:
            return _summary(await self._indexer.reconciler.run_market(market_id), 0)
        retried = await self._retry_letters()
        return _summary(await self._indexer.reconciler.run(), retried)

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


def _summary(done: Reconciled, retried: int) -> Summary:
    return Summary(done.accounts, done.differences + done.discovered + retried, done.unreadable, done.skipped)
