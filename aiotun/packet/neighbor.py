"""Neighbor solicitation and advertisement: the "ARP" of IPv6, RFC 4861 sections 4.3, 4.4 and 7.1."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import Self

from attrs import field, frozen

from ..errors import PacketError
from .ethernet import format_mac, parse_mac
from .icmpv6 import ICMPv6, ICMPv6View
from .protocols import ICMPv6Type
from .value import AddressLike, boolean, check_transport, to_ipv6
from .view import Buffer, address6, flag8, raw

__all__ = [
    "NeighborAdvertisement",
    "NeighborSolicitation",
    "NeighborView",
    "multicast_mac",
    "solicited_node",
]

_SOLICITATION = int(ICMPv6Type.NEIGHBOR_SOLICITATION)
_ADVERTISEMENT = int(ICMPv6Type.NEIGHBOR_ADVERTISEMENT)
_ROUTER, _SOLICITED, _OVERRIDE = 0x80, 0x40, 0x20

# RFC 4861 section 4.6.1: which option says what, by the message it is in.
_LINK_OPTION = {_SOLICITATION: 1, _ADVERTISEMENT: 2}


def solicited_node(target: AddressLike) -> IPv6Address:
    """Return the multicast address at which *target* is asked for, RFC 4291 section 2.7.1."""
    return IPv6Address(bytes.fromhex("ff0200000000000000000001ff") + to_ipv6(target).packed[13:])


def multicast_mac(group: AddressLike) -> bytes:
    """
    Return the Ethernet address for the IPv6 multicast address *group*, RFC 2464 section 7.

    Raises:
        PacketError: If *group* is no multicast address, with reason ``bad_value``.
    """
    address = to_ipv6(group)
    if not address.is_multicast:
        raise PacketError(f"{address} is not a multicast address", reason="bad_value")
    return b"\x33\x33" + address.packed[12:]


class NeighborView(ICMPv6View):
    """A neighbor solicitation or advertisement as it lies in a buffer, from the ICMPv6 header on."""

    __slots__ = ()

    router = flag8(4, _ROUTER, "Of an advertisement: its sender is a router.")
    solicited = flag8(4, _SOLICITED, "Of an advertisement: it answers a solicitation.")
    override = flag8(4, _OVERRIDE, "Of an advertisement: it replaces what is known.")
    target_bytes = raw(8, 16, "The address asked for or advertised, as 16 bytes.")
    target = address6(8, "The address asked for or advertised.")

    def iter_options(self) -> Iterator[tuple[int, bytes]]:
        """Yield kind and body of each option, up to the first malformed one."""
        at = 24
        while at + 8 <= self.available:
            kind, size = self.buffer[self.offset + at], self.buffer[self.offset + at + 1] * 8
            if size == 0 or at + size > self.available:
                return
            yield kind, self.slice(at + 2, at + size)
            at += size

    @property
    def link_layer(self) -> bytes | None:
        """The Ethernet address of the solicitation's sender, or of the advertised target; None if not given."""
        wanted = _LINK_OPTION.get(self.type)
        return next((body for kind, body in self.iter_options() if kind == wanted and len(body) == 6), None)

    def check(self) -> None:
        """
        Make sure that this is a valid message. Its checksum, hop limit and source are the IP layer's.

        Raises:
            PacketError: With reason ``short_header``, ``bad_neighbor`` (wrong type or code, or a
                multicast target) or ``bad_option``.

        RFC 4861 sections 7.1.1 and 7.1.2.
        """
        self._need(24, "neighbor discovery")
        if self.type not in _LINK_OPTION or self.code:
            raise _bad(f"type {self.type} code {self.code} is neither a solicitation nor an advertisement")
        if self.target_bytes[0] == 0xFF:
            raise _bad(f"target is {self.target}, a multicast address")
        if 24 + sum(2 + len(body) for _, body in self.iter_options()) != self.available:
            raise PacketError("neighbor discovery: an option is empty or cut short", reason="bad_option")


def _unicast(_: object, __: object, target: IPv6Address) -> None:
    if target.is_multicast:
        raise PacketError(f"neighbor discovery: target is {target}, a multicast address", reason="bad_value")


def _optional_mac(mac: str | bytes | None) -> bytes | None:
    return None if mac is None else parse_mac(mac)


def _format_optional(mac: bytes | None) -> str:
    return "None" if mac is None else format_mac(mac)


def _option(kind: int, mac: bytes | None) -> bytes:
    return b"" if mac is None else bytes((kind, 1)) + mac


def _view(message: Buffer, kind: int, src: AddressLike | None, dst: AddressLike | None) -> NeighborView:
    view = NeighborView(message)
    view.check()
    if view.type != kind:
        raise _bad(f"type is {view.type}, not {kind}")
    check_transport("neighbor discovery", view, src, dst)
    return view


@frozen
class NeighborSolicitation:
    """
    The question who has an IPv6 address, RFC 4861 section 4.3.

    Send it with hop limit 255: receivers ignore any other.

    Raises:
        PacketError: If the target is multicast or an address is malformed, with reason ``bad_value``.
        TypeError: If a field is of the wrong type.
    """

    target: IPv6Address = field(converter=to_ipv6, validator=_unicast)
    """The address asked for."""
    link_layer: bytes | None = field(default=None, converter=_optional_mac, repr=_format_optional)
    """The sender's Ethernet address; None when the sender has no IPv6 address yet."""

    def advertise(self, mac: str | bytes, *, router: bool = False) -> NeighborAdvertisement:
        """Return the answer to this question: its target is at *mac*."""
        return NeighborAdvertisement(self.target, mac, router=router)

    @classmethod
    def parse(cls, message: Buffer, src: AddressLike | None = None, dst: AddressLike | None = None) -> Self:
        """
        Return the value of *message*, an ICMPv6 message; options it has no field for are dropped.

        Args:
            message: The message, from the ICMPv6 header on, without link-layer padding.
            src: The source address.
            dst: The destination address; the checksum is verified only if both are given.

        Raises:
            PacketError: If ``NeighborView.check()`` raises; with reason ``bad_neighbor`` if it is an
                advertisement; with ``bad_checksum`` if the checksum is wrong.
        """
        view = _view(message, _SOLICITATION, src, dst)
        return cls(view.target, view.link_layer)

    def build(self, src: AddressLike, dst: AddressLike) -> bytes:
        """Return the ICMPv6 message, with its checksum between *src* and *dst* computed."""
        body = self.target.packed + _option(1, self.link_layer)
        return ICMPv6(_SOLICITATION, 0, 0, body).build(src, dst)


@frozen
class NeighborAdvertisement:
    """
    Where an IPv6 address is, RFC 4861 section 4.4.

    Send it with hop limit 255: receivers ignore any other.

    Raises:
        PacketError: If the target is multicast or an address is malformed, with reason ``bad_value``.
        TypeError: If a field is of the wrong type.
    """

    target: IPv6Address = field(converter=to_ipv6, validator=_unicast)
    """The address advertised."""
    link_layer: bytes | None = field(default=None, converter=_optional_mac, repr=_format_optional)
    """The Ethernet address it is at."""
    router: bool = field(default=False, kw_only=True, validator=boolean)
    """Whether the sender is a router."""
    solicited: bool = field(default=True, kw_only=True, validator=boolean)
    """Whether this answers a solicitation."""
    override: bool = field(default=True, kw_only=True, validator=boolean)
    """Whether this replaces what is known."""

    @classmethod
    def parse(cls, message: Buffer, src: AddressLike | None = None, dst: AddressLike | None = None) -> Self:
        """
        Return the value of *message*, an ICMPv6 message; options it has no field for are dropped.

        Args:
            message: The message, from the ICMPv6 header on, without link-layer padding.
            src: The source address.
            dst: The destination address; the checksum is verified only if both are given.

        Raises:
            PacketError: If ``NeighborView.check()`` raises; with reason ``bad_neighbor`` if it is a
                solicitation; with ``bad_checksum`` if the checksum is wrong.
        """
        v = _view(message, _ADVERTISEMENT, src, dst)
        return cls(v.target, v.link_layer, router=v.router, solicited=v.solicited, override=v.override)

    def build(self, src: AddressLike, dst: AddressLike) -> bytes:
        """Return the ICMPv6 message, with its checksum between *src* and *dst* computed."""
        flags = self.router * _ROUTER | self.solicited * _SOLICITED | self.override * _OVERRIDE
        body = self.target.packed + _option(2, self.link_layer)
        return ICMPv6(_ADVERTISEMENT, 0, flags << 24, body).build(src, dst)


def _bad(text: str) -> PacketError:
    return PacketError(f"neighbor discovery: {text}", reason="bad_neighbor")
