"""A store of its own for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from zmart_lite.store.engine.db import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store(tmp_path / "zmart.db").open()
    yield opened
    await opened.close()
