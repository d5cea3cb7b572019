"""Webhook bodies are megabytes from anybody: what is read of them, and what a hostile one does."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from solders.signature import Signature
from starlette.types import Message

from tests.api.chain_node import WEBHOOK_SECRET, ChainNode, chain_node
from zmart_lite.api.routes import webhook
from zmart_lite.api.routes.webhook import PATHS, WEBHOOK_BYTES_MAX
from zmart_lite.store.log import chainlog

AUTHORIZED = {"Authorization": WEBHOOK_SECRET}


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ChainNode]:
    async with chain_node(tmp_path) as node:
        yield node


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 65_536


async def send(node: ChainNode, content: bytes | AsyncIterator[bytes], headers: dict[str, str]) -> httpx.Response:
    headers = {"Content-Type": "application/json"} | headers
    return await node.http.post(PATHS[0], content=content, headers=headers)


async def test_text_that_is_no_utf8_spoils_only_its_item(node: ChainNode) -> None:
    good = {"signature": str(Signature.from_bytes(bytes([1]) * 64)), "slot": 5}
    body = b'[{"signature":"\xff"}, ' + json.dumps(good).encode() + b"]"
    answer = await send(node, body, AUTHORIZED)
    assert answer.status_code == 200, answer.text
    assert answer.json()["eventsProcessed"] == 1
    letters = await node.store.read(lambda tx: tx.all("SELECT id, error FROM dead_letters"))
    assert len(letters) == 1
    assert letters[0]["error"].startswith("unreadable")
    key = {"x-service-key": "a-service-key-of-thirty-two-bytes"}
    shown = await node.http.get(f"/api/admin/dead-letters/{letters[0]['id']}", headers=key)
    assert shown.status_code == 200, shown.text


@pytest.mark.parametrize("headers", [[], [(b"authorization", b"wrong")]], ids=["none", "wrong"])
async def test_of_a_stranger_nothing_is_read(node: ChainNode, headers: list[tuple[bytes, bytes]]) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def answer(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": PATHS[0], "query_string": b"", "headers": headers}
    await node.app(scope, receive, answer)
    assert sent[0]["status"] == 401


async def test_unproven_bodies_are_read_a_few_at_once(node: ChainNode) -> None:
    counts = node.app.state.api.shared.webhook
    counts.unproven = webhook.UNPROVEN_MAX
    refused = await send(node, b"[]", {"x-helius-signature": "00"})
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert (await send(node, b"[]", AUTHORIZED)).status_code == 200
    counts.unproven = 0
    assert (await send(node, b"[]", {"x-helius-signature": "00"})).status_code == 401
    assert counts.unproven == 0


async def test_too_much_is_refused_before_its_sender_is_known(node: ChainNode) -> None:
    for headers in ({}, AUTHORIZED, {"x-helius-signature": "00"}):
        body = b" " * (WEBHOOK_BYTES_MAX + 1)
        assert (await send(node, body, headers)).status_code == 413
    assert (await send(node, endless(), AUTHORIZED)).status_code == 413
    assert await node.store.read(chainlog.inbox_length) == 0
