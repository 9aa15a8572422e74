"""
The in-process tap driver: an Ethernet interface whose wire is an application.

One read is one frame, one write is one frame. Modelled on NetBSD sys/net/if_tap.c.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..endpoint.kinds import link_header
from .device import Device
from .interface import IFQ_MAXLEN, Flags, Stack

__all__ = ["TapDevice"]

# The driver's own prefix, locally administered; the other three bytes come from the uptime (tap_attach()).
PREFIX = bytes((0xF2, 0x0B, 0xA4))


class TapDevice(Device):
    """A tap interface and its device. Counts ``opackets`` when a frame is read or purged, as the driver does."""

    flags_at_start = Flags.BROADCAST | Flags.SIMPLEX | Flags.MULTICAST
    header = 14

    def __init__(
        self, name: str, stack: Stack, *, mtu: int = 1500, queue_length: int = IFQ_MAXLEN, mac: bytes | None = None
    ) -> None:
        super().__init__(name, stack, mtu=mtu, queue_length=queue_length)
        self.mac = mac or PREFIX + (time.monotonic_ns() // 1000 & 0xFFFFFF).to_bytes(3, "big")
        """The interface's hardware address."""

    def layer3_size(self, packet: bytes) -> int:
        """Leave VLAN tags out of account (ETHERCAP_VLAN_MTU)."""
        return len(packet) - link_header(packet)

    def start(self) -> None:
        self.flags |= Flags.OACTIVE
        super().start()

    def taken(self, batch: Sequence[bytes]) -> None:
        self.counts.opackets += len(batch)
        self.counts.obytes += sum(map(len, batch))
        if not self.snd:
            self.flags &= ~Flags.OACTIVE

    def accept(self, batch: Sequence[bytes]) -> None:
        """Input the frames. Modelled on tap_dev_write()."""
        self.input(list(batch))

    def purge(self, reason: str) -> list[bytes]:
        frames = super().purge(reason)
        self.taken(frames)
        return frames
