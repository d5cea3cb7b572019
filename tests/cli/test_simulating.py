"""``zmart-lite simulate``."""

from collections import Counter

import pytest
from click.testing import CliRunner

from zmart_lite.cli import main
from zmart_lite.cli.simulating import tell_wrong
from zmart_lite.simulation.kinds import KINDS
from zmart_lite.simulation.run import Outcome


def test_a_run_that_comes_out_right() -> None:
    done = CliRunner().invoke(main, ["simulate", "--seeds", "1", "--kinds", "drop, 429"])
    assert done.exit_code == 0, done.output
    assert "1 of 1 seeds equal to the chain" in done.output
    assert "of 2 kinds" in done.output


def test_the_kinds_are_listed_and_unknown_ones_refused() -> None:
    listed = CliRunner().invoke(main, ["simulate", "--list-kinds"])
    assert set(listed.output.split()) == KINDS
    refused = CliRunner().invoke(main, ["simulate", "--kinds", "earthquake,drop"])
    assert (refused.exit_code, "no such kind: earthquake" in refused.output) == (2, True)
    assert CliRunner().invoke(main, ["simulate", "--seeds", "0"]).exit_code == 2


def test_a_run_that_came_out_wrong_is_told_with_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = Outcome(41, [f"field {number} differs" for number in range(12)], Counter(), Counter(), 300)
    tell_wrong(outcome, KINDS)
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == ["Seed 41 came out wrong:", "  field 0 differs"]
    assert told[-2:] == ["  and 2 more", "Again: zmart-lite simulate --seeds 1 --from-seed 41"]
    tell_wrong(outcome, frozenset({"skips", "fork"}))
    assert capsys.readouterr().err.endswith("--from-seed 41 --kinds fork,skips\n")
