"""zmart_lite/localnet/forks.py: who listens is waited for, for a while, and nobody else."""

import pytest

from zmart_lite.localnet import forks
from zmart_lite.localnet.forks import LISTENERS_MAX, LISTENING_S, Forks


class Now:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def test_whoever_asked_lately_and_has_not_dealt_with_it_is_waited_for() -> None:
    now = Now()
    found = Forks(now)
    assert found.is_heard()
    assert found.ask("one", 0) == found.ask(None, 0) == 0
    found.note()
    assert not found.is_heard()
    assert found.ask("one", 0) == 1
    assert not found.is_heard()
    found.ask("one", 1)
    assert found.is_heard()
    found.note()
    now.s += LISTENING_S + 1
    assert found.is_heard(), "it has not asked for long"


def test_names_are_bounded() -> None:
    found = Forks(Now())
    for number in range(LISTENERS_MAX + 5):
        found.ask(f"node {number}", 0)
    assert len(found._listeners) == LISTENERS_MAX


async def test_who_never_deals_with_it_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "HEARD_MAX_S", 0.01)
    found = Forks(Now())
    found.ask("one", 0)
    found.note()
    await found.until_heard()
    assert not found.is_heard()
