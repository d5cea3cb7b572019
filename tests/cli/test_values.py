"""Amounts, lengths of time and moments as people write them; negative ones are values with a refusal of their own."""

import click
import pytest
from click.testing import CliRunner

from zmart_lite.cli.top import Group
from zmart_lite.cli.values import DURATION, LAMPORTS, duration_s, moment_s, sol_text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("48h", 172_800), ("3d", 259_200), ("1w", 604_800), ("1d12h", 129_600)],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: int) -> None:
    assert duration_s(text) == seconds
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "-5h", "5x", "5 h", "1.5h", "9999999999999h", "٣h"])
def test_anything_else_is_no_duration(text: str) -> None:
    assert duration_s(text) is None
    with pytest.raises(click.BadParameter):
        DURATION.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "lamports"), [("2", 2 * 10**9), ("0.5", 5 * 10**8), ("1SOL", 10**9), ("0.000000001", 1), ("1e-9", 1)]
)
def test_amounts_of_sol_are_exact(text: str, lamports: int) -> None:
    assert LAMPORTS.convert(text, None, None) == lamports
    assert LAMPORTS.convert(sol_text(lamports), None, None) == lamports


@pytest.mark.parametrize("text", ["", "0", "-5", "nan", "inf", "1e99", "0.0000000001", "much", "1,5"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(click.BadParameter):
        LAMPORTS.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1777636800", 1_777_636_800),
        ("2026-05-01T12:00:00Z", 1_777_636_800),
        ("2026-05-01T14:00:00+02:00", 1_777_636_800),
        ("2026-05-01T12:00:00", 1_777_636_800),
        ("2026-05-01", 1_777_593_600),
    ],
)
def test_moments(text: str, seconds: int) -> None:
    assert moment_s(text) == seconds


@pytest.mark.parametrize("text", ["-5", "9" * 30, "yesterday", "1066-10-14", "2026-13-01", ""])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(click.BadParameter):
        moment_s(text)


@click.group(cls=Group)
def tool() -> None:
    """Something to call."""


@tool.command()
@click.argument("duration", type=DURATION, required=False)
@click.argument("sol", type=LAMPORTS, required=False)
@click.option("--to")
@click.option("-x", is_flag=True)
def act(duration: int | None, sol: int | None, to: str | None, x: bool) -> None:
    click.echo(f"{duration} {sol} {to} {x}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-1h"], "lies in the past"),
        (["1h", "-5"], "above 0"),
        (["-x", "-5h"], "lies in the past"),
        (["--to", "-5", "1h"], "3600 None -5 False"),
        (["1h", "2", "-x"], "3600 2000000000 None True"),
        (["--", "-1h"], "lies in the past"),
        (["-y"], "No such option"),
    ],
)
def test_a_negative_number_is_a_value(words: list[str], said: str) -> None:
    assert said in CliRunner().invoke(tool, ["act", *words]).output
