"""Does the same to many things at once, a few at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def together(items: Sequence[T], work: Callable[[T], Awaitable[R]], at_once: int) -> list[R]:
    """The results, in the order of ``items``; raises the first error.

    After an error nothing more is begun, and what is under way comes to its end: when the cluster is away, one batch
    does not wait for it once per item.
    """
    gate = asyncio.Semaphore(at_once)
    errors: list[Exception] = []

    async def one(item: T) -> R | None:
        async with gate:
            if errors:
                return None
            try:
                return await work(item)
            except Exception as error:  # noqa: BLE001 - kept, and raised once the others have ended
                errors.append(error)
                return None

    results = await asyncio.gather(*(one(item) for item in items))
    if errors:
        raise errors[0]
    return [result for result in results if result is not None]
