"""Webhook deliveries: credentials, the three kinds of items, and what one bad item does to the others: nothing."""

import hashlib
import hmac
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.signature import Signature

from zmart_lite.chain import webhook
from zmart_lite.chain.webhook import WebhookItem, is_authentic, parse_payload
from zmart_lite.errors import BadRequest

PROGRAM_ID = b"\x09" * 32
SIGNATURE = b"\x05" * 64
SIGNATURE_TEXT = str(Signature.from_bytes(SIGNATURE))
SECRETS = ["a long random secret", "the next one"]
BODY = b'[{"slot": 1}]'


def raw(**changes: Any) -> dict[str, Any]:
    whole = {
        "slot": 7,
        "blockTime": 1_700_000_000,
        "indexWithinBlock": 12,
        "meta": {"err": None, "logMessages": ["x"], "innerInstructions": [], "loadedAddresses": None},
        "transaction": {"signatures": [SIGNATURE_TEXT], "message": {"accountKeys": [], "instructions": []}},
    }
    return whole | changes


def parsed(*items: Any) -> list[WebhookItem]:
    return parse_payload(json.dumps(items).encode(), PROGRAM_ID)


# Credentials


@pytest.mark.parametrize("secret", SECRETS)
def test_each_configured_secret_opens(secret: str) -> None:
    digest = hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest().encode()
    assert is_authentic(SECRETS, BODY, secret.encode(), None)
    assert is_authentic(SECRETS, BODY, None, digest)
    assert is_authentic(SECRETS, BODY, b"wrong", digest.upper())
    assert is_authentic(SECRETS, BODY, secret.encode(), b"wrong")
    assert not is_authentic(SECRETS, BODY + b" ", None, digest)


@pytest.mark.parametrize(
    "authorization", [None, b"", b"wrong", b"Bearer a long random secret", b"a long random secret ", b"\xff\xfe"]
)
def test_anything_else_does_not(authorization: bytes | None) -> None:
    assert not is_authentic(SECRETS, BODY, authorization, authorization)


def test_without_a_secret_nothing_opens() -> None:
    digest = hmac.new(b"", BODY, hashlib.sha256).hexdigest().encode()
    for secrets in ([], [""]):
        assert not is_authentic(secrets, BODY, b"", digest)
        assert not is_authentic(secrets, BODY, None, None)


# Kinds of items


def test_a_raw_item_carries_its_transaction() -> None:
    [item] = parsed(raw())
    assert (item.kind, item.signature, item.slot, item.failed, item.error) == ("raw", SIGNATURE, 7, False, None)
    assert item.transaction is not None
    assert (item.transaction.logs, item.transaction.index_in_block) == (("x",), 12)
    assert not item.needs_fetch


def test_a_raw_item_without_logs_has_to_be_fetched() -> None:
    [item] = parsed(raw(meta={"err": None}))
    assert item.transaction is not None
    assert item.needs_fetch


@pytest.mark.parametrize(
    ("text", "failed"),
    [({"transactionError": None}, False), ({"transactionError": {"InstructionError": [0, "x"]}}, True), ({}, None)],
)
def test_enhanced_and_nested_items_name_a_transaction_to_fetch(text: dict[str, Any], failed: bool | None) -> None:
    enhanced, nested = parsed(
        {"signature": SIGNATURE_TEXT, "slot": 9, "type": "UNKNOWN", "transaction": {}, **text},
        {"transaction": {"signature": SIGNATURE_TEXT}, "slot": 9, **text},
    )
    assert enhanced == WebhookItem("enhanced", SIGNATURE, 9, failed)
    assert nested == WebhookItem("nested", SIGNATURE, 9, failed)
    assert enhanced.needs_fetch


@pytest.mark.parametrize("slot", [None, "9", 9.5, True, -1, 2**63, [9]])
def test_a_slot_that_is_none_is_left_out(slot: Any) -> None:
    assert parsed({"signature": SIGNATURE_TEXT, "slot": slot})[0].slot is None


def test_one_object_is_a_delivery_of_one() -> None:
    [item] = parse_payload(b" \n" + json.dumps(raw()).encode() + b"\n", PROGRAM_ID)
    assert item.signature == SIGNATURE


def test_an_empty_delivery_is_fine() -> None:
    assert parse_payload(b"[]", PROGRAM_ID) == []
    assert parse_payload(b" [ ] ", PROGRAM_ID) == []


# Bad items


@pytest.mark.parametrize(
    ("bad", "kind", "signature", "reason"),
    [
        (5, "unknown", None, "not an object"),
        (None, "unknown", None, "not an object"),
        ([], "unknown", None, "not an object"),
        ({}, "unknown", None, "no signature"),
        ({"transaction": None}, "unknown", None, "no signature"),
        ({"signature": None}, "enhanced", None, "the signature is not a text"),
        ({"signature": "abc"}, "enhanced", None, "the signature is not base58 of 64 bytes"),
        ({"transaction": {"signature": 3}}, "nested", None, "the signature is not a text"),
        (raw(transaction={"signatures": []}), "raw", None, "the signature is not a text"),
        (raw(transaction={"signatures": {"0": "x"}}), "raw", None, "the signature is not a text"),
        (raw(transaction={"signatures": ["x"]}), "raw", None, "the signature is not base58 of 64 bytes"),
        (raw(meta=None), "raw", SIGNATURE, "not a transaction"),
        (raw(slot="7"), "raw", SIGNATURE, "not a transaction"),
        (raw(meta={"err": None, "logMessages": "x"}), "raw", SIGNATURE, "not a transaction"),
    ],
)
def test_a_bad_item_fails_alone(bad: Any, kind: str, signature: bytes | None, reason: str) -> None:
    first, item, last = parsed(raw(), bad, raw())
    assert (item.kind, item.signature, item.transaction) == (kind, signature, None)
    assert item.error is not None
    assert item.error.startswith(reason)
    assert item.needs_fetch == (signature is not None)
    assert first == last
    assert first.error is None


@pytest.mark.parametrize("text", ['{"a": 1e999}', '{"slot": ' + "9" * 5_000 + "}"])
def test_values_that_cannot_be_held_spoil_only_their_item(text: str) -> None:
    good = json.dumps(raw())
    first, item, last = parse_payload(f"[{good}, {text}, {good}]".encode(), PROGRAM_ID)
    assert item.kind == "unknown"
    assert item.error is not None
    assert first == last
    assert first.transaction is not None
    [alone] = parse_payload(text.encode(), PROGRAM_ID)
    assert alone == item


# Bad bodies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[",
        b"[}",
        b'[{"a": NaN}]',
        b"{'a': 1}",
        b"[1,]",
        b"\xff\xfe",
        b"\xef\xbb\xbf[]",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[] []",
        b"{} {}",
        b'[{"a": "\\ud800x"}]',
    ],
)
def test_what_is_not_json_is_refused_whole(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_payload(body, PROGRAM_ID)
    assert caught.value.reason == "malformed_json"


@pytest.mark.parametrize("body", [b"5", b'"text"', b"null", b"true", b"-0.5"])
def test_what_is_neither_object_nor_array_is_refused_whole(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_payload(body, PROGRAM_ID)
    assert caught.value.reason is None


def test_the_number_of_items_is_bounded() -> None:
    assert len(parse_payload(b"[" + b",".join([b"0"] * webhook.ITEMS_MAX) + b"]", PROGRAM_ID)) == webhook.ITEMS_MAX
    with pytest.raises(BadRequest, match="At most"):
        parse_payload(b"[" + b",".join([b"0"] * (webhook.ITEMS_MAX + 1)) + b"]", PROGRAM_ID)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(BadRequest):
        parse_payload(body, PROGRAM_ID)
