"""Every field of the release's types is there, and its texts are the release's."""

from base64 import b64encode
from collections.abc import AsyncIterator

import pytest
from solders.message import Message
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tests.localnet.rpc_harness import CONFIRMED, SEND, Devnet, running, wire
from zmart_lite.localnet.params import encode_base58

FIELDS = {
    "accounts",
    "err",
    "fee",
    "innerInstructions",
    "loadedAccountsDataSize",
    "loadedAddresses",
    "logs",
    "postBalances",
    "postTokenBalances",
    "preBalances",
    "preTokenBalances",
    "replacementBlockhash",
    "returnData",
    "unitsConsumed",
}
"""Of ``RpcSimulateTransactionResult`` (solana-rpc-client-types 3.0.10)."""
TRANSACTION_TYPE = "solana_transaction::versioned::VersionedTransaction"
SIMULATE = CONFIRMED | {"encoding": "base64"}


@pytest.fixture
async def devnet() -> AsyncIterator[Devnet]:
    async with running() as started:
        yield started


def payment(devnet: Devnet, lamports: int) -> VersionedTransaction:
    terms = TransferParams(from_pubkey=devnet.alice.pubkey(), to_pubkey=devnet.bob.pubkey(), lamports=lamports)
    return devnet.transaction(transfer(terms))


async def test_a_simulation_tells_fee_and_balances(devnet: Devnet) -> None:
    value = (await devnet.call("simulateTransaction", wire(payment(devnet, 7)), SIMULATE))["value"]
    assert set(value) == FIELDS
    alice, bob = value["preBalances"][:2]
    assert value["postBalances"][:2] == [alice - 7 - 5_000, bob + 7]
    assert (value["fee"], value["preTokenBalances"], value["postTokenBalances"]) == (5_000, [], [])
    assert value["loadedAddresses"] == {"readonly": [], "writable": []}
    assert value["replacementBlockhash"] is None


async def test_a_failed_simulation_and_a_failed_preflight_have_the_same_fields(devnet: Devnet) -> None:
    failing = wire(payment(devnet, 10**18))
    value = (await devnet.call("simulateTransaction", failing, SIMULATE))["value"]
    assert set(value) == FIELDS
    assert value["postBalances"] == [value["preBalances"][0] - 5_000, *value["preBalances"][1:]]
    data = (await devnet.error("sendTransaction", failing, SEND))["data"]
    assert set(data) == FIELDS
    assert data["err"] == value["err"]
    assert {name: data[name] for name in ("fee", "preBalances", "postTokenBalances", "loadedAddresses")} == {
        "fee": None, "preBalances": None, "postTokenBalances": None, "loadedAddresses": None,
    }  # fmt: skip
    assert data["loadedAccountsDataSize"] == value["loadedAccountsDataSize"]


async def test_what_would_not_even_land_has_no_balances(devnet: Devnet) -> None:
    message = Message.new_with_blockhash(
        [], devnet.alice.pubkey(), devnet.transaction().message.recent_blockhash.default()
    )
    unknown = VersionedTransaction(message, [devnet.alice])
    value = (await devnet.call("simulateTransaction", wire(unknown), SIMULATE))["value"]
    assert (value["err"], value["fee"], value["preBalances"]) == ("BlockhashNotFound", None, None)
    assert set(value) == FIELDS


async def test_accounts_of_a_simulation(devnet: Devnet) -> None:
    sent, bob = wire(payment(devnet, 7)), str(devnet.bob.pubkey())
    for encoding in ("base58", "binary"):
        asked = SIMULATE | {"accounts": {"addresses": [bob], "encoding": encoding}}
        error = await devnet.error("simulateTransaction", sent, asked)
        assert (error["code"], error["message"]) == (-32602, "base58 encoding not supported")
    many = SIMULATE | {"accounts": {"addresses": [bob] * 4}}
    error = await devnet.error("simulateTransaction", sent, many)
    assert error["message"] == "Too many accounts provided; max 3"
    parsed = SIMULATE | {"accounts": {"addresses": [bob] * 3, "encoding": "jsonParsed"}}
    rows = (await devnet.call("simulateTransaction", sent, parsed))["value"]["accounts"]
    assert [row["data"] for row in rows] == [["", "base64"]] * 3


async def test_a_transfer_costs_its_block_what_it_costs_on_a_cluster(devnet: Devnet) -> None:
    signature = await devnet.send(payment(devnet, 7))
    meta = (await devnet.call("getTransaction", signature, CONFIRMED))["meta"]
    # 720 for the signature, 300 for each of two write locks, 3 for 12 bytes of data, 8 for a page of accounts.
    assert (meta["computeUnitsConsumed"], meta["costUnits"]) == (150, 1_481)
    assert meta["loadedAddresses"] == {"readonly": [], "writable": []}
    parsed = (await devnet.call("getTransaction", signature, CONFIRMED | {"encoding": "jsonParsed"}))["meta"]
    assert set(meta) - set(parsed) == {"loadedAddresses"}


async def test_rewards_are_told_as_they_were_asked_for(devnet: Devnet) -> None:
    signature = await devnet.send(payment(devnet, 7))
    slot = (await devnet.call("getTransaction", signature, CONFIRMED))["slot"]
    for details in ("full", "accounts"):
        for asked, told in ((True, []), (False, None)):
            config = CONFIRMED | {"transactionDetails": details, "rewards": asked}
            block = await devnet.call("getBlock", slot, config)
            assert [row["meta"]["rewards"] for row in block["transactions"]] == [told]
            assert ("rewards" in block) is asked


@pytest.mark.parametrize(
    ("encoding", "text", "message"),
    [
        (
            "base58",
            "1" * 1_684,
            f"base58 encoded {TRANSACTION_TYPE} too large: 1684 bytes (max: encoded/raw 1683/1232)",
        ),
        (
            "base64",
            "A" * 1_648,
            f"base64 encoded {TRANSACTION_TYPE} too large: 1648 bytes (max: encoded/raw 1644/1232)",
        ),
        (
            "base64",
            b64encode(bytes(1_233)).decode(),
            f"decoded {TRANSACTION_TYPE} too large: 1233 bytes (max: 1232 bytes)",
        ),
        ("base58", encode_base58(bytes(1_233)), f"decoded {TRANSACTION_TYPE} too large: 1233 bytes (max: 1232 bytes)"),
    ],
)
async def test_what_is_too_long_is_told_as_it_was_read(devnet: Devnet, encoding: str, text: str, message: str) -> None:
    error = await devnet.error("sendTransaction", text, SEND | {"encoding": encoding})
    assert (error["code"], error["message"]) == (-32602, message)


async def test_a_message_out_of_range_is_named_without_a_suffix(devnet: Devnet) -> None:
    whole = bytearray(bytes(payment(devnet, 7)))
    whole[-15] = 9  # the second account of the only instruction: after it come the length and 12 bytes of data
    error = await devnet.error("simulateTransaction", b64encode(whole).decode(), SIMULATE)
    assert error == {
        "code": -32602,
        "message": "invalid transaction: Transaction failed to sanitize accounts offsets correctly",
    }
