"""``localnet_impersonate``: transactions of addresses whose key nobody has, and that nobody else gains by it."""

from collections.abc import AsyncIterator

import pytest
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from tests.localnet import version_one
from tests.localnet.rpc_harness import CONFIRMED, SEND, Devnet, running, wire
from zmart_lite.localnet import devtools
from zmart_lite.localnet.methods_transactions import stand_in
from zmart_lite.localnet.transactions import read_transaction_bytes

WHALE = Pubkey(b"\x07" * 32)
SIMULATE = CONFIRMED | {"encoding": "base64", "sigVerify": True}


@pytest.fixture
async def devnet() -> AsyncIterator[Devnet]:
    async with running() as started:
        await started.call("localnet_setAccount", str(WHALE), {"lamports": 10**12})
        yield started


def unsigned(devnet: Devnet, lamports: int, payer: Pubkey = WHALE) -> VersionedTransaction:
    """The whale pays bob; where somebody else pays the fee, both have to sign."""
    terms = TransferParams(from_pubkey=WHALE, to_pubkey=devnet.bob.pubkey(), lamports=lamports)
    blockhash = devnet.transaction().message.recent_blockhash
    message = Message.new_with_blockhash([transfer(terms)], payer, blockhash)
    return VersionedTransaction.populate(message, [Signature.default()] * message.header.num_required_signatures)


async def balance(devnet: Devnet) -> int:
    found: int = (await devnet.call("getBalance", str(devnet.bob.pubkey()), CONFIRMED))["value"]
    return found


async def test_without_it_a_missing_signature_is_refused(devnet: Devnet) -> None:
    error = await devnet.error("sendTransaction", wire(unsigned(devnet, 7)), SEND)
    assert error["data"]["err"] == "SignatureFailure"
    before = await balance(devnet)
    await devnet.call("sendTransaction", wire(unsigned(devnet, 7)), SEND | {"skipPreflight": True})
    assert await balance(devnet) == before


async def test_an_impersonated_wallet_pays_and_each_transaction_has_a_name(devnet: Devnet) -> None:
    assert await devnet.call("localnet_impersonate", str(WHALE)) == [str(WHALE)]
    before = await balance(devnet)
    signatures = [await devnet.send(unsigned(devnet, lamports)) for lamports in (7, 8)]
    assert await balance(devnet) == before + 15
    assert len(set(signatures)) == 2
    assert str(Signature.default()) not in signatures
    for signature in signatures:
        landed = await devnet.call("getTransaction", signature, CONFIRMED)
        assert (landed["meta"]["err"], landed["transaction"]["signatures"]) == (None, [signature])
    value = (await devnet.call("simulateTransaction", wire(unsigned(devnet, 9)), SIMULATE))["value"]
    assert value["err"] is None
    assert await devnet.call("localnet_impersonate", str(WHALE), False) == []
    assert (await devnet.error("sendTransaction", wire(unsigned(devnet, 9)), SEND))["code"] == -32002


async def test_only_that_signature_may_be_missing(devnet: Devnet) -> None:
    await devnet.call("localnet_impersonate", str(WHALE))
    both = unsigned(devnet, 7, devnet.alice.pubkey())
    assert (await devnet.error("sendTransaction", wire(both), SEND))["data"]["err"] == "SignatureFailure"
    signed = VersionedTransaction.populate(
        both.message, [devnet.alice.sign_message(bytes(both.message)), Signature.default()]
    )
    assert await devnet.send(signed) == str(signed.signatures[0])


async def test_what_is_signed_keeps_its_name(devnet: Devnet) -> None:
    alice = str(devnet.alice.pubkey())
    await devnet.call("localnet_impersonate", alice)
    signed = devnet.transaction(devnet.create_market(1))
    assert await devnet.send(signed) == str(signed.signatures[0])


async def test_newer_messages_get_a_name_too(devnet: Devnet) -> None:
    await devnet.call("localnet_impersonate", str(devnet.alice.pubkey()))
    blockhash = devnet.transaction().message.recent_blockhash
    whole = version_one.signed([devnet.alice], [], bytes(blockhash))
    newest = read_transaction_bytes(whole[:-64] + bytes(64), version_max=1)
    message = MessageV0.try_compile(devnet.alice.pubkey(), [], [], blockhash)
    for empty in (newest, VersionedTransaction.populate(message, [Signature.default()])):
        named = stand_in(devnet.net.context, empty)
        assert named.signatures[0] != Signature.default()
        assert bytes(named.message) == bytes(empty.message)


async def test_it_is_bounded_and_says_what_is_wrong(devnet: Devnet, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await devnet.call("localnet_impersonate") == []
    assert (await devnet.error("localnet_impersonate", "nobody"))["code"] == -32602
    assert (await devnet.error("localnet_impersonate", str(WHALE), "yes"))["code"] == -32602
    monkeypatch.setattr(devtools, "IMPERSONATED_MAX", 1)
    await devnet.call("localnet_impersonate", str(WHALE))
    assert "at most 1" in (await devnet.error("localnet_impersonate", str(Keypair().pubkey())))["message"]
