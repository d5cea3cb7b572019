"""The documents say what is so: settings, make targets, commands, rooms, packages, the version."""

import re
import tomllib
from pathlib import Path

import pytest

import zmart_lite
from zmart_lite.config import rows

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "BENCHMARKS.md")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_changelog_begins_with_this_version_or_what_follows_it() -> None:
    versions = re.findall(r"^## (\S+)", text_of("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] in ("Unreleased", zmart_lite.__version__)
    assert next(name for name in versions if name != "Unreleased") == zmart_lite.__version__


def test_the_readme_names_every_make_target_that_says_what_it_does() -> None:
    documented = set(re.findall(r"`make (\w+)", text_of("README.md")))
    targets = set(re.findall(r"^(\w+):.*## ", text_of("Makefile"), re.MULTILINE))
    assert documented <= targets
    assert targets - documented <= {"help", "format", "lock", "clean"}


def test_the_first_screen_of_the_readme_is_the_two_commands() -> None:
    assert re.findall(r"^make (\w+)", "\n".join(text_of("README.md").splitlines()[:12]), re.MULTILINE) == [
        "run",
        "test",
    ]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_settings_that_a_document_names_exist(name: str) -> None:
    sections = {row.section for row in rows().values()}
    named = re.findall(r"`([a-z]+)\.([a-z_]+)`", text_of(name))
    assert {f"{section}.{key}" for section, key in named if section in sections} <= set(rows())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", text_of(name))
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    packages = {
        re.split(r"[\[~=<> ]", package)[0]
        for package in project["dependencies"] + project["optional-dependencies"]["postgres"]
    }
    table = text_of("ARCHITECTURE.md").partition("## Dependencies")[2]
    assert sorted(package for package in packages if package not in table) == []


def test_the_lock_holds_every_dependency_at_an_allowed_version() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    locked = {
        name.lower().replace("_", "-")
        for name in re.findall(r"^([\w.-]+)==", text_of("requirements.lock"), re.MULTILINE)
    }
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["postgres"], *extras["dev"]]
    names = {re.split(r"[\[~=<> ]", package)[0].lower() for package in wanted}
    assert sorted(names - locked) == []


def test_the_architecture_names_every_room() -> None:
    rooms = {
        path.stem for path in (ROOT / "zmart_lite").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    table = text_of("ARCHITECTURE.md")
    assert sorted(room for room in rooms if not room.startswith("_") and f"`{room}" not in table) == []
