"""Solana Actions: what is offered can be signed and lands, in every state, by the public specification."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from solders.keypair import Keypair
from solders.transaction import Transaction

from tests.api.chain_node import ChainNode, chain_node

Json = dict[str, Any]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ChainNode]:
    async with chain_node(tmp_path) as started:
        yield started


def proper(answer: httpx.Response) -> Json:
    """The answer's body; its headers are those that the specification asks for."""
    headers = answer.headers
    assert answer.status_code == 200, answer.text
    assert headers["access-control-allow-origin"] == "*"
    assert headers["x-action-version"] == "2.4"
    assert headers["x-blockchain-ids"].startswith("solana:")
    assert {"X-Action-Version", "X-Blockchain-Ids"} <= set(headers["access-control-expose-headers"].split(", "))
    return dict(answer.json())


async def offered(node: ChainNode, market: bytes, path: str = "") -> Json:
    card = proper(await node.get(f"/api/actions/markets/{market.hex()}{path}"))
    assert card["type"] == "action"
    assert {"icon", "title", "description", "label"} <= card.keys()
    assert card["icon"].startswith("http")
    return card


async def accept(node: ChainNode, href: str, wallet: Keypair) -> Json:
    """Post the wallet's account, sign what comes, send it; what follows."""
    answer = proper(await node.post(href, {"account": str(wallet.pubkey())}))
    transaction = Transaction.from_bytes(base64.b64decode(answer["transaction"]))
    transaction.sign([wallet], transaction.message.recent_blockhash)
    sent = await node.post("/api/transactions", {"transaction": base64.b64encode(bytes(transaction)).decode()})
    assert sent.status_code == 200, sent.text
    following: Json = answer["links"]["next"]["action"]
    assert following["type"] == "completed"
    return following


async def test_links_to_markets_stand_for_actions(node: ChainNode) -> None:
    rules = proper(await node.get("/actions.json"))["rules"]
    assert {"pathPattern": "/markets/*", "apiPath": "/api/actions/markets/*"} in rules
    options = await node.http.options("/api/actions/markets/x/buy", headers={"Origin": "https://dial.to"})
    assert options.status_code == 204
    assert options.headers["access-control-allow-origin"] == "*"
    assert {"Content-Type", "Accept-Encoding"} <= set(options.headers["access-control-allow-headers"].split(", "))


async def test_buying_by_every_link_that_is_offered(node: ChainNode) -> None:
    market, wallet = await node.active(node.net.wallets[0]), node.net.wallets[1]
    card = await offered(node, market)
    assert card == await offered(node, market, "/buy")
    links = card["links"]["actions"]
    fixed = [link["href"] for link in links if "parameters" not in link]
    assert len(fixed) == 6
    for href in (fixed[-1], fixed[0], links[-1]["href"].format(outcome="no", amount="0.25")):
        assert "You bought" in (await accept(node, href, wallet))["description"]
    position = (await node.get(f"/api/users/{wallet.pubkey()}/positions", market_id=market.hex())).json()[0]
    assert int(position["total_invested"]) > 13 * 10**8
    assert (await offered(node, market, "/vote"))["disabled"]


async def test_voting_on_a_proposal_and_on_a_dispute(node: ChainNode) -> None:
    creator, holder = node.net.wallets[:2]
    proposed = await node.create(creator, question="Is this proposed for long enough?")
    links = (await offered(node, proposed))["links"]["actions"]
    assert [link["label"] for link in links] == ["Approve", "Reject"]
    assert "You voted: Approve." in (await accept(node, links[0]["href"], holder))["description"]
    disputed = await node.active(creator)
    await node.buy(disputed, holder, True, 10**9)
    await node.resolving(disputed, creator)
    resolving = await offered(node, disputed)
    assert resolving["disabled"]
    assert resolving["links"]["actions"] == []
    await node.pass_s(1)
    await node.act(f"/api/markets/{disputed.hex()}/dispute", None, holder)
    links = (await offered(node, disputed))["links"]["actions"]
    assert [link["label"] for link in links] == ["The outcome is wrong", "The outcome is right"]
    await accept(node, links[1]["href"], holder)


BAD = {
    "outcome=yes": "amount",
    "amount=1": "outcome",
    "amount=1&outcome=maybe": "outcome",
    "amount=abc&outcome=yes": "amount",
    "amount=NaN&outcome=yes": "amount",
    "amount=-1&outcome=yes": "amount",
    "amount=1e30&outcome=yes": "amount",
    "amount=0.000000001&outcome=yes": "amount",
}


@pytest.mark.parametrize("query", BAD)
async def test_bad_links_are_named(node: ChainNode, query: str) -> None:
    market = await node.active(node.net.wallets[0])
    body = {"account": str(node.net.wallets[1].pubkey())}
    answer = await node.post(f"/api/actions/markets/{market.hex()}/buy?{query}", body)
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["details"]] == [BAD[query]]
    assert answer.json()["message"]


async def test_what_cannot_be_done_is_a_message(node: ChainNode) -> None:
    market = await node.create(node.net.wallets[0])
    path = f"/api/actions/markets/{market.hex()}"
    account = {"account": str(node.net.wallets[1].pubkey())}
    closed = await node.post(f"{path}/buy?outcome=yes&amount=1", account)
    assert (closed.status_code, closed.json()["reason"]) == (409, "wrong_state")
    wrong = await node.post(f"{path}/vote?vote=wrong", account)
    assert wrong.status_code == 400
    assert (await node.post(f"{path}/vote?vote=approve", {"account": "nobody"})).status_code == 400
    poor = await node.post(f"{path}/vote?vote=approve", {"account": str(Keypair().pubkey())})
    assert (poor.status_code, poor.json()["reason"]) == (409, "program_error")
    assert (await node.get(f"/api/actions/markets/{'ab' * 32}")).status_code == 404
