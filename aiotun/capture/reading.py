"""Reading captures: what both formats share, and telling which one it is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import BinaryIO, NoReturn, Self

from ..errors import PacketError
from .records import Recorded, RecordedInterface, RecordedStatistics

__all__ = ["MAX_BLOCK", "CaptureReader", "Formats", "Source", "Truncated"]

MAX_BLOCK = 16 << 20
"""Bytes of a block or packet, at most; the limit of Wireshark's reader."""


NO_CAPTURE = "not_a_capture"


class Truncated(Exception):
    """The file ends within a block, for who wrote it was ended, or writes still."""


class Source:
    """A file being read from front to back, that knows where it is."""

    __slots__ = ("_read", "at", "name")

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._read = file.read
        self.name = name
        self.at = 0
        """Bytes read."""

    def read(self, size: int) -> bytes:
        """
        Return the next *size* bytes.

        Raises:
            Truncated: If there are fewer.
        """
        octets = self._read(size)
        while len(octets) < size:  # a pipe gives what it has
            more = self._read(size - len(octets))
            if not more:
                raise Truncated(len(octets))
            octets += more
        self.at += size
        return octets

    def read_or_end(self, size: int) -> bytes:
        """Return the next *size* bytes, or ``b""`` if there is nothing at all; raises like read()."""
        try:
            return self.read(size)
        except Truncated as error:
            if error.args[0]:
                raise
            return b""

    def refuse(self, text: str, reason: str) -> NoReturn:
        """Raise PacketError for what was read last."""
        raise PacketError(f"{self.name}: {text}", reason=reason)


class CaptureReader:
    """
    The packets of a capture, in the order of the file: ``for recorded in reader``; made by open_capture().

    Reads as it goes, with memory for one block. A file that ends within a block, as a killed program leaves it, ends
    the iteration like any other, and ``truncated`` says so. Close it with close() or ``with``.
    """

    def __init__(self, file: BinaryIO, name: str, formats: Formats, *, owned: bool) -> None:
        self.name = name
        self.interfaces: list[RecordedInterface] = []
        """The interfaces of the section being read, as far as it was read."""
        self.comments: tuple[str, ...] = ()
        """What the header of the section says."""
        self.statistics: dict[int, RecordedStatistics] = {}
        """What interfaces of the section counted, by number."""
        self.truncated = False
        """Whether the file ended within a block."""
        self._file = file
        self._owned = owned
        self._packets = self._all(formats)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Recorded:
        """
        Return the next packet.

        Raises:
            PacketError: If the file is not what it should be; the text says where. Nothing follows then.
        """
        return next(self._packets)

    def close(self) -> None:
        """Close the file, unless it is the caller's. Idempotent."""
        self._packets.close()
        if self._owned:
            self._file.close()

    def _all(self, formats: Formats) -> Generator[Recorded, None, None]:
        source = Source(self._file, self.name)
        try:
            magic = source.read(4)
        except Truncated as error:
            source.refuse(f"it has {error.args[0]} bytes, too few for a capture", NO_CAPTURE)
        if magic not in formats:
            source.refuse(f"it begins with {magic.hex()}, which is neither pcapng nor pcap", NO_CAPTURE)
        try:
            yield from formats[magic](self, source, magic)
        except Truncated:
            self.truncated = True


Formats = Mapping[bytes, Callable[[CaptureReader, Source, bytes], Iterator[Recorded]]]
"""What reads a capture on, by its first 4 bytes."""
