"""UDP between the hosts of a lab: what a VPN under test sends goes over its links, hop by hop."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence

from ..batch import nbytes
from ..channel import Channel
from ..driver.netisr import Drops, Netisr
from ..endpoint import Event, EventKind, InterfaceCounters, Readiness, SteadyPort
from ..endpoint.pollable import PolledReadiness
from ..endpoint.reports import Report
from ..errors import DeviceBusy, DeviceError
from ..host.stack import Stack
from ..packet import UDP, Address, IPv4, IPv6, Protocol, UDPView, find_transport
from .lab_udp_reports import Complaint, complaint

__all__ = ["HEADERS", "LIMIT", "LabUdp", "UdpNetisr", "UdpPort"]

HEADERS = {4: 28, 6: 48}
"""Bytes of the headers in front of a UDP payload, by IP version."""
LIMIT = 1000
"""Datagrams that wait to be received, at most."""

Key = tuple[int, bytes, int]
"""Its own port, and the peer's address and port."""


class LabUdp(Channel):
    """A UDP socket of a host of the lab, connected to one peer; made by LabHost.open_udp()."""

    __slots__ = ()
    kind = "udp"


class UdpNetisr(Netisr):
    """The protocol queues of a host, and in front of them its UDP sockets."""

    __slots__ = ("owns", "sockets")

    def __init__(self, owns: Callable[[bytes], bool]) -> None:
        super().__init__()
        self.owns = owns
        """Says whether an address is the host's."""
        self.sockets: dict[Key, UdpPort] = {}
        """Those that are open."""

    def queue(self, family: int, batch: list[bytes], interface: Drops) -> int:
        """Give each datagram to its socket, and the rest to the protocols; return how many were taken."""
        if not self.sockets:
            return super().queue(family, batch, interface)
        rest = [packet for packet in batch if not self._take(packet)]
        taken = len(batch) - len(rest)
        return taken + super().queue(family, rest, interface) if rest else taken

    def _take(self, packet: bytes) -> bool:
        """Give a packet to the socket that it is for; return whether there is one."""
        protocol, start, end, _ = find_transport(packet)
        source, destination = (packet[12:16], packet[16:20]) if packet[0] >> 4 == 4 else (packet[8:24], packet[24:40])
        if not self.owns(destination):
            return False
        if protocol != Protocol.UDP or end - start < 8:
            return self._hear(packet)
        datagram = UDPView(packet, start, end)
        port = self.sockets.get((datagram.dst_port, source, datagram.src_port))
        if port is None:
            return False
        if datagram.checksum_ok(source, destination):
            port.deliver(datagram.payload)
        else:
            port.dropped["bad_checksum"] += 1
        return True

    def _hear(self, packet: bytes) -> bool:
        """Tell the socket that an ICMP error is about; return whether there is one."""
        heard = complaint(packet)
        port = self.sockets.get((heard.port, *heard.peer)) if heard is not None else None
        if heard is None or port is None:
            return False
        port.hear(heard)
        return True


class UdpPort(SteadyPort):
    """The port of a LabUdp: sends at once, by the host's stack."""

    def __init__(
        self, stack: Stack, netisr: UdpNetisr, name: str, mtu: int, number: int, peer: tuple[Address, int]
    ) -> None:
        self.name = name
        self.mtu = mtu
        self.dropped: Counter[str] = Counter()
        """Datagrams that were not received, by reason."""
        self._stack, self._netisr = stack, netisr
        self._number, self._peer = number, peer
        self._key = number, peer[0].packed, peer[1]
        if self._key in netisr.sockets:
            raise DeviceBusy(f"{name}: a socket for that peer is open at that port")
        self.readable: PolledReadiness = PolledReadiness(f"receiving from {name}")
        self.writable = Readiness(f"sending to {name}", level=True)
        self._queue: deque[bytes] = deque()
        self._tell: Callable[[Event], None] | None = None
        self._sent = self._sent_bytes = self._received = self._received_bytes = 0
        netisr.sockets[self._key] = self

    def deliver(self, payload: bytes) -> None:
        """Queue what arrived."""
        if len(self._queue) >= LIMIT:
            self.dropped["queue_full"] += 1
        else:
            self._queue.append(payload)
            self.readable.set()

    def hear(self, heard: Complaint) -> None:
        """Take note of what a router says: an event, and a lower mtu if it is about that."""
        address, port = self._peer
        events = [Event(EventKind.REPORTED, Report((str(address), port), heard.errno, heard.by))]
        if heard.mtu is not None and 0 < heard.mtu - HEADERS[address.version] < self.mtu:
            self.mtu = heard.mtu - HEADERS[address.version]
            events.append(Event(EventKind.MTU, self.mtu))
        if self._tell is not None:
            for event in events:
                self._tell(event)

    def fileno(self) -> int:
        return self.readable.fileno()

    def read_many(self, limit: int) -> list[bytes]:
        queue = self._queue
        batch = [queue.popleft() for _ in range(min(limit, len(queue)))]
        self.readable.put(bool(queue))
        self._received += len(batch)
        self._received_bytes += nbytes(batch)
        return batch

    def write_many(self, batch: Sequence[bytes]) -> int:
        for index, payload in enumerate(batch):
            try:
                self._stack.send(self._packet(payload))
            except DeviceError as error:
                error.sent = index
                raise
            self._sent += 1
            self._sent_bytes += len(payload)
        return len(batch)

    def counters(self) -> InterfaceCounters:
        return InterfaceCounters(
            ipackets=self._sent,
            ibytes=self._sent_bytes,
            opackets=self._received,
            obytes=self._received_bytes,
            dropped=dict(+self.dropped),
        )

    def watch(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell

    def disarm(self) -> None:
        """It has no callback in the loop."""

    def close_now(self) -> None:
        self._netisr.sockets.pop(self._key, None)
        self._tell = None
        self.dropped["closed"] += len(self._queue)
        self._queue.clear()
        self.readable.close()

    def detach(self) -> int:
        raise DeviceError(f"{self.name}: a socket of a lab has no file descriptor to give away")

    # --- inside -----------------------------------------------------------------------------------

    def _packet(self, payload: bytes) -> bytes:
        address, port = self._peer
        source = self._stack.source_address(address)
        datagram = UDP(self._number, port, payload).build(source, address)
        if address.version == 4:
            return IPv4(source, address, Protocol.UDP, datagram, dont_fragment=True).build()
        return IPv6(source, address, Protocol.UDP, datagram).build()
