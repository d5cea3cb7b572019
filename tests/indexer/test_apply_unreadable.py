"""What cannot be read while transactions are applied is kept and told, and no value stops the indexer."""

import pytest

from tests.indexer.chain_log import ChainLog, active_market, logs_of, market_id_of, whole_life
from tests.indexer.projection import CODEC, Database, in_order
from tests.indexer.walks import emitted
from tests.localnet.program_harness import ALICE, BOB, CREATOR, EVE, P
from zmart_lite import models
from zmart_lite.models import ChainEvent, ChainTransaction
from zmart_lite.store.log.chainlog import LogChange
from zmart_lite.store.state import markets


def test_an_undecodable_event_is_kept_told_and_its_market_read_again() -> None:
    log, market_id = active_market()
    log.buy(market_id)
    whole = log.transactions[-1]
    database = in_order(log.transactions[:-1])
    assert database.apply(whole._replace(logs=logs_of([b"12345678garbage"]))).dead_letters == 1
    (letter,) = database.letters()
    assert (letter["kind"], letter["signature"], letter["event_index"], letter["open"]) == (
        "event",
        whole.signature,
        0,
        1,
    )
    assert "unknown event" in letter["error"]
    assert [kind for kind, _ in database.feed()].count("alert") == 1
    assert database.market(market_id)["needs_resync"] == 1
    assert database.market(market_id)["trades_count"] == 0


def test_what_was_kept_is_settled_once_the_transaction_is_indexed_whole() -> None:
    log, market_id = active_market()
    log.buy(market_id)
    whole = log.transactions[-1]
    database = in_order(log.transactions[:-1])
    database.apply(whole._replace(logs=logs_of([b"12345678garbage"])))
    database.remove(whole.signature)
    database.apply(whole)
    assert [letter["open"] for letter in database.letters()] == [0]
    alert = database.tx.one("SELECT status FROM alerts")
    assert alert is not None
    assert alert["status"] == "resolved"
    assert database.market(market_id)["trades_count"] == 1
    database.remove(whole.signature)
    database.apply(whole._replace(logs=logs_of([b"12345678garbage"])))
    assert [letter["open"] for letter in database.letters()] == [1]


def test_truncated_logs_are_indexed_as_far_as_they_go() -> None:
    log, market_id = active_market()
    log.buy(market_id)
    trade = log.transactions[-1]
    cut = trade._replace(logs=(*(trade.logs or ())[:2], "Log truncated"))
    database = in_order(log.transactions[:-1])
    assert database.apply(cut).dead_letters == 1
    assert database.market(market_id)["needs_resync"] == 1
    assert database.market(market_id)["trades_count"] == 1
    assert database.tx.value("SELECT complete FROM transactions WHERE signature = ?", (cut.signature,)) == 0
    assert [(letter["kind"], letter["open"]) for letter in database.letters()] == [("truncated", 1)]


def test_a_truncated_transaction_marks_its_market_until_its_account_was_read_behind_it() -> None:
    log, market_id = active_market()
    log.buy(market_id)
    cut = log.transactions[-1]._replace(logs=("Log truncated",))
    database = in_order([*log.transactions[:-1], cut])
    data = log.devnet.accounts[CODEC.market_address(market_id)].data
    for slot, flag in ((cut.slot - 1, 1), (cut.slot, 0)):
        key = database.write(lambda tx, slot=slot: markets.set_baseline(tx, market_id, data, slot))
        database.change(lambda tx, key=key: LogChange(frozenset({key or 0})))
        assert database.market(market_id)["needs_resync"] == flag
    record = markets.find_record(database.tx, market_id)
    assert record is not None
    assert markets.account_of(record, log.market(market_id).bump) == log.market(market_id)


def test_a_truncated_creation_leaves_a_market_that_can_be_read() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    database = in_order([log.transactions[0], log.transactions[1]._replace(logs=("Log truncated",))])
    assert markets.list_needing_resync(database.tx, 9) == [market_id]


def test_a_failed_transaction_is_noted_and_nothing_of_it_applied() -> None:
    log, market_id = active_market()
    log.buy(market_id)
    database = in_order(log.transactions[:-1])
    before = database.dump()
    applied = database.apply(log.transactions[-1]._replace(failed=True))
    assert (applied.transactions, applied.events) == (1, ())
    after = database.dump()
    assert {name for name in before if before[name] != after[name]} == {"transactions"}


def test_a_claim_that_comes_before_its_market_is_kept_and_counted_later() -> None:
    log = ChainLog().start()
    whole_life(log)
    claims = [each for each in log.transactions if any("claim" in str(call) for call in names_of(each))]
    database = Database()
    assert database.apply(*claims).dead_letters == len(claims) == 1
    assert [letter["open"] for letter in database.letters()] == [1]
    database.apply(*[each for each in log.transactions if each not in claims])
    assert [letter["open"] for letter in database.letters()] == [0]
    assert database.dump() == in_order(log.transactions).dump()


def names_of(transaction: ChainTransaction) -> list[str | None]:
    return [CODEC.instruction_by_discriminator(each.data) for each in transaction.instructions]


def test_facts_of_another_markets_instruction_are_not_taken() -> None:
    log = ChainLog().start()
    first, second = log.create(1, liquidity=P), log.create(2, liquidity=2 * P)
    one, two = log.transactions[-2:]
    mixed = one._replace(logs=two.logs, instructions=one.instructions)
    database = Database()
    database.apply(log.transactions[0], mixed)
    assert database.tx.one("SELECT 1 FROM markets WHERE market_id = ?", (first,)) is None
    assert database.market(second)["needs_resync"] == 1
    assert database.market(second)["known"] == 0


U64_MAX, I64_MAX, U32_MAX = 2**64 - 1, 2**63 - 1, 2**32 - 1
EXTREMES: tuple[ChainEvent, ...] = (
    models.MarketCreated(market_id_of(1), CREATOR, U64_MAX, 255, I64_MAX),
    models.ProposalVoteSubmitted(market_id_of(1), EVE, True, I64_MAX),
    models.ProposalVoteSubmitted(market_id_of(1), BOB, True, -I64_MAX - 1),
    models.ProposalAggregated(market_id_of(1), U32_MAX, U32_MAX, 255, True, I64_MAX),
    models.ProposalApproved(market_id_of(1), ALICE, I64_MAX),
    models.MarketActivated(market_id_of(1), ALICE, U64_MAX, -I64_MAX - 1),
    models.SharesBought(market_id_of(1), EVE, True, U64_MAX, U64_MAX, U64_MAX, I64_MAX),
    models.SharesBought(market_id_of(1), ALICE, True, U64_MAX, U64_MAX, U64_MAX, I64_MAX),
    models.SharesBought(market_id_of(9), ALICE, False, U64_MAX, 0, 0, -I64_MAX - 1),
    models.SharesSold(market_id_of(1), ALICE, True, U64_MAX, U64_MAX, U64_MAX, I64_MAX),
    models.MarketResolved(market_id_of(1), EVE, True, bytes([255]) * 46, I64_MAX),
    models.DisputeInitiated(market_id_of(1), EVE, None, I64_MAX),
    models.DisputeVoteSubmitted(market_id_of(1), EVE, True, I64_MAX),
    models.DisputeAggregated(market_id_of(1), U32_MAX, U32_MAX, 255, False, I64_MAX),
    models.DisputeAggregated(market_id_of(1), U32_MAX, U32_MAX, 255, True, I64_MAX),
    models.MarketFinalized(market_id_of(1), None, True, I64_MAX),
    models.MarketFinalized(market_id_of(1), True, False, -I64_MAX - 1),
    models.WinningsClaimed(CODEC.market_address(market_id_of(1)), ALICE, None, U64_MAX, I64_MAX),
    models.WinningsClaimed(bytes([9]) * 32, ALICE, None, U64_MAX, I64_MAX),
    models.WinningsClaimedLegacy(market_id_of(1), ALICE, U64_MAX, U64_MAX, I64_MAX),
    models.LiquidityWithdrawn(market_id_of(1), ALICE, U64_MAX, I64_MAX),
    models.ConfigUpdated(65_535, 65_535, 65_535, 65_535, 65_535, I64_MAX, -I64_MAX - 1, I64_MAX),
    models.ProtocolPauseStatusChanged(True, ALICE, I64_MAX),
    models.GlobalConfigInitialized(ALICE, ALICE, 65_535, I64_MAX),
    models.MarketCancelled(market_id_of(1), ALICE, I64_MAX),
)


@pytest.mark.parametrize("event", EXTREMES, ids=lambda event: type(event).__name__)
def test_no_value_of_any_field_stops_the_indexer(event: ChainEvent) -> None:
    log, market_id = active_market()
    log.buy(market_id)
    database = in_order(log.transactions)
    for number in range(2):
        database.apply(emitted(event, 900 + number, 5_000 + number))
        database.apply(emitted(event, 800 + number, 1_003))
    log.buy(market_id, BOB, False)
    database.apply(log.transactions[-1])
    assert (
        database.dump()
        == in_order(
            [
                *log.transactions,
                *(emitted(event, 900 + number, 5_000 + number) for number in range(2)),
                *(emitted(event, 800 + number, 1_003) for number in range(2)),
            ]
        ).dump()
    )


def test_a_trade_beyond_u64_leaves_the_market_as_it_was_and_marks_it() -> None:
    log, market_id = active_market()
    log.buy(market_id)
    database = in_order(log.transactions)
    before = markets.find_record(database.tx, market_id)
    cost = U64_MAX
    database.apply(emitted(models.SharesBought(market_id, ALICE, True, U64_MAX, cost, 1, 1_700_000_500)))
    after = markets.find_record(database.tx, market_id)
    assert before is not None
    assert after is not None
    assert (before["needs_resync"], after["needs_resync"]) == (0, 1)
    bump = log.market(market_id).bump
    assert markets.account_of(after, bump) == markets.account_of(before, bump)
