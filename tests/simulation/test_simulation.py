"""The indexer under every fault at once; see zmart_lite/simulation."""

from pathlib import Path

import pytest

from zmart_lite.simulation.kinds import KINDS
from zmart_lite.simulation.run import TRANSACTIONS_MIN, WRONG_SHOWN, run_in

pytestmark = pytest.mark.simulation

KINDS_MIN, FAULTS_MIN = 60, 90

NOTABLE_SEEDS: dict[int, str] = {
    9: "an unreadable account is read at once when reconciliation discovers its market",
    27: "the node is upgraded only once every unknown layout has been met",
    41: "of two forgeries that wait for a true delivery neither is forgotten",
    60: "positions are compared though the market's account could not be read for a while",
    74: "an upgraded node reads at once what the version before could not",
    77: "a fork drops the purchase in a market that is to be poisoned",
}
"""Seeds that once failed, and what they showed."""


def test_the_database_equals_the_chain_whatever_happened(simulation_seed: int, tmp_path: Path) -> None:
    outcome = run_in(tmp_path, simulation_seed)
    assert not outcome.wrong, f"seed {simulation_seed}: " + "; ".join(outcome.wrong[:WRONG_SHOWN])
    assert outcome.transactions >= TRANSACTIONS_MIN
    assert set(outcome.counts) == KINDS
    assert len(KINDS) >= KINDS_MIN
    assert not outcome.never, f"seed {simulation_seed}: these faults did not happen: {outcome.never}"
    assert outcome.counts.total() >= FAULTS_MIN
    assert all(outcome.answers[status] for status in (200, 400, 401))
