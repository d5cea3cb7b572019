"""The precompiles verify real signatures, and number what is wrong with the others as the runtime does."""

from collections.abc import Callable

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from tests.localnet.chain_harness import Chain, payment
from tests.localnet.differential.signatures import ed25519_data, secp256k1_data, secp256r1_data
from zmart_lite.localnet.natives.addresses import ED25519_ID, SECP256K1_ID, SECP256R1_ID
from zmart_lite.localnet.natives.precompiles import verify_precompile
from zmart_lite.localnet.runtime import InstructionFailed

KINDS = [(ED25519_ID, ed25519_data), (SECP256R1_ID, secp256r1_data), (SECP256K1_ID, secp256k1_data)]


@pytest.mark.parametrize(("program", "make"), KINDS)
def test_a_right_signature_costs_as_one_of_the_transactions_own(program: bytes, make: Callable[[bytes], bytes]) -> None:
    landed = Chain().run(Instruction(Pubkey(program), make(b"vote"), []), payment(1))
    assert not landed.failed
    assert landed.meta.fee_lamports == 10_000
    assert len(landed.meta.logs) == 2
    assert landed.meta.compute_units == 150


@pytest.mark.parametrize(("program", "make"), KINDS)
def test_another_message_is_refused(program: bytes, make: Callable[[bytes], bytes]) -> None:
    spoilt = make(b"vote")[:-1] + b"d"
    landed = Chain().run(Instruction(Pubkey(program), spoilt, []))
    assert landed.meta.err == {"InstructionError": [0, {"Custom": 2}]}
    assert landed.meta.logs == ()


@pytest.mark.parametrize(
    ("program", "data", "number"),
    [
        (ED25519_ID, b"", 4),
        (ED25519_ID, b"\0\0", None),
        (ED25519_ID, b"\0\0\0", 4),
        (ED25519_ID, ed25519_data(b"x")[:20], 3),
        (ED25519_ID, ed25519_data(b"x", index=7), 3),
        (ED25519_ID, ed25519_data(b"x", count=2), None),
        (SECP256R1_ID, b"\0\0", 4),
        (SECP256R1_ID, secp256r1_data(b"x", count=9), 4),
        (SECP256R1_ID, secp256r1_data(b"x")[:16] + b"\5" + secp256r1_data(b"x")[17:], 0),
        (SECP256K1_ID, b"\0", None),
        (SECP256K1_ID, b"\0\0", 4),
        (SECP256K1_ID, secp256k1_data(b"x", index=3), 4),
        (SECP256K1_ID, secp256k1_data(b"x")[:96] + b"\7" + secp256k1_data(b"x")[97:], 1),
    ],
)
def test_faults_have_the_runtimes_numbers(program: bytes, data: bytes, number: int | None) -> None:
    if number is None:
        verify_precompile(program, data, [data])
        return
    with pytest.raises(InstructionFailed) as failed:
        verify_precompile(program, data, [data])
    assert failed.value.custom == number


def test_parts_may_lie_in_other_instructions() -> None:
    whole = ed25519_data(b"vote", index=0)
    verify_precompile(ED25519_ID, whole[:16], [whole])
