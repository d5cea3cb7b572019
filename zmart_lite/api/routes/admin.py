"""What administrators do with the node: jobs, breakers, alerts, intents, dead letters, backups (contract 2.10)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

from zmart_lite.api.contract.endpoints import Handler, Reply
from zmart_lite.api.contract.pages import page_fields, page_of
from zmart_lite.api.contract.parsers import boolean, integer, market_ref, plain_text, text, time_ms, wallet, word
from zmart_lite.api.contract.refusals import READS_CHAIN
from zmart_lite.api.contract.request import Request
from zmart_lite.api.contract.validate import PageFields, Problems, check_span, field, page_limit
from zmart_lite.api.openapi import action_examples as examples
from zmart_lite.api.openapi.examples import ALERT, PAGE
from zmart_lite.api.routes.admin_endpoints import reading, writing
from zmart_lite.api.routes.audit import MayGiveReason, MustGiveReason
from zmart_lite.api.routes.onchain import Json
from zmart_lite.errors import Conflict, NotFound, ValidationFailed
from zmart_lite.models import MarketState
from zmart_lite.ops import BreakerView
from zmart_lite.ops.runs import JobView
from zmart_lite.rules import ACTION_STATES
from zmart_lite.shown import optional_time_ms
from zmart_lite.store.engine.db import Row, Tx
from zmart_lite.store.engine.paging import Listing, Query
from zmart_lite.store.log import chainlog
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import alerts, intents
from zmart_lite.store.views import lookups, operations, rows
from zmart_lite.store.views.lists import Conditions
from zmart_lite.store.views.rows import MarketRef

F = TypeVar("F", bound=PageFields)

NOTE_CHARS_MAX = 500
ACTION_CHARS_MAX = 64
ROW_ID_DIGITS_MAX = 18
SLOT_MAX = 2**53 - 1
DRY_RUNNABLE = frozenset({"aggregate", "monitor"})
FROM_A_SLOT = "backfill"
PER_MARKET = frozenset({"aggregate", "monitor", "reconcile"})
INTENT_STATUSES = ("planned", "sent", "confirmed", "failed", "expired", "abandoned")
IN_FLIGHT = frozenset({"planned", "sent"})
RETRYABLE = frozenset({"failed", "expired"})


def row_id(request: Request) -> int:
    """The number in the path's ``{id}``. Raises NotFound for anything that is none."""
    given = request.params["id"]
    if not (given.isascii() and given.isdigit() and len(given) <= ROW_ID_DIGITS_MAX):
        raise NotFound
    return int(given)


def _market_key(tx: Tx, ref: MarketRef | None) -> int | None:
    """Raises NotFound for a market that is named but not known."""
    return None if ref is None else int(lookups.get_market(tx, ref)["id"])


# Lists


def listing(name: str, query: Query, show: Callable[[Row], Json], filters: Callable[[Tx, F], Conditions]) -> Handler:
    """A handler that answers one of the lists of store.operations under ``name``."""

    async def run(request: Request, fields: F) -> object:
        asked = page_of(request, name, fields)

        def read(tx: Tx) -> Listing:
            return operations.list_rows(tx, query, filters(tx, fields), asked.page)

        found = await request.read(read)
        return {name: [show(row) for row in found.rows], **page_fields(request, asked, found)}

    return run


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscrepancyFields(PageFields):
    market_id: MarketRef | None = field(market_ref, None)
    open: bool | None = field(boolean, None)


def _discrepancy_filters(tx: Tx, fields: DiscrepancyFields) -> Conditions:
    found = Conditions()
    found.add_given("x.market = ?", _market_key(tx, fields.market_id))
    if fields.open is not None:
        found.add("x.resolved_ms IS NULL" if fields.open else "x.resolved_ms IS NOT NULL")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentFields(PageFields):
    status: str | None = field(word(*INTENT_STATUSES), None)
    action: str | None = field(text(1, ACTION_CHARS_MAX), None)
    market_id: MarketRef | None = field(market_ref, None)


def _intent_filters(tx: Tx, fields: IntentFields) -> Conditions:
    found = Conditions()
    found.add_given("x.status = ?", fields.status)
    found.add_given("x.action = ?", fields.action)
    found.add_given("x.market = ?", _market_key(tx, fields.market_id))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFields(PageFields):
    limit: int = page_limit(100)
    wallet: bytes | None = field(wallet, None)
    action: str | None = field(text(1, ACTION_CHARS_MAX), None)
    from_: int | None = field(time_ms, None, name="from")
    to: int | None = field(time_ms, None)

    def check(self) -> Problems:
        yield from PageFields.check(self)
        yield from check_span(self.from_, self.to)


def _audit_filters(_: Tx, fields: AuditFields) -> Conditions:
    found = Conditions()
    found.add_given("x.wallet = ?", fields.wallet)
    found.add_given("x.action = ?", fields.action)
    found.add_given("x.at_ms >= ?", fields.from_)
    found.add_given("x.at_ms < ?", fields.to)
    return found


def _all(_: Tx, __: PageFields) -> Conditions:
    return Conditions()


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFields(PageFields):
    open: bool = field(boolean, True)


def _letter_filters(_: Tx, fields: LetterFields) -> Conditions:
    return Conditions("x.resolved_ms IS NULL" if fields.open else "x.resolved_ms IS NOT NULL")


# Jobs


def job_json(view: JobView) -> Json:
    return {
        "name": view.name,
        "schedule": view.schedule,
        "paused": view.paused,
        "running": view.running,
        "holder": view.holder,
        "last_started_at": optional_time_ms(view.last_started_ms),
        "last_finished_at": optional_time_ms(view.last_finished_ms),
        "last_result": view.last_result,
        "last_error": view.last_error,
        "last_duration_ms": view.last_duration_ms,
        "next_run_at": optional_time_ms(view.next_run_ms),
        "runs": view.runs,
        "failures": view.failures,
        "summary": dict(view.summary),
        "progress": None if view.progress is None else view.progress._asdict(),
    }


async def list_jobs(request: Request, _: object) -> object:
    return {"jobs": [job_json(view) for view in await request.parts.jobs.views()]}


async def get_job(request: Request) -> JobView:
    """The job of the path's ``{name}``. Raises NotFound."""
    for view in await request.parts.jobs.views():
        if view.name == request.params["name"]:
            return view
    raise NotFound("There is no such job.")


async def list_runs(request: Request, fields: PageFields) -> object:
    job = await get_job(request)
    asked = page_of(request, "job-runs", fields, job.name)

    def read(tx: Tx) -> Listing:
        conditions = Conditions()
        conditions.add("x.job = ?", job.name)
        return operations.list_rows(tx, operations.RUNS, conditions, asked.page)

    found = await request.read(read)
    runs = [operations.run_row(row) for row in found.rows]
    return {"runs": runs, "jobs": [job_json(job)], **page_fields(request, asked, found)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFields(MayGiveReason):
    market_id: MarketRef | None = field(market_ref, None, help="Only this market (aggregate, monitor, reconcile).")
    dry_run: bool = field(boolean, False, help="Only tell what would be done (aggregate, monitor).")
    from_slot: int | None = field(integer(0, SLOT_MAX), None, help="First slot to read (backfill).")
    deep: bool = field(boolean, False, help="Ask for every transaction's slot and finality again (reconcile).")


async def run_job(request: Request, fields: RunFields) -> Reply:
    job = await get_job(request)
    if fields.dry_run and job.name not in DRY_RUNNABLE:
        raise ValidationFailed([("dry_run", f"{job.name} has no dry run")])
    if fields.market_id is not None and job.name not in PER_MARKET:
        raise ValidationFailed([("market_id", f"{job.name} does not work on one market")])
    if fields.from_slot is not None and job.name != FROM_A_SLOT:
        raise ValidationFailed([("from_slot", f"{job.name} does not begin at a slot")])
    if fields.deep and (job.name != "reconcile" or fields.market_id is not None):
        raise ValidationFailed([("deep", "only reconcile, and only of everything, can be deep")])
    market_id = await _market_to_run(request, job.name, fields.market_id)
    run_id = await request.parts.jobs.run(
        job.name, market_id=market_id, dry_run=fields.dry_run, from_slot=fields.from_slot, deep=fields.deep
    )
    return Reply({"success": True, "job": job.name, "run_id": run_id}, 202)


async def _market_to_run(request: Request, job: str, ref: MarketRef | None) -> bytes | None:
    """The id of the market a job is to work on; reconciliation takes one that only the chain knows, too."""
    if ref is None or (job == "reconcile" and ref.column == "market_id"):
        return None if ref is None else ref.value
    return await request.read(lambda tx: bytes(lookups.get_market(tx, ref)["market_id"]))


async def set_paused(paused: bool, request: Request, _: object) -> object:
    job, jobs = await get_job(request), request.parts.jobs
    await (jobs.pause(job.name) if paused else jobs.resume(job.name))
    return {"success": True, "job": job_json(job._replace(paused=paused))}


async def make_backup(request: Request, _: object) -> Reply:
    return Reply({"success": True, "run_id": await request.parts.jobs.run("backup")}, 202)


# Breakers, alerts


def breaker_json(view: BreakerView) -> Json:
    return {
        "name": view.name,
        "state": view.state,
        "failures": view.failures,
        "opened_at": _seconds(view.opened_at),
        "open_until": _seconds(view.open_until),
        "last_error": view.last_error,
    }


def _seconds(moment: float | None) -> str | None:
    return None if moment is None else optional_time_ms(int(moment * 1_000))


async def list_breakers(request: Request, _: object) -> object:
    return {"breakers": [breaker_json(view) for view in request.parts.breakers.views()]}


async def reset_breaker(request: Request, _: object) -> object:
    breaker = request.parts.breakers.find(request.params["name"])
    if breaker is None:
        raise NotFound("There is no such breaker.")
    breaker.reset()
    return {"success": True, "breakers": [breaker_json(view) for view in request.parts.breakers.views()]}


@dataclass(frozen=True, slots=True, kw_only=True)
class AckFields(MayGiveReason):
    note: str | None = field(plain_text(0, NOTE_CHARS_MAX), None, help="Kept in the audit.")


async def acknowledge(request: Request, _: AckFields) -> object:
    alert_id = row_id(request)

    def run(tx: Tx) -> Row:
        row = alerts.acknowledge_alert(tx, alert_id, request.wallet)
        if row is not None:
            messages.publish_alert(tx, row)
            return row
        row = alerts.find_alert(tx, alert_id)
        if row is None:
            raise NotFound("There is no such alert.")
        return row

    return {"success": True, "alert": rows.alert_row(await request.write(run), with_data=True)}


# Intents


def _get_intent(tx: Tx, intent_id: int) -> Row:
    row = operations.find_intent(tx, intent_id)
    if row is None:
        raise NotFound("There is no such intent.")
    return row


def _require_status(row: Row, allowed: frozenset[str]) -> None:
    """Raises Conflict ``in_flight`` while the bytes may land, ``wrong_state`` for what else does not fit."""
    if row["status"] in allowed:
        return
    if row["status"] in IN_FLIGHT:
        raise Conflict("The transaction may still land.", reason="in_flight")
    raise Conflict(f"The intent is {row['status']}.", reason="wrong_state")


def _with_market(tx: Tx, intent_id: int) -> tuple[Row, Row | None]:
    intent = _get_intent(tx, intent_id)
    return intent, None if intent["market"] is None else messages.find_market_row(tx, intent["market"])


def _require_market_state(action: str, market: Row | None) -> None:
    """Raises Conflict ``wrong_state`` for a market that has moved on: the program would refuse."""
    allowed = ACTION_STATES.get(action)
    if market is not None and allowed is not None and MarketState(market["state"]) not in allowed:
        state = MarketState(market["state"]).name
        raise Conflict(f"The market is {state}; {action} does not apply to it any more.", reason="wrong_state")


async def retry_intent(request: Request, fields: MustGiveReason) -> object:
    intent_id = row_id(request)
    old, market = await request.read(lambda tx: _with_market(tx, intent_id))
    _require_status(old, RETRYABLE)
    _require_market_state(old["action"], market)
    planned = await request.parts.intents.plan(old["action"], old["market_id"], intents.args_of(old), fields.reason)
    row = await request.read(lambda tx: _get_intent(tx, planned["id"]))
    return {"success": True, "intent": operations.intent_row(row)}


async def abandon_intent(request: Request, fields: MustGiveReason) -> object:
    intent_id = row_id(request)

    def run(tx: Tx) -> Row:
        row = _get_intent(tx, intent_id)
        _require_status(row, RETRYABLE | {"planned", "abandoned"})
        if row["status"] != "abandoned":
            intents.set_ended(tx, intent_id, "abandoned", message=fields.reason)
        return _get_intent(tx, intent_id)

    return {"success": True, "intent": operations.intent_row(await request.write(run))}


# Dead letters


async def show_dead_letter(request: Request, _: object) -> object:
    letter_id = row_id(request)
    row = await request.read(lambda tx: _get_letter(tx, letter_id))
    return operations.dead_letter_row(row, with_payload=True)


def _get_letter(tx: Tx, letter_id: int) -> Row:
    row = chainlog.find_dead_letter(tx, letter_id)
    if row is None:
        raise NotFound("There is no such dead letter.")
    return row


async def retry_dead_letter(request: Request, _: object) -> object:
    letter_id = row_id(request)
    await request.read(lambda tx: _get_letter(tx, letter_id))
    events = await request.parts.indexer.retry_dead_letter(letter_id)
    return {"success": True, "resolved": events is not None, "events": events or 0}


# Routes


class _List(NamedTuple):
    query: Query
    show: Callable[[Row], Json]
    conditions: Callable[[Tx, Any], Conditions]
    fields: type[Any]
    summary: str
    example: Json


_LISTS = {
    "discrepancies": _List(
        operations.DISCREPANCIES,
        operations.discrepancy_row,
        _discrepancy_filters,
        DiscrepancyFields,
        "Where the database differed from the chain.",
        examples.DISCREPANCY,
    ),
    "intents": _List(
        operations.INTENTS,
        operations.intent_row,
        _intent_filters,
        IntentFields,
        "The node's own transactions.",
        examples.INTENT,
    ),
    "dead_letters": _List(
        operations.DEAD_LETTERS,
        operations.dead_letter_row,
        _letter_filters,
        LetterFields,
        "What could not be indexed; open=false: what has ended, and how.",
        examples.DEAD_LETTER,
    ),
    "audit": _List(
        operations.AUDIT, operations.audit_row, _audit_filters, AuditFields, "What administrators did.", examples.AUDIT
    ),
    "backups": _List(
        operations.BACKUPS, operations.backup_row, _all, PageFields, "Copies of the database.", examples.BACKUP
    ),
}

_BREAKERS = {"breakers": [examples.BREAKER]}
_STARTED = {"success": True, "job": "poll", "run_id": 1}
_JOB = {"success": True, "job": examples.JOB}
_INTENT = {"success": True, "intent": examples.INTENT}
_RETRIED = {"success": True, "resolved": True, "events": 1}

ENDPOINTS = [
    *(
        reading(
            name.replace("_", "-"),
            listing(name, each.query, each.show, each.conditions),
            each.summary,
            {name: [each.example], **PAGE},
            fields=each.fields,
        )
        for name, each in _LISTS.items()
    ),
    reading("jobs", list_jobs, "Jobs and how they last went.", {"jobs": [examples.JOB]}),
    reading(
        "jobs/{name}/runs",
        list_runs,
        "Runs of a job.",
        {"runs": [examples.RUN], "jobs": [examples.JOB], **PAGE},
        fields=PageFields,
    ),
    writing(
        "jobs/{name}/run",
        run_job,
        "Run a job now.",
        "job_run",
        _STARTED,
        fields=RunFields,
        status=202,
        refuses=("already_running",),
    ),
    writing("jobs/{name}/pause", partial(set_paused, True), "Pause a job.", "job_pause", _JOB),
    writing("jobs/{name}/resume", partial(set_paused, False), "Resume a job.", "job_resume", _JOB),
    writing(
        "backups",
        make_backup,
        "Make a backup now.",
        "backup",
        {"success": True, "run_id": 1},
        status=202,
        refuses=("already_running",),
    ),
    reading("breakers", list_breakers, "Circuit breakers.", _BREAKERS),
    writing(
        "breakers/{name}/reset", reset_breaker, "Close a breaker.", "breaker_reset", {"success": True, **_BREAKERS}
    ),
    writing(
        "alerts/{id}/ack",
        acknowledge,
        "Acknowledge an alert.",
        "alert_ack",
        {"success": True, "alert": {**ALERT, "data": {}}},
        fields=AckFields,
    ),
    writing(
        "intents/{id}/retry",
        retry_intent,
        "Try again.",
        "intent_retry",
        _INTENT,
        fields=MustGiveReason,
        refuses=("wrong_state", "in_flight", *READS_CHAIN),
    ),
    writing(
        "intents/{id}/abandon",
        abandon_intent,
        "Give it up.",
        "intent_abandon",
        _INTENT,
        fields=MustGiveReason,
        refuses=("wrong_state", "in_flight"),
    ),
    reading(
        "dead-letters/{id}",
        show_dead_letter,
        "One dead letter with its payload.",
        {**examples.DEAD_LETTER, "payload": "{}"},
    ),
    writing(
        "dead-letters/{id}/retry",
        retry_dead_letter,
        "Try to index it again.",
        "dead_letter_retry",
        _RETRIED,
        refuses=READS_CHAIN,
    ),
]
