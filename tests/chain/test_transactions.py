"""Transactions from the cluster's JSON: addresses resolved, order of execution, and every malformed piece named."""

from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_lite.chain import transactions
from zmart_lite.chain.transactions import base58_bytes, signature_of, transaction_of_rpc
from zmart_lite.errors import UndecodableData
from zmart_lite.models import ChainInstruction

PROGRAM_ID = b"\x09" * 32
OTHER_ID = b"\x0a" * 32
KEYS = [bytes([number]) * 32 for number in (1, 2)] + [PROGRAM_ID, OTHER_ID]
WRITABLE, READONLY = b"\x21" * 32, b"\x22" * 32
SIGNATURE = bytes(range(64))


def base58(data: bytes) -> str:
    """Written from the definition of base58: digits of the number, and a 1 for each leading zero byte."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = transactions.BASE58_ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def instruction(program: int, accounts: list[int], data: bytes, **more: Any) -> dict[str, Any]:
    return {"programIdIndex": program, "accounts": accounts, "data": base58(data), **more}


def answer(**changes: Any) -> dict[str, Any]:
    """A getTransaction answer with instructions of two programs at two levels."""
    whole: dict[str, Any] = {
        "slot": 420,
        "blockTime": 1_700_000_000,
        "version": 0,
        "meta": {
            "err": None,
            "status": {"Ok": None},
            "fee": 5_000,
            "logMessages": ["a", "b\nc"],
            "loadedAddresses": {"writable": [base58(WRITABLE)], "readonly": [base58(READONLY)]},
            "innerInstructions": [
                {"index": 1, "instructions": [instruction(2, [5], b"second", stackHeight=2), instruction(3, [], b"x")]},
                {"index": 0, "instructions": [instruction(3, [], b"y")]},
            ],
        },
        "transaction": {
            "signatures": [base58(SIGNATURE)],
            "message": {
                "accountKeys": [base58(key) for key in KEYS],
                "header": {"numRequiredSignatures": 1},
                "instructions": [
                    instruction(2, [0, 4], b"\0first"),
                    instruction(3, [1], b"z"),
                    instruction(2, [], b""),
                ],
                "recentBlockhash": base58(b"\x07" * 32),
            },
        },
    }
    return whole | changes


def without(whole: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = whole = deepcopy(whole)
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return whole


def changed(whole: dict[str, Any], value: Any, *path: str) -> dict[str, Any]:
    inner = whole = deepcopy(whole)
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return whole


def test_a_transaction_is_read_with_its_instructions_in_order_of_execution() -> None:
    found = transaction_of_rpc(answer(), PROGRAM_ID)
    assert (found.signature, found.slot, found.block_time, found.index_in_block) == (
        SIGNATURE,
        420,
        1_700_000_000,
        None,
    )
    assert (found.failed, found.logs) == (False, ("a", "b\nc"))
    assert found.instructions == (
        ChainInstruction(PROGRAM_ID, (KEYS[0], WRITABLE), b"\0first"),
        ChainInstruction(PROGRAM_ID, (READONLY,), b"second"),
        ChainInstruction(PROGRAM_ID, (), b""),
    )


def test_what_nodes_may_leave_out_may_be_missing_or_null() -> None:
    bare = answer()
    for path in (("blockTime",), ("version",), ("meta", "logMessages"), ("meta", "innerInstructions")):
        bare = without(bare, *path)
    found = transaction_of_rpc(bare, PROGRAM_ID)
    assert (found.block_time, found.logs, len(found.instructions)) == (None, None, 2)
    nulls = changed(changed(answer(blockTime=None), None, "meta", "logMessages"), None, "meta", "innerInstructions")
    assert transaction_of_rpc(nulls, PROGRAM_ID) == found


def test_a_legacy_transaction_has_no_loaded_addresses() -> None:
    legacy = changed(answer(), [instruction(2, [0], b"a")], "transaction", "message", "instructions")
    legacy["meta"] |= {"loadedAddresses": None, "innerInstructions": []}
    assert transaction_of_rpc(legacy, PROGRAM_ID).instructions == (ChainInstruction(PROGRAM_ID, (KEYS[0],), b"a"),)
    del legacy["meta"]["loadedAddresses"]
    assert len(transaction_of_rpc(legacy, PROGRAM_ID).instructions) == 1


@pytest.mark.parametrize("err", [{"InstructionError": [0, {"Custom": 6007}]}, "AccountInUse", {}])
def test_any_error_means_failed(err: object) -> None:
    assert transaction_of_rpc(changed(answer(), err, "meta", "err"), PROGRAM_ID).failed


@pytest.mark.parametrize("name", ["indexWithinBlock", "transactionIndex"])
def test_the_place_in_the_block_goes_by_either_name(name: str) -> None:
    assert transaction_of_rpc(answer(**{name: 0}), PROGRAM_ID).index_in_block == 0
    assert transaction_of_rpc(answer(**{name: None}), PROGRAM_ID).index_in_block is None


@pytest.mark.parametrize(
    ("malformed", "reason"),
    [
        (None, "not a transaction"),
        ([], "not a transaction"),
        (without(answer(), "slot"), "slot"),
        (answer(slot="7"), r"\$.slot"),
        (answer(slot=-1), r"\$.slot"),
        (answer(slot=2**63), r"\$.slot"),
        (answer(slot=True), r"\$.slot"),
        (answer(blockTime=1.5), r"\$.blockTime"),
        (answer(meta=None), r"\$.meta"),
        (answer(transaction=["AQAB", "base64"]), r"\$.transaction"),
        (without(answer(), "meta", "err"), "err"),
        (changed(answer(), ["a", 1], "meta", "logMessages"), r"logMessages\[1\]"),
        (changed(answer(), [], "transaction", "signatures"), "without signatures"),
        (changed(answer(), ["abc"], "transaction", "signatures"), "not base58 of 64 bytes"),
        (changed(answer(), ["abc"] * 6, "transaction", "message", "accountKeys"), "'abc' is not an address"),
        (changed(answer(), [base58(KEYS[0])], "transaction", "message", "accountKeys"), "account 3 of 3"),
        (changed(answer(), [instruction(9, [], b"")], "transaction", "message", "instructions"), "of 1"),
        (changed(answer(), [instruction(-1, [], b"")], "transaction", "message", "instructions"), "programIdIndex"),
        (
            changed(answer(), [{"index": 3, "instructions": []}], "meta", "innerInstructions"),
            "inner instructions of instruction 3, of 3",
        ),
    ],
)
def test_what_is_malformed_is_named(malformed: object, reason: str) -> None:
    with pytest.raises(UndecodableData, match=reason):
        transaction_of_rpc(malformed, PROGRAM_ID)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (instruction(2, [6], b""), "account 6 of 6"),
        (instruction(2, [], b"") | {"data": "0OIl"}, "'0' is not a base58 digit"),
        (instruction(2, [], b"") | {"data": "1" * 20_000}, "20000 characters"),
    ],
)
def test_a_malformed_instruction_of_ours_is_named(broken: dict[str, Any], reason: str) -> None:
    single = changed(answer(), [broken], "transaction", "message", "instructions")
    single["meta"]["innerInstructions"] = []
    with pytest.raises(UndecodableData, match=reason):
        transaction_of_rpc(single, PROGRAM_ID)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=12,
)
places = st.sampled_from(
    [
        ("slot",),
        ("blockTime",),
        ("indexWithinBlock",),
        ("meta",),
        ("meta", "err"),
        ("meta", "logMessages"),
        ("meta", "loadedAddresses"),
        ("meta", "innerInstructions"),
        ("transaction",),
        ("transaction", "signatures"),
        ("transaction", "message"),
        ("transaction", "message", "accountKeys"),
        ("transaction", "message", "instructions"),
    ]
)


@given(places, json_values)
def test_anything_anywhere_is_read_or_refused(place: tuple[str, ...], value: object) -> None:
    with suppress(UndecodableData):
        transaction_of_rpc(changed(answer(), value, *place), PROGRAM_ID)


@given(st.binary(max_size=300))
@example(b"\0\0\0")
@example(b"\0" * 31 + b"\xff")
@example(b"\xff" * 10_240)
def test_base58_is_read_at_any_length(data: bytes) -> None:
    assert base58_bytes(base58(data)) == data


@given(st.binary(min_size=64, max_size=64))
def test_signatures_are_read(data: bytes) -> None:
    assert signature_of(str(Signature.from_bytes(data))) == data
    assert base58_bytes(str(Signature.from_bytes(data))) == data


@given(st.binary(min_size=32, max_size=32))
def test_base58_agrees_with_solders(data: bytes) -> None:
    assert base58_bytes(str(Pubkey.from_bytes(data))) == data


@pytest.mark.parametrize("text", [None, 5, [], "", "abc", "0" * 88, "é" * 64, "1" * 100_000, "\ud800"])
def test_what_is_no_signature_is_refused(text: object) -> None:
    with pytest.raises(UndecodableData, match="the signature is not"):
        signature_of(text)
