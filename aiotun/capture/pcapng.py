"""Writing pcapng: several interfaces in one file, with directions, comments, lost packets and nanoseconds."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Self

from ..endpoint.forking import abandon_in_child
from .blocks import section_block
from .interface import CaptureInterface
from .outlet import Outlet
from .pcap import LinkType
from .pipe import PipeSink
from .sinks import FileSink, ObjectSink, RotatingSink, Rotation, Sink, open_file

__all__ = ["BUFFER", "LIVE_LIMIT", "SNAPLEN", "PcapngWriter", "Target"]

SNAPLEN = 262144
"""Bytes kept of a packet, at most, unless said otherwise; that of tcpdump and Wireshark."""
BUFFER = 65536
"""Bytes that are collected before they are written."""
LIVE_LIMIT = 4 << 20
"""Bytes that may wait for a live reader."""
LINGER = 5.0
"""Seconds that closing waits for a live reader to take what waits, at most."""

Target = str | os.PathLike[str] | BinaryIO | int
"""Where a capture goes: a path, a file object, a descriptor."""


class PcapngWriter:
    """
    Writes what interfaces recorded to a file, or to a program that reads along.

    Does not wait: what is recorded is collected, and written in one system call when there is enough of it, at
    flush(), and shortly after by the running event loop. Only whole blocks are written, so that a program that is
    killed leaves a file that can be read. Writing to a pipe, fifo or socket never blocks: what its reader is too slow
    for is dropped and counted, in the file too. Nothing that goes wrong with the file disturbs the packets: the
    recording ends, and flush() and close() raise what ended it.

    Use it in one thread. Close it with close() or ``with``, in an event loop with aclose() or ``async with``.

    Args:
        target: A path, opened here with mode 0600, emptied if it is there; a file object or a descriptor, which stay
            the caller's. A file object is written to as it is; give a pipe by its descriptor. None is nobody.
        snaplen: Bytes kept of a packet, at most, where an interface says nothing else.
        comment: What the file is, in its header.
        rotation: When to go on in the next file; for a path, which gets numbers.
        buffer: Bytes that are collected before they are written.
        flush_after: Seconds that a packet waits at most, while an event loop runs; None waits for the buffer.
        limit: Bytes that may wait for a slow reader of a pipe, and a batch more.

    Raises:
        OSError: If the file cannot be opened.
        ValueError: If a snaplen is below 1 byte, or something else than a path is to be rotated.
    """

    def __init__(
        self,
        target: Target | None,
        *,
        snaplen: int = SNAPLEN,
        comment: str = "",
        rotation: Rotation | None = None,
        buffer: int = BUFFER,
        flush_after: float | None = 0.5,
        limit: int = LIVE_LIMIT,
    ) -> None:
        self._closed = True  # until it is open, there is nothing to close
        self._interfaces: list[CaptureInterface] = []
        self._snaplen = _checked(snaplen)
        self._limit = limit
        if rotation is not None and rotation.bytes is not None:
            buffer = min(buffer, rotation.bytes // 4)
        interfaces = self._interfaces
        self._outlet = Outlet(
            buffer=buffer,
            flush_after=flush_after,
            passed=partial(_passed, interfaces),
            header=partial(_header, interfaces, (comment,) if comment else ()),
            trailer=partial(_trailer, interfaces),
        )
        if target is not None:
            self._begin(self._sink(target, rotation))
        self._closed = False
        abandon_in_child(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        with _noting(error):
            self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        with _noting(error):
            await self.aclose()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(f"{self!r} was never closed", ResourceWarning, stacklevel=2, source=self)
            self._outlet.end(0)

    def __repr__(self) -> str:
        names = ", ".join(interface.name for interface in self._interfaces)
        return f"<PcapngWriter of {names or 'no interface'}>"

    @property
    def recording(self) -> bool:
        """Whether packets are recorded: the file is open, nothing ended it, and a live reader is there."""
        return self._outlet.sink is not None

    @property
    def error(self) -> Exception | None:
        """What ended the recording, such as a full disk."""
        return self._outlet.error

    @property
    def interfaces(self) -> tuple[CaptureInterface, ...]:
        """The interfaces there are."""
        return tuple(self._interfaces)

    @property
    def files(self) -> list[Path]:
        """The files of a rotated capture that are kept, oldest first."""
        sink = self._outlet.sink
        return sink.files if isinstance(sink, RotatingSink) else []

    def interface(
        self,
        name: str,
        linktype: int = LinkType.RAW,
        *,
        snaplen: int | None = None,
        description: str = "",
        filter: str = "",
    ) -> CaptureInterface:
        """
        Add an interface to the file, at any time.

        Args:
            name: What it is called: ``tun0``, or an edge of a path.
            linktype: What its packets begin with.
            snaplen: Bytes kept of a packet, at most.
            description: More about it.
            filter: Which packets were recorded, in the language of libpcap.

        Raises:
            ValueError: If the snaplen is below 1 byte, or the link type takes more than 16 bits.
        """
        if not 0 <= linktype < 65536:
            raise ValueError(f"pcapng: link type is {linktype}, it must be 0 to 65535")
        kept = self._snaplen if snaplen is None else _checked(snaplen)
        added = CaptureInterface(self._outlet, len(self._interfaces), name, linktype, kept, description, filter)
        self._outlet.flush()  # what begins a new file at this point begins it without the interface
        self._interfaces.append(added)
        self._outlet.add_now(added._describe)
        return added

    def flush(self) -> None:
        """
        Write what was collected, without waiting.

        Raises:
            OSError: What ended the recording, if something did.
        """
        self._outlet.flush()
        self._raise_error()

    def close(self) -> None:
        """
        Write the rest, with what the interfaces counted, and close the file. Idempotent.

        Blocks until the reader of a pipe has taken everything, at most some seconds: in an event loop use aclose().

        Raises:
            OSError: What ended the recording, if something did.
        """
        if not self._closed:
            self._closed = True
            self._outlet.end(LINGER)
            self._raise_error()

    async def aclose(self) -> None:
        """
        Close like close(), without blocking the event loop.

        Waits until a live reader has taken everything, at most some seconds. A cancel closes at once. Raises like
        close().
        """
        if not self._closed:
            self._closed = True
            await self._outlet.aend(LINGER)
            self._raise_error()

    def abandon(self) -> None:
        """See Abandoning."""
        self._closed = True
        self._outlet.abandon()

    # --- inside -----------------------------------------------------------------------------------

    def _begin(self, sink: Sink) -> None:
        """Begin a section in *sink*; what was missed before it is nothing to its reader."""
        for interface in self._interfaces:
            interface._missed = 0
        self._outlet.begin(sink)

    def _raise_error(self) -> None:
        if self._outlet.error is not None:
            raise self._outlet.error

    def _sink(self, target: Target, rotation: Rotation | None) -> Sink:
        if isinstance(target, str | os.PathLike):
            return open_file(target) if rotation is None else RotatingSink(Path(target), rotation)
        if rotation is not None:
            raise ValueError(f"pcapng: only a path can be rotated, not {target!r}")
        if not isinstance(target, int):
            return ObjectSink(target)
        if sys.platform == "win32" or stat.S_ISREG(os.fstat(target).st_mode):
            return FileSink(target, owned=False)
        return PipeSink(target, self._limit, owned=False)


# Not methods: the outlet would keep the writer alive, and nobody would be told of one that was forgotten.


def _header(interfaces: list[CaptureInterface], comments: tuple[str, ...]) -> bytes:
    return b"".join([section_block(comments), *(one._describe() for one in interfaces)])


def _trailer(interfaces: list[CaptureInterface]) -> bytes:
    return b"".join([one._count() for one in interfaces])


def _passed(interfaces: list[CaptureInterface], written: bool) -> None:
    for interface in interfaces:
        interface._passed(written)


def _checked(snaplen: int) -> int:
    if snaplen < 1:
        raise ValueError(f"pcapng: snaplen is {snaplen}, it must be at least 1 byte")
    return snaplen


@contextlib.contextmanager
def _noting(error: BaseException | None) -> Iterator[None]:
    """Let what fails while *error* is on its way be a note of it."""
    try:
        yield
    except Exception as failed:
        if error is None:
            raise
        error.add_note(f"the capture ended early: {failed}")
