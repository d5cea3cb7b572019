"""Shared by all tests: how external tools are asked for, and how many seeded simulations run."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.plans import watch

SEEDS_DEFAULT = 25
FUZZ_SEEDS_DEFAULT = 4
# CI sets it: there a test whose tool is missing fails, on a developer's machine it is skipped.
REQUIRED_VARIABLE = "REQUIRE_EXTERNAL_TOOLS"

# No test speaks TLS, and reading the world's certificates takes each new HTTP client a tenth of a second.
# Nodes write down where they run: those of another worker are not this one's to find.
os.environ["XDG_RUNTIME_DIR"] = os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="zmart-lite-tests-")
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)

# On a busy machine any single example may be slow; a limit for each would only make tests fail at random.
settings.register_profile("zmart", deadline=None)
settings.load_profile("zmart")

watch.start()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=SEEDS_DEFAULT, help="how many seeds every simulation runs with")
    parser.addoption(
        "--fuzz-seeds", type=int, default=FUZZ_SEEDS_DEFAULT, help="how many seeds the devnet is compared with"
    )
    parser.addoption("--fuzz-first", type=int, default=1, help="the first of these seeds")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "differential_seed" in metafunc.fixturenames:
        first = metafunc.config.getoption("--fuzz-first")
        metafunc.parametrize("differential_seed", range(first, first + metafunc.config.getoption("--fuzz-seeds")))
    if "simulation_seed" in metafunc.fixturenames:
        # Those that failed once are among them, whatever their number.
        chosen = dict.fromkeys(getattr(metafunc.module, "NOTABLE_SEEDS", {}))
        others = (seed for seed in itertools.count(1) if seed not in chosen)
        chosen |= dict.fromkeys(itertools.islice(others, max(metafunc.config.getoption("--seeds") - len(chosen), 0)))
        metafunc.parametrize("simulation_seed", sorted(chosen))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that starts a process of the node must not meet the developer's own settings."""
    for name in list(os.environ):
        if name.startswith("ZMART_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_nodes_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nodes write down where they run: those of one test, and the developer's own, must not be met by another test."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))


@pytest.fixture(autouse=True)
def _plans_do_not_grow() -> Iterator[None]:
    """No statement may cost what is stored: see tests/plans.py."""
    yield
    found = watch.take()
    assert not found, "\n".join(found)


@pytest.fixture(scope="session")
def external_tool() -> Callable[[str], str]:
    """The path of a program that is no Python package; without it the test skips, or fails where it is required."""

    def find(name: str) -> str:
        if path := shutil.which(name):
            return path
        if os.environ.get(REQUIRED_VARIABLE):
            pytest.fail(f"{name} is not installed, and {REQUIRED_VARIABLE} is set")
        pytest.skip(f"{name} is not installed")

    return find
