"""Streams of events."""

from __future__ import annotations

import asyncio

import pytest

from aiotun.endpoint import Event, EventKind, EventStream
from aiotun.errors import ConcurrencyError
from aiotun.testing.expect import parked

UP, DOWN, GONE = Event(EventKind.UP), Event(EventKind.DOWN), Event(EventKind.GONE)


async def collect(stream: EventStream) -> list[Event]:
    return [event async for event in stream]


async def first(stream: EventStream) -> Event:
    return await anext(stream)


@pytest.fixture
def stream() -> EventStream:
    return EventStream("tun0")


async def test_events_come_in_order(stream: EventStream) -> None:
    """Events are told in the order in which they happened."""
    for event in (UP, DOWN, UP):
        stream.publish(event)
    stream.end()
    assert await collect(stream) == [UP, DOWN, UP]


async def test_an_event_is_waited_for(stream: EventStream) -> None:
    """A stream without events waits for the next one."""
    task = await parked(first(stream))
    stream.publish(UP)
    assert await task == UP


async def test_gone_is_the_last(stream: EventStream) -> None:
    """GONE ends the stream; nothing can follow it."""
    stream.publish(GONE)
    stream.publish(UP)
    assert await collect(stream) == [GONE]


async def test_the_end_wakes_the_reader(stream: EventStream) -> None:
    """end() ends a stream that is being waited for."""
    task = await parked(collect(stream))
    stream.end()
    assert await task == []


async def test_nothing_after_the_end(stream: EventStream) -> None:
    """What happens after end() is not told."""
    stream.end()
    stream.publish(UP)
    assert await collect(stream) == []


async def test_a_cancel_loses_no_event(stream: EventStream) -> None:
    """An event that came with a cancel is told to the next reader."""
    task = await parked(first(stream))
    stream.publish(UP)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await first(stream) == UP


async def test_one_reader(stream: EventStream) -> None:
    """A second task that waits on the same stream is refused."""
    task = await parked(first(stream))
    with pytest.raises(ConcurrencyError, match="another task is already waiting for the events of tun0"):
        await first(stream)
    task.cancel()


async def test_old_events_make_room() -> None:
    """Beyond its limit a stream drops the oldest events."""
    stream = EventStream("tun0", limit=2)
    for mtu in (1, 2, 3):
        stream.publish(Event(EventKind.MTU, mtu))
    stream.end()
    assert [event.value for event in await collect(stream)] == [2, 3]


def test_dropped_events_are_counted() -> None:
    """dropped says how many events nobody took in time."""
    stream = EventStream("tun0", limit=2)
    for _ in range(5):
        stream.publish(UP)
    assert stream.dropped == 3


def test_a_stream_is_its_own_iterator(stream: EventStream) -> None:
    """A stream can be iterated over more than once: it goes on where it was."""
    assert aiter(stream) is stream
