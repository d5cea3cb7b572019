"""The one-file executable works from an empty folder, without Python or this checkout in reach."""

import os
import subprocess
from pathlib import Path

import pytest

BINARY = Path(__file__).resolve().parent.parent / "dist" / "zmart-lite"
SELFTEST_S = 120


def test_the_binary_takes_a_market_from_its_creation_to_a_claim(tmp_path: Path) -> None:
    if not BINARY.exists():
        if os.environ.get("REQUIRE_EXTERNAL_TOOLS"):
            pytest.fail("dist/zmart-lite is missing: run make build first")
        pytest.skip("dist/zmart-lite is not built: make build")
    ended = subprocess.run(
        [str(BINARY), "selftest"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=SELFTEST_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "everything agrees" in ended.stdout
