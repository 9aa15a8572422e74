"""Batches of read() and write() on a non-blocking descriptor."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from itertools import repeat

from ..speedups import twin

__all__ = ["Read", "ReadBatch", "Write", "WriteBatch", "read_batch", "reading_by", "write_batch", "writing_by"]

Read = Callable[[int, int], bytes]
"""os.read(), or what stands in for it."""
Write = Callable[[int, bytes], int]
"""os.write(), or what stands in for it."""
ReadBatch = Callable[[int, int, int], tuple[list[bytes], int, int]]
WriteBatch = Callable[[int, Sequence[bytes]], tuple[int, int]]


def reading_by(read: Read) -> ReadBatch:
    """Return read_batch() made of calls of *read*."""

    def read_batch(fd: int, limit: int, size: int, /) -> tuple[list[bytes], int, int]:
        """
        Read up to *limit* packets of up to *size* bytes each, oldest first. Does not wait.

        Returns:
            The packets; the errno that ended the batch, 0 if it is full (EAGAIN if nothing is left, ENOMEM if Python
            had no memory for a packet); and how many packets that cost, which were read and are lost. None here: the
            memory is taken first.
        """
        packets: list[bytes] = []
        try:
            # extend() keeps what it got before the exception that ends it, and loops in C: 4-5 % over a for loop.
            packets.extend(map(read, repeat(fd, limit), repeat(size)))
        except BlockingIOError:
            return packets, errno.EAGAIN, 0
        except MemoryError:
            return packets, errno.ENOMEM, 0
        except OSError as error:
            return packets, error.errno or errno.EIO, 0
        return packets, 0, 0

    return read_batch


def writing_by(write: Write) -> WriteBatch:
    """Return write_batch() made of calls of *write*."""

    def write_batch(fd: int, batch: Sequence[bytes], /) -> tuple[int, int]:
        """
        Write packets from the front of *batch*, one write each. Does not wait.

        Returns:
            How many the device took; and the errno that ended it, 0 if it took all (EAGAIN if there is no room, EPROTO
            if it took a part of a packet, which is not counted).
        """
        written: list[int] = []
        try:
            written.extend(map(write, repeat(fd), batch))
        except BlockingIOError:
            ended = errno.EAGAIN
        except OSError as error:
            ended = error.errno or errno.EIO
        else:
            ended = 0
        if written == list(map(len, batch[: len(written)])):
            return len(written), ended
        return next(at for at, size in enumerate(written) if size != len(batch[at])), errno.EPROTO

    return write_batch


# In C, over a pair of sockets, packets of 92 bytes, batches of 64, the system calls included: a read takes 750 ns where
# these take 1007, a write 841 for 1024.
read_batch = twin(reading_by(os.read))
write_batch = twin(writing_by(os.write))
