"""Sending, simulating and looking up transactions over RPC."""

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized
from solana.rpc.core import RPCException
from solana.rpc.types import TxOpts
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, CompiledInstruction, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageAddressTableLookup, MessageHeader, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tests.localnet.rpc_harness import CONFIRMED, PROGRAM_ID, SEND, START_TIME, Devnet, running, wire
from zmart_lite.localnet.natives.addresses import MEMO_ID
from zmart_lite.localnet.params import encode_base58
from zmart_lite.models import Commitment


@pytest.fixture
async def devnet() -> AsyncIterator[Devnet]:
    async with running() as started:
        yield started


@pytest.fixture
async def client(devnet: Devnet) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(devnet.net.rpc_url, commitment=Confirmed) as found:
        yield found


def pay(devnet: Devnet, lamports: int) -> Instruction:
    return transfer(TransferParams(from_pubkey=devnet.alice.pubkey(), to_pubkey=devnet.bob.pubkey(), lamports=lamports))


def memo(text: bytes) -> Instruction:
    return Instruction(Pubkey(MEMO_ID), text, [])


@pytest.mark.parametrize("v0", [False, True])
async def test_send_confirm_and_read_back(devnet: Devnet, client: AsyncClient, v0: bool) -> None:
    transaction = devnet.transaction(set_compute_unit_price(1_000), pay(devnet, 5), memo(b"hi"), v0=v0)
    signature = (await client.send_transaction(transaction, TxOpts(preflight_commitment=Confirmed))).value
    assert signature == transaction.signatures[0]
    assert (await client.confirm_transaction(signature, Confirmed)).value[0].err is None  # type: ignore[union-attr]
    for encoding in ("json", "jsonParsed", "base64", "base58"):
        found = (await client.get_transaction(signature, encoding, max_supported_transaction_version=0)).value
        assert found is not None
        assert found.block_time == START_TIME
        assert found.transaction.meta is not None
        assert found.transaction.meta.err is None


async def test_base58_is_the_default_encoding(devnet: Devnet) -> None:
    transaction = devnet.transaction(pay(devnet, 5))
    config = {"preflightCommitment": "confirmed"}
    assert await devnet.call("sendTransaction", encode_base58(bytes(transaction)), config) == str(
        transaction.signatures[0]
    )
    error = await devnet.error("sendTransaction", wire(transaction), config)
    assert error["code"] == -32602


async def test_preflight_failure(devnet: Devnet, client: AsyncClient) -> None:
    market = devnet.create_market(1)
    await devnet.send(devnet.transaction(market))
    error = await devnet.error("sendTransaction", wire(devnet.transaction(market, memo(b"x"))), SEND)
    assert error["code"] == -32002
    assert error["message"] == (
        "Transaction simulation failed: Error processing Instruction 0: custom program error: 0x0"
    )
    data = error["data"]
    assert data["err"] == {"InstructionError": [0, {"Custom": 0}]}
    assert data["accounts"] is None
    assert data["unitsConsumed"] > 0
    assert data["logs"][-1].endswith("failed: custom program error: 0x0")
    with pytest.raises(RPCException):
        await client.send_transaction(devnet.transaction(market, memo(b"y")), TxOpts(preflight_commitment=Confirmed))


async def test_preflight_uses_the_asked_commitment(devnet: Devnet) -> None:
    transaction = devnet.transaction(pay(devnet, 5))
    await devnet.call("localnet_produceBlocks", 1)
    newer = devnet.transaction(pay(devnet, 6))
    error = await devnet.error("sendTransaction", wire(newer), {"encoding": "base64"})
    assert error["data"]["err"] == "BlockhashNotFound"
    assert error["message"] == "Transaction simulation failed: Blockhash not found"
    assert (error["data"]["logs"], error["data"]["unitsConsumed"]) == ([], 0)
    await devnet.send(transaction)


async def test_without_preflight_failures_land_and_what_cannot_land_vanishes(devnet: Devnet) -> None:
    failing = devnet.transaction(pay(devnet, 10**18))
    signature = await devnet.send(failing, skipPreflight=True)
    found = await devnet.call("getTransaction", signature, CONFIRMED)
    assert found["meta"]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert found["meta"]["status"] == {"Err": found["meta"]["err"]}
    assert found["meta"]["fee"] == 5_000
    stale = VersionedTransaction(
        Message.new_with_blockhash([pay(devnet, 1)], devnet.alice.pubkey(), Hash(b"\x09" * 32)), [devnet.alice]
    )
    unknown = await devnet.send(stale, skipPreflight=True)
    statuses = (await devnet.call("getSignatureStatuses", [signature, unknown]))["value"]
    assert statuses[0]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert statuses[1] is None


async def test_sending_again(devnet: Devnet) -> None:
    transaction = devnet.transaction(pay(devnet, 5))
    signature = await devnet.send(transaction)
    error = await devnet.error("sendTransaction", wire(transaction), SEND)
    assert error["message"] == "Transaction simulation failed: This transaction has already been processed"
    assert await devnet.send(transaction, skipPreflight=True) == signature
    assert (await devnet.call("getBalance", str(devnet.bob.pubkey()), CONFIRMED))["value"] == 1_000 * 10**9 + 5


async def test_wrong_signatures(devnet: Devnet) -> None:
    good = devnet.transaction(pay(devnet, 5))
    bad = VersionedTransaction.populate(good.message, [Signature.default()])
    error = await devnet.error("sendTransaction", wire(bad), SEND)
    assert (error["code"], error["data"]["err"]) == (-32002, "SignatureFailure")
    # Without the preflight nobody verifies before the answer, and the transaction never lands.
    assert await devnet.call("sendTransaction", wire(bad), SEND | {"skipPreflight": True}) == str(Signature.default())
    assert devnet.net.ledger.history.find(bytes(Signature.default())) is None
    assert (await devnet.error("sendTransaction", wire(VersionedTransaction.populate(good.message, [])), SEND))[
        "code"
    ] == -32602


def compiled(devnet: Devnet, keys: list[Pubkey], instruction: CompiledInstruction) -> VersionedTransaction:
    blockhash = Hash(devnet.net.ledger.bank(Commitment.CONFIRMED).blockhash)
    message = Message.new_with_compiled_instructions(1, 0, 1, keys, blockhash, [instruction])
    return VersionedTransaction.populate(message, [devnet.alice.sign_message(bytes(message))])


async def test_malformed_transactions(devnet: Devnet) -> None:
    alice, system = devnet.alice.pubkey(), Pubkey.default()
    bad = [
        b64encode(b"\x01\x02").decode(),
        b64encode(bytes(1_300)).decode(),
        "***",
        wire(compiled(devnet, [alice, system], CompiledInstruction(9, b"", b"\x00"))),
        wire(compiled(devnet, [alice, system], CompiledInstruction(1, b"", b"\x07"))),
    ]
    for text in bad:
        assert (await devnet.error("sendTransaction", text, SEND))["code"] == -32602
        assert (await devnet.error("simulateTransaction", text, {"encoding": "base64"}))["code"] == -32602


async def test_a_key_twice_is_an_error_of_the_transaction(devnet: Devnet) -> None:
    alice, system = devnet.alice.pubkey(), Pubkey.default()
    text = wire(compiled(devnet, [alice, alice, system], CompiledInstruction(2, b"", b"\x00")))
    assert (await devnet.call("simulateTransaction", text, {"encoding": "base64"}))["value"]["err"] == (
        "AccountLoadedTwice"
    )
    error = await devnet.error("sendTransaction", text, SEND)
    assert (error["code"], error["data"]["err"]) == (-32002, "AccountLoadedTwice")


async def test_a_landed_transaction_simulates_anew_with_another_blockhash(devnet: Devnet) -> None:
    transaction = devnet.transaction(pay(devnet, 5))
    await devnet.send(transaction)
    config = {"encoding": "base64", "commitment": "processed"}
    seen = (await devnet.call("simulateTransaction", wire(transaction), config))["value"]
    assert seen["err"] == "AlreadyProcessed"
    devnet.net.ledger.seal_block()
    config["replaceRecentBlockhash"] = True  # type: ignore[assignment]
    seen = (await devnet.call("simulateTransaction", wire(transaction), config))["value"]
    assert seen["err"] is None


async def test_lookup_tables_are_refused_clearly(devnet: Devnet) -> None:
    lookup = MessageAddressTableLookup(Pubkey.new_unique(), b"\x00", b"")
    message = MessageV0(
        MessageHeader(1, 0, 1),
        [devnet.alice.pubkey(), Pubkey.default()],
        Hash(devnet.net.ledger.bank(Commitment.CONFIRMED).blockhash),
        [CompiledInstruction(1, b"", b"\x00")],
        [lookup],
    )
    text = wire(VersionedTransaction(message, [devnet.alice]))
    for config in (SEND, SEND | {"skipPreflight": True}):
        error = await devnet.error("sendTransaction", text, config)
        assert error["code"] == -32602
        assert error["message"] == (
            "invalid transaction: Transaction loads an address table account that doesn't exist"
        )


async def test_airdrops(devnet: Devnet, client: AsyncClient) -> None:
    target = Keypair().pubkey()
    first = (await client.request_airdrop(target, 10**9)).value
    second = (await client.request_airdrop(target, 10**9)).value
    assert first != second
    assert (await client.get_balance(target)).value == 2 * 10**9
    assert (await devnet.error("requestAirdrop", str(target), 2**63))["message"].startswith("airdrop refused")


async def test_fee_for_message(devnet: Devnet, client: AsyncClient) -> None:
    transaction = devnet.transaction(set_compute_unit_limit(1_000_000), set_compute_unit_price(7), pay(devnet, 1))
    message = transaction.message
    assert isinstance(message, Message)
    assert (await client.get_fee_for_message(message)).value == 5_007
    encoded = b64encode(bytes(message)).decode()
    assert (await devnet.call("getFeeForMessage", encoded, CONFIRMED))["value"] == 5_007
    unknown = Message.new_with_blockhash([pay(devnet, 1)], devnet.alice.pubkey(), Hash(b"\x09" * 32))
    assert (await devnet.call("getFeeForMessage", b64encode(bytes(unknown)).decode()))["value"] is None
    assert (await devnet.error("getFeeForMessage", "AAAA"))["code"] == -32602


async def test_recent_prioritization_fees(devnet: Devnet) -> None:
    await devnet.send(devnet.transaction(set_compute_unit_price(500), pay(devnet, 1)))
    alice, carol = str(devnet.alice.pubkey()), str(devnet.net.wallets[2].pubkey())
    rows = await devnet.call("getRecentPrioritizationFees", [alice])
    assert rows[-1] == {"prioritizationFee": 500, "slot": await devnet.call("getSlot", CONFIRMED)}
    assert {row["prioritizationFee"] for row in rows[:-1]} == {0}
    assert (await devnet.call("getRecentPrioritizationFees", [carol]))[-1]["prioritizationFee"] == 500
    assert len(await devnet.call("getRecentPrioritizationFees")) == len(rows)


async def test_simulation(devnet: Devnet, client: AsyncClient) -> None:
    transaction = devnet.transaction(devnet.create_market(1))
    found = (await client.simulate_transaction(transaction)).value
    assert found.err is None
    assert found.logs is not None
    assert found.logs[1] == "Program log: Instruction: CreateMarket"
    market = str(Pubkey(devnet.net.codec.market_address(b"\x01" * 32)))
    config = CONFIRMED | {
        "encoding": "base64",
        "innerInstructions": True,
        "accounts": {"encoding": "base64", "addresses": [market, "1" * 31 + "2", str(devnet.bob.pubkey())]},
    }
    value = (await devnet.call("simulateTransaction", wire(transaction), config))["value"]
    assert value["accounts"][0]["owner"] == str(Pubkey(PROGRAM_ID))
    assert value["accounts"][1] is None
    assert value["accounts"][2]["lamports"] == 1_000 * 10**9
    assert value["innerInstructions"][0]["instructions"][0]["parsed"]["type"] == "createAccount"
    assert (await devnet.call("getAccountInfo", market, CONFIRMED))["value"] is None


async def test_simulation_without_blockhash_or_signature(devnet: Devnet) -> None:
    message = Message.new_with_blockhash([pay(devnet, 5)], devnet.alice.pubkey(), Hash.default())
    unsigned = wire(VersionedTransaction.populate(message, [Signature.default()]))
    base = CONFIRMED | {"encoding": "base64"}
    assert (await devnet.call("simulateTransaction", unsigned, base))["value"]["err"] == "BlockhashNotFound"
    replaced = (await devnet.call("simulateTransaction", unsigned, base | {"replaceRecentBlockhash": True}))["value"]
    assert replaced["err"] is None
    assert set(replaced["replacementBlockhash"]) == {"blockhash", "lastValidBlockHeight"}
    checked = (await devnet.call("simulateTransaction", unsigned, base | {"sigVerify": True}))["value"]
    assert checked["err"] == "SignatureFailure"
    both = base | {"sigVerify": True, "replaceRecentBlockhash": True}
    assert (await devnet.error("simulateTransaction", unsigned, both))["code"] == -32602


async def test_simulation_of_a_failure(devnet: Devnet) -> None:
    config = CONFIRMED | {"encoding": "base64", "accounts": {"addresses": [str(devnet.bob.pubkey())]}}
    value = (await devnet.call("simulateTransaction", wire(devnet.transaction(pay(devnet, 10**18))), config))["value"]
    assert value["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert value["accounts"] == [None]


async def test_statuses_rise_and_leave_the_recent_window(devnet: Devnet, client: AsyncClient) -> None:
    devnet.net.ledger.paused = True
    signature = await devnet.send(devnet.transaction(pay(devnet, 5)))
    seen = []
    for blocks in (1, 31, 200):
        (row,) = (await devnet.call("getSignatureStatuses", [signature]))["value"]
        seen.append((row["confirmationStatus"], row["confirmations"]))
        await devnet.call("localnet_produceBlocks", blocks)
    assert seen == [("processed", 0), ("confirmed", 1), ("finalized", None)]
    assert (await devnet.call("getSignatureStatuses", [signature]))["value"] == [None]
    whole = await client.get_signature_statuses([Signature.from_string(signature)], search_transaction_history=True)
    assert whole.value[0] is not None


async def test_history_pages(devnet: Devnet, client: AsyncClient) -> None:
    bob = str(devnet.bob.pubkey())
    sent = [await devnet.send(devnet.transaction(pay(devnet, n), memo(b"n%d" % n))) for n in range(1, 6)]
    sent.append(await devnet.send(devnet.transaction(pay(devnet, 10**18)), skipPreflight=True))
    newest_first = list(reversed(sent))
    rows = await devnet.call("getSignaturesForAddress", bob, CONFIRMED)
    assert [row["signature"] for row in rows] == newest_first
    assert rows[0]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert rows[0]["memo"] is None
    assert (rows[1]["memo"], rows[1]["blockTime"], rows[1]["confirmationStatus"]) == ("[2] n5", START_TIME, "confirmed")

    async def page(**config: Any) -> list[str]:
        return [row["signature"] for row in await devnet.call("getSignaturesForAddress", bob, CONFIRMED | config)]

    assert await page(limit=2) == newest_first[:2]
    assert await page(before=newest_first[1]) == newest_first[2:]
    assert await page(until=newest_first[3]) == newest_first[:3]
    assert await page(before=newest_first[0], until=newest_first[3], limit=1) == newest_first[1:2]
    typed = (await client.get_signatures_for_address(devnet.bob.pubkey(), limit=3)).value
    assert [str(each.signature) for each in typed] == newest_first[:3]
    assert (await client.get_signatures_for_address(devnet.bob.pubkey(), commitment=Finalized)).value == []


async def test_places_within_a_block(devnet: Devnet) -> None:
    devnet.net.ledger.paused = True
    sent = [await devnet.send(devnet.transaction(pay(devnet, number))) for number in range(1, 4)]
    await devnet.call("localnet_produceBlocks", 1)
    rows = await devnet.call("getSignaturesForAddress", str(devnet.bob.pubkey()), CONFIRMED)
    assert [(row["signature"], row["transactionIndex"]) for row in rows] == [(sent[n], n) for n in (2, 1, 0)]
    assert (await devnet.call("getTransaction", sent[1], CONFIRMED))["transactionIndex"] == 1


async def test_transaction_visibility_by_commitment(devnet: Devnet) -> None:
    signature = await devnet.send(devnet.transaction(pay(devnet, 5)))
    assert await devnet.call("getTransaction", signature) is None
    assert await devnet.call("getTransaction", str(Signature(b"\x05" * 64)), CONFIRMED) is None
    assert (await devnet.error("getTransaction", signature, {"commitment": "processed"}))["code"] == -32602
    await devnet.call("localnet_produceBlocks", 31)
    assert (await devnet.call("getTransaction", signature, "base64"))["transaction"][1] == "base64"


async def test_versions_must_be_asked_for(devnet: Devnet) -> None:
    signature = await devnet.send(devnet.transaction(pay(devnet, 5), v0=True))
    error = await devnet.error("getTransaction", signature, CONFIRMED)
    assert error["code"] == -32015
    slot = await devnet.call("getSlot", CONFIRMED)
    assert (await devnet.error("getBlock", slot, CONFIRMED))["code"] == -32015
    found = await devnet.call("getTransaction", signature, CONFIRMED | {"maxSupportedTransactionVersion": 0})
    assert found["version"] == 0
    assert found["transaction"]["message"]["addressTableLookups"] == []
    legacy = await devnet.send(devnet.transaction(pay(devnet, 6)))
    assert "version" not in await devnet.call("getTransaction", legacy, CONFIRMED)


async def test_json_shapes(devnet: Devnet) -> None:
    signature = await devnet.send(devnet.transaction(devnet.create_market(1), memo(b"hello")))
    found = await devnet.call("getTransaction", signature, CONFIRMED)
    message, meta = found["transaction"]["message"], found["meta"]
    assert message["header"] == {
        "numReadonlySignedAccounts": 0,
        "numReadonlyUnsignedAccounts": 4,
        "numRequiredSignatures": 1,
    }
    instruction = message["instructions"][0]
    assert set(instruction) == {"accounts", "data", "programIdIndex", "stackHeight"}
    assert message["accountKeys"][instruction["programIdIndex"]] == str(Pubkey(PROGRAM_ID))
    inner = meta["innerInstructions"][0]["instructions"][0]
    assert (meta["innerInstructions"][0]["index"], inner["stackHeight"]) == (0, 2)
    assert len(meta["preBalances"]) == len(meta["postBalances"]) == len(message["accountKeys"])
    assert sum(meta["preBalances"]) - sum(meta["postBalances"]) == meta["fee"] == 5_000
    assert meta["loadedAddresses"] == {"readonly": [], "writable": []}
    assert meta["logMessages"][1] == "Program log: Instruction: CreateMarket"
    assert meta["rewards"] == meta["preTokenBalances"] == meta["postTokenBalances"] == []

    parsed = await devnet.call("getTransaction", signature, CONFIRMED | {"encoding": "jsonParsed"})
    message = parsed["transaction"]["message"]
    assert message["accountKeys"][0] == {
        "pubkey": str(devnet.alice.pubkey()),
        "signer": True,
        "source": "transaction",
        "writable": True,
    }
    assert "parsed" not in message["instructions"][0]
    assert message["instructions"][1] | {"programId": 0} == {
        "parsed": "hello",
        "program": "spl-memo",
        "programId": 0,
        "stackHeight": 1,
    }
    created = parsed["meta"]["innerInstructions"][0]["instructions"][0]["parsed"]
    assert created["type"] == "createAccount"
    assert created["info"]["space"] == 488
    raw = await devnet.call("getTransaction", signature, CONFIRMED | {"encoding": "base64"})
    assert VersionedTransaction.from_bytes(b64decode(raw["transaction"][0])).signatures[0] == Signature.from_string(
        signature
    )


def system(kind: int, *parts: int | bytes) -> bytes:
    body = b"".join(part if isinstance(part, bytes) else part.to_bytes(8, "little") for part in parts)
    return kind.to_bytes(4, "little") + body


SEED = (4).to_bytes(8, "little") + b"seed"


@pytest.mark.parametrize(
    ("data", "kind", "fields"),
    [
        (system(0, 5, 6, bytes(32)), "createAccount", {"source", "newAccount", "lamports", "space", "owner"}),
        (system(1, bytes(32)), "assign", {"account", "owner"}),
        (system(2, 5), "transfer", {"source", "destination", "lamports"}),
        (
            system(3, bytes(32), SEED, 5, 6, bytes(32)),
            "createAccountWithSeed",
            {"source", "newAccount", "base", "seed", "lamports", "space", "owner"},
        ),
        (system(8, 5), "allocate", {"account", "space"}),
        (system(9, bytes(32), SEED, 5, bytes(32)), "allocateWithSeed", {"account", "base", "seed", "space", "owner"}),
        (system(10, bytes(32), SEED, bytes(32)), "assignWithSeed", {"account", "base", "seed", "owner"}),
        (
            system(11, 5, SEED, bytes(32)),
            "transferWithSeed",
            {"source", "sourceBase", "destination", "lamports", "sourceSeed", "sourceOwner"},
        ),
        (system(4, 5), None, set()),
        (b"\x02", None, set()),
    ],
)
async def test_system_instructions_are_parsed(devnet: Devnet, data: bytes, kind: str | None, fields: set[str]) -> None:
    metas = [AccountMeta(wallet.pubkey(), False, True) for wallet in devnet.net.wallets[1:4]]
    transaction = devnet.transaction(Instruction(Pubkey.default(), data, metas))
    signature = await devnet.send(transaction, skipPreflight=True)
    found = await devnet.call("getTransaction", signature, CONFIRMED | {"encoding": "jsonParsed"})
    (instruction,) = found["transaction"]["message"]["instructions"]
    if kind is None:
        assert "parsed" not in instruction
    else:
        assert instruction["program"] == "system"
        assert instruction["parsed"]["type"] == kind
        assert set(instruction["parsed"]["info"]) == fields
