"""A wallet as the node sees one: it signs in, signs what the node built for it, and hands it back. HTTP only."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import httpx
from solders.keypair import Keypair
from solders.transaction import Transaction

from zmart_lite.errors import ZmartError

TIMEOUT_S = 40.0
"""More than the 30 s for which the node waits for a confirmation."""
WAIT_S = 30.0
WAIT_PAUSE_S = 0.05
LAMPORTS_PER_SOL = 1_000_000_000

Json = dict[str, Any]


def unix_seconds(value: int | str) -> int:
    """Unix seconds of a time that the API gave."""
    return value if isinstance(value, int) else int(datetime.fromisoformat(value).timestamp())


class DemoFailed(ZmartError):
    """The demo did not go as it must."""


class Api:
    """The node's HTTP API, and the devnet's JSON-RPC. Close it when done."""

    def __init__(self, url: str, rpc_url: str) -> None:
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self._http = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, limits=limits)
        self._rpc_url = rpc_url

    async def close(self) -> None:
        await self._http.aclose()

    async def get(self, path: str, token: str | None = None, **params: Any) -> Any:
        return await self._call("GET", path, token, params=params)

    async def post(self, path: str, body: Mapping[str, Any] | None = None, token: str | None = None) -> Any:
        return await self._call("POST", path, token, json=dict(body or {}))

    async def _call(self, method: str, path: str, token: str | None, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        response = await self._http.request(method, path, headers=headers, **options)
        answer = response.json()
        if response.is_error:
            raise DemoFailed(
                f"{method} {path} answered {response.status_code}: {answer.get('message')}"
                f" {answer.get('reason') or ''} {answer.get('details') or ''}"
            )
        return answer

    async def rpc(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = (await self._http.post(self._rpc_url, json=body)).json()
        if "error" in answer:
            raise DemoFailed(f"{method}: {answer['error']}")
        return answer["result"]

    async def until(self, what: str, look: Callable[[], Awaitable[Any]], timeout_s: float = WAIT_S) -> Any:
        """Ask again and again until ``look`` returns something true. Raises DemoFailed when it takes too long."""
        try:
            async with asyncio.timeout(timeout_s):
                # What is waited for is the node's answer, and there is no event for that over HTTP.
                while not (found := await look()):  # noqa: ASYNC110
                    await asyncio.sleep(WAIT_PAUSE_S)
        except TimeoutError as error:
            raise DemoFailed(f"It took more than {timeout_s:g} s until {what}.") from error
        return found

    async def chain_time(self) -> int:
        """The chain's clock as the node knows it, in unix seconds."""
        return unix_seconds((await self.get("/api/protocol"))["chain_time"])

    async def warp(self, **target: int) -> None:
        """Move the devnet's clock (``seconds=`` ahead, or ``to=`` a unix time); the node knows it at once."""
        await self.post("/api/devnet/warp", target)

    async def market(self, market_id: str) -> Json:
        found: Json = await self.get(f"/api/markets/{market_id}")
        return found

    async def until_state(self, market_id: str, state: str) -> Json:
        async def look() -> Json | None:
            found = await self.market(market_id)
            return found if found["state"] == state else None

        reached: Json = await self.until(f"the market was {state}", look)
        return reached


class Wallet:
    """A keypair, and its session with the node."""

    def __init__(self, api: Api, name: str, keypair: Keypair | None = None) -> None:
        self.name = name
        self.keypair = keypair or Keypair()
        self.address = str(self.keypair.pubkey())
        self._api = api
        self._token: str | None = None

    async def fund(self, sol: int) -> None:
        """Ask the devnet's faucet."""
        signature = await self._api.rpc("requestAirdrop", self.address, sol * LAMPORTS_PER_SOL)

        async def confirmed() -> bool:
            status = (await self._api.rpc("getSignatureStatuses", [signature]))["value"][0]
            return bool(status) and status["confirmationStatus"] in ("confirmed", "finalized")

        await self._api.until(f"{self.name} was funded", confirmed)

    async def sign_in(self) -> None:
        """Sign-In With Solana."""
        challenge = await self._api.get("/api/auth/nonce", wallet=self.address)
        signature = str(self.keypair.sign_message(challenge["message"].encode()))
        body = {"message": challenge["message"], "signature": signature, "wallet": self.address}
        self._token = (await self._api.post("/api/auth/login", body))["token"]

    async def get(self, path: str, **params: Any) -> Any:
        return await self._api.get(path, self._token, **params)

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return await self._api.post(path, body, self._token)

    async def act(self, path: str, body: Mapping[str, Any] | None = None) -> tuple[Json, Json]:
        """Have a transaction built, sign it, have it sent: (what the node built, how it ended), indexed."""
        built: Json = await self.post(path, body)
        transaction = Transaction.from_bytes(base64.b64decode(built["transaction"]["transaction"]))
        transaction.sign([self.keypair], transaction.message.recent_blockhash)
        signed = base64.b64encode(bytes(transaction)).decode()
        landed: Json = await self._api.post("/api/transactions", {"transaction": signed})

        async def indexed() -> Json | None:
            found: Json = await self._api.get(f"/api/transactions/{landed['signature']}")
            return found if found["indexed"] else None

        return built, landed if landed.get("indexed") else await self._api.until("the transaction was indexed", indexed)
