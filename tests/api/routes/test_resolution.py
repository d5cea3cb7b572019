"""Why a market stands where it does: evidence, dispute, cancellation, each in words where there are any."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.chain_node import ChainNode, chain_node
from zmart_lite.store.log import chainlog
from zmart_lite.store.state import intents


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ChainNode]:
    async with chain_node(tmp_path) as started:
        yield started


async def told(node: ChainNode, market: bytes) -> dict[str, object]:
    answer = await node.get(f"/api/markets/{market.hex()}/resolution")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_evidence_and_the_reason_of_a_dispute(node: ChainNode) -> None:
    creator, holder = node.net.wallets[:2]
    market = await node.active(creator)
    assert (await told(node, market))["evidence"] is None
    await node.buy(market, holder, True, 10**9)
    await node.pass_s(1)
    body = {"outcome": True, "evidence": "The gauge showed 3 mm."}
    await node.act(f"/api/markets/{market.hex()}/resolve", body, creator)
    proposed = await told(node, market)
    assert proposed["evidence"] == "The gauge showed 3 mm."
    assert (proposed["proposed_outcome_name"], proposed["resolver_wallet"]) == ("YES", str(creator.pubkey()))
    assert (proposed["dispute_initiator"], proposed["dispute_reason"]) == (None, None)
    await node.pass_s(1)
    await node.act(f"/api/markets/{market.hex()}/dispute", None, holder)
    assert (await told(node, market))["dispute_reason"] is None
    for wallet, content in (
        (creator, "Dispute: not mine to say"),
        (holder, "Dispute: Another gauge."),
        (holder, "So."),
    ):
        await node.post(f"/api/discussions/{market.hex()}", {"content": content}, wallet)
    disputed = await told(node, market)
    assert (disputed["dispute_initiator"], disputed["dispute_reason"]) == (str(holder.pubkey()), "Another gauge.")


async def test_evidence_that_is_not_here(node: ChainNode) -> None:
    market = await node.active(node.net.wallets[0])
    await node.resolving(market, node.net.wallets[0])
    found = await told(node, market)
    assert found["ipfs_evidence_hash"] is not None
    assert found["evidence"] is None


async def test_why_a_market_was_cancelled(node: ChainNode) -> None:
    """The reason that an administrator gave; another node's administrator gives none here."""
    for reason in ("Nobody can measure this.", None):
        market = await node.create(node.net.wallets[0], question=f"Will it be measured, {reason}?")
        if reason is not None:
            await node.store.write(
                lambda tx, m=market, r=reason: intents.open_intent(tx, "cancel_market", m.hex(), {}, reason=r)  # type: ignore[misc]
            )
        assert (await told(node, market))["cancel_reason"] is None
        await node.act(f"/api/markets/{market.hex()}/cancel", None, node.net.admin)
        found = await told(node, market)
        assert (found["state"], found["cancel_reason"]) == ("CANCELLED", reason)


async def test_unknown_markets(node: ChainNode) -> None:
    for name in ("ab" * 32, "nonsense"):
        assert (await node.get(f"/api/markets/{name}/resolution")).status_code == 404
    assert await node.store.read(lambda tx: chainlog.find_meta(tx, "database_id"))
