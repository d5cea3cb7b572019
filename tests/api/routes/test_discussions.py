"""Posts: threads, votes, flags, deletion."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.harness import ADMIN, ALICE, BOB, CAROL, SERVICE_KEY, ApiNode, address, api_node
from zmart_lite.api.openapi import examples


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ApiNode]:
    async with api_node(tmp_path) as started:
        await started.add_market(1)
        await started.add_market(2)
        yield started


MARKET, OTHER = "01" * 32, "02" * 32


async def post(node: ApiNode, content: str = "hello", status: int = 201, pair: Any = ALICE, **more: Any) -> Any:
    body = {"content": content, **more}
    return await node.post(f"/api/markets/{MARKET}/discussions", body, status=status, headers=node.bearer(pair))


async def read(node: ApiNode, query: str = "") -> Any:
    return await node.get(f"/api/discussions/{MARKET}{query}")


class TestPosting:
    async def test_both_families(self, node: ApiNode) -> None:
        bare = await post(node)
        assert list(bare) == list(examples.DISCUSSION)
        assert (bare["author"], bare["content"], bare["depth"], bare["score"]) == (address(ALICE), "hello", 0, 0)
        headers = node.bearer(BOB)
        wrapped = await node.post(f"/api/discussions/{MARKET}", {"content": "two"}, status=201, headers=headers)
        assert wrapped["discussion"] == wrapped["comment"]
        anywhere = {"content": "three", "market_id": MARKET}
        assert (await node.post("/api/discussions", anywhere, status=201, headers=headers))["success"] is True
        listed = await read(node)
        assert [row["content"] for row in listed["discussions"]] == ["three", "two", "hello"]
        assert listed["comments"] == listed["discussions"]
        assert (listed["market_id"], listed["total_count"]) == (MARKET, 3)
        response = await node.http.get(f"/api/markets/{MARKET}/discussions")
        assert response.json() == listed["discussions"]
        assert response.headers["x-total-count"] == "3"

    @pytest.mark.parametrize("content", ["", "   ", "\n", "x" * 1_001, "a\x00b", "a\x1bb", 5, None, "\ud800"])
    async def test_bad_content(self, node: ApiNode, content: Any) -> None:
        if content == "\ud800":
            raw = b'{"content": "\\ud800"}'
            headers = node.bearer(ALICE) | {"Content-Type": "application/json"}
            assert (await node.http.post(f"/api/discussions/{MARKET}", content=raw, headers=headers)).status_code == 400
            return
        answer = await post(node, content, status=400)
        assert answer["details"][0]["field"] == "content"

    async def test_content_is_kept_as_it_is(self, node: ApiNode) -> None:
        text = "<script>alert(1)</script>\n\t'); DROP TABLE votes; -- 🌧️"
        assert (await post(node, f"  {text} "))["content"] == text
        assert len((await post(node, "x" * 1_000))["content"]) == 1_000

    async def test_same_post_again_is_the_same(self, node: ApiNode) -> None:
        first = await post(node)
        assert await post(node, status=200) == first
        assert (await post(node, pair=BOB))["id"] != first["id"]
        assert (await post(node, parent_id=first["id"]))["id"] != first["id"]
        node.times.pass_s(3_600)
        assert (await post(node))["id"] != first["id"]

    async def test_unknown_market(self, node: ApiNode) -> None:
        headers, body = node.bearer(ALICE), {"content": "x"}
        await node.post(f"/api/discussions/{'ab' * 32}", body, status=404, headers=headers)
        await node.post("/api/discussions", {**body, "market_id": "ab" * 32}, status=404, headers=headers)
        answer = await node.post("/api/discussions", {**body, "market_id": "xyz"}, status=400, headers=headers)
        assert answer["details"][0]["field"] == "market_id"

    async def test_service_key_does_not_post(self, node: ApiNode) -> None:
        headers = {"x-service-key": SERVICE_KEY}
        await node.post(f"/api/discussions/{MARKET}", {"content": "x"}, status=401, headers=headers)

    async def test_is_told_to_the_feed(self, node: ApiNode) -> None:
        made = await post(node)
        await post(node, status=200)
        rows = await node.store.read(lambda tx: tx.all("SELECT type, data FROM feed"))
        assert [row["type"] for row in rows] == ["discussion"]
        assert f'"postId":"{made["id"]}"' in rows[0]["data"]
        assert '"action":"created"' in rows[0]["data"]


class TestThreads:
    async def test_replies_oldest_first(self, node: ApiNode) -> None:
        top = await post(node)
        first = await post(node, "first", parent_id=top["id"])
        await post(node, "second", parentId=top["id"])
        below = await post(node, "below", parent_id=first["id"])
        listed = (await read(node))["discussions"]
        assert len(listed) == 1
        assert listed[0]["reply_count"] == 2
        assert [row["content"] for row in listed[0]["replies"]] == ["first", "second"]
        assert listed[0]["replies"][0]["replies"][0]["id"] == below["id"]
        assert below["parent_id"] == below["parentId"] == first["id"]
        assert below["depth"] == 2

    async def test_depth(self, node: ApiNode) -> None:
        parent = (await post(node))["id"]
        for depth in range(1, 5):
            row = await post(node, parent_id=parent)
            assert row["depth"] == depth
            parent = row["id"]
        answer = await post(node, status=400, parent_id=parent)
        assert answer["details"][0]["field"] == "parent_id"

    @pytest.mark.parametrize("parent", ["999", "x", 5, "-1", "9" * 30])
    async def test_bad_parent(self, node: ApiNode, parent: Any) -> None:
        assert (await post(node, status=400, parent_id=parent))["details"][0]["field"] == "parent_id"

    async def test_parent_of_another_market(self, node: ApiNode) -> None:
        top = await post(node)
        body = {"content": "x", "parent_id": top["id"]}
        await node.post(f"/api/discussions/{OTHER}", body, status=400, headers=node.bearer(ALICE))

    async def test_fifty_replies_are_shown(self, node: ApiNode) -> None:
        top = await post(node)
        for number in range(52):
            await post(node, f"reply {number}", parent_id=top["id"])
        row = (await read(node))["discussions"][0]
        assert (len(row["replies"]), row["reply_count"]) == (50, 52)
        first = await read(node, f"?parent_id={top['id']}&limit=50")
        rest = await read(node, f"?parent_id={top['id']}&limit=50&cursor={first['next_cursor']}")
        assert [row["content"] for row in rest["discussions"]] == ["reply 50", "reply 51"]

    async def test_replies_to_nothing(self, node: ApiNode) -> None:
        await node.get(f"/api/discussions/{MARKET}?parent_id=99", status=404)
        await node.get(f"/api/discussions/{MARKET}?parent_id=x", status=400)


class TestVotes:
    @pytest.mark.parametrize("prefix", ["/api/discussions", f"/api/markets/{MARKET}/discussions"])
    async def test_last_call_wins(self, node: ApiNode, prefix: str) -> None:
        made = await post(node)
        path = f"{prefix}/{made['id']}/vote"
        for word, up, down in (
            ("up", 1, 0),
            ("up", 1, 0),
            ("down", 0, 1),
            ("none", 0, 0),
            ("none", 0, 0),
            ("UP", 1, 0),
        ):
            answer = await node.post(path, {"vote": word}, headers=node.bearer(BOB))
            assert (answer["upvotes"], answer["downvotes"], answer["score"]) == (up, down, up - down)
            assert (answer["my_vote"], answer["discussion_id"]) == (word.lower(), made["id"])
        answer = await node.post(path, {"vote": "up"}, headers=node.bearer(CAROL))
        assert answer["upvotes"] == 2
        assert (await read(node))["discussions"][0]["upvotes"] == 2

    async def test_refusals(self, node: ApiNode) -> None:
        made = await post(node)
        headers = node.bearer(BOB)
        await node.post(f"/api/discussions/{made['id']}/vote", {"vote": "sideways"}, status=400, headers=headers)
        await node.post("/api/discussions/999/vote", {"vote": "up"}, status=404, headers=headers)
        await node.post("/api/discussions/x/vote", {"vote": "up"}, status=404, headers=headers)
        wrong = f"/api/markets/{OTHER}/discussions/{made['id']}/vote"
        await node.post(wrong, {"vote": "up"}, status=404, headers=headers)
        await node.post(f"/api/discussions/{made['id']}/vote", {"vote": "up"}, status=401)


class TestFlags:
    async def test_three_wallets_mark_a_post(self, node: ApiNode) -> None:
        made = await post(node)
        path = f"/api/discussions/{made['id']}/flag"
        expected = ((ALICE, 1, False), (ALICE, 1, False), (BOB, 2, False), (CAROL, 3, True))
        for pair, count, flagged in expected:
            answer = await node.post(path, {"reason": "spam"}, headers=node.bearer(pair))
            assert (answer["flag_count"], answer["is_flagged"]) == (count, flagged)
        row = (await read(node))["discussions"][0]
        assert (row["is_flagged"], row["isFlagged"], row["content"]) == (True, True, "hello")

    @pytest.mark.parametrize("reason", ["", None, "x" * 201])
    async def test_needs_a_reason(self, node: ApiNode, reason: Any) -> None:
        made = await post(node)
        body = {"reason": reason}
        await node.post(f"/api/discussions/{made['id']}/flag", body, status=400, headers=node.bearer(BOB))

    async def test_of_another_market(self, node: ApiNode) -> None:
        made = await post(node)
        path = f"/api/markets/{OTHER}/discussions/{made['id']}/flag"
        await node.post(path, {"reason": "spam"}, status=404, headers=node.bearer(BOB))


class TestDeletion:
    async def delete(self, node: ApiNode, post_id: str, pair: Any = ALICE, status: int = 200) -> Any:
        response = await node.http.delete(f"/api/discussions/{post_id}", headers=node.bearer(pair))
        assert response.status_code == status, response.text
        return response.json()

    async def test_vanishes(self, node: ApiNode) -> None:
        made = await post(node, "a secret")
        answer = await self.delete(node, made["id"])
        assert answer["discussion"]["content"] == answer["discussion"]["text"] == "[deleted]"
        assert answer["discussion"]["deleted_at"] is not None
        assert (await read(node))["discussions"] == []
        assert await self.delete(node, made["id"]) == answer
        feed = await node.store.read(lambda tx: tx.all("SELECT data FROM feed ORDER BY feed_offset"))
        assert len(feed) == 2
        assert '"action":"deleted"' in feed[1]["data"]
        assert "a secret" not in feed[1]["data"]

    async def test_only_the_author_and_admins(self, node: ApiNode) -> None:
        made = await post(node)
        assert (await self.delete(node, made["id"], BOB, 403))["reason"] == "not_author"
        await self.delete(node, made["id"], ADMIN)
        assert (await node.http.delete(f"/api/discussions/{made['id']}")).status_code == 401

    async def test_stays_below_its_replies(self, node: ApiNode) -> None:
        top = await post(node)
        middle = await post(node, "middle", parent_id=top["id"])
        leaf = await post(node, "leaf", parent_id=middle["id"])
        await self.delete(node, middle["id"])
        row = (await read(node))["discussions"][0]
        assert (row["reply_count"], row["replies"][0]["content"]) == (1, "[deleted]")
        assert row["replies"][0]["replies"][0]["content"] == "leaf"
        await self.delete(node, leaf["id"])
        row = (await read(node))["discussions"][0]
        assert (row["reply_count"], row["replies"]) == (0, [])
        await self.delete(node, top["id"])
        assert (await read(node))["total_count"] == 0

    async def test_deleted_ones_take_nothing_more(self, node: ApiNode) -> None:
        made = await post(node)
        await self.delete(node, made["id"])
        headers = node.bearer(BOB)
        await node.post(f"/api/discussions/{made['id']}/vote", {"vote": "up"}, status=404, headers=headers)
        await node.post(f"/api/discussions/{made['id']}/flag", {"reason": "x"}, status=404, headers=headers)
        await post(node, status=400, parent_id=made["id"])

    async def test_may_be_posted_again(self, node: ApiNode) -> None:
        made = await post(node)
        await self.delete(node, made["id"])
        assert (await post(node))["id"] != made["id"]

    async def test_through_the_market(self, node: ApiNode) -> None:
        made = await post(node)
        headers = node.bearer(ALICE)
        assert (
            await node.http.delete(f"/api/markets/{OTHER}/discussions/{made['id']}", headers=headers)
        ).status_code == 404
        assert (
            await node.http.delete(f"/api/markets/{MARKET}/discussions/{made['id']}", headers=headers)
        ).status_code == 200
