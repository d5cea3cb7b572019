"""Version-1 transactions in a devnet: sent, executed, shown, delivered, kept."""

from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from solders.compute_budget import set_compute_unit_limit
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from tests.localnet import version_one
from tests.localnet.chain_harness import payment
from tests.localnet.rpc_harness import CONFIRMED, PROGRAM_ID, SEND, Devnet, running
from tests.localnet.version_one import ENOUGH
from zmart_lite.chain.transactions import transaction_of_rpc
from zmart_lite.chain.webhook import parse_payload
from zmart_lite.localnet.helius_payloads import encode_delivery, enhanced_item
from zmart_lite.localnet.natives.addresses import MEMO_ID
from zmart_lite.localnet.params import decode_base58, encode_base58
from zmart_lite.models import Commitment

NEWEST = CONFIRMED | {"maxSupportedTransactionVersion": 1}


@pytest.fixture
async def devnet() -> AsyncIterator[Devnet]:
    async with running() as found:
        yield found


def encoded(devnet: Devnet, *instructions: Instruction, **config: int) -> str:
    blockhash = devnet.net.ledger.bank(Commitment.CONFIRMED).blockhash
    return b64encode(version_one.signed([devnet.alice], instructions, blockhash, **config)).decode()


async def send(devnet: Devnet, *instructions: Instruction, **config: int) -> str:
    return str(await devnet.call("sendTransaction", encoded(devnet, *instructions, **config), SEND))


async def refusal(devnet: Devnet, *instructions: Instruction, **config: int) -> dict[str, Any]:
    return await devnet.error("sendTransaction", encoded(devnet, *instructions, **config), SEND)


def to_bob(devnet: Devnet, lamports: int = 5) -> Instruction:
    return payment(lamports, devnet.alice, devnet.bob)


def memo(size: int) -> Instruction:
    return Instruction(Pubkey(MEMO_ID), b"m" * size, [])


async def test_it_is_executed_and_shown_to_who_can_read_it(devnet: Devnet) -> None:
    signature = await send(devnet, devnet.create_market(1), priority_fee=123, **ENOUGH)
    for config in (CONFIRMED, CONFIRMED | {"maxSupportedTransactionVersion": 0}):
        error = await devnet.error("getTransaction", signature, config)
        assert error["code"] == -32015
        assert error["message"].startswith("Transaction version (1) is not supported by the requesting client.")
        assert error["message"].endswith('"maxSupportedTransactionVersion": 1')
    slot = await devnet.call("getSlot", CONFIRMED)
    assert (await devnet.error("getBlock", slot, CONFIRMED))["code"] == -32015
    block = await devnet.call("getBlock", slot, NEWEST)
    found = await devnet.call("getTransaction", signature, NEWEST)
    assert found["version"] == block["transactions"][0]["version"] == 1
    message = found["transaction"]["message"]
    assert "addressTableLookups" not in message
    assert message["transactionConfig"] == {
        "computeUnitLimit": 200_000,
        "heapSize": None,
        "loadedAccountsDataSizeLimit": 100_000,
        "priorityFee": 123,
    }
    parsed = await devnet.call("getTransaction", signature, NEWEST | {"encoding": "jsonParsed"})
    assert parsed["transaction"]["message"]["transactionConfig"] == message["transactionConfig"]
    assert found["meta"]["fee"] == 5_000 + 123
    assert found["meta"]["err"] is None
    ours = transaction_of_rpc(found, PROGRAM_ID)
    assert [each.program_id for each in ours.instructions] == [PROGRAM_ID]
    raw = await devnet.call("getTransaction", signature, NEWEST | {"encoding": "base64"})
    assert raw["transaction"][0].startswith("gQ")


async def test_webhooks_tell_of_it(devnet: Devnet) -> None:
    signature = await send(devnet, devnet.create_market(2), **ENOUGH)
    landed = devnet.net.ledger.history.find(decode_base58(signature))
    assert landed is not None
    (item,) = parse_payload(encode_delivery([landed], enhanced=False), PROGRAM_ID)
    assert (item.kind, item.error) == ("raw", None)
    assert item.transaction is not None
    assert item.transaction.logs == landed.meta.logs
    assert enhanced_item(landed)["signature"] == signature


async def test_it_gets_nothing_that_it_did_not_ask_for(devnet: Devnet) -> None:
    error = await refusal(devnet, to_bob(devnet))
    assert error["data"]["err"] == "MaxLoadedAccountsDataSizeExceeded"
    error = await refusal(devnet, to_bob(devnet), loaded=100_000)
    assert error["data"]["err"] == {"InstructionError": [0, "ComputationalBudgetExceeded"]}
    # A price and a limit that are instructions count for nothing, and do no harm.
    error = await refusal(devnet, set_compute_unit_limit(1_000), to_bob(devnet), loaded=100_000)
    assert error["data"]["err"] == {"InstructionError": [0, "ComputationalBudgetExceeded"]}
    odd = Instruction(Pubkey.from_string("ComputeBudget111111111111111111111111111111"), b"\xff", [])
    signature = await send(devnet, odd, odd, to_bob(devnet), **ENOUGH)
    assert (await devnet.call("getTransaction", signature, NEWEST))["meta"]["err"] is None


async def test_it_may_be_longer_than_a_packet_in_base64(devnet: Devnet) -> None:
    signature = await send(devnet, memo(3_700), **ENOUGH | {"units": 1_400_000})
    assert (await devnet.call("getTransaction", signature, NEWEST))["meta"]["err"] is None
    error = await refusal(devnet, memo(4_000), **ENOUGH)
    assert error["message"].startswith(
        "base64 encoded solana_transaction::versioned::VersionedTransaction too large: 5"
    )
    assert error["message"].endswith("(max: encoded/raw 5464/4096)")
    long = version_one.signed([devnet.alice], [memo(1_200)], bytes(32), **ENOUGH)
    error = await devnet.error("sendTransaction", encode_base58(long))
    assert error["message"].endswith("(max: encoded/raw 1683/1232)")


async def test_what_is_beyond_its_limits_is_refused(devnet: Devnet) -> None:
    error = await refusal(devnet, to_bob(devnet), heap=1_000, **ENOUGH)
    assert (error["code"], "failed to sanitize" in error["message"]) == (-32602, True)
    error = await devnet.error("sendTransaction", b64encode(b"\x81" + bytes(30)).decode(), SEND)
    assert error["message"].startswith(
        "failed to deserialize solana_transaction::versioned::VersionedTransaction: it ends after 31 bytes"
    )
    whole = version_one.signed([devnet.alice], [to_bob(devnet)], bytes(32), **ENOUGH)
    wrong = b64encode(whole[:-1] + bytes([whole[-1] ^ 1])).decode()
    assert (await devnet.error("sendTransaction", wrong, SEND))["data"]["err"] == "SignatureFailure"


async def test_its_fee_is_told_before(devnet: Devnet) -> None:
    blockhash = devnet.net.ledger.bank(Commitment.CONFIRMED).blockhash
    text = version_one.message(devnet.alice.pubkey(), [to_bob(devnet)], blockhash, priority_fee=77, units=9)
    assert (await devnet.call("getFeeForMessage", b64encode(text).decode(), CONFIRMED))["value"] == 5_077
    account = AccountMeta(devnet.bob.pubkey(), False, True)
    await send(
        devnet, Instruction(Pubkey(MEMO_ID), b"", []), to_bob(devnet), priority_fee=50, units=100_000, loaded=10_000
    )
    fees = await devnet.call("getRecentPrioritizationFees", [str(account.pubkey)])
    assert max(each["prioritizationFee"] for each in fees) == 500  # micro-lamports for each of the 100,000 units


async def test_it_is_still_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    async with running(ledger_path=path) as devnet:
        signature = await send(devnet, to_bob(devnet), **ENOUGH)
        before = await devnet.call("getTransaction", signature, NEWEST)
    async with running(ledger_path=path) as devnet:
        assert await devnet.call("getTransaction", signature, NEWEST) == before
