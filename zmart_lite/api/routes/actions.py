"""What moves a market that exists: transactions for the caller's wallet, and planned resolutions (contract 2.4)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from solders.instruction import Instruction

from zmart_lite import drafts, rules
from zmart_lite.api.context import ApiParts
from zmart_lite.api.contract.endpoints import Endpoint, Level, Reply, Scoped
from zmart_lite.api.contract.naming import path_market
from zmart_lite.api.contract.parsers import boolean, outcome, text
from zmart_lite.api.contract.refusals import BUILDS
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import Parser, Problems, field
from zmart_lite.api.openapi import action_examples as examples
from zmart_lite.api.routes import onchain
from zmart_lite.api.routes.onchain import Json, OnChain
from zmart_lite.chain import instructions
from zmart_lite.errors import Conflict, Forbidden, Unauthorized, Unavailable
from zmart_lite.models import MarketState
from zmart_lite.shown import exact_text, outcome_name, time_text, time_text_ms
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import markets, people, plans, positions
from zmart_lite.store.views import lookups
from zmart_lite.store.views.rows import MarketRef

EVIDENCE_CHARS_MAX = 10_000
WITHDRAWAL_KEPT_LAMPORTS = rules.MARKET_RENT_LAMPORTS + rules.WITHDRAWAL_RESERVE_LAMPORTS
SCHEDULABLE = frozenset({MarketState.PROPOSED, MarketState.APPROVED, MarketState.ACTIVE})


def _cid(value: Any) -> str:
    if not isinstance(value, str) or not drafts.is_cid_v0(value):
        raise ValueError("must be a CIDv0 (46 characters, Qm…)")
    return value


cid_v0 = Parser(_cid, {"type": "string", "pattern": "^Qm[1-9A-HJ-NP-Za-km-z]{44}$"})
evidence_text = text(1, EVIDENCE_CHARS_MAX, trim=False, allowed=lambda character: not "\ud800" <= character <= "\udfff")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFields:
    """What every action takes."""

    compute_unit_price: int | None = field(onchain.unit_price, None, help="Micro-lamports per compute unit.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveFields(ActionFields):
    outcome: bool = field(outcome)
    ipfs_evidence_hash: str | None = field(cid_v0, None, aliases=("evidence_hash",), help="CIDv0 of the evidence.")
    evidence: str | None = field(
        evidence_text, None, help="The evidence itself, instead of its hash.", example="The gauge showed 3 mm."
    )
    schedule: bool = field(boolean, False, help="Only register it: the node resolves the market at its end date.")

    def check(self) -> Problems:
        if (self.ipfs_evidence_hash is None) == (self.evidence is None):
            yield "ipfs_evidence_hash", "give either ipfs_evidence_hash or evidence"

    @property
    def cid(self) -> str:
        return self.ipfs_evidence_hash or drafts.cid_v0((self.evidence or "").encode())


# What is known before the chain is asked


class Known(NamedTuple):
    """A market as projected, with what decides who may act on it. ``admin`` is None while the config is unknown."""

    market: Row
    admin: bytes | None
    dispute_period_s: int | None

    @property
    def market_id(self) -> bytes:
        return bytes(self.market["market_id"])

    @property
    def state(self) -> MarketState:
        return MarketState(self.market["state"])


def read_known(tx: Tx, ref: MarketRef) -> Known:
    """Raises NotFound."""
    market, config = lookups.get_whole_market(tx, ref), markets.find_config(tx)
    if config is None:
        return Known(market, None, None)
    return Known(market, config.admin, config.dispute_period)


def require_state(known: Known, *wanted: MarketState) -> None:
    """Raises Conflict ``wrong_state``."""
    if known.state not in wanted:
        names = " or ".join(state.name for state in wanted)
        raise Conflict(f"The market is {known.state.name}; this needs it to be {names}.", reason="wrong_state")


async def _admin_of(parts: ApiParts, known: Known) -> bytes:
    return known.admin if known.admin is not None else (await onchain.read_config(parts)).admin


async def require_chain_admin(request: Request, known: Known) -> None:
    """Raises Forbidden ``not_chain_admin``."""
    if await _admin_of(request.parts, known) != request.wallet:
        raise Forbidden("Only the protocol's admin on chain does this.", reason="not_chain_admin")


async def _answer(
    request: Request,
    known: Known,
    instruction: Instruction,
    fields: ActionFields,
    message: str,
    warnings: tuple[str, ...] = (),
    **more: object,
) -> Reply:
    parts = request.parts
    built = await onchain.build(parts, instruction, request.wallet, fields.compute_unit_price)
    return Reply(onchain.action_answer(built["instruction"], known.market_id, message, built, warnings, **more))


# Activation, cancellation


async def activate(request: Request, fields: ActionFields) -> Reply:
    ref = path_market(request)
    known = await request.read(lambda tx: read_known(tx, ref))
    if known.market["creator_address"] != request.wallet and await _admin_of(request.parts, known) != request.wallet:
        raise Forbidden("Only the market's creator or the protocol's admin activates it.", reason="not_creator")
    require_state(known, *rules.ACTION_STATES["activate_market"])
    instruction = instructions.activate_market(request.parts.codec, known.market_id, request.wallet)
    return await _answer(request, known, instruction, fields, "Sign and send this transaction to open trading.")


async def cancel(request: Request, fields: ActionFields) -> Reply:
    ref = path_market(request)
    known = await request.read(lambda tx: read_known(tx, ref))
    await require_chain_admin(request, known)
    require_state(known, *rules.ACTION_STATES["cancel_market"])
    instruction = instructions.cancel_market(request.parts.codec, known.market_id, request.wallet)
    return await _answer(request, known, instruction, fields, "Sign and send this transaction to cancel the market.")


# Resolution


async def resolve(request: Request, fields: ResolveFields) -> Reply:
    ref = path_market(request)
    if fields.schedule:
        return await _schedule(request, fields, ref)
    known = await request.read(lambda tx: read_known(tx, ref))
    require_state(known, *rules.ACTION_STATES["resolve_market"])
    now = await onchain.chain_time(request.parts)
    if now <= known.market["activated_at"]:
        raise Conflict("The market has only just been activated.", reason="wrong_time")
    codec, cid = request.parts.codec, fields.cid
    instruction = instructions.resolve_market(codec, known.market_id, request.wallet, fields.outcome, cid.encode())
    end_date = known.market["end_date"]
    warnings = ("before_end_date",) if end_date is not None and now < end_date else ()
    reply = await _answer(
        request,
        known,
        instruction,
        fields,
        f"Sign and send this transaction to propose {outcome_name(fields.outcome)} as the outcome.",
        warnings,
        evidence_hash=cid,
    )
    evidence = fields.evidence
    if evidence is not None:
        await request.write(lambda tx: plans.add_evidence(tx, cid, evidence))
    return reply


def _require_session(request: Request) -> None:
    """A plan is signed by the node's own key, so a message that can be replayed does not register or withdraw one."""
    if request.identity is None or request.identity.method != "jwt":
        raise Unauthorized("This needs a session: sign in at /api/auth/login.", reason="jwt_required")


def _get_own(tx: Tx, request: Request, ref: MarketRef) -> Known:
    known = read_known(tx, ref)
    if known.market["creator_address"] != request.wallet:
        raise Forbidden("Only the market's creator plans its resolution.", reason="not_creator")
    return known


async def _schedule(request: Request, fields: ResolveFields, ref: MarketRef) -> Reply:
    _require_session(request)
    feed = request.parts.feed()

    def run(tx: Tx) -> Row:
        known = _get_own(tx, request, ref)
        require_state(known, *SCHEDULABLE)
        if known.market["end_date"] is None:
            raise Conflict("The market's end date is not known: give it its text first.", reason="wrong_state")
        market = known.market["id"]
        if fields.evidence is not None:
            plans.add_evidence(tx, fields.cid, fields.evidence)
        plan = plans.set_plan(
            tx, market, outcome=fields.outcome, evidence_hash=fields.cid.encode(), due_at=known.market["end_date"]
        )
        messages.publish_market(tx, feed, market, known.market["state"])
        return plan

    plan = await request.write(run)
    planned = {
        "outcome": outcome_name(bool(plan["outcome"])),
        "outcome_bool": bool(plan["outcome"]),
        "evidence_hash": plan["evidence_hash"].decode(),
        "due_at": time_text(plan["due_at"]),
        "registered_at": time_text_ms(plan["registered_ms"]),
    }
    message = "The outcome is registered; the node proposes it at the market's end date."
    return Reply({"success": True, "message": message, "planned_resolution": planned})


async def unschedule(request: Request, _: object) -> Reply:
    ref, feed = path_market(request), request.parts.feed()

    def run(tx: Tx) -> None:
        known = _get_own(tx, request, ref)
        if plans.remove_plan(tx, known.market["id"]):
            messages.publish_market(tx, feed, known.market["id"], known.market["state"])

    await request.write(run)
    return Reply({"success": True, "message": "No resolution is planned.", "planned_resolution": None})


async def dispute(request: Request, fields: ActionFields) -> Reply:
    ref, parts = path_market(request), request.parts
    known = await request.read(lambda tx: read_known(tx, ref))
    require_state(known, *rules.ACTION_STATES["initiate_dispute"])
    period_s = known.dispute_period_s
    if period_s is None:
        period_s = (await onchain.read_config(parts)).dispute_period
    now, proposed_at = await onchain.chain_time(parts), known.market["resolution_proposed_at"]
    if not proposed_at < now < rules.dispute_deadline(proposed_at, period_s):
        raise Conflict("The time in which this resolution may be disputed is not now.", reason="wrong_time")
    instruction = instructions.initiate_dispute(parts.codec, known.market_id, request.wallet)
    return await _answer(request, known, instruction, fields, "Sign and send this transaction to dispute the outcome.")


# Payouts


async def claim(request: Request, fields: ActionFields) -> Reply:
    ref, parts = path_market(request), request.parts

    def read(tx: Tx) -> Known:
        known = read_known(tx, ref)
        key = people.find_wallet_key(tx, request.wallet)
        if key is None or positions.find_position(tx, known.market["id"], key) is None:
            raise Forbidden("This wallet has no position in the market.", reason="no_position")
        return known

    known = await request.read(read)
    require_state(known, MarketState.FINALIZED)
    found = await onchain.read_market(parts, known.market_id, request.wallet)
    if found.position is None:
        raise Unavailable("The cluster does not know this position yet.", reason="rpc_unavailable")
    amount = rules.claim_amount(found.market, found.position)
    instruction = instructions.claim_winnings(parts.codec, known.market_id, request.wallet, found.market.resolver)
    return await _answer(
        request,
        known,
        instruction,
        fields,
        f"Sign and send this transaction to claim {exact_text(amount)} SOL.",
        amount=str(amount),
        payable=is_payable(found, amount),
    )


def is_payable(found: OnChain, amount: int) -> bool:
    """Whether the market's account holds ``amount`` lamports, the resolver's fees paid with a claim, and its rent."""
    fees = 0 if found.market.final_outcome is None else found.market.accumulated_resolver_fees
    return found.lamports - amount - fees >= rules.MARKET_RENT_LAMPORTS


async def withdraw(request: Request, fields: ActionFields) -> Reply:
    ref, parts = path_market(request), request.parts

    def read(tx: Tx) -> tuple[Known, bool]:
        known = read_known(tx, ref)
        if known.market["creator_address"] != request.wallet:
            raise Forbidden("Only the market's creator withdraws its liquidity.", reason="not_creator")
        return known, has_unclaimed(tx, known.market)

    known, unclaimed = await request.read(read)
    require_state(known, MarketState.FINALIZED)
    found = await onchain.read_market(parts, known.market_id)
    amount = max(0, found.lamports - WITHDRAWAL_KEPT_LAMPORTS)
    instruction = instructions.withdraw_liquidity(parts.codec, known.market_id, request.wallet)
    return await _answer(
        request,
        known,
        instruction,
        fields,
        f"Sign and send this transaction to withdraw what the market holds: {exact_text(amount)} SOL.",
        ("unclaimed_winnings",) if unclaimed else (),
        amount=str(amount),
    )


def has_unclaimed(tx: Tx, market: Row) -> bool:
    """Whether somebody could still claim: then a withdrawal takes it from them."""
    outcome = market["final_outcome"]
    side = "total_invested" if outcome is None else "shares_yes" if outcome else "shares_no"
    return any(int(row[side]) > 0 for row in positions.list_unclaimed_amounts(tx, market["id"]))


class _Route(NamedTuple):
    handler: Callable[[Request, Any], Awaitable[object]]
    fields: type[Any]
    summary: str
    answer: Json
    refuses: tuple[str, ...]
    also: tuple[tuple[int, object], ...] = ()
    scoped: Scoped | None = None


def _evidence_key(request: Request) -> str | None:
    """Evidence that comes as a text is kept, as drafts are, and counts like one; a hash alone costs nothing."""
    return "evidence" if request.body.get("evidence") else None


ROUTES = {
    "activate": _Route(
        activate,
        ActionFields,
        "Get the transaction that opens trading.",
        examples.ACTION,
        ("not_creator", "wrong_state"),
    ),
    "resolve": _Route(
        resolve,
        ResolveFields,
        "Get the transaction that proposes the outcome, or plan it.",
        examples.RESOLUTION,
        ("jwt_required", "not_creator", "wrong_state", "wrong_time"),
        ((200, examples.PLANNED_RESOLUTION),),
        Scoped("drafts", _evidence_key),
    ),
    "dispute": _Route(
        dispute,
        ActionFields,
        "Get the transaction that disputes the proposed outcome.",
        examples.ACTION,
        ("wrong_state", "wrong_time"),
    ),
    "claim": _Route(
        claim, ActionFields, "Get the transaction that claims winnings.", examples.CLAIM, ("no_position", "wrong_state")
    ),
    "withdraw": _Route(
        withdraw,
        ActionFields,
        "Get the transaction that withdraws what the market holds.",
        examples.WITHDRAWAL,
        ("not_creator", "wrong_state"),
    ),
    "cancel": _Route(
        cancel,
        ActionFields,
        "Get the transaction that cancels a market.",
        examples.ACTION,
        ("not_chain_admin", "wrong_state"),
    ),
}

ENDPOINTS = [
    *(
        Endpoint(
            "POST",
            f"/api/markets/{{id}}/{name}",
            route.handler,
            route.summary,
            level=Level.WALLET,
            fields=route.fields,
            answer=route.answer,
            also=route.also,
            refuses=(*route.refuses, *BUILDS),
            scoped=route.scoped,
            tag="markets",
        )
        for name, route in ROUTES.items()
    ),
    Endpoint(
        "DELETE",
        "/api/markets/{id}/resolve",
        unschedule,
        "Withdraw the planned resolution.",
        level=Level.JWT,
        answer=examples.PLANNED_RESOLUTION | {"planned_resolution": None},
        refuses=("not_creator",),
        tag="markets",
    ),
]
