"""From the stack to the reader of a tun: the steps of tunoutput() and tunstart() in DragonFly if_tun.c."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

from ..batch import nbytes
from ..errors import UnsupportedFamily
from ..pipeline import Batch, stage
from ..queueing import prepend
from .bpf import Direction
from .families import Family, SockAddr
from .ifnet import UP
from .sigio import Band
from .tun_mode import HEAD, OF_VERSION, TunMode, all_ip, family_by_version

__all__ = ["TunOutput"]


class TunOutput(TunMode):
    """The output and start paths of a tun."""

    output_stages = (
        ("ready", "_check_ready"),
        ("classify", "_classify"),
        ("unspec", "_take_family"),
        ("size", "_check_size"),
        ("bpf", "_bpf_output"),
        ("segment", "_segment"),
        ("prepend", "_prepend"),
        ("enqueue", "_enqueue"),
        ("count", "_count_output"),
        ("start", "_start"),
    )
    start_stages = (
        ("enabled", "_check_enabled"),
        ("poll", "_poll"),
        ("wakeup", "_wakeup"),
        ("sigio", "_sigio"),
        ("filters", "_notify_filters"),
    )

    # Of the batch that is being output, if its sender said where it goes.
    _destination: SockAddr | None = None
    _family: int | None = None

    def output_to(self, destination: SockAddr, batch: Sequence[bytes]) -> int:
        """
        Output packets for one destination, which says their family; return how many were queued.

        AF_UNSPEC means that each packet begins with its family, 4 bytes in host order: a packet filter's write.
        Raises like output().
        """
        batches = [(packet,) for packet in batch] if destination.family is Family.UNSPEC else [batch]
        queued = 0
        try:
            for one in batches:
                self._destination, self._family = destination, int(destination.family)
                queued += len(self.output(one))
        finally:
            self._destination = self._family = None
        return queued

    def inject(self, packet: bytes) -> None:
        self.refusal = None
        if not self.output_to(SockAddr(Family.UNSPEC), (packet,)) and self.refusal is not None:
            raise self.refusal

    def is_ready(self) -> bool:
        return self.pid is not None and self._flags & UP != 0  # is_open and up, without two calls

    # --- the steps of output ----------------------------------------------------------------------

    @stage(reason="short_header", superpackets=True, when="_destination")
    def _take_family(self, batch: Batch) -> Batch:
        """Take the family off the packet that a packet filter wrote, and off copies that a user's stage made of it."""
        if self._family is None or self._family != Family.UNSPEC:
            return batch
        fit = [packet for packet in batch if len(packet) >= HEAD]
        if len(fit) < len(batch):
            self.refusal = self.short(min(batch, key=len))
        if fit:
            self._family = int.from_bytes(fit[0][:HEAD], sys.byteorder)
        return [packet[HEAD:] for packet in fit]

    @stage(superpackets=True, when="bpf.listeners")
    def _bpf_output(self, batch: Batch) -> Batch:
        if self.bpf:  # a probe around the stage calls it always
            self.bpf.ptap([self._family_of(packet) for packet in batch], batch, Direction.OUT)
        return batch

    @stage(reason="unsupported_family", superpackets=True)
    def _prepend(self, batch: Batch) -> Batch:
        """Put in front of each packet what the mode says; a family that the mode does not carry is EAFNOSUPPORT."""
        fit: list[bytes]
        if self.bare and self._family is None:
            if all_ip(batch):
                return batch
            fit = [packet for packet in batch if packet and packet[0] >> 4 in OF_VERSION]
        else:
            fit = [headed for packet in batch if (headed := self._headed(packet)) is not None]
        if len(fit) < len(batch):
            self.refusal = UnsupportedFamily(f"{self.name}: a packet is of a family that the device does not carry")
        return fit

    @stage(superpackets=True)
    def _count_output(self, batch: Batch) -> Batch:
        self.counts.opackets += len(batch)
        self.counts.obytes += nbytes(batch)
        return batch

    @stage(superpackets=True)
    def _start(self, batch: Batch) -> Batch:
        self._start_queued(batch)
        return batch

    # --- the steps of start that are a tun's own --------------------------------------------------

    @stage(superpackets=True, when="asynchronous")
    def _sigio(self, batch: Batch) -> Batch:
        self.signal(Band.POLL_IN)
        return batch

    # --- inside -----------------------------------------------------------------------------------

    def _family_of(self, packet: bytes) -> int:
        """Return a packet's family: as its sender said, or by its version; 0 if neither tells."""
        if self._family is not None:
            return self._family
        return family_by_version(packet)

    def _headed(self, packet: bytes) -> bytes | None:
        """Return the packet with its head, or None if its family is not carried."""
        family = self._family_of(packet)
        if self.with_head:
            return prepend(family.to_bytes(HEAD, "big"), packet) if family else None
        if self.bare:
            return packet if family in OF_VERSION.values() else None
        if family != Family.INET:
            return None
        return prepend(self._sockaddr(packet), packet) if self.lmode else packet

    def _sockaddr(self, packet: bytes) -> bytes:
        """Return the sockaddr of where an IPv4 packet goes: as its sender said, or as its header does."""
        if self._destination is not None and self._destination.family is not Family.UNSPEC:
            return self._destination.pack()
        return SockAddr(Family.INET, socket.inet_ntoa(packet[16:20].ljust(4, b"\0"))).pack()
