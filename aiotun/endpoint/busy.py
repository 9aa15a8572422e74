"""
Busy polling: for a while after something arrived the event loop does not sleep, so that what comes next finds it awake.

Most of what a lone packet takes is waking up: the CPU out of its idle state, the scheduler, caches that went cold. A
loop that has a callback due asks its descriptors and goes on at once; so while some time is left there always is one,
which has the loop call it again. Everybody else has the turns he would have, and more of them.

That takes the CPU for all of the while, so it is off unless asked for. While packets stream in the loop sleeps as ever:
they keep it awake themselves, and what gathers while it sleeps is cheaper in one go. The time is real, whatever clock
the loop has. (Not the socket option SO_BUSY_POLL: with that it is the kernel who polls, a network card's queue.)

Measured in benchmarks/vpn.py; see docs/design.md for the figures.
"""

from __future__ import annotations

import asyncio
import sys
import time
import weakref

__all__ = ["BusyPoll", "check_busy_poll"]

BULK = 4096
"""Bytes: a wake-up that brings more is a stream's."""

REST = 0.01
"""Seconds that a loop may sleep after a sign of a stream: more than are between two, even where CPUs are scarce."""


def check_busy_poll(name: str, seconds: float) -> float:
    """
    Return *seconds* as a float.

    Raises:
        TypeError: If it is no number.
        ValueError: If it is negative, infinite or not a number at all.
    """
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise TypeError(f"{name}: busy_poll is a number of seconds, not {seconds!r}")
    if not 0 <= seconds <= sys.float_info.max:
        raise ValueError(f"{name}: busy_poll is a finite number of seconds, 0 or more, not {seconds!r}")
    return float(seconds)


class BusyPoll:
    """How long one descriptor keeps its event loop awake."""

    __slots__ = ("_vigil", "seconds", "until")

    def __init__(self) -> None:
        self.seconds = 0.0
        """From each arrival on; 0 is never."""
        self.until = 0.0
        """When they are over, by time.monotonic()."""
        self._vigil: Vigil | None = None  # of the loop that something arrived in

    def set(self, seconds: float) -> None:
        """Keep it awake for so many seconds from the next arrival on; what was begun ends."""
        self.end()
        self.seconds = seconds

    def arrived(self) -> None:
        """Keep the running loop awake from now on; to be called if there are ``seconds``."""
        loop = asyncio.get_running_loop()
        if self._vigil is None or self._vigil.loop is not loop:
            self.end()
            self._vigil = _vigil_of(loop)
        self.until = time.monotonic() + self.seconds
        self._vigil.keep(self)

    def brought(self, size: int) -> None:
        """Take note of the bytes that one wake-up brought."""
        if size > BULK:
            self.rest()

    def rest(self) -> None:
        """Let the loop sleep for a while: packets stream in."""
        if self._vigil is not None:
            self._vigil.rest()

    def end(self) -> None:
        """Let the loop sleep from now on, unless others keep it awake."""
        vigil, self._vigil = self._vigil, None
        if vigil is not None:
            vigil.leave(self)


class Vigil:
    """What keeps one event loop awake, once for all its descriptors; lives while one of them, or the loop, needs it."""

    __slots__ = ("__weakref__", "_call", "_polls", "_rested", "_until", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._polls: set[BusyPoll] = set()
        self._until = 0.0  # the latest of theirs
        self._rested = 0.0  # not to be kept awake before
        self._call: asyncio.Handle | None = None  # to look what time it is

    def keep(self, poll: BusyPoll) -> None:
        """Stay awake as long as *poll* wants."""
        self._polls.add(poll)
        self._until = max(self._until, poll.until)
        if self._call is None:
            self._call = self.loop.call_soon(self._look)

    def rest(self) -> None:
        """Sleep for a while, if nothing comes, and be awake for the rest of the time."""
        self._rested = time.monotonic() + REST

    def leave(self, poll: BusyPoll) -> None:
        """Stay awake no longer than the others want."""
        self._polls.discard(poll)
        self._until = max((other.until for other in self._polls), default=0.0)
        if not self._polls and self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        now = time.monotonic()
        if now >= self._until:
            self._call = None
            self._polls.clear()
        elif now < self._rested:
            self._call = self.loop.call_later(self._rested - now, self._look)
        else:
            self._call = self.loop.call_soon(self._look)


# By the loop's id, which is nobody else's as long as the vigil, which has the loop, lives.
_VIGILS: weakref.WeakValueDictionary[int, Vigil] = weakref.WeakValueDictionary()


def _vigil_of(loop: asyncio.AbstractEventLoop) -> Vigil:
    vigil = _VIGILS.get(id(loop))
    if vigil is None:
        vigil = _VIGILS[id(loop)] = Vigil(loop)
    return vigil
