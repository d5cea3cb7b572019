"""Finds our program's events in the logs of a transaction. Pure, and total: no input makes it raise.

Written anew because the parsers of the Solana libraries take events from free text (``msg!``) and from other
programs, and raise on lines they do not expect. This one believes only what the runtime itself prints:

- ``Program <id> invoke [n]`` and ``success`` / ``failed:`` say which program runs. The printed depth is used.
- ``Program data: <base64>`` is an event of ours only while our program is the innermost one.
- Everything a program can print at will starts with ``Program log: `` and is never looked into. An entry may contain
  line breaks; it stays one entry, so that no text can pass for a line of the runtime's.
- Behind ``Log truncated`` shorter lines may still follow while others are missing: from there on nothing is believed.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from solders.pubkey import Pubkey

from zmart_lite.codec import Codec, event_name
from zmart_lite.errors import UndecodableData
from zmart_lite.models import ChainTransaction, LoggedEvent, ParsedLogs

DATA_PREFIX = "Program data: "
TEXT_PREFIX = "Program log: "
TRUNCATION_MARK = "Log truncated"
ADDRESS_LENGTHS = range(32, 45)
INVOKE_DEPTHS = {f"[{depth}]": depth for depth in range(1, 65)}
"""Printed depths. The runtime allows 5, 9 with its next limit; the rest is room."""
ENDED = 0
FRAMES_KNOWN_MAX = 1_024

INSTRUCTION_OF_EVENT = {
    "GlobalConfigInitialized": "initialize_global_config",
    "MarketCreated": "create_market",
    "ProposalVoteSubmitted": "submit_proposal_vote",
    "ProposalAggregated": "aggregate_proposal_votes",
    "ProposalApproved": "approve_proposal",
    "MarketActivated": "activate_market",
    "SharesBought": "buy_shares",
    "SharesSold": "sell_shares",
    "MarketResolved": "resolve_market",
    "DisputeInitiated": "initiate_dispute",
    "DisputeVoteSubmitted": "submit_dispute_vote",
    "DisputeAggregated": "aggregate_dispute_votes",
    "MarketFinalized": "finalize_market",
    "WinningsClaimed": "claim_winnings",
    "LiquidityWithdrawn": "withdraw_liquidity",
    "ConfigUpdated": "update_global_config",
    "ProtocolPauseStatusChanged": "emergency_pause",
    "MarketCancelled": "cancel_market",
}
"""The instruction that emits each event; every instruction emits exactly one."""

_frames_known: dict[str, tuple[str, int]] = {}
"""Lines already taken apart. Nearly all of them repeat, a handful of programs at a handful of depths, and looking one
up costs a tenth of splitting it."""


class ProgramInstruction(NamedTuple):
    """A call of our program: name and arguments as in the IDL, accounts in the IDL's order (more may follow)."""

    name: str
    args: dict[str, Any]
    accounts: tuple[bytes, ...]


def events_of(codec: Codec, transaction: ChainTransaction) -> ParsedLogs:
    """The program's events in a transaction.

    None, and complete, if it failed, since its data lines describe reverted state. Complete means that every call of
    ours that it makes has its event: a source that carried no logs, or not all of them, has not told everything.
    """
    if transaction.failed:
        return ParsedLogs((), complete=True)
    if transaction.logs is None:
        return ParsedLogs((), complete=False)
    parsed = parse_logs(codec, transaction.logs)
    if parsed.complete and not _has_all_events(codec, transaction, parsed.events):
        return parsed._replace(complete=False)
    return parsed


def _has_all_events(codec: Codec, transaction: ChainTransaction, events: Sequence[LoggedEvent]) -> bool:
    """Whether each call of a known instruction has an event of its kind; one that cannot be decoded may be any."""
    names = [codec.instruction_by_discriminator(each.data) for each in transaction.instructions]
    told = [None if each.event is None else INSTRUCTION_OF_EVENT[event_name(each.event)] for each in events]
    if names == told:
        return True
    # What an unknown instruction logs is not known, but that it was run is.
    invoked = f"Program {Pubkey(codec.program_id)} invoke ["
    if sum(line.startswith(invoked) for line in transaction.logs or ()) < len(names):
        return False
    missing = Counter(name for name in names if name is not None) - Counter(name for name in told if name is not None)
    return missing.total() <= told.count(None)


def is_cut(transaction: ChainTransaction) -> bool:
    """Whether the runtime itself has cut the logs, so that no node has more of them."""
    return TRUNCATION_MARK in (transaction.logs or ())


def parse_logs(codec: Codec, logs: Sequence[str]) -> ParsedLogs:
    """The program's events in the log entries of a *successful* transaction, in order.

    ``complete`` is False where the runtime truncated the logs and where invocations do not add up (an end without a
    beginning, a skipped depth, no end): then events may be missing, but none of those returned is another program's.
    Whether lines are missing altogether only the calls can tell (:func:`events_of`).
    Data that is not an event of the IDL is kept with the reason, and counts in the numbering.
    """
    own, known = _address_text(codec.program_id), _frames_known.get
    plain = (TEXT_PREFIX, f"Program {own} consumed ")
    events: list[LoggedEvent] = []
    running: list[str] = []
    consistent = True
    for line in logs:
        frame = known(line)
        if frame is None:
            if line.startswith(DATA_PREFIX):
                if running and running[-1] == own:
                    events.append(_logged_event(codec, len(events), line[len(DATA_PREFIX) :]))
                continue
            if line.startswith(plain):
                continue
            if line == TRUNCATION_MARK:
                return ParsedLogs(tuple(events), complete=False)
            frame = _frame_of(line)
            if frame is None:
                continue
        program, depth = frame
        if depth == ENDED and running and running[-1] == program:
            del running[-1]
        elif depth == len(running) + 1:
            running.append(program)
        else:
            # Lines are missing. Only what this one says by itself is kept: no program may pass for the innermost one
            # because the lines that say otherwise are not there.
            consistent = False
            running = [] if depth == ENDED else [program]
    return ParsedLogs(tuple(events), consistent and not running)


def program_instructions(codec: Codec, transaction: ChainTransaction) -> list[ProgramInstruction]:
    """Our program's calls in a transaction, in order of execution; none if it failed. Undecodable ones are left out.

    In a successful transaction each call logs exactly one event, so the n-th call belongs to the n-th event.
    """
    if transaction.failed:
        return []
    calls = []
    for instruction in transaction.instructions:
        if instruction.program_id != codec.program_id:
            continue
        try:
            name, args = codec.decode_instruction(instruction.data)
        except UndecodableData:
            continue
        calls.append(ProgramInstruction(name, args, instruction.accounts))
    return calls


def is_whole(codec: Codec, transaction: ChainTransaction) -> bool:
    """Whether a transaction tells everything it did to our program: its logs are complete, and every event and call is
    one of the IDL's.
    """
    parsed = events_of(codec, transaction)
    known = all(each.event is not None for each in parsed.events)
    return parsed.complete and known and not has_unknown_calls(codec, transaction)


def has_unknown_calls(codec: Codec, transaction: ChainTransaction) -> bool:
    """Whether a successful transaction calls our program with something that is not one of the IDL's instructions."""
    if transaction.failed:
        return False
    for each in transaction.instructions:
        if each.program_id == codec.program_id and codec.instruction_by_discriminator(each.data) is None:
            return True
    return False


@lru_cache(maxsize=16)
def _address_text(program_id: bytes) -> str:
    return str(Pubkey.from_bytes(program_id))


def _frame_of(line: str) -> tuple[str, int] | None:
    """The program that a line of the runtime starts (with its depth) or ends (with ``ENDED``); None for other
    lines."""
    words = line.split(" ", 3)
    if len(words) < 3 or words[0] != "Program" or len(words[1]) not in ADDRESS_LENGTHS:
        return None
    program, what = words[1], words[2]
    if what == "failed:":
        return program, ENDED
    if what == "success" and len(words) == 3:
        frame = program, ENDED
    elif what == "invoke" and words[-1] in INVOKE_DEPTHS:
        frame = program, INVOKE_DEPTHS[words[-1]]
    else:
        return None
    if len(_frames_known) >= FRAMES_KNOWN_MAX:
        _frames_known.clear()
    _frames_known[line] = frame
    return frame


def _logged_event(codec: Codec, index: int, text: str) -> LoggedEvent:
    """The event behind a data line. Several fields, which ``sol_log_data`` can print, are none: our program prints
    one."""
    try:
        data = a2b_base64(text, strict_mode=True)
    except (Base64Error, ValueError) as error:
        return LoggedEvent(index, text.encode("utf-8", "backslashreplace"), None, f"not one base64 field: {error}")
    try:
        return LoggedEvent(index, data, codec.decode_event(data), None)
    except UndecodableData as error:
        return LoggedEvent(index, data, None, error.message)
