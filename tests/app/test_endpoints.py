"""A node with several RPC addresses: which one serves is seen, no key is; one of another cluster stops the start."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from solders.pubkey import Pubkey

from tests.chain.scripted_rpc import Reply, ScriptedRpc
from zmart_lite.app.node import Node
from zmart_lite.config import Chain, Config, Indexer, Log, Secret, Server, Store
from zmart_lite.config import Localnet as LocalnetSettings
from zmart_lite.errors import StartupError
from zmart_lite.jobs import Keys
from zmart_lite.localnet import Localnet, LocalnetOptions
from zmart_lite.logs import configured
from zmart_lite.simulation.chain import SimulatedChain
from zmart_lite.store.log import chainlog

KEY = "hunter2-in-the-address"


@pytest.fixture
async def devnet() -> AsyncIterator[Localnet]:
    options = LocalnetOptions(bytes(Pubkey.from_string(Chain().program_id)), rpc_port=0, slot_ms=0)
    async with Localnet(options) as opened:
        yield opened


def config(folder: Path, first: str, *further: str) -> Config:
    chain = Chain(rpc_url=Secret(first), rpc_urls=tuple(map(Secret, further)), rpc_attempts_max=2)
    return Config(
        chain=chain,
        server=Server(port=0, ws_port=0),
        store=Store(dir=str(folder)),
        localnet=LocalnetSettings(enabled=False),
    )


async def test_the_second_address_serves_while_the_first_fails_and_no_key_is_shown(
    devnet: Localnet, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    async with ScriptedRpc() as failing:
        for method in ("getGenesisHash", "getAccountInfo", "getSlot", "getBlockHeight", "getSignaturesForAddress"):
            failing.on(method, Reply(b"", 500))
        first = failing.url.replace("?api-key=hidden", f"{KEY}?api-key={KEY}")
        settings = config(tmp_path, first, f"{devnet.rpc_url}/?api-key={KEY}")
        with configured(Log(level="DEBUG", format="json", dir=str(logs))):
            node = await Node(settings, Keys(None, None)).start()
            try:
                assert node.parts.clock.known
                async with httpx.AsyncClient(base_url=node.url) as client:
                    health: dict[str, Any] = {}
                    async with asyncio.timeout(20):
                        while "endpoint" not in health:
                            health = (await client.get("/health/solana-rpc")).json()
                    shown = [(await client.get(path)).text for path in ("/metrics", "/status", "/health")]
            finally:
                await node.stop()
    assert 'zmart_rpc_endpoint_serving{endpoint="2"} 1.0' in shown[0]
    assert 'zmart_rpc_endpoint_failures{endpoint="1"} 0.0' not in shown[0]
    assert (health["endpoint"], health["endpoints"], health["endpoints_failing"]) == (2, 2, 1)
    written = "".join(file.read_text() for file in logs.iterdir())
    assert "node started" in written
    assert KEY not in "".join(shown) + written + str(health)


async def test_an_address_of_another_cluster_stops_the_start(devnet: Localnet, tmp_path: Path) -> None:
    async with Localnet(LocalnetOptions(devnet.options.program_id, rpc_port=0, slot_ms=0)) as other:
        with pytest.raises(StartupError, match="another cluster") as refused:
            await Node(config(tmp_path, devnet.rpc_url, f"{other.rpc_url}/?api-key={KEY}"), Keys(None, None)).start()
    assert KEY not in str(refused.value)


async def test_a_database_is_bound_to_the_cluster_that_is_reached_after_the_start(
    devnet: Localnet, tmp_path: Path
) -> None:
    settings = config(tmp_path, "http://127.0.0.1:9")
    settings = replace(settings, chain=replace(settings.chain, rpc_attempts_max=1))
    node = await Node(settings, Keys(None, None)).start()
    try:
        assert await node.parts.store.read(lambda tx: chainlog.find_meta(tx, "genesis_hash")) is None
        assert node.parts.rpc.genesis_hash is None
    finally:
        await node.stop()
    node = await Node(config(tmp_path, "http://127.0.0.1:9", devnet.rpc_url), Keys(None, None)).start()
    try:
        pinned = await node.parts.store.read(lambda tx: chainlog.find_meta(tx, "genesis_hash"))
        assert pinned is not None
    finally:
        await node.stop()
    async with Localnet(LocalnetOptions(devnet.options.program_id, rpc_port=0, slot_ms=0)) as other:
        with pytest.raises(StartupError, match="genesis_hash"):
            await Node(config(tmp_path, other.rpc_url), Keys(None, None)).start()
        # Out of reach at the start, and of another cluster when it answers: nothing of it is read.
        node = await Node(config(tmp_path, "http://127.0.0.1:9"), Keys(None, None)).start()
        try:
            assert node.parts.rpc.genesis_hash is not None
            assert node.parts.rpc.genesis_hash.hex() == pinned
        finally:
            await node.stop()


async def test_a_subscription_brings_a_transaction_long_before_the_poller(devnet: Localnet, tmp_path: Path) -> None:
    settings = config(tmp_path, devnet.rpc_url)
    settings = replace(
        settings,
        chain=replace(settings.chain, ws_url=Secret(f"{devnet.ws_url}/?api-key={KEY}")),
        indexer=Indexer(poll_interval_s=3_600),
    )
    node = await Node(settings, Keys(None, None)).start()
    source = "SELECT source FROM transactions WHERE signature = ?"
    try:
        chain, found = SimulatedChain(devnet, Random(1)), None
        async with asyncio.timeout(30):
            while found != "logs":
                chain.step()
                for block in chain.blocks[-3:]:
                    for landed in block.transactions:
                        found = (
                            await node.parts.store.read(lambda tx, of=landed: tx.value(source, (of.signature,)))
                            or found
                        )  # type: ignore[misc]
                await asyncio.sleep(0.01)
    finally:
        await node.stop()
