"""Driving the embedded devnet over the API; without it these routes do not exist."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from solders.keypair import Keypair

from tests.api.chain_node import DAY_S, GENESIS_S, TEXT, ChainNode, chain_node
from zmart_lite.api import list_endpoints
from zmart_lite.api.routes import devnet


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[ChainNode]:
    async with chain_node(tmp_path) as started:
        yield started


async def test_it_says_who_is_who(node: ChainNode) -> None:
    answer = (await node.get("/api/devnet")).json()
    assert set(answer) == set(devnet.ENDPOINTS[0].answer)  # type: ignore[call-overload]
    assert answer["admin"] == str(node.net.admin.pubkey())
    assert len(answer["wallets"]) == 10
    assert answer["next_transition"] is None


async def test_the_next_transition_is_named(node: ChainNode) -> None:
    market_id = await node.create(node.net.wallets[0])
    answer = (await node.get("/api/devnet")).json()["next_transition"]
    assert answer["kind"] == "proposal_review"
    assert 0 < answer["seconds_ahead"] <= DAY_S
    assert (await node.get(f"/api/votes/{answer['market']}")).json()["market_id"] == market_id.hex()


async def test_the_faucet_gives(node: ChainNode) -> None:
    wallet = str(Keypair().pubkey())
    assert (await node.get(f"/api/devnet/wallets/{wallet}")).json()["lamports"] == "0"
    answer = await node.post("/api/devnet/airdrop", {"wallet": wallet, "sol": 3})
    assert (answer.status_code, answer.json()["sol"]) == (200, 3)
    held = (await node.get(f"/api/devnet/wallets/{wallet}")).json()
    assert (held["lamports"], held["sol"]) == ("3000000000", 3.0)


async def test_what_the_faucet_gave_can_be_spent_at_once(tmp_path: Path) -> None:
    async with chain_node(tmp_path, slot_ms=100) as node:
        wallet = Keypair()
        assert (await node.post("/api/devnet/airdrop", {"wallet": str(wallet.pubkey())})).status_code == 200
        assert (await node.post("/api/markets", TEXT, wallet)).status_code == 201


async def test_the_faucet_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devnet, "AIRDROP_LOOKS", 2)
    async with chain_node(tmp_path, slot_ms=60_000) as node:
        wallet = str(Keypair().pubkey())
        assert (await node.post("/api/devnet/airdrop", {"wallet": wallet})).status_code == 200
        assert (await node.get(f"/api/devnet/wallets/{wallet}")).json()["lamports"] == "0"


@pytest.mark.parametrize("body", [{}, {"wallet": "x"}, {"wallet": str(Keypair().pubkey()), "sol": 0}])
async def test_bad_wishes_are_400(node: ChainNode, body: object) -> None:
    assert (await node.post("/api/devnet/airdrop", body)).status_code == 400


async def test_an_unknown_form_of_wallet_is_404(node: ChainNode) -> None:
    assert (await node.get("/api/devnet/wallets/nobody")).status_code == 404


async def test_time_goes_forward(node: ChainNode) -> None:
    before = node.parts.clock.now()
    answer = await node.post("/api/devnet/warp", {"seconds": DAY_S})
    assert answer.status_code == 200
    assert node.parts.clock.now() >= before + DAY_S
    to = GENESIS_S + 3 * DAY_S
    assert (await node.post("/api/devnet/warp", {"to": to})).status_code == 200
    assert node.parts.clock.now() >= to


@pytest.mark.parametrize("body", [{}, {"seconds": 0}, {"seconds": 5, "to": GENESIS_S + DAY_S}, {"to": GENESIS_S - 1}])
async def test_it_never_goes_back(node: ChainNode, body: object) -> None:
    assert (await node.post("/api/devnet/warp", body)).status_code == 400


def test_elsewhere_the_routes_do_not_exist() -> None:
    paths = {endpoint.path for endpoint in list_endpoints()}
    assert not any(path.startswith("/api/devnet") for path in paths)
    assert {endpoint.path for endpoint in list_endpoints(embedded_devnet=True)} > paths
