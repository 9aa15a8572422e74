"""The routers of a lab: hosts that forward."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..driver import Interface
from ..errors import DeviceError, PacketError, PacketTooBig
from ..host.demux import IPV4, IPV6
from ..host.routes import NoRoute
from ..pipeline import Path
from ..stages import ICMPErrors, decrement_ttl, fragment
from .lab_host import LabHost
from .lab_interface import LabInterface
from .lab_record import Record

__all__ = ["LabRouter"]


class LabRouter(LabHost):
    """
    A host that forwards between its links, and its tuns, by the longest prefix; made by Lab.router().

    It takes one hop off each packet, cuts what is too long for the next link if it may, and tells the sender of what
    it cannot forward by ICMP. What it drops is noted.

    RFC 1812 section 5.2.
    """

    forwards = True

    def __init__(
        self, name: str, addresses: Iterable[str], number: int, clock: Callable[[], float], record: Record
    ) -> None:
        super().__init__(name, addresses, number, clock)
        self._record = record
        # One of each IP version speaks, without prefix length: there is no network whose broadcast it would know.
        speakers = {address.version: str(address.ip) for address in reversed(self.addresses)}
        self._errors = ICMPErrors(self.stack.send_many, *speakers.values(), clock=clock)
        self.forwarding = Path(
            f"{name} forwarding", [("decrement_ttl", decrement_ttl(self._errors))], drop=self._note_drop
        )
        """The stages in front of the routing table; more may be put in, such as a NAT."""
        self._cutters: dict[int, Path] = {}

    def enter(self, interface: LabInterface, batch: list[bytes]) -> None:
        """Take what arrived by a link: forward it, or give it to the router's own stack."""
        if not interface.header:
            super().enter(interface, self._forward(batch))
            return
        mine: list[bytes] = []
        for frame in batch:
            if frame[:6] == interface.mac and frame[12:14] in (IPV4, IPV6) and not self._forward([frame[14:]]):
                continue
            mine.append(frame)
        super().enter(interface, mine)

    # --- inside -----------------------------------------------------------------------------------

    def _deliver(self, interface: Interface, batch: list[bytes]) -> None:
        """Forward what a program sent into a tun, too."""
        super()._deliver(interface, batch if interface.header else self._forward(batch))

    def _forward(self, batch: list[bytes]) -> list[bytes]:
        """Send on what is for others; return the rest."""
        mine = [packet for packet in batch if self._is_mine(packet)]
        if len(mine) < len(batch):
            for packet in self.forwarding([packet for packet in batch if not self._is_mine(packet)]):
                self._send_on(packet)
        return mine

    def _is_mine(self, packet: bytes) -> bool:
        """Whether it is for this router, or for many, or for nobody that a router could know."""
        version, size = packet[0] >> 4 if packet else 0, len(packet)
        if version == 4 and size >= 20:
            destination = packet[16:20]
            return self.owns(destination) or destination[0] >= 224
        if version == 6 and size >= 40:
            destination = packet[24:40]
            return self.owns(destination) or destination[0] == 0xFF or destination[:2] == b"\xfe\x80"
        return True

    def _send_on(self, packet: bytes) -> None:
        try:
            self.stack.send(packet)
        except PacketTooBig:
            for piece in self._cutter(packet)([packet]):
                self._send_on(piece)
        except (DeviceError, PacketError) as error:
            self._note_drop(error.reason, 1)
            if isinstance(error, NoRoute) or error.reason == "down":
                self._errors.unreachable([packet])

    def _cutter(self, packet: bytes) -> Path:
        """Return what cuts a packet for the interface it is too long for, or tells its sender."""
        route = self.routes.lookup(packet[16:20] if packet[0] >> 4 == 4 else packet[24:40])
        assert route is not None  # the stack has just found it
        ports = {port.name: port.mtu for port in self.ports}
        name = route.interface
        mtu = ports[name] if name in ports else self.interfaces[name].mtu
        if mtu not in self._cutters:
            stages = [("fragment", fragment(mtu, self._errors))]
            self._cutters[mtu] = Path(f"{self.name} mtu {mtu}", stages, drop=self._note_drop)
        return self._cutters[mtu]

    def _note_drop(self, reason: str, count: int) -> None:
        self._record.dropped(reason, count, self.name)
