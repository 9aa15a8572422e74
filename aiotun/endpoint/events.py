"""What happens to an interface while an endpoint holds it, as a stream to iterate."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from typing import Literal

import attrs

from .readiness import Readiness
from .reports import Report

__all__ = ["AddressChange", "AddressState", "Event", "EventKind", "EventStream"]

AddressState = Literal["tentative", "usable", "duplicate", "removed"]
"""
What an address of an interface is now. An IPv6 address may be ``tentative`` first, until nobody else on the link was
found to have it (RFC 4862 section 5.4), and ``duplicate`` if somebody has; packets can be sent from a ``usable`` one.
"""


class EventKind(enum.Enum):
    """What happened."""

    UP = "up"
    """The interface went administratively up."""
    DOWN = "down"
    """The interface went down; packets already queued stay readable."""
    CARRIER = "carrier"
    """
    Whether there is somebody to carry packets; ``value`` is True or False. It is apart from up and down, and while
    the interface is down its changes are told when it goes up. The kernel may leave out one that did not last.
    """
    MTU = "mtu"
    """The MTU changed; ``value`` is the new one, in bytes."""
    RENAMED = "renamed"
    """The interface was renamed; ``value`` is the new name."""
    MOVED = "moved"
    """The interface left for another network namespace; packets keep flowing."""
    ADDRESS = "address"
    """An address came, went or became usable; ``value`` is an AddressChange."""
    REPORTED = "reported"
    """The network reported that packets sent do not arrive; ``value`` is a Report. Channels have it."""
    GONE = "gone"
    """The interface was deleted; the stream ends after this event."""


@attrs.frozen
class AddressChange:
    """What an address of an interface has become."""

    address: IPv4Interface | IPv6Interface
    """The interface's own address, with its prefix length."""
    state: AddressState
    peer: IPv4Address | IPv6Address | None = None
    """The address at the other end, if it was given one: ``ip address add 10.0.0.1 peer 10.0.0.2``."""


@attrs.frozen
class Event:
    """One change of an interface."""

    kind: EventKind
    value: int | str | AddressChange | Report | None = None


class EventStream:
    """
    The changes of one interface from now on: ``async for event in tun.events()``.

    Ends after ``GONE``, and when the endpoint is closed. Canceling is safe: an event not yet
    returned stays in the stream. At most *limit* events wait; older ones are dropped and counted.
    """

    def __init__(self, name: str, *, limit: int = 1024, watch: Callable[[], None] = lambda: None) -> None:
        self.dropped = 0
        """Events dropped because nobody took them."""
        self._events: deque[Event] = deque(maxlen=limit)
        self._ended = False
        self._watch = watch  # sees to it that events are told in this loop, before one is waited for
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
            self._watch()
            await self._ready.wait()
        return self._events.popleft()
