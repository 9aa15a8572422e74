"""A file descriptor whose readability is a level we set: what poll() sees of an in-process device."""

from __future__ import annotations

import os
import socket
import sys

__all__ = ["Pollable"]

ONE = (1).to_bytes(8, sys.byteorder)


class Pollable:
    """
    A descriptor that polls readable while the level is set, and writable always.

    An eventfd on Linux, a socket pair elsewhere. Close-on-exec and non-blocking. Owns what it opens.
    """

    __slots__ = ("_level", "_read", "_write")

    def __init__(self, level: bool) -> None:
        if hasattr(os, "eventfd"):
            self._read = self._write = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        else:
            self._read, self._write = _pair()
        self._level = False
        self.set(level)

    def fileno(self) -> int:
        """Return the descriptor; -1 once closed."""
        return self._read

    def set(self, level: bool) -> None:
        """Set the level; a system call only when it changes."""
        if level == self._level:
            return
        self._level = level
        if level:
            os.write(self._write, ONE)
        else:
            os.read(self._read, len(ONE))

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        for fd in {self._read, self._write} - {-1}:
            os.close(fd)
        self._read = self._write = -1


def _pair() -> tuple[int, int]:
    """Return two descriptors of a connected pair, where there is no eventfd()."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    read, write = (end.detach() for end in ends)
    return read, write
