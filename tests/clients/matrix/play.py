"""The list of play.mjs by solana-py: alone in its newest release, or in the older one that anchorpy3 stands on.

``python play.py CLIENT`` in an environment of that client's own reads the task from standard input and prints what it
saw as one JSON document.
"""

import asyncio
import importlib.util
import json
import sys
from typing import Any

from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solana.rpc.core import RPCException
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.rpc.config import RpcTransactionLogsFilterMentions
from solders.signature import Signature
from solders.transaction import VersionedTransaction

if importlib.util.find_spec("solana.rpc.models") is not None:
    from solana.rpc.models import TxOpts
else:
    from solana.rpc.types import TxOpts

WAIT_S = 20
WITH_ANCHOR = importlib.util.find_spec("anchorpy") is not None


class Client:
    """The verbs of the list."""

    def __init__(self, task: dict[str, Any], rpc: AsyncClient) -> None:
        self.task, self.rpc = task, rpc
        pairs = {name: Keypair.from_bytes(bytes(secret)) for name, secret in task["secrets"].items()}
        self.keys = pairs | {str(pair.pubkey()): pair for pair in pairs.values()}

    async def _built(self, signer: str, told: list[Any], nonce: str | None, table: Any) -> VersionedTransaction:
        latest = (await self.rpc.get_latest_blockhash(Confirmed)).value.blockhash
        payer = self.keys[signer].pubkey()
        tables = [] if table is None else [table]
        blockhash = latest if nonce is None else Hash.from_string(nonce)
        message = MessageV0.try_compile(payer, [_instruction(each) for each in told], tables, blockhash)
        count = message.header.num_required_signatures
        return VersionedTransaction(message, [self.keys[str(key)] for key in message.account_keys[:count]])

    async def send(self, signer: str, told: list[Any], nonce: str | None = None, table: Any = None) -> str:
        transaction = await self._built(signer, told, nonce, table)
        options = TxOpts(preflight_commitment=Confirmed)
        signature = (await self.rpc.send_transaction(transaction, options)).value
        await self.rpc.confirm_transaction(signature, Confirmed, sleep_seconds=0.02)
        return str(signature)

    async def told(self, text: str) -> dict[str, Any]:
        signature = Signature.from_string(text)
        found = (await self.rpc.get_transaction(signature, "json", Confirmed, 0)).value
        meta = found.transaction.meta
        [row] = (
            await self.rpc.get_signatures_for_address(self.keys["alice"].pubkey(), limit=1, commitment=Confirmed)
        ).value
        loaded = [str(key) for key in (*meta.loaded_addresses.writable, *meta.loaded_addresses.readonly)]
        shape = {"err": meta.err, "fee": meta.fee, "memo": row.memo, "loaded": loaded}
        return shape | {"version": int(found.transaction.version)}

    async def airdrop(self, address: str, lamports: int) -> None:
        signature = (await self.rpc.request_airdrop(Pubkey.from_string(address), lamports)).value
        await self.rpc.confirm_transaction(signature, Confirmed, sleep_seconds=0.02)

    async def balance(self, address: str) -> int:
        return (await self.rpc.get_balance(Pubkey.from_string(address), Confirmed)).value

    async def account(self, address: str, encoding: str) -> Any:
        key = Pubkey.from_string(address)
        if encoding == "jsonParsed":
            data = (await self.rpc.get_account_info_json_parsed(key, Confirmed)).value.data
            if isinstance(data, bytes):
                return data.hex()
            return {"program": data.program, "space": data.space, "parsed": data.parsed}
        # Every encoding comes as the bytes that it stands for.
        return bytes((await self.rpc.get_account_info(key, Confirmed, encoding)).value.data).hex()

    async def simulate(self, signer: str, told: list[Any]) -> dict[str, Any]:
        transaction = await self._built(signer, told, None, None)
        value = (await self.rpc.simulate_transaction(transaction, commitment=Confirmed)).value
        return {"err": value.err, "units": value.units_consumed, "logs": value.logs}

    async def failure(self, signer: str, told: list[Any]) -> dict[str, Any]:
        try:
            await self.send(signer, told)
        except RPCException as error:
            return {"name": type(error.args[0]).__name__, "told": str(error)}
        raise AssertionError("it did not fail")

    async def devtool(self, method: str, fields: Any) -> None:
        """A developers' method, which no client library knows: plain HTTP."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": f"localnet_{method}", "params": [fields]}).encode()
        host, port = self.task["rpcUrl"].removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        answer = await reader.read()
        writer.close()
        assert b'"result"' in answer, answer

    async def decoded(self) -> dict[str, Any]:
        from anchorpy import Idl, Program, Provider, Wallet

        provider = Provider(self.rpc, Wallet(self.keys["alice"]))
        program = Program(
            Idl.from_json(json.dumps(self.task["legacyIdl"])), Pubkey.from_string(self.task["programId"]), provider
        )
        market = await program.account["MarketAccount"].fetch(Pubkey.from_string(self.task["marketAddress"]), Confirmed)
        state = type(market.state).__name__.lower()
        return {"state": state, "sharesYes": str(market.shares_yes), "sharesNo": str(market.shares_no)}


def _instruction(told: dict[str, Any]) -> Instruction:
    metas = [
        AccountMeta(Pubkey.from_string(each["address"]), each["signer"], each["writable"]) for each in told["accounts"]
    ]
    return Instruction(Pubkey.from_string(told["program"]), bytes(told["data"]), metas)


class Ears:
    """The first notification of each kind, by either release's pubsub client."""

    def __init__(self, task: dict[str, Any]) -> None:
        self._task = task
        self.heard: dict[str, Any] = {}
        self.ready = asyncio.Event()
        self._grown = asyncio.Event()

    async def listen(self) -> None:
        account, program = (Pubkey.from_string(self._task[name]) for name in ("receiver", "programId"))
        mentions = RpcTransactionLogsFilterMentions(program)
        if WITH_ANCHOR:
            from solana.rpc.websocket_api import connect

            async with connect(self._task["wsUrl"]) as socket:
                await socket.account_subscribe(account, Confirmed, "base64")
                await socket.program_subscribe(program, Confirmed, "base64")
                await socket.logs_subscribe(mentions, Confirmed)
                await socket.slot_subscribe()
                await socket.root_subscribe()
                while True:
                    for each in await socket.recv():
                        self._note(each)
        else:
            from solana.rpc.websocket_api import SolanaWsClient

            async with SolanaWsClient(self._task["wsUrl"]) as socket:
                await socket.account_subscribe(pubkey=account, commitment=Confirmed, encoding="base64")
                await socket.program_subscribe(program_id=program, commitment=Confirmed, encoding="base64")
                await socket.logs_subscribe(filter_=mentions, commitment=Confirmed)
                await socket.slot_subscribe()
                await socket.slots_updates_subscribe()
                await socket.root_subscribe()
                async for each in socket:
                    self._note(each)

    def _note(self, message: Any) -> None:
        kind = type(message).__name__.removesuffix("Notification")
        result = getattr(message, "result", None)
        self._grown.set()
        # The subscriptions were answered in turn: a slot or root comes after all of them were made.
        match kind:
            case "Account":
                self.heard.setdefault("account", result.value.lamports)
            case "Program":
                self.heard.setdefault("program", len(result.value.account.data))
            case "Logs":
                self.heard.setdefault("logs", result.value.err)
            case "Slot":
                self.heard.setdefault("slot", result.slot - result.parent)
            case "SlotUpdate":
                if "Frozen" in type(result).__name__:
                    self.heard.setdefault("slotsUpdates", "frozen")
            case "Root":
                self.heard.setdefault("root", "number")
                self.ready.set()

    async def all(self, kinds: int) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S):
            while len(self.heard) < kinds:
                self._grown.clear()
                await self._grown.wait()
        return self.heard


async def _nonce(client: Client) -> dict[str, Any]:
    told = client.task["nonce"]
    await client.send("alice", told["create"])
    before = await client.account(told["address"], "jsonParsed")
    value = before["parsed"]["info"]["blockhash"]
    signature = await client.send("alice", [*told["advance"], *told["transfer"]], nonce=value)
    after = await client.account(told["address"], "jsonParsed")
    advanced = after["parsed"]["info"]["blockhash"] != value
    return {"type": before["parsed"]["type"], "advanced": advanced} | await client.told(signature)


async def _lookup(client: Client) -> dict[str, Any]:
    told = client.task["lookup"]
    await client.send("alice", told["create"])
    parsed = (await client.account(told["address"], "jsonParsed"))["parsed"]
    await client.devtool("produceBlocks", 1)
    addresses = [Pubkey.from_string(each) for each in parsed["info"]["addresses"]]
    table = AddressLookupTableAccount(Pubkey.from_string(told["address"]), addresses)
    signature = await client.send("alice", told["transfer"], table=table)
    return {"type": parsed["type"], "addresses": parsed["info"]["addresses"]} | await client.told(signature)


async def _market(client: Client) -> str:
    for step in client.task["market"]:
        if step["seconds"]:
            await client.devtool("warp", {"seconds": step["seconds"]})
        await client.send(step["signer"], step["instructions"])
    found: str = await client.account(client.task["marketAddress"], "base64")
    return found


async def play(task: dict[str, Any]) -> dict[str, Any]:
    async with AsyncClient(task["rpcUrl"], Confirmed) as rpc:
        client, ears = Client(task, rpc), Ears(task)
        listening = asyncio.get_running_loop().create_task(ears.listen())
        await asyncio.wait_for(ears.ready.wait(), WAIT_S)
        await client.airdrop(task["fresh"], 2_000_000_000)
        seen: dict[str, Any] = {"airdrop": await client.balance(task["fresh"])}
        signature = await client.send("alice", task["transfer"])
        seen["transfer"] = {"balance": await client.balance(task["receiver"])} | await client.told(signature)
        # The slot that the table is named after is a recent one only for so long.
        seen["lookup"] = await _lookup(client)
        seen["memo"] = await client.told(await client.send("alice", task["memo"]))
        seen["simulated"] = await client.simulate("alice", task["transfer"])
        seen["encodings"] = {each: await client.account(task["small"], each) for each in task["encodings"]}
        seen["clock"] = await client.account("SysvarC1ock11111111111111111111111111111111", "jsonParsed")
        seen["failure"] = await client.failure("alice", task["tooMuch"])
        seen["nonce"] = await _nonce(client)
        seen["market"] = await _market(client)
        if WITH_ANCHOR:
            seen["decoded"] = await client.decoded()
        seen["heard"] = await ears.all(5 if WITH_ANCHOR else 6)
        listening.cancel()
        return seen


if __name__ == "__main__":
    json.dump(asyncio.run(play(json.load(sys.stdin))), sys.stdout)
