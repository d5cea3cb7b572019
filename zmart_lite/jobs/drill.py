"""The restore drill: the newest copy is restored as after the loss of the machine, and proved to be worth it.

In a scratch folder beside the database the copy is put in place, brought to this version, folded again from its own log
and compared with the accounts on chain. An account says nothing of an earlier slot: a market that differs counts as
moved on if the chain knows a transaction of it that the copy does not hold, and as wrong otherwise.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from zmart_lite.chain.rpc import AccountInfo, Rpc
from zmart_lite.codec import Codec
from zmart_lite.errors import BackupFailed, UndecodableData, ZmartError
from zmart_lite.indexer.accounts import compare
from zmart_lite.indexer.rebuild import rebuild
from zmart_lite.indexer.writer import LogWriter
from zmart_lite.jobs.backup import in_thread
from zmart_lite.jobs.runner import Params, Summary
from zmart_lite.models import MarketAccount, UserPosition
from zmart_lite.ops.metrics import Metrics
from zmart_lite.store.engine import backup
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.engine.leases import JobStore
from zmart_lite.store.engine.restore import restore
from zmart_lite.store.log import chainlog
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import markets, positions
from zmart_lite.store.state.drills import Drilled, set_drill

ALERT = "restore_drill_failure"
LIMIT_S = 3_600
"""A restore that takes longer than this is an alert by itself."""
ACCOUNTS_PER_CALL = 100
SIGNATURES_LOOKED_AT = 10
SHOWN_MAX = 3
CACHE_MB = 32

Accounts = Sequence[AccountInfo | None]


class Drill:
    """The job ``drill``. ``scratch`` is emptied before and after; ``clock_s`` measures."""

    def __init__(
        self,
        store: JobStore,
        codec: Codec,
        rpc: Rpc,
        feed_context: Callable[[], messages.FeedContext],
        *,
        backups: Path,
        scratch: Path,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._codec, self._rpc = store, codec, rpc
        self._feed_context = feed_context
        self._backups, self._scratch = backups, scratch
        self._clock_s = clock_s

    async def run(self, _: Params) -> Summary:
        """Restore the newest good copy and prove it. Raises BackupFailed, and what the RPC raises."""
        copy = next((row for row in await self._store.read(backup.list_recorded) if row["verified"]), None)
        if copy is None:
            raise BackupFailed("There is no good copy to restore yet: zmart-lite db backup makes one.")
        now_ms, begun_s = self._store.now_ms(), self._clock_s()
        drilled = Drilled(now_ms, copy["file"], True, 0.0, max(0.0, (now_ms - copy["created_ms"]) / 1_000))
        try:
            accounts, moved_on = await self._prove(copy["file"])
        except ZmartError as error:
            await self._note(drilled._replace(ok=False, error=error.message, duration_s=self._clock_s() - begun_s))
            raise
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)
        duration_s = self._clock_s() - begun_s
        await self._note(drilled._replace(accounts=accounts, moved_on=moved_on, duration_s=duration_s))
        return Summary(found=accounts, done=accounts, skipped=moved_on)

    async def _prove(self, file: str) -> tuple[int, int]:
        """Accounts compared, and markets that have moved on. Raises BackupFailed with what is wrong."""
        database = self._scratch / "zmart.db"
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True, mode=0o700)
        now_ms = self._store.now_ms()
        await in_thread(lambda stop: restore(database, self._backups / file, now_ms, stop))
        restored = await Store(database, readers=1, cache_mb=CACHE_MB, writer_cache_mb=CACHE_MB).open()
        try:
            await self._fold(restored)
            accounts, suspects = await self._compare(restored)
            wrong = [market_id for market_id in suspects if not await self._has_moved_on(restored, market_id)]
        finally:
            await restored.close()
        if wrong:
            shown = ", ".join(market_id.hex() for market_id in wrong[:SHOWN_MAX])
            raise BackupFailed(
                f"{len(wrong)} markets of {file} differ from the chain, which has not changed them since: {shown}."
            )
        return accounts, len(suspects)

    async def _fold(self, restored: Store) -> None:
        writer = LogWriter(restored, self._codec, self._rpc, Metrics(), self._feed_context)
        rebuilt = await rebuild(writer, self._feed_context, lambda _done, _total: None)
        if rebuilt.differences:
            shown = ", ".join(f"{field} of {market or 'the config'}" for market, field, *_ in rebuilt.differences)
            raise BackupFailed(f"The copy folds to something else than it holds: {shown[:200]}.")

    # Comparing with the chain

    async def _compare(self, restored: Store) -> tuple[int, list[bytes]]:
        """Accounts read, and the markets of which one differs."""
        count, suspects = 0, dict[bytes, None]()
        for list_after, differs in ((markets.list_known_after, self._market_differs), (_positions, _position_differs)):
            after = 0
            while rows := await restored.read(lambda tx, a=after, f=list_after: f(tx, a, ACCOUNTS_PER_CALL)):  # type: ignore[misc]
                infos = await self._rpc.get_accounts([row["address"] for row in rows])
                found = self._decoded(infos)
                suspects |= dict.fromkeys(
                    row["market_id"] for row, account in zip(rows, found, strict=True) if differs(row, account)
                )
                count, after = count + len(rows), rows[-1]["id"]
        return count, list(suspects)

    def _decoded(self, infos: Accounts) -> Iterable[object]:
        for info in infos:
            try:
                yield None if info is None else self._codec.decode_account(info.data)
            except UndecodableData:
                yield None

    @staticmethod
    def _market_differs(record: Any, account: object) -> bool:
        return not isinstance(account, MarketAccount) or bool(compare(record, account))

    async def _has_moved_on(self, restored: Store, market_id: bytes) -> bool:
        """Whether the chain knows a transaction of the market that the copy lacks."""
        newest = await self._rpc.get_signatures(self._codec.market_address(market_id), limit=SIGNATURES_LOOKED_AT)
        signatures = [each.signature for each in newest if not each.failed]
        known = await restored.read(lambda tx: chainlog.known_signatures(tx, signatures))
        return bool(set(signatures) - known)

    # Telling

    async def _note(self, drilled: Drilled) -> None:
        await self._store.write(lambda tx: _keep(tx, drilled))


def _positions(tx: Tx, after: int, limit: int) -> list[Any]:
    return positions.list_after(tx, after, limit)


def _position_differs(row: Any, account: object) -> bool:
    if not isinstance(account, UserPosition):
        return True
    return positions.position_of(row, row["market_address"], account.bump) != account


def _keep(tx: Tx, drilled: Drilled) -> None:
    set_drill(tx, drilled)
    if drilled.ok and drilled.duration_s <= LIMIT_S:
        messages.resolve_alert(tx, ALERT)
        return
    text = "The newest backup could not be restored and proved."
    if drilled.ok:
        text = "Restoring the newest backup takes more than an hour."
    data = {"file": drilled.file, "error": drilled.error, "duration_s": int(drilled.duration_s)}
    messages.raise_alert(tx, ALERT, "HIGH", text, data=data)
