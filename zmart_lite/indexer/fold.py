"""What one event changes: pure functions from the old value of an account, the event and its facts to the new value.

A market is folded as the program's own :class:`~zmart_lite.models.MarketAccount`, so that the projection can be
compared with the chain's account field by field. Where an event leaves something out, ``facts`` carries it from the
instruction's own data (the question hash is lost from the account at resolution, the dispute's counts are in no
event).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast, get_args

from zmart_lite import initial, models, rules
from zmart_lite.errors import ProgramError
from zmart_lite.models import ChainEvent, GlobalConfig, MarketAccount, MarketState, UserPosition
from zmart_lite.rules import FeeRates, Fees

TRADES = (models.SharesBought, models.SharesSold)
NO_HASH = bytes(46)

WITH_FACTS = (models.MarketCreated, models.MarketFinalized, models.GlobalConfigInitialized)
"""The events that leave out what :func:`facts_of` takes from their instructions."""

RESOLVED_STATES = frozenset({MarketState.RESOLVING, MarketState.DISPUTED, MarketState.FINALIZED})
"""States in which the account no longer holds the question's hash."""

STATE_TIMES = (
    "created_at",
    "approved_at",
    "activated_at",
    "resolution_proposed_at",
    "dispute_initiated_at",
    "resolved_at",
    "finalized_at",
    "cancelled_at",
)
"""Fields of a market that say when it came into a state."""

FEE_WALLET_ACCOUNT = 2
"""Place of the protocol fee wallet among the accounts of initialize_global_config."""


MARKET_ACCOUNT, POSITION_ACCOUNT = 1, 2
"""Places of the market and the position among the accounts of both trades."""


class FactsMissing(Exception):
    """The event alone does not determine the account; it has to be read from the chain."""


def facts_of(name: str, args: Mapping[str, Any], accounts: tuple[bytes, ...]) -> dict[str, Any] | None:
    """What the event of this instruction leaves out, as JSON values; None where it leaves out nothing."""
    if name == "create_market":
        return {"initial_liquidity": str(args["initial_liquidity"]), "question_hash": args["ipfs_question_hash"].hex()}
    if name == "finalize_market" and args["dispute_agree"] is not None and args["dispute_disagree"] is not None:
        return {"dispute_agree": args["dispute_agree"], "dispute_disagree": args["dispute_disagree"]}
    if name == "initialize_global_config" and len(accounts) > FEE_WALLET_ACCOUNT:
        return {"protocol_fee_wallet": accounts[FEE_WALLET_ACCOUNT].hex()}
    return None


def event_time(event: ChainEvent) -> int:
    """The event's own unix time in seconds: the last field of each."""
    return event[-1]


_ACTORS = ("user", "creator", "resolver", "initiator", "approved_by", "cancelled_by", "paused_by", "admin")
"""Fields that name the wallet that acted, the first that an event has."""
_ACTOR_PLACES: dict[type[ChainEvent], int | None] = {
    kind: next((kind._fields.index(field) for field in _ACTORS if field in kind._fields), None)
    for kind in get_args(ChainEvent)
}


def wallet_of(event: ChainEvent) -> bytes | None:
    """The wallet that acted, where the event names it."""
    place = _ACTOR_PLACES[type(event)]
    return None if place is None else cast(bytes, event[place])


# The global config


def fold_config(config: GlobalConfig | None, event: ChainEvent, facts: Mapping[str, Any], bump: int) -> GlobalConfig:
    """The config after a config event. Raises FactsMissing where an earlier version is needed and not known."""
    match event:
        case models.GlobalConfigInitialized():
            return _initial_config(event, facts, bump)
        case models.ConfigUpdated() if config is not None:
            return config._replace(
                **{field: getattr(event, field) for field in models.ConfigUpdated._fields if field != "timestamp"}
            )
        case models.ProtocolPauseStatusChanged() if config is not None:
            return config._replace(is_paused=event.is_paused)
    raise FactsMissing("the global config's earlier history")


def _initial_config(event: models.GlobalConfigInitialized, facts: Mapping[str, Any], bump: int) -> GlobalConfig:
    """The values the program starts with; the fee wallet is in the instruction's accounts only."""
    if "protocol_fee_wallet" not in facts:
        raise FactsMissing("the protocol fee wallet")
    wallet = bytes.fromhex(facts["protocol_fee_wallet"])
    return initial.new_config(event.admin, event.backend_authority, wallet, bump, event.protocol_fee_bps)


# Markets


def new_market(event: models.MarketCreated, facts: Mapping[str, Any], bump: int) -> MarketAccount:
    """The account create_market writes. Its liquidity and hash are in the instruction only."""
    if "initial_liquidity" not in facts:
        raise FactsMissing("the initial liquidity and question hash")
    return initial.new_market(
        event.market_id,
        event.creator,
        b_parameter=event.b_parameter,
        initial_liquidity=int(facts["initial_liquidity"]),
        question_hash=bytes.fromhex(facts["question_hash"]),
        created_at=event.timestamp,
        bump=bump,
    )


def fold_market(market: MarketAccount, event: ChainEvent, facts: Mapping[str, Any]) -> MarketAccount:
    """The market account after ``event``: any but MarketCreated and trades, which a :class:`TradedMarket` takes.

    Raises FactsMissing where the event and what is known do not determine the account.
    """
    match event:
        case models.MarketFinalized():
            return _fold_finalization(market, event, facts)
        case models.DisputeAggregated():
            return _fold_dispute_count(market, event)
        case models.WinningsClaimed() | models.WinningsClaimedLegacy():
            paid_resolver = market.final_outcome is not None
            return market._replace(accumulated_resolver_fees=0) if paid_resolver else market
    return market._replace(**_plain_changes(event))


def _plain_changes(event: ChainEvent) -> dict[str, Any]:
    """Field values that an event sets whatever the account held before."""
    match event:
        case models.ProposalAggregated():
            return {
                "proposal_likes": event.likes,
                "proposal_dislikes": event.dislikes,
                "proposal_total_votes": event.likes + event.dislikes,
            }
        case models.ProposalApproved():
            return {"state": MarketState.APPROVED, "approved_at": event.timestamp}
        case models.MarketActivated():
            return {"state": MarketState.ACTIVE, "activated_at": event.timestamp}
        case models.MarketResolved():
            return {
                "state": MarketState.RESOLVING,
                "proposed_outcome": event.outcome,
                "resolver": event.resolver,
                "ipfs_evidence_hash": event.evidence_hash,
                "resolution_proposed_at": event.timestamp,
            }
        case models.DisputeInitiated():
            return {
                "state": MarketState.DISPUTED,
                "dispute_initiator": event.initiator,
                "dispute_initiated_at": event.timestamp,
                "dispute_agree": 0,
                "dispute_disagree": 0,
                "dispute_total_votes": 0,
            }
        case models.LiquidityWithdrawn():
            return {"current_liquidity": 0, "accumulated_lp_fees": 0}
        case models.MarketCancelled():
            return {"state": MarketState.CANCELLED, "cancelled_at": event.cancelled_at}
    return {}


class TradedMarket:
    """What trades change of a market, folded one trade after the other.

    Trades are nearly all of the log, and a batch has several of each market: a new account of forty fields for each of
    them would take three times as long.
    """

    __slots__ = (
        "accumulated_lp_fees",
        "accumulated_resolver_fees",
        "b_parameter",
        "current_liquidity",
        "shares_no",
        "shares_yes",
        "total_volume",
    )

    def __init__(
        self,
        *,
        b_parameter: int,
        current_liquidity: int,
        shares_yes: int,
        shares_no: int,
        total_volume: int,
        accumulated_resolver_fees: int,
        accumulated_lp_fees: int,
    ) -> None:
        self.b_parameter = b_parameter
        self.current_liquidity = current_liquidity
        self.shares_yes = shares_yes
        self.shares_no = shares_no
        self.total_volume = total_volume
        self.accumulated_resolver_fees = accumulated_resolver_fees
        self.accumulated_lp_fees = accumulated_lp_fees

    def amounts(self) -> dict[str, int]:
        """The account's fields that trades change, as they are now."""
        return {field: getattr(self, field) for field in TRADED_FIELDS}

    def fold(self, event: models.SharesBought | models.SharesSold, rates: FeeRates | None) -> None:
        """Add a trade at the fees in force at its place. Raises, having changed nothing, FactsMissing or ProgramError
        where the event and what is known do not determine the amounts, ValueError for an amount outside u64.
        """
        if rates is None:
            raise FactsMissing("the fee rates in force")
        if isinstance(event, models.SharesSold):
            self._sell(event, rates)
            return
        _, _, outcome, shares, cost, _, _ = event
        fees = rules.split_fees(cost_before_fees(cost, rates), rates)
        yes, no = (shares, 0) if outcome else (0, shares)
        self._add(yes, no, cost, fees.resolver + fees.lp, fees)

    def _sell(self, event: models.SharesSold, rates: FeeRates) -> None:
        """The gross is in no event and the net does not determine it; the pricing formula on the folded shares does."""
        try:
            gross = rules.sell(self.shares_yes, self.shares_no, self.b_parameter, event.outcome, event.shares)
            fees = rules.split_fees(gross, rates)
        except ProgramError as error:
            raise FactsMissing("the shares before a sale") from error
        if gross - fees.total != event.proceeds:
            raise FactsMissing("the shares before a sale")
        yes, no = (-event.shares, 0) if event.outcome else (0, -event.shares)
        self._add(yes, no, gross, -event.proceeds - fees.protocol, fees)

    def _add(self, yes: int, no: int, volume: int, liquidity: int, fees: Fees) -> None:
        shares_yes, shares_no = self.shares_yes + yes, self.shares_no + no
        total_volume, current_liquidity = self.total_volume + volume, self.current_liquidity + liquidity
        _, resolver, lp, _ = fees
        resolver_fees, lp_fees = self.accumulated_resolver_fees + resolver, self.accumulated_lp_fees + lp
        # Each is within 64 bits exactly if all together are, and a sign stays: a quarter of the price of min and max.
        if (shares_yes | shares_no | total_volume | current_liquidity | resolver_fees | lp_fees) >> 64:
            raise ValueError("an amount outside u64")
        self.shares_yes, self.shares_no = shares_yes, shares_no
        self.total_volume, self.current_liquidity = total_volume, current_liquidity
        self.accumulated_resolver_fees, self.accumulated_lp_fees = resolver_fees, lp_fees


TRADED_FIELDS = tuple(field for field in TradedMarket.__slots__ if field != "b_parameter")


def cost_before_fees(total_cost: int, rates: FeeRates) -> int:
    """The k for which k + floor(k·rate/10000) = total_cost. Raises FactsMissing if the rates cannot have led to that
    cost.
    """
    rate = sum(rates)
    cost = total_cost * rules.BPS // (rules.BPS + rate)
    if cost + cost * rate // rules.BPS != total_cost:
        cost += 1
        if cost + cost * rate // rules.BPS != total_cost:
            raise FactsMissing("the fee rates in force")
    return cost


def _fold_finalization(market: MarketAccount, event: models.MarketFinalized, facts: Mapping[str, Any]) -> MarketAccount:
    counts: dict[str, Any] = {}
    if event.was_disputed:
        if "dispute_agree" not in facts:
            raise FactsMissing("the dispute's counts")
        agree, disagree = facts["dispute_agree"], facts["dispute_disagree"]
        counts = {"dispute_agree": agree, "dispute_disagree": disagree, "dispute_total_votes": agree + disagree}
    return market._replace(
        state=MarketState.FINALIZED,
        final_outcome=event.final_outcome,
        was_disputed=event.was_disputed,
        finalized_at=event.timestamp,
        **counts,
    )


def _fold_dispute_count(market: MarketAccount, event: models.DisputeAggregated) -> MarketAccount:
    """A successful dispute returns to RESOLVING, a failed one ends FINALIZED without an outcome (and pays refunds)."""
    succeeded = event.dispute_succeeded
    return market._replace(
        state=MarketState.RESOLVING if succeeded else MarketState.FINALIZED,
        resolved_at=market.resolved_at if succeeded else event.timestamp,
        was_disputed=True,
        dispute_agree=event.agrees,
        dispute_disagree=event.disagrees,
        dispute_total_votes=event.agrees + event.disagrees,
    )


# Positions


class Holding(NamedTuple):
    """A position and what its shares cost: lamports, the shares still held per side (basis) and of all buys."""

    position: UserPosition
    basis_yes: int = 0
    basis_no: int = 0
    cost_bought: int = 0
    realized_pnl: int = 0
    first_trade_at: int = 0


_NO_RESERVE = bytes(64)
new = tuple.__new__
"""Makes a NamedTuple of values in the order of its fields, at half the price of calling its class: for what each trade
makes."""


def new_holding(market_address: bytes, user: bytes, bump: int) -> Holding:
    position = new(UserPosition, (market_address, user, 0, 0, 0, 0, 0, False, 0, _NO_RESERVE, bump))
    return new(Holding, (position, 0, 0, 0, 0, 0))


def adopt_holding(holding: Holding, account: UserPosition) -> Holding:
    """The holding with the position as the chain has it, where the log may lack some of its events.

    Missing purchases add what they cost to the sides that are larger than thought; of a side that is smaller, the cost
    shrinks in proportion. What missing sales brought in is not known and counts as nothing.
    """
    known = holding.position
    extra = max(account.total_invested - known.total_invested, 0)
    more_yes, more_no = (max(account.shares_yes - known.shares_yes, 0), max(account.shares_no - known.shares_no, 0))
    extra_yes = extra * more_yes // (more_yes + more_no) if more_yes + more_no else 0
    adopted = holding._replace(
        position=account,
        basis_yes=_shrunk(holding.basis_yes, known.shares_yes, account.shares_yes) + extra_yes,
        basis_no=_shrunk(holding.basis_no, known.shares_no, account.shares_no)
        + (extra - extra_yes if more_yes + more_no else 0),
        cost_bought=holding.cost_bought + extra,
        first_trade_at=holding.first_trade_at or account.last_trade_at,
    )
    if not account.has_claimed or known.has_claimed:
        return adopted
    paid = account.claimed_amount - adopted.basis_yes - adopted.basis_no
    return adopted._replace(realized_pnl=adopted.realized_pnl + paid, basis_yes=0, basis_no=0)


def _shrunk(basis: int, shares_before: int, shares_now: int) -> int:
    return basis * shares_now // shares_before if shares_now < shares_before else basis


def fold_holding(holding: Holding, event: ChainEvent) -> Holding:
    """The position after a trade or claim of its owner.

    Raises FactsMissing where that is no position the program could have.
    """
    match event:
        case models.SharesBought():
            return _hold_buy(holding, event)
        case models.SharesSold():
            return _hold_sale(holding, event)
        case models.WinningsClaimed() | models.WinningsClaimedLegacy():
            open_basis = holding.basis_yes + holding.basis_no
            return holding._replace(
                position=holding.position._replace(has_claimed=True, claimed_amount=event.amount),
                realized_pnl=holding.realized_pnl + event.amount - open_basis,
                basis_yes=0,
                basis_no=0,
            )
    return holding


def _hold_buy(holding: Holding, event: models.SharesBought) -> Holding:
    _, _, outcome, shares, cost, _, timestamp = event
    position, basis_yes, basis_no, cost_bought, realized_pnl, first_trade_at = holding
    market, user, shares_yes, shares_no, total_invested, trades_count, _, *claim_and_rest = position
    if outcome:
        shares_yes, basis_yes = shares_yes + shares, basis_yes + cost
    else:
        shares_no, basis_no = shares_no + shares, basis_no + cost
    total_invested += cost
    if shares_yes > rules.U64_MAX or shares_no > rules.U64_MAX or total_invested > rules.U64_MAX:
        raise FactsMissing("the position before a buy")
    held = (market, user, shares_yes, shares_no, total_invested, trades_count + 1, timestamp, *claim_and_rest)
    values = (new(UserPosition, held), basis_yes, basis_no, cost_bought + cost, realized_pnl)
    return new(Holding, (*values, first_trade_at or timestamp))


def _hold_sale(holding: Holding, event: models.SharesSold) -> Holding:
    """Selling n of s shares releases basis·n // s of the side's cost."""
    shares, position = event.shares, holding.position
    held = position.shares_yes if event.outcome else position.shares_no
    basis = holding.basis_yes if event.outcome else holding.basis_no
    if shares > held:
        raise FactsMissing("the position before a sale")
    released = basis * shares // held if held else 0
    sold_yes, sold_no = (shares, 0) if event.outcome else (0, shares)
    return Holding(
        position._replace(
            shares_yes=position.shares_yes - sold_yes,
            shares_no=position.shares_no - sold_no,
            trades_count=position.trades_count + 1,
            last_trade_at=event.timestamp,
        ),
        holding.basis_yes - (released if event.outcome else 0),
        holding.basis_no - (0 if event.outcome else released),
        holding.cost_bought,
        holding.realized_pnl + event.proceeds - released,
        holding.first_trade_at or event.timestamp,
    )
