"""Durable nonces: transactions that are valid by one, and what they leave behind."""

import pytest
from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import (
    AdvanceNonceAccountParams,
    advance_nonce_account,
    create_nonce_account,
)
from solders.transaction import VersionedTransaction

from tests.localnet.chain_harness import ALICE, BOB, SOL, Chain, keypair, meta, payment
from zmart_lite.localnet.failures import TransactionRefused
from zmart_lite.localnet.natives.nonce import NONCE_BYTES, NonceState, durable_nonce, find_nonce_state
from zmart_lite.localnet.runtime import SYSTEM_PROGRAM_ID, Account, rent_exempt_minimum

NONCE = keypair(30)
KEY = bytes(NONCE.pubkey())
MINIMUM = rent_exempt_minimum(NONCE_BYTES)


def chain_with_nonce() -> Chain:
    """A nonce account of Alice, usable from the next block on."""
    chain = Chain()
    made = create_nonce_account(ALICE.pubkey(), NONCE.pubkey(), ALICE.pubkey(), MINIMUM)
    assert not chain.run(*made, signers=[NONCE]).failed
    chain.ledger.seal_block()
    return chain


def state(chain: Chain) -> NonceState:
    account = chain.ledger.accounts.get(KEY)
    assert account is not None
    found = find_nonce_state(account.data)
    assert found is not None
    return found


def advance(authority: Pubkey | None = None) -> Instruction:
    params = AdvanceNonceAccountParams(
        nonce_pubkey=NONCE.pubkey(), authorized_pubkey=authority if authority is not None else ALICE.pubkey()
    )
    return advance_nonce_account(params)


def durable(chain: Chain, *instructions: Instruction) -> VersionedTransaction:
    message = Message.new_with_blockhash([advance(), *instructions], ALICE.pubkey(), Hash(state(chain).nonce))
    return VersionedTransaction(message, [ALICE])


def test_a_new_nonce_account() -> None:
    chain = chain_with_nonce()
    account = chain.ledger.accounts.get(KEY)
    assert account is not None
    assert (account.lamports, account.owner, len(account.data)) == (MINIMUM, SYSTEM_PROGRAM_ID, 80)
    assert account.data[:8] == bytes([1, 0, 0, 0, 1, 0, 0, 0])
    assert state(chain).authority == bytes(ALICE.pubkey())
    assert state(chain).lamports_per_signature == 5_000


def test_a_durable_transaction_lands_however_late_and_once() -> None:
    chain = chain_with_nonce()
    transaction = durable(chain, payment(7))
    before = state(chain).nonce
    chain.ledger.produce_blocks(400)
    assert not chain.ledger.submit(transaction).failed
    assert chain.lamports(BOB) == 100 * SOL + 7
    assert state(chain).nonce != before
    chain.ledger.produce_blocks(400)
    with pytest.raises(TransactionRefused, match="Blockhash not found"):
        chain.ledger.submit(transaction)


def test_a_failed_durable_transaction_uses_up_its_nonce_and_pays() -> None:
    chain = chain_with_nonce()
    before, held = state(chain).nonce, chain.lamports(ALICE)
    landed = chain.ledger.submit(durable(chain, payment(10**18)))
    assert landed.meta.err == {"InstructionError": [1, {"Custom": 1}]}
    assert state(chain).nonce not in (before, bytes(32))
    assert chain.lamports(ALICE) == held - 5_000
    assert chain.lamports(KEY) == MINIMUM


def test_what_cannot_be_loaded_uses_up_the_nonce_too() -> None:
    chain = chain_with_nonce()
    before = state(chain).nonce
    landed = chain.ledger.submit(durable(chain, Instruction(Pubkey(b"\x55" * 32), b"", [])))
    assert landed.meta.err == "ProgramAccountNotFound"
    assert state(chain).nonce != before


def test_a_nonce_is_used_once_in_a_block() -> None:
    chain = chain_with_nonce()
    chain.ledger.paused = True
    assert not chain.ledger.submit(durable(chain)).failed
    with pytest.raises(TransactionRefused, match="Blockhash not found"):
        chain.ledger.submit(durable(chain, payment(3)))
    landed = chain.run(advance())
    assert landed.meta.err == {"InstructionError": [0, {"Custom": 7}]}
    assert landed.meta.logs[1] == "Advance nonce account: nonce can only advance once per slot"


def test_only_the_authority_makes_a_transaction_durable() -> None:
    chain = chain_with_nonce()
    message = Message.new_with_blockhash([advance(BOB.pubkey())], BOB.pubkey(), Hash(state(chain).nonce))
    with pytest.raises(TransactionRefused, match="Blockhash not found"):
        chain.ledger.submit(VersionedTransaction(message, [BOB]))


def test_a_nonce_account_may_pay_the_fee_down_to_its_minimum() -> None:
    chain = chain_with_nonce()
    message = Message.new_with_blockhash([advance(NONCE.pubkey())], NONCE.pubkey(), Hash(state(chain).nonce))
    own = NonceState(1, KEY, state(chain).nonce, 5_000).data
    chain.ledger.set_account(KEY, Account(MINIMUM + 5_000, SYSTEM_PROGRAM_ID, own))
    assert not chain.ledger.submit(VersionedTransaction(message, [NONCE])).failed
    again = Message.new_with_blockhash([advance(NONCE.pubkey())], NONCE.pubkey(), Hash(state(chain).nonce))
    chain.ledger.seal_block()
    with pytest.raises(TransactionRefused, match="Insufficient funds for fee"):
        chain.ledger.submit(VersionedTransaction(again, [NONCE]))


def test_the_first_version_is_usable_only_once_upgraded() -> None:
    old = NonceState(0, bytes(ALICE.pubkey()), b"\x33" * 32, 5_000)
    chain = Chain(genesis={KEY: Account(MINIMUM, SYSTEM_PROGRAM_ID, old.data)})
    with pytest.raises(TransactionRefused, match="Blockhash not found"):
        chain.ledger.submit(durable(chain))
    upgrade = Instruction(Pubkey.default(), (12).to_bytes(4, "little"), [meta(NONCE)])
    assert not chain.run(upgrade).failed
    assert state(chain) == NonceState(1, bytes(ALICE.pubkey()), durable_nonce(b"\x33" * 32), 5_000)
    assert not chain.ledger.submit(durable(chain)).failed
