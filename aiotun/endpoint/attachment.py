"""What both directions of an endpoint share: the port they stand on, and what happens to it."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import Counter
from collections.abc import Callable
from typing import ClassVar, ParamSpec

from ..errors import DeviceClosed, DeviceDown, DeviceError, DeviceGone
from .busy import check_busy_poll
from .events import Event, EventKind, EventStream
from .loops import running_elsewhere, running_loop
from .port import Capabilities, Carries, ClosedPort, Port

__all__ = ["BATCH", "Attachment"]

P = ParamSpec("P")

BATCH = 64
"""Packets that go one way before the loop gets a turn, at most."""


class Attachment:
    """
    A program's hold on a device.

    Nothing on the way of a packet asks whether the endpoint is closed: after close the port is a
    ClosedPort, whose every operation raises.
    """

    kind: ClassVar[str] = "endpoint"
    """``tun``, ``tap``, or what else carries the packets."""

    __slots__ = (
        "__weakref__",
        "_burst",
        "_deleted",
        "_drained",
        "_dropped",
        "_port",
        "_raise_down",
        "_sent_bytes",
        "_sent_packets",
        "_streams",
        "_taken_bytes",
        "_taken_packets",
        "_watched_in",
    )

    def __init__(self, port: Port, *, raise_down: bool) -> None:
        self._port = port
        self._raise_down = raise_down
        self._deleted = False
        self._watched_in: asyncio.AbstractEventLoop | None = None  # the loop that hears of changes
        # Both made when first needed: empty they would be a quarter of what an endpoint takes.
        self._streams: weakref.WeakSet[EventStream] | None = None
        self._dropped: Counter[str] | None = None
        self._drained = False  # the last read left nothing: wait before trying again
        self._burst = 0  # packets sent since the loop had a turn
        self._taken_packets = self._taken_bytes = 0
        self._sent_packets = self._sent_bytes = 0

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<{type(self).__name__} {self._port.name}{state}>"

    @property
    def name(self) -> str:
        """The interface's name, asked of the device, so a rename shows."""
        self._port.refresh()
        return self._port.name

    @property
    def mtu(self) -> int:
        """The largest layer-3 packet the interface carries, in bytes, asked of the device."""
        self._port.refresh()
        return self._port.mtu

    @property
    def capabilities(self) -> Capabilities:
        """What was asked of the device when it was opened, and what it granted."""
        return self._port.capabilities

    @property
    def carries(self) -> Carries | None:
        """What its packets are: ``"ip"``, a tun's, ``"ethernet"``, a tap's frames, or None, which is any bytes."""
        return self._port.carries

    @property
    def superpackets(self) -> bool:
        """
        Whether super-packets come out of the endpoint and go into it, one buffer for many packets.

        They come out where they are asked for, ``recv_many(superpackets=True)``; otherwise as the packets they stand
        for. On an endpoint that has none, sending one is refused.
        """
        return self._port.superpackets

    @property
    def offload(self) -> frozenset[str]:
        """What the stack leaves to this end, and takes from it unfinished: see Device.offload; empty without."""
        return self._port.offload

    @property
    def busy_poll(self) -> float:
        """
        Seconds that the event loop stays awake after something arrived here; 0, which is never, until you set it.

        What comes in that time is met without a wake-up: a lone packet is carried in less than half of the time. It
        takes a core as long as packets come more often than that, and leaves threads less of Python's lock. While
        packets stream in, more than 4 KB at a time, the loop sleeps as ever. Other tasks have their turns, and several
        endpoints together cost no more than one. Works on asyncio and uvloop, and ends when the endpoint is closed.

        Of a peer of a UdpServer it is the server's, and so that of all peers. It stays 0, whatever it is set to, where
        no descriptor of the system is waited for, as on endpoints in process; and it is 0 once closed.

        Raises:
            TypeError: If it is set to what is no number.
            ValueError: If it is set to a negative number, or to one that is not finite.
            DeviceClosed: If it is set when the endpoint is closed.
        """
        busy = self._port.readable.busy
        return 0.0 if busy is None else busy.seconds

    @busy_poll.setter
    def busy_poll(self, seconds: float) -> None:
        seconds = check_busy_poll(self._port.name, seconds)
        if self.closed:
            self._port.read_many(0)  # says so
        busy = self._port.readable.busy
        if busy is not None:
            busy.set(seconds)

    @property
    def closed(self) -> bool:
        """Whether close has begun."""
        return isinstance(self._port, ClosedPort)

    def fileno(self) -> int:
        """
        Return a file descriptor for poll() and its kin: readable while the device has packets.

        The endpoint keeps owning it. Packets that recv() or ``async for`` read ahead are not
        seen by poll(): before polling, take packets with recv_nowait() until it would block. In the
        event loop that receives from the endpoint use readable(): a loop watches a descriptor once.
        -1 once closed.
        """
        return self._port.fileno()

    def events(self) -> EventStream:
        """
        Return the interface's changes from now on: ``async for event in tun.events()``.

        Call it in the event loop. Streams are independent of each other and end with the endpoint.
        """
        stream = EventStream(self._port.name, watch=_weakly(self._watch))
        if self.closed:
            with contextlib.suppress(DeviceClosed):
                self._port.watch(stream.publish)  # a forked child's says whose it is
            stream.end()
        elif self._deleted:
            stream.publish(Event(EventKind.GONE))
        else:
            if self._streams is None:
                self._streams = weakref.WeakSet()
            self._streams.add(stream)
            self._watch()
        return stream

    # --- inside -----------------------------------------------------------------------------------

    def _check_up(self) -> None:
        """Raise DeviceDown if that is what the owner asked for."""
        if self._raise_down:
            self._try_to_watch()
            if not self._port.is_up():
                raise DeviceDown(f"{self._port.name}: the interface is down")

    def _check_alive(self) -> None:
        """Raise DeviceGone if the device is known to be deleted: it must not be watched again."""
        if self._deleted and not self.closed:
            raise DeviceGone(f"{self._port.name}: the interface was deleted")

    def _drop(self, reason: str, count: int) -> None:
        if count:
            if self._dropped is None:
                self._dropped = Counter()
            self._dropped[reason] += count

    def _check_here(self, doing: str) -> None:
        """Raise RuntimeError if the endpoint is used in an event loop of another thread, which only that may touch."""
        if self._used_elsewhere() is not None:
            raise RuntimeError(f"{self._port.name}: cannot {doing} here, it is used in another thread's event loop")

    def _used_elsewhere(self) -> asyncio.AbstractEventLoop | None:
        """Return the event loop that the endpoint is used in, if that runs in another thread."""
        for loop in (self._port.readable.loop, self._port.writable.loop, self._watched_in):
            if running_elsewhere(loop):
                return loop
        return None

    def _watch(self) -> None:
        """Hear of changes from now on, in this loop."""
        loop = asyncio.get_running_loop()
        if loop is self._watched_in or self._deleted:
            return
        self._check_here("watch the interface")
        self._port.watch(_weakly(self._tell))
        self._watched_in = loop

    def _try_to_watch(self) -> None:
        """Watch if there is a loop to hear in, and the system lets us; who is told nothing has to ask."""
        if running_loop() is not None:
            with contextlib.suppress(DeviceError):
                self._watch()

    def _tell(self, event: Event) -> None:
        """Take note of a change of the interface."""
        if event.kind in (EventKind.MTU, EventKind.RENAMED):
            self._port.refresh()  # a lower mtu is for the next send() to know
        for stream in self._streams or ():
            stream.publish(event)
        if event.kind is EventKind.DOWN and self._raise_down:
            self._port.readable.wake()
        elif event.kind is EventKind.GONE:
            self._gone()

    def _gone(self) -> None:
        """Leave the loop before anybody hears of it: a deleted device polls ready for ever."""
        port, elsewhere = self._port, self._used_elsewhere()
        if elsewhere is not None:
            elsewhere.call_soon_threadsafe(self._gone)
            return
        port.disarm()
        self._deleted = True
        self._drained = False
        port.readable.wake()
        port.writable.wake()
        for stream in self._streams or ():
            stream.publish(Event(EventKind.GONE))
        self._streams = None


def _weakly(method: Callable[P, None]) -> Callable[P, None]:
    """Return a function that calls *method* while its object lives: a forgotten endpoint is still collected."""
    weak = weakref.WeakMethod(method)

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        alive = weak()
        if alive is not None:
            alive(*args, **kwargs)

    return call
