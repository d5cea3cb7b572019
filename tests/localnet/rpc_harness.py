"""A started devnet with blocks on demand, and raw JSON-RPC calls to it."""

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from zmart_lite.localnet import Localnet, LocalnetOptions
from zmart_lite.models import Commitment

PROGRAM_ID = bytes(Pubkey.from_string("7h3gXfBfYFueFVLYyfL5Qo1QGsf4GQUfW96FKVgnUsJS"))
START_TIME = 1_700_000_000
CONFIRMED = {"commitment": "confirmed"}
P = 10**9


class Devnet:
    """A devnet and an HTTP client to it."""

    def __init__(self, net: Localnet, http: httpx.AsyncClient) -> None:
        self.net = net
        self.http = http
        self.alice, self.bob = net.wallets[0], net.wallets[1]

    async def post(self, body: Any) -> Any:
        response = await self.http.post(self.net.rpc_url, json=body)
        return response.json()

    async def answer(self, method: str, *params: Any) -> dict[str, Any]:
        found: dict[str, Any] = await self.post({"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)})
        assert (found["jsonrpc"], found["id"]) == ("2.0", 7)
        return found

    async def call(self, method: str, *params: Any) -> Any:
        found = await self.answer(method, *params)
        assert "error" not in found, found
        return found["result"]

    async def error(self, method: str, *params: Any) -> dict[str, Any]:
        found = await self.answer(method, *params)
        assert "result" not in found, found
        error: dict[str, Any] = found["error"]
        return error

    def transaction(
        self, *instructions: Instruction, payer: Keypair | None = None, v0: bool = False
    ) -> VersionedTransaction:
        payer = payer or self.alice
        blockhash = Hash(self.net.ledger.bank(Commitment.CONFIRMED).blockhash)
        if v0:
            message: Any = MessageV0.try_compile(payer.pubkey(), list(instructions), [], blockhash)
        else:
            message = Message.new_with_blockhash(list(instructions), payer.pubkey(), blockhash)
        return VersionedTransaction(message, [payer])

    def instruction(self, name: str, args: dict[str, Any], **named: bytes) -> Instruction:
        codec = self.net.codec
        keys = {"system_program": bytes(32), "global_config": codec.config_address()} | named
        metas = [
            AccountMeta(Pubkey(keys[spec.name]), spec.signer, spec.writable)
            for spec in codec.instruction_accounts(name)
        ]
        return Instruction(Pubkey(PROGRAM_ID), codec.encode_instruction(name, args), metas)

    def create_market(self, number: int) -> Instruction:
        market_id = bytes([number]) * 32
        args = {
            "market_id": market_id,
            "b_parameter": 1_000 * P,
            "initial_liquidity": P,
            "ipfs_question_hash": b"Q" * 46,
        }
        market = self.net.codec.market_address(market_id)
        return self.instruction("create_market", args, creator=bytes(self.alice.pubkey()), market=market)

    async def send(self, transaction: VersionedTransaction, **config: Any) -> str:
        return str(await self.call("sendTransaction", wire(transaction), SEND | config))


SEND = {"encoding": "base64", "preflightCommitment": "confirmed"}


def wire(transaction: VersionedTransaction) -> str:
    return b64encode(bytes(transaction)).decode()


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Devnet]:
    settings = {"rpc_port": 0, "slot_ms": 0, "genesis_time": START_TIME} | options
    net = Localnet(LocalnetOptions(PROGRAM_ID, **settings))
    await net.start()
    try:
        async with httpx.AsyncClient(verify=False) as http:
            yield Devnet(net, http)
    finally:
        await net.stop()
