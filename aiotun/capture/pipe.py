"""A pipe, fifo or socket that a program reads a live capture from: never waited for, bounded in memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import time
from collections import deque

from ..endpoint import Readiness
from ..endpoint.forking import close_copy
from .sinks import Sink

__all__ = ["PipeSink"]


class PipeSink(Sink):
    """
    The writing end of a pipe.

    What the reader has no room for waits here; beyond *limit* bytes the sink is full, and packets are dropped and
    counted until the reader has caught up. A reader that goes away is the end, and no error.

    Args:
        fd: The descriptor, set to non-blocking while it is used.
        limit: Bytes that may wait.
        owned: Whether close() closes it.
    """

    def __init__(self, fd: int, limit: int, *, owned: bool) -> None:
        self._fd = fd
        self._limit = limit
        self._owned = owned
        self._blocking = os.get_blocking(fd)
        os.set_blocking(fd, False)
        self._waiting: deque[memoryview] = deque()
        self._bytes = 0
        self._armed: asyncio.AbstractEventLoop | None = None
        self.idle = Readiness("waiting for a live capture to be read", level=True)
        """Set while nothing waits to be written, or nobody will read it."""

    @property
    def full(self) -> bool:  # type: ignore[override]
        return self._bytes > self._limit

    @property
    def ended(self) -> bool:
        """Whether the reader has gone, or the sink is closed."""
        return self._fd == -1

    def write(self, octets: bytes) -> None:
        """
        Write what there is room for now, and the rest as the reader makes room.

        Raises:
            BrokenPipeError: If the reader has gone.
        """
        if self.ended:
            raise BrokenPipeError("the reader of the capture has gone")
        self._waiting.append(memoryview(octets))
        self._bytes += len(octets)
        self._push()
        if self.ended:
            raise BrokenPipeError("the reader of the capture has gone")

    def finish(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._waiting and (left := until - time.monotonic()) > 0:
            select.select([], [self._fd], [], left)
            self._push()

    async def drained(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._waiting:
                    self._arm()  # what waits may be of a time without a loop
                    await self.idle.wait()

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        self._disarm(fd)
        if fd != -1:
            if self._owned:
                os.close(fd)
            else:
                os.set_blocking(fd, self._blocking)
        self._waiting.clear()
        self._bytes = 0
        self.idle.set()

    def abandon(self) -> None:
        fd, self._fd = self._fd, -1
        self._armed = None  # the parent's loop
        if self._owned:
            close_copy(fd)

    # --- inside -----------------------------------------------------------------------------------

    def _push(self) -> None:
        """Write until the pipe has no room, then have the loop tell when it has."""
        waiting = self._waiting
        try:
            while waiting:
                sent = os.write(self._fd, waiting[0])
                self._bytes -= sent
                if sent == len(waiting[0]):
                    waiting.popleft()
                else:
                    waiting[0] = waiting[0][sent:]
        except BlockingIOError:
            self.idle.clear()
            self._arm()
        except OSError:  # EPIPE, or ECONNRESET of a socket: nobody reads any more
            self.close()
        else:
            self.idle.set()
            self._disarm(self._fd)

    def _arm(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # without a loop the next write tries again
            return
        if self._armed is not loop:
            self._disarm(self._fd)
            loop.add_writer(self._fd, self._push)
            self._armed = loop

    def _disarm(self, fd: int) -> None:
        loop, self._armed = self._armed, None
        if loop is not None and not loop.is_closed():
            loop.remove_writer(fd)
