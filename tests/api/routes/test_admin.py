"""Administration: who may look and act, what is refused because only the chain decides, and the audit of it all."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from tests.api.chain_node import SERVICE_KEY, ChainNode, Json, RecordedJobs, chain_node
from zmart_lite.chain import instructions
from zmart_lite.models import MarketState
from zmart_lite.rules import ACTION_STATES
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import chainlog
from zmart_lite.store.state import alerts, intents, markets, runs

ADMIN = "/api/admin"
WHY = {"reason": "because of the tests"}
LISTS = ("discrepancies", "intents", "dead-letters", "audit", "backups", "jobs", "breakers", "approvals")
WRITES = (
    "jobs/poll/run",
    "jobs/poll/pause",
    "jobs/poll/resume",
    "backups",
    "breakers/api/reset",
    "alerts/1/ack",
    "intents/1/retry",
    "intents/1/abandon",
    "dead-letters/1/retry",
    f"markets/{'ab' * 32}/approve",
    f"markets/{'ab' * 32}/override",
    "protocol/pause",
    "protocol/config",
)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ChainNode]:
    async with chain_node(tmp_path) as node:
        yield node


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncIterator[ChainNode]:
    """A node that holds the admin's key."""
    async with chain_node(tmp_path, with_admin_key=True) as node:
        yield node


def jobs_of(node: ChainNode) -> RecordedJobs:
    jobs = node.parts.jobs
    assert isinstance(jobs, RecordedJobs)
    return jobs


async def look(node: ChainNode, path: str, /, **params: Any) -> Json:
    answer = await node.get(f"{ADMIN}/{path}", node.net.admin, **params)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def do(node: ChainNode, path: str, body: Json | None = None, wallet: Keypair | None = None) -> tuple[int, Json]:
    answer = await node.post(f"{ADMIN}/{path}", body, wallet or node.net.admin)
    return answer.status_code, answer.json()


# Who


@pytest.mark.parametrize("path", LISTS)
async def test_who_may_look(node: ChainNode, path: str) -> None:
    assert (await node.get(f"{ADMIN}/{path}")).status_code == 401
    stranger = await node.get(f"{ADMIN}/{path}", node.net.wallets[0])
    assert (stranger.status_code, stranger.json()["reason"]) == (403, "not_admin")
    assert (await node.get(f"{ADMIN}/{path}", node.net.admin)).status_code == 200
    key = await node.http.get(f"{ADMIN}/{path}", headers={"x-service-key": SERVICE_KEY})
    assert (key.status_code, key.headers["cache-control"]) == (200, "no-store")


@pytest.mark.parametrize("path", WRITES)
async def test_who_may_act(node: ChainNode, path: str) -> None:
    body = WHY | {"action": "hide", "paused": True, "protocol_fee_bps": 1}
    assert (await node.post(f"{ADMIN}/{path}", body)).status_code == 401
    key = await node.http.post(f"{ADMIN}/{path}", json=body, headers={"x-service-key": SERVICE_KEY})
    assert key.status_code == 401
    code, answer = await do(node, path, body, node.net.wallets[0])
    assert (code, answer["reason"]) == (403, "not_admin")
    (row,) = (await look(node, "audit"))["audit"]
    assert (row["wallet"], row["result"]) == (str(node.net.wallets[0].pubkey()), "not_admin")


@pytest.mark.parametrize("path", [path for path in WRITES if path.split("/")[0] in ("intents", "markets", "protocol")])
async def test_reasons_are_required_where_it_matters(node: ChainNode, path: str) -> None:
    for body in ({}, {"reason": "no"}, {"reason": "x" * 501}):
        code, answer = await do(node, path, {"action": "hide", "paused": True, "protocol_fee_bps": 1} | body)
        assert code == 400
        assert [each["field"] for each in answer["details"]] == ["reason"]


async def test_the_audit(node: ChainNode) -> None:
    await do(node, "jobs/poll/run", WHY | {"_auth": {"secret": 1}, "dry_run": False, "more": "x" * 10})
    await do(node, "jobs/nonsense/run", WHY)
    await node.pass_s(60)
    await do(node, "jobs/poll/pause", {"huge": "x" * 5_000})
    rows = (await look(node, "audit"))["audit"]
    assert [(row["action"], row["target"], row["result"]) for row in rows] == [
        ("job_pause", "poll", "ok"),
        ("job_run", "nonsense", "NOT_FOUND"),
        ("job_run", "poll", "ok"),
    ]
    assert rows[2]["params"] == {"dry_run": False, "more": "x" * 10}
    assert rows[0]["params"] == {"truncated": True}
    assert (rows[2]["reason"], rows[0]["reason"]) == (WHY["reason"], None)
    assert rows[2]["request_id"]
    assert len((await look(node, "audit", action="job_run"))["audit"]) == 2
    assert len((await look(node, "audit", **{"from": rows[0]["at"]}))["audit"]) == 1
    assert len((await look(node, "audit", to=rows[0]["at"]))["audit"]) == 2
    assert (await look(node, "audit", wallet=str(node.net.wallets[0].pubkey())))["audit"] == []


# Jobs and breakers, and alerts.


async def test_jobs(node: ChainNode) -> None:
    (job,) = (await look(node, "jobs"))["jobs"]
    assert (job["name"], job["next_run_at"], job["summary"]) == ("poll", "1970-01-01T00:00:05.000Z", {})
    code, answer = await do(node, "jobs/poll/run")
    assert (code, answer) == (202, {"success": True, "job": "poll", "run_id": 1})
    jobs_of(node).running.add("poll")
    code, answer = await do(node, "jobs/poll/run")
    assert (code, answer["reason"]) == (409, "already_running")
    for action, paused in (("pause", True), ("resume", False)):
        code, answer = await do(node, f"jobs/poll/{action}")
        assert (code, answer["job"]["paused"]) == (200, paused)
    assert jobs_of(node).calls == [("run", "poll", None, False), ("pause", "poll"), ("resume", "poll")]
    for body, name in (({"dry_run": True}, "dry_run"), ({"market_id": "ab" * 32}, "market_id")):
        code, answer = await do(node, "jobs/poll/run", body)
        assert (code, answer["details"][0]["field"]) == (400, name)
    await node.store.write(lambda tx: runs.end_run(tx, runs.add_run(tx, "poll"), "ok", 3, 2, 0, 1, error=None))
    found = await look(node, "jobs/poll/runs")
    assert (found["runs"][0]["result"], found["runs"][0]["found"], found["total_count"]) == ("ok", 3, 1)
    assert (await node.get(f"{ADMIN}/jobs/nonsense/runs", node.net.admin)).status_code == 404
    assert (await do(node, "backups"))[1]["run_id"] == 4


async def test_breakers(node: ChainNode) -> None:
    for _ in range(3):
        node.parts.breakers["ipfs"].fail("no answer")
    found = {each["name"]: each for each in (await look(node, "breakers"))["breakers"]}
    assert set(found) == {"vote_aggregation", "market_transitions", "event_indexing", "ipfs", "api"}
    assert (found["ipfs"]["state"], found["ipfs"]["failures"], found["ipfs"]["last_error"]) == ("open", 3, "no answer")
    assert found["ipfs"]["open_until"] > found["ipfs"]["opened_at"]
    assert (await do(node, "breakers/ipfs/reset"))[0] == 200
    assert node.parts.breakers["ipfs"].view().state == "closed"
    assert (await do(node, "breakers/nonsense/reset"))[0] == 404


async def test_alerts(node: ChainNode) -> None:
    await node.store.write(lambda tx: alerts.raise_alert(tx, "store_error", "HIGH", "A commit failed.", data={"n": 1}))
    for _ in range(2):
        code, answer = await do(node, "alerts/1/ack", {"note": "seen"})
        assert (code, answer["alert"]["status"]) == (200, "acknowledged")
    assert answer["alert"]["acknowledged_by"] == str(node.net.admin.pubkey())
    assert [message.type for message in node.messages] == ["alert"], "told once"
    for path in ("alerts/2/ack", "alerts/x/ack", f"alerts/{'9' * 30}/ack"):
        assert (await do(node, path))[0] == 404


# Intents, dead letters, other lists


async def test_intents(keyed: ChainNode) -> None:
    def plan(tx: Tx) -> None:
        for number, status in enumerate(("planned", "sent", "failed", "expired", "confirmed", "abandoned"), start=1):
            row, _ = intents.open_intent(tx, f"action-{number}", intents.PROTOCOL, {"n": number})
            change = "UPDATE intents SET status = ?, signed_transaction = ? WHERE id = ?"
            tx.execute(change, (status, b"raw", row["id"]))

    await keyed.store.write(plan)
    found = (await look(keyed, "intents"))["intents"]
    assert [row["status"] for row in found][::-1] == ["planned", "sent", "failed", "expired", "confirmed", "abandoned"]
    assert "signed_transaction" not in json.dumps(found)
    assert [row["id"] for row in (await look(keyed, "intents", status="sent"))["intents"]] == ["2"]
    assert [row["id"] for row in (await look(keyed, "intents", action="action-3"))["intents"]] == ["3"]
    results = {number: (await do(keyed, f"intents/{number}/retry", WHY))[:2] for number in range(1, 7)}
    assert [code for code, _ in results.values()] == [409, 409, 200, 200, 409, 409]
    reasons = [results[number][1].get("reason") for number in (1, 2, 5, 6)]
    assert reasons == ["in_flight", "in_flight", "wrong_state", "wrong_state"]
    new = results[3][1]["intent"]
    assert (new["round"], new["status"], new["args"]) == (2, "planned", {"n": 3})
    codes = [(await do(keyed, f"intents/{number}/abandon", WHY))[0] for number in range(1, 7)]
    assert codes == [200, 409, 200, 200, 409, 200]
    assert (await do(keyed, "intents/99/abandon", WHY))[0] == 404
    assert (await look(keyed, "intents", status="abandoned"))["total_count"] == 4


async def test_dead_letters(node: ChainNode) -> None:
    market_id = await node.create(node.net.wallets[0])
    signature = await node.store.read(lambda tx: tx.value("SELECT signature FROM transactions"))

    def bury(tx: Tx) -> None:
        chainlog.add_dead_letter(tx, "event", "unknown discriminator", signature=signature, event_index=0, slot=5)
        chainlog.add_dead_letter(tx, "delivery", "no signature", payload=b'{"a": "\xff"}')

    await node.store.write(bury)
    found = (await look(node, "dead-letters"))["dead_letters"]
    assert [row["kind"] for row in found] == ["delivery", "event"]
    assert "payload" not in found[0]
    assert (await look(node, "dead-letters/2"))["payload"] == '{"a": "\ufffd"}'
    code, answer = await do(node, "dead-letters/1/retry")
    assert (code, answer) == (200, {"success": True, "resolved": True, "events": 1})
    assert (await do(node, "dead-letters/2/retry"))[1] == {"success": True, "resolved": False, "events": 0}
    assert [row["id"] for row in (await look(node, "dead-letters"))["dead_letters"]] == ["2"]
    [ended] = (await look(node, "dead-letters", open="false"))["dead_letters"]
    assert (ended["id"], ended["resolution"]) == ("1", "indexed whole")
    assert ended["resolved_at"] >= ended["first_seen_at"]
    assert (await look(node, "dead-letters/1"))["resolution"] == "indexed whole"
    assert (found[0]["resolved_at"], found[0]["resolution"]) == (None, None)
    assert (await do(node, "dead-letters/9/retry"))[0] == 404
    assert (await node.get(f"/api/votes/{market_id.hex()}")).status_code == 200


async def test_discrepancies_and_backups(node: ChainNode) -> None:
    market_id = await node.create(node.net.wallets[0])

    def differ(tx: Tx) -> None:
        markets.add_discrepancy(tx, 1, "state", "0", "1", 7)
        tx.execute("INSERT INTO discrepancies (market, field, slot, detected_ms) VALUES (1, 'shares_yes', 8, 0)")
        tx.execute("INSERT INTO backups (file, size_bytes, verified, created_ms) VALUES ('a.db', 5, 1, 0)")

    await node.store.write(differ)
    found = (await look(node, "discrepancies"))["discrepancies"]
    assert [row["field"] for row in found] == ["shares_yes", "state"]
    assert {row["market_id"] for row in found} == {market_id.hex()}
    assert [row["field"] for row in (await look(node, "discrepancies", open="true"))["discrepancies"]] == ["shares_yes"]
    assert (await look(node, "discrepancies", market_id=market_id.hex(), open=0))["total_count"] == 1
    assert (await node.get(f"{ADMIN}/discrepancies", node.net.admin, market_id="ab" * 32)).status_code == 404
    (backup,) = (await look(node, "backups"))["backups"]
    at = "1970-01-01T00:00:00.000Z"
    assert backup == {"id": "1", "file": "a.db", "size_bytes": 5, "created_at": at, "verified": True}


# Markets


async def ready(node: ChainNode, **fields: Any) -> bytes:
    """A proposal whose votes are recorded and suffice."""
    market_id, backend = await node.create(node.net.wallets[0], **fields), node.net.backend
    recorded = instructions.aggregate_proposal_votes(node.codec, market_id, bytes(backend.pubkey()), 9, 1)
    await node.land(recorded, backend)
    flag = "UPDATE markets SET ready_for_approval = 1 WHERE market_id = ?"
    await node.store.write(lambda tx: tx.execute(flag, (market_id,)))
    return market_id


async def test_approving_by_wallet(node: ChainNode) -> None:
    early = await node.create(node.net.wallets[0], question="Is this one ready, too?")
    assert (await do(node, f"markets/{early.hex()}/approve", WHY))[1]["reason"] == "wrong_state"
    market_id = await ready(node)
    assert [row["id"] for row in (await look(node, "approvals"))["markets"]] == [market_id.hex()]
    asked, relayed = await node.act(f"{ADMIN}/markets/{market_id.hex()}/approve", WHY, node.net.admin)
    assert asked["action"] == "approve_proposal"
    assert relayed["events"][0]["event_type"] == "ProposalApproved"
    assert (await look(node, "approvals"))["markets"] == []
    assert (await do(node, f"markets/{'ab' * 32}/approve", WHY))[0] == 404


async def test_approving_with_the_nodes_key(keyed: ChainNode) -> None:
    market_id = await ready(keyed)
    for _ in range(2):
        code, answer = await do(keyed, f"markets/{market_id.hex()}/approve", WHY)
        assert code == 202
        intent = answer["intent"]
        assert (intent["action"], intent["market_id"]) == ("approve_proposal", market_id.hex())
        assert intent["status"] == "planned"
    assert (await look(keyed, "intents"))["total_count"] == 1
    assert (await keyed.account(market_id)).state is MarketState.PROPOSED


async def test_every_transition_by_hand_is_checked_against_the_state_machine(keyed: ChainNode) -> None:
    market_id = await ready(keyed)
    path, creator = market_id.hex(), keyed.net.wallets[0]

    async def reset(state: MarketState) -> None:
        """The market in another state, and one failed round of each action on it."""

        def unit(tx: Tx) -> None:
            tx.execute("DELETE FROM intents")
            tx.execute("UPDATE markets SET state = ?, ready_for_approval = 1", (int(state),))
            market = tx.value("SELECT id FROM markets")
            for number, action in enumerate(NODE_ACTIONS, start=1):
                sql = "INSERT INTO intents (id, action, market, subject, round, args, status, created_ms)"
                tx.execute(f"{sql} VALUES (?, ?, ?, ?, 1, '{{}}', 'failed', 0)", (number, action, market, path))

        await keyed.store.write(unit)

    for state in MarketState:
        await reset(state)
        asked = {action: f"intents/{number}/retry" for number, action in enumerate(NODE_ACTIONS, start=1)}
        answers = {action: await do(keyed, each, WHY) for action, each in asked.items()}
        await reset(state)
        answers["approve"] = await do(keyed, f"markets/{path}/approve", WHY)
        answers["cancel"] = await do(keyed, f"markets/{path}/override", WHY | {"action": "cancel"})
        for action in ("activate", "resolve", "dispute"):
            body = {"outcome": True, "evidence": "seen"} if action == "resolve" else {}
            answer = await keyed.post(f"/api/markets/{path}/{action}", body, creator)
            answers[f"by wallet {action}"] = answer.status_code, answer.json()
        refused = {action for action, (_, answer) in answers.items() if answer.get("reason") == "wrong_state"}
        allowed = {action for action, rule in RULE_OF.items() if state in ACTION_STATES[rule]}
        assert set(answers) - refused == allowed, state


NODE_ACTIONS = ("aggregate_proposal_votes", "approve_proposal", "cancel_market", "resolve_market", "finalize_market")
RULE_OF = {action: action for action in NODE_ACTIONS} | {
    "approve": "approve_proposal",
    "cancel": "cancel_market",
    "by wallet activate": "activate_market",
    "by wallet resolve": "resolve_market",
    "by wallet dispute": "initiate_dispute",
}


async def test_hiding(node: ChainNode) -> None:
    market_id = await node.create(node.net.wallets[0])
    node.messages.clear()
    for action, hidden in (("hide", True), ("hide", True), ("unhide", False)):
        code, answer = await do(node, f"markets/{market_id.hex()}/override", WHY | {"action": action})
        assert (code, answer["market"]["hidden"], answer["discrepancies"]) == (200, hidden, [])
    assert [json.loads(message.data)["action"] for message in node.messages] == ["deleted", "created"]
    assert all(message.listed for message in node.messages)


async def test_annotating(node: ChainNode) -> None:
    market_id = await node.create(node.net.wallets[0])
    path = f"markets/{market_id.hex()}/override"
    for note, shown in (("Please read the rules.", "Please read the rules."), (None, None)):
        code, answer = await do(node, path, WHY | {"action": "annotate", "note": note})
        assert (code, answer["market"]["note"]) == (200, shown)
    assert (await do(node, path, WHY | {"action": "annotate", "note": "x" * 501}))[0] == 400


async def test_resyncing(node: ChainNode) -> None:
    market_id = await node.active(node.net.wallets[0])
    spoil = "UPDATE markets SET proposal_likes = 5, state = 1 WHERE market_id = ?"
    await node.store.write(lambda tx: tx.execute(spoil, (market_id,)))
    code, answer = await do(node, f"markets/{market_id.hex()}/override", WHY | {"action": "resync"})
    assert code == 200
    differences = {each["field"]: (each["stored"], each["on_chain"]) for each in answer["discrepancies"]}
    assert differences["proposal_likes"] == ("5", "9")
    assert set(differences) == {"proposal_likes", "proposal_total_votes", "state"}
    assert (answer["market"]["state"], answer["market"]["proposal_likes"]) == ("ACTIVE", 9)


@pytest.mark.parametrize(
    "body",
    [
        {"action": "finalize"},
        {"action": "set_state"},
        {"action": "hide", "state": "FINALIZED"},
        {"action": "annotate", "note": "x", "finalOutcome": True},
        {"action": "resync", "shares_yes": "5"},
        {"action": "unhide", "amount": 1},
        {"action": "cancel", "current_liquidity": 1},
    ],
)
async def test_only_the_chain_decides(node: ChainNode, body: Json) -> None:
    market_id = await node.create(node.net.wallets[0])
    code, answer = await do(node, f"markets/{market_id.hex()}/override", WHY | body)
    assert (code, answer["reason"]) == (409, "chain_decides")
    assert (await node.account(market_id)).state is MarketState.PROPOSED


async def test_cancelling(node: ChainNode) -> None:
    market_id = await node.create(node.net.wallets[0])
    body = WHY | {"action": "cancel"}
    _, relayed = await node.act(f"{ADMIN}/markets/{market_id.hex()}/override", body, node.net.admin)
    assert relayed["events"][0]["event_type"] == "MarketCancelled"
    assert (await do(node, f"markets/{market_id.hex()}/override", body))[1]["reason"] == "wrong_state"


# The protocol


async def test_pausing_by_wallet(node: ChainNode) -> None:
    assert (await do(node, "protocol/pause", WHY | {"paused": False}))[1] == {"success": True, "changed": False}
    asked, relayed = await node.act(f"{ADMIN}/protocol/pause", WHY | {"paused": True}, node.net.admin)
    assert (asked["action"], asked["market_id"], asked["changed"]) == ("emergency_pause", None, True)
    assert relayed["events"][0]["event_data"]["is_paused"] is True
    assert (await do(node, "protocol/pause", WHY | {"paused": True}))[1] == {"success": True, "changed": False}


async def test_pausing_with_the_nodes_key(keyed: ChainNode) -> None:
    code, answer = await do(keyed, "protocol/pause", WHY | {"paused": True})
    assert (code, answer["intent"]["action"], answer["intent"]["market_id"]) == (202, "emergency_pause", None)
    code, answer = await do(keyed, "protocol/pause", WHY | {"paused": True})
    assert (code, answer["reason"]) == (409, "in_flight"), "one toggle at a time"


async def test_configuring(node: ChainNode) -> None:
    body = WHY | {"protocol_fee_bps": 1_000, "dispute_period": 3_600}
    asked, relayed = await node.act(f"{ADMIN}/protocol/config", body, node.net.admin)
    assert asked["warnings"] == ["fees_above_1000_fail_buys", "deadlines_change"]
    event = relayed["events"][0]["event_data"]
    assert (event["protocol_fee_bps"], event["resolver_reward_bps"], event["dispute_period"]) == (1_000, 200, 3_600)
    assert event["min_resolution_delay"] == 86_400, "what is absent stays"
    nothing = {"protocol_fee_bps": 0, "resolver_reward_bps": 0, "liquidity_provider_fee_bps": 0}
    code, answer = await do(node, "protocol/config", WHY | nothing)
    assert (code, answer["warnings"]) == (200, ["fees_zero_stop_trading"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"protocol_fee_bps": 10_001},
        {"protocol_fee_bps": 9_500},
        {"proposal_approval_threshold": -1},
        {"dispute_success_threshold": "10001"},
        {"dispute_period": 0},
        {"min_resolution_delay": 2**63},
    ],
)
async def test_bad_configs(node: ChainNode, body: Json) -> None:
    assert (await do(node, "protocol/config", WHY | body))[0] == 400


async def test_the_admin_of_the_node_is_not_the_one_on_chain(tmp_path: Path) -> None:
    """Both are needed without the node's own key."""
    async with chain_node(tmp_path) as node:
        other = node.net.wallets[3]
        node.app.state.api.auth._admins = frozenset({bytes(other.pubkey())})
        market_id = await ready(node)
        calls: dict[str, Json] = {
            f"markets/{market_id.hex()}/approve": {},
            f"markets/{market_id.hex()}/override": {"action": "cancel"},
            "protocol/pause": {"paused": True},
            "protocol/config": {"protocol_fee_bps": 1},
        }
        for path, body in calls.items():
            code, answer = await do(node, path, WHY | body, other)
            assert (code, answer["reason"]) == (403, "not_chain_admin")
