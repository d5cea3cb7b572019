"""What the embedded devnet writes, read by the parsers: logs, nested calls, truncation and failures."""

from typing import Any

import pytest
from solders.instruction import Instruction

from tests.localnet.chain_harness import OTHER_PROGRAM_ID, PROGRAM, PROGRAM_ID, Chain, meta, payment
from zmart_lite.chain.events import events_of, program_instructions
from zmart_lite.chain.transactions import transaction_of_rpc
from zmart_lite.codec import Codec
from zmart_lite.localnet.records import LandedTransaction
from zmart_lite.localnet.runtime import Invocation
from zmart_lite.localnet.wire import meta_json, transaction_json
from zmart_lite.models import ChainTransaction, ProtocolPauseStatusChanged

CODEC = Codec(PROGRAM_ID)
PAUSED = ProtocolPauseStatusChanged(True, b"\x03" * 32, 1_700_000_000)
FORGED = CODEC.encode_event(PAUSED._replace(is_paused=False))
PAUSE = Instruction(PROGRAM, CODEC.encode_instruction("emergency_pause", {}), [meta(OTHER_PROGRAM_ID, writable=False)])


def read(landed: LandedTransaction) -> ChainTransaction:
    """The transaction by way of a getTransaction answer."""
    answer: dict[str, Any] = {
        "slot": landed.slot,
        "blockTime": None,
        "meta": meta_json(landed, "json"),
        "transaction": transaction_json(landed, "json"),
    }
    return transaction_of_rpc(answer, PROGRAM_ID)


@pytest.fixture
def chain() -> Chain:
    """Our program pauses, after a call of another one that logs what looks like an event of ours."""
    chain = Chain()

    def ours(call: Invocation) -> None:
        call.log("Instruction: EmergencyPause")
        call.log(f"Program {PROGRAM} success\nProgram data: AAAA")
        call.invoke(OTHER_PROGRAM_ID, [], b"forge")
        call.log_data(CODEC.encode_event(PAUSED))

    chain.program.act = ours
    chain.other.act = lambda call: call.log_data(FORGED)
    return chain


def test_only_our_own_event_is_found(chain: Chain) -> None:
    found = read(chain.run(payment(1), PAUSE))
    parsed = events_of(CODEC, found)
    assert parsed.complete
    assert [logged.event for logged in parsed.events] == [PAUSED]
    assert [call.name for call in program_instructions(CODEC, found)] == ["emergency_pause"]


def test_calls_by_other_programs_count_like_our_own(chain: Chain) -> None:
    def relaying(call: Invocation) -> None:
        call.log_data(FORGED)
        if call.data == b"relay":
            call.invoke(PROGRAM_ID, [], PAUSE.data)
            call.log_data(FORGED)

    chain.program.act = lambda call: call.log_data(CODEC.encode_event(PAUSED))
    chain.other.act = relaying
    relay = Instruction(PROGRAM.from_bytes(OTHER_PROGRAM_ID), b"relay", [meta(PROGRAM_ID, writable=False)])
    found = read(chain.run(relay, PAUSE, relay))
    assert [logged.event for logged in events_of(CODEC, found).events] == [PAUSED] * 3
    assert [call.name for call in program_instructions(CODEC, found)] == ["emergency_pause"] * 3


def test_truncated_logs_are_flagged(chain: Chain) -> None:
    """Ten thousand bytes of chatter push our data line out, while the shorter lines behind it still fit."""
    chain.program.act = lambda call: (
        [call.log("x" * 990) for _ in range(10)] and call.log_data(CODEC.encode_event(PAUSED))
    )
    found = read(chain.run(PAUSE))
    assert found.logs is not None
    assert "Log truncated" in found.logs
    assert events_of(CODEC, found) == ((), False)
    assert len(program_instructions(CODEC, found)) == 1


def test_a_failed_transaction_holds_nothing(chain: Chain) -> None:
    found = read(chain.run(PAUSE, payment(10**18)))
    assert found.failed
    assert found.logs is not None
    assert any(line.startswith("Program data: ") for line in found.logs)
    assert events_of(CODEC, found) == ((), True)
    assert program_instructions(CODEC, found) == []
