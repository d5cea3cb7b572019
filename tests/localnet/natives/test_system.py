"""The System program, as transactions call it."""

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from tests.localnet.chain_harness import (
    ALICE,
    BOB,
    CAROL,
    PROGRAM_ID,
    SOL,
    Chain,
    creation,
    keypair,
    meta,
    payment,
)
from zmart_lite.localnet.ledger import LedgerOptions
from zmart_lite.localnet.releases import RELEASES
from zmart_lite.localnet.runtime import SYSTEM_PROGRAM_ID, Account, rent_exempt_minimum

OLDER = RELEASES["3.0"]
SYSTEM = str(Pubkey.default())


def failure(name: object) -> dict[str, list[object]]:
    return {"InstructionError": [0, name]}


def test_create_account() -> None:
    chain, fresh = Chain(), keypair(9)
    lamports = rent_exempt_minimum(10)
    landed = chain.run(creation(fresh, lamports, 10), signers=[fresh])
    assert chain.ledger.accounts.get(bytes(fresh.pubkey())) == Account(lamports, PROGRAM_ID, bytes(10))
    assert landed.meta.logs == (f"Program {SYSTEM} invoke [1]", f"Program {SYSTEM} success")
    again = chain.run(creation(fresh, lamports, 10), signers=[fresh])
    assert again.meta.err == {"InstructionError": [0, {"Custom": 0}]}
    assert again.meta.logs[1] == (
        f"Create Account: account Address {{ address: {fresh.pubkey()}, base: None }} already in use"
    )


def test_create_account_by_a_poor_payer() -> None:
    chain, fresh = Chain(), keypair(9)
    landed = chain.run(creation(fresh, 10**18, 10), signers=[fresh])
    assert landed.meta.err == {"InstructionError": [0, {"Custom": 1}]}


def system_data(kind: int, *parts: int | bytes) -> bytes:
    return kind.to_bytes(4, "little") + b"".join(
        part if isinstance(part, bytes) else part.to_bytes(8, "little") for part in parts
    )


def system(data: bytes, *accounts: AccountMeta) -> Instruction:
    return Instruction(Pubkey.default(), data, list(accounts))


def test_allocate_and_assign() -> None:
    chain, fresh = Chain(), keypair(9)
    chain.pay(SOL, ALICE, fresh)
    chain.run(
        system(system_data(8, 16), meta(fresh, signer=True)),
        system(system_data(1, PROGRAM_ID), meta(fresh, signer=True)),
        signers=[fresh],
    )
    assert chain.ledger.accounts.get(bytes(fresh.pubkey())) == Account(SOL, PROGRAM_ID, bytes(16))


@pytest.mark.parametrize(
    ("data", "accounts", "err"),
    [
        (system_data(8, 16), [meta(CAROL)], "MissingRequiredSignature"),
        (system_data(1, PROGRAM_ID), [meta(CAROL)], "MissingRequiredSignature"),
        (system_data(2, 5), [meta(CAROL), meta(BOB)], "MissingRequiredSignature"),
        (system_data(2, 5), [meta(ALICE, signer=True)], "MissingAccount"),
        (system_data(2), [meta(ALICE, signer=True), meta(BOB)], "InvalidInstructionData"),
        (system_data(14, 5), [meta(ALICE, signer=True), meta(BOB)], "InvalidInstructionData"),
        (system_data(2, 0), [meta(ALICE, signer=True), meta(BOB, writable=False)], "ReadonlyLamportChange"),
        (
            system_data(3, bytes(32), 33, b"s" * 33, 1, 0, bytes(32)),
            [meta(ALICE, signer=True), meta(BOB)],
            {"Custom": 0},
        ),
        (b"", [], "InvalidInstructionData"),
        (system_data(8, 11 * 2**20), [meta(ALICE, signer=True)], {"Custom": 3}),
        (system_data(2, 5), [meta(ALICE, signer=True), meta(BOB, writable=False)], "ReadonlyLamportChange"),
    ],
)
def test_system_refusals(data: bytes, accounts: list[AccountMeta], err: object) -> None:
    assert Chain().run(system(data, *accounts)).meta.err == {"InstructionError": [0, err]}


def test_accounts_with_data_cannot_pay() -> None:
    holder = keypair(9)
    chain = Chain(genesis={bytes(holder.pubkey()): Account(SOL, SYSTEM_PROGRAM_ID, b"data")})
    landed = chain.run(payment(5, holder), signers=[holder])
    assert landed.meta.err == failure("InvalidArgument")
    assert "Transfer: `from` must not carry data" in landed.meta.logs


def test_seeded_accounts() -> None:
    chain = Chain()
    base, seed = bytes(ALICE.pubkey()), b"vault"
    address = bytes(Pubkey.create_with_seed(ALICE.pubkey(), "vault", Pubkey(PROGRAM_ID)))
    lamports = rent_exempt_minimum(8)
    seed_part = len(seed).to_bytes(8, "little") + seed
    data = system_data(3, base, seed_part, lamports, 8, PROGRAM_ID)
    assert not chain.run(system(data, meta(ALICE, signer=True), meta(address))).failed
    assert chain.ledger.accounts.get(address) == Account(lamports, PROGRAM_ID, bytes(8))
    wrong = chain.run(system(data, meta(ALICE, signer=True), meta(BOB)))
    assert wrong.meta.err == {"InstructionError": [0, {"Custom": 5}]}


def test_seeded_wallet_pays_by_its_base() -> None:
    source = bytes(Pubkey.create_with_seed(ALICE.pubkey(), "purse", Pubkey.default()))
    chain = Chain(genesis={source: Account(SOL)})
    data = system_data(11, 5, (5).to_bytes(8, "little") + b"purse", bytes(32))
    accounts = [meta(source), meta(ALICE, signer=True, writable=False), meta(BOB)]
    assert not chain.run(system(data, *accounts)).failed
    assert chain.lamports(BOB) == 100 * SOL + 5


def test_an_older_runtime_has_another_name_for_missing_accounts() -> None:
    chain = Chain(LedgerOptions(slot_ms=0, release=OLDER))
    landed = chain.run(system(system_data(2, 5), meta(ALICE, signer=True)))
    assert landed.meta.err == failure("NotEnoughAccountKeys")


def test_an_account_of_another_program_cannot_pay_itself() -> None:
    holder = keypair(9)
    chain = Chain(genesis={bytes(holder.pubkey()): Account(SOL, PROGRAM_ID)})
    landed = chain.run(payment(5, holder, holder), signers=[holder])
    assert landed.meta.err == failure("ExternalAccountLamportSpend")


def test_a_wrong_derivation_of_a_transfer_says_from() -> None:
    data = system_data(11, 5, 1, b"x", bytes(32))
    accounts = [meta(CAROL), meta(ALICE, signer=True, writable=False), meta(BOB)]
    landed = Chain().run(system(data, *accounts))
    assert landed.meta.err == failure({"Custom": 5})
    assert landed.meta.logs[1].startswith(f"Transfer: 'from' address {CAROL.pubkey()} does not match derived address")


def test_a_prefunded_account_is_created() -> None:
    chain, fresh = Chain(), keypair(9)
    chain.pay(SOL, ALICE, fresh)
    data = system_data(13, 7, 16, PROGRAM_ID)
    landed = chain.run(system(data, meta(fresh, signer=True), meta(ALICE, signer=True)), signers=[fresh])
    assert not landed.failed
    assert chain.ledger.accounts.get(bytes(fresh.pubkey())) == Account(SOL + 7, PROGRAM_ID, bytes(16))


def test_a_transaction_allocates_twenty_mebibytes_at_most() -> None:
    chain = Chain()
    fresh = [keypair(number) for number in range(9, 12)]
    size = 10 * 2**20
    creations = [creation(each, rent_exempt_minimum(size) // 10**6, size) for each in fresh]
    landed = chain.run(*creations, signers=fresh)
    assert landed.meta.err == {"InstructionError": [2, "MaxAccountsDataAllocationsExceeded"]}
