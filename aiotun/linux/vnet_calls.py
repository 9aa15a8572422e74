"""Batches of read() and writev() on a device with vnet headers: packets and super-packets, without their headers."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence

from ..errors import PacketError
from ..offload import complete
from ..packet import SuperPacket, pack_vnet, parse_vnet
from ..speedups import twin
from .calls import Read

__all__ = [
    "ARENA",
    "ReadVnet",
    "WriteVnet",
    "WriteVector",
    "read_vnet",
    "reading_vnet_by",
    "write_vnet",
    "writing_vnet_by",
]

ARENA = 256 * 1024
"""Bytes that are read in one batch, about: a batch of 64 super-packets would be 4 MiB, which no cache holds."""

WriteVector = Callable[[int, Sequence[bytes]], int]
"""os.writev(), or what stands in for it."""
ReadVnet = Callable[[int, int, int, int], tuple[list[bytes], int, int]]
WriteVnet = Callable[[int, Sequence[bytes], int], tuple[int, int]]


def reading_vnet_by(read: Read) -> ReadVnet:
    """Return read_vnet() made of calls of *read*."""

    def read_vnet(fd: int, limit: int, size: int, header: int, /) -> tuple[list[bytes], int, int]:
        """
        Read up to *limit* packets of up to *size* bytes, each behind a vnet header of *header* bytes. Does not wait.

        What is to be cut becomes a SuperPacket. What only lacks its checksum gets it, and is plain bytes: that takes
        less than to carry along what is missing. Stops early once there may be no room for one more in 256 KiB.

        Returns:
            As read_batch(): the packets; the errno that ended the batch, or 0, but EPROTO if one was shorter than its
            header, which is left out; and how many were lost for want of memory.
        """
        packets: list[bytes] = []
        room, short = ARENA, 0
        try:
            while len(packets) + short < limit and (room >= size + header or room == ARENA):
                octets = read(fd, size + header)
                room -= len(octets)
                if len(octets) < header:
                    short += 1
                else:
                    packets.append(_finish(parse_vnet(octets, header)))
        except BlockingIOError:
            ended = errno.EAGAIN
        except MemoryError:
            ended = errno.ENOMEM
        except OSError as error:
            ended = error.errno or errno.EIO
        else:
            ended = 0
        return packets, errno.EPROTO if short else ended, 0

    return read_vnet


def writing_vnet_by(write: WriteVector) -> WriteVnet:
    """Return write_vnet() made of calls of *write*."""

    def write_vnet(fd: int, batch: Sequence[bytes], header: int, /) -> tuple[int, int]:
        """
        Write packets from the front of *batch*, each behind its vnet header of *header* bytes. Does not wait.

        Returns:
            As write_batch(): how many the device took; and the errno that ended it, or 0.
        """
        plain = bytes(header)
        for written, packet in enumerate(batch):
            try:
                front = pack_vnet(packet, header) if isinstance(packet, SuperPacket) else plain
                took = write(fd, (front, packet))
            except BlockingIOError:
                return written, errno.EAGAIN
            except PacketError:  # a field has no room in the header
                return written, errno.EINVAL
            except OSError as error:
                return written, error.errno or errno.EIO
            if took != header + len(packet):
                return written, errno.EPROTO
        return len(batch), 0

    return write_vnet


def _finish(packet: bytes) -> bytes:
    """Complete the checksum of what is one packet; one that cannot be is for who segments to refuse."""
    if isinstance(packet, SuperPacket) and not packet.gso_type:
        try:
            return complete(packet)
        except PacketError:
            pass
    return packet


read_vnet = twin(reading_vnet_by(os.read))
write_vnet = twin(writing_vnet_by(os.writev))
