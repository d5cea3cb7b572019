"""Evidence that comes as a text is kept by the node: each wallet may leave so much of it, as of drafts."""

from dataclasses import replace
from pathlib import Path

from tests.api.chain_node import DAY_S, HASH, ChainNode, chain_node
from zmart_lite.config import Config


async def kept(node: ChainNode) -> int:
    return int(await node.store.read(lambda tx: tx.value("SELECT count(*) FROM evidence")))


async def test_texts_are_limited_and_hashes_are_not(tmp_path: Path) -> None:
    async with chain_node(tmp_path, limits=replace(Config().limits, drafts_per_hour=2)) as node:
        wallet = node.net.wallets[0]
        market_id = await node.active(wallet)
        await node.pass_s(DAY_S)
        path = f"/api/markets/{market_id.hex()}/resolve"
        for number, status in ((1, 200), (2, 200), (3, 429)):
            answer = await node.post(path, {"outcome": True, "evidence": f"seen {number}"}, wallet)
            assert answer.status_code == status, answer.text
        assert await kept(node) == 2
        assert answer.headers["ratelimit-limit"] == "2"
        by_hash = await node.post(path, {"outcome": True, "ipfs_evidence_hash": HASH.decode()}, wallet)
        assert by_hash.status_code == 200, by_hash.text
