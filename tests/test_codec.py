"""The codec against the program's published vectors, and against a second Borsh written here from the IDL."""

import hashlib
import json
import struct
from base64 import b64decode
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from zmart_lite import codec as codec_module
from zmart_lite import models, resources
from zmart_lite.codec import ACCOUNT_SIZES, Codec, anchor_discriminator, event_name
from zmart_lite.errors import UndecodableData
from zmart_lite.models import MarketState, VoteType

IDL = json.loads(resources.read_text("zmart_core.idl.json"))
TYPES = {entry["name"]: entry["type"] for entry in IDL["types"]}
CODEC = Codec(bytes(Pubkey.from_string("7h3gXfBfYFueFVLYyfL5Qo1QGsf4GQUfW96FKVgnUsJS")))

MARKET_ID, USER = b"\x01" * 32, b"\x02" * 32
MARKET = bytes(Pubkey.from_string("7Kek2ggTiRjev55rmuD1u4fu9ZpLWwyf8waMyxqVTdem"))
NOW = 1_700_000_000

BOUGHT = (
    models.SharesBought(MARKET_ID, USER, True, 2_099_871_638, 999_736_100, 500_524_967, NOW),
    (
        "8GJFCv3q4kEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAZZ/KX0AAAAAJMOWO"
        "wAAAACnZ9UdAAAAAADxU2UAAAAA"
    ),
)
CLAIMED_YES = (
    models.WinningsClaimed(MARKET, USER, True, 123_456_789, NOW),
    (
        "u7gdxDZ1RpZd7UBBnN9EAZ17ukc0B3ixaU+v6+9iqsWUPzY2HuknLgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAQEVzVsHAAAAAADxU2"
        "UAAAAA"
    ),
)
CLAIMED_INVALID = (
    models.WinningsClaimed(MARKET, USER, None, 123_456_789, NOW),
    (
        "u7gdxDZ1RpZd7UBBnN9EAZ17ukc0B3ixaU+v6+9iqsWUPzY2HuknLgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICABXNWwcAAAAAAPFTZQ"
        "AAAAA="
    ),
)
EVENT_SIZES = {
    "GlobalConfigInitialized": {82},
    "MarketCreated": {89},
    "ProposalVoteSubmitted": {81},
    "ProposalAggregated": {58},
    "ProposalApproved": {80},
    "MarketActivated": {88},
    "SharesBought": {105},
    "SharesSold": {105},
    "MarketResolved": {127},
    "DisputeInitiated": {81, 82},
    "DisputeVoteSubmitted": {81},
    "DisputeAggregated": {58},
    "MarketFinalized": {50, 51},
    "WinningsClaimed": {89, 90},
    "LiquidityWithdrawn": {88},
    "ConfigUpdated": {42},
    "ProtocolPauseStatusChanged": {49},
    "MarketCancelled": {80},
}
INSTRUCTION_DISCRIMINATORS = {
    "initialize_global_config": "71d87a83e1d11637",
    "create_market": "67e261ebc8bcfbfe",
    "submit_proposal_vote": "b1bb3be61db90ef0",
    "aggregate_proposal_votes": "1a9c1215b9b0ca48",
    "approve_proposal": "886c665562720793",
    "activate_market": "0a1ac57471634859",
    "buy_shares": "28ef8a9a08256a6c",
    "sell_shares": "b8a4a910e79ec7c4",
    "resolve_market": "9b1750ad2e4a17ef",
    "initiate_dispute": "80f2a0172c3dab25",
    "submit_dispute_vote": "31df3d4298eb48e6",
    "aggregate_dispute_votes": "4a0e1e13d48d7019",
    "finalize_market": "10e1261cd5d901f7",
    "claim_winnings": "a1d7183b0eecf2dd",
    "withdraw_liquidity": "959e21b92ff3fd1f",
    "update_global_config": "a45482bd6f3afac8",
    "emergency_pause": "158f1b8ec8b5d2ff",
    "cancel_market": "cd7954d2de47960b",
}
UPDATE = {
    "protocol_fee_bps": 300,
    "resolver_reward_bps": 200,
    "liquidity_provider_fee_bps": 500,
    "proposal_approval_threshold": 7_000,
    "dispute_success_threshold": 6_000,
    "min_resolution_delay": None,
    "dispute_period": 172_800,
}


# A second, slower Borsh, and values for every IDL type at the edges of its range.

INTEGER_BITS = {"u8": (8, False), "u16": (16, False), "u32": (32, False), "u64": (64, False), "i64": (64, True)}


def borsh(idl_type: Any, value: Any) -> bytes:
    if isinstance(idl_type, str) and idl_type in INTEGER_BITS:
        bits, signed = INTEGER_BITS[idl_type]
        return int(value).to_bytes(bits // 8, "little", signed=signed)
    if idl_type == "bool":
        return b"\1" if value else b"\0"
    if idl_type == "pubkey" or "array" in idl_type:
        return bytes(value)
    if "option" in idl_type:
        return b"\0" if value is None else b"\1" + borsh(idl_type["option"], value)
    return bytes([value])


def borsh_fields(fields: list[dict[str, Any]], values: Any) -> bytes:
    return b"".join(borsh(field["type"], value) for field, value in zip(fields, values, strict=True))


def integers_of(name: str) -> st.SearchStrategy[int]:
    bits, signed = INTEGER_BITS[name]
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.sampled_from([low, low + 1, 0, 1, high - 1, high]) | st.integers(low, high)


def values_of(idl_type: Any) -> st.SearchStrategy[Any]:
    if isinstance(idl_type, str) and idl_type in INTEGER_BITS:
        return integers_of(idl_type)
    if idl_type == "bool":
        return st.booleans()
    if idl_type == "pubkey":
        return st.binary(min_size=32, max_size=32)
    if "array" in idl_type:
        size = idl_type["array"][1]
        return st.sampled_from([b"\0" * size, b"\xff" * size]) | st.binary(min_size=size, max_size=size)
    if "option" in idl_type:
        return st.none() | values_of(idl_type["option"])
    return st.sampled_from(list(getattr(models, idl_type["defined"]["name"])))


def structs_of(name: str) -> st.SearchStrategy[Any]:
    values = st.tuples(*(values_of(field["type"]) for field in TYPES[name]["fields"]))
    return values.map(getattr(models, name)._make)


ACCOUNT_NAMES = [entry["name"] for entry in IDL["accounts"]]
EVENT_NAMES = [entry["name"] for entry in IDL["events"]]
accounts = st.sampled_from(ACCOUNT_NAMES).flatmap(structs_of)
legacy_claims = st.builds(
    models.WinningsClaimedLegacy,
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
    integers_of("u64"),
    integers_of("u64"),
    integers_of("i64"),
)
events = st.sampled_from(EVENT_NAMES).flatmap(structs_of) | legacy_claims


@st.composite
def instructions(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    entry = draw(st.sampled_from(IDL["instructions"]))
    return entry, {arg["name"]: draw(values_of(arg["type"])) for arg in entry["args"]}


# Addresses


def test_addresses_are_those_of_the_specification() -> None:
    def found(pda: tuple[bytes, int]) -> tuple[str, int]:
        return str(Pubkey.from_bytes(pda[0])), pda[1]

    assert str(Pubkey.from_bytes(USER)) == "8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR"
    assert found(CODEC.config_pda()) == ("73ZXQr6GjjD4qnMgsuZNcJsNmd2juUsevXgdAhiKtokz", 255)
    assert found(CODEC.market_pda(MARKET_ID)) == ("7Kek2ggTiRjev55rmuD1u4fu9ZpLWwyf8waMyxqVTdem", 253)
    assert found(CODEC.position_pda(MARKET, USER)) == ("GYs9dnwufE5nrzdHjXBg5GwyM5ZDZtHoSU2unmrKR51z", 253)
    proposal, dispute = (CODEC.vote_pda(MARKET, USER, kind) for kind in (VoteType.PROPOSAL, VoteType.DISPUTE))
    assert found(proposal) == ("FGTxF9AjTRpSqybzNowWUuETypNRGqJCkM2NgRefLnMg", 254)
    assert found(dispute) == ("EnofiyQvTMz8YkRcirYxqdcnLNSQ4p2uB3C2GAtGYvsw", 255)


def test_short_forms_give_the_address_alone() -> None:
    assert CODEC.config_address() == CODEC.config_pda()[0]
    assert CODEC.market_address(MARKET_ID) == MARKET
    assert CODEC.position_address(MARKET, USER) == CODEC.position_pda(MARKET, USER)[0]


def test_a_positions_address_is_known_again() -> None:
    for number in range(20):
        user = bytes([number]) * 32
        address, bump = CODEC.position_pda(MARKET, user)
        assert CODEC.is_position_address(address, MARKET, user) == (bump > 247)
        assert not CODEC.is_position_address(address, user, MARKET)
        assert not CODEC.is_position_address(bytes(32), MARKET, user)


def test_addresses_depend_on_the_program() -> None:
    other = Codec(b"\x07" * 32)
    assert other.config_address() != CODEC.config_address()
    assert other.market_address(MARKET_ID) != MARKET


# Events


@pytest.mark.parametrize(("event", "text"), [BOUGHT, CLAIMED_YES, CLAIMED_INVALID])
def test_event_vectors(event: models.ChainEvent, text: str) -> None:
    assert CODEC.encode_event(event) == b64decode(text)
    assert CODEC.decode_event(b64decode(text)) == event


@given(events)
def test_every_event_round_trips(event: models.ChainEvent) -> None:
    data = CODEC.encode_event(event)
    decoded = CODEC.decode_event(data)
    assert (type(decoded), decoded) == (type(event), event)
    assert [type(value) for value in decoded] == [type(value) for value in event]


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_events_have_the_sizes_and_discriminators_of_the_specification(name: str) -> None:
    sizes = set()

    @given(structs_of(name))
    def check(event: models.ChainEvent) -> None:
        data = CODEC.encode_event(event)
        assert data == anchor_discriminator("event", name) + borsh_fields(TYPES[name]["fields"], event)
        assert len(data) in EVENT_SIZES[name]
        sizes.add(len(data))

    check()
    assert sizes == EVENT_SIZES[name]


def test_the_two_layouts_of_winnings_claimed_are_told_apart_by_length() -> None:
    legacy = models.WinningsClaimedLegacy(MARKET_ID, USER, 2**64 - 1, 0, -1)
    data = CODEC.encode_event(legacy)
    assert len(data) == 96
    assert data[:8] == CODEC.encode_event(CLAIMED_YES[0])[:8]
    assert CODEC.decode_event(data) == legacy
    assert event_name(legacy) == event_name(CLAIMED_YES[0]) == "WinningsClaimed"


@given(events, st.integers(1, 40))
def test_an_event_with_bytes_missing_or_left_over_is_refused(event: models.ChainEvent, count: int) -> None:
    data = CODEC.encode_event(event)
    for wrong in (data[:-count], data + bytes(count)):
        try:
            other = CODEC.decode_event(wrong)
        except UndecodableData:
            continue
        # One discriminator, two layouts: another length may be the other layout, byte for byte.
        assert event_name(other) == "WinningsClaimed"
        assert CODEC.encode_event(other) == wrong


@given(st.binary(max_size=140))
@example(b"")
@example(b"\xf0bE")
def test_bytes_that_are_no_event_are_refused_and_never_raise_anything_else(data: bytes) -> None:
    with pytest.raises(UndecodableData):
        CODEC.decode_event(data)


@given(st.sampled_from(EVENT_NAMES), st.binary(max_size=140))
def test_whatever_is_accepted_as_an_event_encodes_to_the_same_bytes(name: str, body: bytes) -> None:
    data = anchor_discriminator("event", name) + body
    try:
        event = CODEC.decode_event(data)
    except UndecodableData:
        return
    assert CODEC.encode_event(event) == data


def test_bools_and_option_tags_other_than_0_and_1_are_refused() -> None:
    bought = bytearray(b64decode(BOUGHT[1]))
    bought[72] = 2
    with pytest.raises(UndecodableData, match="2 is not a bool"):
        CODEC.decode_event(bytes(bought))
    claimed = bytearray(b64decode(CLAIMED_YES[1]))
    claimed[73] = 3
    with pytest.raises(UndecodableData, match="3 is not a bool"):
        CODEC.decode_event(bytes(claimed))
    claimed[72] = 9
    with pytest.raises(UndecodableData, match="9 is not an option tag"):
        CODEC.decode_event(bytes(claimed))


# Accounts


@given(accounts)
def test_every_account_round_trips_at_its_allocated_size(account: models.ChainAccount) -> None:
    name = type(account).__name__
    data = CODEC.encode_account(account)
    assert len(data) == ACCOUNT_SIZES[name]
    assert data[:8] == anchor_discriminator("account", name) == CODEC.account_discriminator(type(account))
    assert data.rstrip(b"\0") == (data[:8] + borsh_fields(TYPES[name]["fields"], account)).rstrip(b"\0")
    decoded = CODEC.decode_account(data)
    assert decoded == account
    assert [type(value) for value in decoded] == [type(value) for value in account]


@given(accounts, st.binary(max_size=20))
def test_bytes_behind_an_account_are_ignored(account: models.ChainAccount, rest: bytes) -> None:
    assert CODEC.decode_account(CODEC.encode_account(account) + rest) == account


@given(structs_of("MarketAccount"))
def test_fields_behind_options_move_as_specified(market: models.MarketAccount) -> None:
    data = CODEC.encode_account(market)
    p, f, c = (int(value is not None) for value in (market.proposed_outcome, market.final_outcome, market.cancelled_at))
    assert data[40:72] == market.creator
    assert data[72] == market.state
    assert struct.unpack_from("<q", data, 249 + p + f)[0] == market.dispute_initiated_at
    assert data[349 + p + f] == market.was_disputed
    assert data[472 + p + f + 8 * c] == market.bump
    assert not any(data[473 + p + f + 8 * c :])


@given(accounts, st.integers(1, 60))
def test_a_truncated_account_is_refused(account: models.ChainAccount, count: int) -> None:
    name = type(account).__name__
    needed = 8 + len(borsh_fields(TYPES[name]["fields"], account))
    with pytest.raises(UndecodableData):
        CODEC.decode_account(CODEC.encode_account(account)[: needed - count])


@given(st.binary(max_size=60))
def test_bytes_that_are_no_account_are_refused(data: bytes) -> None:
    with pytest.raises(UndecodableData):
        CODEC.decode_account(data)


def test_an_unknown_state_or_kind_of_vote_is_refused() -> None:
    vote = bytearray(CODEC.encode_account(models.VoteRecord(MARKET, USER, VoteType.DISPUTE, True, NOW, 255)))
    vote[72] = 2
    with pytest.raises(UndecodableData, match="VoteType"):
        CODEC.decode_account(bytes(vote))


def test_states_and_vote_types_are_numbered_as_in_the_idl() -> None:
    def spelled(name: str) -> list[str]:
        return [variant["name"].upper() for variant in TYPES[name]["variants"]]

    assert [state.name for state in MarketState] == spelled("MarketState")
    assert [kind.name for kind in VoteType] == [name.removesuffix("VOTE") for name in spelled("VoteType")]
    assert [*MarketState, *VoteType] == [*range(7), *range(2)]


# Instructions


@pytest.mark.parametrize(
    ("name", "args", "data"),
    [
        ("buy_shares", {"outcome": True, "target_cost": 10**9}, "28ef8a9a08256a6c0100ca9a3b00000000"),
        ("finalize_market", {"dispute_agree": None, "dispute_disagree": None}, "10e1261cd5d901f70000"),
        ("finalize_market", {"dispute_agree": 7, "dispute_disagree": 3}, "10e1261cd5d901f701070000000103000000"),
        ("update_global_config", UPDATE, "a45482bd6f3afac82c01c800f401581b7017000100a3020000000000"),
    ],
)
def test_instruction_vectors(name: str, args: dict[str, Any], data: str) -> None:
    assert CODEC.encode_instruction(name, args).hex() == data
    assert CODEC.decode_instruction(bytes.fromhex(data)) == (name, args)


@given(instructions(), st.binary(max_size=8))
def test_every_instruction_round_trips_and_ignores_trailing_bytes(case: Any, rest: bytes) -> None:
    entry, args = case
    data = CODEC.encode_instruction(entry["name"], args)
    expected = bytes(entry["discriminator"]) + borsh_fields(entry["args"], args.values())
    assert data == expected
    assert CODEC.decode_instruction(data + rest) == (entry["name"], args)


def test_instruction_discriminators() -> None:
    assert set(CODEC.instruction_names) == set(INSTRUCTION_DISCRIMINATORS)
    for name, discriminator in INSTRUCTION_DISCRIMINATORS.items():
        assert CODEC.instruction_by_discriminator(bytes.fromhex(discriminator)) == name
        assert anchor_discriminator("global", name).hex() == discriminator
        assert hashlib.sha256(f"global:{name}".encode()).hexdigest().startswith(discriminator)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_instruction_are_refused(data: bytes) -> None:
    assert CODEC.instruction_by_discriminator(data) is None
    with pytest.raises(UndecodableData, match="unknown instruction"):
        CODEC.decode_instruction(data)


@pytest.mark.parametrize("name", [name for name in INSTRUCTION_DISCRIMINATORS if name.startswith(("buy", "finalize"))])
def test_instructions_with_arguments_missing_are_refused(name: str) -> None:
    with pytest.raises(UndecodableData, match="too short"):
        CODEC.decode_instruction(bytes.fromhex(INSTRUCTION_DISCRIMINATORS[name]))


def test_numbers_beyond_their_type_are_not_encoded() -> None:
    for target_cost in (-1, 2**64):
        with pytest.raises(struct.error):
            CODEC.encode_instruction("buy_shares", {"outcome": True, "target_cost": target_cost})


def test_instruction_accounts_are_in_the_order_of_the_specification() -> None:
    specs = [(spec.name, spec.signer, spec.writable) for spec in CODEC.instruction_accounts("buy_shares")]
    assert specs == [
        ("global_config", False, False),
        ("market", False, True),
        ("position", False, True),
        ("user", True, True),
        ("protocol_fee_wallet", False, True),
        ("system_program", False, False),
    ]


# Errors


def test_errors_are_numbered_as_in_the_source_and_in_older_builds() -> None:
    assert CODEC.error_name(6005) == "InvalidGlobalConfig"
    assert CODEC.error_name(6029) == "Unauthorized"
    assert CODEC.error_code("InvalidStateForVoting") == 6051
    assert CODEC.legacy_error_name(6028) == "Unauthorized"
    assert CODEC.legacy_error_name(6004) == "InvalidFeeStructure"
    assert CODEC.legacy_error_name(6005) == "InvalidStateTransition"
    assert CODEC.legacy_error_name(6050) == "InvalidStateForVoting"
    assert CODEC.legacy_error_name(6051) is None
    assert CODEC.error_name(6052) is None


def test_framework_errors_have_the_same_number_in_every_build() -> None:
    for code, name in codec_module.FRAMEWORK_ERRORS.items():
        assert CODEC.error_name(code) == CODEC.legacy_error_name(code) == name
        assert CODEC.error_code(name) == code


def test_an_unknown_error_name_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError):
        CODEC.error_code("NoSuchError")


def test_a_model_that_does_not_match_the_idl_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "MarketCancelled", models.MarketActivated)
    with pytest.raises(TypeError, match="MarketCancelled"):
        Codec(CODEC.program_id)
