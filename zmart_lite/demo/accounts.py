"""Compares what the node knows with the chain's accounts, read through anchorpy and not through the code that wrote
them.

anchorpy decodes with its own Borsh from the IDL; solana-py fetches. So a mistake in this package's codec, which node
and embedded devnet share, cannot hide here.
"""

from typing import Any

from anchorpy.provider import Provider, Wallet
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from zmart_lite.chain.anchor import anchor_program
from zmart_lite.codec import Codec
from zmart_lite.models import GlobalConfig, MarketAccount, UserPosition
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.state import markets, positions

CONSTANT = ("reserved", "bump")
"""Fields without a meaning of their own."""


async def differences(store: Store, codec: Codec, rpc_url: str) -> tuple[int, list[str]]:
    """Compare every config, market and position field by field: (fields compared, what differs)."""
    async with AsyncClient(rpc_url, commitment=Confirmed) as client:
        program = anchor_program(codec, Provider(client, Wallet(Keypair())))
        names = program.account
        on_chain = {
            "config": list(await names["GlobalConfig"].all()),
            "market": list(await names["MarketAccount"].all()),
            "position": list(await names["UserPosition"].all()),
        }
    compared, found = 0, []
    stored = await store.read(lambda tx: _stored(tx, codec))
    for kind, accounts in on_chain.items():
        ours = stored[kind]
        addresses = {str(one.public_key) for one in accounts}
        found += [f"{kind} {address} is not on chain" for address in ours.keys() - addresses]
        for one in accounts:
            address = str(one.public_key)
            if address not in ours:
                found.append(f"{kind} {address} is not in the database")
                continue
            count, wrong = _compare(f"{kind} {address}", ours[address], one.account)
            compared += count
            found += wrong
    return compared, found


def _stored(tx: Tx, codec: Codec) -> dict[str, dict[str, Any]]:
    """Every account as the database has it, by address."""
    config = markets.find_config(tx)
    by_market = {}
    by_position = {}
    for row in tx.all(f"{markets.RECORD_SELECT} WHERE m.known = 1"):
        record = dict(row)
        by_market[_text(record["address"])] = markets.account_of(record, codec.market_pda(record["market_id"])[1])
        for held in tx.all(f"{positions.HOLDER_SELECT} WHERE p.market = ?", (record["id"],)):
            bump = codec.position_pda(record["address"], held["wallet_address"])[1]
            by_position[_text(held["address"])] = positions.position_of(held, record["address"], bump)
    return {
        "config": {} if config is None else {_text(codec.config_address()): config},
        "market": by_market,
        "position": by_position,
    }


def _compare(what: str, ours: GlobalConfig | MarketAccount | UserPosition, theirs: Any) -> tuple[int, list[str]]:
    wrong = []
    for field in ours._fields:
        expected, actual = _plain(getattr(ours, field)), _plain(getattr(theirs, field))
        if expected != actual:
            wrong.append(f"{what}: {field} is {expected} in the database and {actual} on chain")
    return len(ours._fields), wrong


def _plain(value: Any) -> Any:
    """Both sides' values in one form: keys and hashes as hex, enums as numbers."""
    if isinstance(value, Pubkey | bytes | bytearray):
        return bytes(value).hex()
    if isinstance(value, list):
        return bytes(value).hex()
    index = getattr(value, "index", None)
    return index if isinstance(index, int) else value


def _text(address: bytes) -> str:
    return str(Pubkey.from_bytes(address))
