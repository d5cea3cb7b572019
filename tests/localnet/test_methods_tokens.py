"""Token accounts: none unless somebody wrote them, and then as the token program's state says."""

import struct
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from tests.localnet.rpc_harness import CONFIRMED, Devnet, running
from zmart_lite.localnet.runtime import Account
from zmart_lite.localnet.tokens import TOKEN_2022_ID, TOKEN_ID, amount_json, read_holding, read_mint

TOKEN = str(Pubkey(TOKEN_ID))
MINT, HOLDING = Pubkey(b"\x01" * 32), Pubkey(b"\x02" * 32)
PARSED = CONFIRMED | {"encoding": "jsonParsed"}


def mint_bytes(supply: int, decimals: int, authority: bytes | None = None) -> bytes:
    option = struct.pack("<I32s", authority is not None, authority or bytes(32))
    return option + struct.pack("<QBB", supply, decimals, 1) + struct.pack("<I32s", 0, bytes(32))


def holding_bytes(owner: bytes, amount: int, delegate: bytes | None = None, delegated: int = 0) -> bytes:
    option = struct.pack("<I32s", delegate is not None, delegate or bytes(32))
    head = bytes(MINT) + owner + struct.pack("<Q", amount) + option + b"\x01" + struct.pack("<IQQ", 0, 0, delegated)
    return head + struct.pack("<I32s", 0, bytes(32))


@pytest.fixture
async def devnet() -> AsyncIterator[Devnet]:
    async with running() as started:
        yield started


async def write(devnet: Devnet, key: Pubkey, data: bytes) -> None:
    fields = {"lamports": 2_039_280, "owner": TOKEN, "data": b64encode(data).decode()}
    await devnet.call("localnet_setAccount", str(key), fields)


async def test_without_accounts_the_true_answer_is_none(devnet: Devnet) -> None:
    alice = str(devnet.alice.pubkey())
    for method in ("getTokenAccountsByOwner", "getTokenAccountsByDelegate"):
        assert (await devnet.call(method, alice, {"programId": TOKEN}, PARSED))["value"] == []
        assert "could not find mint" in (await devnet.error(method, alice, {"mint": str(MINT)}))["message"]
        assert "not a Token mint" in (await devnet.error(method, alice, {"mint": alice}))["message"]
        assert "unrecognized" in (await devnet.error(method, alice, {"programId": alice}))["message"]
        assert (await devnet.error(method, alice, {}))["code"] == -32602
    for method, text in (
        ("getTokenAccountBalance", "could not find account"),
        ("getTokenSupply", "could not find account"),
        ("getTokenLargestAccounts", "could not find mint"),
    ):
        error = await devnet.error(method, str(MINT))
        assert (error["code"], error["message"]) == (-32602, f"Invalid param: {text}")
        assert "not a Token" in (await devnet.error(method, alice))["message"]


async def test_accounts_that_were_written_are_found_and_parsed(devnet: Devnet) -> None:
    alice, bob = devnet.alice.pubkey(), devnet.bob.pubkey()
    await write(devnet, MINT, mint_bytes(5_000_000, 6, bytes(bob)))
    await write(devnet, HOLDING, holding_bytes(bytes(alice), 1_500_000, bytes(bob), 20))
    amount = {"amount": "1500000", "decimals": 6, "uiAmount": 1.5, "uiAmountString": "1.5"}
    assert (await devnet.call("getTokenAccountBalance", str(HOLDING), CONFIRMED))["value"] == amount
    assert (await devnet.call("getTokenSupply", str(MINT), CONFIRMED))["value"]["uiAmountString"] == "5"
    largest = (await devnet.call("getTokenLargestAccounts", str(MINT), CONFIRMED))["value"]
    assert largest == [{"address": str(HOLDING)} | amount]
    for method, who in (("getTokenAccountsByOwner", alice), ("getTokenAccountsByDelegate", bob)):
        for asked in ({"programId": TOKEN}, {"mint": str(MINT)}):
            [row] = (await devnet.call(method, str(who), asked, PARSED))["value"]
            data = row["account"]["data"]
            assert (row["pubkey"], data["program"], data["parsed"]["type"]) == (str(HOLDING), "spl-token", "account")
            info: dict[str, Any] = data["parsed"]["info"]
            assert info.pop("delegatedAmount")["amount"] == "20"
            assert info == {
                "delegate": str(bob),
                "isNative": False,
                "mint": str(MINT),
                "owner": str(alice),
                "state": "initialized",
                "tokenAmount": amount,
            }
    mint = (await devnet.call("getAccountInfo", str(MINT), PARSED))["value"]["data"]
    assert mint["parsed"]["info"] == {
        "decimals": 6,
        "freezeAuthority": None,
        "isInitialized": True,
        "mintAuthority": str(bob),
        "supply": "5000000",
    }


async def test_a_token_account_without_its_mint_is_not_parsed(devnet: Devnet) -> None:
    await write(devnet, HOLDING, holding_bytes(bytes(devnet.alice.pubkey()), 1))
    found = (await devnet.call("getAccountInfo", str(HOLDING), PARSED))["value"]["data"]
    assert found[1] == "base64"
    assert "could not find mint" in (await devnet.error("getTokenAccountBalance", str(HOLDING), CONFIRMED))["message"]


def test_extensions_stand_behind_the_shared_part() -> None:
    mint = mint_bytes(1, 0).ljust(165, b"\0") + b"\x01" + b"extension"
    assert read_mint(Account(1, TOKEN_2022_ID, mint)) is not None
    assert read_holding(Account(1, TOKEN_2022_ID, mint)) is None
    assert read_mint(Account(1, TOKEN_ID, mint)) is None


@given(st.binary(max_size=200), st.sampled_from([TOKEN_ID, TOKEN_2022_ID, bytes(32)]))
def test_no_bytes_break_the_reading(data: bytes, owner: bytes) -> None:
    account = Account(1, owner, data)
    read_mint(account)
    read_holding(account)


@given(st.integers(0, 2**64 - 1), st.integers(0, 255))
def test_amounts_are_exact(amount: int, decimals: int) -> None:
    text = amount_json(amount, decimals)["uiAmountString"]
    whole, _, part = text.partition(".")
    assert int(whole + part.ljust(decimals, "0")) == amount
    assert not part.endswith("0")
