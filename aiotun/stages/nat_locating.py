"""Where the ports are in a packet that goes through a NAT, or is quoted by an error that does."""

from __future__ import annotations

from typing import NamedTuple

from ..packet import FragmentView, IPv4View, IPv6View, Protocol, Transport, version, walk_extensions

__all__ = ["CHECKSUMS", "Located", "ends", "locate"]

_ICMP = int(Protocol.ICMP)
_TCP = int(Protocol.TCP)
_UDP = int(Protocol.UDP)
_ICMPV6 = int(Protocol.ICMPV6)

CHECKSUMS = {_TCP: 16, _UDP: 6, _ICMP: 2, _ICMPV6: 2}
"""Where the checksum is in the header of each protocol that can be translated."""

_FRAGMENTS = ("fragment", "atomic_fragment")


class Located(NamedTuple):
    """What there is to know of a packet before it can be translated."""

    protocol: int
    """The transport's; of a later fragment as far as it is known."""
    start: int
    """Where the transport header is, in bytes; 0 for a later fragment."""
    end: int
    """Where the packet ends, in bytes."""
    fragment: bytes
    """What all fragments of the datagram have in common; empty if this is none."""


def locate(packet: bytes, at: int = 0) -> Located | str:
    """
    Return where the transport of a packet is, or why it cannot be translated, as one word.

    Args:
        packet: The packet, or one that quotes it.
        at: Where its IP header is; behind 0 it may be cut short.
    """
    if version(packet[at : at + 1]) == 6:
        return _locate6(packet, at)
    view = IPv4View(packet, at)
    protocol, start, end, reason = view.partial_transport if at else view.transport
    key = b""
    if reason == "fragment":
        protocol = view.protocol
        start = 0 if view.fragment_offset else start
        key = view.src_bytes + view.dst_bytes + view.slice(4, 6) + protocol.to_bytes(1, "big")
    elif protocol is None:
        return reason
    if protocol == _ICMPV6:  # which IPv4 does not carry
        return "unsupported"
    return _checked(Located(protocol, start, end, key), at)


def ends(packet: bytes, found: Located, at: int = 0) -> tuple[bytes, bytes, bytes, bytes]:
    """Return source and destination address, and the four bytes of both ports, source first; ICMP has but one."""
    if packet[at] >> 4 == 4:
        src, dst = packet[at + 12 : at + 16], packet[at + 16 : at + 20]
    else:
        src, dst = packet[at + 8 : at + 24], packet[at + 24 : at + 40]
    start = found.start
    if found.protocol in (_TCP, _UDP):
        return src, dst, packet[start : start + 2], packet[start + 2 : start + 4]
    return src, dst, packet[start + 4 : start + 6], b"\0\0"


def _locate6(packet: bytes, at: int) -> Located | str:
    if not at and len(packet) >= 48 and packet[6] in (_TCP, _UDP) and 40 + (packet[4] << 8 | packet[5]) <= len(packet):
        return _checked(Located(packet[6], 40, 40 + (packet[4] << 8 | packet[5]), b""), at)
    view = IPv6View(packet, at)
    transport = view.partial_transport if at else view.transport
    if transport.reason not in _FRAGMENTS:
        return _found(transport, b"", at)
    fragment = FragmentView(packet, transport.offset, transport.end)
    key = view.src_bytes + view.dst_bytes + fragment.slice(4, 8)
    if fragment.fragment_offset:
        return Located(fragment.next_header, 0, transport.end, key)
    inside = walk_extensions(packet, fragment.next_header, transport.offset + 8, transport.end)
    return _found(inside, b"" if fragment.is_atomic else key, at)


def _found(transport: Transport, key: bytes, at: int) -> Located | str:
    if transport.protocol is None:
        return "unsupported" if transport.reason in ("no_next_header", "unknown_header") else transport.reason
    return _checked(Located(transport.protocol, transport.offset, transport.end, key), at)


def _checked(found: Located, at: int) -> Located | str:
    """Return *found* if the protocol can be translated, and enough of the header is there to do it."""
    checksum = CHECKSUMS.get(found.protocol)
    if checksum is None:
        return "unsupported"
    # A quote need not go further than 8 bytes. A packet must, also a first fragment: RFC 1858 section 3.
    need = 8 if at else max(8, checksum + 2)
    return "short_transport" if found.start and found.start + need > found.end else found
