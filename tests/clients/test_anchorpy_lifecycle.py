"""Markets from creation to the last withdrawal on the devnet, driven and read by solana-py and anchorpy."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from solana.rpc.commitment import Confirmed
from solana.rpc.types import MemcmpOpts
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from tests.clients.expectations import (
    EVIDENCE,
    MARKET_RENT,
    POSITION_RENT,
    QUESTION,
    VOTE_RENT,
    WITHDRAWAL_MARGIN,
    ExpectedMarket,
    P,
    expected_config,
    expected_vote,
)
from tests.clients.layouts import config_bytes, market_bytes, position_bytes, vote_bytes
from tests.clients.outsider import (
    CONFIG,
    CONFIG_BUMP,
    DISPUTE,
    PROPOSAL,
    SIGNATURE_FEE,
    START_TIME,
    Outsider,
    devnet,
    market_address,
    position_address,
    vote_address,
)
from zmart_lite.localnet import Localnet

# sumtypes, which anchorpy's enums are made with, still names an argument that attrs is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The `repr_ns` argument is deprecated:DeprecationWarning")

YES, NO = True, False
DAY_S = 86_400


class Stage:
    """A devnet with its people, and the one market a test is about."""

    def __init__(self, net: Localnet, outsider: Outsider) -> None:
        self.out = outsider
        self.admin, self.backend, self.fee_wallet = net.admin, net.backend, net.fee_wallet.pubkey()
        self.creator, self.alice, self.bob, self.carol, self.resolver = net.wallets[:5]
        self.market = ExpectedMarket(b"\x01" * 32, self.creator.pubkey())

    async def land(self, signer: Keypair, name: str, *args: Any, **accounts: Pubkey) -> tuple[str, dict[str, Any]]:
        """Run an instruction on the market; its event by name and fields."""
        landed = await self.out.land(signer, name, *args, **{"market": self.market.address, **accounts})
        return landed.event, landed.fields

    async def refused(self, signer: Keypair, name: str, *args: Any, **accounts: Pubkey) -> tuple[int, str]:
        return await self.out.refused(signer, name, *args, **{"market": self.market.address, **accounts})

    async def check(self) -> None:
        """The market and its positions are what they must be, as anchorpy reads them and byte for byte."""
        market = self.market
        assert await self.out.account("MarketAccount", market.address) == market.fields
        assert await self.out.raw(market.address) == market_bytes(market.fields)
        assert await self.out.balance(market.address) == market.lamports
        for user, fields in market.positions.items():
            key = position_address(market.address, user)[0]
            assert await self.out.account("UserPosition", key) == fields
            assert await self.out.raw(key) == position_bytes(fields)

    async def warp(self, seconds: int) -> None:
        answer = await self.out.devtool("warp", seconds=seconds)
        self.market.now += seconds
        assert answer["unixTimestamp"] == self.market.now

    def event(self, **fields: Any) -> dict[str, Any]:
        return {"market_id": self.market.market_id, **fields, "timestamp": self.market.now}

    async def create(self) -> None:
        market = self.market
        before = await self.out.balance(market.creator)
        args = (market.market_id, market.b, market.initial_liquidity, QUESTION)
        landed = await self.land(self.creator, "create_market", *args, creator=market.creator)
        fields = self.event(creator=market.creator, b_parameter=market.b, state=0)
        assert landed == ("MarketCreated", fields)
        assert before - await self.out.balance(market.creator) == MARKET_RENT + SIGNATURE_FEE

    async def vote(self, user: Keypair, kind: bytes, vote: bool) -> None:
        market, name = self.market.address, "proposal" if kind == PROPOSAL else "dispute"
        record = vote_address(market, user.pubkey(), kind)[0]
        before = await self.out.balance(user.pubkey())
        landed = await self.land(user, f"submit_{name}_vote", vote, vote_record=record, user=user.pubkey())
        assert landed == (f"{name.title()}VoteSubmitted", self.event(user=user.pubkey(), vote=vote))
        expected = expected_vote(market, user.pubkey(), kind, vote, self.market.now)
        assert await self.out.account("VoteRecord", record) == expected
        assert await self.out.raw(record) == vote_bytes(expected)
        assert before - await self.out.balance(user.pubkey()) == VOTE_RENT + SIGNATURE_FEE

    async def approve_and_activate(self) -> None:
        market, admin, backend = self.market, self.admin.pubkey(), self.backend.pubkey()
        landed = await self.land(self.backend, "aggregate_proposal_votes", 3, 1, backend_authority=backend)
        counts = self.event(likes=3, dislikes=1, approval_percentage=75, approved=True)
        assert landed == ("ProposalAggregated", counts)
        landed = await self.land(self.admin, "approve_proposal", admin=admin)
        assert landed == ("ProposalApproved", self.event(approved_by=admin))
        market.enter("Approved", proposal_likes=3, proposal_dislikes=1, proposal_total_votes=4, approved_at=market.now)
        await self.check()
        landed = await self.land(self.creator, "activate_market", authority=market.creator)
        expected = self.event(creator=market.creator, initial_liquidity=market.initial_liquidity)
        assert landed == ("MarketActivated", expected)
        market.enter("Active", activated_at=market.now)

    def trader(self, user: Keypair) -> dict[str, Pubkey]:
        position = position_address(self.market.address, user.pubkey())[0]
        return {"position": position, "user": user.pubkey(), "protocol_fee_wallet": self.fee_wallet}

    async def buy(self, user: Keypair, outcome: bool, target_cost: int) -> dict[str, Any]:
        rent = 0 if user.pubkey() in self.market.positions else POSITION_RENT
        before = await self.out.balance(user.pubkey()), await self.out.balance(self.fee_wallet)
        market_before = self.market.lamports
        expected = self.market.buy(user.pubkey(), outcome, target_cost)
        landed = await self.land(user, "buy_shares", outcome, target_cost, **self.trader(user))
        assert landed == ("SharesBought", expected)
        assert before[0] - await self.out.balance(user.pubkey()) == expected["cost"] + rent + SIGNATURE_FEE
        protocol = expected["cost"] - (self.market.lamports - market_before)
        assert await self.out.balance(self.fee_wallet) - before[1] == protocol
        await self.check()
        return expected

    async def sell(self, user: Keypair, outcome: bool, shares: int) -> None:
        before = await self.out.balance(user.pubkey()), await self.out.balance(self.fee_wallet)
        market_before = self.market.lamports
        expected = self.market.sell(user.pubkey(), outcome, shares)
        args = (outcome, shares, expected["proceeds"])
        landed = await self.land(user, "sell_shares", *args, **self.trader(user))
        assert landed == ("SharesSold", expected)
        assert await self.out.balance(user.pubkey()) - before[0] == expected["proceeds"] - SIGNATURE_FEE
        protocol = market_before - self.market.lamports - expected["proceeds"]
        assert await self.out.balance(self.fee_wallet) - before[1] == protocol
        await self.check()

    async def resolve(self, outcome: bool) -> None:
        resolver = self.resolver.pubkey()
        landed = await self.land(self.resolver, "resolve_market", outcome, EVIDENCE, resolver=resolver)
        expected = self.event(resolver=resolver, outcome=outcome, evidence_hash=EVIDENCE)
        assert landed == ("MarketResolved", expected)
        proposed = {"proposed_outcome": outcome, "resolution_proposed_at": self.market.now}
        self.market.enter("Resolving", resolver=resolver, ipfs_evidence_hash=EVIDENCE, **proposed)
        await self.check()

    async def finalize(self, counts: tuple[int | None, int | None], outcome: bool, was_disputed: bool) -> None:
        landed = await self.land(self.backend, "finalize_market", *counts, backend_authority=self.backend.pubkey())
        assert landed == ("MarketFinalized", self.event(final_outcome=outcome, was_disputed=was_disputed))
        ended = {"final_outcome": outcome, "was_disputed": was_disputed, "finalized_at": self.market.now}
        self.market.enter("Finalized", **ended)
        await self.check()

    def claimant(self, user: Keypair) -> dict[str, Pubkey]:
        position = position_address(self.market.address, user.pubkey())[0]
        return {"position": position, "user": user.pubkey(), "resolver": self.resolver.pubkey()}

    async def claim(self, user: Keypair) -> int:
        """Returns what was paid to the winner, in lamports."""
        before = await self.out.balance(user.pubkey()), await self.out.balance(self.resolver.pubkey())
        expected = self.market.claim(user.pubkey())
        to_resolver = expected.pop("to_resolver")
        assert await self.land(user, "claim_winnings", **self.claimant(user)) == ("WinningsClaimed", expected)
        amount: int = expected["amount"]
        assert await self.out.balance(user.pubkey()) - before[0] == amount - SIGNATURE_FEE
        assert await self.out.balance(self.resolver.pubkey()) - before[1] == to_resolver
        await self.check()
        return amount

    async def withdraw(self) -> None:
        before = await self.out.balance(self.market.creator)
        expected = self.market.withdraw()
        landed = await self.land(self.creator, "withdraw_liquidity", creator=self.market.creator)
        assert landed == ("LiquidityWithdrawn", expected)
        assert await self.out.balance(self.market.creator) - before == expected["amount"] - SIGNATURE_FEE
        assert await self.out.balance(self.market.address) == MARKET_RENT + WITHDRAWAL_MARGIN
        await self.check()

    async def open_for_trading(self) -> None:
        await self.create()
        for user, vote in ((self.alice, True), (self.bob, True), (self.carol, True), (self.resolver, False)):
            await self.vote(user, PROPOSAL, vote)
        await self.warp(60)
        await self.approve_and_activate()
        await self.warp(60)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with devnet() as (net, outsider):
        yield Stage(net, outsider)


def test_addresses_are_those_of_the_specification() -> None:
    market, bump = market_address(b"\x01" * 32)
    user = Pubkey(b"\x02" * 32)
    assert (str(CONFIG), CONFIG_BUMP) == ("73ZXQr6GjjD4qnMgsuZNcJsNmd2juUsevXgdAhiKtokz", 255)
    assert (str(market), bump) == ("7Kek2ggTiRjev55rmuD1u4fu9ZpLWwyf8waMyxqVTdem", 253)
    found = [position_address(market, user), vote_address(market, user, PROPOSAL), vote_address(market, user, DISPUTE)]
    assert [(str(key), bump) for key, bump in found] == [
        ("GYs9dnwufE5nrzdHjXBg5GwyM5ZDZtHoSU2unmrKR51z", 253),
        ("FGTxF9AjTRpSqybzNowWUuETypNRGqJCkM2NgRefLnMg", 254),
        ("EnofiyQvTMz8YkRcirYxqdcnLNSQ4p2uB3C2GAtGYvsw", 255),
    ]


async def test_the_program_is_initialized_at_genesis(stage: Stage) -> None:
    expected = expected_config(stage.admin.pubkey(), stage.backend.pubkey(), stage.fee_wallet)
    assert await stage.out.account("GlobalConfig", CONFIG) == expected
    assert await stage.out.raw(CONFIG) == config_bytes(expected)
    again = {"admin": stage.alice.pubkey(), "protocol_fee_wallet": stage.alice.pubkey()}
    name, backend = "initialize_global_config", stage.alice.pubkey()
    assert await stage.out.refused_by_system(stage.alice, name, backend, **again) == 0


async def test_a_disputed_market_from_its_creation_to_the_withdrawal(stage: Stage) -> None:
    await stage.open_for_trading()
    first = await stage.buy(stage.alice, YES, P)
    vector = {"shares": 2_099_871_638, "cost": 999_736_100, "new_price_yes": 500_524_967}
    assert {name: first[name] for name in vector} == vector
    await stage.buy(stage.bob, NO, 2 * P)
    await stage.buy(stage.carol, NO, 3 * P)
    await stage.sell(stage.bob, NO, P // 2)
    await stage.buy(stage.alice, YES, P // 4)
    await stage.resolve(YES)
    await stage.warp(60)
    await dispute(stage)
    await stage.warp(60)
    # Two thirds are above the threshold of 6000 bps: the proposed YES becomes NO.
    stage.market.enter("Disputed", dispute_agree=2, dispute_disagree=1, dispute_total_votes=3)
    await stage.finalize((2, 1), outcome=NO, was_disputed=True)
    await settle(stage, winners=(stage.bob, stage.carol), loser=stage.alice)


async def dispute(stage: Stage) -> None:
    bob = stage.bob.pubkey()
    landed = await stage.land(stage.bob, "initiate_dispute", initiator=bob)
    assert landed == ("DisputeInitiated", stage.event(initiator=bob, disputed_outcome=YES))
    stage.market.enter("Disputed", dispute_initiator=bob, dispute_initiated_at=stage.market.now)
    await stage.check()
    for user, vote in ((stage.bob, True), (stage.carol, True), (stage.alice, False)):
        await stage.vote(user, DISPUTE, vote)
    backend = {"backend_authority": stage.backend.pubkey()}
    assert await stage.refused(stage.backend, "finalize_market", None, None, **backend) == (6024, "NoVotesRecorded")
    assert await stage.refused(stage.backend, "finalize_market", 0, 0, **backend) == (6024, "NoVotesRecorded")


async def settle(stage: Stage, winners: tuple[Keypair, ...], loser: Keypair) -> None:
    """All claims and the withdrawal, and that none of them goes twice."""
    paid = [await stage.claim(user) for user in winners]
    assert all(paid)
    again = await stage.refused(winners[0], "claim_winnings", **stage.claimant(winners[0]))
    assert again == (6022, "AlreadyClaimed")
    assert await stage.refused(loser, "claim_winnings", **stage.claimant(loser)) == (6023, "NoWinnings")
    other = stage.claimant(loser) | {"resolver": loser.pubkey()}
    assert await stage.refused(loser, "claim_winnings", **other) == (6031, "InvalidResolver")
    assert await stage.refused(loser, "withdraw_liquidity", creator=loser.pubkey()) == (6029, "Unauthorized")
    await stage.withdraw()
    again = await stage.refused(stage.creator, "withdraw_liquidity", creator=stage.creator.pubkey())
    assert again == (6016, "InsufficientLiquidity")


async def test_an_undisputed_market_is_finalized_after_its_window(stage: Stage) -> None:
    await stage.open_for_trading()
    first = await stage.buy(stage.alice, NO, P)
    assert (first["shares"], first["new_price_yes"]) == (2_099_871_638, 499_475_032)
    await stage.buy(stage.bob, YES, 2 * P)
    await stage.resolve(YES)
    backend = {"backend_authority": stage.backend.pubkey()}
    await stage.warp(259_199)
    early = await stage.refused(stage.backend, "finalize_market", None, None, **backend)
    assert early == (6027, "DisputePeriodNotEnded")
    await stage.warp(1)
    late = await stage.refused(stage.alice, "initiate_dispute", initiator=stage.alice.pubkey())
    assert late == (6020, "DisputePeriodEnded")
    mine = {"backend_authority": stage.alice.pubkey()}
    assert await stage.refused(stage.alice, "finalize_market", None, None, **mine) == (6029, "Unauthorized")
    await stage.finalize((None, None), outcome=YES, was_disputed=False)
    await settle(stage, winners=(stage.bob,), loser=stage.alice)


async def test_a_dispute_window_follows_the_configuration(stage: Stage) -> None:
    admin = stage.admin.pubkey()
    rates = {"protocol_fee_bps": 300, "resolver_reward_bps": 200, "liquidity_provider_fee_bps": 500}
    thresholds = {"proposal_approval_threshold": 5_100, "dispute_success_threshold": 6_600}
    args = (*rates.values(), *thresholds.values(), None, DAY_S)
    landed = await stage.out.land(stage.admin, "update_global_config", *args, admin=admin)
    periods = {"min_resolution_delay": 86_400, "dispute_period": DAY_S}
    expected = rates | thresholds | periods | {"timestamp": START_TIME}
    assert (landed.event, landed.fields) == ("ConfigUpdated", expected)
    config = expected_config(admin, stage.backend.pubkey(), stage.fee_wallet) | thresholds | periods
    assert await stage.out.account("GlobalConfig", CONFIG) == config
    assert await stage.out.raw(CONFIG) == config_bytes(config)
    await stage.open_for_trading()
    await stage.resolve(NO)
    await stage.warp(DAY_S)
    await stage.finalize((None, None), outcome=NO, was_disputed=False)
    mine = {"admin": stage.alice.pubkey()}
    assert await stage.refused(stage.alice, "update_global_config", *args, **mine) == (6029, "Unauthorized")
    much = (9_000, 1_000, 1, 5_100, 6_600, None, None)
    assert await stage.refused(stage.admin, "update_global_config", *much, admin=admin) == (6004, "InvalidFeeStructure")


async def test_a_pause_stops_creation_and_trading_until_it_is_lifted(stage: Stage) -> None:
    await stage.open_for_trading()
    await toggle_pause(stage, True)
    trade = stage.trader(stage.alice)
    assert await stage.refused(stage.alice, "buy_shares", YES, P, **trade) == (6010, "ProtocolPaused")
    other = b"\x07" * 32
    accounts = {"market": market_address(other)[0], "creator": stage.creator.pubkey()}
    args = (other, 1_000 * P, P, QUESTION)
    assert await stage.refused(stage.creator, "create_market", *args, **accounts) == (6010, "ProtocolPaused")
    await toggle_pause(stage, False)
    await stage.buy(stage.alice, YES, P)


async def toggle_pause(stage: Stage, paused: bool) -> None:
    admin = stage.admin.pubkey()
    landed = await stage.out.land(stage.admin, "emergency_pause", admin=admin)
    expected = {"is_paused": paused, "paused_by": admin, "timestamp": stage.market.now}
    assert (landed.event, landed.fields) == ("ProtocolPauseStatusChanged", expected)
    assert (await stage.out.account("GlobalConfig", CONFIG))["is_paused"] is paused


async def test_a_proposal_is_cancelled_once_and_an_active_market_is_not(stage: Stage) -> None:
    admin = stage.admin.pubkey()
    await stage.create()
    await stage.warp(5)
    landed = await stage.land(stage.admin, "cancel_market", admin=admin)
    fields = {"market_id": stage.market.market_id, "cancelled_by": admin, "cancelled_at": stage.market.now}
    assert landed == ("MarketCancelled", fields)
    stage.market.enter("Cancelled", cancelled_at=stage.market.now)
    await stage.check()
    assert await stage.refused(stage.admin, "cancel_market", admin=admin) == (6012, "MarketAlreadyCancelled")
    stage.market = ExpectedMarket(b"\x02" * 32, stage.creator.pubkey(), now=stage.market.now)
    await stage.open_for_trading()
    assert await stage.refused(stage.admin, "cancel_market", admin=admin) == (6011, "CannotCancelMarket")


async def test_what_the_rules_forbid_is_refused_by_name_and_changes_nothing(stage: Stage) -> None:
    await stage.create()
    alice, admin = stage.alice.pubkey(), stage.admin.pubkey()
    args = (stage.market.market_id, P, P, QUESTION)
    accounts = {"market": stage.market.address, "creator": stage.creator.pubkey()}
    assert await stage.out.refused_by_system(stage.creator, "create_market", *args, **accounts) == 0
    await stage.vote(stage.alice, PROPOSAL, True)
    record = vote_address(stage.market.address, alice, PROPOSAL)[0]
    twice = {"market": stage.market.address, "vote_record": record, "user": alice}
    assert await stage.out.refused_by_system(stage.alice, "submit_proposal_vote", False, **twice) == 0
    wrong = twice | {"vote_record": vote_address(stage.market.address, alice, DISPUTE)[0]}
    seeds = (2006, "A seeds constraint was violated")
    assert await stage.refused(stage.alice, "submit_proposal_vote", True, **wrong) == seeds
    assert await stage.refused(stage.admin, "approve_proposal", admin=admin) == (6024, "NoVotesRecorded")
    early = await stage.refused(stage.creator, "activate_market", authority=stage.creator.pubkey())
    assert early == (6006, "InvalidStateTransition")
    trade = stage.trader(stage.alice)
    assert await stage.refused(stage.alice, "buy_shares", YES, P, **trade) == (6007, "InvalidMarketState")
    resolver = {"resolver": alice}
    assert await stage.refused(stage.alice, "resolve_market", YES, EVIDENCE, **resolver) == (6007, "InvalidMarketState")
    await stage.check()


async def test_trades_are_limited_and_simulated_as_they_would_land(stage: Stage) -> None:
    await stage.open_for_trading()
    trade = {"market": stage.market.address, **stage.trader(stage.alice)}
    assert await stage.refused(stage.alice, "buy_shares", YES, 9_999, **trade) == (6018, "TradeTooSmall")
    assert await stage.refused(stage.alice, "buy_shares", YES, 10_715_098, **trade) == (6034, "UnderflowError")
    # Nothing of the refused buys stays, not even the position they created first.
    uninitialized = (3012, "The program expected this account to be already initialized")
    assert await stage.refused(stage.alice, "sell_shares", YES, P, 0, **trade) == uninitialized
    simulated = await stage.out.simulate(stage.alice, "buy_shares", YES, P, **trade)
    assert simulated == ("SharesBought", await stage.buy(stage.alice, YES, P))
    assert await stage.refused(stage.alice, "sell_shares", NO, 1, 0, **trade) == (6014, "InsufficientShares")
    assert await stage.refused(stage.alice, "sell_shares", YES, P, P, **trade) == (6015, "SlippageExceeded")
    other = trade | {"protocol_fee_wallet": stage.bob.pubkey()}
    assert await stage.refused(stage.alice, "buy_shares", YES, P, **other) == (6029, "Unauthorized")
    await stage.check()


async def test_accounts_are_found_by_size_and_by_bytes(stage: Stage) -> None:
    await stage.open_for_trading()
    await stage.buy(stage.alice, YES, P)
    await stage.buy(stage.bob, NO, P)
    markets = await stage.out.program.account["MarketAccount"].all(filters=[488])
    assert [found.public_key for found in markets] == [stage.market.address]
    mine = MemcmpOpts(offset=40, bytes=str(stage.alice.pubkey()))
    [position] = await stage.out.program.account["UserPosition"].all(filters=[182, mine])
    assert position.public_key == position_address(stage.market.address, stage.alice.pubkey())[0]
    active = MemcmpOpts(offset=72, bytes="3")  # base58 of one byte 2, the state Active
    assert len(await stage.out.program.account["MarketAccount"].all(filters=[active])) == 1
    votes = await stage.out.program.account["VoteRecord"].all(buffer=bytes(stage.market.address))
    assert len(votes) == 4
    keys = [position_address(stage.market.address, user.pubkey())[0] for user in (stage.alice, stage.bob, stage.carol)]
    read = await stage.out.program.account["UserPosition"].fetch_multiple(keys, commitment=Confirmed)
    assert [each is not None for each in read] == [True, True, False]
