"""``logsSubscribe``: word that a transaction of the program has landed, seconds before anybody polls.

A hint and nothing more. Notifications are dropped without a word and never repeated, so whoever listens polls all the
same; and what one says is not believed: only the signature is taken, and the transaction fetched by it.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

logger = logging.getLogger(__name__)

MESSAGE_BYTES_MAX = 1024 * 1024
"""A transaction's logs are at most some 10 KB."""
OPEN_TIMEOUT_S = 10
PING_S = 30
"""Services close a connection that is silent for ten minutes; one that does not answer in this time is dead."""
PAUSE_FIRST_S, PAUSE_MAX_S = 1.0, 60.0
STEADY_S = 60.0
"""A connection that lasted this long was a good one: the next pause is short again."""
SUBSCRIBE_ID = 1

OnHint = Callable[[bytes, int], Awaitable[object]]
Sleep = Callable[[float], Awaitable[object]]


class _Context(msgspec.Struct):
    slot: int


class _Value(msgspec.Struct):
    signature: str
    err: Any = None


class _Result(msgspec.Struct):
    context: _Context
    value: _Value


class _Params(msgspec.Struct):
    result: _Result


class _Notification(msgspec.Struct):
    params: _Params
    method: str = ""


class LogsSubscription:
    """:meth:`run` is a task; ``on_hint`` gets the signature and slot of each successful transaction of the program."""

    def __init__(self, url: str, program_id: bytes, on_hint: OnHint, *, sleep: Sleep = asyncio.sleep) -> None:
        self._url = url
        self._host = urlsplit(url).hostname or "?"
        self._program = str(Pubkey.from_bytes(program_id))
        self._on_hint = on_hint
        self._sleep = sleep

    async def run(self) -> None:
        """Listen until cancelled; come back after every failure, each time later."""
        failures, loop = 0, asyncio.get_running_loop()
        while True:
            started = loop.time()
            reason = await self._listen()
            failures = 1 if loop.time() - started >= STEADY_S else failures + 1
            pause_s = min(PAUSE_FIRST_S * 2 ** min(failures - 1, 10), PAUSE_MAX_S)
            # The address may hold a key: only its host is told.
            logger.warning("the subscription at %s ended: %s", self._host, reason)
            await self._sleep(pause_s * (0.5 + secrets.randbelow(1_000) / 2_000))

    async def _listen(self) -> str:
        """One connection, to its end; why it ended."""
        try:
            async with connect(
                self._url,
                open_timeout=OPEN_TIMEOUT_S,
                ping_interval=PING_S,
                ping_timeout=PING_S,
                max_size=MESSAGE_BYTES_MAX,
                user_agent_header=None,
            ) as connection:
                await self._subscribe(connection)
                async for message in connection:
                    await self._take(message)
        except (OSError, WebSocketException, TimeoutError, ValueError) as error:
            return type(error).__name__
        return "closed"

    async def _subscribe(self, connection: ClientConnection) -> None:
        params = [{"mentions": [self._program]}, {"commitment": "confirmed"}]
        request = {"jsonrpc": "2.0", "id": SUBSCRIBE_ID, "method": "logsSubscribe", "params": params}
        await connection.send(msgspec.json.encode(request).decode())

    async def _take(self, message: str | bytes) -> None:
        hint = read_hint(message)
        if hint is not None:
            await self._on_hint(*hint)


def read_hint(message: str | bytes) -> tuple[bytes, int] | None:
    """Signature and slot of a successful transaction; None for every other message, whatever it holds."""
    try:
        found = msgspec.json.decode(message, type=_Notification)
        signature = bytes(Signature.from_string(found.params.result.value.signature))
    except (msgspec.MsgspecError, ValueError, UnicodeDecodeError):
        return None
    result = found.params.result
    if found.method != "logsNotification" or result.value.err is not None or not 0 <= result.context.slot < 2**63:
        return None
    return signature, result.context.slot
