"""What was recorded and not written yet, and the sink it will be written to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .sinks import Sink

__all__ = ["Outlet"]


class Outlet:
    """
    Collects blocks and passes them on, many in one write; the writer and all its interfaces share it.

    Nothing that the sink does is raised where packets pass: a failure ends the recording, and stays in ``error``.

    Args:
        buffer: Bytes that are collected, about.
        flush_after: Seconds after which what was collected is passed on, by the running loop; None for never.
        passed: Called when packets were passed on (True), or will never be (False).
        header: Returns the blocks that a file begins with.
        trailer: Returns the blocks that it ends with.
    """

    __slots__ = ("_buffer", "_flush_after", "_header", "_parts", "_passed", "_size", "_timed_in", "_timer",
                 "_trailer", "error", "sink")  # fmt: skip

    def __init__(
        self,
        *,
        buffer: int,
        flush_after: float | None,
        passed: Callable[[bool], None],
        header: Callable[[], bytes],
        trailer: Callable[[], bytes],
    ) -> None:
        self.sink: Sink | None = None
        """Where blocks go; None while nobody takes them."""
        self.error: Exception | None = None
        """What ended the recording."""
        self._buffer = buffer
        self._flush_after = flush_after
        self._passed = passed
        self._header = header
        self._trailer = trailer
        self._parts: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timed_in: asyncio.AbstractEventLoop | None = None  # the loop of the timer

    @property
    def taking(self) -> bool:
        """Whether packets can be recorded now."""
        return self.sink is not None and not self.sink.full

    def begin(self, sink: Sink) -> None:
        """Begin a section in *sink*, which is the outlet's from now on."""
        self.sink = sink
        self._write(self._header())

    def add(self, parts: list[bytes], size: int) -> None:
        """Take *parts*, whole blocks of *size* bytes together."""
        self._parts += parts
        self._size += size
        if self._size >= self._buffer:
            self.flush()
        elif self._flush_after is not None and (self._timer is None or self._lost_its_loop()):
            self._flush_later(self._flush_after)

    def flush(self) -> None:
        """Pass on what was collected."""
        sink, parts, size = self.sink, self._parts, self._size
        if sink is None or not parts:
            return
        self._parts, self._size = [], 0
        if sink.due(size):
            self._rotate(sink)
        self._passed(self._write(b"".join(parts)))

    def add_now(self, block: Callable[[], bytes]) -> None:
        """Write what was collected, and then a block, which may be made only then: a file may have begun anew."""
        self.flush()
        self._write(block())

    def end(self, linger: float) -> None:
        """Write everything, the blocks that a file ends with too, and close the sink."""
        self.add_now(self._trailer)
        if self.sink is not None:
            self.sink.finish(linger)
        self.drop()

    async def aend(self, linger: float) -> None:
        """Be end() without blocking; a cancel closes the sink at once."""
        try:
            self.add_now(self._trailer)
            if self.sink is not None:
                await self.sink.drained(linger)
        finally:
            self.drop()

    def drop(self) -> None:
        """Close the sink, and forget what was not passed on."""
        sink, self.sink = self.sink, None
        self._parts, self._size = [], 0
        self._passed(False)
        timer, self._timer = self._timer, None
        if timer is not None and not self._lost_its_loop():
            timer.cancel()
        if sink is not None:
            sink.close()

    def abandon(self) -> None:
        """Be of no effect, in a forked child: the parent has what was recorded."""
        sink, self.sink = self.sink, None
        self._parts, self._size = [], 0
        self._timer = None
        if sink is not None:
            sink.abandon()

    # --- inside -----------------------------------------------------------------------------------

    def _rotate(self, sink: Sink) -> None:
        self._write(self._trailer())
        try:
            sink.next()
        except Exception as error:
            self._fail(error)
        self._write(self._header())

    def _write(self, octets: bytes) -> bool:
        if self.sink is not None:
            try:
                self.sink.write(octets)
                return True
            except BrokenPipeError:  # the reader of a live capture has seen enough
                self.drop()
            except Exception as error:  # also ValueError, of a file object that was closed
                self._fail(error)
        return False

    def _fail(self, error: Exception) -> None:
        self.error = error
        self.drop()

    def _flush_later(self, after: float) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._timed_in = loop
        self._timer = loop.call_later(after, self._flush_now)

    def _flush_now(self) -> None:
        self._timer = None
        self.flush()

    def _lost_its_loop(self) -> bool:
        """Return whether the timer will never fire."""
        return self._timed_in is None or self._timed_in.is_closed()
