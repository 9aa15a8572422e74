"""
Between the send queue and whoever waits to read: enqueue, and wake by every way there is.

The steps both drivers share. A queue may hold packets back (a rate limit); then a timer on the
loop's clock starts the start path when the next one may leave.
"""

from __future__ import annotations

import asyncio
import time

from ..batch import longest
from ..endpoint.pollable import PolledReadiness
from ..errors import DeviceError, QueueFull
from ..pipeline import Batch, stage
from ..queueing import Discipline
from .fault import report
from .ifnet import UP
from .interface import IFQ_MAXLEN, Interface, Stack
from .kqueue import Klist
from .sigio import Band, Sigio

__all__ = ["Wakeup"]

TICK = 0.001
"""Seconds to wait when a timer came too early."""


class Wakeup(Interface):
    """An interface somebody sleeps on until its send queue has a packet for them."""

    enabled = True
    """Whether the send queue announces what it holds; a disabled one only fills."""
    asynchronous = False
    """Whether SIGIO is wanted (FIOASYNC)."""
    refusal: DeviceError | None = None
    """Why output() refused the packet it refused last; for a caller to clear before and look at after."""
    _timer: asyncio.TimerHandle | None = None
    _timer_loop: asyncio.AbstractEventLoop | None = None
    _due = 0.0

    def __init__(
        self, name: str, stack: Stack, *, mtu: int = 1500, queue_length: int = IFQ_MAXLEN, snd: Discipline | None = None
    ) -> None:
        super().__init__(name, stack, mtu=mtu, queue_length=queue_length, snd=snd)
        self.sigio = Sigio(name)
        """Whom to signal."""
        self.readable = PolledReadiness(f"receiving from {name}")
        self._knotes = Klist()

    def output_packet(self, packet: bytes) -> None:
        """
        Output one packet, and answer as the driver does.

        Raises:
            DeviceDown: If the interface is not ready.
            QueueFull: If the send queue is.
            PacketTooBig, UnsupportedFamily: If the driver does not carry the packet.
        """
        self.refusal = None
        if not self.output((packet,)) and self.refusal is not None:
            raise self.refusal

    def nread(self) -> int:
        """Return how many bytes the next read brings, 0 if there is nothing to read (FIONREAD)."""
        head = self._snd.head(self._now()) if self._released() else None
        return 0 if head is None else len(head)

    def readable_now(self) -> bool:
        """Whether a read would return something, or an error worth waking for."""
        return self.going or (self.up and self._released())

    def purge(self, reason: str) -> list[bytes]:
        packets = super().purge(reason)
        self.readable.put(self.readable_now())
        if self.when_taken is not None:
            self.when_taken()
        return packets

    def link_changed(self) -> None:
        """Wake sleepers: on the way up for what is queued, on the way down to learn of it, at the end to leave."""
        self.readable.put(self.readable_now())
        self.readable.wake()
        self._knotes.notify()

    # --- steps of the output path -----------------------------------------------------------------

    @stage(reason="down", superpackets=True)
    def _check_ready(self, batch: Batch) -> Batch:
        if not self.is_ready():  # asked here, for a call less
            self.check_ready()
        return batch

    @stage(reason="too_big", superpackets=True)
    def _check_size(self, batch: Batch) -> Batch:
        """Hold to the mtu: there is no layer above that would have fragmented."""
        if longest(batch) <= self.mtu + self.header or (error := self.oversize(batch)) is None:
            return batch
        self.refusal = error
        return [packet for packet in batch if self.layer3_size(packet) <= self.mtu]

    @stage(reason="queue_full", counted=True, delivers=True, superpackets=True)  # counted by the queue itself
    def _enqueue(self, batch: Batch) -> Batch:
        """Modelled on ifq_handoff() in DragonFly sys/net/ifq_var.h."""
        if not self.is_ready():  # a stage of the user's may have closed it meanwhile
            self.check_ready()
        queued = self._snd.enqueue_many(batch, self._now() if self._timed else 0.0)
        refused = len(batch) - len(queued)
        if refused:
            self.counts.collisions += refused
            self.refusal = QueueFull(f"{self.name}: the send queue is full, {len(self._snd)} packets wait")
        return queued

    # --- steps of the start path ------------------------------------------------------------------

    @stage(reason="disabled", superpackets=True)
    def _check_enabled(self, batch: Batch) -> Batch:
        return batch if self.enabled else []

    @stage(reason="held_back", superpackets=True)
    def _poll(self, batch: Batch) -> Batch:
        """Go on if a packet may leave now; else come back when one may."""
        return batch if self._released() else []

    def _start_queued(self, batch: Batch) -> None:
        """Start for packets that are queued: whatever fails now, they are not lost, and their sender is done."""
        try:
            self.start(batch)
        except Exception as error:
            report(f"{self.name}: starting failed", error)

    @stage(superpackets=True)
    def _wakeup(self, batch: Batch) -> Batch:
        """Wake the reader; not of an interface that is down by now, for there is nothing that it could read."""
        self.readable.put(self._flags & UP != 0)
        return batch

    @stage(superpackets=True, when="_knotes.knotes")
    def _notify_filters(self, batch: Batch) -> Batch:
        self._knotes.notify()
        return batch

    def signal(self, band: Band) -> None:
        """Send SIGIO at once, if it is wanted. Modelled on pgsigio()."""
        if self.asynchronous:
            self.sigio.send(band)

    # --- the clock --------------------------------------------------------------------------------

    def _released(self) -> bool:
        """Whether the send queue has a packet that may leave now; if it holds one back, set the timer."""
        if not self._timed:
            return self._snd.ready_at(0.0) is not None  # len() goes through C to Python, for twice as long
        now = self._now()
        ready = self._snd.ready_at(now)
        if ready is None:
            return False
        if ready <= now:
            return True
        self._set_timer(ready)
        return False

    def _now(self) -> float:
        """Return the time in seconds: the running loop's, so that a simulated clock is obeyed."""
        if not self._timed:
            return 0.0
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return time.monotonic()

    def _set_timer(self, when: float) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nobody can be asleep without a loop; the next read finds out by itself
            return
        if self._timer is not None and self._timer_loop is loop and self._due <= when:
            return
        self._stop_timer()
        self._due, self._timer_loop = when, loop
        self._timer = loop.call_at(when, self._ring)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        if loop.time() < self._due:  # uvloop's timers are of whole milliseconds, and early by up to one
            self._timer = loop.call_later(TICK, self._ring)
        else:
            self._start_head()

    def _start_head(self) -> None:
        """Start, if there is something: a rate-limited queue lets a packet go, or the interface came up."""
        head = self._snd.head(self._now()) if self._released() else None
        if head is not None:
            self._start_queued((head,))
