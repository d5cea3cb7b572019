"""The examples of the OpenAPI document have the fields of real answers, all of them, in their order."""

from pathlib import Path
from typing import Any

from tests.api.chain_node import TEXT, ChainNode, Json, chain_node
from zmart_lite.api.openapi import action_examples as examples
from zmart_lite.store.state import runs

OPEN = ("args", "event_data", "params", "summary")


def shape(value: Any) -> Any:
    """The fields of an answer, those of a list by its first entry; of an open mapping (``args``) nothing."""
    if isinstance(value, dict):
        return {
            name: None if name in ("args", "event_data", "params", "summary") else shape(each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict) else []
    return None


def expect(answer: Json, example: Json) -> None:
    assert {name: shape(each) for name, each in answer.items()}.keys() == example.keys()
    for name, each in answer.items():
        if example[name] is not None and each is not None:
            assert shape(each) == shape(example[name]), name


async def test_markets_and_trades(tmp_path: Path) -> None:
    async with chain_node(tmp_path) as node:
        creator, trader = node.net.wallets[:2]
        expect((await node.post("/api/markets", TEXT, creator)).json(), examples.CREATED)
        market_id = (await node.active(creator, initial_liquidity="1000000000")).hex()
        body = {"market_id": market_id, "outcome": True}
        bought, relayed = await node.act("/api/trades/buy", body | {"budget": "10000000000"}, trader)
        expect(bought, examples.BUY)
        expect(relayed, examples.RELAYED)
        expect((await node.get(f"/api/transactions/{relayed['signature']}")).json(), examples.TRANSACTION)
        expect((await node.post("/api/trades/sell", body | {"shares": "500000000"}, trader)).json(), examples.SELL)
        query = {"market_id": market_id, "outcome": "yes", "side": "buy", "shares": 10**9}
        expect((await node.get("/api/trades/estimate", **query)).json(), examples.ESTIMATE)
        resolve = {"outcome": True, "evidence": "why"}
        path = f"/api/markets/{market_id}"
        expect((await node.post(f"{path}/resolve", resolve, creator)).json(), examples.RESOLUTION)
        planned = await node.post(f"{path}/resolve", resolve | {"schedule": True}, creator)
        expect(planned.json(), examples.PLANNED_RESOLUTION)
        await node.finalized(bytes.fromhex(market_id), creator)
        expect((await node.post(f"{path}/claim", {}, trader)).json(), examples.CLAIM)
        expect((await node.post(f"{path}/withdraw", {}, creator)).json(), examples.WITHDRAWAL)


async def test_votes_and_administration(tmp_path: Path) -> None:
    async with chain_node(tmp_path, with_admin_key=True) as node:
        market_id = (await node.create(node.net.wallets[0])).hex()
        voted = await node.post(f"/api/votes/proposal/{market_id}", {"vote": True}, node.net.wallets[1])
        expect(voted.json(), examples.VOTED)
        expect((await node.get(f"/api/votes/{market_id}")).json(), examples.BOTH_TALLIES)
        expect((await node.get(f"/api/votes/proposal/{market_id}")).json(), examples.KIND_TALLY)
        expect((await node.get(f"/api/votes/{market_id}/progress")).json(), examples.PROGRESS)
        await administration(node)


async def administration(node: ChainNode) -> None:
    await node.store.write(lambda tx: runs.end_run(tx, runs.add_run(tx, "poll"), "ok", 1, 1, 0, 0, error=None))
    body = {"paused": True, "reason": "for the examples"}
    planned = await node.post("/api/admin/protocol/pause", body, node.net.admin)
    expect(planned.json()["intent"], examples.INTENT)

    async def first(path: str, name: str) -> Json:
        found: Json = (await node.get(f"/api/admin/{path}", node.net.admin)).json()[name][0]
        return found

    expect(await first("jobs", "jobs"), examples.JOB)
    expect(await first("jobs/poll/runs", "runs"), examples.RUN)
    expect(await first("breakers", "breakers"), examples.BREAKER)
    expect(await first("audit", "audit"), examples.AUDIT)
