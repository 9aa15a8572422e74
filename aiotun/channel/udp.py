"""
A connected UDP socket as an endpoint: every packet is one datagram.

asyncio's DatagramTransport is not used: its send buffer has no bound. Here send waits while the
socket has no room, and what the network or the kernel loses is counted:

=======================  ======================================================================
``receive_buffer_full``  the kernel had no room in the socket's receive buffer (Linux)
``empty``                a datagram of 0 bytes came, which is no packet
``message_too_big``      longer than a datagram, or than the path carries unfragmented; not sent
``unreachable``          no route to the peer; not sent
``not_permitted``        a firewall forbids it; not sent
``refused``              the peer's port was reported closed again at the second try; not sent
``no_memory``            the kernel had no memory for it; not sent
``reported_lost``        the network reported datagrams lost that had been sent, by nobody listening
                         or a filter on the way; at least so many, and none of the others
=======================  ======================================================================
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable, Sequence

from ..endpoint import Endpoint, Event, EventKind, FdReadiness, InterfaceCounters, Port
from ..endpoint.forking import abandon_in_child, close_copy
from ..errors import DeviceError, device_error

__all__ = ["UdpChannel", "UdpPort"]

LARGEST = {socket.AF_INET: 65507, socket.AF_INET6: 65527}
"""Bytes in one datagram, at most: 65535 less the headers that its length field counts."""
HEADERS = {socket.AF_INET: 28, socket.AF_INET6: 48}
"""Bytes of IP and UDP header in front of a datagram."""

RECEIVE_SIZE = 65536

TOO_BIG = "message_too_big"
NOT_SENT = {
    errno.EMSGSIZE: TOO_BIG,
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETDOWN: "unreachable",
    getattr(errno, "EHOSTDOWN", 112): "unreachable",
    errno.EADDRNOTAVAIL: "unreachable",
    errno.EPERM: "not_permitted",
    errno.EACCES: "not_permitted",
    errno.ECONNREFUSED: "refused",
    errno.ENOBUFS: "no_memory",
    errno.ENOMEM: "no_memory",
}
"""Why a datagram was not sent: these end neither the batch nor the endpoint."""

# What an earlier datagram met, told at the next call on the socket: the fatal rows of icmp_err_convert[]
# in Linux net/ipv4/icmp.c; Windows says ECONNRESET.
REPORTS = {
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ENOPROTOOPT,
    errno.EMSGSIZE,
    getattr(errno, "EHOSTDOWN", 112),
    getattr(errno, "ENONET", 64),
}

# Linux include/uapi/linux/udp.h, asm-generic/socket.h and linux/sock_diag.h; ip(7), ipv6(7).
UDP_SEGMENT = 103
SO_MEMINFO = 55
MEMINFO = struct.Struct("=9I")  # SK_MEMINFO_DROPS is the last
PATH_MTU = {socket.AF_INET: (socket.IPPROTO_IP, 14), socket.AF_INET6: (socket.IPPROTO_IPV6, 24)}
SEGMENT_SIZE = struct.Struct("=H")
SEGMENTS = 64
"""Datagrams in one system call, at most: UDP_MAX_SEGMENTS of kernels before 6.9."""


class UdpPort(Port):
    """
    A connected, non-blocking UDP socket as an endpoint sees it. Owns the socket.

    A run of datagrams of one size goes to the kernel in one call (UDP_SEGMENT): 0.6 us each at
    1420 bytes over loopback against 4.9 us for send(). The receiving twin, UDP_GRO, would save another
    1 us, but then the kernel counts a lost buffer of up to 64 datagrams as one drop.
    """

    def __init__(self, sock: socket.socket, name: str) -> None:
        family = sock.family
        self._socket = sock
        self._headers, self._path_mtu = HEADERS[family], PATH_MTU[family]
        self.name = name
        self.mtu = LARGEST[family]
        self.readable = FdReadiness(f"receiving from {name}", sock.fileno())
        self.writable = FdReadiness(f"sending to {name}", sock.fileno(), writing=True)
        self._tell: Callable[[Event], None] | None = None
        self._sent = self._sent_bytes = self._received = self._received_bytes = 0
        self._dropped: Counter[str] = Counter()
        self._overflow = 0
        self._segment_limit = self.mtu if _can_segment(sock) else 0
        abandon_in_child(self)

    def fileno(self) -> int:
        return self._socket.fileno()

    def read_many(self, limit: int) -> list[bytes]:
        batch: list[bytes] = []
        append = batch.append
        recv = self._socket.recv
        tries = iter(range(limit))  # a report costs one, and ends nothing
        while True:
            try:
                # recv() allocates, and gives back what it did not need: quicker than recv_into() and a copy.
                for _ in tries:
                    append(recv(RECEIVE_SIZE))
                break
            except BlockingIOError:
                break
            except OSError as error:
                if not self._reported(error):
                    if batch:  # it comes again at the next call, after what was read is safe
                        break
                    raise self._error(error, "receive") from error
        if b"" in batch:
            self._dropped["empty"] += batch.count(b"")
            batch = list(filter(None, batch))
        self._received += len(batch)
        self._received_bytes += sum(map(len, batch))
        return batch

    def write_many(self, batch: Sequence[bytes]) -> int:
        sent = 0
        while sent < len(batch):
            run = self._run(batch, sent)
            try:
                self._push(batch[sent : sent + run])
            except BlockingIOError:
                break
            except OSError as error:
                if run > 1 and NOT_SENT.get(error.errno or 0, TOO_BIG) == TOO_BIG:
                    # Maybe one by one they pass; no run of this size again.
                    self._segment_limit = len(batch[sent]) - 1
                    continue
                self._not_sent(error, run, sent)
            sent += run
        return sent

    def is_up(self) -> bool:
        return True

    def refresh(self) -> None:
        """Nothing of a socket changes under us."""

    def counters(self) -> InterfaceCounters:
        """
        Return what went through the socket; ``ipackets`` were sent, ``opackets`` received.

        Of *n* packets given to send(), ``n - ipackets`` are in ``dropped``.
        """
        self._count_overflow()
        return InterfaceCounters(
            ipackets=self._sent,
            ibytes=self._sent_bytes,
            opackets=self._received,
            obytes=self._received_bytes,
            dropped=dict(self._dropped),
        )

    def watch(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell

    def disarm(self) -> None:
        self._tell = None
        self.readable.disarm()
        self.writable.disarm()

    async def aclose(self) -> None:
        self.close_now()

    def close_now(self) -> None:
        self.disarm()
        self._socket.close()

    def abandon(self) -> None:
        """See Abandoning."""
        close_copy(self._socket.detach())

    def detach(self) -> int:
        self.disarm()
        return self._socket.detach()

    # --- inside -----------------------------------------------------------------------------------

    def _run(self, batch: Sequence[bytes], start: int) -> int:
        """Return how many packets from *start* on are of one size, the last of them maybe shorter."""
        size = len(batch[start])
        if not 0 < size <= self._segment_limit:
            return 1
        end = limit = min(len(batch), start + min(SEGMENTS, self.mtu // size))
        for index in range(start + 1, limit):
            other = len(batch[index])
            if other != size:
                end = index + 1 if 0 < other < size else index
                break
        return max(end - start, 1)

    def _push(self, run: Sequence[bytes]) -> None:
        """Send a run in one call. An earlier datagram's failure, which the call reports first, costs a second try."""
        try:
            self._send(run)
        except ConnectionError as error:
            if not self._reported(error):
                raise
            self._send(run)
        self._sent += len(run)
        self._sent_bytes += sum(map(len, run))

    def _send(self, run: Sequence[bytes]) -> None:
        if len(run) == 1:
            self._socket.send(run[0])
        else:
            size = SEGMENT_SIZE.pack(len(run[0]))
            self._socket.sendmsg(run, [(socket.IPPROTO_UDP, UDP_SEGMENT, size)])

    def _reported(self, error: OSError) -> bool:
        """Count *error* if it is the network's report about a datagram sent earlier."""
        if error.errno not in REPORTS:
            return False
        self._dropped["reported_lost"] += 1
        return True

    def _not_sent(self, error: OSError, run: int, sent: int) -> None:
        """Count the packets that could not be sent; what is wrong with the endpoint itself is raised."""
        reason = NOT_SENT.get(error.errno or 0)
        if reason is None:
            translated = self._error(error, "send")
            translated.sent = sent
            raise translated from error
        self._dropped[reason] += run
        if reason == TOO_BIG and self._tell is not None:
            with contextlib.suppress(OSError):  # not every system tells
                self._tell(Event(EventKind.MTU, self._socket.getsockopt(*self._path_mtu) - self._headers))

    def _count_overflow(self) -> None:
        """
        Bring ``receive_buffer_full`` up to date.

        Asked of the socket only when somebody looks, where SO_RXQ_OVFL would make every
        datagram a recvmsg(), 0.7 us dearer, and would not tell of the last drops at all.
        """
        if sys.platform != "linux":
            return
        with contextlib.suppress(OSError):
            drops = MEMINFO.unpack(self._socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size))[-1]
            new = (drops - self._overflow) & 0xFFFFFFFF
            self._overflow = drops
            if new:
                self._dropped["receive_buffer_full"] += new

    def _error(self, error: OSError, doing: str) -> DeviceError:
        return device_error(error, f"{self.name}: cannot {doing}: {error.strerror}")


class UdpChannel(Endpoint):
    """
    A UDP socket between two addresses, with the face of every endpoint; made by open_udp().

    Sending waits while the socket has no room. Nothing that happens to one datagram ends the channel.
    """

    __slots__ = ()
    kind = "udp"


def _can_segment(sock: socket.socket) -> bool:
    """Return whether the kernel cuts a buffer into datagrams: Linux 4.18 and later."""
    if sys.platform != "linux":
        return False
    try:
        sock.getsockopt(socket.IPPROTO_UDP, UDP_SEGMENT)
    except OSError:
        return False
    return True
