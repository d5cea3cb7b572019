"""A market's life by the libraries that frontends use, @solana/web3.js and @coral-xyz/anchor, run by Node."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from tests.clients.expectations import EVIDENCE, ExpectedMarket, P, expected_config
from tests.clients.node_packages import install, run
from tests.clients.outsider import IDL_PATH, PROGRAM_ID, SIGNATURE_FEE, Outsider, devnet
from zmart_lite.localnet import Localnet

# sumtypes, which anchorpy's enums are made with, still names an argument that attrs is about to drop.
pytestmark = [
    pytest.mark.external,
    pytest.mark.filterwarnings("ignore:The `repr_ns` argument is deprecated:DeprecationWarning"),
]

HERE = Path(__file__).parent
SLOT_MS = 40  # a blockhash then lasts 6 s, which a busy machine needs
WALLETS = ("creator", "alice", "bob", "carol", "resolver")

Report = dict[str, Any]


async def play(node: str, net: Localnet) -> Report:
    keys: dict[str, Keypair] = dict(zip(WALLETS, net.wallets, strict=False))
    keys |= {"admin": net.admin, "backend": net.backend}
    task = {
        "rpcUrl": net.rpc_url,
        "idl": json.loads(IDL_PATH.read_text()),
        "secrets": {name: list(bytes(key)) for name, key in keys.items()},
        "feeWallet": str(net.fee_wallet.pubkey()),
    }
    code, out, err = await run(HERE, node, "lifecycle.mjs", stdin=json.dumps(task).encode())
    assert code == 0, err
    report: Report = json.loads(out)
    return report


@pytest.fixture(scope="module")
def clients(external_tool: Callable[[str], str]) -> str:
    """The path of Node, with the packages in place."""
    node, npm = external_tool("node"), external_tool("npm")
    asyncio.run(install(npm, HERE))
    return node


async def test_a_market_lives_as_the_libraries_of_frontends_see_it(clients: str) -> None:
    async with devnet(slot_ms=SLOT_MS) as (net, outsider):
        report = await play(clients, net)
        market = check_events(net, report)
        await check_accounts(net, outsider, report["accounts"], market)
        assert report["chain"]["genesis"] == str((await outsider.client.get_genesis_hash()).value)
    check_subscriptions(report)
    check_sending(report, market)
    check_failures(report["failures"])
    check_chain(report["chain"], report["events"])


def fields_of(data: dict[str, Any]) -> dict[str, Any]:
    """A report's fields under the IDL's names; numbers as text, which the big ones are already."""
    names = {name: re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), name) for name in data}
    return {names[name]: _comparable(value) for name, value in data.items()}


def comparable(expected: dict[str, Any]) -> dict[str, Any]:
    return {name: _comparable(value) for name, value in expected.items()}


def _comparable(value: Any) -> Any:
    match value:
        case bool() | None:
            return value
        case bytes():
            return value.hex()
        case _:
            return str(value)


def check_events(net: Localnet, report: Report) -> ExpectedMarket:
    """Every event is the one the specification wants, in its place. Returns the market as it must be at the end."""
    seen = [(each["name"], fields_of(each["data"])) for each in report["events"]]
    times = iter([int(fields["timestamp"]) for _name, fields in seen if "timestamp" in fields])
    market = ExpectedMarket(b"\x01" * 32, net.wallets[0].pubkey(), now=next(times))
    wanted = [*opening(net, market, times), *trading(net, market, times), *ending(net, market, times)]
    assert seen[: len(wanted)] == [(name, comparable(fields)) for name, fields in wanted]
    others = ["configUpdated", "protocolPauseStatusChanged", "protocolPauseStatusChanged", "marketCreated"]
    assert [name for name, _fields in seen[len(wanted) :]] == [*others, "marketCancelled"]
    assert [fields["is_paused"] for name, fields in seen if name.startswith("protocol")] == [True, False]
    return market


Times = Iterator[int]
Event = tuple[str, dict[str, Any]]


def opening(net: Localnet, market: ExpectedMarket, times: Times) -> Iterator[Event]:
    common = {"market_id": market.market_id}
    created = {"creator": market.creator, "b_parameter": market.b, "state": 0, "timestamp": market.now}
    yield "marketCreated", common | created
    for wallet, vote in zip(net.wallets[1:5], (True, True, True, False), strict=True):
        yield "proposalVoteSubmitted", common | {"user": wallet.pubkey(), "vote": vote, "timestamp": next(times)}
    counts = {"likes": 3, "dislikes": 1, "approval_percentage": 75, "approved": True}
    yield "proposalAggregated", common | counts | {"timestamp": next(times)}
    approved_at, activated_at = next(times), next(times)
    yield "proposalApproved", common | {"approved_by": net.admin.pubkey(), "timestamp": approved_at}
    activated = {"creator": market.creator, "initial_liquidity": market.initial_liquidity, "timestamp": activated_at}
    yield "marketActivated", common | activated
    votes = {"proposal_likes": 3, "proposal_dislikes": 1, "proposal_total_votes": 4}
    market.enter("Active", approved_at=approved_at, activated_at=activated_at, **votes)


def trading(net: Localnet, market: ExpectedMarket, times: Times) -> Iterator[Event]:
    alice, bob, carol = (wallet.pubkey() for wallet in net.wallets[1:4])
    for user, outcome, target_cost in ((alice, True, P), (bob, False, 2 * P), (carol, False, 3 * P)):
        market.now = next(times)
        yield "sharesBought", market.buy(user, outcome, target_cost)
    market.now = next(times)
    yield "sharesSold", market.sell(bob, False, P // 2)


def ending(net: Localnet, market: ExpectedMarket, times: Times) -> Iterator[Event]:
    common = {"market_id": market.market_id}
    alice, bob, carol, resolver = (wallet.pubkey() for wallet in net.wallets[1:5])
    market.now = next(times)
    resolved = {"resolver": resolver, "outcome": True, "evidence_hash": EVIDENCE, "timestamp": market.now}
    yield "marketResolved", common | resolved
    proposed = {"proposed_outcome": True, "resolution_proposed_at": market.now, "ipfs_evidence_hash": EVIDENCE}
    market.enter("Resolving", resolver=resolver, **proposed)
    market.now = next(times)
    yield "disputeInitiated", common | {"initiator": bob, "disputed_outcome": True, "timestamp": market.now}
    market.enter("Disputed", dispute_initiator=bob, dispute_initiated_at=market.now)
    for user, vote in ((bob, True), (carol, True), (alice, False)):
        yield "disputeVoteSubmitted", common | {"user": user, "vote": vote, "timestamp": next(times)}
    market.now = next(times)
    yield "marketFinalized", common | {"final_outcome": False, "was_disputed": True, "timestamp": market.now}
    counts = {"dispute_agree": 2, "dispute_disagree": 1, "dispute_total_votes": 3}
    market.enter("Finalized", final_outcome=False, was_disputed=True, finalized_at=market.now, **counts)
    for user in (bob, carol):
        market.now = next(times)
        claimed = market.claim(user)
        yield "winningsClaimed", {name: value for name, value in claimed.items() if name != "to_resolver"}
    market.now = next(times)
    yield "liquidityWithdrawn", market.withdraw()


async def check_accounts(net: Localnet, outsider: Outsider, read: Report, market: ExpectedMarket) -> None:
    """The JavaScript libraries, the Python ones and the specification agree on the accounts."""
    assert fields_of(read["market"]) == comparable(market.fields | {"state": "finalized"})
    assert read["balance"] == market.lamports
    assert await outsider.account("MarketAccount", market.address) == market.fields
    for name, wallet in zip(("alice", "bob", "carol"), net.wallets[1:4], strict=True):
        assert fields_of(read["positions"][name]) == comparable(market.positions[wallet.pubkey()])
    config = expected_config(net.admin.pubkey(), net.backend.pubkey(), net.fee_wallet.pubkey())
    assert fields_of(read["config"]) == comparable(config | {"dispute_period": 172_800})
    # Votes by kind and choice: a like, and an agreement to the dispute.
    assert (read["bobsPositions"], read["bobsVotes"], read["markets"]) == (1, ["0001", "0101"], 2)
    assert (read["missing"], read["publishedIdl"]) == (None, None)


def check_subscriptions(report: Report) -> None:
    """Every event came over the subscription as it was read from the transaction; the other kinds came, too."""
    assert report["heard"] == report["events"]
    told = report["notified"]
    address = str(ExpectedMarket(b"\x01" * 32, PROGRAM_ID).address)
    assert (told["account"]["space"], told["inProgram"], told["slot"]) == (488, address, 1)
    assert (told["logs"]["signature"], told["logs"]["err"]) == (report["events"][0]["signature"], None)


def check_sending(report: Report, market: ExpectedMarket) -> None:
    simulated, versioned = report["simulated"], report["versioned"]
    first = next(each for each in report["events"] if each["name"] == "sharesBought")
    ignored = {"timestamp": None}
    assert [(each["name"], each["data"] | ignored) for each in simulated] == [(first["name"], first["data"] | ignored)]
    # 5000 lamports for the signature and 1000 micro-lamports for each of 300,000 units.
    assert (versioned["fee"], versioned["paid"], versioned["version"], versioned["err"]) == (5_300, 5_300, 0, None)
    assert versioned["memo"] == "[15] three SOL on NO"
    before = versioned["simulated"]
    assert (before["err"], before["space"], before["inner"], before["units"]) == (None, 488, 1, versioned["units"])
    assert report["airdrop"] == {"err": None, "balance": 2 * P}
    assert report["expiry"] == "TransactionExpiredBlockheightExceededError"


def check_failures(failures: Report) -> None:
    """Each failure is named as Anchor's client names it, with the account at fault where there is one."""
    program = str(PROGRAM_ID)
    named = {
        "tooSmall": ("TradeTooSmall", 6018, None),
        "landed": ("TradeTooSmall", 6018, None),
        "noPosition": ("AccountNotInitialized", 3012, "position"),
        "notBackend": ("InvalidStateForVoting", 6051, "market"),
        "notAdmin": ("Unauthorized", 6029, "global_config"),
    }
    for name, (code, number, origin) in named.items():
        found = failures[name]
        assert found["kind"] == "AnchorError", found
        assert (found["code"], found["number"], found["origin"], found["program"]) == (code, number, origin, program)
    landed = failures["landed"]
    assert landed["err"] == landed["metaErr"] == {"InstructionError": [0, {"Custom": 6018}]}
    assert landed["fee"] == SIGNATURE_FEE
    twice = failures["twice"]
    assert twice["kind"] == "SendTransactionError"
    assert twice["logs"][-1] == f"Program {program} failed: custom program error: 0x0"


def check_chain(chain: Report, events: list[Report]) -> None:
    newest_first = [each["signature"] for each in reversed(events)]
    # The program's first own transaction is its initialization.
    assert chain["history"][:-1] == newest_first
    assert chain["failedInHistory"] == 1
    assert chain["batch"] == [None] * len(events)
    assert (chain["inner"], chain["inBlock"], chain["blockTime"], chain["blocks"]) == (
        [["createAccount"]],
        True,
        True,
        1,
    )
    assert (chain["finalized"], chain["statuses"], chain["valid"]) == ("finalized", True, True)
    assert (chain["rent"], chain["epochSlots"]) == (4_287_360, 432_000)
    assert chain["slots"][0] <= chain["slots"][1]
    assert (chain["fees"], chain["systemProgram"], chain["supply"]) == (True, True, True)
    assert chain["version"]
