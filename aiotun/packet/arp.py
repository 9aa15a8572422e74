"""ARP for Ethernet and IPv4, RFC 826."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import Self

from attrs import field, frozen

from ..errors import PacketError
from .ethernet import Ethernet, format_mac, parse_mac
from .protocols import EtherType
from .value import AddressLike, from_view, to_ipv4, uint
from .view import Buffer, View, address4, raw, u8, u16

__all__ = ["ARP", "ARPView"]

_PACKET = struct.Struct("!HHBBH6s4s6s4s")
_FIXED = (1, int(EtherType.IPV4), 6, 4)
_REQUEST, _REPLY = 1, 2
_ZERO_MAC = bytes(6)


class ARPView(View):
    """An ARP packet as it lies in a buffer, laid out for Ethernet and IPv4, RFC 826."""

    __slots__ = ()

    hardware_type = u16(0, "The kind of link: 1 is Ethernet.")
    protocol_type = u16(2, "The kind of protocol address, an ``EtherType``.")
    hardware_length = u8(4, "The length of a link address, in bytes.")
    protocol_length = u8(5, "The length of a protocol address, in bytes.")
    operation = u16(6, "1 asks, 2 answers.")
    sender_mac = raw(8, 6, "The sender's link address, 6 bytes.")
    sender_ip_bytes = raw(14, 4, "The sender's protocol address, 4 bytes.")
    target_mac = raw(18, 6, "The target's link address, 6 bytes; ignored in a request.")
    target_ip_bytes = raw(24, 4, "The target's protocol address, 4 bytes.")
    sender_ip = address4(14, "The sender's protocol address.")
    target_ip = address4(24, "The target's protocol address.")

    def check(self) -> None:
        """
        Make sure that this is ARP for Ethernet and IPv4. Bytes beyond it are padding and pass.

        Raises:
            PacketError: With reason ``short_header``, or ``bad_arp`` if it is for another link
                or protocol.
        """
        self._need(28, "ARP")
        kinds = (self.hardware_type, self.protocol_type, self.hardware_length, self.protocol_length)
        if kinds != _FIXED:
            link, protocol, size, width = kinds
            raise PacketError(
                f"ARP: it is for link type {link} ({size} bytes) and protocol 0x{protocol:04x} ({width} bytes), "
                "not for Ethernet and IPv4",
                reason="bad_arp",
            )


@frozen
class ARP:
    """
    An ARP packet for Ethernet and IPv4.

    Raises:
        PacketError: If a field is out of range, with reason ``bad_value``.
        TypeError: If a field is of the wrong type.
    """

    operation: int = field(validator=uint(16))
    """1 asks, 2 answers."""
    sender_mac: bytes = field(converter=parse_mac, repr=format_mac)
    """The sender's Ethernet address."""
    sender_ip: IPv4Address = field(converter=to_ipv4)
    """The sender's IPv4 address."""
    target_mac: bytes = field(converter=parse_mac, repr=format_mac)
    """The target's Ethernet address; zeros in a request."""
    target_ip: IPv4Address = field(converter=to_ipv4)
    """The target's IPv4 address."""

    @classmethod
    def request(cls, sender_mac: str | bytes, sender_ip: AddressLike, target_ip: AddressLike) -> Self:
        """Return the question who has *target_ip*."""
        return cls(_REQUEST, sender_mac, sender_ip, _ZERO_MAC, target_ip)

    @property
    def is_request(self) -> bool:
        """Whether this asks."""
        return self.operation == _REQUEST

    def reply(self, mac: str | bytes) -> ARP:
        """
        Return the answer to this request: its target is at *mac*.

        Raises:
            PacketError: If this is no request, with reason ``bad_arp``.
        """
        if not self.is_request:
            raise PacketError(f"ARP: operation is {self.operation}, only a request has a reply", reason="bad_arp")
        return ARP(_REPLY, mac, self.target_ip, self.sender_mac, self.sender_ip)

    def frame(self) -> bytes:
        """Return an Ethernet frame for this: a request to everybody, anything else to the target."""
        dst = b"\xff" * 6 if self.is_request else self.target_mac
        return Ethernet(dst, self.sender_mac, EtherType.ARP, self.build()).build()

    @classmethod
    def parse(cls, packet: Buffer) -> Self:
        """
        Return the value of *packet*; bytes beyond it are dropped.

        Raises:
            PacketError: If ``ARPView.check()`` raises.
        """
        view = ARPView(packet)
        view.check()
        return from_view(cls, view)

    def build(self) -> bytes:
        """Return the 28 bytes of the packet."""
        sender = (self.sender_mac, self.sender_ip.packed)
        return _PACKET.pack(*_FIXED, self.operation, *sender, self.target_mac, self.target_ip.packed)
