"""What a batch asks the database for, asked once: markets, wallets and positions, in one query each where that is
possible.
"""

from collections.abc import Mapping, Sequence

from zmart_lite.codec import Codec
from zmart_lite.indexer import fold
from zmart_lite.indexer.fold import TRADES, Holding
from zmart_lite.models import ChainEvent, ChainTransaction, SharesBought, SharesSold, UserPosition
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.state import markets, positions
from zmart_lite.store.state.markets import Record

Key = tuple[int, int]
"""A position's market and wallet."""


class Known:
    """The rows of one open transaction. A record handed out is the one and only copy of it."""

    def __init__(self, tx: Tx, codec: Codec) -> None:
        self._tx = tx
        self._codec = codec
        self._wallets: dict[bytes, int] = {}
        self._records: dict[int, Record] = {}
        self._by_id: dict[bytes, Record] = {}
        self._held: dict[Key, Row | None] = {}
        self._stored: set[Key] = set()
        self._named: dict[tuple[bytes, bytes], bytes] = {}
        self._logged: dict[bytes, bool] = {}
        """Whether the transactions that were looked for are in the log, counting those that enter it now."""

    def prefetch(self, signatures: Sequence[bytes], events: Sequence[ChainEvent]) -> None:
        """Look up, all at once, what adding these transactions with these events will ask for."""
        found_in_log = dict.fromkeys(chainlog.known_signatures(self._tx, signatures), True)
        self._logged = dict.fromkeys(signatures, False) | self._logged | found_in_log
        owners = {wallet for event in events if (wallet := fold.wallet_of(event)) is not None}
        self._wallets |= markets.wallet_keys(self._tx, sorted(owners - self._wallets.keys()))
        wanted = {market_id for event in events if (market_id := getattr(event, "market_id", None)) is not None}
        for found in markets.list_records(self._tx, sorted(wanted - self._by_id.keys())):
            self._keep(found)
        traded = {(event.market_id, event.user) for event in events if isinstance(event, TRADES)}
        keys, wallets = {market_id: record["id"] for market_id, record in self._by_id.items()}, self._wallets
        pairs = {
            (keys[market_id], wallets[user]) for market_id, user in traded if market_id in keys and user in wallets
        }
        pairs -= self._held.keys()
        self._held |= dict.fromkeys(pairs)
        self._held |= positions.find_positions(self._tx, sorted(pairs))

    def _keep(self, found: Record) -> Record:
        record = self._records.setdefault(found["id"], found)
        self._by_id[record["market_id"]] = record
        return record

    def enters(self, signature: bytes) -> bool:
        """Whether a transaction is not in the log yet; from now on it counts as being there."""
        is_logged = self._logged.get(signature)
        if is_logged is None:
            is_logged = signature in chainlog.known_signatures(self._tx, [signature])
        self._logged[signature] = True
        return not is_logged

    # Markets

    @property
    def market_ids(self) -> tuple[bytes, ...]:
        """Ids of the markets that were asked for."""
        return tuple(record["market_id"] for record in self._records.values())

    def record(self, key: int) -> Record | None:
        found = self._records.get(key) or markets.find_record_by_key(self._tx, key)
        return None if found is None else self._keep(found)

    def by_id(self, market_id: bytes) -> Record | None:
        known = self._by_id.get(market_id)
        if known is not None:
            return known
        found = markets.find_record(self._tx, market_id)
        return None if found is None else self._keep(found)

    def by_address(self, address: bytes) -> Record | None:
        found = markets.find_record_by_address(self._tx, address)
        return None if found is None else self._keep(found)

    def add(self, market_id: bytes) -> Record:
        """The record of a market that is referred to for the first time."""
        return self._keep(markets.add_record(self._tx, market_id, self._codec.market_address(market_id)))

    # Wallets and positions

    def wallet(self, address: bytes) -> int:
        """The wallet's key, made on first sight."""
        found = self._wallets.get(address)
        if found is None:
            found = self._wallets[address] = markets.wallet_key(self._tx, address)
        return found

    def holding(self, record: Record, key: Key, user: bytes) -> Holding:
        """The position as the database has it. The bump is no part of that and left 0."""
        if key not in self._held:
            self._held[key] = positions.find_position(self._tx, *key)
        row = self._held[key]
        if row is None:
            return fold.new_holding(record["address"], user, 0)
        return Holding(
            positions.position_of(row, record["address"], 0),
            int(row["basis_yes"]),
            int(row["basis_no"]),
            int(row["cost_bought"]),
            int(row["realized_pnl"]),
            row["first_trade_at"],
        )

    def name_position(self, event: SharesBought | SharesSold, found: ChainTransaction, index: int) -> None:
        """Remember the position that the instruction of a trade, its transaction's ``index``-th of ours, is about: to
        look whether that is the address costs a tenth of finding it.
        """
        instructions = found.instructions
        if index < len(instructions):
            _, accounts, _ = instructions[index]
            if len(accounts) > fold.POSITION_ACCOUNT:
                self._named[accounts[fold.MARKET_ACCOUNT], event.user] = accounts[fold.POSITION_ACCOUNT]

    def save_holdings(self, holdings: Mapping[Key, Holding]) -> None:
        """Write positions as they are now. Each has been asked for before, and is known to be stored or new."""
        new, changed = [], []
        for key, holding in holdings.items():
            if key in self._stored or self._held.get(key) is not None:
                changed.append((key, holding))
            else:
                new.append((key, self.address_of_new(holding.position), holding))
        positions.update_positions(self._tx, changed)
        positions.add_positions(self._tx, new)
        self._stored |= holdings.keys()

    def address_of_new(self, position: UserPosition) -> bytes:
        """The address of the account of a position that the database has not got."""
        market, user = position.market, position.user
        named = self._named.get((market, user))
        if named is not None and self._codec.is_position_address(named, market, user):
            return named
        return self._codec.position_address(market, user)

    def forget_positions(self, market: int) -> None:
        """The positions of a market are about to be folded anew."""
        self._held = {key: row for key, row in self._held.items() if key[0] != market}
        self._stored = {key for key in self._stored if key[0] != market}
