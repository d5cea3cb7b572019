"""How values look."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmart_lite import shown
from zmart_lite.store.state.search import folded, like_pattern, trigrams


@pytest.mark.parametrize(("unix_s", "text"), [
    (0, "1970-01-01T00:00:00.000Z"),
    (1_767_323_045, "2026-01-02T03:04:05.000Z"),
    (-5, "1970-01-01T00:00:00.000Z"),
    (2**62, "9999-12-31T23:59:59.000Z"),
])  # fmt: skip
def test_time(unix_s: int, text: str) -> None:
    assert shown.time_text(unix_s) == text


def test_milliseconds() -> None:
    assert shown.time_text_ms(1_767_323_045_678) == "2026-01-02T03:04:05.678Z"
    assert shown.time_text_ms(1_767_323_045_007) == "2026-01-02T03:04:05.007Z"


def test_absent_times() -> None:
    assert shown.optional_time(0) is shown.optional_time(None) is shown.optional_time_ms(None) is None


@pytest.mark.parametrize(("price", "text"), [(500_524_967, "0.500524967"), (0, "0.000000000"), (10**9, "1.000000000")])
def test_price(price: int, text: str) -> None:
    assert shown.price_text(price) == text


@given(st.integers(0, 2**64 - 1))
def test_units_are_correctly_rounded(amount: int) -> None:
    from fractions import Fraction

    near = shown.units(amount)
    exact = Fraction(amount, 10**9)
    assert near == float(exact)


@pytest.mark.parametrize(("value", "text"), [
    (None, None), (bytes(46), None), (b"Qm" + b"a" * 44, "Qm" + "a" * 44),
    (b"Qm\x00" + b"a" * 43, "516d00" + "61" * 43),
])  # fmt: skip
def test_hash(value: bytes | None, text: str | None) -> None:
    assert shown.hash_text(value) == text


@pytest.mark.parametrize(("amount", "text"), [
    (0, "0"), (1, "0.000000001"), (10**9, "1"), (1_500_000_000, "1.5"), (10 * 10**9, "10"),
    (2**64 - 1, "18446744073.709551615"),
])  # fmt: skip
def test_exact_amounts(amount: int, text: str) -> None:
    assert shown.exact_text(amount) == text


def test_trigrams() -> None:
    assert trigrams("abcab") == ["abc", "bca", "cab"]
    assert trigrams("ab") == []
    assert folded("STRASSE") == folded("straße")


def test_pattern_escapes() -> None:
    assert like_pattern("50%_\\") == "%50\\%\\_\\\\%"
