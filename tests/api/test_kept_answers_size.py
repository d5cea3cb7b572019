"""Answers that are kept have a bound that small ones with ever new parameters cannot get around."""

from pathlib import Path

from tests.api.harness import api_node
from zmart_lite.api.answers import ENTRY_BYTES, Answers


async def test_small_answers_count_with_what_they_cost(tmp_path: Path) -> None:
    async with api_node(tmp_path) as node:
        answers = Answers(node.store, is_shared=False, bytes_max=10 * ENTRY_BYTES)
        object.__setattr__(node.api, "answers", answers)
        for number in range(50):
            await node.get(f"/api/markets?limit=0&ignored={number}")
        assert 0 < len(answers) < 10
