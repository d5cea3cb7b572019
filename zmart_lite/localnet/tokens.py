"""Accounts of the two token programs, which exist here only where somebody wrote them (``localnet_setAccount``).

Layouts as the programs' state has them (spl-token ``state.rs``); of Token-2022 the part that both share, extensions are
left out.
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from solders.pubkey import Pubkey

from zmart_lite.localnet.runtime import Account

TOKEN_ID = bytes(Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"))
TOKEN_2022_ID = bytes(Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"))
TOKEN_PROGRAMS = {TOKEN_ID: "spl-token", TOKEN_2022_ID: "spl-token-2022"}

_MINT = struct.Struct("<I32sQBBI32s")
_HOLDING = struct.Struct("<32s32sQI32sBIQQI32s")
_HOLDING_STATES = {1: "initialized", 2: "frozen"}
_KIND_MINT, _KIND_HOLDING = 1, 2

Load = Callable[[bytes], Account | None]
"""The account at a key, or None."""


class Mint(NamedTuple):
    """``decimals`` says how many of the supply's digits stand behind the point."""

    mint_authority: bytes | None
    supply: int
    decimals: int
    freeze_authority: bytes | None


class Holding(NamedTuple):
    """What one token account holds. ``native_reserve`` is in lamports, None for other tokens than wrapped SOL."""

    mint: bytes
    owner: bytes
    amount: int
    delegate: bytes | None
    state: str
    native_reserve: int | None
    delegated_amount: int
    close_authority: bytes | None


def read_mint(account: Account) -> Mint | None:
    """None where the account is no mint of a token program."""
    if not _may_be(account, _MINT.size, _KIND_MINT):
        return None
    has_authority, authority, supply, decimals, initialized, has_freeze, freeze = _MINT.unpack_from(account.data)
    if initialized != 1:
        return None
    return Mint(authority if has_authority else None, supply, decimals, freeze if has_freeze else None)


def read_holding(account: Account) -> Holding | None:
    """None where the account is no token account."""
    if not _may_be(account, _HOLDING.size, _KIND_HOLDING):
        return None
    fields = _HOLDING.unpack_from(account.data)
    mint, owner, amount, has_delegate, delegate, state, is_native, reserve, delegated, has_close, close = fields
    if state not in _HOLDING_STATES:
        return None
    return Holding(
        mint,
        owner,
        amount,
        delegate if has_delegate else None,
        _HOLDING_STATES[state],
        reserve if is_native else None,
        delegated,
        close if has_close else None,
    )


def _may_be(account: Account, size: int, kind: int) -> bool:
    """With extensions an account has at least a holding's length, and behind it a byte that says what it is."""
    if account.owner not in TOKEN_PROGRAMS:
        return False
    data = account.data
    if len(data) == size:
        return True
    return account.owner == TOKEN_2022_ID and len(data) > _HOLDING.size and data[_HOLDING.size] == kind


def decimals_of(mint: bytes, load: Load) -> int | None:
    account = load(mint)
    found = None if account is None else read_mint(account)
    return None if found is None else found.decimals


def amount_json(amount: int, decimals: int) -> dict[str, Any]:
    """A ``UiTokenAmount``: the exact text and the float that old clients read."""
    text = str(amount)
    if decimals:
        padded = text.zfill(decimals + 1)
        text = f"{padded[:-decimals]}.{padded[-decimals:]}".rstrip("0").rstrip(".")
    return {"amount": str(amount), "decimals": decimals, "uiAmount": float(text), "uiAmountString": text}


def parse_token(account: Account, load: Load) -> dict[str, Any] | None:
    """What ``jsonParsed`` shows of a mint or a token account; None where it is neither, or its mint is not there."""
    mint = read_mint(account)
    if mint is not None:
        return {"type": "mint", "info": _mint_json(mint)}
    holding = read_holding(account)
    decimals = None if holding is None else decimals_of(holding.mint, load)
    if holding is None or decimals is None:
        return None
    return {"type": "account", "info": _holding_json(holding, decimals)}


def _mint_json(mint: Mint) -> dict[str, Any]:
    return {
        "decimals": mint.decimals,
        "freezeAuthority": _text(mint.freeze_authority),
        "isInitialized": True,
        "mintAuthority": _text(mint.mint_authority),
        "supply": str(mint.supply),
    }


def _holding_json(holding: Holding, decimals: int) -> dict[str, Any]:
    """Fields that stand for nothing are left out, as the cluster does."""
    shape: dict[str, Any] = {
        "isNative": holding.native_reserve is not None,
        "mint": _text(holding.mint),
        "owner": _text(holding.owner),
        "state": holding.state,
        "tokenAmount": amount_json(holding.amount, decimals),
    }
    if holding.delegate is not None:
        shape["delegate"] = _text(holding.delegate)
        if holding.delegated_amount:
            shape["delegatedAmount"] = amount_json(holding.delegated_amount, decimals)
    if holding.native_reserve is not None:
        shape["rentExemptReserve"] = amount_json(holding.native_reserve, decimals)
    if holding.close_authority is not None:
        shape["closeAuthority"] = _text(holding.close_authority)
    return shape


def _text(key: bytes | None) -> str | None:
    return None if key is None else str(Pubkey(key))
