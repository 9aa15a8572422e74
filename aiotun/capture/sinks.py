"""Where the blocks of a capture go: a file, a file object, a row of files."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import attrs

from ..endpoint.forking import close_copy

__all__ = ["FileSink", "ObjectSink", "Rotation", "RotatingSink", "Sink"]


class Sink:
    """Takes whole blocks, in order. Whoever makes one gives it away: close() frees what it owns."""

    full = False
    """Whether it wants no more packets now. What it is given all the same, such as statistics, it takes."""

    def write(self, octets: bytes) -> None:
        """Write whole blocks. Raises OSError if they could not be; nothing of them is left behind then."""
        raise NotImplementedError

    def close(self) -> None:
        """Free what it owns, and forget what waits. Idempotent."""

    def finish(self, seconds: float) -> None:
        """Have the reader take what waits, blocking for at most *seconds*."""

    async def drained(self, seconds: float) -> None:
        """Have the reader take what waits, waiting for at most *seconds*."""

    def abandon(self) -> None:
        """Free this process's copies, in a forked child."""

    def due(self, size: int) -> bool:
        """Return whether *size* bytes more belong into the next file, a section of its own."""
        return False

    def next(self) -> None:
        """Begin the next file."""


class ObjectSink(Sink):
    """A file object, which stays the caller's to close."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, octets: bytes) -> None:
        self._file.write(octets)
        self._file.flush()


class FileSink(Sink):
    """A descriptor of a file. What did not fit, for the disk is full, is cut off: the file ends with a whole block."""

    def __init__(self, fd: int, *, owned: bool) -> None:
        self._fd = fd
        self._owned = owned

    def write(self, octets: bytes) -> None:
        rest = memoryview(octets)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            if stat.S_ISREG(os.fstat(self._fd).st_mode):
                os.ftruncate(self._fd, os.lseek(self._fd, len(rest) - len(octets), os.SEEK_CUR))
            raise

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if self._owned and fd != -1:
            os.close(fd)

    def abandon(self) -> None:
        fd, self._fd = self._fd, -1
        if self._owned:
            close_copy(fd)


def open_file(path: os.PathLike[str] | str) -> FileSink:
    """Open a new file; one that is there is emptied. A capture is for its owner to read: mode 0600."""
    return FileSink(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), owned=True)


@attrs.frozen(kw_only=True)
class Rotation:
    """When a capture goes on in the next file, and how many files are kept."""

    bytes: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    """Bytes of a file, at most, statistics at its end not counted."""
    seconds: float | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.gt(0)))
    """Seconds that a file is written to, checked when something is written."""
    files: int | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.ge(1)))
    """Files kept: the oldest of this capture is deleted for the next; None keeps all."""


class RotatingSink(Sink):
    """
    A row of files, ``vpn_00001_20261121095744.pcapng``: the number, and the UTC time it was begun, like dumpcap's.

    Args:
        path: The name without number and time.
        rotation: When to begin the next.
        clock: Seconds, of a clock that does not jump.
    """

    def __init__(self, path: Path, rotation: Rotation, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._rotation = rotation
        self._clock = clock
        self._number = 0
        self._kept: deque[Path] = deque()
        self._open()

    @property
    def files(self) -> list[Path]:
        """The files that are kept, oldest first; the last is the one being written."""
        return list(self._kept)

    def write(self, octets: bytes) -> None:
        self._file.write(octets)
        self._size += len(octets)

    def close(self) -> None:
        self._file.close()

    def abandon(self) -> None:
        self._file.abandon()

    def due(self, size: int) -> bool:
        limit, seconds = self._rotation.bytes, self._rotation.seconds
        if limit is not None and self._size + size > limit:
            return True
        return seconds is not None and self._clock() - self._begun >= seconds

    def next(self) -> None:
        self._file.close()
        self._open()

    def _open(self) -> None:
        self._number += 1
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime())
        path = self._path.with_name(f"{self._path.stem}_{self._number:05}_{stamp}{self._path.suffix}")
        self._file = open_file(path)
        self._size = 0
        self._begun = self._clock()
        self._kept.append(path)
        if self._rotation.files is not None and len(self._kept) > self._rotation.files:
            with contextlib.suppress(OSError):  # somebody took it away
                self._kept.popleft().unlink()
