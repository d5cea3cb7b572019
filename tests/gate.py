"""A hand on the store's writer."""

import asyncio
import threading

from zmart_lite.store.engine.db import Store, Tx


class Gate:
    """Holds the writer's thread inside a unit, so that a test decides what waits behind it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.go = threading.Event()

    def unit(self, _: Tx) -> None:
        self.entered.set()
        assert self.go.wait(10)

    async def close(self, store: Store) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(store.write(self.unit))
        await asyncio.to_thread(self.entered.wait, 10)
        return task


async def behind_gate(store: Store, *units: object) -> list[object]:
    """The outcomes of units that are written in one commit."""
    gate = Gate()
    holding = await gate.close(store)
    waiting = [asyncio.get_running_loop().create_task(store.write(unit)) for unit in units]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    gate.go.set()
    await holding
    return list(await asyncio.gather(*waiting, return_exceptions=True))
