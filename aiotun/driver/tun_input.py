"""From the writer of a tun to the stack: the steps of tunwrite() in DragonFly if_tun.c."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from ..errors import DeviceError, UnsupportedFamily
from ..pipeline import Batch, stage
from ..queueing import Classified
from .bpf import Direction
from .families import Family
from .netisr import Netisr
from .superpackets import wire_length
from .tun_mode import HEAD, OF_VERSION, TunMode, all_ip, family_by_version

__all__ = ["TUNMRU", "TunInput"]

TUNMRU = 16384
"""Bytes that one write may have, at most; more if the mtu was raised above it."""


class TunInput(TunMode):
    """The input path of a tun."""

    input_stages = (
        ("size", "_check_write"),
        ("bpf", "_bpf_input"),
        ("strip", "_strip"),
        ("count", "_count_input"),
        ("demux", "_demux"),
    )

    netisr: Netisr | None = None
    """Where families other than IPv4 and IPv6 may be registered."""

    def write_many(self, batch: Sequence[bytes]) -> int:
        if all(batch):
            return super().write_many(batch)
        for index, packet in enumerate(batch):
            try:
                super().write_many((packet,) if packet else ())  # a write of 0 bytes is nothing
            except DeviceError as error:
                error.sent = index
                raise
        return len(batch)

    def fitting(self, batch: Sequence[bytes]) -> int:
        if self.bare and all_ip(batch) and not self._misfits(batch):
            return len(batch)
        for index, packet in enumerate(batch):
            if self._misfits((packet,)) or not self._carried(self._written_family(packet)):
                return index
        return len(batch)

    # --- the steps --------------------------------------------------------------------------------

    @stage(reason="bad_size", superpackets=True)
    def _check_write(self, batch: Batch) -> Batch:
        misfits = self._misfits(batch)
        if not misfits:
            return batch
        packet = misfits[-1]
        if len(packet) < HEAD:
            self._write_refusal = self.short(packet)
        else:
            text = f"{self.name}: packet is {len(packet)} bytes, the driver takes {self._mru()}"
            self._write_refusal = DeviceError(text, errno.EIO)
        return [packet for packet in batch if not self._misfits((packet,))]

    @stage(superpackets=True)
    def _bpf_input(self, batch: Batch) -> Batch:
        if self.bpf:
            families = [self._written_family(packet) for packet in batch]
            self.bpf.ptap(families, [packet[HEAD:] for packet in batch] if self.with_head else batch, Direction.IN)
        return batch

    @stage(superpackets=True)
    def _strip(self, batch: Batch) -> Batch:
        """Take the family off each packet, and mark the packet with it."""
        if not self.with_head:
            return batch
        return [Classified(packet[HEAD:], self._written_family(packet)) for packet in batch]

    @stage(reason="unsupported_family", delivers=True, superpackets=True)
    def _demux(self, batch: Batch) -> Batch:
        """Give each packet to its protocol's queue. Modelled on netisr_queue()."""
        if self.with_head:
            fit = [packet for packet in batch if self._queue_by_family(packet)]
        else:
            fit = list(batch)
            if self.bare and not all_ip(fit):
                fit = [packet for packet in fit if packet and packet[0] >> 4 in OF_VERSION]
            self._stack(self, fit)
        if len(fit) < len(batch):
            text = f"{self.name}: a packet is of a family that the device does not carry"
            self._write_refusal = UnsupportedFamily(text)
        return fit

    # --- inside -----------------------------------------------------------------------------------

    def _queue_by_family(self, packet: bytes) -> bool:
        """Give a packet that said its family to the protocol; return whether there is one."""
        if isinstance(packet, Classified) and isinstance(packet.key, int):
            family, plain = packet.key, packet.packet
        else:  # a stage of the user's made a new packet of it
            family, plain = family_by_version(packet), packet
        if family in OF_VERSION.values():
            self._stack(self, [plain])
        elif self.netisr is not None and family in self.netisr.queues:
            self.netisr.queue(family, [plain], self)
        else:
            return False
        return True

    def _written_family(self, packet: bytes) -> int:
        """Return the family of what was written: what it says in front, or IPv4, or by its version if bare."""
        if self.with_head:
            return int.from_bytes(packet[:HEAD], "big")
        return family_by_version(packet) if self.bare else int(Family.INET)

    def _carried(self, family: int) -> bool:
        return family in OF_VERSION.values() or (self.netisr is not None and family in self.netisr.queues)

    def _mru(self) -> int:
        """Return how many bytes one write may have, the family in front of the packet included."""
        return max(TUNMRU, self.mtu + (HEAD if self.with_head else 0))

    def _misfits(self, batch: Sequence[bytes]) -> Sequence[bytes]:
        """Return the packets that are too long, or shorter than the family in front of them."""
        least = HEAD if self.with_head else 0
        most = self._mru()
        if len(max(batch, key=len, default=b"")) <= most and not least:
            return ()
        return [packet for packet in batch if not (least <= len(packet) and wire_length(packet) <= most)]
