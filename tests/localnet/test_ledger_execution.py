"""Fees, rent, the runtime's checks, invocations and logs."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.compute_budget import (
    request_heap_frame,
    set_compute_unit_limit,
    set_compute_unit_price,
)
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.sysvar import RENT

from tests.localnet.chain_harness import (
    ALICE,
    BOB,
    CAROL,
    OTHER_PROGRAM_ID,
    PROGRAM,
    PROGRAM_ID,
    SOL,
    Chain,
    keypair,
    meta,
    payment,
)
from zmart_lite.localnet.failures import TransactionRefused, transaction_text
from zmart_lite.localnet.invocation import LOG_TRUNCATED, LogCollector
from zmart_lite.localnet.natives import addresses
from zmart_lite.localnet.runtime import (
    SYSTEM_PROGRAM_ID,
    Account,
    InstructionFailed,
    Invocation,
    rent_exempt_minimum,
)
from zmart_lite.localnet.runtime import AccountMeta as Meta

WALLET_MINIMUM = rent_exempt_minimum(0)
OWNED, FOREIGN = b"\x41" * 32, b"\x42" * 32
NAME = str(PROGRAM)
SYSTEM = str(Pubkey.default())


def chain_with_data() -> Chain:
    return Chain(genesis={OWNED: Account(SOL, PROGRAM_ID, b"mine"), FOREIGN: Account(SOL, OTHER_PROGRAM_ID, b"theirs")})


def failure(name: str, index: int = 0) -> dict[str, list[object]]:
    return {"InstructionError": [index, name]}


def test_fee_is_per_signature() -> None:
    chain = Chain()
    one = chain.pay(1)
    two = chain.run(payment(1), payment(1, BOB, CAROL), signers=[BOB])
    assert (one.meta.fee_lamports, two.meta.fee_lamports) == (5_000, 10_000)
    assert chain.lamports(ALICE) == 100 * SOL - 15_000 - 2


def test_priority_fee_is_on_the_requested_limit_rounded_up() -> None:
    landed = Chain().run(set_compute_unit_limit(100_001), set_compute_unit_price(3), payment(1))
    assert landed.meta.fee_lamports == 5_000 + 1


def test_failed_transactions_pay_and_change_nothing_else() -> None:
    chain = Chain()
    landed = chain.run(payment(5), payment(10**18))
    assert landed.meta.err == {"InstructionError": [1, {"Custom": 1}]}
    assert chain.lamports(ALICE) == 100 * SOL - 5_000
    assert chain.lamports(BOB) == 100 * SOL
    assert landed.meta.pre_balances[:2] == (100 * SOL, 100 * SOL)
    assert landed.meta.post_balances[:2] == (100 * SOL - 5_000, 100 * SOL)
    assert chain.ledger.history.find(landed.signature) is landed


@pytest.mark.parametrize(
    ("lamports", "err"),
    [
        (0, "AccountNotFound"),
        (4_999, "InsufficientFundsForFee"),
        (WALLET_MINIMUM + 4_999, {"InsufficientFundsForRent": {"account_index": 0}}),
    ],
)
def test_fee_payer_must_be_able_to_pay(lamports: int, err: object) -> None:
    payer = keypair(9)
    chain = Chain(genesis={bytes(payer.pubkey()): Account(lamports)})
    with pytest.raises(TransactionRefused) as refused:
        chain.run(payment(0, payer), payer=payer)
    assert refused.value.err == err


def test_a_fee_payer_below_its_minimum_may_pay_down_further() -> None:
    payer = keypair(9)
    chain = Chain(genesis={bytes(payer.pubkey()): Account(5_001)})
    assert not chain.run(payment(0, payer), payer=payer).failed
    assert chain.lamports(payer) == 1


def test_fee_payer_may_be_used_up() -> None:
    payer = keypair(9)
    chain = Chain(genesis={bytes(payer.pubkey()): Account(WALLET_MINIMUM + 5_000)})
    assert not chain.run(payment(WALLET_MINIMUM, payer), payer=payer).failed
    assert chain.ledger.accounts.get(bytes(payer.pubkey())) is None


def test_fee_payer_must_be_a_wallet() -> None:
    payer = keypair(9)
    chain = Chain(genesis={bytes(payer.pubkey()): Account(SOL, PROGRAM_ID)})
    with pytest.raises(TransactionRefused, match="may not be used to pay"):
        chain.run(payment(0, payer), payer=payer)


def test_accounts_may_not_be_left_below_their_rent_minimum() -> None:
    chain = Chain()
    landed = chain.pay(WALLET_MINIMUM - 1, ALICE, keypair(9))
    assert landed.meta.err == {"InsufficientFundsForRent": {"account_index": 1}}
    assert chain.lamports(ALICE) == 100 * SOL - 5_000
    assert not chain.pay(WALLET_MINIMUM, ALICE, keypair(9)).failed


def test_an_account_already_below_its_minimum_may_stay_but_not_grow() -> None:
    poor = keypair(9)
    chain = Chain(genesis={bytes(poor.pubkey()): Account(500)})
    assert chain.pay(1, ALICE, poor).meta.err == {"InsufficientFundsForRent": {"account_index": 1}}
    assert not chain.run(payment(100, poor), signers=[poor]).failed


def spend_foreign(call: Invocation) -> None:
    call.accounts[1].account.lamports -= 5
    call.accounts[0].account.lamports += 5


def write_foreign(call: Invocation) -> None:
    call.accounts[1].account.data = b"THEIRS"


def resize_foreign(call: Invocation) -> None:
    call.accounts[1].account.data = b""


def write_readonly(call: Invocation) -> None:
    call.accounts[2].account.data = b"xxxx"


def pay_readonly(call: Invocation) -> None:
    call.accounts[2].account.lamports += 5
    call.accounts[0].account.lamports -= 5


def mint(call: Invocation) -> None:
    call.accounts[0].account.lamports += 1


def give_away_with_data(call: Invocation) -> None:
    call.accounts[0].account.owner = SYSTEM_PROGRAM_ID


def take_foreign(call: Invocation) -> None:
    call.accounts[1].account.owner = PROGRAM_ID


def make_executable(call: Invocation) -> None:
    call.accounts[0].account.executable = True


def grow_too_much(call: Invocation) -> None:
    call.accounts[0].account.data = bytes(10_245)


@pytest.mark.parametrize(
    ("script", "name"),
    [
        (spend_foreign, "ExternalAccountLamportSpend"),
        (write_foreign, "ExternalAccountDataModified"),
        (resize_foreign, "AccountDataSizeChanged"),
        (write_readonly, "ReadonlyDataModified"),
        (pay_readonly, "ReadonlyLamportChange"),
        (mint, "UnbalancedInstruction"),
        (give_away_with_data, "ModifiedProgramId"),
        (take_foreign, "ModifiedProgramId"),
        (make_executable, "ExecutableModified"),
        (grow_too_much, "InvalidRealloc"),
    ],
)
def test_forbidden_changes_fail(script: Callable[[Invocation], None], name: str) -> None:
    chain = chain_with_data()
    other = b"\x43" * 32
    chain.ledger.set_account(other, Account(SOL, PROGRAM_ID, b"mine"))
    landed = chain.act(script, meta(OWNED), meta(FOREIGN), meta(other, writable=False))
    assert landed.meta.err == failure(name)
    assert chain.ledger.accounts.get(OWNED) == Account(SOL, PROGRAM_ID, b"mine")
    assert chain.ledger.accounts.get(FOREIGN) == Account(SOL, OTHER_PROGRAM_ID, b"theirs")


def test_allowed_changes_stay() -> None:
    def script(call: Invocation) -> None:
        call.accounts[0].account.data = b"changed"
        call.accounts[0].account.lamports -= 7
        call.accounts[1].account.lamports += 7

    chain = chain_with_data()
    assert not chain.act(script, meta(OWNED), meta(FOREIGN)).failed
    assert chain.ledger.accounts.get(OWNED) == Account(SOL - 7, PROGRAM_ID, b"changed")
    assert chain.lamports(FOREIGN) == SOL + 7


def test_same_account_named_twice_is_one_object() -> None:
    def script(call: Invocation) -> None:
        call.accounts[0].account.data = b"once"
        assert call.accounts[1].account.data == b"once"

    chain = chain_with_data()
    assert not chain.act(script, meta(OWNED), meta(OWNED)).failed


def test_reserved_and_invoked_keys_are_never_writable() -> None:
    def script(call: Invocation) -> None:
        assert [ref.is_writable for ref in call.accounts] == [False, False, False]

    chain = Chain()
    chain.act(script, meta(SYSTEM_PROGRAM_ID), meta(bytes(RENT)), meta(PROGRAM_ID))


def test_unknown_program_charges_the_fee() -> None:
    chain = Chain()
    landed = chain.run(Instruction(Pubkey(b"\x66" * 32), b"", []))
    assert (landed.meta.err, landed.meta.logs) == ("ProgramAccountNotFound", ())
    assert chain.run(Instruction(BOB.pubkey(), b"", [])).meta.err == "InvalidProgramForExecution"
    assert chain.lamports(ALICE) == 100 * SOL - 10_000


def test_a_bug_in_a_program_leaves_the_ledger_as_it_was() -> None:
    def script(call: Invocation) -> None:
        call.accounts[0].account.data = b"half"
        raise ZeroDivisionError

    chain = chain_with_data()
    with pytest.raises(ZeroDivisionError):
        chain.act(script, meta(OWNED))
    assert chain.ledger.accounts.get(OWNED) == Account(SOL, PROGRAM_ID, b"mine")
    assert not chain.pay(1).failed


def system_transfer(source: bytes, target: bytes, lamports: int) -> tuple[list[Meta], bytes]:
    data = (2).to_bytes(4, "little") + lamports.to_bytes(8, "little")
    return [Meta(source, True, True), Meta(target, False, True)], data


def test_invocation_hands_on_signatures_and_is_recorded() -> None:
    def script(call: Invocation) -> None:
        accounts, data = system_transfer(call.accounts[0].key, call.accounts[1].key, 5)
        call.invoke(SYSTEM_PROGRAM_ID, accounts, data)
        call.log("done")

    chain = Chain()
    landed = chain.act(script, meta(ALICE, signer=True), meta(BOB), meta(SYSTEM_PROGRAM_ID, writable=False))
    assert chain.lamports(BOB) == 100 * SOL + 5
    (group,) = landed.meta.inner_instructions
    (inner,) = group.instructions
    assert [landed.account_keys[at] for at in inner.accounts] == [bytes(ALICE.pubkey()), bytes(BOB.pubkey())]
    assert landed.account_keys[inner.program_id_index] == SYSTEM_PROGRAM_ID
    assert (group.index, inner.stack_height) == (0, 2)
    units = landed.meta.compute_units
    assert landed.meta.logs == (
        f"Program {NAME} invoke [1]",
        f"Program {SYSTEM} invoke [2]",
        f"Program {SYSTEM} success",
        "Program log: done",
        f"Program {NAME} consumed {units} of 200000 compute units",
        f"Program {NAME} success",
    )


def test_program_signs_for_its_derived_addresses() -> None:
    vault = b"\x44" * 32

    def script(call: Invocation) -> None:
        accounts, data = system_transfer(vault, call.accounts[1].key, 5)
        call.invoke(SYSTEM_PROGRAM_ID, accounts, data, [vault])

    chain = Chain(genesis={vault: Account(SOL)})
    assert not chain.act(script, meta(vault), meta(BOB), meta(SYSTEM_PROGRAM_ID, writable=False)).failed


def test_missing_signature_escalates() -> None:
    def script(call: Invocation) -> None:
        accounts, data = system_transfer(call.accounts[0].key, call.accounts[1].key, 5)
        call.invoke(SYSTEM_PROGRAM_ID, accounts, data)

    landed = Chain().act(script, meta(CAROL), meta(BOB), meta(SYSTEM_PROGRAM_ID, writable=False))
    assert landed.meta.err == failure("PrivilegeEscalation")
    assert landed.meta.logs[1] == f"{CAROL.pubkey()}'s signer privilege escalated"
    assert landed.meta.logs[-1] == (
        f"Program {NAME} failed: Cross-program invocation with unauthorized signer or writable account"
    )


def test_readonly_account_escalates() -> None:
    def script(call: Invocation) -> None:
        accounts, data = system_transfer(call.accounts[0].key, call.accounts[1].key, 5)
        call.invoke(SYSTEM_PROGRAM_ID, accounts, data)

    landed = Chain().act(
        script, meta(ALICE, signer=True), meta(BOB, writable=False), meta(SYSTEM_PROGRAM_ID, writable=False)
    )
    assert landed.meta.err == failure("PrivilegeEscalation")
    assert f"{BOB.pubkey()}'s writable privilege escalated" in landed.meta.logs


def test_invoking_with_an_account_one_was_not_given() -> None:
    def script(call: Invocation) -> None:
        accounts, data = system_transfer(call.accounts[0].key, b"\x77" * 32, 5)
        call.invoke(SYSTEM_PROGRAM_ID, accounts, data)

    landed = Chain().act(script, meta(ALICE, signer=True), meta(SYSTEM_PROGRAM_ID, writable=False))
    assert landed.meta.err == failure("MissingAccount")
    assert f"Instruction references an unknown account {Pubkey(b'w' * 32)}" in landed.meta.logs


def test_invoking_what_is_no_program() -> None:
    landed = Chain().act(lambda call: call.invoke(bytes(BOB.pubkey()), [], b""), meta(BOB))
    assert landed.meta.err == failure("AccountNotExecutable")
    landed = Chain().act(lambda call: call.invoke(b"\x77" * 32, [], b""))
    assert landed.meta.err == failure("MissingAccount")


def test_failure_of_the_callee_fails_the_caller() -> None:
    def script(call: Invocation) -> None:
        accounts, data = system_transfer(call.accounts[0].key, call.accounts[1].key, 10**18)
        call.invoke(SYSTEM_PROGRAM_ID, accounts, data)

    landed = Chain().act(script, meta(ALICE, signer=True), meta(BOB), meta(SYSTEM_PROGRAM_ID, writable=False))
    assert landed.meta.err == {"InstructionError": [0, {"Custom": 1}]}
    assert landed.meta.logs[2] == f"Transfer: insufficient lamports {100 * SOL - 5_000}, need {10**18}"
    assert [line for line in landed.meta.logs if "failed" in line] == [
        f"Program {SYSTEM} failed: custom program error: 0x1",
        f"Program {NAME} failed: custom program error: 0x1",
    ]


def test_callee_may_not_spend_what_it_does_not_own() -> None:
    chain = chain_with_data()
    chain.other.act = spend_foreign

    def script(call: Invocation) -> None:
        call.invoke(OTHER_PROGRAM_ID, [Meta(FOREIGN, False, True), Meta(OWNED, False, True)], b"")

    landed = chain.act(script, meta(OWNED), meta(FOREIGN), meta(OTHER_PROGRAM_ID, writable=False))
    assert landed.meta.err == failure("ExternalAccountLamportSpend")


def test_callers_own_violations_are_found_before_it_invokes() -> None:
    chain = chain_with_data()

    def script(call: Invocation) -> None:
        write_foreign(call)
        call.invoke(OTHER_PROGRAM_ID, [Meta(FOREIGN, False, True)], b"")

    landed = chain.act(script, meta(OWNED), meta(FOREIGN), meta(OTHER_PROGRAM_ID, writable=False))
    assert landed.meta.err == failure("ExternalAccountDataModified")


def test_reentrancy_through_another_program_is_refused() -> None:
    chain = Chain()
    chain.other.act = lambda call: call.invoke(PROGRAM_ID, [], b"")
    landed = chain.act(
        lambda call: call.invoke(OTHER_PROGRAM_ID, [Meta(PROGRAM_ID, False, False)], b""),
        meta(OTHER_PROGRAM_ID, writable=False),
        meta(PROGRAM_ID, writable=False),
    )
    assert landed.meta.err == failure("ReentrancyNotAllowed")


def test_call_depth_is_bounded() -> None:
    itself = Meta(PROGRAM_ID, False, False)
    landed = Chain().act(lambda call: call.invoke(PROGRAM_ID, [itself], b""), meta(PROGRAM_ID, writable=False))
    assert landed.meta.err == failure("CallDepth")
    assert [line for line in landed.meta.logs if "invoke" in line][-1] == f"Program {NAME} invoke [5]"


def test_number_of_invocations_is_bounded() -> None:
    def script(call: Invocation) -> None:
        for _ in range(64):
            call.invoke(OTHER_PROGRAM_ID, [], b"")

    chain = Chain()
    chain.program.act = script
    call = Instruction(PROGRAM, b"", [meta(OTHER_PROGRAM_ID, writable=False)])
    landed = chain.run(set_compute_unit_limit(1_400_000), call)
    assert landed.meta.err == failure("MaxInstructionTraceLengthExceeded", 1)


def test_custom_and_named_failures_are_logged_in_words() -> None:
    def custom(_call: Invocation) -> None:
        raise InstructionFailed("ProtocolPaused", 6010)

    def named(_call: Invocation) -> None:
        raise InstructionFailed("MissingRequiredSignature")

    chain = Chain()
    landed = chain.act(custom)
    assert landed.meta.err == {"InstructionError": [0, {"Custom": 6010}]}
    assert landed.meta.logs[-1] == f"Program {NAME} failed: custom program error: 0x177a"
    assert chain.act(named).meta.logs[-1] == f"Program {NAME} failed: missing required signature for instruction"


def test_logs_stop_at_the_cap_but_shorter_lines_still_come() -> None:
    def script(call: Invocation) -> None:
        call.log("a" * 9_800)
        call.log("b" * 200)
        call.log("c" * 5)
        call.log("d" * 300)

    landed = Chain().act(script)
    assert landed.meta.logs[2] == LOG_TRUNCATED
    assert landed.meta.logs[3] == "Program log: ccccc"
    assert landed.meta.logs.count(LOG_TRUNCATED) == 1
    assert sum(len(line) for line in landed.meta.logs if line != LOG_TRUNCATED) < 10_000


@given(st.lists(st.text(max_size=40), max_size=30), st.integers(1, 300))
def test_log_cap_holds_for_any_lines(lines: list[str], cap: int) -> None:
    logs = LogCollector(cap)
    for line in lines:
        logs.write(line)
    kept = list(logs.lines)
    if any(line == LOG_TRUNCATED for line in lines):
        return
    assert kept.count(LOG_TRUNCATED) <= 1
    whole = [line for line in kept if line != LOG_TRUNCATED]
    assert sum(len(line.encode()) for line in whole) < cap or not whole
    if LOG_TRUNCATED not in kept:
        assert kept == lines


def test_truncated_logs_on_demand() -> None:
    def script(call: Invocation) -> None:
        call.log("Instruction: BuyShares")
        call.log_data(bytes(100))

    chain = Chain()
    chain.ledger.truncate_logs(1)
    assert LOG_TRUNCATED in chain.act(script).meta.logs
    assert LOG_TRUNCATED not in chain.act(script).meta.logs
    chain.ledger.truncate_logs(-1)
    assert LOG_TRUNCATED in chain.act(script).meta.logs
    assert LOG_TRUNCATED in chain.act(script).meta.logs
    chain.ledger.truncate_logs(0)
    assert LOG_TRUNCATED not in chain.act(script).meta.logs


def test_exceeding_the_unit_limit_fails() -> None:
    chain = Chain()
    landed = chain.run(set_compute_unit_limit(1_000), Instruction(PROGRAM, b"", []))
    assert landed.meta.err == failure("ProgramFailedToComplete", 1)
    assert landed.meta.logs[-1] == f"Program {NAME} failed: exceeded CUs meter at BPF instruction"
    assert landed.meta.compute_units == 1_000
    assert f"Program {NAME} consumed 850 of 850 compute units" in landed.meta.logs


def test_compute_units_are_deterministic() -> None:
    first, second = (Chain().act(lambda call: call.log("x"), meta(BOB)) for _ in range(2))
    assert first.meta.compute_units == second.meta.compute_units > 0


def test_compute_budget_may_be_named_once() -> None:
    with pytest.raises(TransactionRefused) as refused:
        Chain().run(set_compute_unit_limit(1), set_compute_unit_price(1), set_compute_unit_limit(2))
    assert refused.value.err == {"DuplicateInstruction": 2}
    assert str(refused.value) == "Transaction contains a duplicate instruction (2) that is not allowed"


def test_compute_budget_values_are_checked() -> None:
    budget = Pubkey(addresses.COMPUTE_BUDGET_ID)
    for bad in (b"", b"\x00", b"\x02\x01", b"\x09\x00\x00\x00\x00"):
        with pytest.raises(TransactionRefused) as refused:
            Chain().run(payment(1), Instruction(budget, bad, []))
        assert refused.value.err == failure("InvalidInstructionData", 1)
    with pytest.raises(TransactionRefused):
        Chain().run(request_heap_frame(1_000))
    with pytest.raises(TransactionRefused, match="greater than 0"):
        Chain().run(Instruction(budget, b"\x04\x00\x00\x00\x00", []))
    assert not Chain().run(request_heap_frame(64 * 1024), payment(1)).failed


def test_loaded_data_is_limited_on_request() -> None:
    chain = chain_with_data()
    limit = Instruction(Pubkey(addresses.COMPUTE_BUDGET_ID), b"\x04\x03\x00\x00\x00", [])
    landed = chain.run(limit, Instruction(PROGRAM, b"", [meta(OWNED)]))
    assert landed.meta.err == "MaxLoadedAccountsDataSizeExceeded"


@pytest.mark.parametrize(
    ("err", "text"),
    [
        ("BlockhashNotFound", "Blockhash not found"),
        ({"InstructionError": [2, {"Custom": 6000}]}, "Error processing Instruction 2: custom program error: 0x1770"),
        (
            {"InstructionError": [0, "CallDepth"]},
            "Error processing Instruction 0: Cross-program invocation call depth too deep",
        ),
        (
            {"InsufficientFundsForRent": {"account_index": 3}},
            "Transaction results in an account (3) with insufficient funds for rent",
        ),
    ],
)
def test_errors_in_words(err: object, text: str) -> None:
    assert transaction_text(err) == text  # type: ignore[arg-type]
