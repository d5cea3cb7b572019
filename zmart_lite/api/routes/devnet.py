"""Drives the embedded devnet: faucet, clock, balances. These routes exist only where that devnet does.

They hand on to its JSON-RPC, so that the page needs no second origin. Nothing here is worth anything, and whoever
reaches them may use them.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey
from solders.signature import Signature

from zmart_lite.api.contract.endpoints import Endpoint
from zmart_lite.api.contract.parsers import find_wallet, integer, time_ms, wallet
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import Problems, field
from zmart_lite.api.openapi.examples import TRANSITION
from zmart_lite.chain import answers
from zmart_lite.errors import NotFound, RpcRefused, ValidationFailed
from zmart_lite.models import Commitment
from zmart_lite.shown import time_text

LAMPORTS_PER_SOL = 1_000_000_000
AIRDROP_SOL_MAX = 1_000
AIRDROP_LOOK_S = 0.05
AIRDROP_LOOKS = 60
"""Three seconds; a slot takes 0.4."""
WARP_S_MAX = 366 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class AirdropFields:
    wallet: bytes = field(wallet, help="Who gets it.")
    sol: int = field(integer(1, AIRDROP_SOL_MAX), 10, help="Whole SOL.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WarpFields:
    seconds: int | None = field(
        integer(1, WARP_S_MAX), None, help="How far to move the chain's clock, in seconds.", example=3_600
    )
    to: int | None = field(time_ms, None, help="The chain time to move to.")

    def check(self) -> Problems:
        if (self.seconds is None) == (self.to is None):
            yield "seconds", "give either seconds or to"


async def show(request: Request, _: object) -> object:
    """Who is who on this devnet, its time, and what time alone will bring next."""
    info = await _call(request, "localnet_info")
    upcoming = await _call(request, "localnet_nextTransition")
    return {
        "rpc_url": info["rpc"],
        "pubsub_url": info["pubsub"],
        "admin": info["admin"],
        "backend": info["backend"],
        "wallets": info["wallets"],
        "strict": info["strict"],
        **_now(info),
        "next_transition": None if upcoming is None else _transition(upcoming),
    }


async def balance(request: Request, _: object) -> object:
    address = find_wallet(request.params["wallet"])
    if address is None:
        raise NotFound("There is no such wallet.")
    lamports = await request.parts.rpc.get_balance(address)
    return {"wallet": str(Pubkey.from_bytes(address)), "lamports": str(lamports), "sol": lamports / LAMPORTS_PER_SOL}


async def airdrop(request: Request, fields: AirdropFields) -> object:
    address = str(Pubkey.from_bytes(fields.wallet))
    signature = await _call(request, "requestAirdrop", address, fields.sol * LAMPORTS_PER_SOL)
    await _confirmed(request, Signature.from_string(signature))
    return {"success": True, "wallet": address, "sol": fields.sol, "signature": signature}


async def _confirmed(request: Request, signature: Signature) -> None:
    """Wait until what is asked for next will see the gift; not for ever, since blocks may be paused."""
    for _ in range(AIRDROP_LOOKS):
        (found,) = await request.parts.rpc.get_signature_statuses([bytes(signature)])
        if found is not None and found.commitment is not Commitment.PROCESSED:
            return
        await asyncio.sleep(AIRDROP_LOOK_S)


async def warp(request: Request, fields: WarpFields) -> object:
    """Move the chain's clock forward. Raises ValidationFailed when it would run backwards."""
    wanted = {"seconds": fields.seconds} if fields.to is None else {"to": fields.to // 1_000}
    try:
        moved = await _call(request, "localnet_warp", wanted)
    except RpcRefused as error:
        raise ValidationFailed(
            [("to", "must be ahead of the chain's clock, and not by more than the devnet allows")]
        ) from error
    clock = request.parts.clock
    reading = await request.parts.rpc.get_clock()
    clock.forget()
    clock.observe(reading.slot, reading.unix_timestamp)
    return {"success": True, **_now(moved)}


async def _call(request: Request, method: str, *params: Any) -> Any:
    return await request.parts.rpc.call(method, list(params), answers.plain(Any))


def _now(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "chain_time": time_text(answer["unixTimestamp"]),
        "slot": answer["slot"],
        "offset_seconds": answer["offsetSeconds"],
    }


def _transition(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": answer["kind"],
        "market": answer["market"],
        "at": time_text(answer["unixTimestamp"]),
        "seconds_ahead": answer["secondsAhead"],
    }


_TIME = "2026-01-02T03:04:05.000Z"
_WALLET = "4uyTxMCdTKuhUQ6svNkWwKuELUbxnHDBGa9JcsfFvTef"
_NOW = {"chain_time": _TIME, "slot": 42, "offset_seconds": 0}
_SHOWN = {
    "rpc_url": "http://127.0.0.1:8899",
    "pubsub_url": "ws://127.0.0.1:8900",
    "admin": _WALLET,
    "backend": _WALLET,
    "wallets": [_WALLET],
    "strict": False,
    **_NOW,
    "next_transition": TRANSITION,
}
_DROPPED = {"success": True, "wallet": _WALLET, "sol": 10, "signature": "5" * 88}

ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/devnet",
        show,
        "The embedded devnet: addresses, time, next transition.",
        answer=_SHOWN,
        tag="devnet",
        limited=False,
        refuses=("rpc_unavailable", "breaker_open"),
    ),
    Endpoint(
        "GET",
        "/api/devnet/wallets/{wallet}",
        balance,
        "A wallet's balance on the embedded devnet.",
        answer={"wallet": _WALLET, "lamports": "10000000000", "sol": 10.0},
        tag="devnet",
        limited=False,
        refuses=("rpc_unavailable", "breaker_open"),
    ),
    Endpoint(
        "POST",
        "/api/devnet/airdrop",
        airdrop,
        "SOL from the faucet.",
        fields=AirdropFields,
        answer=_DROPPED,
        tag="devnet",
        limited=False,
        refuses=("rpc_unavailable", "breaker_open"),
    ),
    Endpoint(
        "POST",
        "/api/devnet/warp",
        warp,
        "Move the devnet's clock forward.",
        fields=WarpFields,
        answer={"success": True, **_NOW},
        tag="devnet",
        limited=False,
        refuses=("rpc_unavailable", "breaker_open"),
    ),
)
