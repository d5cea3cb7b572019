"""Tries dead letters again: after an upgrade that knows more layouts, or when the cluster knows more transactions.

A letter that names its transaction is tried from the chain. One that does not holds an item of a delivery as received;
where this version finds a signature in it, the transaction goes into the inbox. Logs that the runtime truncated are so
for ever: their letter ends when all that the transaction may have changed has been read from the chain. Logs that a
node only does not tell whole may be had from another one: their letter stays open until they are.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from zmart_lite.chain.answers import AccountInfo
from zmart_lite.chain.events import events_of, is_cut, is_whole
from zmart_lite.chain.webhook import parse_payload
from zmart_lite.errors import RequestError, RpcRefused, RpcUnavailable, UndecodableData
from zmart_lite.indexer.finality import FETCHES_MAX
from zmart_lite.indexer.touched import touched_by
from zmart_lite.indexer.writer import LogWriter
from zmart_lite.models import ChainTransaction, Commitment, MarketAccount
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.log.chainlog import Delivery, LogChange
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import markets

BATCH = 100
"""Letters read at once; their transactions are fetched side by side."""
SOURCE = "backfill"

Apply = Callable[[Sequence[tuple[ChainTransaction, str]]], Awaitable[object]]
OnProgress = Callable[[int, int], None]


class Retried(NamedTuple):
    """Letters tried, and those of them that are resolved now."""

    tried: int = 0
    resolved: int = 0


class DeadLetters:
    """``apply`` puts a transaction into the log; ``wake`` tells that the inbox has something new."""

    def __init__(self, writer: LogWriter, apply: Apply, wake: Callable[[], None]) -> None:
        self._writer, self._apply, self._wake = writer, apply, wake
        self._store, self._codec, self._rpc = writer.store, writer.codec, writer.rpc

    async def retry(self, letter_id: int) -> int | None:
        """Try one again: the number of its transaction's events, or None if it failed again.

        Raises RpcUnavailable where the cluster cannot be asked.
        """
        letter = await self._store.read(lambda tx: chainlog.find_dead_letter(tx, letter_id))
        if letter is None:
            return None
        if letter["signature"] is None:
            return await self._retry_contents(letter)
        return await self._settle(letter, await self._fetch(letter["signature"]))

    async def retry_all(self, on_progress: OnProgress = lambda _done, _total: None) -> Retried:
        """Try every open letter, oldest first, and have accounts read that could not be.

        Raises RpcUnavailable; those tried until then stay resolved.
        """
        await self._store.write(markets.forget_pauses)
        total = await self._store.read(chainlog.count_dead_letters)
        tried = after = 0
        while rows := await self._store.read(lambda tx, a=after: chainlog.list_open_letters(tx, a, BATCH)):  # type: ignore[misc]
            await self._retry_batch(rows)
            tried, after = tried + len(rows), rows[-1]["id"]
            on_progress(min(tried, total), total)
        # A transaction that comes through closes all its letters, also those that had not had their turn.
        left = await self._store.read(chainlog.count_dead_letters)
        on_progress(total, total)
        self._wake()
        return Retried(total, max(total - left, 0))

    async def _retry_batch(self, rows: Sequence[Row]) -> None:
        found = await self._fetch_all([row["signature"] for row in rows if row["signature"] is not None])
        for row in rows:
            letter = await self._store.read(lambda tx, i=row["id"]: chainlog.find_dead_letter(tx, i))  # type: ignore[misc]
            if letter is None or letter["resolved_ms"] is not None:
                continue
            if letter["signature"] is None:
                await self._retry_contents(letter)
            else:
                await self._settle(letter, found[letter["signature"]])

    async def _fetch_all(self, signatures: Sequence[bytes]) -> dict[bytes, ChainTransaction | None]:
        """Each once, several at a time. Raises RpcUnavailable, when all have ended."""
        gate = asyncio.Semaphore(FETCHES_MAX)

        async def fetch(signature: bytes) -> ChainTransaction | None:
            async with gate:
                return await self._fetch(signature)

        wanted = list(dict.fromkeys(signatures))
        found = await asyncio.gather(*map(fetch, wanted), return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return {key: each for key, each in zip(wanted, found, strict=True) if not isinstance(each, BaseException)}

    async def _fetch(self, signature: bytes) -> ChainTransaction | None:
        try:
            return await self._writer.fetch(signature)
        except RpcUnavailable:
            raise
        except (RpcRefused, UndecodableData):
            return None

    async def _settle(self, letter: Row, found: ChainTransaction | None) -> int | None:
        if found is None:
            await self._store.write(lambda tx: chainlog.count_retry(tx, letter["id"]))
            return None
        if not is_whole(self._codec, found):
            return await self._settle_part(letter, found)

        await self._read_anew(found)
        after = await self._store.read(lambda tx: chainlog.find_dead_letter(tx, letter["id"]))
        resolved = after is not None and after["resolved_ms"] is not None
        return len(events_of(self._codec, found).events) if resolved else None

    async def _read_anew(self, found: ChainTransaction) -> None:
        """Take a transaction in again, in place of what was read of it before."""

        def forget(tx: Tx) -> LogChange:
            change = chainlog.forget_for_retry(tx, found.signature)
            # Should the node end before the next commit, the inbox still knows.
            chainlog.add_deliveries(tx, [Delivery(found.signature, found.slot, None)], SOURCE)
            return change

        async with self._writer.lock:
            await self._writer.refold(forget)
        await self._apply([(found, SOURCE)])

    async def _settle_part(self, letter: Row, found: ChainTransaction) -> int | None:
        """What does not tell everything is indexed as far as it goes, and the accounts it touched are read. Once these
        readings are final, nothing is missing any more but the telling.
        """
        signature = found.signature
        known = await self._store.read(lambda tx: chainlog.find_transaction(tx, signature))
        is_new = known is None
        if known is None:
            await self._apply([(found, SOURCE)])
        elif not known["complete"] and events_of(self._codec, found).complete:
            # An endpoint had left out log lines that another has, though even these do not tell everything.
            await self._read_anew(found)
            is_new = True
        resolution = None
        if letter["kind"] == "delivery":
            resolution = chainlog.READ_IN_PART
        elif letter["kind"] == "truncated" and is_cut(found) and await self._is_read(found):
            resolution = chainlog.ACCOUNTS_READ

        def unit(tx: Tx) -> None:
            if resolution is None:
                chainlog.count_retry(tx, letter["id"])
                return
            chainlog.resolve_letter(tx, letter["id"], resolution)
            messages.resolve_undecodable(tx)

        await self._store.write(unit)
        if resolution is None:
            return None
        return sum(each.event is not None for each in events_of(self._codec, found).events) if is_new else 0

    async def _is_read(self, found: ChainTransaction) -> bool:
        """Whether all that a transaction may have changed was read as of its slot or later, for good."""
        touched = touched_by(self._codec, found)
        created = [self._codec.market_address(market_id) for market_id in touched.created]
        addresses = list(dict.fromkeys([*touched.addresses, *created]))

        def read(tx: Tx) -> tuple[bool, list[bytes]]:
            since = markets.config_flag(tx)
            records = {address: markets.find_record_by_address(tx, address) for address in addresses}
            waits = touched.config and since is not None and since <= found.slot
            waits |= any(record is not None and not markets.contains(record, found.slot) for record in records.values())
            return waits, [address for address, record in records.items() if record is None]

        waits, unknown = await self._store.read(read)
        if waits:
            return False
        infos = await self._rpc.get_accounts(unknown, Commitment.FINALIZED)
        return not any(self._may_be_market(info) for info in infos)

    def _may_be_market(self, info: AccountInfo | None) -> bool:
        if info is None or info.owner != self._codec.program_id:
            return False
        try:
            return isinstance(self._codec.decode_account(info.data), MarketAccount)
        except UndecodableData:
            return True

    async def _retry_contents(self, letter: Row) -> int | None:
        """The item of a delivery in which no signature was found: 0 if there is one now."""
        try:
            items = parse_payload(letter["payload"] or b"", self._codec.program_id)
        except RequestError:
            items = []
        signatures = [item.signature for item in items if item.signature is not None]

        def unit(tx: Tx) -> None:
            if not signatures:
                chainlog.count_retry(tx, letter["id"])
                return
            chainlog.add_deliveries(tx, [Delivery(signature, None, None) for signature in signatures], "webhook")
            chainlog.resolve_letter(tx, letter["id"], chainlog.SIGNATURE_FOUND)
            messages.resolve_undecodable(tx)

        await self._store.write(unit)
        if signatures:
            self._wake()
        return 0 if signatures else None
