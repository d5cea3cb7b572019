"""Signing in: each check of the contract's table has a test that breaks it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from tests.api.harness import ADMIN, ALICE, BOB, START_MS, ApiNode, address, api_node, base58, base64_text, key, sign
from zmart_lite.api.identity import siws
from zmart_lite.config import Config
from zmart_lite.shown import time_text_ms


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ApiNode]:
    async with api_node(tmp_path) as started:
        yield started


async def fresh_nonce(node: ApiNode) -> str:
    return str((await node.get("/api/auth/nonce"))["nonce"])


async def message_for(node: ApiNode, pair: Keypair = ALICE, **changes: str | None) -> str:
    """A good message with some lines changed; None leaves a line out."""
    lines: dict[str, str | None] = {
        "head": "localhost:3000",
        "address": address(pair),
        "statement": "Sign in to ZMART.",
        "URI": "http://localhost:3000/login",
        "Version": "1",
        "Chain ID": "localnet",
        "Nonce": await fresh_nonce(node) if "Nonce" not in changes else None,
        "Issued At": time_text_ms(node.times.now_ms),
        **changes,
    }
    head, named, statement = (lines.pop(name) for name in ("head", "address", "statement"))
    text = f"{head} wants you to sign in with your Solana account:\n{named}"
    if statement is not None:
        text += f"\n\n{statement}"
    return text + "\n\n" + "\n".join(f"{name}: {value}" for name, value in lines.items() if value is not None)


async def login(node: ApiNode, text: str, pair: Keypair = ALICE, status: int = 200, **more: Any) -> Any:
    body = {"message": text, "signature": base58(sign(pair, text.encode())), **more}
    return await node.post("/api/auth/login", body, status=status)


async def refused(node: ApiNode, text: str, reason: str, pair: Keypair = ALICE, **more: Any) -> None:
    answer = await login(node, text, pair, status=401, **more)
    assert (answer["code"], answer["reason"]) == ("UNAUTHORIZED", reason), answer


class TestNonce:
    async def test_answers_the_input_of_the_wallet_standard(self, node: ApiNode) -> None:
        answer = await node.get("/api/auth/nonce", headers={"Origin": "http://localhost:5173"})
        assert answer["domain"] == "localhost:5173"
        assert answer["uri"] == "http://localhost:5173"
        assert (answer["version"], answer["chainId"], answer["expires_in"]) == ("1", "localnet", 300)
        assert answer["issuedAt"] == "2026-01-02T03:04:05.678Z"
        assert answer["expirationTime"] == "2026-01-02T03:09:05.678Z"
        assert answer["nonce"].isalnum()
        assert len(answer["nonce"]) >= 8
        assert "message" not in answer

    async def test_message_for_a_wallet_signs_in(self, node: ApiNode) -> None:
        text = (await node.get(f"/api/auth/nonce?wallet={address(ALICE)}"))["message"]
        assert (await login(node, text))["wallet"] == address(ALICE)

    async def test_is_never_stored_by_caches(self, node: ApiNode) -> None:
        response = await node.http.get("/api/auth/nonce")
        assert response.headers["cache-control"] == "no-store"
        assert "etag" not in response.headers

    async def test_refuses_a_malformed_wallet(self, node: ApiNode) -> None:
        answer = await node.get("/api/auth/nonce?wallet=nobody", status=400)
        assert answer["code"] == "VALIDATION_ERROR"
        assert answer["details"][0]["field"] == "wallet"

    async def test_bound_nonce_serves_no_other_wallet(self, node: ApiNode) -> None:
        nonce = (await node.get(f"/api/auth/nonce?wallet={address(BOB)}"))["nonce"]
        await refused(node, await message_for(node, Nonce=nonce), "nonce_invalid")


class TestLogin:
    async def test_gives_a_token_that_works(self, node: ApiNode) -> None:
        answer = await login(node, await message_for(node))
        assert answer["success"] is True
        assert (answer["token_type"], answer["role"], answer["expires_in"]) == ("Bearer", "user", 3600)
        assert answer["expiresAt"] == answer["expires_at"] == "2026-01-02T04:04:05.000Z"
        me = await node.get("/api/auth/me", headers={"Authorization": f"Bearer {answer['token']}"})
        assert me == {
            "wallet": address(ALICE),
            "walletAddress": address(ALICE),
            "role": "user",
            "auth": "jwt",
            "expires_at": "2026-01-02T04:04:05.000Z",
        }

    async def test_tells_an_admin(self, node: ApiNode) -> None:
        answer = await login(node, await message_for(node, ADMIN), ADMIN)
        assert answer["role"] == "admin"

    async def test_takes_a_message_without_optional_lines(self, node: ApiNode) -> None:
        text = await message_for(node, **{"statement": None, "URI": None, "Version": None, "Chain ID": None})
        await login(node, text)

    @pytest.mark.parametrize("chain", ["localnet", "solana:localnet"])
    async def test_takes_both_names_of_the_cluster(self, node: ApiNode, chain: str) -> None:
        await login(node, await message_for(node, **{"Chain ID": chain}))

    @pytest.mark.parametrize("alias", ["wallet", "address", "publicKey"])
    async def test_takes_the_wallet_beside_the_message(self, node: ApiNode, alias: str) -> None:
        await login(node, await message_for(node), **{alias: address(ALICE)})

    async def test_refuses_another_wallet_beside_the_message(self, node: ApiNode) -> None:
        await refused(node, await message_for(node), "address_mismatch", wallet=address(BOB))

    @pytest.mark.parametrize("changes", [
        {"head": "evil.example"},
        {"head": "localhost.evil.example"},
        {"head": "localhost:"},
        {"URI": "https://evil.example/login"},
        {"URI": "http://localhost@evil.example"},
        {"URI": "http://evil.example\\@localhost/"},
    ])  # fmt: skip
    async def test_refuses_another_site(self, node: ApiNode, changes: dict[str, str]) -> None:
        await refused(node, await message_for(node, **changes), "bad_domain")

    async def test_refuses_another_cluster(self, node: ApiNode) -> None:
        await refused(node, await message_for(node, **{"Chain ID": "mainnet"}), "wrong_chain")

    async def test_refuses_another_version(self, node: ApiNode) -> None:
        await refused(node, await message_for(node, Version="2"), "bad_message")

    async def test_refuses_a_signature_of_another_key(self, node: ApiNode) -> None:
        await refused(node, await message_for(node, ALICE), "bad_signature", BOB)

    async def test_refuses_an_address_off_the_curve(self, node: ApiNode) -> None:
        owned = str(Pubkey.find_program_address([b"seed"], Pubkey.from_bytes(bytes([7]) * 32))[0])
        await refused(node, await message_for(node, address=owned), "bad_message")

    async def test_refuses_an_address_that_is_none(self, node: ApiNode) -> None:
        await refused(node, await message_for(node, address="nobody"), "bad_message")

    async def test_takes_a_nonce_once(self, node: ApiNode) -> None:
        text = await message_for(node)
        await login(node, text)
        await refused(node, text, "nonce_invalid")

    async def test_refuses_a_nonce_it_did_not_make(self, node: ApiNode) -> None:
        await refused(node, await message_for(node, Nonce="0123456789abcdef"), "nonce_invalid")

    async def test_refuses_a_message_without_nonce(self, node: ApiNode) -> None:
        await refused(node, await message_for(node, Nonce=None), "nonce_invalid")

    async def test_refuses_an_old_nonce(self, node: ApiNode) -> None:
        text = await message_for(node)
        node.times.pass_s(301)
        await refused(node, text, "nonce_invalid")

    async def test_bad_signature_leaves_the_nonce_usable(self, node: ApiNode) -> None:
        text = await message_for(node)
        await refused(node, text, "bad_signature", BOB)
        await login(node, text)

    @pytest.mark.parametrize(("line", "offset_s", "reason"), [
        ("Issued At", -601, "expired"),
        ("Issued At", 61, "bad_message"),
        ("Expiration Time", -61, "expired"),
        ("Not Before", 61, "bad_message"),
    ])  # fmt: skip
    async def test_refuses_times_out_of_range(self, node: ApiNode, line: str, offset_s: int, reason: str) -> None:
        text = await message_for(node, **{line: time_text_ms(START_MS + offset_s * 1_000)})
        await refused(node, text, reason)

    @pytest.mark.parametrize(("line", "offset_s"), [
        ("Issued At", -599),
        ("Issued At", 59),
        ("Expiration Time", -59),
        ("Not Before", 59),
    ])  # fmt: skip
    async def test_takes_times_within_the_skew(self, node: ApiNode, line: str, offset_s: int) -> None:
        await login(node, await message_for(node, **{line: time_text_ms(START_MS + offset_s * 1_000)}))

    async def test_refuses_a_message_that_does_not_say_when(self, node: ApiNode) -> None:
        await refused(node, await message_for(node, **{"Issued At": None}), "bad_message")

    @pytest.mark.parametrize("text", [
        "hello",
        "localhost wants you to sign in with your Solana account:",
        f"localhost wants you to sign in with your Solana account:\n{address(ALICE)}\nNonce: x",
        f"localhost wants you to sign in with your Solana account:\n{address(ALICE)}\n\nNonce: x\nNonce: y",
        f"localhost wants you to sign in with your Solana account:\n{address(ALICE)}\n\nNonce: x\nVersion: 1",
        f"localhost wants you to sign in with your Solana account:\n{address(ALICE)}\n\nColour: red\nNonce: x",
        f"localhost wants you to sign in with your Solana account:\n{address(ALICE)}\n\nIssued At: yesterday",
        f"localhost wants you to sign in with your Solana account:\n{address(ALICE)}\n\nIssued At: 2026-01-02T03:04:05",
        "localhost wants you to sign in with your Solana account:\r\nx",
        "x" * 2049,
    ])  # fmt: skip
    async def test_unparsable_is_400(self, node: ApiNode, text: str) -> None:
        answer = await login(node, text, status=400)
        assert answer["code"] == "VALIDATION_ERROR"
        assert answer["details"][0]["field"] == "message"

    async def test_reports_all_bad_fields(self, node: ApiNode) -> None:
        answer = await node.post("/api/auth/login", {"message": 5, "wallet": "x", "signature": "y"}, status=400)
        assert {detail["field"] for detail in answer["details"]} == {"message", "wallet", "signature"}

    async def test_nothing_given_is_400(self, node: ApiNode) -> None:
        answer = await node.post("/api/auth/login", {}, status=400)
        assert {detail["field"] for detail in answer["details"]} == {"signature"}


class TestSignatures:
    @pytest.mark.parametrize("form", [
        base58,
        base64_text,
        lambda raw: base64_text(raw).replace("+", "-").replace("/", "_").rstrip("="),
        list,
    ])  # fmt: skip
    async def test_every_form_is_read(self, node: ApiNode, form: Any) -> None:
        text = await message_for(node)
        body = {"message": text, "signature": form(sign(ALICE, text.encode()))}
        await node.post("/api/auth/login", body)

    @pytest.mark.parametrize("signature", [[1, 2], [256] * 64, [True] * 64, "x" * 2000, 5, None])
    async def test_other_forms_are_400(self, node: ApiNode, signature: object) -> None:
        body = {"message": await message_for(node), "signature": signature}
        assert (await node.post("/api/auth/login", body, status=400))["details"][0]["field"] == "signature"

    @pytest.mark.parametrize("wrap", [
        lambda text: siws.short_envelope(text, 0),
        lambda text: siws.short_envelope(text, 1),
        lambda text: siws.full_envelope(text, 0, key(ALICE)),
        lambda text: siws.full_envelope(text, 1, key(ALICE)),
        lambda text: siws.full_envelope(text, 2, key(ALICE)),
        lambda text: siws.short_envelope(text, 2),
        lambda text: siws.new_envelope(text, key(ALICE)),
        lambda text: siws.new_envelope(text, key(ALICE), with_length=True),
    ])  # fmt: skip
    @pytest.mark.parametrize("given", ["message", "signedMessage"])
    async def test_hardware_wallets_sign_an_envelope(self, node: ApiNode, wrap: Any, given: str) -> None:
        text = await message_for(node)
        signed = wrap(text.encode())
        body: dict[str, Any] = {"signature": base58(sign(ALICE, signed))}
        body |= {"message": text} if given == "message" else {"signedMessage": base64_text(signed)}
        await node.post("/api/auth/login", body)

    async def test_signed_bytes_as_an_array(self, node: ApiNode) -> None:
        text = await message_for(node)
        body = {"signedMessage": list(text.encode()), "signature": base58(sign(ALICE, text.encode()))}
        await node.post("/api/auth/login", body)

    async def test_signed_bytes_and_text_must_agree(self, node: ApiNode) -> None:
        text, other = await message_for(node), await message_for(node)
        body = {
            "message": other,
            "signedMessage": base64_text(text.encode()),
            "signature": base58(sign(ALICE, text.encode())),
        }
        answer = await node.post("/api/auth/login", body, status=400)
        assert answer["details"][0]["field"] == "signedMessage"

    @pytest.mark.parametrize("version", [0, 1])
    async def test_envelope_of_another_signer(self, node: ApiNode, version: int) -> None:
        text = (await message_for(node)).encode()
        signed = siws.new_envelope(text, key(BOB)) if version else siws.full_envelope(text, 1, key(BOB))
        body = {"signedMessage": base64_text(signed), "signature": base58(sign(ALICE, signed))}
        assert (await node.post("/api/auth/login", body, status=401))["reason"] == "address_mismatch"

    async def test_version_1_with_several_signers(self, node: ApiNode) -> None:
        text = (await message_for(node)).encode()
        signed = siws.ENVELOPE_PREFIX + bytes([1, 2]) + key(BOB) + key(ALICE) + text
        body = {"signedMessage": base64_text(signed), "signature": base58(sign(ALICE, signed))}
        await node.post("/api/auth/login", body)

    @pytest.mark.parametrize(
        ("behind", "message"),
        [
            (b"", "is no off-chain message"),
            (b"\x02\x01", "of version 2; versions 0 and 1 are known"),
            (b"\x01", "with 0 signers"),
            (b"\x01\x02" + bytes(32), "with 2 signers, of which not all are there"),
            (b"\x00\x03\x01\x00x", "of a format other than 0, 1 and 2"),
        ],
    )
    async def test_what_is_wrong_with_an_envelope_is_said(self, node: ApiNode, behind: bytes, message: str) -> None:
        signed = siws.ENVELOPE_PREFIX + behind
        body = {"signedMessage": base64_text(signed), "signature": base58(sign(ALICE, signed))}
        answer = await node.post("/api/auth/login", body, status=400)
        assert message in answer["details"][0]["message"]

    @pytest.mark.parametrize("damage", [
        lambda signed: signed[:-1],
        lambda signed: signed + b"x",
        lambda signed: signed.replace(b"offchain\x00", b"offchain\x02"),
        lambda signed: b"\xff" + signed,
    ])  # fmt: skip
    async def test_damaged_envelope_is_400(self, node: ApiNode, damage: Any) -> None:
        signed = damage(siws.full_envelope((await message_for(node)).encode(), 1, key(ALICE)))
        body = {"signedMessage": base64_text(signed), "signature": base58(sign(ALICE, signed))}
        assert (await node.post("/api/auth/login", body, status=400))["code"] == "VALIDATION_ERROR"


class TestDomains:
    async def test_listed_domains_only(self, tmp_path: Path) -> None:
        settings = Config()
        server = replace(
            settings.server,
            host="0.0.0.0",
            public_url="https://zmart.example",
            cors_origins=("https://app.example:8443",),
        )
        async with api_node(tmp_path, server=server) as node:
            for host in ("zmart.example", "app.example:8443"):
                await login(node, await message_for(node, head=host, URI=f"https://{host}/x"))
            for host in ("app.example", "localhost", "127.0.0.1:3000"):
                await refused(node, await message_for(node, head=host), "bad_domain")

    async def test_nonce_names_the_public_site(self, tmp_path: Path) -> None:
        server = replace(Config().server, public_url="https://zmart.example")
        async with api_node(tmp_path, server=server) as node:
            answer = await node.get("/api/auth/nonce")
            assert (answer["domain"], answer["uri"]) == ("zmart.example", "https://zmart.example")


class TestSessions:
    async def test_logout_ends_the_session_at_once(self, node: ApiNode) -> None:
        headers = node.bearer(ALICE)
        await node.get("/api/auth/me", headers=headers)
        assert await node.post("/api/auth/logout", headers=headers) == {"success": True}
        answer = await node.get("/api/auth/me", status=401, headers=headers)
        assert answer["reason"] == "revoked"

    async def test_logout_leaves_other_sessions(self, node: ApiNode) -> None:
        one, other = node.bearer(ALICE), node.bearer(ALICE)
        await node.post("/api/auth/logout", headers=one)
        await node.get("/api/auth/me", headers=other)

    async def test_logout_outlasts_a_restart(self, node: ApiNode, tmp_path: Path) -> None:
        headers = node.bearer(ALICE)
        await node.post("/api/auth/logout", headers=headers)
        again = ApiNode(node.parts, node.times)
        assert (await again.get("/api/auth/me", status=401, headers=headers))["reason"] == "revoked"
        await again.http.aclose()

    async def test_ticket_is_taken_once(self, node: ApiNode) -> None:
        answer = await node.post("/api/auth/ticket", headers=node.bearer(ALICE), status=201)
        assert answer["expires_in"] == 30
        assert answer["expires_at"] == "2026-01-02T03:04:35.678Z"
        identity = await node.api.auth.from_ticket(answer["ticket"])
        assert identity.wallet == key(ALICE)
        with pytest.raises(Exception, match="ticket is not valid"):
            await node.api.auth.from_ticket(answer["ticket"])

    async def test_ticket_expires(self, node: ApiNode) -> None:
        answer = await node.post("/api/auth/ticket", headers=node.bearer(ALICE), status=201)
        node.times.pass_s(30)
        with pytest.raises(Exception, match="ticket is not valid"):
            await node.api.auth.from_ticket(answer["ticket"])

    async def test_ticket_is_stored_as_a_digest(self, node: ApiNode) -> None:
        answer = await node.post("/api/auth/ticket", headers=node.bearer(ALICE), status=201)
        stored = await node.sql("SELECT ticket_hash FROM tickets")
        assert answer["ticket"].encode() not in stored

    @pytest.mark.parametrize("path", ["/api/auth/logout", "/api/auth/ticket"])
    async def test_need_a_session(self, node: ApiNode, path: str) -> None:
        answer = await node.http.post(path)
        assert answer.status_code == 401
        assert answer.json()["reason"] == "missing"
        assert answer.headers["www-authenticate"] == "Bearer"
