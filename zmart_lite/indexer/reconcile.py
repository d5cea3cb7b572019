"""Compares the database with the accounts on chain, field by field, and puts right what differs.

A difference may only mean that an event is still on its way. So before anything counts as one, the market's own history
is read and indexed, and the accounts are read again. What differs then may be the log's fault: its transactions are
asked for again, and those that the chain has elsewhere or not at all are undone. What still differs is recorded,
corrected from the chain and alerted. The verdict is that of comparing once more after all this.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import NamedTuple

from zmart_lite.chain.rpc import AccountInfo, Memcmp
from zmart_lite.errors import RpcRefused, UndecodableData
from zmart_lite.indexer.accounts import POSITION_MARKET_OFFSET, Accounts, Difference, compare, positions_by_address
from zmart_lite.indexer.history import enter_history
from zmart_lite.indexer.recheck import OnProgress, Recheck
from zmart_lite.indexer.writer import LogWriter
from zmart_lite.models import ChainAccount, GlobalConfig, MarketAccount, UserPosition
from zmart_lite.ops.metrics import Metrics
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import markets, positions

logger = logging.getLogger(__name__)

LOOKS_MAX = 3
"""Times a busy market is looked at before it is left to the next run."""
MARKET_ID_OFFSET, MARKET_ID_BYTES = 8, 32
KEY_BYTES = 32
UNKNOWN_MAX = 500
"""Unknown addresses of the log that are looked at in one go."""
ALERT = "state_discrepancy"
CONFIG_SUBJECT, UNREADABLE_SUBJECT = "config", "accounts"
FIELDS_SHOWN_MAX = 20


class Reconciled(NamedTuple):
    """What a run came to: accounts compared, fields that were corrected, markets found on chain only, markets left for
    later because they changed meanwhile, markets with an account that is none of the IDL's, transactions of the log
    that were undone, and markets that differ even now.
    """

    accounts: int = 0
    differences: int = 0
    discovered: int = 0
    skipped: int = 0
    unreadable: int = 0
    undone: int = 0
    remaining: int = 0

    @property
    def is_sound(self) -> bool:
        """Whether everything was compared, and is as on chain."""
        return not (self.skipped or self.unreadable or self.remaining)

    def plus(self, other: "Reconciled") -> "Reconciled":
        return Reconciled(*(one + two for one, two in zip(self, other, strict=True)))


class Reconciler:
    """One run at a time. ``drain`` works the inbox off. Nothing before ``start_slot`` is read: an older market stands
    on its account and its later events.
    """

    def __init__(
        self,
        writer: LogWriter,
        accounts: Accounts,
        recheck: Recheck,
        metrics: Metrics,
        drain: Callable[[], Awaitable[None]],
        *,
        batch_size: int,
        start_slot: int = 0,
    ) -> None:
        self._writer = writer
        self._store, self._codec, self._rpc = writer.store, writer.codec, writer.rpc
        self._start_slot = start_slot
        self._accounts = accounts
        self._recheck = recheck
        self._metrics = metrics
        self._drain = drain
        self._batch_size = batch_size

    async def run(self, *, deep: bool = False, on_progress: OnProgress = lambda _done, _total: None) -> Reconciled:
        """Everything: the config, markets that only the chain knows, every market and every position. ``deep``: first
        every transaction of the log is asked for again, of which ``on_progress`` is told.

        Raises what the RPC raises; what was compared until then stays corrected.
        """
        rechecked = await self._recheck.undo_future()
        if deep:
            rechecked = rechecked.plus(await self._recheck.run(on_progress))
        if rechecked.undone:
            await self._drain()
        done = Reconciled(undone=rechecked.undone).plus(await self._reconcile_config())
        done = done.plus(Reconciled(discovered=await self._discover()))
        suspects: dict[bytes, None] = {}
        done = done.plus(await self._compare_markets(suspects))
        done = done.plus(await self._compare_positions(suspects))
        await self._discover_positions(suspects)
        for market_id in suspects:
            done = done.plus(await self._settle(market_id))
        await self._tell_unreadable(done.unreadable)
        still = {CONFIG_SUBJECT, UNREADABLE_SUBJECT, *(market_id.hex() for market_id in suspects)}
        for subject in await self._store.read(list_open_alerts):
            if subject not in still:
                await self._resolve(subject)
        self._metrics.reconciliation_discrepancies.set(done.differences)
        return done

    async def run_market(self, market_id: bytes) -> Reconciled:
        """One market and its positions, also one that only the chain knows. Raises what the RPC raises."""
        record = await self._store.read(lambda tx: markets.find_record(tx, market_id))
        address = self._codec.market_address(market_id)
        if record is None or not record["known"]:
            info = await self._rpc.get_account(address)
            if info is None:
                return Reconciled()
            await self._adopt(market_id, address, info.slot)
            await self._drain()
            await self._accounts.resync_flagged()
            return Reconciled(accounts=1, discovered=1)
        rechecked = await self._recheck.undo_future()
        return Reconciled(undone=rechecked.undone).plus(await self._settle(market_id))

    # The config

    async def _reconcile_config(self) -> Reconciled:
        before = await self._store.read(markets.find_config)
        account = await self._accounts.read_config()
        after = await self._store.read(markets.find_config)
        if account is None or before is None or after is None or before == after:
            await self._resolve(CONFIG_SUBJECT)
            return Reconciled(accounts=int(account is not None))
        found = [
            Difference(f"config.{field}", str(ours), str(theirs))
            for field, ours, theirs in zip(GlobalConfig._fields, before, after, strict=True)
            if ours != theirs
        ]

        def unit(tx: Tx) -> None:
            for each in found:
                markets.add_discrepancy(tx, None, *each, 0)

        await self._store.write(unit)
        await self._alert(CONFIG_SUBJECT, found)
        return Reconciled(1, len(found))

    # Markets that the chain has and we lack

    async def adopt_unknown(self) -> int:
        """Look at the addresses met in the log that may be markets nobody has told of; how many were.

        Raises what the RPC raises; they are then looked at another time.
        """
        met = dict(islice(self._writer.markets_unknown.items(), UNKNOWN_MAX))
        if not met:
            return 0
        infos = await self._rpc.get_accounts(list(met))
        found = 0
        for (address, slot), info in zip(met.items(), infos, strict=True):
            account = None if info is None else self._decoded(info)
            if isinstance(account, MarketAccount):
                await self._adopt(account.market_id, address, slot)
                found += 1
        for address in met:
            self._writer.markets_unknown.pop(address, None)
        return found

    async def _adopt(self, market_id: bytes, address: bytes, slot: int) -> None:
        """Fetch the history of a market that the log does not know, then have its account read as of ``slot``.

        In this order: a market whose account has been read counts as known.
        """
        logger.warning("market %s is on chain and not in the log", market_id.hex())
        await self._fetch_history(address)
        await self._writer.introduce(market_id, slot)

    async def _discover(self) -> int:
        """Fetch the history of markets that the log does not know; how many."""
        kind = Memcmp(0, self._codec.account_discriminator(MarketAccount))
        part = (MARKET_ID_OFFSET, MARKET_ID_BYTES)
        try:
            found = await self._rpc.get_program_accounts(self._codec.program_id, (kind,), data_slice=part)
        except RpcRefused as error:
            logger.warning("the program's accounts are not listed by this RPC node: %s", error)
            return 0
        known = await self._store.read(markets.list_known_addresses)
        missing = [(address, info) for address, info in found if address not in known]
        for address, info in missing:
            await self._adopt(info.data, address, info.slot)
        if missing:
            await self._drain()
            await self._accounts.resync_flagged()
        return len(missing)

    async def _fetch_history(self, address: bytes) -> int:
        """Put what the log lacks of an account's history since the start slot into the inbox; how many transactions."""
        return (await enter_history(self._store, self._rpc, address, floor=self._start_slot)).new

    async def _discover_positions(self, suspects: dict[bytes, None]) -> None:
        """Suspect the markets of positions that only the chain knows: one without shares changes nothing else."""
        kind = Memcmp(0, self._codec.account_discriminator(UserPosition))
        part = (POSITION_MARKET_OFFSET, KEY_BYTES)
        try:
            found = await self._rpc.get_program_accounts(self._codec.program_id, (kind,), data_slice=part)
        except RpcRefused:
            return
        known = await self._store.read(positions.list_all_addresses)
        missing = {info.data for address, info in found if address not in known}
        for market in missing:
            record = await self._store.read(lambda tx, m=market: markets.find_record_by_address(tx, m))  # type: ignore[misc]
            if record is not None and record["known"]:
                suspects[record["market_id"]] = None

    # Comparing

    async def _compare_markets(self, suspects: dict[bytes, None]) -> Reconciled:
        done, after = Reconciled(), 0
        while rows := await self._store.read(lambda tx, a=after: markets.list_known_after(tx, a, self._batch_size)):  # type: ignore[misc]
            infos = await self._rpc.get_accounts([row["address"] for row in rows])
            for row, info in zip(rows, infos, strict=True):
                if self._differs(row, info):
                    suspects[row["market_id"]] = None
            done, after = done.plus(Reconciled(accounts=len(rows))), rows[-1]["id"]
        return done

    def _decoded(self, info: AccountInfo) -> ChainAccount | None:
        try:
            return self._codec.decode_account(info.data)
        except UndecodableData:
            return None

    def _differs(self, record: markets.Record, info: AccountInfo | None) -> bool:
        account = None if info is None else self._decoded(info)
        return not isinstance(account, MarketAccount) or bool(compare(record, account))

    async def _compare_positions(self, suspects: dict[bytes, None]) -> Reconciled:
        done, after = Reconciled(), 0
        while rows := await self._store.read(lambda tx, a=after: positions.list_after(tx, a, self._batch_size)):  # type: ignore[misc]
            infos = await self._rpc.get_accounts([row["address"] for row in rows])
            for row, info in zip(rows, infos, strict=True):
                if self._position_differs(row, info):
                    suspects[row["market_id"]] = None
            done, after = done.plus(Reconciled(accounts=len(rows))), rows[-1]["id"]
        return done

    def _position_differs(self, row: Row, info: AccountInfo | None) -> bool:
        account = None if info is None else self._decoded(info)
        if not isinstance(account, UserPosition):
            return True
        return positions.position_of(row, row["market_address"], account.bump) != account

    # Settling

    async def _settle(self, market_id: bytes) -> Reconciled:
        """Index what is on its way, look again, correct what still differs, and look once more."""
        try:
            differs = await self._differs_still(market_id)
            if not differs:
                return await self._leave(market_id, skipped=differs is None)
            undone = (await self._recheck.run_market(market_id)).undone
            corrected: list[Difference] = []
            if not undone or await self._differs_still(market_id):
                corrected = await self._accounts.resync(market_id)
            differs = await self._differs_still(market_id)
        except UndecodableData as error:
            logger.error("the accounts of market %s cannot be read: %s", market_id.hex(), error)
            return Reconciled(accounts=1, unreadable=1)
        done = Reconciled(1, len(corrected), skipped=int(differs is None), undone=undone, remaining=int(bool(differs)))
        if differs:
            await self._tell_remaining(market_id)
        elif corrected:
            await self._alert(market_id.hex(), corrected)
        else:
            await self._leave(market_id, skipped=differs is None)
        return done

    async def _leave(self, market_id: bytes, *, skipped: bool) -> Reconciled:
        """Nothing is to be corrected; what was wrong before is over unless the market could not be compared."""
        if not skipped:
            await self._resolve(market_id.hex())
        return Reconciled(accounts=1, skipped=int(skipped))

    async def _differs_still(self, market_id: bytes) -> bool | None:
        """Whether a market differs from the chain though all of its history is in; None if it changes all the time.

        Raises UndecodableData and what the RPC raises.
        """
        address = self._codec.market_address(market_id)
        for _ in range(LOOKS_MAX):
            await self._fetch_history(address)
            await self._drain()
            before = await self._place(market_id)
            if not await self._any_differs(market_id):
                return False
            await self._fetch_history(address)
            await self._drain()
            info = await self._rpc.get_account(address)
            after = await self._place(market_id)
            # A node that is behind the log tells what was, which is no difference.
            if before == after and (info is None or after[0] <= info.slot):
                return True
        return None

    async def _place(self, market_id: bytes) -> tuple[int, int | None]:
        """How far the log has brought a market: slot and transaction of its last event."""
        record = await self._store.read(lambda tx: markets.find_record(tx, market_id))
        return (0, None) if record is None else (record["slot"], record["last_transaction"])

    async def _any_differs(self, market_id: bytes) -> bool:
        """Whether a market or one of its positions is not as on chain. Raises UndecodableData."""

        def read(tx: Tx) -> tuple[markets.Record | None, dict[bytes, UserPosition]]:
            return markets.find_record(tx, market_id), positions_by_address(tx, market_id)

        record, held = await self._store.read(read)
        if record is None:
            return False
        if self._differs(record, await self._rpc.get_account(record["address"])):
            return True
        return {
            address: account._replace(bump=0) for address, account in await self._accounts.read_positions(market_id)
        } != held

    # Telling

    async def _alert(self, subject: str, found: Sequence[Difference]) -> None:
        for each in found:
            self._metrics.discrepancies_total.labels(each.label).inc()
        severity = "HIGH" if any(each.field == "state" for each in found) else "MEDIUM"
        fields = [each._asdict() for each in found[:FIELDS_SHOWN_MAX]]
        text = f"{len(found)} fields differed from the chain and were corrected."
        await self._store.write(
            lambda tx: messages.raise_alert(tx, ALERT, severity, text, subject=subject, data={"fields": fields})
        )

    async def _tell_remaining(self, market_id: bytes) -> None:
        text = "The market differs from the chain, and could not be corrected: see the log, then `reconcile --deep`."
        subject = market_id.hex()
        await self._store.write(lambda tx: messages.raise_alert(tx, ALERT, "HIGH", text, subject=subject))

    async def _tell_unreadable(self, count: int) -> None:
        if not count:
            await self._resolve(UNREADABLE_SUBJECT)
            return
        text = f"The accounts of {count} markets are not laid out as this version knows: was the program upgraded?"
        await self._store.write(
            lambda tx: messages.raise_alert(
                tx, ALERT, "HIGH", text, subject=UNREADABLE_SUBJECT, data={"markets": count}
            )
        )

    async def _resolve(self, subject: str) -> None:
        if subject in await self._store.read(list_open_alerts):
            await self._store.write(lambda tx: messages.resolve_alert(tx, ALERT, subject))


def list_open_alerts(tx: Tx) -> list[str]:
    """Subjects of the open alerts of this kind."""
    rows = tx.all("SELECT subject FROM alerts WHERE alert_type = ? AND status <> 'resolved'", (ALERT,))
    return [row["subject"] for row in rows]
