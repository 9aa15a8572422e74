"""
The in-process tun driver: a point-to-point interface that carries IPv4 and IPv6 packets.

One read is one packet, one write is one packet. Modelled on DragonFly sys/net/tun/if_tun.c.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..endpoint.kinds import FAMILIES
from ..errors import UnsupportedFamily
from .device import Device
from .interface import Flags

__all__ = ["TunDevice"]


class TunDevice(Device):
    """A tun interface and its device. Counts ``opackets`` when a packet is queued, as the driver does."""

    flags_at_start = Flags.POINTOPOINT | Flags.MULTICAST

    def classify(self, batch: Sequence[bytes]) -> Sequence[bytes]:
        """Keep IPv4 and IPv6; another family is EAFNOSUPPORT to the drivers, a counted drop in a batch."""
        fit = [packet for packet in batch if packet and packet[0] >> 4 in FAMILIES]
        if len(fit) < len(batch):
            self.counts.oerrors += len(batch) - len(fit)
            self.drop("unsupported_family", len(batch) - len(fit))
        return fit

    def queued(self, batch: Sequence[bytes]) -> None:
        self.counts.opackets += len(batch)
        self.counts.obytes += sum(map(len, batch))

    def accept(self, batch: Sequence[bytes]) -> None:
        """Input the packets up to the first of an unknown family. Modelled on tunwrite()."""
        for index, packet in enumerate(batch):
            if packet and packet[0] >> 4 not in FAMILIES:  # a write of 0 bytes is nothing
                self.input([packet for packet in batch[:index] if packet])
                self.counts.ierrors += 1
                error = UnsupportedFamily(f"{self.name}: packet begins with 0x{packet[0]:02x}, neither IPv4 nor IPv6")
                error.sent = index
                raise error
        self.input([packet for packet in batch if packet])
