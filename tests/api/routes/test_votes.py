"""Votes: who may cast which, what is answered and told, and that nothing is stored twice."""

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from tests.api.chain_node import DAY_S, GENESIS_S, ChainNode, chain_node
from zmart_lite.api.routes.votes import DISPUTE_WORDS, PROPOSAL_WORDS
from zmart_lite.config import Config
from zmart_lite.models import VoteType
from zmart_lite.shown import time_text

MARKET_NAMES = ("market_id", "marketId", "proposal_id", "proposalId", "marketPubkey", "market_pubkey")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ChainNode]:
    async with chain_node(tmp_path) as node:
        yield node


def voters() -> Any:
    """Wallets without end."""
    return (Keypair() for _ in itertools.count())


async def test_the_answer_of_a_vote(node: ChainNode) -> None:
    creator, voter = node.net.wallets[:2]
    market_id = (await node.create(creator)).hex()
    node.messages.clear()
    answer = await node.post("/api/votes/proposal", {"market_id": market_id, "vote": "like"}, voter)
    assert answer.status_code == 201
    body = answer.json()
    row = body["vote"]
    assert body == {
        "success": True,
        "message": "Vote recorded.",
        "vote_id": row["vote_id"],
        "vote_count": {"likes": 1, "dislikes": 0, "total": 1},
        "vote": row,
        "data": [row],
        "count": 1,
        "metadata": {
            "message": "Vote recorded.",
            "market_id": market_id,
            "vote_type": "proposal",
            "user_wallet": str(voter.pubkey()),
        },
    }
    assert row["id"] == row["vote_id"]
    assert (row["vote"], row["choice"], row["weight"], row["source"]) == (True, "like", "1", "api")
    listed = (await node.get(f"/api/markets/{market_id}/votes")).json()["votes"]
    assert listed == [row]
    told = [(message.type, json.loads(message.data)) for message in node.messages]
    assert [kind for kind, _ in told] == ["vote", "voting_progress"]
    assert told[0][1] == row | {"likes": 1, "dislikes": 0, "total": 1}
    assert (told[1][1]["likes"], told[1][1]["aggregated"]) == (1, False)


async def test_every_word_counts_as_it_reads(node: ChainNode) -> None:
    market_id = (await node.create(node.net.wallets[0])).hex()
    words: list[tuple[object, bool]] = [(True, True), (False, False), *PROPOSAL_WORDS.items()]
    words += [(word.upper(), meaning) for word, meaning in PROPOSAL_WORDS.items()]
    fields = itertools.cycle(("vote", "vote_choice", "choice", "approve"))
    for (word, meaning), name, voter in zip(words, fields, voters(), strict=False):
        answer = await node.post(f"/api/votes/proposal/{market_id}", {name: word}, voter)
        assert answer.status_code == 201, (word, answer.text)
        assert answer.json()["vote"]["vote"] is meaning
    assert "disagree" in DISPUTE_WORDS
    tally = (await node.get(f"/api/votes/{market_id}")).json()["proposal_votes"]
    assert (tally["likes"], tally["dislikes"]) == (len(words) // 2, len(words) // 2)


@pytest.mark.parametrize("name", MARKET_NAMES)
async def test_the_market_goes_by_many_names(node: ChainNode, name: str) -> None:
    market_id = await node.create(node.net.wallets[0])
    shown = (await node.get(f"/api/votes/{market_id.hex()}")).json()["market_id"]
    address = str(Pubkey(node.codec.market_address(market_id)))
    for text, voter in zip((market_id.hex().upper(), address), voters(), strict=False):
        answer = await node.post("/api/votes/proposal", {name: text, "vote": True}, voter)
        assert answer.json()["vote"]["market_id"] == shown


async def test_every_path_votes(node: ChainNode) -> None:
    market_id = (await node.create(node.net.wallets[0])).hex()
    paths = ("/api/votes/proposal", f"/api/votes/proposal/{market_id}", f"/api/markets/{market_id}/vote")
    for path, voter in zip(paths, voters(), strict=False):
        assert (await node.post(path, {"market_id": market_id, "vote": "no"}, voter)).status_code == 201
    assert (await node.get(f"/api/votes/{market_id}")).json()["proposal_votes"]["dislikes"] == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "vote"),
        ({"vote": "maybe"}, "vote"),
        ({"vote": 1}, "vote"),
        ({"vote": "like", "choice": "dislike"}, "choice"),
        ({"vote": "support"}, "vote"),
        ({"vote": True, "user": "nobody"}, "user"),
        ({"vote": True, "market_id": "zz"}, "market_id"),
        ({"vote": True, "on_chain": "maybe"}, "on_chain"),
    ],
)
async def test_bad_fields(node: ChainNode, body: dict[str, Any], field: str) -> None:
    answer = await node.post("/api/votes/proposal", {"market_id": "00" * 32} | body, node.net.wallets[0])
    assert answer.status_code == 400
    assert field in {each["field"] for each in answer.json()["details"]} or answer.json()["details"]


async def test_a_market_must_be_named(node: ChainNode) -> None:
    for kind in ("proposal", "dispute"):
        answer = await node.post(f"/api/votes/{kind}", {"vote": True}, node.net.wallets[0])
        assert [each["field"] for each in answer.json()["details"]] == ["market_id"]


async def test_unknown_markets(node: ChainNode) -> None:
    voter, unknown = node.net.wallets[0], "ab" * 32
    for path in (f"/api/votes/proposal/{unknown}", "/api/votes/proposal/nonsense", f"/api/markets/{unknown}/vote"):
        assert (await node.post(path, {"vote": True}, voter)).status_code == 404
    assert (await node.post("/api/votes/proposal", {"market_id": unknown, "vote": True}, voter)).status_code == 404
    for path in (unknown, "nonsense", f"proposal/{unknown}", f"dispute/{unknown}", f"{unknown}/progress"):
        assert (await node.get(f"/api/votes/{path}")).status_code == 404
    assert (await node.get(f"/api/markets/{unknown}/voting")).status_code == 404


async def test_a_vote_needs_a_wallet_and_that_wallet(node: ChainNode) -> None:
    voter, other = node.net.wallets[:2]
    market_id = (await node.create(voter)).hex()
    path = f"/api/votes/proposal/{market_id}"
    assert (await node.post(path, {"vote": True})).status_code == 401
    for name in ("user", "user_wallet", "walletAddress", "publicKey"):
        answer = await node.post(path, {"vote": True, name: str(other.pubkey())}, voter)
        assert (answer.status_code, answer.json()["reason"]) == (403, "wallet_mismatch")
    assert (await node.post(path, {"vote": True, "user": str(voter.pubkey())}, voter)).status_code == 201


async def test_a_signed_message_in_the_body_is_enough(node: ChainNode) -> None:
    voter = node.net.wallets[1]
    market_id = (await node.create(node.net.wallets[0])).hex()
    message = f"Sign this message to authenticate with ZMART: {node.parts.now_ms()}"
    proof = {
        "message": message,
        "signature": str(voter.sign_message(message.encode())),
        "wallet": str(voter.pubkey()),
    }
    answer = await node.post("/api/votes/proposal", {"market_id": market_id, "vote": True, "_auth": proof})
    assert answer.status_code == 201
    assert answer.json()["vote"]["user_wallet"] == str(voter.pubkey())


async def test_one_vote_per_wallet_and_for_good(node: ChainNode) -> None:
    voter = node.net.wallets[1]
    path = f"/api/votes/proposal/{(await node.create(node.net.wallets[0])).hex()}"
    answers = await asyncio.gather(*(node.post(path, {"vote": number % 2 == 0}, voter) for number in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    assert {answer.json().get("reason") for answer in answers} == {None, "already_voted"}


async def test_votes_have_their_state(node: ChainNode) -> None:
    creator, voter = node.net.wallets[:2]
    market_id = await node.create(creator)
    dispute = await node.post(f"/api/votes/dispute/{market_id.hex()}", {"vote": True}, voter)
    assert (dispute.status_code, dispute.json()["reason"]) == (403, "no_position")
    active = await node.active(creator, question="Is this market open yet?")
    late = await node.post(f"/api/votes/proposal/{active.hex()}", {"vote": True}, voter)
    assert (late.status_code, late.json()["reason"]) == (409, "wrong_state")
    await node.buy(active, voter, True, 10**9)
    early = await node.post(f"/api/votes/dispute/{active.hex()}", {"vote": True}, voter)
    assert (early.status_code, early.json()["reason"]) == (409, "wrong_state")


async def test_dispute_votes_weigh_their_positions(node: ChainNode) -> None:
    creator, large, small, stranger = node.net.wallets[:4]
    market_id = await node.active(creator)
    await node.buy(market_id, large, True, 3 * 10**9)
    await node.buy(market_id, small, False, 10**9)
    await node.disputed(market_id, creator, large)
    path = f"/api/markets/{market_id.hex()}/dispute/vote"
    assert (await node.post(path, {"supportDispute": "support"}, stranger)).json()["reason"] == "no_position"
    first = (await node.post(path, {"support_dispute": "agree"}, large)).json()["vote"]
    second = (await node.post(path, {"vote": "disagree"}, small)).json()["vote"]
    assert (first["choice"], second["choice"]) == ("agree", "disagree")
    tally = (await node.get(f"/api/votes/{market_id.hex()}")).json()["dispute_votes"]
    listed = (await node.get(f"/api/markets/{market_id.hex()}/votes", type="dispute")).json()["votes"]
    assert listed == [second, first]
    assert (tally["agree_weight"], tally["disagree_weight"]) == (first["weight"], second["weight"])
    yes, no = int(first["weight"]), int(second["weight"])
    assert tally["percentage_bps"] == yes * 10_000 // (yes + no)
    assert (tally["likes"], tally["total"], tally["min_votes"]) == (1, 2, 0)
    counts = (await node.get(f"/api/votes/dispute/{market_id.hex()}")).json()
    assert counts["counts"] == {"likes": 1, "dislikes": 1, "agrees": 1, "disagrees": 1, "total": 2}
    assert (counts["marketId"], counts["data"]) == (market_id.hex(), tally)
    progress = (await node.get(f"/api/markets/{market_id.hex()}/voting")).json()
    assert (progress["vote_type"], progress["open"]) == ("dispute", True)
    account = await node.account(market_id)
    assert progress["ends_at"] == time_text(account.dispute_initiated_at + 3 * DAY_S)


async def test_progress_counts_down_and_stops_at_nothing(node: ChainNode) -> None:
    market_id = (await node.create(node.net.wallets[0])).hex()
    started = (await node.get(f"/api/votes/{market_id}/progress")).json()
    assert started["ends_at"] == time_text(GENESIS_S + DAY_S)
    assert (started["time_remaining_seconds"], started["open"]) == (DAY_S, True)
    await node.pass_s(2 * DAY_S)
    late = (await node.get(f"/api/votes/{market_id}/progress", type="proposal")).json()
    assert (late["time_remaining_seconds"], late["open"]) == (0, True)
    other = (await node.get(f"/api/votes/{market_id}/progress", type="DISPUTE")).json()
    assert (other["vote_type"], other["open"], other["ends_at"]) == ("dispute", False, None)
    assert (await node.get(f"/api/votes/{market_id}/progress", type="nonsense")).status_code == 400


# On chain


async def test_a_vote_may_be_cast_on_chain(node: ChainNode) -> None:
    creator, voter = node.net.wallets[:2]
    market_id = await node.create(creator)
    path = f"/api/votes/proposal/{market_id.hex()}"
    assert (await node.post(path, {"vote": False}, voter)).status_code == 201
    asked, relayed = await node.act(path, {"vote": True, "on_chain": True}, voter)
    assert (asked["action"], asked["transaction"]["instruction"]) == ("submit_proposal_vote", "submit_proposal_vote")
    assert [event["event_type"] for event in relayed["events"]] == ["ProposalVoteSubmitted"]
    tally = (await node.get(f"/api/votes/{market_id.hex()}")).json()["proposal_votes"]
    assert (tally["likes"], tally["dislikes"], tally["total"]) == (1, 0, 1), "it replaces the vote through the node"
    for body in ({"vote": True}, {"vote": True, "on_chain": True}):
        again = await node.post(path, body, voter)
        assert (again.status_code, again.json()["reason"]) == (409, "already_voted")


async def test_every_vote_has_the_time_of_the_chain(node: ChainNode) -> None:
    """A vote is part of its market's life, whichever way it came; after a warp the node's clock is far behind."""
    creator, *voters_ = node.net.wallets
    market_id = await node.create(creator)
    path = f"/api/votes/proposal/{market_id.hex()}"
    expected = []
    for number, voter in enumerate(voters_[:4]):
        on_chain = number % 2 == 1
        if on_chain:
            await node.act(path, {"vote": True, "on_chain": True}, voter)
        else:
            assert (await node.post(path, {"vote": True}, voter)).status_code == 201
        expected.append((("api", "chain")[on_chain], node.parts.clock.now()))
        await node.pass_s(3_600)
    listed = (await node.get(f"/api/markets/{market_id.hex()}/votes")).json()["votes"][::-1]
    assert [each["source"] for each in listed] == [source for source, _ in expected]
    for vote, (_, chain_s) in zip(listed, expected, strict=True):
        assert vote["created_at"] == vote["voted_at"] == vote["timestamp"]
        assert abs(datetime.fromisoformat(vote["created_at"]).timestamp() - chain_s) <= 5
    told = [json.loads(message.data)["created_at"] for message in node.messages if message.type == "vote"]
    assert told == [vote["created_at"] for vote in listed]


async def test_a_vote_on_chain_that_is_not_indexed_yet_counts_too(node: ChainNode) -> None:
    creator, voter = node.net.wallets[:2]
    market_id = await node.create(creator)
    asked = await node.post(f"/api/votes/proposal/{market_id.hex()}", {"vote": True, "on_chain": True}, voter)
    signed = node.signed(asked.json()["transaction"], voter)
    await node.parts.rpc.send_transaction(base64.b64decode(signed))
    again = await node.post(f"/api/votes/proposal/{market_id.hex()}", {"vote": True, "on_chain": True}, voter)
    assert (again.status_code, again.json()["reason"]) == (409, "already_voted")


async def test_votes_on_chain_have_the_same_rules(node: ChainNode) -> None:
    creator, voter, other = node.net.wallets[:3]
    market_id = await node.create(creator)
    dispute = f"/api/votes/dispute/{market_id.hex()}"
    chain = {"vote": True, "on_chain": True}
    assert (await node.post(dispute, chain, voter)).json()["reason"] == "no_position"
    mismatch = await node.post(f"/api/votes/proposal/{market_id.hex()}", chain | {"user": str(other.pubkey())}, voter)
    assert mismatch.json()["reason"] == "wallet_mismatch"
    active = await node.active(creator, question="Is this market open yet?")
    late = await node.post(f"/api/votes/proposal/{active.hex()}", chain, voter)
    assert (late.status_code, late.json()["reason"]) == (409, "wrong_state")
    await node.buy(active, voter, True, 10**9)
    await node.disputed(active, creator, voter)
    _, relayed = await node.act(f"/api/votes/dispute/{active.hex()}", chain, voter)
    assert [event["event_type"] for event in relayed["events"]] == ["DisputeVoteSubmitted"]
    assert (await node.get(f"/api/votes/{active.hex()}")).json()["dispute_votes"]["likes"] == 1


# Limits


async def test_attempts_are_counted_per_market_and_kind(tmp_path: Path) -> None:
    limits = replace(Config().limits, votes_per_hour=2)
    async with chain_node(tmp_path, limits=limits) as node:
        creator, voter = node.net.wallets[:2]
        market_id = await node.create(creator)
        address = str(Pubkey(node.codec.market_address(market_id)))
        names = (market_id.hex(), address, market_id.hex().upper())
        codes = [(await node.post(f"/api/votes/proposal/{name}", {"vote": True}, voter)).status_code for name in names]
        assert codes == [201, 409, 429]
        assert (await node.post(f"/api/votes/dispute/{market_id.hex()}", {"vote": True}, voter)).status_code == 403
        other = (await node.create(creator, question="Is this another market?")).hex()
        assert (await node.post(f"/api/votes/proposal/{other}", {"vote": True}, voter)).status_code == 201


async def test_votes_are_counted_in_the_metrics(node: ChainNode) -> None:
    market_id = (await node.create(node.net.wallets[0])).hex()
    await node.post(f"/api/votes/proposal/{market_id}", {"vote": True}, node.net.wallets[1])
    value = node.parts.metrics.registry.get_sample_value
    assert value("zmart_votes_total", {"kind": VoteType.PROPOSAL.name.lower(), "source": "api"}) == 1
