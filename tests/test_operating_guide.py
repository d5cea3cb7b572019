"""docs/operating.md names only commands, settings and files that exist; the commands of its first hour run."""

import re
from pathlib import Path

import pytest

from tests.cli.process import run
from tests.test_runbooks import assert_command
from zmart_lite.config import rows

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
BLOCKS = [line.strip() for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL) for line in block.splitlines()]


def test_every_command_exists() -> None:
    lines = [line.removeprefix("zmart-lite ").partition(" >")[0] for line in BLOCKS if line.startswith("zmart-lite ")]
    inline = re.findall(r"`zmart-lite ([^`]+)`", GUIDE)
    assert len(lines) >= 8
    for line in lines + inline:
        words = line.replace("--config /etc/zmart-lite/zmart.toml ", "").split()
        if words != ["--version"]:
            assert_command(words)


def test_every_setting_and_file_exists() -> None:
    sections = {name.partition(".")[0] for name in rows()}
    named = {f"{one}.{two}" for one, two in re.findall(r"`([a-z]+)\.([a-z_]+)`", GUIDE) if one in sections}
    assert named
    assert named - {"jwt.secret", "jobs.db"} <= set(rows())
    for target in re.findall(r"\]\(([^)#:]+)\)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
    for name in re.findall(r"install -m 644 (\S+\.service)", GUIDE):
        assert (ROOT / "ops" / name).exists()


@pytest.mark.parametrize("words", [("--version",), ("config", "defaults")])
def test_the_first_commands_run_in_an_empty_folder(tmp_path: Path, words: tuple[str, ...]) -> None:
    ended = run(*words, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
    if words == ("config", "defaults"):
        (tmp_path / "zmart.toml").write_text(ended.stdout)
        assert run("--config", str(tmp_path / "zmart.toml"), "config", "check", cwd=tmp_path).returncode == 0
