"""Actions on markets: who may, when, what is answered, and that nothing changes before the chain says so."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from tests.api.chain_node import DAY_S, HASH, TEXT, ChainNode, Json, chain_node
from zmart_lite.chain import instructions
from zmart_lite.drafts import cid_v0
from zmart_lite.models import MarketState
from zmart_lite.rules import MARKET_RENT_LAMPORTS, claim_amount
from zmart_lite.shown import exact_text, time_text
from zmart_lite.store.state import plans

OUTCOME = {"outcome": "yes", "ipfs_evidence_hash": HASH.decode()}


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ChainNode]:
    async with chain_node(tmp_path) as node:
        yield node


async def refusal(node: ChainNode, market_id: bytes, action: str, wallet: Keypair, **body: Any) -> tuple[int, str]:
    answer = await node.post(f"/api/markets/{market_id.hex()}/{action}", body, wallet)
    return answer.status_code, answer.json().get("reason")


async def act(node: ChainNode, market_id: bytes, action: str, wallet: Keypair, **body: Any) -> tuple[Json, Json]:
    return await node.act(f"/api/markets/{market_id.hex()}/{action}", body, wallet)


async def test_unknown_markets_and_no_wallet(node: ChainNode) -> None:
    for action in ("activate", "dispute", "claim", "withdraw", "cancel"):
        assert (await node.post(f"/api/markets/{'ab' * 32}/{action}", {}, node.net.wallets[0])).status_code == 404
        assert (await node.post(f"/api/markets/nonsense/{action}", {}, node.net.wallets[0])).status_code == 404
        assert (await node.post(f"/api/markets/{'ab' * 32}/{action}", {})).status_code == 401
    assert (await node.post(f"/api/markets/{'ab' * 32}/resolve", OUTCOME, node.net.wallets[0])).status_code == 404


async def test_activate(node: ChainNode) -> None:
    creator, other = node.net.wallets[:2]
    market_id = await node.create(creator)
    assert await refusal(node, market_id, "activate", other) == (403, "not_creator")
    assert await refusal(node, market_id, "activate", creator) == (409, "wrong_state")
    approved = await node.approved(creator, question="Is this market approved?")
    asked = await node.post(f"/api/markets/{approved.hex()}/activate", {"compute_unit_price": 5}, creator)
    body = asked.json()
    assert (body["success"], body["action"], body["market_id"]) == (True, "activate_market", approved.hex())
    assert body["transaction"]["compute_unit_price"] == 5
    assert (await node.account(approved)).state is MarketState.APPROVED, "nothing changes before it is sent"
    await act(node, approved, "activate", node.net.admin)
    assert (await node.account(approved)).state is MarketState.ACTIVE


async def test_cancel(node: ChainNode) -> None:
    creator, admin = node.net.wallets[0], node.net.admin
    market_id = await node.create(creator)
    assert await refusal(node, market_id, "cancel", creator) == (403, "not_chain_admin")
    await act(node, market_id, "cancel", admin)
    assert await refusal(node, market_id, "cancel", admin) == (409, "wrong_state")
    approved = await node.approved(creator, question="Is this market approved?")
    _, relayed = await act(node, approved, "cancel", admin)
    assert relayed["events"][0]["event_type"] == "MarketCancelled"


# Resolution


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ipfs_evidence_hash": HASH.decode()}, "outcome"),
        (OUTCOME | {"outcome": None}, "outcome"),
        (OUTCOME | {"outcome": "INVALID"}, "outcome"),
        ({"outcome": True}, "ipfs_evidence_hash"),
        (OUTCOME | {"evidence": "both"}, "ipfs_evidence_hash"),
        ({"outcome": True, "evidence_hash": "Qm" + "0" * 44}, "evidence_hash"),
        ({"outcome": True, "evidence": "x" * 10_001}, "evidence"),
        (OUTCOME | {"schedule": "later"}, "schedule"),
    ],
)
async def test_bad_resolutions(node: ChainNode, body: dict[str, Any], field: str) -> None:
    answer = await node.post(f"/api/markets/{'ab' * 32}/resolve", body, node.net.wallets[0])
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["details"]] == [field]


async def test_resolve(node: ChainNode) -> None:
    creator, resolver = node.net.wallets[:2]
    market_id = await node.approved(creator)
    assert await refusal(node, market_id, "resolve", resolver, **OUTCOME) == (409, "wrong_state")
    await act(node, market_id, "activate", creator)
    await node.observe()
    assert await refusal(node, market_id, "resolve", resolver, **OUTCOME) == (409, "wrong_time")
    await node.pass_s(60)
    evidence = "The gauge showed 12 mm.\n\u2603 " + "long " * 500
    asked, relayed = await act(node, market_id, "resolve", resolver, outcome="NO", evidence=evidence)
    assert asked["warnings"] == ["before_end_date"]
    account = await node.account(market_id)
    assert (account.state, account.proposed_outcome) == (MarketState.RESOLVING, False)
    assert account.ipfs_evidence_hash.decode() == cid_v0(evidence.encode()) == asked["evidence_hash"]
    kept = await node.store.read(lambda tx: plans.find_evidence(tx, asked["evidence_hash"]))
    assert (kept["content"], kept["pinned"]) == (evidence, 0)
    assert relayed["events"][0]["event_data"]["outcome"] is False


async def test_after_the_end_date_there_is_no_warning(node: ChainNode) -> None:
    creator = node.net.wallets[0]
    market_id = await node.active(creator)
    await node.pass_s(11 * DAY_S)
    asked, _ = await act(node, market_id, "resolve", creator, **OUTCOME)
    assert asked["warnings"] == []


async def test_schedule(node: ChainNode) -> None:
    creator, other = node.net.wallets[:2]
    market_id = await node.create(creator)
    plan = OUTCOME | {"schedule": True}
    path = f"/api/markets/{market_id.hex()}/resolve"
    assert await refusal(node, market_id, "resolve", other, **plan) == (403, "not_creator")
    answer = await node.post(path, plan, creator)
    assert answer.json()["planned_resolution"] == {
        "outcome": "YES",
        "outcome_bool": True,
        "evidence_hash": HASH.decode(),
        "due_at": time_text(TEXT["end_date"]),
        "registered_at": time_text(node.parts.now_ms() // 1_000),
    }
    again = await node.post(path, {"outcome": False, "evidence": "why", "schedule": 1 == 1}, creator)
    assert again.json()["planned_resolution"]["outcome"] == "NO"
    key = await node.store.read(lambda tx: tx.value("SELECT id FROM markets"))
    kept = await node.store.read(lambda tx: plans.find_plan(tx, key))
    assert (kept["outcome"], kept["evidence_hash"]) == (0, cid_v0(b"why").encode())
    assert (await node.delete(path, other)).json()["reason"] == "not_creator"
    for _ in range(2):
        assert (await node.delete(path, creator)).status_code == 200
    assert await node.store.read(lambda tx: plans.find_plan(tx, key)) is None


async def test_a_plan_needs_a_session(node: ChainNode) -> None:
    creator = node.net.wallets[0]
    market_id = await node.create(creator)
    message = f"Sign this message to authenticate with ZMART: {node.parts.now_ms()}"
    proof = {"message": message, "signature": str(creator.sign_message(message.encode()))}
    proof |= {"wallet": str(creator.pubkey())}
    answer = await node.post(f"/api/markets/{market_id.hex()}/resolve", OUTCOME | {"schedule": True, "_auth": proof})
    assert (answer.status_code, answer.json()["reason"]) == (401, "jwt_required")


async def test_a_plan_needs_a_known_end_and_an_open_market(node: ChainNode) -> None:
    creator = node.net.wallets[0]
    bare = bytes([8]) * 32
    await node.land(instructions.create_market(node.codec, bytes(creator.pubkey()), bare, 10**11, 10**9, HASH), creator)
    plan = OUTCOME | {"schedule": True}
    assert await refusal(node, bare, "resolve", creator, **plan) == (409, "wrong_state")
    market_id = await node.active(creator)
    await node.resolving(market_id, creator)
    assert await refusal(node, market_id, "resolve", creator, **plan) == (409, "wrong_state")


async def test_dispute(node: ChainNode) -> None:
    creator, initiator = node.net.wallets[:2]
    market_id = await node.active(creator)
    assert await refusal(node, market_id, "dispute", initiator) == (409, "wrong_state")
    resolve = instructions.resolve_market(node.codec, market_id, bytes(creator.pubkey()), True, HASH)
    await node.land(resolve, creator)
    await node.observe()
    assert await refusal(node, market_id, "dispute", initiator) == (409, "wrong_time"), "strictly later"
    await node.pass_s(1)
    _, relayed = await act(node, market_id, "dispute", initiator)
    assert relayed["events"][0]["event_type"] == "DisputeInitiated"


async def test_the_dispute_window_closes(node: ChainNode) -> None:
    creator = node.net.wallets[0]
    market_id = await node.active(creator)
    await node.resolving(market_id, creator)
    await node.pass_s(3 * DAY_S - 61)
    assert (await node.post(f"/api/markets/{market_id.hex()}/dispute", {}, creator)).status_code == 200
    await node.pass_s(1)
    assert await refusal(node, market_id, "dispute", creator) == (409, "wrong_time")


# Payouts


async def test_claim(node: ChainNode) -> None:
    creator, winner, loser, stranger = node.net.wallets[:4]
    market_id = await node.active(creator, initial_liquidity="10000000")
    await node.buy(market_id, winner, True, 2 * 10**9)
    await node.buy(market_id, loser, False, 10**9)
    assert await refusal(node, market_id, "claim", winner) == (409, "wrong_state")
    assert await refusal(node, market_id, "claim", stranger) == (403, "no_position")
    await node.finalized(market_id, creator)
    lost = await node.post(f"/api/markets/{market_id.hex()}/claim", {}, loser)
    assert lost.json()["details"]["program_error"]["name"] == "NoWinnings"
    balance = await node.parts.rpc.get_balance(bytes(winner.pubkey()))
    asked, relayed = await act(node, market_id, "claim", winner)
    assert asked["payable"] is True
    assert asked["message"].endswith(f" to claim {exact_text(int(asked['amount']))} SOL.")
    assert relayed["events"][0]["event_data"]["amount"] == asked["amount"]
    paid = await node.parts.rpc.get_balance(bytes(winner.pubkey())) - balance
    assert paid == int(asked["amount"]) - int(asked["transaction"]["estimated_fee"])
    again = await node.post(f"/api/markets/{market_id.hex()}/claim", {}, winner)
    assert (again.status_code, again.json()["reason"]) == (409, "program_error")
    assert again.json()["details"]["program_error"]["name"] == "AlreadyClaimed"
    assert again.json()["message"] == "The transaction would fail: AlreadyClaimed: it has been claimed already."


async def test_a_market_that_cannot_pay(node: ChainNode) -> None:
    """The nominal liquidity was never deposited."""
    creator, winner = node.net.wallets[:2]
    market_id = await node.active(creator, initial_liquidity=str(10**12))
    await node.buy(market_id, winner, True, 10**9)
    await node.finalized(market_id, creator)
    answer = await node.post(f"/api/markets/{market_id.hex()}/claim", {}, winner)
    assert answer.status_code == 409
    assert answer.json()["details"]["program_error"]["name"] == "InsufficientLiquidity"


async def test_withdraw(node: ChainNode) -> None:
    creator, winner = node.net.wallets[:2]
    market_id = await node.active(creator, initial_liquidity="10000000")
    await node.buy(market_id, winner, True, 2 * 10**9)
    assert await refusal(node, market_id, "withdraw", winner) == (403, "not_creator")
    assert await refusal(node, market_id, "withdraw", creator) == (409, "wrong_state")
    await node.finalized(market_id, creator)
    early = await node.post(f"/api/markets/{market_id.hex()}/withdraw", {}, creator)
    assert early.json()["warnings"] == ["unclaimed_winnings"]
    await act(node, market_id, "claim", winner)
    asked, relayed = await act(node, market_id, "withdraw", creator)
    assert asked["warnings"] == []
    assert relayed["events"][0]["event_data"]["amount"] == asked["amount"]
    balance = await node.parts.rpc.get_balance(node.codec.market_address(market_id))
    assert balance == MARKET_RENT_LAMPORTS + 10_000
    empty = await node.post(f"/api/markets/{market_id.hex()}/withdraw", {}, creator)
    assert empty.json()["details"]["program_error"]["name"] == "InsufficientLiquidity"


async def test_claims_of_an_invalid_market_are_refunds(node: ChainNode) -> None:
    creator, holder, other = node.net.wallets[:3]
    market_id = await node.active(creator, initial_liquidity="10000000")
    await node.buy(market_id, holder, False, 2 * 10**9)
    await node.buy(market_id, other, True, 3 * 10**9)
    await node.disputed(market_id, creator, holder)
    backend = node.net.backend
    await node.land(instructions.aggregate_dispute_votes(node.codec, market_id, bytes(backend.pubkey()), 0, 1), backend)
    asked, _ = await act(node, market_id, "claim", holder)
    address = node.codec.position_address(node.codec.market_address(market_id), bytes(holder.pubkey()))
    info = await node.parts.rpc.get_account(address)
    position: Any = node.codec.decode_account(info.data)  # type: ignore[union-attr]
    assert int(asked["amount"]) == position.total_invested == claim_amount(await node.account(market_id), position)
