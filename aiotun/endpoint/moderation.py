"""
Moderated wake-ups: while packets stream in, let some gather before the next read.

A reader that keeps up with a stream is woken for every few packets, and the wake-up (select, callback, task
step, the read that finds nothing: about 9 µs) costs more than the packets. Network cards face the same, and
moderate their interrupts: so does this, with a pause of 100 µs instead of the wait for readiness. It begins when
one wake-up brought several packets at 100,000 packets/s or more, and ends with the first that did not, so a
lone packet, a request and its answer never meet it.

Where one read gives what stands for many packets, super-packets or trains, it is bytes that make a stream: the small
packets that acknowledge one are none, and to pause for them costs more than it saves. A tunnel of tun and UDP carries
1.15 times as much TCP so, with half of the wake-ups. What is read there takes longer to gather, and the pause may be
longer: 250 µs carry 1.07 times what 100 do, for 0.85 of the CPU time.

Measured in benchmarks/questions/iterate.py and benchmarks/udp_tunnel.py; see docs/design.md for the figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence

from ..batch import nbytes
from .forking import abandon_in_child, close_copy
from .readiness import FdReadiness

__all__ = ["PAUSE_FOR_TRAINS", "ModeratedReadiness", "full_packets"]

PAUSE = 100_000
"""Nanoseconds: at 640,000 packets/s, the time of one batch."""

PAUSE_FOR_TRAINS = 250_000
"""Nanoseconds: at 10 Gb/s, the time of five super-packets."""

PER_PACKET = 10e-6
"""Seconds between packets, at most, for a stream."""

FULL = 1400
"""Bytes of a full packet, about."""

CLOCK_MONOTONIC = 1
TFD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC  # TFD_NONBLOCK and TFD_CLOEXEC of Linux include/linux/timerfd.h


def full_packets(batch: Sequence[bytes]) -> int:
    """Return how many full packets a batch amounts to; what is smaller counts for nothing."""
    return nbytes(batch) // FULL


class ModeratedReadiness(FdReadiness):
    """The level of a device's descriptor, or a pause, whichever suits the traffic."""

    __slots__ = ("_read_at", "_stream", "_timer", "pause")

    def __init__(self, what: str, fd: int, *, pause: int = PAUSE) -> None:
        super().__init__(what, fd)
        self.pause = pause
        """Nanoseconds of one."""
        self._timer: Timer | None = None
        self._stream = False
        self._read_at = 0.0

    def emptied(self, packets: int) -> None:
        """Take note that the device was read empty, and gave so many packets since it was last."""
        now = time.perf_counter()
        self._stream = packets > 1 and now - self._read_at < packets * PER_PACKET
        self._read_at = now

    def disarm(self) -> None:
        super().disarm()
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _arm(self) -> None:
        # One pause a read: a task cancelled in it again and again must not be kept from the device by the next.
        stream, self._stream = self._stream, False
        timer = self._timer_for_pause() if stream else None
        if timer is None:
            super()._arm()
        else:
            self._unwatch()  # a device with packets would fire all through the pause
            self.busy.rest()
            timer.start(self.pause)

    def _timer_for_pause(self) -> Timer | None:
        """Return the timer, made when first needed in this loop; None if there is no descriptor to be had for one."""
        if self._timer is None and sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._timer = Timer(asyncio.get_running_loop(), self.wake)
        return self._timer


class Timer:
    """A timerfd: event loops round delays to a millisecond, ten times the pause. Owns its descriptor."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fired: Callable[[], None]) -> None:
        import ctypes  # not before there is a stream: whoever imports channels may never have one

        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        self._value = (ctypes.c_long * 4)()  # struct itimerspec: no interval, then the delay
        self._fd: int = libc.timerfd_create(CLOCK_MONOTONIC, TFD_FLAGS)
        if self._fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self.loop = loop
        self._fired = fired
        loop.add_reader(self._fd, self._expired)
        abandon_in_child(self)

    def start(self, nanoseconds: int) -> None:
        """Fire once, so many nanoseconds from now."""
        self._value[3] = nanoseconds
        self._settime(self._fd, 0, self._value, None)

    def close(self) -> None:
        """Leave the loop and close the descriptor; in this order, or the number's next owner goes unheard."""
        if not self.loop.is_closed():
            self.loop.remove_reader(self._fd)
        fd, self._fd = self._fd, -1
        os.close(fd)

    def abandon(self) -> None:
        """See Abandoning."""
        close_copy(self._fd)

    def _expired(self) -> None:
        with contextlib.suppress(BlockingIOError):  # started anew since the loop saw it expire
            os.read(self._fd, 8)
            self._fired()
