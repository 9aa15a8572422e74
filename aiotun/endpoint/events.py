"""What happens to an interface while an endpoint holds it, as a stream to iterate."""

from __future__ import annotations

import enum
from collections import deque

import attrs

from .readiness import Readiness

__all__ = ["Event", "EventKind", "EventStream"]


class EventKind(enum.Enum):
    """What happened."""

    UP = "up"
    """The interface went administratively up."""
    DOWN = "down"
    """The interface went down; packets already queued stay readable."""
    MTU = "mtu"
    """The MTU changed; ``value`` is the new one, in bytes."""
    RENAMED = "renamed"
    """The interface was renamed; ``value`` is the new name."""
    MOVED = "moved"
    """The interface left for another network namespace; packets keep flowing."""
    ADDRESS = "address"
    """An address came or went; ``value`` is it, with its prefix length."""
    GONE = "gone"
    """The interface was deleted; the stream ends after this event."""


@attrs.frozen
class Event:
    """One change of an interface."""

    kind: EventKind
    value: int | str | None = None


class EventStream:
    """
    The changes of one interface from now on: ``async for event in tun.events()``.

    Ends after ``GONE``, and when the endpoint is closed. Canceling is safe: an event not yet
    returned stays in the stream. At most *limit* events wait; older ones are dropped and counted.
    """

    def __init__(self, name: str, *, limit: int = 1024) -> None:
        self.dropped = 0
        """Events dropped because nobody took them."""
        self._events: deque[Event] = deque(maxlen=limit)
        self._ended = False
        self._ready = Readiness(f"waiting for the events of {name}")

    def publish(self, event: Event) -> None:
        """Append *event*; GONE ends the stream."""
        if self._ended:
            return
        self.dropped += len(self._events) == self._events.maxlen
        self._events.append(event)
        self._ended = event.kind is EventKind.GONE
        self._ready.wake()

    def end(self) -> None:
        """End the stream once what waits in it was taken."""
        self._ended = True
        self._ready.wake()

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._ended:
                raise StopAsyncIteration
            await self._ready.wait()
        return self._events.popleft()
