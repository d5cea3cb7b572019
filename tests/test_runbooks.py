"""There is a runbook for each type of alert, and each names only what exists."""

import re
from pathlib import Path

import click
import pytest
import yaml

from tests.api.harness import api_node
from zmart_lite.api import list_endpoints
from zmart_lite.cli import main
from zmart_lite.config import rows
from zmart_lite.ops import Metrics

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "runbooks"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.stem != "index")
SECTIONS = ["What it means", "How to see it", "What to do", "Whom to wake"]
RAISED = re.compile(r"(?:Condition|raise_alert)\(\s*(?:tx,\s*)?\"([a-z_]+)\"")
CONSTANT = re.compile(r"^(?:ALERT|UNDECODABLE) = \"([a-z_]+)\"", re.MULTILINE)
"""Types that a module names once and raises in several places."""
BY_NAME = re.compile(r"ROW_OF_FAILURES = (\{.*\})")
PROMETHEUS_ONLY = {"node_down", "event_loop_lag", "restarts", "store_queue"}


def raised_types() -> set[str]:
    """The types that the code raises alerts of, wherever it does."""
    found: set[str] = set()
    for path in (ROOT / "zmart_lite").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        found.update(RAISED.findall(text), CONSTANT.findall(text))
        for table in BY_NAME.findall(text):
            found.update(re.findall(r': "([a-z_]+)"', table))
    return found


def test_there_is_a_page_for_each_type_of_alert_and_for_no_other() -> None:
    assert {path.stem for path in PAGES} == raised_types() | PROMETHEUS_ONLY


def test_the_index_links_to_each() -> None:
    links = re.findall(r"\]\((\w+)\.md\)", (FOLDER / "index.md").read_text())
    assert sorted(links) == [path.stem for path in PAGES]


def test_the_rules_of_prometheus_link_to_pages_that_exist() -> None:
    document = yaml.safe_load((ROOT / "ops" / "alerts.yml").read_text())
    for rule in (rule for group in document["groups"] for rule in group["rules"]):
        notes = rule["annotations"]
        if page := re.search(r"runbooks/(\w+)", notes.get("runbook_url", notes.get("runbook", ""))):
            assert (FOLDER / f"{page[1]}.md").exists(), rule["alert"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_says_all_and_names_only_what_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {path.stem}\n")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    for command in re.findall(r"`zmart-lite ([^`]+)`", text):
        assert_command(command.split())
    known = set(rows())
    sections = {name.partition(".")[0] for name in known}
    named = {f"{section}.{key}" for section, key in re.findall(r"`([a-z]+)\.([a-z_]+)`", text) if section in sections}
    assert named <= known
    metrics = set(re.findall(r"^# TYPE (\S+)", Metrics().render().decode(), re.MULTILINE))
    assert set(re.findall(r"`(zmart_[a-z_]+)`", text)) <= metrics
    routes = {re.sub(r"\{\w+\}", "x", endpoint.path) for endpoint in list_endpoints()}
    asked = {re.sub(r"\{\w+\}", "x", route) for route in re.findall(r"`(?:GET )?(/(?:api|ready)[^`?]*)", text)}
    assert asked <= routes


def assert_command(words: list[str]) -> None:
    """Every word is a command of the one before, an argument, or an option that it has."""
    command: click.Command = main
    for word in words:
        if word.startswith("--"):
            assert word in {option for param in command.params for option in param.opts}, words
        elif isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            assert found is not None, words
            command = found
        else:
            assert any(isinstance(param, click.Argument) for param in command.params) or word.isupper(), words


async def test_a_node_serves_them_as_text(tmp_path: Path) -> None:
    async with api_node(tmp_path) as node:
        for name in ("", "/balance_low"):
            answer = await node.http.get(f"/runbooks{name}")
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
        for path in ("/runbooks/nothing", "/runbooks/..%2f..%2fREADME", "/runbooks/%2e%2e"):
            assert (await node.http.get(path)).status_code == 404
