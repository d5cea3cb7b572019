"""Version-1 transactions sent by a released client: @solana/kit, run by Node."""

import asyncio
import json
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from tests.clients.node_packages import install, run
from tests.localnet import version_one
from tests.localnet.rpc_harness import Devnet, running
from zmart_lite.localnet.natives.addresses import MEMO_ID

pytestmark = pytest.mark.external

FOLDER = Path(__file__).parent / "kit"
UNSUPPORTED = -32015
NUMBERS = {"computeUnitLimit": "units", "heapSize": "heap", "loadedAccountsDataSizeLimit": "loaded"}


@pytest.fixture(scope="module")
def node(external_tool: Callable[[str], str]) -> str:
    """The path of Node, with the packages in place."""
    asyncio.run(install(external_tool("npm"), FOLDER))
    return external_tool("node")


def told(instruction: Instruction) -> dict[str, Any]:
    """An instruction as the script reads it; roles as kit numbers them: 1 writes, 2 signs, 3 both."""
    return {
        "program": str(instruction.program_id),
        "accounts": [
            {"pubkey": str(meta.pubkey), "role": 2 * meta.is_signer + meta.is_writable} for meta in instruction.accounts
        ],
        "data": list(instruction.data),
    }


async def play(node: str, devnet: Devnet, *transactions: tuple[dict[str, int], list[Instruction]]) -> list[Any]:
    task = {
        "rpcUrl": devnet.net.rpc_url,
        "secret": list(bytes(devnet.alice)),
        "transactions": [
            {"config": config, "instructions": [told(each) for each in parts]} for config, parts in transactions
        ],
    }
    code, out, err = await run(FOLDER, node, "version_one.mjs", stdin=json.dumps(task).encode())
    assert code == 0, err
    seen: list[Any] = json.loads(out)
    return seen


async def test_kit_sends_and_reads_them(node: str) -> None:
    async with running() as devnet:
        asked = {"computeUnitLimit": 300_000, "loadedAccountsDataSizeLimit": 100_000, "heapSize": 65_536}
        long = {"computeUnitLimit": 1_400_000, "loadedAccountsDataSizeLimit": 100_000}
        parts = [devnet.create_market(1)], [Instruction(Pubkey(MEMO_ID), b"k" * 3_000, [])]
        ours, large = await play(node, devnet, (asked, parts[0]), (long, parts[1]))
        for each in (ours, large):
            assert each["sent"] == each["signature"]
            assert (each["found"]["version"], each["found"]["meta"]["err"]) == (1, None)
            assert each["refusal"] == UNSUPPORTED
        message = ours["found"]["transaction"]["message"]
        assert message["transactionConfig"] == asked | {"priorityFee": None}
        market = devnet.net.codec.market_address(bytes([1]) * 32)
        assert await devnet.call(
            "getAccountInfo", str(Pubkey(market)), {"commitment": "confirmed", "encoding": "base64"}
        )
        # Two encoders that know nothing of each other come to the same bytes.
        wire = b64decode(ours["wire"])
        blockhash = wire[8:40]
        config = {NUMBERS[name]: value for name, value in asked.items()}
        assert version_one.signed([devnet.alice], parts[0], blockhash, **config) == wire
        assert len(b64decode(large["wire"])) > 3_000
