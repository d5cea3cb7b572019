"""Solana pubsub over WebSocket: account, program, logs, signature, slot, slots-updates and root subscriptions.

Notifications follow the ledger's observers: *processed* ones come with the transaction, the others when its block
reaches their commitment. Blocks that vanish later are not taken back, as on a cluster; accounts are then sent again in
their older version. Block and vote subscriptions are refused, as by every node without the switches for them.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from zmart_lite.localnet import jsonrpc
from zmart_lite.localnet.context import RpcContext
from zmart_lite.localnet.ledger import Bank
from zmart_lite.localnet.methods_accounts import AccountFilters
from zmart_lite.localnet.methods_cluster import get_version
from zmart_lite.localnet.natives.addresses import CLOCK_ID
from zmart_lite.localnet.params import (
    INTERNAL_ERROR,
    Params,
    RpcError,
    invalid,
    read_pubkey,
    read_signature,
)
from zmart_lite.localnet.records import Block, LandedTransaction
from zmart_lite.localnet.runtime import Account
from zmart_lite.localnet.wire import AccountForm, account_json, pubkey_text, signature_text
from zmart_lite.models import Commitment

CONNECTIONS_MAX = 1_000
SUBSCRIPTIONS_MAX = 1_000
"""Per connection."""
QUEUE_MAX = 8_192
"""Messages that may wait for one client; one that falls further behind is dropped."""
SEND_TIMEOUT_S = 10
CLOSE_TIMEOUT_S = 1
BATCH_MAX = 100
CALLS_AT_ONCE = 2_000
"""Room for every subscription of a connection, and as many again after it was lost."""
CALLS_PER_S = 100
REFUSED_COST = 20
GOING_AWAY = 1001
TRY_AGAIN_LATER = 1013


class _Closed(Exception):
    """The connection is over; carries the code to close it with, None where the client already did."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class _Connection:
    """One client: its subscriptions and the messages that wait for it."""

    def __init__(self, websocket: WebSocket) -> None:
        self.websocket = websocket
        self.subscriptions: dict[int, _Subscription] = {}
        self.unsettled: list[_Subscription] = []
        self._queue: asyncio.Queue[str] = asyncio.Queue(QUEUE_MAX)
        self.gone = asyncio.Event()
        self._over: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def push(self, message: bytes) -> None:
        """Queue a message; a client whose queue is full is dropped."""
        try:
            self._queue.put_nowait(message.decode())
        except asyncio.QueueFull:
            self.end(TRY_AGAIN_LATER)

    def end(self, code: int) -> None:
        if not self._over.done():
            self._over.set_result(code)

    async def wait_for_end(self) -> None:
        raise _Closed(await self._over)

    async def send_all(self) -> None:
        while True:
            text = await self._queue.get()
            try:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await self.websocket.send_text(text)
            except TimeoutError:
                raise _Closed(TRY_AGAIN_LATER) from None
            except (WebSocketDisconnect, RuntimeError, OSError):
                raise _Closed(None) from None


@dataclass(slots=True)
class _Subscription:
    """What one subscription wants. ``key`` is its account, program, mentioned address or signature."""

    number: int
    connection: _Connection
    kind: str
    commitment: Commitment
    key: bytes | None = None
    form: AccountForm = AccountForm("base64")  # noqa: RUF009 - a NamedTuple is immutable
    filters: AccountFilters | None = None
    tell_received: bool = False

    def notify(self, result: Any) -> None:
        params = {"result": result, "subscription": self.number}
        self.connection.push(jsonrpc.encode({"jsonrpc": "2.0", "method": f"{self.kind}Notification", "params": params}))

    def notify_at(self, slot: int, value: Any) -> None:
        self.notify({"context": {"slot": slot}, "value": value})


class Allowance:
    """How much one connection may ask: ``CALLS_AT_ONCE``, and ``CALLS_PER_S`` more as time passes.

    A call that is refused counts ``REFUSED_COST`` fold, because clients ask again at once, hundreds of times a second.
    Whoever asks more is read from later; nothing is lost.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._left: float = CALLS_AT_ONCE
        self._counted_at = monotonic()

    def spend(self, cost: int) -> None:
        now = self._monotonic()
        self._left = min(self._left + (now - self._counted_at) * CALLS_PER_S, CALLS_AT_ONCE) - cost
        self._counted_at = now

    @property
    def lacking_s(self) -> float:
        """Seconds until the next call may be read; not above 0 where it may at once."""
        return -self._left / CALLS_PER_S


class Pubsub:
    """All subscriptions of one devnet. Its ``serve`` is the WebSocket endpoint."""

    def __init__(
        self,
        context: RpcContext,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._ledger = context.ledger
        self._pause, self._monotonic = pause, monotonic
        self._connections: set[_Connection] = set()
        self._keyed: dict[tuple[str, bytes | None], dict[int, _Subscription]] = defaultdict(dict)
        self._numbers = 0
        ledger = context.ledger
        ledger.on_transaction(self._on_transaction)
        ledger.on_slot(self._on_slot)
        ledger.on_rollback(self._on_rollback)
        ledger.on_block(lambda block: self._on_block(block, Commitment.CONFIRMED), Commitment.CONFIRMED)
        ledger.on_block(lambda block: self._on_block(block, Commitment.FINALIZED), Commitment.FINALIZED)

    async def serve(self, websocket: WebSocket) -> None:
        """Run one client's connection to its end."""
        if len(self._connections) >= CONNECTIONS_MAX:
            await websocket.close(TRY_AGAIN_LATER)
            return
        await websocket.accept()
        connection = _Connection(websocket)
        self._connections.add(connection)
        codes: list[int | None] = []
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(connection.send_all())
                group.create_task(connection.wait_for_end())
                group.create_task(self._receive_all(connection))
        except* _Closed as closed:
            codes.extend(each.code for each in closed.exceptions if isinstance(each, _Closed))
        finally:
            self._forget(connection)
        code = codes[0] if codes else None
        if code is not None:
            await _close_quietly(websocket, code)

    def close(self) -> None:
        """End all connections."""
        for connection in self._connections:
            connection.end(GOING_AWAY)

    def _forget(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        connection.gone.set()
        for subscription in list(connection.subscriptions.values()):
            self._remove(subscription)

    async def _receive_all(self, connection: _Connection) -> None:
        allowance = Allowance(self._monotonic)
        while True:
            message = await connection.websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise _Closed(None)
            text = message.get("text")
            answer = self._answer(
                connection, allowance, (message.get("bytes") or b"") if text is None else text.encode()
            )
            if answer:
                connection.push(answer)
            self._settle_landed(connection)
            if (wait_s := allowance.lacking_s) > 0:
                await self._pause(wait_s)

    def _answer(self, connection: _Connection, allowance: "Allowance", body: bytes) -> bytes:
        def call(name: str, params: Any) -> Any:
            try:
                found = self._call(connection, name, params)
            except RpcError:
                allowance.spend(REFUSED_COST)
                raise
            allowance.spend(1)
            return found

        allowance.spend(1)
        return jsonrpc.answer(body, call, BATCH_MAX)

    def _call(self, connection: _Connection, name: str, params: Any) -> Any:
        subscribe = _SUBSCRIBERS.get(name)
        if subscribe is not None:
            if len(connection.subscriptions) >= SUBSCRIPTIONS_MAX:
                text = "Internal Error: Subscription refused. Node subscription limit reached"
                raise RpcError(INTERNAL_ERROR, text)
            return self._add(subscribe(self._numbers + 1, connection, jsonrpc.positional(params)))
        if name in _UNSUBSCRIBERS:
            # A cluster takes the number of any kind.
            subscription = connection.subscriptions.get(jsonrpc.positional(params).u64(0))
            if subscription is None:
                raise invalid("Invalid subscription id.")
            self._remove(subscription)
            return True
        if name == "getVersion":
            return get_version(self._context, jsonrpc.positional(params))
        raise jsonrpc.unknown_method()

    def _add(self, subscription: _Subscription) -> int:
        self._numbers = subscription.number
        subscription.connection.subscriptions[subscription.number] = subscription
        self._keyed[subscription.kind, subscription.key][subscription.number] = subscription
        if subscription.kind == "signature":
            subscription.connection.unsettled.append(subscription)
        return subscription.number

    def _remove(self, subscription: _Subscription) -> None:
        subscription.connection.subscriptions.pop(subscription.number, None)
        place = (subscription.kind, subscription.key)
        self._keyed[place].pop(subscription.number, None)
        if not self._keyed[place]:
            del self._keyed[place]

    def _settle_landed(self, connection: _Connection) -> None:
        """Fire the new signature subscriptions whose transaction is already there, after their number was sent."""
        for subscription in connection.unsettled:
            landed = self._ledger.history.find(subscription.key or b"")
            if landed is not None and self._ledger.commitment_of(landed.height) >= subscription.commitment:
                self._fire_signature(subscription, landed)
        connection.unsettled.clear()

    def _wanted(self, kind: str, key: bytes | None, commitment: Commitment) -> list[_Subscription]:
        found = self._keyed.get((kind, key))
        return [each for each in found.values() if each.commitment is commitment] if found else []

    def _on_transaction(self, landed: LandedTransaction, changed: frozenset[bytes]) -> None:
        if not self._keyed:
            return
        bank = self._ledger.bank(Commitment.PROCESSED)
        self._tell_logs(landed, Commitment.PROCESSED)
        self._tell_accounts(changed, bank, Commitment.PROCESSED)
        self._tell_signature(landed, Commitment.PROCESSED)
        for subscription in list(self._keyed.get(("signature", landed.signature), {}).values()):
            if subscription.tell_received:
                subscription.notify_at(landed.slot, "receivedSignature")

    def _on_block(self, block: Block, commitment: Commitment) -> None:
        if not self._keyed:
            return
        bank = self._ledger.bank_after(block)
        self._tell_accounts([*self._ledger.accounts.changed_in(block.height), CLOCK_ID], bank, commitment)
        for landed in block.transactions:
            self._tell_logs(landed, commitment)
            self._tell_signature(landed, commitment)
        self._tell_slot_updates(block.slot, "root" if commitment is Commitment.FINALIZED else "optimisticConfirmation")
        if commitment is Commitment.FINALIZED:
            for subscription in list(self._keyed.get(("root", None), {}).values()):
                subscription.notify(block.slot)

    def _on_slot(self, slot: int, parent: int, root: int) -> None:
        if not self._keyed:
            return
        self._tell_slot_updates(parent, "completed")
        block = self._ledger.history.block(parent)
        if block is not None:
            self._tell_slot_updates(parent, "frozen", stats=_block_stats(block))
        self._tell_slot_updates(slot, "firstShredReceived")
        self._tell_slot_updates(slot, "createdBank", parent=parent)
        for subscription in list(self._keyed.get(("slot", None), {}).values()):
            subscription.notify({"parent": parent, "root": root, "slot": slot})
        self._tell_accounts([CLOCK_ID], self._ledger.bank(Commitment.PROCESSED), Commitment.PROCESSED)

    def _tell_slot_updates(self, slot: int, kind: str, **more: Any) -> None:
        for subscription in list(self._keyed.get(("slotsUpdates", None), {}).values()):
            subscription.notify({"slot": slot, "timestamp": self._ledger.clock.wall_ms(), "type": kind, **more})

    def _on_rollback(self, changed: frozenset[bytes], reaching: Commitment) -> None:
        if not self._keyed:
            return
        for commitment in Commitment:
            if commitment <= reaching:
                self._tell_accounts(changed, self._ledger.bank(commitment), commitment)

    def _tell_accounts(self, keys: Iterable[bytes], bank: Bank, commitment: Commitment) -> None:
        for key in keys:
            watchers = self._wanted("account", key, commitment)
            account = bank.account(key) or Account()
            for subscription in watchers:
                _notify_account(subscription, bank, key, account)
            for subscription in self._wanted("program", account.owner, commitment):
                if subscription.filters is None or subscription.filters.accept(account):
                    _notify_account(subscription, bank, key, account)

    def _tell_logs(self, landed: LandedTransaction, commitment: Commitment) -> None:
        for key in (None, *landed.account_keys):
            for subscription in self._wanted("logs", key, commitment):
                value = {
                    "err": landed.meta.err,
                    "logs": landed.meta.logs,
                    "signature": signature_text(landed.signature),
                }
                subscription.notify_at(landed.slot, value)

    def _tell_signature(self, landed: LandedTransaction, commitment: Commitment) -> None:
        for subscription in self._wanted("signature", landed.signature, commitment):
            self._fire_signature(subscription, landed)

    def _fire_signature(self, subscription: _Subscription, landed: LandedTransaction) -> None:
        subscription.notify_at(self._ledger.bank(subscription.commitment).slot, {"err": landed.meta.err})
        self._remove(subscription)


def _notify_account(subscription: _Subscription, bank: Bank, key: bytes, account: Account) -> None:
    try:
        shape = account_json(key, account, subscription.form, bank.account)
    except RpcError:
        # Data too long for base58: a cluster then sends this text in place of it.
        shape = account_json(key, account, AccountForm("base64"), bank.account)
        shape |= {"data": "error: data too large for bs58 encoding"}
    of_program = subscription.kind == "program"
    subscription.notify_at(bank.slot, {"account": shape, "pubkey": pubkey_text(key)} if of_program else shape)


def _block_stats(block: Block) -> dict[str, int]:
    """A ``SlotTransactionStats``: here each transaction is an entry of its own."""
    failed = sum(landed.failed for landed in block.transactions)
    return {
        "maxTransactionsPerEntry": min(len(block.transactions), 1),
        "numFailedTransactions": failed,
        "numSuccessfulTransactions": len(block.transactions) - failed,
        "numTransactionEntries": len(block.transactions),
    }


async def _close_quietly(websocket: WebSocket, code: int) -> None:
    """Close within bounds; a client that is gone or takes nothing needs no farewell."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await websocket.close(code)
    except (TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
        return


def _key(text: Any, thing: str) -> bytes:
    """The bytes of a pubkey or signature, refused in the words of the pubsub service."""
    try:
        return read_signature(text) if thing == "signature" else read_pubkey(text)
    except RpcError:
        raise invalid(f"Invalid Request: Invalid {thing} provided") from None


def _account(number: int, connection: _Connection, params: Params) -> _Subscription:
    key, config = _key(params.text(0), "pubkey"), params.config(1)
    return _Subscription(number, connection, "account", config.commitment(), key, AccountForm.of(config))


def _program(number: int, connection: _Connection, params: Params) -> _Subscription:
    key, config = _key(params.text(0), "pubkey"), params.config(1)
    form, filters = AccountForm.of(config), AccountFilters.of(config)
    return _Subscription(number, connection, "program", config.commitment(), key, form, filters)


def _logs(number: int, connection: _Connection, params: Params) -> _Subscription:
    key: bytes | None = None
    match params.require(0):
        case "all" | "allWithVotes":
            pass
        case {"mentions": [mentioned]}:
            key = _key(mentioned, "mentions")
        case {"mentions": [*_]}:
            raise invalid("Invalid Request: Only 1 address supported")
        case _:
            raise invalid("Invalid params: expected `all`, `allWithVotes` or an object with `mentions`.")
    return _Subscription(number, connection, "logs", params.config(1).commitment(), key)


def _signature(number: int, connection: _Connection, params: Params) -> _Subscription:
    key, config = _key(params.text(0), "signature"), params.config(1)
    received = config.flag("enableReceivedNotification")
    return _Subscription(number, connection, "signature", config.commitment(), key, tell_received=received)


def _slot(number: int, connection: _Connection, _params: Params) -> _Subscription:
    return _Subscription(number, connection, "slot", Commitment.PROCESSED)


def _slots_updates(number: int, connection: _Connection, _params: Params) -> _Subscription:
    return _Subscription(number, connection, "slotsUpdates", Commitment.PROCESSED)


def _root(number: int, connection: _Connection, _params: Params) -> _Subscription:
    return _Subscription(number, connection, "root", Commitment.FINALIZED)


_SUBSCRIBERS: dict[str, Callable[[int, _Connection, Params], _Subscription]] = {
    "accountSubscribe": _account,
    "logsSubscribe": _logs,
    "programSubscribe": _program,
    "rootSubscribe": _root,
    "signatureSubscribe": _signature,
    "slotSubscribe": _slot,
    "slotsUpdatesSubscribe": _slots_updates,
}
_UNSUBSCRIBERS = frozenset(name.replace("Subscribe", "Unsubscribe") for name in _SUBSCRIBERS)
