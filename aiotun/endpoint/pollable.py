"""A file descriptor whose readability is a level we set: what poll() sees of an in-process device."""

from __future__ import annotations

import os
import socket
import sys

from .forking import abandon_in_child, close_copy
from .readiness import Readiness

__all__ = ["PolledReadiness", "Pollable"]

ONE = (1).to_bytes(8, sys.byteorder)


class Pollable:
    """
    A descriptor that polls readable while the level is set, and writable always.

    An eventfd on Linux, a socket pair elsewhere. Close-on-exec and non-blocking. Owns what it opens.
    """

    __slots__ = ("__weakref__", "_level", "_read", "_write")

    def __init__(self, level: bool) -> None:
        if hasattr(os, "eventfd"):
            self._read = self._write = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        else:
            self._read, self._write = _pair()
        self._level = False
        self.set(level)
        abandon_in_child(self)

    def fileno(self) -> int:
        """Return the descriptor; -1 once closed."""
        return self._read

    def set(self, level: bool) -> None:
        """Set the level; a system call only when it changes."""
        if level == self._level or self._read == -1:
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

    def abandon(self) -> None:
        """See Abandoning: a child that sets the level would set the parent's."""
        for fd in {self._read, self._write}:
            close_copy(fd)
        self._read = self._write = -1


class PolledReadiness(Readiness):
    """A level that poll() sees as well: what it says to a waiter, a descriptor says to everybody else."""

    __slots__ = ("_pollable",)

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self._pollable: Pollable | None = None

    def fileno(self) -> int:
        """Return a descriptor that polls readable while the level is set; made when first asked for."""
        if self._pollable is None:
            self._pollable = Pollable(self._level)
        return self._pollable.fileno()

    def set(self) -> None:
        super().set()
        if self._pollable is not None:
            self._pollable.set(True)

    def clear(self) -> None:
        super().clear()
        if self._pollable is not None:
            self._pollable.set(False)

    def put(self, level: bool) -> None:
        """Set or clear the level."""
        # Here and not by set() and clear(): two calls and a super() less, 0.1 us of a batch.
        self._level = level
        if self._pollable is not None:
            self._pollable.set(level)
        if level and self._waiter is not None:
            self.wake()

    def close(self) -> None:
        """Close the descriptor, if there is one. Idempotent."""
        if self._pollable is not None:
            self._pollable.close()
            self._pollable = None


def _pair() -> tuple[int, int]:
    """Return two descriptors of a connected pair, where there is no eventfd()."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    read, write = (end.detach() for end in ends)
    return read, write
