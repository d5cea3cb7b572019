"""What a batch asks the database for, asked once: markets, wallets and positions, in one query each where that is
possible.
"""

from collections.abc import Mapping, Sequence

from zmart_lite.codec import Codec
from zmart_lite.indexer import fold
from zmart_lite.indexer.fold import TRADES, Holding
from zmart_lite.models import ChainEvent, ChainTransaction, SharesBought, SharesSold, UserPosition
from zmart_lite.store import chainlog, markets, positions
from zmart_lite.store.db import Row, Tx
from zmart_lite.store.markets import Record

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
        self._looked_for: set[bytes] = set()
        self._logged: set[bytes] = set()

    def prefetch(self, signatures: Sequence[bytes], events: Sequence[ChainEvent]) -> None:
        """Look up, all at once, what adding these transactions with these events will ask for."""
        self._looked_for |= set(signatures)
        self._logged |= chainlog.known_signatures(self._tx, signatures)
        owners = {wallet for event in events if (wallet := fold.wallet_of(event)) is not None}
        self._wallets |= markets.wallet_keys(self._tx, sorted(owners))
        wanted = {market_id for event in events if (market_id := getattr(event, "market_id", None)) is not None}
        for found in markets.list_records(self._tx, sorted(wanted)):
            self._keep(found)
        traded = {(event.market_id, event.user) for event in events if isinstance(event, TRADES)}
        pairs = {
            (self._by_id[market_id]["id"], self._wallets[user])
            for market_id, user in traded
            if market_id in self._by_id and user in self._wallets
        }
        self._held |= dict.fromkeys(pairs)
        self._held |= positions.find_positions(self._tx, sorted(pairs))

    def _keep(self, found: Record) -> Record:
        record = self._records.setdefault(found["id"], found)
        self._by_id[record["market_id"]] = record
        return record

    def enters(self, signature: bytes) -> bool:
        """Whether a transaction is not in the log yet; from now on it counts as being there."""
        if signature not in self._looked_for:
            self._logged |= chainlog.known_signatures(self._tx, [signature])
        is_new = signature not in self._logged
        self._looked_for.add(signature)
        self._logged.add(signature)
        return is_new

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
        found = known or markets.find_record(self._tx, market_id)
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
        if index < len(found.instructions):
            accounts = found.instructions[index].accounts
            if len(accounts) > fold.POSITION_ACCOUNT:
                market, position = accounts[fold.MARKET_ACCOUNT : fold.POSITION_ACCOUNT + 1]
                self._named[market, event.user] = position

    def save_holdings(self, holdings: Mapping[Key, Holding]) -> None:
        """Write positions as they are now. Each has been asked for before, and is known to be stored or new."""
        saves = [(key, self._address_of(key, holding), holding) for key, holding in holdings.items()]
        positions.update_positions(self._tx, [save for save in saves if self._is_stored(save[0])])
        positions.add_positions(self._tx, [save for save in saves if not self._is_stored(save[0])])
        self._stored |= holdings.keys()

    def _is_stored(self, key: Key) -> bool:
        return key in self._stored or self._held.get(key) is not None

    def _address_of(self, key: Key, holding: Holding) -> bytes:
        """The address of a position's account."""
        row = self._held.get(key)
        if row is not None:
            return bytes(row["address"])
        return self.address_of_new(holding.position)

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
