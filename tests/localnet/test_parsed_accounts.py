"""Accounts as ``jsonParsed`` shows them, packed here by hand after the interface crates' layouts."""

import struct
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.hash import Hash
from solders.pubkey import Pubkey

from tests.localnet.rpc_harness import CONFIRMED, PROGRAM_ID, START_TIME, Devnet, running
from zmart_lite.localnet.parsed_accounts import (
    LOOKUP_TABLE_ID,
    SYSVAR_OWNER,
    UPGRADEABLE_LOADER_ID,
    parse_account,
)
from zmart_lite.localnet.runtime import SYSTEM_PROGRAM_ID, Account

KEY, HASH = bytes(range(32)), bytes(range(32, 64))
KEY_TEXT, HASH_TEXT = str(Pubkey(KEY)), str(Hash(HASH))
PARSED = CONFIRMED | {"encoding": "jsonParsed"}


def sysvar(name: str) -> bytes:
    return bytes(Pubkey.from_string(f"Sysvar{name}".ljust(43, "1")))


def parsed(owner: bytes, data: bytes, key: bytes = KEY) -> Any:
    found = parse_account(key, Account(1, owner, data), lambda _key: None)
    if found is None:
        return None
    assert found["space"] == len(data)
    return found["program"], found["parsed"]


FEE = {"lamportsPerSignature": "5000"}
SYSVARS: list[tuple[str, bytes, str, Any]] = [
    (
        "C1ock",
        struct.pack("<QqQQq", 7, -1, 2, 3, 9),
        "clock",
        {"slot": 7, "epochStartTimestamp": -1, "epoch": 2, "leaderScheduleEpoch": 3, "unixTimestamp": 9},
    ),
    (
        "Rent",
        struct.pack("<QdB", 3_480, 2.0, 50),
        "rent",
        {"lamportsPerByteYear": "3480", "exemptionThreshold": 2.0, "burnPercent": 50},
    ),
    (
        "EpochSchedu1e",
        struct.pack("<QQ?QQ", 12, 5, False, 1, 12),
        "epochSchedule",
        {
            "slotsPerEpoch": 12,
            "leaderScheduleSlotOffset": 5,
            "warmup": False,
            "firstNormalEpoch": 1,
            "firstNormalSlot": 12,
        },
    ),
    (
        "RecentB1ockHashes",
        struct.pack("<Q32sQ", 1, HASH, 5_000).ljust(6_008, b"\0"),
        "recentBlockhashes",
        [{"blockhash": HASH_TEXT, "feeCalculator": FEE}],
    ),
    ("S1otHashes", struct.pack("<QQ32s", 1, 4, HASH), "slotHashes", [{"slot": 4, "hash": HASH_TEXT}]),
    (
        "StakeHistory",
        struct.pack("<QQQQQ", 1, 1, 10, 2, 3),
        "stakeHistory",
        [{"epoch": 1, "stakeHistory": {"effective": 10, "activating": 2, "deactivating": 3}}],
    ),
    ("LastRestartS1ot", struct.pack("<Q", 1_282), "lastRestartSlot", {"lastRestartSlot": 1_282}),
    (
        "EpochRewards",
        struct.pack("<QQ32sQQQQ?", 42, 1, HASH, 5, 1, 100, 20, True),
        "epochRewards",
        {
            "distributionStartingBlockHeight": 42,
            "numPartitions": 1,
            "parentBlockhash": HASH_TEXT,
            "totalPoints": str((1 << 64) + 5),
            "totalRewards": "100",
            "distributedRewards": "20",
            "active": True,
        },
    ),
]


@pytest.mark.parametrize(("name", "data", "kind", "info"), SYSVARS)
def test_sysvars(name: str, data: bytes, kind: str, info: Any) -> None:
    assert parsed(SYSVAR_OWNER, data, sysvar(name)) == ("sysvar", {"type": kind, "info": info})
    assert parsed(SYSVAR_OWNER, data, KEY) is None
    assert parsed(SYSVAR_OWNER, data[:4], sysvar(name)) is None


def test_the_slot_history_is_a_digit_a_slot() -> None:
    bits = bytearray(131_072)
    bits[5] = 1 << 2
    data = struct.pack("<BQ", 1, 16_384) + bytes(bits) + struct.pack("<QQ", 1 << 20, 43)
    program, found = parsed(SYSVAR_OWNER, data, sysvar("S1otHistory"))
    assert (program, found["type"], found["info"]["nextSlot"]) == ("sysvar", "slotHistory", 43)
    digits = found["info"]["bits"]
    assert (len(digits), digits.index("1"), digits.count("1")) == (1 << 20, 42, 1)


def test_programs_and_their_data() -> None:
    code = b64encode(b"\x7fELF").decode()
    option, none = b"\x01" + KEY, b"\0"
    for data, kind, info in (
        (struct.pack("<I", 1) + option + b"\x7fELF", "buffer", {"authority": KEY_TEXT, "data": [code, "base64"]}),
        (struct.pack("<I", 1) + none + b"\x7fELF", "buffer", {"authority": None, "data": [code, "base64"]}),
        (struct.pack("<I", 2) + KEY, "program", {"programData": KEY_TEXT}),
        (
            struct.pack("<IQ", 3, 42) + option + b"\x7fELF",
            "programData",
            {"slot": 42, "authority": KEY_TEXT, "data": [code, "base64"]},
        ),
        (
            struct.pack("<IQ", 3, 42) + none + b"\x7fELF",
            "programData",
            {"slot": 42, "authority": None, "data": [code, "base64"]},
        ),
    ):
        assert parsed(UPGRADEABLE_LOADER_ID, data) == ("bpf-upgradeable-loader", {"type": kind, "info": info})
    assert parsed(UPGRADEABLE_LOADER_ID, bytes(4)) == ("bpf-upgradeable-loader", {"type": "uninitialized"})
    assert parsed(UPGRADEABLE_LOADER_ID, struct.pack("<I", 9)) is None
    assert parsed(UPGRADEABLE_LOADER_ID, struct.pack("<I", 2) + KEY[:5]) is None


def test_nonces() -> None:
    info = {"authority": KEY_TEXT, "blockhash": HASH_TEXT, "feeCalculator": FEE}
    for version in (0, 1):
        data = struct.pack("<II", version, 1) + KEY + HASH + struct.pack("<Q", 5_000)
        assert parsed(SYSTEM_PROGRAM_ID, data) == ("nonce", {"type": "initialized", "info": info})
    assert parsed(SYSTEM_PROGRAM_ID, bytes(80)) is None
    assert parsed(SYSTEM_PROGRAM_ID, b"") is None


def test_lookup_tables() -> None:
    head = struct.pack("<IQQB", 1, (1 << 64) - 1, 5, 1)
    info: dict[str, Any] = {
        "deactivationSlot": str((1 << 64) - 1),
        "lastExtendedSlot": "5",
        "lastExtendedSlotStartIndex": 1,
        "addresses": [HASH_TEXT, KEY_TEXT],
    }
    frozen = head.ljust(56, b"\0") + HASH + KEY
    assert parsed(LOOKUP_TABLE_ID, frozen) == ("address-lookup-table", {"type": "lookupTable", "info": info})
    owned = (head + b"\x01" + KEY).ljust(56, b"\0")
    kind, found = parsed(LOOKUP_TABLE_ID, owned)
    assert (kind, found["info"]["authority"], found["info"]["addresses"]) == ("address-lookup-table", KEY_TEXT, [])
    assert parsed(LOOKUP_TABLE_ID, bytes(56)) == ("address-lookup-table", {"type": "uninitialized"})
    assert parsed(LOOKUP_TABLE_ID, frozen[:-1]) is None


OWNERS = st.sampled_from([SYSVAR_OWNER, UPGRADEABLE_LOADER_ID, LOOKUP_TABLE_ID, SYSTEM_PROGRAM_ID, KEY])
KEYS = st.sampled_from([sysvar(name) for name, *_ in SYSVARS] + [KEY])


@given(OWNERS, KEYS, st.binary(max_size=120))
def test_no_bytes_break_the_parser(owner: bytes, key: bytes, data: bytes) -> None:
    parse_account(key, Account(1, owner, data), lambda _key: None)


@pytest.fixture
async def devnet() -> AsyncIterator[Devnet]:
    async with running() as started:
        yield started


async def test_a_page_reads_the_chains_time(devnet: Devnet) -> None:
    clock = str(Pubkey(sysvar("C1ock")))
    data = (await devnet.call("getAccountInfo", clock, PARSED))["value"]["data"]
    assert (data["program"], data["space"], data["parsed"]["type"]) == ("sysvar", 40, "clock")
    assert data["parsed"]["info"]["unixTimestamp"] == START_TIME
    await devnet.call("localnet_warp", {"seconds": 3_600})
    [found] = (await devnet.call("getMultipleAccounts", [clock], PARSED))["value"]
    assert found["data"]["parsed"]["info"]["unixTimestamp"] == START_TIME + 3_600


async def test_the_program_is_parsed_and_its_accounts_are_not(devnet: Devnet) -> None:
    data = (await devnet.call("getAccountInfo", str(Pubkey(PROGRAM_ID)), PARSED))["value"]["data"]
    assert (data["program"], data["parsed"]["type"]) == ("bpf-upgradeable-loader", "program")
    await devnet.send(devnet.transaction(devnet.create_market(1)))
    rows = await devnet.call("getProgramAccounts", str(Pubkey(PROGRAM_ID)), PARSED)
    assert {row["account"]["data"][1] for row in rows} == {"base64"}
