"""Blocks and transactions by slot, signature and address, bounded by number.

A transaction's ``position`` in the chain is its key in every index: an address's history is a sorted list of positions,
so that a page of it is a slice, whatever the length.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from zmart_lite.localnet.records import Block, LandedTransaction

TRANSACTIONS_MAX = 100_000
"""A buy takes about 3 KB here."""
EMPTY_BLOCKS_MAX = 10_000
PRUNE_BATCH = 1_024
"""Pruning waits until this much is over the bound, so that its cost per transaction stays small."""


class History:
    """What was sealed into blocks, and the transactions of the open block."""

    def __init__(self, transactions_max: int = TRANSACTIONS_MAX, empty_blocks_max: int = EMPTY_BLOCKS_MAX) -> None:
        self._transactions_max = transactions_max
        self._empty_blocks_max = empty_blocks_max
        self._by_position: dict[int, LandedTransaction] = {}
        self._by_signature: dict[bytes, LandedTransaction] = {}
        self._by_address: dict[bytes, list[int]] = {}
        self._blocks: dict[int, Block] = {}
        self._slots: list[int] = []
        self._by_height: dict[int, Block] = {}
        self._empty_blocks = 0
        self.transaction_count = 0

    def find(self, signature: bytes) -> LandedTransaction | None:
        return self._by_signature.get(signature)

    def add_transaction(self, landed: LandedTransaction) -> None:
        self._by_position[landed.position] = landed
        self._by_signature[landed.signature] = landed
        for key in landed.account_keys:
            self._by_address.setdefault(key, []).append(landed.position)
        self.transaction_count = landed.position + 1

    def drop_transaction(self, landed: LandedTransaction) -> None:
        """Forget the newest transaction."""
        del self._by_position[landed.position]
        del self._by_signature[landed.signature]
        for key in landed.account_keys:
            positions = self._by_address[key]
            positions.pop()
            if not positions:
                del self._by_address[key]
        self.transaction_count = landed.position

    def of_address(self, key: bytes, before: int | None, after: int | None) -> Iterator[LandedTransaction]:
        """Newest first, strictly between the two positions (None: no bound)."""
        positions = self._by_address.get(key, [])
        end = len(positions) if before is None else bisect_left(positions, before)
        start = 0 if after is None else bisect_right(positions, after)
        for at in range(end - 1, start - 1, -1):
            landed = self._by_position.get(positions[at])
            if landed is None:
                return
            yield landed

    def add_block(self, block: Block) -> None:
        self._blocks[block.slot] = block
        self._by_height[block.height] = block
        self._slots.append(block.slot)
        self._empty_blocks += not block.transactions
        if self._empty_blocks >= self._empty_blocks_max + PRUNE_BATCH:
            self._prune_empty_blocks()
        if len(self._by_position) >= self._transactions_max + PRUNE_BATCH:
            self._prune_transactions()

    def drop_block(self, block: Block) -> None:
        """Forget the newest block and its transactions."""
        for landed in reversed(block.transactions):
            self.drop_transaction(landed)
        del self._blocks[block.slot]
        del self._by_height[block.height]
        self._slots.pop()
        self._empty_blocks -= not block.transactions

    def block(self, slot: int) -> Block | None:
        return self._blocks.get(slot)

    def block_at_height(self, height: int) -> Block | None:
        return self._by_height.get(height)

    def slots_from(self, start: int, end: int, limit: int) -> Sequence[int]:
        """Slots that hold a block, ``start`` and ``end`` included, at most ``limit``."""
        first = bisect_left(self._slots, start)
        return self._slots[first : min(bisect_right(self._slots, end), first + limit)]

    def block_at_or_before(self, slot: int) -> Block | None:
        """The last block that is kept up to a slot."""
        at = bisect_right(self._slots, slot)
        return self._blocks[self._slots[at - 1]] if at else None

    def block_after(self, slot: int) -> Block | None:
        """The first block that is kept after a slot."""
        at = bisect_right(self._slots, slot)
        return self._blocks[self._slots[at]] if at < len(self._slots) else None

    def blocks(self) -> Iterator[Block]:
        return iter(self._blocks.values())

    @property
    def first_slot(self) -> int:
        return self._slots[0] if self._slots else 0

    def _prune_empty_blocks(self) -> None:
        surplus = self._empty_blocks - self._empty_blocks_max
        for slot in self._slots:
            if surplus == 0:
                break
            if not self._blocks[slot].transactions:
                self._forget_block(slot)
                surplus -= 1
                self._empty_blocks -= 1
        self._slots = list(self._blocks)

    def _prune_transactions(self) -> None:
        surplus = len(self._by_position) - self._transactions_max
        touched: set[bytes] = set()
        for slot in self._slots:
            block = self._blocks[slot]
            if surplus <= 0:
                break
            surplus -= len(block.transactions)
            self._empty_blocks -= not block.transactions
            for landed in block.transactions:
                del self._by_position[landed.position]
                del self._by_signature[landed.signature]
                touched.update(landed.account_keys)
            self._forget_block(slot)
        self._slots = list(self._blocks)
        self._trim_addresses(touched)

    def _forget_block(self, slot: int) -> None:
        del self._by_height[self._blocks.pop(slot).height]

    def _trim_addresses(self, keys: set[bytes]) -> None:
        oldest = next(iter(self._by_position), self.transaction_count)
        for key in keys:
            positions = self._by_address[key]
            del positions[: bisect_left(positions, oldest)]
            if not positions:
                del self._by_address[key]
