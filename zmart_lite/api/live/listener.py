"""One connection's conversation with the feed, over either transport: rights, subscriptions, snapshots, resume."""

from collections.abc import Sequence

from zmart_lite.api.live.callers import Caller, authorize
from zmart_lite.api.live.commands import Command, ResumePoint
from zmart_lite.api.live.snapshots import Opening, Part, needs_store, read_opening
from zmart_lite.api.live.streams import Streams
from zmart_lite.errors import BadRequest
from zmart_lite.push.channels import PUBLIC, Channel, names
from zmart_lite.push.frames import Envelope
from zmart_lite.push.subscriber import Subscriber

FROM_ONLY_FIRST = "from is only allowed in the first subscribe"


class Listener:
    """Turns a client's wishes into channels of its subscriber, and says so in frames.

    ``from_url``: the resume point in the connection's address, used by the first subscription.
    """

    def __init__(
        self, streams: Streams, subscriber: Subscriber, caller: Caller, from_url: ResumePoint | None = None
    ) -> None:
        self.subscriber = subscriber
        self.caller = caller
        self.implicit = False
        """Whether the only channel is the one nobody asked for."""
        self._streams = streams
        self._hub = streams.hub
        self._from_url = from_url
        self._started = False
        """Whether the client has subscribed or resumed by itself; ``from`` comes too late then."""

    async def subscribe(self, command: Command) -> None:
        """Confirmation, snapshot or missed messages, then live. Raises RequestError, and nothing has changed then."""
        point = self._resume_point(command)
        await self.open(command.channels, point, by_market=command.by_market)
        self._started, self._from_url = True, None

    async def resume(self, command: Command) -> None:
        """The missed messages, then live. Raises RequestError, and nothing has changed then."""
        point = self._resume_point(command)
        if point is None:
            raise BadRequest("Invalid message format")
        own = () if self.implicit else tuple(self.subscriber.channels)
        await self.open(command.channels or own or (PUBLIC,), point)
        self._started, self._from_url = True, None

    async def open(self, channels: Sequence[Channel], point: ResumePoint | None, *, by_market: bool = False) -> None:
        authorize(self.caller, channels)
        subscriber = self.subscriber
        self._hub.pause(subscriber)
        try:
            opening = await self._read(
                channels, "subscribed" if by_market and point is None else None, snapshot=point is None
            )
            kept = [] if self.implicit else list(subscriber.channels)
            together = tuple(dict.fromkeys([*kept, *opening.channels]))
            if len(together) > self._streams.limits.subscriptions_max:
                raise BadRequest("Too many subscriptions")
            if point is None:
                await self._start(opening)
            else:
                await self._catch_up(opening.channels, together, point)
        finally:
            await self._hub.go_live(subscriber)

    async def unsubscribe(self, command: Command) -> None:
        opening = await self._read(command.channels, "unsubscribed" if command.by_market else None, snapshot=False)
        self._hub.unlisten(self.subscriber, opening.channels)
        if PUBLIC in opening.channels:
            self.implicit = False
        self.subscriber.send(self._confirmation("unsubscribed", opening, None))

    def begin_implicit(self) -> None:
        """The public feed, live, unconfirmed."""
        self._hub.pause(self.subscriber)
        self.subscriber.cursor = max(self.subscriber.cursor, self._hub.head)
        self._hub.listen(self.subscriber, (PUBLIC,), self.subscriber.cursor)
        self.subscriber.live = True
        self.implicit = True

    def _resume_point(self, command: Command) -> ResumePoint | None:
        if command.resume is not None and self._started:
            raise BadRequest(FROM_ONLY_FIRST)
        return command.resume if command.resume is not None else self._from_url

    async def _read(self, channels: Sequence[Channel], confirm: str | None, *, snapshot: bool) -> Opening:
        if confirm is None and not (snapshot and needs_store(channels)) and not any(c.by_address for c in channels):
            return Opening(max(self._hub.head, self.subscriber.cursor), tuple(dict.fromkeys(channels)), ())
        feed = self._streams.feed
        return await self._streams.store.read(
            lambda tx: read_opening(tx, feed, channels, confirm=confirm, snapshot=snapshot)
        )

    async def _start(self, opening: Opening) -> None:
        """From the state at the opening's head on; the channels so far are brought to that point first."""
        subscriber = self.subscriber
        self._end_implicit()
        if subscriber.channels:
            await self._hub.replay(subscriber, opening.head)
        subscriber.cursor = max(subscriber.cursor, opening.head)
        self._hub.listen(subscriber, opening.channels, subscriber.cursor)
        frames = [self._part(part, None) for part in opening.parts[:-1]]
        frames += [self._part(part, subscriber.cursor) for part in opening.parts[-1:]]
        subscriber.put([self._confirmation("subscribed", opening, subscriber.cursor), *frames])
        await subscriber.drained()

    async def _catch_up(self, wanted: Sequence[Channel], together: Sequence[Channel], point: ResumePoint) -> None:
        """From the resume point on, for these channels and those so far."""
        subscriber = self.subscriber
        reset = await self._hub.resume(subscriber, together, point.offset)
        self.implicit = False
        subscriber.send(self._confirmation("subscribed", Opening(0, tuple(wanted), ()), None))
        if reset is not None:
            subscriber.send(self._frame("reset", {"reason": reset.reason, "head": reset.head}, offset=reset.head))

    def _end_implicit(self) -> None:
        if self.implicit:
            self._hub.unlisten(self.subscriber, (PUBLIC,))
            self.implicit = False

    def _confirmation(self, type_: str, opening: Opening, head: int | None) -> Envelope:
        """``head``: where the confirmed channels begin, None if they do not begin there."""
        subscriptions = tuple(self.subscriber.channels)
        if opening.confirmation is not None:
            verb, market_id = type_.capitalize(), opening.confirmation.data["market_id"]
            words = f"{verb} {'to' if type_ == 'subscribed' else 'from'} market {market_id}"
            markets = sorted(c.subject.hex() for c in subscriptions if c.kind == "market" and c.subject is not None)
            data = opening.confirmation.data | {"message": words, "subscriptions": markets}
            return self._part(opening.confirmation._replace(data=data), head)
        data = {
            "channels": names(opening.channels),
            "subscriptions": names(subscriptions),
            "message": _counted(type_, opening.channels),
            "head": max(self._hub.head, self.subscriber.cursor),
        }
        # SSE alone tells the head as the event's id, and only where no snapshot follows.
        event_id = None if opening.parts else head
        return self._frame(type_, data, event_id=event_id)

    def _part(self, part: Part, offset: int | None) -> Envelope:
        return self._frame(part.type, part.data, market_id=part.market_id, offset=offset)

    def _frame(
        self,
        type_: str,
        data: object,
        *,
        market_id: bytes | None = None,
        offset: int | None = None,
        event_id: int | None = None,
    ) -> Envelope:
        return Envelope(
            type_,
            data,
            timestamp_ms=self._streams.now_ms(),
            market_id=market_id,
            offset=offset,
            event_id=event_id,
        )


def _counted(type_: str, channels: Sequence[Channel]) -> str:
    preposition = "to" if type_ == "subscribed" else "from"
    what = channels[0].name if len(channels) == 1 else f"{len(channels)} channels"
    return f"{type_.capitalize()} {preposition} {what}"
