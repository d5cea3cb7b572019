import pytest
from solders.compute_budget import ID as COMPUTE_BUDGET

from tests.chain.instruction_cases import CASES, CODEC, HASH, MARKET, MARKET_ID, SETTINGS, USER
from zmart_lite.chain import instructions as make


def test_every_instruction_has_a_builder() -> None:
    assert CASES.keys() == set(CODEC.instruction_names)


@pytest.mark.parametrize("name", CASES)
def test_builders_encode_arguments_and_accounts(name: str) -> None:
    case = CASES[name]
    built = case.build()
    assert bytes(built.program_id) == CODEC.program_id
    assert CODEC.decode_instruction(bytes(built.data)) == (name, dict(case.args))
    assert tuple(bytes(meta.pubkey) for meta in built.accounts) == case.accounts
    flags = [(meta.is_signer, meta.is_writable) for meta in built.accounts]
    assert flags == [(spec.signer, spec.writable) for spec in CODEC.instruction_accounts(name)]
    named = make.accounts_of(CODEC, built)
    assert [account.name for account in named] == [spec.name for spec in CODEC.instruction_accounts(name)]


def test_vectors_of_the_specification() -> None:
    assert CASES["buy_shares"].build().data.hex() == "28ef8a9a08256a6c0100ca9a3b00000000"
    assert make.finalize_market(CODEC, MARKET_ID, USER).data.hex() == "10e1261cd5d901f70000"
    assert CASES["finalize_market"].build().data.hex() == "10e1261cd5d901f701070000000103000000"
    expected = "a45482bd6f3afac82c01c800f401581b7017000100a3020000000000"
    assert CASES["update_global_config"].build().data.hex() == expected


def test_values_that_do_not_fit_are_refused() -> None:
    for amount in (-1, 2**64):
        with pytest.raises(ValueError, match="buy_shares"):
            make.buy_shares(CODEC, SETTINGS, MARKET_ID, USER, True, amount)
    with pytest.raises(ValueError, match="45 bytes instead of 46"):
        make.create_market(CODEC, USER, MARKET_ID, 1, 1, HASH[:-1])
    with pytest.raises(ValueError, match="31 bytes instead of 32"):
        make.create_market(CODEC, USER, MARKET_ID[:-1], 1, 1, HASH)


def test_accounts_must_fit_the_idl() -> None:
    with pytest.raises(ValueError, match="lacks the accounts"):
        make.build(CODEC, "cancel_market", {}, {"market": MARKET})
    with pytest.raises(ValueError, match="takes no accounts"):
        make.build(CODEC, "cancel_market", {}, {"market": MARKET, "admin": USER, "user": USER})


def test_message_with_budget() -> None:
    message = make.message_with_budget(CASES["buy_shares"].build(), USER, 60_000, 25, bytes(32))
    programs = [message.account_keys[each.program_id_index] for each in message.instructions]
    assert programs[:2] == [COMPUTE_BUDGET, COMPUTE_BUDGET]
    assert [each.data.hex() for each in message.instructions[:2]] == ["0260ea0000", "031900000000000000"]
    assert bytes(message.account_keys[0]) == USER
    for limit in (0, 1_400_001):
        with pytest.raises(ValueError, match="compute units"):
            make.message_with_budget(CASES["buy_shares"].build(), USER, limit, 0, bytes(32))


def test_writable_accounts_come_once() -> None:
    buy = CASES["buy_shares"].build()
    found = make.writable_accounts([buy, buy])
    assert found == (MARKET, CODEC.position_address(MARKET, USER), USER, SETTINGS.protocol_fee_wallet)


def test_accounts_beyond_the_idl_have_no_name() -> None:
    cancel = CASES["cancel_market"].build()
    cancel.accounts = [*cancel.accounts, cancel.accounts[0]]
    assert [account.name for account in make.accounts_of(CODEC, cancel)] == ["admin", "market", "global_config", ""]
