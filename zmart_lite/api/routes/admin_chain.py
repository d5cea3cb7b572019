"""What administrators do to the protocol and its markets: approving, overriding, pausing, configuring (contract 2.10).

State changes on chain only. With the admin key configured the node plans the transaction itself; without it the
on-chain admin's wallet gets one to sign.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from solders.instruction import Instruction

from zmart_lite.api.contract.endpoints import Reply
from zmart_lite.api.contract.naming import path_market
from zmart_lite.api.contract.pages import page_fields, page_of
from zmart_lite.api.contract.parsers import boolean, integer, plain_text, text
from zmart_lite.api.contract.refusals import BUILDS
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import PageFields, Problems, field
from zmart_lite.api.openapi import action_examples as examples
from zmart_lite.api.openapi.examples import MARKET, PAGE
from zmart_lite.api.routes import onchain
from zmart_lite.api.routes.actions import Known, read_known, require_chain_admin, require_state
from zmart_lite.api.routes.admin_endpoints import reading, writing
from zmart_lite.api.routes.audit import MustGiveReason
from zmart_lite.api.routes.onchain import Json
from zmart_lite.chain import instructions
from zmart_lite.errors import Conflict, Forbidden, ValidationFailed
from zmart_lite.models import GlobalConfig
from zmart_lite.rules import ACTION_STATES, BPS
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.engine.paging import Listing
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import intents, moderation
from zmart_lite.store.views import operations, rows

NOTE_CHARS_MAX = 500
ACTION_CHARS_MAX = 64
SECONDS_MAX = 2**63 - 1
FEES_SAFE_BPS = 1_000
"""The program sets a tenth of a spending limit aside for fees, whatever the rates are."""
DECIDED_BY_CHAIN = ("state", "status", "outcome", "share", "amount", "liquidity", "volume", "price", "lamports")
FEES = ("protocol_fee_bps", "resolver_reward_bps", "liquidity_provider_fee_bps")
THRESHOLDS = ("proposal_approval_threshold", "dispute_success_threshold")
DELAYS = ("min_resolution_delay", "dispute_period")

_bps = integer(0, BPS)
_seconds = integer(1, SECONDS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFields(MustGiveReason):
    compute_unit_price: int | None = field(onchain.unit_price, None, help="Micro-lamports per compute unit.")


# Acting on chain


async def _act(
    request: Request,
    action: str,
    market_id: bytes | None,
    args: Mapping[str, Any],
    build: Callable[[], Instruction],
    fields: ChainFields,
    **more: object,
) -> Reply:
    """Plan the node's own transaction, or build one for the caller, who then has been found to be the admin."""
    parts = request.parts
    if parts.intents.admin is None:
        built = await onchain.build(parts, build(), request.wallet, fields.compute_unit_price)
        message = "Sign and send this transaction as the protocol's admin."
        return Reply(onchain.action_answer(action, market_id, message, built) | more)
    planned = await parts.intents.plan(action, market_id, args, fields.reason)
    row = await request.read(lambda tx: operations.find_intent(tx, planned["id"]))
    return Reply({"success": True, "intent": operations.intent_row(row), **more}, 202)


async def _require_signer(request: Request, known: Known) -> bytes:
    """The key that signs: the node's, or the caller's if he is the admin on chain. Raises Forbidden."""
    if request.parts.intents.admin is not None:
        return request.parts.intents.admin
    await require_chain_admin(request, known)
    return request.wallet


# Markets


async def list_approvals(request: Request, fields: PageFields) -> object:
    asked = page_of(request, "approvals", fields)

    def read(tx: Tx) -> tuple[Listing, list[Json]]:
        found, context = operations.list_approvals(tx, asked.page), rows.read_context(tx, request.shared.rows)
        return found, [rows.market_row(row, context) for row in found.rows]

    found, shown = await request.read(read)
    return {"markets": shown, **page_fields(request, asked, found)}


async def approve(request: Request, fields: ChainFields) -> Reply:
    ref = path_market(request)
    known = await request.read(lambda tx: read_known(tx, ref))
    signer = await _require_signer(request, known)
    require_state(known, *ACTION_STATES["approve_proposal"])
    if not known.market["ready_for_approval"]:
        raise Conflict("The recorded votes do not suffice for an approval.", reason="wrong_state")
    codec, market_id = request.parts.codec, known.market_id

    def build() -> Instruction:
        return instructions.approve_proposal(codec, market_id, signer)

    return await _act(request, "approve_proposal", market_id, {}, build, fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideFields(ChainFields):
    action: str = field(text(1, ACTION_CHARS_MAX), help="cancel, resync, hide, unhide or annotate.", example="hide")
    note: str | None = field(plain_text(0, NOTE_CHARS_MAX), None, help="For annotate; null or empty removes it.")


async def override(request: Request, fields: OverrideFields) -> Reply:
    """Hide, annotate, re-read or cancel a market. What only the chain decides is refused."""
    ref = path_market(request)
    known = await request.read(lambda tx: read_known(tx, ref))
    _require_own_business(request.body)
    match fields.action:
        case "cancel":
            return await _cancel(request, known, fields)
        case "resync":
            found = (await request.parts.indexer.resync(known.market_id)).discrepancies
            differences = [{"field": name, "stored": ours, "on_chain": theirs} for name, ours, theirs in found]
            return await _overridden(request, known, fields.action, differences)
        case "hide" | "unhide":
            feed, hidden = request.parts.feed(), fields.action == "hide"
            await request.write(lambda tx: set_hidden(tx, feed, known.market["id"], hidden))
        case "annotate":
            feed = request.parts.feed()
            await request.write(lambda tx: _annotate(tx, feed, known.market["id"], fields.note or None))
        case _:
            raise _chain_decides(f"There is no override {fields.action!r}")
    return await _overridden(request, known, fields.action, [])


def _require_own_business(body: Mapping[str, Any]) -> None:
    for name in body:
        if any(word in name.lower() for word in DECIDED_BY_CHAIN):
            raise _chain_decides(f"{name[:ACTION_CHARS_MAX]} cannot be set here")


def _chain_decides(what: str) -> Conflict:
    return Conflict(f"{what}: only the chain changes a market's state.", reason="chain_decides")


async def _overridden(request: Request, known: Known, action: str, discrepancies: list[Json]) -> Reply:
    def read(tx: Tx) -> Json:
        return rows.market_row(
            messages.find_market_row(tx, known.market["id"]), rows.read_context(tx, request.shared.rows)
        )

    market = await request.read(read)
    return Reply({"success": True, "action": action, "market": market, "discrepancies": discrepancies})


async def _cancel(request: Request, known: Known, fields: OverrideFields) -> Reply:
    signer = await _require_signer(request, known)
    require_state(known, *ACTION_STATES["cancel_market"])
    codec, market_id = request.parts.codec, known.market_id

    def build() -> Instruction:
        return instructions.cancel_market(codec, market_id, signer)

    return await _act(request, "cancel_market", market_id, {}, build, fields)


def set_hidden(tx: Tx, feed: messages.FeedContext, market: int, hidden: bool) -> None:
    """Take a market out of the lists and feeds of all markets, or put it back; those who see it there are told."""
    if not moderation.set_hidden(tx, market, hidden):
        return
    row = messages.find_market_row(tx, market)
    data = messages.market_state_data(row, feed.rows(tx), "deleted" if hidden else "created")
    tx.publish("market_state", data, market_id=row["market_id"], listed=True)


def _annotate(tx: Tx, feed: messages.FeedContext, market: int, note: str | None) -> None:
    moderation.set_note(tx, market, note)
    row = messages.find_market_row(tx, market)
    messages.publish_market(tx, feed, market, row["state"])


# The protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseFields(ChainFields):
    paused: bool = field(boolean)


async def pause(request: Request, fields: PauseFields) -> Reply:
    """Pause or resume. The instruction toggles, so the flag is read first, and by one request at a time."""
    async with request.shared.protocol_turn:
        await _require_idle(request, "emergency_pause")
        config = await _config_to_change(request)
        if config.is_paused == fields.paused:
            return Reply({"success": True, "changed": False})
        codec = request.parts.codec

        def build() -> Instruction:
            return instructions.emergency_pause(codec, config.admin)

        return await _act(request, "emergency_pause", None, {"paused": fields.paused}, build, fields, changed=True)


async def _require_idle(request: Request, action: str) -> None:
    """Raises Conflict ``in_flight`` while an earlier transaction of this kind may still land."""
    known: Row | None = await request.read(lambda tx: intents.find_open(tx, action, intents.PROTOCOL))
    if known is not None:
        raise Conflict("An earlier change has not been settled yet.", reason="in_flight")


async def _config_to_change(request: Request) -> GlobalConfig:
    """The config as it stands on chain. Raises Forbidden ``not_chain_admin`` for a caller who could not sign."""
    config = await onchain.read_config(request.parts)
    if request.parts.intents.admin is None and config.admin != request.wallet:
        raise Forbidden("Only the protocol's admin on chain does this.", reason="not_chain_admin")
    return config


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFields(ChainFields):
    protocol_fee_bps: int | None = field(_bps, None, example=300)
    resolver_reward_bps: int | None = field(_bps, None)
    liquidity_provider_fee_bps: int | None = field(_bps, None)
    proposal_approval_threshold: int | None = field(_bps, None)
    dispute_success_threshold: int | None = field(_bps, None)
    min_resolution_delay: int | None = field(_seconds, None)
    dispute_period: int | None = field(_seconds, None)

    def check(self) -> Problems:
        if all(getattr(self, name) is None for name in (*FEES, *THRESHOLDS, *DELAYS)):
            yield FEES[0], "give at least one value"

    def over(self, config: GlobalConfig) -> GlobalConfig:
        """The config with what was given."""
        names = (*FEES, *THRESHOLDS, *DELAYS)
        return config._replace(**{name: getattr(self, name) for name in names if getattr(self, name) is not None})


async def configure(request: Request, fields: ConfigFields) -> Reply:
    async with request.shared.protocol_turn:
        await _require_idle(request, "update_global_config")
        config = await _config_to_change(request)
        wanted = fields.over(config)
        fees = sum(getattr(wanted, name) for name in FEES)
        if fees > BPS:
            raise ValidationFailed([(FEES[0], f"the three fees together must be at most {BPS} bps, not {fees}")])
        args = {name: getattr(wanted, name) for name in (*FEES, *THRESHOLDS)}
        args |= {name: getattr(fields, name) for name in DELAYS}
        codec = request.parts.codec

        def build() -> Instruction:
            return instructions.build(codec, "update_global_config", args, {"admin": config.admin})

        warnings = _config_warnings(config, wanted, fees)
        return await _act(request, "update_global_config", None, args, build, fields, warnings=warnings)


def _config_warnings(config: GlobalConfig, wanted: GlobalConfig, fees: int) -> list[str]:
    found = []
    if fees == 0:
        found.append("fees_zero_stop_trading")
    if fees > FEES_SAFE_BPS:
        found.append("fees_above_1000_fail_buys")
    if wanted.dispute_period != config.dispute_period:
        found.append("deadlines_change")
    return found


_INTENT = {"success": True, "intent": examples.INTENT}
_OF_PROTOCOL = examples.ACTION | {"action": "emergency_pause", "market_id": None}
_OVERRIDDEN = {
    "success": True,
    "action": "resync",
    "market": MARKET,
    "discrepancies": [{"field": "shares_yes", "stored": "5", "on_chain": "6"}],
}

ENDPOINTS = [
    reading(
        "approvals",
        list_approvals,
        "Proposals that wait for the admin's signature.",
        {"markets": [MARKET], **PAGE},
        fields=PageFields,
    ),
    writing(
        "markets/{id}/approve",
        approve,
        "Approve a proposal.",
        "approve",
        examples.ACTION,
        fields=ChainFields,
        also=((202, _INTENT),),
        refuses=("not_chain_admin", "wrong_state", *BUILDS),
    ),
    writing(
        "markets/{id}/override",
        override,
        "Hide, annotate, re-read or cancel.",
        "override",
        _OVERRIDDEN,
        fields=OverrideFields,
        also=((200, examples.ACTION), (202, _INTENT)),
        refuses=("not_chain_admin", "wrong_state", "chain_decides", *BUILDS),
    ),
    writing(
        "protocol/pause",
        pause,
        "Pause or resume.",
        "protocol_pause",
        _OF_PROTOCOL | {"changed": True},
        fields=PauseFields,
        also=((200, {"success": True, "changed": False}), (202, _INTENT | {"changed": True})),
        refuses=("not_chain_admin", "in_flight", *BUILDS),
    ),
    writing(
        "protocol/config",
        configure,
        "Change the config.",
        "protocol_config",
        _OF_PROTOCOL,
        fields=ConfigFields,
        also=((202, _INTENT | {"warnings": ["deadlines_change"]}),),
        refuses=("not_chain_admin", "in_flight", *BUILDS),
    ),
]
