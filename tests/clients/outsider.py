"""A client of the devnet made of solana-py and anchorpy: of the node's own code it shares only the IDL file.

anchorpy needs the IDL in its older form, which :func:`legacy_idl` writes. Addresses are derived from the
specification's seeds.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from anchorpy.error import ProgramError
from anchorpy.program.common import Event
from anchorpy.program.context import Context
from anchorpy.program.core import Program
from anchorpy.program.event import EventParser
from anchorpy.provider import Provider, Wallet
from anchorpy_core.idl import Idl
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solana.rpc.core import RPCException
from solana.rpc.types import TxOpts
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.transaction_status import InstructionErrorCustom, TransactionErrorInstructionError

import zmart_lite
from zmart_lite.chain.anchor import legacy_idl
from zmart_lite.localnet import Localnet, LocalnetOptions

PROGRAM_ID = Pubkey.from_string("7h3gXfBfYFueFVLYyfL5Qo1QGsf4GQUfW96FKVgnUsJS")
IDL_PATH = Path(zmart_lite.__file__).with_name("zmart_core.idl.json")
START_TIME = 1_700_000_000
SIGNATURE_FEE = 5_000
PROPOSAL, DISPUTE = b"\x00", b"\x01"


def address(*seeds: bytes) -> tuple[Pubkey, int]:
    return Pubkey.find_program_address(list(seeds), PROGRAM_ID)


CONFIG, CONFIG_BUMP = address(b"global-config")


def market_address(market_id: bytes) -> tuple[Pubkey, int]:
    return address(b"market", market_id)


def position_address(market: Pubkey, user: Pubkey) -> tuple[Pubkey, int]:
    return address(b"position", bytes(market), bytes(user))


def vote_address(market: Pubkey, user: Pubkey, kind: bytes) -> tuple[Pubkey, int]:
    return address(b"vote", bytes(market), bytes(user), kind)


@dataclass(frozen=True)
class Landed:
    """A transaction that succeeded: its only event by name and fields, and what its sender paid for its signature."""

    signature: Signature
    event: str
    fields: dict[str, Any]
    slot: int


class Outsider:
    """Calls the program for whoever signs."""

    def __init__(self, client: AsyncClient, http: httpx.AsyncClient, url: str) -> None:
        self.client = client
        self._http = http
        self._url = url
        idl = Idl.from_json(json.dumps(legacy_idl(json.loads(IDL_PATH.read_text()))))
        options = TxOpts(skip_confirmation=False, preflight_commitment=Confirmed)
        self.program = Program(idl, PROGRAM_ID, Provider(client, Wallet(Keypair()), options))

    async def call(self, signer: Keypair, name: str, *args: Any, **accounts: Pubkey) -> Signature:
        """Send one instruction, paid for and signed by ``signer``, and wait until it is confirmed."""
        return await self.program.rpc[name](*args, ctx=self._context(signer, accounts))

    def _context(self, signer: Keypair, accounts: dict[str, Pubkey]) -> Context:
        self.program.provider.wallet = Wallet(signer)
        return Context(accounts={"global_config": CONFIG, "system_program": SYSTEM_PROGRAM, **accounts})

    async def land(self, signer: Keypair, name: str, *args: Any, **accounts: Pubkey) -> Landed:
        """:meth:`call`, then the transaction as the cluster gives it back."""
        signature = await self.call(signer, name, *args, **accounts)
        found = (await self.client.get_transaction(signature, "json", Confirmed, 0)).value
        assert found is not None
        meta = found.transaction.meta
        assert meta is not None
        assert (meta.err, meta.fee) == (None, SIGNATURE_FEE)
        [event] = self.events(meta.log_messages or [])
        return Landed(signature, event.name, plain(event.data), found.slot)

    async def simulate(self, signer: Keypair, name: str, *args: Any, **accounts: Pubkey) -> tuple[str, dict[str, Any]]:
        """The only event that the instruction would emit."""
        simulated = await self.program.simulate[name](*args, ctx=self._context(signer, accounts))
        [event] = simulated.events
        return event.name, plain(event.data)

    async def refused(self, signer: Keypair, name: str, *args: Any, **accounts: Pubkey) -> tuple[int, str]:
        """Number and name of the program's error that the call must fail with."""
        try:
            await self.call(signer, name, *args, **accounts)
        except ProgramError as error:
            return error.code, str(error.msg)
        raise AssertionError(f"{name} was not refused")

    async def refused_by_system(self, signer: Keypair, name: str, *args: Any, **accounts: Pubkey) -> int:
        """Number of the System program's error that the call must fail with."""
        try:
            await self.call(signer, name, *args, **accounts)
        except RPCException as exception:
            error = exception.args[0].data.err
            assert isinstance(error, TransactionErrorInstructionError)
            assert isinstance(error.err, InstructionErrorCustom)
            return error.err.code
        raise AssertionError(f"{name} was not refused")

    def events(self, logs: list[str]) -> list[Event]:
        found: list[Event] = []
        EventParser(PROGRAM_ID, self.program.coder).parse_logs(logs, found.append)
        return found

    async def account(self, name: str, key: Pubkey) -> dict[str, Any]:
        """An account's fields as anchorpy decodes them."""
        return plain(await self.program.account[name].fetch(key, Confirmed))

    async def raw(self, key: Pubkey) -> bytes:
        found = (await self.client.get_account_info(key, Confirmed)).value
        assert found is not None
        assert found.owner == PROGRAM_ID
        return bytes(found.data)

    async def balance(self, key: Pubkey) -> int:
        return (await self.client.get_balance(key, Confirmed)).value

    async def devtool(self, method: str, **fields: Any) -> Any:
        """One of the developers' methods, which no client library knows."""
        body = {"jsonrpc": "2.0", "id": 1, "method": f"localnet_{method}", "params": [fields] if fields else []}
        answer = (await self._http.post(self._url, json=body)).json()
        assert "error" not in answer, answer
        return answer["result"]


def plain(decoded: Any) -> dict[str, Any]:
    """anchorpy's object as a dictionary: byte arrays as bytes, enum variants as their names."""
    return {name: _plain_value(value) for name, value in vars(decoded).items() if not name.startswith("_")}


def _plain_value(value: Any) -> Any:
    if isinstance(value, list):
        return bytes(value)
    if value is None or isinstance(value, bool | int | Pubkey):
        return value
    return type(value).__name__


@asynccontextmanager
async def devnet(**options: Any) -> AsyncIterator[tuple[Localnet, Outsider]]:
    """A started devnet and a client to it; by default each transaction is a block, and only warps move the time."""
    settings = {"rpc_port": 0, "slot_ms": 0, "genesis_time": START_TIME} | options
    net = Localnet(LocalnetOptions(bytes(PROGRAM_ID), **settings))
    await net.start()
    try:
        async with AsyncClient(net.rpc_url, Confirmed) as client, httpx.AsyncClient(verify=False) as http:
            yield net, Outsider(client, http, net.rpc_url)
    finally:
        await net.stop()
