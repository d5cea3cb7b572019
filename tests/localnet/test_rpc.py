"""JSON-RPC over HTTP: envelopes, accounts, blocks, and the devnet's start."""

import asyncio
import socket
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solana.rpc.types import DataSliceOpts, MemcmpOpts
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from tests.localnet.rpc_harness import CONFIRMED, PROGRAM_ID, START_TIME, Devnet, running
from zmart_lite.errors import StartupError
from zmart_lite.localnet import Localnet, LocalnetOptions
from zmart_lite.localnet.params import Config, Params, RpcError, decode_base58, encode_base58
from zmart_lite.localnet.rpc import METHODS, Rpc
from zmart_lite.localnet.runtime import Account
from zmart_lite.localnet.wire import AccountForm, account_json
from zmart_lite.models import Commitment, GlobalConfig


@pytest.fixture
async def devnet() -> AsyncIterator[Devnet]:
    async with running() as started:
        yield started


@pytest.fixture
async def client(devnet: Devnet) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(devnet.net.rpc_url, commitment=Confirmed) as found:
        yield found


async def test_a_fresh_devnet_is_funded_and_initialized(devnet: Devnet, client: AsyncClient) -> None:
    net = devnet.net
    assert len({wallet.pubkey() for wallet in net.wallets}) == 10
    for commitment in ("processed", "confirmed", "finalized"):
        balance = await devnet.call("getBalance", str(net.wallets[9].pubkey()), {"commitment": commitment})
        assert balance["value"] == 1_000 * 10**9
        found = await devnet.call(
            "getAccountInfo", str(Pubkey(net.codec.config_address())), {"commitment": commitment, "encoding": "base64"}
        )
        config = net.codec.decode_account(b64decode(found["value"]["data"][0]))
        assert isinstance(config, GlobalConfig)
        assert config.admin == bytes(net.admin.pubkey())
        assert config.backend_authority == bytes(net.backend.pubkey())
        assert config.protocol_fee_wallet == bytes(net.fee_wallet.pubkey())
        assert config.dispute_period == 259_200
    program = (await client.get_account_info(Pubkey(PROGRAM_ID))).value
    assert program is not None
    assert program.executable


def test_keys_depend_on_the_seed_only() -> None:
    first, second, other = (Localnet(LocalnetOptions(PROGRAM_ID, slot_ms=0, seed=seed)) for seed in (b"a", b"a", b"b"))
    assert first.wallets == second.wallets
    assert first.wallets != other.wallets
    assert first.ledger.genesis_hash != second.ledger.genesis_hash


async def test_taken_port_is_a_clear_error(devnet: Devnet) -> None:
    port = int(devnet.net.rpc_url.rpartition(":")[2])
    with pytest.raises(StartupError, match=f"{port}: the address is in use"):
        await Localnet(LocalnetOptions(PROGRAM_ID, rpc_port=port, slot_ms=0)).start()
    with pytest.raises(StartupError, match="the address is in use"):
        await Localnet(LocalnetOptions(PROGRAM_ID, rpc_port=port - 1, slot_ms=0)).start()


async def test_ports_are_free_again_after_stop() -> None:
    async with running() as devnet:
        port = int(devnet.net.rpc_url.rpartition(":")[2])
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


async def test_timer_makes_blocks() -> None:
    async with running(slot_ms=10, genesis_time=None) as devnet:
        start = devnet.net.ledger.open_slot
        reached = asyncio.Event()
        devnet.net.ledger.on_block(lambda block: reached.set() if block.slot >= start + 3 else None)
        async with asyncio.timeout(10):
            await reached.wait()


async def test_a_chain_on_disk_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "ledger.bin"
    async with running(ledger_path=path) as devnet:
        signature = await devnet.send(devnet.transaction(devnet.create_market(1)))
        genesis = await devnet.call("getGenesisHash")
    async with running(ledger_path=path) as devnet:
        assert await devnet.call("getGenesisHash") == genesis
        landed = await devnet.call("getTransaction", signature, {"encoding": "base64"})
        assert landed["meta"]["err"] is None
        assert not (await devnet.call("getSignatureStatuses", [signature]))["value"][0]["err"]


def test_a_chain_of_other_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.bin"
    Localnet(LocalnetOptions(PROGRAM_ID, slot_ms=0, ledger_path=path)).ledger.close()
    with pytest.raises(StartupError, match="another seed"):
        Localnet(LocalnetOptions(PROGRAM_ID, slot_ms=0, ledger_path=path, seed=b"other"))
    with pytest.raises(StartupError, match="another program"):
        Localnet(LocalnetOptions(bytes(32), slot_ms=0, ledger_path=path))


@pytest.mark.parametrize(("host", "url"), [("0.0.0.0", "http://127.0.0.1:"), ("::1", "http://[::1]:")])
async def test_hosts_become_urls(host: str, url: str) -> None:
    async with running(host=host) as devnet:
        assert devnet.net.rpc_url.startswith(url)
        assert await devnet.call("getHealth") == "ok"


async def test_malformed_requests(devnet: Devnet) -> None:
    url, headers = devnet.net.rpc_url, {"content-type": "application/json"}
    for body, code in (
        (b"{", -32700),
        (b"\xff", -32700),
        (b"[" * 40_000, -32700),
        (b"[]", -32600),
        (b"5", -32600),
        (b'{"id":true}', -32600),
        (b'{"method":"getHealth"}', -32600),
    ):
        answer = (await devnet.http.post(url, content=body, headers=headers)).json()
        assert (answer["jsonrpc"], answer["error"]["code"], answer["id"]) == ("2.0", code, None)


async def test_idle_connections_outlast_those_of_clients(devnet: Devnet) -> None:
    """web3.js keeps a connection for 19 s, because a cluster's node does for 20."""
    assert devnet.net._server is not None
    assert devnet.net._server.config.timeout_keep_alive > 20


async def test_http_edges(devnet: Devnet) -> None:
    url, http = devnet.net.rpc_url, devnet.http
    assert (await http.get(url)).status_code == 405
    assert (await http.post(url, content=b"{}", headers={"content-type": "text/plain"})).status_code == 415
    big = b'"' + b"x" * 60_000 + b'"'
    assert (await http.post(url, content=big, headers={"content-type": "application/json"})).status_code == 413
    health = await http.get(f"{url}/health")
    assert (health.status_code, health.text) == (200, "ok")


async def test_webhooks_are_registered_on_the_same_port(devnet: Devnet) -> None:
    url = f"{devnet.net.rpc_url}/v0/webhooks?api-key=some-key"
    assert (await devnet.http.get(url)).json() == []
    assert (await devnet.call("localnet_webhookFaults"))["webhooks"] == {}


async def test_browsers_may_call(devnet: Devnet) -> None:
    asked = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,solana-client",
    }
    preflight = await devnet.http.options(devnet.net.rpc_url, headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "solana-client" in preflight.headers["access-control-allow-headers"].lower()


async def test_batches_keep_order_and_skip_notifications(devnet: Devnet) -> None:
    calls: list[Any] = [
        {"jsonrpc": "2.0", "id": "a", "method": "getHealth"},
        {"jsonrpc": "2.0", "method": "getHealth"},
        {"jsonrpc": "2.0", "id": 2, "method": "nope"},
        7,
    ]
    answers = await devnet.post(calls)
    assert answers[0] == {"jsonrpc": "2.0", "result": "ok", "id": "a"}
    assert answers[1]["error"] == {"code": -32601, "message": "Method not found"}
    assert answers[2]["error"]["code"] == -32600
    assert len(answers) == 3


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("getBalance", [], "`params` should have at least 1 argument(s)"),
        ("getBalance", ["tooShort"], "Invalid param: WrongSize"),
        ("getBalance", ["0" * 40], "Invalid param: Invalid"),
        ("getBalance", [5], "Invalid params: invalid type: integer `5`, expected a string."),
        ("getBalance", ["1" * 32, {"commitment": "max"}], "Invalid params: unknown variant `max`"),
        ("getBalance", ["1" * 32, 5], "Invalid params: invalid type: integer `5`, expected a configuration object."),
        ("getBlock", [-1], "Invalid params: invalid value: integer `-1`, expected u64."),
        ("getBlock", [True], "Invalid params: invalid type: boolean `true`, expected u64."),
        ("getMultipleAccounts", [["1" * 32] * 101], "Too many inputs provided; max 100"),
        ("getSignatureStatuses", [["1" * 64] * 257], "Too many inputs provided; max 256"),
        ("getProgramAccounts", ["1" * 32, {"filters": [{"dataSize": 1}] * 5}], "Too many filters provided; max 4"),
        ("getSignaturesForAddress", ["1" * 32, {"limit": 1001}], "Invalid limit; max 1000"),
        (
            "getSignaturesForAddress",
            ["1" * 32, {"commitment": "processed"}],
            "Method does not support commitment below `confirmed`",
        ),
    ],
)
async def test_wrong_params(devnet: Devnet, method: str, params: list[Any], message: str) -> None:
    error = await devnet.error(method, *params)
    assert error["code"] == -32602
    assert error["message"].startswith(message)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=12) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
HARMLESS = sorted(set(METHODS) - {"localnet_produceBlocks", "localnet_warp"})


@pytest.fixture(scope="module")
def offline() -> Rpc:
    return Rpc(Localnet(LocalnetOptions(PROGRAM_ID, slot_ms=0, genesis_time=START_TIME)).context)


@given(method=st.sampled_from(HARMLESS), params=st.lists(json_values, max_size=3))
def test_no_params_break_a_method(offline: Rpc, method: str, params: list[Any]) -> None:
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    answer = msgspec.json.decode(offline.answer(body))
    assert ("result" in answer) != ("error" in answer)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_server(offline: Rpc, body: bytes) -> None:
    msgspec.json.decode(offline.answer(body) or b"null")


@given(st.binary(max_size=80))
def test_base58_round_trip(data: bytes) -> None:
    assert decode_base58(encode_base58(data)) == data


async def test_node_facts(devnet: Devnet, client: AsyncClient) -> None:
    assert await client.is_connected()
    assert (await client.get_version()).value.solana_core
    assert (await client.get_genesis_hash()).value == (await client.get_genesis_hash()).value
    assert str((await client.get_identity()).value.identity) == (await devnet.call("getIdentity"))["identity"]
    assert (await client.get_vote_accounts()).value.current == []
    assert len((await client.get_cluster_nodes()).value) == 1
    assert (await client.get_epoch_schedule()).value.slots_per_epoch == 432_000
    assert (await client.get_minimum_balance_for_rent_exemption(488)).value == 4_287_360
    info = (await client.get_epoch_info()).value
    assert info.absolute_slot == info.slot_index == (await client.get_slot()).value
    assert info.transaction_count == (await client.get_transaction_count()).value == 1
    assert (await client.get_supply()).value.total > 500_000_000 * 10**9


async def test_slots_and_heights_by_commitment(devnet: Devnet, client: AsyncClient) -> None:
    await devnet.call("localnet_produceBlocks", 50)
    slots = [await devnet.call("getSlot", {"commitment": level}) for level in ("processed", "confirmed", "finalized")]
    assert (slots[0] - slots[1], slots[0] - slots[2]) == (1, 32)
    assert await devnet.call("getSlot") == slots[2]
    await devnet.call("localnet_dropBlocks", 3)
    height, slot = await devnet.call("getBlockHeight", CONFIRMED), await devnet.call("getSlot", CONFIRMED)
    assert slot == slots[1] - 3
    await devnet.call("localnet_produceBlocks", 1)
    assert await devnet.call("getBlockHeight", CONFIRMED) == height + 1
    assert await devnet.call("getSlot", CONFIRMED) > slot + 1


async def test_blockhashes(devnet: Devnet, client: AsyncClient) -> None:
    latest = (await client.get_latest_blockhash()).value
    assert latest.last_valid_block_height == (await client.get_block_height()).value + 150
    assert await devnet.call("isBlockhashValid", str(latest.blockhash), CONFIRMED) | {"context": 0} == {
        "context": 0,
        "value": True,
    }
    assert (await devnet.call("isBlockhashValid", "1" * 32, CONFIRMED))["value"] is False
    await devnet.call("localnet_produceBlocks", 151)
    assert (await devnet.call("isBlockhashValid", str(latest.blockhash), CONFIRMED))["value"] is False


async def test_blocks(devnet: Devnet, client: AsyncClient) -> None:
    signature = await devnet.send(devnet.transaction(devnet.create_market(1)))
    slot = await devnet.call("getSlot", CONFIRMED)
    full = await devnet.call("getBlock", slot, CONFIRMED | {"maxSupportedTransactionVersion": 0})
    assert full["transactions"][0]["transaction"]["signatures"] == [signature]
    assert full["transactions"][0]["version"] == "legacy"
    assert (full["parentSlot"], full["blockTime"], full["rewards"]) == (slot - 1, START_TIME, [])
    for details, present in (("signatures", "signatures"), ("accounts", "transactions"), ("none", None)):
        config = CONFIRMED | {"transactionDetails": details, "rewards": False}
        found = await devnet.call("getBlock", slot, config)
        assert {"signatures", "transactions", "rewards"} & set(found) == ({present} if present else set())
    assert (await devnet.call("getBlock", slot, CONFIRMED | {"transactionDetails": "signatures"}))["signatures"] == [
        signature
    ]
    await devnet.call("localnet_produceBlocks", 32)
    for encoding in ("json", "jsonParsed", "base64", "base58"):
        found_block = (await client.get_block(slot, encoding, 0)).value
        assert found_block is not None
        assert found_block.block_height == slot
    assert (await client.get_block_time(slot)).value == START_TIME
    assert (await client.get_blocks(slot - 2, slot)).value == [slot - 2, slot - 1, slot]
    assert await devnet.call("getBlocksWithLimit", 3, 4) == [3, 4, 5, 6]
    assert (await client.get_first_available_block()).value == 0


async def test_blocks_that_are_not_there(devnet: Devnet) -> None:
    slot = await devnet.call("getSlot", CONFIRMED)
    assert (await devnet.error("getBlock", slot, {}))["code"] == -32004
    assert (await devnet.error("getBlock", slot + 100, CONFIRMED))[
        "message"
    ] == f"Block not available for slot {slot + 100}"
    await devnet.call("localnet_dropBlocks", 1)
    await devnet.call("localnet_produceBlocks", 1)
    skipped = await devnet.error("getBlock", slot, CONFIRMED)
    assert skipped["code"] == -32007
    assert await devnet.call("getBlocks", slot, slot, CONFIRMED) == []


async def test_min_context_slot(devnet: Devnet) -> None:
    slot = await devnet.call("getSlot", CONFIRMED)
    await devnet.call("getSlot", CONFIRMED | {"minContextSlot": slot})
    error = await devnet.error("getSlot", CONFIRMED | {"minContextSlot": slot + 1})
    assert error == {
        "code": -32016,
        "message": "Minimum context slot has not been reached",
        "data": {"contextSlot": slot},
    }


async def test_account_shapes(devnet: Devnet, client: AsyncClient) -> None:
    key = str(devnet.alice.pubkey())
    found = await devnet.call("getAccountInfo", key, {"encoding": "base64"})
    assert found["value"] == {
        "data": ["", "base64"],
        "executable": False,
        "lamports": 1_000 * 10**9,
        "owner": "1" * 32,
        "rentEpoch": 18446744073709551615,
        "space": 0,
    }
    assert set(found["context"]) == {"apiVersion", "slot"}
    assert (await devnet.call("getAccountInfo", "Vote111111111111111111111111111111111111111"))["value"] is None
    assert (await client.get_account_info(devnet.alice.pubkey())).value.lamports == 1_000 * 10**9  # type: ignore[union-attr]
    both = (await client.get_multiple_accounts([devnet.alice.pubkey(), Pubkey.new_unique()])).value
    assert [each is None for each in both] == [False, True]


async def test_encodings_and_slices(devnet: Devnet, client: AsyncClient) -> None:
    key = Pubkey(b"\x55" * 32)
    data = bytes(range(200))
    devnet.net.ledger.set_account(bytes(key), Account(10**9, PROGRAM_ID, data))
    for encoding in ("base64", "base64+zstd", "jsonParsed"):
        found = (await client.get_account_info(key, encoding=encoding)).value
        assert found is not None
        assert bytes(found.data) == data
    part = (await client.get_account_info(key, encoding="base58", data_slice=DataSliceOpts(5, 3))).value
    assert part is not None
    assert part.data == data[5:8]
    whole = CONFIRMED | {"encoding": "base58"}
    assert (await devnet.error("getAccountInfo", str(key), whole))["code"] == -32600
    clock = await devnet.call(
        "getAccountInfo", "SysvarC1ock11111111111111111111111111111111", CONFIRMED | {"encoding": "base64"}
    )
    assert int.from_bytes(b64decode(clock["value"]["data"][0])[32:], "little") == START_TIME


@given(st.binary(max_size=3_000) | st.integers(130_000, 300_000).map(bytes))
def test_stored_zstd_is_what_the_format_says(data: bytes) -> None:
    encoded = account_json(bytes(32), Account(1, data=data), AccountForm("base64+zstd"), lambda _key: None)["data"]
    frame = b64decode(encoded[0])
    assert frame[:5] == bytes.fromhex("28b52ffda0")
    assert int.from_bytes(frame[5:9], "little") == len(data)
    content, at, last = b"", 9, False
    while not last:
        header = int.from_bytes(frame[at : at + 3], "little")
        last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        assert kind == 0
        content += frame[at + 3 : at + 3 + size]
        at += 3 + size
    assert (content, at) == (data, len(frame))


async def test_program_accounts_with_filters(devnet: Devnet, client: AsyncClient) -> None:
    for number in (1, 2):
        await devnet.send(devnet.transaction(devnet.create_market(number)))
    program, codec = Pubkey(PROGRAM_ID), devnet.net.codec
    markets = {Pubkey(codec.market_address(bytes([number]) * 32)) for number in (1, 2)}
    found = (await client.get_program_accounts(program, encoding="base64", filters=[488])).value
    assert {each.pubkey for each in found} == markets
    by_id = MemcmpOpts(offset=8, bytes=encode_base58(bytes([2]) * 32))
    (only,) = (await client.get_program_accounts(program, encoding="base64", filters=[488, by_id])).value
    assert only.pubkey == Pubkey(codec.market_address(bytes([2]) * 32))
    base64 = {"memcmp": {"offset": 8, "bytes": "AgICAg==", "encoding": "base64"}}
    config = CONFIRMED | {
        "encoding": "base64",
        "filters": [base64],
        "withContext": True,
        "dataSlice": {"offset": 8, "length": 2},
    }
    shaped = await devnet.call("getProgramAccounts", str(program), config)
    assert [row["account"]["data"] for row in shaped["value"]] == [["AgI=", "base64"]]
    finalized = await devnet.call("getProgramAccounts", str(program), {"encoding": "base64"})
    assert [row["pubkey"] for row in finalized] == [str(Pubkey(codec.config_address()))]
    for bad in ({"memcmp": {"offset": 0, "bytes": "0OIl"}}, {"memcmp": 5}, {"other": 1}, 5):
        assert (await devnet.error("getProgramAccounts", str(program), {"filters": [bad]}))["code"] == -32602


async def test_each_commitment_answers_its_own_account(devnet: Devnet) -> None:
    devnet.net.ledger.paused = True
    pay = transfer(TransferParams(from_pubkey=devnet.alice.pubkey(), to_pubkey=devnet.bob.pubkey(), lamports=5))
    await devnet.send(devnet.transaction(pay))
    balances = []
    for level in ("processed", "confirmed", "finalized"):
        found = await devnet.call("getBalance", str(devnet.bob.pubkey()), {"commitment": level})
        balances.append(found["value"] - 1_000 * 10**9)
    assert balances == [5, 0, 0]


def test_config_fields_are_checked() -> None:
    with pytest.raises(RpcError):
        Config({"flag": "yes"}).flag("flag")
    with pytest.raises(RpcError):
        AccountForm.of(Config({"dataSlice": {"offset": 1}}))
    assert Params([]).config(0).commitment() is Commitment.FINALIZED
