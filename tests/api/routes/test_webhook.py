"""Webhook deliveries: authenticated always, durable before the answer, never decoded before it."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.signature import Signature

from tests.api.chain_node import PROGRAM, TEXT, WEBHOOK_SECRET, ChainNode, chain_node
from zmart_lite.api.routes.webhook import PATHS, WEBHOOK_BYTES_MAX, sort_items
from zmart_lite.config import Config, Helius, Secret
from zmart_lite.errors import BadRequest
from zmart_lite.store.log import chainlog

AUTHORIZED = {"Authorization": WEBHOOK_SECRET}
PATH = PATHS[0]
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ChainNode]:
    async with chain_node(tmp_path) as node:
        yield node


def signature(number: int) -> str:
    return str(Signature.from_bytes(bytes([number]) * 64))


def enhanced(number: int, slot: int = 5) -> dict[str, Any]:
    return {"signature": signature(number), "slot": slot, "transactionError": None, "type": "UNKNOWN"}


async def deliver(
    node: ChainNode, body: object, headers: dict[str, str] | None = None, path: str = PATH
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = JSON | (AUTHORIZED if headers is None else headers)
    return await node.http.post(path, content=content, headers=headers)


async def kept(node: ChainNode) -> tuple[int, int]:
    """(deliveries in the inbox, open dead letters)."""
    return await node.store.read(lambda tx: (chainlog.inbox_length(tx), chainlog.count_dead_letters(tx)))


@pytest.mark.parametrize("path", PATHS)
async def test_every_path_takes_deliveries(node: ChainNode, path: str) -> None:
    answer = await deliver(node, [enhanced(1), enhanced(2), enhanced(1)], path=path)
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "received": True, "eventsProcessed": 2, "duplicates": 1}
    assert await kept(node) == (2, 0)
    again = await deliver(node, enhanced(1), path=path)
    assert again.json() == {"success": True, "received": True, "eventsProcessed": 0, "duplicates": 1}


async def test_a_delivered_transaction_is_indexed(node: ChainNode) -> None:
    """A raw item is enough by itself: the cluster is stopped before the indexer sees it."""
    wallet = node.net.wallets[0]
    asked = (await node.post("/api/markets", TEXT, wallet)).json()
    raw = await _landed_item(node, asked, wallet)
    assert (await deliver(node, [raw])).json()["eventsProcessed"] == 1
    await node.indexer.index_inbox()
    assert (await deliver(node, raw)).json()["duplicates"] == 1
    market = await node.get(f"/api/markets/{asked['market_id']}/voting")
    assert market.json()["market_id"] == asked["market_id"]


async def _landed_item(node: ChainNode, asked: dict[str, Any], wallet: Any) -> dict[str, Any]:
    """The transaction of an answer, executed, as a raw webhook tells of it."""
    sent = await node.parts.rpc.send_transaction(base64.b64decode(node.signed(asked["transaction"], wallet)))
    text = str(Signature.from_bytes(sent))
    async with httpx.AsyncClient(base_url=node.net.rpc_url) as rpc:
        params = [text, {"encoding": "json", "commitment": "confirmed", "maxSupportedTransactionVersion": 0}]
        answer = await rpc.post("/", json={"jsonrpc": "2.0", "id": 1, "method": "getTransaction", "params": params})
    found: dict[str, Any] = answer.json()["result"]
    return found


async def test_an_empty_delivery_is_fine(node: ChainNode) -> None:
    answer = await deliver(node, [])
    assert answer.json() == {"success": True, "received": True, "eventsProcessed": 0, "duplicates": 0}


@pytest.mark.parametrize("item", [{}, 7, None, "text", {"signature": "short"}, {"transaction": {"signatures": []}}])
async def test_what_has_no_signature_becomes_a_dead_letter(node: ChainNode, item: object) -> None:
    answer = await deliver(node, [item, enhanced(1)])
    assert answer.status_code == 200
    assert answer.json() == {"success": True, "received": True, "eventsProcessed": 1, "duplicates": 0}
    assert await kept(node) == (1, 1)
    letter = await node.store.read(lambda tx: chainlog.find_dead_letter(tx, 1))
    assert json.loads(letter["payload"]) == item
    assert [message.type for message in node.messages] == ["alert"]


@pytest.mark.parametrize("body", [b"", b"nonsense", b'{"a":', b"7", b"null", b'"text"', b"\xff\xfe"])
async def test_what_is_no_delivery_is_not_kept(node: ChainNode, body: bytes) -> None:
    answer = await deliver(node, body)
    assert answer.status_code == 400
    assert await kept(node) == (0, 0)


async def test_five_mebibytes_is_the_most(node: ChainNode) -> None:
    padding = WEBHOOK_BYTES_MAX - len(json.dumps({**enhanced(1), "description": ""}))
    fits = json.dumps({**enhanced(1), "description": "x" * padding}).encode()
    assert (await deliver(node, fits)).status_code == 200
    assert (await deliver(node, fits + b" ")).status_code == 413
    assert await kept(node) == (1, 0)


# Authentication


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": WEBHOOK_SECRET + "!"},
        {"Authorization": f"Bearer {WEBHOOK_SECRET}"},
        {"Authorization": WEBHOOK_SECRET[:-1]},
        {"x-helius-signature": "00" * 32},
        {"x-service-key": "a-service-key-of-thirty-two-bytes"},
    ],
)
async def test_without_the_secret_nothing_is_kept(node: ChainNode, headers: dict[str, str]) -> None:
    answer = await deliver(node, [enhanced(1)], headers)
    assert answer.status_code == 401
    assert answer.json()["message"] == "Invalid signature"
    assert await kept(node) == (0, 0)


async def test_a_signature_of_the_raw_body_is_as_good(node: ChainNode) -> None:
    body = json.dumps([enhanced(1)]).encode()
    digest = hmac.digest(WEBHOOK_SECRET.encode(), body, "sha256").hex()
    assert (await deliver(node, body, {"x-helius-signature": digest})).status_code == 200
    assert (await deliver(node, body + b" ", {"x-helius-signature": digest})).status_code == 401


async def test_both_secrets_work_while_one_is_rotated(tmp_path: Path) -> None:
    helius = Helius(webhook_secret=Secret("the new secret"), webhook_secret_previous=Secret("the old secret"))
    async with chain_node(tmp_path, helius=helius) as node:
        for number, secret in enumerate(("the new secret", "the old secret"), start=1):
            assert (await deliver(node, enhanced(number), {"Authorization": secret})).status_code == 200
        assert (await deliver(node, enhanced(3), {"Authorization": "another"})).status_code == 401


async def test_without_a_configured_secret_there_is_no_way_in(tmp_path: Path) -> None:
    async with chain_node(tmp_path, helius=Helius()) as node:
        for headers in ({}, {"Authorization": ""}, AUTHORIZED):
            answer = await deliver(node, [enhanced(1)], headers)
            assert (answer.status_code, answer.json()["reason"]) == (503, "not_configured")
            assert "Retry-After" in answer.headers
        assert await kept(node) == (0, 0)


# Limits and outages


async def test_a_wrong_secret_counts_for_the_address(tmp_path: Path) -> None:
    limits = replace(Config().limits, address_per_minute=2)
    async with chain_node(tmp_path, limits=limits) as node:
        codes = [(await deliver(node, [], {"Authorization": "wrong"})).status_code for _ in range(3)]
        assert codes == [401, 401, 429]
        assert (await deliver(node, [enhanced(1)])).status_code == 200, "the sender itself is not locked out"


async def test_too_many_deliveries_are_told_to_come_back(tmp_path: Path) -> None:
    limits = replace(Config().limits, webhook_per_minute=2)
    async with chain_node(tmp_path, limits=limits) as node:
        answers = [await deliver(node, [enhanced(number)]) for number in range(1, 4)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert int(answers[2].headers["Retry-After"]) > 0
        assert await kept(node) == (2, 0)


async def test_a_stopping_node_refuses(node: ChainNode) -> None:
    node.parts.stopping.set()
    answer = await deliver(node, [enhanced(1)])
    assert (answer.status_code, answer.json()["reason"]) == (503, "shutting_down")
    assert "Retry-After" in answer.headers


async def test_a_closed_store_refuses(tmp_path: Path) -> None:
    async with chain_node(tmp_path) as node:
        node.store._closing = True
        answer = await deliver(node, [enhanced(1)])
        node.store._closing = False
        assert (answer.status_code, answer.json()["reason"]) == (503, "store_unavailable")
        assert "Retry-After" in answer.headers


async def test_simultaneous_deliveries_are_counted_once(node: ChainNode) -> None:
    answers = await asyncio.gather(*(deliver(node, [enhanced(1), enhanced(2)]) for _ in range(8)))
    assert sum(answer.json()["eventsProcessed"] for answer in answers) == 2
    assert sum(answer.json()["duplicates"] for answer in answers) == 14


leaves = st.none() | st.integers() | st.text()


@given(st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_json_is_sorted_or_refused(body: object) -> None:
    content = json.dumps(body).encode()
    if not isinstance(body, list | dict):
        with pytest.raises(BadRequest):
            sort_items(content, PROGRAM)
        return
    received = sort_items(content, PROGRAM)
    assert len(received.deliveries) + len(received.rejects) == (len(body) if isinstance(body, list) else 1)


@pytest.mark.parametrize("told", ["text/plain", "", "application/json-seq", "multipart/form-data"])
async def test_what_is_not_said_to_be_json_is_not_taken(node: ChainNode, told: str) -> None:
    answer = await deliver(node, enhanced(1), headers=AUTHORIZED | {"Content-Type": told})
    assert (answer.status_code, answer.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert await kept(node) == (0, 0)
    stranger = await deliver(node, enhanced(1), headers={"Content-Type": told})
    assert stranger.status_code == 401
    utf8 = await deliver(node, enhanced(1), headers=AUTHORIZED | {"Content-Type": "Application/JSON; charset=utf-8"})
    assert (utf8.status_code, await kept(node)) == (200, (1, 0))
