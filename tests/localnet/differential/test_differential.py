"""The devnet against LiteSVM, which is Agave's own runtime without a validator: the same transactions on both.

``make test`` installs LiteSVM beside the environment and runs 2,000 transactions, ``make fuzz SEEDS=1000`` as many
seeds of 500 as it is told. A seed repeats: what it prints is found again with ``--fuzz-first``.
"""

import os
import sys
from pathlib import Path

import pytest

from tests.conftest import REQUIRED_VARIABLE
from tests.localnet.differential.comparison import run

pytestmark = [pytest.mark.external, pytest.mark.differential]

TRANSACTIONS = 500
LEAST_SUCCESSES = 20
LEAST_OUTCOMES = 15


@pytest.fixture(scope="session")
def litesvm() -> Path:
    """The folder with the newer solders; without it the test skips, or fails where it is required."""
    folder = Path(sys.prefix) / "litesvm"
    if (folder / "solders").is_dir():
        return folder
    reason = f"LiteSVM is not installed in {folder}: `make litesvm` installs it"
    if os.environ.get(REQUIRED_VARIABLE):
        pytest.fail(f"{reason}, and {REQUIRED_VARIABLE} is set")
    pytest.skip(reason)


def test_every_transaction_ends_as_in_the_runtime(litesvm: Path, differential_seed: int) -> None:
    differences, outcomes = run(litesvm, differential_seed, TRANSACTIONS)
    assert not differences, "\n".join(map(str, differences))
    # A world that refuses everything would agree as well.
    assert outcomes.get("None", 0) >= LEAST_SUCCESSES
    assert len(outcomes) >= LEAST_OUTCOMES
