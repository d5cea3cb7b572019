"""The process's limit on open files is raised as far as the connections need and the system allows."""

import resource
from collections.abc import Iterator

import pytest

from zmart_lite.app.server import OTHER_FILES, allow_connections


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_few_files_become_enough(limits: tuple[int, int]) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    allow_connections(100)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (100 + OTHER_FILES, limits[1])


def test_enough_stays_and_the_hard_limit_holds(limits: tuple[int, int], caplog: pytest.LogCaptureFixture) -> None:
    allow_connections(1)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits
    assert not caplog.records
    if limits[1] != resource.RLIM_INFINITY:
        allow_connections(limits[1] + 1)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (limits[1], limits[1])
        assert [record.getMessage() for record in caplog.records] == ["fewer open files are allowed than connections"]
