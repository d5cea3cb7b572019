"""The webhook over its life: registered, switched off by the service, silent, out of reach; each is told and repaired.

The service is the devnet's emulation over HTTP, the node's route is served by uvicorn, the jobs are the node's own, and
the clocks stand in the test's hands.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from solders.hash import Hash
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from tests.api.chain_node import WEBHOOK_SECRET, ChainNode, chain_node
from tests.indexer.scripted_chain import running
from zmart_lite.app.server import bind, make_server, serve
from zmart_lite.chain import instructions
from zmart_lite.chain.helius import HeliusClient, WebhookRegistration
from zmart_lite.config import Config, Helius, Secret, Server
from zmart_lite.errors import StartupError
from zmart_lite.indexer.service import WEBHOOK_SLOTS
from zmart_lite.jobs import Keys
from zmart_lite.jobs.alerts import AlertOptions, Alerts, Surroundings
from zmart_lite.jobs.poll import Polling
from zmart_lite.jobs.webhook import CHECK_S, WEBHOOK_PATH, WebhookKeeper, WebhookView, wanted_webhook
from zmart_lite.localnet.helius_delivery import Faults
from zmart_lite.localnet.helius_payloads import raw_item
from zmart_lite.models import Commitment
from zmart_lite.ops import Breakers, Metrics
from zmart_lite.ops.rates import total_of

KEY = "a key of the tests"
HOUR_S = 3_600


@dataclass
class Clock:
    """Wall time that passes only when told."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Station:
    """A node whose webhook is registered, and what a test does to the service, the chain and time."""

    def __init__(self, node: ChainNode, url: str, folder: Path) -> None:
        self.node, self.clock, self.url = node, Clock(), url
        self.service = node.net.rpc_url
        metrics = node.parts.metrics
        self.keeper = WebhookKeeper(self.wanted, lambda: HeliusClient(self.service, KEY), metrics, self.clock)
        self.polling = Polling(node.indexer, metrics, self.keeper, node.observe)
        around = Surroundings(
            rpc=node.parts.rpc,
            clock=node.parts.clock,
            keys=Keys(None, node.net.admin),
            breakers=Breakers(self.clock),
            metrics=metrics,
            hub=node.parts.hub,
            jobs=list,
            aggregation_lag_s=dict,
            webhook=self.keeper.view,
            now_s=self.clock,
        )
        self._alerts = Alerts(node.store, around, AlertOptions(HOUR_S, HOUR_S, folder, webhook=True))

    def wanted(self) -> WebhookRegistration:
        program = str(Pubkey(self.node.codec.program_id))
        return WebhookRegistration(self.url, program, "raw", WEBHOOK_SECRET, "localnet")

    async def change(self) -> str | None:
        """Something happens on chain: by which way the node has heard of it when all deliveries are made."""
        net, store = self.node.net, self.node.store
        pause = instructions.emergency_pause(self.node.codec, bytes(net.admin.pubkey()))
        message = Message.new_with_blockhash(
            [pause], net.admin.pubkey(), Hash(net.ledger.bank(Commitment.PROCESSED).blockhash)
        )
        landed = net.ledger.submit(VersionedTransaction(message, [net.admin]))
        await net.helius.settled()
        await self.node.indexer.wait_idle()
        sql = "SELECT source FROM transactions WHERE signature = ?"
        found: str | None = await store.read(lambda tx: tx.value(sql, (landed.signature,)))
        return found

    async def poll(self, *, later_s: float = 0) -> int:
        """Run the job when the webhook is overdue for all that happened; how many transactions were new to it."""
        self.clock.now += later_s
        self.node.net.ledger.produce_blocks(WEBHOOK_SLOTS + 1)
        return (await self.polling.run({})).done

    async def alerts(self, *, later_s: float = 30) -> list[tuple[str, str]]:
        """Run the job: type and subject of what is open about the webhook."""
        self.clock.now += later_s
        await self._alerts.run({})
        sql = "SELECT * FROM alerts WHERE status <> 'resolved' AND alert_type IN (?, ?) ORDER BY id"
        rows = await self.node.store.read(lambda tx: tx.all(sql, ("webhook_error", "missed_events")))
        assert {row["severity"] for row in rows} <= {"MEDIUM"}
        return [(row["alert_type"], row["subject"]) for row in rows]

    async def switch(self, *, active: bool) -> None:
        """What Helius does to a webhook whose receiver fails too often, and what it then says of it."""
        [found] = await self.registered()
        async with httpx.AsyncClient(base_url=self.node.net.rpc_url) as client:
            body = {"active": active}
            answer = await client.patch(f"/v0/webhooks/{found['webhookID']}", params={"api-key": KEY}, json=body)
            assert answer.status_code == 200

    async def registered(self) -> list[dict[str, Any]]:
        client = HeliusClient(self.node.net.rpc_url, KEY)
        try:
            return await client.list_webhooks()
        finally:
            await client.close()


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[Station]:
    async with chain_node(tmp_path) as node, running(node.indexer):
        listening = bind("127.0.0.1", 0, "server.port")
        server = make_server(node.app, Config())
        task = await serve(server, [listening])
        try:
            port = listening.getsockname()[1]
            yield Station(node, f"http://127.0.0.1:{port}{WEBHOOK_PATH}", tmp_path)
        finally:
            server.should_exit = True
            await task


async def registered(station: Station) -> None:
    """The webhook delivers, and nothing is wrong."""
    await station.change()
    await station.keeper.look()
    await station.poll()
    assert await station.change() == "webhook"
    assert await station.poll() == 0
    assert await station.alerts() == []


async def test_one_that_was_switched_off_is_switched_on_again_and_told_of(station: Station) -> None:
    await registered(station)
    await station.switch(active=False)
    assert await station.change() is None
    assert await station.poll() == 1
    assert not (await station.registered())[0]["active"], "the service is not asked more often than needed"
    assert await station.poll(later_s=CHECK_S) == 0
    assert (await station.registered())[0]["active"]
    both = [("missed_events", ""), ("webhook_error", "registration")]
    assert sorted(await station.alerts()) == both
    assert await station.poll(later_s=CHECK_S) == 0
    assert sorted(await station.alerts()) == both, "nothing has been delivered since"
    assert await station.change() == "webhook"
    assert await station.alerts() == []


async def test_silence_is_told_of_when_polling_finds_events_and_only_then(station: Station) -> None:
    await registered(station)
    assert await station.alerts(later_s=2 * HOUR_S) == [], "nothing happened, so nothing is missing"
    assert await station.alerts() == []
    station.node.net.helius.set_faults(Faults(drop_bps=10_000))
    assert await station.change() is None
    assert await station.alerts(later_s=HOUR_S) == []
    assert await station.poll() == 1
    assert await station.alerts() == [("missed_events", "")]
    sql = "SELECT message FROM alerts WHERE alert_type = 'missed_events'"
    assert "The webhook is silent" in await station.node.store.read(lambda tx: tx.value(sql))
    station.node.net.helius.set_faults(Faults())
    assert await station.change() == "webhook"
    assert await station.alerts() == []


async def test_what_the_poller_finds_first_and_the_webhook_brings_later_is_not_missed(station: Station) -> None:
    await registered(station)
    station.node.net.helius.set_faults(Faults(drop_bps=10_000))
    assert await station.change() is None
    assert (await station.polling.run({})).done == 1
    landed = station.node.net.ledger.history.blocks()
    late = [each for block in landed for each in block.transactions][-1]
    async with httpx.AsyncClient() as client:
        headers = {"Authorization": WEBHOOK_SECRET}
        answer = await client.post(station.url, json=[raw_item(late)], headers=headers)
        assert answer.json()["duplicates"] == 1
    assert await station.poll() == 0
    assert total_of(station.node.parts.metrics.missed_events_total, lambda _: True) == 0


async def test_a_service_that_cannot_be_asked_is_told_of_and_asked_again(station: Station) -> None:
    station.service = "http://127.0.0.1:9"
    await station.keeper.look()
    assert await station.alerts() == [("webhook_error", "registration")]
    station.service = station.node.net.rpc_url
    await station.poll()
    assert await station.registered() == []
    await station.poll(later_s=CHECK_S)
    assert await station.alerts() == []
    assert (await station.registered())[0]["webhookURL"] == station.url
    assert await station.change() == "webhook"


async def test_one_that_somebody_changed_is_corrected(station: Station) -> None:
    await registered(station)
    [found] = await station.registered()
    client = HeliusClient(station.node.net.rpc_url, KEY)
    await client.replace(found["webhookID"], station.wanted()._replace(address=str(Pubkey(bytes(32)))))
    await client.close()
    assert await station.change() is None
    await station.poll(later_s=CHECK_S)
    assert await station.change() == "webhook"
    [corrected] = await station.registered()
    assert corrected == found


async def test_without_a_webhook_in_the_configuration_nobody_is_asked() -> None:
    def connect() -> HeliusClient:
        raise AssertionError("asked")

    keeper = WebhookKeeper(lambda: None, connect, Metrics(), Clock())
    await keeper.look()
    assert keeper.view() == WebhookView()


# From the configuration


def config(**settings: str) -> Config:
    secrets = {
        name: Secret(value) if name in ("api_key", "webhook_secret") else value for name, value in settings.items()
    }
    public = str(secrets.pop("public_url", ""))
    return replace(Config(), server=Server(public_url=public), helius=Helius(**secrets))  # type: ignore[arg-type]


def test_where_it_delivers() -> None:
    both = {"webhook_secret": "a secret of the tests", "public_url": "https://node.example/"}
    assert wanted_webhook(config(**both)).url == "https://node.example" + WEBHOOK_PATH
    assert wanted_webhook(config(**both), "http://127.0.0.1:1/hook").url == "http://127.0.0.1:1/hook"
    assert (
        wanted_webhook(config(**both, webhook_url="https://x.example/w"), "http://127.0.0.1:1/").url
        == "https://x.example/w"
    )
    assert wanted_webhook(config(**both, webhook_id="abc")).webhook_id == "abc"
    with pytest.raises(StartupError, match="webhook_url"):
        wanted_webhook(config(webhook_secret="a secret of the tests"))
    with pytest.raises(StartupError, match="webhook_secret"):
        wanted_webhook(config(webhook_url="https://x.example/w"))
