"""What routers of a lab say of UDP datagrams: which socket an ICMP error is about, and what it means."""

from __future__ import annotations

import errno
from ipaddress import ip_address

import attrs

from ..packet import ICMPType, ICMPv6Type, ICMPv6View, ICMPView, Protocol, UDPView, find_transport

__all__ = ["Complaint", "complaint"]

_FRAGMENTATION_NEEDED = 4  # the code of an unreachable, RFC 1191 section 4

# By IP version: what makes a host unreachable to Linux, icmp_err_convert[] of net/ipv4/icmp.c and of ipv6/icmp.c.
_UNREACHABLE = {
    4: (ICMPType.UNREACHABLE, ICMPType.TIME_EXCEEDED),
    6: (ICMPv6Type.UNREACHABLE, ICMPv6Type.TIME_EXCEEDED),
}


@attrs.frozen
class Complaint:
    """An ICMP error about a UDP datagram."""

    port: int
    """The port that it was sent from."""
    peer: tuple[bytes, int]
    """The address and the port that it was sent to."""
    errno: int
    """EMSGSIZE or EHOSTUNREACH."""
    by: str
    """The address of who complains."""
    mtu: int | None
    """Bytes of IP packet that the way carries, if it is about that."""


def complaint(packet: bytes) -> Complaint | None:
    """Return what an ICMP error says of a UDP datagram; None if it is something else, or damaged."""
    protocol, start, end, _ = find_transport(packet)
    four = packet[0] >> 4 == 4
    if protocol != (Protocol.ICMP if four else Protocol.ICMPV6):
        return None
    source, destination = (packet[12:16], packet[16:20]) if four else (packet[8:24], packet[24:40])
    view: ICMPView | ICMPv6View
    if four:
        view = ICMPView(packet, start, end)
        sound = view.checksum_ok
        too_big = (view.type, view.code) == (ICMPType.UNREACHABLE, _FRAGMENTATION_NEEDED)
    else:
        view = ICMPv6View(packet, start, end)
        sound = view.checksum_ok(source, destination)
        too_big = view.type == ICMPv6Type.PACKET_TOO_BIG
    if not sound or not (too_big or view.type in _UNREACHABLE[4 if four else 6]):
        return None
    quoted = view.quoted
    about = quoted.partial_transport
    datagram = UDPView(quoted.buffer, about.offset, about.end)
    if about.protocol != Protocol.UDP or datagram.available < 8:
        return None
    return Complaint(
        datagram.src_port,
        (quoted.dst_bytes, datagram.dst_port),
        errno.EMSGSIZE if too_big else errno.EHOSTUNREACH,
        str(ip_address(source)),
        view.mtu if too_big else None,
    )
