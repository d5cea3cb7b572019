"""Applying transactions: once, whatever their order, number and source; and what cannot be applied is kept and told."""

import random
from collections.abc import Sequence

import pytest

from tests.indexer.chain_log import ChainLog, Walk, data_line, logs_of, market_id_of, signature_of, whole_life
from tests.indexer.projection import CODEC, Database, in_order
from tests.localnet.program_harness import ALICE, BOB, CREATOR, EVE, EVIDENCE_HASH, PROGRAM_ID, RESOLVER, P
from tests.store.voting import add_vote
from zmart_lite import models
from zmart_lite.drafts import MarketText, canonical_json, cid_v0
from zmart_lite.indexer.apply import Applier
from zmart_lite.models import ChainEvent, ChainTransaction, GlobalConfig, MarketAccount, VoteType
from zmart_lite.store import chainlog, markets, positions, texts, votes
from zmart_lite.store.chainlog import LogChange

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


# The projection equals the chain


@pytest.mark.parametrize("seed", SEEDS)
def test_the_projection_equals_the_chains_accounts(seed: int) -> None:
    log = walk(seed)
    database = in_order(log.transactions)
    check_against_chain(database, log)


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


# Once, in any order


@pytest.mark.parametrize("seed", SEEDS)
def test_any_order_batching_repetition_and_source_give_the_same_database(seed: int) -> None:
    log = walk(seed)
    expected = in_order(log.transactions).dump()
    rng = random.Random(seed)
    for _ in range(3):
        database = Database()
        for batch in shuffled(log.transactions * 2, rng):
            database.apply(*batch, source=rng.choice(SOURCES))
        assert database.dump() == expected
        check_against_chain(database, log)


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


@pytest.mark.parametrize("seed", SEEDS)
def test_slight_disorder_gives_the_same_database(seed: int) -> None:
    """As webhooks come: nearly in order."""
    log = walk(seed)
    expected = in_order(log.transactions).dump()
    rng = random.Random(seed)
    late = sorted(log.transactions, key=lambda each: each.slot + rng.choice((0, 0, 0, 3, 25)))
    database = Database()
    for transaction in late:
        database.apply(transaction)
    assert database.dump() == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_places_in_the_block_told_later_give_the_same_database(seed: int) -> None:
    """Sources that do not tell the place within a block, and blocks that are asked for it afterwards."""
    log = walk(seed)
    expected = in_order(log.transactions).dump()
    rng = random.Random(seed)
    blind = [each._replace(index_in_block=None) for each in log.transactions]
    database = Database()
    waiting: set[int] = set()
    for batch in shuffled(blind, rng):
        waiting |= set(database.apply(*batch).unordered_slots)
        if rng.random() < 0.2:
            tell_order(database, log, waiting)
    assert waiting <= {each.slot for each in log.transactions}
    tell_order(database, log, {each.slot for each in log.transactions})
    assert database.dump() == expected


def tell_order(database: Database, log: ChainLog, slots: set[int]) -> None:
    for slot in sorted(slots):
        places = {each.signature: each.index_in_block for each in log.transactions if each.slot == slot}
        size = max(index or 0 for index in places.values()) + 1
        block = [signature_of(10**6 + number) for number in range(size)]
        for signature, index in places.items():
            block[index or 0] = signature
        database.change(lambda tx, slot=slot, block=block: chainlog.set_block_order(tx, slot, block))
    slots.clear()


def test_a_slot_with_several_of_ours_at_unknown_places_is_named() -> None:
    log = ChainLog().start()
    log.create(1)
    first, second = (each._replace(slot=77, index_in_block=None) for each in log.transactions)
    database = Database()
    assert database.apply(first).unordered_slots == ()
    assert database.apply(second).unordered_slots == (77,)
    assert chainlog.list_unordered_since(database.tx, 77, 10) == [77]
    assert chainlog.list_unordered_since(database.tx, 78, 10) == []
    database.change(lambda tx: chainlog.set_block_order(tx, 77, [first.signature, second.signature]))
    assert chainlog.list_unordered_since(database.tx, 0, 10) == []


def test_a_second_source_fills_in_the_place_in_the_block() -> None:
    log = ChainLog().start()
    whole_life(log)
    blind, database = [each._replace(index_in_block=None) for each in log.transactions], Database()
    database.apply(*blind)
    database.apply(*log.transactions)
    assert database.dump() == in_order(log.transactions).dump()


@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_chain_dropped_is_as_if_it_had_never_been(seed: int) -> None:
    log = walk(seed)
    rng = random.Random(seed)
    dropped_from = rng.randrange(1, len(log.transactions))
    kept, dropped = log.transactions[:dropped_from], log.transactions[dropped_from:]
    database = Database()
    for batch in shuffled(log.transactions, rng):
        database.apply(*batch)
    rng.shuffle(dropped)
    for transaction in dropped:
        database.remove(transaction.signature)
    assert database.dump() == in_order(kept).dump()
    for batch in shuffled(dropped, rng):
        database.apply(*batch)
    assert database.dump() == in_order(log.transactions).dump()


def test_batches_are_sorted_before_they_are_applied() -> None:
    log = ChainLog().start()
    whole_life(log)
    database = Database()
    applied = database.apply(*reversed(log.transactions))
    assert database.dump() == in_order(log.transactions).dump()
    assert applied.transactions == len(log.transactions)
    assert applied.events[0] == "GlobalConfigInitialized"
    assert applied.markets == (market_id_of(1),)


def test_a_known_transaction_is_not_counted_again() -> None:
    log = ChainLog().start()
    database = Database()
    assert database.apply(log.transactions[0]).transactions == 1
    again = database.apply(log.transactions[0])
    assert (again.transactions, again.events) == (0, ())


# The config


def test_a_config_change_that_comes_late_refolds_the_trades_behind_it() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
    args = {
        "protocol_fee_bps": 1,
        "resolver_reward_bps": 2,
        "liquidity_provider_fee_bps": 3,
        "proposal_approval_threshold": 0,
        "dispute_success_threshold": 0,
        "min_resolution_delay": None,
        "dispute_period": 77,
    }
    log.run("update_global_config", args)
    late = log.transactions[-1]
    log.run("emergency_pause")
    log.run("emergency_pause")
    log.buy(market_id, ALICE)
    log.buy(market_id, BOB, False)
    database = Database()
    database.apply(*[each for each in log.transactions if each is not late])
    database.apply(late)
    assert database.dump() == in_order(log.transactions).dump()
    check_against_chain(database, log)


def test_a_trade_and_a_config_change_in_one_transaction_keep_their_order() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
    log.buy(market_id, ALICE)
    trade = log.transactions[-1]
    args = {
        "protocol_fee_bps": 0,
        "resolver_reward_bps": 0,
        "liquidity_provider_fee_bps": 900,
        "proposal_approval_threshold": 0,
        "dispute_success_threshold": 0,
        "min_resolution_delay": None,
        "dispute_period": None,
    }
    log.run("update_global_config", args)
    change = log.transactions.pop()
    logs = (trade.logs or ()) + (change.logs or ())
    both = trade._replace(logs=logs, instructions=trade.instructions + change.instructions)
    log.transactions[-1] = both
    log.buy(market_id, BOB, False)
    check_against_chain(in_order(log.transactions), log)


def test_a_config_event_without_its_history_asks_for_the_account() -> None:
    database = Database()
    database.apply(emitted(models.ProtocolPauseStatusChanged(True, ALICE, 5)))
    assert database.context.config_unknown
    assert markets.find_config(database.tx) is None


def test_a_trade_without_any_config_asks_for_the_account() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
    log.buy(market_id)
    database = Database()
    database.apply(*log.transactions[1:])
    assert database.context.config_unknown
    assert database.market(market_id)["needs_resync"]


# What cannot be read


def test_an_undecodable_event_is_kept_told_and_its_market_read_again() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
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
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
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
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
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
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
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
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
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
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
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
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
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


# Baselines


@pytest.mark.parametrize("seed", SEEDS)
def test_a_baseline_read_from_the_chain_cures_any_loss_before_it(seed: int) -> None:
    """Half of the history is missing; then the account is read, and the rest arrives."""
    log = walk(seed, 40)
    rng = random.Random(seed)
    read_at = log.slot
    log.slot += 1  # a reading tells how a whole slot ended
    accounts = {
        market_id: log.devnet.accounts[CODEC.market_address(market_id)].data
        for market_id in log.market_ids
        if log.exists(market_id)
    }
    config = log.config
    log.walk(30)
    seen = [each for each in log.transactions if each.slot > read_at or rng.random() < 0.5]
    database = Database()
    database.apply(*seen)
    add = lambda tx: markets.add_config(tx, config, slot=read_at, index_in_block=2**31, event_id=None)  # noqa: E731
    database.write(add)
    for market_id, data in accounts.items():
        key = database.write(lambda tx, data=data, of=market_id: markets.set_baseline(tx, of, data, read_at))
        if key is None:
            database.write(lambda tx, of=market_id: markets.add_record(tx, of, CODEC.market_address(of)))
            key = database.write(lambda tx, data=data, of=market_id: markets.set_baseline(tx, of, data, read_at))
        database.change(lambda tx, key=key: LogChange(frozenset({key or 0}), read_at))
        record = markets.find_record(database.tx, market_id)
        assert record is not None
        bump = log.market(market_id).bump
        assert markets.account_of(record, bump) == log.market(market_id)


def test_events_contained_in_a_baseline_still_make_trades_and_positions() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
    log.buy(market_id)
    late = log.transactions[-1]
    database = in_order(log.transactions[:-1])
    data = log.devnet.accounts[CODEC.market_address(market_id)].data
    key = database.write(lambda tx: markets.set_baseline(tx, market_id, data, log.slot + 5))
    database.change(lambda tx: LogChange(frozenset({key or 0})))
    assert database.market(market_id)["source"] == "reconciliation"
    database.apply(late)
    check_against_chain(database, log)
    assert database.market(market_id)["trades_count"] == 1
    log.slot += 10
    log.buy(market_id, BOB, False)
    database.apply(log.transactions[-1])
    check_against_chain(database, log)
    assert database.market(market_id)["source"] == "event"


def test_an_unreadable_baseline_marks_the_market() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    database = in_order(log.transactions)
    key = database.write(lambda tx: markets.set_baseline(tx, market_id, b"nonsense", 1))
    database.change(lambda tx: LogChange(frozenset({key or 0})))
    assert database.market(market_id)["needs_resync"] == 1


# Texts

TEXT = MarketText("Will it rain?", "In Berlin.", "other", ("rain",), 1_800_000_000)


def with_draft(wallet: bytes, hash_: bytes | None = None) -> tuple[ChainLog, Database, bytes]:
    text = canonical_json(TEXT)
    cid = cid_v0(text.encode())
    log = ChainLog().start()
    market_id = log.create(1, hash_=hash_ or cid.encode())
    database = Database()
    add = lambda tx: texts.add_draft(  # noqa: E731
        tx, market_id=market_id, wallet=wallet, cid=cid, canonical_json=text, lifetime_ms=1_000
    )
    database.write(add)
    database.apply(*log.transactions)
    return log, database, market_id


def question_of(database: Database) -> str | None:
    return database.dump()["markets"][0]["question"]


def test_a_draft_is_attached_where_hash_and_creator_match() -> None:
    _, database, market_id = with_draft(CREATOR)
    assert question_of(database) == "Will it rain?"
    assert database.tx.value("SELECT count(*) FROM drafts") == 0
    assert database.market(market_id)["listed_end_date"] == 1_800_000_000
    kind, message = database.feed()[-1]
    assert (kind, message["data"]["action"]) == ("market_state", "created")
    assert message["data"]["market"]["question"] == "Will it rain?"


@pytest.mark.parametrize(("wallet", "hash_"), [(EVE, None), (CREATOR, b"Q" * 46)])
def test_a_draft_by_another_or_with_another_hash_is_not_attached(wallet: bytes, hash_: bytes | None) -> None:
    _, database, _ = with_draft(wallet, hash_)
    assert question_of(database) is None
    assert database.tx.value("SELECT count(*) FROM drafts") == 1


def test_the_text_of_a_dropped_market_is_a_draft_again() -> None:
    log, database, _ = with_draft(CREATOR)
    head = database.head
    database.remove(log.transactions[-1].signature)
    assert database.dump()["markets"] == []
    assert database.tx.value("SELECT count(*) FROM question_trigrams") == 0
    ((kind, message),) = database.feed(head)
    assert (kind, message["data"]["action"]) == ("market_state", "deleted")
    database.apply(log.transactions[-1])
    assert question_of(database) == "Will it rain?"


# Votes


@pytest.mark.parametrize("seed", SEEDS)
def test_tallies_equal_a_recount_in_any_order(seed: int) -> None:
    log = walk(seed)
    rng = random.Random(seed)
    database = Database()
    for batch in shuffled(log.transactions, rng):
        database.apply(*batch)
    for row in database.tx.all("SELECT * FROM tallies"):
        check_tally(database, row["market"], VoteType(row["kind"]))


def check_tally(database: Database, market: int, kind: VoteType) -> None:
    cast = database.tx.all("SELECT * FROM votes WHERE market = ? AND kind = ?", (market, int(kind)))
    for row in cast:
        expected = positions.held_shares(database.tx, market, row["wallet"]) if kind is VoteType.DISPUTE else 1
        assert int(row["weight"]) == expected
    counted = [row for row in cast if int(row["weight"])]
    tally = votes.find_tally(database.tx, market, kind)
    assert tally.likes == sum(row["vote"] for row in counted)
    assert tally.total == len(counted)
    assert tally.agree_weight == sum(int(row["weight"]) for row in counted if row["vote"])
    assert tally.disagree_weight == sum(int(row["weight"]) for row in counted if not row["vote"])


def test_a_dispute_vote_in_the_batch_of_the_trade_weighs_the_shares() -> None:
    log = ChainLog().start()
    market_id = whole_life(log)
    for feed_since in (0, 2**40):
        database = Database(feed_since)
        database.apply(*log.transactions)
        tally = votes.find_tally(database.tx, database.market(market_id)["id"], VoteType.DISPUTE)
        held = {user: position.shares_yes + position.shares_no for user, position in log.positions(market_id).items()}
        assert (tally.agree_weight, tally.disagree_weight) == (held[BOB], held[ALICE])
        assert tally.last_aggregated_at == log.market(market_id).finalized_at


def test_a_dropped_vote_gives_the_nodes_vote_back() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    database = in_order(log.transactions)
    key = database.market(market_id)["id"]
    wallet = database.write(lambda tx: markets.wallet_key(tx, ALICE))
    database.write(lambda tx: add_vote(tx, key, wallet, VoteType.PROPOSAL, False))
    before = database.dump()
    log.on(market_id, "submit_proposal_vote", {"vote": True}, user=ALICE)
    log.on(market_id, "submit_proposal_vote", {"vote": True}, user=BOB)
    database.apply(*log.transactions)
    assert votes.find_tally(database.tx, key, VoteType.PROPOSAL)[:2] == (2, 0)
    for transaction in log.transactions[-2:]:
        database.remove(transaction.signature)
    assert database.dump() == before
    assert votes.find_tally(database.tx, key, VoteType.PROPOSAL)[:2] == (0, 1)


def test_votes_recorded_on_chain_are_marked() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.on(market_id, "submit_proposal_vote", {"vote": True}, user=ALICE)
    log.on(market_id, "aggregate_proposal_votes", {"final_likes": 1, "final_dislikes": 0})
    log.on(market_id, "submit_proposal_vote", {"vote": True}, user=BOB)
    for database in (in_order(log.transactions), Database()):
        database.apply(*reversed(log.transactions))
        marked = {row["wallet_address"]: row["aggregated"] for row in database.dump()["votes"]}
        assert marked == {ALICE: 1, BOB: 0}


# What clients are told

TOLD = {
    "MarketCreated": ["market_state"],
    "ProposalVoteSubmitted": ["vote", "voting_progress"],
    "ProposalAggregated": ["voting_progress"],
    "ProposalApproved": ["market_state"],
    "MarketActivated": ["market_state"],
    "SharesBought": ["trade", "market_state", "price", "position"],
    "SharesSold": ["trade", "market_state", "price", "position"],
    "MarketResolved": ["market_state"],
    "DisputeInitiated": ["market_state"],
    "DisputeVoteSubmitted": ["vote", "voting_progress"],
    "DisputeAggregated": ["market_state"],
    "MarketFinalized": ["market_state", "claims_enabled"],
    "WinningsClaimed": ["position"],
    "LiquidityWithdrawn": ["market_state"],
    "MarketCancelled": ["market_state"],
}


def lives() -> ChainLog:
    """Every event that concerns a market, each in a transaction of its own."""
    log = ChainLog().start()
    whole_life(log)
    cancelled = log.create(2)
    log.on(cancelled, "cancel_market")
    counted = log.create(3)
    log.activate(counted)
    log.buy(counted)
    log.resolve(counted)
    log.on(counted, "initiate_dispute", initiator=BOB)
    log.on(counted, "aggregate_dispute_votes", {"final_agrees": 0, "final_disagrees": 1})
    return log


@pytest.mark.parametrize("hidden", [False, True])
def test_each_cause_tells_its_messages_in_their_order(hidden: bool) -> None:
    log, database, told = lives(), Database(), set()
    for transaction in log.transactions:
        head = database.head
        (event_type,) = database.apply(transaction).events
        messages = database.feed(head)
        assert [kind for kind, _ in messages] == TOLD.get(event_type, [])
        for kind, message in messages:
            market_id = bytes.fromhex(message["data"]["market_id"])
            assert message["market_id"] == market_id
            visible = not database.market(market_id)["hidden"]
            assert message["listed"] == (0 if kind == "position" else int(visible))
            assert (message["wallet"] is None) == (kind != "position")
        told.add(event_type)
        if hidden:
            database.write(lambda tx: tx.execute("UPDATE markets SET hidden = 1"))
    assert told >= TOLD.keys()


def test_a_change_of_state_is_marked_as_such_and_a_trade_is_not() -> None:
    log, database = lives(), Database()
    database.apply(*log.transactions)
    for kind, message in database.feed():
        if kind != "market_state":
            continue
        data = message["data"]
        assert message["state_changed"] == int(data["new_state"] is not None or data["action"] == "created")
        assert (data["market"] is None) == (
            data["new_state"] is None and data["action"] != "created" and is_trade(data)
        )


def is_trade(data: dict[str, object]) -> bool:
    return data["state"] == "ACTIVE"


def test_a_trade_tells_what_it_was_and_where_it_left_the_price() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
    database = in_order(log.transactions)
    head = database.head
    log.buy(market_id, BOB, False)
    database.apply(log.transactions[-1])
    found = {kind: message["data"] for kind, message in database.feed(head)}
    assert found["trade"]["outcome"] == "NO"
    assert found["trade"]["trade_type"] == "buy"
    assert found["trade"]["priceYes"] == found["price"]["priceYes"] == found["market_state"]["priceYes"] < 50
    assert found["position"]["shares_no"] == found["trade"]["shares"]
    assert found["price"]["shares_no"] == str(log.market(market_id).shares_no)


def test_late_events_are_told_of_behind_the_market_as_it_stands() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.on(market_id, "submit_proposal_vote", {"vote": True}, user=ALICE)
    log.activate(market_id)
    log.buy(market_id, ALICE)
    log.buy(market_id, BOB, False)
    late = [log.transactions[2], log.transactions[-2]]
    database = in_order([each for each in log.transactions if each not in late])
    head = database.head
    database.apply(*late)
    told = ["market_state", "vote", "voting_progress", "trade", "market_state", "price", "position"]
    assert database.types_after(head) == told
    states = [message["data"] for kind, message in database.feed(head) if kind == "market_state"]
    assert {state["shares_yes"] for state in states} == {str(log.market(market_id).shares_yes)}


def test_what_came_before_its_market_is_told_of_with_it() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.on(market_id, "submit_proposal_vote", {"vote": True}, user=ALICE)
    database = Database()
    database.apply(log.transactions[-1])
    assert database.types_after(0) == []
    database.apply(*log.transactions[:-1])
    assert database.types_after(0) == ["market_state", "vote", "voting_progress"]
    assert database.feed()[0][1]["data"]["action"] == "created"


def test_a_late_finalisation_still_opens_the_claims() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
    log.buy(market_id)
    log.resolve(market_id)
    log.finalize(market_id)
    log.on(market_id, "withdraw_liquidity", creator=CREATOR)
    database = in_order([*log.transactions[:-2], log.transactions[-1]])
    head = database.head
    database.apply(log.transactions[-2])
    assert database.types_after(head) == ["market_state", "claims_enabled"]
    assert database.feed(head)[0][1]["data"]["new_state"] == "FINALIZED"


def test_history_older_than_the_feed_is_not_told_of() -> None:
    log = lives()
    database = Database(feed_since=2**40)
    database.apply(*log.transactions)
    assert database.feed() == []
    assert len(database.dump()["markets"]) == 3


def test_a_market_is_ready_for_approval_from_counts_that_suffice_until_it_is() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    for likes, dislikes, ready in ((9, 0, 0), (10, 0, 1), (5, 5, 0), (9, 1, 1)):
        log.on(market_id, "aggregate_proposal_votes", {"final_likes": likes, "final_dislikes": dislikes})
        assert in_order(log.transactions).market(market_id)["ready_for_approval"] == ready
    log.on(market_id, "approve_proposal")
    assert in_order(log.transactions).market(market_id)["ready_for_approval"] == 0


def test_the_last_change_of_state_is_noted() -> None:
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
    activated_at = log.market(market_id).activated_at
    log.buy(market_id)
    assert in_order(log.transactions).market(market_id)["last_state_change_at"] == activated_at


def test_refolding_what_does_not_exist_does_nothing() -> None:
    database = Database()
    database.write(lambda tx: Applier(tx, CODEC, database.context).refold(77))
    assert database.feed() == []


def test_an_account_of_the_record_is_the_chains_whatever_it_holds() -> None:
    log = walk(1)
    database = in_order(log.transactions)
    market_id = log.market_ids[0]
    record = markets.find_record(database.tx, market_id)
    assert record is not None
    account = log.market(market_id)
    database.write(lambda tx: markets.put_account(tx, record, account._replace(cancelled_at=5, resolver=EVE)))
    changed = markets.account_of(record, account.bump)
    assert (changed.cancelled_at, changed.resolver) == (5, EVE)
    assert isinstance(account, MarketAccount)
    assert isinstance(log.config, GlobalConfig)
    assert EVIDENCE_HASH != RESOLVER
    assert data_line(b"x").startswith("Program data: ")
    assert CODEC.program_id == PROGRAM_ID
