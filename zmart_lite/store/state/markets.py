"""Markets and the global config as the fold leaves them: reading them back and writing them.

A market's row is handled as a plain dict of its columns (its *record*), with the addresses of the wallets it refers
to beside their ids, so that a batch can fold many events in memory and write each market once.
"""

from collections.abc import Iterator, Sequence
from operator import attrgetter, itemgetter
from typing import Any, cast

from zmart_lite.models import GlobalConfig, MarketAccount, MarketState
from zmart_lite.store.engine.amounts import u64_text
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import chainlog

Record = dict[str, Any]

NO_KEY = bytes(32)
U64_MAX = 2**64 - 1
WALLETS_KNOWN_MAX = 10_000
"""Wallets whose keys are remembered, some 2 MiB."""
VALUES_PER_QUERY_MAX = 500

_U64_COLUMNS = (
    "b_parameter",
    "initial_liquidity",
    "current_liquidity",
    "shares_yes",
    "shares_no",
    "total_volume",
    "accumulated_resolver_fees",
    "accumulated_lp_fees",
)
_PLAIN_COLUMNS = (
    "created_at",
    "approved_at",
    "activated_at",
    "resolution_proposed_at",
    "resolved_at",
    "finalized_at",
    "cancelled_at",
    "dispute_initiated_at",
    "proposal_likes",
    "proposal_dislikes",
    "dispute_agree",
    "dispute_disagree",
)
_WALLET_COLUMNS = ("creator", "resolver", "dispute_initiator")
_NODE_COLUMNS = (
    "known",
    "question_hash",
    "trades_count",
    "slot",
    "index_in_block",
    "last_transaction",
    "last_event_index",
    "last_state_change_at",
    "needs_resync",
    "incomplete_slot",
    "baseline",
    "baseline_slot",
    "source",
    "ready_for_approval",
    "updated_ms",
)
_TRADED_COLUMNS = (
    "current_liquidity",
    "shares_yes",
    "shares_no",
    "total_volume",
    "accumulated_resolver_fees",
    "accumulated_lp_fees",
    "trades_count",
    "slot",
    "index_in_block",
    "last_transaction",
    "last_event_index",
    "updated_ms",
)
"""What a trade changes."""
_SAVED_COLUMNS = (
    *_U64_COLUMNS,
    *_PLAIN_COLUMNS,
    *_WALLET_COLUMNS,
    "state",
    "proposed_outcome",
    "final_outcome",
    "evidence_hash",
    "was_disputed",
    *_NODE_COLUMNS,
)
_SETTLED = "settled"
"""Beside the columns in a record: the values, as the database has them, of all that a trade does not change."""
_amounts = attrgetter(*_U64_COLUMNS)
_settled = itemgetter(*[column for column in _SAVED_COLUMNS if column not in _TRADED_COLUMNS])
_saved = itemgetter(*_SAVED_COLUMNS, "id")
_traded = itemgetter(*_TRADED_COLUMNS, "id")


def _update(columns: Sequence[str]) -> str:
    return f"UPDATE markets SET {', '.join(f'{column} = ?' for column in columns)} WHERE id = ?"


_SAVE, _SAVE_TRADED = _update(_SAVED_COLUMNS), _update(_TRADED_COLUMNS)

RECORD_SELECT = (
    "SELECT m.*, cw.address AS creator_address, rw.address AS resolver_address, iw.address AS dispute_initiator_address"
    " FROM markets m LEFT JOIN wallets cw ON cw.id = m.creator LEFT JOIN wallets rw ON rw.id = m.resolver"
    " LEFT JOIN wallets iw ON iw.id = m.dispute_initiator"
)


def find_record(tx: Tx, market_id: bytes) -> Record | None:
    """The record of a market by id, also of one that is only referred to."""
    return _record_of(tx.one(f"{RECORD_SELECT} WHERE m.market_id = ?", (market_id,)))


def find_record_by_address(tx: Tx, address: bytes) -> Record | None:
    return _record_of(tx.one(f"{RECORD_SELECT} WHERE m.address = ?", (address,)))


def find_record_by_key(tx: Tx, market: int) -> Record | None:
    return _record_of(tx.one(f"{RECORD_SELECT} WHERE m.id = ?", (market,)))


def _record_of(row: Row | None) -> Record | None:
    if row is None:
        return None
    record = as_record(row)
    record[_SETTLED] = _settled(record)
    return record


def as_record(row: Row) -> Record:
    """A row's columns and values. ``dict`` looks each column up by its name among all the others: eight times the time
    for a row as wide as a market's.
    """
    return dict(zip(row.keys(), row, strict=True))


def add_record(tx: Tx, market_id: bytes, address: bytes) -> Record:
    """The record of a market that is referred to for the first time."""
    tx.execute(
        "INSERT INTO markets (market_id, address) VALUES (?, ?) ON CONFLICT (market_id) DO NOTHING",
        (market_id, address),
    )
    return cast(Record, find_record(tx, market_id))


def save_records(tx: Tx, records: Sequence[Record]) -> None:
    """Write records that find_record, list_records or add_record gave, each as a whole only if it changed in more than
    what trades change: whoever sets a column sets all the indexes that mention it, the same value or not.
    """
    whole = [record for record in records if _settled(record) != record[_SETTLED]]
    tx.execute_many(_SAVE, [_saved(record) for record in whole])
    tx.execute_many(_SAVE_TRADED, [_traded(record) for record in records if _settled(record) == record[_SETTLED]])
    for record in whole:
        record[_SETTLED] = _settled(record)


def list_records(tx: Tx, market_ids: Sequence[bytes]) -> list[Record]:
    """The records of those of the markets that are known or referred to."""
    found: list[Record] = []
    for part in _parts(market_ids):
        marks = ", ".join("?" * len(part))
        rows = tx.all(f"{RECORD_SELECT} WHERE m.market_id IN ({marks})", part)
        found += [record for row in rows if (record := _record_of(row)) is not None]
    return found


def wallet_keys(tx: Tx, addresses: Sequence[bytes]) -> dict[bytes, int]:
    """The keys of those of the wallets that have been seen."""
    known = tx.wallet_keys
    if len(known) > WALLETS_KNOWN_MAX:
        known.clear()
    for part in _parts([address for address in addresses if address not in known]):
        rows = tx.all(f"SELECT address, id FROM wallets WHERE address IN ({', '.join('?' * len(part))})", part)
        known.update(rows)
    return {address: known[address] for address in addresses if address in known}


def _parts(values: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (values[start : start + VALUES_PER_QUERY_MAX] for start in range(0, len(values), VALUES_PER_QUERY_MAX))


def wallet_key(tx: Tx, address: bytes) -> int:
    """The wallet's key, made on first sight."""
    found = tx.value("SELECT id FROM wallets WHERE address = ?", (address,))
    if found is None:
        found = tx.value(
            "INSERT INTO wallets (address, first_seen_ms) VALUES (?, ?) RETURNING id", (address, tx.now_ms)
        )
    return cast(int, found)


def require_amounts(account: MarketAccount) -> None:
    """Raises ValueError for an amount outside u64."""
    amounts = _amounts(account)
    if min(amounts) < 0 or max(amounts) > U64_MAX:
        raise ValueError("an amount outside u64")


def put_account(tx: Tx, record: Record, account: MarketAccount) -> None:
    """Write the account's fields into the record. Raises ValueError, having changed nothing, for an amount outside
    u64.
    """
    record |= {column: u64_text(getattr(account, column)) for column in _U64_COLUMNS}
    for column in _PLAIN_COLUMNS:
        record[column] = getattr(account, column)
    for column in _WALLET_COLUMNS:
        address = getattr(account, column)
        if address == NO_KEY:
            record[column] = record[f"{column}_address"] = None
        elif record[f"{column}_address"] != address:
            record[column], record[f"{column}_address"] = wallet_key(tx, address), address
    record["state"] = int(account.state)
    record["proposed_outcome"] = _as_int(account.proposed_outcome)
    record["final_outcome"] = _as_int(account.final_outcome)
    record["was_disputed"] = int(account.was_disputed)
    record["evidence_hash"] = account.ipfs_evidence_hash


def clear_account(record: Record) -> None:
    """The record of a market of which nothing but its id is known."""
    record |= dict.fromkeys(_U64_COLUMNS, u64_text(0)) | dict.fromkeys(_PLAIN_COLUMNS, 0)
    record |= dict.fromkeys((*_WALLET_COLUMNS, *(f"{column}_address" for column in _WALLET_COLUMNS)))
    record |= dict.fromkeys(("cancelled_at", "proposed_outcome", "final_outcome", "question_hash", "evidence_hash"))
    record |= {"state": 0, "was_disputed": 0}


def account_of(record: Record, bump: int) -> MarketAccount:
    """The market account that the record stands for; what the program never maintains has its constant value."""
    amounts: dict[str, Any] = {column: int(record[column]) for column in _U64_COLUMNS}
    plain: dict[str, Any] = {column: record[column] for column in _PLAIN_COLUMNS}
    keys: dict[str, Any] = {column: record[f"{column}_address"] or NO_KEY for column in _WALLET_COLUMNS}
    return MarketAccount(
        market_id=record["market_id"],
        state=MarketState(record["state"]),
        proposed_outcome=_as_bool(record["proposed_outcome"]),
        final_outcome=_as_bool(record["final_outcome"]),
        ipfs_evidence_hash=record["evidence_hash"] or bytes(46),
        accumulated_protocol_fees=0,
        proposal_total_votes=plain["proposal_likes"] + plain["proposal_dislikes"],
        resolution_agree=0,
        resolution_disagree=0,
        resolution_total_votes=0,
        dispute_total_votes=plain["dispute_agree"] + plain["dispute_disagree"],
        was_disputed=bool(record["was_disputed"]),
        is_cancelled=False,
        is_locked=False,
        reserved=bytes(119),
        bump=bump,
        **amounts,
        **plain,
        **keys,
    )


def _as_int(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _as_bool(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def list_keys(tx: Tx) -> list[int]:
    """The keys of all markets."""
    return [row["id"] for row in tx.all("SELECT id FROM markets ORDER BY id")]


def list_known_addresses(tx: Tx) -> set[bytes]:
    return {row["address"] for row in tx.all("SELECT address FROM markets WHERE known = 1")}


def list_known_after(tx: Tx, key: int, limit: int) -> list[Record]:
    """Known markets by their keys, from behind ``key``: not those whose account is about to be read anyway."""
    rows = tx.all(
        f"{RECORD_SELECT} WHERE m.known = 1 AND (m.needs_resync = 0 OR m.resync_tried_ms > ?) AND m.id > ?"
        " ORDER BY m.id LIMIT ?",
        (tx.now_ms, key, limit),
    )
    return [as_record(row) for row in rows]


RESYNC_PAUSE_MS = 2_000
"""How long a market is left alone whose account was read and told nothing: what it lacks may take a slot or two."""


def list_needing_resync(tx: Tx, limit: int) -> list[bytes]:
    """Ids of the markets whose account has to be read: those never tried first, then those tried longest ago."""
    rows = tx.all(
        "SELECT market_id FROM markets WHERE needs_resync = 1 AND resync_tried_ms <= ?"
        " ORDER BY resync_tried_ms, id LIMIT ?",
        (tx.now_ms - RESYNC_PAUSE_MS, limit),
    )
    return [row["market_id"] for row in rows]


def set_resync_tried(tx: Tx, market_id: bytes, pause_ms: int = RESYNC_PAUSE_MS) -> None:
    """If a market is still flagged, let the others have their turn first and leave it alone for ``pause_ms``."""
    tx.execute(
        "UPDATE markets SET resync_tried_ms = ? WHERE market_id = ? AND needs_resync = 1",
        (tx.now_ms + pause_ms - RESYNC_PAUSE_MS, market_id),
    )


def forget_resync_tried(tx: Tx, market_id: bytes) -> None:
    """Have a flagged market's account read at once, however the last attempt went."""
    tx.execute("UPDATE markets SET resync_tried_ms = 0 WHERE market_id = ?", (market_id,))


def forget_pauses(tx: Tx) -> None:
    """Have every flagged market's account read at once: whoever asks may know more layouts than the last one did."""
    tx.execute("UPDATE markets SET resync_tried_ms = 0 WHERE needs_resync = 1 AND resync_tried_ms > ?", (tx.now_ms,))


def list_ready_for_approval(tx: Tx, limit: int) -> list[Record]:
    """Proposals whose counts on chain pass the vote, oldest first."""
    rows = tx.all(
        f"{RECORD_SELECT} WHERE m.ready_for_approval = 1 AND m.state = 0 ORDER BY m.created_at, m.id LIMIT ?", (limit,)
    )
    return [as_record(row) for row in rows]


def set_baseline(tx: Tx, market_id: bytes, data: bytes, slot: int, *, final: bool = False) -> int | None:
    """Note the account as read at ``slot``, from which the market is to be folded; its key, None for an unknown one.

    ``final``: that slot cannot be dropped any more.
    """
    row = tx.one(
        "UPDATE markets SET baseline = ?, baseline_slot = ?, baseline_final = ?, needs_resync = 0, resync_tried_ms = 0"
        " WHERE market_id = ? RETURNING id",
        (data, slot, int(final), market_id),
    )
    return None if row is None else cast(int, row["id"])


def add_discrepancy(tx: Tx, market: int | None, field: str, stored: str, on_chain: str, slot: int) -> None:
    """Record a field that differed from the account at ``slot`` and was corrected from it."""
    tx.execute(
        "INSERT INTO discrepancies (market, field, stored, on_chain, slot, detected_ms, resolved_ms, resolution)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 'read from the chain')",
        (market, field, stored, on_chain, slot, tx.now_ms, tx.now_ms),
    )


def contains(record: Record, slot: int) -> bool:
    """Whether nothing of that slot is missing in a market: its account was read then or later, for good, or never had
    to be.
    """
    if record["incomplete_slot"] is None and not record["needs_resync"]:
        return True
    return bool(record["baseline_final"]) and record["baseline_slot"] >= slot


def set_absent(tx: Tx, market_id: bytes) -> None:
    """Take back the flag of a market that the chain does not have. One with events stays flagged: it must be there."""
    tx.execute(
        "UPDATE markets SET needs_resync = 0, incomplete_slot = NULL WHERE market_id = ?"
        " AND NOT EXISTS (SELECT 1 FROM events e WHERE e.market = markets.id)",
        (market_id,),
    )


def list_unsettled_baselines(tx: Tx, slot_max: int, limit: int, after: tuple[int, int] = (-1, 0)) -> list[Row]:
    """Id, market_id and baseline_slot of the markets whose baseline was read before its slot, which is at most
    ``slot_max``, was final; oldest first. ``after``: slot and id of the one behind which the list begins.
    """
    return tx.all(
        "SELECT id, market_id, baseline_slot FROM markets WHERE baseline IS NOT NULL AND baseline_final = 0"
        " AND baseline_slot <= ? AND (baseline_slot, id) > (?, ?) ORDER BY baseline_slot, id LIMIT ?",
        (slot_max, *after, limit),
    )


def forget_baselines(tx: Tx, keys: Sequence[int], slot: int) -> None:
    """Drop readings that may contain what the chain dropped since ``slot``; these markets are read again."""
    for key in keys:
        tx.execute(
            "UPDATE markets SET baseline = NULL, baseline_slot = NULL, baseline_final = 0, needs_resync = 1"
            " WHERE id = ?"
            " AND baseline_slot >= ?",
            (key, slot),
        )
        tx.execute("DELETE FROM position_baselines WHERE market = ? AND slot >= ?", (key, slot))


def list_baselines_after(tx: Tx, slot: int) -> list[int]:
    """Markets whose account was read at a later slot than ``slot``."""
    return [row["id"] for row in tx.all("SELECT id FROM markets WHERE baseline_slot > ?", (slot,))]


def has_incomplete_after(tx: Tx, slot: int) -> bool:
    """Whether an account has to be read as of a later slot than ``slot``."""
    sql = "SELECT 1 FROM markets WHERE needs_resync = 1 AND incomplete_slot > ? LIMIT 1"
    return tx.one(sql, (slot,)) is not None


def lower_incomplete(tx: Tx, slot: int) -> None:
    """No account has to be read as of a later slot than ``slot``."""
    tx.execute("UPDATE markets SET incomplete_slot = ? WHERE needs_resync = 1 AND incomplete_slot > ?", (slot, slot))


# The global config

_CONFIG_COLUMNS = tuple(field for field in GlobalConfig._fields if field != "reserved")


def add_config(tx: Tx, config: GlobalConfig, *, slot: int, index_in_block: int, event_id: int | None) -> None:
    """Record a version of the config from its place in the log on."""
    values = [getattr(config, column) for column in _CONFIG_COLUMNS]
    marks = ", ".join("?" * (len(values) + 3))
    tx.execute(
        f"INSERT INTO configs (slot, index_in_block, event_id, {', '.join(_CONFIG_COLUMNS)}) VALUES ({marks})"
        " ON CONFLICT (event_id) DO NOTHING",
        (slot, index_in_block, event_id, *(int(value) if isinstance(value, bool) else value for value in values)),
    )


def config_of(row: Row) -> GlobalConfig:
    fields = {column: row[column] for column in _CONFIG_COLUMNS}
    fields["is_paused"] = bool(fields["is_paused"])
    return GlobalConfig(reserved=bytes(64), **fields)


def find_config(tx: Tx) -> GlobalConfig | None:
    """The config now in force, None as long as none has been seen."""
    row = tx.one("SELECT * FROM configs ORDER BY slot DESC, index_in_block DESC, id DESC LIMIT 1")
    return None if row is None else config_of(row)


LogPlace = tuple[int, int, int, int]
"""Slot, index in block, transaction id, event index: a place of the log, comparing in chain order."""

_CONFIG_PLACE = "c.slot, c.index_in_block, coalesce(e.transaction_id, 0), coalesce(e.event_index, 0)"
_CONFIG_JOIN = "FROM configs c LEFT JOIN events e ON e.id = c.event_id"


def find_config_at(tx: Tx, place: LogPlace) -> GlobalConfig | None:
    """The config in force when the event at ``place`` happened; the earliest known one for places before it."""
    row = tx.one(
        f"SELECT c.* {_CONFIG_JOIN} WHERE ({_CONFIG_PLACE}) < (?, ?, ?, ?)"
        " ORDER BY c.slot DESC, c.index_in_block DESC, c.id DESC LIMIT 1",
        place,
    ) or tx.one("SELECT * FROM configs ORDER BY slot, index_in_block, id LIMIT 1")
    return None if row is None else config_of(row)


def find_last_config(tx: Tx) -> tuple[LogPlace, GlobalConfig] | None:
    """The config now in force and the place in the log from which it holds."""
    row = tx.one(
        f"SELECT c.*, coalesce(e.transaction_id, 0) AS transaction_id, coalesce(e.event_index, 0) AS event_index"
        f" {_CONFIG_JOIN} ORDER BY c.slot DESC, c.index_in_block DESC, c.id DESC LIMIT 1"
    )
    if row is None:
        return None
    return (row["slot"], row["index_in_block"], row["transaction_id"], row["event_index"]), config_of(row)


CONFIG_INCOMPLETE_SLOT = "config_incomplete_slot"
"""Key of the first slot with a change of the config that could not be read, until its account has been."""


def flag_config(tx: Tx, slot: int) -> None:
    """Note that the config changed in that slot, nobody knows how."""
    known = config_flag(tx)
    if known is None or slot < known:
        chainlog.set_meta(tx, CONFIG_INCOMPLETE_SLOT, str(slot))


def config_flag(tx: Tx) -> int | None:
    """The slot noted by :func:`flag_config`, if any."""
    value = chainlog.find_meta(tx, CONFIG_INCOMPLETE_SLOT)
    return None if value is None else int(value)


def unflag_config(tx: Tx) -> None:
    tx.execute("DELETE FROM meta WHERE key = ?", (CONFIG_INCOMPLETE_SLOT,))


def forget_configs(tx: Tx, slot: int) -> None:
    """Drop the versions that events from ``slot`` on made, so that they can be folded again."""
    tx.execute("DELETE FROM configs WHERE event_id IS NOT NULL AND slot >= ?", (slot,))


def has_config_after(tx: Tx, slot: int) -> bool:
    """Whether the config's account was read at a later slot than ``slot``."""
    return tx.one("SELECT 1 FROM configs WHERE event_id IS NULL AND slot > ? LIMIT 1", (slot,)) is not None


def forget_config_readings(tx: Tx, slot: int) -> None:
    """Drop readings of the config's account at later slots than ``slot``."""
    tx.execute("DELETE FROM configs WHERE event_id IS NULL AND slot > ?", (slot,))
