"""The dashboard and the rules for Prometheus name only metrics that exist, and the dashboard shows them all."""

import json
import re
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from zmart_lite.cli import main
from zmart_lite.config import load
from zmart_lite.ops import Metrics

OPS = Path(__file__).resolve().parent.parent / "ops"
NAME = re.compile(r"\b(?:zmart|process)_[a-z0-9_]+")
LABEL = re.compile(r"(zmart_[a-z0-9_]+)\{([a-z_]+)\s*[!=~]+")
SEVERITIES = {"low", "medium", "high", "critical"}


def families() -> dict[str, str]:
    """Name of each metric without suffixes, and its type."""
    found = text_string_to_metric_families(Metrics().render().decode())
    return {family.name: family.type for family in found}


def series() -> dict[str, str]:
    """Name of each series that Prometheus may have, and the metric it belongs to."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
    return {name + suffix: name for name, kind in families().items() for suffix in suffixes[kind]}


def dashboard() -> list[str]:
    document = json.loads((OPS / "grafana.json").read_text())
    return [target["expr"] for panel in document["panels"] for target in panel.get("targets", [])]


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((OPS / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_every_name_in_the_dashboard_and_the_rules_exists() -> None:
    known = series()
    for expression in [*dashboard(), *(rule["expr"] for rule in rules())]:
        names = NAME.findall(expression)
        assert names, expression
        assert set(names) <= set(known), expression


def test_labels_that_rules_ask_for_exist() -> None:
    metrics = vars(Metrics())
    labels = {
        f"zmart_{name}": set(metric._labelnames) for name, metric in metrics.items() if hasattr(metric, "_labelnames")
    }
    for expression in [*dashboard(), *(rule["expr"] for rule in rules())]:
        for name, label in LABEL.findall(expression):
            assert label in labels[name], expression


def test_the_dashboard_shows_every_metric() -> None:
    known = series()
    shown = {known[name] for expression in dashboard() for name in NAME.findall(expression)}
    assert shown == set(families())


def test_rules_say_how_bad_and_what() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert rule["labels"]["severity"] in SEVERITIES
        assert rule["annotations"]["summary"].endswith(".")
        assert {"runbook", "runbook_url"} & set(rule["annotations"])
        assert re.fullmatch(r"\d+[smh]", rule["for"])


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((OPS / "grafana.json").read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_the_unit_for_systemd_starts_a_command_that_exists_with_settings_that_exist(tmp_path: Path) -> None:
    unit = ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment]
    unit.read(OPS / "zmart-lite.service")
    service = unit["Service"]
    _, *arguments = service["ExecStart"].split()
    arguments[arguments.index("--config") + 1] = str(tmp_path / "zmart.toml")
    (tmp_path / "zmart.toml").touch()
    assert CliRunner().invoke(main, [*arguments, "--help"]).exit_code == 0
    name, _, value = service["Environment"].partition("=")
    assert load(tmp_path / "zmart.toml", {name: value}).store.dir == "%S/zmart-lite"
