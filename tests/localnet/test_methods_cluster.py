"""What wallets and explorers ask on their first screen: nodes, leaders, inflation, supply, performance."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.localnet.rpc_harness import CONFIRMED, Devnet, running
from zmart_lite.localnet.clock import SLOTS_PER_EPOCH
from zmart_lite.localnet.ledger import LedgerOptions
from zmart_lite.localnet.methods_cluster import PERFORMANCE_SAMPLE_S
from zmart_lite.localnet.rpc import METHODS

RELEASE_METHODS = """
    getAccountInfo getBalance getBlock getBlockCommitment getBlockHeight getBlockProduction getBlockTime getBlocks
    getBlocksWithLimit getClusterNodes getEpochInfo getEpochSchedule getFeeForMessage getFirstAvailableBlock
    getGenesisHash getHealth getHighestSnapshotSlot getIdentity getInflationGovernor getInflationRate getInflationReward
    getLargestAccounts getLatestBlockhash getLeaderSchedule getMaxRetransmitSlot getMaxShredInsertSlot
    getMinimumBalanceForRentExemption getMultipleAccounts getProgramAccounts getRecentPerformanceSamples
    getRecentPrioritizationFees getSignatureStatuses getSignaturesForAddress getSlot getSlotLeader getSlotLeaders
    getStakeMinimumDelegation getSupply getTokenAccountBalance getTokenAccountsByDelegate getTokenAccountsByOwner
    getTokenLargestAccounts getTokenSupply getTransaction getTransactionCount getVersion getVoteAccounts
    isBlockhashValid minimumLedgerSlot requestAirdrop sendTransaction simulateTransaction
"""
"""The methods of solana-rpc 3.0.10 (rpc.rs)."""


@pytest.fixture
async def devnet() -> AsyncIterator[Devnet]:
    async with running() as started:
        yield started


def test_the_methods_are_those_of_the_release() -> None:
    assert sorted(RELEASE_METHODS.split()) == sorted(name for name in METHODS if not name.startswith("localnet_"))
    assert len(RELEASE_METHODS.split()) == 52


async def test_leaders(devnet: Devnet) -> None:
    identity = (await devnet.call("getIdentity"))["identity"]
    assert await devnet.call("getSlotLeader") == identity
    assert await devnet.call("getSlotLeaders", 5, 3) == [identity] * 3
    assert await devnet.call("getSlotLeaders", 5, 0) == []
    schedule = await devnet.call("getLeaderSchedule")
    assert schedule == {identity: list(range(SLOTS_PER_EPOCH))}
    assert await devnet.call("getLeaderSchedule", None, {"identity": "1" * 32}) == {}
    assert await devnet.call("getLeaderSchedule", SLOTS_PER_EPOCH, {"identity": "1" * 32}) == {}
    assert await devnet.call("getLeaderSchedule", 2 * SLOTS_PER_EPOCH) is None
    assert "max 5000" in (await devnet.error("getSlotLeaders", 0, 5_001))["message"]
    assert "is unavailable" in (await devnet.error("getSlotLeaders", 2 * SLOTS_PER_EPOCH, 1))["message"]


async def test_block_production_counts_what_a_fork_left_out(devnet: Devnet) -> None:
    identity = (await devnet.call("getIdentity"))["identity"]
    ledger = devnet.net.ledger
    ledger.options = LedgerOptions(slot_ms=400)
    start = ledger.open_slot
    ledger.produce_blocks(4)
    ledger.drop_blocks(2)
    ledger.produce_blocks(3)
    last = ledger.open_slot - 1
    asked = {"commitment": "confirmed", "range": {"firstSlot": start, "lastSlot": last}}
    found = (await devnet.call("getBlockProduction", asked))["value"]
    kept = len(await devnet.call("getBlocks", start, last, CONFIRMED))
    assert found == {
        "byIdentity": {identity: [last - start + 1, kept]},
        "range": {"firstSlot": start, "lastSlot": last},
    }
    assert kept == last - start + 1 - 3
    whole = (await devnet.call("getBlockProduction"))["value"]
    assert whole["range"]["firstSlot"] == 0
    nobody = (await devnet.call("getBlockProduction", {"identity": "1" * 32}))["value"]
    assert nobody["byIdentity"] == {}
    ahead = await devnet.error("getBlockProduction", {"range": {"firstSlot": 0, "lastSlot": last + 100}})
    assert "too large" in ahead["message"]
    wrong = await devnet.error("getBlockProduction", {"range": {"firstSlot": 5, "lastSlot": 4}})
    assert "cannot be greater" in wrong["message"]


async def test_blocks_that_are_no_longer_kept_were_made() -> None:
    async with running(slot_ms=400, transactions_max=1) as devnet:
        ledger = devnet.net.ledger
        ledger.history._empty_blocks_max = 200
        ledger.produce_blocks(2_000)
        assert ledger.history.first_slot > 0
        found = (await devnet.call("getBlockProduction"))["value"]
        assert list(found["byIdentity"].values()) == [[found["range"]["lastSlot"] + 1] * 2]


async def test_nothing_is_staked_and_nothing_is_paid(devnet: Devnet) -> None:
    assert await devnet.call("getBlockCommitment", 1) == {"commitment": None, "totalStake": 0}
    assert (await devnet.call("getStakeMinimumDelegation"))["value"] == 1
    assert set((await devnet.call("getInflationGovernor")).values()) == {0.0}
    rate = await devnet.call("getInflationRate")
    assert rate == {"epoch": 0, "foundation": 0.0, "total": 0.0, "validator": 0.0}
    alice = str(devnet.alice.pubkey())
    assert await devnet.call("getInflationReward", [alice, alice]) == [None, None]
    early = await devnet.error("getInflationReward", [alice], {"epoch": 0})
    assert early["code"] == -32004
    assert (await devnet.error("getHighestSnapshotSlot"))["code"] == -32008
    assert await devnet.call("getVoteAccounts") == {"current": [], "delinquent": []}


async def test_the_largest_accounts(devnet: Devnet) -> None:
    rows = (await devnet.call("getLargestAccounts"))["value"]
    assert rows[0]["lamports"] >= rows[-1]["lamports"]
    assert len(rows) <= 20
    assert str(devnet.alice.pubkey()) in {row["address"] for row in rows}
    assert (await devnet.call("getLargestAccounts", {"filter": "nonCirculating"}))["value"] == []


async def test_performance_is_counted_by_the_minute(devnet: Devnet) -> None:
    ledger = devnet.net.ledger
    ledger.produce_blocks(1, 10 * PERFORMANCE_SAMPLE_S)
    await devnet.send(devnet.transaction(devnet.create_market(1)))
    ledger.produce_blocks(2)
    samples: list[dict[str, Any]] = await devnet.call("getRecentPerformanceSamples")
    newest, older = samples[:2]
    assert (newest["numSlots"], newest["numTransactions"], newest["numNonVoteTransactions"]) == (4, 1, 1)
    assert newest["slot"] > older["slot"]
    assert sum(sample["numTransactions"] for sample in samples) == ledger.history.transaction_count
    assert all(1 <= sample["samplePeriodSecs"] <= PERFORMANCE_SAMPLE_S for sample in samples)
    assert await devnet.call("getRecentPerformanceSamples", 1) == [newest]
    assert await devnet.call("getRecentPerformanceSamples", 0) == []
    assert "max 720" in (await devnet.error("getRecentPerformanceSamples", 721))["message"]


async def test_slots_that_a_node_has_seen(devnet: Devnet) -> None:
    for method in ("getMaxRetransmitSlot", "getMaxShredInsertSlot"):
        assert await devnet.call(method) == devnet.net.ledger.open_slot
    [node] = await devnet.call("getClusterNodes")
    assert node["rpc"] == devnet.net.rpc_url.removeprefix("http://")
    assert node["tpu"] is None
