"""Whose datagram is it? One socket's datagrams, sorted by their sources."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from ..endpoint import BATCH
from ..errors import DeviceBusy, DeviceError
from .udp_address import Address, address_text, normal_address
from .udp_reports import Notice
from .udp_socket import UdpSocket
from .udp_watch import SharedReadiness, Watch

if TYPE_CHECKING:
    from .udp_peer import PeerPort

__all__ = ["Arrival", "Demux"]

PULLS = 8
"""Batches taken out of the socket at one wake-up, at most."""


class Arrival(NamedTuple):
    """A datagram of nobody known. What says who sent it can be forged."""

    address: Address
    """Its source."""
    datagram: bytes
    local: str | None = None
    """The address of ours that it was sent to; None if the socket has only one."""


class Demux:
    """
    A socket, the peers that share it, and what is nobody's. Owns the socket.

    It is read when somebody who waits is woken, or reads; what it has for others waits in their queues, which are
    bounded: nobody has to receive for others to go on.
    """

    def __init__(self, udp: UdpSocket, unknown_limit: int) -> None:
        self.udp = udp
        self.peers: dict[Address, PeerPort] = {}
        self.unknown: deque[Arrival] = deque()
        """Datagrams of nobody known, oldest first."""
        self.to_peers = 0
        """Datagrams that were a peer's."""
        self.reading = Watch(udp.fileno(), self._readable)
        self.writing = Watch(udp.fileno(), lambda: self.writing.wake(), writing=True)
        self.arrived = SharedReadiness(f"receiving from {udp.name}", self.reading)
        """The level of the queue of nobody."""
        self._limit = unknown_limit
        udp.on_notice = self._notice
        udp.on_source_lost = self._source_lost
        udp.on_error = self._watch_anew

    def pull(self, limit: int) -> int:
        """
        Take up to *limit* datagrams out of the socket, or more if they come in trains, and return how many.

        Raises:
            DeviceError: If the socket fails.
        """
        count = 0
        peers = self.peers
        for address, local, datagrams in self.udp.recv(limit, addressed=True):
            count += len(datagrams)
            assert address is not None  # the socket is not connected
            port = peers.get(address)
            if port is not None:
                self.to_peers += len(datagrams)
                port.deliver(local, datagrams)
            else:
                self._keep(address, local, datagrams)
        return count

    def add(self, port: PeerPort) -> None:
        """Sort for one more peer: what waits from its address first."""
        self.peers[port.address] = port
        self._adopt(port)

    def forget(self, port: PeerPort) -> None:
        """Sort for a peer no longer."""
        if self.peers.get(port.address) is port:
            del self.peers[port.address]

    def roam(self, port: PeerPort, address: Address, local: str | None) -> None:
        """Sort what comes from *address* to this peer, and nothing from where it was; see UdpPeer.roam_to()."""
        address = normal_address(address)
        if self.peers.get(address, port) is not port:
            raise DeviceBusy(f"{port.name}: cannot roam to {address_text(address)}, which is another peer's")
        self.forget(port)
        port.move(address, local)
        self.add(port)

    def level(self) -> None:
        """Bring the level of the queue of nobody up to date."""
        if self.unknown:
            self.arrived.set()
        else:
            self.arrived.clear()

    def close(self) -> None:
        """Leave the loop, and close the socket."""
        self.reading.busy.set(0)
        self.reading.close()
        self.writing.close()
        self.udp.close()

    def _keep(self, address: Address, local: str | None, datagrams: list[bytes]) -> None:
        """Queue what is nobody's, as far as there is room."""
        room = self._limit - len(self.unknown)
        if len(datagrams) > room:
            self.udp.dropped["unknown_full"] += len(datagrams) - room
            datagrams = datagrams[:room]
        self.unknown.extend(Arrival(address, datagram, local) for datagram in datagrams)
        self.level()

    def _adopt(self, port: PeerPort) -> None:
        """Give a peer what waits from its address."""
        others: deque[Arrival] = deque()
        for arrival in self.unknown:
            if arrival.address == port.address:
                self.to_peers += 1
                port.deliver(arrival.local, [arrival.datagram])
            else:
                others.append(arrival)
        self.unknown = others
        self.level()

    def _readable(self) -> None:
        """Somebody waits, and the socket has something."""
        before = self.udp.received_bytes
        try:
            for count in range(PULLS):
                pulled = self.pull(BATCH)
                if not pulled and not count:
                    self.udp.hear()
                if pulled < BATCH:
                    break
        except DeviceError:  # whoever waits is told when he tries
            self.reading.close()
            self.reading.wake()
        if self.reading.busy.seconds:
            self.reading.busy.brought(self.udp.received_bytes - before)

    def _watch_anew(self) -> None:
        for watch in (self.reading, self.writing):
            watch.close()
            watch.wake()

    def _notice(self, notice: Notice) -> None:
        """The network says something of a datagram sent: to the peer it was sent to."""
        peer = notice.report.peer
        port = None if peer is None else self.peers.get(peer)
        if port is not None:
            port.notices.take(notice)
        elif not notice.local:
            self.udp.dropped["reported_lost"] += 1

    def _source_lost(self, address: Address) -> None:
        """An address of ours is none any more: the peer is told another one by our next datagram."""
        port = self.peers.get(address)
        if port is not None:
            port.local = None
