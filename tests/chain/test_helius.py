"""Managing webhooks over HTTP, against the devnet's emulation of the service."""

from collections.abc import AsyncIterator

import pytest

from zmart_lite.chain.helius import SWITCHED_OFF, Ensured, HeliusClient, WebhookRegistration
from zmart_lite.errors import RpcRefused, RpcUnavailable
from zmart_lite.localnet import Localnet, LocalnetOptions

WANTED = WebhookRegistration("https://node.example/w", "1" * 32, "raw", "a secret", "localnet")


@pytest.fixture
async def client() -> AsyncIterator[HeliusClient]:
    async with Localnet(LocalnetOptions(bytes([7]) * 32, rpc_port=0, slot_ms=0)) as localnet:
        opened = HeliusClient(localnet.rpc_url, "a key of the tests")
        yield opened
        await opened.close()


async def test_one_is_created_once(client: HeliusClient) -> None:
    assert await client.check(WANTED) == ["No webhook delivers to https://node.example/w."]
    done = await client.ensure(WANTED)
    assert done == Ensured(done.webhook_id, created=True)
    assert await client.ensure(WANTED) == Ensured(done.webhook_id)
    assert await client.check(WANTED) == []
    assert [each["webhookID"] for each in await client.list_webhooks()] == [done.webhook_id]


async def test_what_differs_is_named_and_corrected(client: HeliusClient) -> None:
    webhook_id = (await client.ensure(WANTED)).webhook_id
    wanted = WANTED._replace(auth_header="another", kind="enhanced")
    expected = ("webhookType", "authHeader")
    assert await client.check(wanted) == [f"Its {name} is not as configured." for name in expected]
    assert await client.ensure(wanted) == Ensured(webhook_id, corrected=expected)
    assert await client.check(wanted) == []


async def test_one_that_is_off_is_switched_on(client: HeliusClient) -> None:
    webhook_id = (await client.ensure(WANTED)).webhook_id
    await client._call("PATCH", f"/v0/webhooks/{webhook_id}", {"active": False})
    assert await client.check(WANTED) == [SWITCHED_OFF]
    assert await client.ensure(WANTED) == Ensured(webhook_id, switched_on=True)
    assert await client.check(WANTED) == []


async def test_one_named_by_its_id_moves_with_the_node(client: HeliusClient) -> None:
    webhook_id = (await client.ensure(WANTED)).webhook_id
    moved = WANTED._replace(url="https://other.example/w", webhook_id=webhook_id)
    assert await client.ensure(moved) == Ensured(webhook_id, corrected=("webhookURL",))
    assert [each["webhookURL"] for each in await client.list_webhooks()] == ["https://other.example/w"]
    gone = moved._replace(webhook_id="not there")
    assert (await client.ensure(gone)).webhook_id == webhook_id


async def test_the_type_is_named_by_the_cluster(client: HeliusClient) -> None:
    await client.ensure(WANTED._replace(cluster="devnet"))
    [found] = await client.list_webhooks()
    assert found["webhookType"] == "rawDevnet"


async def test_refusals_and_silence() -> None:
    async with Localnet(LocalnetOptions(bytes([7]) * 32, rpc_port=0, slot_ms=0)) as localnet:
        nobody = HeliusClient(localnet.rpc_url, "")
        with pytest.raises(RpcRefused, match="401"):
            await nobody.list_webhooks()
        await nobody.close()
    away = HeliusClient("http://127.0.0.1:9", "a key")
    with pytest.raises(RpcUnavailable, match="cannot be reached"):
        await away.list_webhooks()
    await away.close()
