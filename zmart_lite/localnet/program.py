"""zmart-core on the embedded devnet: its 18 instructions as a function of accounts, clock and data.

The accounts, lamports, events, error numbers and order of checks are the program's own, oddities included, with one
exception: ``sell_shares`` pays out by direct lamport moves as ``claim_winnings`` does, since in the original its
transfers always abort (``strict=True`` brings that back). Where the original logs a source line, the number of the
check within the instruction stands; where it logs an error's text, its name in words.
"""

import re

from solders.pubkey import Pubkey

from zmart_lite.codec import Codec
from zmart_lite.errors import ProgramError, UndecodableData
from zmart_lite.localnet import governance, proposals, settlement, trading
from zmart_lite.localnet.anchor import OCCURRED, Call, Instruction, Refusal
from zmart_lite.localnet.runtime import InstructionFailed, Invocation

INSTRUCTIONS: dict[str, Instruction] = {
    **governance.INSTRUCTIONS,
    **proposals.INSTRUCTIONS,
    **trading.INSTRUCTIONS,
    **settlement.INSTRUCTIONS,
}

_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


class ZmartProgram:
    """zmart-core under ``codec``'s program id."""

    def __init__(self, codec: Codec, strict: bool = False) -> None:
        self._codec = codec
        self._strict = strict

    def process(self, invocation: Invocation) -> None:
        """Run one instruction: change its accounts and log its event, or raise InstructionFailed.

        Accounts may be half changed when it raises; undoing that is the caller's part, as it is the runtime's on chain.
        """
        try:
            self._run(invocation)
        except Refusal as refusal:
            raise self._fail(invocation, refusal) from refusal
        except ProgramError as error:
            raise self._fail(invocation, Refusal(error.name, OCCURRED)) from error

    def _run(self, invocation: Invocation) -> None:
        name = self._dispatch(invocation)
        instruction = INSTRUCTIONS[name]
        try:
            _, args = self._codec.decode_instruction(invocation.data)
        except UndecodableData as error:
            raise Refusal("InstructionDidNotDeserialize", OCCURRED) from error
        call = Call(self._codec, invocation, name, args, self._strict)
        call.read_accounts(instruction.creation)
        if instruction.creation:
            call.create_account(instruction.creation)
        call.check_constraints(instruction)
        event = instruction.body(call)
        invocation.log_data(self._codec.encode_event(event))
        call.write_accounts()

    def _dispatch(self, invocation: Invocation) -> str:
        if invocation.program_id != self._codec.program_id:
            raise Refusal("DeclaredProgramIdMismatch", OCCURRED)
        name = self._codec.instruction_by_discriminator(invocation.data)
        if name is None:
            raise Refusal("InstructionFallbackNotFound", OCCURRED)
        invocation.log("Instruction: " + "".join(word.capitalize() for word in name.split("_")))
        return name

    def _fail(self, invocation: Invocation, refusal: Refusal) -> InstructionFailed:
        code = self._codec.error_code(refusal.name)
        text = f"Error Code: {refusal.name}. Error Number: {code}. Error Message: {_in_words(refusal.name)}."
        invocation.log(f"AnchorError {refusal.origin}. {text}")
        if refusal.compared:
            left, right = refusal.compared
            for line in ("Left:", str(Pubkey(left)), "Right:", str(Pubkey(right))):
                invocation.log(line)
        return InstructionFailed(refusal.name, custom=code)


def _in_words(error_name: str) -> str:
    """``SlippageExceeded`` as ``Slippage exceeded``."""
    return _WORD_START.sub(" ", error_name).capitalize()
