"""How the node is doing: /health (alive), /ready (caught up), /status (numbers), /metrics, and the protocol's
figures.
"""

import platform
from typing import Any, NamedTuple

from zmart_lite.api.context import ApiParts
from zmart_lite.api.contract.endpoints import Caching, Endpoint, Level, Reply
from zmart_lite.api.contract.request import Request
from zmart_lite.api.openapi import examples
from zmart_lite.errors import NotFound, RpcUnavailable, StoreUnavailable, Unauthorized
from zmart_lite.models import GlobalConfig, VoteType
from zmart_lite.ops import SERVICES, UNWELL
from zmart_lite.shown import address_text, optional_address, optional_time_ms, time_text, time_text_ms, units
from zmart_lite.store.engine.connections import SQLITE_VERSION
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import chainlog, feed, kept
from zmart_lite.store.state import intents
from zmart_lite.store.state.drills import Drilled, find_drill
from zmart_lite.store.state.markets import find_config
from zmart_lite.store.views import summaries
from zmart_lite.store.views.rows import Json, is_market_id_hex, runbook_path

SERVICE = "zmart-lite"
READY_LAG_SLOTS_MAX = 150
"""About a minute: a node that is further behind has not caught up."""
ALERTS_SHOWN = 10
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HEALTH_PATHS = {name.replace("_", "-"): name for name in SERVICES if name != "redis"}
SHOWN_STATUS = {"ok": "ok", "degraded": "error", "error": "error", "disabled": "disabled", "starting": "starting"}
"""The overview knows no word for what works but is not quite well (contract 2.2); ``unwell`` tells the difference."""
NO_REASON = "the log tells more"


# Health


async def health(request: Request, _: None) -> Reply:
    parts = request.parts
    overall = parts.health.overall()
    now_ms = parts.now_ms()
    uptime_s = (now_ms - parts.started_ms) / 1_000
    requests, errors = request.shared.traffic.last_minute()
    counts = parts.hub.counts()
    body = {
        "status": overall,
        "timestamp": time_text_ms(now_ms),
        "service": SERVICE,
        "version": parts.version,
        "uptime": uptime_s,
        "environment": parts.config.chain.cluster,
        "services": {name: SHOWN_STATUS[found.status] for name, found in parts.health.services().items()},
        "unwell": _unwell(parts),
        "metrics": {
            "uptime_seconds": uptime_s,
            "active_connections": counts.websocket + counts.sse,
            "requests_per_minute": requests,
            "error_rate": errors / requests if requests else 0,
        },
    }
    return Reply(body, 503 if overall == "unhealthy" else 200)


def _unwell(parts: ApiParts) -> list[Json]:
    """Each service that is not as it should be, and why."""
    return [
        {"service": name, "status": found.status, "reason": found.reason or NO_REASON}
        for name, found in parts.health.services().items()
        if found.status in UNWELL
    ]


async def service_health(request: Request, _: None) -> Reply:
    name = HEALTH_PATHS.get(request.params["service"])
    if name is None:
        raise NotFound("There is no such service.")
    return _service(request, name)


async def webhook_health(request: Request, _: None) -> Reply:
    return _service(request, "event_indexer")


def _service(request: Request, name: str) -> Reply:
    parts = request.parts
    found = parts.health.get(name)
    body = {
        **found.numbers,
        "status": found.status,
        "service": f"zmart-{name.replace('_', '-')}",
        "version": parts.version,
        "timestamp": time_text_ms(parts.now_ms()),
    }
    return Reply(body, 503 if found.status == "error" else 200)


# What the database says, read at most once a second however many ask


class Figures(NamedTuple):
    """One reading of the database for /ready and /status."""

    config: GlobalConfig | None
    schema_version: int
    polled_ms: int
    oldest_waiting_slot: int | None
    waiting: int
    indexed_slot: int
    dead_letters: int
    feed_head: int
    feed_oldest: int
    totals: kept.Totals
    votes_pending: dict[str, int]
    alerts: dict[str, int]
    latest_alerts: list[Json]
    intents: dict[str, int]
    drill: Drilled | None


def read_figures(tx: Tx) -> Figures:
    return Figures(
        find_config(tx),
        int(chainlog.find_meta(tx, "schema_version") or 0),
        int(tx.value("SELECT COALESCE(max(updated_ms), 0) FROM cursors")),
        tx.value("SELECT min(slot) FROM inbox"),
        chainlog.inbox_length(tx),
        chainlog.last_indexed_slot(tx),
        chainlog.count_dead_letters(tx),
        feed.feed_head(tx),
        feed.oldest_offset(tx),
        kept.totals(tx),
        {kind.name.lower(): kept.pending_votes(tx, kind).votes for kind in VoteType},
        kept.open_alerts(tx),
        [_alert(row) for row in summaries.latest_alerts(tx, ALERTS_SHOWN)],
        intents.count_by_status(tx),
        find_drill(tx),
    )


def _drill(drilled: Drilled | None) -> Json | None:
    """The last restore drill as shown; None before the first."""
    if drilled is None:
        return None
    shown = drilled._asdict()
    return {"at": time_text_ms(shown.pop("at_ms")), "reason": shown.pop("error"), **shown}


def _alert(row: Any) -> Json:
    subject: str = row["subject"]
    return {
        "alert_type": row["alert_type"],
        "severity": row["severity"],
        "market_id": subject if is_market_id_hex(subject) else None,
        "opened_at": time_text_ms(row["opened_ms"]),
        "runbook": runbook_path(row["alert_type"]),
    }


async def _figures(request: Request) -> Figures:
    found: Figures = await request.shared.figures.get(request.parts.now_ms, lambda: request.read(read_figures))
    return found


def _lag_slots(parts: ApiParts, figures: Figures) -> int:
    """From the oldest transaction that is known and not indexed to the chain's head."""
    oldest = figures.oldest_waiting_slot
    return 0 if oldest is None else max(0, parts.clock.slot - oldest)


def _checks(parts: ApiParts, figures: Figures | None) -> dict[str, bool]:
    if figures is None:
        return dict.fromkeys(("store", "migrations", "rpc", "global_config", "caught_up"), False)
    polled = figures.polled_ms >= parts.started_ms
    return {
        "store": parts.store.failed is None,
        # An open store is one whose migrations have run.
        "migrations": True,
        "rpc": parts.clock.known and parts.health.get("solana_rpc").status != "error",
        "global_config": figures.config is not None,
        "caught_up": polled and _lag_slots(parts, figures) <= READY_LAG_SLOTS_MAX,
    }


async def ready(request: Request, _: None) -> Reply:
    try:
        figures = await _figures(request)
    except StoreUnavailable:
        figures = None
    checks = _checks(request.parts, figures)
    is_ready = all(checks.values())
    return Reply({"ready": is_ready, "checks": checks}, 200 if is_ready else 503)


async def status(request: Request, _: None) -> Json:
    found: Json = await request.shared.status.get(request.parts.now_ms, lambda: _status(request))
    return found


async def _status(request: Request) -> Json:
    parts, figures = request.parts, await _figures(request)
    now_ms = parts.now_ms()
    webhook = request.shared.webhook
    backend = parts.intents.backend
    return {
        "service": SERVICE,
        "version": parts.version,
        "versions": _versions(parts, figures),
        "cluster": parts.config.chain.cluster,
        "program_id": address_text(parts.codec.program_id),
        "database_id": parts.store.database_id,
        "genesis_hash": optional_address(parts.rpc.genesis_hash),
        "time": time_text_ms(now_ms),
        "chain_time": _chain_time(parts),
        "uptime_seconds": (now_ms - parts.started_ms) / 1_000,
        "ready": all(_checks(parts, figures).values()),
        "health": parts.health.overall(),
        "unwell": _unwell(parts),
        "slot": {"chain": parts.clock.slot, "indexed": figures.indexed_slot, "lag": _lag_slots(parts, figures)},
        "feed": {"head": figures.feed_head, "oldest": figures.feed_oldest},
        "markets": figures.totals.markets,
        "totals": _totals(figures.totals),
        "votes_pending": figures.votes_pending,
        "jobs": await _jobs(parts),
        "breakers": _breakers(parts),
        "alerts": {
            "open": sum(figures.alerts.values()),
            "by_severity": figures.alerts,
            "latest": figures.latest_alerts,
        },
        "push": parts.hub.counts()._asdict(),
        "webhook": {
            "last_received_at": optional_time_ms(webhook.last_ms),
            "received": webhook.received,
            "pending": figures.waiting,
            "dead_letters": figures.dead_letters,
        },
        "intents": {
            "pending": figures.intents.get("planned", 0) + figures.intents.get("sent", 0),
            "failed": figures.intents.get("failed", 0),
        },
        "drill": _drill(figures.drill),
        "keys": {
            "backend_matches": figures.config is not None and backend == figures.config.backend_authority,
            "admin_configured": parts.intents.admin is not None,
        },
    }


def _versions(parts: ApiParts, figures: Figures) -> Json:
    """What runs here and what it talks to. The cluster's is asked for once a minute, by ``app.watch``."""
    return {
        "node": parts.version,
        "program": parts.codec.version,
        "solana_core": parts.health.get("solana_rpc").numbers.get("solana_core"),
        "sqlite": SQLITE_VERSION,
        "schema": figures.schema_version,
        "python": platform.python_version(),
    }


def _chain_time(parts: ApiParts) -> str | None:
    return time_text(parts.clock.now()) if parts.clock.known else None


def _totals(totals: kept.Totals) -> Json:
    return {
        "markets": sum(totals.markets.values()),
        "trades": totals.trades,
        "votes": totals.votes,
        "events": totals.events,
        "users": totals.users,
        "total_volume": str(totals.volume),
    }


async def _jobs(parts: ApiParts) -> list[Json]:
    return [
        {
            "name": job.name,
            "paused": job.paused,
            "running": job.running,
            "last_finished_at": optional_time_ms(job.last_finished_ms),
            "last_result": job.last_result,
            "next_run_at": optional_time_ms(job.next_run_ms),
        }
        for job in await parts.jobs.views()
    ]


def _breakers(parts: ApiParts) -> list[Json]:
    return [
        {
            "name": view.name,
            "state": view.state,
            "failures": view.failures,
            "open_until": None if view.open_until is None else time_text_ms(int(view.open_until * 1_000)),
        }
        for view in parts.breakers.views()
    ]


async def metrics(request: Request, _: None) -> Reply:
    parts = request.parts
    if parts.config.server.metrics_need_key and not request.service_key:
        raise Unauthorized("Send a service key in x-service-key.", reason="missing")

    async def make() -> bytes:
        if parts.refresh_metrics is not None:
            await parts.refresh_metrics()
        return parts.metrics.render()

    # Rendering holds the loop for tens of milliseconds.
    rendered: bytes = await request.shared.costly["metrics"].get(parts.now_ms, make)
    return Reply(rendered, media_type=METRICS_TYPE, caching=Caching.NO_STORE)


# The protocol


async def protocol(request: Request, _: None) -> Json:
    parts = request.parts
    config = await request.read(find_config)
    if config is None:
        raise RpcUnavailable("The protocol's config has not been read from the chain yet.")
    return {
        "program_id": address_text(parts.codec.program_id),
        "cluster": parts.config.chain.cluster,
        "rpc_url": parts.config.rpc_url.reveal() if parts.config.embedded_devnet else None,
        "config_address": address_text(parts.codec.config_address()),
        "admin": address_text(config.admin),
        "backend_authority": address_text(config.backend_authority),
        "protocol_fee_wallet": address_text(config.protocol_fee_wallet),
        "protocol_fee_bps": config.protocol_fee_bps,
        "resolver_reward_bps": config.resolver_reward_bps,
        "liquidity_provider_fee_bps": config.liquidity_provider_fee_bps,
        "proposal_approval_threshold": config.proposal_approval_threshold,
        "dispute_success_threshold": config.dispute_success_threshold,
        "min_resolution_delay": config.min_resolution_delay,
        "dispute_period": config.dispute_period,
        "is_paused": config.is_paused,
        "proposal_min_votes": parts.config.votes.proposal_min_votes,
        "selling_available": request.shared.selling.available,
        "chain_time": _chain_time(parts),
        "slot": parts.clock.slot,
    }


async def stats(request: Request, _: None) -> Json:
    found: Json = await request.shared.costly["stats"].get(request.parts.now_ms, lambda: _stats(request))
    return found


async def _stats(request: Request) -> Json:
    parts = request.parts
    since_s = parts.feed().chain_now() - summaries.DAY_S

    def run(tx: Tx) -> tuple[kept.Totals, kept.Volume, list[kept.PendingVotes]]:
        pending = [kept.pending_votes(tx, kind) for kind in (VoteType.PROPOSAL, VoteType.DISPUTE)]
        return kept.totals(tx), summaries.volume_since(tx, since_s), pending

    totals, day, (proposal, dispute) = await request.read(run)
    return {
        "totalMarkets": sum(totals.markets.values()),
        "activeMarkets": totals.markets["ACTIVE"],
        "totalVolume": units(totals.volume),
        "volume24h": units(day.lamports),
        "trades24h": day.trades,
        "activeUsers24h": day.wallets,
        "proposalVoteSets": proposal.markets,
        "disputeVoteSets": dispute.markets,
        "totalPendingVotes": proposal.votes + dispute.votes,
        "timestamp": time_text_ms(parts.now_ms()),
    }


def _meta(path: str, handler: Any, summary: str, answer: object, *, unwell: bool = False, **more: Any) -> Endpoint:
    """A route about the node itself: never limited outside /api, never stored by a cache. ``unwell``: it also answers
    the same with 503.
    """
    return Endpoint(
        "GET",
        path,
        handler,
        summary,
        level=Level.NONE,
        caching=Caching.NO_STORE,
        answer=answer,
        also=((503, answer),) if unwell else (),
        tag="health",
        **more,
    )


ENDPOINTS = (
    _meta("/health", health, "Whether the node is alive, and each of its services", examples.HEALTH, unwell=True),
    _meta("/health/{service}", service_health, "One service", examples.SERVICE_HEALTH, unwell=True),
    _meta("/api/webhooks/health", webhook_health, "The indexer", examples.SERVICE_HEALTH, unwell=True),
    _meta("/ready", ready, "Whether the node has caught up", examples.READY, unwell=True),
    _meta("/status", status, "The node in numbers", examples.STATUS),
    _meta(
        "/metrics",
        metrics,
        "Metrics in Prometheus' text format",
        "# HELP zmart_votes_total Votes accepted.",
        media_type="text/plain",
        refuses=("missing",),
    ),
    Endpoint(
        "GET",
        "/api/protocol",
        protocol,
        "The protocol's configuration",
        answer=examples.PROTOCOL,
        tag="meta",
        refuses=("rpc_unavailable",),
    ),
    Endpoint("GET", "/api/stats", stats, "The whole service in numbers", answer=examples.STATS, tag="meta"),
)
