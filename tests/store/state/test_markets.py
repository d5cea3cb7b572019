"""Markets and configs as rows: nothing of an account is lost on the way there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.indexer.projection import Database
from zmart_lite.models import GlobalConfig, MarketAccount, MarketState
from zmart_lite.store.state import markets
from zmart_lite.store.state.markets import Record

MARKET_ID, ADDRESS = bytes([1]) * 32, bytes([2]) * 32
U64 = st.integers(0, 2**64 - 1)
TIME = st.integers(-(2**63), 2**63 - 1)
COUNT = st.integers(0, 2**31 - 1)
KEY = st.sampled_from([bytes(32), bytes([7]) * 32, bytes([8]) * 32])
MAYBE = st.sampled_from([None, True, False])
CONFIG = GlobalConfig(
    admin=bytes([1]) * 32,
    backend_authority=bytes([2]) * 32,
    protocol_fee_wallet=bytes([3]) * 32,
    protocol_fee_bps=300,
    resolver_reward_bps=200,
    liquidity_provider_fee_bps=500,
    proposal_approval_threshold=7_000,
    dispute_success_threshold=6_000,
    min_resolution_delay=86_400,
    dispute_period=259_200,
    min_resolver_reputation=8_000,
    is_paused=False,
    reserved=bytes(64),
    bump=254,
)


def accounts() -> st.SearchStrategy[MarketAccount]:
    fields: dict[str, st.SearchStrategy[object]] = dict.fromkeys(MarketAccount._fields, U64)
    fields |= {name: TIME for name in MarketAccount._fields if name.endswith("_at")}
    fields |= dict.fromkeys(("creator", "resolver", "dispute_initiator"), KEY)
    fields |= dict.fromkeys(("proposal_likes", "proposal_dislikes", "dispute_agree", "dispute_disagree"), COUNT)
    fields |= {
        "market_id": st.just(MARKET_ID),
        "state": st.sampled_from(MarketState),
        "proposed_outcome": MAYBE,
        "final_outcome": MAYBE,
        "cancelled_at": st.none() | TIME,
        "ipfs_evidence_hash": st.binary(min_size=46, max_size=46),
        "was_disputed": st.booleans(),
        "is_cancelled": st.just(False),
        "is_locked": st.just(False),
        "reserved": st.just(bytes(119)),
        "bump": st.just(253),
    }
    fields |= dict.fromkeys(("resolution_agree", "resolution_disagree", "resolution_total_votes"), st.just(0))
    fields["accumulated_protocol_fees"] = st.just(0)
    return st.fixed_dictionaries(fields).map(with_sums)


def with_sums(fields: dict[str, object]) -> MarketAccount:
    account = MarketAccount(**fields)  # type: ignore[arg-type]
    return account._replace(
        proposal_total_votes=account.proposal_likes + account.proposal_dislikes,
        dispute_total_votes=account.dispute_agree + account.dispute_disagree,
    )


@pytest.fixture(scope="module")
def shared() -> Database:
    return Database()


def record_in(database: Database) -> Record:
    return database.write(lambda tx: markets.add_record(tx, MARKET_ID, ADDRESS))


@given(st.lists(accounts(), min_size=1, max_size=3))
def test_every_account_survives_the_row(shared: Database, versions: list[MarketAccount]) -> None:
    record = record_in(shared)
    for account in versions:
        shared.write(lambda tx, account=account: markets.put_account(tx, record, account))
        shared.write(lambda tx: markets.save_records(tx, [record]))
        for found in (markets.find_record(shared.tx, MARKET_ID), markets.find_record_by_address(shared.tx, ADDRESS)):
            assert found is not None
            assert markets.account_of(found, 253) == account
            assert {key: found[key] for key in found} == record


@pytest.mark.parametrize("field", ["shares_yes", "accumulated_lp_fees"])
def test_an_amount_that_is_none_changes_nothing(field: str) -> None:
    database = Database()
    record = record_in(database)
    before = dict(record)
    account = markets.account_of(record, 1)._replace(total_volume=5, **{field: 2**64})
    with pytest.raises(ValueError, match="not a u64"):
        markets.put_account(database.tx, record, account)
    assert record == before


def test_a_market_is_entered_once() -> None:
    database = Database()
    assert record_in(database)["id"] == record_in(database)["id"]
    assert record_in(database)["known"] == 0
    assert markets.find_record(database.tx, bytes(32)) is None
    assert markets.find_record_by_address(database.tx, bytes(32)) is None
    assert markets.find_record_by_key(database.tx, 99) is None


def test_a_cleared_record_is_a_new_one() -> None:
    database = Database()
    record = record_in(database)
    new = dict(record)
    account = markets.account_of(record, 1)._replace(creator=bytes([9]) * 32, shares_yes=5, cancelled_at=7)
    database.write(lambda tx: markets.put_account(tx, record, account))
    record["question_hash"] = b"h"
    markets.clear_account(record)
    assert record == new


def test_a_wallet_has_one_key() -> None:
    database = Database()
    first = database.write(lambda tx: markets.wallet_key(tx, ADDRESS))
    assert database.write(lambda tx: markets.wallet_key(tx, ADDRESS)) == first
    assert database.write(lambda tx: markets.wallet_key(tx, MARKET_ID)) != first


def test_readings_set_the_mark_and_lift_it() -> None:
    database = Database()
    key = record_in(database)["id"]

    def flagged() -> list[bytes]:
        return markets.list_needing_resync(database.tx, 5)

    database.write(lambda tx: tx.execute("UPDATE markets SET needs_resync = 1"))
    assert flagged() == [MARKET_ID]
    assert database.write(lambda tx: markets.set_baseline(tx, MARKET_ID, b"data", 40)) == key
    assert database.write(lambda tx: markets.set_baseline(tx, bytes(32), b"data", 40)) is None
    assert flagged() == []
    assert markets.list_baselines_after(database.tx, 39) == [key]
    assert markets.list_baselines_after(database.tx, 40) == []
    database.write(lambda tx: markets.forget_baselines(tx, [key], 41))
    assert flagged() == []
    database.write(lambda tx: markets.forget_baselines(tx, [key], 40))
    assert flagged() == [MARKET_ID]
    assert markets.find_record(database.tx, MARKET_ID)["baseline"] is None  # type: ignore[index]
    database.write(lambda tx: tx.execute("UPDATE markets SET known = 1"))
    assert markets.list_known_after(database.tx, 0, 9) == []
    database.write(lambda tx: markets.set_resync_tried(tx, MARKET_ID, 60_000))
    assert [row["id"] for row in markets.list_known_after(database.tx, 0, 9)] == [key]
    database.now_ms += 59_999
    assert flagged() == []
    database.now_ms += 1
    assert flagged() == [MARKET_ID]


def add_flagged(database: Database, market_id: bytes) -> None:
    database.write(lambda tx: markets.add_record(tx, market_id, market_id[::-1]))
    database.write(lambda tx: tx.execute("UPDATE markets SET needs_resync = 1 WHERE market_id = ?", (market_id,)))


def test_markets_that_stay_flagged_give_way_to_the_others() -> None:
    database = Database()
    ids = [bytes([number]) * 32 for number in range(1, 7)]
    for market_id in ids:
        add_flagged(database, market_id)
    turns = []
    for _ in range(6):
        turn = markets.list_needing_resync(database.tx, 2)
        turns += turn
        for market_id in turn:
            database.write(lambda tx, m=market_id: markets.set_resync_tried(tx, m))  # type: ignore[misc]
        database.now_ms += markets.RESYNC_PAUSE_MS
    assert turns == [*ids, *ids]
    database.now_ms -= 1
    assert ids[-1] not in markets.list_needing_resync(database.tx, 9)
    database.write(lambda tx: markets.set_baseline(tx, ids[-1], b"data", 40))
    database.write(lambda tx: markets.forget_baselines(tx, [6], 40))
    assert markets.list_needing_resync(database.tx, 1) == [ids[-1]]


def test_unsettled_readings_are_listed_part_by_part() -> None:
    database = Database()
    for number in range(1, 4):
        market_id = bytes([number]) * 32
        add_flagged(database, market_id)
        database.write(lambda tx, m=market_id, n=number: markets.set_baseline(tx, m, b"data", 30 + n // 3))  # type: ignore[misc]
    first = markets.list_unsettled_baselines(database.tx, 31, 2)
    assert [(row["id"], row["baseline_slot"]) for row in first] == [(1, 30), (2, 30)]
    rest = markets.list_unsettled_baselines(database.tx, 31, 2, (30, 2))
    assert [row["id"] for row in rest] == [3]
    assert markets.list_unsettled_baselines(database.tx, 30, 2, (30, 2)) == []


def test_a_discrepancy_is_recorded() -> None:
    database = Database()
    key = record_in(database)["id"]
    database.write(lambda tx: markets.add_discrepancy(tx, key, "shares_yes", "1", "2", 40))
    row = database.tx.one("SELECT * FROM discrepancies")
    assert row is not None
    assert (row["field"], row["stored"], row["on_chain"], row["slot"]) == ("shares_yes", "1", "2", 40)
    assert row["resolved_ms"] == row["detected_ms"]


def test_proposals_ready_for_approval_are_listed_oldest_first() -> None:
    database = Database()
    sql = "UPDATE markets SET known = 1, ready_for_approval = ?, created_at = ? WHERE market_id = ?"
    for number, created_at in ((1, 30), (2, 20), (3, 10)):
        database.write(lambda tx, n=number: markets.add_record(tx, bytes([n]) * 32, bytes([n + 100]) * 32))
        database.write(lambda tx, n=number, at=created_at: tx.execute(sql, (int(n != 2), at, bytes([n]) * 32)))
    found = markets.list_ready_for_approval(database.tx, 9)
    assert [record["created_at"] for record in found] == [10, 30]
    assert len(markets.list_ready_for_approval(database.tx, 1)) == 1


# Configs


def put_config(database: Database, slot: int, fee: int, index: int = 0) -> None:
    config = CONFIG._replace(protocol_fee_bps=fee)
    database.write(lambda tx: markets.add_config(tx, config, slot=slot, index_in_block=index, event_id=None))


def fee_at(database: Database, slot: int, index: int = 0) -> int | None:
    found = markets.find_config_at(database.tx, (slot, index, 1, 0))
    return None if found is None else found.protocol_fee_bps


def test_the_config_in_force_depends_on_the_place() -> None:
    database = Database()
    assert fee_at(database, 5) is None
    assert markets.find_config(database.tx) is None
    assert markets.find_last_config(database.tx) is None
    for slot, fee, index in ((20, 2, 0), (10, 1, 0), (20, 3, 7)):
        put_config(database, slot, fee, index)
    assert [fee_at(database, slot) for slot in (5, 10, 15, 20, 99)] == [1, 1, 1, 2, 3]
    assert [fee_at(database, 20, index) for index in (6, 7, 8)] == [2, 3, 3]
    last = markets.find_last_config(database.tx)
    assert last == ((20, 7, 0, 0), CONFIG._replace(protocol_fee_bps=3))
    assert markets.find_config(database.tx) == CONFIG._replace(protocol_fee_bps=3)


def test_later_readings_can_be_dropped() -> None:
    database = Database()
    put_config(database, 10, 1)
    put_config(database, 20, 2)
    database.write(lambda tx: markets.forget_config_readings(tx, 10))
    assert fee_at(database, 99) == 1
    database.write(lambda tx: markets.forget_configs(tx, 0))
    assert fee_at(database, 99) == 1
