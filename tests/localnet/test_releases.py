"""What a devnet answers as the releases of Agave do, each difference on both sides of the release it came with."""

from base64 import b64encode
from typing import Any

import pytest
from solders.signature import Signature

from tests.localnet import version_one
from tests.localnet.chain_harness import payment
from tests.localnet.rpc_harness import CONFIRMED, SEND, Devnet, running, wire
from tests.localnet.version_one import ENOUGH
from zmart_lite.config.sections import LOCALNET_APIS
from zmart_lite.localnet.releases import NEWEST, RELEASES
from zmart_lite.models import Commitment

SIDES = pytest.mark.parametrize("api", RELEASES)


def wrongly_signed(devnet: Devnet) -> str:
    whole = bytes(devnet.transaction(payment(5, devnet.alice, devnet.bob)))
    return b64encode(whole[:1] + bytes(64) + whole[65:]).decode()


def test_the_setting_names_the_releases_there_are() -> None:
    assert tuple(RELEASES) == LOCALNET_APIS
    assert max(RELEASES.values()) == NEWEST
    assert all(release.version.startswith(f"{name}.") for name, release in RELEASES.items())


@SIDES
async def test_it_says_which_release_it_is(api: str) -> None:
    async with running(release=RELEASES[api]) as devnet:
        version = RELEASES[api].version
        assert (await devnet.call("getVersion"))["solana-core"] == version
        assert (await devnet.call("getLatestBlockhash"))["context"]["apiVersion"] == version
        assert (await devnet.call("localnet_info"))["api"] == version
        (node,) = await devnet.call("getClusterNodes")
        assert (node["version"], "clientId" in node) == (version, api >= "4.0")


@SIDES
async def test_an_unknown_place_in_a_history(api: str) -> None:
    async with running(release=RELEASES[api]) as devnet:
        known = await devnet.send(devnet.transaction(payment(5, devnet.alice, devnet.bob)))
        address, unknown = str(devnet.bob.pubkey()), str(Signature(b"\x05" * 64))
        for name in ("before", "until"):
            asked = CONFIRMED | {name: unknown}
            if api >= "4.0":
                error = await devnet.error("getSignaturesForAddress", address, asked)
                assert error == {"code": -32020, "message": f"Transaction {unknown} not found"}
            else:
                rows = await devnet.call("getSignaturesForAddress", address, asked)
                assert [row["signature"] for row in rows] == ([] if name == "before" else [known])
        assert await devnet.call("getSignaturesForAddress", address, CONFIRMED | {"before": known}) == []


@SIDES
async def test_the_place_in_a_block(api: str) -> None:
    async with running(release=RELEASES[api]) as devnet:
        signature = await devnet.send(devnet.transaction(payment(5, devnet.alice, devnet.bob)))
        (row,) = await devnet.call("getSignaturesForAddress", str(devnet.bob.pubkey()), CONFIRMED)
        found = await devnet.call("getTransaction", signature, CONFIRMED)
        for told in (row, found):
            assert told.get("transactionIndex") == (0 if api >= "4.0" else None)
            assert ("transactionIndex" in told) == (api >= "4.0")


@SIDES
async def test_a_wrong_signature(api: str) -> None:
    async with running(release=RELEASES[api]) as devnet:
        wrong, checked = wrongly_signed(devnet), {"encoding": "base64", "sigVerify": True}
        error = await devnet.error("sendTransaction", wrong, SEND)
        if api < "3.1":
            assert error["code"] == (await devnet.error("simulateTransaction", wrong, checked))["code"] == -32003
        else:
            assert (error["code"], error["data"]["err"]) == (-32002, "SignatureFailure")
            assert error["message"].endswith("Transaction did not pass signature verification")
            simulated = await devnet.call("simulateTransaction", wrong, checked)
            assert simulated["value"]["err"] == "SignatureFailure"
        # Nobody looks where nothing is simulated: the signature is answered, and no leader takes the transaction.
        sent = await devnet.call("sendTransaction", wrong, SEND | {"skipPreflight": True})
        assert (await devnet.call("getSignatureStatuses", [sent]))["value"] == [None]


@SIDES
async def test_version_one(api: str) -> None:
    async with running(release=RELEASES[api]) as devnet:
        blockhash = devnet.net.ledger.bank(Commitment.CONFIRMED).blockhash
        parts = [payment(5, devnet.alice, devnet.bob)]
        text = b64encode(version_one.signed([devnet.alice], parts, blockhash, **ENOUGH)).decode()
        answer: dict[str, Any] = await devnet.answer("sendTransaction", text, SEND)
        if api >= "4.2":
            assert "result" in answer
        else:
            assert answer["error"]["message"].startswith("failed to deserialize solana_transaction::versioned")
        assert await devnet.call("sendTransaction", wire(devnet.transaction(parts[0])), SEND)
