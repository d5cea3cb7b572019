"""README tells the versions that the matrix really runs."""

import json
import re
from pathlib import Path

import pytest

from tests.clients.test_matrix import FOLDER, NODE_CLIENTS, PYTHON_CLIENTS

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
PACKAGES = {
    "web3js": "@solana/web3.js",
    "kit": "@solana/kit",
    "anchor": "@coral-xyz/anchor",
    "anchor-core": "@anchor-lang/core",
    "umi": "@metaplex-foundation/umi",
    "gill": "gill",
    "solana-client": "@solana/client",
    "solana-py": "solana",
    "anchorpy3": "anchorpy3",
}


def locked_version(client: str) -> str:
    if client in NODE_CLIENTS:
        lock = json.loads((FOLDER / client / "package-lock.json").read_text())
        return str(lock["packages"][f"node_modules/{PACKAGES[client]}"]["version"])
    found = re.search(rf"^{PACKAGES[client]}==(.*)$", (FOLDER / client / "requirements.txt").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("client", [*NODE_CLIENTS, *PYTHON_CLIENTS])
def test_the_readme_names_the_version(client: str) -> None:
    assert re.search(
        rf"^\| `{re.escape(PACKAGES[client])}`[^|]*\| {re.escape(locked_version(client))} \|", README, re.MULTILINE
    )
