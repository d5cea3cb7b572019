"""Limits: who is counted together, what is refused, what the headers say, and that the counters stay few."""

from dataclasses import replace
from pathlib import Path

import pytest
from solders.keypair import Keypair

from tests.api.harness import ALICE, BOB, GENEROUS, SERVICE_KEY, START_S, api_node
from tests.api.identity.test_credentials import body_credentials, signature_header
from zmart_lite.api.http.proxies import ClientAddresses, limit_key
from zmart_lite.api.identity.limits import Counters, Limiter
from zmart_lite.config import Config, Limits
from zmart_lite.ops import Metrics


class TestTiers:
    async def test_per_address(self, tmp_path: Path) -> None:
        async with api_node(tmp_path, limits=replace(GENEROUS, address_per_minute=2)) as node:
            first = await node.http.get("/api/markets")
            assert first.headers["ratelimit-limit"] == first.headers["x-ratelimit-limit"] == "2"
            assert first.headers["ratelimit-remaining"] == first.headers["x-ratelimit-remaining"] == "1"
            assert first.headers["ratelimit-reset"] == "60"
            assert first.headers["x-ratelimit-reset"] == str(START_S + 61)
            await node.get("/api/markets")
            refused = await node.http.get("/api/markets")
            answer = refused.json()
            assert (refused.status_code, answer["code"]) == (429, "RATE_LIMIT_EXCEEDED")
            assert answer["details"] == {
                "limit": 2,
                "remaining": 0,
                "resetAt": "2026-01-02T03:05:05.678Z",
                "retryAfter": 60,
            }
            assert refused.headers["retry-after"] == "60"
            assert refused.headers["ratelimit-remaining"] == "0"
            async with node.client("10.0.0.2") as other:
                assert (await other.get("/api/markets")).status_code == 200
            node.times.pass_s(60)
            await node.get("/api/markets")

    async def test_wallet_instead_of_address(self, tmp_path: Path) -> None:
        limits = replace(GENEROUS, address_per_minute=1, wallet_per_minute=3)
        async with api_node(tmp_path, limits=limits) as node:
            await node.get("/api/markets")
            for _ in range(3):
                await node.get("/api/markets", headers=node.bearer(ALICE))
            await node.get("/api/markets", status=429, headers=node.bearer(ALICE))
            await node.get("/api/markets", headers=node.bearer(BOB))
            await node.get("/api/markets", status=429)

    async def test_keys_made_for_the_purpose_count_for_the_address(self, tmp_path: Path) -> None:
        """A header that anybody signs with a key made for it is worth no more than none."""
        async with api_node(tmp_path, limits=replace(GENEROUS, address_per_minute=2)) as node:
            for status in (200, 200, 429, 429):
                headers = {"Authorization": signature_header(Keypair())}
                await node.get("/api/markets", status=status, headers=headers)

    async def test_one_address_has_a_ceiling_however_many_wallets_it_signs_in(self, tmp_path: Path) -> None:
        async with api_node(tmp_path, limits=replace(GENEROUS, sessions_per_minute=3)) as node:
            for status in (200, 200, 200, 429):
                await node.get("/api/markets", status=status, headers=node.bearer(Keypair()))
            await node.get("/api/markets")

    async def test_bad_credential_counts_for_the_address(self, tmp_path: Path) -> None:
        async with api_node(tmp_path, limits=replace(GENEROUS, address_per_minute=1)) as node:
            headers = {"Authorization": "Bearer nonsense", "x-service-key": "nonsense"}
            await node.get("/api/markets", headers=headers)
            await node.get("/api/markets", status=429, headers=headers)

    async def test_service_key(self, tmp_path: Path) -> None:
        limits = replace(GENEROUS, address_per_minute=1, service_per_minute=2)
        async with api_node(tmp_path, limits=limits) as node:
            for status in (200, 200, 429):
                await node.get("/api/markets", status=status, headers={"x-service-key": SERVICE_KEY})
            await node.get("/api/markets")

    async def test_sign_in_calls(self, tmp_path: Path) -> None:
        async with api_node(tmp_path, limits=replace(GENEROUS, auth_per_minute=2)) as node:
            for status in (200, 200, 429):
                await node.get("/api/auth/nonce", status=status)
            await node.get("/api/auth/me", status=429, headers=node.bearer(ALICE))
            await node.get("/api/markets")

    async def test_posts_per_wallet(self, tmp_path: Path) -> None:
        async with api_node(tmp_path, limits=replace(GENEROUS, posts_per_hour=2)) as node:
            market = await node.add_market(1)
            for number, status in enumerate((201, 201, 429)):
                body = {"content": f"post {number}"}
                await node.post(f"/api/discussions/{market}", body, status=status, headers=node.bearer(ALICE))
            await node.post(f"/api/discussions/{market}", {"content": "x"}, status=201, headers=node.bearer(BOB))
            node.times.pass_s(3_600)
            await node.post(f"/api/discussions/{market}", {"content": "y"}, status=201, headers=node.bearer(ALICE))

    async def test_body_credentials_count_for_the_address(self, tmp_path: Path) -> None:
        async with api_node(tmp_path, limits=replace(GENEROUS, posts_per_hour=1)) as node:
            market = await node.add_market(1)
            await node.post(f"/api/discussions/{market}", {"content": "x", **body_credentials(ALICE)}, status=201)
            await node.post(f"/api/discussions/{market}", {"content": "x", **body_credentials(BOB)}, status=429)

    async def test_refused_attempts_count_too(self, tmp_path: Path) -> None:
        async with api_node(tmp_path, limits=replace(GENEROUS, posts_per_hour=1)) as node:
            await node.post("/api/discussions/nothing", status=400)
            await node.post("/api/discussions/nothing", status=429)

    @pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
    async def test_what_is_not_limited(self, tmp_path: Path, path: str) -> None:
        async with api_node(tmp_path, limits=replace(GENEROUS, address_per_minute=1)) as node:
            for _ in range(3):
                response = await node.http.get(path)
                assert response.status_code != 429
                assert "ratelimit-limit" not in response.headers

    async def test_refusals_are_counted(self, tmp_path: Path) -> None:
        async with api_node(tmp_path, limits=replace(GENEROUS, address_per_minute=1)) as node:
            await node.get("/api/markets")
            await node.get("/api/markets", status=429)
            assert 'zmart_rate_limited_total{scope="address"} 1.0' in node.parts.metrics.render().decode()


class TestCounters:
    def test_are_bounded(self) -> None:
        now = [0.0]
        counters = Counters(lambda: now[0], counters_max=10)
        for number in range(100):
            counters.incr(f"key {number}", 60)
        assert len(counters) <= 10
        assert counters.get("key 99") == 1

    def test_expired_ones_go_first(self) -> None:
        now = [0.0]
        counters = Counters(lambda: now[0], counters_max=3)
        counters.incr("long", 1_000)
        counters.incr("short", 1)
        counters.incr("short too", 1)
        now[0] = 2.0
        counters.incr("new", 60)
        assert counters.get("long") == 1
        assert len(counters) == 2

    def test_window_begins_anew(self) -> None:
        now = [0.0]
        counters = Counters(lambda: now[0])
        assert [counters.incr("x", 60) for _ in range(3)] == [1, 2, 3]
        now[0] = 60.0
        assert counters.get("x") == 0
        assert counters.incr("x", 60) == 1

    def test_storage_of_the_library(self) -> None:
        counters = Counters(lambda: 0.0)
        counters.incr("x", 60)
        assert counters.check()
        counters.clear("x")
        assert counters.get("x") == 0
        counters.incr("y", 60)
        assert counters.reset() == 1

    def test_scopes_do_not_mix(self) -> None:
        limiter = Limiter(Limits(votes_per_hour=1, posts_per_hour=1), Metrics(), lambda: 0.0)
        assert limiter.spend("votes", "a").allowed
        assert limiter.spend("posts", "a").allowed
        assert not limiter.spend("votes", "a").allowed


class TestAddresses:
    @pytest.mark.parametrize(("trusted", "peer", "forwarded", "expected"), [
        ((), "1.2.3.4", ["9.9.9.9"], "1.2.3.4"),
        (("10.0.0.0/8",), "1.2.3.4", ["9.9.9.9"], "1.2.3.4"),
        (("10.0.0.0/8",), "10.0.0.1", [], "10.0.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["9.9.9.9"], "9.9.9.9"),
        (("10.0.0.0/8",), "10.0.0.1", ["6.6.6.6, 9.9.9.9, 10.0.0.7"], "9.9.9.9"),
        (("10.0.0.0/8",), "10.0.0.1", ["6.6.6.6", "9.9.9.9", "10.0.0.7"], "9.9.9.9"),
        (("10.0.0.0/8",), "10.0.0.1", ["10.0.0.8, 10.0.0.7"], "10.0.0.8"),
        (("10.0.0.0/8",), "10.0.0.1", ["9.9.9.9, nonsense"], "10.0.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["9.9.9.9:4711"], "9.9.9.9"),
        (("::1",), "::1", ["2001:db8::1"], "2001:db8::1"),
        (("::1",), "::1", ["[2001:db8::1]:443"], "2001:db8::1"),
        (("127.0.0.1",), "::ffff:127.0.0.1", ["9.9.9.9"], "9.9.9.9"),
        ((), None, [], "unknown"),
    ])  # fmt: skip
    def test_behind_proxies(
        self, trusted: tuple[str, ...], peer: str | None, forwarded: list[str], expected: str
    ) -> None:
        headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
        assert ClientAddresses(trusted).of(peer, headers) == expected

    def test_ipv6_counts_by_site(self) -> None:
        assert limit_key("2001:db8::1") == limit_key("2001:db8::ffff")
        assert limit_key("2001:db8::1") != limit_key("2001:db8:0:1::1")
        assert limit_key("1.2.3.4") == "1.2.3.4"

    async def test_is_used(self, tmp_path: Path) -> None:
        server = replace(Config().server, trusted_proxies=("127.0.0.1",))
        async with api_node(tmp_path, server=server, limits=replace(GENEROUS, address_per_minute=1)) as node:
            for client, status in (("9.9.9.9", 200), ("8.8.8.8", 200), ("9.9.9.9", 429)):
                await node.get("/api/markets", status=status, headers={"X-Forwarded-For": client})
