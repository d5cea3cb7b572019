"""Reads accounts where the log does not tell enough: the config, and markets with all their positions.

An account read at ``confirmed`` may hold what a fork then drops, known to us or not. So such a reading is a stopgap:
it is made again once its slot is final, and only then stands for good.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from solders.pubkey import Pubkey

from zmart_lite.chain.rpc import AccountInfo, Memcmp
from zmart_lite.errors import ChainError, RpcRefused, RpcUnavailable, UndecodableData
from zmart_lite.indexer.apply import Applier
from zmart_lite.indexer.writer import LogWriter
from zmart_lite.models import Commitment, GlobalConfig, MarketAccount, UserPosition
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log.chainlog import LogChange
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import markets, positions

logger = logging.getLogger(__name__)

RESYNC_BATCH = 50
UNREADABLE_PAUSE_MS = 600_000
"""Accounts of an unknown layout stay so until this program is upgraded."""
FROM_THE_OLDEST = (-1, 0)
POSITION_MARKET_OFFSET = 8
"""Where a position's account names its market."""
READING_PLACE = 2**31
"""Place of a reading among the transactions of its slot: behind all of them."""

UNMAINTAINED_FIELDS = (
    *("accumulated_protocol_fees", "is_cancelled", "is_locked", "reserved"),
    *("resolution_agree", "resolution_disagree", "resolution_total_votes"),
)
"""Fields of the market account that the program does not maintain: they say nothing and are not stored."""


class Difference(NamedTuple):
    """A field that differed: as stored and as on chain."""

    field: str
    stored: str
    on_chain: str

    @property
    def label(self) -> str:
        """The field alone, without whose it is: ``shares_yes``, ``position.shares_yes``, ``config.is_paused``."""
        parts = self.field.split(".")
        return ".".join((parts[0], parts[-1])) if len(parts) > 1 else self.field


class PositionInfo(NamedTuple):
    """A position's account as read at ``slot``."""

    user: bytes
    data: bytes
    slot: int


class Accounts:
    """Brings accounts of the chain into the projections, labelled as such."""

    def __init__(self, writer: LogWriter, feed_context: messages.MakeContext) -> None:
        self._writer = writer
        self._store, self._codec, self._rpc = writer.store, writer.codec, writer.rpc
        self._feed_context = feed_context
        self._settled = FROM_THE_OLDEST

    async def read_missing(self) -> None:
        """Read what the log was found not to tell. What cannot be read now is read later."""
        try:
            if self._writer.config_unknown:
                self._writer.config_unknown = False
                await self.read_config()
            await self.resync_flagged()
        except (ChainError, UndecodableData) as error:
            logger.warning("accounts could not be read: %s", error)

    async def settle_config(self, finalized_slot: int) -> None:
        """Read the config if it changed unseen in a slot that is final by now."""
        since = await self._store.read(markets.config_flag)
        if since is not None and since <= finalized_slot:
            await self.read_config()

    async def read_config(self) -> GlobalConfig | None:
        """Read the global config from its account and note it if the log does not tell the same; None if there is
        none.
        """
        info = await self._rpc.get_account(self._codec.config_address(), Commitment.FINALIZED)
        if info is None:
            return None
        account, slot = self._codec.decode_account(info.data), info.slot
        if not isinstance(account, GlobalConfig):
            raise UndecodableData("the config address holds another account")
        # What an upgraded program may keep there is not known and not stored.
        account = account._replace(reserved=bytes(len(account.reserved)))

        def note(tx: Tx) -> LogChange:
            since = markets.config_flag(tx)
            if since is not None and since <= slot:
                markets.unflag_config(tx)
            else:
                since = slot
            if markets.find_config_at(tx, (slot, READING_PLACE, 0, 0)) == account:
                return LogChange(frozenset())
            markets.add_config(tx, account, slot=since, index_in_block=READING_PLACE, event_id=None)
            return LogChange(frozenset(), since)

        async with self._writer.lock:
            await self._writer.refold(note)
        return account

    # Markets

    async def resync_flagged(self) -> None:
        """Read the accounts of the markets that are flagged for it, those first that have waited longest.

        Raises RpcUnavailable; what is wrong with one market's accounts keeps no other waiting.
        """
        flagged = await self._store.read(lambda tx: markets.list_needing_resync(tx, RESYNC_BATCH))
        for market_id in flagged:
            await self._try_resync(market_id, Commitment.CONFIRMED)

    async def settle_baselines(self, finalized_slot: int) -> int:
        """Read again, now for good, the accounts that were read before their slot was final; how many markets."""
        unsettled = await self._store.read(
            lambda tx: markets.list_unsettled_baselines(tx, finalized_slot, RESYNC_BATCH, self._settled)
        )
        # Those that cannot be read come round again when all others had their turn.
        last = unsettled[-1] if len(unsettled) == RESYNC_BATCH else None
        self._settled = FROM_THE_OLDEST if last is None else (last["baseline_slot"], last["id"])
        for row in unsettled:
            await self._try_resync(row["market_id"], Commitment.FINALIZED)
        return len(unsettled)

    async def _try_resync(self, market_id: bytes, commitment: Commitment) -> None:
        """Raises RpcUnavailable. What is wrong with this market's accounts alone is tried again later."""
        pause_ms = markets.RESYNC_PAUSE_MS
        try:
            await self.resync(market_id, commitment)
        except UndecodableData as error:
            logger.error("the account of market %s cannot be read: %s", market_id.hex(), error)
            pause_ms = UNREADABLE_PAUSE_MS
        except RpcUnavailable:
            raise
        except ChainError as error:
            logger.warning("the account of market %s cannot be read yet: %s", market_id.hex(), error)
        await self._store.write(lambda tx: markets.set_resync_tried(tx, market_id, pause_ms))

    async def resync(self, market_id: bytes, commitment: Commitment = Commitment.CONFIRMED) -> list[Difference]:
        """Take a market's account and those of its positions from the chain as the baseline of its fold; what differed.

        Raises what the RPC raises; a market that the chain does not have is left as it is.
        """
        held = [info for _, info in await self._read_positions(market_id, commitment)]
        info = await self._rpc.get_account(self._codec.market_address(market_id), commitment)
        account = None if info is None else self._codec.decode_account(info.data)
        if info is None or not isinstance(account, MarketAccount):
            await self._note_absent(market_id, commitment)
            return []
        if held and max(each.slot for each in held) > info.slot:
            raise ChainError("The accounts of a market were read from nodes that are not equally far.")
        return await self._take_over(market_id, info, held, final=commitment is Commitment.FINALIZED)

    async def _note_absent(self, market_id: bytes, commitment: Commitment) -> None:
        if commitment is not Commitment.FINALIZED:
            await self._store.write(lambda tx: markets.set_absent(tx, market_id))
            return

        def forget(tx: Tx) -> LogChange:
            record = markets.find_record(tx, market_id)
            if record is None:
                return LogChange(frozenset())
            markets.forget_baselines(tx, [record["id"]], 0)
            return LogChange(frozenset({record["id"]}))

        async with self._writer.lock:
            await self._writer.refold(forget)

    async def read_positions(self, market_id: bytes) -> list[tuple[bytes, UserPosition]]:
        """All positions of a market on chain with their addresses. Raises UndecodableData and what the RPC raises."""
        found = await self._read_positions(market_id, Commitment.CONFIRMED)
        return [(address, cast(UserPosition, self._codec.decode_account(info.data))) for address, info in found]

    async def _read_positions(self, market_id: bytes, commitment: Commitment) -> list[tuple[bytes, PositionInfo]]:
        """All positions of a market, or, where the node does not list accounts, those that are known."""
        market = self._codec.market_address(market_id)
        kind = self._codec.account_discriminator(UserPosition)
        filters = (Memcmp(0, kind), Memcmp(POSITION_MARKET_OFFSET, market))
        try:
            found = await self._rpc.get_program_accounts(self._codec.program_id, filters, commitment)
        except RpcRefused:
            known = await self._store.read(lambda tx: positions.list_addresses(tx, market_id))
            infos = await self._rpc.get_accounts(known, commitment)
            found = [(where, info) for where, info in zip(known, infos, strict=True) if info is not None]
        return self._decoded(found)

    def _decoded(self, found: Sequence[tuple[bytes, AccountInfo]]) -> list[tuple[bytes, PositionInfo]]:
        held = []
        for address, info in found:
            account = self._codec.decode_account(info.data)
            # One that was created and never traded is all zeros behind its discriminator.
            if isinstance(account, UserPosition) and account.trades_count:
                held.append((address, PositionInfo(account.user, info.data, info.slot)))
        return held

    async def _take_over(
        self, market_id: bytes, info: AccountInfo, held: Sequence[PositionInfo], *, final: bool
    ) -> list[Difference]:
        data, slot, context = info.data, info.slot, self._feed_context()
        bump = self._codec.market_pda(market_id)[1]

        def unit(tx: Tx) -> list[Difference]:
            before = markets.find_record(tx, market_id)
            if before is None or (before["baseline_slot"] or 0) > slot:
                return []
            held_before = positions_by_address(tx, market_id)
            markets.set_baseline(tx, market_id, data, slot, final=final)
            positions.forget_baselines(tx, before["id"])
            for each in held:
                wallet = markets.wallet_key(tx, each.user)
                positions.set_baseline(tx, before["id"], wallet, each.data, each.slot)
            Applier(tx, self._codec, context).refold_changed(LogChange(frozenset({before["id"]})))
            after = cast(markets.Record, markets.find_record(tx, market_id))
            # Not with the account itself: the log may be ahead of it.
            differences = compare(before, markets.account_of(after, bump))
            if before["known"]:
                differences += _compare_positions(held_before, positions_by_address(tx, market_id))
            for difference in differences:
                markets.add_discrepancy(tx, before["id"], *difference, slot)
            return differences

        async with self._writer.lock:
            return await self._store.write(unit)


def positions_by_address(tx: Tx, market_id: bytes) -> dict[bytes, UserPosition]:
    """A market's positions as stored, by their addresses; the bump, which is not stored, is 0."""
    rows = positions.list_of_market(tx, market_id)
    return {row["address"]: positions.position_of(row, row["market_address"], 0) for row in rows}


def _compare_positions(before: Mapping[bytes, UserPosition], after: Mapping[bytes, UserPosition]) -> list[Difference]:
    found = []
    for address in before.keys() | after.keys():
        ours, theirs = before.get(address), after.get(address)
        name = f"position.{Pubkey.from_bytes(address)}"
        if ours is None or theirs is None:
            found.append(Difference(f"{name}.exists", str(ours is not None), str(theirs is not None)))
            continue
        found += [
            Difference(f"{name}.{field}", str(one), str(two))
            for field, one, two in zip(UserPosition._fields, ours, theirs, strict=True)
            if one != two
        ]
    return found


def compare(record: markets.Record, account: MarketAccount) -> list[Difference]:
    """The fields in which a market's record differs from its account."""
    if not record["known"]:
        return []
    stored = markets.account_of(record, account.bump)
    return [
        Difference(field, str(ours), str(theirs))
        for field, ours, theirs in zip(MarketAccount._fields, stored, account, strict=True)
        if ours != theirs and field not in UNMAINTAINED_FIELDS
    ]
