"""The hosts of a lab: stacks in this process, with links of the lab as interfaces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from ..host.pings import Pings
from ..host.soft import SoftHost
from ..host.stack import Stack
from ..packet import AddressLike
from .lab_interface import LabInterface

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

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {' '.join(str(address.ip) for address in self.addresses)}>"

    async def ping(self, address: AddressLike, *, size: int = 56, timeout: float = 1.0) -> float:
        """Send an echo request as SoftHost.ping(); return the round trip time in virtual seconds."""
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        await super().ping(address, size=size, timeout=timeout)
        return loop.time() - sent_at

    def plug(self, interface: LabInterface) -> None:
        """Take an end of a link as an interface."""
        self.ports.append(interface)
        self.stack.attach(interface)
        self._set_addresses()

    def enter(self, interface: LabInterface, batch: list[bytes]) -> None:
        """Take what arrived by a link."""
        self.stack.input(interface, batch)

    def _set_addresses(self) -> None:
        """
        Give each link all addresses.

        Their networks are on a switch that nothing else than this link leads to; elsewhere an address is one of a
        point-to-point link, and says nothing about its neighbors.
        """
        stub = len(self.ports) == 1 and self.ports[0].header > 0 and not self.forwards
        plain = tuple(ip_interface(address.ip) for address in self.addresses)
        for interface in self.ports:
            interface.addresses = self.addresses if stub else plain
            self.stack.refresh(interface)

    def owns(self, address: bytes) -> bool:
        """Whether it is an address of this host, of its links or of its tuns and taps."""
        return address in self.stack._own
