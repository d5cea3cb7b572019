"""Subscriptions over WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from solana.rpc.commitment import Confirmed
from solana.rpc.websocket_api import SolanaWsClientProtocol, connect
from solders.pubkey import Pubkey
from solders.rpc.config import RpcTransactionLogsFilter, RpcTransactionLogsFilterMentions
from solders.rpc.responses import AccountNotification, LogsNotification, SignatureNotification
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as raw_connect
from websockets.exceptions import ConnectionClosed

from tests.localnet.rpc_harness import PROGRAM_ID, Devnet, running
from zmart_lite.localnet import pubsub
from zmart_lite.localnet.clock import CLOCK_ID
from zmart_lite.localnet.ledger import LedgerOptions
from zmart_lite.localnet.runtime import Account

WAIT_S = 5


@pytest.fixture
async def devnet() -> AsyncIterator[Devnet]:
    async with running() as started:
        yield started


class Subscriber:
    """A raw JSON client."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._count = 0

    async def send(self, body: str | bytes) -> Any:
        await self._socket.send(body)
        return await self.next()

    async def call(self, method: str, *params: Any) -> Any:
        self._count += 1
        answer = await self.send(
            json.dumps({"jsonrpc": "2.0", "id": self._count, "method": method, "params": list(params)})
        )
        assert (answer["jsonrpc"], answer["id"]) == ("2.0", self._count)
        return answer.get("result", answer.get("error"))

    async def next(self) -> Any:
        async with asyncio.timeout(WAIT_S):
            return json.loads(await self._socket.recv())

    async def result(self, subscription: int) -> Any:
        """The result of the next notification, which must be of that subscription."""
        message = await self.next()
        assert message["params"]["subscription"] == subscription, message
        return message["params"]["result"]

    async def nothing_waits(self) -> bool:
        """Whether no notification came before the answer to a call made now."""
        return "error" in await self.send('{"jsonrpc":"2.0","id":0,"method":"none"}')


@pytest.fixture
async def subscriber(devnet: Devnet) -> AsyncIterator[Subscriber]:
    async with raw_connect(devnet.net.ws_url) as socket:
        yield Subscriber(socket)


@pytest.fixture
async def client(devnet: Devnet) -> AsyncIterator[SolanaWsClientProtocol]:
    async with connect(devnet.net.ws_url) as found:
        yield found


def payment(devnet: Devnet, lamports: int) -> VersionedTransaction:
    terms = TransferParams(from_pubkey=devnet.alice.pubkey(), to_pubkey=devnet.bob.pubkey(), lamports=lamports)
    return devnet.transaction(transfer(terms))


async def received(client: SolanaWsClientProtocol) -> Any:
    async with asyncio.timeout(WAIT_S):
        (message,) = await client.recv()
        return message


async def test_account_subscription_of_solana_py(devnet: Devnet, client: SolanaWsClientProtocol) -> None:
    await client.account_subscribe(devnet.bob.pubkey(), Confirmed, "base64")
    subscription = (await received(client)).result
    devnet.net.ledger.submit(payment(devnet, 5))
    message = await received(client)
    assert isinstance(message, AccountNotification)
    assert message.subscription == subscription
    assert message.result.value.lamports == 1_000 * 10**9 + 5
    await client.account_unsubscribe(subscription)
    assert (await received(client)).result is True


async def test_logs_subscription_of_solana_py(devnet: Devnet, client: SolanaWsClientProtocol) -> None:
    await client.logs_subscribe(RpcTransactionLogsFilterMentions(Pubkey(PROGRAM_ID)), Confirmed)
    await received(client)
    devnet.net.ledger.submit(payment(devnet, 5))
    landed = devnet.net.ledger.submit(devnet.transaction(devnet.create_market(1)))
    message = await received(client)
    assert isinstance(message, LogsNotification)
    assert message.result.value.signature == Signature(landed.signature)
    assert tuple(message.result.value.logs) == landed.meta.logs


async def test_signature_subscription_of_solana_py(devnet: Devnet, client: SolanaWsClientProtocol) -> None:
    transaction = payment(devnet, 5)
    await client.signature_subscribe(transaction.signatures[0], Confirmed)
    await received(client)
    devnet.net.ledger.submit(transaction)
    message = await received(client)
    assert isinstance(message, SignatureNotification)
    assert message.result.value.err is None


async def test_other_subscriptions_of_solana_py(devnet: Devnet, client: SolanaWsClientProtocol) -> None:
    await client.logs_subscribe(RpcTransactionLogsFilter.All, Confirmed)
    await client.program_subscribe(Pubkey(PROGRAM_ID), Confirmed, "base64", filters=[488])
    await client.slot_subscribe()
    await client.root_subscribe()
    for _ in range(4):
        await received(client)
    devnet.net.ledger.submit(devnet.transaction(devnet.create_market(1)))
    kinds = {type(await received(client)).__name__ for _ in range(4)}
    assert kinds == {"LogsNotification", "ProgramNotification", "SlotNotification", "RootNotification"}


async def test_accounts_at_each_commitment(devnet: Devnet, subscriber: Subscriber) -> None:
    devnet.net.ledger.options = LedgerOptions(slot_ms=0, finalized_lag=3)
    bob = str(devnet.bob.pubkey())
    numbers = {
        level: await subscriber.call("accountSubscribe", bob, {"commitment": level, "encoding": "base64"})
        for level in ("processed", "confirmed", "finalized")
    }
    devnet.net.ledger.paused = True
    landed = devnet.net.ledger.submit(payment(devnet, 5))
    for level, blocks in (("processed", 0), ("confirmed", 1), ("finalized", 2)):
        devnet.net.ledger.produce_blocks(blocks)
        result = await subscriber.result(numbers[level])
        assert result["value"]["lamports"] == 1_000 * 10**9 + 5
        assert result["context"]["slot"] == landed.slot
    assert await subscriber.nothing_waits()


async def test_accounts_are_told_again_after_a_fork(devnet: Devnet, subscriber: Subscriber) -> None:
    number = await subscriber.call("accountSubscribe", str(devnet.bob.pubkey()), {"commitment": "confirmed"})
    devnet.net.ledger.submit(payment(devnet, 5))
    devnet.net.ledger.drop_blocks(1)
    lamports = [(await subscriber.result(number))["value"]["lamports"] for _ in range(2)]
    assert lamports == [1_000 * 10**9 + 5, 1_000 * 10**9]


async def test_accounts_set_by_hand_are_told_once_per_commitment(devnet: Devnet, subscriber: Subscriber) -> None:
    key = bytes(devnet.bob.pubkey())
    numbers = {
        level: await subscriber.call("accountSubscribe", str(devnet.bob.pubkey()), {"commitment": level})
        for level in ("processed", "confirmed", "finalized")
    }
    devnet.net.ledger.set_account(key, Account(7))
    for level in ("processed", "confirmed"):
        assert (await subscriber.result(numbers[level]))["value"]["lamports"] == 7
    assert await subscriber.nothing_waits()


async def test_clock_subscription(devnet: Devnet, subscriber: Subscriber) -> None:
    key = str(Pubkey(CLOCK_ID))
    processed = await subscriber.call("accountSubscribe", key, {"commitment": "processed", "encoding": "base64"})
    devnet.net.ledger.seal_block()
    assert (await subscriber.result(processed))["value"]["space"] == 40


async def test_program_subscription_filters(devnet: Devnet, subscriber: Subscriber) -> None:
    wanted = {"commitment": "confirmed", "encoding": "base64", "filters": [{"dataSize": 488}]}
    number = await subscriber.call("programSubscribe", str(Pubkey(PROGRAM_ID)), wanted)
    other = {"commitment": "confirmed", "encoding": "base64", "filters": [{"dataSize": 83}]}
    await subscriber.call("programSubscribe", str(Pubkey(PROGRAM_ID)), other)
    devnet.net.ledger.submit(devnet.transaction(devnet.create_market(1)))
    value = (await subscriber.result(number))["value"]
    assert value["pubkey"] == str(Pubkey(devnet.net.codec.market_address(b"\x01" * 32)))
    assert value["account"]["space"] == 488
    assert await subscriber.nothing_waits()


async def test_too_long_for_base58(devnet: Devnet, subscriber: Subscriber) -> None:
    number = await subscriber.call("programSubscribe", str(Pubkey(PROGRAM_ID)), {"commitment": "confirmed"})
    devnet.net.ledger.submit(devnet.transaction(devnet.create_market(1)))
    value = (await subscriber.result(number))["value"]
    assert value["account"]["data"] == "error: data too large for bs58 encoding"


async def test_logs_of_failed_transactions_come_too(devnet: Devnet, subscriber: Subscriber) -> None:
    number = await subscriber.call("logsSubscribe", "all", {"commitment": "processed"})
    devnet.net.ledger.submit(payment(devnet, 10**18))
    value = (await subscriber.result(number))["value"]
    assert value["err"] == {"InstructionError": [0, {"Custom": 1}]}


async def test_signature_fires_once(devnet: Devnet, subscriber: Subscriber) -> None:
    transaction = payment(devnet, 5)
    signature = str(transaction.signatures[0])
    early = await subscriber.call("signatureSubscribe", signature, {"commitment": "confirmed"})
    devnet.net.ledger.submit(transaction)
    assert (await subscriber.result(early))["value"] == {"err": None}
    devnet.net.ledger.produce_blocks(3)
    late = await subscriber.call("signatureSubscribe", signature, {"commitment": "confirmed"})
    assert (await subscriber.result(late))["value"] == {"err": None}
    assert await subscriber.nothing_waits()
    assert (await subscriber.call("signatureUnsubscribe", late))["code"] == -32602


async def test_signature_tells_reception_on_request(devnet: Devnet, subscriber: Subscriber) -> None:
    transaction = payment(devnet, 5)
    config = {"commitment": "confirmed", "enableReceivedNotification": True}
    number = await subscriber.call("signatureSubscribe", str(transaction.signatures[0]), config)
    devnet.net.ledger.submit(transaction)
    assert (await subscriber.result(number))["value"] == "receivedSignature"
    assert (await subscriber.result(number))["value"] == {"err": None}


async def test_slots_and_roots(devnet: Devnet, subscriber: Subscriber) -> None:
    slots, roots = await subscriber.call("slotSubscribe"), await subscriber.call("rootSubscribe")
    slot = devnet.net.ledger.open_slot
    devnet.net.ledger.seal_block()
    assert await subscriber.result(slots) == {"parent": slot, "root": slot - 31, "slot": slot + 1}
    assert await subscriber.result(roots) == slot - 31


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("accountSubscribe", [], -32602),
        ("accountSubscribe", ["nope"], -32602),
        ("accountSubscribe", ["1" * 32, {"encoding": "hex"}], -32602),
        ("logsSubscribe", [{"mentions": []}], -32602),
        ("logsSubscribe", [{"mentions": ["1" * 32, "1" * 32]}], -32602),
        ("logsSubscribe", ["some"], -32602),
        ("slotUnsubscribe", [99], -32602),
        ("blockSubscribe", ["all"], -32601),
        ("getSlot", [], -32601),
    ],
)
async def test_refusals(subscriber: Subscriber, method: str, params: list[Any], code: int) -> None:
    assert (await subscriber.call(method, *params))["code"] == code


async def test_malformed_messages(subscriber: Subscriber) -> None:
    assert (await subscriber.send("{"))["error"]["code"] == -32700
    assert (await subscriber.send(b"\xff"))["error"]["code"] == -32700
    assert (await subscriber.send("[]"))["error"]["code"] == -32600
    assert (await subscriber.send("5"))["error"]["code"] == -32600
    batch = await subscriber.send('[{"jsonrpc":"2.0","id":1,"method":"slotSubscribe"}, 5]')
    assert ["result" in each for each in batch] == [True, False]


async def test_unsubscribing_must_name_the_kind(devnet: Devnet, subscriber: Subscriber) -> None:
    number = await subscriber.call("slotSubscribe")
    assert (await subscriber.call("rootUnsubscribe", number))["code"] == -32602
    assert await subscriber.call("slotUnsubscribe", number) is True
    devnet.net.ledger.seal_block()
    assert await subscriber.nothing_waits()


async def test_subscriptions_are_bounded(subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pubsub, "SUBSCRIPTIONS_MAX", 2)
    await subscriber.call("slotSubscribe")
    await subscriber.call("rootSubscribe")
    assert (await subscriber.call("slotSubscribe"))["code"] == -32603


async def test_connections_are_bounded(devnet: Devnet, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch) -> None:
    await subscriber.call("slotSubscribe")
    monkeypatch.setattr(pubsub, "CONNECTIONS_MAX", 1)
    with pytest.raises(Exception, match="403"):
        await raw_connect(devnet.net.ws_url)


async def test_slow_clients_are_dropped(
    devnet: Devnet, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pubsub, "QUEUE_MAX", 3)
    async with raw_connect(devnet.net.ws_url) as socket:
        slow = Subscriber(socket)
        await slow.call("slotSubscribe")
        for _ in range(5):
            devnet.net.ledger.seal_block()
        with suppress(ConnectionClosed):
            while True:
                await slow.next()
        assert socket.close_code == 1013
    assert await subscriber.nothing_waits()
    assert len(devnet.net.pubsub._connections) == 1


async def test_nothing_is_kept_of_a_client_that_left(devnet: Devnet) -> None:
    async with raw_connect(devnet.net.ws_url) as socket:
        await Subscriber(socket).call("slotSubscribe")
        assert devnet.net.pubsub._keyed
    async with asyncio.timeout(WAIT_S):
        for connection in list(devnet.net.pubsub._connections):
            await connection.gone.wait()
    assert not devnet.net.pubsub._keyed


async def test_stopping_closes_the_connections() -> None:
    async with running() as devnet:
        socket = await raw_connect(devnet.net.ws_url)
        await Subscriber(socket).call("slotSubscribe")
    with suppress(ConnectionClosed):
        await socket.recv()
    assert socket.close_code in (1001, 1012)
