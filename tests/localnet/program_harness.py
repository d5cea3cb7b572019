"""Runs zmart-core's instructions on a handful of accounts, one per transaction, without the devnet's ledger."""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from zmart_lite.codec import Codec
from zmart_lite.localnet.natives.system import SystemProgram
from zmart_lite.localnet.program import ZmartProgram
from zmart_lite.localnet.releases import NEWEST, Release
from zmart_lite.localnet.runtime import (
    SYSTEM_PROGRAM_ID,
    Account,
    AccountMeta,
    AccountRef,
    Clock,
    InstructionFailed,
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

PROGRAM_ID = bytes.fromhex("63" * 32)
P = 10**9
B = 1_000 * P
LIQUIDITY = 50 * P
WALLET_LAMPORTS = 10**15
START_TIME = 1_700_000_000
MARKET_ID = bytes([1]) * 32
QUESTION_HASH = b"Q" * 46
EVIDENCE_HASH = b"E" * 46
RENT = {name: rent_exempt_minimum(size) for name, size in Codec.ACCOUNT_SIZES.items()}

ADMIN, BACKEND, FEE_WALLET, CREATOR, RESOLVER, ALICE, BOB, EVE = (bytes([n]) * 32 for n in range(10, 18))
WALLETS = (ADMIN, BACKEND, FEE_WALLET, CREATOR, RESOLVER, ALICE, BOB, EVE)
OTHER_PROGRAM = bytes([98]) * 32

_VOTE_TYPES = {"submit_proposal_vote": VoteType.PROPOSAL, "submit_dispute_vote": VoteType.DISPUTE}
_DEFAULT_KEYS = {
    "admin": ADMIN,
    "authority": ADMIN,
    "backend_authority": BACKEND,
    "protocol_fee_wallet": FEE_WALLET,
    "creator": CREATOR,
    "resolver": RESOLVER,
    "user": ALICE,
    "initiator": BOB,
    "system_program": SYSTEM_PROGRAM_ID,
}


@dataclass
class Outcome:
    """How a call ended: the error (None = success) and what it logged; ``System`` stands for a call of that program."""

    logs: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    error: InstructionFailed | None = None

    @property
    def code(self) -> int | None:
        return self.error.custom if self.error else None


class DirectInvocation:
    """One running instruction on accounts in memory, which may call the System program."""

    def __init__(
        self, program_id: bytes, accounts: Sequence[AccountRef], data: bytes, clock: Clock, outcome: Outcome
    ) -> None:
        self.program_id = program_id
        self.accounts = accounts
        self.data = data
        self.clock = clock
        self._outcome = outcome

    @property
    def blockhash(self) -> bytes:
        return bytes(32)

    @property
    def release(self) -> Release:
        return NEWEST

    def sysvar(self, key: bytes) -> bytes:
        return b""

    def count_growth(self, size_bytes: int) -> None:
        pass

    def log(self, text: str) -> None:
        self._outcome.logs.append(text)

    def log_data(self, payload: bytes) -> None:
        self._outcome.data.append(payload)

    def message(self, text: str) -> None:
        self._outcome.messages.append(text)

    def invoke(
        self, program_id: bytes, accounts: Sequence[AccountMeta], data: bytes, signers: Sequence[bytes] = ()
    ) -> None:
        assert program_id == SYSTEM_PROGRAM_ID
        held = {ref.key: ref for ref in self.accounts}
        for meta in accounts:
            signs = held[meta.key].is_signer or meta.key in signers
            if (meta.is_signer and not signs) or (meta.is_writable and not held[meta.key].is_writable):
                raise InstructionFailed("PrivilegeEscalation")
        self._outcome.logs.append("System")
        refs = [AccountRef(*meta, held[meta.key].account) for meta in accounts]
        SystemProgram().process(DirectInvocation(program_id, refs, data, self.clock, self._outcome))


class Devnet:
    """Accounts, a clock one sets, and zmart-core. A failed call leaves no trace, as a failed transaction does not."""

    def __init__(self, strict: bool = False) -> None:
        self.codec = Codec(PROGRAM_ID)
        self.program = ZmartProgram(self.codec, strict)
        self.now = START_TIME
        self.accounts = {key: Account(WALLET_LAMPORTS) for key in WALLETS}
        self.accounts[SYSTEM_PROGRAM_ID] = Account(1, owner=bytes([7]) * 32, executable=True)
        self.market_address = self.codec.market_pda(MARKET_ID)[0]
        self.config_address = self.codec.config_address()

    # Calling

    def keys_of(self, name: str, keys: Mapping[str, bytes]) -> dict[str, bytes]:
        """The account keys of a call by slot, as an honest caller would pass them, except where ``keys`` says else."""
        known = _DEFAULT_KEYS | {"global_config": self.config_address, "market": self.market_address} | dict(keys)
        if name == "resolve_market" and "resolver" not in keys:
            known["resolver"] = RESOLVER
        known.setdefault("position", self.codec.position_pda(known["market"], known["user"])[0])
        if name in _VOTE_TYPES:
            pda, _ = self.codec.vote_pda(known["market"], known["user"], _VOTE_TYPES[name])
            known.setdefault("vote_record", pda)
        return {spec.name: known[spec.name] for spec in self.codec.instruction_accounts(name)}

    def call(
        self,
        name: str,
        args: Mapping[str, object] | None = None,
        *,
        unsigned: Iterable[str] = (),
        readonly: Iterable[str] = (),
        keep: int | None = None,
        extra: Iterable[bytes] = (),
        data: bytes | None = None,
        program_id: bytes = PROGRAM_ID,
        **keys: Any,
    ) -> Outcome:
        """Run one instruction with ``keys`` in place of the usual accounts.

        ``keep`` passes only that many accounts, ``extra`` appends some, ``data`` replaces the encoded instruction.
        """
        slots = self.keys_of(name, keys)
        metas = [
            (slots[spec.name], spec.signer and spec.name not in unsigned, spec.writable and spec.name not in readonly)
            for spec in self.codec.instruction_accounts(name)
        ]
        encoded = self.codec.encode_instruction(name, args or {}) if data is None else data
        return self._execute(metas[:keep] + [(key, False, False) for key in extra], encoded, program_id)

    def _execute(self, metas: list[tuple[bytes, bool, bool]], data: bytes, program_id: bytes) -> Outcome:
        snapshot = {key: copy(account) for key, account in self.accounts.items()}
        refs = [
            AccountRef(
                key,
                any(signer for other, signer, _ in metas if other == key),
                any(writable for other, _, writable in metas if other == key),
                self.accounts.setdefault(key, Account()),
            )
            for key, _, _ in metas
        ]
        outcome = Outcome()
        clock = Clock(slot=1, epoch=0, unix_timestamp=self.now)
        try:
            self.program.process(DirectInvocation(program_id, refs, data, clock, outcome))
        except InstructionFailed as error:
            outcome.error = error
            self.accounts = snapshot
        return outcome

    def do(self, name: str, args: Mapping[str, object] | None = None, **options: Any) -> ChainEvent:
        """A call that must succeed; its one event."""
        outcome = self.call(name, args, **options)
        assert outcome.error is None, (name, outcome.error, outcome.logs)
        (payload,) = outcome.data
        assert outcome.logs[0] == "Instruction: " + name.title().replace("_", "")
        return self.codec.decode_event(payload)

    # Looking and arranging

    def lamports(self, key: bytes) -> int:
        return self.accounts[key].lamports if key in self.accounts else 0

    @property
    def total_lamports(self) -> int:
        return sum(account.lamports for account in self.accounts.values())

    def _state(self, key: bytes) -> ChainAccount:
        account = self.accounts[key]
        assert account.owner == PROGRAM_ID
        state = self.codec.decode_account(account.data)
        assert len(account.data) == self.codec.ACCOUNT_SIZES[type(state).__name__]
        return state

    @property
    def config(self) -> GlobalConfig:
        state = self._state(self.config_address)
        assert isinstance(state, GlobalConfig)
        return state

    @property
    def market(self) -> MarketAccount:
        state = self._state(self.market_address)
        assert isinstance(state, MarketAccount)
        return state

    def position(self, user: bytes = ALICE) -> UserPosition:
        state = self._state(self.position_address(user))
        assert isinstance(state, UserPosition)
        return state

    def position_address(self, user: bytes = ALICE) -> bytes:
        return self.codec.position_pda(self.market_address, user)[0]

    def vote_address(self, vote_type: VoteType, user: bytes = ALICE) -> bytes:
        return self.codec.vote_pda(self.market_address, user, vote_type)[0]

    def vote_address_at(self, market: bytes, name: str, user: bytes = ALICE) -> bytes:
        return self.codec.vote_pda(market, user, _VOTE_TYPES[name])[0]

    def vote(self, vote_type: VoteType, user: bytes = ALICE) -> VoteRecord:
        state = self._state(self.vote_address(vote_type, user))
        assert isinstance(state, VoteRecord)
        return state

    def edit(self, key: bytes, **fields: object) -> None:
        """Overwrite fields of a program account, to reach states no sequence of calls leads to."""
        state: Any = self._state(key)
        self.accounts[key].data = self.codec.encode_account(state._replace(**fields))

    def edit_market(self, **fields: object) -> None:
        self.edit(self.market_address, **fields)

    def edit_config(self, **fields: object) -> None:
        self.edit(self.config_address, **fields)


def initialized(strict: bool = False) -> Devnet:
    devnet = Devnet(strict)
    devnet.do("initialize_global_config", {"backend_authority": BACKEND})
    return devnet


def market_args(**changed: object) -> dict[str, object]:
    args: dict[str, object] = {
        "market_id": MARKET_ID,
        "b_parameter": B,
        "initial_liquidity": LIQUIDITY,
        "ipfs_question_hash": QUESTION_HASH,
    }
    return args | changed


def others(*states: MarketState) -> list[MarketState]:
    """All states of a market but these."""
    return [state for state in MarketState if state not in states]


def changes(before: NamedTuple, after: NamedTuple) -> dict[str, Any]:
    """The fields in which two states of an account differ, with their new values."""
    pairs = zip(before._fields, before, after, strict=True)
    return {field: new for field, old, new in pairs if old != new}


def buy(devnet: Devnet, target_cost: int, outcome: bool = True, **options: Any) -> Outcome:
    return devnet.call("buy_shares", {"outcome": outcome, "target_cost": target_cost}, **options)


def market_in(state: MarketState, strict: bool = False, **created_with: object) -> Devnet:
    """A devnet whose market went to ``state`` by the program's own instructions, an hour per step.

    When it went through Active, ALICE holds YES and BOB holds NO; a Finalized one was not disputed, its outcome is YES.
    """
    devnet = initialized(strict)
    devnet.do("create_market", market_args(**created_with))
    if state == MarketState.CANCELLED:
        devnet.do("cancel_market")
    if state in (MarketState.CANCELLED, MarketState.PROPOSED):
        return devnet
    devnet.now += 3_600
    devnet.do("aggregate_proposal_votes", {"final_likes": 7, "final_dislikes": 3})
    devnet.do("approve_proposal")
    if state == MarketState.APPROVED:
        return devnet
    devnet.now += 3_600
    devnet.do("activate_market")
    if state != MarketState.ACTIVE:
        _end(devnet, state)
    return devnet


def _end(devnet: Devnet, state: MarketState) -> None:
    devnet.now += 3_600
    devnet.do("buy_shares", {"outcome": True, "target_cost": 60 * P}, user=ALICE)
    devnet.do("buy_shares", {"outcome": False, "target_cost": 30 * P}, user=BOB)
    devnet.now += 3_600
    devnet.do("resolve_market", {"proposed_outcome": True, "ipfs_evidence_hash": EVIDENCE_HASH})
    if state == MarketState.DISPUTED:
        devnet.now += 3_600
        devnet.do("initiate_dispute")
    if state == MarketState.FINALIZED:
        devnet.now += devnet.config.dispute_period
        devnet.do("finalize_market", {"dispute_agree": None, "dispute_disagree": None})


ARGS: dict[str, dict[str, object]] = {
    "initialize_global_config": {"backend_authority": BACKEND},
    "create_market": market_args(),
    "submit_proposal_vote": {"vote": True},
    "aggregate_proposal_votes": {"final_likes": 7, "final_dislikes": 3},
    "approve_proposal": {},
    "activate_market": {},
    "buy_shares": {"outcome": True, "target_cost": P},
    "sell_shares": {"outcome": True, "shares_to_sell": P, "min_proceeds": 0},
    "resolve_market": {"proposed_outcome": True, "ipfs_evidence_hash": EVIDENCE_HASH},
    "initiate_dispute": {},
    "submit_dispute_vote": {"vote": True},
    "aggregate_dispute_votes": {"final_agrees": 6, "final_disagrees": 4},
    "finalize_market": {"dispute_agree": None, "dispute_disagree": None},
    "claim_winnings": {},
    "withdraw_liquidity": {},
    "update_global_config": {
        "protocol_fee_bps": 300,
        "resolver_reward_bps": 200,
        "liquidity_provider_fee_bps": 500,
        "proposal_approval_threshold": 7_000,
        "dispute_success_threshold": 6_000,
        "min_resolution_delay": None,
        "dispute_period": None,
    },
    "emergency_pause": {},
    "cancel_market": {},
}
"""Arguments with which each instruction succeeds on :func:`ready_for` it."""

_READY_STATES = {
    "submit_proposal_vote": MarketState.PROPOSED,
    "aggregate_proposal_votes": MarketState.PROPOSED,
    "approve_proposal": MarketState.PROPOSED,
    "cancel_market": MarketState.PROPOSED,
    "activate_market": MarketState.APPROVED,
    "buy_shares": MarketState.ACTIVE,
    "sell_shares": MarketState.ACTIVE,
    "resolve_market": MarketState.ACTIVE,
    "initiate_dispute": MarketState.RESOLVING,
    "finalize_market": MarketState.RESOLVING,
    "submit_dispute_vote": MarketState.DISPUTED,
    "aggregate_dispute_votes": MarketState.DISPUTED,
    "claim_winnings": MarketState.FINALIZED,
    "withdraw_liquidity": MarketState.FINALIZED,
}


def ready_for(name: str) -> Devnet:
    """A devnet on which the instruction, with its arguments of :data:`ARGS` and the usual accounts, succeeds."""
    if name == "initialize_global_config":
        return Devnet()
    if name not in _READY_STATES:
        return initialized()
    devnet = market_in(_READY_STATES[name])
    devnet.now += devnet.config.dispute_period if name == "finalize_market" else 3_600
    if name == "approve_proposal":
        devnet.do("aggregate_proposal_votes", ARGS["aggregate_proposal_votes"])
    if name == "sell_shares":
        devnet.do("buy_shares", {"outcome": True, "target_cost": 10 * P})
    return devnet
