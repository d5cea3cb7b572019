"""Kept answers: never older than the tables, never another caller's, never more than there is room for."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.harness import SERVICE_KEY, ApiNode, api_node
from zmart_lite.api import list_endpoints
from zmart_lite.api.answers import ENTRY_BYTES, Answers
from zmart_lite.api.contract.endpoints import Caching, Level, Reply
from zmart_lite.api.contract.request import Place
from zmart_lite.store.engine import paging

LIST = "/api/markets?limit=5"
MARKET = f"/api/markets/{'01' * 32}"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ApiNode]:
    async with api_node(tmp_path) as node:
        yield node


async def shown(node: ApiNode, path: str = LIST) -> list[str]:
    return [market["question"] for market in (await node.get(path))["markets"]]


class TestFreshness:
    async def test_the_same_bytes_again(self, node: ApiNode) -> None:
        await node.add_market(1)
        first, again = await node.http.get(LIST), await node.http.get(LIST)
        assert (first.content, first.headers["etag"]) == (again.content, again.headers["etag"])
        assert len(node.api.answers) == 1

    async def test_every_change_is_seen_at_once(self, node: ApiNode) -> None:
        assert await shown(node) == []
        await node.add_market(1, question="Will it rain in Paris?")
        assert await shown(node) == ["Will it rain in Paris?"]
        for column, value in (("hidden", 1), ("hidden", 0)):
            await node.sql(f"UPDATE markets SET {column} = ? WHERE id = 1", value)
            assert len(await shown(node)) == 1 - value if column == "hidden" else True
        await node.sql("UPDATE market_texts SET question = 'Will it snow in Paris?'")
        assert await shown(node) == ["Will it snow in Paris?"]
        await node.sql("INSERT INTO resolution_plans VALUES (1, 1, x'00', 5, 5)")
        assert (await node.get(MARKET))["planned_resolution"] is not None
        await node.sql("DELETE FROM resolution_plans")
        assert (await node.get(MARKET))["planned_resolution"] is None

    async def test_what_is_of_no_concern_changes_nothing(self, node: ApiNode, monkeypatch: pytest.MonkeyPatch) -> None:
        await node.add_market(1, state=0)
        await shown(node)
        monkeypatch.setattr(paging, "list_page", None)  # asking the database again would fail
        await node.sql("UPDATE wallets SET first_seen_ms = 1")
        assert len(await shown(node)) == 1

    async def test_a_change_while_the_answer_is_made(self, node: ApiNode) -> None:
        await node.add_market(1)
        asked = [asyncio.ensure_future(node.get(LIST)) for _ in range(20)]
        written = [asyncio.ensure_future(node.add_market(number)) for number in range(2, 6)]
        await asyncio.gather(*asked, *written)
        assert len(await shown(node)) == 5


class TestWhoseAnswer:
    async def test_hidden_markets_stay_hidden(self, node: ApiNode) -> None:
        await node.add_market(1, hidden=1)
        path, key = "/api/markets?include_hidden=true", {"x-service-key": SERVICE_KEY}
        assert len((await node.get(path, headers=key))["markets"]) == 1
        assert await shown(node, path) == []
        assert len((await node.get(path, headers=key))["markets"]) == 1
        assert await shown(node, path) == []
        assert len(node.api.answers) == 0

    async def test_limits_and_conditions_count_as_ever(self, node: ApiNode) -> None:
        first = await node.http.get(LIST)
        again = await node.http.get(LIST, headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304
        left = [int(response.headers["ratelimit-remaining"]) for response in (first, again)]
        assert left[1] == left[0] - 1
        assert first.headers["x-request-id"] != again.headers["x-request-id"]

    async def test_refusals_are_not_kept(self, node: ApiNode) -> None:
        await node.get(MARKET, status=404)
        await node.get("/api/markets?limit=x", status=400)
        assert len(node.api.answers) == 0

    def test_only_public_reads_are_kept(self) -> None:
        kept = [endpoint for endpoint in list_endpoints() if endpoint.made_of]
        assert kept
        assert all(endpoint.method == "GET" and endpoint.level is Level.NONE for endpoint in kept)


class TestRoom:
    def kept(self, node: ApiNode, **options: Any) -> Answers:
        return Answers(node.store, is_shared=False, **options)

    async def test_is_bounded_and_the_oldest_goes_first(self, node: ApiNode) -> None:
        room = 3 * (10 + ENTRY_BYTES)
        answers = self.kept(node, bytes_max=room)
        places = [Place("/x", str(number).encode(), ()) for number in range(4)]
        for place in places[:3]:
            answers.keep(place, Reply(b"0123456789", etag="e"))
        assert answers.find(places[0]) is not None
        answers.keep(places[3], Reply(b"0123456789", etag="e"))
        assert answers.find(places[1]) is None
        assert all(answers.find(places[number]) is not None for number in (0, 2, 3))
        answers.keep(places[0], Reply(b"x" * room, etag="e"))
        assert len(answers) == 0

    async def test_an_old_version_makes_room(self, node: ApiNode) -> None:
        answers = self.kept(node)
        answers.keep(Place("/x", b"", (1,)), Reply(b"old", etag="e"))
        assert answers.find(Place("/x", b"", (2,))) is None
        assert len(answers) == 0

    async def test_what_is_not_for_everybody_is_not_kept(self, node: ApiNode) -> None:
        answers = self.kept(node)
        answers.keep(Place("/x", b"", ()), Reply(b"secret", caching=Caching.NO_STORE, etag="e"))
        answers.keep(Place("/x", b"", ()), Reply(b"", status=404, etag="e"))
        assert len(answers) == 0

    async def test_nothing_is_kept_of_a_shared_database(self, node: ApiNode) -> None:
        request = type("Asked", (), {})()
        request.endpoint = next(each for each in list_endpoints() if each.made_of)
        request.path, request.scope = "/api/markets", {"query_string": b""}
        assert Answers(node.store, is_shared=True).place(request) is None
        assert Answers(node.store, is_shared=False).place(request) is not None
        request.scope = {"query_string": b"q=" + b"x" * 600}
        assert Answers(node.store, is_shared=False).place(request) is None
