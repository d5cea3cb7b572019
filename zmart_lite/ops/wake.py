"""Waiting in the event loop for what any thread may bring about."""

import asyncio


class Wake:
    """Made and waited for in the event loop; :meth:`set` and :meth:`end` may be called from any thread.

    However often it is set meanwhile, at most one call waits in the loop and one waiter is woken once: what has changed
    is looked up by the waiter.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self._is_called = False

    def set(self) -> None:
        """Wake the waiter. What it is to see has to be there by now."""
        if self._is_called:
            return
        self._is_called = True
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # The loop is closed: nobody waits any more.
            self.is_over = True

    def end(self) -> None:
        """There is nothing to wait for any more."""
        self.is_over = True
        self.set()

    async def wait(self) -> bool:
        """Whether it goes on: False once it is over, at once."""
        if not self.is_over:
            await self._event.wait()
            self._event.clear()
            self._is_called = False
        return not self.is_over
