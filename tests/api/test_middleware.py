"""What every route has in common: the order of checks, bodies, methods, headers, conditional answers, the error
shape.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from tests.api.harness import ADMIN, ALICE, GENEROUS, SERVICE_KEY, ApiNode, api_node
from zmart_lite.config import Config
from zmart_lite.errors import StoreUnavailable


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ApiNode]:
    async with api_node(tmp_path) as started:
        yield started


class TestRoutes:
    async def test_unknown_path(self, node: ApiNode) -> None:
        answer = await node.get("/api/nothing", status=404)
        assert answer["code"] == answer["error"] == "NOT_FOUND"
        assert answer["message"] == "Route GET /api/nothing not found"
        assert answer["status"] == 404
        assert answer["path"] == "/api/nothing"
        assert answer["timestamp"] == "2026-01-02T03:04:05.678Z"
        assert answer["request_id"]

    async def test_known_path_with_another_method(self, node: ApiNode) -> None:
        response = await node.http.put("/api/markets")
        assert response.status_code == 405
        assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"
        assert response.json()["code"] == "METHOD_NOT_ALLOWED"

    @pytest.mark.parametrize("path", ["/api/markets/", "/health/", "/api/markets/trending/"])
    async def test_trailing_slash_is_the_same(self, node: ApiNode, path: str) -> None:
        await node.get(path)

    @pytest.mark.parametrize("path", ["/api//markets", "/api/markets//", "//api/markets", "/" + "x/" * 5_000])
    async def test_empty_segments_name_nothing(self, node: ApiNode, path: str) -> None:
        response = await node.http.get("http://testserver" + path)
        assert response.status_code == 404

    async def test_literal_segments_win(self, node: ApiNode) -> None:
        assert "trending" in await node.get("/api/markets/trending")

    async def test_market_of_a_path_that_names_nothing(self, node: ApiNode) -> None:
        for name in ("nobody", "0" * 64, "é", "%2F", "0" * 63):
            assert (await node.get(f"/api/markets/{name}", status=404))["code"] == "NOT_FOUND"

    async def test_head(self, node: ApiNode) -> None:
        whole, head = await node.http.get("/api/markets"), await node.http.head("/api/markets")
        assert head.status_code == 200
        assert head.content == b""
        assert head.headers["content-length"] == str(len(whole.content))
        assert head.headers["etag"] == whole.headers["etag"]

    async def test_head_of_the_stream(self, node: ApiNode) -> None:
        assert (await node.http.head("/api/stream")).status_code == 405

    async def test_options(self, node: ApiNode) -> None:
        response = await node.http.options("/api/discussions/x/vote")
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["allow"] == "OPTIONS, POST"
        assert "ratelimit-limit" not in response.headers
        assert (await node.http.options("/api/nothing")).status_code == 404


class TestBodies:
    async def send(self, node: ApiNode, content: bytes, media_type: str | None = "application/json") -> Any:
        headers = node.bearer(ALICE) | ({"Content-Type": media_type} if media_type else {})
        return await node.http.post("/api/discussions", content=content, headers=headers)

    @pytest.mark.parametrize(
        "media_type", ["text/plain", "application/x-www-form-urlencoded", None, "application/jsonx"]
    )
    async def test_other_media_types(self, node: ApiNode, media_type: str | None) -> None:
        response = await self.send(node, b"{}", media_type)
        assert (response.status_code, response.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")

    async def test_compressed_bodies(self, node: ApiNode) -> None:
        for encoding, status in (("gzip", 415), ("identity", 400)):
            headers = {"Content-Type": "application/json", "Content-Encoding": encoding} | node.bearer(ALICE)
            response = await node.http.post("/api/discussions", content=b"{}", headers=headers)
            assert response.status_code == status

    async def test_media_type_with_charset(self, node: ApiNode) -> None:
        assert (await self.send(node, b"{}", "Application/JSON; charset=utf-8")).status_code == 400

    @pytest.mark.parametrize("content", [b"{", b"nul", b"\xff", b'{"a": NaN}', b"[" * 20_000])
    async def test_malformed_json(self, node: ApiNode, content: bytes) -> None:
        response = await self.send(node, content)
        answer = response.json()
        assert (response.status_code, answer["code"], answer["reason"]) == (400, "BAD_REQUEST", "malformed_json")

    @pytest.mark.parametrize("content", [b"[]", b"1", b"null", b'"text"'])
    async def test_json_that_is_no_object(self, node: ApiNode, content: bytes) -> None:
        response = await self.send(node, content)
        assert (response.status_code, response.json()["reason"]) == (400, "malformed_json")

    async def test_no_body_is_an_empty_object(self, node: ApiNode) -> None:
        response = await node.http.post("/api/discussions", headers=node.bearer(ALICE))
        assert {detail["field"] for detail in response.json()["details"]} == {"market_id", "content"}

    async def test_too_large_as_declared(self, node: ApiNode) -> None:
        response = await self.send(node, b"x" * 65_537)
        assert (response.status_code, response.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")

    async def test_too_large_without_saying(self, node: ApiNode) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(65):
                yield b"x" * 1_024

        response = await node.http.post("/api/discussions", content=chunks(), headers=node.bearer(ALICE))
        assert response.status_code == 413

    async def test_largest(self, node: ApiNode) -> None:
        content = b'{"content": "x"' + b" " * (65_536 - 16) + b"}"
        assert len(content) == 65_536
        assert (await self.send(node, content)).status_code == 400


class TestOrder:
    """First failure wins: limit, route, body, fields, signed in, role, object, ownership."""

    async def test_body_before_fields_before_sign_in(self, node: ApiNode) -> None:
        post = node.http.post
        assert (await post("/api/discussions", content=b"x")).status_code == 415
        assert (await post("/api/discussions", json=[])).status_code == 400
        assert (await post("/api/discussions", json={})).json()["code"] == "VALIDATION_ERROR"
        good = {"market_id": "0" * 64, "content": "x"}
        assert (await post("/api/discussions", json=good)).status_code == 401
        assert (await post("/api/discussions", json=good, headers=node.bearer(ALICE))).status_code == 404

    async def test_role_before_object(self, node: ApiNode) -> None:
        path = f"/api/admin/markets/{'0' * 64}/approve"
        body = {"reason": "because"}
        assert (await node.post(path, body, status=401))["reason"] == "missing"
        assert (await node.post(path, body, status=403, headers=node.bearer(ALICE)))["reason"] == "not_admin"
        await node.post(path, body, status=404, headers=node.bearer(ADMIN))

    async def test_limit_before_everything(self, tmp_path: Path) -> None:
        async with api_node(tmp_path, limits=replace(GENEROUS, address_per_minute=1)) as node:
            await node.get("/api/nothing", status=404)
            await node.get("/api/nothing", status=429)
            await node.post("/api/discussions", status=429)


class TestHeaders:
    async def test_security(self, node: ApiNode) -> None:
        for path in ("/api/markets", "/api/nothing", "/health"):
            headers = (await node.http.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cross-origin-resource-policy"] == "cross-origin"
            assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
            assert "strict-transport-security" not in headers
            assert "server" not in headers

    async def test_hsts_behind_https(self, tmp_path: Path) -> None:
        async with api_node(tmp_path, server=replace(Config().server, public_url="https://zmart.example")) as node:
            assert "strict-transport-security" in (await node.http.get("/health")).headers

    @pytest.mark.parametrize("given", ["abc", "A.b-c_9", "x" * 64])
    async def test_request_id_is_kept(self, node: ApiNode, given: str) -> None:
        assert (await node.http.get("/health", headers={"X-Request-ID": given})).headers["x-request-id"] == given

    @pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\tb", "<x>"])
    async def test_bad_request_id_is_replaced(self, node: ApiNode, given: str) -> None:
        made = (await node.http.get("/health", headers={"X-Request-ID": given})).headers["x-request-id"]
        assert made != given
        assert made.isalnum()

    async def test_cors_for_everybody(self, node: ApiNode) -> None:
        headers = (await node.http.get("/api/markets", headers={"Origin": "https://anywhere.example"})).headers
        assert headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in headers
        assert "vary" not in headers
        for name in ("ETag", "Retry-After", "X-Request-ID", "X-Total-Count", "X-Next-Cursor", "RateLimit-Reset"):
            assert name in headers["access-control-expose-headers"]

    async def test_cors_for_listed_origins(self, tmp_path: Path) -> None:
        server = replace(Config().server, cors_origins=("https://app.example",))
        async with api_node(tmp_path, server=server) as node:
            listed = (await node.http.get("/api/markets", headers={"Origin": "https://app.example"})).headers
            other = (await node.http.get("/api/markets", headers={"Origin": "https://evil.example"})).headers
            assert listed["access-control-allow-origin"] == "https://app.example"
            assert "access-control-allow-origin" not in other
            assert listed["vary"] == other["vary"] == "Origin"

    async def test_preflight(self, node: ApiNode) -> None:
        asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
        headers = (await node.http.options("/api/markets", headers=asks)).headers
        assert headers["access-control-allow-methods"] == "GET, HEAD, POST, DELETE, OPTIONS"
        assert "X-Service-Key" in headers["access-control-allow-headers"]
        assert headers["access-control-max-age"] == "600"

    async def test_error_has_the_headers_too(self, node: ApiNode) -> None:
        headers = (await node.http.get("/api/nothing")).headers
        assert headers["access-control-allow-origin"] == "*"
        assert headers["cache-control"] == "no-store"
        assert "ratelimit-limit" in headers


class TestCaching:
    async def test_public_read(self, node: ApiNode) -> None:
        response = await node.http.get("/api/markets")
        assert response.headers["cache-control"] == "public, no-cache"
        etag = response.headers["etag"]
        assert etag.startswith('"')
        for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            again = await node.http.get("/api/markets", headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == etag
            assert again.headers["cache-control"] == "public, no-cache"
        await node.add_market(1)
        changed = await node.http.get("/api/markets", headers={"If-None-Match": etag})
        assert changed.status_code == 200

    async def test_relay_always_gets_the_whole(self, node: ApiNode) -> None:
        etag = (await node.http.get("/api/markets")).headers["etag"]
        relay = {"If-None-Match": etag, "Origin": "http://testserver"}
        assert (await node.http.get("/api/markets", headers=relay)).status_code == 200

    @pytest.mark.parametrize("path", ["/api/markets/trending", "/api/markets/categories", "/api/markets/x/related"])
    async def test_short(self, node: ApiNode, path: str) -> None:
        response = await node.http.get(path)
        assert response.headers["cache-control"] == "public, max-age=30"
        assert "etag" in response.headers

    @pytest.mark.parametrize(
        "path", ["/health", "/health/database", "/ready", "/metrics", "/api/nothing", "/api/auth/nonce"]
    )
    async def test_never(self, node: ApiNode, path: str) -> None:
        response = await node.http.get(path)
        assert response.headers["cache-control"] == "no-store"
        assert "etag" not in response.headers

    async def test_what_depends_on_a_credential(self, node: ApiNode) -> None:
        for path, headers in (
            ("/api/auth/me", node.bearer(ALICE)),
            ("/api/users/me", node.bearer(ALICE)),
            ("/api/markets?include_hidden=true", {"x-service-key": SERVICE_KEY}),
        ):
            assert (await node.http.get(path, headers=headers)).headers["cache-control"] == "no-store"


class TestErrors:
    async def test_unforeseen_one_says_nothing(
        self, node: ApiNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("the password is hunter2")

        monkeypatch.setattr(node.store, "read", broken)
        answer = await node.get("/api/markets", status=500)
        assert answer["message"] == "Internal error."
        assert answer["code"] == "INTERNAL_SERVER_ERROR"
        assert set(answer) == {"error", "code", "message", "status", "timestamp", "path", "request_id"}
        assert "request failed" in caplog.text

    async def test_store_that_cannot(self, node: ApiNode, monkeypatch: pytest.MonkeyPatch) -> None:
        async def full(*_: object, **__: object) -> None:
            raise StoreUnavailable("disk full at /secret/path")

        monkeypatch.setattr(node.store, "read", full)
        response = await node.http.get("/api/markets")
        answer = response.json()
        assert (response.status_code, answer["reason"]) == (503, "store_unavailable")
        assert int(response.headers["retry-after"]) > 0
        assert "secret" not in response.text

    async def test_reading_that_does_not_end_is_stopped(self, tmp_path: Path) -> None:
        """One real statement without an end on every connection, and a request that waits behind them."""
        endless = (
            "CREATE VIEW snapshots AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)"
            " SELECT old.*, n FROM c LEFT JOIN old_snapshots old ON old.id = -n"
        )
        short = replace(Config().store, read_timeout_s=cast(int, 0.1))
        async with api_node(tmp_path, store=short) as node:
            market = await node.add_market()
            await node.store.write(lambda tx: tx.execute("ALTER TABLE snapshots RENAME TO old_snapshots"))
            await node.store.write(lambda tx: tx.execute(endless))
            slow = [node.http.get(f"/api/markets/{market}/snapshots") for _ in range(8)]
            async with asyncio.timeout(5):
                answers = await asyncio.gather(*slow)
            for response in answers:
                answer = response.json()
                assert (response.status_code, answer["reason"]) == (503, "store_unavailable")
                assert "too long" in answer["message"]
                assert response.headers["retry-after"] == "5"
            assert (await node.get(f"/api/markets/{market}"))["id"] == market

    async def test_every_error_has_one_shape(self, node: ApiNode) -> None:
        for method, path in (
            ("GET", "/api/nothing"),
            ("PUT", "/api/markets"),
            ("POST", "/api/auth/logout"),
            ("GET", "/api/events/by-date"),
        ):
            answer = (await node.http.request(method, path)).json()
            assert {"error", "code", "message", "status", "timestamp", "path", "request_id"} <= set(answer)
            assert answer["error"] == answer["code"]

    async def test_access_log_leaves_out_the_query(self, node: ApiNode, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, logger="zmart_lite.api.access"):
            await node.get("/api/markets?ticket=sesame&q=abc")
            await asyncio.sleep(0)  # lines are written with the next turn of the event loop
        record = caplog.records[-1]
        (request,) = vars(record)["requests"]
        assert record.getMessage() == "request"
        assert (request.path, request.status) == ("/api/markets", 200)
        assert "sesame" not in json.dumps(vars(record), default=str)

    async def test_metrics_count_by_template(self, node: ApiNode) -> None:
        await node.get(f"/api/markets/{'0' * 64}", status=404)
        await node.get("/api/nothing", status=404)
        text = node.parts.metrics.render().decode()
        assert 'zmart_http_requests_total{method="GET",route="/api/markets/{id}",status="404"} 1.0' in text
        assert 'route="(none)"' in text
        assert "0" * 64 not in text


async def test_lifespan_is_answered(node: ApiNode) -> None:
    inbox = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return inbox.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await node.app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_client_that_goes_away_is_no_error(node: ApiNode) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/discussions",
        "query_string": b"",
        "headers": [],
        "client": None,
    }
    await node.app(scope, receive, send)
    assert sent == []
