"""Creating markets: the text as a draft, its hash in an unsigned ``create_market`` (contract section 2.4)."""

import secrets
from dataclasses import dataclass
from typing import Any

import msgspec

from zmart_lite import drafts, rules
from zmart_lite.api.contract.endpoints import Endpoint, Level, Reply, Scoped
from zmart_lite.api.contract.parsers import category, market_ref, plain_text, time_ms, u64
from zmart_lite.api.contract.refusals import BUILDS
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import Parser, Problems, field
from zmart_lite.api.openapi import action_examples, examples
from zmart_lite.api.routes import onchain
from zmart_lite.api.routes.onchain import Json
from zmart_lite.chain import instructions
from zmart_lite.drafts import MarketText
from zmart_lite.errors import Conflict, Forbidden, ValidationFailed
from zmart_lite.shown import address_text, time_text, time_text_ms
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import texts
from zmart_lite.store.views import lookups, rows
from zmart_lite.store.views.rows import MarketRef

QUESTION_CHARS_MIN, QUESTION_CHARS_MAX = 10, 200
DESCRIPTION_CHARS_MAX = 2_000
TAGS_MAX = 8
TAG_CHARS_MAX = 32
B_DEFAULT = rules.B_PARAMETER_MIN
DRAFT_LIFETIME_MS = 24 * 3_600 * 1_000
LIQUIDITY_WARNING = "liquidity_not_deposited"
SECOND_MS = 1_000

_tag = plain_text(1, TAG_CHARS_MAX)


def _tags(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > TAGS_MAX:
        raise ValueError(f"must be a list of at most {TAGS_MAX} texts")
    try:
        return tuple(_tag.parse(each) for each in value)
    except ValueError as error:
        raise ValueError(f"each tag {error}") from error


tags: Parser = Parser(_tags, {"type": "array", "maxItems": TAGS_MAX, "items": _tag.schema})


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateFields:
    question: str = field(
        plain_text(QUESTION_CHARS_MIN, QUESTION_CHARS_MAX), example="Will it rain in Lisbon tomorrow?"
    )
    description: str = field(plain_text(0, DESCRIPTION_CHARS_MAX), "", example="By the official gauge.")
    category: str = field(category)
    tags: tuple[str, ...] = field(tags, (), example=["weather"])
    end_date: int = field(time_ms, aliases=("ends_at", "end_time"), help="When trading is meant to end.")
    initial_liquidity: int | None = field(
        u64(1),
        None,
        aliases=("liquidity",),
        help="Lamports, nominal: nothing is deposited. Required for a new market.",
        example="10000000000",
    )
    b_parameter: int = field(u64(B_DEFAULT, rules.B_PARAMETER_TRADABLE_MAX), B_DEFAULT)
    market_id: MarketRef | None = field(market_ref, None, help="The caller's own market that lacks its text.")
    compute_unit_price: int | None = field(onchain.unit_price, None, help="Micro-lamports per compute unit.")

    def check(self) -> Problems:
        if self.market_id is None and self.initial_liquidity is None:
            yield "initial_liquidity", "is required"
        try:
            drafts.end_date_text(self.end_date // SECOND_MS)
        except ValueError:
            yield "end_date", "is not a date"

    @property
    def text(self) -> MarketText:
        return MarketText(self.question, self.description, self.category, self.tags, self.end_date // SECOND_MS)


async def create(request: Request, fields: CreateFields) -> Reply:
    """Keep the text as a draft and build the transaction; or attach the text to a market that exists."""
    if fields.market_id is not None:
        return await _attach(request, fields, fields.market_id)
    if fields.end_date // SECOND_MS <= request.parts.clock.now():
        raise ValidationFailed([("end_date", "must be in the future")])
    canonical = drafts.canonical_json(fields.text)
    cid = drafts.cid_v0(canonical.encode())
    known = await request.read(lambda tx: texts.find_draft(tx, request.wallet, cid))
    market_id = secrets.token_bytes(instructions.MARKET_ID_BYTES) if known is None else known["market_id"]
    transaction = await _build(request, fields, market_id, cid)
    draft = await _keep(request, market_id, cid, canonical)
    if draft["market_id"] != market_id:
        # The same text came twice at once: the first draft's id is the one that counts.
        known, market_id = draft, draft["market_id"]
        transaction = await _build(request, fields, market_id, cid)
    return Reply(_answer(request, draft, transaction), 201 if known is None else 200)


async def _build(request: Request, fields: CreateFields, market_id: bytes, cid: str) -> Json:
    """Raises Conflict ``protocol_paused`` or ``program_error``."""
    parts = request.parts
    if (await onchain.read_config(parts)).is_paused:
        raise Conflict("The protocol is paused.", reason="protocol_paused")
    instruction = instructions.create_market(
        parts.codec, request.wallet, market_id, fields.b_parameter, fields.initial_liquidity or 0, cid.encode()
    )
    return await onchain.build(parts, instruction, request.wallet, fields.compute_unit_price)


async def _keep(request: Request, market_id: bytes, cid: str, canonical: str) -> Row:
    def run(tx: Tx) -> Row:
        return texts.add_draft(
            tx,
            market_id=market_id,
            wallet=request.wallet,
            cid=cid,
            canonical_json=canonical,
            lifetime_ms=DRAFT_LIFETIME_MS,
        )

    return await request.write(run)


def _answer(request: Request, draft: Row, transaction: Json) -> Json:
    market_id = draft["market_id"]
    text = msgspec.json.decode(draft["canonical_json"])
    answer = onchain.action_answer(
        "create_market", market_id, "Sign and send this transaction to create the market.", transaction
    )
    return answer | {
        "id": market_id.hex(),
        "on_chain_address": address_text(request.parts.codec.market_address(market_id)),
        "cid": draft["cid"],
        "draft": {
            "question": text["question"],
            "description": text["description"],
            "category": text["category"],
            "tags": text["tags"],
            "end_date": time_text(texts.end_date_seconds(text["end_date"])),
            "creator_wallet": address_text(draft["wallet"]),
            "canonical_json": draft["canonical_json"],
            "expires_at": time_text_ms(draft["expires_ms"]),
        },
        "warnings": [LIQUIDITY_WARNING],
    }


# Text for a market that exists


async def _attach(request: Request, fields: CreateFields, ref: MarketRef) -> Reply:
    canonical = drafts.canonical_json(fields.text)
    cid, feed = drafts.cid_v0(canonical.encode()), request.parts.feed()

    def run(tx: Tx) -> Json:
        market = lookups.get_whole_market(tx, ref)
        if market["creator_address"] != request.wallet:
            raise Forbidden("Only the market's creator gives it its text.", reason="not_creator")
        if market["question_hash"] != cid.encode():
            raise Conflict("This is not the text whose hash stands on chain.", reason="text_mismatch")
        if market["question"] is None:
            texts.attach_text(tx, market["id"], canonical, cid)
            market = messages.publish_market(tx, feed, market["id"], market["state"])
        return rows.market_row(market, feed.rows(tx))

    return Reply({"success": True, "attached": True, "market": await request.write(run)})


ENDPOINTS = [
    Endpoint(
        "POST",
        "/api/markets",
        create,
        "Post a market's text and get the transaction that creates it.",
        level=Level.WALLET,
        fields=CreateFields,
        answer=action_examples.CREATED,
        status=201,
        tag="markets",
        scoped=Scoped("drafts"),
        also=(
            (200, action_examples.CREATED),
            (200, {"success": True, "attached": True, "market": examples.MARKET}),
        ),
        refuses=("not_creator", "protocol_paused", "text_mismatch", *BUILDS),
    )
]
