"""The numbers behind /metrics that only the database knows: kept as counts, or counted over a covering index up to a
bound.
"""

from typing import NamedTuple

from zmart_lite.models import VoteType
from zmart_lite.store.engine.db import Tx
from zmart_lite.store.log import chainlog, kept
from zmart_lite.store.state import intents
from zmart_lite.store.state.drills import Drilled, find_drill
from zmart_lite.store.views import watching

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
    drill: Drilled | None


def read_figures(tx: Tx, low_before: int, medium_before: int) -> Figures:
    """``low_before``, ``medium_before``: unix seconds before which a market that has not moved since is stuck."""
    cases = kept.named(tx, "cases")
    medium = watching.count_stuck(tx, medium_before)
    return Figures(
        markets=kept.markets_by_state(tx),
        votes_pending={kind.name.lower(): kept.pending_votes(tx, kind).votes for kind in VoteType},
        stuck={"LOW": watching.count_stuck(tx, low_before) - medium, "MEDIUM": medium},
        reviews={kind: cases.get(kind, 0) for kind in REVIEWED_BY_PEOPLE},
        alerts=kept.open_alerts(tx),
        intents=intents.count_by_status(tx),
        dead_letters=chainlog.count_dead_letters(tx),
        oldest_waiting_slot=watching.oldest_waiting_slot(tx),
        drill=find_drill(tx),
    )
