"""What Anchor does around the body of an instruction of zmart-core: it reads, creates, constrains and writes accounts.

The order decides which error a faulty call ends in, so each stage runs over all accounts before the next begins: read
every account in its place (:meth:`Call.read_accounts`), create the one that is to be created
(:meth:`Call.create_account`), test the constraints of the others (:meth:`Call.check_constraints`), run the body,
write back (:meth:`Call.write_accounts`).
"""

import hashlib
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, cast

from solders.pubkey import Pubkey

from zmart_lite import rules
from zmart_lite.codec import DISCRIMINATOR_BYTES, AccountSpec, Codec
from zmart_lite.errors import ProgramError, UndecodableData
from zmart_lite.localnet.runtime import (
    SYSTEM_PROGRAM_ID,
    AccountMeta,
    AccountRef,
    Invocation,
    rent_exempt_minimum,
)
from zmart_lite.models import (
    ChainAccount,
    ChainEvent,
    GlobalConfig,
    MarketAccount,
    MarketState,
    UserPosition,
    VoteRecord,
    VoteType,
)

ZERO_KEY = bytes(32)
U32_MAX = 2**32 - 1
I64_MAX = 2**63 - 1

_CREATE_ACCOUNT, _ASSIGN, _TRANSFER, _ALLOCATE = 0, 1, 2, 8

_MODELS: dict[str, type[ChainAccount]] = {
    "global_config": GlobalConfig,
    "market": MarketAccount,
    "position": UserPosition,
    "vote_record": VoteRecord,
}
"""The account slots the program owns; a slot has the same name in every instruction that takes it."""

_SYSTEM_PROGRAM_SLOT = "system_program"


Compared = tuple[bytes, bytes] | tuple[int, int]


class Refusal(Exception):
    """The program ends the call with an error. ``origin`` says where, as Anchor's log line does.

    ``compared`` are the two keys or numbers of a failed comparison, which Anchor logs below the error.
    """

    def __init__(self, name: str, origin: str, compared: Compared | None = None) -> None:
        super().__init__(name)
        self.name = name
        self.origin = origin
        self.compared = compared


OCCURRED = "occurred"


def thrown_in(path: str, line: int = 1) -> str:
    """The origin of an error that the program throws itself. The line is not the source's."""
    return f"thrown in programs/zmart-core/src/{path}:{line}"


def refused_account(name: str, account: str, compared: Compared | None = None) -> Refusal:
    return Refusal(name, f"caused by account: {account}", compared)


class Constraint(NamedTuple):
    """A condition on an account, tested behind its seeds and its writability.

    ``compared`` are the two keys that a failing ``has_one`` logs: the stored one, the given one.
    """

    account: str
    error: str
    holds: Callable[["Call"], bool]
    compared: Callable[["Call"], tuple[bytes, bytes]] | None = None


def has_one(account: str, error: str, compared: Callable[["Call"], tuple[bytes, bytes]]) -> Constraint:
    """A key stored in an account equals that of another account."""

    def holds(call: "Call") -> bool:
        stored, given = compared(call)
        return stored == given

    return Constraint(account, error, holds, compared)


class Creation(NamedTuple):
    """The account an instruction creates and who pays its rent."""

    account: str
    payer: str
    vote_type: VoteType | None = None
    if_needed: bool = False


class Instruction(NamedTuple):
    """One instruction of the program: ``body`` changes the call's accounts and returns the event to emit."""

    body: Callable[["Call"], ChainEvent]
    creation: Creation | None = None
    constraints: tuple[Constraint, ...] = ()


class Call:
    """One running instruction: its arguments, its accounts by name, and their decoded states."""

    def __init__(self, codec: Codec, invocation: Invocation, name: str, args: dict[str, Any], strict: bool) -> None:
        self.codec = codec
        self.invocation = invocation
        self.name = name
        self.args = args
        self.strict = strict
        self.now = invocation.clock.unix_timestamp
        self.bump = 0
        self._specs = codec.instruction_accounts(name)
        self._refs: dict[str, AccountRef] = {}
        self._states: dict[str, ChainAccount] = {}
        self._checks = 0

    # What the bodies use

    def key(self, account: str) -> bytes:
        return self._refs[account].key

    def lamports(self, account: str) -> int:
        return self._refs[account].account.lamports

    @property
    def config(self) -> GlobalConfig:
        return cast(GlobalConfig, self._states["global_config"])

    @config.setter
    def config(self, state: GlobalConfig) -> None:
        self._states["global_config"] = state

    @property
    def market(self) -> MarketAccount:
        return cast(MarketAccount, self._states["market"])

    @market.setter
    def market(self, state: MarketAccount) -> None:
        self._states["market"] = state

    @property
    def position(self) -> UserPosition:
        return cast(UserPosition, self._states["position"])

    @position.setter
    def position(self, state: UserPosition) -> None:
        self._states["position"] = state

    def add_vote_record(self, record: VoteRecord) -> None:
        self._states["vote_record"] = record

    def find_position(self) -> UserPosition | None:
        """The position, or None when this very instruction created its account."""
        return cast(UserPosition | None, self._states.get("position"))

    def require(self, holds: bool, error: str, path: str | None = None) -> None:
        """A check of the body, or of the helper in ``path``. Its number stands for the source line in the log."""
        self._checks += 1
        if not holds:
            raise Refusal(error, thrown_in(path or f"instructions/{self.name}.rs", self._checks))

    def transfer_by_system(self, payer: str, target: str, lamports: int) -> None:
        """A transfer by the System program, which aborts unless ``payer`` signed the transaction."""
        metas = (self._meta(payer, signer=True), self._meta(target))
        self.invocation.invoke(SYSTEM_PROGRAM_ID, metas, struct.pack("<IQ", _TRANSFER, lamports))

    def pay_from_market(self, target: str, lamports: int) -> None:
        """Move lamports out of the market directly. Refuses what would leave it less than its rent-exempt minimum."""
        self.require_payable(lamports)
        self.move_from_market(target, lamports)

    @property
    def market_rent(self) -> int:
        """The rent minimum of the market's account, whatever its length."""
        return rent_exempt_minimum(len(self._refs["market"].account.data))

    def require_unlocked(self) -> None:
        self.require(not self.market.is_locked, "Reentrant", "state/market.rs")

    def require_payable(self, lamports: int) -> None:
        market = self._refs["market"].account
        if market.lamports < lamports:
            raise ProgramError("InsufficientFunds")
        rest = market.lamports - lamports
        self.require(rest >= self.market_rent, "WouldBreakRentExemption", "utils/rent.rs")

    def move_from_market(self, target: str, lamports: int) -> None:
        self._refs["market"].account.lamports -= lamports
        payee = self._refs[target].account
        payee.lamports = rules.add(payee.lamports, lamports)

    # Reading

    def read_accounts(self, creation: Creation | None) -> None:
        """Take the accounts in their places. Those to be created and the untyped ones are only picked up."""
        created = creation.account if creation else None
        given = self.invocation.accounts
        for index, spec in enumerate(self._specs):
            if index >= len(given):
                origin = OCCURRED if spec.name == created else f"caused by account: {spec.name}"
                raise Refusal("AccountNotEnoughKeys", origin)
            self._refs[spec.name] = given[index]
            if spec.name != created:
                self._read(spec, given[index])

    def _read(self, spec: AccountSpec, ref: AccountRef) -> None:
        if spec.signer and not ref.is_signer:
            raise refused_account("AccountNotSigner", spec.name)
        if spec.name in _MODELS:
            self._states[spec.name] = self._load(spec.name, ref)
        elif spec.name == _SYSTEM_PROGRAM_SLOT:
            _check_system_program(ref)

    def _load(self, name: str, ref: AccountRef) -> ChainAccount:
        account = ref.account
        if account.owner == SYSTEM_PROGRAM_ID and account.lamports == 0:
            raise refused_account("AccountNotInitialized", name)
        if account.owner != self.codec.program_id:
            raise refused_account("AccountOwnedByWrongProgram", name, (account.owner, self.codec.program_id))
        if len(account.data) < DISCRIMINATOR_BYTES:
            raise refused_account("AccountDiscriminatorNotFound", name)
        if account.data[:DISCRIMINATOR_BYTES] != self.codec.account_discriminator(_MODELS[name]):
            raise refused_account("AccountDiscriminatorMismatch", name)
        try:
            return _with_valid_enums(self.codec.decode_account(account.data))
        except UndecodableData as error:
            raise refused_account("AccountDidNotDeserialize", name) from error

    # Creating

    def create_account(self, creation: Creation) -> None:
        """Create the account at its canonical address, or check the existing one where that may be."""
        name, ref = creation.account, self._refs[creation.account]
        address, self.bump = self._canonical_address(creation)
        if ref.key != address:
            raise refused_account("ConstraintSeeds", name, (ref.key, address))
        space = self.codec.ACCOUNT_SIZES[_MODELS[name].__name__]
        if creation.if_needed and ref.account.owner != SYSTEM_PROGRAM_ID:
            self._states[name] = self._load(name, ref)
            _check_existing(name, ref, space)
        else:
            self._allocate(creation, ref, space)

    def _canonical_address(self, creation: Creation) -> tuple[bytes, int]:
        if creation.account == "global_config":
            return self.codec.config_pda()
        if creation.account == "market":
            return self.codec.market_pda(self.args["market_id"])
        market, user = self.key("market"), self.key(creation.payer)
        if creation.vote_type is None:
            return self.codec.position_pda(market, user)
        return self.codec.vote_pda(market, user, creation.vote_type)

    def _allocate(self, creation: Creation, ref: AccountRef, space: int) -> None:
        """As Anchor: CreateAccount for an address without lamports, else top up, allocate and assign.

        Lamports can be sent to any address beforehand, and CreateAccount refuses such an address.
        """
        rent, owner = rent_exempt_minimum(space), self.codec.program_id
        payer, new = self._meta(creation.payer, signer=True), self._meta(creation.account, signer=True)
        invoke = self.invocation.invoke
        if ref.account.lamports == 0:
            data = struct.pack("<IQQ32s", _CREATE_ACCOUNT, rent, space, owner)
            invoke(SYSTEM_PROGRAM_ID, (payer, new), data, signers=(ref.key,))
            return
        missing = rent - ref.account.lamports
        if missing > 0:
            self.transfer_by_system(creation.payer, creation.account, missing)
        invoke(SYSTEM_PROGRAM_ID, (new,), struct.pack("<IQ", _ALLOCATE, space), signers=(ref.key,))
        invoke(SYSTEM_PROGRAM_ID, (new,), struct.pack("<I32s", _ASSIGN, owner), signers=(ref.key,))

    def _meta(self, account: str, signer: bool = False) -> AccountMeta:
        return AccountMeta(self.key(account), signer, True)

    # Constraining

    def check_constraints(self, instruction: Instruction) -> None:
        """Per account in declared order: its seeds, that it is writable where it must be, then its own conditions."""
        created = instruction.creation.account if instruction.creation else None
        for spec in self._specs:
            if spec.name == created:
                continue
            self._check_seeds(spec.name)
            if spec.writable and not self._refs[spec.name].is_writable:
                raise refused_account("ConstraintMut", spec.name)
            for constraint in instruction.constraints:
                if constraint.account == spec.name and not constraint.holds(self):
                    compared = constraint.compared(self) if constraint.compared is not None else None
                    raise refused_account(constraint.error, spec.name, compared)

    def _check_seeds(self, name: str) -> None:
        """The address is derived with the bump that the account itself holds, which may give no address at all."""
        seeds = self._seeds(name)
        if seeds is None:
            return
        expected = derived_address(self.codec.program_id, *seeds)
        if expected != self.key(name):
            compared = None if expected is None else (self.key(name), expected)
            raise refused_account("ConstraintSeeds", name, compared)

    def _seeds(self, name: str) -> tuple[bytes, ...] | None:
        match name:
            case "global_config":
                return b"global-config", bytes([self.config.bump])
            case "market":
                return b"market", self.market.market_id, bytes([self.market.bump])
            case "position":
                return b"position", self.key("market"), self.key("user"), bytes([self.position.bump])
            case _:
                return None

    # Writing back

    def write_accounts(self) -> None:
        """Serialise the program's writable accounts, changed or not. What lies behind the fields stays."""
        for spec in self._specs:
            if spec.writable and spec.name in self._states:
                account = self._refs[spec.name].account
                fields = self.codec.encode_account_fields(self._states[spec.name])
                if len(fields) > len(account.data):
                    raise Refusal("AccountDidNotSerialize", OCCURRED)
                account.data = fields + account.data[len(fields) :]


@lru_cache(maxsize=4_096)
def derived_address(program_id: bytes, *seeds: bytes) -> bytes | None:
    """The program's address of those seeds, the bump included; None where they give none."""
    address = hashlib.sha256(b"".join(seeds) + program_id + b"ProgramDerivedAddress").digest()
    return None if Pubkey(address).is_on_curve() else address


def _check_system_program(ref: AccountRef) -> None:
    if ref.key != SYSTEM_PROGRAM_ID:
        raise refused_account("InvalidProgramId", _SYSTEM_PROGRAM_SLOT, (ref.key, SYSTEM_PROGRAM_ID))
    if not ref.account.executable:
        raise refused_account("InvalidProgramExecutable", _SYSTEM_PROGRAM_SLOT)


def _check_existing(name: str, ref: AccountRef, space: int) -> None:
    """What Anchor asks of an account that was to be created but exists. Its owner is right if it could be loaded."""
    if len(ref.account.data) != space:
        raise refused_account("ConstraintSpace", name, (space, len(ref.account.data)))
    if ref.account.lamports < rent_exempt_minimum(space):
        raise refused_account("ConstraintRentExempt", name)
    if not ref.is_writable:
        raise refused_account("ConstraintMut", name)


def _with_valid_enums(state: ChainAccount) -> ChainAccount:
    """The state with its enum byte as the enum. Raises UndecodableData for a byte the enum does not have."""
    try:
        if isinstance(state, MarketAccount):
            return state._replace(state=MarketState(state.state))
        if isinstance(state, VoteRecord):
            return state._replace(vote_type=VoteType(state.vote_type))
    except ValueError as error:
        raise UndecodableData(str(error)) from error
    return state


def add_u32(a: int, b: int) -> int:
    """``a + b`` within u32. Raises ProgramError ``OverflowError``."""
    if a + b > U32_MAX:
        raise ProgramError("OverflowError")
    return a + b


def add_seconds(timestamp: int, seconds: int) -> int:
    """``timestamp + seconds`` within i64. Raises ProgramError ``OverflowError``."""
    if timestamp + seconds > I64_MAX:
        raise ProgramError("OverflowError")
    return timestamp + seconds
