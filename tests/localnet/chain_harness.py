"""A ledger with a program that does what a test tells it, and the transactions to drive it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, TransferParams, create_account, transfer
from solders.transaction import VersionedTransaction

from zmart_lite.localnet.clock import ChainClock
from zmart_lite.localnet.journal import Journal
from zmart_lite.localnet.ledger import Ledger, LedgerOptions
from zmart_lite.localnet.natives.addresses import LOADER_2_ID
from zmart_lite.localnet.natives.catalogue import native_accounts, native_programs
from zmart_lite.localnet.records import LandedTransaction
from zmart_lite.localnet.runtime import Account, Invocation, ProgramEntry
from zmart_lite.models import Commitment

START_TIME = 1_700_000_000
SOL = 10**9
PROGRAM_ID = b"\x07" * 32
OTHER_PROGRAM_ID = b"\x08" * 32
PROGRAM = Pubkey(PROGRAM_ID)


def keypair(number: int) -> Keypair:
    return Keypair.from_seed(bytes([number]) * 32)


ALICE, BOB, CAROL = keypair(1), keypair(2), keypair(3)


class ScriptedProgram:
    """Runs the function that a test put into ``act``."""

    def __init__(self) -> None:
        self.act: Callable[[Invocation], None] = lambda _invocation: None

    def process(self, invocation: Invocation) -> None:
        self.act(invocation)


class Chain:
    """One ledger, its clock and its scripted programs."""

    def __init__(
        self,
        options: LedgerOptions | None = None,
        path: Path | None = None,
        genesis: dict[bytes, Account] | None = None,
    ) -> None:
        self.program = ScriptedProgram()
        self.other = ScriptedProgram()
        self.clock = ChainClock(START_TIME, frozen=True)
        self.ledger = Ledger(
            {
                PROGRAM_ID: ProgramEntry(self.program),
                OTHER_PROGRAM_ID: ProgramEntry(self.other),
                **native_programs(),
            },
            self.clock,
            _genesis() | (genesis or {}),
            b"\x01" * 32,
            options or LedgerOptions(slot_ms=0),
            None if path is None else Journal(path, PROGRAM_ID),
        )

    def transaction(
        self,
        *instructions: Instruction,
        payer: Keypair = ALICE,
        signers: Sequence[Keypair] = (),
        blockhash: bytes | None = None,
    ) -> VersionedTransaction:
        if blockhash is None:
            blockhash = self.ledger.bank(Commitment.PROCESSED).blockhash
        message = Message.new_with_blockhash(list(instructions), payer.pubkey(), Hash(blockhash))
        return VersionedTransaction(message, [payer, *signers])

    def run(
        self, *instructions: Instruction, payer: Keypair = ALICE, signers: Sequence[Keypair] = ()
    ) -> LandedTransaction:
        return self.ledger.submit(self.transaction(*instructions, payer=payer, signers=signers))

    def pay(self, lamports: int, source: Keypair = ALICE, target: Keypair = BOB) -> LandedTransaction:
        return self.run(payment(lamports, source, target), payer=source)

    def act(
        self, script: Callable[[Invocation], None], *accounts: AccountMeta, signers: Sequence[Keypair] = ()
    ) -> LandedTransaction:
        """Run a transaction whose one instruction calls the scripted program."""
        self.program.act = script
        return self.run(Instruction(PROGRAM, b"", list(accounts)), signers=signers)

    def lamports(self, key: Keypair | bytes, commitment: Commitment = Commitment.PROCESSED) -> int:
        raw = key if isinstance(key, bytes) else bytes(key.pubkey())
        account = self.ledger.bank(commitment).account(raw)
        return account.lamports if account is not None else 0


def _genesis() -> dict[bytes, Account]:
    wallets = {bytes(each.pubkey()): Account(100 * SOL) for each in (ALICE, BOB, CAROL)}
    scripted = {program: Account(1, LOADER_2_ID, b"", True) for program in (PROGRAM_ID, OTHER_PROGRAM_ID)}
    return wallets | native_accounts() | scripted


def payment(lamports: int, source: Keypair = ALICE, target: Keypair = BOB) -> Instruction:
    return transfer(TransferParams(from_pubkey=source.pubkey(), to_pubkey=target.pubkey(), lamports=lamports))


def creation(
    target: Keypair, lamports: int, space: int, owner: bytes = PROGRAM_ID, source: Keypair = ALICE
) -> Instruction:
    return create_account(
        CreateAccountParams(
            from_pubkey=source.pubkey(), to_pubkey=target.pubkey(), lamports=lamports, space=space, owner=Pubkey(owner)
        )
    )


def meta(key: Keypair | bytes, *, signer: bool = False, writable: bool = True) -> AccountMeta:
    return AccountMeta(Pubkey(key) if isinstance(key, bytes) else key.pubkey(), signer, writable)
