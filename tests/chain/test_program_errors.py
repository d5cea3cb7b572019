from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from tests.chain.instruction_cases import CODEC, PROGRAM_ID
from zmart_lite.chain.program_errors import failure_in, failure_of
from zmart_lite.errors import SimulationFailed

OURS = str(Pubkey.from_bytes(PROGRAM_ID))
SYSTEM = "1" * 32
OTHER = "L2TExMFKdjpN9kozasaurPirfHy9P8sbXoAN1qA3S95"
BUDGET = [
    "Program ComputeBudget111111111111111111111111111111 invoke [1]",
    "Program ComputeBudget111111111111111111111111111111 success",
]


def custom(number: int, index: int = 2) -> dict[str, Any]:
    return {"InstructionError": [index, {"Custom": number}]}


def anchor_logs(name: str, number: int, program: str = OURS) -> list[str]:
    return [
        f"Program {program} invoke [1]",
        "Program log: Instruction: BuyShares",
        f"Program log: AnchorError thrown in x.rs:5. Error Code: {name}. Error Number: {number}. Error Message: m.",
        f"Program {program} consumed 9000 of 200000 compute units",
        f"Program {program} failed: custom program error: {number:#x}",
    ]


@pytest.mark.parametrize("form", ["occurred", "thrown in programs/zmart/src/lib.rs:5", "caused by account: market"])
def test_the_name_comes_from_our_logs(form: str) -> None:
    logs = [line.replace("thrown in x.rs:5", form) for line in BUDGET + anchor_logs("SlippageExceeded", 6015)]
    assert failure_of(custom(6015), logs, CODEC)[:3] == ("SlippageExceeded", 6015, 2)


def test_a_build_with_other_numbers_is_named_rightly() -> None:
    failure = failure_of(custom(6014), anchor_logs("SlippageExceeded", 6014), CODEC)
    assert (failure.name, failure.number) == ("SlippageExceeded", 6014)


def test_without_a_name_the_number_counts_if_it_is_ours() -> None:
    silent = [f"Program {OURS} invoke [1]", f"Program {OURS} failed: custom program error: 0x177f"]
    assert failure_of(custom(6015), silent, CODEC).name == "SlippageExceeded"
    assert failure_of(custom(6015), None, CODEC).name == "SlippageExceeded"
    assert failure_of(custom(3012), [], CODEC).name == "AccountNotInitialized"
    assert failure_of(custom(7777), silent, CODEC).name == "Custom"


@pytest.mark.parametrize(("number", "name"), [(0, "SystemAccountInUse"), (1, "SystemInsufficientFunds"), (5, "Custom")])
def test_system_errors_inside_our_call(number: int, name: str) -> None:
    logs = [
        f"Program {OURS} invoke [1]",
        "Program log: Instruction: CreateMarket",
        f"Program {SYSTEM} invoke [2]",
        "Create Account: account Address { address: x, base: None } already in use",
        f"Program {SYSTEM} failed: custom program error: {number:#x}",
        f"Program {OURS} consumed 5000 of 200000 compute units",
        f"Program {OURS} failed: custom program error: {number:#x}",
    ]
    assert failure_of(custom(number), logs, CODEC)[:3] == (name, number, 2)
    assert failure_of(custom(number), None, CODEC).name == name


def test_another_program_is_not_mistaken_for_ours() -> None:
    logs = [f"Program {OURS} invoke [1]", f"Program {OURS} success", *anchor_logs("SlippageExceeded", 6015, OTHER)]
    assert failure_of(custom(6015), logs, CODEC).name == "Custom"


def test_a_name_printed_by_another_program_does_not_count() -> None:
    forged = "Program log: AnchorError occurred. Error Code: Forged. Error Number: 6015. Error Message: m."
    logs = [
        f"Program {OTHER} invoke [1]",
        forged,
        f"Program {OTHER} success",
        f"Program {OURS} invoke [1]",
        f"Program {SYSTEM} invoke [2]",
        forged,
        f"Program {SYSTEM} success",
        f"Program {OURS} failed: custom program error: 0x177f",
    ]
    assert failure_of(custom(6015), logs, CODEC).name == "SlippageExceeded"


@pytest.mark.parametrize(
    ("err", "name", "index"),
    [
        ({"InstructionError": [1, "PrivilegeEscalation"]}, "PrivilegeEscalation", 1),
        ({"InstructionError": [0, {"BorshIoError": "Unknown"}]}, "BorshIoError", 0),
        ({"InsufficientFundsForRent": {"account_index": 2}}, "InsufficientFundsForRent", None),
        ({"DuplicateInstruction": 1}, "DuplicateInstruction", None),
        ("BlockhashNotFound", "BlockhashNotFound", None),
        (None, "Unknown", None),
        ({"InstructionError": "odd"}, "InstructionError", None),
        ({}, "Unknown", None),
        ("", "Unknown", None),
    ],
)
def test_runtime_errors_go_by_their_names(err: Any, name: str, index: int | None) -> None:
    assert failure_of(err, None, CODEC) == (name, None, index, ())


def test_only_the_last_lines_are_shown() -> None:
    logs = [f"Program log: {number} {'x' * 1_000}" for number in range(50)]
    shown = failure_of("AccountNotFound", logs, CODEC).logs
    assert len(shown) == 20
    assert shown[-1].startswith("Program log: 49")
    assert all(len(line) == 400 for line in shown)


def test_from_an_exception() -> None:
    error = SimulationFailed("failed", custom(6015), anchor_logs("SlippageExceeded", 6015))
    assert failure_in(error, CODEC).name == "SlippageExceeded"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["InstructionError", "Custom", "x"]), inner, max_size=2)
    ),
    max_leaves=6,
)
log_lines = st.lists(
    st.sampled_from([*BUDGET, *anchor_logs("SlippageExceeded", 6015), f"Program {OURS} invoke [9]", "", "\n"])
    | st.text(max_size=20),
    max_size=8,
)


@given(json_values, log_lines)
def test_nothing_makes_it_raise(err: Any, logs: list[str]) -> None:
    failure = failure_of(err, logs, CODEC)
    assert failure.name
    assert len(failure.logs) <= 20
