"""
Batches of datagrams: as many as there are in one call, in and out.

A *run* is what goes one way together: ``(address, local, datagrams)``, the peer's address (None on a connected
socket), ours if it is known, and datagrams in order. A *train* is datagrams of one size, the last of them maybe
shorter, that the kernel takes or gives as one buffer: UDP_SEGMENT and UDP_GRO, Linux 4.18 and 5.0.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Sequence
from typing import Any

from ..speedups import twin
from .udp_address import Address, address_of, packed_address, packed_source, sockaddr

__all__ = ["RECEIVE_SIZE", "UDP_GRO", "UDP_SEGMENT", "Arrived", "Run", "recv_datagrams", "send_datagrams"]

Run = tuple[Address | None, str | None, Sequence[bytes]]
Arrived = tuple[Address | None, str | None, list[bytes]]
"""A run as it is received."""

RECEIVE_SIZE = 65536
"""Bytes offered to every datagram, or train of them: the kernel cuts off what is longer."""

# Linux include/uapi/linux/udp.h, in.h and in6.h.
UDP_SEGMENT = 103
UDP_GRO = 104
IP_PKTINFO = 8
IPV6_PKTINFO = 50
IN_PKTINFO = struct.Struct("=i4s4s")  # interface, our address, the header's destination
IN6_PKTINFO = struct.Struct("=16si")

CONTROL = 128
"""Bytes of control messages received with a datagram."""

INT = struct.Struct("=i")
SEGMENT_SIZE = struct.Struct("=H")
SEGMENTS = 64
"""Datagrams in a train, at most: UDP_MAX_SEGMENTS of kernels before 6.9."""
TRAIN = 65507
"""Bytes in a train, at most: what one IPv4 datagram can have."""

CUT = getattr(socket, "MSG_TRUNC", 0) | getattr(socket, "MSG_CTRUNC", 0)


@twin
def recv_datagrams(
    sock: socket.socket, limit: int, size: int, addressed: bool, gro: bool, /
) -> tuple[list[Arrived], int, int, int, int]:
    """
    Receive datagrams until *limit* is reached; a train that begins below it is taken whole. Does not wait.

    Args:
        sock: A non-blocking socket.
        limit: Datagrams, at most.
        size: Bytes of room for each, or for a train.
        addressed: Whether to tell the sources; not of a connected socket.
        gro: Whether trains are to be expected (UDP_GRO).

    Returns:
        Runs, each of datagrams that follow one another from one source; the errno that ended it, 0 if the limit did
        (EAGAIN: nothing is left); and how many were empty, how many were cut off, of which nothing is kept, and how
        many were lost as Python had no memory for them.
    """
    if not 1 <= size <= RECEIVE_SIZE:
        raise ValueError(f"a datagram has room for 1 to {RECEIVE_SIZE} bytes, not {size}")
    runs: list[Arrived] = []
    last: tuple[Any, str | None] | None = None
    datagrams: list[bytes] = []
    count = empty = cut = 0
    ended = 0
    plain = not (addressed or gro) and size == RECEIVE_SIZE  # nothing is longer
    local = source = None
    control: list[tuple[int, int, bytes]] = []
    flags = 0
    while count + empty + cut < limit:
        try:
            if plain:  # recv() allocates, and gives back what it did not need: quicker than recvmsg()
                buffer = sock.recv(size)
            else:
                buffer, control, flags, source = sock.recvmsg(size, CONTROL)
        except OSError as error:
            ended = error.errno or errno.EIO
            break
        if flags & CUT:  # where its datagrams end nobody knows
            cut += 1
            continue
        if not buffer:
            empty += 1
            continue
        segment, local = _read_control(control)
        if last != (source, local) or not runs:
            last = source, local
            datagrams = []
            runs.append((address_of(source) if addressed else None, local, datagrams))
        if segment and segment < len(buffer):
            pieces = [buffer[at : at + segment] for at in range(0, len(buffer), segment)]
            datagrams += pieces
            count += len(pieces)
        else:
            datagrams.append(buffer)
            count += 1
    return runs, ended, empty, cut, 0


@twin
def send_datagrams(sock: socket.socket, runs: Sequence[Run], segment: int, /) -> tuple[int, int, int]:
    """
    Send runs of datagrams in order. Does not wait.

    Args:
        sock: A non-blocking socket; a connected one sends runs whose address is None.
        runs: What to send. A run's local address is the one it shall come from, None leaves it to the system.
        segment: Datagrams of up to so many bytes may go in trains; 0 where the kernel takes none.

    Returns:
        How many datagrams went; the errno that ended it, 0 if all went; and how many datagrams were refused with it at
        once, those of a train.

    Raises:
        TypeError: If the first that is left is not bytes; what stands before it goes first.
        ValueError: If its address is none.
    """
    sent = 0
    train: Sequence[bytes] = ()
    try:
        for address, local, batch in runs:
            to = () if address is None else (0, sockaddr(address, sock.family))
            source = [] if local is None else [_source(local, sock.family)]
            start = 0
            while start < len(batch):
                train = batch[start : start + _train(batch, start, segment)]
                _push(sock, train, source, to)
                start += len(train)
                sent += len(train)
    except OSError as error:
        return sent, error.errno or errno.EIO, len(train)
    except (TypeError, ValueError):
        if not sent:
            raise
    return sent, 0, 0


def _push(sock: socket.socket, train: Sequence[bytes], control: list[Any], to: tuple[Any, ...]) -> None:
    for datagram in train:
        if not isinstance(datagram, bytes):
            raise TypeError(f"a datagram is bytes, not {type(datagram).__name__}")
    if len(train) > 1:
        size = SEGMENT_SIZE.pack(len(train[0]))
        sock.sendmsg(train, [*control, (socket.IPPROTO_UDP, UDP_SEGMENT, size)], *to)
    elif control or to:
        sock.sendmsg(train, control, *to)
    else:
        sock.send(train[0])


def _train(batch: Sequence[bytes], start: int, segment: int) -> int:
    """Return how many datagrams from *start* on go together; at least 1."""
    size = len(batch[start])
    if not 0 < size <= segment:
        return 1
    count, total = 1, size
    for at in range(start + 1, min(len(batch), start + SEGMENTS)):
        length = len(batch[at])
        total += length
        if not 0 < length <= size or total > TRAIN:
            break
        count += 1
        if length < size:
            break
    return count


def _read_control(control: list[tuple[int, int, bytes]]) -> tuple[int, str | None]:
    """Return the size that a train's datagrams have, 0 if it is one, and the address of ours it was sent to."""
    segment, local = 0, None
    for level, kind, value in control:
        if (level, kind) == (socket.IPPROTO_UDP, UDP_GRO) and len(value) >= INT.size:
            segment = max(0, INT.unpack_from(value)[0])
        elif (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO) and len(value) >= IN_PKTINFO.size:
            local = packed_address(IN_PKTINFO.unpack_from(value)[1])
        elif (level, kind) == (socket.IPPROTO_IPV6, IPV6_PKTINFO) and len(value) >= IN6_PKTINFO.size:
            local = packed_address(*IN6_PKTINFO.unpack_from(value))
    return segment, local


def _source(local: str, family: int) -> tuple[int, int, bytes]:
    """Return the control message that names the address to send from."""
    octets, scope = packed_source(local, family)
    if family == socket.AF_INET:
        return socket.IPPROTO_IP, IP_PKTINFO, IN_PKTINFO.pack(0, octets, bytes(4))
    return socket.IPPROTO_IPV6, IPV6_PKTINFO, IN6_PKTINFO.pack(octets, scope)
