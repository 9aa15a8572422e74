"""What a program inside a private network writes, until it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator

__all__ = ["Output", "output"]

PIPE_SIZE = 1 << 20
"""The most that a pipe can be made to hold by anybody but root, in bytes: /proc/sys/fs/pipe-max-size."""


class Output:
    """
    A pipe, emptied by the event loop.

    It is at its end when the program is, although a child left behind could still write. And it is no file: in one,
    what is written to ``/dev/stdout`` opened anew takes the place of what was written before.
    """

    def __init__(self, reading: int) -> None:
        self._reading = reading
        self._chunks: list[bytes] = []

    def read(self) -> None:
        """Take what is there, all of it."""
        with contextlib.suppress(BlockingIOError):
            self._chunks.append(os.read(self._reading, PIPE_SIZE))

    def written(self) -> bytes:
        """Return what was written until now."""
        self.read()
        return b"".join(self._chunks)


@contextlib.contextmanager
def output() -> Iterator[tuple[Output, int]]:
    """Make an output, and the descriptor that the program shall write to."""
    reading, writing = os.pipe()
    loop = asyncio.get_running_loop()
    try:
        os.set_blocking(reading, False)
        taken = Output(reading)
        loop.add_reader(reading, taken.read)  # never at its end, for the writing end is open here
        try:
            yield taken, writing
        finally:
            loop.remove_reader(reading)
    finally:
        os.close(reading)
        os.close(writing)
