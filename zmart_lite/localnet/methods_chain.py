"""RPC methods about slots, blocks and time."""

from typing import Any

from solders.hash import Hash

from zmart_lite.localnet.clock import SLOTS_PER_EPOCH
from zmart_lite.localnet.context import RpcContext, with_context
from zmart_lite.localnet.layout import compute_budget
from zmart_lite.localnet.params import (
    BLOCK_NOT_AVAILABLE,
    SLOT_SKIPPED,
    UNSUPPORTED_TRANSACTION_VERSION,
    Config,
    Params,
    RpcError,
    invalid,
    read_hash,
    read_pubkey,
)
from zmart_lite.localnet.records import Block, LandedTransaction
from zmart_lite.localnet.wire import (
    TRANSACTION_ENCODINGS,
    account_keys_json,
    landed_layout,
    meta_json,
    signature_text,
    simple_meta_json,
    transaction_json,
    version_json,
)
from zmart_lite.models import Commitment

BLOCKS_RANGE_MAX = 500_000
PRIORITIZATION_BLOCKS = 150
PRIORITIZATION_KEYS_MAX = 128


def get_health(_context: RpcContext, _params: Params) -> Any:
    return "ok"


def get_genesis_hash(context: RpcContext, _params: Params) -> Any:
    return str(Hash(context.ledger.genesis_hash))


def get_slot(context: RpcContext, params: Params) -> Any:
    return context.bank(params.config(0)).slot


def get_block_height(context: RpcContext, params: Params) -> Any:
    return context.bank(params.config(0)).height


def get_transaction_count(context: RpcContext, params: Params) -> Any:
    bank = context.bank(params.config(0))
    newer = 0
    for height in range(bank.height + 1, context.ledger.height_at(Commitment.PROCESSED)):
        block = context.ledger.history.block_at_height(height)
        newer += len(block.transactions) if block is not None else 0
    if bank.height < context.ledger.height_at(Commitment.PROCESSED):
        newer += context.ledger.open_transaction_count
    return context.ledger.history.transaction_count - newer


def get_epoch_info(context: RpcContext, params: Params) -> Any:
    bank = context.bank(params.config(0))
    return {
        "absoluteSlot": bank.slot,
        "blockHeight": bank.height,
        "epoch": bank.slot // SLOTS_PER_EPOCH,
        "slotIndex": bank.slot % SLOTS_PER_EPOCH,
        "slotsInEpoch": SLOTS_PER_EPOCH,
        "transactionCount": get_transaction_count(context, params),
    }


def get_epoch_schedule(_context: RpcContext, _params: Params) -> Any:
    return {
        "firstNormalEpoch": 0,
        "firstNormalSlot": 0,
        "leaderScheduleSlotOffset": SLOTS_PER_EPOCH,
        "slotsPerEpoch": SLOTS_PER_EPOCH,
        "warmup": False,
    }


def get_latest_blockhash(context: RpcContext, params: Params) -> Any:
    bank = context.bank(params.config(0))
    value = {"blockhash": str(Hash(bank.blockhash)), "lastValidBlockHeight": bank.last_valid_height}
    return with_context(bank, value)


def is_blockhash_valid(context: RpcContext, params: Params) -> Any:
    blockhash = read_hash(params.text(0))
    bank = context.bank(params.config(1))
    return with_context(bank, bank.knows_blockhash(blockhash))


def get_block_time(context: RpcContext, params: Params) -> Any:
    slot = params.u64(0)
    return _sealed_block(context, slot, Commitment.CONFIRMED).time


def get_block(context: RpcContext, params: Params) -> Any:
    slot = params.u64(0)
    config = encoding_or_config(params, 1)
    commitment = confirmed_at_least(config)
    details = config.choice("transactionDetails", ("full", "accounts", "signatures", "none"), "full")
    encoding = config.choice("encoding", TRANSACTION_ENCODINGS, "json")
    version = config.u64("maxSupportedTransactionVersion")
    block = _sealed_block(context, slot, commitment)
    shape: dict[str, Any] = {
        "blockHeight": block.height,
        "blockTime": block.time,
        "blockhash": str(Hash(block.blockhash)),
        "parentSlot": block.parent_slot,
        "previousBlockhash": str(Hash(block.previous_blockhash)),
    }
    if details == "signatures":
        shape["signatures"] = [signature_text(landed.signature) for landed in block.transactions]
    rewards = config.flag("rewards", default=True)
    if details in ("full", "accounts"):
        form = details, encoding, rewards
        shape["transactions"] = [_block_row(landed, form, version) for landed in block.transactions]
    if rewards:
        shape["rewards"] = []
    return shape


def _block_row(landed: LandedTransaction, form: tuple[str, str, bool], version: int | None) -> dict[str, Any]:
    """``form``: how much of it, in which encoding, with rewards or not."""
    details, encoding, rewards = form
    check_version(landed, version)
    if details == "accounts":
        keys = account_keys_json(landed_layout(landed))
        body: Any = {"accountKeys": keys, "signatures": [str(each) for each in landed.transaction.signatures]}
        meta = simple_meta_json(landed, rewards=rewards)
    else:
        meta = meta_json(landed, encoding, rewards=rewards)
        body = transaction_json(landed, encoding)
    row = {"meta": meta, "transaction": body}
    return row if version is None else row | {"version": version_json(landed.transaction)}


def check_version(landed: LandedTransaction, version: int | None) -> None:
    """Raise the cluster's error for a transaction of a version above those that the caller said it can read."""
    found = version_json(landed.transaction)
    if isinstance(found, int) and (version is None or found > version):
        raise RpcError(
            UNSUPPORTED_TRANSACTION_VERSION,
            f"Transaction version ({found}) is not supported by the requesting client. Please try the request again "
            f'with the following configuration parameter: "maxSupportedTransactionVersion": {found}',
        )


def encoding_or_config(params: Params, index: int) -> Config:
    """Some methods take a bare encoding in place of the configuration object."""
    value = params.get(index)
    return Config({"encoding": value}) if isinstance(value, str) else params.config(index)


def confirmed_at_least(config: Config) -> Commitment:
    commitment = config.commitment()
    if commitment is Commitment.PROCESSED:
        raise invalid("Method does not support commitment below `confirmed`")
    return commitment


def _sealed_block(context: RpcContext, slot: int, commitment: Commitment) -> Block:
    if slot > context.ledger.bank(commitment).slot:
        raise RpcError(BLOCK_NOT_AVAILABLE, f"Block not available for slot {slot}")
    block = context.ledger.history.block(slot)
    if block is None:
        text = f"Slot {slot} was skipped, or missing due to ledger jump to recent snapshot"
        raise RpcError(SLOT_SKIPPED, text)
    return block


def get_blocks(context: RpcContext, params: Params) -> Any:
    start = params.u64(0)
    second = params.get(1)
    config = params.config(1) if isinstance(second, dict) else params.config(2)
    newest = context.ledger.bank(confirmed_at_least(config)).slot
    end = newest if second is None or isinstance(second, dict) else min(params.u64(1), newest)
    if end < start:
        return []
    if end - start > BLOCKS_RANGE_MAX:
        raise invalid(f"Slot range too large; max {BLOCKS_RANGE_MAX}")
    return context.ledger.history.slots_from(start, end, BLOCKS_RANGE_MAX + 1)


def get_blocks_with_limit(context: RpcContext, params: Params) -> Any:
    start, limit = params.u64(0), params.u64(1)
    if limit > BLOCKS_RANGE_MAX:
        raise invalid(f"Limit too large; max {BLOCKS_RANGE_MAX}")
    newest = context.ledger.bank(confirmed_at_least(params.config(2))).slot
    return context.ledger.history.slots_from(start, newest, limit)


def get_first_available_block(context: RpcContext, _params: Params) -> Any:
    return context.ledger.history.first_slot


def get_recent_prioritization_fees(context: RpcContext, params: Params) -> Any:
    """Per recent block the lowest price that landed, or the highest of the accounts' lowest, as on a cluster."""
    texts = params.texts(0, PRIORITIZATION_KEYS_MAX) if params.get(0) is not None else []
    keys = frozenset(read_pubkey(text) for text in texts)
    newest = context.ledger.bank(Commitment.CONFIRMED).height
    heights = range(max(newest - PRIORITIZATION_BLOCKS + 1, 0), newest + 1)
    blocks = (context.ledger.history.block_at_height(height) for height in heights)
    return [
        {"prioritizationFee": _lowest_price(block, keys), "slot": block.slot} for block in blocks if block is not None
    ]


def _lowest_price(block: Block, keys: frozenset[bytes]) -> int:
    """Micro-lamports per compute unit."""
    lowest: int | None = None
    by_key: dict[bytes, int] = {}
    for landed in block.transactions:
        layout = landed_layout(landed)
        price = compute_budget(layout).unit_price
        lowest = price if lowest is None else min(lowest, price)
        for key in keys.intersection(key for key, written in zip(layout.keys, layout.writable, strict=True) if written):
            by_key[key] = min(by_key.get(key, price), price)
    return max([lowest or 0, *by_key.values()])


METHODS = {
    "getBlock": get_block,
    "getBlockHeight": get_block_height,
    "getBlockTime": get_block_time,
    "getBlocks": get_blocks,
    "getBlocksWithLimit": get_blocks_with_limit,
    "getEpochInfo": get_epoch_info,
    "getEpochSchedule": get_epoch_schedule,
    "getFirstAvailableBlock": get_first_available_block,
    "getGenesisHash": get_genesis_hash,
    "getHealth": get_health,
    "getLatestBlockhash": get_latest_blockhash,
    "getRecentPrioritizationFees": get_recent_prioritization_fees,
    "getSlot": get_slot,
    "getTransactionCount": get_transaction_count,
    "isBlockhashValid": is_blockhash_valid,
    "minimumLedgerSlot": get_first_available_block,
}
