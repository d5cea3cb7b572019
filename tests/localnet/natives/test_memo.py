"""The memo programs: what they log, refuse and cost. The expected lines and units are LiteSVM's."""

import pytest
from solders.compute_budget import set_compute_unit_limit
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from tests.localnet.chain_harness import ALICE, BOB, Chain, keypair, meta
from zmart_lite.localnet.ledger import LedgerOptions
from zmart_lite.localnet.natives.addresses import MEMO_ID, MEMO_V1_ID, MEMO_V4_ID
from zmart_lite.localnet.natives.catalogue import native_programs
from zmart_lite.localnet.releases import RELEASES

OLDER = RELEASES["3.0"]


def memo(data: bytes, *accounts: AccountMeta, program: bytes = MEMO_V4_ID) -> Instruction:
    return Instruction(Pubkey(program), data, list(accounts))


def failure(name: str, index: int = 0) -> dict[str, list[object]]:
    return {"InstructionError": [index, name]}


def older_chain() -> Chain:
    chain = Chain(LedgerOptions(slot_ms=0, release=OLDER))
    chain.ledger.programs = {**chain.ledger.programs, **native_programs(OLDER)}
    return chain


@pytest.mark.parametrize("program", [MEMO_ID, MEMO_V4_ID])
def test_v4_logs_signers_and_text_on_lines_of_their_own(program: bytes) -> None:
    landed = Chain().run(memo('say "hé"\n'.encode(), meta(ALICE, signer=True), program=program))
    assert landed.meta.logs[1:5] == (
        "Program log: Signed by:",
        f"Program log: {ALICE.pubkey()}",
        "Program log: Memo (len 10)",
        'Program log: say "hé"\n',
    )


@pytest.mark.parametrize(
    ("text", "signers", "units"),
    [
        (b"", 0, 232),
        (b"a", 0, 274),
        (b"x" * 10, 0, 287),
        (b"x" * 101, 0, 301),
        (b"x" * 999, 0, 1199),
        (b"hi", 1, 500),
        (b"hi", 2, 615),
        (b"", 3, 688),
    ],
)
def test_v4_costs_what_it_costs_on_a_cluster(text: bytes, signers: int, units: int) -> None:
    signing = [keypair(number) for number in range(20, 20 + signers)]
    accounts = [meta(each, signer=True, writable=False) for each in signing]
    landed = Chain().run(set_compute_unit_limit(2_000), memo(text, *accounts), signers=signing)
    assert landed.meta.compute_units == 150 + units


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"ok\xff", "invalid utf-8 sequence of 1 bytes from index 2: [111, 107, 255]"),
        (b"ab\xe2\x82", "incomplete utf-8 byte sequence from index 2: [97, 98, 226, 130]"),
    ],
)
def test_v4_fails_in_the_runtime_over_what_is_no_text(data: bytes, line: str) -> None:
    landed = Chain().run(memo(data))
    assert landed.meta.err == failure("ProgramFailedToComplete")
    assert landed.meta.logs[-1] == f"Program {Pubkey(MEMO_V4_ID)} failed: {line}"


@pytest.mark.parametrize("program", [MEMO_ID, MEMO_V4_ID])
def test_every_account_must_have_signed(program: bytes) -> None:
    assert Chain().run(memo(b"x", meta(BOB), program=program)).meta.err == failure("MissingRequiredSignature")


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("don't", '"don\\\'t"'),
        ('say "hé"\n', '"say \\"hé\\"\\n"'),
        ("\0\x07", '"\\u{0}\\u{7}"'),
        ("e\u0301", '"e\\u{301}"'),
        ("\u200b\U0001f600", '"\\u{200b}\U0001f600"'),
    ],
)
def test_v3_of_older_clusters_quotes_the_text(text: str, quoted: str) -> None:
    landed = older_chain().run(memo(text.encode(), meta(ALICE, signer=True), program=MEMO_ID))
    assert landed.meta.logs[1:3] == (
        f"Program log: Signed by {ALICE.pubkey()}",
        f"Program log: Memo (len {len(text.encode())}): {quoted}",
    )


def test_v3_needs_more_than_the_default_units_for_a_long_text() -> None:
    landed = older_chain().run(memo(b"x" * 600, program=MEMO_ID))
    assert landed.meta.err == failure("ProgramFailedToComplete")
    refused = older_chain().run(memo(b"ok\xff", program=MEMO_ID))
    assert "Program log: Invalid UTF-8, from byte 2" in refused.meta.logs


def test_v1_says_nothing() -> None:
    chain = Chain()
    landed = chain.run(memo(b"fine", program=MEMO_V1_ID))
    assert [line.split()[2] for line in landed.meta.logs] == ["invoke", "consumed", "success"]
    assert chain.run(memo(b"\xff", program=MEMO_V1_ID)).meta.err == failure("InvalidInstructionData")


def test_64_top_level_instructions_run_and_no_more() -> None:
    chain = Chain()
    assert not chain.run(*[memo(b"", program=MEMO_V1_ID)] * 64).failed
    landed = chain.run(*[memo(b"", program=MEMO_V1_ID)] * 65)
    assert landed.meta.err == failure("MaxInstructionTraceLengthExceeded", 64)
    assert landed.meta.compute_units == 64 * 232
