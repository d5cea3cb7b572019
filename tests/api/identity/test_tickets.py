"""A ticket stands for the session it came from: what it opens ends with that session, and not later."""

from pathlib import Path

import pytest

from tests.api.harness import ALICE, ApiNode, api_node
from tests.api.stream_node import ALICE as WALLET
from tests.api.stream_node import stream_node
from zmart_lite.errors import Unauthorized


async def ticket_of(node: ApiNode, headers: dict[str, str]) -> str:
    return str((await node.post("/api/auth/ticket", status=201, headers=headers))["ticket"])


async def test_a_ticket_expires_with_its_session(tmp_path: Path) -> None:
    async with api_node(tmp_path) as node:
        headers = node.bearer(ALICE)
        node.times.pass_s(3_590)
        first, second = await ticket_of(node, headers), await ticket_of(node, headers)
        identity = await node.api.auth.from_ticket(first)
        assert identity.expires_ms // 1_000 == (node.times.now_ms + 10_000) // 1_000
        node.times.pass_s(11)
        with pytest.raises(Unauthorized, match="not valid"):
            await node.api.auth.from_ticket(second)


async def test_a_ticket_of_an_ended_session_opens_nothing(tmp_path: Path) -> None:
    async with api_node(tmp_path) as node:
        headers = node.bearer(ALICE)
        ticket = await ticket_of(node, headers)
        await node.post("/api/auth/logout", headers=headers)
        with pytest.raises(Unauthorized, match="not valid"):
            await node.api.auth.from_ticket(ticket)


async def test_logging_out_ends_the_streams_that_tickets_opened(tmp_path: Path) -> None:
    async with stream_node(tmp_path) as node:
        auth, token = node.streams._auth, node.token(WALLET)
        ticket, _ = await auth.make_ticket(await auth.from_token(token))
        async with node.websocket(f"/ws?ticket={ticket}") as client:
            await node.revoke(token)
            await node.streams.end_revoked()
            assert await client.close_code() == 4001
