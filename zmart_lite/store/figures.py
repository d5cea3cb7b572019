"""The numbers behind /metrics that only the database knows. Counted over small or covering indexes, never over rows."""

from typing import NamedTuple

from zmart_lite.models import MarketState, VoteType
from zmart_lite.store import chainlog, intents, summaries, watching
from zmart_lite.store.db import Tx

REVIEWED_BY_PEOPLE = (
    "proposal_no_consensus",
    "dispute_without_votes",
    "ready_for_approval",
    "state_transition_failure",
    "event_undecodable",
)
"""Alerts that say that a case waits for a person."""


class Figures(NamedTuple):
    markets: dict[str, int]
    votes_pending: dict[str, int]
    stuck: dict[str, int]
    reviews: dict[str, int]
    alerts: dict[str, int]
    intents: dict[str, int]
    dead_letters: int
    oldest_waiting_slot: int | None


def read_figures(tx: Tx, low_before: int, medium_before: int) -> Figures:
    """``low_before``, ``medium_before``: unix seconds before which a market that has not moved since is stuck."""
    by_state = {
        row["state"]: row["n"]
        for row in tx.all("SELECT state, count(*) AS n FROM markets WHERE known = 1 GROUP BY state")
    }
    marks = ", ".join("?" * len(REVIEWED_BY_PEOPLE))
    reviews = {
        row["alert_type"]: row["n"]
        for row in tx.all(
            "SELECT alert_type, count(*) AS n FROM alerts WHERE status IN ('open', 'acknowledged')"
            f" AND alert_type IN ({marks}) GROUP BY alert_type",
            REVIEWED_BY_PEOPLE,
        )
    }
    medium = watching.count_stuck(tx, medium_before)
    return Figures(
        markets={state.name: by_state.get(int(state), 0) for state in MarketState},
        votes_pending={kind.name.lower(): summaries.pending_votes(tx, kind).votes for kind in VoteType},
        stuck={"LOW": watching.count_stuck(tx, low_before) - medium, "MEDIUM": medium},
        reviews={kind: reviews.get(kind, 0) for kind in REVIEWED_BY_PEOPLE},
        alerts=summaries.open_alerts(tx),
        intents=intents.count_by_status(tx),
        dead_letters=chainlog.count_dead_letters(tx),
        oldest_waiting_slot=watching.oldest_waiting_slot(tx),
    )
