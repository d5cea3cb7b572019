"""The page's own calculations, in Node.js."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
TESTS_S = 60


@pytest.mark.external
def test_figures_are_written_as_they_should_be(external_tool: Callable[[str], str]) -> None:
    command = [external_tool("node"), "--no-warnings", "--test", *map(str, sorted(HERE.glob("*.test.mjs")))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=TESTS_S, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
