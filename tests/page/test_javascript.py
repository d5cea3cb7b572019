"""The page's own calculations, in Node.js."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.page import preloads

HERE = Path(__file__).resolve().parent
TESTS_S = 60


@pytest.mark.external
def test_figures_are_written_as_they_should_be(external_tool: Callable[[str], str]) -> None:
    command = [external_tool("node"), "--no-warnings", "--test", *map(str, sorted(HERE.glob("*.test.mjs")))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TESTS_S, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_first_views_modules_are_announced() -> None:
    assert preloads.INDEX.read_text(encoding="utf-8") == preloads.written(), "run: python -m tests.page.preloads"
    assert len(preloads.modules()) > 20
