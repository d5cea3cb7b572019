"""When a job's turn comes, by interval and by the hour."""

from datetime import UTC, datetime

import pytest

from zmart_lite.jobs.runner import Job, Params, Summary

HOUR_MS = 3_600_000


async def _run(_: Params) -> Summary:
    return Summary()


NIGHTLY = Job("backup", 86_400, 60, _run, at_hour_utc=3)
OFTEN = Job("poll", 60, 60, _run)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("last", "now", "due"),
    [
        (None, "2026-11-21 02:59", "2026-11-21 03:00"),
        (None, "2026-11-21 03:00", "2026-11-22 03:00"),
        ("2026-11-20 03:00", "2026-11-21 02:59:59.999", "2026-11-21 03:00"),
        ("2026-11-20 03:00", "2026-11-21 03:00", "2026-11-21 03:00"),
        ("2026-11-20 03:00", "2026-11-21 17:30", "2026-11-21 17:30"),
        ("2026-11-21 17:30", "2026-11-21 18:00", "2026-11-22 03:00"),
        ("2026-11-01 12:00", "2026-11-21 01:00", "2026-11-21 01:00"),
    ],
)
def test_a_nightly_job_is_made_up_once_if_its_turn_was_missed(last: str | None, now: str, due: str) -> None:
    assert NIGHTLY.first_due_ms(None if last is None else ms(last), ms(now)) == ms(due)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-11-21 03:00", "2026-11-22 03:00"),
        ("2026-11-21 02:59", "2026-11-21 03:00"),
        ("2026-11-21 23:59", "2026-11-22 03:00"),
    ],
)
def test_its_next_turn_is_at_the_hour(now: str, due: str) -> None:
    assert NIGHTLY.next_due_ms(ms(now)) == ms(due)


def test_an_interval() -> None:
    assert OFTEN.first_due_ms(None, 5_000) == 5_000
    assert OFTEN.first_due_ms(1_000, 5_000) == 61_000
    assert OFTEN.next_due_ms(5_000) == 65_000


def test_what_people_read() -> None:
    assert NIGHTLY.schedule == "daily at 03:00 UTC"
    assert OFTEN.schedule == "every 60 s"
    assert OFTEN._replace(enabled=False).schedule == "by hand"
