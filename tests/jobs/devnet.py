"""A devnet, a store and an indexer without HTTP around them: what the jobs work on."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from solders.instruction import Instruction
from solders.keypair import Keypair

from zmart_lite.chain import instructions, tx
from zmart_lite.chain.rpc import Rpc
from zmart_lite.chain.tx import FeePolicy
from zmart_lite.codec import Codec
from zmart_lite.config import Config
from zmart_lite.indexer import Indexer
from zmart_lite.indexer.service import IndexerOptions
from zmart_lite.jobs import Actions, Keys
from zmart_lite.localnet import Localnet, LocalnetOptions
from zmart_lite.models import Commitment, MarketAccount
from zmart_lite.ops import ChainClock, Metrics
from zmart_lite.store.engine.db import Store
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.state import markets
from zmart_lite.store.state.markets import Record
from zmart_lite.store.views.rows import RowSettings

PROGRAM_ID = bytes([7]) * 32
NOW_S = 1_800_000_000
HASH = b"QmZ4tDuvesekSs4qM5ZBKpXiZGun7S2CYtEZRB3DYXkjGx"[:46]
B_PARAMETER = 100 * 10**9


class World:
    """One devnet whose time stands still, and the parts of a node that jobs need."""

    def __init__(self, localnet: Localnet, store: Store, rpc: Rpc) -> None:
        self.localnet = localnet
        self.store = store
        self.rpc = rpc
        self.codec = Codec(PROGRAM_ID)
        self.metrics = Metrics()
        self.keys = Keys(localnet.backend, localnet.admin)
        settings = RowSettings.of(Config(), self.codec)
        self.indexer = Indexer(
            store,
            self.codec,
            rpc,
            ChainClock(),
            self.metrics,
            lambda: FeedContext(settings, self.now),
            IndexerOptions(),
        )
        self.sent = 0

    def now(self) -> int:
        return self.localnet.ledger.clock.now_s()

    def actions(self, rpc: Any = None, keys: Keys | None = None) -> Actions:
        """The node's transactions, with another RPC or other keys on request."""
        index: Callable[[bytes], Awaitable[bool]] = self.indexer.index_signature
        return Actions(
            self.store, self.codec, rpc or self.rpc, keys or self.keys, self.metrics, FeePolicy(fixed=0), index
        )

    async def send(self, instruction: Instruction, signer: Keypair) -> bytes:
        """A wallet's transaction, confirmed and indexed."""
        planned = await tx.plan(self.rpc, instruction, bytes(signer.pubkey()), FeePolicy(fixed=0))
        signed = tx.sign(planned, [signer])
        landed = await tx.send_and_confirm(self.rpc, signed.raw, signed.last_valid_block_height)
        assert await self.indexer.index_signature(landed.signature)
        return landed.signature

    async def market(self, number: int, *, creator: int = 0) -> bytes:
        """A new PROPOSED market's id."""
        market_id = bytes([number]) * 32
        wallet = self.localnet.wallets[creator]
        create = instructions.create_market(self.codec, bytes(wallet.pubkey()), market_id, B_PARAMETER, 10**9, HASH)
        await self.send(create, wallet)
        return market_id

    async def active_market(self, number: int) -> bytes:
        market_id = await self.market(number)
        backend, admin, creator = self.localnet.backend, self.localnet.admin, self.localnet.wallets[0]
        await self.send(
            instructions.aggregate_proposal_votes(self.codec, market_id, bytes(backend.pubkey()), 10, 0), backend
        )
        await self.send(instructions.approve_proposal(self.codec, market_id, bytes(admin.pubkey())), admin)
        await self.send(instructions.activate_market(self.codec, market_id, bytes(creator.pubkey())), creator)
        self.localnet.ledger.warp(10)
        return market_id

    async def buy(self, market_id: bytes, wallet: int, outcome: bool, sol: int = 1) -> None:
        config = await self.store.read(markets.find_config)
        config = config or await self.indexer.read_config()
        assert config is not None
        signer = self.localnet.wallets[wallet]
        await self.send(
            instructions.buy_shares(self.codec, config, market_id, bytes(signer.pubkey()), outcome, sol * 10**9), signer
        )

    async def resolving_market(self, number: int) -> bytes:
        market_id = await self.active_market(number)
        resolver = self.localnet.wallets[0]
        await self.send(
            instructions.resolve_market(self.codec, market_id, bytes(resolver.pubkey()), True, HASH), resolver
        )
        return market_id

    async def resolving_markets(self, count: int) -> list[bytes]:
        """As many markets in the state RESOLVING, proposed in the same second, on the chain and in the database."""
        template_id = await self.resolving_market(1)
        account = self.localnet.ledger.bank(Commitment.CONFIRMED).account(self.codec.market_address(template_id))
        assert account is not None
        market = self.codec.decode_account(account.data)
        assert isinstance(market, MarketAccount)
        ids = [number.to_bytes(2, "big") * 16 for number in range(1_000, 1_000 + count - 1)]
        for market_id in ids:
            address, bump = self.codec.market_pda(market_id)
            data = self.codec.encode_account(market._replace(market_id=market_id, bump=bump))
            self.localnet.ledger.set_account(address, dataclasses.replace(account, data=data))
            await self.store.write(
                lambda each, market_id=market_id, address=address: markets.add_record(each, market_id, address)  # type: ignore[misc]
            )
            await self.indexer.resync(market_id)
        return [template_id, *ids]

    async def disputed_market(self, number: int, holders: int) -> bytes:
        """A DISPUTED market in which the first ``holders`` wallets hold shares."""
        market_id = await self.active_market(number)
        for wallet in range(holders):
            await self.buy(market_id, wallet, outcome=wallet % 2 == 0)
        resolver = self.localnet.wallets[0]
        await self.send(
            instructions.resolve_market(self.codec, market_id, bytes(resolver.pubkey()), True, HASH), resolver
        )
        self.localnet.ledger.warp(10)
        await self.send(instructions.initiate_dispute(self.codec, market_id, bytes(resolver.pubkey())), resolver)
        return market_id

    async def record(self, market_id: bytes) -> Record:
        found = await self.store.read(lambda each: markets.find_record(each, market_id))
        assert found is not None
        return found


async def _no_pause(_: float) -> None:
    """Blocks are made on demand: what is waited for has happened already."""
    await asyncio.sleep(0)


@asynccontextmanager
async def devnet_world(folder: Path) -> AsyncIterator[World]:
    options = LocalnetOptions(program_id=PROGRAM_ID, rpc_port=0, slot_ms=0, genesis_time=NOW_S)
    localnet = Localnet(options)
    await localnet.start()
    store = await Store(folder / "zmart.db").open()
    try:
        async with Rpc([localnet.rpc_url], sleep=_no_pause) as rpc:
            world = World(localnet, store, rpc)
            await world.indexer.read_config()
            yield world
    finally:
        await store.close()
        await localnet.stop()
