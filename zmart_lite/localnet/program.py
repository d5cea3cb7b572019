"""zmart-core on the embedded devnet: its 18 instructions as a function of accounts, clock and data.

The accounts, lamports, events, error numbers and order of checks are the program's own, oddities included, with one
exception: ``sell_shares`` pays out by direct lamport moves as ``claim_winnings`` does, since in the original its
transfers always abort (``strict=True`` brings that back). Where the original logs a source line, the number of the
check within the instruction stands; where it logs an error's text, its name in words.
"""

import re
from collections.abc import Sequence

from solders.pubkey import Pubkey

from zmart_lite.codec import Codec
from zmart_lite.errors import ProgramError, UndecodableData
from zmart_lite.localnet import governance, proposals, settlement, trading
from zmart_lite.localnet.anchor import OCCURRED, Call, Compared, Instruction, Refusal, thrown_in
from zmart_lite.localnet.runtime import InstructionFailed, Invocation

INSTRUCTIONS: dict[str, Instruction] = {
    **governance.INSTRUCTIONS,
    **proposals.INSTRUCTIONS,
    **trading.INSTRUCTIONS,
    **settlement.INSTRUCTIONS,
}

_HELPERS_THAT_THROW = {
    "ExponentTooLarge": "math/lmsr.rs",
    "InvalidBParameter": "math/lmsr.rs",
    "BoundedLossExceeded": "math/bounded_loss.rs",
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
            raise self._fail(invocation, Refusal(error.name, _origin_of(error.name))) from error

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
        for line in _comparison(refusal.compared):
            invocation.log(line)
        return InstructionFailed(refusal.name, custom=code)


def _origin_of(error_name: str) -> str:
    """What a helper ends with: arithmetic errors only occur, others it checks for and throws itself."""
    path = _HELPERS_THAT_THROW.get(error_name)
    return OCCURRED if path is None else thrown_in(path)


def _comparison(compared: Compared | None) -> Sequence[str]:
    """Anchor writes keys on lines of their own, numbers behind the word."""
    if compared is None:
        return ()
    left, right = compared
    if isinstance(left, bytes) and isinstance(right, bytes):
        return "Left:", str(Pubkey(left)), "Right:", str(Pubkey(right))
    return f"Left: {left!r}", f"Right: {right!r}"


def _in_words(error_name: str) -> str:
    """``SlippageExceeded`` as ``Slippage exceeded``."""
    return _WORD_START.sub(" ", error_name).capitalize()
