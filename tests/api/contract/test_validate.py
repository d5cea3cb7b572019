"""Fields of requests: parsers and the report of all bad ones."""

from dataclasses import dataclass
from typing import Any

import pytest

from zmart_lite.api import list_endpoints
from zmart_lite.api.contract import parsers
from zmart_lite.api.contract.validate import Problems, decode, field, parse_query, specs_of
from zmart_lite.errors import BadRequest, ValidationFailed


@dataclass(frozen=True, slots=True)
class Body:
    amount: int = field(parsers.u64(1, 100), aliases=("value",))
    outcome: bool = field(parsers.outcome)
    note: str | None = field(parsers.plain_text(1, 5), None)
    from_: int | None = field(parsers.time_ms, None, name="from")

    def check(self) -> Problems:
        if self.amount == 13:
            yield "amount", "must not be 13"


def problems(given: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ValidationFailed) as caught:
        decode(Body, given)
    return {detail["field"]: detail["message"] for detail in caught.value.details}


def test_good() -> None:
    assert decode(Body, {"value": "7", "outcome": "YES", "more": 1}) == Body(7, True, None, None)


def test_all_bad_fields_at_once() -> None:
    assert set(problems({"value": 0, "note": "too long", "from": "x"})) == {"value", "outcome", "note", "from"}


def test_contradiction_between_fields() -> None:
    assert problems({"amount": 13, "outcome": True}) == {"amount": "must not be 13"}


def test_contradicting_names() -> None:
    assert "contradicts" in problems({"amount": 1, "value": 2, "outcome": True})["amount"]
    assert decode(Body, {"amount": 1, "value": "1", "outcome": False}).amount == 1


def test_no_name_stands_for_two_fields() -> None:
    for endpoint in list_endpoints(embedded_devnet=True):
        if endpoint.fields is not None:
            names = [name for spec in specs_of(endpoint.fields) for name in spec.names]
            assert len(names) == len(set(names)), endpoint.path


def test_null_is_not_given() -> None:
    assert problems({"amount": None, "outcome": None}) == {"amount": "is required", "outcome": "is required"}


@pytest.mark.parametrize("value", [0, 2**53 - 1, "0", "18446744073709551615", "007", "0" * 30 + "7"])
def test_u64(value: Any) -> None:
    assert parsers.u64().parse(value) == int(value)


@pytest.mark.parametrize("value", [
    -1, 2**53, 1.0, 1.5, True, "-1", "+1", "1.0", "1e3", "", " 1", "0x10", "18446744073709551616",
    "9" * 5_000, "١", None, [], {},
])  # fmt: skip
def test_no_u64(value: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        parsers.u64().parse(value)


@pytest.mark.parametrize(("value", "expected"), [
    (True, True), (False, False), ("yes", True), ("NO", False), ("True", True), ("false", False),
])  # fmt: skip
def test_outcome(value: Any, expected: bool) -> None:
    assert parsers.outcome.parse(value) is expected


@pytest.mark.parametrize("value", ["INVALID", "", 1, 0, "y", None, []])
def test_no_outcome(value: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        parsers.outcome.parse(value)


@pytest.mark.parametrize(("value", "expected"), [
    ("2026-01-02T03:04:05Z", 1_767_323_045_000),
    ("2026-01-02T03:04:05.678Z", 1_767_323_045_678),
    ("2026-01-02T04:04:05+01:00", 1_767_323_045_000),
    ("2026-01-02T04:04:05 01:00", 1_767_323_045_000),
    ("1767323045", 1_767_323_045_000),
    ("1767323045678", 1_767_323_045_678),
    (1_767_323_045, 1_767_323_045_000),
    (1_767_323_045_678, 1_767_323_045_678),
])  # fmt: skip
def test_time(value: Any, expected: int) -> None:
    assert parsers.time_ms.parse(value) == expected


@pytest.mark.parametrize(
    "value", ["now", "123", "2026-01-02", "2026-01-02T03:04:05", "", True, 1.5, -1_767_323_045, "1" * 100, None]
)
def test_no_time(value: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        parsers.time_ms.parse(value)


def test_category_aliases() -> None:
    assert parsers.category.parse("TECH") == parsers.category.parse("technology") == "technology"


@pytest.mark.parametrize("text", ["x" * 63, "g" * 64, "0" * 65, "", "nobody", 5, None, "1" * 31])
def test_no_market(text: Any) -> None:
    assert parsers.find_market_ref(text) is None


def test_wallet_is_exact_base58() -> None:
    good = "9hSR6S7WPtxmTojgo6GG3k4yDPecgJY292j7xrsUGWBu"
    assert parsers.find_wallet(good) is not None
    for bad in (good + "1", good[:-2], good.replace("9", "0", 1), f" {good}", good + "\n"):
        assert parsers.find_wallet(bad) is None


class TestQuery:
    def test_last_of_repeated_ones(self) -> None:
        assert parse_query(b"a=1&a=2&b=") == {"a": "2", "b": ""}

    def test_escapes(self) -> None:
        assert parse_query(b"a=%C3%BC+x%26y") == {"a": "ü x&y"}

    @pytest.mark.parametrize("raw", [b"a=%FF", b"a=\xff", b"&".join(b"a=1" for _ in range(65))])
    def test_unreadable(self, raw: bytes) -> None:
        with pytest.raises(BadRequest):
            parse_query(raw)
