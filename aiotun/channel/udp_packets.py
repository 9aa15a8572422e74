"""
Packets over a connected UDP socket, super-packets among them.

A super-packet is cut where it is sent, and the packets of a train are merged where they are received: what is one on
one side is one on the other. In C no packet in between is an object of Python; see benchmarks/udp_tunnel.py.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Sequence

from .. import speedups
from ..batch import nbytes
from ..endpoint import BATCH
from ..endpoint.moderation import full_packets
from ..errors import PacketError
from ..offload import Segmenter, coalesce, segment
from ..packet import GSO_UDP_TUNNEL, SuperPacket
from ..speedups import twin
from .udp import UdpPort
from .udp_datagrams import RECEIVE_SIZE, recv_datagrams, send_datagrams
from .udp_reports import REPORTS
from .udp_socket import HARMLESS, LATER, UdpSocket

__all__ = ["UdpPacketPort", "recv_packets", "send_packets"]

PIECES = 512
"""Datagrams that one call of the system is made for."""

AT_ONCE = 256
"""Datagrams that are received at a time: four trains, or five, where a batch of packets would be one."""


@twin
def recv_packets(
    sock: socket.socket, limit: int, gro: bool, ethernet: bool, /
) -> tuple[list[bytes], int, int, int, int, int, int]:
    """
    Receive what recv_datagrams() does, and return what coalesce() makes of it. Does not wait.

    In C it is made of 64 trains at a time, at most.

    Args:
        sock: A non-blocking socket, connected.
        limit: Datagrams, at most; a train that begins below it is taken whole.
        gro: Whether trains are to be expected (UDP_GRO).
        ethernet: Whether the packets are frames.

    Returns:
        The packets; the errno that ended it, 0 if the limit did; of datagrams, how many came, and their bytes; and how
        many were empty, cut off and lost, as recv_datagrams() says it.
    """
    runs, ended, empty, cut, lost = recv_datagrams(sock, limit, RECEIVE_SIZE, False, gro)
    datagrams = runs[0][2] if runs else []
    return coalesce(datagrams, ethernet), ended, len(datagrams), nbytes(datagrams), empty, cut, lost


@twin
def send_packets(
    sock: socket.socket, batch: Sequence[bytes], first: int, longest: int, ethernet: bool, /
) -> tuple[int, int, int, int, int]:
    """
    Send packets, and what super-packets stand for, from the front of *batch*. Does not wait.

    Args:
        sock: A non-blocking socket, connected.
        batch: Packets, the first of which goes from its segment *first* on.
        first: See there; 0 for a plain packet.
        longest: Datagrams of up to so many bytes may go in trains; 0 where the kernel takes none.
        ethernet: Whether the packets are frames.

    Returns:
        How many packets went whole, and how many segments of the next one; the errno that ended it, 0 if all went,
        EINVAL also for one that cannot be cut, or is in a tunnel: that is for the caller; how many datagrams went, and
        their bytes.

    Raises:
        ValueError: If *first* or *longest* is negative.
    """
    if first < 0 or longest < 0:
        raise ValueError("a segment's number and size are 0 or more")
    packet, count, size = 0, 0, 0
    while packet < len(batch):
        pieces: list[bytes] = []
        ends: list[tuple[int, int]] = []
        place, number, unfit = packet, first, False
        while place < len(batch) and len(pieces) < PIECES and not unfit:
            found = _segments(batch[place], ethernet, number)
            unfit = found is None
            if found:
                pieces += found
                ends += [(place, number + one) for one in range(1, len(found) + 1)]
                number += len(found)
            if found is not None and len(found) < PIECES:
                place, number = place + 1, 0
                if found:
                    ends[-1] = place, number
        sent, ended, _ = send_datagrams(sock, ((None, None, pieces),), longest) if pieces else (0, 0, 0)
        count += sent
        size += nbytes(pieces[:sent])
        if sent < len(pieces):
            packet, first = ends[sent - 1] if sent else (packet, first)
            return packet, first, ended, count, size
        packet, first = place, number
        if unfit:
            return packet, first, errno.EINVAL, count, size
    return packet, first, 0, count, size


def _segments(packet: bytes, ethernet: bool, first: int) -> list[bytes] | None:
    """Return the next finished packets of one, up to PIECES; None if they are for the caller."""
    if isinstance(packet, SuperPacket) and packet.gso_type & GSO_UDP_TUNNEL:
        return None
    try:
        return segment(packet, ethernet, first, PIECES)
    except PacketError:
        return None


class UdpPacketPort(UdpPort):
    """A connected UDP socket that carries IP packets, or frames. Owns the socket."""

    superpackets = True
    burst = BATCH  # each of up to 64 KiB

    def __init__(self, udp: UdpSocket, *, ethernet: bool) -> None:
        super().__init__(udp)
        self.ethernet = ethernet
        self._segmenter = Segmenter(ethernet=ethernet)  # what was received beyond what was asked for
        self._begun: bytes | None = None  # a super-packet that was not sent to its end
        self._first = 0  # how many segments of it were

    def read_whole(self, limit: int) -> list[bytes]:
        if self.ahead or not speedups.active:  # in Python to merge takes longer than it saves
            return self.read_many(limit)
        batch, ended = self._receive(max(limit, AT_ONCE))
        if len(batch) > limit:
            self._segmenter.put(batch[limit:])
            del batch[limit:]
        self.more = self.ahead > 0 or not ended
        if not self.more:
            self.readable.emptied(full_packets(batch))
        if not batch:
            self._udp.hear()
        return batch

    def read_many(self, limit: int) -> list[bytes]:
        batch = self._segmenter.take(limit)
        if not batch:
            return super().read_many(limit)
        self.more = True  # as far as anybody knows
        return batch

    def read_left(self) -> list[bytes]:
        return [*self._segmenter.take(sys.maxsize), *super().read_left()]

    def write_many(self, batch: Sequence[bytes]) -> int:
        done, first = 0, self._first if batch and batch[0] is self._begun else 0
        while done < len(batch):
            sent, first, ended = self._send(batch[done:] if done else batch, first)
            done += sent
            if not ended or ended in LATER:
                break
            # Whatever this packet met with: its segments meet it one by one.
            sent, whole = self._send_singly(batch[done], first)
            if not whole:
                first += sent
                break
            done, first = done + 1, 0
        self._begun, self._first = (batch[done], first) if done < len(batch) else (None, 0)
        return done

    @property
    def ahead(self) -> int:
        return super().ahead + len(self._segmenter)

    # --- inside -----------------------------------------------------------------------------------

    def _receive(self, limit: int) -> tuple[list[bytes], int]:
        """Return packets of up to *limit* datagrams, and the errno that ended it; raise as UdpSocket.recv()."""
        udp, packets, ended = self._udp, list[bytes](), 0
        for _ in range(limit):  # a report costs one, and ends nothing
            packets, ended, count, size, empty, cut, lost = recv_packets(
                udp.socket, limit, udp.offload.gro, self.ethernet
            )
            udp.received += count
            udp.received_bytes += size
            if empty or cut or lost:
                udp.dropped.update(empty=empty, truncated=cut, no_memory=lost)
            if ended not in REPORTS:
                break
            udp.hear(ended)
            if packets:
                break
        if ended not in HARMLESS and not packets:
            raise udp.error(ended, "receive")
        return packets, ended

    def _send(self, batch: Sequence[bytes], first: int) -> tuple[int, int, int]:
        """Send what send_packets() can; return how many packets went, how many segments more, and what ended it."""
        udp = self._udp
        packets, first, ended, count, size = send_packets(udp.socket, batch, first, udp.offload.segment, self.ethernet)
        udp.sent += count
        udp.sent_bytes += size
        return packets, first, ended

    def _send_singly(self, packet: bytes, first: int) -> tuple[int, bool]:
        """Send a packet from its segment *first* on; return how many are done with, and whether that is all."""
        try:
            pieces = segment(packet, self.ethernet, first)
        except PacketError as error:
            self._udp.dropped[error.reason] += 1
            return 0, True
        done = super().write_many(pieces)
        return done, done == len(pieces)
