"""Random walks through the program, and transactions that only log: what the tests of applying begin with."""

import random
from collections.abc import Sequence

from tests.indexer.chain_log import ChainLog, Walk, logs_of, signature_of
from tests.indexer.projection import CODEC, Database
from zmart_lite.models import ChainEvent, ChainTransaction
from zmart_lite.store.state import markets, positions

SEEDS = range(8)
STEPS = 90
SOURCES = ("webhook", "poll", "backfill", "relay")


def walk(seed: int, steps: int = STEPS) -> Walk:
    return Walk(seed, markets=2).walk(steps)


def emitted(event: ChainEvent, number: int = 900, slot: int = 5_000) -> ChainTransaction:
    """A transaction that logs one event, without the instruction behind it."""
    return emitted_raw(CODEC.encode_event(event), number, slot)


def emitted_raw(data: bytes, number: int = 900, slot: int = 5_000) -> ChainTransaction:
    return ChainTransaction(signature_of(number), slot, 1, 1_700_000_000, False, logs_of([data]), ())


def check_against_chain(database: Database, log: ChainLog) -> None:
    tx = database.tx
    assert markets.find_config(tx) == log.config
    for market_id in log.market_ids:
        if not log.exists(market_id):
            continue
        truth = log.market(market_id)
        record = markets.find_record(tx, market_id)
        assert record is not None
        assert record["known"]
        assert not record["needs_resync"]
        assert markets.account_of(record, truth.bump) == truth
        for row in positions.list_unclaimed_amounts(tx, record["id"]):
            bump = CODEC.position_pda(record["address"], row["wallet_address"])[1]
            held = positions.position_of(row, record["address"], bump)
            assert held == log.positions(market_id)[row["wallet_address"]]


def shuffled(transactions: Sequence[ChainTransaction], rng: random.Random) -> list[list[ChainTransaction]]:
    """Every transaction somewhere, in batches of any size."""
    left = list(transactions)
    rng.shuffle(left)
    batches = []
    while left:
        size = rng.choice((1, 2, 5, 40))
        batches.append(left[:size])
        left = left[size:]
    return batches
