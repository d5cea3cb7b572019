"""Reading, creating and constraining accounts: the errors Anchor raises before an instruction's body runs."""

from typing import Any

import pytest

from tests.localnet.program_harness import (
    ALICE,
    ARGS,
    BOB,
    EVE,
    MARKET_ID,
    OTHER_PROGRAM,
    PROGRAM_ID,
    RENT,
    WALLET_LAMPORTS,
    Devnet,
    P,
    buy,
    initialized,
    market_args,
    market_in,
    ready_for,
)
from zmart_lite.localnet.program import INSTRUCTIONS
from zmart_lite.localnet.runtime import SYSTEM_PROGRAM_ID, Account, rent_exempt_minimum
from zmart_lite.models import GlobalConfig, MarketAccount, MarketState, VoteType
from zmart_lite.rules import WITHDRAWAL_RESERVE_LAMPORTS

CODEC = Devnet().codec
TYPED = {"global_config", "market", "position", "vote_record"}
STRAY = bytes([200]) * 32


def creates(name: str) -> str | None:
    creation = INSTRUCTIONS[name].creation
    return creation.account if creation else None


SLOTS = [(name, slot) for name in sorted(ARGS) for slot in CODEC.instruction_accounts(name)]
EVERY_SLOT = [(name, slot.name) for name, slot in SLOTS]
SIGNERS = [(name, slot.name) for name, slot in SLOTS if slot.signer]
LOADED = [(name, slot.name) for name, slot in SLOTS if slot.name in TYPED and slot.name != creates(name)]
CREATED = [(name, slot.name) for name, slot in SLOTS if slot.name == creates(name)]
SYSTEM_SLOTS = [name for name, slot in SLOTS if slot.name == "system_program"]
CREATING_PAYERS = {name: it.creation.payer for name, it in INSTRUCTIONS.items() if it.creation}
MUTABLE = [
    (name, slot.name)
    for name, slot in SLOTS
    if slot.writable and slot.name != creates(name) and CREATING_PAYERS.get(name) != slot.name
]


@pytest.mark.parametrize(("name", "slot"), EVERY_SLOT)
def test_missing_account(name: str, slot: str) -> None:
    index = [spec.name for spec in CODEC.instruction_accounts(name)].index(slot)
    outcome = ready_for(name).call(name, ARGS[name], keep=index)
    assert outcome.code == 3005
    origin = "occurred" if slot == creates(name) else f"caused by account: {slot}"
    assert outcome.logs[-1].startswith(f"AnchorError {origin}. Error Code: AccountNotEnoughKeys. ")


@pytest.mark.parametrize(("name", "slot"), SIGNERS)
def test_signer_that_did_not_sign(name: str, slot: str) -> None:
    outcome = ready_for(name).call(name, ARGS[name], unsigned=[slot])
    assert outcome.code == 3010
    assert outcome.logs[-1].startswith(f"AnchorError caused by account: {slot}. ")


def damaged(devnet: Devnet, name: str, slot: str) -> dict[int, Account]:
    """For each error of loading, an account that causes it."""
    good = devnet.accounts[devnet.keys_of(name, {})[slot]]
    other_model = GlobalConfig if slot != "global_config" else MarketAccount
    discriminator = devnet.codec.account_discriminator(other_model)
    return {
        3012: Account(),
        3007: Account(P, OTHER_PROGRAM, good.data),
        3001: Account(P, PROGRAM_ID, good.data[:7]),
        3002: Account(P, PROGRAM_ID, discriminator + good.data[8:]),
        3003: Account(P, PROGRAM_ID, good.data[:40]),
    }


@pytest.mark.parametrize("code", [3012, 3007, 3001, 3002, 3003])
@pytest.mark.parametrize(("name", "slot"), LOADED)
def test_account_that_cannot_be_loaded(name: str, slot: str, code: int) -> None:
    devnet = ready_for(name)
    devnet.accounts[STRAY] = damaged(devnet, name, slot)[code]
    keys: dict[str, Any] = devnet.keys_of(name, {}) | {slot: STRAY}
    outcome = devnet.call(name, ARGS[name], **keys)
    assert outcome.code == code
    assert outcome.logs[1].startswith(f"AnchorError caused by account: {slot}. ")


def test_system_owned_account_with_lamports_has_the_wrong_owner() -> None:
    assert initialized().call("emergency_pause", global_config=EVE).code == 3007


@pytest.mark.parametrize("state", [7, 255])
def test_state_byte_outside_the_enum_is_undecodable(state: int) -> None:
    devnet = market_in(MarketState.PROPOSED)
    account = devnet.accounts[devnet.market_address]
    account.data = account.data[:72] + bytes([state]) + account.data[73:]
    assert devnet.call("cancel_market").code == 3003


@pytest.mark.parametrize("name", SYSTEM_SLOTS)
def test_system_program_slot(name: str) -> None:
    devnet = ready_for(name)
    assert devnet.call(name, ARGS[name], system_program=EVE).code == 3008
    devnet.accounts[SYSTEM_PROGRAM_ID].executable = False
    assert devnet.call(name, ARGS[name]).code == 3009


@pytest.mark.parametrize(("name", "slot"), LOADED)
def test_account_at_another_address_than_its_seeds_say(name: str, slot: str) -> None:
    devnet = ready_for(name)
    good = devnet.accounts[devnet.keys_of(name, {})[slot]]
    devnet.accounts[STRAY] = Account(good.lamports, good.owner, good.data)
    keys: dict[str, Any] = devnet.keys_of(name, {}) | {slot: STRAY}
    if "vote_record" in keys:
        keys["vote_record"] = devnet.vote_address_at(STRAY, name)
    elif name == "buy_shares" and slot == "market":
        keys["position"] = devnet.codec.position_pda(STRAY, ALICE)[0]
    outcome = devnet.call(name, ARGS[name], **keys)
    assert outcome.code == 2006
    assert f"AnchorError caused by account: {slot}. " in "".join(outcome.logs)


@pytest.mark.parametrize(("name", "slot"), CREATED)
def test_created_account_at_another_address_than_its_seeds_say(name: str, slot: str) -> None:
    keys: dict[str, Any] = {slot: STRAY}
    outcome = ready_for(name).call(name, ARGS[name], **keys)
    assert outcome.code == 2006
    assert outcome.logs[1].startswith(f"AnchorError caused by account: {slot}. ")
    assert "System" not in outcome.logs


@pytest.mark.parametrize(("name", "slot"), MUTABLE)
def test_read_only_account(name: str, slot: str) -> None:
    outcome = ready_for(name).call(name, ARGS[name], readonly=[slot])
    assert outcome.code == 2000
    assert outcome.logs[-1].startswith(f"AnchorError caused by account: {slot}. Error Code: ConstraintMut. ")


@pytest.mark.parametrize(("name", "payer"), sorted(CREATING_PAYERS.items()))
def test_creation_escalates_no_privilege(name: str, payer: str) -> None:
    for slot in (payer, creates(name)):
        assert slot is not None
        outcome = ready_for(name).call(name, ARGS[name], readonly=[slot])
        assert outcome.error is not None
        assert (outcome.error.name, outcome.code) == ("PrivilegeEscalation", None)


@pytest.mark.parametrize(("name", "slot"), CREATED)
def test_created_account(name: str, slot: str) -> None:
    devnet = ready_for(name)
    key = devnet.keys_of(name, {})[slot]
    user = "user" if slot == "position" else CREATING_PAYERS[name]
    payer = devnet.keys_of(name, {})[user]
    if slot == "position":
        buy(devnet, P, user=EVE)
        key, payer = devnet.position_address(EVE), EVE
    else:
        before = devnet.lamports(payer)
        devnet.do(name, ARGS[name])
        assert devnet.lamports(payer) == before - devnet.lamports(key)
    account = devnet.accounts[key]
    model = type(devnet.codec.decode_account(account.data)).__name__
    assert account.owner == PROGRAM_ID
    assert len(account.data) == devnet.codec.ACCOUNT_SIZES[model]
    assert account.lamports == RENT[model]


@pytest.mark.parametrize(
    "name", ["initialize_global_config", "create_market", "submit_proposal_vote", "submit_dispute_vote"]
)
def test_creating_twice_is_the_system_programs_error(name: str) -> None:
    devnet = ready_for(name)
    devnet.do(name, ARGS[name])
    outcome = devnet.call(name, ARGS[name])
    assert outcome.code == 0
    assert "AnchorError" not in "".join(outcome.logs)


@pytest.mark.parametrize("name", ["create_market", "submit_proposal_vote", "submit_dispute_vote", "buy_shares"])
def test_payer_too_poor(name: str) -> None:
    devnet = ready_for(name)
    model = "UserPosition" if name == "buy_shares" else "MarketAccount" if name == "create_market" else "VoteRecord"
    devnet.accounts[EVE].lamports = RENT[model] - 1
    payer: dict[str, Any] = {CREATING_PAYERS[name]: EVE}
    assert devnet.call(name, ARGS[name], **payer).code == 1
    devnet.accounts[EVE].lamports += 1
    expected = 1 if name == "buy_shares" else None
    assert devnet.call(name, ARGS[name], **payer).code == expected


@pytest.mark.parametrize("gift", [1, RENT["VoteRecord"] - 1, RENT["VoteRecord"], 2 * RENT["VoteRecord"]])
def test_lamports_sent_ahead_do_not_block_an_address(gift: int) -> None:
    devnet = market_in(MarketState.PROPOSED)
    key = devnet.vote_address(VoteType.PROPOSAL)
    devnet.accounts[key] = Account(gift)
    before = devnet.lamports(ALICE)
    devnet.do("submit_proposal_vote", {"vote": True})
    assert devnet.lamports(key) == max(gift, RENT["VoteRecord"])
    assert before - devnet.lamports(ALICE) == max(0, RENT["VoteRecord"] - gift)
    assert devnet.vote(VoteType.PROPOSAL).vote is True


def test_lamports_sent_ahead_of_a_position() -> None:
    devnet = market_in(MarketState.ACTIVE)
    devnet.accounts[devnet.position_address()] = Account(RENT["UserPosition"] + 5)
    devnet.do("buy_shares", ARGS["buy_shares"])
    assert devnet.lamports(devnet.position_address()) == RENT["UserPosition"] + 5
    assert devnet.position().trades_count == 1


def test_accounts_passed_to_be_read_are_not_written() -> None:
    devnet = market_in(MarketState.PROPOSED)
    for key in (devnet.config_address, devnet.market_address):
        devnet.accounts[key].data = devnet.accounts[key].data[:-1] + b"x"
    before = {key: devnet.accounts[key].data for key in (devnet.config_address, devnet.market_address)}
    devnet.do("submit_proposal_vote", {"vote": True})
    assert devnet.accounts[devnet.market_address].data == before[devnet.market_address]
    devnet.do("aggregate_proposal_votes", ARGS["aggregate_proposal_votes"])
    assert devnet.accounts[devnet.config_address].data == before[devnet.config_address]


# The order of the stages


def test_loading_comes_before_signatures_of_later_accounts() -> None:
    devnet = market_in(MarketState.PROPOSED)
    args = ARGS["submit_proposal_vote"]
    assert devnet.call("submit_proposal_vote", args, market=STRAY, vote_record=STRAY, unsigned=["user"]).code == 3012
    assert devnet.call("submit_proposal_vote", args, vote_record=STRAY, unsigned=["user"]).code == 3010
    assert devnet.call("submit_proposal_vote", args, vote_record=STRAY, system_program=EVE).code == 3008
    assert devnet.call("submit_proposal_vote", args, vote_record=STRAY).code == 2006


def test_second_vote_is_a_duplicate_even_when_voting_is_over() -> None:
    devnet = market_in(MarketState.PROPOSED)
    devnet.do("submit_proposal_vote", {"vote": True})
    devnet.do("cancel_market")
    assert devnet.call("submit_proposal_vote", {"vote": True}).code == 0
    assert devnet.call("submit_proposal_vote", {"vote": True}, user=BOB).code == 6051


def test_account_is_created_before_the_state_is_looked_at_and_rolled_back_with_it() -> None:
    devnet = market_in(MarketState.APPROVED)
    outcome = buy(devnet, P)
    assert outcome.code == 6007
    assert outcome.logs[1] == "System"
    assert devnet.lamports(devnet.position_address()) == 0
    assert devnet.lamports(ALICE) == WALLET_LAMPORTS
    assert buy(devnet, P, position=STRAY).code == 2006


def test_creation_of_a_market_comes_before_the_configs_seeds() -> None:
    devnet = initialized()
    good = devnet.accounts[devnet.config_address]
    devnet.accounts[STRAY] = Account(good.lamports, good.owner, good.data)
    assert devnet.call("create_market", market_args(), global_config=STRAY, market=EVE).code == 2006
    outcome = devnet.call("create_market", market_args(), global_config=STRAY)
    assert outcome.code == 2006
    assert "System" in outcome.logs
    assert "caused by account: global_config" in "".join(outcome.logs)


def test_seeds_come_before_writability_before_the_condition() -> None:
    devnet = market_in(MarketState.APPROVED)
    good = devnet.accounts[devnet.market_address]
    devnet.accounts[STRAY] = Account(good.lamports, good.owner, good.data)
    args = ARGS["resolve_market"]
    assert devnet.call("resolve_market", args, market=STRAY, readonly=["market"]).code == 2006
    assert devnet.call("resolve_market", args, readonly=["market", "resolver"]).code == 2000
    assert devnet.call("resolve_market", args, readonly=["resolver"]).code == 6007


# An existing position, which buy_shares accepts


def with_position() -> Devnet:
    devnet = market_in(MarketState.ACTIVE)
    devnet.do("buy_shares", ARGS["buy_shares"])
    return devnet


def test_existing_position_that_cannot_be_loaded() -> None:
    for code in (3007, 3001, 3002, 3003):
        devnet = with_position()
        devnet.accounts[devnet.position_address()] = damaged(devnet, "buy_shares", "position")[code]
        assert buy(devnet, P).code == code


def test_existing_position_of_another_size() -> None:
    devnet = with_position()
    devnet.accounts[devnet.position_address()].data += b"\0"
    assert buy(devnet, P).code == 2019


def test_existing_position_below_its_rent() -> None:
    devnet = with_position()
    devnet.accounts[devnet.position_address()].lamports -= 1
    assert buy(devnet, P).code == 2005


def test_existing_position_passed_read_only() -> None:
    devnet = with_position()
    assert buy(devnet, P, readonly=["position"]).code == 2000
    devnet.edit_market(state=MarketState.FINALIZED)
    assert buy(devnet, P, readonly=["position"]).code == 2000
    devnet.edit_market(state=MarketState.ACTIVE)
    assert buy(devnet, P, readonly=["user"]).code == 2000


def test_position_address_taken_by_a_system_account_with_data() -> None:
    devnet = market_in(MarketState.ACTIVE)
    devnet.accounts[devnet.position_address()] = Account(P, SYSTEM_PROGRAM_ID, b"data")
    assert buy(devnet, P).code == 0


def test_market_ids_are_unique() -> None:
    devnet = market_in(MarketState.PROPOSED)
    assert devnet.call("create_market", market_args(b_parameter=1), creator=EVE).code == 0
    other = devnet.codec.market_pda(MARKET_ID[::-1][:-1] + b"\2")[0]
    args = market_args(market_id=MARKET_ID[::-1][:-1] + b"\2")
    assert devnet.call("create_market", args, creator=EVE, market=other).error is None


@pytest.mark.parametrize("slot", ["config", "market"])
def test_a_wrong_stored_bump_is_another_address(slot: str) -> None:
    """Only an account that was written directly can have one; every instruction then refuses it."""
    devnet = market_in(MarketState.ACTIVE)
    if slot == "config":
        devnet.edit_config(bump=devnet.config.bump - 1)
    else:
        devnet.edit_market(bump=devnet.market.bump - 1)
    assert buy(devnet, P).code == 2006


def test_what_lies_behind_the_fields_stays() -> None:
    devnet = market_in(MarketState.FINALIZED)
    account = devnet.accounts[devnet.market_address]
    unused = len(account.data) - len(devnet.codec.encode_account_fields(devnet.market))
    account.data = account.data[: len(account.data) - unused] + b"x" * unused + b"longer by twenty-eight bytes"
    held = account.lamports
    longer = len(account.data)
    outcome = devnet.call("withdraw_liquidity")
    assert outcome.code is None
    assert account.data.endswith(b"x" * unused + b"longer by twenty-eight bytes")
    assert len(account.data) == longer
    kept = rent_exempt_minimum(longer) + WITHDRAWAL_RESERVE_LAMPORTS
    assert held > kept
    assert account.lamports == kept


def test_a_position_of_another_length_names_both_lengths() -> None:
    devnet = market_in(MarketState.ACTIVE)
    assert buy(devnet, P).code is None
    account = devnet.accounts[devnet.position_address()]
    account.data += b"tail"
    outcome = buy(devnet, P)
    assert outcome.code == 2019
    assert outcome.logs[-2:] == ["Left: 182", "Right: 186"]
