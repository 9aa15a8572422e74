"""
Packets over a connected UDP socket, super-packets among them.

A super-packet is cut where it is sent, and the packets of a train are merged where they are received: what is one on
one side is one on the other. In C no packet in between is an object of Python; see benchmarks/udp_tunnel.py.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from ..batch import nbytes
from ..errors import PacketError
from ..offload import coalesce, segment
from ..packet import GSO_UDP_TUNNEL, SuperPacket
from ..speedups import twin
from .udp_datagrams import RECEIVE_SIZE, recv_datagrams, send_datagrams

__all__ = ["PIECES", "recv_packets", "send_packets"]

PIECES = 512
"""Datagrams that one call of the system is made for, and that go before the loop has a turn where none go in trains."""


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
    sock: socket.socket, batch: Sequence[bytes], first: int, longest: int, limit: int, ethernet: bool, /
) -> tuple[int, int, int, int, int]:
    """
    Send packets, and what super-packets stand for, from the front of *batch*. Does not wait.

    Args:
        sock: A non-blocking socket, connected.
        batch: Packets, the first of which goes from its segment *first* on.
        first: See there; 0 for a plain packet.
        longest: Datagrams of up to so many bytes may go in trains; 0 where the kernel takes none.
        limit: Datagrams to send, at most: a super-packet may stand for 65,000.
        ethernet: Whether the packets are frames.

    Returns:
        How many packets went whole, and how many segments of the next one; the errno that ended it, 0 if all went,
        EAGAIN also at the limit, EINVAL also for one that cannot be cut, or is in a tunnel: that is for the caller; how
        many datagrams went, and their bytes.

    Raises:
        ValueError: If *first* or *longest* is negative.
    """
    if first < 0 or longest < 0:
        raise ValueError("a segment's number and size are 0 or more")
    packet, count, size = 0, 0, 0
    while packet < len(batch):
        room = min(limit - count, PIECES)
        if room <= 0:
            return packet, first, errno.EAGAIN, count, size
        pieces: list[bytes] = []
        ends: list[tuple[int, int]] = []
        place, number, unfit = packet, first, False
        while place < len(batch) and len(pieces) < room and not unfit:
            most = room - len(pieces)
            found = _segments(batch[place], ethernet, number, most)
            unfit = found is None
            if found:
                pieces += found
                ends += [(place, number + one) for one in range(1, len(found) + 1)]
                number += len(found)
            if found is not None and (len(found) < most or not _segments(batch[place], ethernet, number, 1)):
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


def _segments(packet: bytes, ethernet: bool, first: int, limit: int) -> list[bytes] | None:
    """Return the next finished packets of one; None if they are for the caller."""
    if isinstance(packet, SuperPacket) and packet.gso_type & GSO_UDP_TUNNEL:
        return None
    try:
        return segment(packet, ethernet, first, limit)
    except PacketError:
        return None
