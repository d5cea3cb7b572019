"""Creating markets: drafts, their hashes, and the text's way onto the market."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.api.chain_node import DAY_S, GENESIS_S, HASH, TEXT, ChainNode, chain_node
from zmart_lite.chain import instructions
from zmart_lite.config import Config
from zmart_lite.drafts import cid_v0
from zmart_lite.shown import time_text
from zmart_lite.store.log import retention


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ChainNode]:
    async with chain_node(tmp_path) as node:
        yield node


async def count_drafts(node: ChainNode) -> int:
    return int(await node.store.read(lambda tx: tx.value("SELECT count(*) FROM drafts")))


async def test_the_answer(node: ChainNode) -> None:
    wallet = node.net.wallets[0]
    answer = await node.post("/api/markets", TEXT, wallet)
    assert answer.status_code == 201
    body = answer.json()
    canonical = (
        '{"category":"science","description":"By the official gauge.","end_date":"2026-01-12T03:04:05Z",'
        '"question":"Will it rain in Lisbon tomorrow?","tags":["weather"],"version":1}'
    )
    assert body["draft"] == {
        "question": TEXT["question"],
        "description": TEXT["description"],
        "category": "science",
        "tags": ["weather"],
        "end_date": time_text(TEXT["end_date"]),
        "creator_wallet": str(wallet.pubkey()),
        "canonical_json": canonical,
        "expires_at": time_text(GENESIS_S + DAY_S),
    }
    assert body["cid"] == cid_v0(canonical.encode())
    assert body["id"] == body["market_id"]
    assert (body["action"], body["warnings"]) == ("create_market", ["liquidity_not_deposited"])
    unsigned = body["transaction"]
    assert (unsigned["instruction"], unsigned["encoding"]) == ("create_market", "base64")
    assert unsigned["cluster"] == "localnet"
    assert unsigned["fee_payer"] == str(wallet.pubkey())
    assert unsigned["signers"] == [str(wallet.pubkey())]
    assert unsigned["simulation"]["ok"] is True
    assert (await node.get(f"/api/votes/{body['market_id']}")).status_code == 404, "nothing is there before the chain"


async def test_the_text_reaches_its_market(node: ChainNode) -> None:
    wallet = node.net.wallets[0]
    market_id = await node.create(wallet, ends_at=None)
    account = await node.account(market_id)
    assert (account.b_parameter, account.initial_liquidity) == (10**11, 10**9)
    assert await count_drafts(node) == 0
    state = json.loads(node.messages[0].data)
    assert (state["action"], state["market"]["question"]) == ("created", TEXT["question"])
    assert state["market"]["question_hash"] == account.ipfs_evidence_hash.decode()


async def test_the_same_text_again_is_the_same_draft(node: ChainNode) -> None:
    wallet, other = node.net.wallets[:2]
    first = await node.post("/api/markets", TEXT, wallet)
    node.net.ledger.produce_blocks(3)
    again = await node.post("/api/markets", TEXT | {"question": f"  {TEXT['question']} "}, wallet)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["market_id"] == first.json()["market_id"]
    assert again.json()["transaction"]["blockhash"] != first.json()["transaction"]["blockhash"]
    foreign = await node.post("/api/markets", TEXT, other)
    assert foreign.status_code == 201
    assert foreign.json()["market_id"] != first.json()["market_id"]
    assert foreign.json()["cid"] == first.json()["cid"]


async def test_the_same_text_at_once_is_one_draft(node: ChainNode) -> None:
    wallet = node.net.wallets[0]
    answers = await asyncio.gather(*(node.post("/api/markets", TEXT, wallet) for _ in range(4)))
    assert len({answer.json()["market_id"] for answer in answers}) == 1
    assert await count_drafts(node) == 1
    accounts = {answer.json()["transaction"]["accounts"][1]["address"] for answer in answers}
    assert accounts == {answers[0].json()["on_chain_address"]}


async def test_drafts_expire(node: ChainNode) -> None:
    await node.post("/api/markets", TEXT, node.net.wallets[0])
    await node.pass_s(DAY_S + 1)
    assert await node.store.write(lambda tx: retention.prune(tx, "drafts", node.store.now_ms())) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"question": "too short"}, "question"),
        ({"question": "x" * 201}, "question"),
        ({"question": "with a \x00 zero byte"}, "question"),
        ({"question": None}, "question"),
        ({"description": "x" * 2_001}, "description"),
        ({"category": "weather"}, "category"),
        ({"category": None}, "category"),
        ({"tags": ["x"] * 9}, "tags"),
        ({"tags": ["x" * 33]}, "tags"),
        ({"tags": ["  "]}, "tags"),
        ({"tags": "weather"}, "tags"),
        ({"end_date": None}, "end_date"),
        ({"end_date": GENESIS_S}, "end_date"),
        ({"end_date": "tomorrow"}, "end_date"),
        ({"end_date": 12345}, "end_date"),
        ({"initial_liquidity": None}, "initial_liquidity"),
        ({"initial_liquidity": "0"}, "initial_liquidity"),
        ({"initial_liquidity": 1.5}, "initial_liquidity"),
        ({"initial_liquidity": str(2**64)}, "initial_liquidity"),
        ({"b_parameter": str(10**11 - 1)}, "b_parameter"),
        ({"b_parameter": "922337203685477581"}, "b_parameter"),
        ({"compute_unit_price": -1}, "compute_unit_price"),
    ],
)
async def test_bad_fields(node: ChainNode, change: dict[str, Any], field: str) -> None:
    answer = await node.post("/api/markets", TEXT | change, node.net.wallets[0])
    assert answer.status_code == 400, answer.text
    assert [each["field"] for each in answer.json()["details"]] == [field]
    assert await count_drafts(node) == 0


async def test_all_bad_fields_at_once(node: ChainNode) -> None:
    answer = await node.post("/api/markets", {}, node.net.wallets[0])
    fields = {each["field"] for each in answer.json()["details"]}
    assert fields >= {"question", "category", "end_date"}


async def test_other_spellings_and_sizes(node: ChainNode) -> None:
    body = {name: value for name, value in TEXT.items() if name not in ("end_date", "initial_liquidity")}
    body |= {"end_time": "2026-01-12T03:04:05Z", "liquidity": 5, "category": "TECH", "compute_unit_price": "7"}
    answer = (await node.post("/api/markets", body | {"b_parameter": "922337203685477580"}, node.net.wallets[0])).json()
    assert answer["draft"]["category"] == "technology"
    unsigned = answer["transaction"]
    assert unsigned["compute_unit_price"] == 7
    fee = 5_000 + -(-unsigned["compute_unit_limit"] * 7 // 1_000_000)
    assert unsigned["estimated_fee"] == str(fee)


async def test_nothing_is_kept_on_an_error(node: ChainNode) -> None:
    from solders.keypair import Keypair

    assert (await node.post("/api/markets", TEXT)).status_code == 401
    poor = await node.post("/api/markets", TEXT, Keypair())
    assert (poor.status_code, poor.json()["reason"]) == (409, "program_error")
    await node.land(instructions.emergency_pause(node.codec, bytes(node.net.admin.pubkey())), node.net.admin)
    paused = await node.post("/api/markets", TEXT, node.net.wallets[0])
    assert (paused.status_code, paused.json()["reason"]) == (409, "protocol_paused")
    assert await count_drafts(node) == 0


async def test_drafts_are_limited(tmp_path: Path) -> None:
    limits = replace(Config().limits, drafts_per_hour=1)
    async with chain_node(tmp_path, limits=limits) as node:
        wallet, other = node.net.wallets[:2]
        codes = [(await node.post("/api/markets", TEXT, who)).status_code for who in (wallet, wallet, other)]
        assert codes == [201, 429, 201]


# A market that came without its text


async def bare_market(node: ChainNode, question_hash: bytes) -> str:
    wallet, market_id = node.net.wallets[0], bytes([8]) * 32
    create = instructions.create_market(node.codec, bytes(wallet.pubkey()), market_id, 10**11, 10**9, question_hash)
    await node.land(create, wallet)
    return market_id.hex()


async def test_text_for_an_existing_market(node: ChainNode) -> None:
    wallet, other = node.net.wallets[:2]
    cid = (await node.post("/api/markets", TEXT, other)).json()["cid"]
    market_id = await bare_market(node, cid.encode())
    await node.pass_s(30 * DAY_S)
    node.messages.clear()
    body = {name: value for name, value in TEXT.items() if name != "initial_liquidity"} | {"market_id": market_id}
    foreign = await node.post("/api/markets", body, other)
    assert (foreign.status_code, foreign.json()["reason"]) == (403, "not_creator")
    wrong = await node.post("/api/markets", body | {"description": ""}, wallet)
    assert (wrong.status_code, wrong.json()["reason"]) == (409, "text_mismatch")
    for _ in range(2):
        answer = await node.post("/api/markets", body, wallet)
        assert answer.status_code == 200
        assert (answer.json()["attached"], answer.json()["market"]["question"]) == (True, TEXT["question"])
        assert answer.json()["market"]["text_source"] == "draft"
    assert [message.type for message in node.messages] == ["market_state"], "told once"
    unknown = await node.post("/api/markets", body | {"market_id": "ab" * 32}, wallet)
    assert unknown.status_code == 404


async def test_a_foreign_draft_does_not_reach_a_market(node: ChainNode) -> None:
    """Somebody creates a market under the id of another wallet's draft."""
    creator, thief = node.net.wallets[:2]
    asked = (await node.post("/api/markets", TEXT, creator)).json()
    steal = instructions.create_market(
        node.codec, bytes(thief.pubkey()), bytes.fromhex(asked["market_id"]), 10**11, 10**9, asked["cid"].encode()
    )
    await node.land(steal, thief)
    state = json.loads(node.messages[0].data)["market"]
    assert (state["text_source"], state["creator"]) == ("none", str(thief.pubkey()))
    assert HASH.decode() != asked["cid"]
