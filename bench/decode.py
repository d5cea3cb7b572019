"""Events from logs: our parser beside anchorpy's on the same transactions in the same run, both on one core."""

import json
import random
from base64 import b64encode

from anchorpy.coder.coder import Coder
from anchorpy.program.event import EventParser
from anchorpy_core.idl import Idl
from solders.pubkey import Pubkey

from bench import Measurement, best_seconds
from zmart_lite import models
from zmart_lite.chain.anchor import legacy_idl
from zmart_lite.chain.events import parse_logs
from zmart_lite.codec import Codec

PROGRAM = "7h3gXfBfYFueFVLYyfL5Qo1QGsf4GQUfW96FKVgnUsJS"
SYSTEM = "11111111111111111111111111111111"
COMPUTE_BUDGET = "ComputeBudget111111111111111111111111111111"
TRANSACTIONS = 1_000
ROUNDS = 20
EVENTS_PER_SECOND_MIN = 150_000


def run() -> list[Measurement]:
    codec = Codec(bytes(Pubkey.from_string(PROGRAM)))
    every_log = _logs(codec, random.Random(1))
    anchorpy = EventParser(Pubkey.from_string(PROGRAM), Coder(Idl.from_json(json.dumps(legacy_idl(codec.idl)))))
    _check_both_find_everything(codec, anchorpy, every_log)

    def ours() -> None:
        for logs in every_log:
            parse_logs(codec, logs)

    def theirs() -> None:
        for logs in every_log:
            anchorpy.parse_logs(logs, _ignore)

    our_s, their_s = best_seconds(ours, theirs, rounds=ROUNDS)
    lines = sum(map(len, every_log)) / len(every_log)
    note = f"{len(every_log):,} transactions of one event and {lines:.0f} log lines"
    return [
        Measurement("our parser", len(every_log) / our_s, "events/s", EVENTS_PER_SECOND_MIN, note),
        Measurement("anchorpy's parser", len(every_log) / their_s, "events/s", note="the same transactions"),
        Measurement("ratio", their_s / our_s, "times"),
    ]


def _logs(codec: Codec, source: random.Random) -> list[list[str]]:
    """Transactions as a market's life brings them: mostly trades and votes, with the System calls these make.

    Each goes through JSON, as it arrives, so that no two share a string object.
    """
    return [json.loads(json.dumps(_one(codec, _event(source), source))) for _ in range(TRANSACTIONS)]


def _event(source: random.Random) -> models.ChainEvent:
    market_id, user, now = source.randbytes(32), source.randbytes(32), source.getrandbits(31)
    kind = source.randrange(10)
    if kind < 6:
        return models.SharesBought(
            market_id, user, kind < 3, source.getrandbits(40), source.getrandbits(40), 5 * 10**8, now
        )
    if kind < 8:
        return models.ProposalVoteSubmitted(market_id, user, True, now)
    if kind < 9:
        return models.MarketFinalized(market_id, True, False, now)
    return models.WinningsClaimed(market_id, user, None, source.getrandbits(40), now)


def _one(codec: Codec, event: models.ChainEvent, source: random.Random) -> list[str]:
    system_calls = {"SharesBought": 2, "ProposalVoteSubmitted": 1}.get(type(event).__name__, 0)
    return [
        *_call(COMPUTE_BUDGET, 1),
        *_call(COMPUTE_BUDGET, 1),
        *_call(
            PROGRAM,
            1,
            f"Program log: Instruction: {type(event).__name__}",
            *_call(SYSTEM, 2) * system_calls,
            f"Program data: {b64encode(codec.encode_event(event)).decode()}",
            f"Program {PROGRAM} consumed {source.randrange(20_000, 90_000)} of 199700 compute units",
        ),
    ]


def _call(program: str, depth: int, *inside: str) -> list[str]:
    return [f"Program {program} invoke [{depth}]", *inside, f"Program {program} success"]


def _check_both_find_everything(codec: Codec, anchorpy: EventParser, every_log: list[list[str]]) -> None:
    """A parser that skips what it should read would be measured too fast."""
    found: list[object] = []
    for logs in every_log:
        anchorpy.parse_logs(logs, found.append)
    ours = sum(logged.event is not None for logs in every_log for logged in parse_logs(codec, logs).events)
    if not ours == len(found) == len(every_log):
        raise RuntimeError(f"of {len(every_log)} events ours finds {ours}, anchorpy's {len(found)}")


def _ignore(_event: object) -> None:
    pass
