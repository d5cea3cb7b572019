import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from zmart_lite.models import FeedMessage
from zmart_lite.push.channels import (
    ALERTS,
    MARKET_TYPES,
    PUBLIC,
    REACHES,
    Channel,
    channels_of,
    names,
    parse_channel,
    selections,
)

MARKET = bytes(range(32))
HEX = MARKET.hex()
WALLET = bytes([9]) * 32
BASE58 = str(Pubkey(WALLET))


def message(type_: str, *, listed: bool = True, changed: bool = False) -> FeedMessage:
    wallet = WALLET if type_ == "position" else None
    return FeedMessage(1, type_, None if type_ == "alert" else MARKET, wallet, listed, changed, 0, "{}")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (message("market_state"), ["market:M", "markets", "public"]),
        (message("market_state", changed=True), ["market:M", "markets", "public", "voting:M"]),
        (message("market_state", listed=False, changed=True), ["market:M", "voting:M"]),
        (message("price"), ["market:M", "price:M"]),
        (message("trade"), ["market:M", "public", "trade:M", "trades"]),
        (message("trade", listed=False), ["market:M", "trade:M"]),
        (message("vote"), ["market:M", "public", "votes", "voting:M"]),
        (message("voting_progress"), ["market:M", "votes", "voting:M"]),
        (message("voting_progress", listed=False), ["market:M", "voting:M"]),
        (message("discussion"), ["discussion:M", "market:M", "public"]),
        (message("claims_enabled"), ["market:M", "markets", "public"]),
        (message("position"), ["user:W"]),
        (message("position", listed=False), ["user:W"]),
        (message("alert", listed=False), ["alerts"]),
        (message("something new"), []),
    ],
)
def test_which_messages_go_where(found: FeedMessage, expected: list[str]) -> None:
    shown = [name.replace(HEX, "M").replace(BASE58, "W") for name in names(channels_of(found))]
    assert shown == expected


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        (f"market:{HEX}", f"market:{HEX}"),
        (f"market_{HEX}", f"market:{HEX}"),
        (f"market:{HEX.upper()}:update", f"market:{HEX}"),
        (f"price:{HEX}", f"price:{HEX}"),
        (f"market:{HEX}:price", f"price:{HEX}"),
        (f"trade:{HEX}", f"trade:{HEX}"),
        (f"market:{HEX}:trade", f"trade:{HEX}"),
        (f"discussion:{HEX}", f"discussion:{HEX}"),
        (f"voting:{HEX}", f"voting:{HEX}"),
        (f"votes_{HEX}", f"voting:{HEX}"),
        (f"user:{BASE58}", f"user:{BASE58}"),
        (f"user_{BASE58}_positions", f"user:{BASE58}"),
        ("markets", "markets"),
        ("trades", "trades"),
        ("votes", "votes"),
        ("global:vote", "votes"),
        ("public", "public"),
        ("alerts", "alerts"),
    ],
)
def test_names_and_aliases(name: str, canonical: str) -> None:
    channel = parse_channel(name)
    assert channel is not None
    assert channel.name == canonical
    assert parse_channel(channel.name) == channel


def test_a_market_may_be_named_by_its_address() -> None:
    assert parse_channel(f"market_{BASE58}") == Channel("market", WALLET, by_address=True)
    assert parse_channel(f"market:{BASE58}:price") == Channel("price", WALLET, by_address=True)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "market",
        "market:",
        "market:xyz",
        f"market:{HEX[1:]}",
        f"market:{HEX}0",
        f"market:{HEX}:volume",
        f"user:{HEX}",
        "user:" + "1" * 44,
        "user",
        "Public",
        " public",
        f"market:{HEX}\n",
        "alerts:all",
        f"trades:{HEX}",
    ],
)
def test_what_names_nothing(name: str) -> None:
    assert parse_channel(name) is None


@given(st.text(max_size=100))
def test_any_text_is_a_channel_or_none(text: str) -> None:
    channel = parse_channel(text)
    assert channel is None or channel.kind in REACHES


def test_channels_of_one_kind_are_one_question_to_the_log() -> None:
    found = selections([Channel("price", MARKET), PUBLIC, Channel("price", WALLET), ALERTS, Channel("voting", MARKET)])
    assert [(one.scope, one.subjects, one.state_changes) for one in found] == [
        ("market", (MARKET, WALLET), False),
        ("listed", (), False),
        ("all", (), False),
        ("market", (MARKET,), False),
        ("market", (MARKET,), True),
    ]


def test_the_market_channel_carries_all_that_is_public_of_it() -> None:
    for type_ in MARKET_TYPES:
        assert Channel("market", MARKET) in channels_of(message(type_, listed=False))
