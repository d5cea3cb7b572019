"""A node's API over a real devnet for tests: real store, indexer and localnet; time stands in the tests' hands."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import httpx
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction, VersionedTransaction

from tests.api.documented import check_documented
from zmart_lite.api import create_app
from zmart_lite.api.context import ApiParts
from zmart_lite.api.live.stored_feed import StoredFeed
from zmart_lite.api.middleware import Application
from zmart_lite.app.hooks import IndexerAdapter
from zmart_lite.chain import instructions
from zmart_lite.chain.rpc import RetryPolicy, Rpc
from zmart_lite.codec import Codec
from zmart_lite.config import Auth, Config, Helius, Secret
from zmart_lite.errors import Conflict
from zmart_lite.indexer.service import Indexer, IndexerOptions
from zmart_lite.localnet import Localnet, LocalnetOptions
from zmart_lite.models import Commitment, FeedMessage, MarketAccount, VoteType
from zmart_lite.ops import Background, Breakers, ChainClock, Health, Metrics
from zmart_lite.ops.runs import JobView
from zmart_lite.push.hub import Hub
from zmart_lite.store.engine.db import Row, Store, Tx
from zmart_lite.store.publishing.messages import FeedContext
from zmart_lite.store.state import intents
from zmart_lite.store.views.rows import RowSettings

Json = dict[str, Any]

PROGRAM = bytes([7]) * 32
GENESIS_S = 1_767_323_045
DAY_S = 86_400
SERVICE_KEY = "a-service-key-of-thirty-two-bytes"
WEBHOOK_SECRET = "webhook secret of the tests"
HASH = b"QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"[:46]
TEXT: Json = {
    "question": "Will it rain in Lisbon tomorrow?",
    "description": "By the official gauge.",
    "category": "science",
    "tags": ["weather"],
    "end_date": GENESIS_S + 10 * DAY_S,
    "initial_liquidity": "1000000000",
}


class RecordedJobs:
    """The job runner of these tests: remembers what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.running: set[str] = set()

    async def views(self) -> list[JobView]:
        return [JobView("poll", "every 60 s", False, False, None, None, None, None, None, None, 5_000, 1, 0, {})]

    async def run(
        self,
        name: str,
        *,
        market_id: bytes | None = None,
        dry_run: bool = False,
        from_slot: int | None = None,
        deep: bool = False,
    ) -> int:
        if name in self.running:
            raise Conflict("This job is running.", reason="already_running")
        self.calls.append(("run", name, market_id, dry_run))
        return len(self.calls)

    async def pause(self, name: str) -> None:
        self.calls.append(("pause", name))

    async def resume(self, name: str) -> None:
        self.calls.append(("resume", name))

    def next_run_ms(self, name: str) -> int | None:
        return None


class StoredIntents:
    """The node's own transactions, planned and left at that."""

    backend: bytes | None = None

    def __init__(self, store: Store, admin: bytes | None = None) -> None:
        self._store = store
        self.admin = admin

    async def plan(
        self, action: str, market_id: bytes | None, args: Mapping[str, Any], reason: str | None = None
    ) -> Row:
        def unit(tx: Tx) -> Row:
            market = tx.value("SELECT id FROM markets WHERE market_id = ?", (market_id,))
            subject = intents.PROTOCOL if market_id is None else market_id.hex()
            return intents.open_intent(tx, action, subject, args, market=market, reason=reason)[0]

        return await self._store.write(unit)


@dataclass
class ChainNode:
    """The API in front of a devnet, and what a test does to both."""

    net: Localnet
    parts: ApiParts
    indexer: Indexer
    app: Application
    http: httpx.AsyncClient
    messages: list[FeedMessage] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.parts.store

    @property
    def codec(self) -> Codec:
        return self.parts.codec

    # HTTP

    def bearer(self, wallet: Keypair) -> dict[str, str]:
        token, _ = self.app.state.api.auth.tokens.issue(bytes(wallet.pubkey()), self.parts.now_ms() // 1_000)
        return {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, wallet: Keypair | None = None, /, **params: Any) -> httpx.Response:
        headers = {} if wallet is None else self.bearer(wallet)
        return await self.http.get(path, params=params, headers=headers)

    async def post(self, path: str, body: object = None, wallet: Keypair | None = None) -> httpx.Response:
        headers = {} if wallet is None else self.bearer(wallet)
        return await self.http.post(path, json={} if body is None else body, headers=headers)

    async def delete(self, path: str, wallet: Keypair | None = None) -> httpx.Response:
        return await self.http.delete(path, headers={} if wallet is None else self.bearer(wallet))

    # Transactions

    def signed(self, unsigned: Json, wallet: Keypair) -> str:
        """The transaction of an answer, signed by its wallet; base64."""
        transaction = Transaction.from_bytes(base64.b64decode(unsigned["transaction"]))
        transaction.sign([wallet], transaction.message.recent_blockhash)
        return base64.b64encode(bytes(transaction)).decode()

    async def relay(self, unsigned: Json, wallet: Keypair, **more: Any) -> httpx.Response:
        return await self.post("/api/transactions", {"transaction": self.signed(unsigned, wallet), **more})

    async def act(self, path: str, body: Json | None, wallet: Keypair) -> tuple[Json, Json]:
        """Ask for a transaction, sign and relay it: both answers."""
        asked = await self.post(path, body, wallet)
        assert asked.status_code in (200, 201), asked.text
        relayed = await self.relay(asked.json()["transaction"], wallet)
        assert relayed.status_code == 200, relayed.text
        return asked.json(), relayed.json()

    async def land(self, instruction: Instruction, signer: Keypair) -> bytes:
        """Execute an instruction on the devnet and index it; its signature."""
        blockhash = Hash(self.net.ledger.bank(Commitment.PROCESSED).blockhash)
        message = Message.new_with_blockhash([instruction], signer.pubkey(), blockhash)
        landed = self.net.ledger.submit(VersionedTransaction(message, [signer]))
        assert not landed.failed, landed.meta.logs
        signature = bytes(landed.transaction.signatures[0])
        assert await self.indexer.index_signature(signature)
        return signature

    async def account(self, market_id: bytes) -> MarketAccount:
        info = await self.parts.rpc.get_account(self.codec.market_address(market_id))
        assert info is not None
        return cast(MarketAccount, self.codec.decode_account(info.data))

    async def pass_s(self, seconds: int) -> None:
        """Let time go by, on the chain and for the node."""
        self.net.ledger.warp(seconds)
        await self.observe()

    async def observe(self) -> None:
        reading = await self.parts.rpc.get_clock()
        self.parts.clock.forget()
        self.parts.clock.observe(*reading)

    # Markets

    async def create(self, wallet: Keypair, **fields: Any) -> bytes:
        """A PROPOSED market with its text; its id."""
        asked, _ = await self.act("/api/markets", TEXT | fields, wallet)
        return bytes.fromhex(asked["market_id"])

    async def approved(self, wallet: Keypair, **fields: Any) -> bytes:
        market_id = await self.create(wallet, **fields)
        backend, admin = self.net.backend, self.net.admin
        await self.land(
            instructions.aggregate_proposal_votes(self.codec, market_id, bytes(backend.pubkey()), 9, 1), backend
        )
        await self.land(instructions.approve_proposal(self.codec, market_id, bytes(admin.pubkey())), admin)
        return market_id

    async def active(self, wallet: Keypair, **fields: Any) -> bytes:
        """An ACTIVE market, activated an hour ago."""
        market_id = await self.approved(wallet, **fields)
        await self.act(f"/api/markets/{market_id.hex()}/activate", None, wallet)
        await self.pass_s(3_600)
        return market_id

    async def buy(self, market_id: bytes, wallet: Keypair, outcome: bool, budget: int) -> Json:
        body = {"market_id": market_id.hex(), "outcome": outcome, "budget": str(budget)}
        return (await self.act("/api/trades/buy", body, wallet))[1]

    async def resolving(self, market_id: bytes, resolver: Keypair, outcome: bool = True) -> None:
        """Resolve an ACTIVE market; a minute passes."""
        resolve = instructions.resolve_market(self.codec, market_id, bytes(resolver.pubkey()), outcome, HASH)
        await self.land(resolve, resolver)
        await self.pass_s(60)

    async def disputed(self, market_id: bytes, resolver: Keypair, initiator: Keypair) -> None:
        await self.resolving(market_id, resolver)
        await self.land(instructions.initiate_dispute(self.codec, market_id, bytes(initiator.pubkey())), initiator)

    async def finalized(self, market_id: bytes, resolver: Keypair, outcome: bool = True) -> None:
        await self.resolving(market_id, resolver, outcome)
        await self.pass_s(4 * DAY_S)
        backend = self.net.backend
        await self.land(instructions.finalize_market(self.codec, market_id, bytes(backend.pubkey())), backend)

    def vote_on_chain(self, market_id: bytes, wallet: Keypair, vote: bool, kind: VoteType) -> Instruction:
        submit = instructions.submit_proposal_vote if kind is VoteType.PROPOSAL else instructions.submit_dispute_vote
        return submit(self.codec, market_id, bytes(wallet.pubkey()), vote)


def settings(folder: Path, **sections: Any) -> Config:
    config = Config()
    generous = dict.fromkeys(("address_per_minute", "wallet_per_minute", "relays_per_minute"), 100000)
    return replace(
        config,
        store=replace(config.store, dir=str(folder)),
        auth=Auth(jwt_secret=Secret("s" * 40), service_keys=(Secret(SERVICE_KEY),)),
        helius=Helius(webhook_secret=Secret(WEBHOOK_SECRET)),
        limits=replace(config.limits, drafts_per_hour=1_000, votes_per_hour=1_000, **generous),
        **sections,
    )


@asynccontextmanager
async def chain_node(
    folder: Path, *, strict: bool = False, with_admin_key: bool = False, slot_ms: int = 0, **sections: Any
) -> AsyncIterator[ChainNode]:
    """The API in front of a devnet whose time stands still unless it has slots; ``sections`` replace parts of the
    settings.
    """
    net = Localnet(
        LocalnetOptions(PROGRAM, rpc_port=0, slot_ms=slot_ms, genesis_time=GENESIS_S, strict=strict, finalized_lag=4)
    )
    await net.start()
    admin = Pubkey(bytes(net.admin.pubkey()))
    config = settings(folder)
    config = replace(config, auth=replace(config.auth, admin_wallets=(str(admin),)), **sections)
    store = await Store(folder / "zmart.db", now_ms=lambda: net.ledger.clock.now_s() * 1_000).open()
    parts, indexer = make_parts(config, store, net, with_admin_key)
    app = create_app(parts)
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    hooks = {"response": [check_documented]}
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://node", event_hooks=hooks) as http:
            node = ChainNode(net, parts, indexer, app, http)
            store.on_commit = node.messages.extend
            await node.observe()
            await node.indexer.read_config()
            yield node
    finally:
        await parts.background.stop()
        await parts.rpc.close()
        await store.close()
        await net.stop()


def make_parts(config: Config, store: Store, net: Localnet, with_admin_key: bool = False) -> tuple[ApiParts, Indexer]:
    codec, metrics, clock = Codec(PROGRAM), Metrics(), ChainClock(lambda: 0.0)
    rpc = Rpc([net.rpc_url], RetryPolicy(pause_first_s=0.01, attempts_max=2))
    row_settings = RowSettings.of(config, codec)

    def feed() -> FeedContext:
        return FeedContext(row_settings, clock.now)

    indexer = Indexer(store, codec, rpc, clock, metrics, feed, IndexerOptions())
    parts = ApiParts(
        config=config,
        store=store,
        codec=codec,
        rpc=rpc,
        clock=clock,
        metrics=metrics,
        health=Health(lambda: store.now_ms() / 1_000),
        breakers=Breakers(lambda: store.now_ms() / 1_000),
        hub=Hub(StoredFeed(store), metrics, config.push),
        indexer=IndexerAdapter(indexer),
        jobs=RecordedJobs(),
        intents=StoredIntents(store, bytes(net.admin.pubkey()) if with_admin_key else None),
        feed=feed,
        background=Background(),
        jwt_secret=b"s" * 40,
        started_ms=GENESIS_S * 1_000,
        version="0.0.0",
        now_ms=store.now_ms,
        stopping=asyncio.Event(),
    )
    return parts, indexer
