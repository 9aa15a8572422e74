"""Captured packets as a pcap file, to be read with Wireshark, tcpdump or scapy."""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable
from typing import BinaryIO, Protocol

__all__ = ["CapturedPacket", "LinkType", "PcapWriter"]

# https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html, in this machine's byte order: the magic
# tells a reader which, and it then finds the families of LinkType.NULL in the same order.
_MAGIC = 0xA1B2C3D4  # times have microseconds
_FILE = struct.Struct("=IHHiIII")  # magic, version, two fields that are always 0, snaplen, link type
_PACKET = struct.Struct("=IIII")  # seconds, microseconds, bytes that follow, bytes there were


class LinkType(enum.IntEnum):
    """What every packet of a file begins with."""

    NULL = 0
    """The address family, 4 bytes in host order: what a tun interface shows."""
    ETHERNET = 1
    """The Ethernet header: what a tap interface shows."""
    RAW = 101
    """The IPv4 or IPv6 header."""
    IPV4 = 228
    """The IPv4 header, always."""
    IPV6 = 229
    """The IPv6 header, always."""


class CapturedPacket(Protocol):
    """What can be written: a packet, when it was seen, and how long it was."""

    @property
    def time(self) -> float:
        """Seconds since the epoch."""

    @property
    def packet(self) -> bytes:
        """The bytes that were kept."""

    @property
    def length(self) -> int:
        """Bytes there were."""


class PcapWriter:
    """
    Writes captured packets to *file*, which stays the caller's to close.

    The file's header is written at once. Every write is whole packets; nothing is held back here.
    """

    def __init__(self, file: BinaryIO, linktype: int, snaplen: int = 262144) -> None:
        if snaplen < 1:
            raise ValueError(f"pcap: snaplen is {snaplen}, it must be at least 1 byte")
        self.linktype = linktype
        self.snaplen = snaplen
        """Bytes kept of a packet, at most."""
        self._file = file
        file.write(_FILE.pack(_MAGIC, 2, 4, 0, 0, snaplen, linktype))

    def write(self, packet: bytes, time: float, length: int | None = None) -> None:
        """
        Write one packet.

        Args:
            packet: Its bytes; what is beyond ``snaplen`` is cut off.
            time: Seconds since the epoch, rounded to the microsecond.
            length: Bytes it had before it was cut elsewhere.

        Raises:
            ValueError: If the time is before 1970 or after 2106, which a file has no room for.
        """
        self._file.write(self._record(packet, time, length))

    def write_many(self, captured: Iterable[CapturedPacket]) -> None:
        """Write a batch, in one write to the file. Raises like write(), and writes nothing of the batch then."""
        self._file.write(b"".join([self._record(one.packet, one.time, one.length) for one in captured]))

    def flush(self) -> None:
        """Pass on what the file object has buffered."""
        self._file.flush()

    def _record(self, packet: bytes, time: float, length: int | None) -> bytes:
        seconds, microseconds = divmod(round(time * 1_000_000), 1_000_000)
        if not 0 <= seconds < 2**32:
            raise ValueError(f"pcap: time is {time}, it must be 0 to {2**32 - 1} seconds")
        kept = packet[: self.snaplen]
        return _PACKET.pack(seconds, microseconds, len(kept), len(packet) if length is None else length) + kept
