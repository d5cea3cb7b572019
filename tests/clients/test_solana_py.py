"""What solana-py's own types make of the devnet's answers and notifications: they are a cluster's, field by field."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Commitment, Confirmed, Finalized, Processed
from solana.rpc.core import RPCException
from solana.rpc.types import DataSliceOpts, TxOpts
from solana.rpc.websocket_api import SolanaWsClientProtocol, connect
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.rpc.config import RpcTransactionLogsFilterMentions
from solders.rpc.errors import SendTransactionPreflightFailureMessage
from solders.rpc.responses import (
    AccountNotification,
    LogsNotification,
    ProgramNotification,
    RootNotification,
    SignatureNotification,
    SlotNotification,
    SubscriptionResult,
)
from solders.signature import Signature
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.system_program import TransferParams, transfer
from solders.transaction import Legacy, VersionedTransaction
from solders.transaction_status import (
    EncodedConfirmedTransactionWithStatusMeta,
    ParsedInstruction,
    TransactionConfirmationStatus,
    TransactionErrorFieldless,
)

from tests.clients.expectations import QUESTION, ExpectedMarket, P
from tests.clients.outsider import CONFIG, PROGRAM_ID, SIGNATURE_FEE, Outsider, devnet, plain
from zmart_lite.localnet import Localnet

# sumtypes, which anchorpy's enums are made with, still names an argument that attrs is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The `repr_ns` argument is deprecated:DeprecationWarning")

WAIT_S = 10
SLOT_MS = 20

Parties = tuple[Localnet, Outsider]


@pytest.fixture
async def parties() -> AsyncIterator[Parties]:
    """Blocks follow each other by themselves, fast."""
    async with devnet(slot_ms=SLOT_MS, genesis_time=None) as started:
        yield started


async def create(parties: Parties, number: int = 1) -> tuple[ExpectedMarket, Signature]:
    net, outsider = parties
    creator = net.wallets[0]
    market = ExpectedMarket(bytes([number]) * 32, creator.pubkey())
    accounts = {"market": market.address, "creator": market.creator}
    signature = await outsider.call(creator, "create_market", market.market_id, market.b, P, QUESTION, **accounts)
    return market, signature


async def signed_transfer(client: AsyncClient, payer: Keypair, to: Pubkey, *, v0: bool = False) -> VersionedTransaction:
    """A transfer of one SOL."""
    blockhash = (await client.get_latest_blockhash(Confirmed)).value.blockhash
    instruction = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=P))
    if v0:
        return VersionedTransaction(MessageV0.try_compile(payer.pubkey(), [instruction], [], blockhash), [payer])
    return VersionedTransaction(Message.new_with_blockhash([instruction], payer.pubkey(), blockhash), [payer])


async def subscribed(socket: SolanaWsClientProtocol) -> int:
    """The number of the subscription that was just asked for."""
    async with asyncio.timeout(WAIT_S):
        [first] = await socket.recv()
    assert isinstance(first, SubscriptionResult)
    return first.result


async def first_of(socket: SolanaWsClientProtocol, wanted: set[int]) -> dict[int, Any]:
    """The first notification of each of these subscriptions."""
    found: dict[int, Any] = {}
    async with asyncio.timeout(WAIT_S):
        while wanted - found.keys():
            for message in await socket.recv():
                assert not isinstance(message, SubscriptionResult)
                found.setdefault(message.subscription, message)
    return found


async def test_a_new_market_is_seen_by_every_kind_of_subscription(parties: Parties) -> None:
    net, outsider = parties
    market = ExpectedMarket(b"\x01" * 32, net.wallets[0].pubkey())
    async with connect(net.ws_url) as socket:
        await socket.account_subscribe(market.address, Confirmed, "base64")
        account = await subscribed(socket)
        await socket.logs_subscribe(RpcTransactionLogsFilterMentions(PROGRAM_ID), Confirmed)
        logs = await subscribed(socket)
        await socket.program_subscribe(PROGRAM_ID, Confirmed, "base64", filters=[488])
        program = await subscribed(socket)
        market, signature = await create(parties)
        found = await first_of(socket, {account, logs, program})
        check_notifications(outsider, market, signature, [found[each] for each in (account, logs, program)])
        await socket.account_unsubscribe(account)
        async with asyncio.timeout(WAIT_S):
            [ended] = await socket.recv()
        assert ended.result is True


def check_notifications(outsider: Outsider, market: ExpectedMarket, signature: Signature, found: list[Any]) -> None:
    account, logs, program = found
    assert isinstance(account, AccountNotification)
    assert isinstance(logs, LogsNotification)
    assert isinstance(program, ProgramNotification)
    assert account.result.value == program.result.value.account
    assert program.result.value.pubkey == market.address
    assert account.result.value.owner == PROGRAM_ID
    assert account.result.context.slot == logs.result.context.slot == program.result.context.slot
    read = plain(outsider.program.coder.accounts.decode(bytes(account.result.value.data)))
    assert read == market.fields | {"created_at": read["created_at"]}
    assert (logs.result.value.signature, logs.result.value.err) == (signature, None)
    [event] = outsider.events(list(logs.result.value.logs))
    assert (event.name, plain(event.data)["market_id"]) == ("MarketCreated", market.market_id)


async def test_a_signature_is_told_once_at_each_commitment(parties: Parties) -> None:
    net, outsider = parties
    sent = await signed_transfer(outsider.client, net.wallets[0], net.wallets[1].pubkey())
    signature = sent.signatures[0]
    levels: dict[int, Commitment] = {}
    async with connect(net.ws_url) as socket:
        for level in (Processed, Confirmed, Finalized):
            await socket.signature_subscribe(signature, level)
            levels[await subscribed(socket)] = level
        await outsider.client.send_transaction(sent, TxOpts(preflight_commitment=Confirmed))
        found = await first_of(socket, set(levels))
        assert [levels[number] for number in found] == [Processed, Confirmed, Finalized]
        for message in found.values():
            assert isinstance(message, SignatureNotification)
            assert message.result.value.err is None
    status = (await outsider.client.get_signature_statuses([signature])).value[0]
    assert status is not None
    assert status.confirmation_status == TransactionConfirmationStatus.Finalized


async def test_slots_and_roots_are_told(parties: Parties) -> None:
    net, _outsider = parties
    async with connect(net.ws_url) as socket:
        await socket.slot_subscribe()
        await socket.root_subscribe()
        slots: list[SlotNotification] = []
        roots: list[RootNotification] = []
        async with asyncio.timeout(WAIT_S):
            while len(slots) < 3 or len(roots) < 3:
                for message in await socket.recv():
                    slots += [message] if isinstance(message, SlotNotification) else []
                    roots += [message] if isinstance(message, RootNotification) else []
    assert [slot.result.slot - slot.result.parent for slot in slots] == [1] * len(slots)
    assert [root.result - roots[0].result for root in roots] == list(range(len(roots)))


async def test_a_send_is_confirmed_before_its_blockhash_expires(parties: Parties) -> None:
    net, outsider = parties
    client, friend = outsider.client, Keypair().pubkey()
    for v0 in (False, True):
        latest = (await client.get_latest_blockhash(Confirmed)).value
        options = TxOpts(False, preflight_commitment=Confirmed, last_valid_block_height=latest.last_valid_block_height)
        sent = await client.send_transaction(await signed_transfer(client, net.wallets[0], friend, v0=v0), options)
        found = (await client.get_transaction(sent.value, "base64", Confirmed, 0)).value
        assert isinstance(found, EncodedConfirmedTransactionWithStatusMeta)
        assert found.transaction.version == (0 if v0 else Legacy.Legacy)
    assert await outsider.balance(friend) == 2 * P


async def test_airdrops_arrive(parties: Parties) -> None:
    _net, outsider = parties
    target = Keypair().pubkey()
    for expected in (3 * P, 6 * P):
        signature = (await outsider.client.request_airdrop(target, 3 * P)).value
        await outsider.client.confirm_transaction(signature, Confirmed, sleep_seconds=0.01)
        assert await outsider.balance(target) == expected


async def test_what_cannot_land_is_refused_with_its_reason(parties: Parties) -> None:
    net, outsider = parties
    client, poor = outsider.client, Keypair()
    options = TxOpts(preflight_commitment=Confirmed)
    nobody = await signed_transfer(client, poor, net.wallets[0].pubkey())
    with pytest.raises(RPCException) as caught:
        await client.send_transaction(nobody, options)
    refusal = caught.value.args[0]
    assert isinstance(refusal, SendTransactionPreflightFailureMessage)
    assert refusal.data.err == TransactionErrorFieldless.AccountNotFound
    good = await signed_transfer(client, net.wallets[0], poor.pubkey())
    first = await client.send_transaction(good, TxOpts(False, preflight_commitment=Confirmed))
    with pytest.raises(RPCException) as caught:
        await client.send_transaction(good, options)
    assert caught.value.args[0].data.err == TransactionErrorFieldless.AlreadyProcessed
    assert first.value == good.signatures[0]


async def test_a_transaction_is_read_in_every_encoding(parties: Parties) -> None:
    _net, outsider = parties
    client = outsider.client
    _market, signature = await create(parties)
    for encoding in ("json", "jsonParsed", "base64", "base58"):
        found = (await client.get_transaction(signature, encoding, Confirmed, 0)).value
        assert found is not None
        meta = found.transaction.meta
        assert meta is not None
        assert (meta.err, meta.fee, found.block_time is not None) == (None, SIGNATURE_FEE, True)
        assert meta.pre_balances[0] - meta.post_balances[0] == 4_287_360 + SIGNATURE_FEE
        assert meta.inner_instructions is not None
    parsed = (await client.get_transaction(signature, "jsonParsed", Confirmed, 0)).value
    assert parsed is not None
    assert parsed.transaction.meta is not None
    [inner] = (parsed.transaction.meta.inner_instructions or [])[0].instructions
    assert isinstance(inner, ParsedInstruction)
    assert (inner.program, inner.program_id) == ("system", SYSTEM_PROGRAM)
    await client.confirm_transaction(signature, Finalized, sleep_seconds=0.02)
    block = (await client.get_block(parsed.slot, "json", 0)).value
    assert block is not None
    assert signature in [each.transaction.signatures[0] for each in block.transactions or []]
    assert (await client.get_block_time(parsed.slot)).value == block.block_time


async def test_the_history_of_an_address_is_paged(parties: Parties) -> None:
    net, outsider = parties
    client = outsider.client
    sent = [(await create(parties, number))[1] for number in range(1, 6)]
    newest_first = list(reversed(sent))
    creator = net.wallets[0].pubkey()
    rows = (await client.get_signatures_for_address(creator, commitment=Confirmed)).value
    assert [row.signature for row in rows] == newest_first
    page = (await client.get_signatures_for_address(creator, sent[3], sent[0], 2, Confirmed)).value
    assert [row.signature for row in page] == [sent[2], sent[1]]
    assert [row.err for row in page] == [None, None]
    assert [row.slot for row in rows] == sorted((row.slot for row in rows), reverse=True)


async def test_accounts_are_read_whole_in_part_and_many_at_once(parties: Parties) -> None:
    net, outsider = parties
    client = outsider.client
    market, _signature = await create(parties)
    wanted = DataSliceOpts(offset=8, length=32)
    part = (await client.get_account_info(market.address, Confirmed, data_slice=wanted)).value
    assert part is not None
    assert bytes(part.data) == market.market_id
    parsed = (await client.get_account_info_json_parsed(market.address, Confirmed)).value
    assert parsed is not None
    assert parsed.owner == PROGRAM_ID
    program = (await client.get_account_info(PROGRAM_ID, Confirmed)).value
    assert program is not None
    assert program.executable
    many = (await client.get_multiple_accounts([market.address, Keypair().pubkey(), CONFIG], Confirmed)).value
    assert [each and len(each.data) for each in many] == [488, None, 206]
    owned = (await client.get_program_accounts_json_parsed(PROGRAM_ID, Confirmed, [206])).value
    assert [each.pubkey for each in owned] == [CONFIG]
    assert (await client.get_minimum_balance_for_rent_exemption(488)).value == 4_287_360
    assert (await client.get_account_info(Keypair().pubkey(), Confirmed)).value is None
    assert await outsider.balance(net.wallets[1].pubkey()) == 1_000 * P


async def test_the_chain_tells_about_itself(parties: Parties) -> None:
    net, outsider = parties
    client = outsider.client
    assert await client.is_connected()
    assert (await client.get_version()).value.solana_core
    genesis = (await client.get_genesis_hash()).value
    assert genesis == (await client.get_genesis_hash()).value
    slots = [(await client.get_slot(level)).value for level in (Finalized, Confirmed, Processed)]
    assert slots == sorted(slots)
    heights = [(await client.get_block_height(level)).value for level in (Finalized, Confirmed, Processed)]
    assert heights == sorted(heights)
    epoch = (await client.get_epoch_info(Confirmed)).value
    assert epoch.absolute_slot >= slots[1]
    assert epoch.slot_index < epoch.slots_in_epoch == (await client.get_epoch_schedule()).value.slots_per_epoch
    first = max(slots[0] - 3, 0)
    blocks = (await client.get_blocks(first, slots[0])).value
    assert blocks == list(range(first, slots[0] + 1))
    assert (await client.get_first_available_block()).value <= slots[0]
    assert (await client.get_identity()).value.identity.is_on_curve()
    assert len((await client.get_cluster_nodes()).value) == 1
    assert (await client.get_supply()).value.total > 0
    assert (await client.get_transaction_count(Confirmed)).value > 0
    assert (await client.get_vote_accounts()).value.delinquent == []
    sent = await signed_transfer(client, net.wallets[0], net.wallets[1].pubkey())
    assert (await client.get_fee_for_message(sent.message, Confirmed)).value == SIGNATURE_FEE
    simulated = (await client.simulate_transaction(sent, sig_verify=True, commitment=Confirmed)).value
    assert (simulated.err, simulated.units_consumed) == (None, 150)
