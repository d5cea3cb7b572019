"""The program as a whole: dispatch, decoding of arguments, the forms of its log lines."""

import re

import pytest
from solders.pubkey import Pubkey

from tests.localnet.program_harness import ADMIN, ARGS, EVE, PROGRAM_ID, P, buy, initialized, market_in, ready_for
from zmart_lite.localnet.program import INSTRUCTIONS
from zmart_lite.models import MarketState

ALL = sorted(ARGS)


def test_every_instruction_of_the_idl_is_there() -> None:
    assert set(INSTRUCTIONS) == set(initialized().codec.instruction_names)
    assert set(ARGS) == set(INSTRUCTIONS)


@pytest.mark.parametrize("name", ALL)
def test_success_logs_the_name_once_and_one_event(name: str) -> None:
    outcome = ready_for(name).call(name, ARGS[name])
    assert outcome.error is None, outcome.logs
    assert [line for line in outcome.logs if line != "System"] == ["Instruction: " + name.title().replace("_", "")]
    assert len(outcome.data) == 1


@pytest.mark.parametrize("name", ALL)
def test_lamports_are_conserved(name: str) -> None:
    devnet = ready_for(name)
    before = devnet.total_lamports
    devnet.do(name, ARGS[name])
    assert devnet.total_lamports == before


def test_foreign_program_id_is_refused_before_anything_else() -> None:
    outcome = initialized().call("emergency_pause", program_id=EVE, data=b"")
    assert outcome.code == 4100
    (line,) = outcome.logs
    assert line == (
        "AnchorError occurred. Error Code: DeclaredProgramIdMismatch. Error Number: 4100. "
        "Error Message: Declared program id mismatch."
    )


@pytest.mark.parametrize("data", [b"", b"\1\2\3", bytes(8), bytes(100)])
def test_unknown_discriminator_is_refused_without_a_name(data: bytes) -> None:
    outcome = initialized().call("emergency_pause", data=data)
    assert outcome.code == 101
    assert len(outcome.logs) == 1
    assert outcome.logs[0].startswith("AnchorError occurred. Error Code: InstructionFallbackNotFound. ")


@pytest.mark.parametrize("arguments", [b"", b"\1", b"\1" + bytes(7), b"\2" + bytes(8)])
def test_undecodable_arguments_are_refused_before_the_accounts(arguments: bytes) -> None:
    devnet = market_in(MarketState.ACTIVE)
    discriminator = devnet.codec.encode_instruction("buy_shares", ARGS["buy_shares"])[:8]
    outcome = devnet.call("buy_shares", data=discriminator + arguments, keep=0)
    assert outcome.code == 102
    assert outcome.logs[0] == "Instruction: BuyShares"
    assert outcome.logs[1].startswith("AnchorError occurred. Error Code: InstructionDidNotDeserialize. ")


def test_option_tag_above_one_is_undecodable() -> None:
    devnet = ready_for("finalize_market")
    discriminator = devnet.codec.encode_instruction("finalize_market", ARGS["finalize_market"])[:8]
    assert devnet.call("finalize_market", data=discriminator + b"\2\0").code == 102


def test_trailing_bytes_and_accounts_are_ignored() -> None:
    devnet = ready_for("buy_shares")
    data = devnet.codec.encode_instruction("buy_shares", ARGS["buy_shares"])
    assert data == bytes.fromhex("28ef8a9a08256a6c0100ca9a3b00000000")
    assert devnet.call("buy_shares", data=data + b"more", extra=[EVE, PROGRAM_ID]).error is None


def test_errors_of_the_arithmetic_occur() -> None:
    outcome = buy(market_in(MarketState.ACTIVE), 10_715_099)
    assert outcome.code == 6034
    assert outcome.logs[-1] == (
        "AnchorError occurred. Error Code: UnderflowError. Error Number: 6034. Error Message: Underflow error."
    )


def test_errors_of_the_body_are_thrown_at_a_place() -> None:
    outcome = buy(market_in(MarketState.ACTIVE), 9_999)
    assert outcome.code == 6018
    assert outcome.error is not None
    assert outcome.error.name == "TradeTooSmall"
    assert outcome.logs[-1] == (
        "AnchorError thrown in programs/zmart-core/src/instructions/buy_shares.rs:2. "
        "Error Code: TradeTooSmall. Error Number: 6018. Error Message: Trade too small."
    )


def test_errors_of_the_accounts_name_the_account() -> None:
    outcome = buy(market_in(MarketState.APPROVED), P)
    assert outcome.code == 6007
    assert outcome.logs[-1] == (
        "AnchorError caused by account: market. "
        "Error Code: InvalidMarketState. Error Number: 6007. Error Message: Invalid market state."
    )


def test_compared_keys_follow_the_error() -> None:
    devnet = initialized()
    outcome = devnet.call("emergency_pause", global_config=ADMIN)
    assert outcome.code == 3007
    assert outcome.logs[2::2] == ["Left:", "Right:"]
    assert outcome.logs[3] == "1" * 32


def test_no_event_is_logged_by_a_refused_call() -> None:
    assert buy(market_in(MarketState.APPROVED), P).data == []


def test_what_a_helper_checks_is_thrown_in_its_own_file() -> None:
    devnet = market_in(MarketState.ACTIVE, b_parameter=99 * P)
    outcome = buy(devnet, P)
    assert outcome.code == 6042
    assert re.fullmatch(
        r"AnchorError thrown in programs/zmart-core/src/math/lmsr\.rs:\d+\. Error Code: InvalidBParameter\. .*",
        outcome.logs[-1],
    )


def test_the_creator_and_the_signer_follow_a_refused_withdrawal() -> None:
    devnet = market_in(MarketState.FINALIZED)
    outcome = devnet.call("withdraw_liquidity", creator=EVE)
    assert outcome.code == 6029
    assert outcome.logs[-4:] == ["Left:", str(Pubkey(devnet.market.creator)), "Right:", str(Pubkey(EVE))]
