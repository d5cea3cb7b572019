"""Progress bars of commands that take long."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Bars:
    """One bar for each phase of the work."""

    def __init__(self, console: Console | None = None) -> None:
        name, left = TextColumn("{task.description:<9}"), TimeRemainingColumn()
        self._bars = Progress(name, BarColumn(), MofNCompleteColumn(), left, console=console)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, phase: str, done: int, total: int) -> None:
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(phase)
        self._bars.update(self._tasks[phase], completed=done, total=total)
