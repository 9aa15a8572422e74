"""What an interface shows of itself: its flags and its counters."""

from __future__ import annotations

import enum

import attrs

__all__ = ["OACTIVE", "RUNNING", "UP", "Counts", "Flags"]


class Flags(enum.IntFlag):
    """Interface flags, with the values of BSD sys/net/if.h."""

    UP = 0x1
    BROADCAST = 0x2
    POINTOPOINT = 0x10
    RUNNING = 0x40
    OACTIVE = 0x400
    SIMPLEX = 0x800
    MULTICAST = 0x8000


# Plain numbers for the hot paths: a test of an IntFlag takes ten times as long.
UP = int(Flags.UP)
RUNNING = int(Flags.RUNNING)
OACTIVE = int(Flags.OACTIVE)


@attrs.define
class Counts:
    """The interface's counters, as they run."""

    ipackets: int = 0
    ibytes: int = 0
    ierrors: int = 0
    """Packets whose input failed."""
    opackets: int = 0
    obytes: int = 0
    collisions: int = 0
    """Packets refused by a full send queue; the tun driver counts them here."""
    truncated: int = 0
    """Packets read into a buffer that was too small for them."""
