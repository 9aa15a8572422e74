"""One socket, watched once for many: whoever waits for any of its peers waits here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..endpoint import Readiness
from ..endpoint.busy import BusyPoll
from ..endpoint.loops import running_elsewhere

__all__ = ["SharedReadiness", "Watch"]


class Watch:
    """
    One direction of a socket in the event loop, watched while anybody waits.

    As with FdReadiness it is dropped the first time it fires with nobody waiting. Then, and only then, *fire* is not
    called.
    """

    __slots__ = ("_fd", "_fire", "_loop", "_waiting", "_writing", "busy")

    def __init__(self, fd: int, fire: Callable[[], None], *, writing: bool = False) -> None:
        self._fd = fd
        self._fire = fire
        self._writing = writing
        self._loop: asyncio.AbstractEventLoop | None = None  # where it is registered
        self._waiting: dict[Readiness, None] = {}  # in the order they came
        self.busy = BusyPoll()
        """See FdReadiness."""

    def add(self, waiter: Readiness) -> None:
        """Watch for *waiter*, in the running loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            if running_elsewhere(self._loop):
                raise RuntimeError(f"{waiter.what}: the socket is used in another thread's event loop; go on there")
            self._unwatch()
            (loop.add_writer if self._writing else loop.add_reader)(self._fd, self._fired)
            self._loop = loop
        self._waiting[waiter] = None

    def discard(self, waiter: Readiness) -> None:
        """*waiter* waits no longer; the socket stays watched until it fires in vain."""
        self._waiting.pop(waiter, None)

    def wake(self) -> None:
        """Have everybody who waits look again."""
        for waiter in list(self._waiting):
            waiter.wake()

    def leave(self, waiter: Readiness) -> None:
        """*waiter* is closed, and shall leave nothing in the loop: watch no longer, unless others wait."""
        self.discard(waiter)
        if not self._waiting:
            self.close()

    def close(self) -> None:
        """Leave the loop."""
        self._unwatch()
        self.busy.end()

    def _unwatch(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None and not loop.is_closed():
            (loop.remove_writer if self._writing else loop.remove_reader)(self._fd)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Where the socket is watched."""
        return self._loop

    def _fired(self) -> None:
        if self.busy.seconds:
            self.busy.arrived()
        if self._waiting:
            self._fire()
        else:
            self._unwatch()


class SharedReadiness(Readiness):
    """A level of one of those who share a socket."""

    __slots__ = ("_watch",)

    def __init__(self, what: str, watch: Watch) -> None:
        super().__init__(what)
        self._watch = watch

    @property
    def busy(self) -> BusyPoll:
        return self._watch.busy

    async def wait(self) -> None:
        try:
            await super().wait()
        finally:
            if not self.waiting:  # and not a second one, who was refused
                self._watch.discard(self)

    def disarm(self) -> None:
        self._watch.leave(self)

    def _arm(self) -> None:
        self._watch.add(self)
