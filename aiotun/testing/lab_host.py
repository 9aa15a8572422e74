"""The hosts of a lab: stacks in this process, with links of the lab as interfaces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface

from ..host.pings import Pings
from ..host.soft import SoftHost
from ..host.stack import Stack
from ..packet import AddressLike
from .lab_interface import LabInterface
from .lab_udp import HEADERS, LabUdp, UdpNetisr, UdpPort

__all__ = ["LabHost"]


class _Pings(Pings):
    """Their identifier is no accident: the same test sends the same bytes."""

    def __init__(self, stack: Stack, identifier: int) -> None:
        super().__init__(stack.send, stack.source_address)
        self._identifier = identifier


class LabHost(SoftHost):
    """
    A SoftHost with links; made by Lab.host().

    Each of its addresses is an address of every link of it. It answers pings, and does not forward.
    """

    forwards = False
    """Whether packets for others are sent on."""

    def __init__(self, name: str, addresses: Iterable[str], number: int, clock: Callable[[], float]) -> None:
        super().__init__()
        self.name = name
        """What it is called, in diagrams too."""
        self.addresses: tuple[IPv4Interface | IPv6Interface, ...] = tuple(map(ip_interface, addresses))
        """Its addresses, as they were given."""
        self.ports: list[LabInterface] = []
        """Its ends of links, in the order they came."""
        self.stack = Stack(clock)
        self.stack.pings = _Pings(self.stack, number)
        self.stack.netisr = self._netisr = UdpNetisr(self.owns)
        self._sockets: list[LabUdp] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {' '.join(str(address.ip) for address in self.addresses)}>"

    async def ping(self, address: AddressLike, *, size: int = 56, timeout: float = 1.0) -> float:
        """Send an echo request as SoftHost.ping(); return the round trip time in virtual seconds."""
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        await super().ping(address, size=size, timeout=timeout)
        return loop.time() - sent_at

    def open_udp(self, port: int, peer: tuple[AddressLike, int], *, mtu: int | None = None) -> LabUdp:
        """
        Open a UDP socket that is connected to one peer: a channel for a VPN under test, over the links of the lab.

        Datagrams have DF: what is too long for a link on the way is dropped there, and its router says so. What
        routers say is in events(), as REPORTED, and lowers the mtu. Does not wait. The host closes it if the caller
        does not.

        Args:
            port: Its own.
            peer: Address and port of the other.
            mtu: The longest payload, in bytes; by default what fits the links of this host.

        Raises:
            ValueError: If the address or a port is none.
            DeviceBusy: If one for that port and peer is open.
            DeviceClosed: If the host is closed.
        """
        self._check_open()
        address = ip_address(peer[0])
        if not (0 < port < 1 << 16 and 0 < peer[1] < 1 << 16):
            raise ValueError(f"{self.name}: a UDP port is 1 to 65535, not {port} or {peer[1]}")
        if mtu is None:
            mtu = min((interface.mtu for interface in self.ports), default=1500) - HEADERS[address.version]
        name = f"{self.name} udp {port}"
        opened = LabUdp(UdpPort(self.stack, self._netisr, name, mtu, port, (address, peer[1])))
        self._sockets = [*(socket for socket in self._sockets if not socket.closed), opened]
        return opened

    async def aclose(self) -> None:
        """Close every socket and endpoint, and delete every interface. Idempotent."""
        try:
            for socket in self._sockets:
                await socket.aclose()
        finally:
            await super().aclose()

    def plug(self, interface: LabInterface) -> None:
        """Take an end of a link as an interface."""
        self.ports.append(interface)
        self.stack.attach(interface)
        # With the second link the first one is no stub any more; the others never were.
        for port in self.ports if len(self.ports) == 2 else [interface]:
            self._set_addresses(port)

    def enter(self, interface: LabInterface, batch: list[bytes]) -> None:
        """Take what arrived by a link."""
        self.stack.input(interface, batch)

    def owns(self, address: bytes) -> bool:
        """Whether it is an address of this host, of its links or of its tuns and taps."""
        return address in self.stack._own

    # --- inside -----------------------------------------------------------------------------------

    def _set_addresses(self, interface: LabInterface) -> None:
        """
        Give a link all addresses.

        Their networks are at a switch that nothing else than this link leads to; elsewhere an address is one of a
        point-to-point link, and says nothing about neighbors.
        """
        stub = len(self.ports) == 1 and interface.header > 0 and not self.forwards
        interface.addresses = self.addresses if stub else [ip_interface(address.ip) for address in self.addresses]
        self.stack.refresh(interface)
