"""One end of a link in memory, as a port."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from ..endpoint import Event, EventKind, InterfaceCounters, Readiness, SteadyPort
from ..endpoint.loops import running_elsewhere, running_loop
from ..endpoint.pollable import PolledReadiness
from ..errors import DeviceDown, DeviceError, DeviceGone
from .memory_wire import Wire

__all__ = ["MemoryPort"]

TICK = 0.001
"""Seconds to wait when a timer came too early: uvloop's are of whole milliseconds, and early by up to one."""


class MemoryPort(SteadyPort):
    """One end of a link. Its timer is that of the direction towards it."""

    _peer: MemoryPort

    def __init__(self, name: str, mtu: int, incoming: Wire) -> None:
        self.name = name
        self.mtu = mtu
        self.incoming = incoming
        self.readable: PolledReadiness = PolledReadiness(f"receiving from {name}")
        self.writable = Readiness(f"sending to {name}", level=True)
        self._up = True
        self._open = True
        self._gone = False  # the other end was closed, and nothing from it is under way
        self._tell: Callable[[Event], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_loop: asyncio.AbstractEventLoop | None = None
        self._due = 0.0

    def join(self, peer: MemoryPort) -> None:
        """Make *peer* the other end, and this one its."""
        self._peer, peer._peer = peer, self

    def fileno(self) -> int:
        return self.readable.fileno()

    def read_many(self, limit: int) -> list[bytes]:
        batch = self.incoming.take(limit, _now())
        if not batch and self._gone and not self.incoming.arrived:
            raise self._end()
        self._settle()
        return batch

    def write_many(self, batch: Sequence[bytes]) -> int:
        peer = self._peer
        if not peer._open:
            raise self._end()
        if not self._up:
            raise DeviceDown(f"{self.name}: the link is down")
        if running_elsewhere(peer.readable.loop):
            raise RuntimeError(f"{self.name}: the other end is used in another thread's event loop")
        count = peer.incoming.offer(batch, _now())
        if peer.incoming.refused:
            self.writable.clear()
        peer._settle()
        return count

    def is_up(self) -> bool:
        return self._up

    def counters(self) -> InterfaceCounters:
        """Return what went over the link; ``ipackets`` were sent, and ``dropped`` are those on the way to this end."""
        return InterfaceCounters(
            ipackets=self.outgoing().sent,
            ibytes=self.outgoing().sent_bytes,
            opackets=self.incoming.delivered,
            obytes=self.incoming.delivered_bytes,
            dropped=self.incoming.statistics().dropped,
        )

    def outgoing(self) -> Wire:
        """Return the direction away from this end."""
        return self._peer.incoming

    def set_link(self, up: bool) -> None:
        """Bring the link up or down, at both ends."""
        for port in (self, self._peer):
            if port._up != up and port._open and not port._gone:
                port._change_link(up)

    def set_mtu(self, mtu: int) -> None:
        """Set the mtu of both ends."""
        for port in (self, self._peer):
            port.mtu = mtu
            port._say(Event(EventKind.MTU, mtu))

    def watch(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        if self._gone:
            tell(Event(EventKind.GONE))

    def disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close_now(self) -> None:
        if self._open:
            self._open = False
            self._tell = None
            self.disarm()
            self.incoming.close()
            self.readable.close()
            self._peer._settle()

    def detach(self) -> int:
        raise DeviceError(f"{self.name}: a link in memory has no file descriptor to give away")

    # --- inside -----------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Bring both readinesses and the timer up to date, after something happened to the incoming direction."""
        wire, peer = self.incoming, self._peer
        if not self._open:
            return
        if not peer._open and not wire.flying and not self._gone:
            self._be_gone()
        self.readable.put(bool(wire.arrived) or self._gone)
        if wire.refused and wire.has_room():
            wire.refused = False
            if peer._up:
                peer.writable.set()
        self._set_timer()

    def _be_gone(self) -> None:
        self._gone = True
        if self._up:
            self._change_link(False)
        self.writable.set()
        self._say(Event(EventKind.GONE))

    def _change_link(self, up: bool) -> None:
        self._up = up
        if up:
            self.writable.set()
        else:
            self.writable.clear()
            self.incoming.cut("link_down")
        self._say(Event(EventKind.UP if up else EventKind.DOWN))
        self._settle()

    def _say(self, event: Event) -> None:
        if self._tell is not None:
            self._tell(event)

    def _end(self) -> DeviceGone:
        return DeviceGone(f"{self.name}: the other end was closed")

    def _set_timer(self) -> None:
        due = self.incoming.next_event()
        if due is None:
            if self._timer is not None:
                self.disarm()
            return
        loop = running_loop()
        if loop is None:  # nobody can be asleep; the next read finds out by itself
            return
        if self._timer is not None and self._timer_loop is loop and self._due <= due:
            return
        self.disarm()
        self._due, self._timer_loop = due, loop
        self._timer = loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        if loop.time() < self._due:
            self._timer = loop.call_later(TICK, self._ring)
            return
        self.incoming.advance(loop.time())
        self._settle()


def _now() -> float:
    """Return the time in seconds: the running loop's, so that a simulated clock is obeyed."""
    loop = running_loop()
    return time.monotonic() if loop is None else loop.time()
