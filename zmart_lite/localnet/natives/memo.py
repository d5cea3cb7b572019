"""The memo programs: v1 and v3 at their first addresses, v4 at its own and, since Agave 4.0, at that of v3.

Log lines and units as measured on the programs that LiteSVM carries (solders 0.29.0 for v1 and v4, 0.27.1 for v3). The
units of v4 are exact where the memo is written; those of v1 and v3 are close, since they depend on the text's bytes.
"""

import unicodedata
from collections.abc import Sequence

from solders.pubkey import Pubkey

from zmart_lite.localnet.runtime import AccountRef, InstructionFailed, Invocation, NativeInvocation


class MemoProgram:
    """v4: demands the signature of every account it is given and writes its data, valid UTF-8, on a line of its own."""

    def process(self, invocation: NativeInvocation) -> None:
        accounts = {ref.key: ref for ref in invocation.accounts}.values()
        if accounts:
            invocation.log("Signed by:")
        for ref in accounts:
            if ref.is_signer:
                invocation.log(str(Pubkey(ref.key)))
        if not all(ref.is_signer for ref in accounts):
            raise InstructionFailed("MissingRequiredSignature")
        invocation.log(f"Memo (len {len(invocation.data)})")
        try:
            text = invocation.data.decode()
        except UnicodeDecodeError as exc:
            raise InstructionFailed("ProgramFailedToComplete", text=_utf8_fault(invocation.data, exc)) from None
        invocation.log(text)

    def entry_units(self, refs: Sequence[AccountRef], data: bytes) -> int:
        """What it takes besides the lines that it logs, each of which costs a unit a byte, 100 at least."""
        distinct = len({ref.key for ref in refs})
        text = 74 + 13 * (len(str(len(data))) - 1) if data else 32
        return text + (11 + 15 * distinct if distinct else 0) + 7 * (len(refs) - distinct)


def _utf8_fault(data: bytes, fault: UnicodeDecodeError) -> str:
    """What Rust says of bytes that are no UTF-8: ``Utf8Error``, then the bytes."""
    shown = f"[{', '.join(str(byte) for byte in data)}]"
    if fault.reason == "unexpected end of data":
        return f"incomplete utf-8 byte sequence from index {fault.start}: {shown}"
    return f"invalid utf-8 sequence of {fault.end - fault.start} bytes from index {fault.start}: {shown}"


class MemoProgramV3:
    """v3, as clusters before Agave 4.0 have it: quotes the memo as Rust's debug form does, behind its length."""

    def process(self, invocation: NativeInvocation) -> None:
        missing = False
        for ref in invocation.accounts:
            if ref.is_signer:
                invocation.log(f"Signed by {Pubkey(ref.key)}")
            else:
                missing = True
        if missing:
            raise InstructionFailed("MissingRequiredSignature")
        try:
            text = invocation.data.decode()
        except UnicodeDecodeError as exc:
            invocation.log(f"Invalid UTF-8, from byte {exc.start}")
            raise InstructionFailed("InvalidInstructionData") from None
        invocation.log(f"Memo (len {len(invocation.data)}): {_quoted(text)}")

    def entry_units(self, refs: Sequence[AccountRef], data: bytes) -> int:
        controls = sum(byte < 32 for byte in data)
        return 1_282 + 350 * len(data) + 462 * controls + 13_400 * sum(ref.is_signer for ref in refs)


class MemoProgramV1:
    """The first memo program: checks that its data is UTF-8 and says nothing."""

    def process(self, invocation: Invocation) -> None:
        try:
            invocation.data.decode()
        except UnicodeDecodeError:
            raise InstructionFailed("InvalidInstructionData") from None

    def entry_units(self, refs: Sequence[AccountRef], data: bytes) -> int:
        """Sixteen bytes of ASCII cost as much as any one byte behind them."""
        text = 249 + 9 * (len(data) // 16 + len(data) % 16) if data else 232
        return text + 218 * len(refs)


_ESCAPES = {'"': '\\"', "'": "\\'", "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _quoted(text: str) -> str:
    """The debug form of a string in the Rust of 2020, which the deployed program was built with."""
    return '"' + "".join(_ESCAPES.get(char) or _printed(char) for char in text) + '"'


def _printed(char: str) -> str:
    # A combining mark is escaped too, because it would merge with the quotation mark or the character before it.
    shown = char.isprintable() and unicodedata.category(char) not in ("Mn", "Me")
    return char if shown else f"\\u{{{ord(char):x}}}"
