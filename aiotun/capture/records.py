"""What is read from a capture, as values."""

from __future__ import annotations

import attrs

from .blocks import Direction

__all__ = ["Recorded", "RecordedInterface", "RecordedStatistics"]


@attrs.frozen(kw_only=True)
class RecordedInterface:
    """An interface of a capture."""

    index: int
    """Its number, counted from 0 in each section."""
    linktype: int
    """What its packets begin with, a ``LinkType`` or another of https://www.tcpdump.org/linktypes.html."""
    snaplen: int
    """Bytes kept of a packet, at most; 0 is no limit."""
    name: str = ""
    description: str = ""
    filter: str = ""
    tsresol: int = 6
    """How times count: 10 to the power of minus this; with the highest of 8 bits set, 2 to that of the others."""
    tsoffset: int = 0
    """Seconds that are added to times."""

    def to_ns(self, units: int) -> int:
        """Return a time of the file in nanoseconds since the epoch."""
        power = self.tsresol & 0x7F
        scaled = units * 1_000_000_000
        return (scaled >> power if self.tsresol & 0x80 else scaled // 10**power) + self.tsoffset * 1_000_000_000


@attrs.frozen(kw_only=True)
class Recorded:
    """A packet of a capture."""

    packet: bytes
    """What was kept of it; a SuperPacket, if the capture says that it was one, and all of it was kept."""
    time_ns: int | None
    """Nanoseconds since the epoch; None in a simple packet block, which has no time."""
    length: int
    """Bytes it had."""
    interface: RecordedInterface
    direction: Direction | None = None
    """Which way it went, if the capture says so."""
    comments: tuple[str, ...] = ()
    dropped: int = 0
    """Packets that were lost between the one before and this, as far as the capture says."""
    packet_id: int | None = None
    """A number that the same packet has wherever else it is in the capture."""


@attrs.frozen(kw_only=True)
class RecordedStatistics:
    """What an interface counted, as its last statistics block says; None is not said."""

    received: int | None = None
    dropped: int | None = None
