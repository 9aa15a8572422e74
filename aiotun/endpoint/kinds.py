"""The two kinds of interface endpoint: tun carries packets, tap carries frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self, cast

from ..batch import bounds
from ..errors import DeviceError, PacketError, PacketTooBig, UnsupportedFamily
from .device import Device
from .endpoint import Endpoint, WhenDown
from .fitness import all_fit, check_superpacket, check_types, is_unfinished
from .port import Carries, Port

if TYPE_CHECKING:
    from ..packet import SuperPacket

__all__ = ["Adopt", "Tap", "Tun", "link_header", "set_adopt"]

Adopt = Callable[[int, Literal["tun", "tap"]], Port]
"""Turns a file descriptor that a program was given into a port; the platform provides it."""

ETHERNET_HEADER = 14
VLAN_TAG = 4
MAX_TAGS = 2
VLAN_TYPES = (b"\x81\x00", b"\x88\xa8")  # IEEE 802.1Q and 802.1ad

# First nibble of the packet -> the family's name and its shortest header (RFC 791, RFC 8200), in bytes.
FAMILIES = {4: ("IPv4", 20), 6: ("IPv6", 40)}

_adopt: Adopt | None = None


def set_adopt(adopt: Adopt) -> None:
    """Say how this platform turns a file descriptor into a port; called by the host room."""
    global _adopt
    _adopt = adopt


class _Interface(Endpoint):
    """What tun and tap share: a size check before the device sees a packet, and adoption of a descriptor."""

    __slots__ = ()

    kind: ClassVar[Literal["tun", "tap"]]
    header: ClassVar[int]
    """Bytes of link header in front of the layer-3 packet."""
    shortest: ClassVar[int]
    """A packet of this many bytes or more cannot be shorter than its header."""

    @property
    def carries(self) -> Carries:
        return "ethernet" if self.kind == "tap" else "ip"

    @property
    def device(self) -> Device:
        """
        The device behind the endpoint, to control: carrier, owner, queues, filters.

        Raises:
            DeviceError: If it is not one of the kernel's.
            DeviceClosed: If the endpoint is closed.
        """
        return self._port.device

    @classmethod
    def from_fd(cls, fd: int, *, when_down: WhenDown = "wait") -> Self:
        """
        Adopt an open device: inherited, received over a unix socket, or opened by other code.

        One queue of a multi-queue device is adopted like any other: so its queues are spread over processes.

        The endpoint owns *fd* from now on, sets it non-blocking and close-on-exec, and changes nothing
        else of the device. Does not wait.

        Raises:
            OSError: If *fd* is not a device of this kind, or one whose framing aiotun does not speak;
                it stays the caller's.
        """
        if _adopt is None:
            raise DeviceError(f"adopting a {cls.kind} device is not supported on this platform")
        return cls(_adopt(fd, cls.kind), when_down=when_down)

    def _check(self, batch: Sequence[bytes]) -> None:
        """
        Raise if a packet cannot be one, before any is written.

        The kernel takes almost anything: one byte, a lying length, more than the mtu, and loses it
        without a word. The shortest and the longest settle the usual case; the version nibble is
        left to the device, which does check it.
        """
        if not batch:
            return
        port = self._port
        most = port.mtu + self.header
        if port.superpackets and isinstance(batch, (list, tuple)):
            if all_fit(batch, self.shortest, most, self.kind == "tap"):
                return
        elif (sizes := bounds(batch)) is not None and sizes[0] >= self.shortest and sizes[1] <= most:
            return
        check_types(port.name, batch)
        try:
            self._check_each(batch)
        except PacketTooBig:
            self._port.refresh()  # it may have been raised since we last asked
            self._check_each(batch)

    def _check_each(self, batch: Sequence[bytes]) -> None:
        for packet in batch:
            if is_unfinished(packet):
                self._check_superpacket(cast("SuperPacket", packet))
            else:
                self._check_packet(packet)

    def _check_superpacket(self, packet: SuperPacket) -> None:
        """Raise unless the device takes super-packets and this one is sound, and what it stands for fits."""
        check_superpacket(self._port, packet, self.kind == "tap")
        link = link_header(packet) if self.kind == "tap" else 0
        self._check_size(packet.longest_segment - link, "segment of the super-packet")

    def _check_packet(self, packet: bytes) -> None:
        raise NotImplementedError

    def _check_size(self, size: int, what: str) -> None:
        if size > self._port.mtu:
            raise PacketTooBig(f"{self._port.name}: {what} is {size} bytes, mtu is {self._port.mtu}")


class Tun(_Interface):
    """A layer-3 endpoint: every ``bytes`` is one IPv4 or IPv6 packet, without any header in front."""

    __slots__ = ()
    kind = "tun"
    header = 0
    shortest = 40

    def _check_packet(self, packet: bytes) -> None:
        if not packet:
            raise PacketError(f"{self._port.name}: packet is empty", reason="short_header")
        family = FAMILIES.get(packet[0] >> 4)
        if family is None:
            raise UnsupportedFamily(
                f"{self._port.name}: packet begins with 0x{packet[0]:02x}, neither IPv4 (0x4.) nor IPv6 (0x6.)"
            )
        name, header = family
        if len(packet) < header:
            raise PacketError(
                f"{self._port.name}: packet is {_bytes(len(packet))}, an {name} header alone is {header}",
                reason="short_header",
            )
        self._check_size(len(packet), "packet")


class Tap(_Interface):
    """A layer-2 endpoint: every ``bytes`` is one Ethernet frame, without preamble and check sequence."""

    __slots__ = ()
    kind = "tap"
    header = ETHERNET_HEADER
    shortest = ETHERNET_HEADER

    def _check_packet(self, packet: bytes) -> None:
        if len(packet) < ETHERNET_HEADER:
            raise PacketError(
                f"{self._port.name}: frame is {_bytes(len(packet))}, an Ethernet header alone is {ETHERNET_HEADER}",
                reason="short_header",
            )
        self._check_size(max(len(packet) - link_header(packet), 0), "packet in the frame")


def link_header(frame: bytes) -> int:
    """Return the bytes in front of the frame's layer-3 packet: a VLAN tag is not part of what the mtu counts."""
    header = ETHERNET_HEADER
    while header < ETHERNET_HEADER + MAX_TAGS * VLAN_TAG and frame[header - 2 : header] in VLAN_TYPES:
        header += VLAN_TAG
    return header


def _bytes(count: int) -> str:
    return f"{count} byte" if count == 1 else f"{count} bytes"
