"""For each route that asks for more than a market of any kind: what it is asked about, and by whom."""

from dataclasses import dataclass, field
from typing import Any

from solders.keypair import Keypair

from tests.api.chain_node import SERVICE_KEY, TEXT, WEBHOOK_SECRET, ChainNode
from tests.api.openapi.test_document import lived
from zmart_lite.chain import instructions
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.state import intents

Json = dict[str, Any]
PROPOSAL_ROUTES = ("/api/votes/proposal", "/api/votes/proposal/{market}", "/api/markets/{id}/vote")
DISPUTE_ROUTES = ("/api/votes/dispute", "/api/votes/dispute/{market}", "/api/markets/{id}/dispute/vote")


@dataclass
class Stages:
    """``values``: what the things of a lived-in node are called. By ``METHOD path``: the ``market`` that the route is
    for, further body fields (``fields``), and the ``wallet`` that may.
    """

    values: Json
    market: dict[str, str] = field(default_factory=dict)
    fields: dict[str, Json] = field(default_factory=dict)
    wallet: dict[str, Keypair] = field(default_factory=dict)
    named: dict[str, Json] = field(default_factory=dict)

    def names(self, path: str, route: str) -> dict[str, str]:
        """The parameters of a path by name."""
        found = {}
        for part in path.split("/"):
            if part.startswith("{"):
                name = part[1:-1]
                before = path.split("/" + part)[0].rpartition("/")[2]
                found[name] = self.values.get(f"{before}/{name}") or self.values[name]
                if name == "market" or (name == "id" and before == "markets"):
                    found[name] = self.market.get(route, found[name])
        return found | self.named.get(route, {})


async def staged(node: ChainNode) -> Stages:
    """A lived-in node with a market in each state, so that every documented request has one that it fits."""
    wallets = node.net.wallets
    creator, trader, admin = wallets[0], wallets[1], node.net.admin
    stages = Stages(await lived(node))
    await _votes(node, stages)
    await _lifecycle(node, stages, creator, trader)
    for route in [route for route in stages.market if route.endswith(("activate", "withdraw"))]:
        stages.wallet[route] = creator
    stages.wallet["POST /api/markets/{id}/cancel"] = admin
    await _signed(node, stages, wallets[9])
    await _operated(node, stages)
    await node.indexer.poll()
    return stages


async def _lifecycle(node: ChainNode, stages: Stages, creator: Keypair, trader: Keypair) -> None:
    """Finished markets first, since it takes days to finish one."""
    won = await node.active(creator, question="Will it thaw in Bergen?")
    await node.buy(won, node.net.wallets[2], False, 50 * 10**9)
    await node.buy(won, trader, True, 10**9)
    await node.finalized(won, creator)
    resolving = await node.active(creator, question="Will it freeze in Turin?")
    await node.resolving(resolving, creator)
    active = await node.active(creator, question="Will it storm in Brest?")
    await node.buy(active, trader, True, 2 * 10**9)
    approved = await node.approved(creator, question="Will it clear up in Bonn?")
    ready = await node.create(creator, question="Will it be windy in Cork?")
    backend = node.net.backend
    counts = instructions.aggregate_proposal_votes(node.codec, ready, bytes(backend.pubkey()), 9, 1)
    await node.land(counts, backend)
    for market_id, routes in (
        (won, ("/api/markets/{id}/claim", "/api/markets/{id}/withdraw")),
        (resolving, ("/api/markets/{id}/dispute",)),
        (active, ("/api/markets/{id}/resolve", "/api/trades/buy", "/api/trades/sell", "/api/trades/estimate")),
        (active, ("/api/markets/{id}/quote",)),
        (approved, ("/api/markets/{id}/activate",)),
        (ready, ("/api/admin/markets/{id}/approve", "/api/markets/{id}/cancel")),
    ):
        for path in routes:
            method = "GET" if path.endswith(("estimate", "quote")) else "POST"
            stages.market[f"{method} {path}"] = market_id.hex()
    stages.market["DELETE /api/markets/{id}/resolve"] = active.hex()
    stages.wallet["DELETE /api/markets/{id}/resolve"] = creator


async def _votes(node: ChainNode, stages: Stages) -> None:
    """A voter for each way to vote; who votes on a dispute holds shares."""
    proposed = await node.create(node.net.wallets[0], question="Will it drizzle in Bath?")
    disputed = await node.active(node.net.wallets[0], question="Will it pour in Graz?")
    for number, routes in enumerate(zip(PROPOSAL_ROUTES, DISPUTE_ROUTES, strict=True)):
        voter = node.net.wallets[3 + number]
        await node.buy(disputed, voter, False, 10**9)
        for path, market_id in zip(routes, (proposed, disputed), strict=True):
            stages.market[f"POST {path}"], stages.wallet[f"POST {path}"] = market_id.hex(), voter
    await node.disputed(disputed, node.net.wallets[0], node.net.wallets[3])


async def _signed(node: ChainNode, stages: Stages, wallet: Keypair) -> None:
    """A message and a transaction that a wallet has signed."""
    told = (await node.get("/api/auth/nonce", wallet=str(wallet.pubkey()))).json()
    signature = str(wallet.sign_message(told["message"].encode()))
    stages.fields["POST /api/auth/login"] = {"message": told["message"], "signature": signature}
    asked = (await node.post("/api/markets", TEXT | {"question": "Will it be mild in Nice?"}, wallet)).json()
    stages.fields["POST /api/transactions"] = {"transaction": node.signed(asked["transaction"], wallet)}
    stages.wallet["POST /api/auth/logout"] = wallet


async def _operated(node: ChainNode, stages: Stages) -> None:
    """An intent that may be tried again, and none that is on its way: one change of the configuration at a time."""

    def fail(tx: Tx) -> int:
        row = intents.open_intent(tx, "finalize_market", "failed", {})[0]
        intents.set_ended(tx, row["id"], "failed")
        return int(row["id"])

    stages.named["POST /api/admin/intents/{id}/retry"] = {"id": str(await node.store.write(fail))}
    await node.store.write(lambda tx: intents.set_ended(tx, 1, "abandoned"))
    stages.fields["POST /api/admin/protocol/pause"] = {"paused": False}
    stages.values["breakers/name"] = "api"
    stages.values["alert_type"] = "store_error"
    stages.named["GET /static/{part1}/{part2}"] = {"part1": "page", "part2": "app.js"}
    stages.named["GET /static/{part1}/{part2}/{part3}"] = {"part1": "page", "part2": "panels", "part3": "price.js"}


def headers_by_caller(node: ChainNode) -> dict[str, dict[str, str]]:
    return {
        "nobody": {},
        "wallet": node.bearer(node.net.wallets[1]),
        "admin": node.bearer(node.net.admin),
        "service": {"x-service-key": SERVICE_KEY},
        "helius": {"Authorization": WEBHOOK_SECRET},
    }
