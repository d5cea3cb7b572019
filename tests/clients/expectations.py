"""What the chain must hold of one market, step by step, from the specification's text and slow formulas."""

from dataclasses import dataclass, field
from typing import Any

from solders.pubkey import Pubkey

from tests.clients.outsider import PROPOSAL, START_TIME, market_address, position_address, vote_address
from tests.slow_rules import slow_buy, slow_price, slow_sell, slow_split

P = 10**9
MARKET_RENT = 4_287_360
POSITION_RENT = 2_157_600
VOTE_RENT = 1_468_560
WITHDRAWAL_MARGIN = 10_000
NOBODY = Pubkey.default()
FEES_BPS = (300, 200, 500)
QUESTION, EVIDENCE = b"Q" * 46, b"E" * 46


def expected_config(admin: Pubkey, backend: Pubkey, fee_wallet: Pubkey) -> dict[str, Any]:
    """The configuration as ``initialize_global_config`` leaves it."""
    return {
        "admin": admin,
        "backend_authority": backend,
        "protocol_fee_wallet": fee_wallet,
        "protocol_fee_bps": 300,
        "resolver_reward_bps": 200,
        "liquidity_provider_fee_bps": 500,
        "proposal_approval_threshold": 7_000,
        "dispute_success_threshold": 6_000,
        "min_resolution_delay": 86_400,
        "dispute_period": 259_200,
        "min_resolver_reputation": 8_000,
        "is_paused": False,
        "reserved": bytes(64),
        "bump": 255,
    }


def expected_vote(market: Pubkey, user: Pubkey, kind: bytes, vote: bool, now: int) -> dict[str, Any]:
    name = "Proposal" if kind == PROPOSAL else "Dispute"
    bump = vote_address(market, user, kind)[1]
    return {"market": market, "user": user, "vote_type": name, "vote": vote, "voted_at": now, "bump": bump}


@dataclass
class ExpectedMarket:
    """One market's account, its positions and its lamports; each method is an instruction and returns its event."""

    market_id: bytes
    creator: Pubkey
    b: int = 1_000 * P
    initial_liquidity: int = P
    now: int = START_TIME
    lamports: int = MARKET_RENT
    positions: dict[Pubkey, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.address, bump = market_address(self.market_id)
        steps = "created approved activated resolution_proposed resolved finalized dispute_initiated"
        verdicts = ("agree", "disagree", "total_votes")
        counts = [f"{kind}_{name}" for kind in ("resolution", "dispute") for name in verdicts]
        self.fields: dict[str, Any] = {
            **dict.fromkeys([f"{name}_at" for name in steps.split()] + counts, 0),
            **dict.fromkeys(["proposal_likes", "proposal_dislikes", "proposal_total_votes", "total_volume"], 0),
            **dict.fromkeys([f"accumulated_{kind}_fees" for kind in ("protocol", "resolver", "lp")], 0),
            **dict.fromkeys(["proposed_outcome", "final_outcome", "cancelled_at"]),
            **dict.fromkeys(["was_disputed", "is_cancelled", "is_locked"], False),
            **dict.fromkeys(["resolver", "dispute_initiator"], NOBODY),
            "market_id": self.market_id,
            "creator": self.creator,
            "state": "Proposed",
            "b_parameter": self.b,
            "initial_liquidity": self.initial_liquidity,
            "current_liquidity": self.initial_liquidity,
            "shares_yes": self.b // 1_000,
            "shares_no": self.b // 1_000,
            "created_at": self.now,
            "ipfs_evidence_hash": QUESTION,
            "reserved": bytes(119),
            "bump": bump,
        }

    def enter(self, state: str, **fields: Any) -> None:
        """A step that only writes fields."""
        self.fields |= {"state": state, **fields}

    def _price(self) -> int:
        return slow_price(self.fields["shares_yes"], self.fields["shares_no"], self.b)

    def _position(self, user: Pubkey) -> dict[str, Any]:
        numbers = "shares_yes shares_no total_invested trades_count last_trade_at claimed_amount"
        empty = {
            **dict.fromkeys(numbers.split(), 0),
            "market": self.address,
            "user": user,
            "has_claimed": False,
            "reserved": bytes(64),
            "bump": position_address(self.address, user)[1],
        }
        return self.positions.setdefault(user, empty)

    def _trade(self, user: Pubkey, outcome: bool, shares: int) -> dict[str, Any]:
        side = "shares_yes" if outcome else "shares_no"
        position = self._position(user)
        for account in (self.fields, position):
            account[side] += shares
        position["trades_count"] += 1
        position["last_trade_at"] = self.now
        event = {"market_id": self.market_id, "user": user, "outcome": outcome, "shares": abs(shares)}
        return event | {"new_price_yes": self._price(), "timestamp": self.now}

    def buy(self, user: Pubkey, outcome: bool, target_cost: int) -> dict[str, Any]:
        yes, no = self.fields["shares_yes"], self.fields["shares_no"]
        cost, shares = slow_buy(yes, no, self.b, outcome, target_cost * 10_000 // 11_000)
        protocol, resolver, lp, fees = slow_split(cost, *FEES_BPS)
        event = self._trade(user, outcome, shares)
        self._position(user)["total_invested"] += cost + fees
        self._book(cost + fees, resolver, lp)
        self.fields["current_liquidity"] += resolver + lp
        self.lamports += cost + fees - protocol
        return event | {"cost": cost + fees}

    def sell(self, user: Pubkey, outcome: bool, shares: int) -> dict[str, Any]:
        gross = slow_sell(self.fields["shares_yes"], self.fields["shares_no"], self.b, outcome, shares)
        protocol, resolver, lp, fees = slow_split(gross, *FEES_BPS)
        event = self._trade(user, outcome, -shares)
        self._book(gross, resolver, lp)
        self.fields["current_liquidity"] -= gross - fees + protocol
        self.lamports -= gross - fees + protocol
        return event | {"proceeds": gross - fees}

    def _book(self, volume: int, resolver: int, lp: int) -> None:
        self.fields["total_volume"] += volume
        self.fields["accumulated_resolver_fees"] += resolver
        self.fields["accumulated_lp_fees"] += lp

    def claim(self, user: Pubkey) -> dict[str, Any]:
        """With the event's fields, ``to_resolver``: what the resolver gets from this claim."""
        outcome = self.fields["final_outcome"]
        side = "shares_yes" if outcome else "shares_no"
        position = self.positions[user]
        amount = position[side] * self.fields["current_liquidity"] // self.fields[side]
        to_resolver, self.fields["accumulated_resolver_fees"] = self.fields["accumulated_resolver_fees"], 0
        self.lamports -= amount + to_resolver
        position |= {"has_claimed": True, "claimed_amount": amount}
        event = {"market": self.address, "user": user, "outcome": outcome, "amount": amount, "timestamp": self.now}
        return event | {"to_resolver": to_resolver}

    def withdraw(self) -> dict[str, Any]:
        amount = self.lamports - MARKET_RENT - WITHDRAWAL_MARGIN
        self.lamports -= amount
        self.fields |= {"current_liquidity": 0, "accumulated_lp_fees": 0}
        return {"market_id": self.market_id, "creator": self.creator, "amount": amount, "timestamp": self.now}
