"""The port of a kernel device with offload: super-packets out of it and into it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

import attrs

from ..batch import bounds
from ..endpoint import Capabilities, InterfaceCounters
from ..endpoint.moderation import PAUSE_FOR_TRAINS, full_packets
from ..errors import PacketError
from ..offload import Segmenter, segment
from ..packet import GSO_ECN, SuperPacket
from .calls import Read
from .constants import IFF_TAP
from .port import TRY_AGAIN, KernelPort
from .tunfile import TunFile
from .vnet_calls import WriteVector, read_vnet, reading_vnet_by, write_vnet, writing_vnet_by

__all__ = ["OffloadPort"]

CUT = 1024
"""Packets that one call makes of super-packets, about: more would keep the loop from its turn."""

REFUSED = "the kernel refused to take one: EINVAL"


class OffloadPort(KernelPort):
    """
    An open tun or tap with a vnet header before each packet. Owns the device.

    *read* and *write* are os.read() and os.writev(), to be replaced where a test injects errors.
    """

    superpackets = True

    def __init__(self, file: TunFile, *, read: Read = os.read, write: WriteVector = os.writev) -> None:
        assert file.offloading is not None
        self._offloading = file.offloading
        super().__init__(file)
        self._read_vnet = read_vnet if read is os.read else reading_vnet_by(read)
        self._write_vnet = write_vnet if write is os.writev else writing_vnet_by(write)
        self._read_batch = self._read
        self._write_batch = self._write
        self._weigh = full_packets
        self.readable.pause = PAUSE_FOR_TRAINS
        self._ethernet = bool(file.asked & IFF_TAP)
        self._segmenter = Segmenter(ethernet=self._ethernet)
        self._short = False  # the last read did not empty the device
        self._begun: bytes | None = None  # a super-packet that was cut, and was not written to its end
        self._left: list[bytes] = []  # what is still to be written of it
        self._room = CUT  # how many more of them this call may write

    @property
    def offload(self) -> frozenset[str]:  # type: ignore[override]  # the device's, which its other queues switch too
        return self._offloading.features

    @property
    def more(self) -> bool:  # type: ignore[override]
        return self._short or len(self._segmenter) > 0

    @property
    def capabilities(self) -> Capabilities:
        opened, now = self._opened, self._offloading
        off = {name: why for name, why in opened.off.items() if name not in now.flags}
        return attrs.evolve(opened, granted=opened.granted | now.flags, off=off | dict(now.off))

    @capabilities.setter
    def capabilities(self, opened: Capabilities) -> None:
        self._opened = opened

    def counters(self) -> InterfaceCounters | None:
        """Ask the kernel, for which a super-packet is one packet; and add those that could not be cut."""
        counters = super().counters()
        if counters is None or not self._segmenter.dropped:
            return counters
        return attrs.evolve(counters, dropped={**counters.dropped, **self._segmenter.dropped})

    def read_whole(self, limit: int) -> list[bytes]:
        batch = self._segmenter.take(limit) or super().read_many(limit)
        if self._offloading.unwanted and any(map(self._is_unwanted, batch)):
            self._segmenter.put(batch)
            batch = self._segmenter.take(limit)
        return batch

    def read_many(self, limit: int) -> list[bytes]:
        while not (batch := self._segmenter.take(limit)):
            batch = super().read_many(limit)
            if not batch or bounds(batch) is not None:  # nothing but plain bytes: no need to look at each
                break
            self._segmenter.put(batch)
        return batch

    def read_left(self) -> list[bytes]:
        left: list[bytes] = []
        while batch := self._segmenter.take(CUT):
            left += batch
        return left

    def _is_unwanted(self, packet: bytes) -> bool:
        return _is_of(packet, self._offloading.unwanted)

    # --- inside: what stands for read_batch() and write_batch() -----------------------------------

    def _read(self, fd: int, limit: int, size: int, /) -> tuple[list[bytes], int, int]:
        packets, ended, lost = self._read_vnet(fd, limit, size, self._offloading.header)
        self._short = not ended
        return packets, ended, lost

    def _write(self, fd: int, batch: Sequence[bytes], /) -> tuple[int, int]:
        """
        Write packets from the front of *batch*, super-packets in one piece where that is on.

        One that the kernel refuses (EINVAL) is cut and written again at once, and those of its kind are cut from then
        on: there are kernels that offer what they do not take.
        """
        at, self._room = 0, CUT
        while at < len(batch):
            whole = self._until_cut(batch, at)
            if whole > at:
                part = batch if whole - at == len(batch) else batch[at:whole]
                written, ended = self._write_vnet(fd, part, self._offloading.header)
                at += written
                if not ended:
                    continue
                if ended != errno.EINVAL or not isinstance(batch[at], SuperPacket):
                    return at, ended
            ended = self._write_cut(fd, batch[at], refused=at < whole)
            if ended:
                return at, ended
            at += 1
        return at, 0

    def _until_cut(self, batch: Sequence[bytes], start: int) -> int:
        """Return the index of the first packet from *start* on that is to be cut."""
        cut, begun = self._offloading.cut, self._begun
        if cut or begun is not None:
            for at in range(start, len(batch)):
                packet = batch[at]
                if packet is begun or _is_of(packet, cut):
                    return at
        return len(batch)

    def _write_cut(self, fd: int, packet: bytes, *, refused: bool) -> int:
        """
        Write what a super-packet stands for, what was not written before; return the errno that ended it, or 0.

        If the whole one was *refused* and its packets are not, those of its kind are cut from now on.
        """
        if packet is not self._begun:
            try:
                self._left = segment(packet, self._ethernet)  # its checksum alone, if there is nothing to cut
            except PacketError:
                return errno.EINVAL
            self._begun = packet
        if self._room <= 0:
            return errno.EAGAIN  # it goes on at the next call, after the loop had its turn
        written, ended = self._write_vnet(fd, self._left[: self._room], self._offloading.header)
        if refused and written and isinstance(packet, SuperPacket):
            self._offloading.refuse(packet.gso_type & ~GSO_ECN, REFUSED)
        self._room -= written
        del self._left[:written]
        if self._left and not ended:
            return errno.EAGAIN
        if not self._left or ended not in TRY_AGAIN:
            self._begun, self._left = None, []
        return ended


def _is_of(packet: bytes, types: frozenset[int]) -> bool:
    """Return whether it is a super-packet of one of these GSO types."""
    return isinstance(packet, SuperPacket) and packet.gso_type & ~GSO_ECN in types
