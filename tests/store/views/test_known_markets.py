"""What is kept of lists of markets between two changes."""

import pytest
from msgspec import Raw

from zmart_lite.store.engine.changes import Changes
from zmart_lite.store.views import known_markets
from zmart_lite.store.views.known_markets import TABLES, KnownMarkets


def test_what_is_known_holds_until_a_table_of_it_changes() -> None:
    changes = Changes()
    markets = KnownMarkets(changes, is_shared=False)
    known = markets.now()
    known.rows[1] = Raw(b"{}")
    changes.count(("votes", "feed"))
    assert markets.now() is known
    for table in TABLES:
        known = markets.now()
        changes.count((table,))
        assert markets.now() is not known
        assert not markets.now().rows


def test_of_too_much_the_younger_half_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_markets, "ROWS_MAX", 10)
    monkeypatch.setattr(known_markets, "COUNTS_MAX", 4)
    markets = KnownMarkets(Changes(), is_shared=False)
    first = markets.now()
    first.rows.update((number, Raw(b"%d" % number)) for number in range(10))
    first.counts.update((("a",) * number, number) for number in range(4))
    assert markets.now() is first
    first.rows[10] = Raw(b"10")
    second = markets.now()
    assert list(second.rows) == [5, 6, 7, 8, 9, 10]
    assert second.counts is first.counts
    second.counts["b",] = 1
    assert len(markets.now().counts) == 3
    assert len(first.rows) == 11


def test_nothing_is_known_of_a_database_that_others_change() -> None:
    markets = KnownMarkets(Changes(), is_shared=True)
    assert markets.now() is not markets.now()
