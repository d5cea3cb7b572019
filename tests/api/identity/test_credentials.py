"""Session tokens, the compatibility forms and service keys: every rule has a test that breaks it."""

import base64
import json
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from tests.api.harness import (
    ADMIN,
    ALICE,
    BOB,
    JWT_SECRET,
    OPERATOR_KEY,
    SERVICE_KEY,
    START_MS,
    START_S,
    ApiNode,
    address,
    api_node,
    base58,
    config_for_tests,
    key,
    sign,
)
from zmart_lite.api.identity.auth import OPERATOR_WALLET, Authenticator, Tokens, jwt_secret, make_operator_key
from zmart_lite.config import Auth, Config, Secret
from zmart_lite.errors import StartupError, Unauthorized


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ApiNode]:
    async with api_node(tmp_path) as started:
        yield started


def claims(**changes: Any) -> dict[str, Any]:
    good = {
        "sub": address(ALICE),
        "wallet": address(ALICE),
        "walletAddress": address(ALICE),
        "iat": START_S,
        "exp": START_S + 3_600,
        "jti": "0123456789abcdef",
        "iss": "zmart-lite",
        "aud": "zmart-api",
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def encoded(payload: dict[str, Any], secret: bytes = JWT_SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(payload, secret, algorithm=algorithm)


async def refused(node: ApiNode, token: str, reason: str) -> None:
    answer = await node.get("/api/auth/me", status=401, headers={"Authorization": f"Bearer {token}"})
    assert answer["reason"] == reason, answer


class TestTokens:
    async def test_good_one(self, node: ApiNode) -> None:
        await node.get("/api/auth/me", headers={"Authorization": f"Bearer {encoded(claims())}"})

    async def test_scheme_in_any_case(self, node: ApiNode) -> None:
        await node.get("/api/auth/me", headers={"Authorization": f"bearer {encoded(claims())}"})

    async def test_wrong_key(self, node: ApiNode) -> None:
        await refused(node, encoded(claims(), b"t" * 40), "bad_signature")

    async def test_other_algorithm(self, node: ApiNode) -> None:
        await refused(node, encoded(claims(), JWT_SECRET * 2, "HS512"), "bad_signature")

    async def test_algorithm_none(self, node: ApiNode) -> None:
        head, body = ({"alg": "none", "typ": "JWT"}, claims())
        parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (head, body)]
        await refused(node, ".".join([*parts, ""]), "bad_signature")

    @pytest.mark.parametrize("name", ["sub", "wallet", "walletAddress", "iat", "exp", "jti", "iss", "aud"])
    async def test_every_claim_is_required(self, node: ApiNode, name: str) -> None:
        await refused(node, encoded(claims(**{name: None})), "bad_signature")

    @pytest.mark.parametrize("changes", [
        {"iss": "somebody"},
        {"aud": "something"},
        {"aud": ["zmart-api", "other"]},
        {"sub": address(BOB)},
        {"walletAddress": address(BOB)},
        {"wallet": "nobody", "sub": "nobody", "walletAddress": "nobody"},
        {"exp": START_S + 0.5},
        {"exp": str(START_S + 60)},
        {"iat": START_S + 61},
    ])  # fmt: skip
    async def test_wrong_claims(self, node: ApiNode, changes: dict[str, Any]) -> None:
        await refused(node, encoded(claims(**changes)), "bad_signature")

    async def test_expires(self, node: ApiNode) -> None:
        token = encoded(claims())
        await node.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
        node.times.pass_s(3_600)
        await refused(node, token, "expired")

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "." * 3000, "é"])
    async def test_garbage(self, node: ApiNode, token: str) -> None:
        answer = await node.http.get("/api/auth/me", headers={"Authorization": f"Bearer {token}".encode("latin-1")})
        assert (answer.status_code, answer.json()["reason"]) == (401, "bad_signature")

    async def test_unknown_scheme(self, node: ApiNode) -> None:
        answer = await node.get("/api/auth/me", status=401, headers={"Authorization": "Basic eDp5"})
        assert answer["reason"] == "bad_signature"

    async def test_missing(self, node: ApiNode) -> None:
        assert (await node.get("/api/auth/me", status=401))["reason"] == "missing"

    async def test_bad_credential_never_breaks_a_public_read(self, node: ApiNode) -> None:
        await node.get("/api/markets", headers={"Authorization": "Bearer nonsense"})

    async def test_remembered_tokens_are_bounded(self, node: ApiNode, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("zmart_lite.api.identity.auth.TOKENS_CACHED", 3)
        for _ in range(5):
            await node.get("/api/auth/me", headers=node.bearer(ALICE))
        assert len(node.api.auth._verified) == 3

    async def test_shared_database_is_asked_every_time(self, tmp_path: Path) -> None:
        async with api_node(tmp_path) as node:
            settings = node.parts.config
            shared = replace(settings, store=replace(settings.store, dsn=Secret("postgresql://somewhere/x")))
            auth = Authenticator(shared, JWT_SECRET, node.store, node.times.wall_ms)
            token = encoded(claims())
            await auth.from_token(token)
            await node.sql("INSERT INTO revoked_tokens (jti, expires_ms) VALUES (?, ?) RETURNING 1", claims()["jti"], 1)
            with pytest.raises(Unauthorized, match="ended"):
                await auth.from_token(token)

    def test_short_key_stops_the_start(self) -> None:
        with pytest.raises(StartupError, match="at least 32 bytes"):
            Tokens(b"short", Auth())


class TestAdmins:
    async def test_wallet_is_looked_up_per_request(self, node: ApiNode) -> None:
        assert (await node.get("/api/auth/me", headers=node.bearer(ADMIN)))["role"] == "admin"
        assert (await node.get("/api/auth/me", headers=node.bearer(BOB)))["role"] == "user"

    async def test_read_admin_by_session(self, node: ApiNode) -> None:
        assert (await node.get("/api/admin/jobs", status=403, headers=node.bearer(BOB)))["reason"] == "not_admin"
        await node.get("/api/admin/breakers", headers=node.bearer(ADMIN))

    async def test_read_admin_by_service_key(self, node: ApiNode) -> None:
        await node.get("/api/admin/breakers", headers={"x-service-key": SERVICE_KEY})
        assert (await node.get("/api/admin/breakers", status=401, headers={"x-service-key": "x" * 40}))["status"] == 401

    async def test_service_key_writes_nothing(self, node: ApiNode) -> None:
        answer = await node.post("/api/admin/breakers/api/reset", status=401, headers={"x-service-key": SERVICE_KEY})
        assert answer["reason"] == "missing"

    async def test_signed_message_is_no_session(self, node: ApiNode) -> None:
        headers = {"Authorization": signature_header(ADMIN)}
        assert (await node.get("/api/admin/breakers", status=401, headers=headers))["reason"] == "jwt_required"
        assert (await node.post("/api/auth/ticket", status=401, headers=headers))["reason"] == "jwt_required"

    async def test_body_credentials_are_no_session(self, node: ApiNode) -> None:
        answer = await node.post("/api/auth/ticket", body_credentials(ADMIN), status=401)
        assert answer["reason"] == "jwt_required"


def signature_header(
    pair: Keypair = ALICE,
    signed_ms: int = START_MS,
    text: str = "Sign in to ZMART\nTimestamp: {}",
    *,
    signer: Keypair | None = None,
    wallet: str | None = None,
) -> str:
    message = text.format(signed_ms)
    signature = base58(sign(signer or pair, message.encode()))
    return f"Signature message={quote(message)}&signature={signature}&wallet={wallet or address(pair)}"


class TestSignatureHeader:
    async def test_opens_what_is_harmless(self, node: ApiNode) -> None:
        answer = await node.get("/api/auth/me", headers={"Authorization": signature_header()})
        assert (answer["wallet"], answer["auth"], answer["role"]) == (address(ALICE), "signature", "user")
        assert answer["expires_at"] == "2026-01-02T04:04:05.678Z"

    async def test_admin_is_a_user_there(self, node: ApiNode) -> None:
        answer = await node.get("/api/auth/me", headers={"Authorization": signature_header(ADMIN)})
        assert answer["role"] == "user"

    async def test_may_be_used_again(self, node: ApiNode) -> None:
        for _ in range(2):
            await node.get("/api/auth/me", headers={"Authorization": signature_header()})

    @pytest.mark.parametrize(("age_s", "good"), [(3_600, True), (3_601, False), (-300, True), (-301, False)])
    async def test_age(self, node: ApiNode, age_s: int, good: bool) -> None:
        headers = {"Authorization": signature_header(signed_ms=START_MS - age_s * 1_000)}
        answer = await node.get("/api/auth/me", status=200 if good else 401, headers=headers)
        if not good:
            assert answer["reason"] == ("expired" if age_s > 0 else "bad_message")

    @pytest.mark.parametrize("header", [
        signature_header(signer=BOB),
        signature_header(wallet=address(BOB)),
    ])  # fmt: skip
    async def test_wrong_signer(self, node: ApiNode, header: str) -> None:
        assert (await node.get("/api/auth/me", status=401, headers={"Authorization": header}))[
            "reason"
        ] == "bad_signature"

    @pytest.mark.parametrize("header", [
        signature_header(text="Sign this message to authenticate with ZMART: {}"),
        signature_header(text="Sign in to ZMART\nTimestamp: {}\n"),
        signature_header(text="Sign in to ZMART Timestamp: {}"),
        signature_header(text="Sign in to ZMART\nTimestamp: 0{}"),
        signature_header(wallet="nobody"),
        "Signature nonsense",
        "Signature " + "x" * 5_000,
        "Signature " + "&".join(f"a{number}=1" for number in range(20)),
    ])  # fmt: skip
    async def test_other_forms(self, node: ApiNode, header: str) -> None:
        assert (await node.get("/api/auth/me", status=401, headers={"Authorization": header}))[
            "reason"
        ] == "bad_message"

    async def test_unreadable_signature(self, node: ApiNode) -> None:
        header = signature_header().split("&")[0] + f"&signature=0OIl&wallet={address(ALICE)}"
        assert (await node.get("/api/auth/me", status=401, headers={"Authorization": header}))[
            "reason"
        ] == "bad_signature"

    async def test_key_off_the_curve(self, node: ApiNode) -> None:
        owned = str(Pubkey.find_program_address([b"x"], Pubkey.from_bytes(bytes([7]) * 32))[0])
        header = signature_header(wallet=owned)
        assert (await node.get("/api/auth/me", status=401, headers={"Authorization": header}))[
            "reason"
        ] == "bad_signature"


def body_credentials(pair: Keypair = ALICE, signed_ms: int = START_MS, **changes: Any) -> dict[str, Any]:
    message = changes.pop("text", "Sign this message to authenticate with ZMART: {}").format(signed_ms)
    signer = changes.pop("signer", pair)
    return {"message": message, "signature": base58(sign(signer, message.encode())), "wallet": address(pair), **changes}


class TestBodyCredentials:
    async def post(self, node: ApiNode, body: dict[str, Any], status: int = 201, **options: Any) -> Any:
        market = await node.add_market(1)
        return await node.post(f"/api/discussions/{market}", {"content": "hello", **body}, status=status, **options)

    async def test_at_top_level(self, node: ApiNode) -> None:
        answer = await self.post(node, body_credentials())
        assert answer["discussion"]["author"] == address(ALICE)

    async def test_inside_auth(self, node: ApiNode) -> None:
        await self.post(node, {"_auth": body_credentials()})

    @pytest.mark.parametrize(("age_s", "good"), [(300, True), (301, False), (-300, True), (-301, False)])
    async def test_age(self, node: ApiNode, age_s: int, good: bool) -> None:
        await self.post(node, body_credentials(signed_ms=START_MS - age_s * 1_000), 201 if good else 401)

    async def test_header_text_does_not_belong_here(self, node: ApiNode) -> None:
        body = body_credentials(text="Sign in to ZMART\nTimestamp: {}")
        assert (await self.post(node, body, 401))["reason"] == "bad_message"

    async def test_wrong_signer(self, node: ApiNode) -> None:
        assert (await self.post(node, body_credentials(signer=BOB), 401))["reason"] == "bad_signature"

    async def test_are_not_looked_at_beside_a_header(self, node: ApiNode) -> None:
        headers = {"Authorization": "Bearer nonsense"}
        assert (await self.post(node, body_credentials(), 401, headers=headers))["reason"] == "bad_signature"

    async def test_incomplete_ones_are_none(self, node: ApiNode) -> None:
        body = body_credentials()
        del body["wallet"]
        assert (await self.post(node, body, 401))["reason"] == "missing"

    async def test_other_types(self, node: ApiNode) -> None:
        assert (await self.post(node, {"message": 1, "signature": 2, "wallet": 3}, 401))["reason"] == "bad_message"


class TestSecret:
    def test_configured_one(self, tmp_path: Path) -> None:
        assert jwt_secret(config_for_tests(tmp_path)) == JWT_SECRET

    def test_is_made_once_and_kept_to_ourselves(self, tmp_path: Path) -> None:
        settings = Config()
        config = replace(settings, store=replace(settings.store, dir=str(tmp_path / "data")))
        made = jwt_secret(config)
        assert len(made) >= 32
        assert jwt_secret(config) == made
        path = tmp_path / "data" / "jwt.secret"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [entry.name for entry in path.parent.iterdir()] == ["jwt.secret"]

    def test_damaged_file_stops_the_start(self, tmp_path: Path) -> None:
        (tmp_path / "jwt.secret").write_text("short")
        settings = Config()
        with pytest.raises(StartupError, match="damaged"):
            jwt_secret(replace(settings, store=replace(settings.store, dir=str(tmp_path))))

    def test_unusable_folder_stops_the_start(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        settings = Config()
        with pytest.raises(StartupError, match="cannot be used"):
            jwt_secret(replace(settings, store=replace(settings.store, dir=str(tmp_path / "file" / "x"))))


async def test_identity_carries_the_session(node: ApiNode) -> None:
    identity = await node.api.auth.from_token(encoded(claims()))
    assert (identity.wallet, identity.jti, identity.method) == (key(ALICE), "0123456789abcdef", "jwt")


async def test_the_operators_key_is_an_administrator_and_no_wallet(node: ApiNode) -> None:
    """What commands on the node's own machine show; it votes, posts and signs for nobody."""
    headers = {"authorization": f"Bearer {OPERATOR_KEY}"}
    assert "breakers" in await node.get("/api/admin/breakers", headers=headers)
    answer = await node.post("/api/auth/ticket", status=401, headers=headers)
    assert answer["reason"] == "jwt_required"
    for wrong in (OPERATOR_KEY[:-1], OPERATOR_KEY + "x", "operator-", make_operator_key()):
        headers = {"authorization": f"Bearer {wrong}"}
        answer = await node.get("/api/admin/breakers", status=401, headers=headers)
        assert answer["reason"] == "bad_signature"


async def test_signing_in_as_the_wallet_that_the_audit_names_for_operators_gives_no_rights(node: ApiNode) -> None:
    token, _ = node.api.auth.tokens.issue(OPERATOR_WALLET, START_S)
    headers = {"authorization": f"Bearer {token}"}
    assert (await node.get("/api/admin/breakers", status=403, headers=headers))["reason"] == "not_admin"
