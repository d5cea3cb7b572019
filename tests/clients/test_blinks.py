"""Solana Actions taken by the public SDKs: @dialectlabs/blinks-core unfolds a market's link, @solana/actions has the
transaction made, and it lands.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from tests.cli.process import node
from tests.clients.node_packages import install, run
from tests.page.conftest import page_config
from tests.page.people import act, open_market
from zmart_lite.demo.client import Api, Wallet

pytestmark = pytest.mark.external

FOLDER = Path(__file__).parent / "blinks"


def test_a_markets_link_is_unfolded_and_bought_from(tmp_path: Path, external_tool: Callable[[str], str]) -> None:
    asyncio.run(install(external_tool("npm"), FOLDER))
    with node(page_config(tmp_path)) as process:
        keypair = Keypair()

        async def work(api: Api, wallet: Wallet) -> str:
            await Wallet(api, "reader", keypair).fund(10)
            return await open_market(api, wallet, "Is this link unfolded?")

        market = act(process, work)
        task = {"url": process.url, "rpcUrl": process.rpc_url, "market": market, "secret": list(bytes(keypair))}
        javascript = external_tool("node")
        code, out, err = asyncio.run(run(FOLDER, javascript, "blinks.mjs", stdin=json.dumps(task).encode()))
        assert code == 0, err
        seen: dict[str, Any] = json.loads(out)
        assert seen["found"] == f"{process.url}/api/actions/markets/{market}"
        assert (seen["title"], seen["disabled"]) == ("Is this link unfolded?", False)
        assert seen["version"] == "2.4"
        assert len(seen["blockchainIds"]) == 1
        assert [link["label"] for link in seen["links"][:2]] == ["YES 0.1 SOL", "YES 0.5 SOL"]
        assert seen["links"][-1]["parameters"] == ["amount number", "outcome radio"]
        assert seen["following"] == "completed"

        async def bought(api: Api, _: Wallet) -> bool:
            async def indexed() -> bool:
                found = await api.get(f"/api/users/{keypair.pubkey()}/positions", market_id=market)
                return bool(found) and int(found[0]["shares_yes"]) > 0

            await api.until("the purchase was indexed", indexed)
            return True

        assert act(process, bought)
