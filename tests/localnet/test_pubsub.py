"""Subscriptions over WebSocket."""

import asyncio
import json
import time
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
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as raw_connect
from websockets.exceptions import ConnectionClosed

from tests.localnet.helius_harness import serving
from tests.localnet.rpc_harness import PROGRAM_ID, Devnet, running
from zmart_lite.localnet import pubsub
from zmart_lite.localnet.ledger import LedgerOptions
from zmart_lite.localnet.natives.addresses import CLOCK_ID
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

    async def quietly(self, body: str) -> None:
        await self._socket.send(body)

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
        ("blockUnsubscribe", [1], -32601),
        ("voteSubscribe", [], -32601),
        ("voteUnsubscribe", [1], -32601),
        ("getSlot", [], -32601),
    ],
)
async def test_refusals(subscriber: Subscriber, method: str, params: list[Any], code: int) -> None:
    assert (await subscriber.call(method, *params))["code"] == code


@pytest.mark.parametrize(
    ("method", "params", "thing"),
    [
        ("accountSubscribe", ["nope"], "pubkey"),
        ("programSubscribe", ["0" * 32], "pubkey"),
        ("logsSubscribe", [{"mentions": ["nope"]}], "mentions"),
        ("signatureSubscribe", ["1" * 32], "signature"),
    ],
)
async def test_wrong_keys_are_named(subscriber: Subscriber, method: str, params: list[Any], thing: str) -> None:
    refused = await subscriber.call(method, *params)
    assert refused == {"code": -32602, "message": f"Invalid Request: Invalid {thing} provided"}


async def test_notifications_are_not_answered_and_no_id_is_lost(subscriber: Subscriber) -> None:
    await subscriber.quietly('{"jsonrpc":"2.0","method":"ping"}')
    await subscriber.quietly('{"jsonrpc":"2.0","method":"slotSubscribe"}')
    await subscriber.quietly('[{"jsonrpc":"2.0","method":"ping"},{"jsonrpc":"2.0","method":"accountSubscribe"}]')
    assert await subscriber.nothing_waits()
    for body in (
        '{"jsonrpc":"2.0","id":"a","method":"slotSubscribe","params":{}}',
        '{"jsonrpc":"2.0","id":"a","method":"slotSubscribe","params":5}',
        '{"jsonrpc":"2.0","id":"a","method":5}',
        '{"jsonrpc":"1.0","id":"a","method":"slotSubscribe"}',
        '{"jsonrpc":"2.0","id":"a","method":"slotSubscribe","more":1}',
        '{"id":"a"}',
    ):
        assert (await subscriber.send(body))["id"] == "a", body


async def test_the_version_is_told_here_too(devnet: Devnet, subscriber: Subscriber) -> None:
    assert await subscriber.call("getVersion") == await devnet.call("getVersion")


async def test_malformed_messages(subscriber: Subscriber) -> None:
    assert (await subscriber.send("{"))["error"]["code"] == -32700
    assert (await subscriber.send(b"\xff"))["error"]["code"] == -32700
    assert (await subscriber.send("[]"))["error"]["code"] == -32600
    assert (await subscriber.send("5"))["error"]["code"] == -32600
    batch = await subscriber.send('[{"jsonrpc":"2.0","id":1,"method":"slotSubscribe"}, 5]')
    assert ["result" in each for each in batch] == [True, False]


async def test_unsubscribing_goes_by_the_number(devnet: Devnet, subscriber: Subscriber) -> None:
    number = await subscriber.call("slotSubscribe")
    assert await subscriber.call("rootUnsubscribe", number) is True
    refused = await subscriber.call("slotUnsubscribe", number)
    assert refused == {"code": -32602, "message": "Invalid subscription id."}
    devnet.net.ledger.seal_block()
    assert await subscriber.nothing_waits()


async def test_slots_are_told_step_by_step(devnet: Devnet, subscriber: Subscriber) -> None:
    devnet.net.ledger.options = LedgerOptions(slot_ms=400)
    number = await subscriber.call("slotsUpdatesSubscribe")
    ledger = devnet.net.ledger
    slot = ledger.open_slot
    ledger.submit(payment(devnet, 5))
    ledger.submit(payment(devnet, 10**18))
    ledger.seal_block()
    told = [await subscriber.result(number) for _ in range(6)]
    assert all(abs(each.pop("timestamp") / 1000 - time.time()) < 3_600 for each in told)
    stats = {
        "maxTransactionsPerEntry": 1,
        "numFailedTransactions": 1,
        "numSuccessfulTransactions": 1,
        "numTransactionEntries": 2,
    }
    assert told == [
        {"type": "completed", "slot": slot},
        {"type": "frozen", "slot": slot, "stats": stats},
        {"type": "firstShredReceived", "slot": slot + 1},
        {"type": "createdBank", "slot": slot + 1, "parent": slot},
        {"type": "optimisticConfirmation", "slot": slot},
        {"type": "root", "slot": slot - 31},
    ]
    assert await subscriber.call("slotsUpdatesUnsubscribe", number) is True


def test_an_allowance_is_spent_and_comes_back() -> None:
    now = [0.0]
    allowance = pubsub.Allowance(lambda: now[0])
    allowance.spend(pubsub.CALLS_AT_ONCE)
    assert allowance.lacking_s == 0
    allowance.spend(pubsub.CALLS_PER_S)
    assert allowance.lacking_s == 1
    now[0] += 10_000
    allowance.spend(pubsub.CALLS_AT_ONCE + 1)
    assert 0 < allowance.lacking_s < 1


async def test_a_client_that_asks_without_pause_is_read_from_later(devnet: Devnet) -> None:
    """web3.js repeats a refused subscription as soon as it hears of the refusal."""
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)

    throttled = pubsub.Pubsub(devnet.net.context, pause, lambda: 0.0)
    app = Starlette(routes=[WebSocketRoute("/", throttled.serve)])
    refusals = pubsub.CALLS_AT_ONCE // (pubsub.REFUSED_COST + 1)
    async with serving(app, ws="auto") as url, raw_connect(url.replace("http", "ws")) as socket:
        eager = Subscriber(socket)
        for _ in range(refusals):
            assert (await eager.call("blockSubscribe", "all"))["code"] == -32601
        assert waited == []
        for _ in range(3):
            await eager.call("blockSubscribe", "all")
        # What was asked for before the second answer came is waited for before the third is read.
        assert len(waited) >= 2
        assert waited[0] > 0
        throttled.close()


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
