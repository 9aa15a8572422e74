"""
Awaiting a level: "readable now", "writable now".

A waiter is told *that* something can be done, never handed the packet itself: a packet passed
through a future is lost when the waiting task is cancelled between the wake-up and its next step.
One task at a time may wait; this is where the rule "one reader, one writer" is enforced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..errors import ConcurrencyError
from .busy import BusyPoll
from .loops import running_elsewhere
from .turn import turn

__all__ = ["FdReadiness", "Readiness"]


class Readiness:
    """
    A level that a driver sets and clears, and that one task may await.

    The drivers' tsleep() and wakeup() pair: the driver calls set() where the C code wakes the
    sleepers, and clear() once there is nothing left to be woken for.
    """

    __slots__ = ("_level", "_loop", "_waiter", "_waiting", "what")

    def __init__(self, what: str, *, level: bool = False) -> None:
        self.what = what
        """What a waiter does, for the error text: "receiving from tun0"."""
        self._level = level
        self._waiting = False
        self._waiter: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        state = "waiting" if self._waiting else "set" if self._level else "idle"
        return f"<{type(self).__name__} {self.what}: {state}>"

    @property
    def waiting(self) -> bool:
        """Whether a task is waiting now."""
        return self._waiting

    @property
    def busy(self) -> BusyPoll | None:
        """What keeps the loop awake after an arrival; None where no descriptor tells of any."""
        return None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the last wait: no other may wait while it runs."""
        return self._loop

    async def wait(self) -> None:
        """
        Wait until the level is set, or wake() is called; the loop always gets at least one turn.

        May return early: try again, and wait again. Canceling is safe, nothing is consumed here.

        Raises:
            ConcurrencyError: If another task is waiting already.
            RuntimeError: If the last wait was in the event loop of another thread, and that runs still.
        """
        if self._waiting:
            raise ConcurrencyError(f"another task is already {self.what}")
        before, loop = self._loop, self._bind()
        # What would have raised the level may have ended with the loop of the last wait: look again in the next one.
        moved = before is not None and before is not loop
        self._waiting = True
        try:
            if self._level or moved:
                await turn()
            else:
                self._waiter = loop.create_future()
                self._arm()
                await self._waiter
        finally:
            self._waiter = None
            self._waiting = False

    def set(self) -> None:
        """Raise the level and wake the waiter. Call it in the event loop's thread."""
        self._level = True
        self.wake()

    def clear(self) -> None:
        """Lower the level; the next wait() waits."""
        self._level = False

    def wake(self) -> None:
        """Release the waiter, if there is one, to look again; the level stays as it is."""
        waiter = self._waiter
        if waiter is not None and not waiter.done() and not waiter.get_loop().is_closed():
            waiter.set_result(None)

    def disarm(self) -> None:
        """Stop watching: nothing of the event loop refers to this object afterwards."""

    def _arm(self) -> None:
        """Start watching, where the level is not told by a driver."""

    def _bind(self) -> asyncio.AbstractEventLoop:
        """Return the running loop, which this object belongs to from now on; the one before is left."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if running_elsewhere(self._loop):
                raise RuntimeError(
                    f"a task of another thread's event loop was already {self.what}; go on there, or end that loop"
                )
            self.disarm()
            self._loop = loop
        return loop


class FdReadiness(Readiness):
    """
    The level of a file descriptor, as the event loop's selector reports it.

    The fd is registered when a task first waits and stays registered while tasks keep waiting;
    it is dropped the first time it fires with nobody waiting, so a busy reader pays no
    epoll_ctl() per wake-up and an idle one is never called in vain more than once.
    """

    __slots__ = ("_add", "_armed", "_busy", "_fd", "_remove")

    def __init__(self, what: str, fd: int, *, writing: bool = False) -> None:
        super().__init__(what)
        self._fd = fd
        self._armed: asyncio.AbstractEventLoop | None = None  # the loop it is registered with
        self._busy = BusyPoll()
        # By name, since the loop is known only once a task waits.
        self._add, self._remove = ("add_writer", "remove_writer") if writing else ("add_reader", "remove_reader")

    @property
    def busy(self) -> BusyPoll:
        return self._busy

    def disarm(self) -> None:
        self._unwatch()
        self._busy.end()

    def _unwatch(self) -> None:
        loop, self._armed = self._armed, None
        if loop is not None and not loop.is_closed():
            remove: Callable[[int], Any] = getattr(loop, self._remove)
            remove(self._fd)

    def _arm(self) -> None:
        if self._armed is not self._loop:
            add: Callable[..., Any] = getattr(self._loop, self._add)
            add(self._fd, self._fire)
            self._armed = self._loop

    def _fire(self) -> None:
        if self._busy.seconds:
            self._busy.arrived()
        waiter = self._waiter
        if waiter is None:
            self._unwatch()
        elif not waiter.done():
            waiter.set_result(None)
