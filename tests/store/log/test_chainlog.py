"""The chain's log in the database: the inbox, what is known of transactions, dead letters, cursors."""

import pytest

from tests.indexer.chain_log import signature_of
from tests.indexer.projection import Database
from zmart_lite.indexer.new_rows import NewRows
from zmart_lite.models import ChainTransaction
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.log.chainlog import Delivery, LogChange

ADDRESS = bytes([5]) * 32
MIB = 2**20


@pytest.fixture
def database() -> Database:
    return Database()


def transaction(number: int, slot: int = 10, index: int | None = None) -> ChainTransaction:
    return ChainTransaction(signature_of(number), slot, index, None, False, (), ())


def add(database: Database, found: ChainTransaction, finality: int = 1) -> int | None:
    """Its key; None if it was known, about which it may tell more."""

    def unit(tx: Tx) -> int | None:
        if chainlog.find_transaction(tx, found.signature) is not None:
            chainlog.set_known(tx, found, finality)
            return None
        rows = NewRows(tx)
        key = rows.add_transaction(found, complete=True, finality=finality, source="poll", checked=True)
        rows.write()
        return key

    return database.write(unit)


def deliver(database: Database, *deliveries: tuple[int, int | None]) -> tuple[int, int]:
    rows = [Delivery(signature_of(number), slot, None) for number, slot in deliveries]
    return database.write(lambda tx: chainlog.add_deliveries(tx, rows, "webhook"))


# The inbox


def test_a_delivery_is_accepted_once(database: Database) -> None:
    assert deliver(database, (1, 5), (2, 5), (1, 5)) == (2, 1)
    assert deliver(database, (2, 5), (3, 5)) == (1, 1)
    assert chainlog.inbox_length(database.tx) == 3


def test_what_is_indexed_is_not_delivered_again(database: Database) -> None:
    add(database, transaction(1))
    assert deliver(database, (1, 10)) == (0, 1)


def test_the_inbox_is_read_in_the_order_of_slots(database: Database) -> None:
    deliver(database, (1, 30), (2, 20), (3, 10))
    deliver(database, (4, 15))
    assert [row["slot"] for row in chainlog.list_inbox(database.tx, 100, MIB)] == [10, 15, 20, 30]


def test_the_inbox_is_read_in_batches(database: Database) -> None:
    deliver(database, *((number, number) for number in range(12)))
    assert [row["slot"] for row in chainlog.list_inbox(database.tx, 5, MIB)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("bytes_max", "slots"), [(0, [0]), (11, [0]), (12, [0, 1]), (19, [0, 1]), (20, [0, 1, 2, 3])])
def test_the_inbox_is_read_up_to_a_size_but_one_in_any_case(
    database: Database, bytes_max: int, slots: list[int]
) -> None:
    payloads = [bytes(5), bytes(7), bytes(8), None]
    told = [Delivery(signature_of(slot), slot, payload) for slot, payload in enumerate(payloads)]
    database.write(lambda tx: chainlog.add_deliveries(tx, told, "webhook"))
    assert [row["slot"] for row in chainlog.list_inbox(database.tx, 10, bytes_max)] == slots


@pytest.mark.parametrize("counted", [True, False])
def test_a_postponed_delivery_waits_for_its_turn(database: Database, counted: bool) -> None:
    deliver(database, (1, 5))
    (row,) = chainlog.list_inbox(database.tx, 100, MIB)
    later = database.now_ms + 50
    database.write(lambda tx: chainlog.postpone_delivery(tx, row["id"], "e" * 9_999, later, counted=counted))
    assert chainlog.list_inbox(database.tx, 100, MIB) == []
    assert chainlog.next_inbox_try_ms(database.tx) == later
    database.now_ms = later
    (row,) = chainlog.list_inbox(database.tx, 100, MIB)
    assert row["attempts"] == int(counted)
    assert len(row["error"]) == chainlog.ERROR_CHARACTERS_MAX


def test_an_empty_inbox_has_no_next_turn(database: Database) -> None:
    assert chainlog.next_inbox_try_ms(database.tx) is None
    deliver(database, (1, 5))
    database.write(lambda tx: chainlog.remove_delivery(tx, signature_of(1)))
    assert chainlog.inbox_length(database.tx) == 0


def test_deliveries_are_removed_however_many_and_no_others(database: Database) -> None:
    count = chainlog.VALUES_PER_QUERY_MAX + 1
    deliver(database, *((number, number) for number in range(count + 2)))
    database.write(lambda tx: chainlog.remove_deliveries(tx, [signature_of(number) for number in range(count)]))
    assert [row["slot"] for row in chainlog.list_inbox(database.tx, 2 * count, MIB)] == [count, count + 1]


# Transactions


def test_a_second_sight_fills_in_what_was_unknown(database: Database) -> None:
    assert add(database, transaction(1)) is not None
    assert add(database, transaction(1)._replace(block_time=77), finality=2) is None
    assert add(database, transaction(1)._replace(block_time=99), finality=1) is None
    row = chainlog.find_transaction(database.tx, signature_of(1))
    assert row is not None
    assert (row["block_time"], row["finality"], row["complete"]) == (77, 2, 1)


def test_places_that_nobody_asked_for_or_that_are_known_change_nothing(database: Database) -> None:
    add(database, transaction(1, index=0))
    order = [signature_of(1), signature_of(2)]
    assert database.write(lambda tx: chainlog.set_block_order(tx, 10, order)) == LogChange(frozenset())


def test_finality_is_followed_from_the_oldest(database: Database) -> None:
    for number, slot in ((1, 30), (2, 20), (3, 10), (4, 99)):
        add(database, transaction(number, slot))
    rows = chainlog.list_unfinalized(database.tx, 30, 2)
    assert [row["slot"] for row in rows] == [10, 20]
    database.write(lambda tx: chainlog.set_finalized(tx, [row["id"] for row in rows]))
    assert [row["slot"] for row in chainlog.list_unfinalized(database.tx, 30, 9)] == [30]
    add(database, transaction(5, 30))
    (first,) = chainlog.list_unfinalized(database.tx, 30, 1)
    (second,) = chainlog.list_unfinalized(database.tx, 30, 1, (first["slot"], first["id"]))
    assert (first["id"], second["id"]) == (1, 5)
    assert chainlog.list_unfinalized(database.tx, 30, 1, (second["slot"], second["id"])) == []
    assert [row["slot"] for row in chainlog.list_newest(database.tx, 2**62, 2)] == [30, 99]
    assert chainlog.last_indexed_slot(database.tx) == 99


def test_forgetting_what_is_not_there_does_nothing(database: Database) -> None:
    assert database.write(lambda tx: chainlog.remove_transaction(tx, 5)) == LogChange(frozenset())
    assert database.write(lambda tx: chainlog.forget_for_retry(tx, signature_of(5))) == LogChange(frozenset())


def test_changes_add_up() -> None:
    one, two = LogChange(frozenset({1}), 7), LogChange(frozenset({2}))
    assert one.plus(two) == two.plus(one) == LogChange(frozenset({1, 2}), 7)
    assert one.plus(LogChange(frozenset(), 0)).config_slot == 0


# Dead letters


def letter(database: Database, **changed: object) -> int | None:
    fields = {"signature": signature_of(1), "event_index": 0, "slot": 5, "payload": b"p" * 100_000} | changed
    return database.write(lambda tx: chainlog.add_dead_letter(tx, "event", "e" * 9_999, **fields))  # type: ignore[arg-type]


def test_a_dead_letter_is_kept_once_and_bounded(database: Database) -> None:
    first = letter(database)
    assert first is not None
    assert letter(database) is None
    assert letter(database, event_index=1) is not None
    row = chainlog.find_dead_letter(database.tx, first)
    assert row is not None
    assert (row["attempts"], len(row["error"])) == (2, chainlog.ERROR_CHARACTERS_MAX)
    assert len(row["payload"]) == chainlog.DEAD_LETTER_PAYLOAD_BYTES_MAX
    assert chainlog.count_dead_letters(database.tx) == 2


@pytest.mark.parametrize("index", [None, 0])
def test_a_letter_without_an_event_is_kept_once_too(database: Database, index: int | None) -> None:
    assert letter(database, event_index=index) is not None
    assert letter(database, event_index=index) is None


def test_letters_without_a_signature_are_all_kept(database: Database) -> None:
    assert letter(database, signature=None) != letter(database, signature=None)


def test_a_settled_letter_is_opened_again_by_the_same_cause(database: Database) -> None:
    first = letter(database)
    assert database.write(lambda tx: chainlog.resolve_dead_letters(tx, signature_of(1), "well"))
    assert chainlog.count_dead_letters(database.tx) == 0
    assert letter(database) == first
    assert chainlog.count_dead_letters(database.tx) == 1


def test_one_event_of_several_can_be_settled(database: Database) -> None:
    letter(database)
    letter(database, event_index=1)
    assert not database.write(lambda tx: chainlog.resolve_dead_letters(tx, signature_of(1), "well", 1))
    assert database.write(lambda tx: chainlog.resolve_dead_letters(tx, signature_of(1), "well", 0))


def test_a_failed_retry_is_counted(database: Database) -> None:
    first = letter(database)
    assert first is not None
    database.write(lambda tx: chainlog.count_retry(tx, first))
    row = chainlog.find_dead_letter(database.tx, first)
    assert row is not None
    assert (row["attempts"], row["last_tried_ms"] > row["first_seen_ms"]) == (2, True)


# Cursors and settings


def test_a_cursor_moves_and_can_be_set_back(database: Database) -> None:
    assert chainlog.find_cursor(database.tx, ADDRESS) is None
    database.write(lambda tx: chainlog.set_cursor(tx, ADDRESS, 50))
    database.write(lambda tx: chainlog.set_cursor(tx, ADDRESS, 70))
    database.write(lambda tx: chainlog.lower_cursor(tx, ADDRESS, 90))
    assert chainlog.find_cursor(database.tx, ADDRESS) == 70
    database.write(lambda tx: chainlog.lower_cursor(tx, ADDRESS, 60))
    assert chainlog.find_cursor(database.tx, ADDRESS) == 60


def test_a_setting_is_kept(database: Database) -> None:
    assert chainlog.find_meta(database.tx, "genesis_hash") is None
    for value in ("a", "b"):
        database.write(lambda tx, value=value: chainlog.set_meta(tx, "genesis_hash", value))
        assert chainlog.find_meta(database.tx, "genesis_hash") == value


def test_the_last_slot_of_an_empty_log_is_0(database: Database) -> None:
    assert chainlog.last_indexed_slot(database.tx) == 0
