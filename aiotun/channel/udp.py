"""
A connected UDP socket as an endpoint: every packet is one datagram.

asyncio's DatagramTransport is not used: its send buffer has no bound. Here send waits while the socket has no room, and
what the network or the kernel loses is counted; udp_socket.py says under which names.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from ..endpoint import Capabilities, Event, FdReadiness, InterfaceCounters, SteadyPort
from ..endpoint.moderation import PAUSE_FOR_TRAINS, ModeratedReadiness, full_packets
from .channel import Channel
from .udp_address import Address, address_of
from .udp_notices import HEADERS, Notices
from .udp_offload import OffloadSwitches, UdpOffload
from .udp_socket import UdpSocket

__all__ = ["UdpChannel", "UdpPort"]

LONGEST = 64
"""Datagrams of a train that is received, at most: UDP_GRO_CNT_MAX in Linux net/ipv4/udp_offload.c."""

# ip(7), ipv6(7)
PATH_MTU = {socket.AF_INET: (socket.IPPROTO_IP, 14), socket.AF_INET6: (socket.IPPROTO_IPV6, 24)}


class UdpPort(SteadyPort):
    """A connected, non-blocking UDP socket as an endpoint sees it. Owns the socket."""

    def __init__(self, udp: UdpSocket) -> None:
        self._udp = udp
        self.name = udp.name
        self.mtu = udp.mtu
        receiving = ModeratedReadiness(f"receiving from {self.name}", udp.fileno(), pause=PAUSE_FOR_TRAINS)
        self.readable: ModeratedReadiness = receiving
        self.writable: FdReadiness = FdReadiness(f"sending to {self.name}", udp.fileno(), writing=True)
        self._notices = Notices(udp.dropped)
        self._ahead: deque[bytes] = deque()  # the rest of a train, beyond what was asked for
        udp.on_notice = self._notices.take
        udp.on_error = self._watch_anew

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]
        return self._udp.offload.capabilities()

    @property
    def burst(self) -> int:  # type: ignore[override]
        return self._udp.burst

    def fileno(self) -> int:
        return self._udp.fileno()

    def read_many(self, limit: int) -> list[bytes]:
        ahead = self._ahead
        batch = [ahead.popleft() for _ in range(min(limit, len(ahead)))] if ahead else []
        spared = 0
        if len(batch) < limit:
            # Whole trains, where there is room for some: what is parted here is not merged again by who coalesces.
            if self._udp.offload.gro and limit - len(batch) >= 2 * LONGEST:
                spared = LONGEST - 1
            for _, _, datagrams in self._udp.recv(limit - len(batch) - spared, addressed=False):
                batch = batch + datagrams if batch else datagrams
            if len(batch) > limit:
                ahead.extend(islice(batch, limit, None))
                del batch[limit:]
        self.more = bool(ahead) or limit - spared <= len(batch) < limit
        if len(batch) < limit and not self.more:
            self.readable.emptied(full_packets(batch))
        if not batch:
            self._udp.hear()
        return batch

    def read_left(self) -> list[bytes]:
        left = list(self._ahead)
        self._ahead.clear()
        return left

    def write_many(self, batch: Sequence[bytes]) -> int:
        return self._udp.send(((None, None, batch),) if batch else (), self._udp.dropped)

    def counters(self) -> InterfaceCounters:
        """
        Return what went through the socket; ``ipackets`` were sent, ``opackets`` received.

        Of *n* packets given to send(), ``n - ipackets`` are in ``dropped``.
        """
        udp = self._udp
        udp.count_overflow()
        return InterfaceCounters(
            ipackets=udp.sent,
            ibytes=udp.sent_bytes,
            opackets=udp.received,
            obytes=udp.received_bytes,
            dropped={reason: count for reason, count in udp.dropped.items() if count},
        )

    def watch(self, tell: Callable[[Event], None]) -> None:
        self._notices.tell = tell

    def disarm(self) -> None:
        self._notices.tell = None
        self.readable.disarm()
        self.writable.disarm()

    def close_now(self) -> None:
        self.disarm()
        self._udp.close()

    def detach(self) -> int:
        self.disarm()
        self._udp.offload.set_gro(False, "the socket was given away")  # who knows nothing of trains would not part them
        return self._udp.socket.detach()

    def _watch_anew(self) -> None:
        for readiness in (self.readable, self.writable):
            readiness.disarm()
            readiness.wake()

    # --- what only UDP has ------------------------------------------------------------------------

    @property
    def udp(self) -> UdpSocket:
        """The socket."""
        return self._udp

    @property
    def ahead(self) -> int:
        """Datagrams that came in a train with others, and wait to be read."""
        return len(self._ahead)

    @property
    def local(self) -> Address:
        """Where the socket receives."""
        return address_of(self._udp.socket.getsockname())

    @property
    def peer(self) -> Address:
        """Whom the socket is connected to."""
        return address_of(self._udp.socket.getpeername())

    @property
    def path_mtu(self) -> int | None:
        """See UdpChannel."""
        family = self._udp.socket.family
        with contextlib.suppress(OSError):  # not every system tells
            return self._udp.socket.getsockopt(*PATH_MTU[family]) - HEADERS[family]
        return None


class UdpChannel(OffloadSwitches, Channel):
    """
    A UDP socket between two addresses, with the face of every endpoint; made by open_udp().

    Sending waits while the socket has no room. Nothing that happens to one datagram ends the channel. events() tells
    what the network reports, and a new path mtu, in bytes of datagram, while somebody receives or sends.
    """

    __slots__ = ()
    kind = "udp"

    @property
    def local_address(self) -> Address:
        """The address of ours that datagrams come from, and are received on."""
        return self._open_port.local

    @property
    def peer_address(self) -> Address:
        """The address that datagrams go to, and are received from."""
        return self._open_port.peer

    @property
    def path_mtu(self) -> int | None:
        """Bytes of the longest datagram that the path carries in one piece, as far as known; None if unknown."""
        return self._open_port.path_mtu

    @property
    def _offload(self) -> UdpOffload:
        return self._open_port.udp.offload

    @property
    def _open_port(self) -> UdpPort:
        port = self._port
        if not isinstance(port, UdpPort):
            port.write_many(())  # says that it is closed
            raise AssertionError
        return port
