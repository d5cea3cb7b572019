"""The log parser: what it believes, what it ignores, and that nothing makes it raise."""

from base64 import b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from zmart_lite.chain import events
from zmart_lite.chain.events import ProgramInstruction, events_of, is_whole, parse_logs, program_instructions
from zmart_lite.codec import Codec
from zmart_lite.models import (
    ChainEvent,
    ChainInstruction,
    ChainTransaction,
    MarketFinalized,
    ProtocolPauseStatusChanged,
    SharesBought,
    WinningsClaimedLegacy,
)

PROGRAM = "7h3gXfBfYFueFVLYyfL5Qo1QGsf4GQUfW96FKVgnUsJS"
SYSTEM = "1" * 32
FORGER = "Forger1111111111111111111111111111111111111"
CODEC = Codec(bytes(Pubkey.from_string(PROGRAM)))
BOUGHT = SharesBought(b"\x01" * 32, b"\x02" * 32, True, 2_099_871_638, 999_736_100, 500_524_967, 1_700_000_000)
PAUSED = ProtocolPauseStatusChanged(True, b"\x03" * 32, 1_700_000_001)


def base64_of(event: ChainEvent) -> str:
    return b64encode(CODEC.encode_event(event)).decode()


DATA = f"Program data: {base64_of(BOUGHT)}"
OTHER_DATA = f"Program data: {base64_of(PAUSED)}"
IN, OUT = f"Program {PROGRAM} invoke [1]", f"Program {PROGRAM} success"


def call_of(program: str, depth: int, *inside: str) -> list[str]:
    return [f"Program {program} invoke [{depth}]", *inside, f"Program {program} success"]


def found(logs: list[str]) -> list[ChainEvent | None]:
    return [logged.event for logged in parse_logs(CODEC, logs).events]


def transaction(**changes: object) -> ChainTransaction:
    sound = ChainTransaction(b"\x05" * 64, 7, None, None, False, (IN, DATA, OUT), ())
    return sound._replace(**changes)


# What is believed


def test_a_buy_as_the_runtime_logs_it() -> None:
    logs = [
        *call_of("ComputeBudget111111111111111111111111111111", 1),
        IN,
        "Program log: Instruction: BuyShares",
        *call_of(SYSTEM, 2),
        *call_of(SYSTEM, 2),
        DATA,
        f"Program {PROGRAM} consumed 61234 of 199850 compute units",
        OUT,
    ]
    parsed = parse_logs(CODEC, logs)
    assert parsed.complete
    assert [tuple(logged) for logged in parsed.events] == [(0, CODEC.encode_event(BOUGHT), BOUGHT, None)]


def test_events_are_numbered_over_the_whole_transaction() -> None:
    logs = [
        *call_of(PROGRAM, 1, DATA),
        *call_of(FORGER, 1, *call_of(PROGRAM, 2, OTHER_DATA)),
        *call_of(PROGRAM, 1, DATA),
    ]
    parsed = parse_logs(CODEC, logs)
    assert parsed.complete
    assert [(logged.event_index, logged.event) for logged in parsed.events] == [(0, BOUGHT), (1, PAUSED), (2, BOUGHT)]


def test_both_layouts_of_a_claim_are_read() -> None:
    legacy = WinningsClaimedLegacy(b"\x01" * 32, b"\x02" * 32, 5, 6, 7)
    assert found(call_of(PROGRAM, 1, f"Program data: {base64_of(legacy)}")) == [legacy]


def calls(*names: str) -> tuple[ChainInstruction, ...]:
    """Calls of our program, top-level or inner, in order of execution; "?" is an instruction of another version."""
    data = {name: CODEC._instructions[name][0] if name != "?" else b"\xff" * 8 for name in names}
    return tuple(ChainInstruction(CODEC.program_id, (), data[name]) for name in names)


UNKNOWN_DATA = f"Program data: {b64encode(bytes(12)).decode()}"


def test_no_logs_hold_no_events() -> None:
    """Which is all there is to tell of a transaction that does not call the program, and too little of any other."""
    assert parse_logs(CODEC, []) == ((), True)
    assert events_of(CODEC, transaction(logs=())) == ((), True)
    budget = call_of("ComputeBudget111111111111111111111111111111", 1)
    for logs in ((), tuple(budget)):
        assert events_of(CODEC, transaction(logs=logs, instructions=calls("buy_shares"))) == ((), False)
        assert not is_whole(CODEC, transaction(logs=logs, instructions=calls("buy_shares")))


@pytest.mark.parametrize(
    ("names", "lines", "complete"),
    [
        ("buy_shares", [DATA], True),
        ("buy_shares", [OTHER_DATA], False),
        ("buy_shares", [UNKNOWN_DATA], True),
        ("buy_shares buy_shares", [DATA], False),
        ("buy_shares buy_shares", [DATA, DATA], True),
        ("buy_shares emergency_pause", [DATA, DATA], False),
        ("buy_shares emergency_pause", [OTHER_DATA, DATA], True),
        ("buy_shares ?", [DATA, ""], True),
        ("buy_shares ?", [DATA], False),  # nothing tells that the unknown one was run
        ("? buy_shares", [UNKNOWN_DATA, ""], True),
        ("?", [""], True),
        ("?", [], False),
        ("? buy_shares", [], False),
        ("", [DATA], True),
    ],
)
def test_every_call_needs_its_event(names: str, lines: list[str], complete: bool) -> None:
    logs = tuple(line for data in lines for line in (IN, data, OUT) if line)
    parsed = events_of(CODEC, transaction(logs=logs, instructions=calls(*names.split())))
    assert (len(parsed.events), parsed.complete) == (sum(map(bool, lines)), complete)


@given(st.lists(st.sampled_from([DATA, OTHER_DATA]), max_size=5), st.data())
def test_no_event_can_be_left_out_unnoticed(lines: list[str], data: st.DataObject) -> None:
    """Of a transaction that is told whole, any lines of any calls may be missing, the runtime's own or the data's."""
    names = ["buy_shares" if line == DATA else "emergency_pause" for line in lines]
    whole = [line for data_line in lines for line in (IN, data_line, OUT)]
    left = [line for line in whole if data.draw(st.booleans())]
    parsed = events_of(CODEC, transaction(logs=tuple(left), instructions=calls(*names)))
    assert not parsed.complete or len(parsed.events) == len(lines)
    assert parsed.complete or left != whole


@given(st.lists(st.sampled_from([PROGRAM, SYSTEM, FORGER]), max_size=9), st.data())
def test_only_the_innermost_program_counts(programs: list[str], data: st.DataObject) -> None:
    """Any nesting of calls, with a data line at any place: it is ours exactly if we are innermost there."""
    logs, expected = [], 0
    for depth, program in enumerate(programs, start=1):
        logs.append(f"Program {program} invoke [{depth}]")
        if data.draw(st.booleans()):
            logs.append(DATA)
            expected += program == PROGRAM
    for program in reversed(programs):
        if data.draw(st.booleans()):
            logs.append(DATA)
            expected += program == PROGRAM
        logs.append(f"Program {program} success")
    parsed = parse_logs(CODEC, logs)
    assert (len(parsed.events), parsed.complete) == (expected, True)


# What is not


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param([DATA], id="outside any program"),
        pytest.param(call_of(FORGER, 1, DATA), id="another program's data"),
        pytest.param([IN, *call_of(FORGER, 2, DATA), OUT], id="a program we called"),
        pytest.param(call_of(FORGER, 1, *call_of(PROGRAM, 2), DATA), id="a program that called us, afterwards"),
        pytest.param(call_of(PROGRAM, 1, f"Program log: {base64_of(BOUGHT)}"), id="base64 in free text"),
        pytest.param(call_of(PROGRAM, 1, f"Program log: {DATA}"), id="a data line in free text"),
        pytest.param(call_of(PROGRAM, 1, f"Program log: hello\n{DATA}"), id="a data line behind a line break"),
        pytest.param(call_of(FORGER, 1, f"Program log: x\n{IN}", DATA), id="an invocation behind a line break"),
        pytest.param(call_of(FORGER, 1, f"Program log: {IN}", DATA), id="an invocation in free text"),
        pytest.param(call_of(FORGER, 1, "Program log: success", DATA), id="free text that reads like an end"),
        pytest.param(call_of(FORGER, 1, "Program log: invoke [2]", DATA), id="free text that reads like a beginning"),
        pytest.param(call_of(FORGER, 1, f"Program return: {PROGRAM} AAAA", DATA), id="returned data"),
        pytest.param(call_of(PROGRAM, 1, f" {DATA}", DATA.lower(), DATA.replace(": ", ":")), id="almost a data line"),
    ],
)
def test_forged_events_are_ignored(forged: list[str]) -> None:
    assert parse_logs(CODEC, forged) == ((), True)


@pytest.mark.parametrize(
    "text", ["success", "invoke [1]", "failed: x", f"{PROGRAM} success", f"x\n{OUT}", "Log truncated", f"\n{IN}\n"]
)
def test_free_text_never_moves_the_stack(text: str) -> None:
    assert parse_logs(CODEC, call_of(PROGRAM, 1, f"Program log: {text}", DATA)) == parse_logs(CODEC, [IN, DATA, OUT])


@pytest.mark.parametrize(
    "line", [f"{IN}\n", f"{IN} ", f"Program {PROGRAM} invoke [x]", f"Program {PROGRAM} invoke [0]"]
)
def test_a_line_that_is_almost_an_invocation_is_none(line: str) -> None:
    assert found([line, DATA]) == []


def test_failed_transactions_have_no_events() -> None:
    assert events_of(CODEC, transaction(failed=True)) == ((), True)
    assert events_of(CODEC, transaction(failed=True, logs=None)) == ((), True)
    assert [logged.event for logged in events_of(CODEC, transaction()).events] == [BOUGHT]


def test_a_transaction_without_logs_is_incomplete() -> None:
    assert events_of(CODEC, transaction(logs=None)) == ((), False)


# Truncation and missing lines


def test_nothing_behind_the_truncation_mark_is_believed() -> None:
    parsed = parse_logs(CODEC, [IN, DATA, "Log truncated", OTHER_DATA, OUT, IN, DATA, OUT])
    assert [logged.event for logged in parsed.events] == [BOUGHT]
    assert not parsed.complete


def test_truncation_hides_whose_data_follows() -> None:
    """The forger's invocation was cut, its shorter data line still fitted: it must not pass for ours."""
    assert parse_logs(CODEC, [IN, "Log truncated", DATA]) == ((), False)


@pytest.mark.parametrize(
    ("logs", "events_kept"),
    [
        pytest.param([IN, DATA], 1, id="no end"),
        pytest.param([OUT], 0, id="an end without a beginning"),
        pytest.param([f"Program {SYSTEM} failed: custom program error: 0x0"], 0, id="a failure without a beginning"),
        pytest.param([IN, f"Program {SYSTEM} success", DATA, OUT], 0, id="another program's end"),
        pytest.param([f"Program {PROGRAM} invoke [2]", DATA, OUT], 1, id="the caller's beginning is missing"),
        pytest.param(
            [IN, f"Program {FORGER} invoke [3]", f"Program {FORGER} success", DATA], 0, id="a depth is skipped"
        ),
        pytest.param(
            [IN, f"Program {FORGER} invoke [1]", DATA, f"Program {FORGER} success"], 0, id="our end is missing"
        ),
        pytest.param([IN, f"Program {PROGRAM} invoke [64]", DATA], 1, id="a leap in depth"),
    ],
)
def test_missing_lines_are_flagged_and_never_make_data_ours(logs: list[str], events_kept: int) -> None:
    parsed = parse_logs(CODEC, logs)
    assert not parsed.complete
    assert len(parsed.events) == events_kept


def test_the_printed_depth_mends_the_stack() -> None:
    logs = [IN, f"Program {SYSTEM} invoke [2]", IN, DATA, OUT]
    parsed = parse_logs(CODEC, logs)
    assert [logged.event for logged in parsed.events] == [BOUGHT]
    assert not parsed.complete


def test_a_failed_call_ends_like_any_other() -> None:
    logs = [IN, f"Program {FORGER} invoke [2]", f"Program {FORGER} failed: a: b\nc", DATA, OUT]
    assert parse_logs(CODEC, logs).complete
    assert found(logs) == [BOUGHT]


# Data that cannot be decoded


@pytest.mark.parametrize(
    ("text", "kept", "reason"),
    [
        ("", b"", "unknown event discriminator"),
        ("AAAAAAAAAAAA", bytes(9), "unknown event discriminator '0000000000000000'"),
        (base64_of(BOUGHT)[:-4], CODEC.encode_event(BOUGHT)[:-3], "102 bytes instead of 105"),
        ("!!", b"!!", "not one base64 field"),
        ("AAA", b"AAA", "not one base64 field"),
        ("AAAA\n", b"AAAA\n", "not one base64 field"),
        ("é", "é".encode(), "not one base64 field"),
        ("\ud800", b"\\ud800", "not one base64 field"),
    ],
)
def test_undecodable_data_is_kept_with_the_reason(text: str, kept: bytes, reason: str) -> None:
    parsed = parse_logs(CODEC, call_of(PROGRAM, 1, f"Program data: {text}", DATA))
    bad, good = parsed.events
    assert (bad.event_index, bad.data, bad.event) == (0, kept, None)
    assert bad.error is not None
    assert bad.error.startswith(reason)
    assert (good.event_index, good.event, good.error) == (1, BOUGHT, None)
    assert parsed.complete


def test_several_fields_on_one_line_are_no_event() -> None:
    """The program logs one slice; two that join to an event come from nowhere we know."""
    whole = base64_of(BOUGHT)
    [logged] = parse_logs(CODEC, call_of(PROGRAM, 1, f"Program data: {whole} {whole}")).events
    assert (logged.event, logged.data) == (None, f"{whole} {whole}".encode())


# Nothing raises

pieces = st.sampled_from(
    [IN, OUT, DATA, OTHER_DATA, "Program data: ", "Program log: x", "Log truncated", "", "Program", "Program  ", "\n"]
    + [f"Program {name} {end}" for name in (PROGRAM, SYSTEM, FORGER) for end in ("invoke [1]", "invoke [2]", "success")]
    + [f"Program {PROGRAM} invoke [{'9' * 5_000}]", f"Program {PROGRAM} failed: \n", "Program log:", "Program data:"]
)


@given(st.lists(pieces | st.text(max_size=80) | st.text(max_size=40).map(lambda text: f"Program data: {text}")))
@example([f"Program {PROGRAM} invoke [٣]", DATA])
def test_no_logs_make_the_parser_raise(logs: list[str]) -> None:
    parsed = parse_logs(CODEC, logs)
    assert [logged.event_index for logged in parsed.events] == list(range(len(parsed.events)))
    assert all((logged.event is None) != (logged.error is None) for logged in parsed.events)
    assert "Log truncated" not in logs or not parsed.complete


@given(st.lists(pieces), st.lists(pieces))
def test_what_was_found_does_not_depend_on_what_follows(logs: list[str], rest: list[str]) -> None:
    before = parse_logs(CODEC, logs).events
    assert parse_logs(CODEC, logs + rest).events[: len(before)] == before


def test_remembered_lines_are_bounded() -> None:
    for number in range(3 * events.FRAMES_KNOWN_MAX):
        parse_logs(CODEC, call_of(str(Pubkey.from_bytes(number.to_bytes(32, "big"))).ljust(32, "1"), 1))
    assert len(events._frames_known) <= events.FRAMES_KNOWN_MAX
    assert found([IN, DATA, OUT]) == [BOUGHT]


# Instructions


def test_the_programs_instructions_are_read_in_order() -> None:
    counts = {"dispute_agree": 7, "dispute_disagree": None}
    accounts = (b"\x06" * 32, b"\x07" * 32)
    finalize = ChainInstruction(CODEC.program_id, accounts, CODEC.encode_instruction("finalize_market", counts))
    pause = ChainInstruction(CODEC.program_id, (), CODEC.encode_instruction("emergency_pause", {}))
    broken = ChainInstruction(CODEC.program_id, (), finalize.data[:9])
    foreign = finalize._replace(program_id=b"\x08" * 32)
    held = transaction(instructions=(finalize, broken, foreign, pause))
    assert program_instructions(CODEC, held) == [
        ProgramInstruction("finalize_market", counts, accounts),
        ProgramInstruction("emergency_pause", {}, ()),
    ]
    assert program_instructions(CODEC, held._replace(failed=True)) == []


def test_an_event_with_an_option_is_read() -> None:
    finalized = MarketFinalized(b"\x01" * 32, None, False, 9)
    assert found(call_of(PROGRAM, 1, f"Program data: {base64_of(finalized)}")) == [finalized]
