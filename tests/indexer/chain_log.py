"""Transactions of the real program, with logs as the runtime writes them: what an indexer is fed and must find.

Instructions run on the accounts of the program harness, and every call is recorded as a landed transaction. The chain's
own account bytes are the truth to compare with.
"""

import base64
import random
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

from solders.pubkey import Pubkey

from tests.localnet.program_harness import (
    ADMIN,
    ALICE,
    BACKEND,
    BOB,
    CREATOR,
    EVE,
    EVIDENCE_HASH,
    PROGRAM_ID,
    RESOLVER,
    START_TIME,
    Devnet,
    P,
    initialized,
)
from zmart_lite.localnet.runtime import SYSTEM_PROGRAM_ID
from zmart_lite.models import (
    ChainAccount,
    ChainInstruction,
    ChainTransaction,
    GlobalConfig,
    MarketAccount,
    MarketState,
    UserPosition,
)

TRADERS = (ALICE, BOB, EVE, CREATOR)
VOTERS = (ALICE, BOB, EVE, CREATOR, RESOLVER)
FIRST_SLOT = 1_000
PROGRAM_TEXT = str(Pubkey.from_bytes(PROGRAM_ID))
DAY_S = 86_400
B_PARAMETERS = (100 * P, 1_000 * P, 1_000 * P, 50_000 * P, 900_000_000 * P, 99 * P)


def market_id_of(number: int) -> bytes:
    return number.to_bytes(2, "big") * 16


def signature_of(number: int) -> bytes:
    return number.to_bytes(8, "big") * 8


def data_line(data: bytes) -> str:
    return f"Program data: {base64.b64encode(data).decode()}"


def logs_of(payloads: Sequence[bytes]) -> tuple[str, ...]:
    """The lines of a transaction that calls our program once for each payload."""
    lines: list[str] = []
    for payload in payloads:
        lines += [f"Program {PROGRAM_TEXT} invoke [1]", data_line(payload), f"Program {PROGRAM_TEXT} success"]
    return tuple(lines)


class Call(NamedTuple):
    name: str
    args: Mapping[str, object]
    keys: Mapping[str, bytes]


class ChainLog:
    """Runs calls one transaction after the other and keeps what an indexer would see of them."""

    def __init__(self, devnet: Devnet | None = None) -> None:
        self.devnet = devnet or Devnet()
        self.codec = self.devnet.codec
        self.transactions: list[ChainTransaction] = []
        self.slot = FIRST_SLOT
        self.index_in_block = 0
        self.market_ids: list[bytes] = []

    def start(self) -> "ChainLog":
        """With the config initialised, as the first transaction."""
        self.run("initialize_global_config", {"backend_authority": BACKEND})
        return self

    def run(self, name: str, args: Mapping[str, object] | None = None, **keys: bytes) -> bool:
        """One call in a transaction of its own, in the next slot; whether it succeeded. Failures are recorded too."""
        return self.land([Call(name, args or {}, keys)])

    def land(self, calls: Sequence[Call], *, same_slot: bool = False) -> bool:
        """Several calls in one transaction: all or none."""
        if not same_slot:
            self.slot += 1
            self.index_in_block = 0
        self.index_in_block += 3
        before = {key: copy(account) for key, account in self.devnet.accounts.items()}
        payloads: list[bytes] = []
        instructions = []
        failed = False
        for call in calls:
            slots = self.devnet.keys_of(call.name, call.keys)
            data = self.codec.encode_instruction(call.name, call.args)
            instructions.append(ChainInstruction(PROGRAM_ID, tuple(slots.values()), data))
            outcome = self.devnet.call(call.name, call.args, **call.keys)
            failed |= outcome.error is not None
            payloads += outcome.data
        if failed:
            self.devnet.accounts = before
        self.transactions.append(
            ChainTransaction(
                signature_of(len(self.transactions) + 1),
                self.slot,
                self.index_in_block,
                self.devnet.now,
                failed,
                logs_of(payloads),
                tuple(instructions),
            )
        )
        return not failed

    # What is true

    def account(self, address: bytes) -> ChainAccount | None:
        account = self.devnet.accounts.get(address)
        return self.codec.decode_account(account.data) if account is not None and account.owner == PROGRAM_ID else None

    def market(self, market_id: bytes) -> MarketAccount:
        found = self.account(self.codec.market_address(market_id))
        assert isinstance(found, MarketAccount)
        return found

    def exists(self, market_id: bytes) -> bool:
        return self.account(self.codec.market_address(market_id)) is not None

    def positions(self, market_id: bytes) -> dict[bytes, UserPosition]:
        market = self.codec.market_address(market_id)
        found = {user: self.account(self.codec.position_address(market, user)) for user in TRADERS}
        return {user: account for user, account in found.items() if isinstance(account, UserPosition)}

    @property
    def config(self) -> GlobalConfig:
        return self.devnet.config

    # A market's life

    def create(
        self, number: int, b_parameter: int = 1_000 * P, liquidity: int = 50 * P, hash_: bytes = b"Q" * 46
    ) -> bytes:
        market_id = market_id_of(number)
        args = {
            "market_id": market_id,
            "b_parameter": b_parameter,
            "initial_liquidity": liquidity,
            "ipfs_question_hash": hash_,
        }
        assert self.run("create_market", args, market=self.codec.market_address(market_id))
        self.market_ids.append(market_id)
        return market_id

    def on(self, market_id: bytes, name: str, args: Mapping[str, object] | None = None, **keys: bytes) -> bool:
        self.devnet.now += 60
        return self.run(name, args, market=self.codec.market_address(market_id), **keys)

    def activate(self, market_id: bytes) -> None:
        assert self.on(market_id, "aggregate_proposal_votes", {"final_likes": 9, "final_dislikes": 1})
        assert self.on(market_id, "approve_proposal")
        assert self.on(market_id, "activate_market")

    def buy(self, market_id: bytes, user: bytes = ALICE, outcome: bool = True, cost: int = 10 * P) -> bool:
        return self.on(market_id, "buy_shares", {"outcome": outcome, "target_cost": cost}, user=user)

    def sell(self, market_id: bytes, shares: int, user: bytes = ALICE, outcome: bool = True) -> bool:
        args = {"outcome": outcome, "shares_to_sell": shares, "min_proceeds": 0}
        return self.on(market_id, "sell_shares", args, user=user)

    def resolve(self, market_id: bytes, outcome: bool = True) -> None:
        args = {"proposed_outcome": outcome, "ipfs_evidence_hash": EVIDENCE_HASH}
        assert self.on(market_id, "resolve_market", args)

    def finalize(self, market_id: bytes, agree: int | None = None, disagree: int | None = None) -> None:
        if agree is None:
            self.devnet.now += self.config.dispute_period
        assert self.on(market_id, "finalize_market", {"dispute_agree": agree, "dispute_disagree": disagree})


def whole_life(log: ChainLog, number: int = 1) -> bytes:
    """One market from creation to claims, with sales and a won dispute."""
    market_id = log.create(number)
    log.on(market_id, "submit_proposal_vote", {"vote": True}, user=ALICE)
    log.on(market_id, "submit_proposal_vote", {"vote": False}, user=BOB)
    log.activate(market_id)
    log.buy(market_id, ALICE, True, 60 * P)
    log.buy(market_id, BOB, False, 30 * P)
    log.sell(market_id, P, ALICE)
    log.resolve(market_id, True)
    log.on(market_id, "initiate_dispute", initiator=BOB)
    log.on(market_id, "submit_dispute_vote", {"vote": True}, user=BOB)
    log.on(market_id, "submit_dispute_vote", {"vote": False}, user=ALICE)
    log.finalize(market_id, 7, 3)
    log.on(market_id, "claim_winnings", user=BOB, resolver=RESOLVER)
    log.on(market_id, "withdraw_liquidity", creator=CREATOR)
    return market_id


Choice = tuple[int, Callable[[], Call]]


class Walk(ChainLog):
    """A random walk through everything the program can do, seeded. Some calls fail, as on a real chain."""

    def __init__(self, seed: int, markets: int = 3) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.markets_max = markets
        self.start()

    def walk(self, steps: int) -> "Walk":
        for _ in range(steps):
            self.step()
        return self

    def step(self) -> bool:
        """The next transaction: mostly one call, now and then several, or several transactions in a slot."""
        self.devnet.now += self.random.choice((0, 1, 30, 3_600))
        calls = [self._call() for _ in range(self.random.choice((1, 1, 1, 1, 2)))]
        return self.land(calls, same_slot=self.random.random() < 0.25)

    def _call(self) -> Call:
        roll = self.random.random()
        if len(self.market_ids) < self.markets_max and (not self.market_ids or roll < 0.08):
            return self._create()
        if roll < 0.12:
            return self._govern()
        market_id = self.random.choice(self.market_ids)
        address = self.codec.market_address(market_id)
        found = self.account(address)
        state = found.state if isinstance(found, MarketAccount) else MarketState.PROPOSED
        name, args, keys = self._act(state, found)
        return Call(name, args, {"market": address} | keys)

    def _create(self) -> Call:
        market_id = market_id_of(len(self.market_ids) + 1)
        args = {
            "market_id": market_id,
            "b_parameter": self.random.choice(B_PARAMETERS),
            "initial_liquidity": self.random.choice((1, 5 * P, 10_000 * P)),
            "ipfs_question_hash": bytes([len(self.market_ids)]) * 46,
        }
        self.market_ids.append(market_id)
        return Call("create_market", args, {"market": self.codec.market_address(market_id)})

    def _govern(self) -> Call:
        if self.random.random() < 0.3:
            return Call("emergency_pause", {}, {})
        args = {
            "protocol_fee_bps": self.random.choice((0, 1, 300, 333)),
            "resolver_reward_bps": self.random.choice((0, 111, 200)),
            "liquidity_provider_fee_bps": self.random.choice((7, 400)),
            "proposal_approval_threshold": self.random.choice((0, 5_000, 7_000)),
            "dispute_success_threshold": self.random.choice((4_000, 6_000)),
            "min_resolution_delay": self.random.choice((None, 7)),
            "dispute_period": self.random.choice((None, DAY_S)),
        }
        return Call("update_global_config", args, {})

    def _act(self, state: MarketState, market: Any) -> tuple[str, dict[str, object], dict[str, bytes]]:
        choose, vote = self.random.choice, self.random.random() < 0.6
        if self.random.random() < 0.3 and self.config.is_paused:
            return "emergency_pause", {}, {}
        match state:
            case MarketState.PROPOSED:
                return choose(
                    (
                        ("submit_proposal_vote", {"vote": vote}, {"user": choose(VOTERS)}),
                        ("aggregate_proposal_votes", {"final_likes": 8, "final_dislikes": 2}, {}),
                        ("approve_proposal", {}, {}),
                        *([("cancel_market", {}, {})] if self.random.random() < 0.1 else []),
                    )
                )
            case MarketState.APPROVED:
                return choose((("activate_market", {}, {}),) * 6 + (("cancel_market", {}, {}),))
            case MarketState.ACTIVE:
                return self._trade(market) if self.random.random() < 0.93 else self._resolve(vote)
            case MarketState.RESOLVING:
                if vote:
                    return "initiate_dispute", {}, {"initiator": choose(TRADERS)}
                self.devnet.now += self.config.dispute_period
                return "finalize_market", {"dispute_agree": choose((None, 4)), "dispute_disagree": None}, {}
            case MarketState.DISPUTED:
                return self._settle(vote)
            case MarketState.FINALIZED:
                resolver = market.resolver
                if self.random.random() < 0.15:
                    return "withdraw_liquidity", {}, {"creator": CREATOR}
                return "claim_winnings", {}, {"user": choose(TRADERS), "resolver": resolver}
        return "cancel_market", {}, {}

    def _trade(self, market: MarketAccount) -> tuple[str, dict[str, object], dict[str, bytes]]:
        user, outcome = self.random.choice(TRADERS), self.random.random() < 0.5
        position = self.account(self.codec.position_address(self.codec.market_address(market.market_id), user))
        if isinstance(position, UserPosition) and self.random.random() < 0.4:
            held = position.shares_yes if outcome else position.shares_no
            shares = held if self.random.random() < 0.2 else self.random.randint(0, held)
            return "sell_shares", {"outcome": outcome, "shares_to_sell": shares, "min_proceeds": 0}, {"user": user}
        cost = self.random.choice((10_000, 50_000_000, P, 7 * P + 13, 90 * P, market.b_parameter // 50))
        return "buy_shares", {"outcome": outcome, "target_cost": cost}, {"user": user}

    def _resolve(self, outcome: bool) -> tuple[str, dict[str, object], dict[str, bytes]]:
        args = {"proposed_outcome": outcome, "ipfs_evidence_hash": EVIDENCE_HASH}
        return "resolve_market", args, {"resolver": self.random.choice((RESOLVER, EVE))}

    def _settle(self, vote: bool) -> tuple[str, dict[str, object], dict[str, bytes]]:
        roll = self.random.random()
        if roll < 0.6:
            return "submit_dispute_vote", {"vote": vote}, {"user": self.random.choice(VOTERS)}
        agree, disagree = self.random.choice(((7, 3), (3, 7), (0, 1), (4_000_000_000, 1)))
        if roll < 0.75:
            return "aggregate_dispute_votes", {"final_agrees": agree, "final_disagrees": disagree}, {}
        return "finalize_market", {"dispute_agree": agree, "dispute_disagree": disagree}, {}


__all__ = [
    "ADMIN",
    "START_TIME",
    "SYSTEM_PROGRAM_ID",
    "ChainLog",
    "Walk",
    "initialized",
    "whole_life",
]


def active_market() -> tuple[ChainLog, bytes]:
    """A log in which one market has been activated, and its id."""
    log = ChainLog().start()
    market_id = log.create(1)
    log.activate(market_id)
    return log, market_id
