"""The matrix: released clients of two languages, each in packages of its own, do one list and must see the same.

What a client does is in ``matrix/``: the list (``play.mjs``, ``play.py``), a library's verbs (``web3js.mjs``,
``kit.mjs``, …) and a folder a client with its lock file. ``make clients`` adds those of other languages.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.matrix_task import MARKET_ID, MEMO, TRANSFER_LAMPORTS, Task
from tests.clients.node_packages import install, install_python, run
from tests.clients.outsider import devnet
from zmart_lite.localnet import Localnet
from zmart_lite.models import MarketAccount, MarketState

# sumtypes, which anchorpy's enums are made with, still names an argument that attrs is about to drop.
pytestmark = [
    pytest.mark.external,
    pytest.mark.filterwarnings("ignore:The `repr_ns` argument is deprecated:DeprecationWarning"),
]

FOLDER = Path(__file__).parent / "matrix"
SLOT_MS = 80  # a lookup table may then name its slot for 40 s, and a blockhash lasts 12 s: a busy machine needs it
TIMEOUT_S = 120
NODE_CLIENTS = ("web3js", "kit", "anchor", "anchor-core", "umi", "gill", "solana-client")
PYTHON_CLIENTS = ("solana-py", "anchorpy3")
WITH_IDL = ("anchor", "anchor-core", "anchorpy3")
SUBSCRIPTIONS = {"account": TRANSFER_LAMPORTS, "program": 488, "logs": None, "slot": 1, "root": "number"}
TELL_OF_SLOTS = ("web3js", "anchor", "anchor-core", "solana-py")
"""Those that know ``slotsUpdatesSubscribe``; kit's typed interface leaves it out."""
FAILURES = {
    **dict.fromkeys(("web3js", "anchor", "anchor-core", "umi"), "SendTransactionError"),
    **dict.fromkeys(("kit", "gill", "solana-client"), "SolanaError"),
    **dict.fromkeys(PYTHON_CLIENTS, "SendTransactionPreflightFailureMessage"),
}

Seen = dict[str, Any]


async def command_of(client: str, external_tool: Callable[[str], str]) -> tuple[str, ...]:
    """The command that plays the client's list, with its packages in place."""
    if client in NODE_CLIENTS:
        await install(external_tool("npm"), FOLDER / client)
        return (external_tool("node"), "play.mjs", client)
    return (str(await install_python(FOLDER / client)), "play.py", client)


async def play(command: tuple[str, ...], task: Task) -> Seen:
    code, out, err = await run(FOLDER, *command, stdin=task.as_json(), timeout_s=TIMEOUT_S)
    assert code == 0, err
    seen: Seen = json.loads(out)
    return seen


@pytest.mark.parametrize("client", [*NODE_CLIENTS, *PYTHON_CLIENTS])
async def test_a_client_does_the_whole_list(client: str, external_tool: Callable[[str], str]) -> None:
    command = await command_of(client, external_tool)
    async with devnet(slot_ms=SLOT_MS, genesis_time=None) as (net, _outsider):
        task = Task(net)
        seen = await play(command, task)
        check_sending(seen, task)
        check_encodings(seen["encodings"])
        check_clock(seen["clock"], net)
        check_failure(client, seen["failure"])
        check_market(client, seen, net)
        check_subscriptions(client, seen["heard"])


def check_sending(seen: Seen, task: Task) -> None:
    """The airdrop, a transfer, a memo, a durable nonce and a lookup table: landed, paid for and read back."""
    landed = {"err": None, "fee": 5_000}
    assert seen["airdrop"] == 2 * 10**9
    assert seen["transfer"].pop("balance") == TRANSFER_LAMPORTS
    assert seen["memo"].pop("memo") == f"[{len(MEMO)}] {MEMO}"
    assert seen["nonce"].pop("type") == "initialized"
    assert seen["nonce"].pop("advanced") is True
    assert seen["lookup"].pop("type") == "lookupTable"
    assert seen["lookup"].pop("addresses") == [str(task.receiver)]
    assert seen["lookup"].pop("loaded") == [str(task.receiver)]
    for name in ("transfer", "memo", "nonce", "lookup"):
        told = {key: value for key, value in seen[name].items() if key in landed}
        assert told == landed, name
        # Kit 5 and what stands on it tell the version as a big number, umi does not tell it.
        assert seen[name].get("version", 0) in (0, "0"), name
    simulated = seen["simulated"]
    assert (simulated["err"], simulated["units"], len(simulated["logs"])) == (None, 150, 2)


def check_encodings(found: Seen) -> None:
    """The same four bytes, as the client has them: as bytes, or in the encoding that it asked for."""
    forms: dict[str, tuple[Any, ...]] = {
        "base58": ("7f454c46", ["4Fghph", "base58"]),
        "base64": ("7f454c46",),
        "base64+zstd": ("7f454c46", ["KLUv/aAEAAAAIQAAf0VMRg==", "base64+zstd"]),
        "jsonParsed": ("7f454c46", ["f0VMRg==", "base64"], {"type": "Buffer", "data": [0x7F, 0x45, 0x4C, 0x46]}),
    }
    assert set(found) == set(forms)
    for encoding, known in forms.items():
        assert found[encoding] in known, encoding


def check_clock(clock: Seen, net: Localnet) -> None:
    parsed = clock["parsed"]
    assert (clock["program"], int(clock["space"]), parsed["type"]) == ("sysvar", 40, "clock")
    assert net.ledger.genesis_time <= int(parsed["info"]["unixTimestamp"]) <= net.ledger.clock.now_s()


def check_failure(client: str, failure: Seen) -> None:
    """A transfer that nobody can pay: the library's own type, with the program's words in it."""
    assert failure["name"] == FAILURES[client]
    assert "insufficient lamports" in failure["told"]
    assert failure.get("preflight", True) is True
    if client in ("anchor", "anchor-core"):
        assert failure["anchor"] == {"name": "AnchorError", "code": "AccountNotInitialized", "number": 3012}


def check_market(client: str, seen: Seen, net: Localnet) -> None:
    """A whole market was played: its account is on the chain as the client read it."""
    account = net.ledger.accounts.get(net.codec.market_address(MARKET_ID))
    assert account is not None
    assert seen["market"] == account.data.hex()
    market = net.codec.decode_account(account.data)
    assert isinstance(market, MarketAccount)
    assert market.state is MarketState.FINALIZED
    shares = {"sharesYes": str(market.shares_yes), "sharesNo": str(market.shares_no)}
    assert seen.get("decoded") == ({"state": "finalized"} | shares if client in WITH_IDL else None)


def check_subscriptions(client: str, heard: Seen) -> None:
    if client == "umi":
        assert heard == {}  # it has none
        return
    slots = {"slotsUpdates": "frozen"} if client in TELL_OF_SLOTS else {}
    assert heard == SUBSCRIPTIONS | slots
