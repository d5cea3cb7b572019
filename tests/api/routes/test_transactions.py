"""Relaying: what is let through, how it ends, and that nothing is lost or sent twice."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction, VersionedTransaction

from tests.api.chain_node import HASH, TEXT, ChainNode, chain_node
from zmart_lite.api.instance import Api
from zmart_lite.chain import instructions
from zmart_lite.chain.rpc import RetryPolicy, Rpc
from zmart_lite.chain.transactions import BASE58_ALPHABET
from zmart_lite.config import Config
from zmart_lite.models import Commitment
from zmart_lite.ops import Background
from zmart_lite.store.state import relays


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ChainNode]:
    async with chain_node(tmp_path) as node:
        yield node


def blockhash(node: ChainNode) -> Hash:
    return Hash(node.net.ledger.bank(Commitment.CONFIRMED).blockhash)


def create(node: ChainNode, wallet: Keypair, number: int = 1) -> Instruction:
    return instructions.create_market(node.codec, bytes(wallet.pubkey()), bytes([number]) * 32, 10**11, 10**9, HASH)


def message(node: ChainNode, payer: Keypair, *called: Instruction) -> Message:
    return Message.new_with_blockhash(list(called), payer.pubkey(), blockhash(node))


def encoded(transaction: Transaction | VersionedTransaction) -> str:
    return base64.b64encode(bytes(transaction)).decode()


async def relay(node: ChainNode, transaction: str, **more: Any) -> Any:
    return await node.post("/api/transactions", {"transaction": transaction, **more})


def base58(raw: bytes) -> str:
    number, out = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        out = BASE58_ALPHABET[digit] + out
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + out


# What is let through


async def refused(node: ChainNode, transaction: str, **more: Any) -> str:
    """The message about the field ``transaction``."""
    answer = await relay(node, transaction, **more)
    assert answer.status_code == 400, answer.text
    (problem,) = answer.json()["details"]
    assert problem["field"] == "transaction"
    return str(problem["message"])


async def test_text_that_is_no_transaction(node: ChainNode) -> None:
    assert "base64" in await refused(node, "not base64!")
    assert "base58" in await refused(node, "0OIl", encoding="base58")
    assert "serialised" in await refused(node, "AAAA")
    assert "longer" in await refused(node, "A" * 5_000)
    assert "1233 bytes" in await refused(node, base64.b64encode(bytes(1_233)).decode())
    answer = await node.post("/api/transactions", {})
    assert [each["field"] for each in answer.json()["details"]] == ["transaction"]
    both = await relay(node, "AAAA", tx="BBBB")
    assert both.status_code == 400


async def test_only_known_programs(node: ChainNode) -> None:
    wallet = node.net.wallets[0]
    stranger = Instruction(Pubkey.new_unique(), b"", [])
    sent = Transaction([wallet], message(node, wallet, create(node, wallet), stranger), blockhash(node))
    assert "not relayed" in await refused(node, encoded(sent))


async def test_something_of_ours_has_to_be_in_it(node: ChainNode) -> None:
    wallet = node.net.wallets[0]
    payment = transfer(TransferParams(from_pubkey=wallet.pubkey(), to_pubkey=wallet.pubkey(), lamports=1))
    sent = Transaction([wallet], message(node, wallet, payment), blockhash(node))
    assert "no instruction of this program" in await refused(node, encoded(sent))
    unknown = Instruction(Pubkey(node.codec.program_id), b"unknown!", [])
    sent = Transaction([wallet], message(node, wallet, unknown), blockhash(node))
    assert "unknown instruction" in await refused(node, encoded(sent))


async def test_every_signature_has_to_be_good(node: ChainNode) -> None:
    wallet, other = node.net.wallets[:2]
    plain = message(node, wallet, create(node, wallet))
    assert "signature" in await refused(node, encoded(Transaction.new_unsigned(plain)))
    forged = VersionedTransaction.populate(plain, [other.sign_message(bytes(plain))])
    assert str(wallet.pubkey()) in await refused(node, encoded(forged))


async def test_lookup_tables_are_refused(node: ChainNode) -> None:
    from solders.address_lookup_table_account import AddressLookupTableAccount

    wallet = node.net.wallets[0]
    called = create(node, wallet)
    table = AddressLookupTableAccount(Pubkey.new_unique(), [Pubkey(node.codec.config_address())])
    versioned = MessageV0.try_compile(wallet.pubkey(), [called], [table], blockhash(node))
    assert "lookup" in await refused(node, encoded(VersionedTransaction(versioned, [wallet])))


async def test_what_wallets_add_is_let_through(node: ChainNode) -> None:
    """Version 0, with a memo and another budget than the node built."""
    wallet = node.net.wallets[0]
    memo = Instruction(
        Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"),
        b"hello",
        [AccountMeta(wallet.pubkey(), True, False)],
    )
    called = [set_compute_unit_limit(300_000), create(node, wallet), memo]
    versioned = MessageV0.try_compile(wallet.pubkey(), called, [], blockhash(node))
    answer = await relay(node, encoded(VersionedTransaction(versioned, [wallet])))
    assert answer.status_code == 200, answer.text
    assert answer.json()["market_id"] == (bytes([1]) * 32).hex()


# How it ends


async def test_confirmed_and_indexed_at_once(node: ChainNode) -> None:
    wallet = node.net.wallets[0]
    asked = (await node.post("/api/markets", TEXT, wallet)).json()
    for name in ("transaction", "signed_transaction", "signedTransaction", "tx"):
        answer = await node.post("/api/transactions", {name: node.signed(asked["transaction"], wallet)})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["status"], body["indexed"], body["err"]) == ("confirmed", True, None)
        assert body["market_id"] == asked["market_id"]
        assert [event["event_type"] for event in body["events"]] == ["MarketCreated"]
        assert body["explorer"] is None
    found = (await node.get(f"/api/transactions/{body['signature']}")).json()
    assert (found["status"], found["indexed"], found["program_error"]) == ("confirmed", True, None)
    assert found["events"] == body["events"]
    assert node.parts.metrics.registry.get_sample_value("zmart_events_received_total", {"source": "relay"}) >= 1


async def test_base58_is_another_spelling(node: ChainNode) -> None:
    wallet = node.net.wallets[0]
    sent = Transaction([wallet], message(node, wallet, create(node, wallet)), blockhash(node))
    assert (await relay(node, base58(bytes(sent)), encoding="BASE58")).status_code == 200


async def test_the_same_bytes_at_once_are_one_delivery(node: ChainNode) -> None:
    wallet = node.net.wallets[0]
    text = encoded(Transaction([wallet], message(node, wallet, create(node, wallet)), blockhash(node)))
    answers = await asyncio.gather(*(relay(node, text) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert len({answer.json()["slot"] for answer in answers}) == 1
    assert node.app.state.api.shared.deliveries == {}


async def test_waiting_for_nothing_and_for_finality(node: ChainNode) -> None:
    wallet = node.net.wallets[0]
    text = encoded(Transaction([wallet], message(node, wallet, create(node, wallet)), blockhash(node)))
    sent = await relay(node, text, wait="none")
    assert (sent.status_code, sent.json()["status"]) == (202, "sent")
    assert sent.json()["last_valid_block_height"] > 0
    assert (await relay(node, text)).status_code == 200
    waiting = asyncio.create_task(relay(node, text, wait="finalized"))
    confirmed = await relay(node, text)
    assert confirmed.json()["status"] == "confirmed"
    node.net.ledger.produce_blocks(10)
    assert (await waiting).json()["status"] == "finalized"
    again = await relay(node, text, wait="none")
    assert (again.status_code, again.json()["status"], again.json()["indexed"]) == (200, "finalized", True)


async def test_a_failing_simulation_is_never_sent(node: ChainNode) -> None:
    wallet = node.net.wallets[0]
    await node.land(create(node, wallet), wallet)
    again = Transaction([wallet], message(node, wallet, create(node, wallet)), blockhash(node))
    answer = await relay(node, encoded(again))
    assert (answer.status_code, answer.json()["reason"]) == (409, "simulation_failed")
    details = answer.json()["details"]
    assert details["program_error"] == {"name": "SystemAccountInUse", "number": 0, "instruction_index": 0}
    assert 0 < len(details["logs"]) <= 20
    signature = str(again.signatures[0])
    assert (await node.get(f"/api/transactions/{signature}")).status_code == 404


async def test_an_error_of_the_program_goes_by_its_name(node: ChainNode) -> None:
    wallet = node.net.wallets[0]
    await node.land(create(node, wallet), wallet)
    early = instructions.activate_market(node.codec, bytes([1]) * 32, bytes(wallet.pubkey()))
    answer = await relay(node, encoded(Transaction([wallet], message(node, wallet, early), blockhash(node))))
    failure = answer.json()["details"]["program_error"]
    assert failure == {"name": "InvalidStateTransition", "number": 6006, "instruction_index": 0}


async def test_an_old_blockhash_has_expired(node: ChainNode) -> None:
    wallet = node.net.wallets[0]
    text = encoded(Transaction([wallet], message(node, wallet, create(node, wallet)), blockhash(node)))
    node.net.ledger.produce_blocks(400)
    answer = await relay(node, text)
    assert (answer.status_code, answer.json()["reason"]) == (409, "blockhash_expired")


async def test_what_landed_long_ago_is_still_told(node: ChainNode) -> None:
    """The node never saw it: somebody else sent it, and its blockhash has expired since."""
    wallet = node.net.wallets[0]
    sent = Transaction([wallet], message(node, wallet, create(node, wallet)), blockhash(node))
    await node.parts.rpc.send_transaction(bytes(sent))
    node.net.ledger.produce_blocks(400)
    answer = await relay(node, encoded(sent))
    assert (answer.status_code, answer.json()["status"]) == (200, "finalized")
    assert answer.json()["indexed"] is True


async def test_landed_and_failed(node: ChainNode) -> None:
    """It fails between its simulation and its landing: another transaction of the same market comes first."""
    wallet = node.net.wallets[0]
    sent = Transaction([wallet], message(node, wallet, create(node, wallet)), blockhash(node))
    other = Transaction(
        [wallet], message(node, wallet, set_compute_unit_limit(500_000), create(node, wallet)), blockhash(node)
    )
    await node.parts.rpc.send_transaction(bytes(other))
    signature = bytes(sent.signatures[0])
    await node.parts.rpc.send_transaction(bytes(sent), skip_preflight=True)
    await node.store.write(lambda tx: relays.add_relay(tx, signature, 10**6))
    for wait in ("none", "confirmed"):
        answer = await relay(node, encoded(sent), wait=wait)
        assert (answer.status_code, answer.json()["reason"]) == (409, "transaction_failed"), wait
    details = answer.json()["details"]
    assert details["program_error"]["name"] == "SystemAccountInUse"
    assert (details["signature"], details["slot"] > 0) == (str(sent.signatures[0]), True)
    found = (await node.get(f"/api/transactions/{sent.signatures[0]}")).json()
    assert (found["status"], found["program_error"]["name"]) == ("failed", "SystemAccountInUse")
    assert found["err"] == {"InstructionError": [0, {"Custom": 0}]}


# Crashes and outages


class Lossy(Rpc):
    """A node of the cluster that takes transactions and loses them."""

    async def send_transaction(self, raw: bytes, **_: Any) -> bytes:
        return bytes(VersionedTransaction.from_bytes(raw).signatures[0])


def restarted(node: ChainNode, rpc: Rpc) -> None:
    """The same database behind new parts, as after a crash: nothing is on its way any more."""
    parts = replace(node.parts, rpc=rpc, background=Background())
    api: Api = node.app.state.api
    node.app.attach(replace(api, parts=parts, shared=replace(api.shared, deliveries={})))


async def test_after_a_restart_the_same_call_goes_on(node: ChainNode) -> None:
    wallet, rpc = node.net.wallets[0], node.parts.rpc
    text = encoded(Transaction([wallet], message(node, wallet, create(node, wallet)), blockhash(node)))
    restarted(node, Lossy([node.net.rpc_url], RetryPolicy()))
    sent = await relay(node, text, wait="none")
    signature = sent.json()["signature"]
    assert (await node.get(f"/api/transactions/{signature}")).json()["status"] == "sent"
    await node.app.state.api.parts.background.stop()
    await node.app.state.api.parts.rpc.close()
    restarted(node, rpc)
    answer = await relay(node, text)
    assert (answer.status_code, answer.json()["signature"]) == (200, signature)


async def test_after_a_restart_an_expired_one_is_told_as_such(node: ChainNode) -> None:
    wallet, rpc = node.net.wallets[0], node.parts.rpc
    text = encoded(Transaction([wallet], message(node, wallet, create(node, wallet)), blockhash(node)))
    restarted(node, Lossy([node.net.rpc_url], RetryPolicy()))
    signature = (await relay(node, text, wait="none")).json()["signature"]
    await node.app.state.api.parts.background.stop()
    await node.app.state.api.parts.rpc.close()
    restarted(node, rpc)
    node.net.ledger.produce_blocks(400)
    assert (await node.get(f"/api/transactions/{signature}")).json()["status"] == "expired"
    for wait in ("none", "confirmed"):
        answer = await relay(node, text, wait=wait)
        assert (answer.status_code, answer.json()["reason"]) == (409, "blockhash_expired"), wait


async def test_without_the_cluster_only_what_is_stored_is_told(node: ChainNode) -> None:
    wallet, rpc = node.net.wallets[0], node.parts.rpc
    asked = (await node.post("/api/markets", TEXT, wallet)).json()
    relayed = (await node.relay(asked["transaction"], wallet)).json()
    gone = Rpc(["http://127.0.0.1:9"], RetryPolicy(attempts_max=1))
    restarted(node, gone)
    found = await node.get(f"/api/transactions/{relayed['signature']}")
    assert (found.json()["status"], found.json()["events"]) == ("confirmed", relayed["events"])
    unknown = str(Signature.from_bytes(bytes([9]) * 64))
    assert (await node.get(f"/api/transactions/{unknown}")).json()["reason"] == "rpc_unavailable"
    await gone.close()
    restarted(node, rpc)


@pytest.mark.parametrize("path", ["nonsense", "1" * 64, str(Signature.from_bytes(bytes([9]) * 64))])
async def test_unknown_transactions(node: ChainNode, path: str) -> None:
    assert (await node.get(f"/api/transactions/{path}")).status_code == 404


async def test_relays_are_limited(tmp_path: Path) -> None:
    limits = replace(Config().limits, relays_per_minute=2)
    async with chain_node(tmp_path, limits=limits) as node:
        codes = [(await relay(node, "AAAA")).status_code for _ in range(3)]
        assert codes == [400, 400, 429]
        own = await node.post("/api/transactions", {"transaction": "AAAA"}, node.net.wallets[0])
        assert own.status_code == 400, "a wallet has its own share"
