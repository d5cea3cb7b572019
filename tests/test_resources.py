"""Shipped files are found in a checkout and in an installation, where they lie elsewhere."""

from pathlib import Path

import pytest

from zmart_lite import resources
from zmart_lite.errors import StartupError


@pytest.mark.parametrize(
    "name", ["schema.sql", "zmart.toml", "static", "zmart_core.idl.json", "store/engine/migrations"]
)
def test_everything_that_is_shipped_is_found(name: str) -> None:
    assert resources.find(name).exists()


def test_an_installation(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "zmart_lite"
    (package / "_shipped").mkdir(parents=True)
    (package / "_shipped" / "schema.sql").write_text("select 1")
    (package / "zmart_core.idl.json").write_text("{}")
    # Another package's folder of that name must not be taken for ours.
    (tmp_path / "site-packages" / "static").mkdir()
    assert resources.find("schema.sql", package).read_text() == "select 1"
    assert resources.find("zmart_core.idl.json", package) == package / "zmart_core.idl.json"
    with pytest.raises(StartupError, match="static is missing from this installation"):
        resources.find("static", package)


@pytest.mark.parametrize("name", ["../secret", "static/../../x", "/etc/passwd"])
def test_only_names_inside(name: str) -> None:
    with pytest.raises(ValueError, match="not a name inside"):
        resources.find(name)


def test_text_is_utf8() -> None:
    assert "[server]" in resources.read_text("zmart.toml")
