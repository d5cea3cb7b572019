"""From a failed transaction to the name of what refused it. Pure.

The same number means different things in different programs, and builds of ours number their errors differently, so the
name in the logs comes first, and a number counts only once the logs say whose it is.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM

from zmart_lite.codec import Codec
from zmart_lite.errors import SimulationFailed, TransactionFailed

LOG_LINES_MAX = 20
LOG_CHARS_MAX = 400
"""Longer log lines are cut in what callers are shown."""
UNKNOWN = "Unknown"
ACCOUNT_IN_USE = "SystemAccountInUse"
INSUFFICIENT_FUNDS = "SystemInsufficientFunds"
BLOCKHASH_NOT_FOUND = "BlockhashNotFound"
ALREADY_PROCESSED = "AlreadyProcessed"
SYSTEM_ERRORS = {0: ACCOUNT_IN_USE, 1: INSUFFICIENT_FUNDS}
PROGRAM_ERROR_MIN = 100
"""Anchor's own errors begin here; smaller numbers come from the System program."""

_INVOKED = re.compile(r"Program (\S+) invoke \[(\d+)\]")
_FAILED = re.compile(r"Program (\S+) failed: ")
_ANCHOR = re.compile(r"Program log: AnchorError .*?Error Code: (\w+)\. Error Number: (\d+)\.", re.DOTALL)


class ProgramFailure(NamedTuple):
    """Why a transaction failed.

    ``name`` is the IDL's or Anchor's name, ``SystemAccountInUse``, ``SystemInsufficientFunds``, ``Custom`` for a number
    of some other program, or the runtime's own (``PrivilegeEscalation``, ``BlockhashNotFound``, …). ``number`` is the
    one the program gave, if any; ``instruction_index`` counts the transaction's instructions from 0, None where no
    instruction is to blame.
    """

    name: str
    number: int | None
    instruction_index: int | None
    logs: tuple[str, ...]


def failure_of(err: Any, logs: Sequence[str] | None, codec: Codec) -> ProgramFailure:
    """What ``err`` (the cluster's TransactionError as JSON) and the log lines of that run say; never raises."""
    lines = tuple(logs or ())
    shown = tuple(line[:LOG_CHARS_MAX] for line in lines[-LOG_LINES_MAX:])
    index, reason = _instruction_error(err)
    if reason is None:
        return ProgramFailure(_runtime_name(err), None, None, shown)
    number = reason.get("Custom") if isinstance(reason, dict) else None
    if not isinstance(number, int):
        return ProgramFailure(_runtime_name(reason), None, index, shown)
    return ProgramFailure(_custom_name(number, lines, codec), number, index, shown)


def failure_in(error: SimulationFailed | TransactionFailed, codec: Codec) -> ProgramFailure:
    return failure_of(error.err, error.logs, codec)


def _instruction_error(err: Any) -> tuple[int | None, Any]:
    found = err.get("InstructionError") if isinstance(err, dict) else None
    if isinstance(found, list) and len(found) == 2 and isinstance(found[0], int) and found[1] is not None:
        return found[0], found[1]
    return None, None


def _runtime_name(err: Any) -> str:
    """serde writes a bare variant as a string and one with content as an object of one key."""
    if isinstance(err, str):
        return err or UNKNOWN
    if isinstance(err, dict) and err:
        return str(next(iter(err)))
    return UNKNOWN


def _custom_name(number: int, logs: Sequence[str], codec: Codec) -> str:
    ours = str(Pubkey.from_bytes(codec.program_id))
    culprit = _culprit(logs)
    if culprit == str(SYSTEM_PROGRAM) or (culprit is None and number < PROGRAM_ERROR_MIN):
        return SYSTEM_ERRORS.get(number, "Custom")
    if culprit not in (ours, None):
        return "Custom"
    return _logged_name(number, logs, ours) or codec.error_name(number) or "Custom"


def _culprit(logs: Sequence[str]) -> str | None:
    """The innermost failed program:

    a failure passes outwards through every caller, so it is the first that is logged.
    """
    for line in logs:
        if found := _FAILED.match(line):
            return found[1]
    return None


def _logged_name(number: int, logs: Sequence[str], ours: str) -> str | None:
    """The last ``Error Code`` that our own program logged with this number."""
    name = None
    for program, line in _with_program(logs):
        if program == ours and (found := _ANCHOR.match(line)) and int(found[2]) == number:
            name = found[1]
    return name


def _with_program(logs: Sequence[str]) -> Iterator[tuple[str | None, str]]:
    """Each line with the program running when it was written, as told by the printed depth of the calls."""
    stack: list[str] = []
    for line in logs:
        if found := _INVOKED.fullmatch(line):
            del stack[int(found[2]) - 1 :]
            stack.append(found[1])
            continue
        yield (stack[-1] if stack else None), line
        if stack and (line == f"Program {stack[-1]} success" or line.startswith(f"Program {stack[-1]} failed: ")):
            stack.pop()
