import asyncio
from collections.abc import Collection, Sequence

import pytest

from tests.push.sinks import Inbox
from zmart_lite.config import Push
from zmart_lite.models import FeedMessage
from zmart_lite.ops import Metrics
from zmart_lite.push.channels import ALERTS, PUBLIC, Channel, channels_of
from zmart_lite.push.hub import ROUND_MESSAGES, Hub, LogState
from zmart_lite.push.subscriber import CROWDED, FULL, SLOW, STOPPING, Subscriber

MARKET = bytes([1]) * 32


class ListLog:
    """The feed as a list; ``oldest`` hides what was pruned."""

    def __init__(self) -> None:
        self.messages: list[FeedMessage] = []
        self.oldest = 1

    async def state(self, after: int, channels: Collection[Channel], count_max: int) -> LogState:
        found = [m for m in self.messages if m.offset > after and set(channels_of(m)) & set(channels)]
        return LogState(len(self.messages), self.oldest, min(len(found), count_max))

    async def page(self, after: int, until: int, channels: Collection[Channel], limit: int) -> Sequence[FeedMessage]:
        wanted = set(channels)
        found = [m for m in self.messages if after < m.offset <= until and wanted & set(channels_of(m))]
        return found[:limit]


def messages(first: int, last: int, type_: str = "trade", data: str = "{}") -> list[FeedMessage]:
    return [FeedMessage(n, type_, MARKET, None, True, False, 0, data) for n in range(first, last + 1)]


class Bench:
    """A Hub over a list, and live clients of it."""

    def __init__(self, **limits: int) -> None:
        self.log = ListLog()
        self.metrics = Metrics()
        self.hub = Hub(self.log, self.metrics, Push(**limits))

    def live(self, *channels: Channel, kind: str = "websocket") -> tuple[Subscriber, Inbox]:
        inbox = Inbox(kind)
        subscriber = Subscriber(inbox)
        self.hub.join(subscriber, resumed=False)
        self.hub.listen(subscriber, channels or (PUBLIC,), self.hub.head)
        subscriber.cursor, subscriber.live = self.hub.head, True
        return subscriber, inbox

    def publish(self, found: Sequence[FeedMessage]) -> None:
        self.log.messages += found
        self.hub.publish(found)

    def dropped(self, reason: str) -> float:
        return float(self.metrics.push_clients_dropped_total.labels(reason)._value.get())


async def test_a_message_is_encoded_once_for_all_and_delivered_once_to_each() -> None:
    bench = Bench()
    inboxes = [bench.live(PUBLIC, Channel("market", MARKET), Channel("trades"))[1] for _ in range(5)]
    bench.publish(messages(1, 3))
    assert all(inbox.offsets == [1, 2, 3] for inbox in inboxes)
    assert len({id(inbox.writes[0][0]) for inbox in inboxes}) == 1
    assert all(len(inbox.writes) == 1 for inbox in inboxes), "what waits together goes out in one write"
    assert bench.metrics.push_messages_total.labels("websocket", "trade")._value.get() == 15


async def test_a_round_is_joined_once_for_all_who_listen_to_one_channel() -> None:
    bench = Bench()
    alone = [bench.live(PUBLIC)[1] for _ in range(3)]
    _, both = bench.live(PUBLIC, Channel("price", MARKET))
    waiting, behind = bench.live(PUBLIC)
    behind.open = False
    bench.publish(messages(1, 1))
    behind.open = True
    bench.publish([*messages(2, 3), *messages(4, 4, "price"), *messages(5, 5, "vote")])
    assert all(inbox.offsets == [1, 2, 3, 5] for inbox in alone)
    assert len({id(inbox.writes[1]) for inbox in alone}) == 1
    assert (both.offsets, len(both.writes)) == ([1, 2, 3, 4, 5], 2)
    assert (behind.offsets, len(behind.writes)) == ([1, 2, 3, 5], 1), "what waited goes first"
    assert (waiting.cursor, len(waiting.queue)) == (5, 0)
    assert bench.metrics.push_messages_total.labels("websocket", "trade")._value.get() == 15
    assert bench.metrics.push_messages_total.labels("websocket", "vote")._value.get() == 5


async def test_repeated_and_late_messages_are_not_handed_out_again() -> None:
    bench = Bench()
    _, inbox = bench.live()
    bench.hub.publish(messages(1, 3))
    bench.hub.publish(messages(2, 4))
    assert inbox.offsets == [1, 2, 3, 4]
    assert bench.hub.head == 4


async def test_a_large_commit_gives_the_loop_its_turns() -> None:
    bench = Bench()
    _, inbox = bench.live()
    bench.publish(messages(1, 1_000))
    assert len(inbox.offsets) == ROUND_MESSAGES
    bench.publish(messages(1_001, 1_001))
    while bench.hub.head < 1_001:  # noqa: ASYNC110 - turns of the loop, not time
        await asyncio.sleep(0)
    assert inbox.offsets == list(range(1, 1_002))


async def test_who_takes_nothing_loses_the_connection_and_nobody_else_notices() -> None:
    bench = Bench(queue_messages_max=8)
    slow, slow_inbox = bench.live()
    _, inbox = bench.live()
    slow_inbox.open = False
    bench.publish(messages(1, 8))
    assert slow.ended is None
    bench.publish(messages(9, 9))
    assert (slow.ended, slow_inbox.ending, len(slow.queue), slow.queued_bytes) == (SLOW, SLOW, 0, 0)
    bench.publish(messages(10, 12))
    assert inbox.offsets == list(range(1, 13))
    assert bench.dropped("slow") == 1


async def test_waiting_bytes_are_limited_too() -> None:
    bench = Bench(queue_bytes_max=65_536)
    slow, inbox = bench.live()
    inbox.open = False
    bench.publish(messages(1, 2, data='"' + "x" * 40_000 + '"'))
    assert slow.ended is SLOW


async def test_a_client_that_takes_nothing_is_swept_away_after_the_time_limit() -> None:
    bench = Bench(send_timeout_s=10)
    stuck, inbox = bench.live()
    moving, other = bench.live()
    inbox.open = other.open = False
    bench.publish(messages(1, 100))
    while bench.hub.head < 100:  # noqa: ASYNC110 - turns of the loop, not time
        await asyncio.sleep(0)
    bench.hub.sweep(0)
    bench.hub.sweep(9.9)
    other.open = True
    moving.flush()
    bench.hub.sweep(10)
    assert stuck.ended is SLOW
    assert moving.ended is None
    assert other.offsets == list(range(1, 101))


async def test_a_replay_waits_for_the_client_and_is_one_page_ahead_at_most() -> None:
    bench = Bench()
    bench.log.messages = messages(1, 1_000)
    bench.hub.head = 1_000
    inbox = Inbox()
    subscriber = Subscriber(inbox)
    bench.hub.join(subscriber, resumed=True)
    inbox.open = False
    assert await bench.hub.resume(subscriber, [PUBLIC], 0) is None
    task = asyncio.get_running_loop().create_task(bench.hub.go_live(subscriber))
    seen = 0
    while not task.done():
        await asyncio.sleep(0)
        assert len(subscriber.queue) <= 128
        seen = max(seen, len(subscriber.queue))
        bench.publish(messages(len(bench.log.messages) + 1, len(bench.log.messages) + 1))
        inbox.open = True
        subscriber.flush()
        inbox.open = False
    inbox.open = True
    subscriber.flush()
    await task
    assert seen == 128
    assert subscriber.live
    assert inbox.offsets == list(range(1, len(bench.log.messages) + 1))


async def test_a_client_that_leaves_during_its_replay_is_let_go() -> None:
    bench = Bench()
    bench.log.messages = messages(1, 1_000)
    bench.hub.head = 1_000
    inbox = Inbox()
    inbox.open = False
    subscriber = Subscriber(inbox)
    bench.hub.join(subscriber, resumed=True)
    await bench.hub.resume(subscriber, [PUBLIC], 0)
    task = asyncio.get_running_loop().create_task(bench.hub.go_live(subscriber))
    await asyncio.sleep(0)
    bench.hub.leave(subscriber)
    await task
    assert not subscriber.live
    assert bench.hub.counts() == (0, 0, 0)
    bench.publish(messages(1_001, 1_001))
    assert not subscriber.queue


@pytest.mark.parametrize(
    ("after", "oldest", "reason"),
    [
        (None, 1, "unknown_offset"),
        (31, 1, "unknown_offset"),
        (30, 1, None),
        (9, 11, "too_old"),
        (10, 11, None),
        (9, 1, "too_many"),
        (0, 1, "too_many"),
    ],
)
async def test_when_the_log_cannot_tell_what_was_missed(after: int | None, oldest: int, reason: str | None) -> None:
    bench = Bench(resume_messages_max=20)
    bench.log.messages = messages(1, 30)
    bench.log.oldest = oldest
    bench.hub.head = 30
    subscriber = Subscriber(Inbox())
    bench.hub.join(subscriber, resumed=True)
    reset = await bench.hub.resume(subscriber, [PUBLIC], after)
    assert (reset.reason if reset else None) == reason
    if reset:
        assert subscriber.cursor == reset.head == 30


async def test_only_messages_of_the_channels_count_as_missed() -> None:
    bench = Bench(resume_messages_max=2)
    bench.log.messages = [*messages(1, 50, "price"), *messages(51, 52)]
    bench.hub.head = 52
    subscriber = Subscriber(Inbox())
    bench.hub.join(subscriber, resumed=True)
    assert await bench.hub.resume(subscriber, [PUBLIC], 0) is None


async def test_seats_are_counted_per_address_and_in_all() -> None:
    bench = Bench(connections_per_address=2, connections_max=3)
    assert [bench.hub.admit("a") for _ in range(3)] == [None, None, CROWDED]
    assert [bench.hub.admit("b"), bench.hub.admit("b")] == [None, FULL]
    bench.hub.release("a")
    assert bench.hub.admit("b") is None
    assert bench.dropped("address") == 1


async def test_closing_ends_everyone_and_lets_nobody_in() -> None:
    bench = Bench()
    clients = [bench.live(), bench.live(ALERTS, kind="sse")]
    assert bench.hub.counts() == (1, 1, 2)
    bench.hub.close()
    assert [inbox.ending for _, inbox in clients] == [STOPPING, STOPPING]
    assert bench.hub.admit("a") is STOPPING


async def test_leaving_forgets_the_client_entirely() -> None:
    bench = Bench()
    subscriber, inbox = bench.live(PUBLIC, Channel("market", MARKET))
    bench.hub.leave(subscriber)
    bench.hub.leave(subscriber)
    bench.publish(messages(1, 1))
    assert inbox.writes == []
    assert bench.hub.counts() == (0, 0, 0)
    assert not bench.hub._listeners
