"""One peer of many that share a socket, as an endpoint."""

from __future__ import annotations

import errno
from collections import Counter, deque
from collections.abc import Callable, Sequence

from ..batch import nbytes
from ..endpoint import Capabilities, Event, EventKind, InterfaceCounters, SteadyPort
from ..errors import DeviceError
from .channel import Channel
from .udp_address import Address, address_text, family_of
from .udp_demux import Demux
from .udp_notices import Notices
from .udp_socket import LARGEST
from .udp_watch import SharedReadiness

__all__ = ["PeerPort", "UdpPeer"]

PULLS = 8
"""Times that one read looks into the socket, at most: what it finds may be for others."""


class PeerPort(SteadyPort):
    """A peer's bounded queue, and its way out through the server's socket."""

    def __init__(self, demux: Demux, address: Address, local: str | None, queue_length: int) -> None:
        self.demux = demux
        self._queue: deque[bytes] = deque()
        self._room = queue_length
        self.address = address
        self.local = local
        self.name = f"udp {address_text(address)}"
        self.mtu = min(demux.udp.mtu, LARGEST[family_of(address)])
        self.readable = SharedReadiness(f"receiving from {self.name}", demux.reading)
        self.writable = SharedReadiness(f"sending to {self.name}", demux.writing)
        self.dropped: Counter[str] = Counter()
        self.notices = Notices(self.dropped)
        self._sent = self._sent_bytes = self._received = self._received_bytes = 0
        self.owner: Callable[[], UdpPeer | None] = lambda: None

    def deliver(self, local: str | None, datagrams: Sequence[bytes]) -> None:
        """Queue what came from the peer, as far as there is room."""
        room = self._room - len(self._queue)
        if len(datagrams) > room:
            self.dropped["queue_full"] += len(datagrams) - room
            datagrams = datagrams[:room]
        if self.local is None:
            self.local = local
        self._queue.extend(datagrams)
        self._received += len(datagrams)
        self._received_bytes += nbytes(datagrams)
        self._level()

    def move(self, address: Address, local: str | None) -> None:
        """Send to another address from now on."""
        self.address, self.local = address, local
        self.mtu = min(self.demux.udp.mtu, LARGEST[family_of(address)])
        self.notices.mtu = None
        self.name = f"udp {address_text(address)}"
        if self.notices.tell is not None:
            self.notices.tell(Event(EventKind.RENAMED, self.name))

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]
        return self.demux.udp.offload.capabilities()

    @property
    def burst(self) -> int:  # type: ignore[override]
        return self.demux.udp.burst

    def fileno(self) -> int:
        return self.demux.udp.fileno()

    def read_many(self, limit: int) -> list[bytes]:
        queue = self._queue
        for _ in range(PULLS):
            wanted = limit - len(queue)
            if wanted <= 0 or self.demux.pull(wanted) < wanted:
                break
        batch = [queue.popleft() for _ in range(min(limit, len(queue)))]
        self._level()
        return batch

    def write_many(self, batch: Sequence[bytes]) -> int:
        udp = self.demux.udp
        sent, sent_bytes = udp.sent, udp.sent_bytes
        try:
            return udp.send(((self.address, self.local, batch),) if batch else (), self.dropped)
        finally:
            self._sent += udp.sent - sent
            self._sent_bytes += udp.sent_bytes - sent_bytes

    def counters(self) -> InterfaceCounters:
        """
        Return what went to and came from the peer; ``ipackets`` were sent, ``opackets`` received.

        ``queue_full`` in ``dropped`` is what came while the queue had no room. What the kernel had no room for is the
        socket's, not to be told apart by peers.
        """
        return InterfaceCounters(
            ipackets=self._sent,
            ibytes=self._sent_bytes,
            opackets=self._received,
            obytes=self._received_bytes,
            dropped=dict(self.dropped),
        )

    def watch(self, tell: Callable[[Event], None]) -> None:
        self.notices.tell = tell

    def disarm(self) -> None:
        self.notices.tell = None
        self.readable.disarm()
        self.writable.disarm()

    def close_now(self) -> None:
        self.disarm()
        self.demux.forget(self)

    def detach(self) -> int:
        raise DeviceError(f"{self.name}: the socket is its server's, and other peers'", errno.EOPNOTSUPP)

    def _level(self) -> None:
        self.more = bool(self._queue)
        if self.more:
            self.readable.set()
        else:
            self.readable.clear()


class UdpPeer(Channel):
    """
    One peer of a UdpServer, with the face of every endpoint; made by peer() and accept().

    Datagrams from its address wait here, ``queue_length`` at most, whoever else floods the socket. Closing it forgets
    the peer; fileno() is the server's socket.
    """

    __slots__ = ()
    kind = "udp"

    @property
    def address(self) -> Address:
        """Where datagrams go, and where they are received from."""
        return self._open_port.address

    @property
    def local(self) -> str | None:
        """The address of ours that the peer sends to, and that it is answered from; None leaves it to the system."""
        return self._open_port.local

    @property
    def path_mtu(self) -> int | None:
        """Bytes of the longest datagram that the path carries in one piece, as last told; None if never told."""
        return self._open_port.notices.mtu

    def roam_to(self, address: Address, *, local: str | None = None) -> None:
        """
        Send to *address*, and receive from there, from now on: the peer has moved.

        Call it for a datagram that you know to be the peer's by its seal, and for no other: whoever can make a datagram
        can write any source on it. Datagrams that wait at the server from there become the peer's.

        Args:
            address: The datagram's source.
            local: The address of ours that it was sent to, which the peer is answered from.

        Raises:
            ValueError: If the address is none.
            DeviceBusy: If it is another peer's.
            DeviceClosed: If the peer is closed.
        """
        port = self._open_port
        port.demux.roam(port, address, local)

    @property
    def _open_port(self) -> PeerPort:
        port = self._port
        if not isinstance(port, PeerPort):
            port.write_many(())  # says that it is closed
            raise AssertionError
        return port
