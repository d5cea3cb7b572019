"""The prune job: to the end, bite by bite, and the hourly judgements."""

from pathlib import Path

from zmart_lite.config import Retention
from zmart_lite.jobs.prune import Pruner
from zmart_lite.jobs.runner import Summary
from zmart_lite.store.engine.db import Store, Tx
from zmart_lite.store.log import retention
from zmart_lite.store.publishing import messages
from zmart_lite.store.state import people

NOW_MS = 1_800_000_000_000
COUNT = retention.BITE_ROWS + 7


async def test_everything_old_goes_in_several_commits(tmp_path: Path) -> None:
    sizes: list[int] = []
    store = await Store(
        tmp_path / "zmart.db", now_ms=lambda: NOW_MS, on_group=lambda units, _: sizes.append(units)
    ).open()

    def fill(tx: Tx) -> None:
        for number in range(COUNT):
            people.add_nonce(tx, str(number), None, NOW_MS - 1)
        people.add_nonce(tx, "valid", None, NOW_MS + 1)
        tx.now_ms = NOW_MS - 8 * 86_400_000
        tx.publish("trade", {})
        tx.now_ms = NOW_MS
        tx.publish("trade", {})

    await store.write(fill)
    sizes.clear()
    pruner = Pruner(store, Retention(), judges=[_judge])
    assert await pruner.run({}) == Summary(found=COUNT + 1, done=COUNT + 1)
    assert len(sizes) >= 3
    assert await store.read(lambda tx: tx.value("SELECT count(*) FROM nonces")) == 1
    assert await store.read(lambda tx: tx.value("SELECT alert_type FROM alerts")) == "judged"
    assert await pruner.run({}) == Summary()
    await store.close()


def _judge(tx: Tx) -> None:
    messages.raise_alert(tx, "judged", "LOW", "A judgement.")
