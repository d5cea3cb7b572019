"""RPC methods about the cluster, which has one node and no stake: leaders, inflation, supply, performance."""

from heapq import nlargest
from typing import Any

from zmart_lite.localnet.clock import SLOTS_PER_EPOCH
from zmart_lite.localnet.context import RpcContext, with_context
from zmart_lite.localnet.history import History
from zmart_lite.localnet.ledger import Bank
from zmart_lite.localnet.params import (
    BLOCK_NOT_AVAILABLE,
    NO_SNAPSHOT,
    Config,
    Params,
    RpcError,
    invalid,
    read_pubkey,
    read_u64,
)
from zmart_lite.localnet.records import Block
from zmart_lite.localnet.wire import pubkey_text
from zmart_lite.models import Commitment

FEATURE_SET = 3_604_001_754
LARGEST_MAX = 20
LEADERS_MAX = 5_000
PERFORMANCE_SAMPLES_MAX = 720
PERFORMANCE_SAMPLE_S = 60
REWARD_ADDRESSES_MAX = 1_000
STAKE_MINIMUM_LAMPORTS = 1

_WHOLE_EPOCH = list(range(SLOTS_PER_EPOCH))
"""Made once: each answer with the whole schedule shows it."""


def get_version(context: RpcContext, _params: Params) -> Any:
    return {"feature-set": FEATURE_SET, "solana-core": context.release.version}


def get_identity(context: RpcContext, _params: Params) -> Any:
    return {"identity": _identity(context)}


def _identity(context: RpcContext) -> str:
    return str(context.identity.pubkey())


def get_cluster_nodes(context: RpcContext, _params: Params) -> Any:
    rpc, pubsub = (str(context.info.get(name, "")).rpartition("/")[2] for name in ("rpc", "pubsub"))
    nowhere = ("gossip", "serveRepair", "tpu", "tpuForwards", "tpuForwardsQuic", "tpuQuic", "tpuVote", "tvu")
    client = {"clientId": "Agave"} if context.release.has(4, 0) else {}
    return [
        client
        | dict.fromkeys(nowhere)
        | {
            "featureSet": FEATURE_SET,
            "pubkey": _identity(context),
            "pubsub": pubsub,
            "rpc": rpc,
            "shredVersion": 1,
            "version": context.release.version,
        }
    ]


def get_vote_accounts(_context: RpcContext, _params: Params) -> Any:
    return {"current": [], "delinquent": []}


# -- leaders and blocks -----------------------------------------------------------------------------------------------


def get_slot_leader(context: RpcContext, params: Params) -> Any:
    context.bank(params.config(0))
    return _identity(context)


def get_slot_leaders(context: RpcContext, params: Params) -> Any:
    start, limit = params.u64(0), params.u64(1)
    if limit > LEADERS_MAX:
        raise invalid(f"Invalid limit; max {LEADERS_MAX}")
    known_through = _epoch(context.ledger.bank(Commitment.PROCESSED).slot) + 1
    wanted = _epoch(start + max(limit, 1) - 1)
    if wanted > known_through:
        raise invalid(
            f"Invalid slot range: leader schedule for epoch {max(_epoch(start), known_through + 1)} is unavailable"
        )
    return [_identity(context)] * limit


def get_leader_schedule(context: RpcContext, params: Params) -> Any:
    """Every slot of the epoch, numbered within it, or null for an epoch whose leaders are not known."""
    first = params.get(0)
    config = params.config(0) if isinstance(first, dict) else params.config(1)
    bank = context.bank(config)
    slot = bank.slot if first is None or isinstance(first, dict) else read_u64(first)
    if _epoch(slot) > _epoch(bank.slot) + 1:
        return None
    return {_identity(context): _WHOLE_EPOCH} if _concerns(context, config) else {}


def _epoch(slot: int) -> int:
    return slot // SLOTS_PER_EPOCH


def _concerns(context: RpcContext, config: Config) -> bool:
    """Whether a question that may name an ``identity`` names this node's, or nobody's."""
    asked = config.get("identity")
    return asked is None or read_pubkey(asked) == bytes(context.identity.pubkey())


def get_block_production(context: RpcContext, params: Params) -> Any:
    config = params.config(0)
    bank = context.bank(config)
    first, last = _production_range(config, bank)
    history = context.ledger.history
    made = _blocks_through(history, last) - (_blocks_through(history, first - 1) if first else 0)
    counts = {_identity(context): [last - first + 1, made]} if _concerns(context, config) else {}
    return with_context(bank, {"byIdentity": counts, "range": {"firstSlot": first, "lastSlot": last}})


def _production_range(config: Config, bank: Bank) -> tuple[int, int]:
    """The slots asked about, those of the epoch so far unless told otherwise; both ends are included."""
    asked = Config(config.get("range")) if isinstance(config.get("range"), dict) else Config({})
    first, last = asked.u64("firstSlot"), asked.u64("lastSlot")
    first = _epoch(bank.slot) * SLOTS_PER_EPOCH if first is None else first
    if last is None:
        last = bank.slot
    if last > bank.slot:
        raise invalid(f"lastSlot, {last}, is too large; max {bank.slot}")
    if first > last:
        raise invalid(f"firstSlot, {first}, cannot be greater than lastSlot, {last}")
    return first, last


def _blocks_through(history: History, slot: int) -> int:
    """How many blocks were made up to a slot. Of those that are no longer kept none counts as skipped."""
    before, after = history.block_at_or_before(slot), history.block_after(slot)
    made = slot + 1 if before is None else before.height + 1 + slot - before.slot
    return made if after is None else min(made, after.height)


def get_block_commitment(_context: RpcContext, params: Params) -> Any:
    """Nobody votes with stake here."""
    params.u64(0)
    return {"commitment": None, "totalStake": 0}


def get_newest_slot(context: RpcContext, _params: Params) -> Any:
    return context.ledger.open_slot


def get_highest_snapshot_slot(_context: RpcContext, _params: Params) -> Any:
    raise RpcError(NO_SNAPSHOT, "No snapshot")


# -- stake, inflation, supply -----------------------------------------------------------------------------------------


def get_inflation_governor(context: RpcContext, params: Params) -> Any:
    context.bank(params.config(0))
    return dict.fromkeys(("foundation", "foundationTerm", "initial", "taper", "terminal"), 0.0)


def get_inflation_rate(context: RpcContext, _params: Params) -> Any:
    epoch = _epoch(context.ledger.bank(Commitment.FINALIZED).slot)
    return {"epoch": epoch, "foundation": 0.0, "total": 0.0, "validator": 0.0}


def get_inflation_reward(context: RpcContext, params: Params) -> Any:
    """Null for each address: no rewards are paid here."""
    keys = [read_pubkey(text) for text in params.texts(0, REWARD_ADDRESSES_MAX)]
    config = params.config(1)
    bank, epoch = context.bank(config), config.u64("epoch")
    if epoch is not None and (paid_at := (epoch + 1) * SLOTS_PER_EPOCH) > bank.slot:
        raise RpcError(BLOCK_NOT_AVAILABLE, f"Block not available for slot {paid_at}")
    return [None] * len(keys)


def get_stake_minimum_delegation(context: RpcContext, params: Params) -> Any:
    return with_context(context.bank(params.config(0)), STAKE_MINIMUM_LAMPORTS)


def get_supply(context: RpcContext, params: Params) -> Any:
    bank = context.bank(params.config(0))
    total = sum(account.lamports for _key, account in context.ledger.accounts.items())
    value = {"circulating": total, "nonCirculating": 0, "nonCirculatingAccounts": [], "total": total}
    return with_context(bank, value)


def get_largest_accounts(context: RpcContext, params: Params) -> Any:
    config = params.config(0)
    bank = context.bank(config)
    if config.choice("filter", ("circulating", "nonCirculating"), "circulating") == "nonCirculating":
        return with_context(bank, [])
    held = ((account.lamports, key) for key, account in context.ledger.accounts.items())
    rows = [{"address": pubkey_text(key), "lamports": lamports} for lamports, key in nlargest(LARGEST_MAX, held)]
    return with_context(bank, rows)


# -- performance ------------------------------------------------------------------------------------------------------


def get_recent_performance_samples(context: RpcContext, params: Params) -> Any:
    """A sample a minute of the chain's time, newest first; minutes that a warp left out have none."""
    limit = PERFORMANCE_SAMPLES_MAX if params.get(0) is None else params.u64(0)
    if limit > PERFORMANCE_SAMPLES_MAX:
        raise invalid(f"Invalid limit; max {PERFORMANCE_SAMPLES_MAX}")
    samples: list[dict[str, int]] = []
    history = context.ledger.history
    height = context.ledger.bank(Commitment.CONFIRMED).height
    newest, minute = None, None
    while (block := history.block_at_height(height)) is not None:
        if newest is None or block.time // PERFORMANCE_SAMPLE_S != minute:
            if len(samples) == limit:
                break
            minute = block.time // PERFORMANCE_SAMPLE_S
            newest = block
            samples.append(_empty_sample(newest))
        _count(samples[-1], block, newest)
        height -= 1
    return samples


def _empty_sample(newest: Block) -> dict[str, int]:
    return {
        "numNonVoteTransactions": 0,
        "numSlots": 0,
        "numTransactions": 0,
        "samplePeriodSecs": 1,
        "slot": newest.slot,
    }


def _count(sample: dict[str, int], block: Block, newest: Block) -> None:
    sample["numSlots"] += 1
    # The first minute and the one that is still open are shorter.
    sample["samplePeriodSecs"] = max(newest.time - block.time, 1)
    for name in ("numTransactions", "numNonVoteTransactions"):
        sample[name] += len(block.transactions)


METHODS = {
    "getBlockCommitment": get_block_commitment,
    "getBlockProduction": get_block_production,
    "getClusterNodes": get_cluster_nodes,
    "getHighestSnapshotSlot": get_highest_snapshot_slot,
    "getIdentity": get_identity,
    "getInflationGovernor": get_inflation_governor,
    "getInflationRate": get_inflation_rate,
    "getInflationReward": get_inflation_reward,
    "getLargestAccounts": get_largest_accounts,
    "getLeaderSchedule": get_leader_schedule,
    "getMaxRetransmitSlot": get_newest_slot,
    "getMaxShredInsertSlot": get_newest_slot,
    "getRecentPerformanceSamples": get_recent_performance_samples,
    "getSlotLeader": get_slot_leader,
    "getSlotLeaders": get_slot_leaders,
    "getStakeMinimumDelegation": get_stake_minimum_delegation,
    "getSupply": get_supply,
    "getVersion": get_version,
    "getVoteAccounts": get_vote_accounts,
}
