"""JSON Schemas of answers, read off the examples that the routes declare; kinds and units come from the vocabulary.

An example that is not covered by the vocabulary raises LookupError, so an undocumented field is found when the document
is built, which every test of the API does.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from zmart_lite.api.openapi import action_examples as acts
from zmart_lite.api.openapi import examples as reads
from zmart_lite.api.openapi.vocabulary import ANSWERED, KINDS
from zmart_lite.api.openapi.vocabulary_events import event_field_texts

Schema = dict[str, Any]

IDL_KINDS = {"u64": "exact", "pubkey": "address", "bool": "bool"}
STRUCTURES = frozenset({"object", "list"})
JSON_TYPES: dict[type[Any], str] = {str: "string", bool: "boolean", int: "integer", float: "number"}


class Component(NamedTuple):
    """A named object. ``optional`` fields may be absent; ``is_open``: further fields depend on the node."""

    name: str
    text: str
    example: Mapping[str, Any]
    optional: tuple[str, ...] = ()
    is_open: bool = False


COMPONENTS = (
    Component("MarketRow", "A market, with the same fields wherever it appears.", reads.MARKET),
    Component("TradeRow", "A trade.", reads.TRADE),
    Component("PositionRow", "What a wallet holds in a market.", reads.POSITION),
    Component("VoteRow", "A vote.", reads.VOTE),
    Component("DiscussionRow", "A post below a market.", reads.DISCUSSION),
    Component("EventRow", "An event of the program, as indexed.", reads.EVENT),
    Component("AlertRow", "An alert.", reads.ALERT, ("data",)),
    Component("Activity", "Something that happened.", reads.ACTIVITY),
    Component("MarketVotes", "Votes on a market.", reads.MARKET_VOTES),
    Component("Snapshot", "A market's discussion, kept on IPFS.", reads.SNAPSHOT),
    Component("Category", "A category.", reads.CATEGORY),
    Component("SignInInput", "What a wallet needs to sign in.", reads.SIGN_IN, ("message",)),
    Component("Service", "One service; further fields are its own figures.", reads.SERVICE_HEALTH, is_open=True),
    Component("Unwell", "A service that is not as it should be.", reads.UNWELL),
    Component("Versions", "What runs here, and what it talks to.", reads.STATUS["versions"]),
    Component("Latest", "Messages of the feed.", reads.LATEST),
    Component("Envelope", "A message of the feed.", reads.ENVELOPE, ("market_id",)),
    Component("Unsigned", "A transaction to sign: compute-budget instructions and one of the program.", acts.UNSIGNED),
    Component("BuyQuote", "What a purchase costs.", acts.BUY_QUOTE),
    Component("SellQuote", "What a sale brings.", acts.SELL_QUOTE),
    Component("BuyEstimate", "What a purchase costs.", acts.ESTIMATE),
    Component("SellEstimate", "What a sale brings.", acts.SELL_ESTIMATE),
    Component("Claim", "The transaction that claims winnings.", acts.CLAIM),
    Component("Withdrawal", "The transaction that withdraws what the market holds.", acts.WITHDRAWAL),
    Component("Planned", "A registered resolution.", acts.PLANNED_RESOLUTION),
    Component("PlannedResolution", "When a registered resolution is sent.", reads.PLAN),
    Component("Relayed", "A transaction that landed.", acts.RELAYED),
    Component("Sent", "A transaction on its way.", acts.SENT),
    Component("TransactionState", "Where a transaction stands.", acts.TRANSACTION),
    Component("Tally", "The votes of one kind on a market.", acts.TALLY),
    Component("Recorded", "Counts that stand on chain.", acts.RECORDED),
    Component("Progress", "A tally, and how long the vote goes on.", acts.PROGRESS),
    Component("Job", "A job.", acts.JOB),
    Component("User", "A wallet.", reads.USER),
    Component("Audit", "What an administrator did.", acts.AUDIT),
    Component("Discrepancy", "Where the database differed from the chain.", acts.DISCREPANCY),
    Component("Run", "A run of a job.", acts.RUN),
    Component("Breaker", "A circuit breaker.", acts.BREAKER),
    Component("BreakerState", "A circuit breaker.", reads.STATUS["breakers"][0]),
    Component("Intent", "A transaction of the node's own.", acts.INTENT),
    Component("Document", "An OpenAPI 3.1 document.", {}, is_open=True),
    Component("Transition", "What time alone brings.", reads.TRANSITION),
    Component("QuoteError", "Why the program would refuse.", {"name": "SlippageExceeded", "number": 6003}),
    Component("IntentError", "Why a transaction failed.", {"name": None, "number": None, "message": None}),
    Component(
        "ProgramError",
        "Why a transaction failed.",
        {"name": "SlippageExceeded", "instruction_index": 2, "number": 6003},
        ("number",),
    ),
)
MISSING = object()
"""Stands for the example of a field that is not in its component's."""
LATE_FIELDS = {"has_more": "total_capped"}
"""Fields that only some answers with the first field have."""


class Entry(NamedTuple):
    """A line of the vocabulary. ``key``: the field, or ``Component.field``."""

    key: str
    kind: str
    is_nullable: bool
    text: str


@cache
def vocabulary() -> dict[str, tuple[Entry, ...]]:
    """The lines of the vocabulary by field."""
    found: dict[str, tuple[Entry, ...]] = {}
    for line in filter(None, ANSWERED.splitlines()):
        key, kind, text = line.split(None, 2)
        entry = Entry(key, kind.removesuffix("?"), kind.endswith("?"), text)
        found[key] = (*found.get(key, ()), entry)
    return found


@cache
def _component_names() -> dict[tuple[str, ...], str]:
    found = {}
    for component in COMPONENTS:
        names = tuple(component.example)
        found[names] = found[names + component.optional] = component.name
    return found


def component_schemas(idl: Mapping[str, Any]) -> dict[str, Schema]:
    """All named schemas of answers; the events' own fields are those of the program's IDL."""
    found = {component.name: _component_schema(component) for component in COMPONENTS}
    found["EventData"] = {
        "description": "The fields of an event, as on chain.",
        "anyOf": [_event_schema(name, fields) for name, fields in event_fields(idl).items()],
    }
    return found


def _component_schema(component: Component) -> Schema:
    missing = {name: MISSING for name in component.optional if name not in component.example}
    schema = _object_schema({**component.example, **missing}, component.name, component.optional)
    schema["description"] = component.text
    if component.is_open:
        schema["additionalProperties"] = True
    return schema


def event_fields(idl: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The kinds of each event's fields, as store.event_data shows them."""
    types = {entry["name"]: entry["type"]["fields"] for entry in idl["types"] if "fields" in entry["type"]}
    found = {
        event["name"]: {field["name"]: _idl_kind(field["name"], field["type"]) for field in types[event["name"]]}
        for event in idl["events"]
    }
    found["WinningsClaimed"]["market_id"] = "market?"
    return found


def _idl_kind(name: str, idl_type: Any) -> str:
    if isinstance(idl_type, dict):
        if "option" in idl_type:
            return _idl_kind(name, idl_type["option"]) + "?"
        return "market" if name == "market_id" else "text"
    return IDL_KINDS.get(idl_type, "integer")


def _event_schema(name: str, fields: Mapping[str, str]) -> Schema:
    texts = event_field_texts()
    properties = {}
    for field, kind in fields.items():
        schema: Schema = dict(KINDS[kind.removesuffix("?")])
        schema["description"] = " ".join(filter(None, (texts.get(field), schema.get("description"))))
        properties[field] = _nullable(schema, kind[-1] == "?")
    return {"title": name, "type": "object", "properties": properties, "required": list(properties)}


def schema_of(example: object) -> Schema:
    """The schema of an answer of which this is an example."""
    if isinstance(example, dict):
        name = _component_names().get(tuple(example))
        return _object_schema(example) if name is None else reference(name)
    if isinstance(example, list):
        return {"type": "array", "items": schema_of(example[0])}
    return {"type": JSON_TYPES[type(example)]}


def reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object_schema(example: Mapping[str, Any], component: str = "", optional: tuple[str, ...] = ()) -> Schema:
    properties = {name: _field_schema(name, value, component) for name, value in example.items()}
    required = [name for name in properties if name not in optional]
    for name, late in LATE_FIELDS.items():
        if name in properties:
            properties[late] = _field_schema(late, MISSING, component)
    return {"type": "object", "properties": properties, "required": required}


def _field_schema(name: str, value: object, component: str) -> Schema:
    entry = _entry_for(name, value, component)
    schema = _kind_schema(entry.kind, value)
    unit = schema.pop("description", "") if "$ref" not in schema else ""
    schema = _nullable(schema, entry.is_nullable)
    schema["description"] = f"{entry.text} {unit}".strip()
    return schema


def _entry_for(name: str, value: object, component: str) -> Entry:
    """The line that stands for this field. Raises LookupError when none does."""
    for key in (f"{component}.{name}", name):
        for entry in vocabulary().get(key, ()):
            if _fits(entry, value):
                return entry
    raise LookupError(f"the vocabulary has no {name} (of {component or 'an answer'}) that fits {value!r}")


def _fits(entry: Entry, value: object) -> bool:
    kind = entry.kind
    if value is None or value is MISSING:
        return entry.is_nullable or value is MISSING
    if isinstance(value, dict):
        return kind in ("object", "map", "any") or kind.startswith("@")
    if isinstance(value, list):
        return kind in ("list", "texts") or kind.startswith("[")
    if kind in STRUCTURES or kind[0] in "@[" or kind == "texts":
        return False
    if "|" in kind or kind not in KINDS:
        return value in kind.split("|")
    kept = KINDS[kind].get("type", JSON_TYPES[type(value)])
    if "const" in KINDS[kind]:
        return value is KINDS[kind]["const"]
    return kept == JSON_TYPES[type(value)] or (kept == "number" and type(value) is int)


def _kind_schema(kind: str, value: object) -> Schema:
    if kind in STRUCTURES:
        return {"type": "array", "items": {}} if value == [] else schema_of(value)
    if kind == "texts":
        return {"type": "array", "items": {"type": "string"}}
    if kind.startswith("@"):
        return reference(kind[1:])
    if kind.startswith("["):
        return {"type": "array", "items": reference(kind[1:-1])}
    if kind in KINDS:
        return dict(KINDS[kind])
    return {"type": "string", "enum": kind.split("|")}


def _nullable(schema: Schema, is_nullable: bool) -> Schema:
    if not is_nullable or not schema:
        return schema
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    return {**schema, "type": [schema["type"], "null"]}
