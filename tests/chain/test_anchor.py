"""anchorpy, given our view of the IDL, must write and read the same bytes as the codec."""

import copy
from collections.abc import AsyncIterator
from typing import Any

import pytest
from anchorpy import Context
from anchorpy.program.core import Program
from anchorpy.provider import Provider, Wallet
from pyheck import snake
from solana.rpc.async_api import AsyncClient
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from tests.chain.instruction_cases import CASES, CODEC, SETTINGS
from zmart_lite.chain.anchor import anchor_program, legacy_idl
from zmart_lite.codec import anchor_discriminator
from zmart_lite.models import ChainAccount, MarketAccount, MarketState, UserPosition, VoteRecord, VoteType

# sumtypes, which anchorpy's enums are made with, still names an argument that attrs is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The `repr_ns` argument is deprecated:DeprecationWarning")

KEYS = [bytes([number]) * 32 for number in range(1, 5)]


def market(**changes: Any) -> MarketAccount:
    numbers = dict.fromkeys(MarketAccount._fields, 0) | {"shares_yes": 2**64 - 1, "created_at": -1}
    keys = {"market_id": KEYS[0], "creator": KEYS[1], "resolver": KEYS[2], "dispute_initiator": KEYS[3]}
    flags = {"was_disputed": True, "is_cancelled": False, "is_locked": False}
    others = {"ipfs_evidence_hash": b"Q" * 46, "reserved": bytes(119), "state": MarketState.DISPUTED}
    options = dict.fromkeys(("proposed_outcome", "final_outcome", "cancelled_at"))
    return MarketAccount(**(numbers | keys | flags | others | options | changes))


ACCOUNTS: dict[str, ChainAccount] = {
    "config": SETTINGS,
    "new market": market(state=MarketState.PROPOSED),
    "final market": market(proposed_outcome=False, final_outcome=True, state=MarketState.FINALIZED),
    "cancelled market": market(cancelled_at=5, state=MarketState.CANCELLED),
    "position": UserPosition(KEYS[0], KEYS[1], 2**64 - 1, 1, 2, 3, -4, True, 5, bytes(64), 254),
    "vote": VoteRecord(KEYS[0], KEYS[1], VoteType.DISPUTE, True, 9, 255),
}


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    async with AsyncClient("http://127.0.0.1:9") as client:
        yield anchor_program(CODEC, Provider(client, Wallet(Keypair())))


def test_the_idl_is_not_changed() -> None:
    before = copy.deepcopy(CODEC.idl)
    legacy = legacy_idl(CODEC.idl)
    assert before == CODEC.idl
    assert len(legacy["instructions"]) == 18
    assert len(legacy["events"]) == 18
    assert [each["name"] for each in legacy["types"]] == ["MarketState", "VoteType"]


@pytest.mark.parametrize("name", CASES)
async def test_instructions_have_the_same_bytes(program: Program, name: str) -> None:
    case = CASES[name]
    built = case.build()
    accounts = {
        spec.name: meta.pubkey for spec, meta in zip(CODEC.instruction_accounts(name), built.accounts, strict=True)
    }
    args = [_anchor_value(value) for value in case.args.values()]
    assert program.instruction[name](*args, ctx=Context(accounts=accounts)) == built


def _anchor_value(value: object) -> object:
    if isinstance(value, bytes):
        return Pubkey.from_bytes(value) if value == SETTINGS.backend_authority else list(value)
    return value


@pytest.mark.parametrize("account", ACCOUNTS.values(), ids=ACCOUNTS.keys())
async def test_accounts_read_the_same(program: Program, account: ChainAccount) -> None:
    data = CODEC.encode_account(account)
    found = program.account[type(account).__name__].coder.accounts.decode(data)
    values = {snake(name): value for name, value in vars(found).items()}
    assert {name: _our_value(value) for name, value in values.items()} == account._asdict()


def _our_value(value: Any) -> Any:
    if isinstance(value, Pubkey):
        return bytes(value)
    if isinstance(value, list):
        return bytes(value)
    if hasattr(value, "index") and not isinstance(value, int | bytes):
        return value.index
    return value


def test_discriminators_are_the_default_ones() -> None:
    """legacy_idl cannot carry others."""
    for kind, namespace in (("instructions", "global"), ("accounts", "account"), ("events", "event")):
        for entry in CODEC.idl[kind]:
            assert bytes(entry["discriminator"]) == anchor_discriminator(namespace, entry["name"])
