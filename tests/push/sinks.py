"""Clients of the Hub for tests, without a network: what they were given, and when they take it."""

from zmart_lite.push.frames import Batch, Envelope
from zmart_lite.push.subscriber import Ending


class Inbox:
    """A sink that takes everything, or nothing while ``open`` is False."""

    def __init__(self, kind: str = "websocket") -> None:
        self.kind = kind
        self.open = True
        self.writes: list[list[Envelope]] = []
        self.ending: Ending | None = None

    @property
    def ready(self) -> bool:
        return self.open

    def write(self, batch: Batch) -> None:
        self.writes.append(batch.envelopes)

    def offer(self, batch: Batch) -> bool:
        if self.open:
            self.write(batch)
        return self.open

    def end(self, ending: Ending) -> None:
        self.ending = ending

    @property
    def offsets(self) -> list[int]:
        return [envelope.offset for batch in self.writes for envelope in batch if envelope.offset is not None]
