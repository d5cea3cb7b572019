"""An RPC node over a recorded chain, which a test makes forget, lag, refuse or fail; and an indexer that asks it."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from based58 import b58encode
from solders.pubkey import Pubkey
from solders.signature import Signature

from tests.indexer.chain_log import ChainLog, signature_of, whole_life
from tests.indexer.projection import CODEC, NOW_MS, SETTINGS, dump
from tests.localnet.program_harness import PROGRAM_ID
from zmart_lite.chain.answers import AccountInfo, Memcmp, SignatureStatus
from zmart_lite.chain.rpc import Rpc
from zmart_lite.indexer.service import Indexer, IndexerOptions
from zmart_lite.models import ChainTransaction, Commitment, SignatureInfo
from zmart_lite.ops import ChainClock, Metrics
from zmart_lite.store.engine.db import Store
from zmart_lite.store.log.chainlog import Delivery
from zmart_lite.store.publishing.messages import FeedContext


@dataclass
class ScriptedChain:
    """Answers as a cluster would whose history is ``log``. ``failures`` are raised instead, one a call, in order."""

    log: ChainLog
    tells_places: bool = True
    finalized_slot: int = 0
    hidden: set[bytes] = field(default_factory=set)
    moved: dict[bytes, int] = field(default_factory=dict)
    failures: dict[str, list[Exception]] = field(default_factory=dict)
    account_slot: int | None = None
    has_blocks: bool = True
    """Whether it has the blocks of all times, so that what it does not know is not there."""
    asked: Counter[str] = field(default_factory=Counter)

    def _ask(self, method: str) -> None:
        self.asked[method] += 1
        if self.failures.get(method):
            raise self.failures[method].pop(0)

    @property
    def landed(self) -> list[ChainTransaction]:
        """The history as it is now, oldest first."""
        found = [self._as_told(each) for each in self.log.transactions if each.signature not in self.hidden]
        return sorted(found, key=lambda each: each.slot)

    def _as_told(self, each: ChainTransaction) -> ChainTransaction:
        index = each.index_in_block if self.tells_places else None
        return each._replace(index_in_block=index, slot=self.moved.get(each.signature, each.slot))

    async def get_transaction(
        self, signature: bytes, program_id: bytes, commitment: Commitment = Commitment.CONFIRMED, **_: object
    ) -> ChainTransaction | None:
        self._ask("get_transaction")
        assert program_id == PROGRAM_ID
        return next((each for each in self.landed if each.signature == signature), None)

    async def get_signatures(
        self, address: bytes, *, before: bytes | None = None, limit: int = 1_000
    ) -> list[SignatureInfo]:
        self._ask("get_signatures")
        newest_first = [each for each in self.landed[::-1] if _names(each, address)]
        signatures = [each.signature for each in newest_first]
        # A node that does not know where to start says nothing and begins at the tip.
        start = signatures.index(before) + 1 if before in signatures else 0
        page = newest_first[start : start + limit]
        return [SignatureInfo(each.signature, each.slot, None, each.block_time, each.failed) for each in page]

    async def get_slot(self, commitment: Commitment = Commitment.CONFIRMED) -> int:
        self._ask("get_slot")
        return self.finalized_slot if commitment is Commitment.FINALIZED else self.log.slot

    async def get_block_height(self, _: Commitment = Commitment.FINALIZED) -> int:
        self._ask("get_block_height")
        return self.log.slot

    async def get_signature_statuses(
        self, signatures: list[bytes], search_history: bool = False
    ) -> list[SignatureStatus | None]:
        self._ask("get_signature_statuses")
        assert search_history
        known = {each.signature: each.slot for each in self.landed}
        return [self._status(known[each]) if each in known else None for each in signatures]

    def _status(self, slot: int) -> SignatureStatus:
        final = slot <= self.finalized_slot
        return SignatureStatus(slot, Commitment.FINALIZED if final else Commitment.CONFIRMED, None)

    async def is_absent(self, signature: bytes, slot: int) -> bool:
        self._ask("is_absent")
        return self.has_blocks and all(each.signature != signature for each in self.landed)

    async def get_account(self, address: bytes, commitment: Commitment = Commitment.CONFIRMED) -> AccountInfo | None:
        self._ask("get_account")
        return self._account(address)

    def _account(self, address: bytes) -> AccountInfo | None:
        found = self.log.devnet.accounts.get(address)
        slot = self.log.slot if self.account_slot is None else self.account_slot
        return None if found is None else AccountInfo(found.lamports, found.owner, found.data, slot)

    async def get_accounts(
        self, addresses: list[bytes], commitment: Commitment = Commitment.CONFIRMED
    ) -> list[AccountInfo | None]:
        self._ask("get_accounts")
        return [self._account(address) for address in addresses]

    async def get_program_accounts(
        self,
        program_id: bytes,
        filters: tuple[Memcmp, ...],
        commitment: Commitment = Commitment.CONFIRMED,
        *,
        data_slice: tuple[int, int] | None = None,
    ) -> list[tuple[bytes, AccountInfo]]:
        self._ask("get_program_accounts")
        start, length = data_slice or (0, 10_000)
        found = []
        for address, account in self.log.devnet.accounts.items():
            matches = all(account.data[part.offset : part.offset + len(part.data)] == part.data for part in filters)
            info = self._account(address)
            if account.owner == program_id and matches and info is not None:
                found.append((address, info._replace(data=info.data[start : start + length])))
        return found

    async def get_block_signatures(self, slot: int) -> list[bytes] | None:
        self._ask("get_block_signatures")
        ours = {each.index_in_block: each.signature for each in self.log.transactions if each.slot == slot}
        return [ours.get(index, signature_of(10**9 + index)) for index in range(max(i or 0 for i in ours) + 1)]


def _names(transaction: ChainTransaction, address: bytes) -> bool:
    """Whether a transaction is part of an address's history."""
    return address == PROGRAM_ID or any(address in each.accounts for each in transaction.instructions)


@dataclass
class Times:
    """The wall clock, which a test sets."""

    ms: int = NOW_MS

    def now(self) -> int:
        return self.ms


@dataclass
class Node:
    """An indexer with its store and the chain it asks."""

    store: Store
    indexer: Indexer
    chain: ScriptedChain
    times: Times

    async def work(self) -> None:
        """Index what is there, as the running indexer would."""
        while await self.indexer.index_inbox():
            pass

    async def dump(self) -> dict[str, list[dict[str, Any]]]:
        return await self.store.read(dump)

    async def value(self, sql: str, *params: object) -> Any:
        return await self.store.read(lambda tx: tx.value(sql, params))

    async def alerts(self) -> list[str]:
        rows = await self.store.read(
            lambda tx: tx.all("SELECT alert_type FROM alerts WHERE status = 'open' ORDER BY id")
        )
        return [row["alert_type"] for row in rows]


@asynccontextmanager
async def node(path: Path, chain: ScriptedChain, **options: Any) -> AsyncIterator[Node]:
    times = Times()
    store = await Store(path / "zmart.db", now_ms=times.now).open()

    def feed_context() -> FeedContext:
        return FeedContext(SETTINGS, lambda: times.ms // 1_000)

    indexer = Indexer(store, CODEC, cast(Rpc, chain), ChainClock(), Metrics(), feed_context, IndexerOptions(**options))
    try:
        yield Node(store, indexer, chain, times)
    finally:
        await store.close()


@asynccontextmanager
async def running(indexer: Indexer) -> AsyncIterator[None]:
    """The indexer's own task."""
    task = asyncio.get_running_loop().create_task(indexer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def webhook_item(found: ChainTransaction) -> bytes:
    """A raw webhook's item telling of a transaction."""
    keys = [str(Pubkey.from_bytes(PROGRAM_ID))]
    for instruction in found.instructions:
        keys += [text for text in map(_address, instruction.accounts) if text not in keys]
    instructions = [
        {
            "programIdIndex": 0,
            "accounts": [keys.index(_address(account)) for account in instruction.accounts],
            "data": _base58(instruction.data),
        }
        for instruction in found.instructions
    ]
    item = {
        "slot": found.slot,
        "blockTime": found.block_time,
        "indexWithinBlock": found.index_in_block,
        "meta": {"err": {"InstructionError": [0, "Custom"]} if found.failed else None, "logMessages": found.logs},
        "transaction": {
            "signatures": [str(Signature.from_bytes(found.signature))],
            "message": {"accountKeys": keys, "instructions": instructions},
        },
    }
    return json.dumps(item).encode()


def _address(key: bytes) -> str:
    return str(Pubkey.from_bytes(key))


def _base58(data: bytes) -> str:
    return str(b58encode(data).decode())


def life() -> ChainLog:
    log = ChainLog().start()
    whole_life(log)
    return log


def deliveries(transactions: list[ChainTransaction], *, payload: bool = False) -> list[Delivery]:
    return [Delivery(each.signature, each.slot, webhook_item(each) if payload else None) for each in transactions]


async def accept_all(here: Node, *, payload: bool = False) -> None:
    await here.indexer.accept(deliveries(here.chain.log.transactions, payload=payload), "webhook")
